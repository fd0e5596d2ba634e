// SPDX-License-Identifier: Apache-2.0
/**
 * The project's fairness bars in a small form: the production scheduler under a simulated clock.
 * Shares are counted from finished work, never from the scheduler's own books.
 */
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../src/io/random.js";
import type { SchedulerOptions, VgpuSettings } from "../../src/scheduler/index.js";
import { type Kernel, SimInstance, type Workload } from "./instance.js";
import { World } from "./world.js";

const MS = 1e6;
const WATCHDOG_NS = 2e9;

interface Guest {
  /** Part of its GPU time that it admits to. */
  readonly claims?: number;
  readonly settings?: Partial<VgpuSettings>;
  readonly workload: Workload;
}

interface Outcome {
  /** GPU time of finished work per guest in the window, ns. */
  readonly work: number[];
  readonly world: World;
  readonly windowNs: number;
}

function run(
  guests: readonly Guest[],
  windowNs: number,
  options: Partial<SchedulerOptions> = {},
): Outcome {
  const world = new World(1, options);
  guests.forEach((guest, index) => {
    const instance = new SimInstance(world, `g${index}`, guest.workload, WATCHDOG_NS);
    instance.claims = guest.claims ?? 1;
    world.add(instance, { policy: "equal", ...guest.settings });
  });
  const startNs = world.nowNs + 500 * MS;
  world.runUntil(startNs);
  const before = [...world.instances.values()].map((each) => each.workNs);
  world.runUntil(startNs + windowNs);
  const work = [...world.instances.values()].map((each, index) => {
    expect(each.aborts).toEqual([]);
    return each.workNs - (before[index] ?? 0);
  });
  return { work, world, windowNs };
}

function saturating(next: () => Kernel, depth = 4): Workload {
  return { next, depth, pause: null };
}

function kernel(costMs: number, sliceable = true): Kernel {
  return { costNs: costMs * MS, sliceable };
}

function jain(values: readonly number[]): number {
  const sum = values.reduce((a, b) => a + b, 0);
  const squares = values.reduce((a, b) => a + b * b, 0);
  return (sum * sum) / (values.length * squares);
}

function minOverMax(values: readonly number[]): number {
  return Math.min(...values) / Math.max(...values);
}

/** Largest relative error of the shares against what they should be. */
function shareError(work: readonly number[], expected: readonly number[]): number {
  const total = work.reduce((a, b) => a + b, 0);
  const wanted = expected.reduce((a, b) => a + b, 0);
  return Math.max(
    ...work.map((each, index) => {
      const share = (expected[index] ?? 0) / wanted;
      return Math.abs(each / total - share) / share;
    }),
  );
}

/** Part of the window in which the GPU worked. */
function utilisation({ work, windowNs }: Outcome): number {
  return work.reduce((a, b) => a + b, 0) / windowNs;
}

/** The same mix of kernels for all, each guest in its own order. */
function mix(seed: number): () => Kernel {
  const random = new SeededRandom(seed);
  const costsMs = [0.1, 0.3, 1, 2.5, 7, 20];
  return () => kernel(costsMs[random.below(costsMs.length)] ?? 1);
}

describe("equal shares", () => {
  it("8 guests with the same mix of kernels get the same", () => {
    const guests = Array.from({ length: 8 }, (_, index) => ({
      workload: saturating(mix(index + 1)),
    }));
    const outcome = run(guests, 8000 * MS);
    expect(jain(outcome.work)).toBeGreaterThanOrEqual(0.999);
    expect(minOverMax(outcome.work)).toBeGreaterThanOrEqual(0.97);
    expect(utilisation(outcome)).toBeGreaterThan(0.95);
  });

  it("8 guests with kernels of 0.25 to 32 ms get the same time", () => {
    const guests = [0.25, 0.5, 1, 2, 4, 8, 16, 32].map((costMs) => ({
      workload: saturating(() => kernel(costMs)),
    }));
    const outcome = run(guests, 8000 * MS);
    expect(jain(outcome.work)).toBeGreaterThanOrEqual(0.999);
  });

  it("hold for kernels that can't be sliced", () => {
    const guests = [0.25, 0.5, 1, 2, 4, 8, 16, 32].map((costMs) => ({
      workload: saturating(() => kernel(costMs, false)),
    }));
    const outcome = run(guests, 20_000 * MS);
    expect(jain(outcome.work)).toBeGreaterThanOrEqual(0.999);
  });

  it.each(["equal", "best-effort"] as const)(
    "one guest that queues 100 times more gains nothing (%s)",
    (policy) => {
      const guests = Array.from({ length: 8 }, (_, index) => ({
        settings: { policy },
        workload: saturating(() => kernel(1), index === 0 ? 400 : 4),
      }));
      expect(jain(run(guests, 4000 * MS).work)).toBeGreaterThanOrEqual(0.999);
    },
  );
});

describe("an instance that claims less GPU time than it had", () => {
  it.each(["equal", "best-effort"] as const)("gains nothing (%s)", (policy) => {
    const guests = Array.from({ length: 4 }, (_, index) => ({
      settings: { policy },
      claims: index === 0 ? 0 : 1,
      workload: saturating(mix(index + 1)),
    }));
    expect(jain(run(guests, 8000 * MS).work)).toBeGreaterThanOrEqual(0.999);
  });
});

describe("weights, caps and reservations", () => {
  it("weights 1:2:4 hold within 3 %", () => {
    const guests = [1, 2, 4].map((weight) => ({
      settings: { policy: "weighted" as const, weight },
      workload: saturating(mix(weight)),
    }));
    const outcome = run(guests, 8000 * MS);
    expect(shareError(outcome.work, [1, 2, 4])).toBeLessThanOrEqual(0.03);
    expect(utilisation(outcome)).toBeGreaterThan(0.95);
  });

  it.each(["fixed", "weighted"] as const)("caps 30/70 hold within 3 % (%s)", (policy) => {
    const guests = [0.3, 0.7].map((share, index) => ({
      settings: { policy, minShare: policy === "fixed" ? share : 0, maxShare: share },
      workload: saturating(mix(index + 1)),
    }));
    const outcome = run(guests, 8000 * MS);
    expect(shareError(outcome.work, [30, 70])).toBeLessThanOrEqual(0.03);
    expect(utilisation(outcome)).toBeGreaterThan(0.95);
  });

  it("a cap holds on an otherwise idle GPU", () => {
    const settings = { policy: "weighted" as const, maxShare: 0.3 };
    const outcome = run([{ settings, workload: saturating(mix(1)) }], 4000 * MS);
    expect(utilisation(outcome)).toBeGreaterThan(0.28);
    expect(utilisation(outcome)).toBeLessThan(0.305);
  });

  it("a fixed share stays reserved while its guest is idle", () => {
    const fixed = { policy: "fixed" as const, minShare: 0.4, maxShare: 0.4 };
    const idle = { next: () => kernel(0.1), depth: 1, pause: () => 1e15 };
    const outcome = run(
      [{ settings: fixed, workload: idle }, { workload: saturating(mix(1)) }],
      4000 * MS,
    );
    expect(utilisation(outcome)).toBeGreaterThan(0.57);
    expect(utilisation(outcome)).toBeLessThan(0.61);
  });

  it("a guaranteed minimum holds against heavier weights", () => {
    const guests = [
      { weight: 1, minShare: 0.4 },
      { weight: 100, minShare: 0 },
      { weight: 100, minShare: 0 },
    ].map((settings, index) => ({
      settings: { policy: "weighted" as const, ...settings },
      workload: saturating(mix(index + 1)),
    }));
    expect(shareError(run(guests, 8000 * MS).work, [40, 30, 30])).toBeLessThanOrEqual(0.03);
  });

  it("slices and policies of different kinds mix", () => {
    const guests = [
      { settings: { policy: "fixed" as const, minShare: 0.25, maxShare: 0.25, sliceNs: 5 * MS } },
      { settings: { policy: "equal" as const, sliceNs: 1 * MS } },
      { settings: { policy: "weighted" as const, weight: 2, sliceNs: 10 * MS } },
    ].map((each, index) => ({ ...each, workload: saturating(mix(index + 1)) }));
    expect(shareError(run(guests, 8000 * MS).work, [25, 25, 50])).toBeLessThanOrEqual(0.03);
  });
});

describe("kernels that can't be sliced", () => {
  const hog = saturating(() => kernel(500, false), 2);

  it("pay for 500 ms kernels by waiting: weights hold within 3 %", () => {
    const guests = [1, 2, 4].map((weight) => ({
      settings: { policy: "weighted" as const, weight },
      workload: weight === 2 ? hog : saturating(mix(weight)),
    }));
    expect(shareError(run(guests, 120_000 * MS).work, [1, 2, 4])).toBeLessThanOrEqual(0.03);
  });

  it("can't slip into the pauses of a guest that waits for each launch", () => {
    const prompt = { next: () => kernel(2), depth: 1, pause: () => 0.3 * MS };
    const guests = [{ workload: hog }, { workload: prompt }];
    const { work } = run(guests, 60_000 * MS);
    // The pauses are its own loss, but no more than that.
    expect((work[1] ?? 0) / (work[0] ?? 1)).toBeGreaterThan(0.75);
  });

  it("cost the others none of their cap's time", () => {
    const guests = [
      { settings: { policy: "weighted" as const, maxShare: 0.3 }, workload: hog },
      {
        settings: { policy: "weighted" as const, weight: 10, maxShare: 0.7 },
        workload: saturating(mix(1)),
      },
    ];
    expect(shareError(run(guests, 120_000 * MS).work, [30, 70])).toBeLessThanOrEqual(0.03);
  });
});

describe("a small guest beside a large one", () => {
  it.each(["equal", "best-effort"] as const)("waits two slices at most (%s)", (policy) => {
    const sliceNs = 10 * MS;
    const small = { next: () => kernel(1), depth: 1, pause: () => 3 * MS };
    const guests = [small, saturating(() => kernel(1000))].map((workload) => ({
      settings: { policy, sliceNs },
      workload,
    }));
    const { world } = run(guests, 20_000 * MS);
    const latencies = [...(world.instances.get("g0")?.latenciesNs ?? [])].sort((a, b) => a - b);
    expect(latencies.length).toBeGreaterThan(1000);
    const p99 = latencies[Math.floor(latencies.length * 0.99)] ?? Number.POSITIVE_INFINITY;
    expect(p99).toBeLessThanOrEqual(2 * sliceNs + 1 * MS);
  });
});

describe("guests that use a quarter of the GPU each", () => {
  // Equal shares with slices shorter than a step let the guests finish together, and then pause
  // together: who wants the GPU full takes turns, or slices as long as a step.
  it.each([
    ["best-effort", 2],
    ["best-effort", 10],
    ["equal", 10],
  ] as const)("together keep it as busy as one that saturates it (%s, %i ms)", (policy, slice) => {
    const random = new SeededRandom(5);
    const settings = { policy, sliceNs: slice * MS };
    const bursty = (): Workload => ({
      next: () => kernel(5),
      depth: 1,
      pause: () => (10 + random.below(1000) / 100) * MS,
    });
    const alone = run([{ settings, workload: bursty() }], 10_000 * MS);
    expect(utilisation(alone)).toBeGreaterThan(0.24);
    expect(utilisation(alone)).toBeLessThan(0.26);
    const saturated = run([{ settings, workload: saturating(() => kernel(5)) }], 2_000 * MS);
    const guests = Array.from({ length: 8 }, () => ({ settings, workload: bursty() }));
    const together = run(guests, 10_000 * MS);
    expect(utilisation(together) / utilisation(saturated)).toBeGreaterThanOrEqual(0.95);
    expect(utilisation(together) / utilisation(alone)).toBeGreaterThanOrEqual(3.5);
    expect(jain(together.work)).toBeGreaterThanOrEqual(0.995);
  });
});

describe("live changes", () => {
  it("are in effect at once, without a restart", () => {
    const guests = [1, 1].map((weight, index) => ({
      settings: { policy: "weighted" as const, weight },
      workload: saturating(mix(index + 1)),
    }));
    const { world } = run(guests, 100 * MS);
    const work = (): number[] => [...world.instances.values()].map((each) => each.workNs);
    const windowFrom = (change: Partial<VgpuSettings>): number[] => {
      world.touch(() => world.arbiter.set("g0", change, world.nowNs));
      const before = work();
      world.runUntil(world.nowNs + 4000 * MS);
      return work().map((each, index) => each - (before[index] ?? 0));
    };
    expect(shareError(windowFrom({ weight: 4 }), [4, 1])).toBeLessThanOrEqual(0.03);
    expect(shareError(windowFrom({ maxShare: 0.2 }), [20, 80])).toBeLessThanOrEqual(0.03);
    expect(
      shareError(windowFrom({ maxShare: 1, weight: 1, sliceNs: 20 * MS }), [1, 1]),
    ).toBeLessThanOrEqual(0.03);
    expect(
      shareError(windowFrom({ policy: "fixed", minShare: 0.6, maxShare: 0.6 }), [60, 40]),
    ).toBeLessThanOrEqual(0.03);
  });
});
