// SPDX-License-Identifier: Apache-2.0
/**
 * Finds read-only storage that decides control flow around barriers.
 *
 * The compiler takes a read of `var<storage, read>` for uniform (the same in all invocations) and
 * one of `read_write` storage not, and refuses a barrier behind a condition that is not uniform. As
 * all storage is bound read_write here, a kernel with `for (i = 0; i < dims[0]; i++) { …
 * workgroupBarrier(); }` would be refused. Such small arguments are bound as a uniform copy instead;
 * this pass says which ones. It may name too many (which costs a copy) and looks at values only: at
 * which variables' values flow, through any variable and call, into a condition that nothing
 * non-uniform flows into.
 */
import type { Declaration, ExpressionElem, FnElem, GlobalVarElem, Node } from "./ast.js";
import { children, identOf, stripParens } from "./ast.js";
import type { ParsedModule } from "./parse.js";
import { reachableFunctions } from "./parse.js";

/** Most syntax nodes looked at for all entry points of a module; beyond, nothing is found. */
const STEPS_MAX = 4_000_000;
/** Most rounds over the functions until the flow is taken as complete. */
const ROUNDS_MAX = 8;
const SYNCHRONISING = /^(workgroupBarrier|storageBarrier|textureBarrier|workgroupUniformLoad)$/;
const GROUPED = /^(subgroup|quad)[A-Z]/;
const UNIFORM_BUILTINS = new Set(["workgroup_id", "num_workgroups", "subgroup_size"]);

/** Where a value comes from. */
interface Origin {
  readonly sources: Set<GlobalVarElem>;
  isVarying: boolean;
}

function storageAccess(variable: GlobalVarElem): "read" | "read_write" | null {
  const [space, access] = variable.template ?? [];
  if (space?.name !== "storage") return null;
  return access?.name === "read_write" ? "read_write" : "read";
}

class FlowFinder {
  private readonly origins = new Map<Declaration, Origin>();
  private readonly deciding = new Set<GlobalVarElem>();
  private current: FnElem | null = null;
  private hasChanged = false;
  private synchronises = false;

  constructor(
    private readonly parsed: ParsedModule,
    private readonly entry: FnElem,
    private readonly budget: { steps: number },
  ) {}

  find(functions: ReadonlySet<FnElem>): ReadonlySet<GlobalVarElem> {
    this.enter();
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      this.hasChanged = false;
      for (const fn of functions) {
        this.current = fn;
        this.visit(fn.body);
      }
      if (!this.synchronises || this.budget.steps <= 0) return new Set();
      if (!this.hasChanged) break;
    }
    // Now that all origins are known: which conditions stay uniform?
    for (const fn of functions) this.decide(fn.body);
    return this.deciding;
  }

  private enter(): void {
    for (const param of this.entry.params) {
      const builtin = (param.attributes ?? []).find((a) => a.attribute.kind === "@builtin");
      const name = builtin?.attribute.kind === "@builtin" ? builtin.attribute.param.name : "";
      this.originOf(param).isVarying = !UNIFORM_BUILTINS.has(name);
    }
  }

  private originOf(declaration: Declaration): Origin {
    let origin = this.origins.get(declaration);
    if (origin === undefined) {
      origin = { sources: new Set(), isVarying: false };
      this.origins.set(declaration, origin);
    }
    return origin;
  }

  private flow(to: Declaration, from: Origin): void {
    const origin = this.originOf(to);
    const before = origin.sources.size;
    for (const source of from.sources) origin.sources.add(source);
    if (origin.sources.size !== before || (from.isVarying && !origin.isVarying)) {
      this.hasChanged = true;
    }
    origin.isVarying ||= from.isVarying;
  }

  private visit(node: Node): void {
    if (this.budget.steps <= 0) return;
    switch (node.kind) {
      case "let":
      case "var":
        if (node.init !== undefined) this.flow(node, this.evaluate(node.init));
        return;
      case "assign":
        if (node.lhs.kind !== "phony") this.assign(node.lhs, node.rhs);
        else this.evaluate(node.rhs);
        return;
      case "return":
        if (node.value !== undefined && this.current !== null) {
          this.flow(this.current, this.evaluate(node.value));
        }
        return;
      case "call":
        this.evaluate(node.call);
        return;
      default:
        if (isExpression(node)) this.evaluate(node);
        else for (const child of children(node)) this.visit(child);
    }
  }

  private assign(target: ExpressionElem, value: ExpressionElem): void {
    const origin = this.evaluate(value);
    this.add(origin, this.evaluate(target));
    const root = rootOf(target);
    const declaration = root.kind === "ref" ? this.parsed.refs.get(root.ident) : undefined;
    if (declaration !== undefined) this.flow(declaration, origin);
  }

  private add(to: Origin, from: Origin): void {
    for (const source of from.sources) to.sources.add(source);
    to.isVarying ||= from.isVarying;
  }

  private evaluate(node: Node): Origin {
    const origin: Origin = { sources: new Set(), isVarying: false };
    this.budget.steps -= 1;
    if (this.budget.steps <= 0) return origin;
    if (node.kind === "call-expression") {
      const ident = identOf(node.function);
      const callee = ident === null ? undefined : this.parsed.refs.get(ident);
      const name = ident?.originalName ?? "";
      if (callee?.kind === "fn") return this.evaluateCall(callee, node.arguments);
      if (SYNCHRONISING.test(name) || GROUPED.test(name)) this.synchronises = true;
      for (const argument of node.arguments) this.add(origin, this.evaluate(argument));
      if (name === "workgroupUniformLoad" || name === "arrayLength") {
        return { sources: new Set(), isVarying: false };
      }
      origin.isVarying ||= name.startsWith("atomic") || GROUPED.test(name);
      return origin;
    }
    if (node.kind === "ref") {
      const declaration = this.parsed.refs.get(node.ident);
      if (declaration !== undefined) this.add(origin, this.reference(declaration));
      return origin;
    }
    for (const child of children(node)) this.add(origin, this.evaluate(child));
    return origin;
  }

  private reference(declaration: Declaration): Origin {
    if (declaration.kind !== "gvar") return this.originOf(declaration);
    const access = storageAccess(declaration);
    if (access === "read") return { sources: new Set([declaration]), isVarying: false };
    const space = declaration.template?.[0]?.name;
    if (access === "read_write" || space === "workgroup") {
      return { sources: new Set(), isVarying: true };
    }
    return this.originOf(declaration);
  }

  private evaluateCall(callee: FnElem, given: readonly ExpressionElem[]): Origin {
    callee.params.forEach((param, i) => {
      const argument = given[i];
      if (argument !== undefined) this.flow(param, this.evaluate(argument));
    });
    const { sources, isVarying } = this.originOf(callee);
    return { sources: new Set(sources), isVarying };
  }

  private decide(node: Node): void {
    const condition = conditionOf(node);
    if (condition !== undefined) {
      const origin = this.evaluate(condition);
      if (!origin.isVarying) for (const source of origin.sources) this.deciding.add(source);
    }
    if (isExpression(node)) return;
    for (const child of children(node)) this.decide(child);
  }
}

function conditionOf(node: Node): ExpressionElem | undefined {
  switch (node.kind) {
    case "if":
    case "while":
    case "for":
    case "break":
      return node.condition;
    case "switch":
      return node.selector;
    default:
      return undefined;
  }
}

function isExpression(node: Node): node is ExpressionElem {
  switch (node.kind) {
    case "literal":
    case "ref":
    case "type":
    case "parenthesized-expression":
    case "component-expression":
    case "component-member-expression":
    case "unary-expression":
    case "binary-expression":
    case "call-expression":
      return true;
    default:
      return false;
  }
}

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

/** Shared by the entry points of a module, which share the bound of the work. */
export class UniformityFinder {
  private readonly budget = { steps: STEPS_MAX };

  constructor(private readonly parsed: ParsedModule) {}

  /** Read-only storage whose values decide uniform control flow, if `entry` synchronises. */
  find(entry: FnElem): ReadonlySet<GlobalVarElem> {
    const functions = reachableFunctions(this.parsed, entry);
    return new FlowFinder(this.parsed, entry, this.budget).find(functions);
  }
}
