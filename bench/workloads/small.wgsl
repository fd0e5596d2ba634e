// SPDX-License-Identifier: Apache-2.0
// A kernel so small that a launch costs more than it.

@group(0) @binding(0) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn scale(@builtin(global_invocation_id) id: vec3u) {
  values[id.x] = values[id.x] * 0.999 + 0.0005;
}
