// SPDX-License-Identifier: Apache-2.0
/**
 * Our path beside plain Dawn, interleaved in one run. Machines are shared and noisy, so only ratios
 * within one run mean something. Each round asks each side in turn for some samples of each
 * measurement; native is the fastest of its ways of waiting.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { median, quantileSorted } from "simple-statistics";
import { LineProcess } from "./line-process.js";
import type { Measurement } from "./suites.js";
import { WORKLOADS, writeWorkload } from "./workloads.js";

const root = new URL("..", import.meta.url).pathname;
const WAYS = ["await", "tick", "poller"] as const;
const START_MS = 30_000;
const RELAY_BYTES = 4096;
/** Share of samples left out after each change of sides: the other side has had caches and cores. */
const SETTLE_SHARE = 0.2;
const SETTLE_MIN = 3;
/** Each side warms up for so long at least: V8 compiles a launch's path for good after some thousands. */
const WARM_UP_MS = 1000;
/** The results of a workload may differ by this share: the order of sums is the compiler's. */
const SUM_ERROR_MAX = 1e-3;

export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly p99: number;
  readonly native_median: number;
  readonly native_p99: number;
  readonly native_way: string;
  readonly ratio: number;
  /** Against plain `await`, where that is not the fastest way. */
  readonly ratio_plain?: number;
  readonly samples: number;
}

export interface BesideOptions {
  readonly rounds: number;
  readonly executor: string;
}

interface Answer {
  readonly samples: readonly number[];
  readonly sum: number;
}

async function ask(side: LineProcess, line: string, who: string): Promise<Answer> {
  const { samples, sum } = await side.ask(line);
  if (!Array.isArray(samples) || samples.length === 0)
    throw new Error(`${who} gives no samples for "${line}"`);
  return { samples: samples.map(Number), sum: Number(sum ?? 0) };
}

/** A sample in ns as the unit wants it. */
function inUnit(ns: number, measurement: Measurement): number {
  switch (measurement.unit) {
    case "us":
      return ns / 1e3;
    case "ms":
      return ns / 1e6;
    case "launches/s":
      return 1e9 / ns;
    case "GB/s":
      return measurement.bytes / ns;
  }
}

function isTime({ unit }: Measurement): boolean {
  return unit === "us" || unit === "ms";
}

/** The slow end: for times the 99th percentile, for rates the 1st. */
function slowEnd(values: readonly number[], measurement: Measurement): number {
  const sorted = [...values].sort((a, b) => a - b);
  return quantileSorted(sorted, isTime(measurement) ? 0.99 : 0.01);
}

async function waitForSocket(path: string, child: ChildProcess): Promise<void> {
  for (let waitedMs = 0; waitedMs < START_MS; waitedMs += 2) {
    if (existsSync(path)) return;
    if (child.exitCode !== null)
      throw new Error(`vgpu-instance has ended with status ${child.exitCode}`);
    await new Promise((done) => setTimeout(done, 2));
  }
  throw new Error(`vgpu-instance does not listen at ${path} within ${START_MS} ms`);
}

/** A device of its own with a client. */
export class Ours {
  private constructor(
    readonly instance: ChildProcess,
    readonly client: LineProcess,
  ) {}

  static async start(folder: string, executor: string): Promise<Ours> {
    const socket = join(folder, `${executor}.sock`);
    const instance = spawn(
      process.execPath,
      [
        join(root, "dist/cli/vgpu-instance.js"),
        `--socket-path=${socket}`,
        `--executor=${executor}`,
        "--log-level=warn",
      ],
      { stdio: ["ignore", "inherit", "inherit"] },
    );
    await waitForSocket(socket, instance);
    return new Ours(instance, client(socket));
  }

  stop(): void {
    this.client.stop();
    this.instance.kill("SIGTERM");
  }
}

function client(socket: string): LineProcess {
  const lib = join(root, "guest-driver/build/lib");
  const env: NodeJS.ProcessEnv = { ...process.env, VGPU_DEVICE: `unix:${socket}` };
  env.LD_LIBRARY_PATH = [lib, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  const program = join(root, "guest-driver/build/bin/vgpu-bench");
  return new LineProcess("vgpu-bench", program, ["--serve"], env);
}

/** The reference; with a page (bench-relay.h) other processes may ask it for work. */
export function startNative(relay?: string): LineProcess {
  const tsx = join(root, "node_modules/.bin/tsx");
  const args = [join(root, "bench/native-dawn.ts"), ...(relay === undefined ? [] : [relay])];
  return new LineProcess("native Dawn", tsx, args, process.env);
}

/** A page for {@link startNative}, and the pipe beside it. */
function makeRelay(folder: string): string {
  const path = join(folder, "relay");
  writeFileSync(path, new Uint8Array(RELAY_BYTES));
  execFileSync("mkfifo", [`${path}.bell`]);
  return path;
}

export async function measure(
  suite: readonly Measurement[],
  options: BesideOptions,
): Promise<{ results: Result[]; adapter: string }> {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-bench-"));
  const stops: (() => void)[] = [];
  try {
    const device = await Ours.start(folder, options.executor);
    stops.push(() => device.stop());
    let overhead: Ours | null = null;
    if (suite.some((each) => each.by === "null") && options.executor !== "null") {
      overhead = await Ours.start(folder, "null");
      const second = overhead;
      stops.push(() => second.stop());
    }
    const relay = suite.some((each) => each.floor !== undefined) ? makeRelay(folder) : undefined;
    const native = startNative(relay);
    stops.push(() => native.stop());
    const { adapter } = await native.next();
    const sides = { device: device.client, null: (overhead ?? device).client, native };
    const rounds = new Rounds(suite, sides, folder, relay ?? "");
    if (options.executor !== "null") await rounds.checkWorkloads();
    for (let round = -1; round < options.rounds; round++) {
      await rounds.run(round < 0);
      process.stderr.write(
        round < 0 ? "warm-up done\n" : `round ${round + 1} of ${options.rounds}\n`,
      );
    }
    return { results: rounds.results(), adapter: String(adapter) };
  } finally {
    for (const stop of stops) stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Sides {
  readonly device: LineProcess;
  readonly null: LineProcess;
  readonly native: LineProcess;
}

class Rounds {
  readonly #sides: Sides;
  readonly #relay: string;
  readonly #all: {
    readonly measurement: Measurement;
    readonly program: string;
    readonly ours: number[];
    readonly native: Map<string, number[]>;
    readonly floor: Map<string, number[]>;
  }[];

  constructor(suite: readonly Measurement[], sides: Sides, folder: string, relay: string) {
    this.#sides = sides;
    this.#relay = relay;
    this.#all = suite.map((measurement) => {
      const workload = WORKLOADS.find(({ name }) => name === measurement.workload);
      return {
        measurement,
        program: workload === undefined ? "" : writeWorkload(workload, folder),
        ours: [],
        native: new Map(),
        floor: new Map(),
      };
    });
  }

  #askOurs(m: Measurement, program: string, n: number): Promise<Answer> {
    const words = m.ours.replace("PROGRAM", program);
    return ask(this.#sides[m.by], `run ${words} n=${n}`, "vgpu-bench");
  }

  #askNative(m: Measurement, program: string, way: string, n: number): Promise<Answer> {
    if (m.native === "eventfd") return ask(this.#sides[m.by], `run eventfd n=${n}`, "vgpu-bench");
    return ask(this.#sides.native, `run ${nativeWords(m.native, program, way, n)}`, "native Dawn");
  }

  /** The client asks the bare process for `n` times the work: what the client saw. */
  async #askFloor(m: Measurement, program: string, way: string, n: number): Promise<Answer> {
    if (m.native === "eventfd" || m.floor === undefined) throw new Error(`${m.name} has no floor`);
    const serving = `relay ${nativeWords(m.native, program, way, n)}`;
    const words = `run ${m.floor.replace("RELAY", this.#relay)} n=${n}`;
    const [, seen] = await Promise.all([
      ask(this.#sides.native, serving, "native Dawn"),
      ask(this.#sides[m.by], words, "vgpu-bench"),
    ]);
    return seen;
  }

  /** After the same steps from the same start, both sides have the same result. */
  async checkWorkloads(): Promise<void> {
    for (const { measurement, program } of this.#all) {
      if (program === "") continue;
      const ours = await this.#askOurs(measurement, program, 2);
      const native = await this.#askNative(measurement, program, "await", 2);
      const error = Math.abs(ours.sum - native.sum) / Math.abs(native.sum);
      if (error <= SUM_ERROR_MAX) continue;
      throw new Error(`${measurement.name} comes to ${ours.sum}, native Dawn to ${native.sum}`);
    }
  }

  async run(isWarmUp: boolean): Promise<void> {
    for (const { measurement: m, program, ours, native, floor } of this.#all) {
      const settle = Math.max(SETTLE_MIN, Math.ceil(m.samples * SETTLE_SHARE));
      const turn = async (
        askSide: (n: number) => Promise<Answer>,
        into: number[],
      ): Promise<void> => {
        const begin = performance.now();
        do {
          const { samples } = await askSide(settle + m.samples);
          if (!isWarmUp) for (const ns of samples.slice(settle)) into.push(inUnit(ns, m));
        } while (isWarmUp && performance.now() - begin < WARM_UP_MS);
      };
      await turn((n) => this.#askOurs(m, program, n), ours);
      for (const way of m.native === "eventfd" ? ["eventfd"] : WAYS) {
        if (m.native !== "eventfd" && m.native.name === "encode" && way !== "await") continue;
        const into = native.get(way) ?? [];
        native.set(way, into);
        await turn((n) => this.#askNative(m, program, way, n), into);
        if (m.floor === undefined) continue;
        const seen = floor.get(way) ?? [];
        floor.set(way, seen);
        await turn((n) => this.#askFloor(m, program, way, n), seen);
      }
    }
  }

  results(): Result[] {
    return this.#all.flatMap(({ measurement: m, ours, native, floor }) => {
      const ways = fastest(m, native);
      const result = { ...summarise(m, m.name, ours, ways), ...plainRatio(m, ours, native) };
      if (m.floor === undefined) return [result];
      const least = fastest(m, floor);
      return [
        result,
        summarise(m, `floor_${m.name}`, least.values, ways),
        summarise(m, `over_floor_${m.name}`, ours, least),
      ];
    });
  }
}

function nativeWords(
  native: { readonly name: string; readonly arguments: string },
  program: string,
  way: string,
  n: number,
): string {
  return `${native.name} ${way} ${n} ${native.arguments.replace("PROGRAM", program)}`;
}

interface Way {
  readonly way: string;
  readonly values: readonly number[];
}

/** The fastest of the ways of waiting, by their medians. */
function fastest(m: Measurement, by: ReadonlyMap<string, readonly number[]>): Way {
  const ranked = [...by].map(([way, values]) => ({ way, values, median: median([...values]) }));
  ranked.sort((a, b) => (isTime(m) ? a.median - b.median : b.median - a.median));
  const best = ranked[0];
  if (best === undefined) throw new Error(`${m.name} was not measured`);
  return best;
}

function round(value: number): number {
  return Number(value.toPrecision(5));
}

/** `values` beside those of a reference. */
function summarise(m: Measurement, name: string, values: readonly number[], beside: Way): Result {
  const [own, reference] = [median([...values]), median([...beside.values])];
  return {
    name,
    unit: m.unit,
    median: round(own),
    p99: round(slowEnd(values, m)),
    native_median: round(reference),
    native_p99: round(slowEnd(beside.values, m)),
    native_way: beside.way,
    ratio: round(own / reference),
    samples: values.length,
  };
}

/** A workload is compared with plain `await` too. */
function plainRatio(
  m: Measurement,
  ours: readonly number[],
  native: ReadonlyMap<string, readonly number[]>,
): { ratio_plain?: number } {
  const plain = native.get("await");
  if (m.workload === undefined || plain === undefined) return {};
  return { ratio_plain: round(median([...ours]) / median([...plain])) };
}
