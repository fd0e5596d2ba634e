// SPDX-License-Identifier: Apache-2.0
/**
 * npm run soak -- [--seconds N] [--seed N] [--json FILE]
 *
 * See soak.ts. Prints a line a minute and a summary; the exit status is 1 if something was found.
 */
import { writeFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { systemRandom } from "../../src/io/random.js";
import { growthAfterWarmup, problems, soak, totalPss } from "./soak.js";

function number(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError("it is not a number");
  return value;
}

interface Options {
  readonly seconds: number;
  readonly seed?: number;
  readonly json?: string;
}

const program = new Command("soak")
  .description("guests that start, compute, crash and restart at random, on four vGPUs")
  .option("--seconds <n>", "how long", number, 60)
  .option("--seed <n>", "repeats the programs and kills of a run", number)
  .option("--json <file>", "write what was held at each checkpoint");
program.parse();
const { seconds, json, seed = systemRandom.u32() } = program.opts<Options>();
const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

console.log(`soak: ${seconds} s, seed ${seed}`);
try {
  const checkpointMs = Math.min(60_000, (seconds * 1000) / 4);
  const result = await soak({ seconds, seed, checkpointMs, report: (line) => console.log(line) });
  if (json !== undefined) writeFileSync(json, `${JSON.stringify({ seed, ...result }, null, 1)}\n`);
  const { checkpoints, counts } = result;
  const [first, last] = [checkpoints[0], checkpoints.at(-1)];
  if (first === undefined || last === undefined) throw new Error("there was no checkpoint");
  console.log("programs:", counts);
  console.log(`PSS ${mib(totalPss(first))} -> ${mib(totalPss(last))}`);
  for (const name of ["vgpud", "a"])
    console.log(`PSS of ${name} once warm: ${mib(growthAfterWarmup(checkpoints, name))} more`);
  console.log(`descriptors ${first.descriptors} -> ${last.descriptors}`);
  console.log(`processes ${first.processes} -> ${last.processes}`);
  const found = problems(result);
  for (const each of found) console.error(`soak: ${each}`);
  console.log(found.length === 0 ? "soak: nothing found" : `soak: ${found.length} problems`);
  process.exitCode = found.length === 0 ? 0 : 1;
} catch (error) {
  console.error(`soak: ${error instanceof Error ? error.message : error} (seed ${seed})`);
  process.exitCode = 1;
}
