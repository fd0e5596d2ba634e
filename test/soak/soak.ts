// SPDX-License-Identifier: Apache-2.0
/**
 * A soak: guests of four vGPUs under one vgpud start, compute, crash (kill -9 in the middle) and start
 * again at random, and instances are killed under some of them. Every so often all of them pause, and
 * what is held then is compared with the start: nothing may be left of guests that are gone.
 *
 * Vgpu "a" is never killed, so that what an instance keeps of its guests has the whole time to add up.
 * A machine that is busy with other things makes all of this slow, which is no failure: nothing is
 * judged by a clock, except that a checkpoint has to come to rest at all.
 */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { SeededRandom } from "../../src/io/random.js";
import { guestEnvironment, testProgram, Watched } from "../support/e2e.js";

const VGPUS = ["a", "b", "c", "d"] as const;
/** Instances die under these; restarts of each are limited to ten in a minute. */
const VICTIMS = ["b", "c", "d"] as const;
const INSTANCE_KILL_MS = 6000;
/** A checkpoint that is not at rest by then never will be. */
const REST_MS = 300_000;
/** The broker ends an instance that does not answer for 10 s: a machine this slow makes that happen. */
const SLOW_LATENESS_MS = 2000;
const SLOW_LOAD_PER_CORE = 6;
const root = new URL("../..", import.meta.url).pathname;

export interface SoakOptions {
  readonly seconds: number;
  readonly seed: number;
  /** Time between checkpoints, ms. */
  readonly checkpointMs: number;
  readonly report: (line: string) => void;
}

/** What became of the programs, and how many instances were killed. */
export interface SoakCounts {
  done: number;
  crashed: number;
  /** Their instance was killed under them. */
  lost: number;
  /** The machine was too slow for the broker's or the device's deadlines. */
  slow: number;
  instances: number;
}

/** What vgpud and its children hold while no guest is there. */
export interface Held {
  readonly minutes: number;
  readonly processes: number;
  /** Of what guests bring: sockets, memory, events; the rest is Node's and the driver's. */
  readonly descriptors: number;
  /** Proportional set size, bytes: by name for vgpud and each instance. */
  readonly pss: Readonly<Record<string, number>>;
}

export interface SoakResult {
  readonly counts: SoakCounts;
  /** The first is from before the soak. */
  readonly checkpoints: readonly Held[];
}

export const totalPss = ({ pss }: Held): number =>
  Object.values(pss).reduce((sum, each) => sum + each, 0);

/** Parents of all processes. */
function parents(): Map<number, number> {
  const found = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, "utf8");
      found.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 4).split(" ")[0]));
    } catch {
      // It has ended meanwhile.
    }
  }
  return found;
}

function pssOf(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024;
}

function guestDescriptorsOf(pid: number): number {
  const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  return targets.filter((target) => /^socket:|memfd:|\[eventfd\]/.test(target)).length;
}

/** How late this process's timers are: how slow the machine is for everybody. */
class Lateness {
  #worstMs = 0;
  #last = performance.now();
  readonly #timer: NodeJS.Timeout;

  constructor() {
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#worstMs = Math.max(this.#worstMs, now - this.#last - 100);
      this.#last = now;
    }, 100);
  }

  get slow(): boolean {
    const load = (loadavg()[0] ?? 0) / availableParallelism();
    return this.#worstMs > SLOW_LATENESS_MS || load > SLOW_LOAD_PER_CORE;
  }

  /** The worst since the last call, seconds. */
  take(): number {
    const worst = this.#worstMs / 1000;
    this.#worstMs = 0;
    return worst;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Lets a number of loops run, and stop between two steps. */
class Gate {
  #closed: Promise<void> | null = null;
  #open: () => void = () => {};
  #inside = 0;
  #allOut: () => void = () => {};

  async enter(): Promise<void> {
    while (this.#closed !== null) await this.#closed;
    this.#inside++;
  }

  leave(): void {
    this.#inside--;
    if (this.#inside === 0) this.#allOut();
  }

  /** Resolves when all have left. */
  async close(): Promise<void> {
    this.#closed = new Promise((resolve) => {
      this.#open = resolve;
    });
    if (this.#inside > 0)
      await new Promise<void>((resolve) => {
        this.#allOut = resolve;
      });
  }

  open(): void {
    this.#closed = null;
    this.#open();
  }
}

class Soak {
  readonly #options: SoakOptions;
  readonly #broker: Broker;
  readonly #programs = new Set<Watched>();
  /** Instances that were killed while the program runs that the vGPU has now: process ids. */
  readonly #killed = new Map<string, number>();
  readonly #counts: SoakCounts = { done: 0, crashed: 0, lost: 0, slow: 0, instances: 0 };
  readonly #checkpoints: Held[] = [];
  readonly #gate = new Gate();
  readonly #lateness = new Lateness();
  #start = 0;
  #until = 0;
  #failed: Error | null = null;

  constructor(options: SoakOptions, broker: Broker) {
    this.#options = options;
    this.#broker = broker;
  }

  async run(): Promise<SoakResult> {
    // Each instance has opened its GPU and compiled something before the first look.
    for (const vgpu of VGPUS)
      for (const name of PROGRAMS.keys())
        await this.#program(vgpu, name, new SeededRandom(1), false);
    this.#start = performance.now();
    await this.#checkpoint();
    this.#until = performance.now() + this.#options.seconds * 1000;
    const { seed } = this.#options;
    const loops = VGPUS.map((vgpu, i) => this.#guests(vgpu, new SeededRandom(seed + i)));
    const results = await Promise.allSettled([
      ...loops,
      this.#faults(new SeededRandom(seed + 99)),
      this.#looks(),
    ]);
    for (const each of results) if (each.status === "rejected") throw each.reason;
    await this.#checkpoint();
    return { counts: this.#counts, checkpoints: this.#checkpoints };
  }

  close(): void {
    this.#lateness.stop();
    for (const program of this.#programs) program.kill();
  }

  get #over(): boolean {
    return this.#failed !== null || performance.now() >= this.#until;
  }

  async #step(action: () => Promise<void>): Promise<void> {
    await this.#gate.enter();
    try {
      if (!this.#over) await action();
    } catch (error) {
      this.#failed = error as Error;
      throw error;
    } finally {
      this.#gate.leave();
    }
  }

  /** One guest after the other on one vGPU. */
  async #guests(vgpu: string, random: SeededRandom): Promise<void> {
    const names = [...PROGRAMS.keys()];
    while (!this.#over)
      await this.#step(async () => {
        // Mostly the program that is over soon.
        const name = random.below(4) > 0 ? "worker" : (names[random.below(names.length)] ?? "");
        await this.#program(vgpu, name, random, random.below(3) === 0);
      });
  }

  /** Runs a program to its end, which is a crash if asked for, and judges how it ended. */
  async #program(vgpu: string, name: string, random: SeededRandom, crash: boolean): Promise<void> {
    this.#killed.delete(vgpu);
    const [command, args] = PROGRAMS.get(name)?.(random) ?? ["false", []];
    const program = new Watched(command, args, guestEnvironment(this.#broker.socketOf(vgpu)));
    this.#programs.add(program);
    const timer = crash ? setTimeout(() => program.kill(), random.below(1500)) : null;
    const { code, signal } = await program.exit;
    if (timer !== null) clearTimeout(timer);
    this.#programs.delete(program);
    const counts = this.#counts;
    const last = program.lines.at(-1) ?? "";
    // What the library reports is on stderr; a wrong result is not.
    const failed = signal === null && code !== 3 && program.stderr !== "";
    if (signal === "SIGKILL" && crash) counts.crashed++;
    else if (code === 0 && /^done$|"ok":true|: PASS/.test(last)) counts.done++;
    else if (failed && this.#killed.has(vgpu)) counts.lost++;
    else if (failed && this.#lateness.slow) counts.slow++;
    else {
      const output = [...program.lines.slice(-3), program.stderr].join("\n");
      throw new Error(`${name} on ${vgpu} ends with ${code ?? signal}: ${output}`);
    }
    // A new instance takes a moment; a guest that comes before it is told so.
    if (failed || this.#killed.has(vgpu)) await this.#running(vgpu);
  }

  async #running(vgpu: string): Promise<void> {
    const limit = performance.now() + REST_MS;
    for (;;) {
      const { state, pid } = await this.#broker.statusOf(vgpu);
      // The broker learns of a death a moment later.
      if (state === "running" && pid !== this.#killed.get(vgpu)) return;
      if (performance.now() > limit) throw new Error(`${vgpu} has no instance`);
      await sleep(100);
    }
  }

  async #faults(random: SeededRandom): Promise<void> {
    // A short run has some too.
    const pauseMs = Math.min(INSTANCE_KILL_MS, (this.#options.seconds * 1000) / 4);
    for (await sleep(pauseMs); !this.#over; await sleep(pauseMs))
      await this.#step(async () => {
        const vgpu = VICTIMS[random.below(VICTIMS.length)] ?? "b";
        const { pid, state } = await this.#broker.statusOf(vgpu);
        if (pid === null || state !== "running") return;
        this.#killed.set(vgpu, pid);
        process.kill(pid, "SIGKILL");
        this.#counts.instances++;
      });
  }

  async #looks(): Promise<void> {
    let next = performance.now() + this.#options.checkpointMs;
    while (!this.#over) {
      await sleep(200);
      if (performance.now() < next || this.#over) continue;
      await this.#gate.close();
      try {
        if (this.#failed === null) await this.#checkpoint();
      } catch (error) {
        this.#failed = error as Error;
        throw error;
      } finally {
        this.#gate.open();
      }
      next = performance.now() + this.#options.checkpointMs;
    }
  }

  /** All guests are out: looks at what is held once all vGPUs are at rest. */
  async #checkpoint(): Promise<void> {
    const instances = await this.#rest();
    const family = [this.#broker.process.pid];
    const all = parents();
    for (const pid of family)
      family.push(...[...all].filter(([, parent]) => parent === pid).map(([child]) => child));
    const pss: Record<string, number> = {};
    for (const pid of family) {
      const name = instances.get(pid) ?? (pid === this.#broker.process.pid ? "vgpud" : "others");
      pss[name] = (pss[name] ?? 0) + pssOf(pid);
    }
    const held: Held = {
      minutes: (performance.now() - this.#start) / 60_000,
      processes: family.length,
      descriptors: family.reduce((sum, pid) => sum + guestDescriptorsOf(pid), 0),
      pss,
    };
    this.#checkpoints.push(held);
    this.#options.report(this.#line(held));
  }

  #line(held: Held): string {
    const { done, crashed, lost, slow, instances } = this.#counts;
    const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
    const each = Object.entries(held.pss).map(([name, bytes]) => `${name} ${mib(bytes)}`);
    return (
      `${held.minutes.toFixed(1)} min: programs: ${done} done, ${crashed} crashed, ${lost} lost, ` +
      `${slow} too slow; ${instances} instances killed; PSS ${mib(totalPss(held))} MiB ` +
      `(${each.join(", ")}); ${held.descriptors} descriptors, ${held.processes} processes; ` +
      `load ${(loadavg()[0] ?? 0).toFixed(1)}, timers up to ${this.#lateness.take().toFixed(1)} s late`
    );
  }

  /** All vGPUs run, without a guest's contexts and memory. Gives the instances' names by process. */
  async #rest(): Promise<Map<number, string>> {
    const limit = performance.now() + REST_MS;
    for (;;) {
      const { vgpus } = await this.#broker.status();
      const rest = vgpus.every(({ state, device }) => {
        const memory = device?.memory as Record<string, unknown> | undefined;
        const contexts = device?.contexts;
        const none = Array.isArray(contexts) && contexts.length === 0;
        return state === "running" && none && memory?.allocated_bytes === 0;
      });
      if (rest) return new Map(vgpus.map(({ id, pid }) => [pid ?? -1, id]));
      if (performance.now() > limit)
        throw new Error(`guests are gone, and this stays: ${JSON.stringify(vgpus)}`);
      await sleep(100);
    }
  }
}

type Choose = (random: SeededRandom) => [command: string, args: string[]];

const example = (name: string): string => join(root, "guest-driver/build/bin", name);

/** Programs that check their own results, and their arguments. */
const PROGRAMS = new Map<string, Choose>([
  [
    "worker",
    (random) => [
      testProgram("worker"),
      [1 + random.below(20), 1, 1 + random.below(50)].map(String),
    ],
  ],
  ["vecadd", (random) => [example("vecadd"), [String(1 + random.below(1 << 20))]]],
  ["histogram", (random) => [example("histogram"), [String(1 + random.below(4))]]],
  ["sgemm", (random) => [example("sgemm"), [String(16 * (1 + random.below(12)))]]],
  ["cuda-nbody", (random) => [example("cuda-nbody"), [String(128 * (1 + random.below(8))), "2"]]],
]);

/** Runs a soak. Rejects at the first wrong result, and at what is still there at a checkpoint. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-soak-"));
  const broker = await startBroker({ vgpus: VGPUS, logPath: join(folder, "vgpud.log") });
  const running = new Soak(options, broker);
  try {
    return await running.run();
  } finally {
    running.close();
    await broker.stop();
  }
}

/** What a soak shows that must not be, as sentences. */
export function problems({ counts, checkpoints }: SoakResult): string[] {
  const found: string[] = [];
  const [first, last] = [checkpoints[0], checkpoints.at(-1)];
  if (first === undefined || last === undefined) return ["there was no checkpoint"];
  for (const [what, count] of Object.entries(counts))
    if (count === 0 && ["done", "crashed", "instances"].includes(what))
      found.push(`${what} is 0: it shows nothing`);
  for (const { minutes, processes } of checkpoints)
    if (processes !== first.processes)
      found.push(`after ${minutes.toFixed(1)} min: ${processes} processes, not ${first.processes}`);
  if (last.descriptors > first.descriptors)
    found.push(`${last.descriptors} descriptors, ${first.descriptors} at the start`);
  if (totalPss(last) - totalPss(first) > PSS_GROWTH_MAX)
    found.push(`PSS has grown from ${totalPss(first)} to ${totalPss(last)} bytes`);
  for (const name of ["vgpud", "a"]) {
    const growth = growthAfterWarmup(checkpoints, name);
    if (growth > STEADY_GROWTH_MAX)
      found.push(`PSS of ${name} has grown by ${growth} bytes after it was warm`);
  }
  return found;
}

/** Heaps of five processes settle. */
const PSS_GROWTH_MAX = 160 * 2 ** 20;
const STEADY_GROWTH_MAX = 16 * 2 ** 20;

/**
 * How much more a process that lives all the time takes in the last third than in the second, by the
 * least of each (a heap that is collected now and then goes up and down); 0 if there are too few looks.
 */
export function growthAfterWarmup(checkpoints: readonly Held[], name: string): number {
  const third = Math.floor(checkpoints.length / 3);
  if (third < 3) return 0;
  const least = (some: readonly Held[]): number =>
    Math.min(...some.map(({ pss }) => pss[name] ?? 0));
  return least(checkpoints.slice(-third)) - least(checkpoints.slice(-2 * third, -third));
}
