// SPDX-License-Identifier: Apache-2.0
/** Loads, stores, moves, address conversions and atomics of the PTX interpreter. */
import { bitsReader } from "./floats.js";
import type { Run } from "./integers.js";
import { LOCAL_WINDOW, type Machine, PtxFault, SHARED_WINDOW } from "./machine.js";
import { addIn, BF16, bf16OfBits, bitsOfBf16, bitsOfF16, F16, f16OfBits } from "./numerics.js";
import type { Get, Operands, Put } from "./operands.js";
import { widthOf } from "./parse.js";

const SPACES = ["global", "shared", "local", "const", "param"];

/** The state space of an access; the parts of a qualified one such as shared::cta count too. */
export function spaceOf(mods: readonly string[]): string {
  for (const mod of mods) {
    const name = mod.split("::")[0] ?? "";
    if (SPACES.includes(name)) return name;
  }
  return "generic";
}

/** Points the machine at an access of an address as `Operands.address` gives it. */
export function locate(m: Machine, space: string, address: number, bytes: number): void {
  const high = Math.floor(address / 2 ** 32);
  m.resolve(space, high, address - high * 2 ** 32, bytes, bytes);
}

function reader(o: Operands, type: string, into: string): (b: number, offset: number) => void {
  const { m } = o;
  if (type.endsWith("64")) {
    const set = o.setU64(into);
    return (b, offset) => set(b, m.view.getBigUint64(m.at + offset, true));
  }
  const set = o.setInt(type, into);
  switch (type) {
    case "u8":
    case "b8":
      return (b, offset) => set(b, m.view.getUint8(m.at + offset));
    case "s8":
      return (b, offset) => set(b, m.view.getInt8(m.at + offset));
    case "u16":
    case "b16":
    case "f16":
    case "bf16":
      return (b, offset) => set(b, m.view.getUint16(m.at + offset, true));
    case "s16":
      return (b, offset) => set(b, m.view.getInt16(m.at + offset, true));
    case "s32":
      return (b, offset) => set(b, m.view.getInt32(m.at + offset, true));
    default:
      return (b, offset) => set(b, m.view.getUint32(m.at + offset, true));
  }
}

function load(o: Operands): Run {
  const { m } = o;
  const { mods } = o.at;
  const type = mods[mods.length - 1] ?? "b32";
  const space = spaceOf(mods);
  const width = widthOf(type);
  const reads = o.elements(o.text(0)).map((into) => reader(o, type, into));
  const address = o.address(o.text(1), space);
  const bytes = width * reads.length;
  return (b) => {
    locate(m, space, address(b), bytes);
    for (let i = 0; i < reads.length; i++) reads[i]?.(b, i * width);
  };
}

function store(o: Operands): Run {
  const { m } = o;
  const { mods } = o.at;
  const type = mods[mods.length - 1] ?? "b32";
  const space = spaceOf(mods);
  const width = widthOf(type);
  const address = o.address(o.text(0), space);
  const values = o.elements(o.text(1)).map((text) => bitsReader(o, type, text));
  const bytes = width * values.length;
  return (b) => {
    const list = values.map((value) => value(b));
    locate(m, space, address(b), bytes);
    list.forEach((value, i) => {
      writeBits(m.view, m.at + i * width, width, value);
    });
  };
}

function writeBits(view: DataView, at: number, width: number, value: bigint): void {
  if (width === 8) view.setBigUint64(at, value, true);
  else if (width === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
  else if (width === 2) view.setUint16(at, Number(BigInt.asUintN(16, value)), true);
  else view.setUint8(at, Number(BigInt.asUintN(8, value)));
}

function readBits(view: DataView, at: number, width: number): bigint {
  if (width === 8) return view.getBigUint64(at, true);
  if (width === 4) return BigInt(view.getUint32(at, true));
  return width === 2 ? BigInt(view.getUint16(at, true)) : BigInt(view.getUint8(at));
}

/** mov, and its forms that pack and unpack a vector of halves. */
function move(o: Operands): Run {
  const type = o.at.mods[o.at.mods.length - 1] ?? "b32";
  const [into, from] = [o.text(0), o.text(1)];
  const width = BigInt(widthOf(type) * 8);
  if (from.startsWith("{")) {
    const parts = o.elements(from).map((text) => o.u64(text));
    const each = width / BigInt(parts.length);
    const mask = (1n << each) - 1n;
    const set = o.setU64(into);
    return (b) => {
      set(
        b,
        parts.reduce((sum, part, i) => sum | ((part(b) & mask) << (BigInt(i) * each)), 0n),
      );
    };
  }
  if (into.startsWith("{")) {
    const value = o.u64(from);
    const parts = o.elements(into).map((text) => o.setU64(text));
    const each = width / BigInt(parts.length);
    const mask = (1n << each) - 1n;
    return (b) => {
      const whole = value(b);
      parts.forEach((set, i) => {
        set(b, (whole >> (BigInt(i) * each)) & mask);
      });
    };
  }
  if (type === "b64" || type === "u64" || type === "s64" || type === "f64") {
    const [value, set] = [bitsReader(o, type, from), o.setU64(into)];
    return (b) => set(b, value(b));
  }
  if (type === "f32") {
    const [value, set] = [bitsReader(o, type, from), o.setU64(into)];
    return (b) => set(b, value(b) & 0xffff_ffffn);
  }
  const [value, set] = [o.u32(from), o.setInt(type === "pred" ? "u32" : type, into)];
  return (b) => set(b, value(b));
}

/** cvta: between a space's own addresses and generic ones. */
function convertAddress(o: Operands): Run {
  const { mods } = o.at;
  const space = spaceOf(mods);
  const [value, set] = [o.u64(o.text(1)), o.setU64(o.text(0))];
  const window = space === "shared" ? SHARED_WINDOW : LOCAL_WINDOW;
  if (space === "global" || space === "const") return (b) => set(b, value(b));
  if (mods.includes("to")) return (b) => set(b, value(b) & 0xffff_ffffn);
  return (b) => set(b, (value(b) & 0xffff_ffffn) | (BigInt(window) << 32n));
}

function isSpace(o: Operands): Run {
  const space = spaceOf(o.at.mods);
  const [value, set] = [o.u64(o.text(1)), o.setPred(o.text(0))];
  return (b) => {
    const high = Number(value(b) >> 32n);
    const found = high === SHARED_WINDOW ? "shared" : high === LOCAL_WINDOW ? "local" : "global";
    set(b, found === space);
  };
}

type Combine = (old: bigint, a: bigint, b: bigint) => bigint;

const scratch = new DataView(new ArrayBuffer(8));

function floatAdd(type: string): Combine {
  if (type === "f64") {
    return (old, a) => {
      scratch.setBigUint64(0, old);
      const x = scratch.getFloat64(0);
      scratch.setBigUint64(0, a);
      scratch.setFloat64(0, x + scratch.getFloat64(0));
      return scratch.getBigUint64(0);
    };
  }
  if (type === "f32") {
    return (old, a) => {
      scratch.setUint32(0, Number(old));
      const x = scratch.getFloat32(0);
      scratch.setUint32(0, Number(a & 0xffff_ffffn));
      scratch.setFloat32(0, Math.fround(x + scratch.getFloat32(0)));
      return BigInt(scratch.getUint32(0));
    };
  }
  const bf = type.startsWith("bf");
  const half = (x: number, y: number): number =>
    bf
      ? bitsOfBf16(addIn(BF16, bf16OfBits(x), bf16OfBits(y), "rn"))
      : bitsOfF16(addIn(F16, f16OfBits(x), f16OfBits(y), "rn"));
  return (old, a) => {
    const low = half(Number(old & 0xffffn), Number(a & 0xffffn));
    if (!type.endsWith("x2")) return BigInt(low);
    const high = half(Number((old >> 16n) & 0xffffn), Number((a >> 16n) & 0xffffn));
    return BigInt(low) | (BigInt(high) << 16n);
  };
}

function combineOf(op: string, type: string, o: Operands): Combine {
  const bits = widthOf(type) * 8;
  const typed = (v: bigint): bigint =>
    type.startsWith("s") ? BigInt.asIntN(bits, v) : BigInt.asUintN(bits, v);
  switch (op) {
    case "add":
      return /^b?f/.test(type) ? floatAdd(type) : (old, a) => old + a;
    case "exch":
      return (_old, a) => a;
    case "cas":
      return (old, a, b) => (old === BigInt.asUintN(bits, a) ? b : old);
    case "min":
      return (old, a) => (typed(old) < typed(a) ? old : a);
    case "max":
      return (old, a) => (typed(old) > typed(a) ? old : a);
    case "and":
      return (old, a) => old & a;
    case "or":
      return (old, a) => old | a;
    case "xor":
      return (old, a) => old ^ a;
    case "inc":
      return (old, a) => (old >= typed(a) ? 0n : old + 1n);
    case "dec":
      return (old, a) => (old === 0n || old > typed(a) ? a : old - 1n);
    default:
      return o.fail(`the atomic operation "${op}" is not known`);
  }
}

/** One block runs at a time and one thread of it, so an atomic is a load and a store. */
function atomic(o: Operands): Run {
  const { m } = o;
  const { op, mods } = o.at;
  const type = mods[mods.length - 1] ?? "u32";
  const space = spaceOf(mods);
  const width = widthOf(type);
  const name = mods.find((x) => /^(add|exch|cas|min|max|and|or|xor|inc|dec)$/.test(x)) ?? "";
  const combine = combineOf(name, type, o);
  const first = op === "atom" ? 1 : 0;
  const address = o.address(o.text(first), space);
  const x = bitsReader(o, type, o.text(first + 1));
  const y = name === "cas" ? bitsReader(o, type, o.text(first + 2)) : () => 0n;
  const set: Put<bigint> = op === "atom" ? o.setU64(o.text(0)) : () => {};
  return (b) => {
    const [p, q] = [x(b), y(b)];
    locate(m, space, address(b), width);
    const old = readBits(m.view, m.at, width);
    writeBits(m.view, m.at, width, combine(old, p, q));
    set(b, old);
  };
}

/** cp.async is a copy that is done at once; its groups have nothing to wait for. */
function asyncCopy(o: Operands): Run {
  const { m } = o;
  const { mods } = o.at;
  if (!mods.includes("global")) return () => {};
  const [to, from] = [o.address(o.text(0), "shared"), o.address(o.text(1), "global")];
  const size = Number(o.text(2));
  const given = o.at.operands[3];
  const count: Get<number> = given === undefined ? () => size : o.u32(given);
  return (b) => {
    const bytes = new Uint8Array(size);
    const n = Math.min(count(b), size);
    if (n > 0) {
      locate(m, "global", from(b), size);
      bytes.set(new Uint8Array(m.view.buffer, m.view.byteOffset + m.at, n));
    }
    locate(m, "shared", to(b), size);
    bytes.forEach((byte, i) => {
      m.view.setUint8(m.at + i, byte);
    });
  };
}

export function memoryRun(o: Operands): Run | null {
  switch (o.at.op) {
    case "ld":
    case "ldu":
      return load(o);
    case "st":
      return store(o);
    case "mov":
      return move(o);
    case "cvta":
      return convertAddress(o);
    case "isspacep":
      return isSpace(o);
    case "atom":
    case "red":
      return atomic(o);
    case "cp":
      return asyncCopy(o);
    case "membar":
    case "fence":
    case "prefetch":
    case "prefetchu":
    case "nanosleep":
    case "pmevent":
    case "discard":
    case "applypriority":
      return () => {};
    case "trap":
      return () => {
        throw new PtxFault("trap", `line ${o.at.line}: trap`);
      };
    default:
      return null;
  }
}
