// SPDX-License-Identifier: Apache-2.0
/** The parsed module: what the text says, with names of registers, variables and labels resolved. */
import type { Type } from "./types.js";

export type Space = "global" | "const" | "shared" | "local" | "param";

export interface Register {
  readonly name: string;
  readonly type: Type;
}

/** A variable, of the module or of a function. */
export interface Variable {
  readonly name: string;
  readonly space: Space;
  readonly bytes: number;
  readonly align: number;
  /** Declared as `name[]` and extern: dynamic shared memory. */
  readonly unsized: boolean;
  readonly init: Uint8Array | null;
  readonly relocations: readonly { at: number; target: string; addend: number }[];
  readonly exported: boolean;
  /** Declared `.attribute(.managed)`: the host has it too. */
  readonly managed: boolean;
  readonly line: number;
}

export type Operand =
  | { readonly kind: "reg"; readonly reg: number; readonly negated: boolean }
  /** An integer, or a floating-point constant's bits; `float` is its width then. */
  | { readonly kind: "imm"; readonly value: bigint; readonly float: 0 | 32 | 64 }
  | { readonly kind: "special"; readonly name: string }
  | { readonly kind: "var"; readonly variable: Variable; readonly offset: number }
  | { readonly kind: "func"; readonly name: string }
  | { readonly kind: "label"; readonly label: number }
  | { readonly kind: "mem"; readonly base: Operand; readonly offset: number }
  | { readonly kind: "vec"; readonly items: readonly Operand[] }
  | { readonly kind: "pair"; readonly first: Operand; readonly second: Operand }
  | { readonly kind: "list"; readonly items: readonly Operand[] }
  | { readonly kind: "none" };

export interface Guard {
  readonly reg: number;
  readonly negated: boolean;
}

/** One instruction. `op` is its name without modifiers, `mods` the words after the dots. */
export interface Instruction {
  readonly line: number;
  readonly op: string;
  readonly mods: readonly string[];
  readonly guard: Guard | null;
  readonly operands: readonly Operand[];
}

export interface Label {
  readonly line: number;
  readonly label: number;
}

export type Item = Instruction | Label;

export const isLabel = (item: Item): item is Label => "label" in item;

export interface PtxFunction {
  readonly name: string;
  readonly line: number;
  readonly isEntry: boolean;
  /** Formal parameters and results: variables of the parameter space, or registers. */
  readonly params: readonly (Variable | number)[];
  readonly results: readonly (Variable | number)[];
  readonly registers: readonly Register[];
  readonly labels: number;
  /** Null for a declaration. */
  readonly body: readonly Item[] | null;
  readonly maxThreads: number;
  readonly requiredBlock: readonly [number, number, number] | null;
  /** Targets of `.branchtargets` lists, by the list's label. */
  readonly branchTargets: ReadonlyMap<number, readonly number[]>;
  /** What the body contains that could not be parsed: such a function fails alone. */
  readonly unsupported: { readonly text: string; readonly line: number } | null;
}

export interface ParsedModule {
  readonly version: string;
  readonly target: string;
  readonly functions: ReadonlyMap<string, PtxFunction>;
  readonly variables: ReadonlyMap<string, Variable>;
}

/** The instruction's full name, for messages. */
export const nameOf = (instruction: Instruction): string =>
  [instruction.op, ...instruction.mods].join(".");
