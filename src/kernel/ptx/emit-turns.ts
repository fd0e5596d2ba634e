// SPDX-License-Identifier: Apache-2.0
/**
 * Many f64 operations in a row, in one loop. GPU compilers copy a function's code for each call, and
 * those of f64 are long: a polynomial of 40 terms would compile for minutes. So the code of each kind
 * of operation stands once, and each turn of the loop takes what lies before one operation, runs that
 * operation, and goes on behind it:
 *
 *   loop {
 *     switch dn {
 *       case 0: { …; da = x; db = y; dk = 1u; }
 *       case 1: { r7 = dr; …; da = r7; db = z; dk = 0u; }
 *       default: { r9 = dr; … }
 *     }
 *     if (dn == 2u) { break; }
 *     if (dk == 0u) { dr = dadd(da, db); } else { dr = dmul(da, db); }
 *     dn += 1u;
 *   }
 *
 * All threads are at the same turn, so nothing diverges that did not before.
 */
import type { Emit } from "./emit-context.js";
import { doubleOperation } from "./emit-double.js";
import type { Block, Inst } from "./ir.js";
import { eachDef } from "./ir.js";
import { isSync } from "./sync.js";

/** With fewer operations, a loop saves nothing. */
const OPERATIONS_MIN = 6;
/** A turn passes over the code of all others. */
const OPERATIONS_MAX = 32;

const isOperation = (inst: Inst): boolean =>
  inst.guard === null && doubleOperation(inst) !== null && inst.dst[0]?.kind === "reg";

const countOf = (insts: readonly Inst[]): number => insts.filter(isOperation).length;

/** Registers that the block's loops, if there are any, assign in one turn and read in another. */
export function keptOverTurns(block: Block, visit: (reg: number) => void): void {
  if (countOf(block.insts) < OPERATIONS_MIN) return;
  for (const inst of block.insts) eachDef(inst, visit);
}

/** The list in parts, each to be emitted as a loop or plainly. */
export function* inTurns(
  insts: readonly Inst[],
): Generator<{ readonly part: readonly Inst[]; readonly isLoop: boolean }> {
  let from = 0;
  for (let i = 0; i <= insts.length; i += 1) {
    const inst = insts[i];
    if (inst !== undefined && !isSync(inst)) continue;
    yield* cut(insts.slice(from, i));
    if (inst !== undefined) yield { part: [inst], isLoop: false };
    from = i + 1;
  }
}

function* cut(
  insts: readonly Inst[],
): Generator<{ readonly part: readonly Inst[]; readonly isLoop: boolean }> {
  const count = countOf(insts);
  if (count < OPERATIONS_MIN) {
    yield { part: insts, isLoop: false };
    return;
  }
  const each = Math.ceil(count / Math.ceil(count / OPERATIONS_MAX));
  let from = 0;
  let seen = 0;
  for (let i = 0; i < insts.length; i += 1) {
    const inst = insts[i];
    if (inst !== undefined && isOperation(inst)) seen += 1;
    if (seen < each && i < insts.length - 1) continue;
    const part = insts.slice(from, i + 1);
    yield { part, isLoop: countOf(part) >= OPERATIONS_MIN };
    from = i + 1;
    seen = 0;
  }
}

/** Emits the instructions as one loop; `emitInst` does what is no operation of f64. */
export function emitTurns(
  e: Emit,
  insts: readonly Inst[],
  emitInst: (e: Emit, inst: Inst) => void,
): void {
  const turns = countOf(insts);
  const kinds: string[] = [];
  const outer = e.indent;
  const inner = (depth: number): void => {
    e.indent = outer + "  ".repeat(depth);
  };
  e.line("{");
  inner(1);
  e.line("var dn = 0u; var dk = 0u; var da: vec2u; var db: vec2u; var dc: vec2u; var dr: vec2u;");
  e.line("loop {");
  inner(2);
  e.line("switch dn {");
  let turn = 0;
  const open = (): void => {
    inner(3);
    e.line(turn === turns ? "default: {" : `case ${turn}u: {`);
    inner(4);
  };
  open();
  for (const inst of insts) {
    if (!isOperation(inst)) {
      emitInst(e, inst);
      continue;
    }
    prepare(e, inst, kinds);
    inner(3);
    e.line("}");
    turn += 1;
    open();
    e.inst = inst;
    e.setW(inst.dst[0], "dr");
  }
  inner(3);
  e.line("}");
  inner(2);
  e.line("}");
  e.line(`if (dn == ${turns}u) { break; }`);
  kinds.forEach((call, kind) => {
    const text = kind === kinds.length - 1 ? "" : `if (dk == ${kind}u) `;
    e.line(`${kind === 0 ? "" : "else "}${text}{ dr = ${call}; }`);
    e.countDouble();
  });
  e.line("dn += 1u;");
  inner(1);
  e.line("}");
  inner(0);
  e.line("}");
}

function prepare(e: Emit, inst: Inst, kinds: string[]): void {
  e.inst = inst;
  const operation = doubleOperation(inst);
  if (operation === null) throw e.fail();
  const { helper, operands } = operation;
  const names = ["da", "db", "dc"];
  const texts = operands(e, inst);
  const call = `${e.use(helper)}(${names.slice(0, texts.length).join(", ")})`;
  let kind = kinds.indexOf(call);
  if (kind < 0) kind = kinds.push(call) - 1;
  const sets = texts.map((text, i) => `${names[i]} = ${text};`);
  e.line(`${sets.join(" ")} dk = ${kind}u;`);
}
