// SPDX-License-Identifier: Apache-2.0
/**
 * Whether the structured program keeps its barriers in uniform control flow, by the rules that
 * WGSL compilers check (values of registers without regard to order, so never less strict). If it
 * does not, the program becomes a state machine.
 */
import type { Condition, Inst, Value } from "./ir.js";
import { eachReg } from "./ir.js";
import type { Node } from "./structure.js";
import { isSync } from "./sync.js";

const DIVERGENT_SPECIALS = /^%(tid|laneid|warpid|lanemask|clock|globaltimer|pm)/;
const DIVERGENT_OPS = new Set([
  "atom",
  "ldu",
  "shfl",
  "vote",
  "match",
  "redux",
  "activemask",
  "addc",
  "subc",
  "madc",
  "$printf",
  "elect",
  "tex",
  "tld4",
  "txq",
  "suq",
  "suld",
]);

/** Rounds over the program; real ones need a handful. */
const ROUNDS_MAX = 40;

function isDivergentSource(value: Value): boolean {
  if (value.kind === "special") return DIVERGENT_SPECIALS.test(value.name);
  if (value.kind === "vec") return value.items.some(isDivergentSource);
  return false;
}

interface Flow {
  /** Whether control flow at the end differs between threads. */
  readonly end: boolean;
  readonly next: boolean;
  readonly breaks: boolean;
  readonly continues: boolean;
  readonly returns: boolean;
}

export class UniformityCheck {
  readonly divergent: Uint8Array;
  private flagDivergent = false;
  private changed = false;
  /** Instructions that threads must execute together but do not. */
  readonly stray = new Set<Inst>();
  /** Nodes that threads enter or leave apart. */
  readonly split = new Set<Node>();
  private isFinal = false;

  constructor(registers: number) {
    this.divergent = new Uint8Array(registers);
  }

  run(nodes: readonly Node[]): void {
    for (let round = 0; round === 0 || this.changed; round += 1) {
      if (round === ROUNDS_MAX) {
        // Never less strict: everything may differ.
        this.divergent.fill(1);
        this.flagDivergent = true;
      }
      this.changed = false;
      this.list(nodes, false);
    }
    this.isFinal = true;
    this.list(nodes, false);
  }

  private mark(reg: number): void {
    if (this.divergent[reg] === 1) return;
    this.divergent[reg] = 1;
    this.changed = true;
  }

  private isDivergent(value: Value): boolean {
    let found = isDivergentSource(value);
    eachReg(value, (reg) => {
      found ||= this.divergent[reg] === 1;
    });
    return found;
  }

  private conditionOf(condition: Condition): boolean {
    if (condition.kind === "pred") return this.divergent[condition.reg] === 1;
    return this.isDivergent(condition.value);
  }

  private inst(inst: Inst, control: boolean): void {
    let result = control || DIVERGENT_OPS.has(inst.op);
    if (inst.guard !== null && this.divergent[inst.guard.reg] === 1) result = true;
    if (inst.op === "ld" && !inst.mods.some((mod) => mod.startsWith("param"))) result = true;
    for (const value of inst.src) result ||= this.isDivergent(value);
    if (inst.mods.includes("cc")) result = true;
    // The result of a reducing barrier is loaded uniformly.
    if (inst.op === "bar" || inst.op === "barrier") result = control;
    if (result) for (const value of inst.dst) eachReg(value, (reg) => this.mark(reg));
    if (this.isFinal && isSync(inst) && control) this.stray.add(inst);
  }

  private list(nodes: readonly Node[], control: boolean): Flow {
    let now = control;
    let [breaks, continues, returns] = [false, false, false];
    for (const node of nodes) {
      const flow = this.node(node, now);
      breaks ||= flow.breaks;
      continues ||= flow.continues;
      returns ||= flow.returns;
      if (!flow.next) return { end: flow.end, next: false, breaks, continues, returns };
      now = flow.end;
    }
    return { end: now, next: true, breaks, continues, returns };
  }

  private node(node: Node, control: boolean): Flow {
    const plain = { end: control, next: true, breaks: false, continues: false, returns: false };
    switch (node.kind) {
      case "code":
        for (const inst of node.insts) this.inst(inst, control);
        this.note(node, control);
        return plain;
      case "set":
        if (control && !this.flagDivergent) {
          this.flagDivergent = true;
          this.changed = true;
        }
        return plain;
      case "break":
        return { ...plain, next: false, breaks: true };
      case "continue":
        return { ...plain, next: false, continues: true };
      case "return":
        return { ...plain, next: false, returns: true };
      case "if":
        this.note(node, control || this.conditionOf(node.condition));
        return this.branch(control, this.conditionOf(node.condition), node.yes, node.no);
      case "ifset":
        this.note(node, control || this.flagDivergent);
        return this.branch(control, this.flagDivergent, node.yes, []);
      case "scope": {
        const body = this.list(node.body, control);
        const escapes = body.continues || body.returns;
        this.note(node, control || body.end);
        return {
          end: escapes ? body.end : control,
          next: body.next || body.breaks,
          breaks: false,
          continues: body.continues,
          returns: body.returns,
        };
      }
      default:
        return this.loop(node, node.body, control);
    }
  }

  private note(node: Node, isSplit: boolean): void {
    if (this.isFinal && isSplit) this.split.add(node);
  }

  private branch(control: boolean, test: boolean, yes: readonly Node[], no: readonly Node[]): Flow {
    const inner = control || test;
    const [a, b] = [this.list(yes, inner), this.list(no, inner)];
    const breaks = a.breaks || b.breaks;
    const continues = a.continues || b.continues;
    const returns = a.returns || b.returns;
    const jumps = breaks || continues || returns;
    const end = jumps ? a.end || b.end || inner : control;
    return { end, next: a.next || b.next, breaks, continues, returns };
  }

  private loop(node: Node, body: readonly Node[], control: boolean): Flow {
    let start = control;
    let flow = this.list(body, start);
    if (flow.end && !start) {
      // Threads that left or went on early are apart from the second round on.
      start = true;
      flow = this.list(body, start);
    }
    this.note(node, start);
    return {
      end: flow.returns ? flow.end : control,
      next: true,
      breaks: false,
      continues: false,
      returns: flow.returns,
    };
  }
}
