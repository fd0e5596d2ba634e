// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { rangesInUse, writeRanges } from "../../../src/instance/ranges.js";
import { SubAllocator } from "../../../src/instance/suballocator.js";

function allocator(sizes: readonly number[]): SubAllocator {
  const made = new SubAllocator(1 << 20, 256, 1, 256);
  for (const bytes of sizes) made.allocate(bytes);
  return made;
}

const spans = (list: ReturnType<typeof rangesInUse>): string[] =>
  list.map(({ part, start, end }) => `${part}: ${start}-${end}`);

describe("ranges in use", () => {
  it("are allocations to the byte, by segment and address", () => {
    const [a, b] = [allocator([100, 256, 300]), allocator([8])];
    a.free(512);
    expect(spans(rangesInUse([a, b], 8))).toEqual(["0: 256-356", "0: 768-1068", "1: 256-264"]);
  });

  it("that are closest are taken together where there are too many, never across segments", () => {
    const [a, b] = [allocator([256, 200, 10, 256, 256]), allocator([256])];
    a.free(1024);
    const three = ["0: 256-778", "0: 1280-1536", "1: 256-512"];
    expect(spans(rangesInUse([a, b], 3))).toEqual(three);
    expect(spans(rangesInUse([a, b], 4))).toEqual(["0: 256-712", "0: 768-778", ...three.slice(1)]);
  });

  it("are looked up anew when an allocation came, went, or the segments are others", () => {
    const [a, b] = [allocator([100]), allocator([8])];
    const before = rangesInUse([a, b], 8);
    expect(rangesInUse([a, b], 8)).toBe(before);
    expect(spans(rangesInUse([a], 8))).toEqual(["0: 256-356"]);
    b.allocate(16);
    expect(spans(rangesInUse([a, b], 8))).toEqual(["0: 256-356", "1: 256-264", "1: 512-528"]);
    b.free(256);
    expect(spans(rangesInUse([a, b], 8))).toEqual(["0: 256-356", "1: 512-528"]);
    expect(spans(rangesInUse([a, allocator([8])], 8))).toEqual(spans(before));
  });

  it("are written as kernels read them", () => {
    const words = new Uint32Array(4 + 8 + 8);
    writeRanges(new DataView(words.buffer), 16, [allocator([4, 4]), allocator([]), allocator([8])]);
    expect([...words.subarray(4, 10)]).toEqual([0, 2, 2, 0, 2, 1]);
    expect([...words.subarray(12, 18)]).toEqual([256, 260, 512, 516, 256, 264]);
  });
});
