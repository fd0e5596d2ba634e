// SPDX-License-Identifier: Apache-2.0
/**
 * What a neighbour's long kernels do to short ones: a guest that launches 1 ms kernels and waits for
 * each, beside one that keeps 1 s kernels queued, each of 1,024 workgroups of which every eighth has
 * 25 times the work of the others. New kernels, of unknown cost, keep coming in the window.
 */
import { quantileSorted } from "simple-statistics";
import type { SharingOptions, SharingReport, SharingResult } from "./sharing.js";
import { adapterOf, loopsPerMs, Rig, result, sortedCopy } from "./sharing-rig.js";

const GROUPS = 64;
const RIVAL_GROUPS = 1024;
const RIVAL_MS = 1_000;
/** Different kernels of the rival, so that the first launches of each fall into the window. */
const RIVALS = [1, 2, 3, 4, 5];
/** The slices of the sweep, ms; the last one is the bound's. */
const SLICES_MS = [2, 5, 10];
const SAMPLES_MIN = 1_000;

interface Measured {
  readonly sliceMs: number;
  readonly ownMs: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly overBound: number;
  readonly samples: number;
}

export async function interference(options: SharingOptions): Promise<SharingReport> {
  const measured: Measured[] = [];
  let adapter = "";
  for (const sliceMs of SLICES_MS) {
    const settings = ["policy=equal", `slice=${sliceMs}ms`];
    const vgpus = ["short", "long"].map((name) => ({ name, settings }));
    const rig = await Rig.start({ vgpus, executor: options.executor });
    try {
      adapter = await adapterOf(rig);
      measured.push(await beside(rig, sliceMs, options.quick));
    } finally {
      await rig.stop();
    }
  }
  const last = measured[measured.length - 1];
  if (last === undefined) throw new Error("no slice was measured");
  const results: SharingResult[] = measured
    .slice(0, -1)
    .map((each) => result(`p99_over_bound_slice_${each.sliceMs}ms`, "ratio", each.overBound, each));
  results.push(result("p99_over_bound", "ratio", last.overBound, last));
  results.push(result("p99", "ms", last.p99Ms), result("own", "ms", last.ownMs));
  return { adapter, results };
}

async function beside(rig: Rig, sliceMs: number, quick: boolean): Promise<Measured> {
  const short = rig.guest(0);
  const long = rig.guest(1);
  const loops = await loopsPerMs(short, GROUPS);
  await short.kernel(0, { groups: GROUPS, loops: Math.round(loops) });
  const alone = sortedCopy(await short.time(0, 200));
  const ownMs = quantileSorted(alone, 0.5) / 1e6;
  const rivalLoops = (loops * RIVAL_MS * GROUPS) / RIVAL_GROUPS;
  for (const kind of RIVALS) {
    const spec = { groups: RIVAL_GROUPS, loops: Math.round(rivalLoops * (1 + kind / 50)) };
    await long.kernel(kind, { ...spec, skew: true });
  }
  await long.go({ mix: RIVALS, seed: 1, depth: 2 });
  await short.go({ mix: [0], seed: 1, depth: 1 });
  const latencies: number[] = [];
  const roundMs = quick ? 5_000 : 20_000;
  const rounds = quick ? 8 : 12;
  for (let round = 0; round < rounds && latencies.length < SAMPLES_MIN * (quick ? 1 : 4); round++) {
    const [work] = await rig.window([short], round === 0 ? 0 : 1, roundMs, true);
    latencies.push(...(work?.latenciesNs ?? []));
  }
  await short.stop();
  const sorted = sortedCopy(latencies);
  const p99Ms = quantileSorted(sorted, 0.99) / 1e6;
  const maxMs = (sorted[sorted.length - 1] ?? 0) / 1e6;
  const overBound = p99Ms / (2 * sliceMs + ownMs);
  return { sliceMs, ownMs, p99Ms, maxMs, overBound, samples: latencies.length };
}
