// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/warp.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { ints, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "warp";

/** For each lane, its warp's values and its own place among them. */
function byWarp<T>(input: Int32Array, each: (warp: Int32Array, lane: number) => T): T[] {
  return Array.from(input, (_, i) => each(input.subarray(i & ~31, (i & ~31) + 32), i & 31));
}

const mask = (warp: Int32Array, test: (v: number, lane: number) => boolean): number =>
  warp.reduce((sum, v, lane) => sum | (test(v, lane) ? 1 << lane : 0), 0) >>> 0;

function shuffles(): KernelCase {
  const input = ints(256, 101, -1000, 1000);
  const want = byWarp(input, (w, l) => {
    const at = (i: number): number => w[i] ?? 0;
    return [
      at((l * 7) & 31),
      at(l >= 3 ? l - 3 : l),
      at(l + 5 < 32 ? l + 5 : l),
      at(l ^ 9),
      at((l & ~7) | 2),
      at((l & 15) === 15 ? l : l + 1),
    ];
  });
  return caseOf(module, launch("shuffles", 2, 128, [ptr("input"), ptr("out")]), {
    buffers: { input, out: new Int32Array(256 * 6) },
    expect: { out: Int32Array.from(want.flat()) },
  });
}

function votes(): KernelCase {
  const input = ints(192, 102, 0, 100);
  input[40] = 99;
  const want = byWarp(input, (w, l) => [
    mask(w, (v) => v > 50),
    Number(w.includes(99)),
    Number(!w.some((v) => v >= 99)),
    l < 16 ? mask(w, (v, lane) => lane < 16 && (v & 1) === 1) : 7,
  ]);
  return caseOf(module, launch("votes", 2, 96, [ptr("input"), ptr("out")]), {
    buffers: { input, out: new Uint32Array(192 * 4) },
    expect: { out: Uint32Array.from(want.flat()) },
  });
}

function matches(): KernelCase {
  const input = ints(128, 103, 0, 1000);
  input[70] = 1500;
  const want = byWarp(input, (w, l) => {
    const all = w.every((v) => Math.trunc(v / 1000) === Math.trunc((w[0] ?? 0) / 1000));
    return [mask(w, (v) => v % 5 === (w[l] ?? 0) % 5), all ? 0xffffffff : 0, Number(all)];
  });
  return caseOf(module, launch("matches", 1, 128, [ptr("input"), ptr("out")]), {
    buffers: { input, out: new Uint32Array(128 * 3) },
    expect: { out: Uint32Array.from(want.flat()) },
  });
}

function wideMatches(): KernelCase {
  const halves = ints(256, 107, 0, 4);
  // All of the third warp have the same upper half.
  for (let i = 64; i < 96; i++) halves[2 * i + 1] = 7;
  const input = new BigInt64Array(halves.buffer);
  const want: number[] = [];
  for (let i = 0; i < 128; i++) {
    const warp = input.subarray(i & ~31, (i & ~31) + 32);
    const [own = 0n, first = 0n] = [input[i], warp[0]];
    const lanes = (is: (v: bigint) => boolean): number =>
      warp.reduce((sum, v, lane) => sum + (is(v) ? 2 ** lane : 0), 0);
    const isSame = warp.every((v) => v >> 32n === first >> 32n);
    const apart =
      (own & 1n) === 1n
        ? lanes((v) => v === own)
        : ~lanes((v) => (v & 1n) === 0n && v >> 34n === own >> 34n) >>> 0;
    want.push(
      lanes((v) => v === own),
      0xfffffffe,
      isSame ? 0xfffffffe : 0,
      apart,
    );
  }
  return caseOf(module, launch("wide_matches", 2, 64, [ptr("input"), ptr("out")]), {
    buffers: { input, out: new Uint32Array(128 * 4) },
    expect: { out: Uint32Array.from(want) },
  });
}

function warpSort(): KernelCase {
  const data = ints(256, 104, -10000, 10000);
  const want = data.slice();
  for (let i = 0; i < 256; i += 32) want.subarray(i, i + 32).sort();
  return caseOf(module, launch("warp_sort", 4, 64, [ptr("data")]), {
    buffers: { data },
    expect: { data: want },
  });
}

function halfWarps(): KernelCase {
  const input = ints(128, 105, -100, 100);
  const want = byWarp(input, (w, l) =>
    l < 16 ? w.subarray(0, 16).reduce((a, b) => a + b) : Math.max(...w.subarray(16)),
  );
  return caseOf(module, launch("half_warps", 2, 64, [ptr("input"), ptr("out")]), {
    buffers: { input, out: new Int32Array(128) },
    expect: { out: Int32Array.from(want) },
  });
}

function oddBlock(): KernelCase {
  const input = ints(70, 106, 0, 1000);
  const want = input.map((_, t) => {
    const [base, lane] = [t & ~31, t & 31];
    const width = Math.min(32, 70 - base);
    return (input[base + ((lane + 1) % width)] ?? 0) * 10 + Number(lane === 0);
  });
  return caseOf(module, launch("odd_block", 1, [10, 7], [ptr("input"), ptr("out")]), {
    buffers: { input, out: new Int32Array(70) },
    expect: { out: want },
  });
}

function reduceOp(): KernelCase {
  const input = Uint32Array.from(ints(128, 107, 0, 2 ** 31), (v) => v * 2);
  const want = byWarp(Int32Array.from(input), (w) => [
    w.reduce((a, b) => (a + b) | 0),
    Math.max(...Array.from(w, (v) => v >>> 0)),
    w.reduce((a, b) => a ^ b),
  ]);
  return caseOf(module, launch("reduce_op", 1, 128, [ptr("input"), ptr("out")]), {
    buffers: { input, out: new Uint32Array(128 * 3) },
    expect: { out: Uint32Array.from(want.flat()) },
  });
}

function sumOfSums(): KernelCase {
  const input = ints(512, 108, -1000, 1000);
  const sum = (b: number): number => input.subarray(b * 256, b * 256 + 256).reduce((x, y) => x + y);
  return caseOf(module, launch("sum_of_sums", 2, 256, [ptr("input"), ptr("out")]), {
    buffers: { input, out: new Int32Array(2) },
    expect: { out: Int32Array.of(sum(0), sum(1)) },
  });
}

function endedLanes(): KernelCase {
  const input = ints(140, 109, -1000, 1000);
  const want = input.map((v, i) => {
    const t = i % 70;
    const lane = t & 31;
    if (lane >= 20) return 0;
    const of = (other: number): number =>
      other < 20 && t - lane + other < 70 ? (input[i - lane + other] ?? 0) : 0;
    return t < 32 ? v * 3 + of(lane ^ 16) : v + of(lane ^ 8) * 5;
  });
  return caseOf(module, launch("ended_lanes", 2, 70, [ptr("input"), ptr("out")]), {
    buffers: { input, out: new Int32Array(140) },
    expect: { out: want },
  });
}

export const WARP: readonly KernelCase[] = [
  shuffles(),
  votes(),
  matches(),
  wideMatches(),
  warpSort(),
  halfWarps(),
  oddBlock(),
  reduceOp(),
  sumOfSums(),
  endedLanes(),
];
