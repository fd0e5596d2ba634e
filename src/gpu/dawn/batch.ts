// SPDX-License-Identifier: Apache-2.0
/**
 * One batch: operations are encoded in order into a WebGPU command encoder. `writeBuffer` takes
 * effect when it is called, ahead of everything that is only encoded; so small host data goes
 * through the arena and an encoded copy, and a large write first submits what was encoded.
 *
 *   write  aligned          writeBuffer straight from guest memory (no copy of ours), after what
 *                           was encoded has been submitted
 *          small            arena → copyBufferToBuffer, if something is encoded already
 *          unaligned        arena or scratch → byte-copy kernel
 *   read                    segment → staging buffer → map → guest memory, in parts that overlap
 *   write, read             a copy of the host's, where it reaches the segment's memory itself and the
 *                           GPU does nothing with it: see host-memory.ts
 *   copy                    copyBufferToBuffer, or through the scratch buffer
 */
import { markStage } from "../../io/stage-marks.js";
import type { Batch, BatchOutcome, LaunchOperation, Segment, UniformSource } from "../executor.js";
import { ExecutorError } from "../executor.js";
import { ARENA_BYTES } from "./arena.js";
import { BatchReads } from "./batch-reads.js";
import { BatchTimes } from "./batch-times.js";
import { alignDown, gather, repeat } from "./bytes.js";
import { type DawnCore, DawnPipeline, type DawnSegment, type InFlight } from "./core.js";
import { TRAIN_OPERATIONS } from "./placement.js";
import { deliverReads } from "./read-chain.js";
import { SUPPORT_PARAMETER_BYTES, SUPPORT_WORKGROUP } from "./support-kernels.js";

/** Writes up to this size are gathered in the arena. */
const SMALL_WRITE_BYTES = 16 * 1024;
/** From here on Dawn's own staging buffers are fresh memory each time. */
const LARGE_WRITE_BYTES = 1024 * 1024;
/** A batch of so few operations may be done in some microseconds, and somebody waits for it. */
const SHORT_OPERATIONS = 2;
/** Arena space of one support kernel's parameters, alignment included. */
const PARAMETER_SPACE_BYTES = 1024;

interface ImmediatePass {
  setImmediates(offset: number, data: Uint32Array): void;
}

export class DawnBatch implements Batch {
  readonly #core: DawnCore;
  readonly #label: string;
  readonly #times: BatchTimes;
  #encoder: GPUCommandEncoder | null = null;
  #sealed: GPUCommandBuffer | null = null;
  #timed = false;
  #pass: GPUComputePassEncoder | null = null;
  readonly #reads: BatchReads;
  #outstanding = 0;
  #entry: InFlight | null = null;
  #closed = false;
  /** Nothing but writes so far, all of which are in place when `writeBuffer` has returned. */
  #written = true;
  /** Some wait in Dawn's staging memory for the next submit, and to be waited for they have to go. */
  #staged = false;
  operations = 0;
  writtenBytes = 0;

  constructor(core: DawnCore, label: string, timed: boolean) {
    if (core.batchOpen) {
      throw new Error("a batch is open already: one is built at a time");
    }
    core.batchOpen = true;
    core.begunBatch++;
    this.#core = core;
    this.#label = label;
    this.#times = new BatchTimes(core, timed);
    this.#reads = new BatchReads(core, {
      encoder: () => this.#endPass(),
      flush: () => this.#flush(),
    });
  }

  write(target: Segment, offset: number, sources: readonly Uint8Array[]): void {
    this.operations++;
    let bytes = 0;
    let aligned = offset % 4 === 0;
    for (const source of sources) {
      bytes += source.length;
      aligned &&= source.length % 4 === 0;
    }
    if (bytes === 0) return;
    const segment = target as DawnSegment;
    if (segment.hostWrites(offset, sources)) {
      this.writtenBytes += bytes;
      this.#core.copiedBytes += bytes;
      markStage("written");
      return;
    }
    this.#reads.encode();
    if (aligned && this.#encoder === null) {
      this.#writeDirect(segment, offset, sources);
    } else if (bytes <= SMALL_WRITE_BYTES) {
      this.#writeSmall(segment, offset, sources, bytes);
    } else if (aligned) {
      this.#flush();
      this.#writeDirect(segment, offset, sources);
    } else {
      this.#writeUnaligned(segment, offset, sources);
    }
  }

  /** Straight from the sources, small ones gathered; all that was encoded is submitted. */
  #writeDirect(segment: DawnSegment, offset: number, sources: readonly Uint8Array[]): void {
    const { queue, uploads, gathered } = this.#core;
    this.#times.copies = true;
    segment.used = true;
    // The GPU is at work on it, or the host would have written it: so this takes its place behind that.
    if (segment.inHostMemory) segment.gpuWrites();
    gather(sources, gathered, (data, at) => {
      this.#core.copiedBytes += segment.gpuWritten ? 2 * data.length : data.length;
      if (uploads !== null && segment.gpuWritten && data.length > LARGE_WRITE_BYTES) {
        uploads.write(segment.buffer, offset + at, data);
        this.#written = false;
        return;
      }
      queue.writeBuffer(segment.buffer, offset + at, data);
      if (uploads !== null && !segment.gpuWritten) return;
      // It waits in Dawn's staging memory: a flood of large ones would fill that, and none may come
      // after what the host writes itself.
      if (data.length > SMALL_WRITE_BYTES || segment.inHostMemory) this.#written = false;
      if (segment.inHostMemory) this.#staged = true;
    });
    markStage("written");
  }

  #writeSmall(
    segment: DawnSegment,
    offset: number,
    sources: readonly Uint8Array[],
    bytes: number,
  ): void {
    this.#ensure(bytes + 8 + PARAMETER_SPACE_BYTES);
    const at = this.#reserve(Math.ceil(bytes / 4) * 4 + 4, 4);
    const arena = this.#core.arena;
    let put = at;
    for (const source of sources) {
      arena.put(put, source);
      put += source.length;
    }
    if (offset % 4 === 0 && bytes % 4 === 0) {
      segment.gpuWrites();
      this.#endPass().copyBufferToBuffer(arena.buffer, at, segment.buffer, offset, bytes);
    } else {
      this.#byteCopy(segment, offset, arena.buffer, at, bytes);
    }
  }

  /** Gathers parts in host memory, because `writeBuffer` takes whole words only. */
  #writeUnaligned(segment: DawnSegment, offset: number, sources: readonly Uint8Array[]): void {
    const partMax = this.#core.scratchBytesMax;
    this.#times.copies = true;
    let part = new Uint8Array(0);
    let used = 0;
    let at = offset;
    const emit = (): void => {
      if (used === 0) return;
      const scratch = this.#core.scratch(used);
      this.#flush();
      this.#core.queue.writeBuffer(scratch, 0, part, 0, Math.ceil(used / 4) * 4);
      this.#byteCopy(segment, at, scratch, 0, used);
      at += used;
      used = 0;
    };
    let remaining = sources.reduce((sum, source) => sum + source.length, 0);
    for (const source of sources) {
      for (let taken = 0; taken < source.length; ) {
        if (used === 0) {
          part = new Uint8Array(Math.ceil(Math.min(remaining, partMax) / 4) * 4);
        }
        const count = Math.min(source.length - taken, partMax - used, part.length - used);
        part.set(source.subarray(taken, taken + count), used);
        used += count;
        taken += count;
        remaining -= count;
        if (used === partMax) {
          emit();
        }
      }
    }
    emit();
  }

  read(
    source: Segment,
    offset: number,
    bytes: number,
    targets: () => readonly Uint8Array[] | null,
  ): void {
    this.operations++;
    const segment = source as DawnSegment;
    this.#times.copies = true;
    this.#times.reading = true;
    segment.gpuReads();
    this.#reads.add({ segment, offset, bytes, partOffset: 0, targets });
  }

  copy(
    target: Segment,
    targetOffset: number,
    source: Segment,
    sourceOffset: number,
    bytes: number,
  ): void {
    this.operations++;
    const to = target as DawnSegment;
    const from = source as DawnSegment;
    if (bytes === 0 || (to === from && targetOffset === sourceOffset)) return;
    this.#reads.encode();
    this.#times.copies = true;
    from.gpuReads();
    to.gpuWrites();
    const aligned = (targetOffset | sourceOffset | bytes) % 4 === 0;
    if (aligned && to !== from) {
      this.#endPass().copyBufferToBuffer(from.buffer, sourceOffset, to.buffer, targetOffset, bytes);
      return;
    }
    // Through the scratch buffer part by part, from the end if the target lies above the source.
    const partMax = this.#core.scratchBytesMax;
    const parts = Math.ceil(bytes / partMax);
    const backwards = to === from && targetOffset > sourceOffset;
    for (let index = 0; index < parts; index++) {
      const part = backwards ? parts - 1 - index : index;
      const begin = part * partMax;
      const length = Math.min(partMax, bytes - begin);
      this.#copyPart(to, targetOffset + begin, from, sourceOffset + begin, length);
    }
  }

  #copyPart(
    to: DawnSegment,
    targetOffset: number,
    from: DawnSegment,
    sourceOffset: number,
    bytes: number,
  ): void {
    const skip = sourceOffset % 4;
    const padded = Math.ceil((skip + bytes) / 4) * 4;
    const scratch = this.#core.scratch(padded);
    this.#endPass().copyBufferToBuffer(from.buffer, sourceOffset - skip, scratch, 0, padded);
    if (skip === 0 && targetOffset % 4 === 0 && bytes % 4 === 0) {
      this.#endPass().copyBufferToBuffer(scratch, 0, to.buffer, targetOffset, bytes);
    } else {
      this.#byteCopy(to, targetOffset, scratch, skip, bytes);
    }
  }

  fill(target: Segment, offset: number, bytes: number, pattern: number, width: 1 | 2 | 4): void {
    this.operations++;
    if (bytes === 0) return;
    this.#reads.encode();
    const segment = target as DawnSegment;
    segment.gpuWrites();
    const word = repeat(pattern, width);
    if (word === 0 && offset % 4 === 0 && bytes % 4 === 0) {
      this.#endPass().clearBuffer(segment.buffer, offset, bytes);
      return;
    }
    const core = this.#core;
    const base = alignDown(offset, core.info.storageOffsetAlign);
    const group = core.device.createBindGroup({
      layout: core.fill.layout,
      entries: [
        { binding: 0, resource: this.#window(segment, base, offset + bytes) },
        this.#parameterEntry(),
      ],
    });
    this.#ensure(PARAMETER_SPACE_BYTES);
    const at = this.#parameters(offset - base, 0, bytes, word);
    this.#dispatchSupport(core.fill.pipeline, group, at, bytes);
  }

  launch(operation: LaunchOperation): void {
    this.operations++;
    const pipeline = operation.pipeline;
    if (!(pipeline instanceof DawnPipeline)) {
      throw new ExecutorError("failed", `pipeline ${pipeline.label} is not of this executor`);
    }
    this.#reads.encode();
    const offsets: number[] = [];
    this.#ensureUniforms(operation.uniforms);
    for (const source of operation.uniforms) {
      offsets.push(this.#uniform(source));
    }
    for (const range of operation.storage) {
      (range.segment as DawnSegment).gpuWrites();
    }
    const group = this.#core.bindGroup(pipeline, operation.storage);
    const pass = this.#beginPass();
    pass.setPipeline(pipeline.pipeline);
    pass.setBindGroup(0, group, offsets);
    if (operation.dispatches === undefined) {
      const [x, y, z] = operation.grid;
      pass.dispatchWorkgroups(x, y, z);
      return;
    }
    for (const { grid, immediates } of operation.dispatches) {
      // The type definitions do not know immediates yet.
      (pass as unknown as ImmediatePass).setImmediates(0, immediates);
      pass.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    }
  }

  mark(): number | null {
    const emptyPass = (descriptor: GPUComputePassDescriptor): void =>
      this.#endPass().beginComputePass(descriptor).end();
    return this.#times.mark(this.operations, emptyPass);
  }

  get marksFull(): boolean {
    return this.#times.full;
  }

  /** One operation needs at most half of the arena: uniforms of all bindings. */
  get full(): boolean {
    return this.#core.arena.used > ARENA_BYTES / 2;
  }

  discard(): void {
    this.#closed = true;
    this.#pass?.end();
    this.#pass = null;
    this.#encoder = null;
    this.#sealed = null;
    this.#times.drop();
    this.#core.arena.clear();
    this.#core.batchClosed();
  }

  seal(): void {
    this.#timed = this.#times.resolve(() => this.#endPass());
    if (!this.#reads.open) this.#finish();
  }

  submit(done: (outcome: BatchOutcome) => void): void {
    if (this.#closed) {
      throw new Error(`batch ${this.#label} is submitted twice`);
    }
    this.#closed = true;
    const core = this.#core;
    if (core.lost !== null) {
      this.#times.drop();
      const message = core.lost;
      core.batchClosed();
      queueMicrotask(() => done({ ok: false, reason: "lost", message }));
      return;
    }
    const entry = core.track(this.operations, done);
    this.#entry = entry;
    const only = core.inFlight.length === 1;
    const worked = this.#encoder !== null || this.#sealed !== null || !this.#written;
    this.#reads.takeByHost((worked || this.#reads.encoded) && !only);
    const chain = this.#reads.chain(() => this.#settle());
    if (chain !== null) this.#outstanding++;
    const short = only && this.operations <= SHORT_OPERATIONS;
    core.placement?.submits(this.operations, only);
    if (this.#sealed === null) this.seal();
    this.#flush();
    core.batchClosed();
    if (chain === null && this.#written) {
      // Whatever is submitted later comes after the data, so there is nothing to wait for.
      const end = (): void => this.#end(entry);
      if (only || !this.#reads.byHost) queueMicrotask(end);
      else entry.whenFirst = end;
      return;
    }
    const settled = (): void => this.#settle();
    const other = this.#outstanding > 0;
    // Said before the calls, which ask for the first tick.
    if (other) core.ticker.activity();
    else if (core.uploads !== null && this.operations >= TRAIN_OPERATIONS) core.ticker.manyShort();
    else core.ticker.activity(short);
    if (this.#timed) {
      this.#outstanding++;
      this.#times.wait(entry, settled);
    } else if (!other || core.host !== null) {
      // A map tells of what was submitted with it, but the host's copies need all to be done.
      this.#outstanding++;
      core.ticker.call(() => core.queue.onSubmittedWorkDone()).then(settled, settled);
    }
    chain?.start();
    if (only) core.spare.prepare();
  }

  #settle(): void {
    this.#outstanding--;
    if (this.#outstanding === 0 && this.#entry !== null && !this.#entry.finished) {
      this.#end(this.#entry);
    }
  }

  /** The GPU has done all of it. */
  #end(entry: InFlight): void {
    this.#reads.readByHost();
    this.#core.finish(entry);
  }

  #finish(): void {
    if (this.#encoder === null) return;
    this.#sealed = this.#endPass().finish();
    this.#encoder = null;
  }

  /** Submits what is encoded, and asks for the staging buffers that it fills. */
  #flush(): void {
    const core = this.#core;
    this.#finish();
    const commands = this.#sealed;
    this.#sealed = null;
    const maps = this.#reads.takeMaps();
    if (commands !== null || maps.length > 0) this.#written = false;
    core.arena.upload(core.queue);
    if (commands === null && this.#staged) core.ticker.call(() => core.queue.submit([]));
    this.#staged = false;
    if (commands !== null) {
      this.#times.sent();
      markStage("encoded");
      core.ticker.call(() => core.queue.submit([commands]));
      markStage("submitted");
    }
    for (const map of maps) {
      this.#outstanding++;
      core.ticker
        .call(() => map.staging.mapAsync(GPUMapMode.READ, 0, map.mapBytes))
        .then(
          () => deliverReads(core, map),
          () => map.staging.destroy(),
        )
        .then(() => this.#settle());
    }
  }

  #beginPass(): GPUComputePassEncoder {
    if (this.#pass !== null) return this.#pass;
    const descriptor = this.#times.pass();
    const encoder = this.#begin(true);
    const spare: GPUComputePassEncoder | null = this.#pass;
    if (spare !== null && descriptor.timestampWrites === undefined) return spare;
    this.#endPass();
    const pass = encoder.beginComputePass(descriptor);
    this.#pass = pass;
    return pass;
  }

  #endPass(): GPUCommandEncoder {
    const encoder = this.#begin(false);
    this.#pass?.end();
    this.#pass = null;
    return encoder;
  }

  /** The encoder; one that is taken now may have a pass open. */
  #begin(withPass: boolean): GPUCommandEncoder {
    if (this.#encoder !== null) return this.#encoder;
    const { encoder, pass } = this.#core.spare.take(withPass);
    this.#encoder = encoder;
    this.#pass = pass;
    return encoder;
  }

  /**
   * Makes room for all that one operation puts into the arena: a flush in the middle would let the
   * next upload overwrite its first half.
   */
  #ensure(bytes: number): void {
    if (this.#core.arena.used + bytes > ARENA_BYTES) {
      this.#flush();
    }
  }

  #ensureUniforms(uniforms: readonly UniformSource[]): void {
    let bytes = 0;
    for (const source of uniforms) {
      const length = source instanceof Uint8Array ? source.length : source.bytes;
      bytes += length + 16 + this.#core.info.uniformOffsetAlign;
    }
    this.#ensure(bytes);
  }

  #reserve(bytes: number, align: number): number {
    const at = this.#core.arena.reserve(bytes, align);
    if (at < 0) {
      throw new ExecutorError(
        "failed",
        `${bytes} bytes do not fit into the arena of ${ARENA_BYTES}`,
      );
    }
    return at;
  }

  #uniform(source: UniformSource): number {
    const align = this.#core.info.uniformOffsetAlign;
    if (source instanceof Uint8Array) {
      const at = this.#reserve(Math.ceil(source.length / 16) * 16, align);
      this.#core.arena.put(at, source);
      return at;
    }
    // Device memory: the upload of this batch comes before its commands, so that the encoded copy
    // has the last word on this range.
    const at = this.#reserve(Math.ceil(source.bytes / 16) * 16, align);
    const from = source.segment as DawnSegment;
    from.gpuReads();
    const { arena } = this.#core;
    arena.overwrites(at);
    const bytes = Math.ceil(source.bytes / 4) * 4;
    this.#endPass().copyBufferToBuffer(from.buffer, source.offset, arena.buffer, at, bytes);
    return at;
  }

  #parameterEntry(): GPUBindGroupEntry {
    return {
      binding: 1,
      resource: { buffer: this.#core.arena.buffer, offset: 0, size: SUPPORT_PARAMETER_BYTES },
    };
  }

  #parameters(targetByte: number, sourceByte: number, bytes: number, pattern: number): number {
    const arena = this.#core.arena;
    const at = this.#reserve(SUPPORT_PARAMETER_BYTES, this.#core.info.uniformOffsetAlign);
    arena.putU32(at, targetByte);
    arena.putU32(at + 4, sourceByte);
    arena.putU32(at + 8, bytes);
    arena.putU32(at + 12, pattern);
    return at;
  }

  /** Copies bytes of any alignment from a buffer of ours into a segment, by a kernel. */
  #byteCopy(
    segment: DawnSegment,
    offset: number,
    source: GPUBuffer,
    sourceOffset: number,
    bytes: number,
  ): void {
    const core = this.#core;
    if (source !== core.arena.buffer) {
      this.#ensure(PARAMETER_SPACE_BYTES);
    }
    segment.gpuWrites();
    const base = alignDown(offset, core.info.storageOffsetAlign);
    const sourceBase = alignDown(sourceOffset, core.info.storageOffsetAlign);
    const sourceEnd = Math.min(source.size, Math.ceil((sourceOffset + bytes) / 4) * 4 + 4);
    const at = this.#parameters(offset - base, sourceOffset - sourceBase, bytes, 0);
    const group = core.device.createBindGroup({
      layout: core.copy.layout,
      entries: [
        { binding: 0, resource: this.#window(segment, base, offset + bytes) },
        this.#parameterEntry(),
        {
          binding: 2,
          resource: { buffer: source, offset: sourceBase, size: sourceEnd - sourceBase },
        },
      ],
    });
    this.#dispatchSupport(core.copy.pipeline, group, at, bytes);
  }

  #window(segment: DawnSegment, begin: number, end: number): GPUBufferBinding {
    return { buffer: segment.buffer, offset: begin, size: Math.ceil((end - begin) / 4) * 4 };
  }

  #dispatchSupport(
    pipeline: GPUComputePipeline,
    group: GPUBindGroup,
    parametersAt: number,
    bytes: number,
  ): void {
    const pass = this.#beginPass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group, [parametersAt]);
    const words = Math.ceil(bytes / 4) + 1;
    pass.dispatchWorkgroups(Math.min(4096, Math.ceil(words / SUPPORT_WORKGROUP)));
  }
}
