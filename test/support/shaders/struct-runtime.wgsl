// SPDX-License-Identifier: Apache-2.0
struct List { count: u32, scale: f32, items: array<vec2<f32>> }
@group(0) @binding(0) var<storage, read> input: List;
@group(0) @binding(1) var<storage, read_write> output: List;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n = min(arrayLength(&input.items), arrayLength(&output.items));
  if (id.x < n) {
    output.items[id.x] = input.items[id.x] * input.scale;
    output.items[id.x].y += f32(input.count);
  }
  if (id.x == 0) { output.count = n; }
}
