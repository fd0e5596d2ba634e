// SPDX-License-Identifier: Apache-2.0
/**
 * Finds loops that wait for another workgroup: such a kernel cannot be sliced, since the workgroup
 * it waits for may belong to a later slice, which starts only when this one has ended.
 *
 * A loop waits if something that it polls decides all its ways out: storage read at an address that
 * does not change in the loop, and which the loop does not write itself. What makes progress by
 * itself is no waiting: a counter, an atomicAdd, a walk over addresses, and a compare-and-swap whose
 * expected value is read anew on each turn (so float atomics and sub-word stores are fine). A
 * compare-and-swap with a fixed expected value is a lock or a signal, and counts as waiting: wrongly
 * taking a kernel for unsliceable costs fairness, the opposite costs its result.
 */
import type { Declaration, ExpressionElem, FnElem, FunctionCallExpression, Node } from "./ast.js";
import { children, declarationName, identOf, stripParens } from "./ast.js";
import type { ParsedModule } from "./parse.js";
import { reachableFunctions } from "./parse.js";
import type { EntryInfo } from "./reflect.js";
import type { Types } from "./types.js";

/** Most syntax nodes that are looked at, repeats included; beyond, the kernel counts as waiting. */
const STEPS_MAX = 2_000_000;
/** Deepest chain of definitions that is followed. */
const DEPTH_MAX = 400;

export interface Waiting {
  readonly line: number;
  /** What is polled, as the guest wrote it. */
  readonly polled: string;
}

class TooComplex extends Error {}

/** What decides an expression: things polled, and things that make progress by themselves. */
interface Causes {
  readonly polls: string[];
  progress: boolean;
}

/** What a loop assigns: the values that each local variable gets in it. */
interface LoopFacts {
  readonly loop: Node;
  /** null stands for a step from the old value (`i++`, `i += 2`). */
  readonly values: Map<Declaration, (ExpressionElem | null)[]>;
  /** Storage places that the loop writes, as source text without spaces. */
  readonly written: Set<string>;
}

/** Ways out of a loop and back to its start, as the conditions that lead there. */
interface Ways {
  readonly exits: ExpressionElem[][];
  readonly repeats: ExpressionElem[];
}

const SWAP = "atomicCompareExchangeWeak";
/** Atomics that leave a value behind which does not depend on how often they ran. */
const POLLING = new Set(
  "atomicLoad,atomicOr,atomicAnd,atomicXor,atomicMax,atomicMin,atomicExchange".split(","),
);

function rootOf(e: ExpressionElem): ExpressionElem {
  let at = stripParens(e);
  for (;;) {
    if (at.kind === "component-expression" || at.kind === "component-member-expression") {
      at = stripParens(at.base);
    } else if (at.kind === "unary-expression") {
      at = stripParens(at.expression);
    } else {
      return at;
    }
  }
}

class WaitFinder {
  private steps = 0;
  /** Functions that write storage, themselves or through calls. */
  private readonly writers = new Map<FnElem, boolean>();
  private facts: LoopFacts | null = null;

  constructor(
    private readonly parsed: ParsedModule,
    private readonly types: Types,
  ) {}

  find(entry: FnElem): Waiting | null {
    for (const fn of reachableFunctions(this.parsed, entry)) {
      const found = this.findIn(fn.body);
      if (found !== null) return found;
    }
    return null;
  }

  private step(): void {
    this.steps += 1;
    if (this.steps > STEPS_MAX) throw new TooComplex();
  }

  private findIn(node: Node): Waiting | null {
    this.step();
    if (node.kind === "for" || node.kind === "while" || node.kind === "loop") {
      const polled = this.polledBy(node);
      if (polled !== null) return { line: this.parsed.lineAt(node.start), polled };
    }
    for (const child of children(node)) {
      const found = this.findIn(child);
      if (found !== null) return found;
    }
    return null;
  }

  private polledBy(loop: Node): string | null {
    const facts: LoopFacts = { loop, values: new Map(), written: new Set() };
    this.collect(loop, facts);
    this.facts = facts;
    const ways: Ways = { exits: [], repeats: [] };
    for (const child of children(loop)) this.exits(child, [], true, ways);
    // What leads round again also decides whether the ways out behind it are reached.
    const exits = ways.exits.map((conditions) => [...conditions, ...ways.repeats]);
    if (loop.kind === "while") exits.push([loop.condition]);
    if (loop.kind === "for" && loop.condition !== undefined) exits.push([loop.condition]);
    let polled: string | null = null;
    for (const conditions of exits) {
      const causes: Causes = { polls: [], progress: conditions.length === 0 };
      for (const condition of conditions) this.causes(condition, causes, new Set(), 0);
      if (causes.progress) return null;
      polled ??= causes.polls[0] ?? null;
    }
    return polled;
  }

  /** Ways out of the loop, each as the conditions that lead to it. */
  private exits(
    node: Node,
    conditions: readonly ExpressionElem[],
    breaksLoop: boolean,
    ways: Ways,
  ): void {
    this.step();
    switch (node.kind) {
      case "return":
        ways.exits.push([...conditions]);
        return;
      case "break":
        if (!breaksLoop) return;
        ways.exits.push(node.condition === undefined ? [...conditions] : [node.condition]);
        return;
      case "continue":
        ways.repeats.push(...conditions);
        return;
      case "if": {
        const inner = [...conditions, node.condition];
        this.exits(node.body, inner, breaksLoop, ways);
        if (node.else !== undefined) this.exits(node.else, inner, breaksLoop, ways);
        return;
      }
      case "switch":
        for (const clause of node.clauses) {
          this.exits(clause.body, [...conditions, node.selector], false, ways);
        }
        return;
      case "for":
      case "while":
      case "loop":
        for (const child of children(node)) this.exits(child, conditions, false, ways);
        return;
      default:
        for (const child of children(node)) this.exits(child, conditions, breaksLoop, ways);
    }
  }

  private text(node: Node): string {
    const [start, end] = "start" in node ? [node.start, node.end] : [0, 0];
    return this.parsed.source.slice(start, end).replace(/[\s()&*]+/g, "");
  }

  /** Notes what the loop assigns and writes. */
  private collect(node: Node, facts: LoopFacts): void {
    this.step();
    const note = (declaration: Declaration, value: ExpressionElem | null): void => {
      const values = facts.values.get(declaration) ?? [];
      values.push(value);
      facts.values.set(declaration, values);
    };
    const assign = (target: ExpressionElem, value: ExpressionElem | null): void => {
      const root = rootOf(target);
      const declaration = root.kind === "ref" ? this.parsed.refs.get(root.ident) : undefined;
      if (this.isStorage(target)) facts.written.add(this.text(target));
      else if (declaration !== undefined) note(declaration, value);
    };
    if ((node.kind === "let" || node.kind === "var") && node !== facts.loop) {
      // The variable of a `for` is set once, before the loop's turns.
      const isHeader = facts.loop.kind === "for" && facts.loop.init === node;
      if (!isHeader && node.init !== undefined) note(node, node.init);
    }
    if (node.kind === "assign" && node.lhs.kind !== "phony") {
      assign(node.lhs, node.op.value === "=" ? node.rhs : null);
    }
    if (node.kind === "increment" || node.kind === "decrement") assign(node.target, null);
    if (node.kind === "call-expression") this.collectCall(node, facts, assign);
    for (const child of children(node)) this.collect(child, facts);
  }

  private collectCall(
    e: FunctionCallExpression,
    facts: LoopFacts,
    assign: (target: ExpressionElem, value: null) => void,
  ): void {
    const ident = identOf(e.function);
    if (ident === null) return;
    if (!this.parsed.refs.has(ident)) {
      const [first] = e.arguments;
      const { originalName: name } = ident;
      const writes = name.startsWith("atomic") && name !== SWAP && !this.leavesValue(name, e);
      if (first !== undefined && writes) facts.written.add(this.text(first));
      return;
    }
    // A function may change what it gets a pointer to.
    for (const argument of e.arguments) {
      const stripped = stripParens(argument);
      if (stripped.kind === "unary-expression" && stripped.operator.value === "&") {
        assign(stripped.expression, null);
      }
    }
  }

  /** Storage that kernels write, reached directly or through a pointer. */
  private isStorage(e: ExpressionElem, depth = 0): boolean {
    const root = rootOf(e);
    if (root.kind !== "ref" || depth > DEPTH_MAX) return false;
    const declaration = this.parsed.refs.get(root.ident);
    if (declaration === undefined) return false;
    if (declaration.kind === "gvar") {
      const [space, access] = declaration.template ?? [];
      return space?.name === "storage" && access?.name === "read_write";
    }
    if (declaration.kind === "param") {
      const type = declaration.name.typeRef && this.types.resolve(declaration.name.typeRef);
      return type?.kind === "pointer" && type.space === "storage";
    }
    if (declaration.kind !== "let" || declaration.init === undefined) return false;
    const init = stripParens(declaration.init);
    const isPointer = init.kind === "unary-expression" && init.operator.value === "&";
    return (isPointer || init.kind === "ref") && this.isStorage(init, depth + 1);
  }

  /** Adds what decides the value of `node`, through the variables that the loop sets. */
  private causes(node: Node, causes: Causes, open: Set<Declaration>, depth: number): void {
    this.step();
    if (depth > DEPTH_MAX) throw new TooComplex();
    if (node.kind === "call-expression") {
      this.callCauses(node, causes, open, depth);
      return;
    }
    if (this.isReference(node) && this.isStorage(node)) {
      this.poll(node, causes, open, depth);
      return;
    }
    const declaration = node.kind === "ref" ? this.parsed.refs.get(node.ident) : undefined;
    const values = declaration === undefined ? undefined : this.facts?.values.get(declaration);
    if (declaration !== undefined && values !== undefined) {
      // A value that depends on its own last one moves on by itself.
      if (open.has(declaration)) causes.progress = true;
      else {
        open.add(declaration);
        for (const value of values) {
          if (value === null) causes.progress = true;
          else this.causes(value, causes, open, depth + 1);
        }
        open.delete(declaration);
      }
    }
    for (const child of children(node)) this.causes(child, causes, open, depth + 1);
  }

  private isReference(node: Node): node is ExpressionElem {
    return (
      node.kind === "ref" ||
      node.kind === "component-expression" ||
      node.kind === "component-member-expression" ||
      node.kind === "unary-expression"
    );
  }

  /** A read of storage: a poll, unless its address or the loop itself changes what is read. */
  private poll(e: ExpressionElem, causes: Causes, open: Set<Declaration>, depth: number): void {
    if (this.facts?.written.has(this.text(e))) {
      causes.progress = true;
      return;
    }
    const address: Causes = { polls: [], progress: false };
    this.addressCauses(e, address, open, depth);
    if (address.progress) causes.progress = true;
    else causes.polls.push(this.text(e).slice(0, 80));
  }

  private addressCauses(e: Node, causes: Causes, open: Set<Declaration>, depth: number): void {
    if (e.kind === "component-expression") this.causes(e.access, causes, open, depth + 1);
    if (e.kind === "ref") {
      const declaration = this.parsed.refs.get(e.ident);
      if (declaration?.kind === "let" && declaration.init !== undefined) {
        this.addressCauses(stripParens(declaration.init), causes, open, depth + 1);
      }
      return;
    }
    this.step();
    if (depth > DEPTH_MAX) throw new TooComplex();
    const [base] = children(e);
    if (base !== undefined) this.addressCauses(base, causes, open, depth + 1);
  }

  /** The atomic does not move its place on: it may be repeated without progress. */
  private leavesValue(name: string, e: FunctionCallExpression): boolean {
    if (POLLING.has(name)) return true;
    const second = e.arguments[1];
    return second?.kind === "literal" && /^0[iu]?$/.test(second.value);
  }

  private callCauses(
    e: FunctionCallExpression,
    causes: Causes,
    open: Set<Declaration>,
    depth: number,
  ): void {
    const ident = identOf(e.function);
    const fn = ident === null ? undefined : this.parsed.refs.get(ident);
    const name = ident?.originalName ?? "";
    const [first, second] = e.arguments;
    if (fn?.kind === "fn") {
      if (this.writesStorage(fn, 0)) causes.progress = true;
      else if (this.readsStorage(fn)) this.callPoll(e, fn, causes, open, depth);
    } else if (name.startsWith("atomic") && first !== undefined) {
      if (!this.isStorage(first)) return;
      if (this.leavesValue(name, e)) this.poll(first, causes, open, depth);
      else if (name === SWAP && second !== undefined) {
        const expected: Causes = { polls: [], progress: false };
        this.causes(second, expected, open, depth + 1);
        if (expected.progress || expected.polls.length > 0) causes.progress = true;
        else this.poll(first, causes, open, depth);
      } else causes.progress = true;
      return;
    }
    for (const argument of e.arguments) this.causes(argument, causes, open, depth + 1);
  }

  private callPoll(
    e: FunctionCallExpression,
    fn: FnElem,
    causes: Causes,
    open: Set<Declaration>,
    depth: number,
  ): void {
    const given: Causes = { polls: [], progress: false };
    for (const argument of e.arguments) this.causes(argument, given, open, depth + 1);
    if (given.progress) causes.progress = true;
    else causes.polls.push(`${declarationName(fn)}()`);
  }

  private readsStorage(fn: FnElem): boolean {
    for (const reached of reachableFunctions(this.parsed, fn)) {
      for (const variable of this.parsed.uses.get(reached)?.variables ?? []) {
        const [space, access] = variable.template ?? [];
        if (space?.name === "storage" && access?.name === "read_write") return true;
      }
      if (reached.params.some((p) => p.name.typeRef?.name.originalName === "ptr")) return true;
    }
    return false;
  }

  private writesStorage(fn: FnElem, depth: number): boolean {
    const known = this.writers.get(fn);
    if (known !== undefined) return known;
    this.writers.set(fn, false);
    if (depth > DEPTH_MAX) throw new TooComplex();
    const facts: LoopFacts = { loop: fn, values: new Map(), written: new Set() };
    this.collect(fn.body, facts);
    let writes = facts.written.size > 0;
    for (const callee of this.parsed.uses.get(fn)?.functions ?? []) {
      writes ||= this.writesStorage(callee, depth + 1);
    }
    this.writers.set(fn, writes);
    return writes;
  }
}

/** The first loop of `entry` that waits for another workgroup, or null. */
export function findWaiting(entry: EntryInfo): Waiting | null {
  const { parsed, types } = entry.module;
  try {
    return new WaitFinder(parsed, types).find(entry.node);
  } catch (error) {
    if (!(error instanceof TooComplex)) throw error;
    const polled = "too much to follow";
    return { line: parsed.lineAt(entry.node.start), polled };
  }
}
