// SPDX-License-Identifier: Apache-2.0
/**
 * The `dawn` executor: one GPUDevice on the process's one adapter.
 * Everything that starts asynchronous work in Dawn goes through the ticker.
 */
import type {
  Batch,
  Executor,
  ExecutorInfo,
  Interest,
  ModuleCheck,
  Pipeline,
  PipelineDescriptor,
  Segment,
} from "../executor.js";
import { ExecutorError } from "../executor.js";
import { DawnBatch } from "./batch.js";
import { DawnCore, DawnPipeline } from "./core.js";
import { openDevice, openGpu } from "./device.js";
import type { HostMemory } from "./host-memory.js";
import { type Cores, Placement } from "./placement.js";
import { Ticker, type TickTimer } from "./ticker.js";

export interface DawnOptions {
  readonly nowNs: () => number;
  readonly timer: TickTimer;
  /** Part of the adapter's name that it must have. */
  readonly adapter?: string;
  /** Whether long batches are timed by the GPU's clock, if it has one; default: yes. */
  readonly timestamps?: boolean;
  /** Makes a thread of this process one of batch work, or an ordinary one again. */
  readonly setBatch?: (thread: number, batch: boolean) => boolean;
  /** Which cores threads of this process run on: for a software GPU, see placement.ts. */
  readonly cores?: Cores;
  /** How the memory of a software GPU is found and copied: see host-memory.ts. */
  readonly hostMemory?: (queue: GPUQueue) => HostMemory;
}

export { HostMemory, LAVAPIPE_MAPPINGS } from "./host-memory.js";

/** Threads that we made ones of batch work; a driver has some that always are. */
const batchThreads = new Set<number>();

/** One per process: it replaces a global function. */
let ticker: Ticker | null = null;

/** Rejects with ExecutorError "no-adapter" where there is no usable driver. */
export async function createDawnExecutor(options: DawnOptions): Promise<DawnExecutor> {
  ticker ??= new Ticker({ nowNs: options.nowNs, timer: options.timer });
  const tick = ticker;
  installGlobals();
  const gpu = openGpu("vulkan");
  const { device, info, hostMemory, threads } = await openDevice(
    gpu,
    options.adapter,
    options.timestamps ?? true,
  );
  tick.software = threads.size > 0;
  const core = new DawnCore(device, info, tick, options.nowNs, hostMemory);
  const { cores, nowNs } = options;
  const placement =
    cores === undefined || threads.size === 0 ? null : new Placement(threads, cores, nowNs);
  core.placement = placement;
  if (hostMemory) core.host = options.hostMemory?.(device.queue) ?? null;
  if (placement !== null) tick.onLong = () => placement.restore();
  return new DawnExecutor(core, (batch) => {
    tick.frugal = batch && threads.size > 0;
    if (core.host !== null) core.host.twoThreads = !batch;
    if (placement !== null) placement.enabled = !batch;
    if (batch) {
      for (const thread of threads) if (options.setBatch?.(thread, true)) batchThreads.add(thread);
      return;
    }
    for (const thread of batchThreads) options.setBatch?.(thread, false);
    batchThreads.clear();
  });
}

/** WebGPU's usage flags are globals in browsers; Dawn's binding brings them along. */
function installGlobals(): void {
  if (!("GPUBufferUsage" in globalThis)) {
    Object.assign(globalThis, webgpuGlobals);
  }
}

import { globals as webgpuGlobals } from "webgpu";

export class DawnExecutor implements Executor {
  readonly kind = "dawn";
  readonly info: ExecutorInfo;
  onLost: ((message: string) => void) | null = null;
  readonly #core: DawnCore;
  readonly #setBatch: (batch: boolean) => void;
  #closed = false;

  /** `setBatch` is for all threads of a software GPU: see {@link share}. */
  constructor(core: DawnCore, setBatch: (batch: boolean) => void = () => {}) {
    this.#core = core;
    this.#setBatch = setBatch;
    this.info = core.info;
    const device = core.device;
    device.lost.then((lost) => {
      if (!this.#closed) {
        const message = `the GPU device is lost (${lost.reason}): ${lost.message}`;
        core.deviceLost(message);
        this.onLost?.(message);
      }
    });
    device.addEventListener("uncapturederror", (event) => {
      const { error } = event as GPUUncapturedErrorEvent;
      const outOfMemory = error.constructor.name === "GPUOutOfMemoryError";
      core.uncaptured(outOfMemory ? "out-of-memory" : "failed", error.message);
    });
  }

  /** The GPUDevice, for benchmarks that run native work beside ours. */
  get device(): GPUDevice {
    return this.#core.device;
  }

  expectDone(timeNs: number, interest: Interest): void {
    this.#core.ticker.expect(timeNs, interest);
  }

  /**
   * While several processes share a software GPU, which is cores of this machine, its threads are batch work:
   * they take no core from those of another process's GPU by waking, so that one kernel is done after the
   * other, as on a GPU. Alone they are not: they would wait for whoever polls on their core.
   */
  share(shared: boolean): void {
    this.#setBatch(shared);
  }

  get ticker(): Ticker {
    return this.#core.ticker;
  }

  get exclusive(): boolean {
    return this.#core.chained;
  }

  get copiedBytes(): number {
    return this.#core.copiedBytes;
  }

  get inFlight(): number {
    return this.#core.inFlight.length;
  }

  createSegment(bytes: number, label: string): Segment {
    return this.#core.createSegment(bytes, label);
  }

  async checkModule(source: string, label: string): Promise<ModuleCheck> {
    const { device, ticker: tick } = this.#core;
    tick.activity();
    const info = await tick.call(() => {
      device.pushErrorScope("validation");
      const module = device.createShaderModule({ label, code: source });
      const messages = module.getCompilationInfo();
      const scope = device.popErrorScope();
      return Promise.all([messages, scope]);
    });
    const [compilation, error] = info;
    const lines = compilation.messages.map(
      (m) => `${m.lineNum}:${m.linePos}: ${m.type}: ${m.message}`,
    );
    const failed = compilation.messages.some((m) => m.type === "error");
    if (error !== null && !failed) {
      lines.push(`error: ${error.message}`);
    }
    return { ok: !failed && error === null, log: lines.join("\n") };
  }

  async createPipeline(descriptor: PipelineDescriptor): Promise<Pipeline> {
    const core = this.#core;
    const { device, ticker: tick } = core;
    if (core.lost !== null) {
      throw new ExecutorError("lost", core.lost);
    }
    tick.activity();
    try {
      const layout = bindGroupLayout(device, descriptor);
      const pipelineLayout: GPUPipelineLayoutDescriptor & { immediateSize?: number } = {
        bindGroupLayouts: [layout],
        ...(descriptor.immediateBytes ? { immediateSize: descriptor.immediateBytes } : {}),
      };
      const [pipeline, error] = await tick.call(() => {
        device.pushErrorScope("validation");
        const module = device.createShaderModule({
          label: descriptor.label,
          code: descriptor.wgsl,
        });
        const created = device.createComputePipelineAsync({
          label: descriptor.label,
          layout: device.createPipelineLayout(pipelineLayout),
          compute: {
            module,
            entryPoint: descriptor.entryPoint,
            constants: { ...descriptor.constants },
          },
        });
        // The scope has the compiler's message, the pipeline only says that there was one.
        return Promise.all([created.catch(asError), device.popErrorScope()]);
      });
      if (error !== null) {
        throw new ExecutorError("failed", error.message);
      }
      if (pipeline instanceof Error) {
        throw pipeline;
      }
      return new DawnPipeline(core.nextId(), descriptor.label, pipeline, layout, descriptor);
    } catch (error) {
      if (error instanceof ExecutorError) {
        throw error;
      }
      const message = error instanceof Error ? error.message : String(error);
      throw new ExecutorError("failed", `${descriptor.label}: ${message}`);
    }
  }

  begin(label: string, timed = true): Batch {
    return new DawnBatch(this.#core, label, timed);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#core.close();
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function bindGroupLayout(device: GPUDevice, descriptor: PipelineDescriptor): GPUBindGroupLayout {
  const entries = descriptor.bindings.map((binding): GPUBindGroupLayoutEntry => {
    const buffer: GPUBufferBindingLayout =
      binding.kind === "storage"
        ? { type: "storage" }
        : {
            type: "uniform",
            hasDynamicOffset: true,
            minBindingSize: Math.ceil(binding.bytes / 16) * 16,
          };
    return { binding: binding.binding, visibility: GPUShaderStage.COMPUTE, buffer };
  });
  return device.createBindGroupLayout({ label: descriptor.label, entries });
}
