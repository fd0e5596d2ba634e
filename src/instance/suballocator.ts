// SPDX-License-Identifier: Apache-2.0
/**
 * Carves allocations out of one segment: 256-byte granularity, best fit, neighbours coalesce, all
 * in O(log n). It also knows which bytes were ever handed out, so that only reused ranges have to
 * be zeroed again (a new segment reads as zero).
 */
import { OrderedSet } from "./ordered-set.js";

/** A live allocation. */
export interface Allocation {
  /** Bytes from the segment's start, a multiple of the granularity. */
  readonly offset: number;
  /** Bytes taken from the segment, a multiple of the granularity. */
  readonly bytes: number;
  /** Bytes as they were asked for: what is behind them belongs to nobody. */
  readonly requestedBytes: number;
}

interface FreeRange {
  readonly offset: number;
  readonly bytes: number;
}

export class SubAllocator {
  #bytes: number;
  readonly #granularity: number;
  readonly #bySize: OrderedSet<FreeRange>;
  readonly #byOffset: OrderedSet<Allocation>;
  readonly #freeByStart = new Map<number, FreeRange>();
  readonly #freeByEnd = new Map<number, FreeRange>();
  #usedBytes = 0;
  #highWater = 0;
  /** Rises with each allocation and each that is freed. */
  changes = 0;

  /**
   * `bytes` is the segment's size; its first `reservedBytes` are never handed out. Both are
   * multiples of `granularity`.
   */
  constructor(bytes: number, granularity: number, seed: number, reservedBytes = 0) {
    if (!(bytes > 0 && bytes % granularity === 0))
      throw new RangeError(`segment of ${bytes} bytes is not a multiple of ${granularity}`);
    this.#bytes = bytes;
    this.#granularity = granularity;
    this.#bySize = new OrderedSet(seed);
    this.#byOffset = new OrderedSet(seed ^ 0x5bd1e995);
    this.#addFree({ offset: reservedBytes, bytes: bytes - reservedBytes });
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The segment becomes larger: `bytes` in all. */
  grow(bytes: number): void {
    if (!(bytes > this.#bytes && bytes % this.#granularity === 0))
      throw new RangeError(`a segment of ${this.#bytes} bytes can't grow to ${bytes}`);
    let start = this.#bytes;
    const last = this.#freeByEnd.get(start);
    if (last !== undefined) {
      this.#removeFree(last);
      start = last.offset;
    }
    this.#bytes = bytes;
    this.#addFree({ offset: start, bytes: bytes - start });
  }

  /** Where the last allocation ends, 0 if there is none. */
  get end(): number {
    const last = this.#byOffset.floor(Number.MAX_SAFE_INTEGER, 0);
    return last === null ? 0 : last.offset + last.bytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get count(): number {
    return this.#byOffset.size;
  }

  /** Offsets from here on were never part of an allocation. */
  get highWater(): number {
    return this.#highWater;
  }

  /** The smallest range that fits, or null. `bytes` is rounded up to the granularity. */
  allocate(bytes: number): Allocation | null {
    const rounded = Math.ceil(bytes / this.#granularity) * this.#granularity;
    if (!(rounded > 0)) return null;
    const range = this.#bySize.ceiling(rounded, 0);
    if (range === null) return null;
    this.#removeFree(range);
    if (range.bytes > rounded)
      this.#addFree({ offset: range.offset + rounded, bytes: range.bytes - rounded });
    const allocation = { offset: range.offset, bytes: rounded, requestedBytes: bytes };
    this.#byOffset.insert(allocation.offset, 0, allocation);
    this.#usedBytes += rounded;
    this.changes++;
    this.#highWater = Math.max(this.#highWater, allocation.offset + rounded);
    return allocation;
  }

  /** Frees the allocation that begins exactly at `offset`; null if there is none. */
  free(offset: number): Allocation | null {
    const allocation = this.find(offset);
    if (allocation === null || allocation.offset !== offset) return null;
    this.#byOffset.remove(offset, 0);
    this.#usedBytes -= allocation.bytes;
    this.changes++;
    let start = offset;
    let end = offset + allocation.bytes;
    const before = this.#freeByEnd.get(start);
    if (before !== undefined) {
      this.#removeFree(before);
      start = before.offset;
    }
    const after = this.#freeByStart.get(end);
    if (after !== undefined) {
      this.#removeFree(after);
      end += after.bytes;
    }
    this.#addFree({ offset: start, bytes: end - start });
    return allocation;
  }

  /** The allocation that covers the byte at `offset`, or null. */
  find(offset: number): Allocation | null {
    const allocation = this.#byOffset.floor(offset, 0);
    if (allocation === null || offset >= allocation.offset + allocation.bytes) return null;
    return allocation;
  }

  /** Largest allocation that would succeed now. */
  get largestFree(): number {
    return this.#bySize.floor(Number.MAX_SAFE_INTEGER, 0)?.bytes ?? 0;
  }

  forEach(visit: (allocation: Allocation) => void): void {
    this.#byOffset.forEach(visit);
  }

  #addFree(range: FreeRange): void {
    this.#bySize.insert(range.bytes, range.offset, range);
    this.#freeByStart.set(range.offset, range);
    this.#freeByEnd.set(range.offset + range.bytes, range);
  }

  #removeFree(range: FreeRange): void {
    this.#bySize.remove(range.bytes, range.offset);
    this.#freeByStart.delete(range.offset);
    this.#freeByEnd.delete(range.offset + range.bytes);
  }
}
