// SPDX-License-Identifier: Apache-2.0
/**
 * What sharing is for: eight guests, each of which alone keeps the GPU busy a quarter of the time
 * (steps of 5 ms, then a random pause, as a training loop waits for its loader), against one guest
 * that saturates it, and against exclusive use by turns. Runs of the three kinds alternate.
 */
import { median } from "simple-statistics";
import type { SharingOptions, SharingReport } from "./sharing.js";
import {
  adapterOf,
  type Guest,
  type Load,
  loopsPerMs,
  Rig,
  result,
  SLICE,
  WATCHDOG,
} from "./sharing-rig.js";

const GUESTS = 8;
const GROUPS = 64;
/** A step: five kernels of 1 ms. */
const STEP = [0, 0, 0, 0, 0];
const KERNEL_MS = 1;
const DUTY = 0.25;
const DUTY_ERROR_MAX = 0.005;
const TRIES = 8;
/** Of runs together, before those that count. */
const WARM_ROUNDS = 3;

interface Times {
  readonly rounds: number;
  readonly aloneMs: number;
  readonly togetherMs: number;
}

export async function utilisation(options: SharingOptions): Promise<SharingReport> {
  const vgpus = Array.from({ length: GUESTS }, (_, index) => ({
    name: `g${index}`,
    settings: ["policy=equal", SLICE, WATCHDOG],
  }));
  const times = options.quick
    ? { rounds: 2, aloneMs: 2_000, togetherMs: 4_000 }
    : { rounds: 9, aloneMs: 4_000, togetherMs: 8_000 };
  const rig = await Rig.start({ vgpus, executor: options.executor });
  try {
    return { adapter: await adapterOf(rig), results: await measure(rig, times) };
  } finally {
    await rig.stop();
  }
}

/** Kernels a second that the guests complete together. */
async function rate(
  rig: Rig,
  guests: readonly Guest[],
  load: (index: number) => Load,
  windowMs: number,
): Promise<number> {
  await Promise.all(guests.map((guest, index) => guest.go(load(index))));
  const works = await rig.window(guests, 500, windowMs);
  await Promise.all(guests.map((guest) => guest.stop()));
  const count = works.reduce((sum, { counts }) => sum + counts.reduce((a, b) => a + b, 0), 0);
  return count / (windowMs / 1000);
}

/** How much longer a pause has to be for a quarter of the time, at these kernels a second. */
function missingUs(full: number, part: number): number {
  // A period is the time of five kernels at this rate; the pause takes up the difference.
  return (STEP.length / (full * DUTY) - STEP.length / part) * 1e6;
}

async function measure(rig: Rig, times: Times): Promise<SharingReport["results"]> {
  const loops = Math.round((await loopsPerMs(rig.guest(0), GROUPS)) * KERNEL_MS);
  for (const guest of rig.guests) {
    await guest.kernel(0, { groups: GROUPS, loops });
    await guest.time(0, 5);
  }
  const saturating = (): Load => ({ mix: STEP, seed: 1, depth: 16 });
  const first = [rig.guest(0)];
  let pauseUs = ((STEP.length * KERNEL_MS) / DUTY - STEP.length * KERNEL_MS) * 1000;
  const stepping = (seed: number): Load => ({ mix: STEP, seed, depth: STEP.length, pauseUs });
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const full = await rate(rig, first, saturating, times.aloneMs / 2);
    const part = await rate(rig, first, () => stepping(1), times.aloneMs);
    if (Math.abs(part / full - DUTY) < DUTY_ERROR_MAX) break;
    pauseUs = Math.max(1000, Math.round(pauseUs + missingUs(full, part)));
  }
  // The machine's speed drifts: each run together is held against the saturated ones before and after.
  const full: number[] = [];
  const alone: number[] = [];
  const together: number[] = [];
  // V8 compiles what is called often, and a guest of eight comes to its turn seldom.
  await rate(rig, rig.guests, stepping, WARM_ROUNDS * times.togetherMs);
  let before = await rate(rig, first, saturating, times.aloneMs);
  for (let round = 0; round < times.rounds; round++) {
    const part = await rate(
      rig,
      [rig.guest(round % GUESTS)],
      () => stepping(round + 1),
      times.aloneMs,
    );
    alone.push(part);
    together.push(
      await rate(rig, rig.guests, (index) => stepping(100 * round + index), times.togetherMs),
    );
    const after = await rate(rig, first, saturating, times.aloneMs);
    const saturated = (before + after) / 2;
    full.push(saturated);
    // And with it the part of the time that a step takes.
    pauseUs = Math.max(1000, Math.round(pauseUs + missingUs(saturated, part) / 2));
    before = after;
  }
  const ratios = (above: readonly number[], below: readonly number[]): number =>
    median(above.map((value, index) => value / (below[index] ?? 0)));
  return [
    result("duty_alone", "fraction", ratios(alone, full), { alone, full, pauseUs }),
    result("aggregate_over_saturated", "ratio", ratios(together, full), { together, full }),
    result("gain_over_exclusive", "ratio", ratios(together, alone), { together, alone }),
  ];
}
