// SPDX-License-Identifier: Apache-2.0
/**
 * Runs one target on mutated inputs until time or a count is up, or until it finds something. Inputs
 * with a new outcome join the corpus, which leads deeper than the seeds: a poor man's coverage that
 * costs nothing and depends on nothing but the seed.
 *
 * An input that hangs keeps this thread from saying so; `hang-watch.mjs`, another thread, does.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { SeededRandom } from "../../src/io/random.js";
import { openDescriptors } from "./descriptors.js";
import { Mutator } from "./mutate.js";
import type { FuzzTarget, Outcome } from "./target.js";

const CORPUS_MAX = 4000;
/** Every so many inputs: turns of the event loop, so that what waits for one is given back. */
const TURN_INPUTS = 256;
/** What the engine itself may open meanwhile; a leak of an input's is there thousands of times. */
const DESCRIPTOR_GROWTH_MAX = 16;
const HEAP_GROWTH_MAX = 64 * 2 ** 20;
const root = fileURLToPath(new URL("../..", import.meta.url));
export const OUT_FOLDER = join(root, "out/fuzz");

export interface Crash {
  readonly input: Uint8Array;
  readonly error: Error;
}

export interface FuzzResult {
  readonly target: string;
  readonly seed: number;
  readonly inputs: number;
  readonly seconds: number;
  /** CPU time of the process: how fast it is, whatever else the machine does. */
  readonly cpuSeconds: number;
  readonly outcomes: number;
  /** Inputs with a new outcome that are no seeds. */
  readonly found: number;
  readonly crash: Crash | null;
  /** Growth from the first quarter to the end, after a collection if there is one; bytes. */
  readonly heapGrowth: number;
  readonly before: Held;
  readonly after: Held;
}

/** What the process holds, after the first quarter and at the end. */
export interface Held {
  readonly descriptors: number;
  /** Resident memory, bytes: to be shown only, since a collector gives it back when it likes. */
  readonly residentBytes: number;
}

export interface FuzzOptions {
  readonly seed: number;
  readonly seconds: number;
  /** Ends earlier after so many inputs; default: never. */
  readonly inputsMax?: number;
  /** Kills the process at a hang, having written the input. */
  readonly watch?: boolean;
  readonly progress?: (inputs: number, seconds: number, outcomes: number) => void;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Memory in use, without the corpus, whose growth is wanted. */
function heapBytes(corpus: readonly Uint8Array[]): number {
  const wanted = corpus.reduce((sum, each) => sum + each.length, 0);
  // Twice: what the first collection finalises, the second one frees.
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  // `external` contains the array buffers.
  return heapUsed + external - wanted;
}

const held = (): Held => ({
  descriptors: openDescriptors(),
  residentBytes: process.memoryUsage.rss(),
});

/**
 * Parsers throw for most inputs, and a stack is the dearest part of an error: there is none while a
 * target is fuzzed. A crash is run again for its own.
 */
const withoutStacks = async <T>(work: () => Promise<T>): Promise<T> => {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return await work();
  } finally {
    Error.stackTraceLimit = limit;
  }
};

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(`thrown: ${String(error)}`);

export const isCrash = (ended: Crash | Outcome): ended is Crash =>
  typeof ended === "object" && "error" in ended;

/** Runs an input that took long again, to tell its own time from the machine's. */
async function timed(target: FuzzTarget, input: Uint8Array): Promise<Crash | Outcome> {
  const start = process.cpuUsage();
  const ended = await tryInput(target, input);
  const { user, system } = process.cpuUsage(start);
  const spent = Math.round((user + system) / 1000);
  if (isCrash(ended) || spent <= target.cpuLimitMs) return ended;
  const text = `it takes ${spent} ms of CPU, ${target.cpuLimitMs} are allowed`;
  return { input, error: new Error(text) };
}

/** Runs one input; gives its outcome, or what was thrown. */
export async function tryInput(target: FuzzTarget, input: Uint8Array): Promise<Crash | Outcome> {
  try {
    const outcome = target.run(input.slice());
    return outcome instanceof Promise ? await outcome : outcome;
  } catch (error) {
    return { input, error: asError(error) };
  }
}

/** Tells the thread that watches which input runs. */
class HangWatch {
  readonly #shared: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #worker: Worker;

  constructor(target: FuzzTarget, seed: number) {
    this.#shared = new SharedArrayBuffer(16 + target.bytesMax);
    this.#words = new Int32Array(this.#shared, 0, 4);
    this.#bytes = new Uint8Array(this.#shared, 16);
    this.#worker = new Worker(new URL("./hang-watch.mjs", import.meta.url), {
      workerData: {
        shared: this.#shared,
        file: join(OUT_FOLDER, `${target.name}-${seed}.bin`),
        target: target.name,
        cpuLimitMs: 4 * target.cpuLimitMs,
      },
    });
    this.#worker.unref();
  }

  /** The thread runs: what it opens for itself is open. */
  async ready(): Promise<void> {
    await new Promise((resolve) => this.#worker.once("message", resolve));
  }

  note(input: Uint8Array): void {
    this.#bytes.set(input.subarray(0, this.#bytes.length));
    this.#words[1] = input.length;
    Atomics.add(this.#words, 0, 1);
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** Notes what became of an input; whether something of it is new. */
function areNew(outcomes: Set<string>, ended: Outcome): boolean {
  const before = outcomes.size;
  if (typeof ended === "string") outcomes.add(ended);
  else for (const each of ended) outcomes.add(each);
  return outcomes.size > before;
}

/** Fuzzes one target. The target is closed at the end. */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzResult> {
  const result = await withoutStacks(() => fuzzing(target, options));
  const again = result.crash === null ? null : await tryInput(target, result.crash.input);
  target.close?.();
  return again !== null && isCrash(again) ? { ...result, crash: again } : result;
}

async function fuzzing(target: FuzzTarget, options: FuzzOptions): Promise<FuzzResult> {
  const { seed, inputsMax = Number.POSITIVE_INFINITY } = options;
  const seeds = (await target.seeds()).filter((each) => each.length <= target.bytesMax);
  const corpus = [...seeds];
  const outcomes = new Set<string>();
  const random = new SeededRandom(seed);
  const mutator = new Mutator({
    random,
    bytesMax: target.bytesMax,
    dictionary: target.dictionary?.() ?? [],
    pieces: target.pieces,
  });
  if (options.watch) mkdirSync(OUT_FOLDER, { recursive: true });
  const watch = options.watch ? new HangWatch(target, seed) : null;
  await watch?.ready();
  let crash: Crash | null = null;
  let [inputs, heapBefore] = [0, 0];
  let before: Held | null = null;
  const start = process.hrtime.bigint();
  const cpuStart = process.cpuUsage();
  const elapsed = (): number => Number(process.hrtime.bigint() - start) / 1e9;
  for (; inputs < inputsMax && crash === null; inputs++) {
    // The seeds first, so that a target that refuses its own is found out at once.
    // Half of them near the seeds, for what is found is mostly refused, and its mutants are too.
    const near = seeds.length > 0 && random.below(2) === 0;
    const input = seeds[inputs] ?? mutator.mutate(near ? seeds : corpus);
    watch?.note(input);
    const began = performance.now();
    let ended = await tryInput(target, input);
    if (performance.now() - began > target.cpuLimitMs) ended = await timed(target, input);
    if (isCrash(ended)) crash = ended;
    else if (areNew(outcomes, ended) && inputs >= seeds.length && corpus.length < CORPUS_MAX)
      corpus.push(input);
    if (inputs % TURN_INPUTS === 0) {
      await turn();
      const seconds = elapsed();
      options.progress?.(inputs, seconds, outcomes.size);
      if (before === null && (seconds > options.seconds / 4 || inputs > inputsMax / 4)) {
        heapBefore = heapBytes(corpus);
        before = held();
      }
      if (seconds > options.seconds && inputs >= seeds.length) break;
    }
  }
  const seconds = elapsed();
  const cpu = process.cpuUsage(cpuStart);
  await turn();
  const heapGrowth = before === null ? 0 : heapBytes(corpus) - heapBefore;
  const after = held();
  await watch?.close();
  return {
    target: target.name,
    seed,
    inputs,
    seconds,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
    outcomes: outcomes.size,
    found: corpus.length - seeds.length,
    crash,
    heapGrowth,
    before: before ?? after,
    after,
  };
}

/** What is wrong with a run, or null. Heap is judged only where it can be collected first. */
export function verdict(result: FuzzResult): string | null {
  const { crash, before, after, heapGrowth } = result;
  if (crash !== null) return `${crash.error.name}: ${crash.error.message}`;
  const more = after.descriptors - before.descriptors;
  if (more > DESCRIPTOR_GROWTH_MAX) return `${more} descriptors more are open than before`;
  if (globalThis.gc !== undefined && heapGrowth > HEAP_GROWTH_MAX)
    return `the heap has grown by ${heapGrowth} bytes, ${HEAP_GROWTH_MAX} are allowed`;
  return null;
}

/** Writes a crashing input and says how to run it again. */
export function writeCrash(result: FuzzResult, crash: Crash): string {
  mkdirSync(OUT_FOLDER, { recursive: true });
  const file = `out/fuzz/${result.target}-${result.seed}.bin`;
  writeFileSync(join(root, file), crash.input);
  return `npm run fuzz -- --target ${result.target} --input ${file}`;
}
