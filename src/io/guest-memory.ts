// SPDX-License-Identifier: Apache-2.0
//
// Guest memory: the front end's table of regions, and views of it.
//
//   guest address ──▶ region (a mapped file) ──▶ windows of ≤ 1 GiB ──▶ Uint8Array pieces
//
// Node 20 has no ArrayBuffer over 4 GiB, so a region is looked at through several windows, and a
// range may cross windows and regions: `translate` therefore returns pieces. The table is replaced
// as a whole on each change (`generation` counts the changes). A region that was removed while a
// pin was held stays mapped until the pin is released, so that work in flight keeps its memory;
// once unmapped, stale views have length 0 and touch nothing.

import type { DirtyLog } from "./dirty-log.js";
import { type Mapping, mapRegion, WINDOW_BYTES_MAX } from "./native.js";

declare const guestAddressBrand: unique symbol;
/** A guest-physical address below 2⁵³. */
export type GuestAddress = number & { readonly [guestAddressBrand]: true };

/** Makes an address from a wire value; null at 2⁵³ and beyond, where no region can lie. */
export function guestAddress(value: bigint | number): GuestAddress | null {
  const number = Number(value);
  return Number.isSafeInteger(number) && number >= 0 ? (number as GuestAddress) : null;
}

export interface RegionSpec {
  guestAddress: bigint | number;
  bytes: bigint | number;
  /** Where the front end has the region mapped; ring addresses are given in its terms. */
  userAddress: bigint;
  /** The memory file; it stays the caller's, who may close it right after the call. */
  fd: number;
  /** Offset of the region in the file, of any alignment. */
  mmapOffset: bigint | number;
}

/** Names a region for removal. */
export type RegionKey = Pick<RegionSpec, "guestAddress" | "bytes" | "userAddress">;

/** The longest word that is shared with a driver. */
const WORD_BYTES = 8n;

export type GuestMemoryErrorCode = "limit" | "range" | "overlap" | "map";

/** A table of regions that cannot be accepted: the front end's mistake. */
export class GuestMemoryError extends Error {
  override readonly name = "GuestMemoryError";
  constructor(
    readonly code: GuestMemoryErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a region needs of its memory: a native Mapping, or a simulated one in tests. */
export type RegionBacking = Pick<Mapping, "bytes" | "poisoned" | "window" | "unmap">;
export type RegionMapper = (fd: number, offset: bigint | number, bytes: number) => RegionBacking;

/** Keeps the regions of the moment it was taken mapped. */
export interface Pin {
  /** Lets go; a second call does nothing. */
  release(): void;
}

interface Region {
  readonly start: number;
  readonly end: number;
  readonly userStart: bigint;
  readonly backing: RegionBacking;
  /** Views of consecutive windows of WINDOW_BYTES_MAX; the last may be shorter. */
  readonly windows: readonly Uint8Array[];
}

/** One state of the table; pins refer to it. */
interface Table {
  /** Sorted by guest address, disjoint. */
  readonly regions: readonly Region[];
  pins: number;
}

/** Notes what is written into guest memory, for a front end that copies it meanwhile. */
export class WriteLog {
  readonly #memory: GuestMemory;
  readonly #pages: DirtyLog;
  readonly #noted: () => void;
  #soon: (readonly Uint8Array[])[] = [];

  /** `noted` is called after each note. */
  constructor(memory: GuestMemory, pages: DirtyLog, noted: () => void = () => {}) {
    this.#memory = memory;
    this.#pages = pages;
    this.#noted = noted;
  }

  /** Guest-physical [address, address + bytes) was written. */
  mark(address: number, bytes: number): void {
    this.#pages.mark(address, bytes);
    this.#noted();
  }

  /** The first `bytes` bytes of these views were written. */
  written(views: readonly Uint8Array[], bytes: number): void {
    let left = bytes;
    for (const view of views) {
      const count = Math.min(left, view.length);
      const address = this.#memory.addressOf(view);
      // Memory that was removed meanwhile is no longer the guest's.
      if (address !== null && count > 0) this.#pages.mark(address, count);
      left -= count;
      if (left <= 0) break;
    }
    this.#noted();
  }

  /**
   * These views are written in this turn, after this call and before anything else happens. They are
   * noted when that is over: no message of the front end comes in between.
   */
  writing(views: readonly Uint8Array[]): void {
    this.#soon.push(views);
    if (this.#soon.length > 1) return;
    queueMicrotask(() => {
      for (const each of this.#soon.splice(0)) this.written(each, Number.POSITIVE_INFINITY);
    });
  }
}

/** A class rather than a closure: a pin is taken for each piece of work. */
class TablePin implements Pin {
  #table: Table | null;
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory, table: Table) {
    this.#memory = memory;
    this.#table = table;
  }

  release(): void {
    const table = this.#table;
    if (table === null) return;
    this.#table = null;
    this.#memory.unpin(table);
  }
}

const USER_ADDRESS_END = 1n << 64n;

export class GuestMemory {
  #table: Table = { regions: [], pins: 0 };
  /** Earlier tables that are still pinned. */
  readonly #retired = new Set<Table>();
  /** The region of the last translation: neighbouring requests mostly stay in one. */
  #last: Region | null = null;
  #generation = 0;
  /** While the front end logs writes; null costs one look at this field. */
  log: WriteLog | null = null;
  /** Guest addresses of the windows' buffers, made when first asked for. */
  #addresses: Map<ArrayBufferLike, number> | null = null;
  readonly #slotsMax: number;
  readonly #map: RegionMapper;

  constructor(options: { slotsMax?: number; map?: RegionMapper } = {}) {
    this.#slotsMax = options.slotsMax ?? 64;
    this.#map = options.map ?? mapRegion;
  }

  /** Counts the changes of the table: views and addresses found earlier may be stale. */
  get generation(): number {
    return this.#generation;
  }

  get regionCount(): number {
    return this.#table.regions.length;
  }

  get regions(): { readonly address: number; readonly bytes: number }[] {
    return this.#table.regions.map(({ start, end }) => ({ address: start, bytes: end - start }));
  }

  /** Guest memory in bytes. */
  get bytes(): number {
    return this.#table.regions.reduce((sum, region) => sum + (region.end - region.start), 0);
  }

  /** Whether any region lost pages because its file shrank: end this guest's session. */
  get poisoned(): boolean {
    return this.#table.regions.some((region) => region.backing.poisoned);
  }

  /** Adds one region (memory hot-add); throws GuestMemoryError and changes nothing otherwise. */
  addRegion(spec: RegionSpec): void {
    const added = this.#open(spec, this.#table.regions);
    this.#install([...this.#table.regions, added]);
  }

  /** Removes the region that matches exactly; false when there is none. */
  removeRegion(key: RegionKey): boolean {
    const start = Number(key.guestAddress);
    const found = this.#table.regions.find(
      (region) =>
        region.start === start &&
        region.end - start === Number(key.bytes) &&
        region.userStart === key.userAddress,
    );
    if (found === undefined) return false;
    this.#install(this.#table.regions.filter((region) => region !== found));
    return true;
  }

  /** Replaces the whole table; throws GuestMemoryError and keeps the old one otherwise. */
  replaceAll(specs: readonly RegionSpec[]): void {
    const fresh: Region[] = [];
    try {
      for (const spec of specs) fresh.push(this.#open(spec, fresh));
    } catch (error) {
      for (const region of fresh) region.backing.unmap();
      throw error;
    }
    this.#install(fresh);
  }

  clear(): void {
    this.#install([]);
  }

  /**
   * Views of [address, address + bytes), in order; null if any byte is unmapped. The views are
   * shared with the guest: copy once before validating.
   */
  translate(address: GuestAddress, bytes: number): Uint8Array[] | null {
    const pieces: Uint8Array[] = [];
    return this.translateInto(address, bytes, pieces) ? pieces : null;
  }

  /** As `translate`, appending to `pieces`; on false, `pieces` is as before. */
  translateInto(address: GuestAddress, bytes: number, pieces: Uint8Array[]): boolean {
    if (!isRange(address, bytes)) return false;
    const before = pieces.length;
    const end = address + bytes;
    let at: number = address;
    while (at < end) {
      const region = this.#regionAt(at);
      if (region === null) {
        pieces.length = before;
        return false;
      }
      const stop = Math.min(end, region.end);
      appendPieces(region, at - region.start, stop - region.start, pieces);
      at = stop;
    }
    return true;
  }

  /** One view of a range inside one region, even across windows; null otherwise. For rings. */
  contiguous(address: GuestAddress, bytes: number): Uint8Array | null {
    if (!isRange(address, bytes) || bytes === 0) return null;
    const region = this.#regionAt(address);
    if (region === null || address + bytes > region.end) return null;
    return viewOf(region, address - region.start, bytes);
  }

  /** As `contiguous`, for an address in the front end's address space. */
  translateUser(userAddress: bigint, bytes: number): Uint8Array | null {
    const address = this.userToGuest(userAddress);
    return address === null ? null : this.contiguous(address, bytes);
  }

  /** The guest address of a front end's address; null when it is in no region. */
  userToGuest(userAddress: bigint): GuestAddress | null {
    for (const region of this.#table.regions) {
      const offset = userAddress - region.userStart;
      if (offset >= 0n && offset < BigInt(region.end - region.start)) {
        return (region.start + Number(offset)) as GuestAddress;
      }
    }
    return null;
  }

  /** Where a view that was translated lies in guest memory; null if it is not in the table. */
  addressOf(view: Uint8Array): number | null {
    if (this.#addresses === null) {
      this.#addresses = new Map();
      for (const { start, windows } of this.#table.regions) {
        for (const [index, window] of windows.entries())
          this.#addresses.set(window.buffer, start + index * WINDOW_BYTES_MAX);
      }
    }
    const base = this.#addresses.get(view.buffer);
    return base === undefined ? null : base + view.byteOffset;
  }

  /** Keeps all regions of this moment mapped until released. */
  pin(): Pin {
    const table = this.#table;
    table.pins += 1;
    return new TablePin(this, table);
  }

  /** For TablePin. */
  unpin(table: Table): void {
    table.pins -= 1;
    if (table.pins === 0 && this.#retired.delete(table)) this.#unmapUnused(table.regions);
  }

  #install(regions: readonly Region[]): void {
    const previous = this.#table;
    this.#table = { regions: [...regions].sort((a, b) => a.start - b.start), pins: 0 };
    this.#last = null;
    this.#addresses = null;
    this.#generation += 1;
    if (previous.pins > 0) this.#retired.add(previous);
    this.#unmapUnused(previous.regions);
  }

  /** Unmaps those of `candidates` that neither the table nor a pinned earlier one holds. */
  #unmapUnused(candidates: readonly Region[]): void {
    const used = new Set(this.#table.regions);
    for (const table of this.#retired) for (const region of table.regions) used.add(region);
    for (const region of candidates) if (!used.has(region)) region.backing.unmap();
  }

  #regionAt(address: number): Region | null {
    const last = this.#last;
    if (last !== null && address >= last.start && address < last.end) return last;
    const regions = this.#table.regions;
    let low = 0;
    let high = regions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const region = regions[middle];
      if (region === undefined) return null;
      if (address < region.start) high = middle;
      else if (address >= region.end) low = middle + 1;
      else {
        this.#last = region;
        return region;
      }
    }
    return null;
  }

  #open(spec: RegionSpec, existing: readonly Region[]): Region {
    if (existing.length >= this.#slotsMax) {
      throw new GuestMemoryError(
        "limit",
        `the memory table has ${this.#slotsMax} regions, its limit`,
      );
    }
    const start = guestAddress(spec.guestAddress);
    const bytes = guestAddress(spec.bytes);
    if (start === null || bytes === null || !isRange(start, bytes) || bytes === 0) {
      throw new GuestMemoryError(
        "range",
        `the region of ${spec.bytes} bytes at guest address ${spec.guestAddress} is empty or ` +
          "reaches beyond 2^53",
      );
    }
    const userEnd = spec.userAddress + BigInt(bytes);
    if (spec.userAddress < 0n || userEnd > USER_ADDRESS_END) {
      throw new GuestMemoryError(
        "range",
        `the region of ${bytes} bytes at user address ${spec.userAddress} reaches beyond 2^64`,
      );
    }
    for (const other of existing) {
      const otherUserEnd = other.userStart + BigInt(other.end - other.start);
      const overlaps =
        (start < other.end && start + bytes > other.start) ||
        (spec.userAddress < otherUserEnd && userEnd > other.userStart);
      if (overlaps) {
        throw new GuestMemoryError(
          "overlap",
          `the region of ${bytes} bytes at guest address ${start} overlaps the one at ${other.start}`,
        );
      }
    }
    // Words that are aligned for the driver have to be so here too.
    const offset = BigInt(spec.mmapOffset);
    if (
      (BigInt(start) - offset) % WORD_BYTES !== 0n ||
      (spec.userAddress - offset) % WORD_BYTES !== 0n
    ) {
      throw new GuestMemoryError(
        "range",
        `the region at guest address ${start} and user address ${spec.userAddress} has offset ` +
          `${offset}, which is not the same modulo ${WORD_BYTES}`,
      );
    }
    return openRegion(this.#map, spec, start, bytes);
  }
}

function openRegion(map: RegionMapper, spec: RegionSpec, start: number, bytes: number): Region {
  let backing: RegionBacking | null = null;
  try {
    backing = map(spec.fd, spec.mmapOffset, bytes);
    const windows: Uint8Array[] = [];
    for (let at = 0; at < bytes; at += WINDOW_BYTES_MAX) {
      windows.push(new Uint8Array(backing.window(at, Math.min(WINDOW_BYTES_MAX, bytes - at))));
    }
    return { start, end: start + bytes, userStart: spec.userAddress, backing, windows };
  } catch (cause) {
    backing?.unmap();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GuestMemoryError(
      "map",
      `the region of ${bytes} bytes at guest address ${start} cannot be mapped: ${reason}`,
      { cause },
    );
  }
}

function isRange(start: number, bytes: number): boolean {
  return (
    Number.isSafeInteger(start) &&
    Number.isSafeInteger(bytes) &&
    start >= 0 &&
    bytes >= 0 &&
    Number.isSafeInteger(start + bytes)
  );
}

/** Appends views of [from, to) of the region's bytes, one per window touched. */
function appendPieces(region: Region, from: number, to: number, pieces: Uint8Array[]): void {
  let at = from;
  while (at < to) {
    const index = Math.floor(at / WINDOW_BYTES_MAX);
    const window = region.windows[index];
    if (window === undefined) throw new Error(`the region has no window ${index}`);
    const base = index * WINDOW_BYTES_MAX;
    const stop = Math.min(to, base + window.length);
    // A window of length 0 is detached: the region was unmapped, and the table is not to know it.
    if (stop <= at) throw new Error("the region is unmapped but still in the table");
    pieces.push(window.subarray(at - base, stop - base));
    at = stop;
  }
}

function viewOf(region: Region, offset: number, bytes: number): Uint8Array | null {
  const pieces: Uint8Array[] = [];
  if (
    Math.floor(offset / WINDOW_BYTES_MAX) === Math.floor((offset + bytes - 1) / WINDOW_BYTES_MAX)
  ) {
    appendPieces(region, offset, offset + bytes, pieces);
    return pieces[0] ?? null;
  }
  if (bytes > WINDOW_BYTES_MAX) return null;
  return new Uint8Array(region.backing.window(offset, bytes));
}
