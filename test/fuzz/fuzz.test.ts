// SPDX-License-Identifier: Apache-2.0
/**
 * The fuzzers in short: a fixed seed and one that is new each time (and printed), every input that
 * once was a finding, and the engine itself, which must find what is planted.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { eventfd } from "../../src/io/native.js";
import { systemRandom } from "../../src/io/random.js";
import { type FuzzResult, fuzz, isCrash, tryInput, verdict, writeCrash } from "./engine.js";
import type { FuzzTarget } from "./target.js";
import { CANARY, TARGETS } from "./targets.js";

/** Each target for this long with each seed, whatever it gets done; the fixed one does at least its seeds. */
const SECONDS = 0.5;
/** One that refuses everything alike, or is not reached, tests nothing; nor does one of seeds alone. */
const OUTCOMES_MIN = 10;
const reaches = ({ outcomes, found }: FuzzResult): boolean => outcomes > OUTCOMES_MIN && found > 0;
const fresh = systemRandom.u32();
console.log(`fuzz: seeds 1 and ${fresh}`);
const regressions = new URL("./regressions/", import.meta.url);

describe("every target", () => {
  it.each(TARGETS.map((each) => [each.name, each] as const))("%s holds", async (_, target) => {
    for (const seed of [1, fresh]) {
      let result = await fuzz(target, { seed, seconds: SECONDS });
      // A busy machine gets through few inputs: it has more time then.
      if (result.crash === null && !reaches(result))
        result = await fuzz(target, { seed, seconds: 10 * SECONDS });
      const problem = verdict(result);
      if (problem !== null && result.crash !== null)
        throw new Error(`${problem}\n${writeCrash(result, result.crash)}`, {
          cause: result.crash.error,
        });
      expect(problem, `seed ${seed}`).toBeNull();
      expect(result, `seed ${seed}`).toSatisfy(reaches);
    }
  });

  it("has a name of its own, and seeds", async () => {
    expect(new Set(TARGETS.map((each) => each.name)).size).toBe(TARGETS.length);
    for (const target of TARGETS) expect((await target.seeds()).length).toBeGreaterThan(0);
  });
});

describe("inputs that were findings", () => {
  const folders = existsSync(regressions) ? readdirSync(regressions) : [];
  const named = folders.filter((each) => !each.endsWith(".md"));

  it("are of targets that exist", () => {
    expect(TARGETS.map((each) => each.name)).toEqual(expect.arrayContaining(named));
  });

  it.each(TARGETS.map((each) => [each.name, each] as const))("%s", async (name, target) => {
    const folder = new URL(`${name}/`, regressions);
    for (const file of existsSync(folder) ? readdirSync(folder) : []) {
      const ended = await tryInput(target, new Uint8Array(readFileSync(new URL(file, folder))));
      if (isCrash(ended)) throw new Error(`${name}/${file}`, { cause: ended.error });
    }
  });
});

describe("the engine", () => {
  it("finds the canary's bug, and the same again with the same seed", async () => {
    const run = () => fuzz(CANARY, { seed: 1, seconds: 60, inputsMax: 100_000 });
    const [first, second] = [await run(), await run()];
    expect(verdict(first)).toMatch(/RangeError/);
    expect(first.crash?.input).toEqual(second.crash?.input);
    expect(first.inputs).toBe(second.inputs);
    const ended = await tryInput(CANARY, first.crash?.input ?? new Uint8Array(0));
    expect(ended).toMatchObject({ error: { name: "RangeError" } });
  });

  const base = { parses: "", bytesMax: 8, cpuLimitMs: 20, seeds: () => [new Uint8Array(4)] };

  it("sees descriptors that stay open", async () => {
    const target: FuzzTarget = { ...base, name: "leak", run: () => String(eventfd() > 0) };
    const result = await fuzz(target, { seed: 1, seconds: 60, inputsMax: 600 });
    expect(verdict(result)).toMatch(/descriptors more are open/);
  });

  it("sees an input that takes too much time", async () => {
    const spin = (bytes: Uint8Array): string => {
      const start = process.cpuUsage();
      while (bytes[0] === 1 && process.cpuUsage(start).user < 60_000);
      return "done";
    };
    const target: FuzzTarget = { ...base, name: "spin", run: spin };
    const result = await fuzz(target, { seed: 1, seconds: 60, inputsMax: 100_000 });
    expect(verdict(result)).toMatch(/ms of CPU, 20 are allowed/);
    expect(result.crash?.input[0]).toBe(1);
  });
});
