// SPDX-License-Identifier: Apache-2.0
/**
 * Host-memory registrations: lists of guest ranges that copies refer to. The list is copied and
 * checked once; views on guest memory are made when they are used, kept while the memory table
 * stays the same, and made again after it changed.
 */
import type { HostMemoryRange } from "../command/types.js";
import { Status } from "../protocol/generated/wire.js";
import { type Failure, failure, unknownHandle } from "./failure.js";
import type { InstanceLimits } from "./limits.js";

/** The part of GuestMemory that the device needs. */
export interface GuestViews {
  /** Changes whenever a region is added or removed. */
  readonly generation: number;
  /** Views on the whole range in order, or null if any byte of it is not mapped. */
  translate(guestAddress: number, bytes: number): Uint8Array[] | null;
  /** Is told of what is written, while the front end asks for that; else null. */
  readonly log: WriteLog | null;
}

/** The part of the log of writes that the device needs; a ring tells of its chains itself. */
export interface WriteLog {
  /** The first `bytes` bytes of these views were written. */
  written(views: readonly Uint8Array[], bytes: number): void;
  /** They are written after this call, before this turn of the event loop is over. */
  writing(views: readonly Uint8Array[]): void;
}

/** What all registrations of an instance hold together. */
export class HostmemTotals {
  bytes = 0;
  entries = 0;
  views = 0;
  /** Registrations with views, so that the oldest ones can be asked to drop theirs. */
  readonly cached = new Set<Hostmem>();
}

export class Hostmem {
  readonly handle: number;
  readonly bytes: number;
  readonly #addresses: Float64Array;
  /** Offset at which each range begins; one more at the end. */
  readonly #starts: Float64Array;
  readonly #totals: HostmemTotals;
  readonly #viewsMax: number;
  #views: Uint8Array[] | null = null;
  #viewStarts: number[] = [];
  #viewsGeneration = -1;
  #released = false;

  constructor(
    handle: number,
    ranges: readonly HostMemoryRange[],
    totals: HostmemTotals,
    viewsMax: number,
  ) {
    this.handle = handle;
    const merged = mergeRanges(ranges);
    this.#addresses = new Float64Array(merged.length);
    this.#starts = new Float64Array(merged.length + 1);
    let start = 0;
    merged.forEach((range, index) => {
      this.#addresses[index] = range.address;
      this.#starts[index] = start;
      start += range.bytes;
    });
    this.#starts[merged.length] = start;
    this.bytes = start;
    this.#totals = totals;
    this.#viewsMax = viewsMax;
    totals.bytes += start;
    totals.entries += merged.length;
  }

  /** False once it was unregistered: results for it are dropped. */
  get registered(): boolean {
    return !this.#released;
  }

  /** Views on a range of the registration (checked by the caller), or null if it is unmapped. */
  views(memory: GuestViews, offset: number, bytes: number): Uint8Array[] | null {
    if (bytes === 0) return [];
    if (this.#viewsGeneration !== memory.generation) this.dropViews();
    if (this.#views === null && this.#addresses.length <= this.#viewsMax) this.#keepViews(memory);
    if (this.#views !== null) return cut(this.#views, this.#viewStarts, offset, bytes);
    return this.#translate(memory, offset, bytes);
  }

  /** Lets go of guest memory. */
  dropViews(): void {
    if (this.#views === null) return;
    this.#totals.views -= this.#views.length;
    this.#totals.cached.delete(this);
    this.#views = null;
    this.#viewStarts = [];
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.dropViews();
    this.#totals.bytes -= this.bytes;
    this.#totals.entries -= this.#addresses.length;
  }

  /** Makes views on everything, if that is mapped, and makes room for them. */
  #keepViews(memory: GuestViews): void {
    const views = this.#translate(memory, 0, this.bytes);
    if (views === null) return;
    const totals = this.#totals;
    for (const other of totals.cached) {
      if (totals.views + views.length <= this.#viewsMax) break;
      other.dropViews();
    }
    totals.views += views.length;
    totals.cached.add(this);
    this.#views = views;
    this.#viewsGeneration = memory.generation;
    this.#viewStarts = new Array<number>(views.length);
    let start = 0;
    for (let index = 0; index < views.length; index++) {
      this.#viewStarts[index] = start;
      start += views[index]?.length ?? 0;
    }
  }

  #translate(memory: GuestViews, offset: number, bytes: number): Uint8Array[] | null {
    const views: Uint8Array[] = [];
    const end = offset + bytes;
    let at = offset;
    for (let index = lastAtOrBelow(this.#starts, offset); at < end; index++) {
      const start = this.#starts[index] ?? 0;
      const next = this.#starts[index + 1] ?? 0;
      const count = Math.min(end, next) - at;
      const part = memory.translate((this.#addresses[index] ?? 0) + (at - start), count);
      if (part === null) return null;
      for (const view of part) views.push(view);
      at += count;
    }
    return views;
  }
}

/** The registrations of one context. */
export class HostmemTable {
  readonly #byHandle = new Map<number, Hostmem>();
  readonly #totals: HostmemTotals;
  readonly #limits: InstanceLimits;

  constructor(totals: HostmemTotals, limits: InstanceLimits) {
    this.#totals = totals;
    this.#limits = limits;
  }

  get count(): number {
    return this.#byHandle.size;
  }

  /** Guest memory that is registered, bytes. */
  get bytes(): number {
    let bytes = 0;
    for (const each of this.#byHandle.values()) bytes += each.bytes;
    return bytes;
  }

  get(handle: number): Hostmem | undefined {
    return this.#byHandle.get(handle);
  }

  register(
    handle: number,
    ranges: readonly HostMemoryRange[],
    bytes: number,
    memory: GuestViews,
  ): Failure | null {
    const refused = this.#admit(handle, ranges.length, bytes);
    if (refused !== null) return refused;
    for (let index = 0; index < ranges.length; index++) {
      const range = ranges[index];
      if (range === undefined || memory.translate(range.address, range.bytes) !== null) continue;
      const text =
        `entry ${index} of host memory ${handle}, ${range.bytes} bytes at guest address ` +
        `0x${range.address.toString(16)}, is not mapped as a whole`;
      return failure(Status.GUEST_ADDRESS, text, range.address, range.bytes, index);
    }
    const added = new Hostmem(handle, ranges, this.#totals, this.#limits.hostmemViewsMax);
    this.#byHandle.set(handle, added);
    return null;
  }

  unregister(handle: number): Failure | null {
    const found = this.#byHandle.get(handle);
    if (found === undefined) return unknownHandle("host memory", handle);
    found.release();
    this.#byHandle.delete(handle);
    return null;
  }

  dropViews(): void {
    for (const each of this.#byHandle.values()) each.dropViews();
  }

  clear(): void {
    for (const each of this.#byHandle.values()) each.release();
    this.#byHandle.clear();
  }

  #admit(handle: number, entries: number, bytes: number): Failure | null {
    const { hostmemsMax, hostmemBytesMax, hostmemEntriesMax } = this.#limits;
    if (handle >= hostmemsMax) {
      const text = `host memory handle ${handle} is asked for, handles are below ${hostmemsMax}`;
      return failure(Status.HANDLE_LIMIT, text, handle, hostmemsMax, handle);
    }
    if (this.#byHandle.has(handle)) {
      const text = `host memory ${handle} exists already`;
      return failure(Status.HANDLE_EXISTS, text, handle, 0, handle);
    }
    const bytesAfter = this.#totals.bytes + bytes;
    if (bytesAfter > hostmemBytesMax) {
      const text = `${bytesAfter} bytes of host memory would be registered, the limit is ${hostmemBytesMax}`;
      return failure(Status.QUOTA, text, bytesAfter, hostmemBytesMax, handle);
    }
    const entriesAfter = this.#totals.entries + entries;
    if (entriesAfter > hostmemEntriesMax) {
      const text = `${entriesAfter} ranges of host memory would be registered, the limit is ${hostmemEntriesMax}`;
      return failure(Status.QUOTA, text, entriesAfter, hostmemEntriesMax, handle);
    }
    return null;
  }
}

/** Neighbours in guest memory become one range: fewer look-ups and fewer, larger copies. */
function mergeRanges(ranges: readonly HostMemoryRange[]): HostMemoryRange[] {
  const merged: HostMemoryRange[] = [];
  let address = -1;
  let bytes = 0;
  for (const range of ranges) {
    if (bytes > 0 && address + bytes === range.address) {
      bytes += range.bytes;
      continue;
    }
    if (bytes > 0) merged.push({ address, bytes });
    address = range.address;
    bytes = range.bytes;
  }
  if (bytes > 0) merged.push({ address, bytes });
  return merged;
}

/** Index of the last element that is not above `value`; the first element is 0. */
function lastAtOrBelow(starts: ArrayLike<number>, value: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((starts[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The views that cover a range of their concatenation. */
function cut(
  views: readonly Uint8Array[],
  starts: ArrayLike<number>,
  offset: number,
  bytes: number,
): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const end = offset + bytes;
  let at = offset;
  for (let index = lastAtOrBelow(starts, offset); at < end; index++) {
    const view = views[index];
    const start = starts[index] ?? 0;
    if (view === undefined) break;
    const count = Math.min(end, start + view.length) - at;
    parts.push(count === view.length ? view : view.subarray(at - start, at - start + count));
    at += count;
  }
  return parts;
}
