// SPDX-License-Identifier: Apache-2.0
/**
 * The device side of a split ring (VIRTIO 1.3, 2.7): takes chains in batches, gives them back, and
 * signals the driver only where it asked for it (flags or EVENT_IDX).
 *
 *   available: flags u16, idx u16, ring u16[size], used_event u16
 *   used:      flags u16, idx u16, {id u32, length u32}[size], avail_event u16
 */
import { ChainWalker, type RingChain, viewOf } from "./chain-walker.js";
import { indexDistance, passesEvent } from "./event-index.js";
import { RingBase, type RingOptions } from "./ring-base.js";
import type { RingWords } from "./ring-words.js";
import type { RingPosition } from "./types.js";

const AVAILABLE_NO_INTERRUPT = 1;
const USED_NO_NOTIFY = 1;
const RING_AT = 4;
const INDEX_AT = 2;

/** The three parts of a ring as single views, and its ordered words. */
export interface SplitRingParts {
  readonly descriptors: Uint8Array;
  readonly available: Uint8Array;
  readonly used: Uint8Array;
  readonly words: RingWords;
}

export interface SplitRingOptions extends RingOptions {
  readonly parts: SplitRingParts;
  /** Keeps chains in flight for another process; its `resubmit` are taken first. */
  readonly inflight?: SplitInflight | null;
}

/** Notes the heads of chains that were taken and not given back. */
export interface SplitInflight {
  /** Heads that an earlier process left, in the order in which it took them. */
  readonly resubmit: readonly number[];
  taken(head: number): void;
  /** Its used entry is about to be written. */
  returned(head: number): void;
  /** Everything returned so far is visible to the driver. */
  published(usedIndex: number): void;
}

export class SplitRing extends RingBase {
  readonly #mask: number;
  readonly #walker: ChainWalker;
  readonly #inflight: SplitInflight | null;
  readonly #resubmit: number[];
  #words: RingWords;
  #available: DataView;
  #used: DataView;
  /** Next entry to take, and the available index as last read. */
  #next: number;
  #seen: number;
  #usedNext: number;
  /** Used index at the last decision on a signal; null until the first one. */
  #signalled: number | null = null;

  constructor(options: SplitRingOptions) {
    super(options);
    const { parts } = options;
    this.#mask = options.size - 1;
    this.#walker = new ChainWalker(
      options.memory,
      parts.descriptors,
      options.size,
      options.indirect,
    );
    this.#words = parts.words;
    this.#available = viewOf(parts.available);
    this.#used = viewOf(parts.used);
    // The used index is the driver's knowledge of what was given back: go on from there.
    this.#usedNext = this.#words.usedIndex();
    this.#inflight = options.inflight ?? null;
    this.#resubmit = [...(this.#inflight?.resubmit ?? [])].reverse();
    const count = this.#resubmit.length;
    this.#next = (count === 0 ? options.base : this.#usedNext + count) & 0xffff;
    this.#seen = this.#next;
  }

  /** The driver's available index as it is now (load-acquire); for polling. */
  get availableIndex(): number {
    return this.stopped || this.broken !== null ? this.#seen : this.#words.availIndex();
  }

  isBehind(availableIndex: number): boolean {
    return this.#next !== availableIndex || this.#resubmit.length > 0;
  }

  get watchOffset(): number {
    return INDEX_AT;
  }

  watchValue(availableIndex: number): number {
    return availableIndex & 0xffff;
  }

  get base(): number {
    return (this.#next - this.outstanding - this.#resubmit.length) & 0xffff;
  }

  get position(): RingPosition {
    return { size: this.size, available: this.base, used: this.#usedNext };
  }

  /** The same ring under new views, after the memory table was replaced. */
  rebind(parts: SplitRingParts): void {
    this.#words = parts.words;
    this.#available = viewOf(parts.available);
    this.#used = viewOf(parts.used);
    this.#walker.rebind(parts.descriptors);
  }

  enableKick(on: boolean): boolean {
    if (this.stopped || this.broken !== null) return false;
    const words = this.#words;
    if (!on) {
      // With EVENT_IDX, the entry just passed is the one furthest in the future.
      if (this.eventIndex) words.setAvailEvent((this.#next - 1) & 0xffff);
      else words.setUsedFlags(USED_NO_NOTIFY);
      this.observer.log?.ringWritten();
      return this.#next !== this.#seen || this.#resubmit.length > 0;
    }
    if (this.eventIndex) words.setAvailEvent(this.#next);
    else words.setUsedFlags(0);
    this.observer.log?.ringWritten();
    words.fence();
    return words.availIndex() !== this.#next || this.#resubmit.length > 0;
  }

  protected override next(chain: RingChain): boolean {
    if (this.#resubmit.length > 0) return this.#again(chain);
    if (this.#next === this.#seen && !this.#refresh()) return false;
    if (this.outstanding >= this.size) {
      // A driver has no more than it has descriptors; another would have us hold any number.
      this.fail(`${this.outstanding} chains are out and more are offered, the ring's size`);
      return false;
    }
    const slot = this.#next & this.#mask;
    const head = this.#available.getUint16(RING_AT + 2 * slot, true);
    if (head >= this.size) {
      // There is no chain to give back, so the driver can't be told otherwise.
      this.fail(`available entry ${slot} names descriptor ${head}, the ring has ${this.size}`);
      return false;
    }
    this.#next = (this.#next + 1) & 0xffff;
    this.#walker.walk(head, chain);
    this.#inflight?.taken(head);
    return true;
  }

  protected override use(chain: RingChain, writtenBytes: number): void {
    this.#inflight?.returned(chain.head);
    const at = RING_AT + 8 * (this.#usedNext & this.#mask);
    this.#used.setUint32(at, chain.head, true);
    // A chain of 2^32 bytes can't be expressed; the driver then learns of one byte less.
    this.#used.setUint32(at + 4, Math.min(writtenBytes, 0xffffffff), true);
    this.#usedNext = (this.#usedNext + 1) & 0xffff;
  }

  protected override publish(): boolean {
    const words = this.#words;
    words.setUsedIndex(this.#usedNext);
    this.#inflight?.published(this.#usedNext);
    // The driver writes its event word, then reads our index; we do it the other way round. Both
    // sides need a full barrier between, else both could miss each other.
    words.fence();
    return this.#wantsSignal();
  }

  #refresh(): boolean {
    const available = this.#words.availIndex();
    const count = indexDistance(this.#next, available);
    if (count === 0) return false;
    if (count > this.size) {
      this.fail(
        `the available index ${available} is ${count} ahead of ${this.#next}, ` +
          `the ring has ${this.size} entries`,
      );
      return false;
    }
    this.#seen = available;
    return true;
  }

  /** Takes a chain that an earlier process did not finish; its descriptors are still in place. */
  #again(chain: RingChain): boolean {
    this.#walker.walk(this.#resubmit.pop() ?? 0, chain);
    return true;
  }

  #wantsSignal(): boolean {
    if (!this.eventIndex) return (this.#words.availFlags() & AVAILABLE_NO_INTERRUPT) === 0;
    const before = this.#signalled;
    this.#signalled = this.#usedNext;
    // The first time nothing is known of what the driver has already seen.
    return before === null || passesEvent(this.#words.usedEvent(), before, this.#usedNext);
  }
}
