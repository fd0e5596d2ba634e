// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/scan.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { floats, i32, ints, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "scan";

/** Inclusive sums that begin anew every `width` elements. */
function inclusive(input: Int32Array, width: number): Int32Array {
  let sum = 0;
  return input.map((v, i) => {
    sum = (i % width === 0 ? 0 : sum) + v;
    return sum;
  });
}

function block(): KernelCase {
  const input = ints(700, 31, -50, 50);
  return caseOf(module, launch("scan_block", 3, 256, [ptr("input"), ptr("out"), i32(700)]), {
    buffers: { input, out: new Int32Array(700) },
    expect: { out: inclusive(input, 256) },
  });
}

function blelloch(): KernelCase {
  const input = Float32Array.from(floats(1024, 32), (v) => Math.round(v * 100));
  let sum = 0;
  const want = input.map((v, i) => {
    if (i % 512 === 0) sum = 0;
    const before = sum;
    sum += v;
    return before;
  });
  return caseOf(module, launch("scan_blelloch", 2, 256, [ptr("input"), ptr("out")]), {
    buffers: { input, out: new Float32Array(1024) },
    expect: { out: { data: want, tolerance: { abs: 0 } } },
  });
}

function twoKernels(): KernelCase {
  const n = 900;
  const input = ints(n, 33, -9, 30);
  return caseOf(
    module,
    [
      launch("scan_warp", 4, 256, [ptr("input"), ptr("out"), ptr("sums"), i32(n)]),
      launch("add_offsets", 4, 256, [ptr("out"), ptr("sums"), i32(n)]),
    ],
    {
      buffers: { input, out: new Int32Array(n), sums: new Int32Array(4) },
      expect: { out: inclusive(input, n) },
    },
  );
}

function compact(): KernelCase {
  const n = 500;
  const input = ints(n, 34, 0, 100);
  const [out, counts] = [new Int32Array(512), new Int32Array(2)];
  for (let b = 0; b < 2; b++) {
    const kept = input.subarray(256 * b, 256 * b + 256).filter((v) => v >= 60);
    out.set(kept, 256 * b);
    counts[b] = kept.length;
  }
  const args = [ptr("input"), ptr("out"), ptr("counts"), i32(60), i32(n)];
  return caseOf(module, launch("compact", 2, 256, args), {
    buffers: { input, out: new Int32Array(512), counts: new Int32Array(2) },
    expect: { out, counts },
  });
}

function chained(): KernelCase {
  const input = ints(640, 35, 0, 1000);
  const out = inclusive(input, 640);
  const totals = Int32Array.from({ length: 10 }, (_, b) => out[b * 64 + 63] ?? 0);
  const args = [ptr("input"), ptr("out"), ptr("totals")];
  return caseOf(module, launch("scan_chained", 10, 64, args), {
    buffers: { input, out: new Int32Array(640), totals: new Int32Array(10).fill(-1) },
    expect: { out, totals },
  });
}

export const SCAN: readonly KernelCase[] = [
  block(),
  blelloch(),
  twoKernels(),
  compact(),
  chained(),
];
