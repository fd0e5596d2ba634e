// SPDX-License-Identifier: Apache-2.0
/** What a batch may do with two segments, and the same with plain memory: for property tests. */
import fc from "fast-check";
import { expect } from "vitest";
import type { Batch, Segment } from "../../src/gpu/executor.js";

export type Operation =
  | { kind: "write"; segment: number; offset: number; lengths: number[]; seed: number }
  | {
      kind: "fill";
      segment: number;
      offset: number;
      bytes: number;
      pattern: number;
      width: 1 | 2 | 4;
    }
  | { kind: "copy"; from: number; to: number; source: number; target: number; bytes: number }
  | { kind: "read"; segment: number; offset: number; bytes: number };

const which = fc.integer({ min: 0, max: 1 });

/** Anything on two segments of `bytes`; most of it short. */
export function operationIn(bytes: number): fc.Arbitrary<Operation> {
  const position = fc.integer({ min: 0, max: bytes - 1 });
  const length = fc.oneof(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 0, max: 40_000 }));
  return fc.oneof(
    fc.record({
      kind: fc.constant("write" as const),
      segment: which,
      offset: position,
      lengths: fc.array(length, { minLength: 1, maxLength: 4 }),
      seed: fc.nat(),
    }),
    fc.record({
      kind: fc.constant("fill" as const),
      segment: which,
      offset: position,
      bytes: length,
      pattern: fc.integer({ min: 0, max: 0xffffffff }),
      width: fc.constantFrom(1 as const, 2 as const, 4 as const),
    }),
    fc.record({
      kind: fc.constant("copy" as const),
      from: which,
      to: which,
      source: position,
      target: position,
      bytes: length,
    }),
    fc.record({
      kind: fc.constant("read" as const),
      segment: which,
      offset: position,
      bytes: length,
    }),
  );
}

export function pseudoRandom(bytes: number, seed: number): Uint8Array {
  const data = new Uint8Array(bytes);
  let state = seed | 1;
  for (let i = 0; i < bytes; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    data[i] = state >>> 16;
  }
  return data;
}

/** Applies an operation to the batch and to the model; returns a check for after completion. */
export function apply(
  batch: Batch,
  segments: readonly Segment[],
  model: readonly Uint8Array[],
  op: Operation,
): (() => void) | null {
  const memory = (index: number): Uint8Array => model[index] as Uint8Array;
  const segmentBytes = memory(0).length;
  const segment = (index: number): Segment => segments[index] as Segment;
  switch (op.kind) {
    case "write": {
      const sources: Uint8Array[] = [];
      let at = op.offset;
      for (const wanted of op.lengths) {
        const bytes = Math.min(wanted, segmentBytes - at);
        const data = pseudoRandom(bytes, op.seed + at);
        memory(op.segment).set(data, at);
        sources.push(data);
        at += bytes;
      }
      batch.write(segment(op.segment), op.offset, sources);
      return null;
    }
    case "fill": {
      const offset = op.offset - (op.offset % op.width);
      const room = Math.min(op.bytes, segmentBytes - offset);
      const bytes = room - (room % op.width);
      for (let i = 0; i < bytes; i++) {
        memory(op.segment)[offset + i] = (op.pattern >>> (8 * (i % op.width))) & 0xff;
      }
      batch.fill(segment(op.segment), offset, bytes, op.pattern, op.width);
      return null;
    }
    case "copy": {
      const bytes = Math.min(op.bytes, segmentBytes - op.source, segmentBytes - op.target);
      const data = memory(op.from).slice(op.source, op.source + bytes);
      memory(op.to).set(data, op.target);
      batch.copy(segment(op.to), op.target, segment(op.from), op.source, bytes);
      return null;
    }
    case "read": {
      const bytes = Math.min(op.bytes, segmentBytes - op.offset);
      const half = Math.floor(bytes / 2);
      const into = [new Uint8Array(half), new Uint8Array(bytes - half)];
      const expected = memory(op.segment).slice(op.offset, op.offset + bytes);
      batch.read(segment(op.segment), op.offset, bytes, () => into);
      return () => expect(Buffer.concat(into).equals(expected)).toBe(true);
    }
  }
}
