// SPDX-License-Identifier: Apache-2.0
// One step of heat flow on a grid of n x n cells: each becomes the mean of itself and its neighbours.

struct Shape {
  n: u32,
  pad0: u32,
  pad1: u32,
  pad2: u32,
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> before: array<f32>;
@group(0) @binding(2) var<storage, read_write> after: array<f32>;

@compute @workgroup_size(16, 16)
fn step(@builtin(global_invocation_id) id: vec3u) {
  let n = shape.n;
  let at = id.y * n + id.x;
  if (id.x == 0u || id.y == 0u || id.x >= n - 1u || id.y >= n - 1u) {
    if (id.x < n && id.y < n) {
      after[at] = before[at];
    }
    return;
  }
  after[at] = 0.2 * (before[at] + before[at - 1u] + before[at + 1u] + before[at - n] + before[at + n]);
}
