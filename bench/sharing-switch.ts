// SPDX-License-Identifier: Apache-2.0
/**
 * What sharing costs: a VM exit and the next entry, from what two guests lose together against one
 * alone; and a launch in 1, 4, 16 and 64 slices against the same launch whole, with no one waiting.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { median, quantileSorted } from "simple-statistics";
import type { SharingOptions, SharingReport, SharingResult } from "./sharing.js";
import { worth } from "./sharing-math.js";
import {
  adapterOf,
  Guest,
  loadProgram,
  loopsPerMs,
  Rig,
  result,
  sortedCopy,
} from "./sharing-rig.js";

const root = new URL("..", import.meta.url).pathname;
const GROUPS = 64;
const KERNEL_MS = 5;
const SLICES_MS = [2, 10];
const SLICES = [1, 4, 16, 64];
/** Of the launch that is sliced. */
const SLICED_MS = 32;
const START_MS = 30_000;

export async function switching(options: SharingOptions): Promise<SharingReport> {
  const vgpus = ["g0", "g1"].map((name) => ({ name, settings: ["policy=equal"] }));
  const rig = await Rig.start({ vgpus, executor: options.executor });
  const results: SharingResult[] = [];
  let adapter = "";
  try {
    adapter = await adapterOf(rig);
    const loops = Math.round((await loopsPerMs(rig.guest(0), GROUPS)) * KERNEL_MS);
    for (const guest of rig.guests) {
      await guest.kernel(0, { groups: GROUPS, loops });
      await guest.time(0, 5);
    }
    for (const sliceMs of SLICES_MS) {
      for (const name of ["g0", "g1"]) rig.set(name, [`slice=${sliceMs}ms`]);
      results.push(await switchCost(rig, sliceMs, options.quick));
    }
  } finally {
    await rig.stop();
  }
  results.push(...(await slicingCost(options)));
  return { adapter, results };
}

async function switchCost(rig: Rig, sliceMs: number, quick: boolean): Promise<SharingResult> {
  const windowMs = quick ? 2_000 : 10_000;
  const costsUs: number[] = [];
  const details: object[] = [];
  const load = { mix: [0], seed: 1, depth: 8 };
  for (let round = 0; round < (quick ? 3 : 8); round++) {
    const one = rig.guest(0);
    await one.go(load);
    const [alone] = await rig.window([one], 300, windowMs);
    const other = rig.guest(1);
    await other.go(load);
    await sleep(300);
    const begin = performance.now();
    const before = await rig.entries();
    const works = await rig.window([one, other], 0, windowMs);
    const entries = ((await rig.entries()) - before) / (performance.now() - begin);
    await Promise.all([one.stop(), other.stop()]);
    const whole = worth(alone?.counts ?? [], [1]);
    const shared = works.reduce((sum, work) => sum + worth(work.counts, [1]), 0);
    costsUs.push(((1 - shared / whole) / entries) * 1000);
    details.push({ shared: shared / whole, entries_per_ms: entries });
  }
  return result(`exit_entry_slice_${sliceMs}ms`, "us", median(costsUs), { costsUs, details });
}

/** An instance without a broker for each number of slices, all asked in turn. */
async function slicingCost(options: SharingOptions): Promise<SharingResult[]> {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-bench-"));
  const running: { stop: () => void }[] = [];
  try {
    const guests: Guest[] = [];
    for (const slices of SLICES) {
      const socket = join(folder, `${slices}.sock`);
      const args = [`--socket-path=${socket}`, `--executor=${options.executor}`];
      const instance = spawn(
        "setpriv",
        [
          ...["--pdeathsig", "TERM", "--", process.execPath],
          ...[join(root, "dist/cli/vgpu-instance.js"), ...args],
          "--log-level=warn",
        ],
        {
          stdio: ["ignore", "inherit", "inherit"],
          env: { ...process.env, VGPU_SLICES: String(slices) },
        },
      );
      running.push({ stop: () => instance.kill("SIGTERM") });
      for (let waitedMs = 0; !existsSync(socket); waitedMs += 20) {
        if (waitedMs > START_MS || instance.exitCode !== null)
          throw new Error(`an instance does not listen at ${socket}`);
        await sleep(20);
      }
      const guest = new Guest(`slices-${slices}`, loadProgram(), socket);
      running.push({ stop: () => guest.end() });
      await guest.ready();
      guests.push(guest);
    }
    return await slicedTimes(guests, options.quick ? 3 : 10);
  } finally {
    for (const each of running.reverse()) each.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function slicedTimes(guests: readonly Guest[], rounds: number): Promise<SharingResult[]> {
  const [first] = guests;
  if (first === undefined) return [];
  const loops = Math.round((await loopsPerMs(first, GROUPS)) * SLICED_MS);
  const times = guests.map((): number[] => []);
  for (const guest of guests) {
    await guest.kernel(0, { groups: GROUPS, loops });
    await guest.time(0, 3);
  }
  for (let round = 0; round < rounds; round++) {
    for (const [index, guest] of guests.entries()) {
      times[index]?.push(...(await guest.time(0, 8)));
    }
  }
  // The machine's other work only ever adds: the quiet quarter says what slicing costs.
  const quiet = times.map((samples) => quantileSorted(sortedCopy(samples), 0.25) / 1e6);
  const whole = quiet[0] ?? 0;
  return SLICES.map((slices, index) => {
    const ms = quiet[index] ?? 0;
    return result(`slicing_overhead_${slices}`, "relative", ms / whole - 1, { ms });
  });
}
