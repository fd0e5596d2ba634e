// SPDX-License-Identifier: Apache-2.0
/**
 * f16, f16x2, bf16 and bf16x2: computed in f32 and rounded back. That is exact rounding for sums,
 * products, quotients and square roots; fma rounds twice in rare cases. No GPU feature is needed.
 */
import { arg, type Emit, type Handler, par, typeOf } from "./emit-context.js";
import { toHalf } from "./emit-convert.js";
import { hasMod, type Inst, type Value } from "./ir.js";
import type { Type } from "./types.js";

/** Lane 0 or 1 of a packed operand as f32; a scalar has lane 0 only. */
function lane(e: Emit, value: Value, type: Type, index: number): string {
  const word = e.u(value);
  if (type.kind === "bf") {
    if (index === 1) return `bitcast<f32>(${par(word)} & 0xffff0000u)`;
    return `bitcast<f32>(${par(word)} << 16u)`;
  }
  const half = index === 1 ? `${par(word)} >> 16u` : `${par(word)} & 0xffffu`;
  return `${e.use("h2f")}(${half})`;
}

function lanewise(make: (args: readonly string[], e: Emit, inst: Inst) => string): Handler {
  return (e, inst) => {
    const type = typeOf(e, inst);
    const round = toHalf(e, inst, type);
    const at = (index: number): string => {
      const args = inst.src.map((value) => lane(e, value, type, index));
      let text = make(args, e, inst);
      if (hasMod(inst, "sat")) text = `${e.use("satf")}(${text})`;
      if (hasMod(inst, "relu")) text = `${e.use("maxf")}(${text}, 0.0f)`;
      return `${round}(${text})`;
    };
    if (type.lanes === 1) e.setU(inst.dst[0], at(0));
    else e.setU(inst.dst[0], `${at(0)} | (${at(1)} << 16u)`);
  };
}

const infix = (operator: string): Handler =>
  lanewise(([a = "", b = ""]) => `${a} ${operator} ${b}`);
const call = (name: string): Handler => lanewise((args) => `${name}(${args.join(", ")})`);

const extreme = (name: "min" | "max"): Handler =>
  lanewise((args, e, inst) => {
    const helper = e.use(hasMod(inst, "NaN") ? `${name}f_nan` : `${name}f`);
    return `${helper}(${args.join(", ")})`;
  });

/** Signs are bits; no rounding is involved. */
function bits(make: (a: string, mask: string) => string): Handler {
  return (e, inst) => {
    const type = typeOf(e, inst);
    const mask = type.lanes === 2 ? "0x80008000u" : "0x8000u";
    e.setU(inst.dst[0], make(par(e.u(arg(e, inst, 0))), mask));
  };
}

export const HALF_HANDLERS: Readonly<Record<string, Handler>> = {
  add: infix("+"),
  sub: infix("-"),
  mul: infix("*"),
  div: infix("/"),
  fma: call("fma"),
  min: extreme("min"),
  max: extreme("max"),
  neg: bits((a, mask) => `${a} ^ ${mask}`),
  abs: bits((a, mask) => `${a} & ~${mask}`),
  ex2: call("exp2"),
  tanh: lanewise(([a = ""], e) => `${e.use("tanhf")}(${a})`),
  rcp: lanewise(([a = ""]) => `1.0f / ${a}`),
  sqrt: call("sqrt"),
};

/** A scalar half operand as f32, for comparisons. */
export const halfValue = (e: Emit, value: Value, type: Type): string => lane(e, value, type, 0);
