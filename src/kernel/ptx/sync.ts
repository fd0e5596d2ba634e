// SPDX-License-Identifier: Apache-2.0
/** Which instructions threads execute together: those need uniform control flow or the machine. */
import type { Inst } from "./ir.js";

const WARP = new Set(["shfl", "vote", "match", "redux"]);

export const isBarrier = (inst: Inst): boolean =>
  (inst.op === "bar" || inst.op === "barrier") && !inst.mods.includes("warp");

/** bar.warp.sync orders memory in a warp. */
export const isWarpBarrier = (inst: Inst): boolean =>
  inst.op === "bar" && inst.mods.includes("warp");

export const isWarpOperation = (inst: Inst): boolean => WARP.has(inst.op);

export const isSync = (inst: Inst): boolean =>
  inst.op === "bar" || inst.op === "barrier" || WARP.has(inst.op);
