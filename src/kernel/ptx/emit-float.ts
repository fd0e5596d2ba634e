// SPDX-License-Identifier: Apache-2.0
/**
 * f32 arithmetic, comparisons of every type, and selection. What WGSL leaves open (rounding of
 * directed modes, denormals, accuracy of approximations) is written down in docs/PTX.md.
 */
import { arg, type Emit, type Handler, typeOf } from "./emit-context.js";
import { hasMod, type Inst, type Value } from "./ir.js";
import type { Type } from "./types.js";

/** The result, saturated if the instruction says so, and kept from reassociation if need be. */
function setF32(e: Emit, inst: Inst, text: string): void {
  let result = hasMod(inst, "sat") ? `${e.use("satf")}(${text})` : text;
  if (e.isProtected(inst)) result = `bitcast<f32>(bitcast<u32>(${result}) ^ ${e.zero()})`;
  e.setF(inst.dst[0], result);
}

const float = (e: Emit, inst: Inst, index: number): string => e.f(arg(e, inst, index));

function binary(operator: string): Handler {
  return (e, inst) => {
    setF32(e, inst, `${float(e, inst, 0)} ${operator} ${float(e, inst, 1)}`);
  };
}

function call(name: string): Handler {
  return (e, inst) => {
    const args = inst.src.map((_, i) => float(e, inst, i));
    setF32(e, inst, `${name}(${args.join(", ")})`);
  };
}

function extreme(name: "min" | "max"): Handler {
  return (e, inst) => {
    const text = inst.src.map((_, i) => float(e, inst, i));
    const [first = "", ...others] = text;
    const helper = hasMod(inst, "NaN") ? e.use(`${name}f_nan`) : e.use(`${name}f`);
    setF32(
      e,
      inst,
      others.reduce((sum, next) => `${helper}(${sum}, ${next})`, first),
    );
  };
}

export const F32_HANDLERS: Readonly<Record<string, Handler>> = {
  add: binary("+"),
  sub: binary("-"),
  mul: binary("*"),
  fma: call("fma"),
  mad: call("fma"),
  div: (e, inst) => {
    const [a, b] = [float(e, inst, 0), float(e, inst, 1)];
    // `approx` and `full` allow two ulp, as WGSL's division does.
    const isExact = hasMod(inst, "rn") || hasMod(inst, "rz");
    setF32(e, inst, isExact ? `${e.use("div_rn")}(${a}, ${b})` : `${a} / ${b}`);
  },
  rcp: (e, inst) => {
    const a = float(e, inst, 0);
    setF32(e, inst, hasMod(inst, "approx") ? `1.0f / ${a}` : `${e.use("div_rn")}(1.0f, ${a})`);
  },
  sqrt: (e, inst) => {
    const a = float(e, inst, 0);
    setF32(e, inst, hasMod(inst, "approx") ? `sqrt(${a})` : `${e.use("sqrt_rn")}(${a})`);
  },
  rsqrt: call("inverseSqrt"),
  ex2: call("exp2"),
  lg2: call("log2"),
  sin: call("sin"),
  cos: call("cos"),
  tanh: (e, inst) => setF32(e, inst, `${e.use("tanhf")}(${float(e, inst, 0)})`),
  abs: (e, inst) => e.setU(inst.dst[0], `${e.u(arg(e, inst, 0))} & 0x7fffffffu`),
  neg: (e, inst) => e.setF(inst.dst[0], `-${float(e, inst, 0)}`),
  copysign: (e, inst) => {
    const [a, b] = [e.u(arg(e, inst, 0)), e.u(arg(e, inst, 1))];
    e.setU(inst.dst[0], `(${a} & 0x80000000u) | (${b} & 0x7fffffffu)`);
  },
  min: extreme("min"),
  max: extreme("max"),
};

const ORDERED: Readonly<Record<string, string>> = {
  eq: "==",
  ne: "!=",
  lt: "<",
  le: "<=",
  gt: ">",
  ge: ">=",
};
const UNSIGNED: Readonly<Record<string, string>> = { lo: "<", ls: "<=", hi: ">", hs: ">=" };

/** Whether the value may be a NaN: constants mostly are not. */
function mayBeNan(e: Emit, value: Value): boolean {
  const known = e.constantOf(value);
  if (known === null || known.float === 0) return true;
  const bits = Number(e.immediate(known.value, known.float, 32));
  return (bits & 0x7fffffff) > 0x7f800000;
}

function compareFloats(e: Emit, op: string, a: Value, b: Value): string {
  return compareTexts(e, op, e.f(a), e.f(b), mayBeNan(e, a), mayBeNan(e, b));
}

/** Ordered comparisons are false on NaN, unordered ones true. WGSL's are ordered, but for !=. */
export function compareTexts(
  e: Emit,
  op: string,
  x: string,
  y: string,
  nanX = true,
  nanY = true,
): string {
  const isnan = e.use("isnan");
  const tests: string[] = [];
  if (nanX) tests.push(`${isnan}(${x})`);
  if (nanY && y !== x) tests.push(`${isnan}(${y})`);
  const anyNan = tests.length === 0 ? "false" : tests.join(" || ");
  if (op === "nan") return anyNan;
  if (op === "num") return `!(${anyNan})`;
  // Compilers do not agree on what != says of a NaN.
  if (op === "neu") return `!(${x} == ${y})`;
  if (op === "ne") return `(${x} < ${y}) || (${x} > ${y})`;
  const ordered = ORDERED[op];
  if (ordered !== undefined) return `${x} ${ordered} ${y}`;
  const base = ORDERED[op.slice(0, -1)];
  if (base === undefined || !op.endsWith("u")) throw e.fail("has a comparison that is not known");
  return tests.length === 0 ? `${x} ${base} ${y}` : `(${x} ${base} ${y}) || ${anyNan}`;
}

function compareInts(e: Emit, op: string, type: Type, a: Value, b: Value): string {
  if (type.kind === "pred") throw e.fail();
  const operator = ORDERED[op] ?? UNSIGNED[op];
  if (operator === undefined) throw e.fail("has a comparison that is not known");
  const isSigned = type.kind === "s" && UNSIGNED[op] === undefined;
  const isEquality = op === "eq" || op === "ne";
  if (type.bits === 64) {
    const [x, y] = [e.w(a), e.w(b)];
    if (isEquality) return op === "eq" ? `all(${x} == ${y})` : `any(${x} != ${y})`;
    const less = e.use(isSigned ? "lt_s64" : "lt_u64");
    if (operator === "<") return `${less}(${x}, ${y})`;
    if (operator === ">") return `${less}(${y}, ${x})`;
    return operator === "<=" ? `!${less}(${y}, ${x})` : `!${less}(${x}, ${y})`;
  }
  if (isSigned && !isEquality) return `${e.signed(a, type)} ${operator} ${e.signed(b, type)}`;
  return `${e.unsigned(a, type)} ${operator} ${e.unsigned(b, type)}`;
}

const COMPARISONS = new Set([
  ...Object.keys(ORDERED),
  ...Object.keys(UNSIGNED),
  ...["equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"],
]);

function comparison(e: Emit, inst: Inst, type: Type): string {
  const op = inst.mods.find((mod) => COMPARISONS.has(mod));
  if (op === undefined) throw e.fail("names no comparison");
  const [a, b] = [arg(e, inst, 0), arg(e, inst, 1)];
  if (type.kind === "f" && type.bits === 32) return compareFloats(e, op, a, b);
  if (type.kind === "f" || type.kind === "bf") return e.compareOther(op, type, a, b);
  return compareInts(e, op, type, a, b);
}

/** `setp.lt.and.T p|q, a, b, c`: p is (a<b) and c, q is not(a<b) and c. */
function combined(e: Emit, inst: Inst, text: string): string {
  const operator = hasMod(inst, "and") ? "&&" : hasMod(inst, "or") ? "||" : "!=";
  const isCombined = inst.src.length > 2;
  return isCombined ? `(${text}) ${operator} ${e.p(arg(e, inst, 2))}` : text;
}

const setp: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  if (type.lanes === 2) throw e.fail();
  const text = comparison(e, inst, type);
  if (inst.dst.length < 2 && inst.src.length < 3) {
    e.setP(inst.dst[0], text);
    return;
  }
  const t = e.bind(`(${text})`);
  // Both are computed before either register is written: a source may be one of them.
  const [p, q] = [e.bind(`(${combined(e, inst, t)})`), e.bind(`(${combined(e, inst, `!${t}`)})`)];
  e.setP(inst.dst[0], p);
  if (inst.dst.length > 1) e.setP(inst.dst[1], q);
};

const set: Handler = (e, inst) => {
  const [to, from] = [typeOf(e, inst, 0), typeOf(e, inst, 1)];
  if (to.lanes === 2 || from.lanes === 2) throw e.fail();
  const text = combined(e, inst, comparison(e, inst, from));
  if (to.kind === "f") e.setF(inst.dst[0], `select(0.0f, 1.0f, ${text})`);
  else e.setU(inst.dst[0], `select(0u, 0xffffffffu, ${text})`);
};

const selp: Handler = (e, inst) => {
  const type = typeOf(e, inst);
  const [a, b] = [arg(e, inst, 0), arg(e, inst, 1)];
  const p = e.p(arg(e, inst, 2));
  if (type.bits === 64 && !e.isNarrow(inst.dst[0])) {
    e.setW(inst.dst[0], `select(${e.w(b)}, ${e.w(a)}, ${p})`);
  } else if (type.bits === 32 && type.kind === "f") {
    e.setF(inst.dst[0], `select(${e.f(b)}, ${e.f(a)}, ${p})`);
  } else e.setU(inst.dst[0], `select(${e.unsigned(b, type)}, ${e.unsigned(a, type)}, ${p})`);
};

const slct: Handler = (e, inst) => {
  const [type, by] = [typeOf(e, inst, 0), typeOf(e, inst, 1)];
  const c = arg(e, inst, 2);
  const test = by.kind === "f" ? `${e.f(c)} >= 0.0f` : `${e.i(c)} >= 0i`;
  const [a, b] = [arg(e, inst, 0), arg(e, inst, 1)];
  if (type.bits === 64) e.setW(inst.dst[0], `select(${e.w(b)}, ${e.w(a)}, ${test})`);
  else e.setU(inst.dst[0], `select(${e.u(b)}, ${e.u(a)}, ${test})`);
};

const testp: Handler = (e, inst) => {
  if (typeOf(e, inst).bits !== 32) throw e.fail();
  const bits = e.bind(`${e.u(arg(e, inst, 0))} & 0x7fffffffu`);
  const tests: Readonly<Record<string, string>> = {
    finite: `${bits} < 0x7f800000u`,
    infinite: `${bits} == 0x7f800000u`,
    number: `${bits} <= 0x7f800000u`,
    notanumber: `${bits} > 0x7f800000u`,
    normal: `(${bits} >= 0x00800000u) && (${bits} < 0x7f800000u)`,
    subnormal: `(${bits} < 0x00800000u) && (${bits} != 0u)`,
  };
  const text = tests[inst.mods[0] ?? ""];
  if (text === undefined) throw e.fail();
  e.setP(inst.dst[0], text);
};

/** Instructions whose operands may be of any type. */
export const SELECT_HANDLERS: Readonly<Record<string, Handler>> = { setp, set, selp, slct, testp };
