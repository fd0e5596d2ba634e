// SPDX-License-Identifier: Apache-2.0
/**
 * npm run fuzz -- [--list] [--seconds N] [--inputs N] [--target NAME] [--seed N] [--input FILE] [--native]
 *
 * Fuzzes all targets, N seconds each (default 10) or until so many inputs, or one. A crashing input is written to out/fuzz
 * and the exit status is 1. With --input a single input is run again.
 */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Command, InvalidArgumentError } from "commander";
import { systemRandom } from "../../src/io/random.js";
import { type FuzzResult, fuzz, isCrash, tryInput, verdict, writeCrash } from "./engine.js";
import { fuzzNative, fuzzUnguided, NATIVE_TARGETS } from "./native.js";
import type { FuzzTarget } from "./target.js";
import { CANARY, TARGETS } from "./targets.js";

interface Options {
  readonly list?: boolean;
  readonly seconds: number;
  readonly inputs?: number;
  readonly target?: string;
  readonly seed?: number;
  readonly input?: string;
  readonly native?: boolean;
  readonly unguided?: boolean;
}

const MIB = 2 ** 20;

function number(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new InvalidArgumentError("it is not a number");
  return value;
}

/** Memory growth can be told only after a collection. */
function exposeGc(): void {
  setFlagsFromString("--expose-gc");
  globalThis.gc = runInNewContext("gc") as NonNullable<typeof globalThis.gc>;
}

function chosen(name: string | undefined): readonly FuzzTarget[] {
  if (name === undefined) return TARGETS;
  const found = [...TARGETS, CANARY].filter((each) => each.name === name);
  if (found.length === 0) throw new Error(`there is no target '${name}': see --list`);
  return found;
}

function line(result: FuzzResult): string {
  const { inputs, cpuSeconds, outcomes, found, heapGrowth, before, after } = result;
  const mib = (bytes: number): string => (bytes / MIB).toFixed(0);
  return (
    `${result.target.padEnd(18)} ${inputs} inputs, ${Math.round(inputs / cpuSeconds)} per second of CPU, ` +
    `${outcomes} outcomes (${found} inputs kept), heap ${(heapGrowth / MIB).toFixed(1)} MiB, ` +
    `resident ${mib(before.residentBytes)} -> ${mib(after.residentBytes)} MiB, ` +
    `descriptors ${before.descriptors} -> ${after.descriptors}, ` +
    `${result.crash === null ? 0 : 1} crashes (seed ${result.seed})`
  );
}

async function fuzzOne(target: FuzzTarget, seed: number, options: Options): Promise<boolean> {
  let shown = 0;
  const { seconds, inputs: inputsMax } = options;
  const result = await fuzz(target, {
    seed,
    seconds: inputsMax === undefined ? seconds : Number.POSITIVE_INFINITY,
    ...(inputsMax === undefined ? {} : { inputsMax }),
    watch: true,
    progress: (inputs, elapsed, outcomes) => {
      if (elapsed < shown + 5) return;
      shown = elapsed;
      const rate = Math.round(inputs / elapsed);
      console.log(`  ${target.name}: ${inputs} inputs, ${rate}/s, ${outcomes} outcomes`);
    },
  });
  console.log(line(result));
  const problem = verdict(result);
  if (problem === null) return true;
  console.error(`${target.name}: ${problem}`);
  if (result.crash !== null) {
    console.error(result.crash.error.stack);
    console.error(`  ${writeCrash(result, result.crash)}`);
  }
  return false;
}

async function repeat(target: FuzzTarget, file: string): Promise<boolean> {
  const ended = await tryInput(target, readFileSync(file));
  target.close?.();
  if (isCrash(ended)) {
    console.error(ended.error.stack);
    return false;
  }
  console.log(`${target.name}: ${typeof ended === "string" ? ended : ended.join("; ")}`);
  return true;
}

async function main(options: Options): Promise<boolean> {
  if (options.list) {
    for (const { name, parses } of [...TARGETS, CANARY])
      console.log(`${name.padEnd(18)} ${parses}`);
    for (const { name, parses } of NATIVE_TARGETS)
      console.log(`${name.padEnd(18)} ${parses} (--native)`);
    return true;
  }
  const seed = options.seed ?? systemRandom.u32();
  if (options.native) {
    if (options.unguided) return fuzzUnguided(options.inputs ?? 100_000, seed, options.target);
    console.log(`seed ${seed}, ${options.seconds} s each`);
    return fuzzNative(options.seconds, seed, options.target);
  }
  const targets = chosen(options.target);
  const [first] = targets;
  if (options.input !== undefined) {
    if (options.target === undefined || first === undefined)
      throw new Error("--input needs --target");
    return repeat(first, options.input);
  }
  exposeGc();
  const each = options.inputs === undefined ? `${options.seconds} s` : `${options.inputs} inputs`;
  console.log(`seed ${seed}, ${each} each`);
  let good = true;
  for (const target of targets) good = (await fuzzOne(target, seed, options)) && good;
  return good;
}

const program = new Command("fuzz")
  .description("feeds the parsers of guest data with mutated inputs")
  .option("--list", "list the targets")
  .option("--seconds <n>", "seconds for each target", number, 10)
  .option("--inputs <n>", "so many inputs for each target instead, however long it takes", number)
  .option("--target <name>", "only this one")
  .option("--seed <n>", "repeats a run", number)
  .option("--native", "the targets in C and C++, with libFuzzer and sanitizers")
  .option("--unguided", "with --native: as without libFuzzer, so many inputs as --inputs says")
  .option("--input <file>", "run one input of a target");
program.parse();
try {
  process.exit((await main(program.opts<Options>())) ? 0 : 1);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(2);
}
