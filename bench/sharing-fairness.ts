// SPDX-License-Identifier: Apache-2.0
/**
 * Whether the shares hold, by what guests complete. Work is weighed by its nominal cost where all
 * run the same kernels; where they run different ones, by what a launch costs when its guest alone
 * saturates the GPU, measured between the rounds of the shared run. A machine's speed drifts by more than
 * shares may be wrong, so there are many rounds, and the median of each guest's share counts.
 */
import { median } from "simple-statistics";
import type { SharingOptions, SharingReport, SharingResult } from "./sharing.js";
import { jain, minOverMax, shareError, worth } from "./sharing-math.js";
import { adapterOf, type Load, loopsPerMs, Rig, result, SLICE, WATCHDOG } from "./sharing-rig.js";

const GROUPS = 64;
/** Nominal costs of the kernels, ms: the mix of all, and one of each for guests that differ. */
const MIX_MS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20];
const SHORT_MIX = [0, 1, 2, 3, 4];
const DIFFERENT_MS = [0.25, 0.5, 1, 2, 4, 8, 16, 32];
const UNSLICEABLE_MS = 500;
const ALL = [0, 1, 2, 3, 4, 5, 6, 7];
/** Of the runs with kernels that can't be sliced: a period of the schedule is seven of them. */
const UNSLICEABLE_ROUNDS = 2;
const UNSLICEABLE_FACTOR = 2;
/** Enough queued that a guest never runs out of work in its turn. */
const DEPTH = 16;
/** The same for turns of 30 ms, one after the other perhaps. */
const UNSLICEABLE_DEPTH = 96;
/** The guest that floods has this many times as much. */
const FLOOD = 100;

interface Times {
  readonly warmMs: number;
  readonly windowMs: number;
  /** Of runs that alternate with runs alone. */
  readonly rounds: number;
  readonly roundMs: number;
  readonly aloneMs: number;
}

const FULL: Times = { warmMs: 5_000, windowMs: 60_000, rounds: 4, roundMs: 10_000, aloneMs: 2_000 };
const QUICK: Times = { warmMs: 1_000, windowMs: 8_000, rounds: 2, roundMs: 4_000, aloneMs: 600 };

export async function fairness(options: SharingOptions): Promise<SharingReport> {
  const vgpus = ALL.map((index) => ({
    name: `g${index}`,
    settings: ["policy=equal", SLICE, WATCHDOG],
  }));
  const rig = await Rig.start({ vgpus, executor: options.executor });
  try {
    const suite = new Fairness(rig, options.quick ? QUICK : FULL);
    return { adapter: await adapterOf(rig), results: await suite.run() };
  } finally {
    await rig.stop();
  }
}

/** The multiple of a launch's period that is next to `ms`, at this many launches a millisecond. */
function wholePeriods(ms: number, rate: number): number {
  if (rate === 0) throw new Error("the first guest completes nothing");
  return Math.max(1, Math.round(ms * rate)) / rate;
}

class Fairness {
  readonly #rig: Rig;
  readonly #times: Times;
  #loopsPerMs = 0;

  constructor(rig: Rig, times: Times) {
    this.#rig = rig;
    this.#times = times;
  }

  async run(): Promise<SharingResult[]> {
    this.#loopsPerMs = await loopsPerMs(this.#rig.guest(0), GROUPS);
    const results = await this.#equal();
    results.push(await this.#flood(), await this.#different());
    results.push(await this.#weights(), await this.#caps(), await this.#unsliceable());
    return results;
  }

  async #kernels(costsMs: readonly number[]): Promise<void> {
    for (const guest of this.#rig.guests) {
      for (const [kind, ms] of costsMs.entries()) {
        await guest.kernel(kind, { groups: GROUPS, loops: Math.round(ms * this.#loopsPerMs) });
        await guest.time(kind, 3);
      }
    }
  }

  /** All run at the same time; the work of each in nominal milliseconds. */
  async #together(loads: readonly Load[], costsMs: readonly number[]): Promise<number[]> {
    const guests = loads.map((_, index) => this.#rig.guest(index));
    await Promise.all(guests.map((guest, index) => guest.go(loads[index] as Load)));
    const { warmMs, windowMs } = this.#times;
    const works = await this.#rig.window(guests, warmMs, windowMs);
    await Promise.all(guests.map((guest) => guest.stop()));
    return works.map((work) => worth(work.counts, costsMs));
  }

  /**
   * Rounds of each one alone, then all together: each one's share of the work, by its cost alone. With
   * `periodic` a run together is as long as some launches of the first guest take, one to the next: else
   * its length would decide how often a launch is in it that holds the GPU for long.
   */
  async #weighed(loads: readonly Load[], times: Times, periodic = false): Promise<number[]> {
    const { rounds, aloneMs, warmMs, roundMs } = times;
    const guests = loads.map((_, index) => this.#rig.guest(index));
    const shares = loads.map((): number[] => []);
    const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);
    let windowMs = roundMs;
    for (let round = 0; round < rounds; round++) {
      const rates: number[] = [];
      for (const [index, guest] of guests.entries()) {
        await guest.go(loads[index] as Load);
        const [work] = await this.#rig.window([guest], aloneMs / 4, aloneMs);
        await guest.stop();
        rates[index] = sum(work?.counts ?? []) / aloneMs;
      }
      await Promise.all(guests.map((guest, index) => guest.go(loads[index] as Load)));
      if (periodic && round === 0) {
        const works = await this.#rig.window(guests, warmMs, roundMs);
        windowMs = wholePeriods(roundMs, sum(works[0]?.counts ?? []) / roundMs);
      }
      const works = await this.#rig.window(guests, warmMs, windowMs);
      if (periodic) windowMs = wholePeriods(roundMs, sum(works[0]?.counts ?? []) / windowMs);
      await Promise.all(guests.map((guest) => guest.stop()));
      const costs = works.map(({ counts }, index) => {
        const rate = rates[index] ?? 0;
        if (rate === 0) throw new Error(`guest ${index} has completed nothing alone`);
        return sum(counts) / rate;
      });
      for (const [index, cost] of costs.entries()) shares[index]?.push(cost / sum(costs));
    }
    return shares.map(median);
  }

  async #equal(): Promise<SharingResult[]> {
    await this.#kernels(MIX_MS);
    const loads = ALL.map((index) => ({ mix: ALL, seed: index + 1, depth: DEPTH }));
    const work = await this.#together(loads, MIX_MS);
    return [
      result("jain_equal_8", "index", jain(work), work),
      result("min_over_max_equal_8", "ratio", minOverMax(work), work),
    ];
  }

  async #flood(): Promise<SharingResult> {
    const loads = ALL.map((index) => ({
      mix: SHORT_MIX,
      seed: index + 1,
      depth: index === 0 ? DEPTH * FLOOD : DEPTH,
    }));
    const work = await this.#together(loads, MIX_MS);
    return result("jain_flood", "index", jain(work), work);
  }

  async #weights(): Promise<SharingResult> {
    const weights = [1, 2, 4];
    for (const [index, weight] of weights.entries()) {
      this.#rig.set(`g${index}`, ["policy=weighted", `weight=${weight}`]);
    }
    await this.#kernels(MIX_MS);
    const loads = weights.map((_, index) => ({ mix: ALL, seed: index + 1, depth: DEPTH }));
    const work = await this.#together(loads, MIX_MS);
    return result("weights_1_2_4_error", "relative", shareError(work, weights), work);
  }

  async #caps(): Promise<SharingResult> {
    const caps = [0.3, 0.7];
    for (const [index, cap] of caps.entries()) {
      this.#rig.set(`g${index}`, ["policy=weighted", "weight=1", `max=${cap}`]);
    }
    const loads = caps.map((_, index) => ({ mix: ALL, seed: index + 1, depth: DEPTH }));
    const work = await this.#together(loads, MIX_MS);
    for (const [index] of caps.entries()) this.#rig.set(`g${index}`, ["max=1"]);
    return result("caps_30_70_error", "relative", shareError(work, caps), work);
  }

  async #different(): Promise<SharingResult> {
    await this.#kernels(DIFFERENT_MS);
    const loads = ALL.map((index) => ({ mix: [index], seed: index + 1, depth: DEPTH }));
    const work = await this.#weighed(loads, this.#times);
    return result("jain_mixed_8", "index", jain(work), work);
  }

  async #unsliceable(): Promise<SharingResult> {
    const weights = [1, 2, 4];
    // A guest whose launches last 500 ms loses nothing to switching, the others some 6 % of 10 ms.
    for (const [index, weight] of weights.entries()) {
      this.#rig.set(`g${index}`, ["policy=weighted", `weight=${weight}`, "slice=30ms"]);
    }
    // One workgroup can't be divided.
    const loops = Math.round(UNSLICEABLE_MS * this.#loopsPerMs * GROUPS);
    await this.#rig.guest(0).kernel(0, { groups: 1, loops });
    await this.#rig.guest(0).time(0, 1);
    const loads = weights.map((_, index) => ({
      mix: [index === 0 ? 0 : 3],
      seed: index + 1,
      depth: index === 0 ? 2 : UNSLICEABLE_DEPTH,
    }));
    const { rounds, aloneMs, roundMs } = this.#times;
    const longer = {
      ...this.#times,
      rounds: UNSLICEABLE_ROUNDS * rounds,
      aloneMs: 2 * aloneMs,
      roundMs: UNSLICEABLE_FACTOR * roundMs,
    };
    const work = await this.#weighed(loads, longer, true);
    return result("unsliceable_error", "relative", shareError(work, weights), work);
  }
}
