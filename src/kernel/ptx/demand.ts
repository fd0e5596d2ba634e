// SPDX-License-Identifier: Apache-2.0
/**
 * Demanded bits, backwards: which 64-bit registers need their high word. CUDA's pointers are 64
 * bits wide and our memory is addressed with 32, so nearly all address arithmetic shrinks to u32.
 */
import type { Block, FlatKernel, Inst, Value } from "./ir.js";
import { eachReg, hasMod } from "./ir.js";
import { flatten, signatureOf } from "./signature.js";
import type { SpaceMasks } from "./spaces.js";

/** Low words of these depend on low words alone. */
const LOW_CLOSED = new Set([
  "add",
  "sub",
  "mov",
  "and",
  "or",
  "xor",
  "not",
  "neg",
  "selp",
  "cvta",
  "shl",
]);

function isLowClosed(inst: Inst): boolean {
  const type = inst.types[0];
  if (type === undefined || type.bits !== 64 || type.kind === "f") return false;
  if (inst.mods.includes("cc") || inst.mods.includes("sat")) return false;
  if (inst.op === "mul" || inst.op === "mad") return hasMod(inst, "lo");
  return LOW_CLOSED.has(inst.op);
}

/** A conversion of an integer that takes its low word alone. */
function isCut(inst: Inst): boolean {
  const [to, from] = inst.types;
  if (inst.op !== "cvt" || to === undefined || from === undefined || hasMod(inst, "sat"))
    return false;
  return to.bits <= 32 && ![to.kind, from.kind].some((kind) => kind === "f" || kind === "bf");
}

export interface DemandOptions {
  /** Whether accesses through this address need its high word. */
  readonly needsHigh: (inst: Inst, address: Value, masks: SpaceMasks) => boolean;
}

interface Flow {
  /** For each register, those whose high words it demands if its own is demanded. */
  readonly from: number[][];
  readonly roots: number[];
}

function visit(inst: Inst, masks: SpaceMasks, options: DemandOptions, flow: Flow): void {
  const { src } = signatureOf(inst);
  const root = (value: Value): void => eachReg(value, (reg) => flow.roots.push(reg));
  const isMoved = isLowClosed(inst);
  const dst = inst.dst[0];
  flatten(inst.src).forEach((value, i) => {
    if (value.kind === "mem") {
      if (options.needsHigh(inst, value, masks)) root(value);
      return;
    }
    if (value.kind !== "reg") return;
    const type = src[i];
    if (inst.op === "$printf") {
      if (i === 0 || options.needsHigh(inst, value, masks)) root(value);
      return;
    }
    if (type === undefined || type.bits * type.lanes !== 64) return;
    if (isCut(inst)) return;
    const isWideSum = (inst.op === "mad" || inst.op === "mul") && hasMod(inst, "wide");
    if ((isMoved || isWideSum) && dst?.kind === "reg") flow.from[dst.reg]?.push(value.reg);
    else root(value);
  });
}

/** Whether each register's high word is demanded. */
export function demandedHigh(
  kernel: FlatKernel,
  blocks: readonly Block[],
  masks: SpaceMasks,
  options: DemandOptions,
): boolean[] {
  const flow: Flow = { from: kernel.registers.map(() => []), roots: [] };
  for (const block of blocks) {
    for (const inst of block.insts) visit(inst, masks, options, flow);
    const { term } = block;
    if (term.kind === "branch" && term.condition.kind === "equals") {
      eachReg(term.condition.value, (reg) => flow.roots.push(reg));
    }
  }
  const demanded = kernel.registers.map(() => false);
  const work = flow.roots;
  for (let reg = work.pop(); reg !== undefined; reg = work.pop()) {
    if (demanded[reg] === true) continue;
    demanded[reg] = true;
    for (const source of flow.from[reg] ?? []) work.push(source);
  }
  return demanded;
}
