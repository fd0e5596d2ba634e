// SPDX-License-Identifier: Apache-2.0
/** What passes between `vgpud` and `vgpuctl`: one JSON object a line, checked at both ends. */
import * as z from "zod";
import { confinementReport } from "./confinement.js";

export const controlRequest = z.discriminatedUnion("command", [
  z.object({ command: z.literal("status") }),
  z.object({ command: z.literal("gvmcs"), id: z.string().max(64) }),
  z.object({ command: z.literal("reset"), id: z.string().max(64) }),
  z.object({ command: z.literal("restart"), id: z.string().max(64) }),
  z.object({
    command: z.literal("set"),
    id: z.string().max(64),
    settings: z.array(z.string().max(64)).min(1).max(16),
  }),
]);
export type ControlRequest = z.infer<typeof controlRequest>;

/** A vGPU's part of the GPU: what is set, and what it has had. */
export const scheduleStatus = z.object({
  state: z.string(),
  policy: z.string(),
  weight: z.number(),
  slice_ms: z.number(),
  tail_ms: z.number(),
  min_share: z.number(),
  max_share: z.number(),
  share: z.number(),
  debt_ms: z.number(),
  entries: z.number(),
  held_ms: z.number(),
  wait_ms: z.number(),
  /** Of what was held: GPU time, as exits claim it. */
  gpu_ms: z.number(),
  exits: z.record(z.string(), z.number()),
  tails: z.number(),
  last_abort: z.string().nullable(),
});

/** The part of an instance's report that the broker itself looks at. */
export const deviceMemory = z.object({ reserved_bytes: z.number() });

/** One vGPU as `vgpuctl status --json` shows it. `device` is the instance's own report. */
export const vgpuStatus = z.object({
  id: z.string(),
  /** `failed`: its process ended too often and is not started again for now. */
  state: z.enum(["starting", "running", "restarting", "failed"]),
  socket: z.string(),
  pid: z.number().nullable(),
  restarts: z.number(),
  /** How often a process took a front end over from the one before. */
  takeovers: z.number(),
  /** Whether a front end is connected. */
  frontEnd: z.boolean(),
  adapter: z.string().nullable(),
  executor: z.string().nullable(),
  memoryLimitBytes: z.number().nullable(),
  /** Null while there is no process, and where instances are not confined. */
  confinement: confinementReport.nullable(),
  schedule: scheduleStatus,
  /** GPU time of the process by its kernel driver's count; null where that does not tell. */
  meteredMs: z.number().nullable(),
  device: z.record(z.string(), z.unknown()).nullable(),
});
export type VgpuStatus = z.infer<typeof vgpuStatus>;

export const controlReply = z.union([
  z.object({ ok: z.literal(true), text: z.string(), json: z.record(z.string(), z.unknown()) }),
  z.object({
    ok: z.literal(true),
    version: z.string(),
    pid: z.number(),
    vgpus: z.array(vgpuStatus),
    /** About what was asked for: it was done, and this follows. */
    note: z.string().optional(),
  }),
  z.object({ ok: z.literal(false), error: z.string() }),
]);
export type ControlReply = z.infer<typeof controlReply>;
