// SPDX-License-Identifier: Apache-2.0
/**
 * What a vGPU costs besides its work: the time from nothing to the first result, the memory of an
 * idle instance, and the CPU that our threads take while the GPU works, or while nobody does. The
 * reference is a bare Node process that opens the GPU with Dawn and does the same launch.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median } from "simple-statistics";
import { Ours } from "./beside.js";
import { LineProcess } from "./line-process.js";
import type { SharingReport, SharingResult, SharingSuite } from "./sharing.js";
import { type Workload, writeWorkload } from "./workloads.js";

const root = new URL("..", import.meta.url).pathname;
const IDLE_MS = 3000;
const IDLE_SETTLE_MS = 1500;
/** V8 collects for some seconds after the last work. */
const IDLE_COLLECTED_MS = 6000;

const LONG: Workload = {
  name: "long",
  samples: 1,
  sources: ["bench/workloads/long.wgsl"],
  lines: [
    "buffer values 4194304 random 1",
    "kernel spin long.wgsl spin",
    "launch spin 8192 1 1 values",
    "result values 1024",
  ],
};

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const nowMs = (): number => performance.now();
const round = (value: number): number => Number(value.toPrecision(4));

/** Proportional set size, MB (10^6 bytes). */
function pssMb(pid: number): number {
  const found = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"));
  return (Number(found?.[1] ?? 0) * 1024) / 1e6;
}

/** CPU time of a thread, ms. */
function threadMs(pid: number, task: number): number {
  const [ran = "0"] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ");
  return Number(ran) / 1e6;
}

function processMs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + threadMs(pid, +task), 0);
}

/** How often a thread of the process went to sleep: each time it had been woken. */
function wakeUps(pid: number): { all: number; main: number } {
  const of = (task: string): number => {
    const status = readFileSync(`/proc/${pid}/task/${task}/status`, "utf8");
    return Number(/^voluntary_ctxt_switches:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  };
  const all = readdirSync(`/proc/${pid}/task`).reduce((sum, task) => sum + of(task), 0);
  return { all, main: of(`${pid}`) };
}

function pidOf(ours: Ours): number {
  const { pid } = ours.instance;
  if (pid === undefined) throw new Error("vgpu-instance has no process id");
  return pid;
}

interface Start {
  readonly ms: number;
  readonly pssMb: number;
}

/** The adapter that Dawn has chosen, too. */
interface BareStart extends Start {
  readonly adapter: string;
}

async function startOurs(folder: string, executor: string): Promise<Start> {
  const begin = nowMs();
  const ours = await Ours.start(folder, executor);
  try {
    await ours.client.ask("run launch_sync n=1");
    const ms = nowMs() - begin;
    await pause(IDLE_SETTLE_MS);
    return { ms, pssMb: pssMb(pidOf(ours)) };
  } finally {
    ours.stop();
  }
}

async function startBare(): Promise<BareStart> {
  const begin = nowMs();
  const script = join(root, "bench/bare-dawn.mjs");
  const bare = new LineProcess("bare Dawn", process.execPath, [script], process.env);
  try {
    const { adapter } = await bare.next();
    const ms = nowMs() - begin;
    await pause(IDLE_SETTLE_MS);
    if (bare.pid === undefined) throw new Error("bare Dawn has no process id");
    return { ms, pssMb: pssMb(bare.pid), adapter: String(adapter) };
  } finally {
    bare.stop();
  }
}

/** CPU of our threads during one long kernel, and of the whole process while nothing is asked. */
async function load(folder: string, executor: string): Promise<SharingResult[]> {
  const ours = await Ours.start(folder, executor);
  try {
    const pid = pidOf(ours);
    const program = writeWorkload(LONG, folder);
    await ours.client.ask(`run program path=${program} n=2`);
    const client = ours.client.pid ?? 0;
    const before = [threadMs(pid, pid), processMs(client), nowMs()] as const;
    await ours.client.ask(`run program path=${program} n=3 mode=interrupt`);
    const lastedMs = nowMs() - before[2];
    const deviceMs = threadMs(pid, pid) - before[0];
    const clientMs = processMs(client) - before[1];
    await pause(IDLE_COLLECTED_MS);
    const idle = [wakeUps(pid), processMs(pid)] as const;
    await pause(IDLE_MS);
    const now = wakeUps(pid);
    const rate = (count: number): number => round(count / (IDLE_MS / 1e3));
    const idleMs = processMs(pid) - idle[1];
    const detail = { lastedMs: round(lastedMs), deviceMs: round(deviceMs) };
    return [
      {
        name: "cpu_long_kernel_percent",
        unit: "% of a core",
        median: round((100 * (deviceMs + clientMs)) / lastedMs),
        detail,
      },
      { name: "idle_wakeups", unit: "/s", median: rate(now.all - idle[0].all) },
      { name: "idle_wakeups_own", unit: "/s", median: rate(now.main - idle[0].main) },
      { name: "idle_cpu_percent", unit: "% of a core", median: round((100 * idleMs) / IDLE_MS) },
    ];
  } finally {
    ours.stop();
  }
}

export const footprint: SharingSuite = async ({ quick, executor }): Promise<SharingReport> => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-bench-"));
  try {
    const rounds = quick ? 1 : 7;
    const ours: Start[] = [];
    const bare: BareStart[] = [];
    for (let i = 0; i < rounds; i++) {
      ours.push(await startOurs(folder, executor));
      bare.push(await startBare());
      process.stderr.write(`start ${i + 1} of ${rounds}\n`);
    }
    const ms = [ours, bare].map((side) => median(side.map((each) => each.ms)));
    const mb = [ours, bare].map((side) => median(side.map((each) => each.pssMb)));
    const [oursMs = 0, bareMs = 1] = ms;
    const [oursMb = 0, bareMb = 1] = mb;
    const results: SharingResult[] = [
      {
        name: "startup_first_result",
        unit: "ms",
        median: round(oursMs),
        native_median: round(bareMs),
        ratio: round(oursMs / bareMs),
      },
      {
        name: "idle_instance_over_bare_mb",
        unit: "MB",
        median: round(oursMb - bareMb),
        detail: { instanceMb: round(oursMb), bareMb: round(bareMb) },
      },
      ...(await load(folder, executor)),
    ];
    return { adapter: bare[0]?.adapter ?? "none", results };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
