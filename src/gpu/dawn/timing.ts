// SPDX-License-Identifier: Apache-2.0
/**
 * Times batches by the GPU's own clock: a timestamp at the start of a batch's first compute pass and
 * one at the end of its last, resolved and copied behind its work, and mapped in place of waiting
 * for the queue (so that the wait costs nothing more). Between them are marks, the times at which
 * the guest's timed events are reached: each is the start of an empty pass.
 *
 *   first pass ──▶ query 0    slot n of the query set
 *   each pass end ▶ query 1          resolve ──▶ buffer ──▶ staging n ──▶ map
 *   marks ───────▶ query 2 …
 *
 * This costs a batch up to a tenth of a millisecond on a software GPU: flushes, and Dawn's
 * conversion of ticks, which is a dispatch. So a batch is timed as a whole if the one before it was
 * long enough to pay for that; the host's clock is good enough for short ones. Marks are made where
 * they are asked for (docs/decisions/0012-gpu-time-of-long-batches.md).
 */
import { GpuClock } from "./gpu-clock.js";

/** Batches in flight that can be timed. */
const SLOTS = 8;
/** Offsets of resolved queries are multiples of this. */
const RESOLVE_ALIGN = 256;
/** The whole's begin and end, and the marks of a batch. */
const WHOLE_QUERIES = 2;
const MARKS_MAX = 62;
const SLOT_QUERIES = WHOLE_QUERIES + MARKS_MAX;
const QUERY_BYTES = 8;
const SLOT_BYTES = SLOT_QUERIES * QUERY_BYTES;
const RESOLVE_BYTES = Math.ceil(SLOT_BYTES / RESOLVE_ALIGN) * RESOLVE_ALIGN;
/** A batch of this length pays for timing the next one with at most a fiftieth of its time, ns. */
const PAYS_NS_SOFTWARE = 5e6;
const PAYS_NS = 0.5e6;

/** The queries of one batch. Give it back with {@link BatchTiming.give} in any case. */
export class TimingSlot {
  /** The batch is timed as a whole, too. */
  whole = false;
  marks = 0;
  /** When the first of its work was handed over; 0 before. */
  submittedNs = 0;
  #begun = false;

  constructor(
    readonly index: number,
    readonly staging: GPUBuffer,
    readonly querySet: GPUQuerySet,
  ) {}

  get first(): number {
    return this.index * SLOT_QUERIES;
  }

  get queries(): number {
    return WHOLE_QUERIES + this.marks;
  }

  get bytes(): number {
    return this.queries * QUERY_BYTES;
  }

  /** No further mark has room. */
  get full(): boolean {
    return this.marks === MARKS_MAX;
  }

  /** For the descriptor of the batch's next pass. */
  writes(): GPUComputePassTimestampWrites {
    const { querySet, first } = this;
    const endOfPassWriteIndex = first + 1;
    if (this.#begun) return { querySet, endOfPassWriteIndex };
    this.#begun = true;
    return { querySet, beginningOfPassWriteIndex: first, endOfPassWriteIndex };
  }

  /** For the descriptor of an empty pass; null if there are too many. */
  mark(): GPUComputePassTimestampWrites | null {
    if (this.full) return null;
    const { querySet, first } = this;
    return { querySet, beginningOfPassWriteIndex: first + WHOLE_QUERIES + this.marks++ };
  }

  reset(): void {
    this.whole = false;
    this.marks = 0;
    this.submittedNs = 0;
    this.#begun = false;
  }
}

/** What a slot's timestamps say. */
export interface SlotTimes {
  /** What the whole batch took; null if that was not asked or can't be. */
  readonly timedNs: number | null;
  /** Each mark's time on the host's clock. */
  readonly marksNs: readonly number[];
}

export class BatchTiming {
  readonly #device: GPUDevice;
  /** Made when they are first needed, as are the slots: a start has no use for them. */
  #queries: { readonly resolved: GPUBuffer; readonly set: GPUQuerySet } | null = null;
  readonly #free: TimingSlot[] = [];
  #slots = 0;
  readonly #paysNs: number;
  readonly #clock = new GpuClock();
  /** The last batch was long. */
  #pays = false;
  /** Of the batch before, on the GPU's clock. */
  #lastEndNs = 0n;

  constructor(device: GPUDevice, software: boolean) {
    this.#paysNs = software ? PAYS_NS_SOFTWARE : PAYS_NS;
    this.#device = device;
  }

  /** A batch took this long by the host's clock. */
  took(ns: number): void {
    this.#pays = ns >= this.#paysNs;
  }

  /** Whether the next batch should be timed as a whole. */
  get pays(): boolean {
    return this.#pays;
  }

  /** For a batch that is to be timed; null if too many are. */
  take(): TimingSlot | null {
    const free = this.#free.pop();
    if (free !== undefined || this.#slots === SLOTS) return free ?? null;
    const index = this.#slots++;
    const staging = this.#device.createBuffer({
      label: `vgpu timestamps ${index}`,
      size: SLOT_BYTES,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    this.#queries ??= this.#makeQueries();
    return new TimingSlot(index, staging, this.#queries.set);
  }

  #makeQueries(): { resolved: GPUBuffer; set: GPUQuerySet } {
    const set = this.#device.createQuerySet({ type: "timestamp", count: SLOT_QUERIES * SLOTS });
    const resolved = this.#device.createBuffer({
      label: "vgpu timestamps",
      size: SLOTS * RESOLVE_BYTES,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    return { resolved, set };
  }

  give(slot: TimingSlot): void {
    slot.reset();
    this.#free.push(slot);
  }

  /** Behind all of the batch's work. */
  resolve(slot: TimingSlot, encoder: GPUCommandEncoder): void {
    if (this.#queries === null) throw new Error("a slot is resolved that was never taken");
    const { resolved } = this.#queries;
    const at = slot.index * RESOLVE_BYTES;
    encoder.resolveQuerySet(slot.querySet, slot.first, slot.queries, resolved, at);
    encoder.copyBufferToBuffer(resolved, at, slot.staging, 0, slot.bytes);
  }

  /** What the mapped staging buffer says. Call it in order of batches. */
  read(slot: TimingSlot, noticedNs: number): SlotTimes {
    const ticks = new BigUint64Array(slot.staging.getMappedRange(0, slot.bytes).slice(0));
    slot.staging.unmap();
    const marks = Array.from(ticks.subarray(WHOLE_QUERIES), Number);
    // A driver that writes none, or goes back in time, gets the times of the host.
    const sound = marks.every((mark, index) => mark > 0 && mark >= (marks[index - 1] ?? 0));
    return {
      timedNs: slot.whole ? this.#whole(ticks[0] ?? 0n, ticks[1] ?? 0n) : null,
      marksNs: sound ? this.#clock.place(marks, slot.submittedNs, noticedNs) : [],
    };
  }

  #whole(beginNs: bigint, endNs: bigint): number | null {
    const last = this.#lastEndNs;
    this.#lastEndNs = endNs;
    if (beginNs === 0n || endNs < beginNs) return null;
    // The start may be noted while the batch before still runs.
    const fromNs = last > beginNs && last <= endNs ? last : beginNs;
    return Number(endNs - fromNs);
  }
}
