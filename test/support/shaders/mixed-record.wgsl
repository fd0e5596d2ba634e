// SPDX-License-Identifier: Apache-2.0
// Records of several types side by side, as an arena holds them.
@group(0) @binding(0) var<storage, read> floats: array<f32>;
@group(0) @binding(1) var<storage, read> ints: array<i32>;
@group(0) @binding(2) var<storage, read> vectors: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&out)) { return; }
  let f = floats[id.x % arrayLength(&floats)];
  let i = ints[id.x % arrayLength(&ints)];
  let v = vectors[id.x % arrayLength(&vectors)];
  out[id.x] = vec4f(f, f32(i), vec2f(v));
  out[id.x].w = max(out[id.x].w, 3.0);
}
