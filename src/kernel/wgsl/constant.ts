// SPDX-License-Identifier: Apache-2.0
/**
 * Evaluates the integer constant expressions that reflection needs: array sizes, @binding,
 * @size, @align and workgroup sizes. What it does not know (floats, unusual builtins) gives null
 * and the caller reports it by name; the compiler still sees the original expression.
 */
import type { Declaration, ExpressionElem, FunctionCallExpression } from "./ast.js";
import { identOf } from "./ast.js";
import { WGSL_CONST_DEPTH_MAX } from "./error.js";
import type { ParsedModule } from "./parse.js";

type Scalar = "abstract" | "i32" | "u32" | "bool";
interface Value {
  readonly value: number;
  readonly type: Scalar;
}

const INTEGER = /^(0[xX][0-9a-fA-F]+|[0-9]+)([iu]?)$/;

function literal(text: string): Value | null {
  if (text === "true" || text === "false") return { value: text === "true" ? 1 : 0, type: "bool" };
  const match = INTEGER.exec(text);
  if (match === null) return null;
  const value = Number(match[1]);
  if (!Number.isSafeInteger(value)) return null;
  return { value, type: match[2] === "u" ? "u32" : match[2] === "i" ? "i32" : "abstract" };
}

function inRange(value: number, type: Scalar): Value | null {
  if (!Number.isSafeInteger(value)) return null;
  // Out-of-range results are shader-creation errors, which the compiler reports.
  if (type === "u32" && (value < 0 || value > 0xffff_ffff)) return null;
  if (type === "i32" && (value < -0x8000_0000 || value > 0x7fff_ffff)) return null;
  return { value, type };
}

function common(a: Value, b: Value): Scalar | null {
  if (a.type === b.type) return a.type;
  if (a.type === "abstract" && b.type !== "bool") return b.type;
  if (b.type === "abstract" && a.type !== "bool") return a.type;
  return null;
}

function bool(value: boolean): Value {
  return { value: value ? 1 : 0, type: "bool" };
}

function bits(operator: string, a: number, b: number): number | null {
  if (a < 0 || b < 0 || a > 0xffff_ffff || b > 0xffff_ffff) return null;
  const [x, y] = [BigInt(a), BigInt(b)];
  return Number(operator === "&" ? x & y : operator === "|" ? x | y : x ^ y);
}

function shift(operator: string, a: Value, b: Value): Value | null {
  if (b.value < 0 || b.value > 31) return null;
  const factor = 2 ** b.value;
  const value = operator === "<<" ? a.value * factor : Math.floor(a.value / factor);
  return inRange(value, a.type);
}

function binary(operator: string, a: Value, b: Value): Value | null {
  if (operator === "<<" || operator === ">>") return shift(operator, a, b);
  const type = common(a, b);
  if (type === null) return null;
  const [x, y] = [a.value, b.value];
  switch (operator) {
    case "+":
      return inRange(x + y, type);
    case "-":
      return inRange(x - y, type);
    case "*":
      return inRange(x * y, type);
    case "/":
      return y === 0 ? null : inRange(Math.trunc(x / y), type);
    case "%":
      return y === 0 ? null : inRange(x % y, type);
    case "&":
    case "|":
    case "^": {
      const value = bits(operator, x, y);
      return value === null ? null : inRange(value, type);
    }
    case "<":
      return bool(x < y);
    case "<=":
      return bool(x <= y);
    case ">":
      return bool(x > y);
    case ">=":
      return bool(x >= y);
    case "==":
      return bool(x === y);
    case "!=":
      return bool(x !== y);
    case "&&":
      return bool(x !== 0 && y !== 0);
    case "||":
      return bool(x !== 0 || y !== 0);
    default:
      return null;
  }
}

/** Evaluates constants of one module; results are remembered per declaration. */
export class Constants {
  private readonly known = new Map<Declaration, Value | null>();
  private depth = 0;

  constructor(private readonly module: ParsedModule) {}

  /** The integer, or null where it is not a known integer. Overrides count by their default. */
  integer(expression: ExpressionElem): number | null {
    const result = this.evaluate(expression);
    return result === null || result.type === "bool" ? null : result.value;
  }

  private declared(declaration: Declaration | undefined): Value | null {
    if (declaration?.kind !== "const" && declaration?.kind !== "override") return null;
    const known = this.known.get(declaration);
    if (known !== undefined) return known;
    // Entered before the evaluation, so that a cycle reads null instead of recursing.
    this.known.set(declaration, null);
    if (declaration.init === undefined || this.depth >= WGSL_CONST_DEPTH_MAX) return null;
    this.depth += 1;
    const value = this.typed(this.evaluate(declaration.init), declaration.name.typeRef?.name);
    this.depth -= 1;
    this.known.set(declaration, value);
    return value;
  }

  private typed(value: Value | null, type: { originalName: string } | undefined): Value | null {
    if (value === null || type === undefined) return value;
    const name = type.originalName;
    if (name === "u32" || name === "i32") return inRange(value.value, name);
    return name === "bool" ? value : null;
  }

  private evaluate(e: ExpressionElem): Value | null {
    switch (e.kind) {
      case "literal":
        return literal(e.value);
      case "parenthesized-expression":
        return this.evaluate(e.expression);
      case "ref":
        return this.declared(this.module.refs.get(e.ident));
      case "unary-expression": {
        const value = this.evaluate(e.expression);
        if (value === null) return null;
        if (e.operator.value === "-") return inRange(-value.value, value.type);
        if (e.operator.value === "!") return bool(value.value === 0);
        return null;
      }
      case "binary-expression": {
        const left = this.evaluate(e.left);
        const right = left === null ? null : this.evaluate(e.right);
        return left === null || right === null ? null : binary(e.operator.value, left, right);
      }
      case "call-expression":
        return this.call(e);
      default:
        return null;
    }
  }

  private call(e: FunctionCallExpression): Value | null {
    const ident = identOf(e.function);
    if (ident === null || this.module.refs.has(ident)) return null;
    const values = e.arguments.map((argument) => this.evaluate(argument));
    const [a, b, c] = values;
    if (a === null || a === undefined) return null;
    switch (ident.originalName) {
      case "u32":
      case "i32":
        return values.length === 1 ? inRange(a.value, ident.originalName) : null;
      case "min":
      case "max": {
        if (b === null || b === undefined) return null;
        const type = common(a, b);
        const pick = ident.originalName === "min" ? Math.min : Math.max;
        return type === null ? null : inRange(pick(a.value, b.value), type);
      }
      case "select":
        if (b === null || b === undefined || c === null || c === undefined) return null;
        return c.value !== 0 ? b : a;
      default:
        return null;
    }
  }
}
