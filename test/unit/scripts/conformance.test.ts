// SPDX-License-Identifier: Apache-2.0
/** spec/conformance.md is current, every MUST of the device has a test, and the check can fail. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { coverage, numbersIn, writeConformance } from "../../../scripts/generate/conformance.js";
import { CONFORMANCE_PATH, currentCoverage } from "../../../scripts/generate-conformance.js";

describe("the map from statements to tests", () => {
  it("leaves no MUST of the device untested, and names no statement that does not exist", () => {
    expect(currentCoverage().problems).toEqual([]);
  });

  it("is current", () => {
    expect(readFileSync(CONFORMANCE_PATH, "utf8")).toBe(writeConformance(currentCoverage()));
  });
});

describe("the check of the map", () => {
  const text = [
    "- **VGPU-DEV-1** The device MUST answer.",
    "- **VGPU-DEV-2** The device SHOULD be quick,",
    "  if it can.",
    "- **VGPU-DRV-1** The driver MUST ask.",
  ].join("\n");
  const test = (...statements: string[]) => [{ name: "a/test", statements }];

  it("is content with a test for each MUST of the device", () => {
    expect(coverage(text, test("VGPU-DEV-1"), [], {}).problems).toEqual([]);
  });

  it("notices a MUST without a test", () => {
    expect(coverage(text, test("VGPU-DEV-2"), [], {}).problems).toEqual([
      "VGPU-DEV-1 is a MUST of the device without a test",
    ]);
  });

  it("takes a reason instead, until there is a test", () => {
    const reasons = { "VGPU-DEV-1": "nobody can see it" };
    expect(coverage(text, [], [], reasons).problems).toEqual([]);
    expect(coverage(text, [], test("VGPU-DEV-1"), reasons).problems).toEqual([
      "VGPU-DEV-1 is tested: its reason is out of date",
    ]);
  });

  it("notices unknown numbers, in tests and in reasons", () => {
    const found = coverage(text, test("VGPU-DEV-1", "VGPU-DEV-7"), [], { "VGPU-DRV-9": "?" });
    expect(found.problems).toEqual([
      "a/test tests VGPU-DEV-7, which does not exist",
      "there is a reason for VGPU-DRV-9, which does not exist",
    ]);
  });

  it("reads single numbers and lists", () => {
    expect(numbersIn("VGPU-DEV-1, 22: x; VGPU-DRV-3 and VGPU-DEV-1")).toEqual([
      "VGPU-DEV-1",
      "VGPU-DEV-22",
      "VGPU-DRV-3",
    ]);
  });

  it("shows what is tested, and why something is not", () => {
    const found = coverage(text, test("VGPU-DEV-1"), [], {});
    const page = writeConformance(found, { "VGPU-DEV-2": "speed is not tested" });
    expect(page).toContain("| **VGPU-DEV-1** The device MUST answer. | `a/test` |");
    expect(page).toContain("if it can. | none: speed is not tested |");
    expect(page).toContain("1 of 2 statements have a test.");
  });
});
