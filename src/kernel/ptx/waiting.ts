// SPDX-License-Identifier: Apache-2.0
/**
 * Kernels whose launches can't be sliced: those with a loop that waits for memory which only
 * another workgroup can change. Such a loop reads global memory at an address that the loop does
 * not change, writes none, and ends by what it read. A retry of a compare-and-swap writes.
 */
import type { Graph } from "./cfg.js";
import type { Block, FlatKernel, Inst } from "./ir.js";
import { eachDef, eachReg, eachUse, successors } from "./ir.js";
import { accessMask, GLOBAL, type SpaceMasks } from "./spaces.js";

/** Most instructions looked at over all loops, nested ones again; more counts as waiting. */
const WORK_MAX = 4_000_000;

/** Most rounds of following what was read through the loop's registers. */
const ROUNDS_MAX = 16;

/** Blocks of each loop, by header; null if that is too much work. */
function loopBlocks(graph: Graph): Map<number, Block[]> | null {
  const found = new Map<number, Block[]>();
  let work = 0;
  for (const block of graph.blocks) {
    let header = graph.loopOf[block.id] ?? -1;
    while (header >= 0) {
      const list = found.get(header) ?? [];
      list.push(block);
      found.set(header, list);
      work += block.insts.length + 1;
      if (work > WORK_MAX) return null;
      header = graph.outerLoop.get(header) ?? -1;
    }
  }
  return found;
}

const touchesGlobal = (inst: Inst, masks: SpaceMasks): boolean => {
  const address = inst.src[0];
  return address !== undefined && (accessMask(inst, address, masks) & GLOBAL) !== 0;
};

/** Whether the instruction reads global memory that the loop may be waiting for. */
function polls(inst: Inst, masks: SpaceMasks, isChanged: (reg: number) => boolean): boolean {
  const isRead = inst.op === "ld" && !inst.mods.includes("nc") && !inst.mods.includes("const");
  if (!isRead && !isHarmlessAtomic(inst)) return false;
  const address = inst.src[0];
  if (address === undefined || !touchesGlobal(inst, masks)) return false;
  let fixed = true;
  eachReg(address, (reg) => {
    if (isChanged(reg)) fixed = false;
  });
  return fixed;
}

/** An atomic that changes nothing: adds zero, or takes the or with zero. */
function isHarmlessAtomic(inst: Inst): boolean {
  if (inst.op !== "atom") return false;
  const value = inst.src[1];
  const isZero = value?.kind === "imm" && value.value === 0n;
  return isZero && (inst.mods.includes("add") || inst.mods.includes("or"));
}

function writes(inst: Inst, masks: SpaceMasks): boolean {
  if (inst.op !== "st" && inst.op !== "red" && inst.op !== "atom") return false;
  return !isHarmlessAtomic(inst) && touchesGlobal(inst, masks);
}

/** The line of the read that the loop waits for, 0 if it waits for none. */
function waitsAt(blocks: readonly Block[], masks: SpaceMasks): number {
  const inside = new Set(blocks.map((block) => block.id));
  const changed = new Set<number>();
  for (const block of blocks) {
    for (const inst of block.insts) {
      if (writes(inst, masks)) return 0;
      eachDef(inst, (reg) => changed.add(reg));
    }
  }
  const read = new Set<number>();
  let line = 0;
  for (let grown = true, round = 0; grown && round < ROUNDS_MAX; round += 1) {
    grown = false;
    for (const block of blocks) {
      for (const inst of block.insts) {
        const isPoll = polls(inst, masks, (reg) => changed.has(reg));
        let isRead = isPoll;
        eachUse(inst, (reg) => {
          isRead ||= read.has(reg);
        });
        if (isPoll && line === 0) line = inst.line;
        if (!isRead) continue;
        eachDef(inst, (reg) => {
          if (!read.has(reg)) grown = true;
          read.add(reg);
        });
      }
    }
  }
  if (line === 0) return 0;
  for (const { term } of blocks) {
    if (term.kind !== "branch" || successors(term).every((to) => inside.has(to))) continue;
    const { condition } = term;
    let isRead = condition.kind === "pred" && read.has(condition.reg);
    if (condition.kind === "equals") {
      eachReg(condition.value, (reg) => {
        isRead ||= read.has(reg);
      });
    }
    if (isRead) return line;
  }
  return 0;
}

/** Why launches of the kernel can't be sliced; null if they can. */
export function whyUnsliceable(kernel: FlatKernel, graph: Graph, masks: SpaceMasks): string | null {
  const loops = loopBlocks(graph);
  if (loops === null) return `kernel ${kernel.name}: its loops are too large to look through`;
  for (const blocks of loops.values()) {
    const line = waitsAt(blocks, masks);
    if (line > 0) return `line ${line} waits for another workgroup to change memory`;
  }
  return null;
}
