// SPDX-License-Identifier: Apache-2.0
/**
 * What sharing costs: a VM exit and the next entry, from what two guests lose together against one
 * alone; how long the GPU waits for the first work of an entry; both with the next one's work encoded
 * ahead, and without; and a launch in 1, 4, 16 and 64 slices against the same launch whole, with no
 * one waiting.
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

/** Rigs that differ in nothing but whether work is encoded ahead; names end with `suffix`. */
const AHEAD = [
  { suffix: "", prepare: "1" },
  { suffix: "_not_ahead", prepare: "0" },
] as const;

export async function switching(options: SharingOptions): Promise<SharingReport> {
  const vgpus = ["g0", "g1"].map((name) => ({ name, settings: ["policy=equal"] }));
  const rigs: { readonly rig: Rig; readonly suffix: string }[] = [];
  const results: SharingResult[] = [];
  let adapter = "";
  try {
    for (const { suffix, prepare } of AHEAD) {
      process.env.VGPU_PREPARE = prepare;
      rigs.push({ suffix, rig: await Rig.start({ vgpus, executor: options.executor }) });
    }
    for (const { rig } of rigs) {
      adapter = await adapterOf(rig);
      const loops = Math.round((await loopsPerMs(rig.guest(0), GROUPS)) * KERNEL_MS);
      for (const guest of rig.guests) {
        await guest.kernel(0, { groups: GROUPS, loops });
        await guest.time(0, 5);
      }
    }
    for (const sliceMs of SLICES_MS) {
      for (const { rig } of rigs)
        for (const name of ["g0", "g1"]) rig.set(name, [`slice=${sliceMs}ms`]);
      results.push(...(await switchCosts(rigs, sliceMs, options.quick)));
    }
  } finally {
    delete process.env.VGPU_PREPARE;
    for (const { rig } of rigs) await rig.stop();
  }
  results.push(...(await slicingCost(options)));
  return { adapter, results };
}

interface SwitchRound {
  /** What an exit and the next entry cost, µs of the GPU's time. */
  readonly costUs: number;
  /** From an entry to its first work on the GPU, µs. */
  readonly startUs: number;
  /** Part of the entries that found work encoded. */
  readonly ahead: number;
  /** Throughput of two against one alone. */
  readonly shared: number;
  readonly entriesPerMs: number;
}

async function switchCosts(
  rigs: readonly { readonly rig: Rig; readonly suffix: string }[],
  sliceMs: number,
  quick: boolean,
): Promise<SharingResult[]> {
  const rounds = rigs.map((): SwitchRound[] => []);
  for (let round = 0; round < (quick ? 3 : 5); round++) {
    for (const [index, { rig }] of rigs.entries()) {
      rounds[index]?.push(await switchRound(rig, quick ? 2_000 : 4_000));
    }
  }
  return rigs.flatMap(({ suffix }, index) => {
    const all = rounds[index] ?? [];
    const name = `slice_${sliceMs}ms${suffix}`;
    return [
      result(`exit_entry_${name}`, "us", median(all.map((each) => each.costUs)), all),
      result(`idle_gap_${name}`, "us", median(all.map((each) => each.startUs))),
    ];
  });
}

async function switchRound(rig: Rig, windowMs: number): Promise<SwitchRound> {
  const load = { mix: [0], seed: 1, depth: 8 };
  const one = rig.guest(0);
  await one.go(load);
  const [alone] = await rig.window([one], 300, windowMs);
  const other = rig.guest(1);
  await other.go(load);
  await sleep(300);
  const begin = performance.now();
  const before = { entries: await rig.entries(), turns: await rig.turns() };
  const works = await rig.window([one, other], 0, windowMs);
  const elapsedMs = performance.now() - begin;
  const after = { entries: await rig.entries(), turns: await rig.turns() };
  await Promise.all([one.stop(), other.stop()]);
  const whole = worth(alone?.counts ?? [], [1]);
  const shared = works.reduce((sum, work) => sum + worth(work.counts, [1]), 0) / whole;
  const entriesPerMs = (after.entries - before.entries) / elapsedMs;
  const turns = after.turns.turns - before.turns.turns;
  return {
    costUs: ((1 - shared) / entriesPerMs) * 1000,
    startUs: (after.turns.start_ns - before.turns.start_ns) / turns / 1000,
    ahead: (after.turns.prepared - before.turns.prepared) / turns,
    shared,
    entriesPerMs,
  };
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
