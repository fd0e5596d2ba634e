// SPDX-License-Identifier: Apache-2.0
/**
 * A soak: guests of four vGPUs start, compute, crash (kill -9 in the middle) and start again at
 * random, and now and then an instance is killed under them. At the end, nothing may be left of them.
 *
 *   SOAK_SECONDS=3600 SEED=7 npx vitest run test/e2e/soak.test.ts
 */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { SeededRandom, systemRandom } from "../../src/io/random.js";
import { eventually, guestEnvironment, testProgram, Watched } from "../support/e2e.js";

const VGPUS = ["a", "b", "c", "d"] as const;
const SECONDS = Number(process.env.SOAK_SECONDS ?? 8);
const SEED = Number(process.env.SEED ?? systemRandom.u32());
/** Restarts are limited to ten in a minute for each of the four: instances are killed less often. */
const INSTANCE_KILL_MS = 6000;
/** Heaps of five processes settle; what leaks for an hour is more. */
const PSS_GROWTH_MAX = 128 * 2 ** 20;

let broker: Broker;
const programs = new Set<Watched>();
const counts = { done: 0, killed: 0, lost: 0, instances: 0 };

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-soak-"));
  broker = await startBroker({ vgpus: VGPUS, logPath: join(folder, "vgpud.log") });
});

afterAll(async () => {
  for (const program of programs) program.kill();
  await broker.stop();
});

function worker(vgpu: string, rounds: number, inner: number): Watched {
  const args = [rounds, 1, inner].map(String);
  const started = new Watched(testProgram("worker"), args, guestEnvironment(broker.socketOf(vgpu)));
  programs.add(started);
  void started.exit.then(() => programs.delete(started));
  return started;
}

/** Processes below vgpud, itself included. */
function family(): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]));
    } catch {
      // It has ended meanwhile.
    }
  }
  const found = [broker.process.pid];
  for (const pid of found)
    found.push(...[...parents].filter(([, parent]) => parent === pid).map(([child]) => child));
  return found;
}

interface Held {
  readonly processes: number;
  readonly descriptors: number;
  readonly pss: number;
}

/** Descriptors of what guests bring: sockets, memory, events; the rest is Node's and the driver's. */
function held(): Held {
  const pids = family();
  const total = { processes: pids.length, descriptors: 0, pss: 0 };
  for (const pid of pids) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    total.pss += Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024;
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      if (/^socket:|memfd:|\[eventfd\]/.test(target)) total.descriptors++;
    }
  }
  return total;
}

/** All vGPUs run, without a guest's contexts and memory. */
async function quiet(): Promise<void> {
  await eventually(
    () => broker.status(),
    ({ vgpus }) =>
      vgpus.every(({ state, device }) => {
        const memory = device?.memory as Record<string, unknown> | undefined;
        const contexts = device?.contexts;
        const none = Array.isArray(contexts) && contexts.length === 0;
        return state === "running" && none && memory?.allocated_bytes === 0;
      }),
  );
}

/** One guest after the other on one vGPU. `killed` says whether its instance has been, since. */
async function guests(vgpu: string, until: number, random: SeededRandom, kills: Set<string>) {
  while (Date.now() < until) {
    kills.delete(vgpu);
    const program = worker(vgpu, 1 + random.below(20), 1 + random.below(50));
    const crash = random.below(3) === 0;
    const timer = crash ? setTimeout(() => program.kill(), random.below(1500)) : null;
    const { code, signal } = await program.exit;
    if (timer !== null) clearTimeout(timer);
    if (signal === "SIGKILL" && crash) counts.killed++;
    else if (code === 0 && program.lines.at(-1) === "done") counts.done++;
    else if (code === 4 && kills.has(vgpu)) counts.lost++;
    // A wrong word (3), a signal that is not ours, an error without a reason.
    else throw new Error(`a guest of ${vgpu} ends with ${code ?? signal}: ${program.stderr}`);
    // A new instance takes a moment; a guest that comes before it is told so.
    if (kills.has(vgpu)) await eventually(() => broker.statusOf(vgpu), isRunning);
  }
}

const isRunning = ({ state }: { readonly state: string }): boolean => state === "running";

/** Kills an instance at times. */
async function faults(until: number, random: SeededRandom, kills: Set<string>): Promise<void> {
  // A short run has some too.
  const pause = Math.min(INSTANCE_KILL_MS, (SECONDS * 1000) / 4);
  for (await sleep(pause); Date.now() < until; await sleep(pause)) {
    const vgpu = VGPUS[random.below(VGPUS.length)] ?? "a";
    const { pid, state } = await broker.statusOf(vgpu);
    if (pid === null || state !== "running") continue;
    kills.add(vgpu);
    process.kill(pid, "SIGKILL");
    counts.instances++;
  }
}

it(
  `leaves nothing behind after ${SECONDS} s of guests that come and crash, seed ${SEED}`,
  async () => {
    for (const vgpu of VGPUS) expect(await worker(vgpu, 2, 1).exit).toMatchObject({ code: 0 });
    await quiet();
    const before = held();
    const until = Date.now() + SECONDS * 1000;
    const kills = new Set<string>();
    const all = VGPUS.map((vgpu, i) => guests(vgpu, until, new SeededRandom(SEED + i), kills));
    await Promise.all([...all, faults(until, new SeededRandom(SEED + 99), kills)]);
    await quiet();
    const after = held();
    console.log("soak:", { seed: SEED, ...counts, before, after });
    expect(Math.min(counts.done, counts.killed, counts.instances)).toBeGreaterThan(0);
    expect(after.processes).toBe(before.processes);
    expect(after.descriptors).toBeLessThanOrEqual(before.descriptors);
    expect(after.pss - before.pss).toBeLessThan(PSS_GROWTH_MAX);
  },
  SECONDS * 1000 + 120_000,
);
