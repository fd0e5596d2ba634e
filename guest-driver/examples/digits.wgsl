// SPDX-License-Identifier: Apache-2.0
// A perceptron with one hidden layer: forward, backward, and Adam. One invocation makes one element
// of a result; nothing is shared, so that no sum depends on who comes first.

struct Parameters {
  batch: u32,    // samples of this step
  first: u32,    // where they begin
  inputs: u32,
  hidden: u32,
  outputs: u32,
  count: u32,    // parameters of the network
  rate: f32,     // learning rate, corrected for the step
  pad: u32,
}

@group(0) @binding(0) var<uniform> p: Parameters;
@group(0) @binding(1) var<storage, read> images: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<u32>;
@group(0) @binding(3) var<storage, read> w1: array<f32>;
@group(0) @binding(4) var<storage, read> b1: array<f32>;
@group(0) @binding(5) var<storage, read> w2: array<f32>;
@group(0) @binding(6) var<storage, read> b2: array<f32>;
@group(0) @binding(7) var<storage, read_write> activation: array<f32>;
@group(0) @binding(8) var<storage, read_write> delta_out: array<f32>;
@group(0) @binding(9) var<storage, read_write> delta_hidden: array<f32>;
@group(0) @binding(10) var<storage, read_write> losses: array<f32>;
@group(0) @binding(11) var<storage, read_write> correct: array<u32>;
@group(0) @binding(12) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(13) var<storage, read_write> weights: array<f32>;
@group(0) @binding(14) var<storage, read_write> mean: array<f32>;
@group(0) @binding(15) var<storage, read_write> square: array<f32>;

@compute @workgroup_size(64)
fn forward_hidden(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.hidden || id.y >= p.batch) {
    return;
  }
  var sum = b1[id.x];
  let image = (p.first + id.y) * p.inputs;
  for (var i = 0u; i < p.inputs; i++) {
    sum += images[image + i] * w1[i * p.hidden + id.x];
  }
  activation[id.y * p.hidden + id.x] = max(sum, 0.0);
}

// Softmax and cross entropy of one sample, and their derivative.
@compute @workgroup_size(64)
fn forward_output(@builtin(global_invocation_id) id: vec3u) {
  let sample = id.x;
  if (sample >= p.batch) {
    return;
  }
  var logits: array<f32, 16>;
  var largest = -1e30;
  var best = 0u;
  for (var o = 0u; o < p.outputs; o++) {
    var sum = b2[o];
    for (var h = 0u; h < p.hidden; h++) {
      sum += activation[sample * p.hidden + h] * w2[h * p.outputs + o];
    }
    logits[o] = sum;
    if (sum > largest) {
      largest = sum;
      best = o;
    }
  }
  var total = 0.0;
  for (var o = 0u; o < p.outputs; o++) {
    total += exp(logits[o] - largest);
  }
  let label = labels[p.first + sample];
  for (var o = 0u; o < p.outputs; o++) {
    let probability = exp(logits[o] - largest) / total;
    let target_value = select(0.0, 1.0, o == label);
    delta_out[sample * p.outputs + o] = (probability - target_value) / f32(p.batch);
  }
  losses[sample] = log(total) + largest - logits[label];
  correct[sample] = select(0u, 1u, best == label);
}

@compute @workgroup_size(64)
fn backward_hidden(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.hidden || id.y >= p.batch) {
    return;
  }
  var sum = 0.0;
  for (var o = 0u; o < p.outputs; o++) {
    sum += delta_out[id.y * p.outputs + o] * w2[id.x * p.outputs + o];
  }
  let at = id.y * p.hidden + id.x;
  delta_hidden[at] = select(0.0, sum, activation[at] > 0.0);
}

// Gradients of the first layer: rows are the inputs, one more for the bias.
@compute @workgroup_size(64)
fn gradient_hidden(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.hidden || id.y > p.inputs) {
    return;
  }
  var sum = 0.0;
  for (var s = 0u; s < p.batch; s++) {
    let d = delta_hidden[s * p.hidden + id.x];
    if (id.y == p.inputs) {
      sum += d;
    } else {
      sum += d * images[(p.first + s) * p.inputs + id.y];
    }
  }
  gradient[id.y * p.hidden + id.x] = sum;
}

// Gradients of the second layer, behind those of the first.
@compute @workgroup_size(16)
fn gradient_output(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.outputs || id.y > p.hidden) {
    return;
  }
  var sum = 0.0;
  for (var s = 0u; s < p.batch; s++) {
    let d = delta_out[s * p.outputs + id.x];
    if (id.y == p.hidden) {
      sum += d;
    } else {
      sum += d * activation[s * p.hidden + id.y];
    }
  }
  gradient[(p.inputs + 1u) * p.hidden + id.y * p.outputs + id.x] = sum;
}

@compute @workgroup_size(64)
fn adam(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i >= p.count) {
    return;
  }
  let g = gradient[i];
  let m = 0.9 * mean[i] + 0.1 * g;
  let v = 0.999 * square[i] + 0.001 * g * g;
  mean[i] = m;
  square[i] = v;
  weights[i] -= p.rate * m / (sqrt(v) + 1e-7);
}
