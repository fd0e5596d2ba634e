// SPDX-License-Identifier: Apache-2.0
/**
 * A real compiler and GPU for kernel tests: compiles rewritten kernels and runs them on one buffer
 * per segment, bound exactly as a launch plan says. Needs a Vulkan driver (scripts/env.sh).
 */
import { create, globals } from "webgpu";
import type {
  EntryInfo,
  LaunchArgument,
  LaunchPlan,
  RewrittenKernel,
} from "../../src/kernel/wgsl/index.js";
import { planLaunch, rewriteKernel } from "../../src/kernel/wgsl/index.js";

Object.assign(globalThis, globals);
// Reachable for the life of the process: Dawn crashes some time after it is collected.
const gpu = create([]);
let device: Promise<GPUDevice> | null = null;

export const LIMITS = {
  storageOffsetAlign: 256,
  storageBindingsMax: 8,
  uniformBindingsMax: 8,
  uniformBytesMax: 65536,
};

async function open(): Promise<GPUDevice> {
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new Error("no Vulkan driver: source scripts/env.sh first");
  const wanted: GPUFeatureName[] = ["shader-f16", "subgroups"];
  const { limits } = adapter;
  return adapter.requestDevice({
    requiredFeatures: wanted.filter((f) => adapter.features.has(f)),
    // What a kernel of CUDA may ask for is above the usual limits.
    requiredLimits: {
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupSizeX: limits.maxComputeWorkgroupSizeX,
      maxComputeWorkgroupSizeY: limits.maxComputeWorkgroupSizeY,
      maxComputeWorkgroupSizeZ: limits.maxComputeWorkgroupSizeZ,
    },
  });
}

export function testDevice(): Promise<GPUDevice> {
  device ??= open();
  return device;
}

/** The compiler's errors, one a line; "" if it accepts the module. */
export async function compileErrors(code: string): Promise<string> {
  const d = await testDevice();
  d.pushErrorScope("validation");
  const info = await d.createShaderModule({ code }).getCompilationInfo();
  await d.popErrorScope();
  const errors = info.messages.filter((m) => m.type === "error");
  return errors.map((m) => `${m.lineNum}:${m.linePos}: ${m.message}`).join("\n");
}

function blockConstants(kernel: RewrittenKernel, block: readonly number[]): Record<string, number> {
  const constants: Record<string, number> = {};
  kernel.blockConstants.forEach((name, i) => {
    if (name !== null) constants[name] = block[i] ?? 1;
  });
  return constants;
}

function layoutOf(d: GPUDevice, kernel: RewrittenKernel): GPUBindGroupLayout {
  return d.createBindGroupLayout({
    entries: kernel.bindings.map((b) => ({
      binding: b.binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: b.kind, minBindingSize: b.minBytes },
    })),
  });
}

async function scoped<T>(d: GPUDevice, work: () => Promise<T> | T): Promise<T> {
  d.pushErrorScope("validation");
  let result: T;
  let error: GPUError | null;
  try {
    result = await work();
  } finally {
    error = await d.popErrorScope();
  }
  if (error !== null) throw new Error(error.message);
  return result;
}

export async function makePipeline(
  kernel: RewrittenKernel,
  block: readonly number[] = [64, 1, 1],
): Promise<{ pipeline: GPUComputePipeline; layout: GPUBindGroupLayout }> {
  const d = await testDevice();
  return scoped(d, async () => {
    const layout = layoutOf(d, kernel);
    const pipeline = await d.createComputePipelineAsync({
      layout: d.createPipelineLayout({
        bindGroupLayouts: [layout],
        ...(kernel.slice === null ? {} : { immediateSize: kernel.slice.bytes }),
      }),
      compute: {
        module: d.createShaderModule({ code: kernel.wgsl }),
        entryPoint: kernel.entryPoint,
        constants: blockConstants(kernel, block),
      },
    });
    return { pipeline, layout };
  });
}

export interface Launch {
  readonly entry: EntryInfo;
  readonly arguments: readonly LaunchArgument[];
  readonly grid: readonly [number, number, number];
  readonly block?: readonly number[];
  /** Instead of what planLaunch gives. */
  readonly plan?: LaunchPlan;
  /** Workgroups per slice in x, y, z; the kernel is rewritten for slicing then. */
  readonly slice?: readonly [number, number, number];
}

function upload(d: GPUDevice, data: Uint8Array, usage: number): GPUBuffer {
  const size = Math.max(16, Math.ceil(data.length / 4) * 4);
  const buffer = d.createBuffer({ size, usage: usage | GPUBufferUsage.COPY_DST });
  const padded = new Uint8Array(size);
  padded.set(data);
  d.queue.writeBuffer(buffer, 0, padded);
  return buffer;
}

function uniformData(
  kernel: RewrittenKernel,
  launch: Launch,
  plan: LaunchPlan,
  memory: Uint8Array,
): Uint8Array[] {
  const copies = plan.copies.map(({ offset, bytes }) => {
    const copy = new Uint8Array(bytes);
    copy.set(memory.subarray(offset, offset + bytes));
    return copy;
  });
  return kernel.bindings
    .filter((b) => b.kind === "uniform")
    .map((b) => {
      const index = b.arguments[0];
      if (index === undefined) return new Uint8Array((plan.params ?? new Uint32Array(4)).buffer);
      const argument = launch.arguments[index];
      const data = argument?.kind === "value" ? argument.bytes : copies.shift();
      if (data === undefined) throw new Error("there are fewer copies than bindings for them");
      return data;
    });
}

interface ImmediatePass {
  setImmediates(offset: number, data: Uint32Array): void;
}

type Triple = readonly [number, number, number];

/** Offset and size of each dispatch. */
function slices(launch: Launch): [Triple, Triple][] {
  if (launch.slice === undefined) return [[[0, 0, 0], launch.grid]];
  const [sx, sy, sz] = launch.slice;
  const [gx, gy, gz] = launch.grid;
  const made: [Triple, Triple][] = [];
  for (let z = 0; z < gz; z += sz) {
    for (let y = 0; y < gy; y += sy) {
      for (let x = 0; x < gx; x += sx) {
        const size = [Math.min(sx, gx - x), Math.min(sy, gy - y), Math.min(sz, gz - z)] as const;
        made.push([[x, y, z], size]);
      }
    }
  }
  return made;
}

/** Runs one launch over segment 0 with the given bytes; gives the segment's bytes afterwards. */
export async function runLaunch(memory: Uint8Array, launch: Launch): Promise<Uint8Array> {
  const d = await testDevice();
  const plan = launch.plan ?? planLaunch(launch.entry, launch.arguments, LIMITS);
  const kernel = rewriteKernel(launch.entry, plan.key, {
    sliceEntry: launch.slice !== undefined,
  });
  const { pipeline, layout } = await makePipeline(kernel, launch.block);
  const { STORAGE, COPY_SRC, UNIFORM, MAP_READ, COPY_DST } = GPUBufferUsage;
  const segment = upload(d, memory, STORAGE | COPY_SRC);
  const uniforms = uniformData(kernel, launch, plan, memory).map((data) =>
    upload(d, data, UNIFORM),
  );
  const back = d.createBuffer({ size: segment.size, usage: MAP_READ | COPY_DST });
  await scoped(d, () => {
    const entries = kernel.bindings.map((b) => {
      const range = plan.storage[b.binding];
      const uniform = uniforms[b.binding - plan.storage.length];
      const resource =
        b.kind === "storage" && range !== undefined
          ? { buffer: segment, offset: range.offset, size: range.bytes }
          : { buffer: uniform ?? segment };
      return { binding: b.binding, resource };
    });
    const encoder = d.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, d.createBindGroup({ layout, entries }));
    for (const [offset, size] of slices(launch)) {
      if (launch.slice !== undefined) {
        const data = new Uint32Array([...offset, 0, ...launch.grid, 0]);
        // The type definitions do not know immediates yet.
        (pass as unknown as ImmediatePass).setImmediates(0, data);
      }
      pass.dispatchWorkgroups(...size);
    }
    pass.end();
    encoder.copyBufferToBuffer(segment, 0, back, 0, segment.size);
    d.queue.submit([encoder.finish()]);
  });
  await back.mapAsync(GPUMapMode.READ);
  const result = new Uint8Array(back.getMappedRange().slice(0));
  for (const buffer of [segment, back, ...uniforms]) buffer.destroy();
  return result.subarray(0, memory.length);
}
