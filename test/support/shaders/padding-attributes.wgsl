// SPDX-License-Identifier: Apache-2.0
struct Odd {
  a: f32,
  @align(32) b: vec2f,
  @size(24) c: vec3<f32>,
  d: array<vec3<i32>, 2>,
}
@group(0) @binding(0) var<storage, read_write> odds: array<Odd>;
@group(0) @binding(1) var<storage, read_write> single: Odd;

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&odds)) { return; }
  let copy = odds[id.x];
  odds[id.x].d[1] = copy.d[0] + vec3i(i32(id.x));
  odds[id.x].c = copy.c.zyx + copy.b.xxy;
  if (id.x == 0u) { single = copy; single.d[0].z = 77; }
}
