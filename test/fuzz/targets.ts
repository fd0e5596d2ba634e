// SPDX-License-Identifier: Apache-2.0
/** The registry of fuzz targets: every parser that reads what a guest or a front end wrote. */
import type { FuzzTarget } from "./target.js";
import { gvmcsTarget, linesTarget } from "./targets/broker.js";
import { canary } from "./targets/canary.js";
import { controlTarget, submitTarget } from "./targets/commands.js";
import { deviceTarget } from "./targets/device.js";
import { fatbinTarget, ptxTarget, wgslTarget } from "./targets/kernels.js";
import { messageTarget } from "./targets/messages.js";
import { packedRingTarget, splitRingTarget } from "./targets/rings.js";
import { sessionTarget } from "./targets/session.js";

export const TARGETS: readonly FuzzTarget[] = [
  messageTarget,
  sessionTarget,
  splitRingTarget,
  packedRingTarget,
  controlTarget,
  submitTarget,
  wgslTarget,
  ptxTarget,
  fatbinTarget,
  deviceTarget,
  linesTarget,
  gvmcsTarget,
];

/** Has a bug that the engine must find: else it would find nothing anywhere. Not part of a run. */
export const CANARY: FuzzTarget = canary;
