// SPDX-License-Identifier: Apache-2.0
/**
 * The device side of a packed ring (VIRTIO 1.3, 2.8): one ring of descriptors, which the driver
 * fills and the device overwrites when it has used them, each marked by two bits that follow the
 * wrap of either side.
 *
 *   descriptors: {address u64, length u32, id u16, flags u16}[size]
 *   event area (one of the driver, one of the device): position u15 and wrap u1, flags u16
 *
 * A position counts from 0 to 2 * size - 1 here: its low part is the slot, and the first round is
 * the one with wrap counter 1. So positions compare as split rings' indices do.
 *
 * Used entries of a batch are written when it is shown, from the second on; the first one's flags
 * come last and release them all, since the driver looks at the first to find them.
 */
import { type RingChain, viewOf } from "./chain-walker.js";
import { type DescriptorRecorder, PackedWalker } from "./packed-walker.js";
import { RingBase, type RingOptions } from "./ring-base.js";
import type { PackedWords } from "./ring-words.js";
import type { RingPosition } from "./types.js";

const FLAG_WRITE = 2;
const FLAG_AVAILABLE = 0x80;
const FLAG_USED = 0x8000;
const FLAG_BOTH = FLAG_AVAILABLE | FLAG_USED;
const EVENT_ENABLE = 0;
const EVENT_DISABLE = 1;
const EVENT_DESCRIPTOR = 2;
const FLAGS_AT = 14;
const WRAP_BIT = 0x8000;

/** The three parts of a ring as single views, and its ordered words. */
export interface PackedRingParts {
  readonly descriptors: Uint8Array;
  /** Event areas: the driver's, which is read, and the device's, which is written. */
  readonly available: Uint8Array;
  readonly used: Uint8Array;
  readonly words: PackedWords;
}

export interface PackedRingOptions extends RingOptions {
  readonly parts: PackedRingParts;
  /** Keeps chains in flight for another process; its `resubmit` are taken first. */
  readonly inflight?: PackedInflight | null;
}

/** A chain that an earlier process took: copies of its descriptors, as they stood in the ring. */
export interface PackedResubmit {
  /** Where the table of chains in flight has it. */
  readonly slot: number;
  readonly id: number;
  readonly count: number;
  readonly table: DataView;
}

/** Notes chains that were taken and not given back, with their descriptors. */
export interface PackedInflight extends DescriptorRecorder {
  /** Chains that an earlier process left, in the order in which it took them. */
  readonly resubmit: readonly PackedResubmit[];
  /** Used position of that process, which counts more than the base. */
  readonly usedPosition: number | null;
  /** The descriptors since the last call are a chain; returns where it is noted, -1 for nowhere. */
  taken(): number;
  /** Its used entry is about to be written. */
  returned(slot: number): void;
  /** The used entries are written, and become visible to the driver next. */
  publishing(usedPosition: number): void;
  published(): void;
}

/** Position and wrap counter of a packed ring, as messages and event areas have them: 16 bits. */
export function encodePosition(position: number, size: number): number {
  return (position & (size - 1)) | (position < size ? WRAP_BIT : 0);
}

export function decodePosition(word: number, size: number): number {
  return ((word & 0x7fff) + ((word & WRAP_BIT) !== 0 ? 0 : size)) & (2 * size - 1);
}

/** The base of a packed ring that was never used: both wrap counters are 1. */
export const PACKED_BASE_NEW = 0x80008000;

/** Whether a base of SET_VRING_BASE is one of a packed ring of this size. */
export function isPackedBase(base: number, size: number): boolean {
  return (base & 0x7fff) < size && ((base >>> 16) & 0x7fff) < size;
}

/** The used position that a base says. */
export function packedUsedPosition(base: number, size: number): number {
  // Some front ends give the available half alone; with nothing in flight both are the same.
  return decodePosition(base > 0xffff ? base >>> 16 : base, size);
}

export class PackedRing extends RingBase {
  readonly #walker: PackedWalker;
  readonly #inflight: PackedInflight | null;
  readonly #resubmit: PackedResubmit[];
  /** Buffer ids that are taken and not given back. */
  readonly #idsOut: Uint8Array;
  readonly #positionMask: number;
  readonly #slotMask: number;
  #words: PackedWords;
  #table: DataView;
  /** Next descriptor to take, and how far available ones were seen; positions. */
  #next: number;
  #seen: number;
  /** Flags of the descriptor at `#seen` when it was last looked at. */
  #seenFlags = 0;
  #used: number;
  /** Descriptors that are taken and not given back. */
  #held = 0;
  /** Used entries to be shown: position, id, bytes written; how many of them count. */
  readonly #batch: number[] = [];
  #batchLength = 0;
  /** Used position at the last decision on a signal; null until the first one. */
  #signalled: number | null = null;

  constructor(options: PackedRingOptions) {
    super(options);
    const { size, parts } = options;
    this.#slotMask = size - 1;
    this.#positionMask = 2 * size - 1;
    this.#walker = new PackedWalker(options.memory, size, options.indirect);
    this.#words = parts.words;
    this.#table = viewOf(parts.descriptors);
    this.#idsOut = new Uint8Array(size);
    this.#inflight = options.inflight ?? null;
    this.#resubmit = [...(this.#inflight?.resubmit ?? [])].reverse();
    for (const chain of this.#resubmit) {
      this.#idsOut[chain.id] = 1;
      this.#held += chain.count;
    }
    const noted = this.#inflight?.usedPosition ?? null;
    this.#used = noted ?? packedUsedPosition(options.base, size);
    this.#next =
      noted === null
        ? decodePosition(options.base, size)
        : (this.#used + this.#held) & this.#positionMask;
    this.#seen = this.#next;
  }

  /** How far the driver got: available descriptors are counted on from where that was last done. */
  get availableIndex(): number {
    if (this.stopped || this.broken !== null) return this.#seen;
    let ahead = (this.#seen - this.#next) & this.#positionMask;
    while (ahead < this.size && this.#isAvailable(this.#seen)) {
      this.#seen = (this.#seen + 1) & this.#positionMask;
      ahead++;
    }
    return this.#seen;
  }

  isBehind(availableIndex: number): boolean {
    return this.#next !== availableIndex || this.#resubmit.length > 0;
  }

  get watchOffset(): number {
    return 16 * (this.#seen & this.#slotMask) + FLAGS_AT;
  }

  watchValue(availableIndex: number): number {
    // More was seen since that mark: any value but the present one says so.
    return availableIndex === this.#seen ? this.#seenFlags : this.#seenFlags ^ FLAG_AVAILABLE;
  }

  get base(): number {
    const next = (this.#next - this.#held) & this.#positionMask;
    const used = encodePosition(this.#used, this.size);
    return ((used << 16) | encodePosition(next, this.size)) >>> 0;
  }

  get position(): RingPosition {
    const { base } = this;
    return { size: this.size, available: base & 0xffff, used: base >>> 16 };
  }

  /** The same ring under new views, after the memory table was replaced. */
  rebind(parts: PackedRingParts): void {
    this.#words = parts.words;
    this.#table = viewOf(parts.descriptors);
    this.#walker.rebind();
  }

  enableKick(on: boolean): boolean {
    if (this.stopped || this.broken !== null) return false;
    const words = this.#words;
    if (!on) {
      words.setDeviceEventFlags(EVENT_DISABLE);
      this.observer.log?.ringWritten();
      return this.#next !== this.#seen || this.#resubmit.length > 0;
    }
    if (this.eventIndex) {
      words.setDeviceEvent(encodePosition(this.#next, this.size));
      words.setDeviceEventFlags(EVENT_DESCRIPTOR);
    } else {
      words.setDeviceEventFlags(EVENT_ENABLE);
    }
    this.observer.log?.ringWritten();
    words.fence();
    return this.#isAvailable(this.#next) || this.#resubmit.length > 0;
  }

  protected override next(chain: RingChain): boolean {
    if (this.#resubmit.length > 0) return this.#again(chain);
    if (this.#next === this.#seen && !this.#refresh()) return false;
    const slot = this.#next & this.#slotMask;
    const limit = this.size - this.#held;
    const inflight = this.#inflight;
    const count = this.#walker.walk(this.#table, slot, this.#slotMask, limit, chain, inflight);
    if (count === 0) {
      // Where the next chain begins can't be known.
      this.fail(`the chain at descriptor ${slot} does not end within the ${limit} that are left`);
      return false;
    }
    if (chain.head >= this.size || this.#idsOut[chain.head] !== 0) {
      const what = chain.head >= this.size ? `the ring has ${this.size}` : "it is in use";
      this.fail(`the chain at descriptor ${slot} has buffer id ${chain.head}, ${what}`);
      return false;
    }
    const ahead = (this.#seen - this.#next) & this.#positionMask;
    this.#next = (this.#next + count) & this.#positionMask;
    if (count > ahead) this.#seen = this.#next;
    this.#idsOut[chain.head] = 1;
    this.#held += count;
    if (inflight === null) return true;
    chain.slot = inflight.taken();
    if (chain.slot < 0) this.fail(`the chain at descriptor ${slot} is more than the ring holds`);
    return chain.slot >= 0;
  }

  protected override use(chain: RingChain, writtenBytes: number): void {
    const { head, descriptors } = chain;
    this.#inflight?.returned(chain.slot);
    this.#idsOut[head] = 0;
    this.#held -= descriptors;
    const at = this.#batchLength;
    this.#batch[at] = this.#used;
    this.#batch[at + 1] = head;
    this.#batch[at + 2] = writtenBytes;
    this.#batchLength = at + 3;
    this.#used = (this.#used + descriptors) & this.#positionMask;
  }

  protected override publish(): boolean {
    const words = this.#words;
    const batch = this.#batch;
    this.#inflight?.publishing(this.#used);
    for (let i = this.#batchLength - 3; i >= 0; i -= 3) {
      const position = batch[i] ?? 0;
      const written = batch[i + 2] ?? 0;
      const slot = position & this.#slotMask;
      const at = 16 * slot;
      const round = position < this.size ? FLAG_BOTH : 0;
      const flags = round | (written > 0 ? FLAG_WRITE : 0);
      // A chain of 2^32 bytes can't be expressed; the driver then learns of one byte less.
      this.#table.setUint32(at + 8, Math.min(written, 0xffffffff), true);
      this.#table.setUint16(at + 12, batch[i + 1] ?? 0, true);
      if (i > 0) this.#table.setUint16(at + FLAGS_AT, flags, true);
      else words.setDescriptorFlags(slot, flags);
    }
    this.#batchLength = 0;
    this.#inflight?.published();
    // As in a split ring: the driver writes its event area, then reads descriptors.
    words.fence();
    return this.#wantsSignal();
  }

  #refresh(): boolean {
    if (!this.#isAvailable(this.#seen)) return false;
    this.#seen = (this.#seen + 1) & this.#positionMask;
    return true;
  }

  /** Looks at the descriptor in one position: load-acquire, so that what it hands over is seen. */
  #isAvailable(position: number): boolean {
    const flags = this.#words.descriptorFlags(position & this.#slotMask);
    if (position === this.#seen) this.#seenFlags = flags;
    return (flags & FLAG_BOTH) === (position < this.size ? FLAG_AVAILABLE : FLAG_USED);
  }

  #again(chain: RingChain): boolean {
    const noted = this.#resubmit.pop();
    if (noted === undefined) return false;
    this.#walker.walk(noted.table, 0, 0xffff, noted.count, chain, null);
    chain.head = noted.id;
    chain.descriptors = noted.count;
    chain.slot = noted.slot;
    return true;
  }

  #wantsSignal(): boolean {
    const words = this.#words;
    const before = this.#signalled;
    this.#signalled = this.#used;
    const flags = words.driverEventFlags() & 3;
    if (flags === EVENT_DISABLE) return false;
    // The first time nothing is known of what the driver has already seen.
    if (flags !== EVENT_DESCRIPTOR || !this.eventIndex || before === null) return true;
    const event = decodePosition(words.driverEvent(), this.size);
    const mask = this.#positionMask;
    return ((event - before) & mask) < ((this.#used - before) & mask);
  }
}
