// SPDX-License-Identifier: Apache-2.0
/** Integer, bit and logic instructions of the PTX interpreter, and what compares and selects. */
import type { Operands } from "./operands.js";

export type Run = (b: number) => void;

const isWide = (type: string): boolean => type === "u64" || type === "s64" || type === "b64";
const isSmall = (type: string): boolean => /^[usb](8|16|32)$/.test(type);
const signed = (type: string): boolean => type.startsWith("s");
const bitsOf = (type: string): number => Number(/\d+/.exec(type)?.[0] ?? 32);

export function popcount(value: number): number {
  let n = value >>> 0;
  let count = 0;
  for (; n !== 0; n &= n - 1) count += 1;
  return count;
}

export function reverseBits(value: number): number {
  let result = 0;
  for (let i = 0; i < 32; i++) result |= ((value >>> i) & 1) << (31 - i);
  return result >>> 0;
}

type Narrow = (a: number, b: number, c: number) => number;
type Wide = (a: bigint, b: bigint, c: bigint) => bigint;

/** (a × b) >> 32 of signed or unsigned words. */
export function mulHigh(a: number, b: number, isSigned: boolean): number {
  const product = isSigned ? BigInt(a | 0) * BigInt(b | 0) : BigInt(a >>> 0) * BigInt(b >>> 0);
  return Number(BigInt.asIntN(32, product >> 32n));
}

function clampTo(type: string, value: bigint): bigint {
  const width = BigInt(bitsOf(type));
  const low = signed(type) ? -(1n << (width - 1n)) : 0n;
  const high = signed(type) ? (1n << (width - 1n)) - 1n : (1n << width) - 1n;
  return value < low ? low : value > high ? high : value;
}

/** Results of up to 32 bits; the setter wraps them. */
function narrowFunction(op: string, mods: readonly string[], type: string): Narrow | null {
  const sign = signed(type);
  const width = bitsOf(type);
  switch (op) {
    case "add":
      return mods.includes("sat")
        ? (a, b) => Number(clampTo("s32", BigInt(a) + BigInt(b)))
        : (a, b) => (a + b) | 0;
    case "sub":
      return mods.includes("sat")
        ? (a, b) => Number(clampTo("s32", BigInt(a) - BigInt(b)))
        : (a, b) => (a - b) | 0;
    case "mul":
      if (mods.includes("hi")) {
        return width === 16 ? (a, b) => (a * b) >> 16 : (a, b) => mulHigh(a, b, sign);
      }
      return (a, b) => Math.imul(a, b);
    case "mad":
      if (mods.includes("hi")) {
        return width === 16
          ? (a, b, c) => ((a * b) >> 16) + c
          : (a, b, c) => (mulHigh(a, b, sign) + c) | 0;
      }
      return (a, b, c) => (Math.imul(a, b) + c) | 0;
    case "mul24":
    case "mad24": {
      const cut = (v: number): number => (sign ? (v << 8) >> 8 : v & 0xff_ffff);
      const high = mods.includes("hi");
      const product = (a: number, b: number): number => {
        const full = BigInt(cut(a)) * BigInt(cut(b));
        return Number(BigInt.asIntN(32, high ? full >> 16n : full));
      };
      return op === "mul24" ? product : (a, b, c) => (product(a, b) + c) | 0;
    }
    case "sad":
      return (a, b, c) => (c + Math.abs(a - b)) | 0;
    case "div":
      // By zero: all ones, as the hardware gives.
      return (a, b) => (b === 0 ? -1 : Math.trunc(a / b) | 0);
    case "rem":
      return (a, b) => (b === 0 ? a : (a % b) | 0);
    case "abs":
      return (a) => Math.abs(a);
    case "neg":
      return (a) => -a | 0;
    case "min":
      return (a, b) => Math.min(a, b);
    case "max":
      return (a, b) => Math.max(a, b);
    case "not":
      return (a) => ~a;
    case "cnot":
      return (a) => (a === 0 ? 1 : 0);
    case "and":
      return (a, b) => a & b;
    case "or":
      return (a, b) => a | b;
    case "xor":
      return (a, b) => a ^ b;
    default:
      return null;
  }
}

function lesser(a: bigint, b: bigint): bigint {
  if (a < b) return a;
  return b;
}

function wideFunction(op: string, mods: readonly string[], type: string): Wide | null {
  const magnitude = (a: bigint): bigint => (a < 0n ? -a : a);
  switch (op) {
    case "add":
      return (a, b) => a + b;
    case "sub":
      return (a, b) => a - b;
    case "mul":
      return mods.includes("hi") ? (a, b) => (a * b) >> 64n : (a, b) => a * b;
    case "mad":
      return mods.includes("hi") ? (a, b, c) => ((a * b) >> 64n) + c : (a, b, c) => a * b + c;
    case "sad":
      return (a, b, c) => c + magnitude(a - b);
    case "div":
      return (a, b) => (b === 0n ? -1n : a / b);
    case "rem":
      return (a, b) => (b === 0n ? a : a % b);
    case "abs":
      return magnitude;
    case "neg":
      return (a) => -a;
    case "min":
      return lesser;
    case "max":
      return (a, b) => (lesser(a, b) === a ? b : a);
    case "not":
      return (a) => ~a;
    case "cnot":
      return (a) => (a === 0n ? 1n : 0n);
    case "and":
      return (a, b) => a & b;
    case "or":
      return (a, b) => a | b;
    case "xor":
      return (a, b) => a ^ b;
    default:
      return type === "" ? null : null;
  }
}

function arithmetic(o: Operands, type: string): Run | null {
  const { op, mods, operands } = o.at;
  const text = (i: number): string => operands[i] ?? "0";
  if (isWide(type)) {
    const f = wideFunction(op, mods, type);
    if (f === null) return null;
    const read = (i: number) => (signed(type) ? o.s64(text(i)) : o.u64(text(i)));
    const [x, y, z] = [read(1), read(2), read(3)];
    const set = o.setU64(text(0));
    return (b) => set(b, f(x(b), y(b), z(b)));
  }
  const f = narrowFunction(op, mods, type);
  if (f === null) return null;
  const [x, y, z] = [o.int(type, text(1)), o.int(type, text(2)), o.int(type, text(3))];
  const set = o.setInt(type, text(0));
  return (b) => set(b, f(x(b), y(b), z(b)));
}

/** mul.wide and mad.wide: the result is twice as wide. */
function widening(o: Operands, type: string): Run {
  const { op } = o.at;
  const [x, y] = [o.int(type, o.text(1)), o.int(type, o.text(2))];
  if (bitsOf(type) === 16) {
    const wide = signed(type) ? "s32" : "u32";
    const z = op === "mad" ? o.int(wide, o.text(3)) : () => 0;
    const set = o.setInt(wide, o.text(0));
    return (b) => set(b, (Math.imul(x(b), y(b)) + z(b)) | 0);
  }
  const z = op === "mad" ? o.u64(o.text(3)) : () => 0n;
  const set = o.setU64(o.text(0));
  return (b) => set(b, BigInt(x(b)) * BigInt(y(b)) + z(b));
}

function shift(o: Operands, type: string): Run {
  const { op } = o.at;
  const amount = o.u32(o.text(2));
  if (isWide(type)) {
    const value = signed(type) ? o.s64(o.text(1)) : o.u64(o.text(1));
    const set = o.setU64(o.text(0));
    return (b) => {
      const n = BigInt(Math.min(amount(b), 64));
      set(b, op === "shl" ? value(b) << n : value(b) >> n);
    };
  }
  const width = bitsOf(type);
  const value = o.int(type, o.text(1));
  const set = o.setInt(type, o.text(0));
  return (b) => {
    const n = amount(b);
    const v = value(b);
    if (n >= width) set(b, op === "shr" && signed(type) && v < 0 ? -1 : 0);
    else set(b, op === "shl" ? v << n : signed(type) ? v >> n : v >>> n);
  };
}

/** shf: two words as one of 64 bits. */
function funnel(o: Operands): Run {
  const { mods } = o.at;
  const [low, high, amount] = [o.u32(o.text(1)), o.u32(o.text(2)), o.u32(o.text(3))];
  const set = o.setInt("u32", o.text(0));
  const clamp = mods.includes("clamp");
  return (b) => {
    const n = BigInt(clamp ? Math.min(amount(b), 32) : amount(b) & 31);
    const both = (BigInt(high(b)) << 32n) | BigInt(low(b));
    const result = mods[0] === "l" ? (both << n) >> 32n : both >> n;
    set(b, Number(BigInt.asUintN(32, result)));
  };
}

function lop3(o: Operands): Run {
  const [x, y, z] = [o.u32(o.text(1)), o.u32(o.text(2)), o.u32(o.text(3))];
  const table = o.u32(o.text(4));
  const set = o.setInt("u32", o.text(0));
  return (b) => {
    const [p, q, r, t] = [x(b), y(b), z(b), table(b)];
    let result = 0;
    for (let i = 0; i < 8; i++) {
      if (((t >> i) & 1) === 0) continue;
      result |= (i & 4 ? p : ~p) & (i & 2 ? q : ~q) & (i & 1 ? r : ~r);
    }
    set(b, result);
  };
}

function selectBytes(o: Operands): Run {
  const mode = o.at.mods.find((m) => /^(f4e|b4e|rc8|ecl|ecr|rc16)$/.test(m));
  const [x, y, control] = [o.u32(o.text(1)), o.u32(o.text(2)), o.u32(o.text(3))];
  const set = o.setInt("u32", o.text(0));
  const selectors = (c: number): number[] => {
    const n = c & 3;
    const list = [0, 1, 2, 3];
    switch (mode) {
      case "f4e":
        return list.map((i) => n + i);
      case "b4e":
        return list.map((i) => (n - i) & 7);
      case "rc8":
        return list.map(() => n);
      case "ecl":
        return list.map((i) => Math.max(i, n));
      case "ecr":
        return list.map((i) => Math.min(i, n));
      case "rc16":
        return list.map((i) => (n & 1) * 2 + (i & 1));
      default:
        return list.map((i) => (c >> (4 * i)) & 15);
    }
  };
  return (b) => {
    const both = (BigInt(y(b)) << 32n) | BigInt(x(b));
    let result = 0;
    selectors(control(b)).forEach((s, i) => {
      const byte = Number((both >> BigInt(8 * (s & 7))) & 0xffn);
      result |= (s & 8 ? (byte & 0x80 ? 0xff : 0) : byte) << (8 * i);
    });
    set(b, result);
  };
}

function bitFields(o: Operands, type: string): Run | null {
  const { op, mods } = o.at;
  const width = bitsOf(type);
  const whole = (1n << BigInt(width)) - 1n;
  const read = (i: number) => {
    const value = o.u64(o.text(i));
    return (b: number) => value(b) & whole;
  };
  const put = (into: string) => {
    const wide = width === 64 ? o.setU64(into) : null;
    const narrow = o.setInt("u32", into);
    return (b: number, value: bigint) =>
      wide === null ? narrow(b, Number(BigInt.asUintN(32, value))) : wide(b, value);
  };
  const byte = (i: number) => {
    const value = o.u32(o.text(i));
    return (b: number) => value(b) & 0xff;
  };
  switch (op) {
    case "bfe": {
      const [value, position, length, set] = [read(1), byte(2), byte(3), put(o.text(0))];
      return (b) => {
        const [v, p, n] = [value(b), position(b), length(b)];
        const signBit =
          signed(type) && n > 0 ? (v >> BigInt(Math.min(p + n - 1, width - 1))) & 1n : 0n;
        let result = 0n;
        for (let i = 0; i < width; i++) {
          const bit = i < n && p + i < width ? (v >> BigInt(p + i)) & 1n : signBit;
          result |= bit << BigInt(i);
        }
        set(b, result);
      };
    }
    case "bfi": {
      const [value, base, position, length] = [read(1), read(2), byte(3), byte(4)];
      const set = put(o.text(0));
      return (b) => {
        const [v, p, n] = [value(b), position(b), length(b)];
        let result = base(b);
        for (let i = 0; i < n && p + i < width; i++) {
          const at = BigInt(p + i);
          result = (result & ~(1n << at)) | (((v >> BigInt(i)) & 1n) << at);
        }
        set(b, result);
      };
    }
    case "brev": {
      const [value, set] = [read(1), put(o.text(0))];
      return (b) => {
        let result = 0n;
        const v = value(b);
        for (let i = 0; i < width; i++) {
          result |= ((v >> BigInt(i)) & 1n) << BigInt(width - 1 - i);
        }
        set(b, result);
      };
    }
    case "popc":
    case "clz":
    case "bfind": {
      const value = read(1);
      const set = o.setInt("u32", o.text(0));
      return (b) => {
        const v = value(b);
        if (op === "popc") {
          set(b, v.toString(2).replaceAll("0", "").length);
        } else if (op === "clz") {
          set(b, v === 0n ? width : width - v.toString(2).length);
        } else {
          const turned = signed(type) && v >> BigInt(width - 1) === 1n ? ~v & whole : v;
          const top = turned === 0n ? -1 : turned.toString(2).length - 1;
          set(b, top >= 0 && mods.includes("shiftamt") ? width - 1 - top : top);
        }
      };
    }
    case "bmsk": {
      const [from, count] = [o.u32(o.text(1)), o.u32(o.text(2))];
      const set = o.setInt("u32", o.text(0));
      const clamp = mods.includes("clamp");
      return (b) => {
        const [p, n] = clamp ? [from(b), count(b)] : [from(b) & 31, count(b) & 31];
        const mask = p > 31 ? 0n : ((1n << BigInt(Math.min(n, 32))) - 1n) << BigInt(p);
        set(b, Number(BigInt.asUintN(32, mask)));
      };
    }
    case "szext": {
      const [value, count] = [o.u32(o.text(1)), o.u32(o.text(2))];
      const set = o.setInt("u32", o.text(0));
      return (b) => {
        const n = mods[0] === "wrap" ? count(b) & 31 : Math.min(count(b), 32);
        if (n === 32) set(b, value(b));
        else if (n === 0) set(b, 0);
        else set(b, signed(type) ? (value(b) << (32 - n)) >> (32 - n) : value(b) & (2 ** n - 1));
      };
    }
    default:
      return null;
  }
}

/** dp4a and dp2a: sums of products of bytes. */
function dotProduct(o: Operands): Run {
  const { op, mods } = o.at;
  const types = mods.filter((m) => m === "u32" || m === "s32");
  const lane = (word: number, i: number, bits: number, sign: boolean): number => {
    const shifted = word << (32 - bits * (i + 1));
    return sign ? shifted >> (32 - bits) : shifted >>> (32 - bits);
  };
  const [sx, sy] = [types[0] === "s32", types[1] === "s32"];
  const [x, y, z] = [o.u32(o.text(1)), o.u32(o.text(2)), o.u32(o.text(3))];
  const set = o.setInt("u32", o.text(0));
  const high = mods.includes("hi") ? 2 : 0;
  return (b) => {
    let sum = z(b);
    if (op === "dp4a") {
      for (let i = 0; i < 4; i++) sum += lane(x(b), i, 8, sx) * lane(y(b), i, 8, sy);
    } else {
      for (let i = 0; i < 2; i++) sum += lane(x(b), i, 16, sx) * lane(y(b), i + high, 8, sy);
    }
    set(b, sum | 0);
  };
}

/** vabsdiff4 with a sum of its four results. */
function absoluteDifferences(o: Operands): Run {
  const [x, y, z] = [o.u32(o.text(1)), o.u32(o.text(2)), o.u32(o.text(3))];
  const set = o.setInt("u32", o.text(0));
  return (b) => {
    let sum = z(b);
    for (let at = 0; at < 32; at += 8) {
      sum += Math.abs(((x(b) >>> at) & 255) - ((y(b) >>> at) & 255));
    }
    set(b, sum | 0);
  };
}

/** add.cc, addc, sub.cc, subc, mad.cc, madc: the carry is kept by the caller. */
export interface Carry {
  flag: bigint;
}

function withCarry(o: Operands, type: string, carry: () => Carry): Run {
  const { op, mods } = o.at;
  const width = BigInt(bitsOf(type));
  const whole = (1n << width) - 1n;
  const read = (i: number) => {
    const value = o.u64(o.text(i));
    return (b: number) => value(b) & whole;
  };
  const set = o.setU64(o.text(0));
  const [x, y] = [read(1), read(2)];
  const z = op.startsWith("mad") ? read(3) : () => 0n;
  const uses = op.endsWith("c");
  const keeps = mods.includes("cc");
  return (b) => {
    const before = uses ? carry().flag : 0n;
    let result: bigint;
    if (op.startsWith("add")) {
      result = x(b) + y(b) + before;
    } else if (op.startsWith("sub")) {
      result = x(b) - y(b) - before;
    } else {
      const s = (v: bigint): bigint => (signed(type) ? BigInt.asIntN(Number(width), v) : v);
      const product = s(x(b)) * s(y(b));
      const part = (mods.includes("hi") ? product >> width : product) & whole;
      result = part + z(b) + before;
    }
    if (keeps) carry().flag = (result >> width) & 1n;
    set(b, result & whole);
  };
}

export function integerRun(o: Operands, carry: () => Carry): Run | null {
  const { op, mods } = o.at;
  const type = mods[mods.length - 1] ?? "";
  if (type === "pred") {
    const f = narrowFunction(op, mods, "u32");
    if (f === null) return null;
    const [x, y] = [o.u32(o.text(1)), op === "not" ? () => 0 : o.u32(o.text(2))];
    const set = o.setInt("u32", o.text(0));
    return (b) => set(b, f(x(b), y(b), 0) & 1);
  }
  if (op === "prmt") return selectBytes(o);
  if (op === "vabsdiff4") return absoluteDifferences(o);
  if (op === "dp4a" || op === "dp2a") return dotProduct(o);
  if (!isSmall(type) && !isWide(type)) return null;
  if (/^(addc|subc|madc)$/.test(op) || mods.includes("cc")) return withCarry(o, type, carry);
  if (mods.includes("wide")) return widening(o, type);
  switch (op) {
    case "shl":
    case "shr":
      return shift(o, type);
    case "shf":
      return funnel(o);
    case "lop3":
      return lop3(o);
    case "bfe":
    case "bfi":
    case "brev":
    case "popc":
    case "clz":
    case "bfind":
    case "bmsk":
    case "szext":
      return bitFields(o, type);
    default:
      return arithmetic(o, type);
  }
}
