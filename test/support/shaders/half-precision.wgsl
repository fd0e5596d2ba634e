// SPDX-License-Identifier: Apache-2.0
enable f16;
struct Pair { low: f16, high: vec2<f16> }
@group(0) @binding(0) var<storage, read> a: array<f16>;
@group(0) @binding(1) var<storage, read_write> b: array<f16>;
@group(0) @binding(2) var<storage, read_write> pairs: array<Pair>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n = min(arrayLength(&a), arrayLength(&b));
  if (id.x < n) { b[id.x] = a[id.x] * 2.0h + b[id.x]; }
  if (id.x < arrayLength(&pairs)) {
    pairs[id.x].low = a[id.x];
    pairs[id.x].high.y += 1.0h;
  }
}
