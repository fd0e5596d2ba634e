// SPDX-License-Identifier: Apache-2.0
/** What is decided about a whole kernel before a line of it is written. */
import type { EmitOptions, MemoryPlan, UniformPlan } from "./emit-context.js";
import { keptOverTurns } from "./emit-turns.js";
import type { Block, FlatKernel, Inst } from "./ir.js";
import { eachDef, eachUse, hasMod, successors } from "./ir.js";
import { accessMask, GLOBAL, LOCAL, SHARED, type SpaceMasks } from "./spaces.js";
import { isBarrier } from "./sync.js";
import { widthOf } from "./types.js";

/** Whether a store writes parts of words, which takes a compare-and-swap. */
function isPartial(inst: Inst): boolean {
  const type = inst.types.at(-1);
  if (inst.op === "sust" && type !== undefined) {
    // A formatted store writes what the surface's format says.
    if (inst.mods[0] === "p") return true;
    const values = inst.src[2];
    return (values?.kind === "vec" ? values.items.length : 1) * widthOf(type) < 32;
  }
  if (inst.op !== "st" || type === undefined || widthOf(type) >= 32) return false;
  const value = inst.src[1];
  const count = value?.kind === "vec" ? value.items.length : 1;
  return (count * widthOf(type)) % 32 !== 0;
}

export function planMemory(
  blocks: readonly Block[],
  masks: SpaceMasks,
  options: EmitOptions,
): MemoryPlan {
  let [heap, shared] = [options.checked, false];
  for (const block of blocks) {
    for (const inst of block.insts) {
      if (inst.op === "$printf") heap = true;
      if (inst.op === "sust" && isPartial(inst)) heap = true;
      if (inst.op === "sured") heap = true;
      if (inst.op === "sust" || inst.op === "sured") continue;
      if (inst.op !== "atom" && inst.op !== "red" && !isPartial(inst)) continue;
      const address = inst.src[0];
      if (address === undefined) continue;
      const mask = accessMask(inst, address, masks);
      const isMixed = (mask & (mask - 1)) !== 0;
      if ((mask & GLOBAL) !== 0 || isMixed) heap = true;
      if ((mask & (SHARED | LOCAL)) !== 0) shared = true;
    }
  }
  return { atomicHeap: heap, atomicShared: shared };
}

/** Most ranges of memory in use that a checked kernel is told; they fill most of a uniform. */
const RANGES_MAX = 3072;

export function planUniform(
  paramBytes: number,
  globals: number,
  segments: number,
  checked: boolean,
): UniformPlan {
  const words = (bytes: number): number => Math.ceil(bytes / 16) * 4;
  const globalsAt = words(paramBytes);
  const segmentsAt = globalsAt + words(globals * 8);
  const partsAt = segmentsAt + words(segments * 8);
  const rangesAt = partsAt + words(segments * 8);
  const end = checked ? rangesAt + RANGES_MAX * 2 : partsAt;
  return { globalsAt, segmentsAt, partsAt, rangesAt, words: end };
}

/** Registers that can be `let`: written once, without a guard, and read later in that block only. */
export function letRegisters(kernel: FlatKernel, blocks: readonly Block[]): Uint8Array {
  const count = kernel.registers.length;
  const home = new Int32Array(count).fill(-1);
  const isLet = new Uint8Array(count);
  const isDone = new Uint8Array(count);
  for (const block of blocks) {
    for (const inst of block.insts) {
      eachUse(inst, (reg) => {
        if (home[reg] !== block.id || isDone[reg] === 0) isLet[reg] = 2;
      });
      eachDef(inst, (reg) => {
        if (home[reg] !== -1 || inst.guard !== null || inst.dst.length > 1) isLet[reg] = 2;
        else if (isLet[reg] !== 2) isLet[reg] = 1;
        home[reg] = block.id;
        isDone[reg] = 1;
      });
    }
    keptOverTurns(block, (reg) => {
      isLet[reg] = 2;
    });
    const { term } = block;
    if (term.kind !== "branch") continue;
    const { condition } = term;
    const reg =
      condition.kind === "pred"
        ? condition.reg
        : condition.value.kind === "reg"
          ? condition.value.reg
          : -1;
    if (reg >= 0 && home[reg] !== block.id) isLet[reg] = 2;
  }
  return isLet.map((state) => (state === 1 ? 1 : 0));
}

/** Barriers between a write to global memory and a read of it: those order it too. */
export function storageBarriers(blocks: readonly Block[], masks: SpaceMasks): Set<Inst> {
  const touches = (inst: Inst, isRead: boolean): boolean => {
    const isAtomic = inst.op === "atom" || inst.op === "red";
    if (!isAtomic && inst.op !== (isRead ? "ld" : "st")) return false;
    if (isRead && (hasMod(inst, "nc") || hasMod(inst, "const"))) return false;
    const address = inst.src[0];
    return address !== undefined && (accessMask(inst, address, masks) & GLOBAL) !== 0;
  };
  const reach = (isForward: boolean): Uint8Array => {
    const seen = new Uint8Array(blocks.length);
    const edges = blocks.map((): number[] => []);
    for (const { id, term } of blocks) {
      for (const to of successors(term)) {
        if (isForward) edges[id]?.push(to);
        else edges[to]?.push(id);
      }
    }
    const work: number[] = [];
    for (const { id, insts } of blocks) {
      if (insts.some((inst) => touches(inst, !isForward))) work.push(...(edges[id] ?? []));
    }
    for (let at = work.pop(); at !== undefined; at = work.pop()) {
      if (seen[at] === 1) continue;
      seen[at] = 1;
      work.push(...(edges[at] ?? []));
    }
    return seen;
  };
  const [written, read] = [reach(true), reach(false)];
  const found = new Set<Inst>();
  for (const { id, insts } of blocks) {
    let isWritten = written[id] === 1;
    const open: Inst[] = [];
    for (const inst of insts) {
      if (touches(inst, true)) for (const barrier of open.splice(0)) found.add(barrier);
      if (touches(inst, false)) isWritten = true;
      if (isBarrier(inst) && isWritten) open.push(inst);
    }
    if (read[id] === 1) for (const barrier of open) found.add(barrier);
  }
  return found;
}
