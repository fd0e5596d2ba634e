// SPDX-License-Identifier: Apache-2.0
/**
 * Runs cases of CUDA kernels on Dawn without a device around them: the compiler's WGSL, one segment,
 * the uniform buffer that it asks for. Needs a Vulkan driver (scripts/env.sh).
 */
import {
  type EmitOptions,
  type EmittedKernel,
  emitKernel,
  type PtxModule,
  parsePtx,
} from "../../../src/kernel/ptx/index.js";
import { formatPrintf } from "../ptx/printf.js";
import { testDevice } from "../wgsl-gpu.js";
import { Image, judge, type KernelCase, type Launch, SEGMENT } from "./lab.js";

const align = (at: number, to: number): number => Math.ceil(at / to) * to;

/** Where each global of a module lies in the segment, from `base` on, and the end. */
export function placeGlobals(
  module: PtxModule,
  base: number,
): { places: Map<string, number>; end: number } {
  const places = new Map<string, number>();
  let at = align(base, 256);
  for (const g of module.globals) {
    at = align(at, Math.max(g.align, 16));
    places.set(g.name, at);
    at += g.bytes;
  }
  return { places, end: align(at, 256) };
}

export function fillGlobals(
  module: PtxModule,
  places: ReadonlyMap<string, number>,
  memory: Uint8Array,
): void {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  for (const g of module.globals) {
    const at = places.get(g.name) ?? 0;
    if (g.init !== null) memory.set(g.init, at);
    for (const { at: offset, target, addend } of g.relocations) {
      const to = BigInt((places.get(target) ?? 0) + addend) | (BigInt(SEGMENT) << 32n);
      view.setBigUint64(at + offset, to, true);
    }
  }
}

/** The contents of the binding after the segments. */
export function uniformData(
  emitted: EmittedKernel,
  params: Uint8Array,
  places: ReadonlyMap<string, number>,
  bytes: number,
): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(align(Math.max(16, emitted.uniformBytes), 16));
  const view = new DataView(data.buffer);
  data.set(params);
  let at = align(params.length, 16);
  for (const name of emitted.globals) {
    view.setUint32(at, places.get(name) ?? 0, true);
    view.setUint32(at + 4, SEGMENT, true);
    at += 8;
  }
  at = align(at, 16);
  view.setUint32(at, SEGMENT, true);
  view.setUint32(at + 4, bytes, true);
  return data;
}

export async function emitOptions(
  block: readonly [number, number, number],
  shared: number,
): Promise<EmitOptions> {
  const device = await testDevice();
  const { limits, features } = device;
  const info = device.adapterInfo;
  return {
    segments: 1,
    block,
    dynamicSharedBytes: shared,
    f16: features.has("shader-f16"),
    subgroups: features.has("subgroups"),
    subgroupSize: info.subgroupMinSize === info.subgroupMaxSize ? (info.subgroupMinSize ?? 0) : 0,
    checked: false,
    blockThreadsMax: limits.maxComputeInvocationsPerWorkgroup,
    sharedBytesMax: limits.maxComputeWorkgroupStorageSize,
  };
}

interface ImmediatePass {
  setImmediates(offset: number, data: Uint32Array): void;
}

export interface Built {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

export async function build(emitted: EmittedKernel): Promise<Built> {
  const device = await testDevice();
  device.pushErrorScope("validation");
  const layout = device.createBindGroupLayout({
    entries: [
      { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: "storage" } },
      { binding: 1, visibility: GPUShaderStage.COMPUTE, buffer: { type: "uniform" } },
    ],
  });
  const module = device.createShaderModule({ code: emitted.wgsl });
  const info = await module.getCompilationInfo();
  const errors = info.messages.filter((m) => m.type === "error");
  if (errors.length > 0) {
    await device.popErrorScope();
    const lines = emitted.wgsl.split("\n");
    const text = errors
      .slice(0, 3)
      .map((m) => `${m.message} at "${(lines[m.lineNum - 1] ?? "").trim().slice(0, 160)}"`);
    throw new Error(`WGSL: ${text.join("; ")}`);
  }
  const pipeline = await device.createComputePipelineAsync({
    layout: device.createPipelineLayout({
      bindGroupLayouts: [layout],
      immediateSize: emitted.immediateBytes,
    }),
    compute: { module, entryPoint: emitted.entryPoint },
  });
  const error = await device.popErrorScope();
  if (error !== null) throw new Error(error.message);
  return { pipeline, layout };
}

/** Sets all that a launch of a whole grid needs. */
export function prepare(
  pass: GPUComputePassEncoder,
  built: Built,
  group: GPUBindGroup,
  grid: readonly [number, number, number],
): void {
  pass.setPipeline(built.pipeline);
  pass.setBindGroup(0, group);
  // The type definitions do not know immediates yet.
  const immediates = pass as unknown as ImmediatePass;
  immediates.setImmediates(0, new Uint32Array([0, 0, 0, 0, ...grid, 0]));
}

/** Encodes one whole launch. */
export function encode(
  pass: GPUComputePassEncoder,
  built: Built,
  group: GPUBindGroup,
  grid: readonly [number, number, number],
): void {
  prepare(pass, built, group, grid);
  pass.dispatchWorkgroups(...grid);
}

/** What the kernels of a module have printed. */
function printedLines(memory: Uint8Array, at: number): string[] {
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  const used = view.getUint32(at, true);
  const text = (address: bigint): string => {
    const start = Number(address & 0xffff_ffffn);
    const end = memory.indexOf(0, start);
    return Buffer.from(memory.subarray(start, end)).toString("latin1");
  };
  const lines: string[] = [];
  for (let p = 16; p < 16 + used; ) {
    const bytes = view.getUint32(at + p, true);
    if (bytes < 16) throw new Error(`the printf record at ${p} has ${bytes} bytes`);
    const args = new DataView(new ArrayBuffer(1024));
    const count = Math.min(view.getUint32(at + p + 12, true), 1000);
    for (let i = 0; i < count; i++) args.setUint8(i, memory[at + p + 16 + i] ?? 0);
    lines.push(formatPrintf(text(view.getBigUint64(at + p + 4, true)), args, text));
    p += align(bytes, 8);
  }
  return lines;
}

async function oneLaunch(
  module: PtxModule,
  launch: Launch,
  segment: GPUBuffer,
  params: Uint8Array,
  places: ReadonlyMap<string, number>,
  tweak: Partial<EmitOptions>,
): Promise<void> {
  const device = await testDevice();
  const kernel = module.kernels.find((k) => k.name === launch.kernel);
  if (kernel === undefined) throw new Error(`there is no kernel "${launch.kernel}"`);
  if (kernel.paramBytes !== params.length) {
    throw new Error(`${launch.kernel} takes ${kernel.paramBytes} bytes, not ${params.length}`);
  }
  const options = { ...(await emitOptions(launch.block, launch.shared ?? 0)), ...tweak };
  const emitted = emitKernel(module, launch.kernel, options);
  const built = await build(emitted);
  const { UNIFORM, COPY_DST } = GPUBufferUsage;
  const data = uniformData(emitted, params, places, segment.size);
  const uniform = device.createBuffer({ size: data.length, usage: UNIFORM | COPY_DST });
  device.queue.writeBuffer(uniform, 0, data);
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
  encode(pass, built, group, launch.grid);
  pass.end();
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error !== null) throw new Error(error.message);
}

const FAULTS = ["trap", "assert", "illegal address", "misaligned address"];

/** Memory after the launches, from memory before; the hidden globals are read by the caller. */
export async function runOnGpu(
  module: PtxModule,
  memory: Uint8Array<ArrayBuffer>,
  launches: readonly { launch: Launch; params: Uint8Array }[],
  places: ReadonlyMap<string, number>,
  tweak: Partial<EmitOptions> = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const device = await testDevice();
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const size = memory.length;
  const segment = device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
  const back = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
  try {
    device.queue.writeBuffer(segment, 0, memory);
    for (const { launch, params } of launches) {
      await oneLaunch(module, launch, segment, params, places, tweak);
    }
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(segment, 0, back, 0, size);
    device.queue.submit([encoder.finish()]);
    await back.mapAsync(GPUMapMode.READ);
    return new Uint8Array(back.getMappedRange().slice(0));
  } finally {
    segment.destroy();
    back.destroy();
  }
}

/** Runs a case; what is wrong, or null. */
export async function gpuCase(
  testCase: KernelCase,
  ptx: string,
  tweak: Partial<EmitOptions> = {},
): Promise<string | null> {
  const module = parsePtx(ptx);
  const image = new Image(testCase, SEGMENT);
  const { places, end } = placeGlobals(module, image.end);
  const memory = new Uint8Array(end);
  memory.set(image.bytes);
  fillGlobals(module, places, memory);
  const launches = testCase.launches.map((launch) => ({ launch, params: image.params(launch) }));
  const after = await runOnGpu(module, memory, launches, places, tweak);
  const fault = places.get("__vgpu_fault");
  const code = fault === undefined ? 0 : new DataView(after.buffer).getUint32(fault, true);
  const printf = places.get("__vgpu_printf");
  return judge(testCase, image, {
    memory: after,
    printed: printf === undefined ? [] : printedLines(after, printf),
    fault: code === 0 ? null : (FAULTS[code - 1] ?? `fault ${code}`),
  });
}
