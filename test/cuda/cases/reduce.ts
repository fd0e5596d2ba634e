// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/reduce.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { floats, i32, ints, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "reduce";
const sum = (list: Iterable<number>): number => [...list].reduce((a, b) => a + b, 0);

function blockSums(): KernelCase {
  const n = 1900;
  const input = floats(n, 21);
  const want = Float32Array.from({ length: 4 }, (_, b) =>
    sum(input.subarray(512 * b, 512 * b + 512)),
  );
  return caseOf(module, launch("reduce_shared", 4, 256, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out: new Float32Array(4) },
    expect: { out: { data: want, tolerance: { abs: 1e-4 } } },
  });
}

function warpSums(): KernelCase {
  const n = 3000;
  const input = floats(n, 22, 0, 1);
  return caseOf(module, launch("reduce_warp", 3, 128, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out: new Float32Array(3) },
    check: (result) => {
      const got = sum(Float32Array.from(result("out"), Number));
      const want = sum(input);
      return Math.abs(got - want) < 0.01 ? null : `the sum is ${got}, not ${want}`;
    },
  });
}

function atomics(): KernelCase {
  const n = 700;
  const input = ints(n, 23, -5000, 5000);
  const want = Int32Array.of(sum(input), Math.min(0, ...input), Math.max(0, ...input));
  return caseOf(module, launch("reduce_atomic", 3, 256, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out: new Int32Array(3) },
    expect: { out: want },
  });
}

function argmax(): KernelCase {
  const n = 1000;
  const input = floats(n, 24);
  input[777] = 3;
  input[901] = 3;
  return caseOf(module, launch("argmax", 1, 128, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out: new Int32Array(1) },
    expect: { out: Int32Array.of(777) },
  });
}

function counts(): KernelCase {
  const n = 300;
  const input = ints(n, 25, -99, 76);
  input[130] = 77;
  input[290] = -1001;
  const want: number[] = [];
  for (let b = 0; b < 4; b++) {
    const part = [...input.subarray(96 * b, 96 * b + 96)];
    want.push(part.filter((v) => v > 0).length, Number(part.includes(77)));
    want.push(Number(part.every((v) => v > -1000)));
  }
  return caseOf(module, launch("count_positive", 4, 96, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out: new Int32Array(12) },
    expect: { out: Int32Array.from(want) },
  });
}

function lastBlock(): KernelCase {
  const n = 1200;
  const input = ints(n, 26, -100, 100);
  const args = [ptr("input"), ptr("parts"), ptr("out"), i32(n)];
  return caseOf(
    module,
    [launch("reduce_last_block", 10, 128, args), launch("reduce_last_block", 10, 128, args)],
    {
      buffers: { input, parts: new Int32Array(10), out: new Int32Array(1) },
      expect: { out: Int32Array.of(sum(input)) },
    },
  );
}

function dotF64(): KernelCase {
  const n = 500;
  const a = Float64Array.from(floats(n, 27), (v) => v * 1.000000001);
  const b = Float64Array.from(floats(n, 28), (v) => v / 3);
  const part = new Float64Array(64);
  for (let t = 0; t < 64; t++) {
    // nvcc contracts to fma; so the tolerance.
    for (let i = t; i < n; i += 64) part[t] = (part[t] ?? 0) + (a[i] ?? 0) * (b[i] ?? 0);
  }
  for (let s = 32; s > 0; s >>= 1) {
    for (let t = 0; t < s; t++) part[t] = (part[t] ?? 0) + (part[t + s] ?? 0);
  }
  return caseOf(module, launch("dot_f64", 1, 64, [ptr("a"), ptr("b"), ptr("out"), i32(n)]), {
    buffers: { a, b, out: new Float64Array(1) },
    expect: {
      out: { data: Float64Array.of((part[0] ?? 0) / n), tolerance: { abs: 1e-17, rel: 1e-14 } },
    },
  });
}

export const REDUCE: readonly KernelCase[] = [
  blockSums(),
  warpSums(),
  atomics(),
  argmax(),
  counts(),
  lastBlock(),
  dotF64(),
];
