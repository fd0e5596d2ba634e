// SPDX-License-Identifier: Apache-2.0
/** Random PTX programs: the interpreter's result is what the GPU has to give. */
import type { EmitOptions } from "../../../src/kernel/ptx/index.js";
import { generateProgram, SUMS, WORDS_IN, WORDS_OUT } from "../ptx/generate.js";
import { LoadedModule } from "../ptx/interpreter.js";
import { caseOf, launch } from "./case-builder.js";
import { gpuCase } from "./gpu.js";
import { Image, i32, type KernelCase, ptr, Random, SEGMENT } from "./lab.js";

/** What a program is made of and runs on; a seed's own by default. */
export interface FuzzShape {
  /** Of 32, 64 or 96 threads, each with inputs of its own. */
  readonly blocks: number;
  /** Short programs that are mostly f64. */
  readonly isDouble: boolean;
}

const SHAPE: FuzzShape = { blocks: 2, isDouble: false };

/** Many inputs for each program, because compiling it takes far longer than running it. */
export const CAMPAIGN: FuzzShape = { blocks: 32, isDouble: true };

export interface FuzzCase {
  readonly ptx: string;
  readonly testCase: KernelCase;
}

function inputs(seed: number, words: number): Uint32Array {
  const random = new Random(seed ^ 0x5eed);
  return Uint32Array.from({ length: words }, () => {
    const word = random.u32();
    // Small numbers, and those around powers of two, find more than any others.
    if (word % 3 === 0) return random.below(40);
    return word % 3 === 1 ? word : (2 ** random.below(32) + random.below(3) - 1) >>> 0;
  });
}

/**
 * A program and its inputs, with the interpreter's results as what is expected. `edit` may change
 * the program before: to leave out what is known, or lines that a failure does not need.
 */
export function fuzzCase(
  seed: number,
  edit: (ptx: string) => string = (ptx) => ptx,
  { blocks, isDouble }: FuzzShape = SHAPE,
): FuzzCase {
  const threads = [32, 64, 96][seed % 3] ?? 64;
  const [floats, doubles] = [seed % 2 === 0, isDouble || seed % 4 === 3];
  const short = isDouble ? { statements: 6 + (seed % 9), doublesPercent: 40 } : {};
  const ptx = edit(generateProgram({ seed, threads, floats, doubles, ...short }));
  const count = blocks * threads;
  const buffers = {
    input: inputs(seed, count * WORDS_IN),
    out: new Uint32Array(count * WORDS_OUT + SUMS),
  };
  const args = [ptr("input"), ptr("out"), i32(1 + (seed % 4))];
  const launches = launch("fuzz", blocks, threads, args);
  const blank = caseOf("fuzz", launches, { buffers });
  const image = new Image(blank, SEGMENT);
  const memory = new Map([[SEGMENT, new DataView(image.bytes.buffer)]]);
  const module = new LoadedModule(ptx, memory, SEGMENT, 256);
  const params = image.params(launches);
  const { kernel, grid, block } = launches;
  module.run({ kernel, grid, block, params, fuel: blocks * 10_000_000 });
  const out = image.read("out", image.bytes);
  return { ptx, testCase: { ...blank, name: `seed ${seed}`, expect: { out } } };
}

/** What is wrong with a seed's program on the GPU; null if nothing is. */
export async function fuzzOnGpu(
  seed: number,
  tweak: Partial<EmitOptions> = {},
  shape: FuzzShape = SHAPE,
): Promise<string | null> {
  const { ptx, testCase } = fuzzCase(seed, undefined, shape);
  return gpuCase(testCase, ptx, tweak);
}
