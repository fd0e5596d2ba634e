// SPDX-License-Identifier: Apache-2.0
/**
 * One page of a G-VMCS, shared by two processes: ordered words, and records under a sequence lock.
 *
 * JavaScript promises no order for plain accesses to shared memory, so words go through an ordered
 * access that the caller gives (the addon's, or a plain one where both sides share a thread). A
 * record is written between two stores of its lock, odd while it changes; a reader copies it, and
 * takes the copy only if the lock was even and the same before and after. A writer that never ends
 * its record (it was killed, or means harm) costs the reader a bounded number of tries.
 */
import { type AreaCodec, LOCK_BYTES } from "./generated/layout.js";

/** Ordered access to words of a page: loads acquire, stores release, the rest is a full barrier. */
export interface OrderedWords {
  load32(byteOffset: number): number;
  store32(byteOffset: number, value: number): unknown;
  /** Exact below 2^53. */
  load64(byteOffset: number): number;
  store64(byteOffset: number, value: number): unknown;
  /** Stores `value` if the word is `expected`; returns what was there. */
  compareExchange32(byteOffset: number, expected: number, value: number): number;
}

/** A page as one process sees it. `bytes` is only read where the mapping is read-only. */
export interface SharedPage {
  readonly bytes: Uint8Array;
  readonly words: OrderedWords;
  /** Full barrier. */
  fence(): void;
}

/** How often a reader tries to get a whole record. */
const READ_TRIES_MAX = 64;

/** Reads and writes the records of one page. */
export class RecordPage {
  readonly page: SharedPage;
  readonly #view: DataView;
  readonly #copy: Uint8Array;
  readonly #copyView: DataView;

  constructor(page: SharedPage) {
    this.page = page;
    const { buffer, byteOffset, byteLength } = page.bytes;
    this.#view = new DataView(buffer, byteOffset, byteLength);
    this.#copy = new Uint8Array(byteLength);
    this.#copyView = new DataView(this.#copy.buffer);
  }

  /** Writes a record; there is one writer per page. */
  write<T>(area: AreaCodec<T>, value: T): void {
    const { words } = this.page;
    const sequence = words.load32(area.offset);
    words.store32(area.offset, (sequence | 1) >>> 0);
    this.page.fence();
    area.encode(this.#view, area.offset, value);
    this.page.fence();
    words.store32(area.offset, ((sequence | 1) + 1) >>> 0);
  }

  /** A copy of a record that is whole, not validated; null if its writer does not end it. */
  read<T>(area: AreaCodec<T>): T | null {
    const { words, bytes } = this.page;
    for (let attempt = 0; attempt < READ_TRIES_MAX; attempt++) {
      const before = words.load32(area.offset);
      if (before % 2 === 1) continue;
      const start = area.offset + LOCK_BYTES;
      const end = area.offset + area.bytes;
      this.#copy.set(bytes.subarray(start, end), start);
      this.page.fence();
      if (words.load32(area.offset) === before) return area.decode(this.#copyView, area.offset);
    }
    return null;
  }
}

/** A page in plain memory: right only where both sides share a thread (simulation and tests). */
export function plainPage(bytes: Uint8Array): SharedPage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    bytes,
    words: {
      load32: (at) => view.getUint32(at, true),
      store32: (at, value) => view.setUint32(at, value, true),
      load64: (at) => view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true),
      store64: (at, value) => {
        view.setUint32(at, value % 0x1_0000_0000, true);
        view.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
      },
      compareExchange32: (at, expected, value) => {
        const found = view.getUint32(at, true);
        if (found === expected) view.setUint32(at, value, true);
        return found;
      },
    },
    fence: () => {},
  };
}
