// SPDX-License-Identifier: Apache-2.0
/**
 * The `cuda` suite: kernels that nvcc compiled to PTX and we to WGSL, beside the same kernels
 * written in WGSL by hand, in turn on one Dawn device; and how long the translation takes.
 */
import { readFileSync } from "node:fs";
import { median } from "simple-statistics";
import { emitKernel, parsePtx } from "../src/kernel/ptx/index.js";
import {
  build,
  emitOptions,
  encode,
  fillGlobals,
  placeGlobals,
  uniformData,
} from "../test/support/cuda/gpu.js";
import { type Data, Image, type KernelCase } from "../test/support/cuda/lab.js";
import { testDevice } from "../test/support/wgsl-gpu.js";
import { CUDA_BENCHES, type CudaBench } from "./cuda-kernels.js";

export interface CudaResult {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly p99: number;
  readonly samples: number;
}

type Run = (encoder: GPUCommandEncoder) => void;

interface Side {
  readonly run: Run;
  /** Bytes of the output buffer. */
  readonly output: () => Promise<Uint8Array<ArrayBuffer>>;
}

const TARGET = "75";
const sizeOf = (bytes: number): number => Math.ceil(bytes / 16) * 16;

async function readBack(
  device: GPUDevice,
  from: GPUBuffer,
  offset: number,
  bytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { MAP_READ, COPY_DST } = GPUBufferUsage;
  const size = Math.ceil(bytes / 4) * 4;
  const back = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(from, offset, back, 0, size);
  device.queue.submit([encoder.finish()]);
  await back.mapAsync(GPUMapMode.READ);
  const data = new Uint8Array(back.getMappedRange().slice(0));
  back.destroy();
  return data;
}

function caseFor(name: string, bench: CudaBench): KernelCase {
  const { kernel, grid, block, args, module, buffers } = bench;
  return { name, module, buffers, expect: {}, launches: [{ kernel, grid, block, args }] };
}

function ptxOf(bench: CudaBench): string {
  const path = new URL(`../test/cuda/ptx/${bench.module}.${TARGET}.ptx`, import.meta.url);
  return readFileSync(path, "utf8");
}

async function translated(name: string, bench: CudaBench): Promise<Side> {
  const device = await testDevice();
  const module = parsePtx(ptxOf(bench));
  const testCase = caseFor(name, bench);
  const image = new Image(testCase, 4);
  const { places, end } = placeGlobals(module, image.end);
  const memory = new Uint8Array(end);
  memory.set(image.bytes);
  fillGlobals(module, places, memory);
  const { STORAGE, COPY_SRC, COPY_DST, UNIFORM } = GPUBufferUsage;
  const segment = device.createBuffer({ size: end, usage: STORAGE | COPY_SRC | COPY_DST });
  device.queue.writeBuffer(segment, 0, memory);
  const emitted = emitKernel(module, bench.kernel, await emitOptions(bench.block, 0));
  const built = await build(emitted);
  const launch = testCase.launches[0];
  if (launch === undefined) throw new Error("a case has a launch");
  const data = uniformData(emitted, image.params(launch), places, end);
  const uniform = device.createBuffer({ size: data.length, usage: UNIFORM | COPY_DST });
  device.queue.writeBuffer(uniform, 0, data);
  const group = device.createBindGroup({
    layout: built.layout,
    entries: [
      { binding: 0, resource: { buffer: segment } },
      { binding: 1, resource: { buffer: uniform } },
    ],
  });
  const at = Number(image.address(bench.output) & 0xffff_ffffn);
  const bytes = bench.buffers[bench.output]?.byteLength ?? 0;
  return {
    run: (encoder) => {
      const pass = encoder.beginComputePass();
      encode(pass, built, group, bench.grid);
      pass.end();
    },
    output: () => readBack(device, segment, at, bytes),
  };
}

async function byHand(bench: CudaBench): Promise<Side> {
  const device = await testDevice();
  const { STORAGE, COPY_SRC, COPY_DST, UNIFORM } = GPUBufferUsage;
  const buffers = bench.bound.map((name) => {
    const data = bench.buffers[name];
    if (data === undefined) throw new Error(`${bench.kernel}: no buffer "${name}"`);
    const size = sizeOf(data.byteLength);
    const buffer = device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
    const bytes = new Uint8Array(data.byteLength);
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    device.queue.writeBuffer(buffer, 0, bytes);
    return buffer;
  });
  const uniform = device.createBuffer({ size: 16, usage: UNIFORM | COPY_DST });
  const scalars = new Uint32Array(4);
  scalars.set(bench.scalars);
  device.queue.writeBuffer(uniform, 0, scalars);
  const module = device.createShaderModule({ code: bench.wgsl });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module } });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [...buffers, uniform].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const out = buffers[bench.bound.indexOf(bench.output)];
  if (out === undefined) throw new Error(`${bench.kernel}: the output is not bound`);
  return {
    run: (encoder) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...bench.grid);
      pass.end();
    },
    output: () => readBack(device, out, 0, bench.buffers[bench.output]?.byteLength ?? 0),
  };
}

/** A ratio of two kernels that do different things means nothing. */
function compare(name: string, bench: CudaBench, a: Uint8Array, b: Uint8Array): void {
  const Type = (bench.buffers[bench.output] as Data).constructor as new (
    buffer: ArrayBufferLike,
  ) => Data;
  const [x, y] = [new Type(a.slice().buffer), new Type(b.slice().buffer)];
  for (let i = 0; i < x.length; i++) {
    const [p, q] = [Number(x[i]), Number(y[i])];
    if (!(Math.abs(p - q) <= bench.tolerance * Math.max(1, Math.abs(q)))) {
      throw new Error(`${name}: element ${i} is ${p} from PTX and ${q} by hand`);
    }
  }
}

async function timeOnce(side: Side): Promise<number> {
  const device = await testDevice();
  const encoder = device.createCommandEncoder();
  side.run(encoder);
  const commands = encoder.finish();
  const start = performance.now();
  device.queue.submit([commands]);
  await device.queue.onSubmittedWorkDone();
  return performance.now() - start;
}

/** From text to WGSL, without a GPU's part; the text is a whole module, as a program loads it. */
async function translationMs(bench: CudaBench, samples: number): Promise<number[]> {
  const text = ptxOf(bench);
  const options = await emitOptions(bench.block, 0);
  return Array.from({ length: samples }, () => {
    const start = performance.now();
    emitKernel(parsePtx(text), bench.kernel, options);
    return performance.now() - start;
  });
}

const round = (value: number): number => Number(value.toPrecision(5));
const high = (list: readonly number[]): number =>
  round([...list].sort((a, b) => a - b)[Math.floor(list.length * 0.99)] ?? 0);

/** Both versions in turn; the ratio of each pair, so that a slow moment slows both. */
async function oneKernel(name: string, bench: CudaBench, samples: number): Promise<CudaResult[]> {
  const [ours, hand] = [await translated(name, bench), await byHand(bench)];
  await timeOnce(ours);
  await timeOnce(hand);
  compare(name, bench, await ours.output(), await hand.output());
  const times: [number[], number[]] = [[], []];
  for (let i = 0; i < samples; i++) {
    // Whoever comes first in a pair changes.
    const order = i % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
    for (const side of order) times[side].push(await timeOnce(side === 0 ? ours : hand));
  }
  const ratios = times[0].map((t, i) => t / (times[1][i] ?? t));
  const milliseconds = await translationMs(bench, 10);
  const result = (n: string, unit: string, list: readonly number[], value: number): CudaResult => ({
    name: n,
    unit,
    median: round(value),
    p99: high(list),
    samples: list.length,
  });
  return [
    result(`ptx_over_wgsl_${name}`, "ratio", ratios, median(times[0]) / median(times[1])),
    result(`ptx_ms_${name}`, "ms", times[0], median(times[0])),
    result(`wgsl_ms_${name}`, "ms", times[1], median(times[1])),
    result(`translate_ms_${name}`, "ms", milliseconds, median(milliseconds)),
  ];
}

export async function cuda(options: {
  readonly quick: boolean;
}): Promise<{ results: CudaResult[]; adapter: string }> {
  const device = await testDevice();
  const results: CudaResult[] = [];
  for (const [name, bench] of Object.entries(CUDA_BENCHES)) {
    results.push(...(await oneKernel(name, bench, options.quick ? 6 : 40)));
    process.stderr.write(`${name} done\n`);
  }
  const ratios = results.filter((r) => r.unit === "ratio").map((r) => r.median);
  const geomean = Math.exp(ratios.reduce((sum, r) => sum + Math.log(r), 0) / ratios.length);
  results.push({
    name: "ptx_over_wgsl_geomean",
    unit: "ratio",
    median: round(geomean),
    p99: round(Math.max(...ratios)),
    samples: ratios.length,
  });
  return { results, adapter: device.adapterInfo.description };
}
