// SPDX-License-Identifier: Apache-2.0
/** Both sides of the limits that are too large for golden vectors, and what errors carry. */
import { describe, expect, it } from "vitest";
import { decodeSubmit, protocolLimits, submitTarget } from "../../../src/command/decode.js";
import { decodeControl } from "../../../src/command/decode-control.js";
import { CommandWriter, hostmemRegisterBytes, submitBytes } from "../../../src/protocol/encode.js";
import { Status, VGPU } from "../../../src/protocol/generated/wire.js";

const POINTER = { segment: VGPU.SEGMENT_FIRST, offset: 0 };
const ENVELOPE_BYTES = 40 + 24;

function inlineOf(bytes: number): Uint8Array {
  const writer = new CommandWriter(bytes + 64).writeInline(POINTER, new Uint8Array(bytes));
  return submitBytes(1, 0, 1, writer);
}

describe("submit limits", () => {
  it("take a submit of the largest size", () => {
    const bytes = inlineOf(VGPU.SUBMIT_BYTES_MAX - ENVELOPE_BYTES);
    expect(bytes.length).toBe(VGPU.SUBMIT_BYTES_MAX);
    expect(decodeSubmit(bytes).kind).toBe("submit");
  });

  it("refuse one command more, with size and limit", () => {
    const bytes = inlineOf(VGPU.SUBMIT_BYTES_MAX - ENVELOPE_BYTES + 8);
    expect(decodeSubmit(bytes)).toEqual({
      kind: "error",
      status: Status.REQUEST_TOO_LARGE,
      value: BigInt(VGPU.SUBMIT_BYTES_MAX + 8),
      limit: BigInt(VGPU.SUBMIT_BYTES_MAX),
      subject: 0,
      text: "the request is 4194312 bytes; the limit on the submit queue is 4194304",
    });
  });

  it("can be set lower by the instance", () => {
    const bytes = inlineOf(64);
    const limits = { ...protocolLimits, submitBytesMax: bytes.length };
    expect(decodeSubmit(bytes, limits).kind).toBe("submit");
    const lower = { ...limits, submitBytesMax: bytes.length - 8 };
    expect(decodeSubmit(bytes, lower)).toMatchObject({ status: Status.REQUEST_TOO_LARGE });
    const streams = { ...limits, streamsMax: 0 };
    expect(decodeSubmit(bytes, streams)).toMatchObject({ status: Status.STREAM_UNKNOWN });
  });

  it("name the command, the argument, the value and the limit in the text", () => {
    const value = new Uint8Array(VGPU.LAUNCH_VALUE_BYTES_MAX + 1);
    const writer = new CommandWriter().nop();
    writer.launch({ function: 1, grid: [1, 1, 1], arguments: [POINTER, value] });
    const result = decodeSubmit(submitBytes(1, 0, 1, writer));
    expect(result).toMatchObject({
      status: Status.ARGUMENT_KIND,
      value: BigInt(VGPU.LAUNCH_VALUE_BYTES_MAX + 1),
      limit: BigInt(VGPU.LAUNCH_VALUE_BYTES_MAX),
      text: "command 1 (LAUNCH), argument 1: a value of 32769 bytes; it must be 1 to 32768",
    });
  });
});

describe("the target of a refused submit", () => {
  it("is known when only a command is bad", () => {
    const bytes = submitBytes(7, 3, 12, new CommandWriter().raw(999));
    expect(decodeSubmit(bytes).kind).toBe("error");
    expect(submitTarget(bytes)).toEqual({ context: 7, stream: 3, fence: 12 });
  });

  it("is unknown when the request is cut or has no fence", () => {
    const bytes = submitBytes(7, 3, 0, new CommandWriter());
    expect(submitTarget(bytes)).toBeNull();
    expect(submitTarget(bytes.subarray(0, 39))).toBeNull();
  });
});

describe("control limits", () => {
  const entries = (count: number): { address: number; bytes: number }[] =>
    Array.from({ length: count }, (_, index) => ({ address: index * 4096, bytes: 4096 }));

  it("take the largest registration", () => {
    const bytes = hostmemRegisterBytes(1, 1, entries(VGPU.HOSTMEM_ENTRIES_MAX));
    const result = decodeControl(bytes);
    if (result.kind !== "hostmemRegister")
      throw new Error(`refused: ${JSON.stringify(result.kind)}`);
    expect(result.ranges.length).toBe(VGPU.HOSTMEM_ENTRIES_MAX);
    expect(result.bytes).toBe(VGPU.HOSTMEM_ENTRIES_MAX * 4096);
  });

  it("refuse one entry more", () => {
    const bytes = hostmemRegisterBytes(1, 1, entries(VGPU.HOSTMEM_ENTRIES_MAX + 1));
    expect(decodeControl(bytes)).toMatchObject({
      status: Status.REQUEST_TOO_LARGE,
      value: BigInt(bytes.length),
      limit: BigInt(VGPU.CONTROL_REQUEST_BYTES_MAX),
    });
  });
});
