// SPDX-License-Identifier: Apache-2.0
/**
 * Names inside a function. Blocks in braces declare registers, variables and labels of their own;
 * each gets a number of its own here, so that later passes see one flat function.
 */
import type { Register, Variable } from "./ast.js";
import { PtxError } from "./error.js";
import type { Type } from "./types.js";

/** `.reg .b32 %r<N>` declares %r0 … %r(N−1). */
interface Family {
  readonly type: Type;
  readonly count: number;
}

/** Longest number of a register. */
const DIGITS_MAX = 9;

export class Scope {
  private readonly registers = new Map<string, number>();
  private readonly families = new Map<string, Family>();
  readonly variables = new Map<string, Variable>();
  readonly labels = new Map<string, number>();

  constructor(
    readonly parent: Scope | null,
    private readonly all: Register[],
    readonly depth: number,
  ) {}

  declareRegister(name: string, type: Type): number {
    const reg = this.all.length;
    this.all.push({ name, type });
    this.registers.set(name, reg);
    return reg;
  }

  declareFamily(prefix: string, count: number, type: Type): void {
    this.families.set(prefix, { type, count });
  }

  private own(name: string): number | null {
    const known = this.registers.get(name);
    if (known !== undefined) return known;
    let at = name.length;
    while (at > 0 && name.charCodeAt(at - 1) >= 48 && name.charCodeAt(at - 1) <= 57) at -= 1;
    if (at === name.length || name.length - at > DIGITS_MAX) return null;
    const index = Number(name.slice(at));
    const family = this.families.get(name.slice(0, at));
    if (family === undefined || index >= family.count) return null;
    return this.declareRegister(name, family.type);
  }

  register(name: string): number | null {
    for (let scope: Scope | null = this; scope !== null; scope = scope.parent) {
      const reg = scope.own(name);
      if (reg !== null) return reg;
    }
    return null;
  }

  variable(name: string): Variable | null {
    for (let scope: Scope | null = this; scope !== null; scope = scope.parent) {
      const variable = scope.variables.get(name);
      if (variable !== undefined) return variable;
    }
    return null;
  }

  declareVariable(variable: Variable): void {
    this.variables.set(variable.name, variable);
  }

  label(name: string): number | null {
    for (let scope: Scope | null = this; scope !== null; scope = scope.parent) {
      const label = scope.labels.get(name);
      if (label !== undefined) return label;
    }
    return null;
  }

  declareLabel(name: string, label: number, line: number): void {
    if (this.labels.has(name)) throw new PtxError(`label '${name}' is declared twice`, line);
    this.labels.set(name, label);
  }
}
