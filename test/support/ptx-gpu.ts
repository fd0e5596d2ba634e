// SPDX-License-Identifier: Apache-2.0
/**
 * PTX kernels on a real compiler and GPU, straight on Dawn: one buffer per segment, bound whole,
 * and the uniform words that a launch writes. Needs a Vulkan driver (scripts/env.sh).
 */
import type { EmitOptions, EmittedKernel, PtxModule } from "../../src/kernel/ptx/index.js";
import { emitKernel } from "../../src/kernel/ptx/index.js";
import { testDevice } from "./wgsl-gpu.js";

/** Number of the first segment: what the upper halves of pointers say. */
export const SEGMENT_BASE = 0x10;

export interface PtxLaunch {
  readonly module: PtxModule;
  readonly kernel: string;
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  /** The packed parameter buffer. */
  readonly params: Uint8Array;
  readonly sharedBytes?: number;
  /** Addresses of globals by name, in segment 0. */
  readonly globals?: ReadonlyMap<string, number>;
  readonly options?: Partial<EmitOptions>;
  /** For checked kernels: the ranges in use of each segment, start and end. */
  readonly inUse?: readonly (readonly (readonly [number, number])[])[];
  /** Workgroups per slice along x. */
  readonly sliceX?: number;
}

export function emitOptions(launch: PtxLaunch, segments: number): EmitOptions {
  return {
    segments,
    block: launch.block,
    dynamicSharedBytes: launch.sharedBytes ?? 0,
    f16: false,
    subgroups: false,
    subgroupSize: 4,
    checked: false,
    blockThreadsMax: 1024,
    sharedBytesMax: 32768,
    ...launch.options,
  };
}

/** The uniform binding's bytes. */
export function uniformBytes(
  launch: PtxLaunch,
  emitted: EmittedKernel,
  segments: readonly Uint8Array[],
): Uint8Array {
  const kernel = launch.module.kernels.find((k) => k.name === launch.kernel);
  const paramBytes = kernel?.paramBytes ?? 0;
  const bytes = new Uint8Array(emitted.uniformBytes);
  bytes.set(launch.params.subarray(0, paramBytes));
  const words = new Uint32Array(bytes.buffer);
  const pad = (n: number): number => Math.ceil(n / 16) * 4;
  const globalsAt = pad(paramBytes);
  emitted.globals.forEach((name, i) => {
    const address = launch.globals?.get(name);
    if (address === undefined) throw new Error(`the test gives no address of '${name}'`);
    words[globalsAt + 2 * i] = address;
    words[globalsAt + 2 * i + 1] = SEGMENT_BASE;
  });
  const segmentsAt = globalsAt + pad(emitted.globals.length * 8);
  segments.forEach((segment, i) => {
    words[segmentsAt + 2 * i] = SEGMENT_BASE + i;
    words[segmentsAt + 2 * i + 1] = segment.length;
  });
  // Of a checked kernel: all but the first bytes is in use, unless the test says what is.
  const partsAt = segmentsAt + pad(segments.length * 8);
  if (partsAt === words.length) return bytes;
  const whole = segments.map((segment) => [[256, segment.length] as const]);
  const inUse = launch.inUse ?? whole;
  let at = partsAt + pad(segments.length * 8);
  let first = 0;
  inUse.forEach((ranges, i) => {
    words.set([first, ranges.length], partsAt + 2 * i);
    words.set(ranges.flat(), at);
    at += 2 * ranges.length;
    first += ranges.length;
  });
  return bytes;
}

interface ImmediatePass {
  setImmediates(offset: number, data: Uint32Array): void;
}

export async function ptxPipeline(emitted: EmittedKernel): Promise<GPUComputePipeline> {
  const d = await testDevice();
  d.pushErrorScope("validation");
  const module = d.createShaderModule({ code: emitted.wgsl });
  const info = await module.getCompilationInfo();
  const errors = info.messages.filter((m) => m.type === "error");
  let pipeline: GPUComputePipeline | null = null;
  let failure = errors.map((m) => `${m.lineNum}:${m.linePos}: ${m.message}`).join("\n");
  if (failure === "") {
    const storage = (binding: number): GPUBindGroupLayoutEntry => ({
      binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: "storage" },
    });
    const count = emitted.wgsl.match(/var<storage, read_write>/g)?.length ?? 0;
    const layout = d.createBindGroupLayout({
      entries: [
        ...Array.from({ length: count }, (_, i) => storage(i)),
        { binding: count, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform" } },
      ],
    });
    const descriptor = { bindGroupLayouts: [layout], immediateSize: emitted.immediateBytes };
    try {
      pipeline = await d.createComputePipelineAsync({
        layout: d.createPipelineLayout(descriptor),
        compute: { module, entryPoint: emitted.entryPoint },
      });
    } catch (error) {
      failure = String(error);
    }
  }
  const error = await d.popErrorScope();
  if (pipeline === null) throw new Error(failure === "" ? String(error?.message) : failure);
  return pipeline;
}

/** Runs one launch over the segments; gives their bytes afterwards. */
export async function runPtx(
  launch: PtxLaunch,
  segments: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const d = await testDevice();
  const emitted = emitKernel(launch.module, launch.kernel, emitOptions(launch, segments.length));
  const pipeline = await ptxPipeline(emitted);
  const { STORAGE, COPY_SRC, COPY_DST, UNIFORM, MAP_READ } = GPUBufferUsage;
  const create = (data: Uint8Array, usage: number): GPUBuffer => {
    const buffer = d.createBuffer({ size: data.length, usage: usage | COPY_DST });
    d.queue.writeBuffer(buffer, 0, data);
    return buffer;
  };
  const buffers = segments.map((data) => create(data, STORAGE | COPY_SRC));
  const uniform = create(uniformBytes(launch, emitted, segments), UNIFORM);
  const group = d.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [...buffers, uniform].map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const encoder = d.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  const [gx, gy, gz] = launch.grid;
  const step = launch.sliceX ?? gx;
  for (let x = 0; x < gx; x += step) {
    // The type definitions do not know immediates yet.
    const data = new Uint32Array([x, 0, 0, 0, gx, gy, gz, 0]);
    (pass as unknown as ImmediatePass).setImmediates(0, data);
    pass.dispatchWorkgroups(Math.min(step, gx - x), gy, gz);
  }
  pass.end();
  const back = buffers.map((b) => d.createBuffer({ size: b.size, usage: MAP_READ | COPY_DST }));
  back.forEach((b, i) => {
    const from = buffers[i];
    if (from !== undefined) encoder.copyBufferToBuffer(from, 0, b, 0, b.size);
  });
  d.pushErrorScope("validation");
  d.queue.submit([encoder.finish()]);
  const error = await d.popErrorScope();
  if (error !== null) throw new Error(error.message);
  const results: Uint8Array[] = [];
  for (const b of back) {
    await b.mapAsync(GPUMapMode.READ);
    results.push(new Uint8Array(b.getMappedRange().slice(0)));
  }
  for (const b of [...buffers, ...back, uniform]) b.destroy();
  return results;
}

/** Packs parameters: numbers as u32, `{f32}`, `{ptr}` (segment 0) and `{u64}` at their alignment. */
export type Param = number | { f32: number } | { ptr: number; segment?: number } | { u64: bigint };

export function packParams(params: readonly Param[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4096));
  let at = 0;
  for (const param of params) {
    if (typeof param === "number") {
      view.setInt32(at, param | 0, true);
      at += 4;
    } else if ("f32" in param) {
      view.setFloat32(at, param.f32, true);
      at += 4;
    } else {
      at = Math.ceil(at / 8) * 8;
      const value =
        "ptr" in param
          ? (BigInt(SEGMENT_BASE + (param.segment ?? 0)) << 32n) | BigInt(param.ptr)
          : param.u64;
      view.setBigUint64(at, BigInt.asUintN(64, value), true);
      at += 8;
    }
  }
  return new Uint8Array(view.buffer, 0, Math.ceil(at / 16) * 16);
}

/** One segment's bytes, with arrays placed from byte 256 on, each 256-byte aligned. */
export class PtxMemory {
  private at = 256;
  readonly bytes = new Uint8Array(1 << 21);

  put(data: ArrayBufferView): number {
    const { at } = this;
    this.bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    this.at += Math.ceil(data.byteLength / 256) * 256;
    return at;
  }

  /** The module's variables, as loading it places them, without relocations. */
  putGlobals(module: PtxModule): Map<string, number> {
    const places = new Map<string, number>();
    for (const { name, bytes, init } of module.globals) {
      const data = new Uint8Array(Math.ceil(bytes / 4) * 4);
      data.set(init ?? []);
      places.set(name, this.put(data));
    }
    return places;
  }
}
