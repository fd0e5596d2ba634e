// SPDX-License-Identifier: Apache-2.0
/**
 * Device memory of one context: segments (GPU buffers) and the allocations in them. A device
 * pointer is segment number and offset; numbers are not reused before they wrap, so that a stale
 * pointer is an error and not someone's data.
 *
 * Segments begin small and grow, so that a context with little data takes little; a large
 * allocation has a segment of its own. An allocation that reuses bytes is zeroed by a fill, which
 * goes ahead of the context's next operations.
 *
 * Kernels in PTX bind all segments of their context, and are fastest where there is one. So in a
 * context that runs PTX (`dense`) a segment grows in place while it can: it moves into a larger
 * buffer, under the same number, by a copy that goes ahead of the next operations too.
 *
 * The first bytes of its segments are never handed out, so that a null pointer of a kernel that sees
 * the whole segment hits nothing. Segments from before it said that it runs PTX (by its first module)
 * have none to spare.
 */
import { type Executor, ExecutorError, type Segment, type StorageRange } from "../gpu/executor.js";
import { Status, VGPU } from "../protocol/generated/wire.js";
import { type DevicePointer, pointerText } from "../protocol/pointer.js";
import type { MemoryBudget } from "./budget.js";
import { type Failure, failure, pointerFailure } from "./failure.js";
import type { InstanceLimits } from "./limits.js";
import { SubAllocator } from "./suballocator.js";

/** One segment of a context. */
export interface SegmentEntry {
  readonly number: number;
  segment: Segment;
  /** The buffer that it was in before it grew, and how many bytes are to be copied from there. */
  from: { readonly segment: Segment; readonly bytes: number } | null;
  readonly allocator: SubAllocator;
  /** Made for one large allocation: returned as soon as it is empty. */
  readonly own: boolean;
  /** Allocations of reused bytes that were not zeroed yet: offset → bytes to zero. */
  readonly fills: Map<number, number>;
  /** Offsets of allocations that belong to a module: the guest can't free them. */
  readonly modules: Set<number>;
}

export interface MemoryOptions {
  readonly executor: Executor;
  readonly budget: MemoryBudget;
  readonly limits: InstanceLimits;
  readonly label: string;
  readonly seed: number;
  /** Takes over the charge of a returned segment until the batches in flight are done. */
  readonly retire: (bytes: number) => void;
  /** Makes all contexts return segments that they keep for later. */
  readonly reclaim: () => void;
}

export interface Grant {
  readonly segment: number;
  readonly offset: number;
  /** Taken from the segment: what was asked for, rounded up to the granularity. */
  readonly bytes: number;
}

const SEGMENT_NUMBERS_END = 2 ** 32;
const SEGMENT_BYTES_MAX = 2 ** 32 - VGPU.ALLOCATION_ALIGN;
/** At the start of a segment; a multiple of the granularity. */
const RESERVED_BYTES = VGPU.ALLOCATION_ALIGN;

export class ContextMemory {
  readonly #options: MemoryOptions;
  readonly #segments = new Map<number, SegmentEntry>();
  #recent: SegmentEntry | null = null;
  #nextNumber: number = VGPU.SEGMENT_FIRST;
  #allocatedBytes = 0;
  #allocations = 0;
  /** Fills of all segments, and segments whose bytes are still in their old buffer. */
  #fillCount = 0;
  #moveCount = 0;
  #bindings: readonly StorageRange[] | null = null;
  /** The context runs kernels in PTX: few segments are better than small ones. */
  dense = false;
  /** The allocation that the last successful {@link resolve} found: offset and end, bytes. */
  foundOffset = 0;
  foundEnd = 0;

  constructor(options: MemoryOptions) {
    this.#options = options;
  }

  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  get allocationCount(): number {
    return this.#allocations;
  }

  get segmentCount(): number {
    return this.#segments.size;
  }

  /** Bytes of this context's segments. */
  get reservedBytes(): number {
    let bytes = 0;
    for (const { segment, from } of this.#segments.values())
      bytes += segment.bytes + (from?.segment.bytes ?? 0);
    return bytes;
  }

  /** `bytes` as the guest asks: the allocation ends there, though more is taken (`Grant.bytes`). */
  allocate(bytes: number): Grant | Failure {
    const { executor, limits } = this.#options;
    if (bytes <= 0) return failure(Status.SIZE_ZERO, "an allocation of 0 bytes is asked for");
    const largest = largestAllocation(executor);
    if (bytes > largest)
      return failure(
        Status.ALLOCATION_TOO_LARGE,
        `an allocation of ${bytes} bytes is asked for, the largest is ${largest}`,
        bytes,
        largest,
      );
    if (this.#allocations >= limits.allocationsMax)
      return failure(
        Status.QUOTA,
        `the context has ${this.#allocations} allocations, the limit is ${limits.allocationsMax}`,
        this.#allocations,
        limits.allocationsMax,
      );
    const rounded = Math.ceil(bytes / VGPU.ALLOCATION_ALIGN) * VGPU.ALLOCATION_ALIGN;
    const found = this.#place(bytes);
    if (found !== null) return found;
    if (this.dense && this.#grow(rounded)) {
      const grant = this.#place(bytes);
      if (grant !== null) return grant;
    }
    let entry = this.#addSegment(rounded);
    if ("kind" in entry && entry.status === Status.OUT_OF_MEMORY) {
      // What contexts keep for later goes before anyone is refused.
      this.#options.reclaim();
      entry = this.#addSegment(rounded);
    }
    if ("kind" in entry) return entry;
    return this.#placeIn(entry, bytes) ?? failure(Status.INTERNAL, "a new segment has no room");
  }

  /** Null on success. The pointer must be one that {@link allocate} gave. */
  free(pointer: DevicePointer): Failure | null {
    if (this.#segments.get(pointer.segment)?.modules.has(pointer.offset) === true)
      return pointerFailure(pointer, "belongs to a module, which frees it when it is unloaded");
    return this.#free(pointer);
  }

  /** Memory for the variables of a module. */
  allocateForModule(bytes: number): Grant | Failure {
    const grant = this.allocate(bytes);
    if (!("kind" in grant)) this.#segments.get(grant.segment)?.modules.add(grant.offset);
    return grant;
  }

  freeForModule(pointer: DevicePointer): void {
    if (this.#segments.get(pointer.segment)?.modules.delete(pointer.offset) === true)
      this.#free(pointer);
  }

  #free(pointer: DevicePointer): Failure | null {
    const entry = this.#segments.get(pointer.segment);
    const freed = entry?.allocator.free(pointer.offset) ?? null;
    if (entry === undefined || freed === null)
      return pointerFailure(pointer, "is not the start of an allocation");
    this.#dropFill(entry, freed.offset);
    this.#allocatedBytes -= freed.bytes;
    this.#allocations--;
    this.#options.budget.count(-freed.bytes);
    if (entry.allocator.count === 0) this.#segmentEmptied(entry);
    return null;
  }

  /**
   * The segment of a range that lies in one allocation, or null. On success the found* fields tell
   * the allocation; {@link explain} says what is wrong otherwise.
   */
  resolve(segment: number, offset: number, bytes: number): SegmentEntry | null {
    let entry = this.#recent;
    if (entry === null || entry.number !== segment) {
      entry = this.#segments.get(segment) ?? null;
      if (entry === null) return null;
      this.#recent = entry;
    }
    const allocation = entry.allocator.find(offset);
    if (allocation === null) return null;
    const end = allocation.offset + allocation.requestedBytes;
    if (offset + bytes > end) return null;
    this.foundOffset = allocation.offset;
    this.foundEnd = end;
    return entry;
  }

  /** The buffer of a segment that {@link resolve} has just found. */
  segment(number: number): Segment {
    const entry = this.#recent?.number === number ? this.#recent : this.#segments.get(number);
    if (entry === undefined || entry === null) throw new Error(`segment ${number} does not exist`);
    return entry.segment;
  }

  /** Why {@link resolve} gave null; `subject` is for the failure. */
  explain(pointer: DevicePointer, bytes: number, subject = 0): Failure {
    const allocation = this.#segments.get(pointer.segment)?.allocator.find(pointer.offset) ?? null;
    if (allocation === null) return pointerFailure(pointer, "belongs to no allocation", subject);
    const room = Math.max(0, allocation.offset + allocation.requestedBytes - pointer.offset);
    const text =
      `${bytes} bytes at device pointer ${pointerText(pointer)} are used, ` +
      `its allocation has ${room} from there`;
    return failure(Status.OUT_OF_RANGE, text, bytes, room, subject);
  }

  /** All segments, in an order that stays until one is added or returned. */
  segments(): IterableIterator<SegmentEntry> {
    return this.#segments.values();
  }

  /** All segments as a kernel that sees everything has them bound. */
  bindings(): readonly StorageRange[] {
    this.#bindings ??= [...this.#segments.values()].map(({ segment }) => ({
      segment,
      offset: 0,
      bytes: segment.bytes,
    }));
    return this.#bindings;
  }

  /** An empty segment, for a kernel that needs one; null on success. */
  addEmptySegment(): Failure | null {
    const entry = this.#addSegment(VGPU.ALLOCATION_ALIGN);
    return "kind" in entry ? entry : null;
  }

  /** Whether there are moves or fills that must come before any other operation. */
  get unsettled(): boolean {
    return this.#fillCount > 0 || this.#moveCount > 0;
  }

  /** Hands over the copies into larger buffers; they come before fills. */
  takeMoves(move: (to: Segment, from: Segment, bytes: number) => void): void {
    if (this.#moveCount === 0) return;
    for (const entry of this.#segments.values()) {
      if (entry.from === null) continue;
      move(entry.segment, entry.from.segment, entry.from.bytes);
      entry.from = null;
    }
    this.#moveCount = 0;
  }

  /** Hands over at most `max` of the fills that must come before any other operation. */
  takeFills(max: number, fill: (segment: Segment, offset: number, bytes: number) => void): void {
    let left = max;
    for (const entry of this.#segments.values()) {
      for (const [offset, bytes] of entry.fills) {
        if (left === 0) return;
        left--;
        fill(entry.segment, offset, bytes);
        this.#dropFill(entry, offset);
      }
    }
  }

  /** Returns segments that are kept although they are empty. */
  trim(): void {
    for (const entry of [...this.#segments.values()])
      if (entry.allocator.count === 0) this.#returnSegment(entry);
  }

  /** Gives everything back. `lost`: the GPU has lost it already, so nothing stays charged. */
  clear(lost: boolean): void {
    for (const entry of this.#segments.values()) {
      for (const segment of [entry.segment, entry.from?.segment]) {
        if (segment === undefined) continue;
        if (lost) this.#options.budget.release(segment.bytes);
        else this.#options.retire(segment.bytes);
        segment.destroy();
      }
    }
    this.#options.budget.count(-this.#allocatedBytes);
    this.#segments.clear();
    this.#bindings = null;
    this.#recent = null;
    this.#fillCount = 0;
    this.#moveCount = 0;
    this.#allocatedBytes = 0;
    this.#allocations = 0;
  }

  #place(bytes: number): Grant | null {
    for (const entry of this.#segments.values()) {
      if (entry.own) continue;
      const grant = this.#placeIn(entry, bytes);
      if (grant !== null) return grant;
    }
    // What is left of an own segment after a free is better than another segment.
    for (const entry of this.#segments.values()) {
      if (!entry.own) continue;
      const grant = this.#placeIn(entry, bytes);
      if (grant !== null) return grant;
    }
    return null;
  }

  #placeIn(entry: SegmentEntry, bytes: number): Grant | null {
    const used = entry.allocator.highWater;
    const allocation = entry.allocator.allocate(bytes);
    if (allocation === null) return null;
    const dirtyEnd = Math.min(used, allocation.offset + allocation.bytes);
    if (allocation.offset < dirtyEnd) {
      entry.fills.set(allocation.offset, dirtyEnd - allocation.offset);
      this.#fillCount++;
    }
    this.#allocatedBytes += allocation.bytes;
    this.#allocations++;
    this.#options.budget.count(allocation.bytes);
    return { segment: entry.number, offset: allocation.offset, bytes: allocation.bytes };
  }

  /** A segment for `need` bytes: larger if there is room, since more allocations will follow. */
  #addSegment(need: number): SegmentEntry | Failure {
    const { budget, executor, limits } = this.#options;
    const own = need >= limits.segmentBytesOwn && !this.dense;
    const spare = this.dense ? RESERVED_BYTES : 0;
    const largest = largestAllocation(executor);
    const least = Math.min(need + spare, largest);
    let wanted = own ? least : Math.min(Math.max(need, this.#growth()) + spare, largest);
    let reserved = false;
    for (;;) {
      if (budget.reserve(wanted)) {
        reserved = true;
        const segment = this.#createSegment(wanted);
        if (segment !== null && !("kind" in segment))
          return this.#enter(segment, own, Math.min(spare, wanted - need));
        budget.release(wanted);
        if (segment !== null) return segment;
      }
      if (wanted === need) break;
      wanted = wanted > least ? Math.max(least, roundDown(wanted / 2)) : need;
    }
    if (reserved)
      return failure(
        Status.OUT_OF_MEMORY,
        `the GPU has no memory for a segment of ${need} bytes`,
        need,
        budget.limitBytes,
      );
    return outOfMemory(need, budget.limitBytes);
  }

  /** Size of the next shared segment: doubles what there is, but leaves others their part. */
  #growth(): number {
    const { budget, executor, limits } = this.#options;
    const doubled = Math.max(limits.segmentBytesFirst, 2 * this.reservedBytes);
    const fair = Math.max(budget.availableBytes / 4, budget.limitBytes / 128);
    const size = Math.min(doubled, fair, largestAllocation(executor));
    return roundDown(size);
  }

  /**
   * Moves a segment into a larger buffer with `need` bytes more at least, if there is one that can
   * be so large, and memory for both. False if not.
   */
  #grow(need: number): boolean {
    const { budget, executor } = this.#options;
    const largest = largestAllocation(executor);
    let found: SegmentEntry | null = null;
    for (const entry of this.#segments.values())
      if (entry.segment.bytes + need <= largest) found = entry;
    if (found === null) return false;
    const { segment, allocator } = found;
    const least = segment.bytes + need;
    let wanted = Math.max(least, roundDown(Math.min(2 * segment.bytes, largest)));
    // Half of what is left stays for others, as far as it is not needed.
    if (wanted > budget.availableBytes / 2) wanted = least;
    if (!budget.reserve(wanted)) return false;
    const larger = this.#createSegment(wanted);
    if (larger === null || "kind" in larger) {
      budget.release(wanted);
      return false;
    }
    if (found.from === null) {
      found.from = { segment, bytes: allocator.highWater };
      this.#moveCount++;
    } else {
      // It grew before without being used: its bytes are where they were.
      budget.release(segment.bytes);
      segment.destroy();
    }
    found.segment = larger;
    this.#bindings = null;
    allocator.grow(wanted);
    return true;
  }

  /** Null when the GPU is out of memory. */
  #createSegment(bytes: number): Segment | Failure | null {
    try {
      return this.#options.executor.createSegment(bytes, `${this.#options.label} segment`);
    } catch (error) {
      if (!(error instanceof ExecutorError)) throw error;
      if (error.reason === "out-of-memory") return null;
      const status = error.reason === "lost" ? Status.DEVICE_LOST : Status.INTERNAL;
      return failure(status, `a segment of ${bytes} bytes can't be created: ${error.message}`);
    }
  }

  #enter(segment: Segment, own: boolean, reserved: number): SegmentEntry {
    while (this.#segments.has(this.#nextNumber)) this.#advanceNumber();
    const { seed } = this.#options;
    const entry = {
      number: this.#nextNumber,
      segment,
      from: null,
      allocator: new SubAllocator(segment.bytes, VGPU.ALLOCATION_ALIGN, seed, reserved),
      own,
      fills: new Map<number, number>(),
      modules: new Set<number>(),
    };
    this.#advanceNumber();
    this.#segments.set(entry.number, entry);
    this.#bindings = null;
    return entry;
  }

  #dropFill(entry: SegmentEntry, offset: number): void {
    if (entry.fills.delete(offset)) this.#fillCount--;
  }

  #advanceNumber(): void {
    this.#nextNumber++;
    if (this.#nextNumber >= SEGMENT_NUMBERS_END) this.#nextNumber = VGPU.SEGMENT_FIRST;
  }

  /** One empty shared segment is kept, since programs tend to free and allocate again. */
  #segmentEmptied(emptied: SegmentEntry): void {
    let keep = emptied.own ? null : emptied;
    for (const entry of [...this.#segments.values()]) {
      if (entry.allocator.count !== 0) continue;
      if (!entry.own && (keep === null || entry.segment.bytes < keep.segment.bytes)) keep = entry;
    }
    for (const entry of [...this.#segments.values()])
      if (entry.allocator.count === 0 && entry !== keep) this.#returnSegment(entry);
  }

  #returnSegment(entry: SegmentEntry): void {
    this.#segments.delete(entry.number);
    this.#bindings = null;
    if (this.#recent === entry) this.#recent = null;
    for (const segment of [entry.segment, entry.from?.segment]) {
      segment?.destroy();
      if (segment !== undefined) this.#options.retire(segment.bytes);
    }
    if (entry.from !== null) this.#moveCount--;
  }
}

function roundDown(bytes: number): number {
  return Math.floor(bytes / VGPU.ALLOCATION_ALIGN) * VGPU.ALLOCATION_ALIGN;
}

function outOfMemory(bytes: number, limitBytes: number): Failure {
  return failure(
    Status.OUT_OF_MEMORY,
    `${bytes} bytes of device memory are asked for, the vGPU's limit of ${limitBytes} is reached`,
    bytes,
    limitBytes,
  );
}

/** Offsets in a segment are 32 bits, however large the GPU's buffers may be. */
export function largestAllocation(executor: Executor): number {
  return Math.min(executor.info.segmentBytesMax, SEGMENT_BYTES_MAX);
}
