// SPDX-License-Identifier: Apache-2.0
// A long kernel of many workgroups: nothing but arithmetic.

@group(0) @binding(0) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn spin(@builtin(global_invocation_id) id: vec3u) {
  var x = values[id.x];
  for (var i = 0u; i < 20000u; i++) {
    x = x * 0.9999 + 0.00005;
  }
  values[id.x] = x;
}
