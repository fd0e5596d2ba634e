// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { jain, minOverMax, shareError, slope, worth } from "../../../bench/sharing-math.js";

describe("figures about shares", () => {
  it("rate equal work as 1 and one guest that has all as 1/n", () => {
    expect(jain([3, 3, 3, 3])).toBe(1);
    expect(jain([8, 0, 0, 0])).toBe(0.25);
    expect(minOverMax([2, 4, 3])).toBe(0.5);
  });

  it("rate a run in which nothing was completed as unfair, not as perfect", () => {
    expect(jain([0, 0])).toBe(0);
    expect(minOverMax([0, 0])).toBe(0);
    expect(shareError([0, 0], [1, 1])).toBe(Number.POSITIVE_INFINITY);
  });

  it("take the largest deviation of a share, relative to its target", () => {
    expect(shareError([1, 2, 4], [10, 20, 40])).toBeCloseTo(0, 12);
    // 0.4 instead of 0.3, and 0.6 instead of 0.7.
    expect(shareError([4, 6], [3, 7])).toBeCloseTo(1 / 3, 12);
  });

  it("weigh launches by their kernels' costs and fit a line", () => {
    expect(worth([2, 0.5, 7], [1, 4])).toBe(4);
    expect(
      slope([
        [1, 110],
        [2, 220],
        [4, 440],
      ]),
    ).toBeCloseTo(110, 9);
  });
});
