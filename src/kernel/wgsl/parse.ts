// SPDX-License-Identifier: Apache-2.0
/**
 * Source text → syntax tree with every name resolved. The parser (`wesl`) reads a superset of
 * WGSL; what it adds (imports, conditions, `do` blocks) is refused here. The compiler behind the
 * executor has the last word on validity: this pass only has to be right for what it accepts.
 */
import { parseSrcModule } from "wesl/core";
import { Status } from "../../protocol/generated/wire.js";
import type { AttributeElem, Declaration, FnElem, GlobalVarElem, Node, RefIdent } from "./ast.js";
import { children, declarationName } from "./ast.js";
import { WGSL_DEPTH_MAX, WGSL_NODES_MAX, WGSL_SOURCE_LENGTH_MAX, WgslError } from "./error.js";

/** What one function mentions directly. */
export interface FunctionUses {
  readonly functions: Set<FnElem>;
  readonly variables: Set<GlobalVarElem>;
}

export interface ParsedModule {
  readonly source: string;
  readonly decls: readonly Node[];
  /** Module-scope names. */
  readonly globals: ReadonlyMap<string, Declaration>;
  /** Where each name leads; a name that is absent is predeclared (or an error). */
  readonly refs: ReadonlyMap<RefIdent, Declaration>;
  readonly uses: ReadonlyMap<FnElem, FunctionUses>;
  /** Every name that the module declares anywhere. */
  readonly declaredNames: ReadonlySet<string>;
  /** Line of an offset, from 1. */
  lineAt(offset: number): number;
}

function lineFinder(source: string): (offset: number) => number {
  let starts: number[] | null = null;
  return (offset) => {
    if (starts === null) {
      starts = [0];
      for (let i = source.indexOf("\n"); i >= 0; i = source.indexOf("\n", i + 1)) {
        starts.push(i + 1);
      }
    }
    let low = 0;
    let high = starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low + 1;
  };
}

function attributesOf(node: Node): readonly AttributeElem[] {
  return "attributes" in node && node.attributes !== undefined ? node.attributes : [];
}

/** Bounds depth and count without recursion, and refuses what is not WGSL. */
function checkTree(decls: readonly Node[], lineAt: (offset: number) => number): void {
  const stack: [Node, number][] = decls.map((node) => [node, 1]);
  let nodes = 0;
  for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
    const [node, depth] = item;
    nodes += 1;
    const line = (): number => lineAt("start" in node ? node.start : 0);
    if (depth > WGSL_DEPTH_MAX) {
      const text = `the module is nested deeper than the limit of ${WGSL_DEPTH_MAX} levels`;
      throw new WgslError(Status.MODULE_INVALID, text, line());
    }
    if (nodes > WGSL_NODES_MAX) {
      const text = `the module has more syntax elements than the limit of ${WGSL_NODES_MAX}`;
      throw new WgslError(Status.MODULE_INVALID, text, line());
    }
    if (node.kind === "import" || node.kind === "do") {
      throw new WgslError(Status.MODULE_INVALID, `'${node.kind}' is not WGSL`, line());
    }
    for (const { attribute } of attributesOf(node)) {
      if (attribute.kind === "@if" || attribute.kind === "@elif" || attribute.kind === "@else") {
        throw new WgslError(Status.MODULE_INVALID, `'${attribute.kind}' is not WGSL`, line());
      }
      if (attribute.kind === "@attribute") {
        for (const param of attribute.params ?? []) stack.push([param, depth + 1]);
      }
    }
    for (const child of children(node)) stack.push([child, depth + 1]);
  }
}

class Scope {
  private names: Map<string, Declaration> | null = null;
  constructor(private readonly parent: Scope | null) {}

  declare(declaration: Declaration): void {
    this.names ??= new Map();
    this.names.set(declarationName(declaration), declaration);
  }

  find(name: string): Declaration | undefined {
    for (let scope: Scope | null = this; scope !== null; scope = scope.parent) {
      const found = scope.names?.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

/** Resolves names by WGSL's rules: module scope in any order, local ones from their end on. */
class Binder {
  readonly refs = new Map<RefIdent, Declaration>();
  readonly uses = new Map<FnElem, FunctionUses>();
  readonly declaredNames = new Set<string>();
  private current: FunctionUses | null = null;

  constructor(private readonly moduleScope: Scope) {}

  bindGlobal(node: Node): void {
    if (node.kind !== "fn") {
      this.visit(node, this.moduleScope);
      return;
    }
    this.bindAttributes(node, this.moduleScope);
    const uses: FunctionUses = { functions: new Set(), variables: new Set() };
    this.uses.set(node, uses);
    this.current = uses;
    const scope = new Scope(this.moduleScope);
    for (const param of node.params) {
      this.visit(param, this.moduleScope);
      this.declare(param, scope);
    }
    if (node.returnType) this.visit(node.returnType, this.moduleScope);
    for (const statement of node.body.body) this.visit(statement, scope);
    this.current = null;
  }

  private declare(declaration: Declaration, scope: Scope): void {
    this.declaredNames.add(declarationName(declaration));
    scope.declare(declaration);
  }

  private bindAttributes(node: Node, scope: Scope): void {
    for (const { attribute } of attributesOf(node)) {
      if (attribute.kind !== "@attribute") continue;
      for (const param of attribute.params ?? []) this.visit(param, scope);
    }
  }

  private refer(ident: RefIdent, scope: Scope): void {
    const declaration = scope.find(ident.originalName);
    if (declaration === undefined) return;
    this.refs.set(ident, declaration);
    if (this.current === null) return;
    if (declaration.kind === "fn") this.current.functions.add(declaration);
    if (declaration.kind === "gvar") this.current.variables.add(declaration);
  }

  private visit(node: Node, scope: Scope): void {
    if (node.kind === "ref") {
      this.refer(node.ident, scope);
      return;
    }
    if (node.kind === "type") this.refer(node.name, scope);
    this.bindAttributes(node, scope);
    const opens = node.kind === "block" || node.kind === "for" || node.kind === "switch-clause";
    const inner = opens ? new Scope(scope) : scope;
    for (const child of children(node)) this.visit(child, inner);
    const isLocal = this.current !== null;
    if (isLocal && (node.kind === "let" || node.kind === "var" || node.kind === "const")) {
      this.declare(node, scope);
    }
  }
}

function collectGlobals(
  decls: readonly Node[],
  lineAt: (offset: number) => number,
): [Scope, Map<string, Declaration>] {
  const scope = new Scope(null);
  const globals = new Map<string, Declaration>();
  for (const node of decls) {
    switch (node.kind) {
      case "gvar":
      case "const":
      case "override":
      case "fn":
      case "struct":
      case "alias": {
        const name = declarationName(node);
        if (globals.has(name)) {
          const text = `'${name}' is declared more than once`;
          throw new WgslError(Status.MODULE_INVALID, text, lineAt(node.start));
        }
        globals.set(name, node);
        scope.declare(node);
        break;
      }
      default:
    }
  }
  return [scope, globals];
}

function syntaxTree(source: string, lineAt: (offset: number) => number): readonly Node[] {
  try {
    const file = { modulePath: "package::module", debugFilePath: "module.wgsl", src: source };
    const ast = parseSrcModule(file, { keepComments: false });
    const first = ast.diagnostics[0];
    if (first !== undefined) {
      throw new WgslError(Status.MODULE_INVALID, first.message, lineAt(first.start));
    }
    return ast.moduleElem.decls;
  } catch (error) {
    if (error instanceof WgslError) throw error;
    // The parser runs out of stack on some deeply nested input; it holds nothing then.
    throw new WgslError(Status.MODULE_INVALID, "the module cannot be parsed", 0);
  }
}

/**
 * Throws WgslError (MODULE_INVALID) for a text that is too long to be looked at: before a compiler
 * is, whose time grows faster than the text.
 */
export function checkLength(source: string): void {
  if (source.length <= WGSL_SOURCE_LENGTH_MAX) return;
  const text = `the module has ${source.length} characters; the limit is ${WGSL_SOURCE_LENGTH_MAX}`;
  throw new WgslError(Status.MODULE_INVALID, text);
}

/** Parses and binds a module. Throws WgslError (MODULE_INVALID). */
export function parseModule(source: string): ParsedModule {
  checkLength(source);
  const lineAt = lineFinder(source);
  const decls = syntaxTree(source, lineAt);
  checkTree(decls, lineAt);
  const [scope, globals] = collectGlobals(decls, lineAt);
  const binder = new Binder(scope);
  for (const name of globals.keys()) binder.declaredNames.add(name);
  for (const node of decls) binder.bindGlobal(node);
  const { refs, uses, declaredNames } = binder;
  return { source, decls, globals, refs, uses, declaredNames, lineAt };
}

/** Functions that `entry` reaches, itself first; calls in cycles (which WGSL refuses) end too. */
export function reachableFunctions(module: ParsedModule, entry: FnElem): Set<FnElem> {
  const reached = new Set<FnElem>([entry]);
  for (const fn of reached) {
    for (const callee of module.uses.get(fn)?.functions ?? []) reached.add(callee);
  }
  return reached;
}
