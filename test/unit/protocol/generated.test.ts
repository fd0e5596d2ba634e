// SPDX-License-Identifier: Apache-2.0
/** Generated files are current, and the generator refuses a wrong definition. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseDefinition } from "../../../scripts/generate/definition.js";
import { generateAll, staleFiles } from "../../../scripts/generate.js";
import { VGPU } from "../../../src/protocol/generated/wire.js";
import { root } from "../../support/vectors.js";

const source = readFileSync(join(root, "spec/vgpu.json"), "utf8");

function changed(from: string, to: string): string {
  if (!source.includes(from)) throw new Error(`spec/vgpu.json has no ${from}`);
  return source.replace(from, to);
}

describe("generated files", () => {
  it("are current", () => {
    expect(staleFiles(generateAll())).toEqual([]);
  });

  it("are told apart when one byte differs", () => {
    const files = new Map(generateAll());
    const path = "src/protocol/generated/wire.ts";
    files.set(path, `${files.get(path) ?? ""}\n`);
    expect(staleFiles(files)).toEqual([path]);
  });
});

describe("limits", () => {
  it("let the largest registration fit into the largest control request", () => {
    expect(16 + 16 + VGPU.HOSTMEM_ENTRIES_MAX * 16).toBeLessThanOrEqual(
      VGPU.CONTROL_REQUEST_BYTES_MAX,
    );
  });

  it("let a timeline page hold every stream's slot", () => {
    const slots = VGPU.STREAMS_MAX * VGPU.TIMELINE_SLOT_BYTES;
    expect(VGPU.TIMELINE_HEADER_BYTES + slots).toBeLessThanOrEqual(VGPU.TIMELINE_PAGE_BYTES);
  });
});

describe("the definition", () => {
  it.each([
    [
      "a wrong size",
      '"name": "request_header", "doc": "Opens every control and submit request.", "bytes": 16',
      '"name": "request_header", "doc": "x", "bytes": 24',
      /struct request_header: fields take 16 bytes, not 24/,
    ],
    [
      "a misaligned field",
      '{ "name": "session", "type": "u64"',
      '{ "name": "odd", "type": "u32", "doc": "x" }, { "name": "session", "type": "u64"',
      /field session: offset 4 is not aligned/,
    ],
    [
      "an unknown enum",
      '"enum": "module_format"',
      '"enum": "module_shape"',
      /no enum module_shape/,
    ],
    [
      "an unknown structure",
      '"payload": "command_fill"',
      '"payload": "command_empty"',
      /no struct command_empty/,
    ],
    [
      "one value twice",
      '{ "name": "NOP", "value": 1 }',
      '{ "name": "NOP", "value": 2 }',
      /command values: 2 appears twice/,
    ],
    ["an unknown key", '"byteOrder"', '"bitOrder": "big", "byteOrder"', /bitOrder/],
    ["another version", '"minor": 1', '"minor": 2', /constant VERSION is not 65538/],
  ])("refuses %s", (_, from, to, message) => {
    expect(() => parseDefinition(changed(from, to))).toThrow(message);
  });

  it("is accepted as it is", () => {
    expect(parseDefinition(source).structs.length).toBeGreaterThan(30);
  });
});
