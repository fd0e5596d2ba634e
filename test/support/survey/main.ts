// SPDX-License-Identifier: Apache-2.0
/**
 * How many kernels of a collection of CUDA sources translate, and compile on the machine's Vulkan
 * driver, and what the others lack. A pipeline is created for each kernel and launched without a
 * workgroup, so that the driver compiles it to machine code. A kernel with more shared memory than
 * the GPU has is compiled with as much as it has, and counted as such.
 *
 *   node --import tsx test/support/survey/main.ts [--seconds N] [--only PATTERN] [--json FILE] PATH...
 *
 * PATH is a .ptx file or a folder with such. To make them of sources, where nvcc is installed:
 *
 *   nvcc -ptx -arch=compute_75 -o DIR/NAME.ptx NAME.cu
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { Command } from "commander";
import { Patience } from "../patience.js";
import { type Feature, featuresOf, OUT_OF_SCOPE } from "./features.js";
import type { Job, WorkerLine } from "./worker.js";

/** Shapes of blocks to compile for, unless the kernel asks for one. */
const LINE = [256, 1, 1] as const;
const PLANE = [32, 8, 1] as const;

const WORKER = new URL("./worker.ts", import.meta.url).pathname;

export interface Surveyed extends Job {
  readonly features: readonly Feature[];
  readonly result: WorkerLine;
}

function ptxFiles(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ptx"))
    .sort()
    .map((name) => join(path, name));
}

/** Runs the jobs from `first` on until the worker ends; the number of the next one to run. */
async function runFrom(
  list: string,
  first: number,
  seconds: number,
  results: WorkerLine[],
): Promise<number> {
  const args = ["--import", "tsx", WORKER, list, String(first)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "exit");
  let noise = "";
  child.stderr.on("data", (data) => {
    noise = (noise + String(data)).slice(-500);
  });
  let isLate = false;
  const patience = new Patience(seconds, () => {
    isLate = true;
    child.kill("SIGKILL");
  });
  let current = first - 1;
  for await (const text of createInterface({ input: child.stdout })) {
    if (!text.startsWith("{")) continue;
    const line = JSON.parse(text) as WorkerLine;
    patience.heard();
    current = line.job;
    if (line.stage !== null) results[line.job] = line;
  }
  patience.end();
  const [code, signal] = await ended;
  if (current < first) throw new Error(`the worker does not start: ${noise}`);
  if (results[current] === undefined) {
    results[current] = isLate
      ? { job: current, stage: "time", reason: `not compiled within ${seconds} s` }
      : { job: current, stage: "driver", reason: `the process ended with ${signal ?? code}` };
  }
  return current + 1;
}

async function runAll(jobs: readonly Job[], seconds: number): Promise<WorkerLine[]> {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-survey-"));
  try {
    const list = join(folder, "jobs.json");
    writeFileSync(list, JSON.stringify(jobs));
    const results: WorkerLine[] = [];
    for (let next = 0; next < jobs.length; ) next = await runFrom(list, next, seconds, results);
    return results;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Of the kernels whose name `only` matches. */
export async function survey(
  paths: readonly string[],
  seconds: number,
  only = /./,
): Promise<Surveyed[]> {
  const jobs: (Job & { features: readonly Feature[] })[] = [];
  for (const file of paths.flatMap(ptxFiles)) {
    for (const [kernel, features] of featuresOf(readFileSync(file, "utf8"))) {
      if (only.test(kernel)) jobs.push({ file, kernel, block: LINE, features: [...features] });
    }
  }
  const results = await runAll(jobs, seconds);
  // A kernel written for a plane of threads may be one that no driver ends compiling for a line.
  const again = jobs.flatMap((_, i) => (/time|driver/.test(results[i]?.stage ?? "") ? [i] : []));
  const second = await runAll(
    again.map((i) => ({ ...jobs[i], block: PLANE }) as Job),
    seconds,
  );
  again.forEach((i, k) => {
    if (second[k]?.stage === "ok") results[i] = { ...second[k], job: i };
  });
  return jobs.map((job, i) => ({
    ...job,
    result: results[i] ?? { job: i, stage: "driver", reason: "not run" },
  }));
}

/** In scope but refused for now, whatever else the kernel does. */
const LAUNCHES: Feature = "dynamic parallelism";

const inScope = ({ features }: Surveyed): boolean =>
  !features.some((feature) => OUT_OF_SCOPE.includes(feature));

/** The table, and below it every kernel in scope that fails and the reasons of the others. */
export function report(all: readonly Surveyed[]): string {
  const row = (name: string, of: readonly Surveyed[]): string => {
    const translated = of.filter(({ result }) => !/^(parse|translate)$/.test(result.stage ?? ""));
    const compiled = of.filter(({ result }) => result.stage === "ok");
    const cut = compiled.filter(({ result }) => result.isCut === true);
    const share = of.length === 0 ? "" : `${((100 * compiled.length) / of.length).toFixed(1)} %`;
    const counts = [of.length, translated.length, compiled.length, cut.length];
    return `| ${name} | ${counts.join(" | ")} | ${share} |`;
  };
  const scope = all.filter(inScope);
  const lines = [
    "| kernels | all | translated | compiled | of these with less shared memory | share |",
    "|---|---|---|---|---|---|",
    row("all", all),
    row(`without ${OUT_OF_SCOPE.join(", ")}`, scope),
    row(
      `of these without ${LAUNCHES}`,
      scope.filter(({ features }) => !features.includes(LAUNCHES)),
    ),
    ...[...new Set(all.flatMap(({ features }) => features))].map((feature) =>
      row(
        `with ${feature}`,
        all.filter(({ features }) => features.includes(feature)),
      ),
    ),
    "",
  ];
  const failed = all.filter(({ result }) => result.stage !== "ok");
  for (const each of [...failed.filter(inScope), ...failed.filter((one) => !inScope(one))]) {
    const { file, kernel, features, result } = each;
    const where = `${inScope(each) ? "in" : "out of"} scope: ${basename(file, ".ptx")}: ${kernel}`;
    const what = features.length === 0 ? "" : ` (${features.join(", ")})`;
    lines.push(`${where}${what}: ${result.stage}: ${result.reason ?? ""}`);
  }
  return lines.join("\n");
}

async function main(): Promise<void> {
  const program = new Command("survey")
    .argument("<paths...>", ".ptx files and folders of them")
    .option("--seconds <n>", "for one kernel", Number, 60)
    .option("--only <pattern>", "kernels by their name", (text) => new RegExp(text))
    .option("--json <file>", "write every kernel's result")
    .parse();
  const { seconds, only, json } = program.opts<{
    seconds: number;
    only?: RegExp;
    json?: string;
  }>();
  const all = await survey(program.args, seconds, only);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(all, null, 1)}\n`);
  console.log(report(all));
}

if (process.argv[1] === import.meta.filename) await main();
