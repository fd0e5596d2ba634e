// SPDX-License-Identifier: Apache-2.0
/**
 * 1 to 32 instances on one GPU: what they complete together against one of them alone, measured
 * just before and after in the same set-up, and the memory that each one takes.
 */
import { readFileSync } from "node:fs";
import { median } from "simple-statistics";
import type { SharingOptions, SharingReport, SharingResult } from "./sharing.js";
import { slope, worth } from "./sharing-math.js";
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

const GROUPS = 64;
const MIX_MS = [0.5, 1, 2, 5];
const COUNTS = [1, 2, 4, 8, 16, 32];
/** Each instance has to come to its turn often enough to be warm: V8 compiles what is called often. */
const WARM_MS_PER_GUEST = 600;
const WARM_MS = 500;

export async function scale(options: SharingOptions): Promise<SharingReport> {
  const results: SharingResult[] = [];
  const memory: [number, number][] = [];
  let adapter = "";
  for (const count of COUNTS) {
    const vgpus = Array.from({ length: count }, (_, index) => ({
      name: `g${index}`,
      settings: ["policy=equal", SLICE, WATCHDOG],
    }));
    const rig = await Rig.start({ vgpus, executor: options.executor });
    try {
      adapter = await adapterOf(rig);
      const ratio = await together(rig, options.quick);
      if (count > 1) results.push(result(`throughput_${count}_over_1`, "ratio", ratio));
      memory.push([count, (await pssBytes(rig)) / 1e6]);
    } finally {
      await rig.stop();
    }
  }
  const detail = memory.map(([instances, mb]) => ({ instances, mb }));
  results.push(result("pss_per_instance_mb", "MB", slope(memory), detail));
  return { adapter, results };
}

async function together(rig: Rig, quick: boolean): Promise<number> {
  const loops = await loopsPerMs(rig.guest(0), GROUPS);
  for (const guest of rig.guests) {
    for (const [kind, ms] of MIX_MS.entries()) {
      await guest.kernel(kind, { groups: GROUPS, loops: Math.round(ms * loops) });
      await guest.time(kind, 1);
    }
  }
  const windowMs = quick ? 2_000 : 5_000;
  const rate = async (guests: readonly Guest[], warmMs: number): Promise<number> => {
    const load = (seed: number): Load => ({ mix: [0, 1, 2, 3], seed, depth: 16 });
    await Promise.all(guests.map((guest, index) => guest.go(load(index + 1))));
    const works = await rig.window(guests, warmMs, windowMs);
    await Promise.all(guests.map((guest) => guest.stop()));
    return works.reduce((sum, { counts }) => sum + worth(counts, MIX_MS), 0) / windowMs;
  };
  const one = [rig.guest(0)];
  const ratios: number[] = [];
  // The machine's speed drifts: each run of all is held against the runs of one before and after it.
  let before = await rate(one, WARM_MS);
  for (let round = 0; round < (quick ? 1 : 5); round++) {
    const coldMs = round === 0 ? (quick ? 0.5 : 1) * WARM_MS_PER_GUEST * rig.guests.length : 0;
    const all = await rate(rig.guests, Math.max(2 * WARM_MS, coldMs));
    const after = await rate(one, WARM_MS);
    ratios.push((2 * all) / (before + after));
    before = after;
  }
  return median(ratios);
}

/** Memory of all instances, pages that they share counted in parts. */
async function pssBytes(rig: Rig): Promise<number> {
  let bytes = 0;
  for (const pid of await rig.pids()) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    bytes += Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024;
  }
  return bytes;
}
