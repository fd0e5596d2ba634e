// SPDX-License-Identifier: Apache-2.0
/** f64 through the software functions of helpers-double.ts. */
import { arg, type Emit, type Handler, par } from "./emit-context.js";
import { asFloat, setFloat } from "./emit-convert.js";
import { hasMod, type Inst, type Value } from "./ir.js";
import type { Type } from "./types.js";

const isDouble = (type: Type): boolean => type.kind === "f" && type.bits === 64;
const ONE = "vec2u(0u, 0x3ff00000u)";

/** Only rounding to nearest even is there. */
function checkRounding(e: Emit, inst: Inst): void {
  if (["rz", "rm", "rp"].some((mod) => hasMod(inst, mod))) throw e.fail();
}

const source = (e: Emit, inst: Inst, index: number): string => e.double(arg(e, inst, index));

const negated = (text: string): string => `(${par(text)} ^ vec2u(0u, 0x80000000u))`;

/** An operation that is one call of a long function. */
export interface DoubleOperation {
  readonly helper: string;
  readonly operands: (e: Emit, inst: Inst) => string[];
}

function operands(e: Emit, inst: Inst): string[] {
  checkRounding(e, inst);
  return inst.src.map((_, i) => source(e, inst, i));
}

const OPERATIONS: Readonly<Record<string, DoubleOperation>> = {
  add: { helper: "dadd", operands },
  sub: {
    helper: "dadd",
    operands: (e, inst) => {
      checkRounding(e, inst);
      return [source(e, inst, 0), negated(source(e, inst, 1))];
    },
  },
  mul: { helper: "dmul", operands },
  fma: { helper: "dfma", operands },
  mad: { helper: "dfma", operands },
  div: { helper: "ddiv", operands },
  sqrt: { helper: "dsqrt", operands },
};

/** How the instruction calls one of the long functions; null if it does not. */
export function doubleOperation(inst: Inst): DoubleOperation | null {
  const type = inst.types[0];
  if (type === undefined || !isDouble(type) || !Object.hasOwn(OPERATIONS, inst.op)) return null;
  return OPERATIONS[inst.op] ?? null;
}

const operate: Handler = (e, inst) => {
  const operation = doubleOperation(inst);
  if (operation === null) throw e.fail();
  e.countDouble();
  const args = operation.operands(e, inst);
  e.setW(inst.dst[0], `${e.use(operation.helper)}(${args.join(", ")})`);
};

function call(helper: string): Handler {
  return (e, inst) => {
    e.countDouble();
    e.setW(inst.dst[0], `${e.use(helper)}(${operands(e, inst).join(", ")})`);
  };
}

export const DOUBLE_HANDLERS: Readonly<Record<string, Handler>> = {
  add: operate,
  sub: operate,
  mul: operate,
  fma: operate,
  mad: operate,
  div: operate,
  sqrt: operate,
  // The approximations are seeds of Newton's method; exact ones do.
  rcp: (e, inst) => {
    checkRounding(e, inst);
    e.setW(inst.dst[0], `${e.use("ddiv")}(${ONE}, ${source(e, inst, 0)})`);
  },
  rsqrt: (e, inst) => {
    const root = `${e.use("dsqrt")}(${source(e, inst, 0)})`;
    e.setW(inst.dst[0], `${e.use("ddiv")}(${ONE}, ${root})`);
  },
  min: call("d_min"),
  max: call("d_max"),
  abs: (e, inst) =>
    e.setW(inst.dst[0], `${par(source(e, inst, 0))} & vec2u(0xffffffffu, 0x7fffffffu)`),
  neg: (e, inst) => e.setW(inst.dst[0], negated(source(e, inst, 0))),
  copysign: (e, inst) => {
    const [a, b] = [e.bind(source(e, inst, 0)), e.bind(source(e, inst, 1))];
    e.setW(inst.dst[0], `vec2u(${b}.x, (${a}.y & 0x80000000u) | (${b}.y & 0x7fffffffu))`);
  },
};

/** A comparison of two f64 as a bool expression. */
export function compareDoubles(e: Emit, op: string, a: Value, b: Value): string {
  const [x, y] = [e.bind(e.double(a)), e.bind(e.double(b))];
  const lt = (p: string, q: string): string => `${e.use("d_lt")}(${p}, ${q})`;
  const eq = `${e.use("d_eq")}(${x}, ${y})`;
  const nan = `(${e.use("d_isnan")}(${x}) || d_isnan(${y}))`;
  const ordered: Readonly<Record<string, string>> = {
    eq,
    ne: `!${eq} && !${nan}`,
    lt: lt(x, y),
    gt: lt(y, x),
    le: `(${lt(x, y)} || ${eq})`,
    ge: `(${lt(y, x)} || ${eq})`,
    nan,
    num: `!${nan}`,
    neu: `!${eq}`,
  };
  const known = ordered[op];
  if (known !== undefined) return known;
  const base = op.endsWith("u") ? ordered[op.slice(0, -1)] : undefined;
  if (base === undefined) throw e.fail("has a comparison that is not known");
  return `(${base} || ${nan})`;
}

const MODES: Readonly<Record<string, number>> = { rni: 0, rzi: 1, rmi: 2, rpi: 3 };

function modeOf(inst: Inst): number | null {
  for (const mod of inst.mods) if (Object.hasOwn(MODES, mod)) return MODES[mod] ?? null;
  return null;
}

function toInteger(e: Emit, inst: Inst, to: Type, text: string): void {
  const isSigned = to.kind === "s";
  const source = e.bind(text);
  const whole = `${e.use(isSigned ? "d2s" : "d2u")}(${source}, ${modeOf(inst) ?? 1}u)`;
  const dst = inst.dst[0];
  if (to.bits === 64) {
    e.setW(dst, whole);
    return;
  }
  const max = isSigned ? 2 ** (to.bits - 1) - 1 : 2 ** to.bits - 1;
  const min = isSigned ? `vec2u(${2 ** 32 - 2 ** (to.bits - 1)}u, 0xffffffffu)` : "vec2u()";
  const helper = e.use(isSigned ? "sat_s64" : "sat_u64");
  const number = `${helper}(${whole}, vec2u(${max}u, 0u), ${min})`;
  const nan = `${2 ** (to.bits - 1)}u`;
  e.setInt(dst, to, `select(${number}, ${nan}, ${e.use("d_isnan")}(${source}))`);
}

/** cvt from or to f64; false if neither type is. */
export function convertDouble(e: Emit, inst: Inst, to: Type, from: Type): boolean {
  if (!isDouble(to) && !isDouble(from)) return false;
  const value = arg(e, inst, 0);
  const dst = inst.dst[0];
  if (isDouble(from)) {
    const text = e.double(value);
    if (to.kind !== "f" && to.kind !== "bf") toInteger(e, inst, to, text);
    else if (isDouble(to)) {
      const mode = modeOf(inst);
      if (hasMod(inst, "sat")) throw e.fail();
      e.setW(dst, mode === null ? text : `${e.use("d_round")}(${text}, ${mode}u)`);
    } else {
      if (to.bits === 32) checkRounding(e, inst);
      setFloat(e, inst, dst, to, `${e.use("d2f")}(${text})`);
    }
    return true;
  }
  if (from.kind === "f" || from.kind === "bf") {
    e.setW(dst, `${e.use("f2d")}(${asFloat(e, value, from)})`);
    return true;
  }
  checkRounding(e, inst);
  const isSigned = from.kind === "s";
  let wide: string;
  if (from.bits === 64) wide = e.w(value);
  else if (isSigned) wide = `${e.use("sx")}(${e.signed(value, from)})`;
  else wide = `vec2u(${e.unsigned(value, from)}, 0u)`;
  e.setW(dst, `${e.use(isSigned ? "s2d" : "u2d")}(${wide})`);
  return true;
}
