// SPDX-License-Identifier: Apache-2.0
/**
 * What the instance remembers of a batch that the executor has: whose fences and events complete
 * with it, where its reads go, and what to count.
 */
import type { Batch, BatchOutcome, Segment } from "../gpu/executor.js";
import type { Context, Usage } from "./context.js";
import { CostMeter } from "./cost.js";
import type { DeviceEvent } from "./events.js";
import type { FaultWatch } from "./faults.js";
import type { GuestViews, Hostmem } from "./hostmem.js";
import type { Module } from "./kernels.js";
import type { SchedulingLimits } from "./limits.js";
import type { Job, Stream } from "./streams.js";

/** A record of an event that completes with a batch. */
export interface RecordedEvent {
  readonly event: DeviceEvent;
  readonly generation: number;
  readonly stream: Stream;
  /** Which of the batch's marks has its time; null if its end has. */
  readonly mark: number | null;
}

export class BatchRecord {
  readonly sequence: number;
  readonly context: Context;
  readonly batch: Batch;
  /** Jobs whose fence completes with this batch, in order. */
  readonly jobs: Job[] = [];
  readonly events: RecordedEvent[] = [];
  /** A job with work in it, to blame for a failure of the batch. */
  blame: Job | null = null;
  submittedNs = 0;
  /** When the turn was left with it in flight; 0: it was not. */
  leftNs = 0;
  done = false;
  launches = 0;
  /** Launches and slices in it. */
  kernels = 0;
  copies = 0;
  bytesToDevice = 0;
  bytesFromDevice = 0;
  readonly cost = new CostMeter();
  /** Device memory that stays charged until this batch is done. */
  retiredBytes = 0;
  /** Buffers that are destroyed then. */
  readonly #retired: Segment[] = [];
  /** Modules whose kernels may have faulted in it. */
  readonly faults = new Map<Module, FaultWatch>();
  /** Called when it is done and its cost was learned, unless the GPU was lost. */
  readonly waiters: (() => void)[] = [];
  /** A read whose target was unmapped when the data arrived. */
  readLost: ReadTarget | null = null;

  constructor(sequence: number, context: Context, batch: Batch) {
    this.sequence = sequence;
    this.context = context;
    this.batch = batch;
  }

  /**
   * For how much of its time the GPU had a rest of another one's work too, given since when it has not,
   * ns. What comes after its turn was left is not such time: the next one's work waits for this, mostly.
   * And were that counted, one whose cost is taken for too little would leave too early, have most of
   * its time shared, and never learn better. One that is taken for too much leaves late.
   */
  sharedNs(tookNs: number, doneNs: number, aloneNs: number): number {
    const beganNs = Math.max(this.submittedNs, doneNs - tookNs);
    return Math.max(0, Math.min(aloneNs, doneNs) - beganNs);
  }

  /** Counts what it did. */
  charge(usage: Usage, gpuTimeNs: number): void {
    usage.gpuTimeNs += gpuTimeNs;
    usage.launches += this.launches;
    usage.copies += this.copies;
    usage.bytesToDevice += this.bytesToDevice;
    usage.bytesFromDevice += this.bytesFromDevice;
  }

  /** It has succeeded: so have the events in it. */
  completeEvents(outcome: BatchOutcome, nowNs: number): void {
    if (this.events.length === 0) return;
    const marksNs = outcome.ok ? outcome.marksNs : undefined;
    // One without a mark was not after the next one with a mark in its stream, which it would push on.
    const nextNs = new Map<Stream, number>();
    const timesNs = this.events.map(() => nowNs);
    for (const [index, { stream, mark }] of [...this.events.entries()].reverse()) {
      const markNs = mark === null ? undefined : marksNs?.[mark];
      if (markNs !== undefined) nextNs.set(stream, markNs);
      timesNs[index] = nextNs.get(stream) ?? nowNs;
    }
    for (const [index, { event, generation, stream }] of this.events.entries())
      this.context.events.complete(event, generation, stream.eventAt(timesNs[index] ?? nowNs));
  }

  /** Moves what has grown, and zeroes what is used again, at most `fillsMax` at once. */
  settleMemory(fillsMax: number): void {
    const { batch, context } = this;
    context.memory.takeMoves((to, from, bytes) => {
      if (bytes > 0) batch.copy(to, 0, from, 0, bytes);
      this.#retired.push(from);
      this.retiredBytes += from.bytes;
    });
    context.memory.takeFills(fillsMax, (segment, offset, bytes) =>
      batch.fill(segment, offset, bytes, 0, 4),
    );
  }

  dropRetired(): void {
    for (const segment of this.#retired) segment.destroy();
    this.#retired.length = 0;
  }

  /** Whether its end is of no interest to anybody but the run loop. */
  get silent(): boolean {
    const { jobs, events, waiters, retiredBytes } = this;
    return jobs.length + events.length + waiters.length + retiredBytes + this.bytes === 0;
  }

  /** Bytes that were copied so far, for the limit. */
  get bytes(): number {
    return this.bytesToDevice + this.bytesFromDevice;
  }

  /** Whether nothing more should go into it; `first`: the GPU waits for it. */
  full(limits: SchedulingLimits, budgetNs: number, first = false): boolean {
    const { batchOperationsMax, firstOperationsMax, batchBytesMax } = limits;
    const operationsMax = first
      ? Math.min(firstOperationsMax, batchOperationsMax)
      : batchOperationsMax;
    return (
      this.batch.operations >= operationsMax ||
      this.bytes >= batchBytesMax ||
      this.cost.estimateNs >= budgetNs
    );
  }

  /** Those that are copied while the batch runs. */
  get copiedBytes(): number {
    return this.bytes - (this.batch.writtenBytes ?? 0);
  }
}

/** Where reads find out what may be written now. */
export interface ReadGate {
  /** Guest memory, or null while nothing is attached. */
  readonly memory: GuestViews | null;
  /** While true, data is kept here and not written into guest memory. */
  readonly suspended: boolean;
  hold(target: ReadTarget): void;
}

/** The destination of one read: guest memory, or our own while the rings are stopped. */
export class ReadTarget {
  readonly record: BatchRecord;
  readonly #gate: ReadGate;
  readonly #hostmem: Hostmem;
  readonly #offset: number;
  readonly #bytes: number;
  #views: Uint8Array[] | null = null;
  #generation = -1;
  #held: Uint8Array | null = null;
  #heldViews: Uint8Array[] | null = null;

  constructor(
    record: BatchRecord,
    gate: ReadGate,
    hostmem: Hostmem,
    offset: number,
    bytes: number,
  ) {
    this.record = record;
    this.#gate = gate;
    this.#hostmem = hostmem;
    this.#offset = offset;
    this.#bytes = bytes;
  }

  /** The views to fill now; null if nobody wants the data any more. An executor may ask per part. */
  targets(): readonly Uint8Array[] | null {
    const views = this.#guestViews();
    if (views === null) return null;
    if (this.#heldViews !== null) return this.#heldViews;
    if (!this.#gate.suspended) {
      this.#gate.memory?.log?.writing(views);
      return views;
    }
    // Parts that were written before the suspension are kept: the copy starts from what is there.
    const held = new Uint8Array(this.#bytes);
    gather(held, views);
    this.#held = held;
    this.#heldViews = [held];
    this.#gate.hold(this);
    return this.#heldViews;
  }

  /** Writes what was held back, now that the rings run again. */
  deliver(): void {
    const held = this.#held;
    this.#held = null;
    this.#heldViews = null;
    if (held === null) return;
    const views = this.#guestViews();
    if (views === null) return;
    spread(held, views);
    this.#gate.memory?.log?.written(views, held.length);
  }

  get description(): string {
    return `${this.#bytes} bytes at offset ${this.#offset} of host memory ${this.#hostmem.handle}`;
  }

  #guestViews(): Uint8Array[] | null {
    const { memory } = this.#gate;
    if (memory === null || this.record.context.dead || !this.#hostmem.registered) return null;
    if (this.#views === null || this.#generation !== memory.generation) {
      this.#generation = memory.generation;
      this.#views = this.#hostmem.views(memory, this.#offset, this.#bytes);
      if (this.#views === null) this.record.readLost = this;
    }
    return this.#views;
  }
}

/** Copies views, one after the other, into `target`. */
function gather(target: Uint8Array, views: readonly Uint8Array[]): void {
  let at = 0;
  for (const view of views) {
    target.set(view, at);
    at += view.length;
  }
}

/** Copies `source` over views, one after the other. */
function spread(source: Uint8Array, views: readonly Uint8Array[]): void {
  let at = 0;
  for (const view of views) {
    view.set(source.subarray(at, at + view.length));
    at += view.length;
  }
}
