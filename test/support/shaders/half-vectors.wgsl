// SPDX-License-Identifier: Apache-2.0
enable f16;
@group(0) @binding(0) var<storage, read> weights: array<vec4<f16>>;
@group(0) @binding(1) var<storage, read> m: mat2x3<f16>;
@group(0) @binding(2) var<storage, read_write> out: array<vec3h>;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&out)) { return; }
  let w = weights[id.x % arrayLength(&weights)];
  out[id.x] = m * w.xy + w.zwx;
}
