// SPDX-License-Identifier: Apache-2.0
struct Config { gain: f32, offset: vec3f, table: array<f32, 12> }
@group(0) @binding(0) var<storage, read> config: Config;
@group(0) @binding(1) var<storage, read> scale: f32;
@group(0) @binding(2) var<storage, read> bias: vec4f;
@group(0) @binding(3) var<storage, read_write> table: array<f32, 12>;
@group(0) @binding(4) var<storage, read_write> count: u32;

@compute @workgroup_size(1)
fn main() {
  let c = config;
  var t = c.table;
  for (var i = 0u; i < 12u; i++) { t[i] = t[i] * scale + bias[i % 4u] + c.offset.y * config.gain; }
  table = t;
  count += u32(t[0]) + 1u;
}
