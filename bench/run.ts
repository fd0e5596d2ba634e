// SPDX-License-Identifier: Apache-2.0
/**
 * `npm run bench -- SUITE [--json FILE]`: our path beside plain Dawn, interleaved in one run
 * (beside.ts), how several guests share one GPU (sharing.ts), or what a start and an idle device
 * cost (footprint.ts). `npm run bench -- compare A B` tells whether two commits differ.
 */
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { dirname, join, resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { measure, type Result } from "./beside.js";
import { compare } from "./compare.js";
import { SHARING, type SharingResult, type SharingSuite } from "./sharing.js";
import { SUITES } from "./suites.js";

const root = new URL("..", import.meta.url).pathname;
/** Suites in this process, with Dawn: loaded only when they are asked for. */
const HERE: Readonly<Record<string, SharingSuite>> = {
  cuda: async ({ quick }) => (await import("./cuda.js")).cuda({ quick }),
};
const NAMES = [...Object.keys(SUITES), ...Object.keys(SHARING), ...Object.keys(HERE)];

interface Options {
  readonly json?: string;
  readonly record?: boolean;
  readonly rounds: number;
  readonly executor: string;
  readonly quick?: boolean;
  readonly only?: string;
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
    const plain = r.ratio_plain === undefined ? "" : ` (await: ${r.ratio_plain})`;
    process.stdout.write(`${row([r.name, r.unit, ...numbers, r.native_way])}${plain}\n`);
  }
}

/** The results of a suite about sharing, or of one beside native Dawn; these are printed here. */
async function resultsOf(
  name: string,
  options: Options,
): Promise<{ results: readonly (Result | SharingResult)[]; adapter: string }> {
  const sharing = SHARING[name] ?? HERE[name];
  if (sharing !== undefined) {
    const { results, adapter } = await sharing({
      quick: options.quick === true,
      executor: options.executor,
    });
    for (const { name: each, median: value, unit, ratio } of results) {
      const beside = ratio === undefined ? "" : `, ${ratio} of native`;
      process.stdout.write(`${each.padEnd(36)}${String(value).padStart(13)} ${unit}${beside}\n`);
    }
    return { results, adapter };
  }
  const suite = SUITES[name];
  if (suite === undefined) {
    throw new InvalidArgumentError(`there is no suite "${name}": ${NAMES.join(", ")}`);
  }
  const chosen = suite.filter((each) => each.name.includes(options.only ?? ""));
  if (chosen.length === 0)
    throw new InvalidArgumentError(
      `suite "${name}" has no "${options.only}": ${suite.map((each) => each.name).join(", ")}`,
    );
  const measured = await measure(chosen, options);
  print(measured.results);
  return measured;
}

function writeJson(options: Pick<Options, "json">, report: object): void {
  if (options.json === undefined) return;
  const file = resolve(process.env.INIT_CWD ?? ".", options.json);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
}

async function run(name: string, options: Options): Promise<void> {
  const { results, adapter } = await resultsOf(name, options);
  const report = {
    suite: name,
    executor: options.executor,
    ...(options.quick === true ? { quick: true } : {}),
    ...(options.only === undefined ? {} : { only: options.only }),
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
  writeJson(options, report);
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

function compareCommits(a: string, b: string, options: Options & { suite: string }): void {
  if (SUITES[options.suite] === undefined)
    throw new InvalidArgumentError(
      `suite "${options.suite}" can't be compared: ${Object.keys(SUITES).join(", ")}`,
    );
  const found = compare(a, b, options);
  for (const each of found)
    process.stdout.write(
      `${each.name.padEnd(28)} a ${each.a}  b ${each.b}  b/a ${each.change}  z ${each.z}  ${each.verdict}\n`,
    );
  writeJson(options, { compared: [a, b], suite: options.suite, results: found });
}

const program = new Command("bench")
  .description("Measures our path beside plain Dawn in one run, or how guests share a GPU.")
  .enablePositionalOptions()
  .addHelpText("after", `\nSuites: ${NAMES.join(", ")}; "bench SUITE --help" lists their options.`);
program
  .command("suite", { isDefault: true, hidden: true })
  .argument("<suite>", NAMES.join(", "))
  .option("--json <file>", "write the results there")
  .option("--rounds <n>", "rounds of all measurements", positive, 10)
  .option("--executor <kind>", "dawn, or null for our own overhead alone", "dawn")
  .option("--quick", "suites about sharing and startup: shorter, for a first look")
  .option("--only <text>", "suites beside native: measurements whose name has this in it")
  .option("--record", "append the results to bench/records")
  .action(run);
program
  .command("compare")
  .description("tells whether two commits differ: ratios to native of rounds by turns")
  .argument("<a>", "a commit")
  .argument("<b>", "another")
  .option("--suite <name>", "which suite", "latency")
  .option("--rounds <n>", "runs of each", positive, 10)
  .option("--executor <kind>", "dawn or null", "dawn")
  .option("--json <file>", "write the results there")
  .action(compareCommits);
await program
  .parseAsync()
  .then(() => process.exit(0))
  .catch((error: unknown) => {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(error instanceof InvalidArgumentError ? 2 : 1);
  });
