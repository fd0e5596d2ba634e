// SPDX-License-Identifier: Apache-2.0
/** Reads the golden vectors of spec/vectors. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";

/** The top of the source tree. */
export const root = fileURLToPath(new URL("../..", import.meta.url));

const fields = z.record(z.string(), z.union([z.number(), z.string()]));

const structVector = z.union([
  z.strictObject({ name: z.string(), struct: z.string(), hex: z.string(), fields }),
  z.strictObject({
    name: z.string(),
    struct: z.string(),
    bytes: z.number(),
    layout: z.array(
      z.strictObject({
        name: z.string(),
        type: z.enum(["u8", "u16", "u32", "u64", "char"]),
        offset: z.number(),
        bytes: z.number(),
        reserved: z.boolean(),
      }),
    ),
  }),
]);

const requestVector = z.union([
  z.strictObject({
    name: z.string(),
    hex: z.string(),
    status: z.string(),
    subject: z.number().optional(),
  }),
  z.looseObject({ name: z.string(), hex: z.string(), context: z.number() }),
]);

function vectorsOf<T>(file: string, schema: z.ZodType<T>): T[] {
  const text = readFileSync(join(root, "spec/vectors", file), "utf8");
  return z.object({ vectors: z.array(schema) }).parse(JSON.parse(text)).vectors;
}

export type StructVector = z.infer<typeof structVector>;
export type RequestVector = z.infer<typeof requestVector>;

export const structVectors = (): StructVector[] => vectorsOf("structs.json", structVector);
export const controlVectors = (): RequestVector[] => vectorsOf("control.json", requestVector);
export const submitVectors = (): RequestVector[] => vectorsOf("submit.json", requestVector);

/** The bytes of a vector, at an odd address, so that no decoder can rely on alignment. */
export function vectorBytes(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2 + 1).subarray(1);
  bytes.set(Buffer.from(hex, "hex"));
  return bytes;
}
