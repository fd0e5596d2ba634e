// SPDX-License-Identifier: Apache-2.0
// sum[i] = a[i] + b[i], over a grid that may be two-dimensional.

struct Parameters {
  count: u32,
  row: u32,  // invocations in a row of the grid
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> sum: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn vecadd(@builtin(global_invocation_id) id: vec3u) {
  let i = id.y * parameters.row + id.x;
  if (i < parameters.count) {
    sum[i] = a[i] + b[i];
  }
}
