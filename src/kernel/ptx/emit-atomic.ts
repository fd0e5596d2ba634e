// SPDX-License-Identifier: Apache-2.0
/** atom and red: memory helpers by the operation's and the type's name. */
import { arg, type Emit, type Handler, typeOf } from "./emit-context.js";
import { addressAt, type Place, placeOf } from "./emit-memory.js";
import type { Inst } from "./ir.js";
import { type Type, widthOf } from "./types.js";

const OPERATIONS = ["add", "and", "or", "xor", "exch", "min", "max", "inc", "dec", "cas"] as const;

function helperFor(e: Emit, op: (typeof OPERATIONS)[number], type: Type): string {
  const width = widthOf(type);
  if (type.kind === "f" || type.kind === "bf") {
    if (type.bits === 32) return `${op}f`;
    if (op === "add" && type.bits === 16) {
      const name = type.kind === "bf" ? "addbf" : "addh";
      return type.lanes === 2 ? `${name}2` : name;
    }
    throw e.fail();
  }
  if (width !== 32) throw e.fail();
  if (op === "min" || op === "max") return `${op}${type.kind === "s" ? "s" : "u"}`;
  return op;
}

/** 64 bits: under a lock, on pairs of words (memory-wide.ts). */
export function atomicWide(e: Emit, inst: Inst, op: string, place: Place, address: string): void {
  const type = typeOf(e, inst);
  const isFloat = type.kind === "f";
  const isOrdered = op === "min" || op === "max";
  if (isFloat && op !== "add") throw e.fail();
  const sign = isOrdered ? (type.kind === "s" ? "s" : "u") : "";
  const helper = e.use(`${place.space}_w${op}${isFloat ? "d" : sign}`);
  const args = inst.src.slice(1).map((_, i) => e.double(arg(e, inst, i + 1)));
  const call = `${helper}(${[address, ...args].join(", ")})`;
  const dst = inst.dst[0];
  if (dst === undefined || dst.kind === "none") e.line(`_ = ${call};`);
  else e.setW(dst, call);
}

const atomic: Handler = (e, inst: Inst) => {
  const type = typeOf(e, inst);
  const op = OPERATIONS.find((name) => inst.mods.includes(name));
  if (op === undefined) throw e.fail();
  const value = arg(e, inst, 1);
  if (value.kind === "vec") throw e.fail();
  const place = placeOf(e, inst, arg(e, inst, 0), widthOf(type) / 8);
  const address = addressAt(e, place, 0);
  if (widthOf(type) === 64) {
    e.atomic64(inst, op, place, address);
    return;
  }
  const helper = e.use(`${place.space}_${helperFor(e, op, type)}`);
  const args = inst.src.slice(1).map((_, i) => e.unsigned(arg(e, inst, i + 1), type));
  const call = `${helper}(${[address, ...args].join(", ")})`;
  const dst = inst.dst[0];
  if (dst === undefined || dst.kind === "none") e.line(`_ = ${call};`);
  else e.setU(dst, call);
};

export const ATOMIC_HANDLERS: Readonly<Record<string, Handler>> = { atom: atomic, red: atomic };
