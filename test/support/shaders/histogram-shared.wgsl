// SPDX-License-Identifier: Apache-2.0
const BINS = 16u;
var<workgroup> own: array<atomic<u32>, BINS>;
@group(0) @binding(0) var<storage, read> samples: array<u32>;
@group(0) @binding(1) var<storage, read_write> bins: array<atomic<u32>, BINS>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  if (lane < BINS) { atomicStore(&own[lane], 0u); }
  workgroupBarrier();
  if (id.x < arrayLength(&samples)) { atomicAdd(&own[samples[id.x] & (BINS - 1u)], 1u); }
  workgroupBarrier();
  if (lane < BINS) { atomicAdd(&bins[lane], atomicLoad(&own[lane])); }
}
