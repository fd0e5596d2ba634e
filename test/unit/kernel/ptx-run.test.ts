// SPDX-License-Identifier: Apache-2.0
/** Kernels that nvcc compiled, on a real GPU driver, each against a result computed here. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parsePtx } from "../../../src/kernel/ptx/index.js";
import { type PtxLaunch, PtxMemory, packParams, runPtx } from "../../support/ptx-gpu.js";

const source = readFileSync(new URL("../../support/ptx/basic.ptx", import.meta.url), "utf8");
const module = parsePtx(source);

type Rest = Omit<PtxLaunch, "module">;
const run = (memory: PtxMemory, launch: Rest): Promise<Uint8Array> =>
  runPtx({ module, ...launch }, [memory.bytes]).then(([bytes]) => bytes ?? new Uint8Array());

const floats = (bytes: Uint8Array, at: number, n: number): Float32Array =>
  new Float32Array(bytes.buffer, at, n);
const ints = (bytes: Uint8Array, at: number, n: number): Int32Array =>
  new Int32Array(bytes.buffer, at, n);

const ramp = (n: number, make: (i: number) => number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => make(i));

describe("PTX kernels on the GPU", () => {
  it.each([1, 2])("adds vectors in %i segments", async (segments) => {
    const memory = new PtxMemory();
    const n = 1000;
    const [a, b] = [ramp(n, (i) => i), ramp(n, (i) => i / 4)];
    const [pa, pb, pc] = [memory.put(a), memory.put(b), memory.put(new Float32Array(n + 24))];
    const params = packParams([{ ptr: pa }, { ptr: pb }, { ptr: pc, segment: segments - 1 }, n]);
    const memories = [memory.bytes, new Uint8Array(1 << 16)].slice(0, segments);
    const results = await runPtx(
      { module, kernel: "vector_add", grid: [8, 1, 1], block: [128, 1, 1], params },
      memories,
    );
    const c = floats(results[segments - 1] ?? new Uint8Array(), pc, n + 24);
    for (let i = 0; i < n; i += 1) expect(c[i]).toBe((a[i] ?? 0) + (b[i] ?? 0));
    expect([...c.subarray(n)]).toEqual(new Array(24).fill(0));
  });

  it("runs a grid-stride loop, whole and sliced", async () => {
    for (const sliceX of [7, 2]) {
      const memory = new PtxMemory();
      const [x, y] = [ramp(3000, (i) => i % 17), ramp(3000, (i) => i)];
      const [px, py] = [memory.put(x), memory.put(y)];
      const params = packParams([{ f32: 0.5 }, { ptr: px }, { ptr: py }, 3000]);
      const bytes = await run(memory, {
        kernel: "saxpy",
        grid: [7, 1, 1],
        block: [64, 1, 1],
        params,
        sliceX,
      });
      const got = floats(bytes, py, 3000);
      for (let i = 0; i < 3000; i += 1) expect(got[i]).toBe((i % 17) * 0.5 + i);
    }
  });

  it("multiplies matrices through shared memory", async () => {
    const memory = new PtxMemory();
    const n = 48;
    const [a, b] = [ramp(n * n, (i) => (i % 7) - 3), ramp(n * n, (i) => (i % 5) - 2)];
    const [pa, pb, pc] = [memory.put(a), memory.put(b), memory.put(new Float32Array(n * n))];
    const params = packParams([{ ptr: pa }, { ptr: pb }, { ptr: pc }, n]);
    const bytes = await run(memory, {
      kernel: "matmul",
      grid: [3, 3, 1],
      block: [16, 16, 1],
      params,
    });
    const c = floats(bytes, pc, n * n);
    for (let i = 0; i < n * n; i += 1) {
      let sum = 0;
      for (let k = 0; k < n; k += 1) {
        sum += (a[Math.floor(i / n) * n + k] ?? 0) * (b[k * n + (i % n)] ?? 0);
      }
      expect(c[i]).toBe(sum);
    }
  });

  it("reduces with dynamic shared memory", async () => {
    const memory = new PtxMemory();
    const x = ramp(5000, (i) => i % 13);
    const [px, po] = [memory.put(x), memory.put(new Float32Array(64))];
    const params = packParams([{ ptr: px }, { ptr: po }, 5000]);
    const launch: Rest = {
      kernel: "reduce",
      grid: [4, 1, 1],
      block: [128, 1, 1],
      params,
      sharedBytes: 512,
    };
    const out = floats(await run(memory, launch), po, 5);
    expect((out[0] ?? 0) + (out[1] ?? 0) + (out[2] ?? 0) + (out[3] ?? 0)).toBe(
      x.reduce((sum, v) => sum + v, 0),
    );
    expect(out[4]).toBe(0);
  });

  it("lets threads leave before a barrier", async () => {
    const memory = new PtxMemory();
    const x = Int32Array.from({ length: 64 }, (_, i) => i * i);
    const [px, po] = [memory.put(x), memory.put(new Int32Array(64))];
    const params = packParams([{ ptr: px }, { ptr: po }, 50]);
    const bytes = await run(memory, {
      kernel: "early_return",
      grid: [1, 1, 1],
      block: [64, 1, 1],
      params,
    });
    const sum = x.subarray(0, 50).reduce((s, v) => s + v, 0);
    expect([...ints(bytes, po, 64)]).toEqual([
      ...new Array(50).fill(sum),
      ...new Array(14).fill(0),
    ]);
  });

  it.each([256, 80])("shuffles in warps of 32, block %i", async (threads) => {
    const memory = new PtxMemory();
    const x = ramp(256, (i) => i + 1);
    const [px, po] = [memory.put(x), memory.put(new Float32Array(4))];
    const params = packParams([{ ptr: px }, { ptr: po }, 70]);
    const launch: Rest = { kernel: "warp_sums", grid: [1, 1, 1], block: [threads, 1, 1], params };
    const expected = threads === 80 ? (64 * 65) / 2 : (70 * 71) / 2;
    expect(floats(await run(memory, launch), po, 1)[0]).toBe(expected);
  });

  it("stores bytes, adds atomically, reads constants, computes transcendentals", async () => {
    const memory = new PtxMemory();
    const n = 100;
    const bytes = Uint8Array.from({ length: 128 }, (_, i) => i * 7);
    const words = Int16Array.from({ length: 128 }, (_, i) => i * 300 - 9000);
    const f = ramp(128, (i) => (i - 64) / 16);
    const places = [bytes, words, new Int32Array(128), f].map((data) => memory.put(data));
    const [pb = 0, pw = 0, po = 0, pf = 0] = places;
    const globals = memory.putGlobals(module);
    const params = packParams([...places.map((ptr) => ({ ptr })), n]);
    const launch: Rest = { kernel: "mixed", grid: [2, 1, 1], block: [64, 1, 1], params, globals };
    const result = await run(memory, launch);
    const old = [...ints(result, po, n)].sort((a, b) => a - b);
    expect(old).toEqual(Array.from({ length: n }, (_, i) => 5 + 2 * i));
    const got = floats(result, pf, 128);
    for (let i = 0; i < 128; i += 1) {
      const isIn = i < n;
      expect(result[pb + i]).toBe(isIn ? ((bytes[i] ?? 0) * 3 + i) & 255 : bytes[i]);
      const word = new Int16Array(result.buffer, pw, 128)[i];
      expect(word).toBe(isIn ? (words[i] ?? 0) - i : words[i]);
      const x = f[i] ?? 0;
      const wanted = isIn ? Math.exp(x) * (1 << (i & 3)) + Math.sin(i) : x;
      expect(Math.abs((got[i] ?? 0) - wanted)).toBeLessThan(1e-4 * Math.max(1, Math.abs(wanted)));
    }
  });

  it("computes with 64-bit integers, in a device function", async () => {
    const memory = new PtxMemory();
    const value = (i: number): bigint =>
      BigInt.asIntN(64, BigInt(i * 7919 + 3) ** 5n * (i % 2 ? -1n : 1n));
    const a = BigInt64Array.from({ length: 32 }, (_, i) => value(i));
    const b = BigInt64Array.from({ length: 32 }, (_, i) => value(i + 40) >> BigInt(i));
    const [pa, pb, pc] = [memory.put(a), memory.put(b), memory.put(new BigInt64Array(32))];
    const params = packParams([{ ptr: pa }, { ptr: pb }, { ptr: pc }, 32]);
    const bytes = await run(memory, { kernel: "wide", grid: [1, 1, 1], block: [32, 1, 1], params });
    const c = new BigInt64Array(bytes.buffer, pc, 32);
    const mix = (x: bigint, y: bigint): bigint => BigInt.asIntN(64, x * y + (x >> 7n) - y / 3n);
    for (let i = 0; i < 32; i += 1) {
      const [x, y] = [a[i] ?? 0n, b[i] ?? 0n];
      expect(c[i]).toBe(mix(x, y) ^ mix(y, x % 1000003n));
    }
  });
});

/** x·y + z rounded once: exact in rationals, over 2¹¹²⁸ or finer. */
function exactFma(x: number, y: number, z: number): number {
  if (!Number.isFinite(x * y) && !(Number.isFinite(x) && Number.isFinite(y))) return x * y + z;
  if (!Number.isFinite(z)) return z;
  const big = (v: number): bigint => {
    // v·2¹⁰⁷⁴ is an integer.
    const high = Math.abs(v) >= 2 ** 52 ? BigInt(v) << 1074n : 0n;
    if (high !== 0n) return high;
    const scaled = v * 2 ** 500 * 2 ** 500;
    return Math.abs(v) < 2 ** -52 ? BigInt(scaled * 2 ** 74) : bigOf(v);
  };
  const sum = big(x) * big(y) + (big(z) << 1074n);
  return roundBig(sum, -2148);
}

function bigOf(v: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, v);
  const bits = view.getBigUint64(0);
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const m = exponent === 0 ? fraction : fraction | (1n << 52n);
  const value = m << BigInt(Math.max(exponent, 1) - 1);
  return v < 0 ? -value : value;
}

/** m·2^e as the nearest f64, ties to even. */
function roundBig(m: bigint, e: number): number {
  const negative = m < 0n;
  let a = negative ? -m : m;
  if (a === 0n) return 0;
  let shift = a.toString(2).length - 53;
  shift = Math.max(shift, -1074 - e);
  if (shift > 0) {
    const rest = a & ((1n << BigInt(shift)) - 1n);
    const half = 1n << BigInt(shift - 1);
    a >>= BigInt(shift);
    if (rest > half || (rest === half && (a & 1n) === 1n)) a += 1n;
  } else shift = 0;
  let exponent = e + shift;
  let value = Number(a);
  for (; exponent < -1000; exponent += 500) value *= 2 ** -500;
  for (; exponent > 900; exponent -= 500) value *= 2 ** 500;
  value *= 2 ** exponent;
  return negative ? -value : value;
}

describe("f64 by software", () => {
  const special = [0, -0, 1, -1, 0.5, 1.5, 2.5, Infinity, -Infinity, NaN, 5e-324, -3e-310, 1e308];
  const values: number[] = [];
  let seed = 12345n;
  const random = (): bigint => {
    seed = BigInt.asUintN(64, seed * 6364136223846793005n + 1442695040888963407n);
    return seed ^ (seed >> 29n);
  };
  for (const x of special) for (const y of special) values.push(x, y);
  const view = new DataView(new ArrayBuffer(8));
  for (let i = 0; i < 400; i += 1) {
    view.setBigUint64(0, BigInt.asUintN(64, random()));
    const wild = view.getFloat64(0);
    const tame = Number(random() % 100000n) / 64;
    values.push(
      i % 3 === 0 ? wild : tame,
      i % 4 === 0 ? wild * (1 + 2 ** -40) : tame + i * 2 ** -30,
    );
  }
  const n = values.length / 2;
  const a = Float64Array.from({ length: n }, (_, i) => values[2 * i] ?? 0);
  const b = Float64Array.from({ length: n }, (_, i) => values[2 * i + 1] ?? 0);

  it("rounds every operation exactly", async () => {
    const memory = new PtxMemory();
    const places = [a, b, new Float64Array(11 * n), new Float32Array(n), new BigInt64Array(2 * n)];
    const [pa = 0, pb = 0, po = 0, ps = 0, pw = 0] = places.map((data) => memory.put(data));
    const params = packParams([{ ptr: pa }, { ptr: pb }, { ptr: po }, { ptr: ps }, { ptr: pw }, n]);
    const launch: Rest = { kernel: "doubles", grid: [9, 1, 1], block: [64, 1, 1], params };
    const bytes = await run(memory, launch);
    const out = new Float64Array(bytes.buffer, po, 11 * n);
    const single = new Float32Array(bytes.buffer, ps, n);
    const whole = new BigInt64Array(bytes.buffer, pw, 2 * n);
    const wrong: string[] = [];
    const clampTo = (v: number, bits: number): bigint => {
      // PTX gives the smallest number for an f64 that is none.
      if (Number.isNaN(v)) return -(2n ** BigInt(bits - 1));
      const limit = 2 ** (bits - 1);
      if (v >= limit) return 2n ** BigInt(bits - 1) - 1n;
      return v <= -limit ? -(2n ** BigInt(bits - 1)) : BigInt(Math.trunc(v));
    };
    const even = (v: number): number => {
      if (!Number.isFinite(v) || Math.abs(v) >= 2 ** 52) return v;
      const t = v < 0 || Object.is(v, -0) ? -(2 ** 52) : 2 ** 52;
      const r = v + t - t;
      return r === 0 && t < 0 ? -0 : r;
    };
    for (let i = 0; i < n; i += 1) {
      const [x, y] = [a[i] ?? 0, b[i] ?? 0];
      const wanted = [
        x + y,
        x - y,
        x * y,
        x / y,
        Math.sqrt(x),
        exactFma(x, y, 1),
        exactFma(x, y, -(x * y)),
        even(x),
        x < y ? 1 : x === y ? 2 : x >= y ? 3 : 4,
        Number.isNaN(x) ? y : Number.isNaN(y) ? x : Math.min(x, y),
        Math.fround(x),
      ];
      wanted.forEach((w, op) => {
        const got = out[op * n + i] ?? 0;
        const isSame = Object.is(got, w) || (op === 6 && got === w);
        if (!isSame) wrong.push(`operation ${op} of ${x}, ${y}: ${got}, not ${w}`);
      });
      if (!Object.is(single[i], Math.fround(y))) wrong.push(`float of ${y}: ${single[i]}`);
      if (whole[i] !== clampTo(x, 64)) wrong.push(`long of ${x}: ${whole[i]}`);
      if (whole[n + i] !== clampTo(y, 32)) wrong.push(`int of ${y}: ${whole[n + i]}`);
    }
    expect(wrong.slice(0, 12)).toEqual([]);
  });
});
