// SPDX-License-Identifier: Apache-2.0
/**
 * What passes between `vgpud` and its instances, and between `vgpud` and `vgpuctl`: one JSON object
 * a line. Both ends check every line with these schemas, since an instance works for a guest.
 */
import { z } from "zod";

/** Longest line that is read; a longer one closes the connection. */
export const LINE_BYTES_MAX = 1024 * 1024;

const count = z.number().nonnegative();

export const fromInstance = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("hello"),
    id: z.string().max(64),
    pid: z.number().int().positive(),
    adapter: z.string().max(256),
    executor: z.string().max(16),
  }),
  z.object({ type: z.literal("request") }),
  z.object({ type: z.literal("release") }),
  z.object({
    type: z.literal("status"),
    sequence: count,
    status: z.record(z.string(), z.unknown()),
  }),
]);
export type FromInstance = z.infer<typeof fromInstance>;

export const toInstance = z.discriminatedUnion("type", [
  z.object({ type: z.literal("grant") }),
  z.object({ type: z.literal("revoke") }),
  z.object({ type: z.literal("status"), sequence: count }),
]);
export type ToInstance = z.infer<typeof toInstance>;

export const controlRequest = z.object({ command: z.literal("status") });
export type ControlRequest = z.infer<typeof controlRequest>;

/** One vGPU as `vgpuctl status --json` shows it. `device` is the instance's own report. */
export const vgpuStatus = z.object({
  id: z.string(),
  state: z.enum(["starting", "running", "restarting", "stopped"]),
  socket: z.string(),
  pid: z.number().nullable(),
  restarts: z.number(),
  adapter: z.string().nullable(),
  executor: z.string().nullable(),
  lease: z.enum(["held", "waiting", "none"]),
  grants: z.number(),
  memoryLimitBytes: z.number().nullable(),
  device: z.record(z.string(), z.unknown()).nullable(),
});
export type VgpuStatus = z.infer<typeof vgpuStatus>;

export const controlReply = z.union([
  z.object({
    ok: z.literal(true),
    version: z.string(),
    pid: z.number(),
    vgpus: z.array(vgpuStatus),
  }),
  z.object({ ok: z.literal(false), error: z.string() }),
]);
export type ControlReply = z.infer<typeof controlReply>;
