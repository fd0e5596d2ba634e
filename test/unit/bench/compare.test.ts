// SPDX-License-Identifier: Apache-2.0
/** The verdict on two commits: rank sums of their ratios. */
import { expect, test } from "vitest";
import { judge } from "../../../bench/compare.js";

test("samples of one distribution show no difference", () => {
  const a = [1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4];
  const b = [1.1, 1.3, 1.5, 1.7, 1.9, 2.1, 2.3, 2.5];
  expect(judge("x", a, b).verdict).toBe("no difference shown");
});

test("samples that do not overlap differ, whichever is larger", () => {
  const a = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7];
  const b = a.map((value) => value + 1);
  const slower = judge("x", a, b);
  expect(slower.verdict).toBe("differs");
  expect(slower.change).toBeCloseTo(2.35 / 1.35, 3);
  expect(judge("x", b, a).verdict).toBe("differs");
  expect(judge("x", b, a).z).toBeCloseTo(-slower.z, 6);
});

test("two samples of each can't show a difference", () => {
  expect(judge("x", [1, 1.1], [9, 9.1]).verdict).toBe("no difference shown");
});
