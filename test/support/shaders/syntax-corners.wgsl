// SPDX-License-Identifier: Apache-2.0
@group(0) @binding(0) var<storage, read> x: array<i32>;
@group(0) @binding(1) var<storage, read_write> y: array<i32>;
@group(0) @binding(2) var<storage, read_write> z: array<vec4<i32>>;
override size = 4u;
var<workgroup> spare: array<i32, size * 2>;

fn x_(x: i32) -> i32 { return x; }
fn pick(pick: i32) -> i32 { let y = pick; return y; }

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) wid: vec3<u32>) {
  if (wid.x > 0u) { return; }
  let pick = pick(x[0]); // a name that hides the function it calls
  const k = 1 + 2 * 0x1;
  var total: array<i32, k>;
  total[x[1] % k] = -x[x[0] % 4] + ~x[1] - (-x[k]);
  y[0] = total[0] + total[1] + total[2] + pick + x_(x[2 // an index
    + 1]);
  y[1] = select(0, 1, x[0] < x[1]) + i32(x[2] > x[3]) + x[i32(x[0] < 5)];
  y[/* two */ 2] = (x)[0] * ((x))[1];
  y[3u] = vec2<i32>(x[0], x[1]).y + array<i32, 2>(x[2], 3)[1] + z[0].xyz.z + z[1][2] + z[0].bgra.r;
  z[2] = z[3].wzyx + vec4(z[0].xy, z[1].zw) * x[0];
  z[4].x = 1; z[4].g += 2; z[4][2] <<= 1u; z[4][x[0] & 3]--;
  @diagnostic(off, derivative_uniformity) if (x[0] > 1 && y[0] != 0) || !(y[1] == 0) { y[4] = 5; }
  @diagnostic(off, derivative_uniformity) for (var i = 0; i < x[0] % 4; i++) { y[5] += z[i].x; }
  @diagnostic(off, derivative_uniformity) { y[6] = 1; ; ; }
  spare[0] = y[6];
  { let x = y[0]; { let y = x; z[5].y = x + y; } }
  loop { var y = 3; if (y < 4) { z[6].w = y; break; } continuing { let q = y; y = q; } }
  switch (x[0] + y[1]) { case 1 + 1, k { y[7] = 1; } default: { let x = 4; y[7] = x; } }
  while (y[8] < 3) { y[8] += select(2, 1, bool(y[8])); if (y[8] == 2) { continue; } }
}
