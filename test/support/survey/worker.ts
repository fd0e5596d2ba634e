// SPDX-License-Identifier: Apache-2.0
/**
 * Translates kernels and has the GPU's driver compile them, from a list of jobs, in a process of its
 * own: a driver can crash or take minutes. Says the number of each job before, and its result behind.
 *
 *   worker.ts JOBS.json FIRST
 */
import { readFileSync } from "node:fs";
import { emitKernel, PtxError, type PtxModule, parsePtx } from "../../../src/kernel/ptx/index.js";
import { type Built, build, emitOptions, prepare } from "../cuda/gpu.js";
import { testDevice } from "../wgsl-gpu.js";

export interface Job {
  readonly file: string;
  readonly kernel: string;
  /** Threads, unless the kernel asks for a number of its own. */
  readonly block: readonly [number, number, number];
}

/** How far a kernel comes. */
export type Stage = "parse" | "translate" | "pipeline" | "driver" | "time" | "ok";

export interface WorkerLine {
  readonly job: number;
  /** Null when the job begins. */
  readonly stage: Stage | null;
  readonly reason?: string;
  readonly mode?: string;
  /** It wants more shared memory than the GPU has, and was compiled with less. */
  readonly isCut?: boolean;
  /** What it wants, with what exchanges between lanes take. */
  readonly sharedBytes?: number;
  readonly wgslBytes?: number;
  readonly ms?: number;
}

const DYNAMIC_SHARED_BYTES = 1024;
const NONE: Job = { file: "", kernel: "", block: [1, 1, 1] };

const say = (line: WorkerLine): void => console.log(JSON.stringify(line));
const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A launch without a workgroup: drivers compile to machine code at the first launch. */
async function launchNothing(built: Built, segment: GPUBuffer, uniformBytes: number) {
  const device = await testDevice();
  const { UNIFORM, INDIRECT, COPY_DST } = GPUBufferUsage;
  const uniform = device.createBuffer({ size: uniformBytes, usage: UNIFORM | COPY_DST });
  const grid = device.createBuffer({ size: 12, usage: INDIRECT | COPY_DST });
  device.pushErrorScope("validation");
  const group = device.createBindGroup({
    layout: built.layout,
    entries: [
      { binding: 0, resource: { buffer: segment } },
      { binding: 1, resource: { buffer: uniform } },
    ],
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  prepare(pass, built, group, [0, 1, 1]);
  pass.dispatchWorkgroupsIndirect(grid, 0);
  pass.end();
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
  const error = await device.popErrorScope();
  for (const buffer of [uniform, grid]) buffer.destroy();
  if (error !== null) throw new Error(error.message);
}

interface Shared {
  /** What the kernel asks for itself. */
  readonly own: number;
  /** What exchanges between lanes and locks take. */
  readonly others: number;
}

/** Bytes of workgroup memory, counted as WebGPU does: each variable takes a multiple of 16. */
function sharedOf(wgsl: string): Shared {
  let own = 0;
  let others = 0;
  for (const [, name, count] of wgsl.matchAll(
    /^var<workgroup> (\w+): (?:array<\S+, (\d+)>|u32);/gm,
  )) {
    const bytes = 16 * Math.ceil(Number(count ?? 1) / 4);
    if (name === "sh") own += bytes;
    else others += bytes;
  }
  return { own, others };
}

/** The kernel's code with `bytes` of shared memory of its own. */
function cut(wgsl: string, bytes: number): string {
  const words = Math.floor(bytes / 16) * 4;
  return (
    wgsl
      .replace(/^(var<workgroup> sh: array<\S+, )\d+>/m, `$1${words}>`)
      // A constant place beyond the end would be an error; any other place is as good here.
      .replace(/\bsh\[(\d+)u\]/g, (_, index: string) => `sh[${Number(index) % words}u]`)
  );
}

async function compile(
  module: PtxModule,
  { kernel: name, block: [x, y, z] }: Job,
  segment: GPUBuffer,
): Promise<Omit<WorkerLine, "job">> {
  const kernel = module.kernels.find((each) => each.name === name);
  if (kernel === undefined) return { stage: "parse", reason: "the kernel is not found" };
  const fits = x * y * z <= kernel.maxThreads;
  const block = kernel.block ?? (fits ? [x, y, z] : ([kernel.maxThreads, 1, 1] as const));
  const options = await emitOptions(block, kernel.usesDynamicShared ? DYNAMIC_SHARED_BYTES : 0);
  let wgsl: ReturnType<typeof emitKernel>;
  try {
    const free = { sharedBytesMax: Number.POSITIVE_INFINITY };
    wgsl = emitKernel(module, name, { ...options, ...free });
  } catch (error) {
    if (!(error instanceof PtxError)) throw error;
    return { stage: "translate", reason: error.message };
  }
  const { own, others } = sharedOf(wgsl.wgsl);
  const isCut = own + others > options.sharedBytesMax;
  if (isCut) wgsl = { ...wgsl, wgsl: cut(wgsl.wgsl, options.sharedBytesMax - others) };
  const shape = {
    mode: wgsl.mode,
    wgslBytes: wgsl.wgsl.length,
    sharedBytes: own + others,
    isCut,
  };
  let built: Built;
  try {
    built = await build(wgsl);
  } catch (error) {
    return { ...shape, stage: "pipeline", reason: textOf(error) };
  }
  try {
    await launchNothing(built, segment, Math.max(16, Math.ceil(wgsl.uniformBytes / 16) * 16));
  } catch (error) {
    return { ...shape, stage: "driver", reason: textOf(error) };
  }
  return { ...shape, stage: "ok" };
}

/** The module, or what is wrong with it. */
function parsed(file: string): PtxModule | string {
  try {
    return parsePtx(readFileSync(file, "utf8"));
  } catch (error) {
    if (!(error instanceof PtxError)) throw error;
    return error.message;
  }
}

async function main(path: string, first: number): Promise<void> {
  // Dawn asks for a turn without an end while anything is pending: a pause leaves the core to the
  // driver's compiler.
  const later = (run: (...args: unknown[]) => void, ...args: unknown[]): unknown =>
    setTimeout(run, 1, ...args);
  Object.assign(globalThis, { setImmediate: later });
  const jobs = JSON.parse(readFileSync(path, "utf8")) as readonly Job[];
  const device = await testDevice();
  const { STORAGE, COPY_DST } = GPUBufferUsage;
  const segment = device.createBuffer({ size: 65536, usage: STORAGE | COPY_DST });
  let parsedFile = "";
  let module: PtxModule | string = "";
  for (let job = first; job < jobs.length; job++) {
    const { file } = jobs[job] ?? NONE;
    say({ job, stage: null });
    const start = performance.now();
    if (parsedFile !== file) {
      module = parsed(file);
      parsedFile = file;
    }
    const result: Omit<WorkerLine, "job"> =
      typeof module === "string"
        ? { stage: "parse", reason: module }
        : await compile(module, jobs[job] ?? NONE, segment);
    say({ job, ...result, ms: Math.round(performance.now() - start) });
  }
  process.exit(0);
}

await main(process.argv[2] ?? "", Number(process.argv[3] ?? 0));
