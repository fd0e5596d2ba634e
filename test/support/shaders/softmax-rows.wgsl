// SPDX-License-Identifier: Apache-2.0
struct Dims { rows: u32, columns: u32 }
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(1) @binding(0) var<uniform> dims: Dims;
var<workgroup> scratch: array<f32, 32>;

fn reduce(lane: u32, value: f32, is_max: bool) -> f32 {
  scratch[lane] = value;
  workgroupBarrier();
  for (var w = 16u; w > 0u; w >>= 1u) {
    if (lane < w) {
      let other = scratch[lane + w];
      scratch[lane] = select(scratch[lane] + other, max(scratch[lane], other), is_max);
    }
    workgroupBarrier();
  }
  let result = scratch[0];
  workgroupBarrier();
  return result;
}

@compute @workgroup_size(32)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = wid.x * dims.columns;
  var high = -1e30;
  for (var c = lane; c < dims.columns; c += 32u) { high = max(high, x[row + c]); }
  high = reduce(lane, high, true);
  var sum = 0.0;
  for (var c = lane; c < dims.columns; c += 32u) {
    x[row + c] = exp(x[row + c] - high);
    sum += x[row + c];
  }
  sum = reduce(lane, sum, false);
  for (var c = lane; c < dims.columns; c += 32u) { x[row + c] /= sum; }
}
