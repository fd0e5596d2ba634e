// SPDX-License-Identifier: Apache-2.0
/**
 * The intermediate representation: one kernel with its calls expanded, variables placed, and
 * instructions split into results and sources. Registers are not in SSA form; NVIDIA's compiler
 * writes nearly every one once, so the analyses need no more.
 */
import type { Guard, Register } from "./ast.js";
import { PtxError } from "./error.js";
import type { Type } from "./types.js";

export type AddressSpace = "global" | "shared" | "local" | "param";

export type Value =
  | { readonly kind: "reg"; readonly reg: number; readonly negated: boolean }
  | { readonly kind: "imm"; readonly value: bigint; readonly float: 0 | 32 | 64 }
  | { readonly kind: "special"; readonly name: string }
  /** The address of a placed variable; `symbol` is the global's index in `Kernel.globals`. */
  | {
      readonly kind: "addr";
      readonly space: AddressSpace;
      readonly symbol: number;
      readonly offset: number;
    }
  | { readonly kind: "mem"; readonly base: Value; readonly offset: number }
  /** A parameter of a call that is being expanded; gone when lowering ends. */
  | { readonly kind: "slot"; readonly slot: number; readonly offset: number }
  | { readonly kind: "vec"; readonly items: readonly Value[] }
  | { readonly kind: "none" };

export interface Inst {
  readonly line: number;
  readonly op: string;
  readonly mods: readonly string[];
  readonly guard: Guard | null;
  readonly dst: readonly Value[];
  readonly src: readonly Value[];
  /** The type words, in order; most instructions have one. */
  readonly types: readonly Type[];
  /** The function it comes from, for messages. */
  readonly from: string;
}

export interface KernelParam {
  readonly offset: number;
  readonly bytes: number;
  readonly align: number;
}

/** A kernel as one list of instructions and labels. */
export interface FlatKernel {
  readonly name: string;
  readonly line: number;
  readonly registers: Register[];
  readonly code: (Inst | number)[];
  readonly labels: number;
  readonly branchTargets: ReadonlyMap<number, readonly number[]>;
  readonly params: readonly KernelParam[];
  readonly paramBytes: number;
  /** Names of the module's variables whose addresses it uses, in order of use. */
  readonly globals: readonly string[];
  readonly sharedBytes: number;
  readonly dynamicSharedAt: number;
  readonly usesDynamicShared: boolean;
  readonly localBytes: number;
  /** Static text of formats, by global index, where it is known. */
  readonly formats: ReadonlyMap<number, Uint8Array>;
}

export type Condition =
  | { readonly kind: "pred"; readonly reg: number; readonly negated: boolean }
  | { readonly kind: "equals"; readonly value: Value; readonly index: number };

export type Terminator =
  | { readonly kind: "jump"; readonly to: number }
  | {
      readonly kind: "branch";
      readonly condition: Condition;
      readonly yes: number;
      readonly no: number;
    }
  | { readonly kind: "exit" };

export interface Block {
  readonly id: number;
  insts: Inst[];
  term: Terminator;
}

export function fullName(inst: Inst): string {
  return [inst.op, ...inst.mods].join(".");
}

export function unsupported(inst: Inst, why = "is not supported"): PtxError {
  return new PtxError(`${fullName(inst)} ${why}`, inst.line, null, fullName(inst));
}

export const hasMod = (inst: Inst, mod: string): boolean => inst.mods.includes(mod);

/** Registers that the value reads, addresses included. */
export function eachReg(value: Value, visit: (reg: number) => void): void {
  if (value.kind === "reg") visit(value.reg);
  else if (value.kind === "mem") eachReg(value.base, visit);
  else if (value.kind === "vec") for (const item of value.items) eachReg(item, visit);
}

export function eachDef(inst: Inst, visit: (reg: number) => void): void {
  for (const value of inst.dst) eachReg(value, visit);
}

export function eachUse(inst: Inst, visit: (reg: number) => void): void {
  for (const value of inst.src) eachReg(value, visit);
  if (inst.guard !== null) visit(inst.guard.reg);
}

export function successors(term: Terminator): readonly number[] {
  if (term.kind === "jump") return [term.to];
  return term.kind === "branch" ? [term.yes, term.no] : [];
}
