// SPDX-License-Identifier: Apache-2.0
struct Transform { model: mat4x4<f32>, normal: mat3x3<f32>, uv: mat2x2<f32> }
@group(0) @binding(0) var<storage, read> transforms: array<Transform>;
@group(0) @binding(1) var<storage, read> points: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> results: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> last: mat3x4<f32>;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= min(arrayLength(&points), arrayLength(&results))) { return; }
  let t = transforms[id.x % arrayLength(&transforms)];
  var p = t.model * points[id.x];
  p = vec4f(t.normal * p.xyz, p.w);
  results[id.x] = p;
  results[id.x][id.x % 4u] = transforms[0].model[1][2] + t.uv[0].y;
  if (id.x == 0u) {
    last = mat3x4f(p, p, p);
    last[2].w = 9.0;
    last[1] = points[0];
  }
}
