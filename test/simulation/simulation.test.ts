// SPDX-License-Identifier: Apache-2.0
/**
 * At least 10,000 seeded scenarios of the production scheduler and G-VMCS code. A failure names its
 * seed; `SEED=n npx vitest run test/simulation` runs that one alone, and SCENARIOS=n that many.
 */
import { afterAll, describe, expect, it } from "vitest";
import { type Fault, faults } from "./instance.js";
import { runScenario } from "./scenario.js";

const seedText = process.env.SEED;
const total = Number(process.env.SCENARIOS ?? 10_000);
const GROUP = 1000;

function run(seed: number): ReturnType<typeof runScenario> {
  try {
    return runScenario(seed);
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(
      `scenario ${seed} fails; repeat it with: SEED=${seed} npx vitest run test/simulation\n${reason}`,
    );
  }
}

function oneScenario(): void {
  it(`holds with seed ${seedText}`, () => {
    expect(run(Number(seedText)).events).toBeGreaterThan(0);
  });
}

function allScenarios(): void {
  const seen = new Map<Fault, number>();
  let entries = 0;

  for (let first = 0; first < total; first += GROUP) {
    const last = Math.min(first + GROUP, total) - 1;
    it(`hold with seeds ${first} to ${last}`, { timeout: 120_000 }, () => {
      for (let seed = first; seed <= last; seed++) {
        const result = run(seed);
        entries += result.entries;
        for (const fault of result.faulted) seen.set(fault, (seen.get(fault) ?? 0) + 1);
      }
    });
  }

  it("are the same for the same seed, and others for another", () => {
    expect(run(17)).toEqual(run(17));
    expect(run(17).fingerprint).not.toBe(run(18).fingerprint);
  });

  // Scenarios that enter nobody, or in which no fault breaks out, would hold whatever is wrong.
  afterAll(() => {
    if (total < 10_000) return;
    expect(entries).toBeGreaterThan(10 * total);
    expect([...seen.keys()].sort()).toEqual([...faults].sort());
  });
}

describe("scenarios", seedText === undefined ? allScenarios : oneScenario);
