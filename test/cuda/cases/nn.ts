// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/nn.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { f, f32, floats, i32, ints, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "nn";
const tolerance = { abs: 2e-6, rel: 2e-5 };
const sum = (list: Iterable<number>): number => [...list].reduce((a, b) => a + b, 0);

function softmaxRow(x: Float32Array): number[] {
  const most = Math.max(...x);
  const total = sum(Array.from(x, (v) => Math.exp(v - most)));
  return Array.from(x, (v) => Math.exp(v - most) / total);
}

function softmax(): KernelCase {
  const [rows, cols] = [5, 300];
  const input = floats(rows * cols, 121, -8, 8);
  const want = Array.from({ length: rows }, (_, r) =>
    softmaxRow(input.subarray(r * cols, r * cols + cols)),
  );
  return caseOf(module, launch("softmax", rows, 128, [ptr("input"), ptr("out"), i32(cols)]), {
    buffers: { input, out: new Float32Array(rows * cols) },
    expect: { out: { data: Float32Array.from(want.flat()), tolerance } },
  });
}

function layerNorm(): KernelCase {
  const [rows, cols] = [4, 200];
  const [input, gain, bias] = [
    floats(rows * cols, 122, -2, 5),
    floats(cols, 123),
    floats(cols, 124),
  ];
  const want = Array.from({ length: rows }, (_, r) => {
    const x = input.subarray(r * cols, r * cols + cols);
    const mean = sum(x) / cols;
    const scale = 1 / Math.sqrt(sum(Array.from(x, (v) => (v - mean) ** 2)) / cols + 1e-5);
    return Array.from(x, (v, i) => (v - mean) * scale * (gain[i] ?? 0) + (bias[i] ?? 0));
  });
  const args = [ptr("input"), ptr("gain"), ptr("bias"), ptr("out"), i32(cols)];
  return caseOf(module, launch("layer_norm", rows, 128, args), {
    buffers: { input, gain, bias, out: new Float32Array(rows * cols) },
    expect: { out: { data: Float32Array.from(want.flat()), tolerance: { abs: 2e-5 } } },
  });
}

function attention(): KernelCase {
  const [n, d] = [75, 16];
  const [q, k, v] = [floats(n * d, 125, -2, 2), floats(n * d, 126, -2, 2), floats(n * d, 127)];
  const want: number[] = [];
  for (let row = 0; row < n; row++) {
    const scores = Float32Array.from({ length: row + 1 }, (_, j) => {
      let s = 0;
      for (let e = 0; e < d; e++) s += (q[row * d + e] ?? 0) * (k[j * d + e] ?? 0);
      return s * 0.25;
    });
    const weights = softmaxRow(scores);
    for (let e = 0; e < d; e++) want.push(sum(weights.map((w, j) => w * (v[j * d + e] ?? 0))));
  }
  const args = [ptr("q"), ptr("k"), ptr("v"), ptr("out"), i32(n)];
  return caseOf(module, launch("attention", 2, 64, args), {
    buffers: { q, k, v, out: new Float32Array(n * d) },
    expect: { out: { data: Float32Array.from(want), tolerance: { abs: 1e-5, rel: 1e-4 } } },
  });
}

/** The error function by its series and its continued fraction. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  let [term, total] = [a, a];
  for (let n = 1; n < 120; n++) {
    term *= (-a * a) / n;
    total += term / (2 * n + 1);
  }
  return a < 3.5 ? (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI) : Math.sign(x);
}

function gelu(): KernelCase {
  const n = 200;
  const x = floats(n, 128, -5, 5);
  const y = x.map((v) => 0.5 * v * (1 + Math.tanh(0.7978845608 * (v + 0.044715 * v ** 3))));
  return caseOf(module, launch("gelu", 2, 128, [ptr("x"), ptr("y"), i32(n)]), {
    buffers: { x, y: new Float32Array(n) },
    expect: { y: { data: y, tolerance: { abs: 3e-6, rel: 1e-5 } } },
  });
}

function geluErf(): KernelCase {
  const n = 150;
  const x = floats(n, 129, -4, 4);
  return caseOf(module, launch("gelu_erf", 2, 128, [ptr("x"), ptr("y"), i32(n)]), {
    buffers: { x, y: new Float32Array(n) },
    expect: {
      y: { data: x.map((v) => 0.5 * v * (1 + erf(v * Math.SQRT1_2))), tolerance: { abs: 3e-6 } },
    },
  });
}

function adamw(): KernelCase {
  const n = 130;
  const [p, g, m, v] = [floats(n, 130), floats(n, 131), floats(n, 132), floats(n, 133, 0, 1)];
  const [rate, b1, b2, c1, c2, decay] = [0.01, 0.9, 0.999, 0.19, 0.002, 0.1];
  const m2 = m.map((a, i) => b1 * a + (1 - b1) * (g[i] ?? 0));
  const v2 = v.map((a, i) => b2 * a + (1 - b2) * (g[i] ?? 0) ** 2);
  const p2 = p.map((a, i) => {
    const step = (m2[i] ?? 0) / c1 / (Math.sqrt((v2[i] ?? 0) / c2) + 1e-8);
    return a - rate * (step + decay * a);
  });
  const scalars = [rate, b1, b2, c1, c2, decay].map((s) => f32(s));
  const args = [ptr("p"), ptr("g"), ptr("m"), ptr("v"), i32(n), ...scalars];
  return caseOf(module, launch("adamw", 2, 128, args), {
    buffers: { p, g, m, v },
    expect: {
      p: { data: p2, tolerance },
      m: { data: m2, tolerance },
      v: { data: v2, tolerance: { abs: 1e-6 } },
    },
  });
}

function crossEntropy(): KernelCase {
  const [rows, classes] = [40, 27];
  const [logits, target] = [floats(rows * classes, 134, -3, 3), ints(rows, 135, 0, classes)];
  const parts = Array.from({ length: rows }, (_, r) =>
    softmaxRow(logits.subarray(r * classes, r * classes + classes)),
  );
  const loss = Float32Array.from(parts, (p, r) => -Math.log(p[target[r] ?? 0] ?? 0));
  const grad = parts.flatMap((p, r) => p.map((v, c) => v - Number(c === target[r])));
  const args = [ptr("logits"), ptr("target"), ptr("loss"), ptr("grad"), i32(classes), i32(rows)];
  return caseOf(module, launch("cross_entropy", 2, 32, args), {
    buffers: {
      logits,
      target,
      loss: new Float32Array(rows),
      grad: new Float32Array(rows * classes),
    },
    expect: {
      loss: { data: loss, tolerance },
      grad: { data: Float32Array.from(grad), tolerance },
    },
  });
}

function rotary(): KernelCase {
  const [positions, heads, width] = [9, 3, 8];
  const x = floats(positions * heads * width, 136);
  const want = x.slice();
  for (let i = 0; i < x.length; i += 2) {
    const pair = (i % width) / 2;
    const angle = Math.floor(i / (heads * width)) * 10000 ** ((-2 * pair) / width);
    const [a, b] = [x[i] ?? 0, x[i + 1] ?? 0];
    want[i] = a * Math.cos(angle) - b * Math.sin(angle);
    want[i + 1] = a * Math.sin(angle) + b * Math.cos(angle);
  }
  return caseOf(module, launch("rotary", positions, 32, [ptr("x"), i32(heads), i32(width)]), {
    buffers: { x },
    expect: { x: { data: want, tolerance: { abs: 1e-5 } } },
  });
}

function embedding(): KernelCase {
  const [count, width, vocabulary] = [13, 50, 30];
  const tokens = ints(count, 137, 0, vocabulary);
  const [words, places] = [floats(vocabulary * width, 138), floats(count * width, 139)];
  const want = places.map((v, i) =>
    f(v + (words[(tokens[Math.floor(i / width)] ?? 0) * width + (i % width)] ?? 0)),
  );
  const args = [ptr("tokens"), ptr("words"), ptr("places"), ptr("out"), i32(width)];
  return caseOf(module, launch("embedding", count, 32, args), {
    buffers: { tokens, words, places, out: new Float32Array(count * width) },
    expect: { out: want },
  });
}

function hashed(seed: number, i: number): number {
  let h = (seed ^ Math.imul(i, 0x9e3779b9)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 8) / 16777216;
}

function dropout(): KernelCase {
  const n = 300;
  const input = floats(n, 140);
  const want = input.map((v, i) => (hashed(1234567, i) < f(0.3) ? 0 : v / 0.7));
  const args = [ptr("input"), ptr("out"), i32(1234567), f32(0.3), i32(n)];
  return caseOf(module, launch("dropout", 3, 128, args), {
    buffers: { input, out: new Float32Array(n) },
    expect: { out: { data: want, tolerance } },
  });
}

export const NN: readonly KernelCase[] = [
  softmax(),
  layerNorm(),
  attention(),
  gelu(),
  geluErf(),
  adamw(),
  crossEntropy(),
  rotary(),
  embedding(),
  dropout(),
];
