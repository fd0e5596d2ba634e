// SPDX-License-Identifier: Apache-2.0
/** The conformance suite of virtio-vgpu: its tests, and the program that runs them. */
import "./suites/index.js";
import { allCases, type Case } from "./framework/registry.js";

export type { Environment } from "./framework/context.js";
export { allCases, allPlans, type Case } from "./framework/registry.js";
export { json, line, summary, totals } from "./framework/report.js";
export { explore, type Result, type RunOptions, run } from "./framework/runner.js";

/**
 * Cases whose id a pattern names: a whole id, a path above it, or with `*` for any text. Several
 * patterns are parted by commas; "" names all.
 */
export function selectCases(patterns: string): Case[] {
  const list = patterns.split(",").map((each) => each.trim());
  const tests = list.filter((each) => each !== "").map(matcher);
  return allCases().filter(({ id }) => tests.length === 0 || tests.some((test) => test.test(id)));
}

function matcher(patternText: string): RegExp {
  const parts = patternText.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}(?:[/:].*)?$`);
}
