// SPDX-License-Identifier: Apache-2.0
/**
 * What passes between `vgpud` and its instances: one JSON object a line. Both ends check every line
 * with these schemas, since an instance works for a guest.
 */
import * as z from "zod";

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
