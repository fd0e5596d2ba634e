// SPDX-License-Identifier: Apache-2.0
/** Runs the golden structure vectors through the generated codecs. */
import { describe, expect, it } from "vitest";
import { type Codec, structs } from "../../../src/protocol/generated/wire.js";
import { structVectors, vectorBytes } from "../../support/vectors.js";

const codecs = new Map<string, Codec<object>>(
  Object.entries(structs as unknown as Record<string, Codec<object>>),
);

function codecOf(name: string): Codec<object> {
  const codec = codecs.get(name);
  if (codec === undefined) throw new Error(`no codec for ${name}`);
  return codec;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function neutral(value: object): object {
  const entries = Object.entries(value).map(([name, field]: [string, unknown]) => [
    name,
    typeof field === "bigint" ? `0x${field.toString(16)}` : field,
  ]);
  return Object.fromEntries(entries);
}

describe("structure vectors", () => {
  it.each(structVectors().map((each) => [each.name, each] as const))("%s", (_, vector) => {
    const codec = codecOf(vector.struct);
    if ("layout" in vector) {
      expect(codec.bytes).toBe(vector.bytes);
      const offsets = Object.fromEntries(vector.layout.map((each) => [each.name, each.offset]));
      expect(codec.at).toEqual(offsets);
      return;
    }
    const bytes = vectorBytes(vector.hex);
    const value = codec.decode(viewOf(bytes), 0);
    expect(neutral(value)).toEqual(vector.fields);
    const encoded = new Uint8Array(codec.bytes + 16).fill(0xee);
    codec.encode(viewOf(encoded), 8, value);
    expect(Buffer.from(encoded.subarray(8, -8)).toString("hex")).toBe(vector.hex);
    expect(encoded.subarray(0, 8)).toEqual(new Uint8Array(8).fill(0xee));
    expect(encoded.subarray(-8)).toEqual(new Uint8Array(8).fill(0xee));
  });

  it("cover every structure", () => {
    const covered = new Set(structVectors().map((each) => each.struct));
    expect([...covered].sort()).toEqual([...codecs.keys()].sort());
  });

  it("see every reserved byte, and no other", () => {
    for (const vector of structVectors()) {
      if (!("layout" in vector)) continue;
      const codec = codecOf(vector.struct);
      for (const field of vector.layout) {
        for (let index = 0; index < field.bytes; index++) {
          const bytes = new Uint8Array(codec.bytes);
          bytes[field.offset + index] = 0x80;
          const clean = codec.reservedZero(viewOf(bytes), 0);
          expect(clean, `${vector.struct}.${field.name}[${index}]`).toBe(!field.reserved);
        }
      }
    }
  });
});

describe("text fields", () => {
  const { error_query_response: codec } = structs;
  const blank = { status: 0, stream: 0, fence: 0n, value: 0n, limit: 0n };

  it("are cut at a whole character, and keep a NUL at the end", () => {
    const bytes = new Uint8Array(codec.bytes);
    codec.encode(viewOf(bytes), 0, { ...blank, text: "é".repeat(200) });
    expect(bytes.at(-1)).toBe(0);
    expect(codec.decode(viewOf(bytes), 0).text).toBe("é".repeat(111));
  });

  it("end at the first NUL, and survive wrong UTF-8", () => {
    const bytes = new Uint8Array(codec.bytes).fill(0xff, codec.at.text);
    expect(codec.decode(viewOf(bytes), 0).text).toBe("\u{fffd}".repeat(224));
    bytes[codec.at.text] = 0x41;
    bytes[codec.at.text + 1] = 0;
    expect(codec.decode(viewOf(bytes), 0).text).toBe("A");
  });
});
