// SPDX-License-Identifier: Apache-2.0
/**
 * Structured programs whose threads are not together at their barriers and warp operations: after
 * an early return of some, inside a condition that differs between threads or warps, in loops of
 * different lengths. All threads walk through the same statements; each knows whether it takes
 * part (`a1`, `a2` …), does its own work only then, and meets the others in any case:
 *
 *   if (c) { A; barrier; B }      becomes      a1 = c; if (a1) { A } barrier; if (a1) { B }
 *
 * A loop goes on as long as any thread takes part. Parts without a meeting stay ordinary code.
 * Where threads of two branches meet each other (a barrier in both), this would pair them wrongly:
 * those programs are left to the state machine.
 */
import { emitInsts } from "./emit-block.js";
import type { Emit } from "./emit-context.js";
import { barrierWord, exchange, setReduced, WARP_OPERATIONS } from "./emit-warp.js";
import type { Block, Inst } from "./ir.js";
import { hasMod } from "./ir.js";
import type { NodeEmitter } from "./nodes.js";
import type { Node } from "./structure.js";
import { isBarrier, isSync } from "./sync.js";
import type { UniformityCheck } from "./uniform.js";

const bodies = (node: Node): readonly (readonly Node[])[] => {
  switch (node.kind) {
    case "if":
      return [node.yes, node.no];
    case "ifset":
      return [node.yes];
    case "loop":
    case "scope":
      return [node.body];
    default:
      return [];
  }
};

/** What the masked emitter wants to know of each node, found once. */
interface Facts {
  hasStray: boolean;
  hasBarrier: boolean;
  /** Jumps that leave the node itself. */
  breaks: boolean;
  continues: boolean;
}

class Survey {
  readonly facts = new Map<Node, Facts>();

  constructor(private readonly check: UniformityCheck) {}

  list(nodes: readonly Node[]): Facts {
    const sum = { hasStray: false, hasBarrier: false, breaks: false, continues: false };
    for (const node of nodes) {
      const own = this.node(node);
      sum.hasStray ||= own.hasStray;
      sum.hasBarrier ||= own.hasBarrier;
      sum.breaks ||= own.breaks;
      sum.continues ||= own.continues;
    }
    return sum;
  }

  private node(node: Node): Facts {
    const sum = { hasStray: false, hasBarrier: false, breaks: false, continues: false };
    if (node.kind === "code") {
      sum.hasStray = node.insts.some((inst) => this.check.stray.has(inst));
      sum.hasBarrier = node.insts.some(isBarrier);
    } else if (node.kind === "break") sum.breaks = true;
    else if (node.kind === "continue") sum.continues = true;
    for (const body of bodies(node)) {
      const inner = this.list(body);
      sum.hasStray ||= inner.hasStray;
      sum.hasBarrier ||= inner.hasBarrier;
      sum.breaks ||= inner.breaks && node.kind !== "loop" && node.kind !== "scope";
      sum.continues ||= inner.continues && node.kind !== "loop";
    }
    this.facts.set(node, sum);
    return sum;
  }
}

/** The facts of a list whose nodes are surveyed. */
function sumOf(nodes: readonly Node[], survey: Survey): Facts {
  const found = nodes.map((node) => survey.facts.get(node));
  return {
    hasStray: found.some((facts) => facts?.hasStray),
    hasBarrier: found.some((facts) => facts?.hasBarrier),
    breaks: found.some((facts) => facts?.breaks),
    continues: found.some((facts) => facts?.continues),
  };
}

/** Whether threads of two ways could be meant to meet each other. */
function pairsWays(nodes: readonly Node[], survey: Survey, check: UniformityCheck): boolean {
  return nodes.some((node) => {
    const lists = bodies(node);
    if (node.kind === "if" || node.kind === "ifset") {
      const facts = lists.map((list) => sumOf(list, survey));
      const withBarrier = facts.filter((f) => f.hasBarrier);
      const escapes = withBarrier.some((f) => f.breaks || f.continues);
      if (check.split.has(node) && (withBarrier.length > 1 || escapes)) return true;
    }
    return lists.some((list) => pairsWays(list, survey, check));
  });
}

/** Barriers of a part of the block, or without waiting: only the state machine has them. */
function isPlainBarrier(inst: Inst, threads: number): boolean {
  if (!isBarrier(inst)) return true;
  if (hasMod(inst, "arrive")) return false;
  const counted = hasMod(inst, "red") ? inst.src.length > 2 : inst.src.length > 1;
  const count = hasMod(inst, "red") ? inst.src.at(-2) : inst.src[1];
  return !counted || (count?.kind === "imm" && Number(count.value) >= threads);
}

export interface MaskPlan {
  readonly facts: ReadonlyMap<Node, Facts>;
  readonly check: UniformityCheck;
}

/** How to emit the program with masks; null if it needs the state machine. */
export function planMasks(
  nodes: readonly Node[],
  blocks: readonly Block[],
  check: UniformityCheck,
  threads: number,
): MaskPlan | null {
  for (const block of blocks) {
    if (!block.insts.every((inst) => isPlainBarrier(inst, threads))) return null;
  }
  const survey = new Survey(check);
  survey.list(nodes);
  return pairsWays(nodes, survey, check) ? null : { facts: survey.facts, check };
}

interface Frame {
  readonly kind: "list" | "loop" | "scope";
  /** Whether the thread takes part in the list; null where all do. */
  act: string | null;
  /** Of a masked loop: whether the thread is still in it. */
  readonly inLoop: string | null;
}

export class MaskedEmitter {
  private readonly frames: Frame[] = [];
  private count = 0;

  constructor(
    private readonly e: Emit,
    private readonly ordinary: NodeEmitter,
    private readonly plan: MaskPlan,
  ) {}

  run(nodes: readonly Node[]): void {
    this.list(nodes, { kind: "list", act: null, inLoop: null });
  }

  private fresh(): string {
    this.count += 1;
    return `a${this.count}`;
  }

  private inner(work: () => void): void {
    const outer = this.e.indent;
    this.e.indent = `${outer}  `;
    work();
    this.e.indent = outer;
  }

  private isOrdinary(node: Node, frame: Frame): boolean {
    const facts = this.plan.facts.get(node);
    if (facts === undefined || facts.hasStray) return false;
    if (node.kind === "code" && node.insts.some(isSync)) return frame.act === null;
    const escapes = facts.breaks || facts.continues;
    return !escapes || (frame.act === null && !this.plan.check.split.has(node));
  }

  private list(nodes: readonly Node[], frame: Frame): void {
    this.frames.push(frame);
    for (let i = 0; i < nodes.length; i += 1) {
      const from = i;
      while (i < nodes.length && this.isOrdinary(nodes[i] as Node, frame)) i += 1;
      if (i > from) this.together(nodes.slice(from, i), frame);
      const node = nodes[i];
      if (node !== undefined) this.node(node, frame);
    }
    this.frames.pop();
  }

  private together(nodes: readonly Node[], frame: Frame): void {
    if (frame.act === null) {
      this.ordinary.list(nodes);
      return;
    }
    if (nodes.every((node) => node.kind === "code" && node.insts.length === 0)) return;
    this.e.line(`if (${frame.act}) {`);
    this.inner(() => this.ordinary.list(nodes));
    this.e.line("}");
  }

  private node(node: Node, frame: Frame): void {
    const isSplit = this.plan.check.split.has(node) || frame.act !== null;
    switch (node.kind) {
      case "code":
        this.code(node.insts, frame);
        return;
      case "if":
        this.branch(this.ordinary.condition(node.condition), node.yes, node.no, isSplit, frame);
        return;
      case "ifset":
        this.branch(`jt == ${node.target + 1}u`, node.yes, [], isSplit, frame);
        return;
      case "scope":
        this.scope(node.body, isSplit, frame);
        return;
      case "loop":
        this.loop(node.body, isSplit, frame);
        return;
      case "break":
      case "continue":
        this.jump(node.kind);
        return;
      default:
        this.ordinary.list([node]);
    }
  }

  private code(insts: readonly Inst[], frame: Frame): void {
    const { e } = this;
    let from = 0;
    const flush = (to: number): void => {
      if (to === from) return;
      const part = insts.slice(from, to);
      if (frame.act === null) emitInsts(e, part);
      else {
        e.line(`if (${frame.act}) {`);
        this.inner(() => emitInsts(e, part));
        e.line("}");
      }
    };
    insts.forEach((inst, i) => {
      if (!isSync(inst)) return;
      flush(i);
      from = i + 1;
      if (frame.act === null) emitInsts(e, [inst]);
      else this.meeting(inst, frame.act);
    });
    flush(insts.length);
  }

  /** All threads meet; those that take part get the result. */
  private meeting(inst: Inst, act: string): void {
    const { e } = this;
    e.inst = inst;
    if (isBarrier(inst) && hasMod(inst, "red")) {
      // Those that take part in the upper half, those whose predicate holds in the lower.
      exchange(e, `select(0u, 0x10000u | ${barrierWord(e, inst)}, ${act})`);
      if (e.needsStorageBarrier(inst)) e.line("storageBarrier();");
      const sum = e.bind(`${e.use("block_sum")}()`);
      this.when(act, () => setReduced(e, inst, `(${sum} & 0xffffu)`, `(${sum} >> 16u)`));
      return;
    }
    const operation = WARP_OPERATIONS[inst.op];
    if (operation === undefined) {
      e.line("workgroupBarrier();");
      if (e.needsStorageBarrier(inst)) e.line("storageBarrier();");
      return;
    }
    const isShuffle = inst.op === "shfl";
    if (!isShuffle) {
      exchange(e, `select(0u, 1u, ${act})`);
      e.lanes = e.bind(`${e.use("ballot")}()`);
    }
    const word = operation.word(e, inst);
    exchange(e, isShuffle ? `select(0u, ${word}, ${act})` : word);
    this.when(act, () => operation.finish(e, inst));
    e.lanes = null;
  }

  private when(act: string, work: () => void): void {
    this.e.line(`if (${act}) {`);
    this.inner(work);
    this.e.line("}");
  }

  private branch(
    condition: string,
    yes: readonly Node[],
    no: readonly Node[],
    isSplit: boolean,
    frame: Frame,
  ): void {
    const { e } = this;
    if (!isSplit) {
      e.line(`if (${condition}) {`);
      this.inner(() => this.list(yes, { kind: "list", act: null, inLoop: null }));
      e.line("} else {");
      this.inner(() => this.list(no, { kind: "list", act: null, inLoop: null }));
      e.line("}");
      return;
    }
    const [a, b] = [this.fresh(), this.fresh()];
    const test = e.bind(`(${condition})`);
    const outer = frame.act === null ? "" : `${frame.act} && `;
    e.line(`var ${a} = ${outer}${test};`);
    if (no.length > 0 || this.escapes(yes)) e.line(`var ${b} = ${outer}!${test};`);
    this.list(yes, { kind: "list", act: a, inLoop: null });
    if (no.length > 0) this.list(no, { kind: "list", act: b, inLoop: null });
    if (!this.escapes(yes) && !this.escapes(no)) return;
    if (frame.act !== null) e.line(`${frame.act} = ${a} || ${b};`);
    else {
      frame.act = this.fresh();
      e.line(`var ${frame.act} = ${a} || ${b};`);
    }
  }

  private escapes(nodes: readonly Node[]): boolean {
    return nodes.some((node) => {
      const facts = this.plan.facts.get(node);
      return facts?.breaks === true || facts?.continues === true;
    });
  }

  private scope(body: readonly Node[], isSplit: boolean, frame: Frame): void {
    const { e } = this;
    if (!isSplit) {
      e.line("switch 0u { default: {");
      this.inner(() => this.list(body, { kind: "scope", act: null, inLoop: null }));
      e.line("} }");
      return;
    }
    const a = this.fresh();
    e.line(`var ${a} = ${frame.act ?? "true"};`);
    this.list(body, { kind: "scope", act: a, inLoop: null });
  }

  private loop(body: readonly Node[], isSplit: boolean, frame: Frame): void {
    const { e } = this;
    if (!isSplit) {
      this.ordinary.loop(body, () => this.list(body, { kind: "loop", act: null, inLoop: null }));
      return;
    }
    const [a, b] = [this.fresh(), this.fresh()];
    e.use("any_thread");
    e.line(`var ${b} = ${frame.act ?? "true"};`);
    e.line("loop {");
    this.inner(() => {
      e.line(`var ${a} = ${b};`);
      this.list(body, { kind: "loop", act: a, inLoop: b });
      e.line(`if (${b}) { atomicStore(&wa[wt], 1u); }`);
      e.line("let go = workgroupUniformLoad(&wa[wt]);");
      e.line("wt = (wt + 1u) % 3u;");
      e.line("if (lix == 0u) { atomicStore(&wa[(wt + 1u) % 3u], 0u); }");
      e.line("if (go == 0u) { break; }");
    });
    e.line("}");
  }

  /** The thread takes no more part in the lists up to the construct that it leaves. */
  private jump(kind: "break" | "continue"): void {
    const { e, frames } = this;
    if (frames.at(-1)?.act === null) {
      e.line(`${kind};`);
      return;
    }
    // Only of those threads that jump: the lists around theirs belong to others too.
    e.line(`if (${frames.at(-1)?.act ?? "true"}) {`);
    for (let i = frames.length - 1; i >= 0; i -= 1) {
      const frame = frames[i];
      if (frame === undefined) break;
      if (frame.act !== null) e.line(`  ${frame.act} = false;`);
      const isTarget = kind === "break" ? frame.kind !== "list" : frame.kind === "loop";
      if (!isTarget) continue;
      if (kind === "break" && frame.inLoop !== null) e.line(`  ${frame.inLoop} = false;`);
      break;
    }
    e.line("}");
  }
}

/** Blocks as `let` analysis should see them: cut at meetings, conditions apart. */
export function cutBlocks(blocks: readonly Block[], plan: MaskPlan): Block[] {
  const cut: Block[] = [];
  const isPlain = new Set<number>();
  for (const [node, facts] of plan.facts) {
    // Code inside parts that stay ordinary is never cut.
    if (node.kind === "code" && !facts.hasStray && !plan.check.split.has(node)) {
      isPlain.add(node.block);
    }
  }
  let id = 0;
  for (const block of blocks) {
    if (isPlain.has(block.id)) {
      cut.push({ ...block, id: id++ });
      continue;
    }
    let insts: Inst[] = [];
    for (const inst of block.insts) {
      if (isSync(inst)) {
        cut.push({ id: id++, insts, term: { kind: "exit" } });
        cut.push({ id: id++, insts: [inst], term: { kind: "exit" } });
        insts = [];
      } else insts.push(inst);
    }
    cut.push({ id: id++, insts, term: { kind: "exit" } });
    cut.push({ id: id++, insts: [], term: block.term });
  }
  return cut;
}
