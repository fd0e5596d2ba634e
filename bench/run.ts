// SPDX-License-Identifier: Apache-2.0
/**
 * `npm run bench -- SUITE [--json FILE]`: our path beside plain Dawn, interleaved in one run, or
 * (sharing.ts) how several guests share one GPU.
 *
 * Machines are shared and noisy, so only ratios within one run mean something. Each round asks each
 * side in turn for some samples of each measurement; native is the fastest of its ways of waiting.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { median, quantileSorted } from "simple-statistics";
import { LineProcess } from "./line-process.js";
import { SHARING, type SharingResult } from "./sharing.js";
import { type Measurement, SUITES } from "./suites.js";

const root = new URL("..", import.meta.url).pathname;
const WAYS = ["await", "tick", "poller"] as const;
const START_MS = 30_000;
/** Samples left out after each change of sides: the other side has had caches and cores. */
const SETTLE = 3;
const NAMES = [...Object.keys(SUITES), ...Object.keys(SHARING)];

interface Options {
  readonly json?: string;
  readonly record?: boolean;
  readonly rounds: number;
  readonly executor: string;
  readonly quick?: boolean;
}

export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly p99: number;
  readonly native_median: number;
  readonly native_p99: number;
  readonly native_way: string;
  readonly ratio: number;
  readonly samples: number;
}

/** A sample in ns as the unit wants it. */
function inUnit(ns: number, measurement: Measurement): number {
  switch (measurement.unit) {
    case "us":
      return ns / 1e3;
    case "launches/s":
      return 1e9 / ns;
    case "GB/s":
      return measurement.bytes / ns;
  }
}

function samplesOf(answer: Record<string, unknown>, who: string): number[] {
  const { samples } = answer;
  if (!Array.isArray(samples) || samples.length === 0) {
    throw new Error(`${who} gave no samples: ${JSON.stringify(answer)}`);
  }
  return samples.map(Number);
}

/** The slow end: for times the 99th percentile, for rates the 1st. */
function slowEnd(values: readonly number[], measurement: Measurement): number {
  const sorted = [...values].sort((a, b) => a - b);
  return quantileSorted(sorted, measurement.unit === "us" ? 0.99 : 0.01);
}

async function waitForSocket(path: string, child: ChildProcess): Promise<void> {
  for (let waitedMs = 0; waitedMs < START_MS; waitedMs += 20) {
    if (existsSync(path)) {
      return;
    }
    if (child.exitCode !== null) {
      throw new Error(`vgpu-instance has ended with status ${child.exitCode}`);
    }
    await new Promise((done) => setTimeout(done, 20));
  }
  throw new Error(`vgpu-instance does not listen at ${path} within ${START_MS} ms`);
}

async function measure(
  suite: readonly Measurement[],
  options: Options,
): Promise<{ results: Result[]; adapter: string }> {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-bench-"));
  const socket = join(folder, "vgpu.sock");
  const instance = spawn(
    process.execPath,
    [
      join(root, "dist/cli/vgpu-instance.js"),
      `--socket-path=${socket}`,
      `--executor=${options.executor}`,
      "--log-level=warn",
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  const started: LineProcess[] = [];
  try {
    await waitForSocket(socket, instance);
    const lib = join(root, "guest-driver/build/lib");
    const env: NodeJS.ProcessEnv = { ...process.env, VGPU_DEVICE: `unix:${socket}` };
    env.LD_LIBRARY_PATH = [lib, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
    const ours = new LineProcess(
      "vgpu-bench",
      join(root, "guest-driver/build/bin/vgpu-bench"),
      ["--serve"],
      env,
    );
    started.push(ours);
    const tsx = join(root, "node_modules/.bin/tsx");
    const native = new LineProcess(
      "native Dawn",
      tsx,
      [join(root, "bench/native-dawn.ts")],
      process.env,
    );
    started.push(native);
    const { adapter } = await native.next();
    const results = await rounds(suite, options.rounds, ours, native);
    return { results, adapter: String(adapter) };
  } finally {
    for (const process of started) {
      process.stop();
    }
    instance.kill("SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  }
}

async function rounds(
  suite: readonly Measurement[],
  count: number,
  ours: LineProcess,
  native: LineProcess,
): Promise<Result[]> {
  const all = suite.map((measurement) => ({
    measurement,
    ours: [] as number[],
    native: new Map<string, number[]>(WAYS.map((way) => [way, []])),
  }));
  for (let round = -1; round < count; round++) {
    for (const { measurement: m, ours: mine, native: theirs } of all) {
      // The first round warms up: pipelines, buffers, page tables.
      const n = SETTLE + (round < 0 ? 2 : m.samples);
      const sample = samplesOf(await ours.ask(`run ${m.ours} n=${n}`), "vgpu-bench");
      if (round >= 0) {
        mine.push(...sample.slice(SETTLE).map((ns) => inUnit(ns, m)));
      }
      for (const way of WAYS) {
        const answer = await native.ask(`run ${m.native} ${way} ${n} ${m.bytes}`);
        if (round >= 0) {
          theirs.get(way)?.push(
            ...samplesOf(answer, "native Dawn")
              .slice(SETTLE)
              .map((ns) => inUnit(ns, m)),
          );
        }
      }
    }
    process.stderr.write(round < 0 ? "warm-up done\n" : `round ${round + 1} of ${count}\n`);
  }
  return all.map((each) => summarise(each.measurement, each.ours, each.native));
}

function summarise(m: Measurement, ours: number[], native: Map<string, number[]>): Result {
  let way = "";
  let best: number[] = [];
  for (const [candidate, values] of native) {
    const better =
      m.unit === "us"
        ? median(values) < median(best.length > 0 ? best : [Infinity])
        : median(values) > median(best.length > 0 ? best : [0]);
    if (better) {
      way = candidate;
      best = values;
    }
  }
  const round = (value: number): number => Number(value.toPrecision(5));
  return {
    name: m.name,
    unit: m.unit,
    median: round(median(ours)),
    p99: round(slowEnd(ours, m)),
    native_median: round(median(best)),
    native_p99: round(slowEnd(best, m)),
    native_way: way,
    ratio: round(median(ours) / median(best)),
    samples: ours.length,
  };
}

function git(...args: string[]): string {
  try {
    return execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

function print(results: readonly Result[]): void {
  const row = (cells: readonly string[]): string =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(26) : cell.padStart(13))).join("");
  process.stdout.write(
    `${row(["", "unit", "ours", "native", "ratio", "p99", "native p99", "way"])}\n`,
  );
  for (const r of results) {
    const numbers = [r.median, r.native_median, r.ratio, r.p99, r.native_p99].map(String);
    process.stdout.write(`${row([r.name, r.unit, ...numbers, r.native_way])}\n`);
  }
}

/** The results of a suite about sharing, or of one beside native Dawn; these are printed here. */
async function resultsOf(
  name: string,
  options: Options,
): Promise<{ results: readonly (Result | SharingResult)[]; adapter: string }> {
  const sharing = SHARING[name];
  if (sharing !== undefined) {
    const { results, adapter } = await sharing({
      quick: options.quick === true,
      executor: options.executor,
    });
    for (const { name: each, median: value, unit } of results)
      process.stdout.write(`${each.padEnd(28)}${String(value).padStart(13)} ${unit}\n`);
    return { results, adapter };
  }
  const suite = SUITES[name];
  if (suite === undefined) {
    throw new InvalidArgumentError(`there is no suite "${name}": ${NAMES.join(", ")}`);
  }
  const measured = await measure(suite, options);
  print(measured.results);
  return measured;
}

async function run(name: string, options: Options): Promise<void> {
  const { results, adapter } = await resultsOf(name, options);
  const report = {
    suite: name,
    executor: options.executor,
    ...(options.quick === true ? { quick: true } : {}),
    adapter,
    commit: git("rev-parse", "--short", "HEAD"),
    node: process.version,
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      memory_gib: Math.round(totalmem() / 2 ** 30),
    },
    date: new Date().toISOString(),
    results,
  };
  if (options.json !== undefined) {
    const file = resolve(process.env.INIT_CWD ?? ".", options.json);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  }
  if (options.record === true) {
    const file = join(root, `bench/records/${name}.ndjson`);
    mkdirSync(dirname(file), { recursive: true });
    appendFileSync(file, `${JSON.stringify(report)}\n`);
  }
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new InvalidArgumentError("a whole number from 1 is needed");
  }
  return value;
}

await new Command("bench")
  .description("Measures our path beside plain Dawn in one run, or how guests share a GPU.")
  .argument("<suite>", NAMES.join(", "))
  .option("--json <file>", "write the results there")
  .option("--rounds <n>", "rounds of all measurements", positive, 10)
  .option("--executor <kind>", "dawn, or null for our own overhead alone", "dawn")
  .option("--quick", "suites about sharing: windows of seconds, for a first look")
  .option("--record", "append the results to bench/records")
  .action(run)
  .parseAsync()
  .then(() => process.exit(0))
  .catch((error: unknown) => {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(error instanceof InvalidArgumentError ? 2 : 1);
  });
