// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/math.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { f, floats, i32, type KernelCase, ptr } from "../../support/cuda/lab.js";
import { F32, fma64, fmaIn } from "../../support/ptx/numerics.js";
import { erf } from "./nn.js";

const module = "math";

function functions1(): KernelCase {
  const input = floats(100, 161, -4, 4);
  const want = Array.from(input, (x) => [
    Math.sin(x),
    Math.cos(x),
    Math.exp(x),
    Math.log(f(Math.abs(x) + f(0.01))),
    Math.tanh(x),
    Math.atan(x),
    Math.abs(x) ** f(1.7),
    Math.cbrt(x),
    erf(x),
    2 ** x,
  ]).flat();
  return caseOf(module, launch("functions1", 1, 128, [ptr("input"), ptr("out"), i32(100)]), {
    buffers: { input, out: new Float32Array(1000) },
    expect: { out: { data: Float32Array.from(want), tolerance: { abs: 1e-6, rel: 4e-6 } } },
  });
}

function fastMath(): KernelCase {
  const input = floats(100, 162, -3, 3);
  const want = Array.from(input, (x) => {
    const a = Math.abs(x);
    return [
      Math.sin(x),
      Math.cos(x),
      Math.exp(x),
      Math.log(a + 0.01),
      1 / (a + 1),
      1 / Math.sqrt(a + 0.5),
      (a + 0.1) ** 0.3,
      Math.min(Math.max(x, 0), 1),
    ];
  }).flat();
  return caseOf(module, launch("fast_math", 1, 128, [ptr("input"), ptr("out"), i32(100)]), {
    buffers: { input, out: new Float32Array(800) },
    expect: { out: { data: Float32Array.from(want), tolerance: { abs: 5e-4, rel: 2e-5 } } },
  });
}

function exact(): KernelCase {
  const n = 200;
  const [a, b] = [floats(n, 163, -100, 100), floats(n, 164, -7, 7)];
  const want = Array.from(a, (x, i) => {
    const y = b[i] ?? 0;
    return [
      x + y,
      x - y,
      x * y,
      x / y,
      Math.sqrt(Math.abs(x)),
      fmaIn(F32, x, y, x, "rn"),
      1 / y,
      Math.min(x, y) - Math.max(x, -y),
    ];
  }).flat();
  return caseOf(module, launch("exact", 2, 128, [ptr("a"), ptr("b"), ptr("out"), i32(n)]), {
    buffers: { a, b, out: new Float32Array(8 * n) },
    check: (result) => {
      const got = Float32Array.from(result("out"), Number);
      for (let i = 0; i < got.length; i++) {
        const [g, w] = [got[i] ?? 0, Math.fround(want[i] ?? 0)];
        // WGSL's fma may round the product too, which is off by its last bit at most.
        const product = Math.abs((a[i >> 3] ?? 0) * (b[i >> 3] ?? 0));
        const allowed = i % 8 === 5 ? product * 2 ** -22 : 0;
        if (!(Math.abs(g - w) <= allowed)) return `out[${i}] is ${g}, not ${w}`;
      }
      return null;
    },
  });
}

function specials(): KernelCase {
  const values = [0, -0, 1, -1, Infinity, -Infinity, Number.NaN, 2 ** 100, -1e-20, 3.5];
  const n = values.length ** 2;
  const a = Float32Array.from({ length: n }, (_, i) => values[i % 10] ?? 0);
  const b = Float32Array.from({ length: n }, (_, i) => values[Math.floor(i / 10)] ?? 0);
  const min = (x: number, y: number): number =>
    Number.isNaN(x) ? y : Number.isNaN(y) ? x : Math.min(x, y);
  const want = a.map((x, i) => {
    const y = b[i] ?? 0;
    const negative = x < 0 || Object.is(x, -0);
    const facts = [
      x < y,
      x <= y,
      x === y,
      x !== y,
      !(x > y),
      !(x >= y),
      Number.isNaN(x),
      Math.abs(x) === Infinity,
      negative,
      Number.isFinite(y),
      min(x, y) === min(y, x),
    ];
    return facts.reduce((sum, fact, bit) => sum | (Number(fact) << bit), 0);
  });
  return caseOf(module, launch("specials", 1, 128, [ptr("a"), ptr("b"), ptr("out"), i32(n)]), {
    buffers: { a, b, out: new Int32Array(n) },
    expect: { out: Int32Array.from(want) },
  });
}

function exactF64(): KernelCase {
  const n = 100;
  const a = Float64Array.from(floats(n, 165, -1000, 1000), (v) => v * 1.0000001 + 1e-9);
  const b = Float64Array.from(floats(n, 166, -3, 3), (v) => v / 3);
  const want = Array.from(a, (x, i) => {
    const y = b[i] ?? 0;
    return [
      x + y,
      x - y,
      x * y,
      x / y,
      Math.sqrt(Math.abs(x)),
      fma64(x, y, x),
      x < y ? Math.floor(x) : Math.ceil(y),
      f(x) + Math.trunc(y),
    ];
  }).flat();
  return caseOf(module, launch("exact_f64", 1, 128, [ptr("a"), ptr("b"), ptr("out"), i32(n)]), {
    buffers: { a, b, out: new Float64Array(8 * n) },
    expect: { out: { data: Float64Array.from(want), tolerance: { abs: 0 } } },
  });
}

function functionsF64(): KernelCase {
  const n = 64;
  const input = Float64Array.from(floats(n, 167, -5, 5));
  const want = Array.from(input, (x) => [Math.exp(x), Math.log(Math.abs(x) + 0.5), Math.sin(x)]);
  return caseOf(module, launch("functions_f64", 1, 64, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out: new Float64Array(3 * n) },
    expect: {
      out: { data: Float64Array.from(want.flat()), tolerance: { abs: 1e-15, rel: 1e-14 } },
    },
  });
}

export const MATH: readonly KernelCase[] = [
  functions1(),
  fastMath(),
  exact(),
  specials(),
  exactF64(),
  functionsF64(),
];
