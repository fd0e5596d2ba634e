// SPDX-License-Identifier: Apache-2.0
/** Floating-point instructions of the PTX interpreter, conversions, comparisons and selections. */
import type { Run } from "./integers.js";
import {
  add64,
  addIn,
  BF16,
  bf16OfBits,
  bitsOfBf16,
  bitsOfF16,
  bitsOfF32,
  bitsOfF64,
  div64,
  divIn,
  F16,
  F32,
  type Format,
  f16OfBits,
  flush32,
  fma64,
  fmaIn,
  mul64,
  mulIn,
  type Rounding,
  roundExact,
  roundInteger,
  roundTo,
  sqrt64,
  sqrtIn,
} from "./numerics.js";
import type { Get, Operands } from "./operands.js";

const FLOAT = /^(f16|bf16|f32|f64)$/;
const PACKED = /^(f16x2|bf16x2)$/;

export function formatOf(type: string): Format | null {
  return type === "f16" ? F16 : type === "bf16" ? BF16 : type === "f32" ? F32 : null;
}

export function roundingOf(mods: readonly string[]): Rounding {
  const found = mods.find((m) => m === "rn" || m === "rz" || m === "rm" || m === "rp");
  return (found as Rounding | undefined) ?? "rn";
}

const saturate = (v: number): number => (v > 0 ? Math.min(v, 1) : 0);

/** min and max: NaN loses, and −0 is below +0. */
function extreme(op: string, mods: readonly string[]): (a: number, b: number) => number {
  const pick = op === "min" ? Math.min : Math.max;
  const spreads = mods.includes("NaN");
  return (a, b) => {
    if (Number.isNaN(a)) return spreads ? a : b;
    if (Number.isNaN(b)) return spreads ? b : a;
    return pick(a, b);
  };
}

type Binary = (a: number, b: number, c: number) => number;

function exactFunction(op: string, type: string, mods: readonly string[]): Binary | null {
  const mode = roundingOf(mods);
  const format = formatOf(type);
  switch (op) {
    case "add":
      return format === null ? (a, b) => add64(a, b, mode) : (a, b) => addIn(format, a, b, mode);
    case "sub":
      return format === null ? (a, b) => add64(a, -b, mode) : (a, b) => addIn(format, a, -b, mode);
    case "mul":
      return format === null ? (a, b) => mul64(a, b, mode) : (a, b) => mulIn(format, a, b, mode);
    case "fma":
    case "mad":
      return format === null
        ? (a, b, c) => fma64(a, b, c, mode)
        : (a, b, c) => fmaIn(format, a, b, c, mode);
    case "div":
      return format === null ? (a, b) => div64(a, b, mode) : (a, b) => divIn(format, a, b, mode);
    case "rcp":
      return format === null ? (a) => div64(1, a, mode) : (a) => divIn(format, 1, a, mode);
    case "sqrt":
      return format === null ? (a) => sqrt64(a, mode) : (a) => sqrtIn(format, a, mode);
    case "min":
    case "max":
      return extreme(op, mods);
    case "abs":
      return (a) => Math.abs(a);
    case "neg":
      return (a) => -a;
    case "copysign":
      // The sign of the first, the rest of the second.
      return (a, b) => (a < 0 || Object.is(a, -0) ? -Math.abs(b) : Math.abs(b));
    case "rsqrt":
      return (a) => 1 / Math.sqrt(a);
    case "sin":
      return (a) => Math.sin(a);
    case "cos":
      return (a) => Math.cos(a);
    case "lg2":
      return (a) => Math.log2(a);
    case "ex2":
      return (a) => 2 ** a;
    case "tanh":
      return (a) => Math.tanh(a);
    default:
      return null;
  }
}

function finish(type: string, mods: readonly string[]): (value: number) => number {
  const format = formatOf(type);
  const ftz = mods.includes("ftz") && type === "f32";
  const sat = mods.includes("sat");
  const relu = mods.includes("relu");
  return (value) => {
    let v = format === null ? value : roundTo(format, value);
    if (ftz) v = flush32(v);
    if (sat) v = saturate(v);
    if (relu && v < 0) v = 0;
    return v;
  };
}

function scalar(o: Operands, type: string): Run | null {
  const { op, mods, operands } = o.at;
  const f = exactFunction(op, type, mods);
  if (f === null) return null;
  const ftz = mods.includes("ftz") && type === "f32";
  const read = (i: number): Get<number> => {
    const text = operands[i];
    if (text === undefined) return () => 0;
    const value = o.float(type, text);
    return ftz ? (b) => flush32(value(b)) : value;
  };
  if (op === "abs" || op === "neg") return signBit(o, type, ftz);
  const [x, y, z] = [read(1), read(2), read(3)];
  const end = finish(type, mods);
  const set = o.setFloat(type, o.text(0));
  return (b) => set(b, end(f(x(b), y(b), z(b))));
}

/** abs and neg change one bit, of a NaN too. */
function signBit(o: Operands, type: string, ftz: boolean): Run {
  const { op } = o.at;
  if (type === "f64") {
    const [value, set] = [o.u64(o.text(1)), o.setU64(o.text(0))];
    const sign = 1n << 63n;
    return (b) => set(b, op === "abs" ? value(b) & ~sign : value(b) ^ sign);
  }
  if (ftz) {
    const [value, set] = [o.f32(o.text(1)), o.setFloat("f32", o.text(0))];
    return (b) => set(b, op === "abs" ? Math.abs(flush32(value(b))) : -flush32(value(b)));
  }
  const sign = type === "f32" ? 0x8000_0000 : 0x8000;
  const [value, set] = [o.u32(o.text(1)), o.setInt(type === "f32" ? "u32" : "u16", o.text(0))];
  return (b) => set(b, op === "abs" ? value(b) & ~sign : value(b) ^ sign);
}

/** f16x2 and bf16x2: the same on both halves, by way of registers of the machine's own. */
function packed(o: Operands, type: string): Run | null {
  const { op, mods, operands } = o.at;
  const half = type.slice(0, -2);
  const f = exactFunction(op, half, mods);
  const format = formatOf(half);
  if (f === null || format === null) return null;
  const end = finish(half, mods);
  const words = [1, 2, 3].map((i) => {
    const text = operands[i];
    return text === undefined ? () => 0 : o.u32(text);
  });
  const [x = () => 0, y = () => 0, z = () => 0] = words;
  const set = o.setInt("u32", o.text(0));
  const { decode, encode } = codec(half);
  const one = (p: number, q: number, r: number): number => {
    if (op === "neg") return (p ^ 0x8000) & 0xffff;
    if (op === "abs") return p & 0x7fff;
    return encode(end(f(decode(p & 0xffff), decode(q & 0xffff), decode(r & 0xffff))));
  };
  return (b) => {
    const [p, q, r] = [x(b), y(b), z(b)];
    set(b, one(p, q, r) | (one(p >>> 16, q >>> 16, r >>> 16) << 16));
  };
}

function codec(half: string): { decode: (b: number) => number; encode: (v: number) => number } {
  return half === "f16"
    ? { decode: f16OfBits, encode: bitsOfF16 }
    : { decode: bf16OfBits, encode: bitsOfBf16 };
}

export function floatRun(o: Operands): Run | null {
  const { op, mods } = o.at;
  const type = mods[mods.length - 1] ?? "";
  if (op === "testp") return testProperty(o, type);
  if (FLOAT.test(type)) return scalar(o, type);
  if (PACKED.test(type)) return packed(o, type);
  return null;
}

function testProperty(o: Operands, type: string): Run {
  const value = o.float(type, o.text(1));
  const set = o.setPred(o.text(0));
  const what = o.at.mods[0] ?? "";
  const least = type === "f64" ? 2 ** -1022 : 2 ** -126;
  return (b) => {
    const v = value(b);
    const finite = Number.isFinite(v);
    const results: Record<string, boolean> = {
      finite,
      infinite: Math.abs(v) === Infinity,
      number: !Number.isNaN(v),
      notanumber: Number.isNaN(v),
      normal: finite && Math.abs(v) >= least,
      subnormal: v !== 0 && Math.abs(v) < least,
    };
    set(b, results[what] === true);
  };
}

const isFloat = (type: string): boolean => FLOAT.test(type);

/** A comparison of two numbers, by the name of setp. */
export function comparison(name: string): (a: number | bigint, b: number | bigint) => boolean {
  const nan = (a: number | bigint, b: number | bigint): boolean =>
    Number.isNaN(a as number) || Number.isNaN(b as number);
  switch (name) {
    case "eq":
      return (a, b) => a === b;
    case "ne":
      return (a, b) => !nan(a, b) && a !== b;
    case "lt":
    case "lo":
      return (a, b) => a < b;
    case "le":
    case "ls":
      return (a, b) => a <= b;
    case "gt":
    case "hi":
      return (a, b) => a > b;
    case "ge":
    case "hs":
      return (a, b) => a >= b;
    case "equ":
      return (a, b) => nan(a, b) || a === b;
    case "neu":
      return (a, b) => a !== b;
    case "ltu":
      return (a, b) => !(a >= b);
    case "leu":
      return (a, b) => !(a > b);
    case "gtu":
      return (a, b) => !(a <= b);
    case "geu":
      return (a, b) => !(a < b);
    case "num":
      return (a, b) => !nan(a, b);
    case "nan":
      return nan;
    default:
      throw new Error(`the comparison "${name}" is not known`);
  }
}

const isNan = (v: number | bigint): boolean => typeof v === "number" && Number.isNaN(v);

function comparable(o: Operands, type: string, text: string): Get<number | bigint> {
  if (isFloat(type)) {
    const value = o.float(type, text);
    return o.at.mods.includes("ftz") && type === "f32" ? (b) => flush32(value(b)) : value;
  }
  if (type === "s64") return o.s64(text);
  if (type === "u64" || type === "b64") return o.u64(text);
  return o.int(type, text);
}

type Join = (result: boolean, other: boolean) => boolean;

function joinOf(mods: readonly string[]): Join | null {
  if (mods.includes("and")) return (r, o) => r && o;
  if (mods.includes("or")) return (r, o) => r || o;
  if (mods.includes("xor")) return (r, o) => r !== o;
  return null;
}

const COMPARISON = /^(eq|ne|lt|le|gt|ge|lo|ls|hi|hs|equ|neu|ltu|leu|gtu|geu|num|nan)$/;

/** setp and set. `eq` of NaN and anything is false; `ne` too, as ordered comparisons are. */
function compare(o: Operands): Run {
  const { op, mods } = o.at;
  const type = mods[mods.length - 1] ?? "";
  if (PACKED.test(type)) return comparePacked(o, type);
  const test = comparison(mods.find((m) => COMPARISON.test(m)) ?? "");
  const [x, y] = [comparable(o, type, o.text(1)), comparable(o, type, o.text(2))];
  const join = joinOf(mods);
  const other = join === null ? () => false : o.pred(o.text(3));
  const result = (b: number): [boolean, boolean] => {
    const [p, q] = [x(b), y(b)];
    const r = isNan(p) && isNan(q) && mods.includes("eq") ? false : test(p, q);
    return join === null ? [r, !r] : [join(r, other(b)), join(!r, other(b))];
  };
  if (op === "set") {
    const into = mods[mods.length - 2] ?? "u32";
    if (into === "f32") {
      const set = o.setFloat("f32", o.text(0));
      return (b) => set(b, result(b)[0] ? 1 : 0);
    }
    const set = o.setInt(into, o.text(0));
    return (b) => set(b, result(b)[0] ? -1 : 0);
  }
  const [first = "_", second = "_"] = o
    .text(0)
    .split("|")
    .map((t) => t.trim());
  const [set, setOther] = [o.setPred(first), o.setPred(second)];
  return (b) => {
    const [r, not] = result(b);
    set(b, r);
    setOther(b, not);
  };
}

function comparePacked(o: Operands, type: string): Run {
  const { op, mods } = o.at;
  const { decode, encode } = codec(type.slice(0, -2));
  const test = comparison(mods.find((m) => COMPARISON.test(m)) ?? "");
  const [x, y] = [o.u32(o.text(1)), o.u32(o.text(2))];
  const low = (b: number): boolean => test(decode(x(b) & 0xffff), decode(y(b) & 0xffff));
  const high = (b: number): boolean => test(decode(x(b) >>> 16), decode(y(b) >>> 16));
  if (op === "setp") {
    const [first = "_", second = "_"] = o
      .text(0)
      .split("|")
      .map((t) => t.trim());
    const [set, setOther] = [o.setPred(first), o.setPred(second)];
    return (b) => {
      const [l, h] = [low(b), high(b)];
      set(b, l);
      setOther(b, h);
    };
  }
  const one = mods.includes("u32") ? 0xffff : encode(1);
  const set = o.setInt("u32", o.text(0));
  return (b) => set(b, (low(b) ? one : 0) | ((high(b) ? one : 0) << 16));
}

function select(o: Operands): Run {
  const { op, mods } = o.at;
  const type = mods[op === "slct" ? mods.length - 2 : mods.length - 1] ?? "b32";
  const wide = type.endsWith("64");
  let condition: Get<boolean>;
  if (op === "selp") {
    condition = o.pred(o.text(3));
  } else if (mods[mods.length - 1] === "f32") {
    const value = o.f32(o.text(3));
    condition = (b) => value(b) >= 0;
  } else {
    const value = o.s32(o.text(3));
    condition = (b) => value(b) >= 0;
  }
  const bits = (text: string): Get<bigint> => bitsReader(o, type, text);
  const [x, y] = [bits(o.text(1)), bits(o.text(2))];
  const set = o.setU64(o.text(0));
  const mask = wide ? 0xffff_ffff_ffff_ffffn : type.endsWith("16") ? 0xffffn : 0xffff_ffffn;
  return (b) => set(b, (condition(b) ? x(b) : y(b)) & mask);
}

/** The raw bits of an operand, also where it is a literal of a float type. */
export function bitsReader(o: Operands, type: string, text: string): Get<bigint> {
  if (o.slot(text) !== undefined || !isFloat(type)) return o.u64(text);
  const value = o.float(type, text)(0);
  const bits = type === "f64" ? bitsOfF64(value) : BigInt(bitsOfF32(value));
  return () => bits;
}

const INTEGER = /^[usb](8|16|32|64)$/;

/** A rounding of cvt to an integral value. */
function integralMode(mods: readonly string[]): Rounding | null {
  const found = mods.find((m) => /^r[nzmp]i$/.test(m));
  return found === undefined ? null : (found.slice(0, 2) as Rounding);
}

function convertToInteger(value: number, type: string, source: string, mode: Rounding): bigint {
  const width = BigInt(/\d+/.exec(type)?.[0] ?? "32");
  const sign = type.startsWith("s");
  if (Number.isNaN(value)) {
    return source !== "f64" && width !== 64n ? 0n : 1n << (width - 1n);
  }
  const low = sign ? -(1n << (width - 1n)) : 0n;
  const high = sign ? (1n << (width - 1n)) - 1n : (1n << width) - 1n;
  if (!Number.isFinite(value)) return value > 0 ? high : low;
  const exact = BigInt(roundInteger(value, mode));
  return exact < low ? low : exact > high ? high : exact;
}

function saturateInteger(value: bigint, type: string): bigint {
  const width = BigInt(/\d+/.exec(type)?.[0] ?? "32");
  const sign = type.startsWith("s");
  const low = sign ? -(1n << (width - 1n)) : 0n;
  const high = sign ? (1n << (width - 1n)) - 1n : (1n << width) - 1n;
  return value < low ? low : value > high ? high : value;
}

function roundBig(value: bigint, type: string, mode: Rounding): number {
  const format = formatOf(type);
  if (format === null) return roundExact(value, 0, mode);
  const low = roundExact(value, 0, "rm");
  const high = roundExact(value, 0, "rp");
  const odd = low === high ? low : (bitsOfF64(low) & 1n) === 1n ? low : high;
  return roundTo(format, odd, mode);
}

function readInteger(o: Operands, type: string, text: string): Get<bigint> {
  if (type === "s64") return o.s64(text);
  if (type.endsWith("64")) return o.u64(text);
  const value = o.int(type, text);
  return (b) => BigInt(value(b));
}

function writeInteger(o: Operands, type: string, text: string): (b: number, v: bigint) => void {
  if (type.endsWith("64")) return o.setU64(text);
  const set = o.setInt(type, text);
  return (b, value) => set(b, Number(BigInt.asIntN(32, value)));
}

function convert(o: Operands): Run {
  const { mods } = o.at;
  const to = mods[mods.length - 2] ?? "";
  const from = mods[mods.length - 1] ?? "";
  if (PACKED.test(to)) return convertToPair(o, to);
  const ftz = mods.includes("ftz");
  const sat = mods.includes("sat");
  const integral = integralMode(mods);
  if (INTEGER.test(from) && INTEGER.test(to)) {
    const [value, set] = [readInteger(o, from, o.text(1)), writeInteger(o, to, o.text(0))];
    return (b) => set(b, sat ? saturateInteger(value(b), to) : value(b));
  }
  if (INTEGER.test(from)) {
    const value = readInteger(o, from, o.text(1));
    const set = o.setFloat(to, o.text(0));
    const mode = roundingOf(mods);
    return (b) => {
      const v = roundBig(value(b), to, mode);
      set(b, sat ? saturate(v) : v);
    };
  }
  const read = o.float(from, o.text(1));
  const value = ftz && from === "f32" ? (b: number) => flush32(read(b)) : read;
  if (INTEGER.test(to)) {
    const set = writeInteger(o, to, o.text(0));
    return (b) => set(b, convertToInteger(value(b), to, from, integral ?? "rz"));
  }
  const set = o.setFloat(to, o.text(0));
  const format = formatOf(to);
  const mode = roundingOf(mods);
  const relu = mods.includes("relu");
  return (b) => {
    let v = value(b);
    if (integral !== null) v = roundInteger(v, integral);
    if (format !== null) v = roundTo(format, v, mode);
    if (ftz && to === "f32") v = flush32(v);
    if (sat) v = saturate(v);
    set(b, relu && v < 0 ? 0 : v);
  };
}

/** cvt.rn.f16x2.f32 d, a, b: a becomes the upper half. */
function convertToPair(o: Operands, to: string): Run {
  const half = to.slice(0, -2);
  const format = formatOf(half) ?? F16;
  const { encode } = codec(half);
  const mode = roundingOf(o.at.mods);
  const relu = o.at.mods.includes("relu");
  const [high, low] = [o.f32(o.text(1)), o.f32(o.text(2))];
  const set = o.setInt("u32", o.text(0));
  const one = (v: number): number => encode(relu && v < 0 ? 0 : roundTo(format, v, mode));
  return (b) => set(b, one(low(b)) | (one(high(b)) << 16));
}

export function convertRun(o: Operands): Run | null {
  switch (o.at.op) {
    case "setp":
    case "set":
      return compare(o);
    case "selp":
    case "slct":
      return select(o);
    case "cvt":
      return convert(o);
    default:
      return null;
  }
}
