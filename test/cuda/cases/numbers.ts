// SPDX-License-Identifier: Apache-2.0
/** Cases of kernels/numbers.cu. */
import { caseOf, launch } from "../../support/cuda/case-builder.js";
import { f, i32, i64, ints, type KernelCase, ptr, Random, struct } from "../../support/cuda/lab.js";
import { bitsOfF32, roundInteger } from "../../support/ptx/numerics.js";

const module = "numbers";
const u64 = (v: bigint): bigint => BigInt.asUintN(64, v);
const s64 = (v: bigint): bigint => BigInt.asIntN(64, v);

const words = (count: number, seed: number): Uint32Array => {
  const random = new Random(seed);
  return Uint32Array.from({ length: count }, () => random.u32() >>> random.below(31));
};

function longs(count: number, seed: number): BigInt64Array {
  const random = new Random(seed);
  return BigInt64Array.from({ length: count }, () => {
    const bits = (BigInt(random.u32()) << 32n) | BigInt(random.u32());
    return s64(bits) >> BigInt(random.below(60));
  });
}

function xorshift(): KernelCase {
  const state = words(128, 141).map((v) => v | 1);
  const after = state.map((v) => {
    let x = v;
    for (let r = 0; r < 20; r++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
    }
    return x;
  });
  return caseOf(module, launch("xorshift", 2, 64, [ptr("state"), ptr("out"), i32(20)]), {
    buffers: { state, out: new Uint32Array(128) },
    expect: { state: after, out: after.map((v) => v % 1000) },
  });
}

function philoxOf(i: number): number[] {
  let c = [i, 0, 0, 0].map(BigInt);
  let [x, y] = [0x1234n, 0xabcdef01n];
  const low = (v: bigint): bigint => v & 0xffffffffn;
  for (let r = 0; r < 10; r++) {
    const p0 = 0xd2511f53n * (c[0] ?? 0n);
    const p1 = 0xcd9e8d57n * (c[2] ?? 0n);
    c = [(p1 >> 32n) ^ (c[1] ?? 0n) ^ x, low(p1), (p0 >> 32n) ^ (c[3] ?? 0n) ^ y, low(p0)];
    [x, y] = [low(x + 0x9e3779b9n), low(y + 0xbb67ae85n)];
  }
  return c.map(Number);
}

function philox(): KernelCase {
  const want = Array.from({ length: 64 }, (_, i) => philoxOf(i)).flat();
  const key = struct([i32(0x1234), i32(0xabcdef01 | 0)], 8);
  return caseOf(module, launch("philox", 2, 32, [ptr("out"), key]), {
    buffers: { out: new Uint32Array(256) },
    expect: { out: Uint32Array.from(want) },
  });
}

function splitmix(): KernelCase {
  const seed = 0x123456789abcdefn;
  const want = BigUint64Array.from({ length: 96 }, (_, i) => {
    let z = u64(seed + BigInt(i + 1) * 0x9e3779b97f4a7c15n);
    z = u64((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = u64((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  });
  return caseOf(module, launch("splitmix", 3, 32, [ptr("out"), i64(seed)]), {
    buffers: { out: new BigUint64Array(96) },
    expect: { out: want },
  });
}

function monteCarlo(): KernelCase {
  let hits = 0;
  for (let i = 0; i < 128; i++) {
    let s = (77 + Math.imul(i, 747796405)) >>> 0;
    const next = (): number => {
      s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
      return s >>> 20;
    };
    for (let t = 0; t < 30; t++) {
      const [x, y] = [next(), next()];
      if (x * x + y * y < 4096 * 4096) hits += 1;
    }
  }
  return caseOf(module, launch("monte_carlo", 2, 64, [ptr("hits"), i32(77), i32(30)]), {
    buffers: { hits: new Uint32Array(1) },
    expect: { hits: Uint32Array.of(hits) },
  });
}

function bitsOf(v: number, i: number): bigint[] {
  const x = BigInt(v);
  const text = v.toString(2).padStart(32, "0");
  const bytes = (x | ((~x & 0xffffffffn) << 32n)) as bigint;
  const byte = (n: number): bigint => (bytes >> BigInt(8 * n)) & 0xffn;
  const both = (((x * 3n) & 0xffffffffn) << 32n) | x;
  return [
    BigInt(text.replaceAll("0", "").length),
    BigInt(32 - (v === 0 ? 0 : v.toString(2).length)),
    BigInt(Number.parseInt([...text].reverse().join(""), 2)),
    BigInt(v === 0 ? 0 : text.length - text.lastIndexOf("1")),
    byte(0) | (byte(7) << 8n) | (byte(1) << 16n) | (byte(5) << 24n),
    ((both << BigInt(i & 31)) >> 32n) & 0xffffffffn,
    (x >> BigInt(i % 20)) & 0xfffn,
    (((0x12345678n << 32n) | x) >> BigInt(Math.min(i & 63, 32))) & 0xffffffffn,
  ];
}

function bits(): KernelCase {
  const input = words(100, 142);
  input.set([0, 1, 0x80000000, 0xffffffff]);
  const want = Array.from(input, bitsOf).flat().map(Number);
  return caseOf(module, launch("bits", 1, 128, [ptr("input"), ptr("out"), i32(100)]), {
    buffers: { input, out: new Uint32Array(800) },
    expect: { out: Uint32Array.from(want) },
  });
}

function wideOf(x: bigint, y: bigint, i: number): bigint[] {
  const n = BigInt(i & 63);
  const ones = u64(x).toString(2).replaceAll("0", "").length;
  const zeros = 64 - (u64(y) === 0n ? 0 : u64(y).toString(2).length);
  return [
    x + y,
    x - y,
    x * y,
    y === 0n ? 0n : x / y,
    y === 0n ? 0n : x % y,
    x << n,
    x >> n,
    u64(x) >> n,
    x < y ? x & y : x ^ y,
    ((x * y) >> 64n) + BigInt(ones + zeros),
  ].map(s64);
}

function wide(): KernelCase {
  const [a, b] = [longs(90, 143), longs(90, 144)];
  b[5] = 0n;
  a[7] = -(1n << 63n);
  b[7] = 3n;
  const want = Array.from(a, (x, i) => wideOf(x, b[i] ?? 0n, i)).flat();
  return caseOf(module, launch("wide", 3, 32, [ptr("a"), ptr("b"), ptr("out"), i32(90)]), {
    buffers: { a, b, out: new BigInt64Array(900) },
    expect: { out: BigInt64Array.from(want) },
  });
}

function unsignedWide(): KernelCase {
  const [a, b] = [longs(70, 145), longs(70, 146)].map((l) => BigUint64Array.from(l, u64));
  if (a === undefined || b === undefined) throw new Error("there are two lists");
  const want = Array.from(a, (x, i) => {
    const y = (b[i] ?? 0n) | 1n;
    const reversed = BigInt(`0b${[...x.toString(2).padStart(64, "0")].reverse().join("")}`);
    return [x / y, x % y, (x * y) >> 64n, x > y ? x - y : reversed];
  }).flat();
  return caseOf(module, launch("unsigned_wide", 3, 32, [ptr("a"), ptr("b"), ptr("out"), i32(70)]), {
    buffers: { a, b, out: new BigUint64Array(280) },
    expect: { out: BigUint64Array.from(want) },
  });
}

function divisions(): KernelCase {
  const n = 100;
  const [a, b] = [Int32Array.from(words(n, 147)), Int32Array.from(words(n, 148), (v) => v >> 9)];
  const want = Array.from(a, (x, i) => {
    const y = b[i] === 0 ? 1 : (b[i] ?? 1);
    return [
      Math.trunc(x / y),
      x % y,
      Math.trunc(x / 7),
      (x >>> 0) % 10,
      Number((BigInt(x) * BigInt(y)) >> 32n),
      Math.abs(x) - Math.min(x, y) + Math.max(x, -y),
    ];
  }).flat();
  return caseOf(module, launch("divisions", 1, 128, [ptr("a"), ptr("b"), ptr("out"), i32(n)]), {
    buffers: { a, b, out: new Int32Array(n * 6) },
    expect: { out: Int32Array.from(want) },
  });
}

function dots(): KernelCase {
  const n = 64;
  const [a, b] = [Int32Array.from(words(n, 149)), Int32Array.from(words(n, 150))];
  const byte = (v: number, k: number): number => (v << (24 - 8 * k)) >> 24;
  const want = Array.from(a, (x, i) => {
    const y = b[i] ?? 0;
    let [dot, sums] = [i, 0];
    for (let k = 0; k < 4; k++) {
      dot += byte(x, k) * byte(y, k);
      sums |= ((byte(x, k) + byte(y, k)) & 255) << (8 * k);
    }
    return [dot, sums];
  }).flat();
  return caseOf(module, launch("dots", 2, 32, [ptr("a"), ptr("b"), ptr("out"), i32(n)]), {
    buffers: { a, b, out: new Int32Array(n * 2) },
    expect: { out: Int32Array.from(want) },
  });
}

function crc(): KernelCase {
  const [n, length] = [32, 21];
  const data = Uint8Array.from(ints(n * length, 151, 0, 256));
  const want = Uint32Array.from({ length: n }, (_, i) => {
    let crc = 0xffffffff;
    for (const byte of data.subarray(i * length, i * length + length)) {
      crc ^= byte;
      for (let b = 0; b < 8; b++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    return ~crc;
  });
  return caseOf(module, launch("crc32", 1, n, [ptr("data"), ptr("out"), i32(length)]), {
    buffers: { data, out: new Uint32Array(n) },
    expect: { out: want },
  });
}

const clamp = (v: number, low: number, high: number): number =>
  Number.isNaN(v) ? 0 : Math.min(Math.max(v, low), high);
const toInt = (v: number): number => clamp(v, -(2 ** 31), 2 ** 31 - 1);

function conversions(): KernelCase {
  const random = new Random(152);
  const input = Float32Array.from({ length: 60 }, (_, i) =>
    i < 40 ? random.between(-300, 300) : Math.round(random.between(-9, 9)) / 2,
  );
  input.set([3e9, -3e9, 1e20, -0.25, 2.5, -2.5, 5e9, 0, 70000.7, -1.5]);
  const want = Array.from(input, (x, i) => [
    toInt(Math.trunc(x)),
    toInt(roundInteger(x, "rn")),
    toInt(Math.ceil(x)),
    toInt(Math.floor(x)),
    clamp(Math.trunc(x), 0, 2 ** 32 - 1),
    (toInt(Math.trunc(x)) << 24) >> 24,
    toInt(Math.trunc(x)) & 0xffff,
    bitsOfF32(roundInteger(x, "rn")),
    bitsOfF32(f(f(Math.trunc(x) + Math.floor(x)) + Math.ceil(x))),
    bitsOfF32(f(Math.imul(i, 1234567891))),
  ]).flat();
  return caseOf(module, launch("conversions", 2, 32, [ptr("input"), ptr("out"), i32(60)]), {
    buffers: { input, out: new Int32Array(600) },
    expect: { out: Int32Array.from(want) },
  });
}

function fromLong(): KernelCase {
  const input = longs(60, 153);
  const single = (v: bigint): number => {
    // By text: Number() would round twice.
    const magnitude = v < 0n ? -v : v;
    const drop = BigInt(Math.max(0, magnitude.toString(2).length - 24));
    const half = drop === 0n ? 0n : 1n << (drop - 1n);
    let kept = magnitude >> drop;
    const rest = magnitude - (kept << drop);
    if (rest > half || (rest === half && drop > 0n && (kept & 1n) === 1n)) kept += 1n;
    return Number(kept << drop) * (v < 0n ? -1 : 1);
  };
  const want = Array.from(input, (v) => [single(v), single(u64(v))]).flat();
  return caseOf(module, launch("from_long", 2, 32, [ptr("input"), ptr("out"), i32(60)]), {
    buffers: { input, out: new Float32Array(120) },
    expect: { out: Float32Array.from(want) },
  });
}

export const NUMBERS: readonly KernelCase[] = [
  xorshift(),
  philox(),
  splitmix(),
  monteCarlo(),
  bits(),
  wide(),
  unsignedWide(),
  divisions(),
  dots(),
  crc(),
  conversions(),
  fromLong(),
];
