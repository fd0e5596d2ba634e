// SPDX-License-Identifier: Apache-2.0
//
// The seams of time and randomness: the simulated forms are deterministic, the real ones work.

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { realClock, SimulatedClock } from "../../../src/io/clock.js";
import { SeededRandom, systemRandom } from "../../../src/io/random.js";
import { realTimers, SimulatedTimers, type Timer } from "../../../src/io/timers.js";

describe("SimulatedClock", () => {
  test("moves only when told, and never back", () => {
    const clock = new SimulatedClock({ startNs: 100, wallOriginMs: 7 });
    expect(clock.nowNs()).toBe(100);
    clock.advanceBy(2_500_000);
    expect([clock.nowNs(), clock.wallMs()]).toEqual([2_500_100, 9]);
    expect(() => clock.advanceTo(2_500_099)).toThrow(RangeError);
    expect(() => clock.advanceBy(Number.NaN)).toThrow(RangeError);
    clock.advanceTo(2_500_100);
    expect(clock.nowNs()).toBe(2_500_100);
  });

  test("the real clock is monotonic and in nanoseconds", () => {
    const before = process.hrtime.bigint();
    const now = BigInt(realClock.nowNs());
    expect(now >= before && now <= process.hrtime.bigint()).toBe(true);
  });
});

describe("SimulatedTimers", () => {
  test("fire in order of deadline, then of arming, each at its own time", () => {
    const clock = new SimulatedClock();
    const timers = new SimulatedTimers(clock);
    const log: string[] = [];
    const arm = (name: string, ns: number): Timer => {
      const timer = timers.create();
      timer.arm(ns, () => log.push(`${name}@${clock.nowNs()}`));
      return timer;
    };
    arm("late", 30);
    arm("first", 10);
    arm("second", 10);
    const dropped = arm("dropped", 20);
    dropped.disarm();
    arm("beyond", 31);
    expect(timers.nextDeadlineNs).toBe(10);
    timers.runUntil(30);
    expect(log).toEqual(["first@10", "second@10", "late@30"]);
    expect(timers.nextDeadlineNs).toBe(31);
    expect(clock.nowNs()).toBe(30);
  });

  test("may be armed again in their callback, and replace what was armed", () => {
    const clock = new SimulatedClock();
    const timers = new SimulatedTimers(clock);
    const timer = timers.create();
    let calls = 0;
    const again = (): void => {
      calls += 1;
      if (calls < 3) timer.arm(10, again);
    };
    timer.arm(5, () => expect.unreachable());
    timer.arm(10, again);
    timers.runUntil(29);
    expect(calls).toBe(2);
    expect(timer.armed).toBe(true);
    timers.runUntil(100);
    expect([calls, timer.armed]).toEqual([3, false]);
  });

  test("refuse what the real ones refuse", () => {
    for (const timers of [realTimers, new SimulatedTimers(new SimulatedClock())]) {
      const timer = timers.create();
      expect(() => timer.arm(-1, () => {})).toThrow(RangeError);
      expect(() => timer.arm(0.5, () => {})).toThrow(RangeError);
      timer.close();
      expect(() => timer.arm(1, () => {})).toThrow(Error);
    }
  });

  test("the real ones call back", async () => {
    const timer = realTimers.create();
    await new Promise<void>((resolve) => timer.arm(1000, resolve));
    expect(timer.armed).toBe(false);
    timer.close();
  });
});

describe("SeededRandom", () => {
  test("repeats with its seed and differs with another", () => {
    const sequence = (seed: number): number[] => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 50 }, () => random.u32());
    };
    expect(sequence(1)).toEqual(sequence(1));
    expect(sequence(1)).not.toEqual(sequence(2));
    // Fixed for good: recorded seeds must go on meaning the same run.
    expect(sequence(1).slice(0, 3)).toMatchInlineSnapshot(`
      [
        1580013426,
        350525680,
        3524174333,
      ]
    `);
  });

  test.each([
    ["seeded", new SeededRandom(3)],
    ["system", systemRandom],
  ])("%s: below covers its range evenly and nothing else", (_name, random) => {
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 6000; i += 1) {
      const value = random.below(6);
      counts[value] = (counts[value] ?? Number.NaN) + 1;
    }
    expect(counts).toHaveLength(6);
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(250);
    expect(random.below(1)).toBe(0);
    expect(random.below(2 ** 32)).toBeLessThan(2 ** 32);
    for (const wrong of [0, -1, 1.5, 2 ** 32 + 1]) {
      expect(() => random.below(wrong)).toThrow(RangeError);
    }
  });

  test("u64 uses all its bits", () => {
    const random = new SeededRandom(9);
    let ones = 0n;
    let zeros = 0n;
    for (let i = 0; i < 200; i += 1) {
      const value = random.u64();
      expect(value >= 0n && value < 2n ** 64n).toBe(true);
      ones |= value;
      zeros |= ~value & (2n ** 64n - 1n);
    }
    expect([ones, zeros]).toEqual([2n ** 64n - 1n, 2n ** 64n - 1n]);
  });
});

test.each([
  ["is missing", null, "does not exist"],
  ["is no addon", "not ELF", "does not load"],
])("an addon that %s is reported with what to run", (_what, content, reason) => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-addon-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "vgpu_native.node");
  if (content !== null) writeFileSync(path, content);
  const script = `import("./src/io/native.ts").then(
    () => console.log("loaded"),
    (error) => console.log(error.name, error.code, error.message));`;
  const output = execFileSync(process.execPath, ["--import", "tsx", "-e", script], {
    env: { ...process.env, VGPU_ADDON: path },
    encoding: "utf8",
  });
  expect(output).toContain("AddonMissingError VGPU_ADDON_MISSING");
  expect(output).toContain(`${path} ${reason}`);
  expect(output).toContain("npm run setup");
});
