// SPDX-License-Identifier: Apache-2.0
/** Runs every golden request vector through the decoders. */
import { describe, expect, it } from "vitest";
import { decodeSubmit, submitTarget } from "../../../src/command/decode.js";
import { decodeControl } from "../../../src/command/decode-control.js";
import type { DecodeError } from "../../../src/command/types.js";
import { statusName } from "../../../src/protocol/generated/wire.js";
import {
  controlVectors,
  type RequestVector,
  submitVectors,
  vectorBytes,
} from "../../support/vectors.js";
import { neutralControl, neutralSubmit } from "./neutral.js";

function expectRefused(vector: RequestVector & { status: string }, error: DecodeError): void {
  expect(statusName(error.status)).toBe(vector.status);
  if ("subject" in vector && vector.subject !== undefined) {
    expect(error.subject).toBe(vector.subject);
  }
  expect(error.text.length).toBeGreaterThan(10);
  expect(error.text).not.toContain("undefined");
}

function isRefusal(vector: RequestVector): vector is RequestVector & { status: string } {
  return typeof (vector as { status?: unknown }).status === "string";
}

function withoutBytes(vector: RequestVector): object {
  const { name: _name, hex: _hex, ...rest } = vector;
  return rest;
}

describe("control vectors", () => {
  it.each(controlVectors().map((each) => [each.name, each] as const))("%s", (_, vector) => {
    const result = decodeControl(vectorBytes(vector.hex));
    if (isRefusal(vector)) {
      if (result.kind !== "error") throw new Error(`accepted as ${result.kind}`);
      expectRefused(vector, result);
    } else {
      if (result.kind === "error") throw new Error(result.text);
      expect(neutralControl(result)).toEqual(withoutBytes(vector));
    }
  });
});

describe("submit vectors", () => {
  it.each(submitVectors().map((each) => [each.name, each] as const))("%s", (_, vector) => {
    const bytes = vectorBytes(vector.hex);
    const result = decodeSubmit(bytes);
    if (isRefusal(vector)) {
      if (result.kind !== "error") throw new Error(`accepted with ${result.commands.length}`);
      expectRefused(vector, result);
    } else {
      if (result.kind === "error") throw new Error(result.text);
      expect(neutralSubmit(result)).toEqual(withoutBytes(vector));
      const { context, stream, fence } = result;
      expect(submitTarget(bytes)).toEqual({ context, stream, fence });
    }
  });

  it("hold both kinds, for every command", () => {
    const refused = submitVectors().filter(isRefusal);
    expect(refused.length).toBeGreaterThan(100);
    expect(submitVectors().length - refused.length).toBeGreaterThan(20);
  });
});
