// SPDX-License-Identifier: Apache-2.0
/**
 * A split ring in plain memory, without addon, session or device: for tests of single rules of the
 * ring, where the test writes each descriptor itself.
 *
 *   0x00000  descriptor table, available ring, used ring
 *   0x10000  data, mapped
 *   0x20000  a hole of one page
 *   0x21000  data, mapped in pieces of one page, up to 0x30000
 */
import type { ChainMemory } from "../../src/virtqueue/chain-walker.js";
import { plainWords16, ringWords, splitRingBytes } from "../../src/virtqueue/ring-words.js";
import {
  type SplitInflight,
  SplitRing,
  type SplitRingParts,
} from "../../src/virtqueue/split-ring.js";
import type { RingLog } from "../../src/virtqueue/types.js";

export const DATA = 0x10000;
export const HOLE = 0x20000;
export const PAGES = 0x21000;
const END = 0x30000;
const PAGE = 0x1000;

export const NEXT = 1;
export const WRITE = 2;
export const INDIRECT = 4;

export interface Descriptor {
  readonly address: number | bigint;
  readonly length: number;
  readonly flags?: number;
  readonly next?: number;
}

export interface FixtureOptions {
  readonly size?: number;
  readonly indirect?: boolean;
  readonly eventIndex?: boolean;
  readonly inOrder?: boolean;
  readonly inflight?: SplitInflight;
  readonly base?: number;
  /** Memory of a fixture that is gone, zeroed; default: new. */
  readonly at?: FixtureMemory;
}

/** The map of memory above. */
export class FixtureMemory implements ChainMemory {
  readonly memory = new Uint8Array(END);
  readonly view = new DataView(this.memory.buffer);

  /** As new. */
  clear(): this {
    this.memory.fill(0);
    return this;
  }

  translateInto(address: number, bytes: number, pieces: Uint8Array[]): boolean {
    const before = pieces.length;
    for (let at = address; at < address + bytes; ) {
      if (at < DATA || at >= END || (at >= HOLE && at < PAGES)) {
        pieces.length = before;
        return false;
      }
      const limit = at < HOLE ? HOLE : (Math.floor(at / PAGE) + 1) * PAGE;
      const stop = Math.min(limit, address + bytes);
      pieces.push(this.memory.subarray(at, stop));
      at = stop;
    }
    return true;
  }
}

export class RingFixture {
  readonly #at: FixtureMemory;
  readonly memory: Uint8Array;
  readonly view: DataView;
  log: RingLog | null = null;
  readonly size: number;
  readonly ring: SplitRing;
  readonly parts: SplitRingParts;
  readonly brokenReasons: string[] = [];
  signals = 0;
  available: number;
  readonly #availableAt: number;
  readonly #usedAt: number;

  constructor(options: FixtureOptions = {}) {
    const size = options.size ?? 8;
    const eventIndex = options.eventIndex ?? false;
    this.#at = options.at ?? new FixtureMemory();
    this.memory = this.#at.memory;
    this.view = this.#at.view;
    this.size = size;
    this.available = options.base ?? 0;
    this.#availableAt = splitRingBytes.descriptors(size);
    this.#usedAt = (this.#availableAt + splitRingBytes.available(size, true) + 3) & ~3;
    const available = this.memory.subarray(this.#availableAt, this.#usedAt);
    const used = this.memory.subarray(this.#usedAt, DATA);
    this.parts = {
      descriptors: this.memory.subarray(0, this.#availableAt),
      available,
      used,
      words: ringWords(plainWords16(available), plainWords16(used), size, () => {}),
    };
    this.setAvailable(this.available);
    this.view.setUint16(this.#usedAt + 2, this.available, true);
    this.ring = new SplitRing({
      index: 0,
      size,
      parts: this.parts,
      memory: this.#at,
      observer: this,
      inflight: options.inflight ?? null,
      indirect: options.indirect ?? true,
      eventIndex,
      inOrder: options.inOrder ?? false,
      base: this.available,
      signal: () => {
        this.signals++;
      },
      broken: (reason) => this.brokenReasons.push(reason),
    });
    this.ring.setActive(true);
  }

  /** Writes descriptor `index` of the ring's table, or of a table at `table`. */
  descriptor(index: number, descriptor: Descriptor, table = 0): void {
    const at = table + 16 * index;
    this.view.setBigUint64(at, BigInt(descriptor.address), true);
    this.view.setUint32(at + 8, descriptor.length, true);
    this.view.setUint16(at + 12, descriptor.flags ?? 0, true);
    this.view.setUint16(at + 14, descriptor.next ?? 0, true);
  }

  /** Writes descriptors 0, 1, … and offers the first. */
  offer(...descriptors: readonly Descriptor[]): void {
    descriptors.forEach((descriptor, i) => {
      this.descriptor(i, descriptor);
    });
    this.offerHead(0);
  }

  offerHead(head: number): void {
    this.view.setUint16(this.#availableAt + 4 + 2 * (this.available % this.size), head, true);
    this.available = (this.available + 1) & 0xffff;
    this.setAvailable(this.available);
  }

  setAvailable(index: number): void {
    this.view.setUint16(this.#availableAt + 2, index, true);
  }

  set availableFlags(flags: number) {
    this.view.setUint16(this.#availableAt, flags, true);
  }

  set usedEvent(index: number) {
    this.view.setUint16(this.#availableAt + 4 + 2 * this.size, index, true);
  }

  get usedFlags(): number {
    return this.view.getUint16(this.#usedAt, true);
  }

  get usedIndex(): number {
    return this.view.getUint16(this.#usedAt + 2, true);
  }

  get availableEvent(): number {
    return this.view.getUint16(this.#usedAt + 4 + 8 * this.size, true);
  }

  used(slot: number): { id: number; length: number } {
    const at = this.#usedAt + 4 + 8 * slot;
    return { id: this.view.getUint32(at, true), length: this.view.getUint32(at + 4, true) };
  }
}
