// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FramingError, type Message, MessageAssembler } from "../../../src/vhost-user/framing.js";
import { HEADER_BYTES, PAYLOAD_BYTES_MAX } from "../../../src/vhost-user/protocol.js";
import { concat, encodeRaw, type RawMessage, u64 } from "../../support/mock-frontend.js";

/** Feeds a stream in pieces of at most `pieces[i]` bytes, descriptors with a message's first. */
function feed(messages: readonly RawMessage[], pieces: readonly number[]): Message[] {
  const assembler = new MessageAssembler();
  const stream = concat(...messages.map(encodeRaw));
  const starts = new Map<number, readonly number[]>();
  let start = 0;
  for (const message of messages) {
    starts.set(start, message.fds ?? []);
    start += encodeRaw(message).length;
  }
  const result: Message[] = [];
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const piece = pieces[turn % pieces.length] ?? 1;
    const count = Math.min(piece, assembler.missing, stream.length - at);
    assembler.buffer.set(stream.subarray(at, at + count), assembler.offset);
    const message = assembler.received(count, starts.get(at) ?? []);
    if (message !== null) result.push({ ...message, payload: message.payload.slice() });
    at += count;
  }
  expect(assembler.idle).toBe(true);
  return result;
}

function header(change: { flags?: number; size?: number }): () => Message | null {
  const assembler = new MessageAssembler();
  assembler.buffer.set(encodeRaw({ request: 1, ...change }));
  return () => assembler.received(HEADER_BYTES, []);
}

const messageArbitrary = fc.record({
  request: fc.integer({ min: 0, max: 50 }),
  payload: fc.uint8Array({ maxLength: 300 }),
  flags: fc.constantFrom(1, 9),
  fds: fc.array(fc.integer({ min: 3, max: 1000 }), { maxLength: 8 }),
});

describe("framing", () => {
  it("finds the same messages however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(messageArbitrary, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 }),
        (messages, pieces) => {
          const found = feed(messages, pieces);
          expect(found).toEqual(messages);
        },
      ),
    );
  });

  it("never asks for bytes of the next message", () => {
    const assembler = new MessageAssembler();
    expect(assembler.missing).toBe(HEADER_BYTES);
    assembler.buffer.set(encodeRaw({ request: 2, payload: u64(1) }));
    expect(assembler.received(HEADER_BYTES, [])).toBeNull();
    expect(assembler.missing).toBe(8);
    expect(assembler.received(8, [])).toMatchObject({ request: 2 });
    expect(assembler.missing).toBe(HEADER_BYTES);
  });

  it.each([
    ["version 0", { flags: 0 }, /version 0/],
    ["version 2", { flags: 2 }, /version 2/],
    ["the reply bit", { flags: 5 }, /marked as a reply/],
    ["an unknown flag", { flags: 0x11 }, /unknown flags 0x11/],
    ["the top flag", { flags: 0x80000001 }, /unknown flags 0x80000001/],
    ["a payload above the limit", { size: PAYLOAD_BYTES_MAX + 1 }, /4097 bytes/],
    ["the largest size", { size: 0xffffffff }, /4294967295 bytes/],
  ])("refuses a header with %s", (_, change, text) => {
    expect(header({})()?.request).toBe(1);
    expect(header(change)).toThrow(FramingError);
    expect(header(change)).toThrow(text);
  });

  it("takes a payload of the largest size", () => {
    const payload = new Uint8Array(PAYLOAD_BYTES_MAX).fill(7);
    expect(feed([{ request: 3, payload }], [1000])).toMatchObject([{ payload }]);
  });

  it("refuses descriptors that come in the middle of a message, and keeps them for closing", () => {
    const assembler = new MessageAssembler();
    assembler.buffer.set(encodeRaw({ request: 2, payload: u64(1) }));
    assembler.received(5, [10]);
    expect(() => assembler.received(7, [11, 12])).toThrow(FramingError);
    expect(assembler.takeFds()).toEqual([10, 11, 12]);
    expect(assembler.takeFds()).toEqual([]);
  });
});
