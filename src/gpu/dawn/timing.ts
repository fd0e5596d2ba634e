// SPDX-License-Identifier: Apache-2.0
/**
 * Times batches by the GPU's own clock: a timestamp at the start of a batch's first compute pass and
 * one at the end of its last, resolved and copied behind its work, and mapped in place of waiting
 * for the queue (so that the wait costs nothing more).
 *
 *   first pass ──▶ query 2n          resolve ──▶ buffer ──▶ staging n ──▶ map
 *   each pass end ▶ query 2n + 1
 *
 * This costs a batch up to a tenth of a millisecond on a software GPU: flushes, and Dawn's
 * conversion of ticks, which is a dispatch. So a batch is timed if the one before it was long enough
 * to pay for that; the host's clock is good enough for short ones
 * (docs/decisions/0012-gpu-time-of-long-batches.md).
 */

/** Batches in flight that can be timed. */
const SLOTS = 8;
/** Offsets of resolved queries are multiples of this. */
const RESOLVE_ALIGN = 256;
const SLOT_BYTES = 16;
/** A batch of this length pays for timing the next one with at most a fiftieth of its time, ns. */
const PAYS_NS_SOFTWARE = 5e6;
const PAYS_NS = 0.5e6;

/** The queries of one batch. Give it back with {@link BatchTiming.give} in any case. */
export class TimingSlot {
  #begun = false;

  constructor(
    readonly index: number,
    readonly staging: GPUBuffer,
    readonly querySet: GPUQuerySet,
  ) {}

  /** For the descriptor of the batch's next pass. */
  writes(): GPUComputePassTimestampWrites {
    const { querySet, index } = this;
    const endOfPassWriteIndex = 2 * index + 1;
    if (this.#begun) return { querySet, endOfPassWriteIndex };
    this.#begun = true;
    return { querySet, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex };
  }

  reset(): void {
    this.#begun = false;
  }
}

export class BatchTiming {
  readonly #resolved: GPUBuffer;
  readonly #querySet: GPUQuerySet;
  readonly #free: TimingSlot[] = [];
  readonly #paysNs: number;
  /** The last batch was long. */
  #pays = false;
  /** Of the batch before, on the GPU's clock. */
  #lastEndNs = 0n;

  constructor(device: GPUDevice, software: boolean) {
    this.#paysNs = software ? PAYS_NS_SOFTWARE : PAYS_NS;
    this.#querySet = device.createQuerySet({ type: "timestamp", count: 2 * SLOTS });
    this.#resolved = device.createBuffer({
      label: "vgpu timestamps",
      size: SLOTS * RESOLVE_ALIGN,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    for (let index = 0; index < SLOTS; index++) {
      const staging = device.createBuffer({
        label: `vgpu timestamps ${index}`,
        size: SLOT_BYTES,
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      this.#free.push(new TimingSlot(index, staging, this.#querySet));
    }
  }

  /** A batch took this long by the host's clock. */
  took(ns: number): void {
    this.#pays = ns >= this.#paysNs;
  }

  /** For a batch that is to be timed, before its first pass; null if it is not. */
  take(): TimingSlot | null {
    return this.#pays ? (this.#free.pop() ?? null) : null;
  }

  give(slot: TimingSlot): void {
    slot.reset();
    this.#free.push(slot);
  }

  /** Behind all of the batch's work. */
  resolve(slot: TimingSlot, encoder: GPUCommandEncoder): void {
    const at = slot.index * RESOLVE_ALIGN;
    encoder.resolveQuerySet(this.#querySet, 2 * slot.index, 2, this.#resolved, at);
    encoder.copyBufferToBuffer(this.#resolved, at, slot.staging, 0, SLOT_BYTES);
  }

  /** What the mapped staging buffer says, ns; null if that can't be. Call it in order of batches. */
  read(slot: TimingSlot): number | null {
    const [beginNs = 0n, endNs = 0n] = new BigUint64Array(
      slot.staging.getMappedRange(0, SLOT_BYTES).slice(0),
    );
    slot.staging.unmap();
    const last = this.#lastEndNs;
    this.#lastEndNs = endNs;
    if (beginNs === 0n || endNs < beginNs) return null;
    // The start may be noted while the batch before still runs.
    const fromNs = last > beginNs && last <= endNs ? last : beginNs;
    return Number(endNs - fromNs);
  }
}
