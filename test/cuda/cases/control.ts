// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/control.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { f, i32, ints, type KernelCase, ptr } from "../../support/cuda/lab.js";

const module = "control";

function collatz(): KernelCase {
  const n = 300;
  const want = Int32Array.from({ length: n }, (_, i) => {
    let steps = 0;
    for (let v = i + 1; v !== 1; steps++) v = v % 2 ? 3 * v + 1 : v / 2;
    return steps;
  });
  return caseOf(module, launch("collatz", 3, 128, [ptr("out"), i32(n)]), {
    buffers: { out: new Int32Array(n) },
    expect: { out: want },
  });
}

function switched(v: number, i: number, old: number): number {
  switch (v) {
    case 0:
      return 11;
    case 1:
      return v + old + 5;
    case 2:
      return 5;
    case 3:
      return v * v * v;
    case 4:
      return -1;
    case 5:
      return i ^ 0x55;
    case 6:
      return Math.trunc(old / 3);
    case 7:
      return i % 7;
    case 8:
      return 1;
    case 9:
      return ~i;
    default:
      return v < 0 ? -v : 1000;
  }
}

function switches(): KernelCase {
  const n = 200;
  const [input, out] = [ints(n, 91, -3, 13), ints(n, 92, -100, 100)];
  return caseOf(module, launch("switches", 2, 128, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out },
    expect: { out: out.map((v, i) => switched(input[i] ?? 0, i, v)) },
  });
}

function earlyReturn(): KernelCase {
  const n = 300;
  const input = ints(n, 93, -50, 50);
  const middle = (i: number): number => (i % 128 > 0 ? (input[i - 1] ?? 0) : 0) * 2 + 1;
  const want = input.map((_, i) => middle(i ^ 1) + middle(i));
  return caseOf(module, launch("early_return", 3, 128, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out: new Int32Array(n) },
    expect: { out: want },
  });
}

function breaks(v: number): number {
  let sum = 0;
  for (let a = 0; a < 10; a++) {
    if (a === v % 7) continue;
    for (let b = 0; b <= a; b++) {
      if ((a * b + v) % 13 === 0) return sum;
      if ((a + b) % 3 !== 0) sum += a * b + 1;
    }
    if (sum > 200) break;
    sum += 2;
  }
  return sum + 1000;
}

function nestedBreaks(): KernelCase {
  const n = 200;
  const input = ints(n, 94, 0, 1000);
  return caseOf(module, launch("nested_breaks", 2, 128, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out: new Int32Array(n) },
    expect: { out: input.map(breaks) },
  });
}

function jumping(start: number): number {
  let [v, sum, left, odd] = [start, 0, 40, (start & 1) === 1];
  for (;;) {
    if (odd) {
      sum = (sum - 2 * v) | 0;
      left -= 1;
      if (left === 0) return sum;
      v = v * 3 + 1;
      if (v > 100000) v %= 1000;
      odd = (v & 1) === 1;
    } else {
      sum = (sum + v) | 0;
      left -= 1;
      if (left === 0) return sum;
      v = Math.trunc(v / 2) + 3;
      odd = v % 3 !== 0;
    }
  }
}

function jumps(): KernelCase {
  const n = 150;
  const input = ints(n, 95, 1, 5000);
  return caseOf(module, launch("jumps", 2, 96, [ptr("input"), ptr("out"), i32(n)]), {
    buffers: { input, out: new Int32Array(n) },
    expect: { out: input.map(jumping) },
  });
}

function barrierLoop(): KernelCase {
  const data = ints(192, 96, 0, 1000);
  const rounds = Int32Array.of(0, 7, 20);
  const want = data.slice();
  rounds.forEach((count, b) => {
    for (let r = 0; r < count; r++) {
      const old = want.slice(64 * b, 64 * b + 64);
      old.forEach((_, t) => {
        const v = (old[(t + 1) % 64] ?? 0) + (t % 2 ? (old[(t + 63) % 64] ?? 0) : 0);
        if (v % 5 !== 0) want[64 * b + t] = v % 1000;
      });
    }
  });
  return caseOf(module, launch("barrier_loop", 3, 64, [ptr("data"), ptr("rounds")]), {
    buffers: { data, rounds },
    expect: { data: want },
  });
}

function shortCircuit(): KernelCase {
  const n = 200;
  const [a, b] = [ints(n, 97, -2, 6), ints(n, 98, 0, 30)];
  const want = a.map((p, i) => {
    const q = b[i] ?? 0;
    if (!(p > 0 && (q < 10 || a[q % n] === 3) && !(p === 4 && q === 4))) return -9;
    return p > q ? p : q < 0 ? -q : 7;
  });
  const args = [ptr("a"), ptr("b"), ptr("out"), i32(n)];
  return caseOf(module, launch("short_circuit", 2, 128, args), {
    buffers: { a, b, out: new Int32Array(n).fill(-9) },
    expect: { out: want },
  });
}

function findText(): KernelCase {
  const text = "The theatre. The other thesis; THEN the thermos. tthe hethe".repeat(3);
  const hits: number[] = [];
  for (let i = 0; i + 3 <= text.length; i++) {
    if (text.slice(i, i + 3).toLowerCase() === "the") hits.push(i);
  }
  const args = [ptr("text"), i32(text.length), ptr("word"), i32(3), ptr("hits"), ptr("count")];
  return caseOf(module, launch("find_text", 3, 64, args), {
    buffers: {
      text: Uint8Array.from(Buffer.from(text)),
      word: Uint8Array.from(Buffer.from("the")),
      hits: new Int32Array(60),
      count: new Int32Array(1),
    },
    expect: { count: Int32Array.of(hits.length) },
    check: (result) => {
      const got = Int32Array.from(result("hits"), Number).subarray(0, hits.length).sort();
      return got.every((v, i) => v === hits[i]) ? null : "the hits are not those";
    },
  });
}

function mandelbrot(): KernelCase {
  const [w, h, most] = [64, 32, 30];
  const want = Int32Array.from({ length: w * h }, (_, i) => {
    const [cr, ci] = [(i % w) * (3 / 64) - 2, Math.floor(i / w) / 16 - 1];
    let [zr, zi, k] = [0, 0, 0];
    while (k < most && zr * zr + zi * zi <= 4) {
      const t = f(f(zr * zr - zi * zi) + cr);
      zi = f(f(2 * zr * zi) + ci);
      zr = t;
      k++;
    }
    return k;
  });
  const args = [ptr("out"), i32(w), i32(h), i32(most)];
  return caseOf(module, launch("mandelbrot", [8, 4], [8, 8], args), {
    buffers: { out: new Int32Array(w * h) },
    check: (result) => {
      // Near the border of the set the last bits decide, and compilers may fuse or not.
      const off = Array.from(result("out"), Number).filter((v, i) => v !== want[i]).length;
      return off <= 20 ? null : `${off} of ${w * h} pixels differ`;
    },
  });
}

export const CONTROL: readonly KernelCase[] = [
  collatz(),
  switches(),
  earlyReturn(),
  nestedBreaks(),
  jumps(),
  barrierLoop(),
  shortCircuit(),
  findText(),
  mandelbrot(),
];
