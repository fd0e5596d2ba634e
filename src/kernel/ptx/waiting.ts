// SPDX-License-Identifier: Apache-2.0
/**
 * Kernels whose launches can't be sliced: those with a loop that waits for memory which only
 * another workgroup can change. The rule is that of WGSL's kernels (../wgsl/waiting.ts): a loop
 * waits if what it polls decides all its ways out, where polling is reading global memory at an
 * address that stays the same in the loop and is not stored to in it. What makes progress by itself
 * is no waiting: a counter, an atomic add, a walk over addresses, and a compare-and-swap whose
 * expected value is read anew on each turn (so float atomics and sub-word stores are fine).
 *
 * Each register that a loop writes gets the worst of its sources: FIXED, POLLED, or MOVING. Those
 * that depend on themselves (a counter, a list's cursor) are MOVING.
 */
import type { Graph } from "./cfg.js";
import type { Block, Condition, FlatKernel, Inst, Value } from "./ir.js";
import { eachDef, eachReg, eachUse, hasMod, successors } from "./ir.js";
import { accessMask, GLOBAL, type SpaceMasks } from "./spaces.js";

/** Most instructions and blocks looked at over all loops, nested ones again; more count as waiting. */
const WORK_MAX = 4_000_000;

const FIXED = 0;
const POLLED = 1;
const MOVING = 2;

/** Atomics that leave a value behind which does not depend on how often they ran. */
const POLLING = ["or", "and", "xor", "max", "min", "exch"];

/** Registers that differ from turn to turn by themselves. */
const CLOCKS = /^%(clock|globaltimer|pm)/;

/** What is known of a whole kernel's registers. */
interface Definitions {
  readonly counts: Uint32Array;
  readonly zeros: Uint8Array;
}

function definitionsOf(kernel: FlatKernel, blocks: readonly Block[]): Definitions {
  const counts = new Uint32Array(kernel.registers.length);
  const zeros = new Uint8Array(kernel.registers.length);
  for (const block of blocks) {
    for (const inst of block.insts) {
      const from = inst.src[0];
      const isZero = inst.op === "mov" && from?.kind === "imm" && from.value === 0n;
      eachDef(inst, (reg) => {
        counts[reg] = (counts[reg] ?? 0) + 1;
        zeros[reg] = isZero && counts[reg] === 1 ? 1 : 0;
      });
    }
  }
  return { counts, zeros };
}

/** An instruction of the loop, as the flow of values sees it. */
interface Step {
  readonly inst: Inst;
  readonly uses: readonly number[];
  readonly defs: readonly number[];
  /** Registers and cells that are to be known first. */
  missing: number;
}

/** Where an access goes, as far as two of them can be seen to go to the same place. */
function placeOf(address: Value | undefined): string {
  if (address === undefined) return "?";
  if (address.kind === "mem") return `${placeOf(address.base)}+${address.offset}`;
  if (address.kind === "reg") return `r${address.reg}`;
  if (address.kind === "addr") return `${address.space}${address.symbol}+${address.offset}`;
  return address.kind === "imm" ? String(address.value) : "?";
}

class TooLarge extends Error {}

/** What may still be looked at, over all loops. */
class Budget {
  private left = WORK_MAX;

  spend(work: number): void {
    this.left -= work;
    if (this.left < 0) throw new TooLarge();
  }
}

class Loop {
  private readonly inside: Set<number>;
  /** Blocks that every turn of the loop passes through. */
  private readonly always = new Set<number>();
  private readonly states = new Map<number, number>();
  private readonly stored = new Set<string>();
  /** Variables in local and shared memory, numbered behind the registers. */
  private readonly cells = new Map<string, number>();
  /** The first instruction that polls. */
  private line = 0;

  constructor(
    private readonly header: number,
    private readonly blocks: readonly Block[],
    private readonly graph: Graph,
    private readonly masks: SpaceMasks,
    private readonly known: Definitions,
    private readonly budget: Budget,
  ) {
    this.inside = new Set(blocks.map((block) => block.id));
    this.findAlways();
  }

  /** From a block up the dominator tree, to the header. */
  private path(from: number): number[] {
    const path: number[] = [];
    for (let at = from; at !== this.header && at > 0; at = this.graph.idom[at] ?? 0) {
      this.budget.spend(1);
      path.push(at);
    }
    return [...path, this.header];
  }

  private findAlways(): void {
    let common: readonly number[] | null = null;
    for (const latch of this.graph.preds[this.header] ?? []) {
      if (!this.inside.has(latch)) continue;
      const path: number[] = this.path(latch);
      const seen = new Set(path);
      const before: readonly number[] = common ?? path;
      common = before.filter((id) => seen.has(id));
    }
    for (const id of common ?? []) this.always.add(id);
  }

  private touchesGlobal(inst: Inst): boolean {
    const address = inst.src[0];
    return address !== undefined && (accessMask(inst, address, this.masks) & GLOBAL) !== 0;
  }

  private cell(inst: Inst): number {
    const place = placeOf(inst.src[0]);
    const known = this.cells.get(place) ?? this.known.counts.length + this.cells.size;
    this.cells.set(place, known);
    return known;
  }

  /** Registers of the conditions that decide whether the block is reached in a turn. */
  private deciders(block: Block): number[] {
    if (this.always.has(block.id)) return [];
    const found: number[] = [];
    for (const id of this.path(block.id)) {
      const term = this.graph.blocks[id]?.term;
      if (id === block.id || term?.kind !== "branch") continue;
      if (successors(term).every((to) => this.inside.has(to))) {
        conditionRegs(term.condition, (reg) => found.push(reg));
      }
    }
    return found;
  }

  private steps(): Step[] {
    const steps: Step[] = [];
    for (const block of this.blocks) {
      let deciders: readonly number[] | null = null;
      for (const inst of block.insts) {
        const [uses, defs]: [number[], number[]] = [[], []];
        eachUse(inst, (reg) => uses.push(reg));
        eachDef(inst, (reg) => defs.push(reg));
        if ((inst.op === "ld" || inst.op === "st") && !this.touchesGlobal(inst)) {
          (inst.op === "ld" ? uses : defs).push(this.cell(inst));
        }
        if (inst.op === "st" || inst.op === "red") this.stored.add(placeOf(inst.src[0]));
        // Which value a register has after two ways is up to what chose the way.
        if (defs.some((reg) => (this.known.counts[reg] ?? 2) > 1)) {
          deciders ??= this.deciders(block);
          uses.push(...deciders);
        }
        this.budget.spend(uses.length + 1);
        steps.push({ inst, uses, defs, missing: 0 });
      }
    }
    return steps;
  }

  private worst(values: Iterable<number>): number {
    let state = FIXED;
    for (const value of values) state = Math.max(state, this.states.get(value) ?? FIXED);
    return state;
  }

  private addressState(inst: Inst): number {
    let state = FIXED;
    const address = inst.src[0];
    if (address !== undefined) {
      eachReg(address, (reg) => {
        state = Math.max(state, this.states.get(reg) ?? FIXED);
      });
    }
    return state;
  }

  private poll(inst: Inst): number {
    const state = this.addressState(inst);
    if (state !== FIXED) return state;
    if (inst.op === "ld" && this.stored.has(placeOf(inst.src[0]))) return MOVING;
    if (this.line === 0) this.line = inst.line;
    return POLLED;
  }

  private isZero(value: Value | undefined): boolean {
    if (value?.kind === "imm") return value.value === 0n;
    return value?.kind === "reg" && this.known.zeros[value.reg] === 1;
  }

  private atomState(inst: Inst): number {
    if (!this.touchesGlobal(inst)) return MOVING;
    if (POLLING.some((op) => hasMod(inst, op))) return this.poll(inst);
    if (hasMod(inst, "add") && this.isZero(inst.src[1])) return this.poll(inst);
    const expected = inst.src[1];
    if (!hasMod(inst, "cas") || expected === undefined) return MOVING;
    let isFixed = true;
    eachReg(expected, (reg) => {
      if ((this.states.get(reg) ?? FIXED) !== FIXED) isFixed = false;
    });
    return isFixed ? this.poll(inst) : MOVING;
  }

  private stateOf(step: Step): number {
    const { inst } = step;
    if (inst.op === "atom") return this.atomState(inst);
    const isConstant = hasMod(inst, "nc") || hasMod(inst, "const") || hasMod(inst, "param");
    const state = this.worst(step.uses);
    if (inst.op === "ld" && !isConstant && this.touchesGlobal(inst)) {
      return Math.max(state, this.poll(inst));
    }
    const ticks = inst.src.some((value) => value.kind === "special" && CLOCKS.test(value.name));
    return ticks ? MOVING : state;
  }

  /** In an order in which sources are known before results; what is left depends on itself. */
  private flow(): void {
    const steps = this.steps();
    const open = new Map<number, number>();
    const users = new Map<number, Step[]>();
    for (const { defs } of steps) for (const reg of defs) open.set(reg, (open.get(reg) ?? 0) + 1);
    for (const step of steps) {
      for (const reg of step.uses) {
        if (!open.has(reg)) continue;
        step.missing += 1;
        const list = users.get(reg);
        if (list === undefined) users.set(reg, [step]);
        else list.push(step);
      }
    }
    for (const reg of open.keys()) this.states.set(reg, FIXED);
    const ready = steps.filter((step) => step.missing === 0);
    for (let step = ready.pop(); step !== undefined; step = ready.pop()) {
      const state = step.defs.length === 0 ? FIXED : this.stateOf(step);
      for (const reg of step.defs) {
        this.states.set(reg, Math.max(state, this.states.get(reg) ?? FIXED));
        const left = (open.get(reg) ?? 0) - 1;
        open.set(reg, left);
        if (left > 0) continue;
        for (const user of users.get(reg) ?? []) {
          user.missing -= 1;
          if (user.missing === 0) ready.push(user);
        }
      }
    }
    for (const [reg, left] of open) if (left > 0) this.states.set(reg, MOVING);
  }

  /** The line of what the loop waits for, 0 if it waits for nothing. */
  waitsAt(): number {
    this.flow();
    let isWaiting = false;
    for (const { term } of this.blocks) {
      if (term.kind !== "branch" || successors(term).every((to) => this.inside.has(to))) continue;
      const regs: number[] = [];
      conditionRegs(term.condition, (reg) => regs.push(reg));
      const state = this.worst(regs);
      if (state === MOVING) return 0;
      isWaiting ||= state === POLLED;
    }
    return isWaiting ? this.line : 0;
  }
}

function conditionRegs(condition: Condition, visit: (reg: number) => void): void {
  if (condition.kind === "pred") visit(condition.reg);
  else eachReg(condition.value, visit);
}

/** Blocks of each loop, by header. */
function loopBlocks(graph: Graph, budget: Budget): Map<number, Block[]> {
  const found = new Map<number, Block[]>();
  for (const block of graph.blocks) {
    let header = graph.loopOf[block.id] ?? -1;
    while (header >= 0) {
      const list = found.get(header) ?? [];
      list.push(block);
      found.set(header, list);
      budget.spend(block.insts.length + 1);
      header = graph.outerLoop.get(header) ?? -1;
    }
  }
  return found;
}

/**
 * The loops of one header: the whole, and where there are several ways back, each with what leads
 * to it. A wait at the top of a loop that makes progress shares its header.
 */
function* loopsOf(
  header: number,
  blocks: readonly Block[],
  graph: Graph,
  budget: Budget,
): Generator<readonly Block[]> {
  yield blocks;
  const inside = new Map(blocks.map((block) => [block.id, block]));
  const latches = (graph.preds[header] ?? []).filter((id) => inside.has(id));
  if (latches.length < 2) return;
  for (const latch of latches) {
    const found = new Set([header, latch]);
    const work = latch === header ? [] : [latch];
    for (let at = work.pop(); at !== undefined; at = work.pop()) {
      for (const pred of graph.preds[at] ?? []) {
        budget.spend(1);
        if (found.has(pred) || !inside.has(pred)) continue;
        found.add(pred);
        work.push(pred);
      }
    }
    yield blocks.filter((block) => found.has(block.id));
  }
}

/** Why launches of the kernel can't be sliced; null if they can. */
export function whyUnsliceable(kernel: FlatKernel, graph: Graph, masks: SpaceMasks): string | null {
  const budget = new Budget();
  const known = definitionsOf(kernel, graph.blocks);
  try {
    for (const [header, blocks] of loopBlocks(graph, budget)) {
      for (const list of loopsOf(header, blocks, graph, budget)) {
        const line = new Loop(header, list, graph, masks, known, budget).waitsAt();
        if (line > 0) return `line ${line} waits for another workgroup to change memory`;
      }
    }
  } catch (error) {
    if (!(error instanceof TooLarge)) throw error;
    return `kernel ${kernel.name}: its loops are too large to look through`;
  }
  return null;
}
