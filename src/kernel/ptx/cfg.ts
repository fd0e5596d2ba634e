// SPDX-License-Identifier: Apache-2.0
/**
 * Basic blocks and their order: reverse postorder, dominators (Cooper, Harvey and Kennedy), loops
 * (Havlak's nesting). Everything is iterative, and its work is counted: hostile graphs end in an
 * error instead of a long wait.
 */
import { PtxError } from "./error.js";
import type { Block, Condition, FlatKernel, Inst, Terminator, Value } from "./ir.js";
import { successors, unsupported } from "./ir.js";
import { isSync } from "./sync.js";

/** Most steps of the graph passes for one kernel; real ones need a few per block. */
const STEPS_MAX = 50_000_000;

export interface Graph {
  readonly blocks: readonly Block[];
  /** Index of the entry block is 0; blocks are in reverse postorder and all reachable. */
  readonly preds: readonly (readonly number[])[];
  readonly idom: readonly number[];
  /** Innermost loop's header of each block, -1 without one; a header belongs to its own loop. */
  readonly loopOf: readonly number[];
  /** The enclosing loop's header of a header, -1 without one. */
  readonly outerLoop: ReadonlyMap<number, number>;
  readonly isReducible: boolean;
}

const ENDS = new Set(["bra", "brx", "ret", "exit", "trap", "$assert"]);

interface Draft {
  insts: Inst[];
  term: Terminator | null;
}

class Builder {
  readonly drafts: Draft[] = [{ insts: [], term: null }];
  private readonly labelBlock = new Map<number, number>();
  private current = 0;
  /** The block that every exit goes to. */
  exit = -1;

  constructor(private readonly kernel: FlatKernel) {}

  private open(): number {
    return this.drafts.push({ insts: [], term: null }) - 1;
  }

  private blockOf(label: number): number {
    let block = this.labelBlock.get(label);
    if (block === undefined) {
      block = this.open();
      this.labelBlock.set(label, block);
    }
    return block;
  }

  private end(term: Terminator): void {
    const draft = this.drafts[this.current];
    if (draft !== undefined && draft.term === null) draft.term = term;
  }

  build(): void {
    this.exit = this.open();
    const exit = this.drafts[this.exit];
    if (exit !== undefined) exit.term = { kind: "exit" };
    for (const item of this.kernel.code) {
      if (typeof item === "number") {
        const block = this.blockOf(item);
        this.end({ kind: "jump", to: block });
        this.current = block;
      } else if (ENDS.has(item.op)) this.terminate(item);
      else if (item.guard !== null && isSync(item)) this.guarded(item);
      else this.drafts[this.current]?.insts.push(item);
    }
    this.end({ kind: "jump", to: this.exit });
  }

  /** Threads meet at the instruction, so a guard is control flow there. */
  private guarded(inst: Inst): void {
    const [taken, next] = [this.open(), this.open()];
    this.end(this.branchOrJump(inst.guard, taken, next));
    this.drafts[taken]?.insts.push({ ...inst, guard: null });
    this.current = taken;
    this.end({ kind: "jump", to: next });
    this.current = next;
  }

  private target(value: Value | undefined, inst: Inst): number {
    if (value?.kind !== "imm") throw unsupported(inst, "needs a label");
    return this.blockOf(Number(value.value));
  }

  private terminate(inst: Inst): void {
    if (inst.op === "brx") {
      this.indexed(inst);
      return;
    }
    const isFault = inst.op === "trap" || inst.op === "$assert";
    const { guard } = inst;
    const next = this.open();
    if (!isFault) {
      const to = inst.op === "bra" ? this.target(inst.src[0], inst) : this.exit;
      this.end(this.branchOrJump(guard, to, next));
      this.current = next;
      return;
    }
    const fault = guard === null ? this.current : this.open();
    if (guard !== null) this.end(this.branchOrJump(guard, fault, next));
    this.current = fault;
    this.drafts[fault]?.insts.push({ ...inst, guard: null });
    this.end({ kind: "jump", to: this.exit });
    this.current = next;
  }

  private branchOrJump(guard: Inst["guard"], to: number, next: number): Terminator {
    if (guard === null) return { kind: "jump", to };
    const condition: Condition = { kind: "pred", reg: guard.reg, negated: guard.negated };
    return { kind: "branch", condition, yes: to, no: next };
  }

  /** A jump through a table, as a chain of comparisons. */
  private indexed(inst: Inst): void {
    const [value, list] = inst.src;
    const targets =
      list?.kind === "imm" ? this.kernel.branchTargets.get(Number(list.value)) : undefined;
    if (value === undefined || targets === undefined || inst.guard !== null) {
      throw unsupported(inst, "has no list of targets");
    }
    targets.forEach((label, index) => {
      const yes = this.blockOf(label);
      if (index === targets.length - 1) {
        this.end({ kind: "jump", to: yes });
        return;
      }
      const no = this.open();
      const condition: Condition = { kind: "equals", value, index };
      this.end({ kind: "branch", condition, yes, no });
      this.current = no;
    });
    this.current = this.open();
  }
}

/** Counts steps over all passes of one kernel. */
class Meter {
  private steps = 0;
  constructor(private readonly line: number) {}
  step(): void {
    this.steps += 1;
    if (this.steps > STEPS_MAX) throw new PtxError("its control flow is too complex", this.line);
  }
}

/** Follows jumps through empty blocks, and drops branches with one target. */
function thread(drafts: Draft[], meter: Meter): void {
  const final = (from: number): number => {
    let at = from;
    for (let hops = 0; hops < 64; hops += 1) {
      meter.step();
      const draft = drafts[at];
      if (draft?.term?.kind !== "jump" || draft.insts.length > 0 || draft.term.to === at) break;
      at = draft.term.to;
    }
    return at;
  };
  for (const draft of drafts) {
    const { term } = draft;
    if (term?.kind === "jump") draft.term = { kind: "jump", to: final(term.to) };
    if (term?.kind !== "branch") continue;
    const [yes, no] = [final(term.yes), final(term.no)];
    draft.term = yes === no ? { kind: "jump", to: yes } : { ...term, yes, no };
  }
}

/** Appends to each block the only successor of which it is the only predecessor. */
function merge(drafts: Draft[]): void {
  const count = drafts.map(() => 0);
  for (const { term } of drafts) {
    if (term !== null) for (const to of successors(term)) count[to] = (count[to] ?? 0) + 1;
  }
  // Absorbed into which block's list; appending to the start of a chain keeps this linear.
  const gone = drafts.map(() => false);
  drafts.forEach((draft, i) => {
    if (gone[i] === true) return;
    for (;;) {
      const { term } = draft;
      if (term?.kind !== "jump" || count[term.to] !== 1 || term.to === 0 || term.to === i) return;
      const next = drafts[term.to];
      if (next === undefined || next.term === null || next.term.kind === "exit") return;
      if (gone[term.to] === true) return;
      gone[term.to] = true;
      for (const inst of next.insts) draft.insts.push(inst);
      draft.term = next.term;
    }
  });
}

function reversePostorder(drafts: readonly Draft[]): number[] {
  const order: number[] = [];
  const seen = new Set<number>([0]);
  const stack: { at: number; next: readonly number[]; i: number }[] = [];
  const push = (at: number): void => {
    const term = drafts[at]?.term ?? null;
    stack.push({ at, next: term === null ? [] : successors(term), i: 0 });
  };
  push(0);
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const to = top.next[top.i];
    top.i += 1;
    if (to === undefined) {
      order.push(top.at);
      stack.pop();
    } else if (!seen.has(to)) {
      seen.add(to);
      push(to);
    }
  }
  return order.reverse();
}

function dominators(blocks: readonly Block[], preds: readonly number[][], meter: Meter): number[] {
  const idom = blocks.map(() => -1);
  idom[0] = 0;
  for (let changed = true; changed; ) {
    changed = false;
    for (let b = 1; b < blocks.length; b += 1) {
      let found = -1;
      for (const pred of preds[b] ?? []) {
        if ((idom[pred] ?? -1) < 0) continue;
        let [x, y] = [found < 0 ? pred : found, pred];
        while (x !== y) {
          meter.step();
          if (x > y) x = idom[x] ?? 0;
          else y = idom[y] ?? 0;
        }
        found = x;
      }
      if (idom[b] !== found) {
        idom[b] = found;
        changed = true;
      }
    }
  }
  return idom;
}

/** Preorder intervals of the dominator tree: whether a dominates b in constant time. */
function domination(idom: readonly number[]): (a: number, b: number) => boolean {
  const children = idom.map((): number[] => []);
  for (let b = 1; b < idom.length; b += 1) children[idom[b] ?? 0]?.push(b);
  const enter = idom.map(() => 0);
  const leave = idom.map(() => 0);
  let time = 0;
  const stack: [number, number][] = [[0, 0]];
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const [at, i] = top;
    if (i === 0) enter[at] = time++;
    const child = children[at]?.[i];
    top[1] += 1;
    if (child === undefined) {
      leave[at] = time++;
      stack.pop();
    } else stack.push([child, 0]);
  }
  return (a, b) => (enter[a] ?? 0) <= (enter[b] ?? 0) && (leave[b] ?? 0) <= (leave[a] ?? 0);
}

function loops(
  blocks: readonly Block[],
  preds: readonly number[][],
  dominates: (a: number, b: number) => boolean,
  meter: Meter,
): Pick<Graph, "loopOf" | "outerLoop" | "isReducible"> {
  const representative = blocks.map((_, i) => i);
  const find = (from: number): number => {
    let at = from;
    while (representative[at] !== at) {
      meter.step();
      representative[at] = representative[representative[at] ?? at] ?? at;
      at = representative[at] ?? at;
    }
    return at;
  };
  const loopOf = blocks.map(() => -1);
  const outerLoop = new Map<number, number>();
  let isReducible = true;
  for (let header = blocks.length - 1; header >= 0; header -= 1) {
    const work: number[] = [];
    for (const pred of preds[header] ?? []) {
      if (pred < header) continue;
      if (dominates(header, pred)) work.push(pred);
      else isReducible = false;
    }
    if (work.length === 0) continue;
    loopOf[header] = header;
    outerLoop.set(header, -1);
    for (let at = work.pop(); at !== undefined; at = work.pop()) {
      const node = find(at);
      if (node === header) continue;
      if (outerLoop.has(node)) outerLoop.set(node, header);
      else loopOf[node] = header;
      representative[node] = header;
      for (const pred of preds[node] ?? []) {
        meter.step();
        if (dominates(header, pred)) work.push(pred);
      }
    }
  }
  return { loopOf, outerLoop, isReducible };
}

/** Orders the blocks and finds their dominators and loops. */
function analyse(drafts: readonly Draft[], meter: Meter): Graph {
  const order = reversePostorder(drafts);
  const numbers = new Map(order.map((draft, i) => [draft, i]));
  const number = (draft: number): number => numbers.get(draft) ?? 0;
  const blocks = order.map((at, id): Block => {
    const draft = drafts[at];
    const term: Terminator = draft?.term ?? { kind: "exit" };
    const insts = draft?.insts ?? [];
    if (term.kind === "jump") return { id, insts, term: { kind: "jump", to: number(term.to) } };
    if (term.kind === "exit") return { id, insts, term };
    return { id, insts, term: { ...term, yes: number(term.yes), no: number(term.no) } };
  });
  const preds = blocks.map((): number[] => []);
  for (const { id, term } of blocks) for (const to of successors(term)) preds[to]?.push(id);
  const idom = dominators(blocks, preds, meter);
  return { blocks, preds, idom, ...loops(blocks, preds, domination(idom), meter) };
}

export function buildGraph(kernel: FlatKernel): Graph {
  const builder = new Builder(kernel);
  builder.build();
  const meter = new Meter(kernel.line);
  thread(builder.drafts, meter);
  merge(builder.drafts);
  return analyse(builder.drafts, meter);
}

/** The same graph with every instruction that `isAlone` names in a block of its own. */
export function splitBlocks(
  graph: Graph,
  kernel: FlatKernel,
  isAlone: (inst: Inst) => boolean,
): Graph {
  const drafts: Draft[] = graph.blocks.map(() => ({ insts: [], term: null }));
  for (const block of graph.blocks) {
    let at = block.id;
    const follow = (): void => {
      const next = drafts.push({ insts: [], term: null }) - 1;
      const draft = drafts[at];
      if (draft !== undefined) draft.term = { kind: "jump", to: next };
      at = next;
    };
    for (const inst of block.insts) {
      const alone = isAlone(inst);
      if (alone) follow();
      drafts[at]?.insts.push(inst);
      if (alone) follow();
    }
    const last = drafts[at];
    if (last !== undefined) last.term = block.term;
  }
  const meter = new Meter(kernel.line);
  thread(drafts, meter);
  return analyse(drafts, meter);
}
