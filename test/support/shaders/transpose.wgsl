// SPDX-License-Identifier: Apache-2.0
var<workgroup> tile: array<array<f32, 9>, 8>;
@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<uniform> size: vec2<u32>;

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) w: vec3u, @builtin(local_invocation_id) l: vec3u) {
  let from_x = w.x * 8u + l.x;
  let from_y = w.y * 8u + l.y;
  if (from_x < size.x && from_y < size.y) { tile[l.y][l.x] = input[from_y * size.x + from_x]; }
  workgroupBarrier();
  let to_x = w.y * 8u + l.x;
  let to_y = w.x * 8u + l.y;
  if (to_x < size.y && to_y < size.x) { output[to_y * size.y + to_x] = tile[l.x][l.y]; }
}
