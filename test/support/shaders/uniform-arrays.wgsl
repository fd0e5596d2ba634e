// SPDX-License-Identifier: Apache-2.0
struct Lights { count: u32, colors: array<vec4f, 4>, basis: mat3x3f }
@group(2) @binding(3) var<uniform> lights: Lights;
@group(2) @binding(1) var<uniform> exposure: f32;
@group(1) @binding(9) var<storage, read_write> pixels: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&pixels)) { return; }
  var sum = vec3f(0);
  for (var i = 0u; i < min(lights.count, 4u); i++) { sum += lights.basis * lights.colors[i].rgb; }
  pixels[id.x] += vec4f(sum * exposure, 1);
}
