// SPDX-License-Identifier: Apache-2.0
/**
 * Control flow to WGSL's statements, by the dominator tree: what follows a loop or a join comes
 * after it, in a scope that `break` leaves; a scope is a `switch` with one case, so that
 * `continue` passes through. Jumps over several constructs set a number and break one after the
 * other. A jump to what follows anyway is nothing at all, which leaves most programs with plain
 * if, else and loop.
 */
import type { Graph } from "./cfg.js";
import type { Condition, Inst } from "./ir.js";

export type Node =
  | { readonly kind: "code"; readonly block: number; readonly insts: readonly Inst[] }
  | {
      readonly kind: "if";
      readonly condition: Condition;
      readonly yes: Node[];
      readonly no: Node[];
    }
  | { readonly kind: "loop"; readonly body: Node[] }
  | { readonly kind: "scope"; readonly body: Node[] }
  | { readonly kind: "break" }
  | { readonly kind: "continue" }
  | { readonly kind: "return" }
  /** Sets the number of the jump under way; 0 when it arrives. */
  | { readonly kind: "set"; readonly target: number }
  | { readonly kind: "ifset"; readonly target: number; readonly yes: Node[] };

interface Frame {
  readonly kind: "loop" | "scope";
  readonly header: number;
  /** The block that is reached when the construct is left. */
  readonly after: number;
  /** Targets of jumps that leave more than this construct. */
  readonly pending: Set<number>;
}

/** Deepest recursion of the structurer; each level takes a few stack frames. */
const RECURSION_MAX = 600;

/** What follows the end of the function. */
const NOTHING = -1;

class TooDeep extends Error {}

class Structurer {
  /** Joins and exits of loops that follow a block, in order. */
  private readonly after: number[][];
  private readonly inside: number[][];
  private readonly forward: number[];
  private readonly frames: Frame[] = [];
  private readonly exit: number;
  private needed = new Set<number>();
  private found = new Set<number>();
  private isDraft = true;
  private depth = 0;
  private nesting = 0;

  constructor(
    private readonly graph: Graph,
    private readonly mayReturn: boolean,
    private readonly nestingMax: number,
  ) {
    const { blocks, preds } = graph;
    this.after = blocks.map(() => []);
    this.inside = blocks.map(() => []);
    this.forward = blocks.map((b) => (preds[b.id] ?? []).filter((p) => p < b.id).length);
    this.exit = blocks.findIndex((b) => b.term.kind === "exit");
    for (let b = 1; b < blocks.length; b += 1) this.placeBlock(b);
  }

  private contains(header: number, block: number): boolean {
    let at = this.graph.loopOf[block] ?? -1;
    while (at >= 0 && at !== header) at = this.graph.outerLoop.get(at) ?? -1;
    return at === header;
  }

  private placeBlock(b: number): void {
    const parent = this.graph.idom[b] ?? 0;
    let left = -1;
    let loop = this.graph.loopOf[parent] ?? -1;
    while (loop >= 0 && !this.contains(loop, b)) {
      left = loop;
      loop = this.graph.outerLoop.get(loop) ?? -1;
    }
    if (left >= 0) this.after[left]?.push(b);
    else if ((this.forward[b] ?? 0) > 1) this.inside[parent]?.push(b);
    else return;
    this.isPlaced.add(b);
  }

  private readonly isPlaced = new Set<number>();

  run(): Node[] {
    // First to see which scopes are jumped out of, then for good.
    this.tree(0, NOTHING, []);
    this.needed = this.found;
    this.isDraft = false;
    const nodes: Node[] = [];
    this.tree(0, NOTHING, nodes);
    return nodes;
  }

  private enter(): void {
    this.depth += 1;
    if (this.depth > RECURSION_MAX) throw new TooDeep();
  }

  /** The block's part of the dominator tree; what leaves it falls through to `follow`. */
  private tree(start: number, follow: number, out: Node[]): void {
    this.enter();
    // The last follower is the rest of the same list: a loop here, so that sequences do not nest.
    for (let block: number | undefined = start; block !== undefined; ) {
      const isHeader = this.graph.loopOf[block] === block;
      const followers: readonly number[] = (isHeader ? this.after : this.inside)[block] ?? [];
      const last = followers.at(-1);
      const head: number = block;
      const core = (next: number, list: Node[]): void => {
        if (isHeader) this.loop(head, next, list);
        else this.node(head, next, list);
      };
      if (last === undefined) core(follow, out);
      else this.scoped(followers, out, core);
      block = last;
    }
    this.depth -= 1;
  }

  private loop(header: number, follow: number, out: Node[]): void {
    const body: Node[] = [];
    this.framed("loop", header, follow, out, body, () => {
      this.within(this.inside[header] ?? [], header, body, (next, list) =>
        this.node(header, next, list),
      );
    });
  }

  /** `core` and all followers but the last, so that jumps to the last one reach its place. */
  private scoped(
    followers: readonly number[],
    out: Node[],
    core: (follow: number, out: Node[]) => void,
  ): void {
    const last = followers.at(-1) ?? NOTHING;
    const rest = followers.slice(0, -1);
    if (this.needed.has(last)) {
      const body: Node[] = [];
      this.framed("scope", last, last, out, body, () => this.within(rest, last, body, core));
    } else this.within(rest, last, out, core);
  }

  /** `core`, followed by each of `followers`, in scopes that a jump to them leaves. */
  private within(
    followers: readonly number[],
    follow: number,
    out: Node[],
    core: (follow: number, out: Node[]) => void,
  ): void {
    const last = followers.at(-1);
    if (last === undefined) {
      core(follow, out);
      return;
    }
    this.enter();
    this.scoped(followers, out, core);
    this.tree(last, follow, out);
    this.depth -= 1;
  }

  private framed(
    kind: "loop" | "scope",
    header: number,
    after: number,
    out: Node[],
    body: Node[],
    work: () => void,
  ): void {
    const frame: Frame = { kind, header, after, pending: new Set() };
    this.frames.push(frame);
    out.push({ kind, body });
    this.nest(work);
    this.frames.pop();
    for (const target of frame.pending) {
      const yes: Node[] = [];
      this.jump(target, NOTHING - 1, yes, true);
      out.push({ kind: "ifset", target, yes });
    }
  }

  private nest(work: () => void): void {
    this.nesting += 1;
    if (this.nesting > this.nestingMax) throw new TooDeep();
    work();
    this.nesting -= 1;
  }

  private node(block: number, follow: number, out: Node[]): void {
    const found = this.graph.blocks[block];
    if (found === undefined) return;
    const { term, insts } = found;
    if (insts.length > 0 || term.kind === "branch") out.push({ kind: "code", block, insts });
    if (term.kind === "exit") return;
    if (term.kind === "jump") {
      this.branch(block, term.to, follow, out);
      return;
    }
    const yes: Node[] = [];
    const no: Node[] = [];
    const { condition } = term;
    const isDeep = this.nesting > 24;
    if (isDeep && this.isJump(block, term.yes)) {
      // In one list with what follows, so that long chains of exits do not nest.
      this.nest(() => this.branch(block, term.yes, NOTHING - 1, yes));
      out.push({ kind: "if", condition, yes, no: [] });
      this.branch(block, term.no, follow, out);
      return;
    }
    this.nest(() => {
      this.branch(block, term.yes, follow, yes);
      this.branch(block, term.no, follow, no);
    });
    out.push({ kind: "if", condition, yes, no });
  }

  private isJump(from: number, to: number): boolean {
    return to <= from || this.isPlaced.has(to) || (this.forward[to] ?? 0) > 1;
  }

  private branch(from: number, to: number, follow: number, out: Node[]): void {
    if (this.isJump(from, to)) this.jump(to, follow, out, false);
    else this.tree(to, follow, out);
  }

  private jump(to: number, follow: number, out: Node[], isUnderWay: boolean): void {
    const arrive = (node: Node): void => {
      if (isUnderWay) out.push({ kind: "set", target: 0 });
      out.push(node);
    };
    if (to === follow) {
      if (isUnderWay) out.push({ kind: "set", target: 0 });
      return;
    }
    let loop: Frame | undefined;
    for (let i = this.frames.length - 1; i >= 0 && loop === undefined; i -= 1) {
      if (this.frames[i]?.kind === "loop") loop = this.frames[i];
    }
    if (loop?.header === to) {
      arrive({ kind: "continue" });
      return;
    }
    const inner = this.frames.at(-1);
    if (inner?.after === to) {
      arrive({ kind: "break" });
      return;
    }
    if (this.mayReturn && to === this.exit) {
      out.push({ kind: "return" });
      return;
    }
    if (this.isDraft) {
      if (loop?.after !== to) this.found.add(to);
      return;
    }
    if (!isUnderWay) out.push({ kind: "set", target: to + 1 });
    out.push({ kind: "break" });
    inner?.pending.add(to);
  }
}

/** The structured program; null if the graph has no structure or nests too deeply. */
export function structure(graph: Graph, mayReturn: boolean, nestingMax: number): Node[] | null {
  if (!graph.isReducible) return null;
  try {
    return new Structurer(graph, mayReturn, nestingMax).run();
  } catch (error) {
    if (error instanceof TooDeep) return null;
    throw error;
  }
}
