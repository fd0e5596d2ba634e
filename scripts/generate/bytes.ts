// SPDX-License-Identifier: Apache-2.0
/**
 * Lays out structures from the definition, field by field. This is a second implementation of the
 * wire format on purpose: the golden vectors must not come from the codecs that they test.
 */
import type { Definition, Field, Struct } from "./definition.js";

export type FieldValue = number | bigint | string;
export type FieldValues = Readonly<Record<string, FieldValue>>;

/** Bytes being put together, and the definition they follow. */
export class Layout {
  readonly definition: Definition;
  readonly #structs: ReadonlyMap<string, Struct>;

  constructor(definition: Definition) {
    this.definition = definition;
    this.#structs = new Map(definition.structs.map((each) => [each.name, each]));
  }

  struct(name: string): Struct {
    const struct = this.#structs.get(name);
    if (struct === undefined) throw new Error(`vectors: no struct ${name}`);
    return struct;
  }

  /** Offset of a field from the start of its structure. */
  offset(structName: string, fieldName: string): number {
    const field = this.struct(structName).fields.find((each) => each.name === fieldName);
    if (field === undefined) throw new Error(`vectors: ${structName} has no field ${fieldName}`);
    return field.offset;
  }

  /** Value of a constant as a number. */
  constant(name: string): number {
    const constant = this.definition.constants.find((each) => each.name === name);
    if (constant === undefined) throw new Error(`vectors: no constant ${name}`);
    return Number(constant.value.value);
  }

  request(name: string): Definition["requests"][number] {
    const request = this.definition.requests.find((each) => each.name === name);
    if (request === undefined) throw new Error(`vectors: no request ${name}`);
    return request;
  }

  command(name: string): Definition["commands"][number] {
    const command = this.definition.commands.find((each) => each.name === name);
    if (command === undefined) throw new Error(`vectors: no command ${name}`);
    return command;
  }

  /** The bytes of a structure; fields that are not named are zero. */
  encode(structName: string, values: FieldValues): Uint8Array {
    const struct = this.struct(structName);
    for (const name of Object.keys(values)) this.offset(structName, name);
    const bytes = new Uint8Array(struct.bytes);
    for (const field of struct.fields) putField(bytes, field, values[field.name] ?? 0);
    return bytes;
  }
}

function putField(bytes: Uint8Array, field: Field, value: FieldValue): void {
  if (typeof value === "string") {
    const text = new TextEncoder().encode(value);
    if (field.type !== "char" || text.length > field.bytes) {
      throw new Error(`vectors: "${value}" does not fit into ${field.name}`);
    }
    bytes.set(text, field.offset);
    return;
  }
  let rest = BigInt(value);
  for (let index = 0; index < field.bytes && rest > 0n; index++) {
    bytes[field.offset + index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  if (rest > 0n) throw new Error(`vectors: ${value} does not fit into ${field.name}`);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** `bytes`, then zeros up to a multiple of 8. */
export function pad8(bytes: Uint8Array): Uint8Array {
  return concat(bytes, new Uint8Array((8 - (bytes.length % 8)) % 8));
}

/** A copy of `bytes` with `value` at byte `at`. */
export function patched(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** How vectors write an integer: u64 as `0x…` text, since JSON numbers end at 2^53. */
export function vectorValue(field: Field, value: FieldValue): number | string {
  if (typeof value === "string") return value;
  return field.type === "u64" ? `0x${BigInt(value).toString(16)}` : Number(value);
}

/** A JSON array with one element per line, so that a change shows as one line. */
export function jsonLines(comment: string, vectors: readonly object[]): string {
  const lines = vectors.map((each) => `    ${JSON.stringify(each)}`);
  const head = `{\n  "comment": ${JSON.stringify(comment)},\n  "vectors": [\n`;
  return `${head}${lines.join(",\n")}\n  ]\n}\n`;
}
