// SPDX-License-Identifier: Apache-2.0
@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@group(0) @binding(1) var<storage, read> first_only: array<u32>;
@group(0) @binding(1) var<uniform> second_only: vec4<u32>;

fn shared_helper(i: u32) -> u32 { return data[i] * 3u; }

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&data)) { data[id.x] = shared_helper(id.x) + first_only[0]; }
}

@compute @workgroup_size(16, 2)
fn second(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&data)) { data[id.x] = shared_helper(id.x) + second_only.y; }
}
