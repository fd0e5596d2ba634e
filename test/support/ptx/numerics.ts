// SPDX-License-Identifier: Apache-2.0
/**
 * Floating point of the PTX interpreter, correctly rounded: f16, bf16, f32 and f64 in all four
 * rounding modes.
 *
 * The narrow formats are computed in doubles. A double that was rounded to odd (the last bit set
 * when anything was lost) can be rounded again to at most 51 bits in any mode without error, so one
 * function rounds them all. What needs more than a double (fma.f64, directed f64) uses integers.
 */
export type Rounding = "rn" | "rz" | "rm" | "rp";

export interface Format {
  readonly bits: number;
  /** Bits of the significand, the hidden one included. */
  readonly precision: number;
  /** Exponent of the smallest normal number. */
  readonly exponentMin: number;
  readonly max: number;
}

export const F16: Format = { bits: 16, precision: 11, exponentMin: -14, max: 65504 };
export const BF16: Format = {
  bits: 16,
  precision: 8,
  exponentMin: -126,
  max: (2 - 2 ** -7) * 2 ** 127,
};
export const F32: Format = {
  bits: 32,
  precision: 24,
  exponentMin: -126,
  max: (2 - 2 ** -23) * 2 ** 127,
};

const scratch = new DataView(new ArrayBuffer(8));

export function bitsOfF64(value: number): bigint {
  scratch.setFloat64(0, value);
  return scratch.getBigUint64(0);
}

export function f64OfBits(bits: bigint): number {
  scratch.setBigUint64(0, BigInt.asUintN(64, bits));
  return scratch.getFloat64(0);
}

export function f32OfBits(bits: number): number {
  scratch.setUint32(0, bits >>> 0);
  return scratch.getFloat32(0);
}

export function bitsOfF32(value: number): number {
  if (Number.isNaN(value)) return 0x7fffffff;
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

function exponentOf(value: number): number {
  scratch.setFloat64(0, value);
  const raw = (scratch.getUint32(0) >>> 20) & 0x7ff;
  return raw === 0 ? -1022 : raw - 1023;
}

/** Round half to even, of a number whose magnitude is below 2^53. */
function nearestEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest < 0.5) return floor;
  if (rest > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

export function roundInteger(value: number, mode: Rounding): number {
  if (!Number.isFinite(value) || Math.abs(value) >= 2 ** 52) return value;
  const rounded =
    mode === "rn"
      ? nearestEven(value)
      : mode === "rz"
        ? Math.trunc(value)
        : mode === "rm"
          ? Math.floor(value)
          : Math.ceil(value);
  return rounded === 0 && (value < 0 || Object.is(value, -0)) ? -0 : rounded;
}

/** A double rounded to a narrower format; exact if the double itself was exact or rounded to odd. */
export function roundTo(format: Format, value: number, mode: Rounding = "rn"): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  if (format === F32 && mode === "rn") return Math.fround(value);
  const exponent = Math.max(exponentOf(value), format.exponentMin);
  const quantum = 2 ** (exponent - format.precision + 1);
  const rounded = roundInteger(value / quantum, mode) * quantum;
  if (Math.abs(rounded) <= format.max) return rounded;
  const toInfinity = mode === "rn" || (mode === "rp" && value > 0) || (mode === "rm" && value < 0);
  return toInfinity ? Math.sign(value) * Infinity : Math.sign(value) * format.max;
}

/** Makes the last bit of an inexact result odd; `residue` has the sign of (exact − value). */
function toOdd(value: number, residue: number): number {
  if (residue === 0 || !Number.isFinite(value) || Number.isNaN(residue)) return value;
  const bits = bitsOfF64(value);
  if ((bits & 1n) === 1n) return value;
  const awayFromZero = value === 0 || residue > 0 === value > 0;
  return f64OfBits(awayFromZero ? bits + 1n : bits - 1n);
}

/** a + b rounded to odd. */
export function addOdd(a: number, b: number): number {
  const sum = a + b;
  if (!Number.isFinite(sum)) return sum;
  const bb = sum - a;
  const residue = a - (sum - bb) + (b - bb);
  return toOdd(sum, residue);
}

interface Exact {
  readonly mantissa: bigint;
  readonly exponent: number;
}

function exactOf(value: number): Exact {
  const bits = bitsOfF64(value);
  const raw = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const mantissa = raw === 0 ? fraction : fraction | (1n << 52n);
  const exponent = (raw === 0 ? 1 : raw) - 1075;
  return { mantissa: bits >> 63n === 1n ? -mantissa : mantissa, exponent };
}

const bitLength = (value: bigint): number => value.toString(2).length;

/** mantissa × 2^exponent as a double; `sticky` says that the exact value is a little further from 0. */
export function roundExact(
  mantissa: bigint,
  exponent: number,
  mode: Rounding,
  sticky = false,
): number {
  if (mantissa === 0n) return 0;
  const negative = mantissa < 0n;
  let magnitude = negative ? -mantissa : mantissa;
  let e = exponent;
  if (sticky) {
    magnitude = (magnitude << 2n) | 1n;
    e -= 2;
  }
  const drop = Math.max(bitLength(magnitude) - 53, -1074 - e);
  if (drop > 0) {
    const d = BigInt(drop);
    const kept = magnitude >> d;
    const rest = magnitude - (kept << d);
    const half = 1n << (d - 1n);
    const up =
      mode === "rn"
        ? rest > half || (rest === half && (kept & 1n) === 1n)
        : rest !== 0n && ((mode === "rp" && !negative) || (mode === "rm" && negative));
    magnitude = kept + (up ? 1n : 0n);
    e += drop;
  }
  // Scaled in two steps, each exact: the mantissa has at most 53 bits by now.
  let value = Number(magnitude);
  const top = bitLength(magnitude === 0n ? 1n : magnitude) - 1 + e;
  if (top > 1023) {
    const toInfinity = mode === "rn" || (mode === "rp") !== negative;
    value = toInfinity && mode !== "rz" ? Infinity : Number.MAX_VALUE;
  } else {
    const half = Math.trunc(e / 2);
    value = value * 2 ** half * 2 ** (e - half);
  }
  return negative ? -value : value;
}

function special(a: number, b: number, c: number): number | null {
  const product = a * b;
  if (!Number.isFinite(a) || !Number.isFinite(b) || !Number.isFinite(c)) {
    return Number.isFinite(a) && Number.isFinite(b) ? c : product + c;
  }
  if (a === 0 || b === 0) return product + c;
  return null;
}

const zeroOf = (mode: Rounding): number => (mode === "rm" ? -0 : 0);

export function fma64(a: number, b: number, c: number, mode: Rounding = "rn"): number {
  const early = special(a, b, c);
  if (early !== null) return early === 0 && !Object.is(a * b, c) ? zeroOf(mode) : early;
  const x = exactOf(a);
  const y = exactOf(b);
  const z = exactOf(c);
  const pe = x.exponent + y.exponent;
  const e = c === 0 ? pe : Math.min(pe, z.exponent);
  const product = (x.mantissa * y.mantissa) << BigInt(pe - e);
  const sum = c === 0 ? product : product + (z.mantissa << BigInt(z.exponent - e));
  return sum === 0n ? zeroOf(mode) : roundExact(sum, e, mode);
}

export function add64(a: number, b: number, mode: Rounding): number {
  if (mode === "rn" || !Number.isFinite(a) || !Number.isFinite(b)) return a + b;
  if (a === 0 || b === 0) return a === 0 && b === 0 && !Object.is(a, b) ? zeroOf(mode) : a + b;
  return fma64(a, 1, b, mode);
}

export function mul64(a: number, b: number, mode: Rounding): number {
  return mode === "rn" || a === 0 || b === 0 ? a * b : fma64(a, b, 0, mode);
}

/** The quotient as an integer ratio, rounded once. */
export function div64(a: number, b: number, mode: Rounding): number {
  if (mode === "rn" || !Number.isFinite(a) || !Number.isFinite(b) || a === 0 || b === 0) {
    return a / b;
  }
  const x = exactOf(a);
  const y = exactOf(b);
  const negative = a < 0 !== b < 0;
  const n = (x.mantissa < 0n ? -x.mantissa : x.mantissa) << 128n;
  const d = y.mantissa < 0n ? -y.mantissa : y.mantissa;
  const q = n / d;
  const e = x.exponent - y.exponent - 128;
  return roundExact(negative ? -q : q, e, mode, q * d !== n);
}

export function sqrt64(a: number, mode: Rounding): number {
  if (mode === "rn" || !(a > 0) || a === Infinity) return Math.sqrt(a);
  const x = exactOf(a);
  const odd = x.exponent % 2 !== 0;
  const n = x.mantissa << (odd ? 129n : 128n);
  const e = (x.exponent - (odd ? 129 : 128)) / 2;
  let root = BigInt(Math.floor(Math.sqrt(Number(n))));
  for (let i = 0; i < 64; i++) {
    const next = (root + n / root) >> 1n;
    if (next === root || next === root + 1n) break;
    root = next;
  }
  while (root * root > n) root -= 1n;
  while ((root + 1n) * (root + 1n) <= n) root += 1n;
  return roundExact(root, e, mode, root * root !== n);
}

/** Arithmetic of a format narrower than f64; operands are values of that format. */
export function addIn(format: Format, a: number, b: number, mode: Rounding): number {
  if (format === F32 && mode === "rn") return Math.fround(a + b);
  const sum = addOdd(a, b);
  if (sum === 0) return a === 0 && Object.is(a, b) ? a : zeroOf(mode);
  return roundTo(format, sum, mode);
}

export function mulIn(format: Format, a: number, b: number, mode: Rounding): number {
  return roundTo(format, a * b, mode);
}

/** The product of two narrow numbers is exact in a double; the sum is rounded to odd. */
export function fmaIn(format: Format, a: number, b: number, c: number, mode: Rounding): number {
  const product = a * b;
  const sum = addOdd(product, c);
  if (sum === 0) return product === 0 && Object.is(product, c) ? product : zeroOf(mode);
  return roundTo(format, sum, mode);
}

export function divIn(format: Format, a: number, b: number, mode: Rounding): number {
  if (mode === "rn") return roundTo(format, a / b, "rn");
  return roundTo(format, div64Odd(a, b), mode);
}

function div64Odd(a: number, b: number): number {
  const low = div64(a, b, "rm");
  const high = div64(a, b, "rp");
  return low === high ? low : (bitsOfF64(low) & 1n) === 1n ? low : high;
}

export function sqrtIn(format: Format, a: number, mode: Rounding): number {
  if (mode === "rn") return roundTo(format, Math.sqrt(a), "rn");
  const low = sqrt64(a, "rm");
  const high = sqrt64(a, "rp");
  return roundTo(format, low === high ? low : (bitsOfF64(low) & 1n) === 1n ? low : high, mode);
}

/** Flushes a denormal f32 to a zero of its sign. */
export function flush32(value: number): number {
  return Math.abs(value) < 2 ** -126 ? value * 0 : value;
}

export function f16OfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Bits of a value that is an f16 already. */
export function bitsOfF16(value: number): number {
  if (Number.isNaN(value)) return 0x7fff;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude === Infinity) return sign | 0x7c00;
  if (magnitude < 2 ** -14) return sign | Math.round(magnitude * 2 ** 24);
  const exponent = exponentOf(magnitude);
  return sign | ((exponent + 15) << 10) | (magnitude / 2 ** (exponent - 10) - 1024);
}

export function bf16OfBits(bits: number): number {
  return f32OfBits((bits & 0xffff) << 16);
}

export function bitsOfBf16(value: number): number {
  return Number.isNaN(value) ? 0x7fff : bitsOfF32(value) >>> 16;
}
