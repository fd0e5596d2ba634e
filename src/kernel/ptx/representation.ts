// SPDX-License-Identifier: Apache-2.0
/**
 * How each register is kept in WGSL: predicates as bool, 32 bits and less as u32 or, where floating
 * point instructions dominate its uses, f32; 64 bits as vec2u, or as the low word alone where
 * nothing needs the high one (demand.ts).
 */
import type { Block, FlatKernel, Inst } from "./ir.js";
import { flatten, signatureOf } from "./signature.js";

export type Representation = "bool" | "u32" | "f32" | "wide";

/** Neutral instructions move bits and say nothing of their meaning. */
const NEUTRAL = new Set(["mov", "selp", "shfl", "$extend"]);

function vote(votes: Int32Array, inst: Inst): void {
  const signature = signatureOf(inst);
  const count = (values: readonly ReturnType<typeof flatten>[number][], isDst: boolean): void => {
    values.forEach((value, i) => {
      const type = (isDst ? signature.dst : signature.src)[i];
      if (value.kind !== "reg" || type === undefined || type.bits !== 32) return;
      const weight = type.kind === "b" || NEUTRAL.has(inst.op) ? 1 : 4;
      if (type.kind === "f") votes[value.reg] = (votes[value.reg] ?? 0) + weight;
      else if (type.kind !== "b") votes[value.reg] = (votes[value.reg] ?? 0) - weight;
    });
  };
  count(flatten(inst.dst), true);
  count(flatten(inst.src), false);
}

export function representations(
  kernel: FlatKernel,
  blocks: readonly Block[],
  isWide: (reg: number) => boolean,
): Representation[] {
  const votes = new Int32Array(kernel.registers.length);
  for (const block of blocks) for (const inst of block.insts) vote(votes, inst);
  return kernel.registers.map(({ type }, reg): Representation => {
    if (type.kind === "pred") return "bool";
    if (type.bits * type.lanes > 32) return isWide(reg) ? "wide" : "u32";
    return type.bits === 32 && (votes[reg] ?? 0) > 0 ? "f32" : "u32";
  });
}
