// SPDX-License-Identifier: Apache-2.0
const BINS = 16u;
@group(0) @binding(0) var<storage, read> samples: array<u32>;
@group(0) @binding(1) var<storage, read_write> bins: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let stride = groups.x * 64u;
  for (var i = id.x; i < arrayLength(&samples); i += stride) {
    atomicAdd(&bins[samples[i] % BINS], 1u);
  }
}
