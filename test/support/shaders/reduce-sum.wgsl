// SPDX-License-Identifier: Apache-2.0
override block: u32 = 64;
var<workgroup> partial: array<f32, 256>;
@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(block)
fn main(
  @builtin(global_invocation_id) gid: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
  @builtin(workgroup_id) wid: vec3<u32>,
) {
  var own = 0.0;
  if (gid.x < arrayLength(&values)) { own = values[gid.x]; }
  partial[lane] = own;
  workgroupBarrier();
  for (var width = block / 2u; width > 0u; width /= 2u) {
    if (lane < width) { partial[lane] += partial[lane + width]; }
    workgroupBarrier();
  }
  if (lane == 0u && wid.x < arrayLength(&sums)) { sums[wid.x] = partial[0]; }
}
