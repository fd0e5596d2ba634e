// SPDX-License-Identifier: Apache-2.0
/**
 * Shares converge whatever the mix of policies, weights, limits, slices and kernels: seeded mixes of
 * guests that all saturate the GPU, against what the settings promise, worked out here by another
 * way than the scheduler's. And nobody waits for longer than its turn may take to come.
 */
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../src/io/random.js";
import type { VgpuSettings } from "../../src/scheduler/index.js";
import { SimInstance } from "./instance.js";
import { World } from "./world.js";

const MS = 1e6;
const WINDOW_NS = 3000 * MS;
const WARM_NS = 400 * MS;
const SCENARIOS = 150;
/** What switches cost the guests differs with their slices. */
const RELATIVE_ERROR = 0.05;

interface Spec {
  readonly settings: Partial<VgpuSettings>;
  readonly kernelNs: number;
  readonly weight: number;
  readonly min: number;
  readonly max: number;
  readonly fixed: boolean;
}

function randomSpecs(random: SeededRandom): Spec[] {
  const count = 2 + random.below(5);
  let leftMin = 0.7;
  const promise = (share: number): number => {
    const granted = Math.min(share, leftMin);
    leftMin -= granted;
    return granted;
  };
  return Array.from({ length: count }, (_, index): Spec => {
    const sliceNs = (1 + random.below(5)) * MS;
    const kernelNs = 10 ** (4 + random.below(3)) * (1 + random.below(9));
    // The first is never a fixed one, so that somebody has the rest.
    const kind = index === 0 ? 1 + random.below(2) : random.below(4);
    const rest = { kernelNs, weight: 1, min: 0, max: 1, fixed: false };
    if (kind === 0 && leftMin > 0.05) {
      const share = promise(0.05 + random.below(20) / 100);
      const settings = { policy: "fixed", sliceNs, minShare: share, maxShare: share } as const;
      return { ...rest, settings, min: share, max: share, fixed: true };
    }
    if (kind === 1) {
      const weight = 1 + random.below(8);
      const min = random.below(3) === 0 ? promise(random.below(20) / 100) : 0;
      const max = random.below(3) === 0 ? Math.max(min, 0.1) + random.below(50) / 100 : 1;
      const settings = {
        policy: "weighted",
        sliceNs,
        weight,
        minShare: min,
        maxShare: max,
      } as const;
      return { ...rest, settings, weight, min, max };
    }
    const policy = kind === 2 ? ("equal" as const) : ("best-effort" as const);
    return { ...rest, settings: { policy, sliceNs } };
  });
}

/**
 * Fills the GPU drop by drop: each drop goes to whoever has least for its weight, minima first, and
 * not beyond a maximum.
 */
function promised(specs: readonly Spec[]): number[] {
  const drop = 1e-4;
  const shares = specs.map(({ min }) => min);
  let left = 1 - shares.reduce((a, b) => a + b, 0);
  while (left > drop / 2) {
    let least = -1;
    for (const [index, { weight, max, fixed }] of specs.entries()) {
      const share = shares[index] ?? 0;
      if (fixed || share + drop > max + 1e-9) continue;
      if (least < 0 || share / weight < (shares[least] ?? 0) / (specs[least]?.weight ?? 1))
        least = index;
    }
    if (least < 0) break;
    shares[least] = (shares[least] ?? 0) + drop;
    left -= drop;
  }
  return shares;
}

function run(seed: number): {
  readonly specs: Spec[];
  readonly work: number[];
  readonly world: World;
} {
  const specs = randomSpecs(new SeededRandom(seed));
  const world = new World(seed);
  specs.forEach(({ settings, kernelNs }, index) => {
    const next = () => ({ costNs: kernelNs, sliceable: true });
    const instance = new SimInstance(world, `g${index}`, { next, depth: 4, pause: null }, 2e9);
    world.add(instance, settings);
  });
  const startNs = world.nowNs + WARM_NS;
  world.runUntil(startNs);
  world.longestWaitNs.clear();
  const before = [...world.instances.values()].map(({ workNs }) => workNs);
  world.runUntil(startNs + WINDOW_NS);
  const work = [...world.instances.values()].map((each, index) => {
    expect(each.aborts).toEqual([]);
    return each.workNs - (before[index] ?? 0);
  });
  return { specs, work, world };
}

describe("shares", () => {
  for (let first = 0; first < SCENARIOS; first += 50) {
    it(`converge to what is promised, seeds ${first} to ${first + 49}`, { timeout: 60_000 }, () => {
      for (let seed = first; seed < first + 50; seed++) {
        const { specs, work } = run(seed);
        const shares = promised(specs);
        const total = work.reduce((a, b) => a + b, 0);
        const wanted = shares.reduce((a, b) => a + b, 0);
        for (const [index, share] of shares.entries()) {
          const wantedNs = (share / wanted) * total;
          const errorNs = Math.abs((work[index] ?? 0) - wantedNs);
          const allowedNs = RELATIVE_ERROR * wantedNs + 3 * (specs[index]?.settings.sliceNs ?? 0);
          const what = { seed, index, ...specs[index]?.settings, share: share / wanted };
          expect(
            errorNs <= allowedNs ? null : { ...what, got: (work[index] ?? 0) / total },
          ).toBeNull();
        }
      }
    });
  }

  it("bound how long one waits: a few of its own turns, and one of each other", {
    timeout: 120_000,
  }, () => {
    for (let seed = 0; seed < SCENARIOS; seed++) {
      const { specs, world } = run(seed);
      const shares = promised(specs);
      const slices = specs.map(({ settings }) => settings.sliceNs ?? 0);
      const round = slices.reduce((a, b) => a + b, 0);
      for (const [index, share] of shares.entries()) {
        const waitNs = world.longestWaitNs.get(`g${index}`) ?? Number.POSITIVE_INFINITY;
        const allowedNs = (2 * (slices[index] ?? 0)) / share + 2 * round;
        const what = { seed, index, ...specs[index]?.settings, share };
        expect(waitNs <= allowedNs ? null : { ...what, waitNs, allowedNs }).toBeNull();
      }
    }
  });
});
