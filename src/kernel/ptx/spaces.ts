// SPDX-License-Identifier: Apache-2.0
/**
 * Address spaces, forwards: what each 64-bit register may point to. Most generic accesses of real
 * kernels turn out to have one space, and then cost no test of the address's tag.
 */
import type { Block, FlatKernel, Inst, Value } from "./ir.js";
import { eachReg } from "./ir.js";

export const GLOBAL = 1;
export const SHARED = 2;
export const LOCAL = 4;
export const PARAM = 8;

const BITS: Readonly<Record<string, number>> = {
  global: GLOBAL,
  const: GLOBAL,
  shared: SHARED,
  local: LOCAL,
  param: PARAM,
};

export interface SpaceMasks {
  readonly registers: Uint8Array;
  /** What a pointer that is loaded from memory may point to. */
  readonly loaded: number;
}

/** The space that an instruction names, null for generic. */
export function spaceOf(inst: Inst): string | null {
  for (const mod of inst.mods) {
    const name = mod.startsWith("shared::") ? "shared" : mod.startsWith("param::") ? "param" : mod;
    if (Object.hasOwn(BITS, name)) return name;
  }
  return null;
}

export function maskOf(value: Value, masks: SpaceMasks): number {
  switch (value.kind) {
    case "reg":
      return masks.registers[value.reg] ?? 0;
    case "addr":
      return BITS[value.space] ?? 0;
    case "mem":
      return maskOf(value.base, masks);
    default:
      return 0;
  }
}

/** Spaces of the address of a memory access, after what the instruction says itself. */
export function accessMask(inst: Inst, address: Value, masks: SpaceMasks): number {
  const space = spaceOf(inst);
  if (space === "param") {
    const mask = maskOf(address, masks) & (PARAM | LOCAL);
    return mask === 0 ? PARAM : mask;
  }
  if (space !== null) return BITS[space] ?? GLOBAL;
  const mask = maskOf(address, masks);
  return mask === 0 ? GLOBAL : mask;
}

const NOT_POINTERS = new Set(["setp", "popc", "clz", "bfind", "isspacep"]);
/** Rounds over the kernel; past them every register may point anywhere, which is always right. */
const ROUNDS_MAX = 40;

const MEMORY = new Set(["ld", "ldu", "atom"]);

interface State {
  readonly registers: Uint8Array;
  loaded: number;
}

function result(inst: Inst, state: State): number {
  if (MEMORY.has(inst.op)) {
    if (inst.types.at(-1)?.bits !== 64) return 0;
    return inst.op === "ld" && spaceOf(inst) === "param" ? GLOBAL : state.loaded;
  }
  if (inst.op === "cvta") {
    return BITS[spaceOf(inst) ?? "global"] ?? GLOBAL;
  }
  let mask = 0;
  const masks: SpaceMasks = state;
  // Indices of 32 bits are no pointers, though a shared variable's address may be one of them.
  if (inst.op === "cvt" || (inst.op === "mul" && inst.mods.includes("wide"))) {
    if ((inst.types.at(-1)?.bits ?? 0) < 64) return 0;
  }
  for (const value of inst.src) {
    if (value.kind === "vec") for (const item of value.items) mask |= maskOf(item, masks);
    else if (value.kind !== "mem") mask |= maskOf(value, masks);
  }
  return mask;
}

/** Whether the register can hold an address or part of one. */
const mayPoint = (kernel: FlatKernel, reg: number): boolean =>
  (kernel.registers[reg]?.type.bits ?? 0) >= 32;

export function inferSpaces(kernel: FlatKernel, blocks: readonly Block[]): SpaceMasks {
  const state: State = { registers: new Uint8Array(kernel.registers.length), loaded: GLOBAL };
  for (let changed = true, round = 0; changed; round += 1) {
    changed = false;
    if (round === ROUNDS_MAX) {
      state.registers.fill(GLOBAL | SHARED | LOCAL | PARAM);
      break;
    }
    for (const block of blocks) {
      for (const inst of block.insts) {
        if (NOT_POINTERS.has(inst.op)) continue;
        if (inst.op === "st" || inst.op === "atom" || inst.op === "red") {
          changed = publish(inst, state) || changed;
        }
        if (inst.dst.length === 0) continue;
        const mask = result(inst, state);
        for (const value of inst.dst) {
          eachReg(value, (reg) => {
            const known = state.registers[reg] ?? 0;
            if (!mayPoint(kernel, reg) || (known | mask) === known) return;
            state.registers[reg] = known | mask;
            changed = true;
          });
        }
      }
    }
  }
  return state;
}

/** A pointer that is stored may come back by any load. */
function publish(inst: Inst, state: State): boolean {
  let mask = 0;
  if ((inst.types[0]?.bits ?? 0) !== 64) return false;
  for (const value of inst.src.slice(1)) {
    if (value.kind === "vec") for (const item of value.items) mask |= maskOf(item, state);
    else mask |= maskOf(value, state);
  }
  if ((state.loaded | mask) === state.loaded) return false;
  state.loaded |= mask;
  return true;
}
