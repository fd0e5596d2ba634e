// SPDX-License-Identifier: Apache-2.0
/**
 * What the parts of the Dawn executor share: device, queue, arena, staging, caches, the ticker, and
 * the list of batches in flight. No policy: batches are submitted and finished in order.
 */

import { markStage } from "../../io/stage-marks.js";
import {
  type BatchOutcome,
  ExecutorError,
  type ExecutorInfo,
  type Pipeline,
  type PipelineDescriptor,
  type Segment,
  type StorageRange,
} from "../executor.js";
import { Arena } from "./arena.js";
import type { HostMemory } from "./host-memory.js";
import type { Placement } from "./placement.js";
import { SpareEncoder } from "./spare-encoder.js";
import { StagingPool } from "./staging.js";
import { COPY_KERNEL, FILL_KERNEL, SUPPORT_PARAMETER_BYTES } from "./support-kernels.js";
import type { Ticker } from "./ticker.js";
import { BatchTiming } from "./timing.js";
import { UploadRing } from "./upload.js";

const BIND_GROUPS_MAX = 4096;
const GATHERED_BYTES = 2 * 1024 * 1024;
const SCRATCH_BYTES_MAX = 16 * 1024 * 1024;

export class DawnSegment implements Segment {
  readonly #core: DawnCore;
  /** Where it lies in this process, once it was used: see host-memory.ts. */
  #memory: Uint8Array | null = null;
  /** Where it may lie. */
  #mapping: ArrayBuffer | null;
  /** The batch whose work on the GPU named it last. */
  #lastBatch = 0;
  /** Whether work of the GPU has written it: see upload.ts. */
  gpuWritten = false;
  /** Whether anything was done with it: the first use by the GPU clears it, which is such a write. */
  used = false;

  /** The open batch has the GPU read it. */
  gpuReads(): void {
    if (!this.used) {
      this.#firstUse();
      this.gpuWritten = this.#memory === null;
    }
    this.#lastBatch = this.#core.begunBatch;
  }

  /** The open batch has the GPU write it. */
  gpuWrites(): void {
    if (!this.used) this.#firstUse();
    this.gpuWritten = true;
    this.#lastBatch = this.#core.begunBatch;
  }

  /** Whether the host can read it without the GPU, once the GPU is done with it. */
  get inHostMemory(): boolean {
    return this.#memory !== null;
  }

  /** Writes at once, by the host, unless that can't be or the GPU may still use it: then false. */
  hostWrites(offset: number, sources: readonly Uint8Array[]): boolean {
    const { host, doneBatch, lost } = this.#core;
    if (host === null || lost !== null || this.#core.closed) return false;
    if (!this.used) this.#firstUse();
    if (this.#memory === null || this.#lastBatch > doneBatch) return false;
    host.write(this.#memory, offset, sources);
    return true;
  }

  /** Reads at once, by the host; the GPU does nothing with it. */
  hostReads(offset: number, bytes: number, targets: readonly Uint8Array[]): void {
    if (this.#memory !== null) this.#core.host?.read(this.#memory, offset, bytes, targets);
  }

  #firstUse(): void {
    this.used = true;
    const { host, closed, lost } = this.#core;
    if (host === null || closed || lost !== null) return;
    this.#memory = host.find(this.buffer, this.#mapping);
    if (this.#memory !== null) this.#mapping = this.#memory.buffer as ArrayBuffer;
  }

  /** It is about to be destroyed. */
  released(): void {
    if (this.#mapping !== null) this.#core.host?.release(this.#mapping);
    this.#mapping = null;
    this.#memory = null;
  }

  constructor(
    core: DawnCore,
    readonly id: number,
    readonly buffer: GPUBuffer,
    readonly bytes: number,
    mapping: ArrayBuffer | null = null,
  ) {
    this.#core = core;
    this.#mapping = mapping;
  }

  destroy(): void {
    this.#core.destroySegment(this);
  }
}

export class DawnPipeline implements Pipeline {
  constructor(
    readonly id: number,
    readonly label: string,
    readonly pipeline: GPUComputePipeline,
    readonly layout: GPUBindGroupLayout,
    readonly descriptor: Pick<PipelineDescriptor, "bindings">,
  ) {}
}

export interface SupportPipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

/** Closed while the GPU was still at work: kept, for the collector too would wait for the GPU. */
const closing = new Set<DawnCore>();

/** A batch handed to the GPU and not yet reported. */
export interface InFlight {
  /** As it began: see begunBatch. */
  readonly batch: number;
  readonly submitNs: number;
  readonly operations: number;
  finished: boolean;
  /** What is left to do as soon as all before it is done; it is then finished. */
  whenFirst: (() => void) | null;
  /** What it took by the GPU's clock; null if that was not asked or can't be. */
  timedNs: number | null;
  /** Its marks, on the host's clock. */
  marksNs: readonly number[] | null;
  error: { reason: "out-of-memory" | "failed"; message: string } | null;
  readonly done: (outcome: BatchOutcome) => void;
}

export class DawnCore {
  readonly queue: GPUQueue;
  readonly arena: Arena;
  readonly staging: StagingPool;
  readonly spare: SpareEncoder;
  /** Only where the GPU shares the host's memory. */
  readonly uploads: UploadRing | null;
  /** Only for a software GPU. */
  placement: Placement | null = null;
  host: HostMemory | null = null;
  /** The number of the batch that is being made; they begin one after the other. */
  begunBatch = 0;
  /** Of the last one that is done, and all before it. */
  doneBatch = 0;
  /** Only where the GPU has timestamps. */
  readonly timing: BatchTiming | null;
  readonly inFlight: InFlight[] = [];
  batchOpen = false;
  /** A batch in flight is still submitting its reads: see read-chain.ts. */
  chained = false;
  lost: string | null = null;
  /**
   * Bytes copied for writes and reads of the host, staging included: by the host, or on a software
   * GPU by that. A direct write is one copy, all else two.
   */
  copiedBytes = 0;
  /** Nobody wants results any more. */
  closed = false;
  #nextId = 1;
  #lastDoneNs = 0;
  /** Time by the host's clock, since the GPU was idle, that timestamps gave to no batch yet. */
  #slackNs = 0;
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  #scratch: GPUBuffer | null = null;
  #gathered: Uint8Array | null = null;
  #doomed: DawnSegment[] = [];
  #fill: SupportPipeline | null = null;
  #copy: SupportPipeline | null = null;

  constructor(
    readonly device: GPUDevice,
    readonly info: ExecutorInfo,
    readonly ticker: Ticker,
    readonly nowNs: () => number,
    hostMemory: boolean,
  ) {
    this.queue = device.queue;
    this.arena = new Arena(device);
    this.staging = new StagingPool(device);
    this.spare = new SpareEncoder(device);
    this.uploads = hostMemory ? new UploadRing(device, ticker) : null;
    this.timing = info.timestamps ? new BatchTiming(device, hostMemory) : null;
  }

  /** Made when they are first needed: compiling them would hold up every start. */
  get fill(): SupportPipeline {
    this.#fill ??= supportPipeline(this.device, "fill", FILL_KERNEL, false);
    return this.#fill;
  }

  get copy(): SupportPipeline {
    this.#copy ??= supportPipeline(this.device, "copy", COPY_KERNEL, true);
    return this.#copy;
  }

  /** Where short parts of a write are gathered; as large as a part of an upload. */
  get gathered(): Uint8Array {
    this.#gathered ??= new Uint8Array(GATHERED_BYTES);
    return this.#gathered;
  }

  nextId(): number {
    return this.#nextId++;
  }

  createSegment(bytes: number, label: string): DawnSegment {
    if (this.lost !== null) {
      throw new ExecutorError("lost", this.lost);
    }
    const make = (): GPUBuffer =>
      this.ticker.call(() =>
        this.device.createBuffer({
          label,
          size: bytes,
          usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
        }),
      );
    if (this.host === null) return new DawnSegment(this, this.nextId(), make(), bytes);
    const { buffer, mapping } = this.host.created(make, bytes);
    return new DawnSegment(this, this.nextId(), buffer, bytes, mapping);
  }

  /** An open batch may name the segment: then it goes when all of that batch was submitted. */
  destroySegment(segment: DawnSegment): void {
    if (this.batchOpen || this.chained) {
      this.#doomed.push(segment);
      return;
    }
    this.#bindGroups.clear();
    segment.released();
    segment.buffer.destroy();
  }

  /** Called after a batch's last submit. */
  batchClosed(): void {
    this.batchOpen = false;
    this.#dropDoomed();
  }

  chainBegins(): void {
    this.chained = true;
  }

  chainEnds(): void {
    this.chained = false;
    this.#dropDoomed();
  }

  #dropDoomed(): void {
    if (this.batchOpen || this.chained) return;
    const doomed = this.#doomed;
    this.#doomed = [];
    for (const segment of doomed) this.destroySegment(segment);
  }

  /** Scratch for copies that can't be done directly; at most 16 MiB, reused in queue order. */
  scratch(bytes: number): GPUBuffer {
    const wanted = Math.min(bytes, SCRATCH_BYTES_MAX);
    if (this.#scratch === null || this.#scratch.size < wanted + 8) {
      // The old one may still be named by the open encoder: Dawn frees it when it is collected.
      this.#scratch = this.device.createBuffer({
        label: "vgpu copy scratch",
        size: Math.max(64 * 1024, 2 ** Math.ceil(Math.log2(wanted + 8))),
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
    }
    return this.#scratch;
  }

  get scratchBytesMax(): number {
    return SCRATCH_BYTES_MAX;
  }

  /** The bind group of a launch: storage ranges, and uniforms at dynamic offsets of the arena. */
  bindGroup(pipeline: DawnPipeline, storage: readonly StorageRange[]): GPUBindGroup {
    let key = `${pipeline.id}`;
    for (const range of storage) {
      key += `,${(range.segment as DawnSegment).id}:${range.offset}:${range.bytes}`;
    }
    const known = this.#bindGroups.get(key);
    if (known !== undefined) {
      return known;
    }
    if (this.#bindGroups.size >= BIND_GROUPS_MAX) {
      this.#bindGroups.clear();
    }
    const group = this.#createBindGroup(pipeline, storage);
    this.#bindGroups.set(key, group);
    return group;
  }

  #createBindGroup(pipeline: DawnPipeline, storage: readonly StorageRange[]): GPUBindGroup {
    const entries: GPUBindGroupEntry[] = [];
    let storageIndex = 0;
    for (const binding of pipeline.descriptor.bindings) {
      if (binding.kind === "uniform") {
        const size = Math.ceil(binding.bytes / 16) * 16;
        entries.push({
          binding: binding.binding,
          resource: { buffer: this.arena.buffer, offset: 0, size },
        });
        continue;
      }
      const range = storage[storageIndex++];
      if (range === undefined) {
        throw new ExecutorError(
          "failed",
          `${pipeline.label}: binding ${binding.binding} has no range`,
        );
      }
      entries.push({
        binding: binding.binding,
        resource: {
          buffer: (range.segment as DawnSegment).buffer,
          offset: range.offset,
          size: range.bytes,
        },
      });
    }
    return this.device.createBindGroup({ layout: pipeline.layout, entries });
  }

  /** Work is on its way to the GPU. */
  track(operations: number, done: (outcome: BatchOutcome) => void): InFlight {
    const submitNs = this.nowNs();
    const entry: InFlight = {
      batch: this.begunBatch,
      submitNs,
      operations,
      finished: false,
      whenFirst: null,
      timedNs: null,
      marksNs: null,
      error: null,
      done,
    };
    if (this.inFlight.length === 0) this.#slackNs = 0;
    this.inFlight.push(entry);
    return entry;
  }

  /** The GPU has finished this one. Batches are reported in order. */
  finish(entry: InFlight): void {
    markStage("done");
    entry.finished = true;
    const doneNs = this.nowNs();
    while (this.inFlight[0]?.finished === true) {
      const head = this.inFlight.shift() as InFlight;
      this.doneBatch = head.batch;
      const hostNs = Math.max(0, doneNs - Math.max(head.submitNs, this.#lastDoneNs));
      this.#lastDoneNs = doneNs;
      this.timing?.took(hostNs);
      this.placement?.ended(head.operations, hostNs);
      const timed = head.timedNs !== null;
      const gpuTimeNs = this.#charge(hostNs, head.timedNs);
      const { error, marksNs } = head;
      if (error !== null) head.done({ ok: false, ...error });
      else if (marksNs === null) head.done({ ok: true, gpuTimeNs, timed, doneNs });
      else head.done({ ok: true, gpuTimeNs, timed, doneNs, marksNs });
    }
    const first = this.inFlight[0];
    if (first !== undefined && first.whenFirst !== null) {
      const then = first.whenFirst;
      first.whenFirst = null;
      then();
    }
    if (this.closed && this.inFlight.length === 0) {
      this.close();
    }
  }

  /**
   * What a batch took. Completions of several are noticed together now and then, which makes the
   * host's time of the later ones short; but timestamps never give more than has passed in all.
   */
  #charge(hostNs: number, timedNs: number | null): number {
    if (timedNs === null) return hostNs;
    const allNs = hostNs + this.#slackNs;
    const gpuNs = Math.min(timedNs, allNs);
    this.#slackNs = allNs - gpuNs;
    return gpuNs;
  }

  /**
   * Destroys the device, which waits for the GPU: so not before it is done. A GPU that hangs stays
   * as it is, and costs its memory.
   */
  close(): void {
    this.closed = true;
    this.host?.close();
    this.placement?.restore();
    if (this.inFlight.length > 0) {
      closing.add(this);
      return;
    }
    closing.delete(this);
    this.device.destroy();
  }

  /** An error that Dawn reports outside of any call belongs to the newest work. */
  uncaptured(reason: "out-of-memory" | "failed", message: string): void {
    const newest = this.inFlight.at(-1);
    if (newest !== undefined) {
      newest.error ??= { reason, message };
    }
  }

  deviceLost(message: string): void {
    this.lost = message;
    this.host?.close();
    this.placement?.restore();
    this.chainEnds();
    const all = this.inFlight.splice(0);
    for (const entry of all) {
      entry.finished = true;
      entry.done({ ok: false, reason: "lost", message });
    }
  }
}

function supportPipeline(
  device: GPUDevice,
  name: string,
  code: string,
  hasSource: boolean,
): SupportPipeline {
  const entries: GPUBindGroupLayoutEntry[] = [
    { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: { type: "storage" } },
    {
      binding: 1,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: "uniform", hasDynamicOffset: true, minBindingSize: SUPPORT_PARAMETER_BYTES },
    },
  ];
  if (hasSource) {
    entries.push({
      binding: 2,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: "read-only-storage" },
    });
  }
  const layout = device.createBindGroupLayout({ label: `vgpu ${name}`, entries });
  const pipeline = device.createComputePipeline({
    label: `vgpu ${name}`,
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ code }), entryPoint: name },
  });
  return { pipeline, layout };
}
