// SPDX-License-Identifier: Apache-2.0
/**
 * What the emitters of single instructions share: operands as WGSL expressions of a wanted kind,
 * results into registers whatever their representation, lines, and requests for helpers.
 *
 * Kinds of expression: `u` u32, `i` i32, `f` f32, `p` bool, `w` vec2u (low, high).
 */
import type { Place } from "./emit-memory.js";
import { PtxError, type PtxLimits } from "./error.js";
import type { FlatKernel, Inst, Value } from "./ir.js";
import { unsupported } from "./ir.js";
import { f32Bits, f64Value, numberBits } from "./parse-variable.js";
import type { Representation } from "./representation.js";
import type { SpaceMasks } from "./spaces.js";
import { F64, type Type } from "./types.js";

export interface EmitOptions {
  /** Segments of the context, each a storage binding. */
  readonly segments: number;
  readonly block: readonly [number, number, number];
  readonly dynamicSharedBytes: number;
  readonly f16: boolean;
  readonly subgroups: boolean;
  readonly subgroupSize: number;
  /** Check every access to global and shared memory. */
  readonly checked: boolean;
  readonly blockThreadsMax: number;
  readonly sharedBytesMax: number;
}

/** How the kernel's memories are declared, decided before emission. */
export interface MemoryPlan {
  readonly atomicHeap: boolean;
  readonly atomicShared: boolean;
}

/** Words of the uniform binding. */
export interface UniformPlan {
  readonly globalsAt: number;
  readonly segmentsAt: number;
  /** In checked kernels: of each segment the first range of memory in use, and their number. */
  readonly partsAt: number;
  /** Ranges of memory in use: start and end, by segment and start. */
  readonly rangesAt: number;
  readonly words: number;
}

export const hex = (value: number): string => `0x${(value >>> 0).toString(16)}u`;
export const num = (value: number): string => {
  const bits = value >>> 0;
  return bits < 65536 ? `${bits}u` : hex(bits);
};

const SIMPLE = /^[\w.]+$/;
/** An expression in parentheses unless it is a name or a call. */
export const par = (text: string): string =>
  SIMPLE.test(text) || /^\w+\([^()]*\)$/.test(text) ? text : `(${text})`;

export class Emit {
  lines: string[] = [];
  length = 0;
  readonly helpers = new Set<string>();
  private temporaries = 0;
  indent = "  ";
  /** Registers that are assigned once and read in the same list of statements only. */
  isLet: (reg: number) => boolean = () => false;
  inst: Inst | null = null;
  /** Whether the whole workgroup executes the current instruction together. */
  isUniform = true;

  constructor(
    readonly kernel: FlatKernel,
    readonly options: EmitOptions,
    readonly masks: SpaceMasks,
    readonly reps: readonly Representation[],
    readonly memory: MemoryPlan,
    readonly uniform: UniformPlan,
    private readonly limits: PtxLimits,
  ) {}

  private doubles = 0;

  /** Counts a call of an f64 function. */
  countDouble(): void {
    this.doubles += 1;
    const { doublesMax } = this.limits;
    if (this.doubles > doublesMax) throw this.fail(`exceeds ${doublesMax} copies of f64 functions`);
  }

  line(text: string): void {
    this.lines.push(this.indent + text);
    this.length += text.length + this.indent.length + 1;
    const { emittedLengthMax } = this.limits;
    if (this.length > emittedLengthMax) {
      const text = `the translation exceeds ${emittedLengthMax} characters`;
      throw new PtxError(text, this.kernel.line);
    }
  }

  /** Names a helper of helpers.ts, and so includes it. */
  use(helper: string): string {
    this.helpers.add(helper);
    return helper;
  }

  /** Whether constants must not be seen as such: all operands of the instruction are. */
  isOpaque = false;
  /** In a masked meeting: the lanes of the warp that take part, as an expression. */
  lanes: string | null = null;
  /** In the state machine: whether the thread of an index is at the same meeting. */
  meets: ((index: string) => string) | null = null;
  /** Whether the instruction's result must be kept from reassociation (numerics.ts). */
  isProtected: (inst: Inst) => boolean = () => false;
  /** Whether global memory that was written before the barrier may be read after it. */
  needsStorageBarrier: (inst: Inst) => boolean = () => true;
  /** The constant that the value always is. */
  constantOf: (value: Value) => (Value & { kind: "imm" }) | null = (value) =>
    value.kind === "imm" ? value : null;
  /** Types that have files of their own: f16, bf16, f64. */
  compareOther: (op: string, type: Type, a: Value, b: Value) => string = () => {
    throw this.fail();
  };
  /** The bytes of a printf's format, if they are known. */
  formatOf: (value: Value) => Uint8Array | null = () => null;
  convertOther: (inst: Inst, to: Type, from: Type) => boolean = () => false;
  atomic64: (inst: Inst, op: string, place: Place, address: string) => void = () => {
    throw this.fail();
  };

  fail(why?: string): PtxError {
    return this.inst === null ? new PtxError(why ?? "") : unsupported(this.inst, why);
  }

  temporary(): string {
    this.temporaries += 1;
    return `t${this.temporaries}`;
  }

  /** A fresh name for the expression, so that it is evaluated once. */
  bind(expression: string): string {
    if (/^[a-z]\w*$/.test(expression)) return expression;
    const name = this.temporary();
    this.line(`let ${name} = ${expression};`);
    return name;
  }

  rep(reg: number): Representation {
    return this.reps[reg] ?? "u32";
  }

  name(reg: number): string {
    return `r${reg}`;
  }

  /** The immediate's low word; a floating-point constant as bits of the width. */
  immediate(value: bigint, float: 0 | 32 | 64, width: number): bigint {
    if (float === 64 && width === 32) return BigInt(f32Bits(f64Value(value)));
    return BigInt.asUintN(64, value);
  }

  special: (name: string) => string = (name) => {
    throw new PtxError(`${name} is not supported`, this.inst?.line ?? 0, null, name);
  };

  u(value: Value): string {
    switch (value.kind) {
      case "imm": {
        const text = num(Number(this.immediate(value.value, value.float, 32) & 0xffffffffn));
        // Constant expressions that overflow or divide by zero are errors in WGSL.
        return this.isOpaque ? `(${text} | ${this.zero()})` : text;
      }
      case "special":
        return this.special(value.name);
      case "addr":
        return this.addressLow(value.space, value.symbol, value.offset);
      case "reg":
        switch (this.rep(value.reg)) {
          case "f32":
            return `bitcast<u32>(${this.name(value.reg)})`;
          case "wide":
            return `${this.name(value.reg)}.x`;
          case "bool":
            return `u32(${this.name(value.reg)})`;
          default:
            return this.name(value.reg);
        }
      default:
        throw this.fail("has an operand that is not supported");
    }
  }

  i(value: Value): string {
    if (value.kind === "imm" && !this.isOpaque) {
      const signed = Number(BigInt.asIntN(32, this.immediate(value.value, value.float, 32)));
      return signed === -2147483648
        ? "(-2147483647i - 1i)"
        : signed < 0
          ? `(${signed}i)`
          : `${signed}i`;
    }
    return `bitcast<i32>(${this.u(value)})`;
  }

  f(value: Value): string {
    if (value.kind === "imm") {
      const bits = Number(this.immediate(value.value, value.float === 0 ? 0 : value.float, 32));
      return this.floatConstant(bits);
    }
    if (value.kind === "reg" && this.rep(value.reg) === "f32") return this.name(value.reg);
    return `bitcast<f32>(${this.u(value)})`;
  }

  /** Tint refuses constants that are not finite, so those come from a run-time zero. */
  floatConstant(bits: number): string {
    const exponent = (bits >>> 23) & 255;
    const isZero = (bits & 0x7fffffff) === 0;
    if (exponent === 255 || (exponent === 0 && !isZero) || bits >>> 0 === 0x80000000) {
      return `bitcast<f32>(${hex(bits)} | ${this.zero()})`;
    }
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, bits);
    const value = view.getFloat32(0);
    const text = String(value);
    return value < 0 ? `(${text}f)` : `${text}f`;
  }

  /** A zero that no compiler can know. */
  zero(): string {
    this.helpers.add("zero");
    return "rz";
  }

  p(value: Value): string {
    if (value.kind === "reg") {
      const name = this.name(value.reg);
      const text = this.rep(value.reg) === "bool" ? name : `(${this.u(value)} != 0u)`;
      return value.negated ? `!${text}` : text;
    }
    if (value.kind === "imm") return value.value === 0n ? "false" : "true";
    throw this.fail("has an operand that is no predicate");
  }

  /** 64 bits as vec2u. */
  w(value: Value): string {
    switch (value.kind) {
      case "imm": {
        const bits = this.immediate(value.value, value.float, 64);
        const low = Number(bits & 0xffffffffn);
        return `vec2u(${num(low)}, ${num(Number(bits >> 32n))})`;
      }
      case "reg":
        if (this.rep(value.reg) === "wide") return this.name(value.reg);
        return `vec2u(${this.u(value)}, 0u)`;
      case "addr":
        if (value.space !== "global") return `vec2u(${this.u(value)}, 0u)`;
        return `vec2u(${this.u(value)}, ${this.word(this.uniform.globalsAt + value.symbol * 2 + 1)})`;
      case "special":
        return this.wideSpecial(value.name);
      default:
        throw this.fail("has an operand that is not supported");
    }
  }

  /** An f64 operand; constants of f32 are widened. */
  double(value: Value): string {
    if (value.kind === "imm" && value.float === 32) {
      const bits = numberBits({ value: value.value, float: 32 }, F64);
      return this.w({ ...value, value: bits, float: 64 });
    }
    return this.w(value);
  }

  wideSpecial(name: string): string {
    if (name === "%clock64" || name === "%globaltimer") return `vec2u(${this.special(name)}, 0u)`;
    return `vec2u(${this.special(name)}, 0u)`;
  }

  /** A word of the uniform binding. */
  word(index: number): string {
    return `cb[${index >> 2}].${"xyzw"[index & 3]}`;
  }

  addressLow(space: string, symbol: number, offset: number): string {
    if (space === "global") {
      const base = this.word(this.uniform.globalsAt + symbol * 2);
      return offset === 0 ? base : `${base} + ${num(offset)}`;
    }
    // Dynamic shared memory lies behind the static variables.
    const from = space === "shared" && symbol === 0 ? this.kernel.dynamicSharedAt : 0;
    return num(from + offset);
  }

  private assign(reg: number, text: string): void {
    const keyword = this.isLet(reg) ? "let " : "";
    this.line(`${keyword}${this.name(reg)} = ${text};`);
  }

  private target(value: Value | undefined): number | null {
    if (value === undefined || value.kind === "none") return null;
    if (value.kind !== "reg") throw this.fail("has a result that is no register");
    return value.reg;
  }

  setU(value: Value | undefined, text: string): void {
    const reg = this.target(value);
    if (reg === null) return;
    const rep = this.rep(reg);
    if (rep === "f32") this.assign(reg, `bitcast<f32>(${text})`);
    else if (rep === "wide") this.assign(reg, `vec2u(${text}, 0u)`);
    else if (rep === "bool") this.assign(reg, `(${text}) != 0u`);
    else this.assign(reg, text);
  }

  setI(value: Value | undefined, text: string): void {
    this.setU(value, `bitcast<u32>(${text})`);
  }

  setF(value: Value | undefined, text: string): void {
    const reg = this.target(value);
    if (reg === null) return;
    if (this.rep(reg) === "f32") this.assign(reg, text);
    else this.setU(value, `bitcast<u32>(${text})`);
  }

  setP(value: Value | undefined, text: string): void {
    const reg = this.target(value);
    if (reg === null) return;
    if (this.rep(reg) === "bool") this.assign(reg, text);
    else this.setU(value, `select(0u, 1u, ${text})`);
  }

  /** 64 bits; the low word alone where nothing needs the other. */
  setW(value: Value | undefined, text: string): void {
    const reg = this.target(value);
    if (reg === null) return;
    if (this.rep(reg) === "wide") this.assign(reg, text);
    else this.setU(value, `${par(text)}.x`);
  }

  /** An i32 expression into a register of any width, its sign extended to that. */
  setSigned(value: Value | undefined, text: string): void {
    const width = value?.kind === "reg" ? this.width(value.reg) : 32;
    if (width > 32 && !this.isNarrow(value)) this.setW(value, `${this.use("sx")}(${text})`);
    else if (width >= 32) this.setU(value, `bitcast<u32>(${text})`);
    else this.setU(value, `bitcast<u32>(${text}) & ${width === 8 ? "0xffu" : "0xffffu"}`);
  }

  /** Whether a 64-bit result is kept as its low word. */
  isNarrow(value: Value | undefined): boolean {
    return value?.kind !== "reg" || this.rep(value.reg) !== "wide";
  }

  /** The value of a type of at most 32 bits as u32, of the type's width. */
  unsigned(value: Value, type: Type): string {
    if (type.bits >= 32 || type.lanes === 2) return this.u(value);
    if (value.kind === "imm") {
      const bits = this.immediate(value.value, value.float, type.bits);
      return num(Number(BigInt.asUintN(type.bits, bits)));
    }
    const text = this.u(value);
    // Registers of 16 bits keep zeros above; wider ones may hold more than the type.
    const isOwn = value.kind === "reg" && this.width(value.reg) <= type.bits;
    return isOwn ? text : `(${text} & ${type.bits === 8 ? "0xffu" : "0xffffu"})`;
  }

  /** The same as i32, its sign extended. */
  signed(value: Value, type: Type): string {
    if (type.bits >= 32) return this.i(value);
    if (value.kind === "imm")
      return `${BigInt.asIntN(type.bits, value.value)}i`.replace(/^-(.*)$/, "(-$1)");
    const shift = 32 - type.bits;
    return `(bitcast<i32>(${this.u(value)} << ${shift}u) >> ${shift}u)`;
  }

  width(reg: number): number {
    const type = this.kernel.registers[reg]?.type;
    return type === undefined ? 32 : type.bits * type.lanes;
  }

  /** Stores an integer result of a type of at most 32 bits, cut to the type's width. */
  setInt(value: Value | undefined, type: Type, text: string): void {
    if (type.bits >= 32 || type.lanes === 2) this.setU(value, text);
    else this.setU(value, `${par(text)} & ${type.bits === 8 ? "0xffu" : "0xffffu"}`);
  }
}

export type Handler = (e: Emit, inst: Inst) => void;

/** The operand; a PTX error if the instruction has too few. */
export function arg(e: Emit, inst: Inst, index: number): Value {
  const value = inst.src[index];
  if (value === undefined) throw e.fail(`lacks operand ${index + inst.dst.length + 1}`);
  return value;
}

export function typeOf(e: Emit, inst: Inst, index = 0): Type {
  const type = inst.types[index];
  if (type === undefined) throw e.fail("names no type");
  return type;
}
