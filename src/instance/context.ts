// SPDX-License-Identifier: Apache-2.0
/**
 * One context: a process of the guest. It owns its device memory, registrations, objects, streams
 * and the pages it shares with its driver. Data only: the runner and the control requests act on it.
 */
import { VGPU } from "../protocol/generated/wire.js";
import type { BatchRecord } from "./batches.js";
import type { MemoryBudget } from "./budget.js";
import { EventTable, type EventTotals } from "./events.js";
import type { Failure } from "./failure.js";
import { HostmemTable, type HostmemTotals } from "./hostmem.js";
import type { KernelTable } from "./kernels.js";
import type { InstanceLimits } from "./limits.js";
import type { ContextMemory } from "./memory.js";
import { Fifo, Stream } from "./streams.js";
import type { Timeline } from "./timeline.js";

/** The error that made a context fail, as ERROR_QUERY tells it. */
export interface ContextError extends Failure {
  readonly stream: number;
  readonly fence: number;
}

/** What a context has used since its creation. */
export class Usage {
  gpuTimeNs = 0;
  launches = 0;
  copies = 0;
  bytesToDevice = 0;
  bytesFromDevice = 0;
  rejections = 0;
  waitNs = 0;
}

export interface ContextParts {
  readonly id: number;
  readonly name: string;
  readonly timeline: Timeline;
  readonly memory: ContextMemory;
  readonly kernels: KernelTable;
  readonly hostmemTotals: HostmemTotals;
  readonly eventTotals: EventTotals;
  readonly limits: InstanceLimits;
}

export class Context {
  readonly id: number;
  readonly name: string;
  readonly timeline: Timeline;
  readonly memory: ContextMemory;
  readonly kernels: KernelTable;
  readonly hostmems: HostmemTable;
  readonly events: EventTable;
  readonly streams: readonly Stream[];
  readonly usage = new Usage();
  /** Streams that can go on, in the order of their turns. */
  readonly runnable = new Fifo<Stream>();
  /** Set once; everything after it is skipped. */
  error: ContextError | null = null;
  /** Destroyed: what is still in flight finishes into nothing. */
  dead = false;
  queuedCommands = 0;
  queuedBytes = 0;
  batchesInFlight = 0;
  /** Newest batch in flight, for what must outlive it. */
  lastRecord: BatchRecord | null = null;
  /** Streams that are not runnable because of a compilation. */
  compiling = 0;
  admissions = 0;
  /** In the runner's list of contexts with runnable work. */
  ready = false;
  /** Since when its work waits for the GPU; negative if it does not. */
  waitingSinceNs = -1;
  headerDirty = false;
  /** In the runner's list of contexts with something to publish. */
  dirty = false;
  /** An event message could not be delivered for want of a buffer. */
  eventPending = false;

  constructor(parts: ContextParts) {
    this.id = parts.id;
    this.name = parts.name;
    this.timeline = parts.timeline;
    this.memory = parts.memory;
    this.kernels = parts.kernels;
    this.hostmems = new HostmemTable(parts.hostmemTotals, parts.limits);
    this.events = new EventTable(parts.limits, parts.eventTotals);
    this.streams = Array.from({ length: VGPU.STREAMS_MAX }, (_, index) => new Stream(index));
  }

  /** The stream of a checked number. */
  stream(index: number): Stream {
    const stream = this.streams[index];
    if (stream === undefined) throw new RangeError(`stream ${index} does not exist`);
    return stream;
  }

  /** Nothing is waited for any more: what was queued is dropped. */
  unblock(): void {
    this.events.dropWaiters();
    this.compiling = 0;
    this.runnable.clear();
    for (const stream of this.streams) {
      stream.blocked = null;
      stream.listed = false;
    }
  }

  /** Keeps `bytes` of returned memory charged until the batches in flight are done. */
  retire(bytes: number, budget: MemoryBudget): void {
    const record = this.lastRecord;
    if (record === null || record.done) budget.release(bytes);
    else record.retiredBytes += bytes;
  }

  /** Whether queued work can go on without the guest's doing. */
  get progressing(): boolean {
    return this.batchesInFlight > 0 || this.compiling > 0 || this.runnable.length > 0;
  }
}
