// SPDX-License-Identifier: Apache-2.0
// 4-bit weights in words, a scale for each block of eight.
@group(0) @binding(0) var<storage, read> packed: array<u32>;
@group(0) @binding(1) var<storage, read> scales: array<f32>;
@group(0) @binding(2) var<storage, read_write> plain: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let word = id.x / 8u;
  if (id.x >= arrayLength(&plain) || word >= arrayLength(&packed)) { return; }
  let quant = extractBits(packed[word], (id.x % 8u) * 4u, 4u);
  plain[id.x] = (f32(quant) - 8.0) * scales[word % arrayLength(&scales)];
}
