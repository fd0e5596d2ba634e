// SPDX-License-Identifier: Apache-2.0
// C = A * B for square matrices of n x n floats, row by row. A workgroup of 16 x 16 invocations
// makes a tile of 64 x 64 of C, 4 x 4 elements each; strips of A and B pass through workgroup memory.

const TILE = 64u;
const STEP = 16u;

struct Parameters {
  n: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

var<workgroup> tile_a: array<f32, TILE * STEP>;
var<workgroup> tile_b: array<f32, STEP * TILE>;

@compute @workgroup_size(16, 16)
fn sgemm(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  let n = parameters.n;
  let row = group.y * TILE;
  let column = group.x * TILE;
  var sums: array<vec4f, 4>;
  for (var k = 0u; k < n; k += STEP) {
    for (var i = index; i < TILE * STEP; i += 256u) {
      let ar = row + i / STEP;
      let ak = k + i % STEP;
      tile_a[i] = select(0.0, a[min(ar * n + ak, n * n - 1u)], ar < n && ak < n);
      let bk = k + i / TILE;
      let bc = column + i % TILE;
      tile_b[i] = select(0.0, b[min(bk * n + bc, n * n - 1u)], bk < n && bc < n);
    }
    workgroupBarrier();
    for (var s = 0u; s < STEP; s++) {
      let at = s * TILE + local.x * 4u;
      let right = vec4f(tile_b[at], tile_b[at + 1u], tile_b[at + 2u], tile_b[at + 3u]);
      for (var r = 0u; r < 4u; r++) {
        sums[r] += tile_a[(local.y * 4u + r) * STEP + s] * right;
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    for (var s = 0u; s < 4u; s++) {
      let cr = row + local.y * 4u + r;
      let cc = column + local.x * 4u + s;
      if (cr < n && cc < n) {
        c[cr * n + cc] = sums[r][s];
      }
    }
  }
}
