// SPDX-License-Identifier: Apache-2.0
/**
 * Chains of a split ring that were taken and not given back, in memory that outlives the process
 * (vhost-user, "Inflight I/O tracking"), so that its successor takes them again.
 *
 *   region: features u64, version u16, descriptors u16, last_batch_head u16, used_index u16
 *   then, for each descriptor: inflight u8, 5 bytes unused, next u16, counter u64
 *
 * Chains that are given back together are linked through `next` before the used index moves, and
 * their marks cleared after it: whoever finds the used index ahead of `used_index` clears the rest.
 * What is found in the region was written by a process or by the front end, and is not trusted.
 */
import { indexDistance } from "./event-index.js";
import type { SplitInflight } from "./split-ring.js";

export const INFLIGHT_VERSION = 1;
const HEADER_BYTES = 16;
const ENTRY_BYTES = 16;
const VERSION_AT = 8;
const SIZE_AT = 10;
const LAST_BATCH_AT = 12;
const USED_AT = 14;
const NEXT_AT = 6;
const COUNTER_AT = 8;

/** The words whose order counts: the addon's RingWords, or plain ones in tests. */
export interface InflightWords {
  store8(byteOffset: number, value: number): unknown;
  store16(byteOffset: number, value: number): unknown;
  store64(byteOffset: number, value: number): unknown;
}

export function splitInflightBytes(size: number): number {
  return HEADER_BYTES + ENTRY_BYTES * size;
}

export class SplitInflightRegion implements SplitInflight {
  readonly resubmit: readonly number[];
  readonly #view: DataView;
  readonly #words: InflightWords;
  readonly #size: number;
  /** Heads that were given back since the driver was last shown any. */
  readonly #batch: number[] = [];
  #counter = 0;

  /** Takes over what an earlier process left; `usedIndex` is the used ring's. */
  constructor(region: Uint8Array, words: InflightWords, size: number, usedIndex: number) {
    this.#view = new DataView(region.buffer, region.byteOffset, region.byteLength);
    this.#words = words;
    this.#size = size;
    const known =
      this.#view.getUint16(VERSION_AT, true) === INFLIGHT_VERSION &&
      this.#view.getUint16(SIZE_AT, true) === size;
    if (known) this.#finishBatch(usedIndex);
    else this.#initialise(region, usedIndex);
    this.resubmit = this.#inflight();
  }

  taken(head: number): void {
    this.#setCounter(head, this.#counter++);
    this.#words.store8(entryAt(head), 1);
  }

  returned(head: number): void {
    const last = this.#view.getUint16(LAST_BATCH_AT, true);
    this.#view.setUint16(entryAt(head) + NEXT_AT, last, true);
    this.#words.store16(LAST_BATCH_AT, head);
    this.#batch.push(head);
  }

  published(usedIndex: number): void {
    for (const head of this.#batch) this.#words.store8(entryAt(head), 0);
    this.#batch.length = 0;
    this.#words.store16(USED_AT, usedIndex);
  }

  #initialise(region: Uint8Array, usedIndex: number): void {
    region.fill(0, 0, splitInflightBytes(this.#size));
    this.#view.setUint16(SIZE_AT, this.#size, true);
    this.#words.store16(USED_AT, usedIndex);
    this.#words.store16(VERSION_AT, INFLIGHT_VERSION);
  }

  /** The driver has seen more than was noted: those of the last batch are not in flight. */
  #finishBatch(usedIndex: number): void {
    const behind = indexDistance(this.#view.getUint16(USED_AT, true), usedIndex);
    let head = this.#view.getUint16(LAST_BATCH_AT, true);
    for (let left = Math.min(behind, this.#size); left > 0 && head < this.#size; left--) {
      this.#words.store8(entryAt(head), 0);
      head = this.#view.getUint16(entryAt(head) + NEXT_AT, true);
    }
    this.#words.store16(USED_AT, usedIndex);
  }

  /** Heads in flight in the order in which they were taken; their counters begin anew. */
  #inflight(): number[] {
    const found: { readonly head: number; readonly counter: bigint }[] = [];
    for (let head = 0; head < this.#size; head++) {
      if (this.#view.getUint8(entryAt(head)) !== 1) continue;
      const counter = this.#view.getBigUint64(entryAt(head) + COUNTER_AT, true);
      found.push({ head, counter });
    }
    found.sort((a, b) => (a.counter < b.counter ? -1 : a.counter > b.counter ? 1 : 0));
    for (const { head } of found) this.#setCounter(head, this.#counter++);
    return found.map(({ head }) => head);
  }

  #setCounter(head: number, counter: number): void {
    const at = entryAt(head) + COUNTER_AT;
    this.#view.setUint32(at, counter >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(counter / 2 ** 32), true);
  }
}

function entryAt(head: number): number {
  return HEADER_BYTES + ENTRY_BYTES * head;
}
