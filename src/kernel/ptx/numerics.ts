// SPDX-License-Identifier: Apache-2.0
/**
 * Sums that a shader compiler must not rearrange. Shader languages allow (x + M) − M to become x,
 * and Mesa does it: rounding by magic constants (as in CUDA's expf) and compensated sums then come
 * out wrong. The inner sum of such a pair gets an exclusive-or with a zero known at run time only.
 */
import type { Block, FlatKernel, Inst, Value } from "./ir.js";
import { eachDef } from "./ir.js";

export type Immediate = Value & { readonly kind: "imm" };

/** Registers that are always one constant. */
export function constants(
  kernel: FlatKernel,
  blocks: readonly Block[],
): (value: Value) => Immediate | null {
  const definitions = new Int32Array(kernel.registers.length);
  const known = new Map<number, Immediate>();
  for (const block of blocks) {
    for (const inst of block.insts) {
      eachDef(inst, (reg) => {
        definitions[reg] = (definitions[reg] ?? 0) + 1;
      });
      const [dst, src] = [inst.dst[0], inst.src[0]];
      if (inst.op === "mov" && inst.guard === null && dst?.kind === "reg" && src?.kind === "imm") {
        known.set(dst.reg, src);
      }
    }
  }
  return (value) => {
    if (value.kind === "imm") return value;
    if (value.kind !== "reg" || definitions[value.reg] !== 1) return null;
    return known.get(value.reg) ?? null;
  };
}

/** The addends of an f32 sum. */
function addends(inst: Inst): readonly Value[] {
  if (inst.types[0]?.kind !== "f" || inst.types[0].bits !== 32) return [];
  if (inst.op === "add" || inst.op === "sub") return inst.src;
  if (inst.op === "fma" || inst.op === "mad") return inst.src.slice(2);
  return [];
}

export function protectedSums(
  blocks: readonly Block[],
  constantOf: (value: Value) => Immediate | null,
): Set<Inst> {
  const sums = new Map<number, Inst>();
  for (const block of blocks) {
    for (const inst of block.insts) {
      const dst = inst.dst[0];
      if (addends(inst).length > 0 && dst?.kind === "reg") sums.set(dst.reg, inst);
    }
  }
  const found = new Set<Inst>();
  const isShared = (a: Value, b: Value): boolean => {
    if (a.kind === "reg" && b.kind === "reg" && a.reg === b.reg) return true;
    return constantOf(a) !== null && constantOf(b) !== null;
  };
  for (const block of blocks) {
    for (const inst of block.insts) {
      const own = inst.op === "fma" || inst.op === "mad" ? inst.src : addends(inst);
      for (const value of own) {
        const inner = value.kind === "reg" ? sums.get(value.reg) : undefined;
        if (inner === undefined || inner === inst) continue;
        const others = own.filter((other) => other !== value);
        if (addends(inner).some((a) => others.some((b) => isShared(a, b)))) found.add(inner);
      }
    }
  }
  return found;
}
