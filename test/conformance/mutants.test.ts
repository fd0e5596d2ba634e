// SPDX-License-Identifier: Apache-2.0
// Devices that are wrong on purpose: the conformance suite has to notice each, by the named tests.
import { expect, it } from "vitest";
import { type Result, selectCases } from "../../src/conformance/index.js";
import { failures, runSuite } from "../support/conformance.js";
import { InstanceProcess } from "../support/instance-process.js";
import { MUTANTS } from "../support/mutants.js";

/** A mutant may hang; the right device never comes near this. */
const TIMEOUT_MS = 1000;

async function against(
  mutant: string,
  executor: "null" | "dawn",
  ids: readonly string[],
): Promise<Result[]> {
  const args = [`--executor=${executor}`, "--log-level=fatal"];
  const instance = await InstanceProcess.startMutant(mutant, ...args);
  try {
    return await runSuite(instance, {
      filter: ids.join(","),
      executor: executor === "null" ? "null" : "full",
      timeoutMs: mutant === "none" ? 20_000 : TIMEOUT_MS,
    });
  } finally {
    await instance.stop();
  }
}

it("names tests that exist, and more than ten faults", () => {
  expect(MUTANTS.length).toBeGreaterThan(10);
  for (const { caughtBy } of MUTANTS)
    for (const id of caughtBy) expect(selectCases(id).length, id).toBe(1);
});

it.each(["null", "dawn"] as const)("the control: without a fault they pass on %s", async (kind) => {
  const mutants = MUTANTS.filter(({ executor }) => executor === kind);
  const ids = mutants.flatMap(({ caughtBy }) => caughtBy);
  const results = await against("none", kind, ids);
  expect(failures(results)).toEqual([]);
  expect(results.every(({ outcome }) => outcome === "passed")).toBe(true);
});

it.each(MUTANTS.map((mutant) => [mutant.name, mutant.fault, mutant] as const))(
  "%s is caught: %s",
  // Some faults show only while work is under way, which a busy machine may have finished before.
  { retry: 2 },
  async (name, _fault, { executor, caughtBy }) => {
    const results = await against(name, executor, caughtBy);
    const outcomes = results.map(({ id, outcome }) => `${id} ${outcome}`).sort();
    expect(outcomes).toEqual(caughtBy.map((id) => `${id} failed`).sort());
  },
);
