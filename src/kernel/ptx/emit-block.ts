// SPDX-License-Identifier: Apache-2.0
/** Chooses the emitter of an instruction by its name and type, and emits lists of them. */
import { ATOMIC_HANDLERS } from "./emit-atomic.js";
import type { Emit, Handler } from "./emit-context.js";
import { CONVERT_HANDLERS } from "./emit-convert.js";
import { DOUBLE_HANDLERS } from "./emit-double.js";
import { F32_HANDLERS, SELECT_HANDLERS } from "./emit-float.js";
import { HALF_HANDLERS } from "./emit-half.js";
import { INT_HANDLERS } from "./emit-int.js";
import { MEMORY_HANDLERS } from "./emit-memory.js";
import { MISC_HANDLERS } from "./emit-misc.js";
import { TEXTURE_HANDLERS } from "./emit-texture.js";
import { emitTurns, inTurns } from "./emit-turns.js";
import { WARP_HANDLERS } from "./emit-warp.js";
import { mulWide, WIDE_HANDLERS } from "./emit-wide.js";
import { PtxError } from "./error.js";
import { fullName, hasMod, type Inst } from "./ir.js";

const BY_NAME: Readonly<Record<string, Handler>> = {
  ...SELECT_HANDLERS,
  ...CONVERT_HANDLERS,
  ...MEMORY_HANDLERS,
  ...ATOMIC_HANDLERS,
  ...WARP_HANDLERS,
  ...MISC_HANDLERS,
  ...TEXTURE_HANDLERS,
};

const own = (table: Readonly<Record<string, Handler>>, op: string): Handler | undefined =>
  Object.hasOwn(table, op) ? table[op] : undefined;

function handlerOf(inst: Inst): Handler | undefined {
  const named = own(BY_NAME, inst.op);
  if (named !== undefined) return named;
  const type = inst.types[0];
  if (type === undefined) return own(INT_HANDLERS, inst.op);
  if (type.kind === "bf" || (type.kind === "f" && type.bits === 16)) {
    return own(HALF_HANDLERS, inst.op);
  }
  if (type.kind === "f") return own(type.bits === 32 ? F32_HANDLERS : DOUBLE_HANDLERS, inst.op);
  if ((inst.op === "mul" || inst.op === "mad") && hasMod(inst, "wide")) {
    if (type.bits === 64) return undefined;
    return type.bits === 32 ? mulWide : own(INT_HANDLERS, inst.op);
  }
  return own(type.bits === 64 ? WIDE_HANDLERS : INT_HANDLERS, inst.op);
}

export function emitInst(e: Emit, inst: Inst): void {
  const handler = handlerOf(inst);
  e.inst = inst;
  if (handler === undefined) throw e.fail();
  const isArithmetic = inst.op !== "mov" && inst.op !== "st" && inst.src.length > 0;
  e.isOpaque =
    isArithmetic &&
    (inst.src.every((value) => value.kind === "imm") ||
      ((inst.op === "div" || inst.op === "rem") && inst.src[1]?.kind === "imm"));
  try {
    if (inst.guard === null) handler(e, inst);
    else {
      const { reg, negated } = inst.guard;
      e.line(`if (${e.p({ kind: "reg", reg, negated })}) {`);
      const outer = e.indent;
      e.indent += "  ";
      handler(e, inst);
      e.indent = outer;
      e.line("}");
    }
  } catch (error) {
    if (!(error instanceof PtxError) || error.instruction !== null) throw error;
    throw new PtxError(error.text, inst.line, error.kernel, fullName(inst));
  } finally {
    e.isOpaque = false;
  }
}

export function emitInsts(e: Emit, insts: readonly Inst[]): void {
  for (const { part, isLoop } of inTurns(insts)) {
    if (isLoop) emitTurns(e, part, emitInst);
    else for (const inst of part) emitInst(e, inst);
  }
}
