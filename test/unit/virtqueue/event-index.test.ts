// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { indexDistance, passesEvent } from "../../../src/virtqueue/event-index.js";

const index = fc.integer({ min: 0, max: 0xffff });

describe("indices of 16 bits", () => {
  it("measures distance across the wrap", () => {
    expect(indexDistance(3, 5)).toBe(2);
    expect(indexDistance(0xfffe, 1)).toBe(3);
    expect(indexDistance(1, 0xfffe)).toBe(0xfffd);
  });

  it.each([
    // event, before, after, passes
    [4, 4, 5, true],
    [5, 4, 5, false],
    [3, 4, 5, false],
    [0xffff, 0xffff, 0, true],
    [0, 0xffff, 0, false],
    [0, 0xfffe, 1, true],
    [0xfffe, 0xfffe, 1, true],
    [1, 0xfffe, 1, false],
    [7, 7, 7, false],
  ])("event %d between %d and %d: %s", (event, before, after, passes) => {
    expect(passesEvent(event, before, after)).toBe(passes);
  });

  it("passes exactly the indices from before to after, without after", () => {
    fc.assert(
      fc.property(index, index, fc.integer({ min: 0, max: 1024 }), (event, before, count) => {
        const after = (before + count) & 0xffff;
        let expected = false;
        for (let i = 0; i < count; i++) expected ||= ((before + i) & 0xffff) === event;
        expect(passesEvent(event, before, after)).toBe(expected);
      }),
    );
  });
});
