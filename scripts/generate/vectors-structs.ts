// SPDX-License-Identifier: Apache-2.0
/**
 * Golden vectors of every structure: all fields zero, every byte distinct, every field at its
 * largest value. With them come the offsets, so that other languages can check their own layout.
 */
import { type FieldValue, hex, jsonLines, Layout, vectorValue } from "./bytes.js";
import type { Definition, Field, Struct } from "./definition.js";

const COMMENT =
  "Generated from spec/vgpu.json. Each vector is one structure's bytes and its fields; reserved " +
  "fields are zero and left out. u64 values are hexadecimal text.";

/** Counts bytes up from 1 through the structure, so that a swapped byte or field shows. */
function distinct(field: Field): FieldValue {
  if (field.type === "char") return `${field.name} é`.slice(0, field.bytes - 2);
  let value = 0n;
  for (let index = field.bytes - 1; index >= 0; index--) {
    value = (value << 8n) | BigInt(((field.offset + index) % 251) + 1);
  }
  return value;
}

function largest(field: Field): FieldValue {
  if (field.type === "char") return "m".repeat(field.bytes - 1);
  return (1n << BigInt(8 * field.bytes)) - 1n;
}

function zero(field: Field): FieldValue {
  return field.type === "char" ? "" : 0;
}

function vector(
  layout: Layout,
  struct: Struct,
  name: string,
  pick: (field: Field) => FieldValue,
): object {
  const kept = struct.fields.filter((field) => !field.reserved);
  const values = Object.fromEntries(kept.map((field) => [field.name, pick(field)]));
  const fields = kept.map((field) => [field.name, vectorValue(field, values[field.name] ?? 0)]);
  return {
    name: `${struct.name} ${name}`,
    struct: struct.name,
    hex: hex(layout.encode(struct.name, values)),
    fields: Object.fromEntries(fields),
  };
}

/** The text of spec/vectors/structs.json. */
export function writeStructVectors(definition: Definition): string {
  const layout = new Layout(definition);
  const vectors = definition.structs.flatMap((struct) => [
    {
      name: `${struct.name} layout`,
      struct: struct.name,
      bytes: struct.bytes,
      layout: struct.fields.map((field) => ({
        name: field.name,
        type: field.type,
        offset: field.offset,
        bytes: field.bytes,
        reserved: field.reserved,
      })),
    },
    vector(layout, struct, "zero", zero),
    vector(layout, struct, "distinct", distinct),
    vector(layout, struct, "largest", largest),
  ]);
  return jsonLines(COMMENT, vectors);
}
