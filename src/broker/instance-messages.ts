// SPDX-License-Identifier: Apache-2.0
/**
 * What passes between `vgpud` and its instances: one JSON object a line. Both ends check every line
 * with these schemas, since an instance works for a guest.
 */
import * as z from "zod";

/** The longest time for which an instance may say that it is busy; it may say so again. */
export const BUSY_MS_MAX = 60_000;

const count = z.number().nonnegative();

export const fromInstance = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("hello"),
    id: z.string().max(64),
    pid: z.number().int().positive(),
    adapter: z.string().max(256),
    vendorId: z.number().int().nonnegative().max(0xffffffff),
    executor: z.string().max(16),
  }),
  z.object({ type: z.literal("pong") }),
  /** It will not look at its socket for so long. */
  z.object({ type: z.literal("busy"), ms: z.number().int().positive().max(BUSY_MS_MAX) }),
  z.object({
    type: z.literal("status"),
    sequence: count,
    status: z.record(z.string(), z.unknown()),
  }),
]);
export type FromInstance = z.infer<typeof fromInstance>;

export const toInstance = z.discriminatedUnion("type", [
  z.object({ type: z.literal("attached") }),
  z.object({ type: z.literal("ping") }),
  z.object({ type: z.literal("status"), sequence: count }),
]);
export type ToInstance = z.infer<typeof toInstance>;
