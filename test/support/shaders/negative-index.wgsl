// SPDX-License-Identifier: Apache-2.0
// Signed and constant indices, some outside the array: they are clamped.
@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> taps: vec4<i32>;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = i32(id.x);
  if (id.x >= arrayLength(&output)) { return; }
  output[id.x] = input[i - 2] + input[i + taps[i & 3]] + input[0] + input[1 + 1];
}
