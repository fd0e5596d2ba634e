// SPDX-License-Identifier: Apache-2.0
/**
 * A broker with vGPUs and one guest process on each, for the suites about sharing: the guests are
 * bench/programs/load.c over `unix:`. On a software GPU its threads get a core of their own, so that
 * what guests and host do beside it does not count as GPU time.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { type Broker, startBroker } from "../scripts/lib/broker.js";
import { LineProcess } from "./line-process.js";
import type { SharingResult } from "./sharing.js";

const root = new URL("..", import.meta.url).pathname;
const KINDS_MAX = 16;
/** Longest that a guest may take beyond a window to answer: it is starved then. */
const LATE_MS = 60_000;
/** A GPU thread works at least so many ticks while it is looked for. */
const PIN_TICKS_MIN = 6;

const turnCounts = z.object({ turns: z.number(), start_ns: z.number(), prepared: z.number() });
export type TurnCounts = z.infer<typeof turnCounts>;

export interface VgpuSpec {
  readonly name: string;
  /** As in vgpud's --vgpu: "policy=equal", "weight=2", … */
  readonly settings: readonly string[];
}

/** On a software GPU a switch costs some 5 % of a slice of 2 ms: see the suite `switch`. */
export const SLICE = "slice=10ms";
/** Many processes on few cores may be late without being hung. */
export const WATCHDOG = "watchdog=10";

export interface RigOptions {
  readonly vgpus: readonly VgpuSpec[];
  readonly executor: string;
  /** A trace of the schedule is written there. */
  readonly trace?: string;
}

/** What one guest completed within a window. */
export interface Work {
  /** Launches per kernel, with the parts of those at the window's edges. */
  readonly counts: readonly number[];
  readonly launches: number;
  readonly latenciesNs: readonly number[];
}

/** Kernels: workgroups of 64 invocations, each with so many rounds of arithmetic. */
export interface KernelSpec {
  readonly groups: number;
  readonly loops: number;
  readonly skew?: boolean;
}

export interface Load {
  readonly mix: readonly number[];
  readonly seed: number;
  readonly depth: number;
  /** Mean of the sleep after each step of the whole mix, µs. */
  readonly pauseUs?: number;
}

/** The cores for the GPU's threads and for all others; null where there is but one. */
export function cores(): { readonly gpu: string; readonly host: string } | null {
  const line = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"));
  const list = (line?.[1] ?? "").split(",").flatMap((part) => {
    const [first = 0, last = first] = part.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  const gpu = list.pop();
  return gpu === undefined || list.length === 0 ? null : { gpu: `${gpu}`, host: list.join(",") };
}

/** Nanoseconds of CLOCK_MONOTONIC, which the guests use too. */
export function nowNs(): bigint {
  return process.hrtime.bigint();
}

/** Builds the guest if its source is newer; quiet. */
export function loadProgram(): string {
  const driver = join(root, "guest-driver");
  const program = join(driver, "build/bin/vgpu-load");
  const source = join(root, "bench/programs/load.c");
  const made = statSync(program, { throwIfNoEntry: false });
  if (made === undefined || made.mtimeMs < statSync(source).mtimeMs) {
    const folders = [`-I${driver}/include`, `-L${driver}/build/lib`];
    execFileSync(process.env.CC ?? "cc", ["-O2", "-o", program, source, ...folders, "-lvgpu"]);
  }
  return program;
}

export class Guest {
  readonly name: string;
  readonly #process: LineProcess;

  constructor(name: string, program: string, socket: string) {
    this.name = name;
    const lib = join(root, "guest-driver/build/lib");
    const env: NodeJS.ProcessEnv = { ...process.env, VGPU_DEVICE: `unix:${socket}` };
    env.VGPU_WAIT = "interrupt";
    env.LD_LIBRARY_PATH = [lib, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
    const split = cores();
    const command = split === null ? [program] : ["taskset", "-c", split.host, program];
    const args = ["--pdeathsig", "TERM", "--", ...command];
    this.#process = new LineProcess(`guest ${name}`, "setpriv", args, env);
  }

  ready(): Promise<unknown> {
    return this.#process.next();
  }

  async kernel(index: number, spec: KernelSpec): Promise<void> {
    const skew = spec.skew === true ? 1 : 0;
    const { groups, loops } = spec;
    await this.#process.ask(`kernel ${index} groups=${groups} loops=${loops} skew=${skew}`);
  }

  /** Launches one after the other, each waited for: ns. */
  async time(index: number, n: number): Promise<number[]> {
    const { samples } = await this.#process.ask(`time ${index} n=${n}`);
    return numbers(samples);
  }

  async go(load: Load): Promise<void> {
    const { mix, seed, depth, pauseUs = 0 } = load;
    const words = [`mix=${mix.join(",")}`, `seed=${seed}`, `depth=${depth}`, `pause=${pauseUs}`];
    await this.#process.ask(`go ${words.join(" ")}`);
  }

  async window(fromNs: bigint, toNs: bigint, latencies: boolean): Promise<Work> {
    const line = `window ${fromNs} ${toNs} latencies=${latencies ? 1 : 0}`;
    const lateMs = Number((toNs - nowNs()) / 1_000_000n) + LATE_MS;
    const late = new AbortController();
    const answer = await Promise.race([
      this.#process.ask(line),
      sleep(lateMs, null, { signal: late.signal }).then(() => {
        throw new Error(`guest ${this.name} completes nothing for ${LATE_MS / 1000} s`);
      }),
    ]).finally(() => late.abort());
    const counts = numbers(answer.counts);
    const launches = Number(answer.launches);
    return { counts, launches, latenciesNs: numbers(answer.latencies) };
  }

  async stop(): Promise<void> {
    await this.#process.ask("stop");
  }

  end(): void {
    this.#process.stop();
  }
}

function numbers(value: unknown): number[] {
  if (!Array.isArray(value)) throw new Error(`a guest answers without numbers: ${value}`);
  return value.map(Number);
}

export class Rig {
  readonly guests: readonly Guest[];
  /** By instance's process: the thread that does a software GPU's work. */
  readonly gpuThreads = new Map<number, number>();
  readonly #broker: Broker;
  readonly #folder: string;

  private constructor(broker: Broker, guests: readonly Guest[], folder: string) {
    this.#broker = broker;
    this.guests = guests;
    this.#folder = folder;
  }

  static async start(options: RigOptions): Promise<Rig> {
    const program = loadProgram();
    const folder = mkdtempSync(join(tmpdir(), "vgpu-bench-"));
    // A software GPU then computes in one thread; with 1, two threads hand every dispatch over.
    process.env.LP_NUM_THREADS ??= "0";
    const trace = options.trace === undefined ? [] : ["--trace", options.trace];
    const broker = await startBroker({
      vgpus: options.vgpus.map(({ name, settings }) => [name, ...settings].join(",")),
      logPath: join(folder, "vgpud.log"),
      extraArgs: ["--executor", options.executor, "--log-level", "warn", ...trace],
    });
    const guests = options.vgpus.map(({ name }) => new Guest(name, program, broker.socketOf(name)));
    const rig = new Rig(broker, guests, folder);
    try {
      await Promise.all(guests.map((guest) => guest.ready()));
      await rig.pin();
    } catch (error) {
      await rig.stop();
      throw error;
    }
    return rig;
  }

  guest(index: number): Guest {
    const guest = this.guests[index];
    if (guest === undefined) throw new Error(`there is no guest ${index}`);
    return guest;
  }

  /**
   * Gives each instance's GPU thread, where the GPU is software, a core of its own. Drivers do not
   * name it, so it is the one that works while a long kernel runs.
   */
  async pin(): Promise<void> {
    const split = cores();
    if (split === null) return;
    taskset(this.#broker.process.pid, split.host);
    const pids = await this.pids();
    for (const [index, pid] of pids.entries()) {
      const guest = this.guest(index);
      await guest.kernel(KINDS_MAX - 1, { groups: 64, loops: 20_000 });
      await guest.time(KINDS_MAX - 1, 1);
      const before = threadTicks(pid);
      await guest.time(KINDS_MAX - 1, 6);
      const busy = [...threadTicks(pid)]
        .map(([task, ticks]) => ({ task, ticks: ticks - (before.get(task) ?? 0) }))
        .filter(({ task, ticks }) => task !== pid && ticks >= PIN_TICKS_MIN)
        .sort((a, b) => b.ticks - a.ticks)[0]?.task;
      for (const task of threadTicks(pid).keys()) {
        taskset(task, task === busy ? split.gpu : split.host);
      }
      if (busy !== undefined) this.gpuThreads.set(pid, busy);
    }
  }

  async pids(): Promise<number[]> {
    const { vgpus } = await this.#broker.status();
    return vgpus.flatMap(({ pid }) => (pid === null ? [] : [pid]));
  }

  status(): ReturnType<Broker["status"]> {
    return this.#broker.status();
  }

  /** The schedule's counters, for what only they know: how often the GPU changed hands. */
  async entries(): Promise<number> {
    const { vgpus } = await this.#broker.status();
    const restarts = vgpus.reduce((sum, each) => sum + each.restarts, 0);
    if (restarts > 0) throw new Error(`instances were restarted ${restarts} times`);
    return vgpus.reduce((sum, each) => {
      const { schedule } = each as { schedule?: { entries?: number } };
      return sum + (schedule?.entries ?? 0);
    }, 0);
  }

  /** How all instances' turns began, in sum. */
  async turns(): Promise<TurnCounts> {
    const { vgpus } = await this.#broker.status();
    const sum = { turns: 0, start_ns: 0, prepared: 0 };
    for (const { id, device } of vgpus) {
      const counts = turnCounts.safeParse(device?.turns);
      if (!counts.success) throw new Error(`vGPU ${id} does not say how its turns began`);
      sum.turns += counts.data.turns;
      sum.start_ns += counts.data.start_ns;
      sum.prepared += counts.data.prepared;
    }
    return sum;
  }

  set(name: string, settings: readonly string[]): void {
    const control = join(dirname(this.#broker.socketOf(name)), "control.sock");
    const vgpuctl = join(root, "dist/cli/vgpuctl.js");
    execFileSync(process.execPath, [vgpuctl, "set", name, ...settings, "--control", control]);
  }

  /** What the given guests complete between `warmMs` from now and `windowMs` later. */
  async window(
    guests: readonly Guest[],
    warmMs: number,
    windowMs: number,
    latencies = false,
  ): Promise<Work[]> {
    const fromNs = nowNs() + BigInt(Math.round(warmMs * 1e6));
    const toNs = fromNs + BigInt(Math.round(windowMs * 1e6));
    return Promise.all(guests.map((guest) => guest.window(fromNs, toNs, latencies)));
  }

  async stop(): Promise<void> {
    for (const guest of this.guests) guest.end();
    // Before it is stopped, nothing ends as it should: what is in the log went wrong.
    const complaints = complaintsIn(join(this.#folder, "vgpud.log"));
    await this.#broker.stop();
    for (const complaint of complaints) process.stderr.write(`vgpud: ${complaint}\n`);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Warnings and errors of vgpud and its instances, at most a few. */
function complaintsIn(path: string): string[] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => /"level":[45]0/.test(line)).slice(0, 10);
}

/** CPU time of each thread of a process so far, in ticks of 10 ms. */
function threadTicks(pid: number): Map<number, number> {
  const tasks = readdirSync(`/proc/${pid}/task`).map(Number);
  return new Map(
    tasks.map((task) => {
      const stat = readFileSync(`/proc/${pid}/task/${task}/stat`, "utf8");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return [task, Number(fields[11]) + Number(fields[12])];
    }),
  );
}

function taskset(task: number, list: string): void {
  execFileSync("taskset", ["-cp", list, `${task}`], { stdio: "ignore" });
}

/** One figure, to six digits. */
export function result(name: string, unit: string, value: number, detail?: unknown): SharingResult {
  const median = Number(value.toPrecision(6));
  const line = `${name.padEnd(28)} ${String(median).padStart(10)} ${unit}\n`;
  process.stderr.write(line);
  return detail === undefined ? { name, unit, median } : { name, unit, median, detail };
}

export function sortedCopy(values: readonly number[]): number[] {
  return [...values].sort((a, b) => a - b);
}

export async function adapterOf(rig: Rig): Promise<string> {
  const { vgpus } = await rig.status();
  return vgpus[0]?.adapter ?? "unknown";
}

/**
 * Rounds of arithmetic of one workgroup that make a launch of `groups` groups take a millisecond:
 * the guest measures two sizes, so that what each launch costs beside them drops out.
 */
export async function loopsPerMs(guest: Guest, groups: number): Promise<number> {
  const samples: number[] = [];
  const sizes = [2000, 22_000];
  for (const loops of sizes) {
    await guest.kernel(KINDS_MAX - 1, { groups, loops });
    await guest.time(KINDS_MAX - 1, 5);
    const times = (await guest.time(KINDS_MAX - 1, 40)).sort((a, b) => a - b);
    samples.push(times[10] ?? 0);
  }
  const [low = 0, high = 0] = samples;
  if (high <= low) throw new Error(`calibration fails: ${low} ns and ${high} ns`);
  return ((sizes[1] ?? 0) - (sizes[0] ?? 0)) / ((high - low) / 1e6);
}
