// SPDX-License-Identifier: Apache-2.0
// Names of bindings are shadowed by parameters, locals and loop variables.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

fn twice(x: f32) -> f32 { return x + x; }
fn first(y: array<f32, 2>) -> f32 { return y[0]; }

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n = arrayLength(&y);
  if (id.x >= n) { return; }
  let v = x[id.x % arrayLength(&x)];
  {
    let x = twice(v);
    var y = array<f32, 2>(x, v);
    y[1] += x;
    if (y[1] < 0.0) { return; }
  }
  for (var x = 0u; x < 2u; x++) { y[id.x] += f32(x) + first(array(v, 0)); }
}
