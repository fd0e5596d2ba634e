// SPDX-License-Identifier: Apache-2.0
// A module that also renders: only the compute entry point counts.
struct Varyings { @builtin(position) position: vec4f, @location(0) uv: vec2f }
@group(0) @binding(0) var image: texture_2d<f32>;
@group(0) @binding(1) var image_sampler: sampler;
@group(0) @binding(2) var<storage, read_write> heights: array<f32>;

@vertex fn vertex_main(@builtin(vertex_index) i: u32) -> Varyings {
  var v: Varyings;
  v.position = vec4f(f32(i), 0, 0, 1);
  return v;
}
@fragment fn fragment_main(v: Varyings) -> @location(0) vec4f {
  return textureSample(image, image_sampler, v.uv);
}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&heights)) { heights[id.x] = sqrt(abs(heights[id.x])); }
}
