// SPDX-License-Identifier: Apache-2.0
struct Norm { columns: u32, epsilon: f32 }
@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read> gamma: array<f32>;
@group(0) @binding(2) var<storage, read> beta: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<uniform> norm: Norm;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x * norm.columns;
  if (row + norm.columns > arrayLength(&output)) { return; }
  var mean = 0.0;
  var square = 0.0;
  for (var c = 0u; c < norm.columns; c++) {
    let v = input[row + c];
    mean += v;
    square += v * v;
  }
  mean /= f32(norm.columns);
  let scale = inverseSqrt(square / f32(norm.columns) - mean * mean + norm.epsilon);
  for (var c = 0u; c < norm.columns; c++) {
    output[row + c] = (input[row + c] - mean) * scale * gamma[c] + beta[c];
  }
}
