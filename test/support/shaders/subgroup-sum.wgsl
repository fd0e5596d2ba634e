// SPDX-License-Identifier: Apache-2.0
enable subgroups;
@group(0) @binding(0) var<storage, read> values: array<u32>;
@group(0) @binding(1) var<storage, read_write> total: array<atomic<u32>, 1>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  var v = 0u;
  if (id.x < arrayLength(&values)) { v = values[id.x]; }
  let sum = subgroupAdd(v);
  if (lane == 0u) { atomicAdd(&total[0], sum); }
}
