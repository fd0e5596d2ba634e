// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/params.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import {
  f32,
  f64,
  floats,
  i8,
  i16,
  i32,
  i64,
  ints,
  type KernelCase,
  ptr,
  struct,
} from "../../support/cuda/lab.js";

const module = "params";
const tolerance = { abs: 1e-5, rel: 1e-6 };

function structParam(): KernelCase {
  const n = 100;
  const input = floats(n, 111);
  const steps = [3, -4, 500, -600, 7];
  const shape = struct([
    i8(-5),
    i32(12),
    f64(2.5),
    ptr("input"),
    ptr("out"),
    ...steps.map((s) => i16(s)),
  ]);
  return caseOf(module, launch("struct_param", 2, 64, [shape, i32(n)]), {
    buffers: { input, out: new Float32Array(n) },
    expect: {
      out: {
        data: input.map((v, i) => v * 12 - 5 + (steps[i % 5] ?? 0)),
        tolerance: { abs: 1e-4 },
      },
    },
  });
}

function pointersInStruct(): KernelCase {
  const n = 90;
  const [a, b, c] = [floats(n, 112), floats(n, 113), floats(n, 114)];
  const tables = struct([ptr("a"), ptr("b"), ptr("c"), ptr("d")]);
  return caseOf(module, launch("pointers_in_struct", 3, 32, [tables, i32(n)]), {
    buffers: { a, b, c, d: new Float32Array(n) },
    expect: { d: { data: a.map((v, i) => v + (b[i] ?? 0) * (c[i] ?? 0)), tolerance } },
  });
}

function pointerTable(): KernelCase {
  const n = 60;
  const rows = [floats(n, 115), floats(n, 116), floats(n, 117)];
  const [r0, r1, r2] = rows as [Float32Array, Float32Array, Float32Array];
  return caseOf(module, launch("pointer_table", [2, 4], 32, [ptr("table"), i32(3), i32(n)]), {
    buffers: { r0, r1, r2, table: (at) => BigUint64Array.of(at("r0"), at("r1"), at("r2")) },
    expect: { r0, r1: r1.map((v) => v * 2), r2: { data: r2.map((v) => v * 3), tolerance } },
  });
}

function wideParam(): KernelCase {
  const n = 300;
  const table = Array.from({ length: 8000 }, (_, i) => i * 3 - 7);
  const wide = struct([i32(1000), ...table.map((v) => f32(v)), i32(-5)]);
  return caseOf(module, launch("wide_param", 5, 64, [wide, ptr("out"), i32(n)]), {
    buffers: { out: new Int32Array(n) },
    expect: { out: Int32Array.from({ length: n }, (_, i) => ((i * 37) % 8000) * 3 - 7 + 1005) },
  });
}

function manyParams(): KernelCase {
  const args = [
    i8(-100),
    i16(-30000),
    i32(123456),
    i64(-(5n << 32n)),
    f32(0.5),
    struct([f32(1), f32(2), f32(3)]),
    i8(200),
    struct([f32(10), f32(3)], 8),
    ptr("out"),
  ];
  return caseOf(module, launch("many_params", 1, 1, args), {
    buffers: { out: new Float32Array(8) },
    expect: { out: Float32Array.of(-100, -30000, 123456, -5, 0.5, 321, 200, 7) },
  });
}

function reverse(): KernelCase {
  const data = ints(3 * 96, 118, -1000, 1000);
  const want = data.map((_, i) => data[i - (i % 96) + 95 - (i % 96)] ?? 0);
  return caseOf(module, launch("reverse_dynamic", 3, 96, [ptr("data")], 96 * 4), {
    buffers: { data },
    expect: { data: want },
  });
}

function carved(): KernelCase {
  const n = 64;
  const input = floats(2 * n, 119);
  const want = input.map((_, i) => {
    const t = i % n;
    const k = ((n - 1 - t) * 3) % n;
    const v = input[i - t + k] ?? 0;
    return k % 2 ? v : -v;
  });
  return caseOf(module, launch("carved", 2, n, [ptr("input"), ptr("out"), i32(n)], n * 7), {
    buffers: { input, out: new Float32Array(2 * n) },
    expect: { out: want },
  });
}

function functions(): KernelCase {
  const n = 100;
  const [x, c] = [floats(n, 120), Float32Array.of(1, -2, 0.5, 3)];
  const y = x.map((v) => ((3 * v + 0.5) * v - 2) * v + 1);
  const z = Int32Array.from({ length: n }, (_, i) => (i % 10) * 100 + (Math.floor(i / 10) % 3));
  const args = [ptr("x"), ptr("c"), ptr("y"), ptr("z"), i32(n)];
  return caseOf(module, launch("functions", 2, 64, args), {
    buffers: { x, c, y: new Float32Array(n), z: new Int32Array(n) },
    expect: { y: { data: y, tolerance }, z },
  });
}

function variables(): KernelCase {
  const n = 50;
  const primes = [2, 3, 5, 7, 11, 13];
  const want = Float32Array.from(
    { length: n },
    (_, i) => 2 ** (i % 8) + 2 ** ((i % 6) + 2) * (primes[i % 6] ?? 0),
  );
  return caseOf(
    module,
    [
      launch("variables", 2, 32, [ptr("out"), i32(n)]),
      launch("variables", 1, 32, [ptr("out"), i32(n)]),
      launch("read_counter", 1, 1, [ptr("last")]),
    ],
    {
      buffers: { out: new Float32Array(n + 1), last: new Int32Array(1) },
      expect: { out: Float32Array.of(...want, 42), last: Int32Array.of(44) },
    },
  );
}

export const PARAMS: readonly KernelCase[] = [
  structParam(),
  pointersInStruct(),
  pointerTable(),
  manyParams(),
  wideParam(),
  reverse(),
  carved(),
  functions(),
  variables(),
];
