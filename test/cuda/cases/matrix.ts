// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/matrix.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { f32, floats, i32, ints, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "matrix";
const tolerance = { abs: 1e-5, rel: 1e-5 };

function product(a: Float32Array, b: Float32Array, m: number, n: number, k: number): Float32Array {
  return Float32Array.from({ length: m * n }, (_, at) => {
    const [row, col] = [Math.floor(at / n), at % n];
    let sum = 0;
    for (let i = 0; i < k; i++) sum += (a[row * k + i] ?? 0) * (b[i * n + col] ?? 0);
    return sum;
  });
}

function naive(): KernelCase {
  const [m, n, k] = [20, 33, 17];
  const [a, b] = [floats(m * k, 51), floats(k * n, 52)];
  const args = [ptr("a"), ptr("b"), ptr("c"), i32(m), i32(n), i32(k)];
  return caseOf(module, launch("matmul_naive", [5, 3], [8, 8], args), {
    buffers: { a, b, c: new Float32Array(m * n) },
    expect: { c: { data: product(a, b, m, n, k), tolerance } },
  });
}

function tiled(): KernelCase {
  const n = 48;
  const [a, b] = [floats(n * n, 53), floats(n * n, 54)];
  const args = [ptr("a"), ptr("b"), ptr("c"), i32(n)];
  return caseOf(module, launch("matmul_tiled", [3, 3], [16, 16], args), {
    buffers: { a, b, c: new Float32Array(n * n) },
    expect: { c: { data: product(a, b, n, n, n), tolerance } },
  });
}

function transpose(): KernelCase {
  const [w, h] = [40, 25];
  const input = floats(w * h, 55);
  const want = input.map((_, i) => input[(i % h) * w + Math.floor(i / h)] ?? 0);
  const args = [ptr("input"), ptr("out"), i32(w), i32(h)];
  return caseOf(module, launch("transpose", [3, 2], [16, 16], args), {
    buffers: { input, out: new Float32Array(w * h) },
    expect: { out: want },
  });
}

function matvec(): KernelCase {
  const [rows, cols] = [11, 100];
  const [a, x] = [floats(rows * cols, 56), floats(cols, 57)];
  const args = [ptr("a"), ptr("x"), ptr("y"), i32(rows), i32(cols)];
  return caseOf(module, launch("matvec_warp", 3, 128, args), {
    buffers: { a, x, y: new Float32Array(rows) },
    expect: { y: { data: product(a, x, rows, 1, cols), tolerance } },
  });
}

function jacobi(): KernelCase {
  const [w, h] = [35, 22];
  const input = floats(w * h, 58);
  const at = (x: number, y: number): number => input[y * w + x] ?? 0;
  const want = input.map((v, i) => {
    const [x, y] = [i % w, Math.floor(i / w)];
    if (x === 0 || y === 0 || x === w - 1 || y === h - 1) return v;
    return 0.25 * (at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1));
  });
  const args = [ptr("input"), ptr("out"), i32(w), i32(h)];
  return caseOf(module, launch("jacobi", [3, 3], [16, 8], args), {
    buffers: { input, out: new Float32Array(w * h) },
    expect: { out: { data: want, tolerance } },
  });
}

function heat(): KernelCase {
  const n = 12;
  const input = floats(n * n * n, 59);
  const inside = (v: number): boolean => v >= 1 && v < n - 1;
  const want = input.map((v, i) => {
    const [x, y, z] = [i % n, Math.floor(i / n) % n, Math.floor(i / (n * n))];
    if (!inside(x) || !inside(y) || !inside(z)) return -5;
    const near = [1, -1, n, -n, n * n, -n * n].map((d) => input[i + d] ?? 0);
    return v + 0.1 * (near.reduce((a, b) => a + b) - 6 * v);
  });
  const args = [ptr("input"), ptr("out"), i32(n), f32(0.1)];
  return caseOf(module, launch("heat3d", [3, 3, 3], [4, 4, 4], args), {
    buffers: { input, out: new Float32Array(n * n * n).fill(-5) },
    expect: { out: { data: want, tolerance } },
  });
}

function convolve(): KernelCase {
  const n = 300;
  const input = floats(n, 60);
  const taps = [0.05, 0.1, 0.2, 0.3, 0.2, 0.1, 0.05];
  const want = input.map((_, i) => taps.reduce((s, t, k) => s + t * (input[i + k - 3] ?? 0), 0));
  return caseOf(module, launch("convolve", 3, 128, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out: new Float32Array(n) },
    expect: { out: { data: want, tolerance } },
  });
}

function life(): KernelCase {
  const [w, h] = [29, 17];
  const input = Uint8Array.from(ints(w * h, 61, 0, 2));
  const want = input.map((v, i) => {
    let alive = 0;
    for (let d = 0; d < 9; d++) {
      if (d === 4) continue;
      const x = ((i % w) + (d % 3) - 1 + w) % w;
      const y = (Math.floor(i / w) + Math.floor(d / 3) - 1 + h) % h;
      alive += input[y * w + x] ?? 0;
    }
    return Number(alive === 3 || (alive === 2 && v === 1));
  });
  const args = [ptr("input"), ptr("out"), i32(w), i32(h)];
  return caseOf(module, launch("life", [4, 3], [8, 8], args), {
    buffers: { input, out: new Uint8Array(w * h) },
    expect: { out: want },
  });
}

export const MATRIX: readonly KernelCase[] = [
  naive(),
  tiled(),
  transpose(),
  matvec(),
  jacobi(),
  heat(),
  convolve(),
  life(),
];
