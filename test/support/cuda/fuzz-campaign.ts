// SPDX-License-Identifier: Apache-2.0
/**
 * Many random PTX programs with f64, GPU against interpreter, for hours: short ones, each on many
 * inputs, with a software driver's compiler told to spend as little as it can.
 *
 *   node --import tsx test/support/cuda/fuzz-campaign.ts FROM TO
 *
 * Prints a line of JSON for each difference and, after every batch, one for all so far; ends with 1
 * if there was a difference. A batch runs in a process of its own: a driver that crashes costs
 * its program, and a process does not grow with the programs that it has compiled.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Patience } from "../patience.js";
import { CAMPAIGN, fuzzOnGpu } from "./fuzz.js";

const BATCH = 200;
/** Longer than any program takes on a busy machine: then it hangs. */
const PROGRAM_S = 120;

const [from, to, isChild] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];
if (!(from >= 0 && to >= from)) {
  console.error("usage: fuzz-campaign.ts FROM TO");
  process.exit(2);
}

interface Line {
  readonly seed: number;
  readonly wrong: string | null;
}

async function batch(): Promise<void> {
  // Dawn asks for a turn without an end while anything is pending: a pause leaves the core to the
  // driver's compiler.
  const later = (run: (...args: unknown[]) => void, ...args: unknown[]): unknown =>
    setTimeout(run, 1, ...args);
  Object.assign(globalThis, { setImmediate: later });
  for (let seed = from; seed <= to; seed++) {
    let wrong: string | null;
    try {
      wrong = await fuzzOnGpu(seed, {}, CAMPAIGN);
    } catch (error) {
      wrong = error instanceof Error ? error.message : String(error);
    }
    console.log(JSON.stringify({ seed, wrong } satisfies Line));
  }
  process.exit(0);
}

/** What is wrong in a batch, a program that ends the process too, and the seed to go on with. */
async function runBatch(first: number, last: number): Promise<{ found: Line[]; next: number }> {
  const args = ["--import", "tsx", import.meta.filename, String(first), String(last), "child"];
  const env = {
    ...process.env,
    GALLIVM_PERF: "nopt",
    LP_NATIVE_VECTOR_WIDTH: "128",
    MESA_SHADER_CACHE_DISABLE: "true",
  };
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(child, "exit");
  const found: Line[] = [];
  let next = first;
  const patience = new Patience(PROGRAM_S, () => child.kill("SIGKILL"));
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text) as Line;
    patience.heard();
    next = line.seed + 1;
    if (line.wrong !== null) found.push(line);
  }
  patience.end();
  const [code, signal] = await ended;
  if (next <= last) {
    found.push({ seed: next, wrong: `the process ended with ${signal ?? code}` });
    next += 1;
  }
  return { found, next };
}

async function campaign(): Promise<void> {
  const start = performance.now();
  let findings = 0;
  for (let first = from; first <= to; ) {
    const last = Math.min(to, first + BATCH - 1);
    const { found, next } = await runBatch(first, last);
    for (const line of found) console.log(JSON.stringify(line));
    findings += found.length;
    const seconds = Math.round((performance.now() - start) / 1000);
    console.log(JSON.stringify({ from, to: next - 1, findings, seconds }));
    first = next;
  }
  process.exit(findings === 0 ? 0 : 1);
}

await (isChild === "child" ? batch() : campaign());
