// SPDX-License-Identifier: Apache-2.0
struct Conv { width: i32, height: i32, kernel: i32, stride: i32 }
@group(0) @binding(0) var<uniform> conv: Conv;
@group(0) @binding(1) var<storage, read> image: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> result: array<f32>;

fn pixel(x: i32, y: i32) -> f32 {
  if (x < 0 || y < 0 || x >= conv.width || y >= conv.height) { return 0.0; }
  return image[y * conv.width + x];
}

@compute @workgroup_size(8, 8, 1)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = i32(id.x);
  let y = i32(id.y);
  if (x >= conv.width || y >= conv.height) { return; }
  let half = conv.kernel / 2;
  var sum = 0.0;
  for (var dy = -half; dy <= half; dy++) {
    for (var dx = -half; dx <= half; dx++) {
      sum = fma(pixel(x + dx, y + dy), weights[(dy + half) * conv.kernel + dx + half], sum);
    }
  }
  result[y * conv.width + x] = sum;
}
