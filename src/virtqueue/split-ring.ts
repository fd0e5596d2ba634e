// SPDX-License-Identifier: Apache-2.0
/**
 * The device side of a split ring (VIRTIO 1.3, 2.7): takes chains in batches, gives them back, and
 * signals the driver only where it asked for it (flags or EVENT_IDX).
 *
 *   available: flags u16, idx u16, ring u16[size], used_event u16
 *   used:      flags u16, idx u16, {id u32, length u32}[size], avail_event u16
 *
 * A ring whose indices make no sense is broken: it stops for good until the front end starts it
 * again, which the session is told once. It never throws for what the guest wrote.
 */
import { crashPoint } from "../io/crash-points.js";
import { type ChainMemory, ChainWalker, RingChain } from "./chain-walker.js";
import { indexDistance, passesEvent } from "./event-index.js";
import type { RingWords } from "./ring-words.js";
import type { Chain, Virtqueue } from "./types.js";

const AVAILABLE_NO_INTERRUPT = 1;
const USED_NO_NOTIFY = 1;
const RING_AT = 4;

/** The three parts of a ring as single views, and its ordered words. */
export interface SplitRingParts {
  readonly descriptors: Uint8Array;
  readonly available: Uint8Array;
  readonly used: Uint8Array;
  readonly words: RingWords;
}

export interface SplitRingOptions {
  readonly index: number;
  /** Entries, a power of two. */
  readonly size: number;
  readonly parts: SplitRingParts;
  readonly memory: ChainMemory;
  readonly indirect: boolean;
  readonly eventIndex: boolean;
  /** Index of the next available entry, as SET_VRING_BASE gave it. */
  readonly base: number;
  /** Interrupts the driver. */
  readonly signal: () => void;
  /** Called once when the ring breaks. */
  readonly broken: (reason: string) => void;
}

/** Counters of one ring since it started. */
export interface RingCounters {
  popped: number;
  pushed: number;
  signals: number;
  faults: number;
}

export class SplitRing implements Virtqueue {
  readonly index: number;
  readonly counters: RingCounters = { popped: 0, pushed: 0, signals: 0, faults: 0 };
  readonly #size: number;
  readonly #mask: number;
  readonly #eventIndex: boolean;
  readonly #walker: ChainWalker;
  readonly #signal: () => void;
  readonly #reportBroken: (reason: string) => void;
  readonly #free: RingChain[] = [];
  #words: RingWords;
  #available: DataView;
  #used: DataView;
  /** Next entry to take, and the available index as last read. */
  #next: number;
  #seen: number;
  #usedNext: number;
  /** Used index at the last decision on a signal; null until the first one. */
  #signalled: number | null = null;
  #unpublished = 0;
  #outstanding = 0;
  #active = false;
  #stopped = false;
  #broken: string | null = null;

  constructor(options: SplitRingOptions) {
    const { parts } = options;
    this.index = options.index;
    this.#size = options.size;
    this.#mask = options.size - 1;
    this.#eventIndex = options.eventIndex;
    this.#walker = new ChainWalker(
      options.memory,
      parts.descriptors,
      options.size,
      options.indirect,
    );
    this.#signal = options.signal;
    this.#reportBroken = options.broken;
    this.#words = parts.words;
    this.#available = viewOf(parts.available);
    this.#used = viewOf(parts.used);
    this.#next = options.base & 0xffff;
    this.#seen = this.#next;
    // The used index is the driver's knowledge of what was given back: go on from there.
    this.#usedNext = this.#words.usedIndex();
  }

  get size(): number {
    return this.#size;
  }

  /** The reason why the ring is broken, or null. */
  get brokenReason(): string | null {
    return this.#broken;
  }

  /** The driver's available index as it is now (load-acquire); for polling. */
  get availableIndex(): number {
    return this.#stopped || this.#broken !== null ? this.#seen : this.#words.availIndex();
  }

  /** Whether chains wait that were not taken, as of `availableIndex`. */
  isBehind(availableIndex: number): boolean {
    return this.#next !== availableIndex;
  }

  /** Chains that were taken and not given back. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Index for GET_VRING_BASE: chains that were taken but not given back are offered again. */
  get base(): number {
    return (this.#next - this.#outstanding) & 0xffff;
  }

  /** Chains are only taken while the ring is active (started and enabled). */
  setActive(active: boolean): void {
    this.#active = active;
  }

  /** Ends the ring: nothing is taken and nothing is written into guest memory any more. */
  stop(): void {
    this.#stopped = true;
    this.#active = false;
  }

  /** The same ring under new views, after the memory table was replaced. */
  rebind(parts: SplitRingParts): void {
    this.#words = parts.words;
    this.#available = viewOf(parts.available);
    this.#used = viewOf(parts.used);
    this.#walker.rebind(parts.descriptors);
  }

  /** Breaks the ring from outside, e.g. when its memory goes away. */
  fail(reason: string): void {
    if (this.#broken !== null || this.#stopped) return;
    this.#broken = reason;
    this.#reportBroken(reason);
  }

  pop(): Chain | null {
    if (!this.#active || this.#broken !== null) return null;
    if (this.#next === this.#seen && !this.#refresh()) return null;
    const slot = this.#next & this.#mask;
    const head = this.#available.getUint16(RING_AT + 2 * slot, true);
    if (head >= this.#size) {
      // There is no chain to give back, so the driver can't be told otherwise.
      this.fail(`available entry ${slot} names descriptor ${head}, the ring has ${this.#size}`);
      return null;
    }
    this.#next = (this.#next + 1) & 0xffff;
    const chain = this.#free.pop() ?? new RingChain();
    this.#walker.walk(head, chain);
    chain.outstanding = true;
    this.#outstanding++;
    this.counters.popped++;
    if (chain.fault !== null) this.counters.faults++;
    crashPoint("popped");
    return chain;
  }

  push(chain: Chain, writtenBytes: number): void {
    if (!(chain instanceof RingChain) || !chain.outstanding)
      throw new Error(`ring ${this.index}: a chain is given back that was not taken`);
    if (!(writtenBytes >= 0 && writtenBytes <= chain.writableBytes))
      throw new RangeError(
        `ring ${this.index}: ${writtenBytes} bytes written, the chain has ${chain.writableBytes}`,
      );
    chain.outstanding = false;
    this.#outstanding--;
    if (!this.#stopped && this.#broken === null) {
      const at = RING_AT + 8 * (this.#usedNext & this.#mask);
      this.#used.setUint32(at, chain.head, true);
      // A chain of 2^32 bytes can't be expressed; the driver then learns of one byte less.
      this.#used.setUint32(at + 4, Math.min(writtenBytes, 0xffffffff), true);
      this.#usedNext = (this.#usedNext + 1) & 0xffff;
      this.#unpublished++;
      this.counters.pushed++;
    }
    chain.clear(0);
    if (this.#free.length < this.#size) this.#free.push(chain);
    crashPoint("pushed");
  }

  flush(): void {
    if (this.#unpublished === 0 || this.#stopped || this.#broken !== null) return;
    this.#unpublished = 0;
    this.#words.setUsedIndex(this.#usedNext);
    // The driver writes its event word, then reads our index; we do it the other way round. Both
    // sides need a full barrier between, else both could miss each other.
    this.#words.fence();
    crashPoint("published");
    if (this.#wantsSignal()) {
      this.counters.signals++;
      this.#signal();
    }
    crashPoint("signalled");
  }

  enableKick(on: boolean): boolean {
    if (this.#stopped || this.#broken !== null) return false;
    if (!on) {
      // With EVENT_IDX, the entry just passed is the one furthest in the future.
      if (this.#eventIndex) this.#words.setAvailEvent((this.#next - 1) & 0xffff);
      else this.#words.setUsedFlags(USED_NO_NOTIFY);
      return this.#next !== this.#seen;
    }
    if (this.#eventIndex) this.#words.setAvailEvent(this.#next);
    else this.#words.setUsedFlags(0);
    this.#words.fence();
    return this.#words.availIndex() !== this.#next;
  }

  #refresh(): boolean {
    const available = this.#words.availIndex();
    const count = indexDistance(this.#next, available);
    if (count === 0) return false;
    if (count > this.#size) {
      this.fail(
        `the available index ${available} is ${count} ahead of ${this.#next}, ` +
          `the ring has ${this.#size} entries`,
      );
      return false;
    }
    this.#seen = available;
    return true;
  }

  #wantsSignal(): boolean {
    if (!this.#eventIndex) return (this.#words.availFlags() & AVAILABLE_NO_INTERRUPT) === 0;
    const before = this.#signalled;
    this.#signalled = this.#usedNext;
    // The first time nothing is known of what the driver has already seen.
    return before === null || passesEvent(this.#words.usedEvent(), before, this.#usedNext);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
