// SPDX-License-Identifier: Apache-2.0
// Counts how often each byte value occurs. A workgroup counts its share in workgroup memory and
// adds that to the whole: atomics of both kinds.

struct Parameters {
  words: u32,
  stride: u32,  // invocations of the whole grid
}

@group(0) @binding(0) var<storage, read> data: array<u32>;
@group(0) @binding(1) var<storage, read_write> bins: array<atomic<u32>, 256>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

var<workgroup> local_bins: array<atomic<u32>, 256>;

@compute @workgroup_size(256)
fn histogram(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(local_invocation_index) index: u32,
) {
  for (var i = id.x; i < parameters.words; i += parameters.stride) {
    let word = data[i];
    for (var shift = 0u; shift < 32u; shift += 8u) {
      atomicAdd(&local_bins[(word >> shift) & 255u], 1u);
    }
  }
  workgroupBarrier();
  let count = atomicLoad(&local_bins[index]);
  if (count > 0u) {
    atomicAdd(&bins[index], count);
  }
}
