// SPDX-License-Identifier: Apache-2.0
/** Operands of PTX instructions as closures that read or write one frame of the register file. */
import type { Machine, Triple } from "./machine.js";
import {
  BF16,
  bf16OfBits,
  bitsOfBf16,
  bitsOfF16,
  F16,
  f16OfBits,
  f32OfBits,
  f64OfBits,
  roundTo,
} from "./numerics.js";
import type { Instruction, Scope, Variable } from "./parse.js";

/** Reads a value from the frame that begins at slot `b`. */
export type Get<T> = (b: number) => T;
export type Put<T> = (b: number, value: T) => void;

export function lookUp<T>(scope: Scope, find: (s: Scope) => T | undefined): T | undefined {
  for (let s: Scope | null = scope; s !== null; s = s.parent) {
    const found = find(s);
    if (found !== undefined) return found;
  }
  return undefined;
}

export const slotOf = (scope: Scope, name: string): number | undefined =>
  lookUp(scope, (s) => s.registers.get(name))?.slot;

export const variableOf = (scope: Scope, name: string): Variable | undefined =>
  lookUp(scope, (s) => s.variables.get(name));

function specialTriple(m: Machine, name: string): Triple | null {
  switch (name) {
    case "%tid":
      return m.thread.id;
    case "%ntid":
      return m.geometry.block;
    case "%ctaid":
      return m.blockId;
    case "%nctaid":
      return m.geometry.grid;
    default:
      return null;
  }
}

function linear(at: Triple, size: Triple): number {
  return at[0] + size[0] * (at[1] + size[1] * at[2]);
}

/** A special register's value at this moment; null if there is none of the name. */
function special(m: Machine, name: string): bigint | null {
  const axis = /^(%\w+)\.([xyz])$/.exec(name);
  if (axis !== null) {
    const triple = specialTriple(m, axis[1] ?? "");
    return triple === null ? null : BigInt(triple["xyz".indexOf(axis[2] ?? "x")] ?? 0);
  }
  const lane = BigInt(m.thread.lane);
  const all = 0xffff_ffffn;
  switch (name) {
    case "%laneid":
      return lane;
    case "%warpid":
      return BigInt(m.thread.warp);
    case "%nwarpid":
      return BigInt(
        Math.ceil((m.geometry.block[0] * m.geometry.block[1] * m.geometry.block[2]) / 32),
      );
    case "%lanemask_eq":
      return 1n << lane;
    case "%lanemask_lt":
      return (1n << lane) - 1n;
    case "%lanemask_le":
      return (2n << lane) - 1n;
    case "%lanemask_gt":
      return all & ~((2n << lane) - 1n);
    case "%lanemask_ge":
      return all & ~((1n << lane) - 1n);
    case "%clock":
    case "%clock64":
    case "%globaltimer":
    case "%globaltimer_lo":
      m.clock += 1;
      return BigInt(m.clock);
    case "%dynamic_smem_size":
      return BigInt(m.dynamicShared);
    case "%total_smem_size":
      return BigInt(m.shared.byteLength);
    case "%smid":
    case "%gridid":
      return 0n;
    case "%nsmid":
      return 1n;
    case "%ctarank":
      return BigInt(linear(m.blockId, m.geometry.grid));
    case "WARP_SZ":
      return 32n;
    default:
      return null;
  }
}

/** A constant's value: an integer, or the bits of a float literal with its kind. */
export function literal(text: string): { bits: bigint; float: number | null } | null {
  const hexFloat = /^(-?)0([fFdD])([0-9a-fA-F]+)$/.exec(text);
  if (hexFloat !== null) {
    const bits = BigInt(`0x${hexFloat[3]}`);
    const single = hexFloat[2]?.toLowerCase() === "f";
    const value = single ? f32OfBits(Number(bits)) : f64OfBits(bits);
    return { bits, float: hexFloat[1] === "-" ? -value : value };
  }
  if (/^-?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?$/.test(text) && /[.eE]/.test(text)) {
    return { bits: 0n, float: Number(text) };
  }
  const integer = /^(-?|~)\s*(0[xX][0-9a-fA-F]+|0[bB][01]+|\d+)U?$/.exec(text);
  if (integer === null) return null;
  const digits = integer[2] ?? "0";
  const octal = /^0[0-7]+$/.test(digits);
  const value = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  const signed = integer[1] === "-" ? -value : integer[1] === "~" ? ~value : value;
  return { bits: BigInt.asUintN(64, signed), float: null };
}

export class Operands {
  constructor(
    readonly m: Machine,
    readonly at: Instruction,
  ) {}

  fail(why: string): never {
    throw new Error(`line ${this.at.line}: ${why}: ${this.at.text}`);
  }

  text(index: number): string {
    return this.at.operands[index] ?? this.fail(`operand ${index} is missing`);
  }

  slot(text: string): number | undefined {
    return slotOf(this.at.scope, text);
  }

  /** The address of a variable, or the value of a literal or special register. */
  #constant(text: string): Get<bigint> {
    const number = literal(text);
    if (number !== null) return () => number.bits;
    const sum = /^([\w$%]+)\s*\+\s*(-?\w+)$/.exec(text);
    if (sum !== null) {
      const base = this.#constant(sum[1] ?? "");
      const offset = BigInt(sum[2] ?? "0");
      return (b) => base(b) + offset;
    }
    const frame = this.slot(`&${text}`);
    if (frame !== undefined) return (b) => BigInt((b + frame) * 8);
    const symbol = this.m.symbols.get(text);
    if (symbol !== undefined) return () => symbol;
    if (special(this.m, text) === null) this.fail(`"${text}" is not known`);
    return () => special(this.m, text) ?? 0n;
  }

  u64(text: string): Get<bigint> {
    const slot = this.slot(text);
    const { u64 } = this.m;
    return slot === undefined ? this.#constant(text) : (b) => u64[b + slot] ?? 0n;
  }

  s64(text: string): Get<bigint> {
    const slot = this.slot(text);
    const { i64 } = this.m;
    if (slot !== undefined) return (b) => i64[b + slot] ?? 0n;
    const value = this.#constant(text);
    return (b) => BigInt.asIntN(64, value(b));
  }

  u32(text: string): Get<number> {
    const negated = text.startsWith("!");
    const slot = this.slot(negated ? text.slice(1) : text);
    const { u32 } = this.m;
    if (slot !== undefined) {
      return negated ? (b) => (u32[(b + slot) * 2] === 0 ? 1 : 0) : (b) => u32[(b + slot) * 2] ?? 0;
    }
    const number = literal(text);
    if (number !== null) {
      const value = Number(BigInt.asUintN(32, number.bits));
      return () => value;
    }
    const value = this.#constant(text);
    return (b) => Number(BigInt.asUintN(32, value(b)));
  }

  s32(text: string): Get<number> {
    const value = this.u32(text);
    return (b) => value(b) | 0;
  }

  f32(text: string): Get<number> {
    const slot = this.slot(text);
    const { f32 } = this.m;
    if (slot !== undefined) return (b) => f32[(b + slot) * 2] ?? 0;
    const number = literal(text);
    if (number === null) this.fail(`"${text}" is no f32`);
    const value =
      number.float === null ? f32OfBits(Number(number.bits)) : Math.fround(number.float);
    return () => value;
  }

  f64(text: string): Get<number> {
    const slot = this.slot(text);
    const { f64 } = this.m;
    if (slot !== undefined) return (b) => f64[b + slot] ?? 0;
    const number = literal(text);
    if (number === null) this.fail(`"${text}" is no f64`);
    const value = number.float ?? f64OfBits(number.bits);
    return () => value;
  }

  /** An integer of the type as a Number (up to 32 bits). */
  int(type: string, text: string): Get<number> {
    const value = this.u32(text);
    switch (type) {
      case "u8":
      case "b8":
        return (b) => value(b) & 0xff;
      case "s8":
        return (b) => (value(b) << 24) >> 24;
      case "u16":
      case "b16":
        return (b) => value(b) & 0xffff;
      case "s16":
        return (b) => (value(b) << 16) >> 16;
      case "s32":
        return (b) => value(b) | 0;
      case "pred":
      case "u32":
      case "b32":
        return value;
      default:
        return this.fail(`${type} is no integer of up to 32 bits`);
    }
  }

  /** A float of the type; f16 and bf16 too. */
  float(type: string, text: string): Get<number> {
    if (type === "f32") return this.f32(text);
    if (type === "f64") return this.f64(text);
    const bits = this.u32(text);
    if (type === "f16") return (b) => f16OfBits(bits(b) & 0xffff);
    if (type === "bf16") return (b) => bf16OfBits(bits(b) & 0xffff);
    return this.fail(`${type} is no float`);
  }

  pred(text: string): Get<boolean> {
    const value = this.u32(text);
    return (b) => value(b) !== 0;
  }

  #destination(text: string): number | null {
    if (text === "_") return null;
    return this.slot(text) ?? this.fail(`"${text}" is no register`);
  }

  setU64(text: string): Put<bigint> {
    const slot = this.#destination(text);
    const { u64 } = this.m;
    return slot === null
      ? () => {}
      : (b, value) => {
          u64[b + slot] = value;
        };
  }

  /** Writes an integer, extended to the whole register as its type says. */
  setInt(type: string, text: string): Put<number> {
    const slot = this.#destination(text);
    const { u32, i32 } = this.m;
    if (slot === null) return () => {};
    switch (type) {
      case "u8":
      case "b8":
      case "u16":
      case "b16": {
        const mask = type.endsWith("8") ? 0xff : 0xffff;
        return (b, value) => {
          u32[(b + slot) * 2] = value & mask;
          u32[(b + slot) * 2 + 1] = 0;
        };
      }
      case "s8":
      case "s16": {
        const shift = type === "s8" ? 24 : 16;
        return (b, value) => {
          const extended = (value << shift) >> shift;
          i32[(b + slot) * 2] = extended;
          i32[(b + slot) * 2 + 1] = extended >> 31;
        };
      }
      case "s32":
        return (b, value) => {
          i32[(b + slot) * 2] = value;
          i32[(b + slot) * 2 + 1] = value >> 31;
        };
      default:
        return (b, value) => {
          u32[(b + slot) * 2] = value;
          u32[(b + slot) * 2 + 1] = 0;
        };
    }
  }

  setPred(text: string): Put<boolean> {
    const set = this.setInt("u32", text);
    return (b, value) => set(b, value ? 1 : 0);
  }

  /** Writes a float that has its type's precision already; every NaN is the canonical one. */
  setFloat(type: string, text: string): Put<number> {
    const slot = this.#destination(text);
    const { u32, f32, f64, u64 } = this.m;
    if (slot === null) return () => {};
    switch (type) {
      case "f64":
        return (b, value) => {
          if (Number.isNaN(value)) u64[b + slot] = 0x7fff_ffff_ffff_ffffn;
          else f64[b + slot] = value;
        };
      case "f32":
        return (b, value) => {
          if (Number.isNaN(value)) u32[(b + slot) * 2] = 0x7fff_ffff;
          else f32[(b + slot) * 2] = value;
        };
      case "f16":
        return (b, value) => {
          u32[(b + slot) * 2] = bitsOfF16(roundTo(F16, value));
        };
      case "bf16":
        return (b, value) => {
          u32[(b + slot) * 2] = bitsOfBf16(roundTo(BF16, value));
        };
      default:
        return this.fail(`${type} is no float`);
    }
  }

  /** Elements of `{a, b}`, or the operand alone. */
  elements(text: string): string[] {
    if (!text.startsWith("{")) return [text];
    return text
      .slice(1, -1)
      .split(",")
      .map((part) => part.trim());
  }

  /** `[register+offset]` or `[symbol+offset]` as a number: upper half × 2^32 + lower half. */
  address(text: string, space: string): Get<number> {
    const match = /^\[\s*([\w$%]+)\s*(?:\+\s*(-?\s*\w+))?\s*\]$/.exec(text);
    if (match === null) this.fail(`"${text}" is no address`);
    const offset = Number(match[2]?.replace(/\s/g, "") ?? 0);
    const base = match[1] ?? "";
    const slot = this.slot(base);
    if (slot === undefined) {
      const fixed = this.u64(base);
      return (b) => Number(fixed(b)) + offset;
    }
    const { u32 } = this.m;
    const narrow = space === "shared" || space === "local" || space === "param";
    if (narrow) return (b) => ((u32[(b + slot) * 2] ?? 0) + offset) >>> 0;
    return (b) => {
      const i = (b + slot) * 2;
      return (u32[i + 1] ?? 0) * 2 ** 32 + (u32[i] ?? 0) + offset;
    };
  }
}
