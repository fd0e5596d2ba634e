// SPDX-License-Identifier: Apache-2.0
/**
 * The syntax tree, as the parser gives it, seen uniformly: every node has a span in the source,
 * and `children` lists the nodes in it in source order. Renderers copy the text between children
 * as it is, so that all they do not touch (comments, spacing, attributes) survives.
 */
import type {
  AbstractElem,
  AliasElem,
  ConstElem,
  ExpressionElem,
  FnElem,
  FnParamElem,
  GlobalVarElem,
  LetElem,
  OverrideElem,
  RefIdent,
  StructElem,
  VarElem,
} from "wesl/core";

export type {
  AliasElem,
  AttributeElem,
  BlockElem,
  ConstElem,
  ExpressionElem,
  FnElem,
  FnParamElem,
  FunctionCallExpression,
  GlobalVarElem,
  LetElem,
  OverrideElem,
  RefIdent,
  Statement,
  StructElem,
  StructMemberElem,
  TypeRefElem,
  VarElem,
} from "wesl/core";

export type Node = AbstractElem;

/** What a name can refer to. */
export type Declaration =
  | GlobalVarElem
  | ConstElem
  | OverrideElem
  | FnElem
  | StructElem
  | AliasElem
  | VarElem
  | LetElem
  | FnParamElem;

export function declarationName(declaration: Declaration): string {
  const name = declaration.name;
  return name.kind === "decl" ? name.ident.originalName : name.decl.ident.originalName;
}

/** The identifier behind a reference or a (perhaps templated) type name; null for others. */
export function identOf(node: Node): RefIdent | null {
  if (node.kind === "ref") return node.ident;
  if (node.kind === "type") return node.name;
  return null;
}

/** The expression without parentheses around it. */
export function stripParens(expression: ExpressionElem): ExpressionElem {
  let e = expression;
  while (e.kind === "parenthesized-expression") e = e.expression;
  return e;
}

const NONE: readonly Node[] = [];

function present(...nodes: (Node | undefined)[]): readonly Node[] {
  return nodes.filter((n): n is Node => n !== undefined);
}

function expressionChildren(node: ExpressionElem): readonly Node[] {
  switch (node.kind) {
    case "literal":
    case "ref":
      return NONE;
    case "type":
      return node.templateParams ?? NONE;
    case "parenthesized-expression":
    case "unary-expression":
      return [node.expression];
    case "component-expression":
      return [node.base, node.access];
    case "component-member-expression":
      return [node.base];
    case "binary-expression":
      return [node.left, node.right];
    case "call-expression":
      return [node.function, ...(node.templateArgs ?? NONE), ...node.arguments];
  }
}

/** Child nodes in source order. Attributes are not among them: they are copied as text. */
export function children(node: Node): readonly Node[] {
  switch (node.kind) {
    case "module":
      return node.decls;
    case "fn":
      return present(...node.params, node.returnType, node.body);
    case "param":
      return [node.name];
    case "typeDecl":
      return present(node.typeRef);
    case "gvar":
    case "var":
    case "let":
    case "const":
    case "override":
      return present(node.name, node.init);
    case "alias":
    case "member":
      return [node.typeRef];
    case "struct":
      return node.members;
    case "assert":
      return [node.expression];
    case "block":
      return node.body;
    case "if":
      return present(node.condition, node.body, node.else);
    case "for":
      return present(node.init, node.condition, node.update, node.body);
    case "while":
      return [node.condition, node.body];
    case "loop":
    case "continuing":
      return [node.body];
    case "switch":
      return [node.selector, ...node.clauses];
    case "switch-clause":
      return [...node.selectors.filter((s) => s !== "default"), node.body];
    case "return":
      return present(node.value);
    case "break":
      return present(node.condition);
    case "assign":
      return node.lhs.kind === "phony" ? [node.rhs] : [node.lhs, node.rhs];
    case "increment":
    case "decrement":
      return [node.target];
    case "call":
      return [node.call];
    case "expression":
      return [node.expression];
    case "empty":
    case "continue":
    case "discard":
    case "attribute":
    case "directive":
    case "import":
    case "do":
    case "decl":
    case "name":
    case "synthetic":
      return NONE;
    default:
      return expressionChildren(node);
  }
}

/** Span of a node: attributes of a parameter or member are inside it. */
export function spanOf(node: Node): readonly [start: number, end: number] {
  return node.kind === "synthetic" ? [0, 0] : [node.start, node.end];
}
