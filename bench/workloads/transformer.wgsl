// SPDX-License-Identifier: Apache-2.0
// The forward step of one transformer block: layer norm, projections, causal attention, MLP with
// GELU, residuals. All matrices are row by row; a token is a row.

struct Shape {
  rows: u32,
  columns: u32,
  inner: u32,   // matmul: the sum's length; attention: heads
  gelu: u32,    // matmul: 1 to end with a GELU
}

@group(0) @binding(0) var<uniform> shape: Shape;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;

var<workgroup> strip_a: array<f32, 256>;
var<workgroup> strip_b: array<f32, 256>;
var<workgroup> sums: array<f32, 64>;

// c = a * b, in tiles of 16 x 16.
@compute @workgroup_size(16, 16)
fn matmul(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
) {
  let row = group.y * 16u + local.y;
  let column = group.x * 16u + local.x;
  var sum = 0.0;
  for (var k = 0u; k < shape.inner; k += 16u) {
    strip_a[local.y * 16u + local.x] = a[row * shape.inner + k + local.x];
    strip_b[local.y * 16u + local.x] = b[(k + local.y) * shape.columns + column];
    workgroupBarrier();
    for (var i = 0u; i < 16u; i++) {
      sum += strip_a[local.y * 16u + i] * strip_b[i * 16u + local.x];
    }
    workgroupBarrier();
  }
  if (shape.gelu == 1u) {
    sum = 0.5 * sum * (1.0 + tanh(0.7978845608 * (sum + 0.044715 * sum * sum * sum)));
  }
  c[row * shape.columns + column] = sum;
}

// A workgroup normalises one row.
@compute @workgroup_size(64)
fn layer_norm(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let start = group.x * shape.columns;
  var sum = 0.0;
  for (var i = local.x; i < shape.columns; i += 64u) {
    sum += a[start + i];
  }
  let mean = total(local.x, sum) / f32(shape.columns);
  var square = 0.0;
  for (var i = local.x; i < shape.columns; i += 64u) {
    let d = a[start + i] - mean;
    square += d * d;
  }
  let scale = inverseSqrt(total(local.x, square) / f32(shape.columns) + 1e-5);
  for (var i = local.x; i < shape.columns; i += 64u) {
    c[start + i] = (a[start + i] - mean) * scale;
  }
}

fn total(lane: u32, value: f32) -> f32 {
  workgroupBarrier();
  sums[lane] = value;
  workgroupBarrier();
  for (var half = 32u; half > 0u; half /= 2u) {
    if (lane < half) {
      sums[lane] += sums[lane + half];
    }
    workgroupBarrier();
  }
  return sums[0];
}

// One invocation makes one token's output of one head. a: rows of query, key, value.
@compute @workgroup_size(32)
fn attention(@builtin(global_invocation_id) id: vec3u) {
  let token = id.x;
  let head = id.y;
  let width = shape.columns / shape.inner;
  let stride = 3u * shape.columns;
  var largest = -1e30;
  var weight = 0.0;
  var out: array<f32, 32>;
  for (var other = 0u; other <= token; other++) {
    var score = 0.0;
    for (var i = 0u; i < width; i++) {
      score += a[token * stride + head * width + i] *
        a[other * stride + shape.columns + head * width + i];
    }
    score *= inverseSqrt(f32(width));
    let next = max(largest, score);
    let keep = exp(largest - next);
    let add = exp(score - next);
    weight = weight * keep + add;
    for (var i = 0u; i < width; i++) {
      out[i] = out[i] * keep + add * a[other * stride + 2u * shape.columns + head * width + i];
    }
    largest = next;
  }
  for (var i = 0u; i < width; i++) {
    c[token * shape.columns + head * width + i] = out[i] / weight;
  }
}

// c = a + b
@compute @workgroup_size(64)
fn add(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < shape.rows * shape.columns) {
    c[id.x] = a[id.x] + b[id.x];
  }
}
