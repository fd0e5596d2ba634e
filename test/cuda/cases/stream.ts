// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/stream.cu. */
import { f, f32, floats, i32, ints, type KernelCase, ptr } from "../../support/cuda/lab.js";
import { bitsOfF16, F16, f16OfBits, fmaIn, roundTo } from "../../support/ptx/numerics.js";

const module = "stream";
const near = { rel: 1e-6, abs: 1e-7 };

function saxpy(): KernelCase {
  const n = 1000;
  const [x, y] = [floats(n, 1), floats(n, 2)];
  return {
    name: "saxpy",
    module,
    buffers: { x, y },
    launches: [
      {
        kernel: "saxpy",
        grid: [8, 1, 1],
        block: [128, 1, 1],
        args: [i32(n), f32(2.5), ptr("x"), ptr("y")],
      },
    ],
    expect: { y: { data: x.map((v, i) => f(2.5 * v + (y[i] ?? 0))), tolerance: near } },
  };
}

function triad4(): KernelCase {
  const n = 100;
  const [b, c] = [floats(4 * n, 3), floats(4 * n, 4)];
  return {
    name: "triad4",
    module,
    buffers: { a: new Float32Array(4 * n), b, c },
    launches: [
      {
        kernel: "triad4",
        grid: [2, 1, 1],
        block: [64, 1, 1],
        args: [i32(n), f32(3), ptr("b"), ptr("c"), ptr("a")],
      },
    ],
    expect: { a: { data: b.map((v, i) => f(v + 3 * (c[i] ?? 0))), tolerance: near } },
  };
}

function bytes(): KernelCase {
  const n = 1003;
  const input = Uint8Array.from(ints(n, 5, 0, 256));
  return {
    name: "invert_bytes",
    module,
    buffers: { input, out: new Uint8Array(n + 5).fill(9) },
    launches: [
      {
        kernel: "invert_bytes",
        grid: [3, 1, 1],
        block: [100, 1, 1],
        args: [i32(n), ptr("input"), ptr("out", 1)],
      },
    ],
    expect: { out: Uint8Array.from([9, ...input.map((v) => 255 - v), 9, 9, 9, 9]) },
  };
}

function shorts(): KernelCase {
  const n = 200;
  const input = Int16Array.from(ints(n, 6, -32768, 32768));
  return {
    name: "shorts_to_long",
    module,
    buffers: { input, out: new BigInt64Array(n) },
    launches: [
      {
        kernel: "shorts_to_long",
        grid: [4, 1, 1],
        block: [64, 1, 1],
        args: [i32(n), ptr("input"), ptr("out")],
      },
    ],
    expect: { out: BigInt64Array.from([...input].map((v) => BigInt(v) * 100000000n - 7n)) },
  };
}

function gather(): KernelCase {
  const n = 300;
  const [index, input] = [ints(n, 7, 0, 50), floats(50, 8)];
  return {
    name: "gather",
    module,
    buffers: { index, input, out: new Float32Array(n) },
    launches: [
      {
        kernel: "gather",
        grid: [3, 1, 1],
        block: [128, 1, 1],
        args: [i32(n), ptr("index"), ptr("input"), ptr("out")],
      },
    ],
    expect: { out: Float32Array.from(index, (i) => input[i] ?? 0) },
  };
}

const halves = (count: number, seed: number): Uint16Array =>
  Uint16Array.from(floats(count, seed, -4, 4), (v) => bitsOfF16(roundTo(F16, v)));

function halfAxpy(): KernelCase {
  const n = 200;
  const [x, y] = [halves(n, 9), halves(n, 10)];
  const want = x.map((v, i) => {
    const sum = f(1.5 * f16OfBits(v) + f16OfBits(y[i] ?? 0));
    return bitsOfF16(roundTo(F16, sum));
  });
  return {
    name: "half_axpy",
    module,
    buffers: { x, y },
    launches: [
      {
        kernel: "half_axpy",
        grid: [2, 1, 1],
        block: [128, 1, 1],
        args: [i32(n), f32(1.5), ptr("x"), ptr("y")],
      },
    ],
    expect: { y: want },
  };
}

function half2Fma(): KernelCase {
  const n = 100;
  const [a, b, c] = [halves(2 * n, 11), halves(2 * n, 12), halves(2 * n, 13)];
  const value = (list: Uint16Array, i: number): number => f16OfBits(list[i] ?? 0);
  const want = Float32Array.from(a, (_, i) =>
    fmaIn(F16, value(a, i), value(b, i), value(c, i), "rn"),
  );
  return {
    name: "half2_fma",
    module,
    buffers: { a, b, c },
    launches: [
      {
        kernel: "half2_fma",
        grid: [1, 1, 1],
        block: [128, 1, 1],
        args: [i32(n), ptr("a"), ptr("b"), ptr("c")],
      },
    ],
    expect: {},
    check: (result) => {
      // WGSL may round the product first: one unit in the last place of the largest term.
      const got = Uint16Array.from(result("c"), Number);
      for (let i = 0; i < got.length; i++) {
        const [g, w] = [f16OfBits(got[i] ?? 0), want[i] ?? 0];
        if (!(Math.abs(g - w) <= 0.016)) return `c[${i}] is ${g}, not ${w}`;
      }
      return null;
    },
  };
}

function pitch(): KernelCase {
  const [w, h, p, q] = [30, 20, 37, 41];
  const input = Uint8Array.from(ints(p * h, 14, 0, 256));
  const want = new Uint8Array(q * h);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) want[y * q + x] = input[y * p + x] ?? 0;
  }
  return {
    name: "pitch_copy",
    module,
    buffers: { input, out: new Uint8Array(q * h) },
    launches: [
      {
        kernel: "pitch_copy",
        grid: [4, 3, 1],
        block: [8, 8, 1],
        args: [ptr("input"), i32(p), ptr("out"), i32(q), i32(w), i32(h)],
      },
    ],
    expect: { out: want },
  };
}

export const STREAM: readonly KernelCase[] = [
  saxpy(),
  triad4(),
  bytes(),
  shorts(),
  gather(),
  halfAxpy(),
  half2Fma(),
  pitch(),
];
