// SPDX-License-Identifier: Apache-2.0
/**
 * Chains of a packed ring that were taken and not given back, in memory that outlives the process
 * (vhost-user, "Inflight I/O tracking"). Used entries overwrite descriptors, so copies of the
 * descriptors are kept.
 *
 *   region: features u64, version u16, descriptors u16, free_head u16, old_free_head u16,
 *           used_index u16, old_used_index u16, used_wrap u8, old_used_wrap u8, 10 bytes unused
 *   then, for each descriptor: inflight u8, unused u8, next u16, last u16, num u16, counter u64,
 *           id u16, flags u16, length u32, address u64
 *
 * Entries are linked through `next`: those of a chain, and the free ones from `free_head` on. The
 * old values are those of the last time that the driver was shown something. If a process ends in
 * between, the ring tells whether that had happened.
 *
 * What is found in the region was written by a process or by the front end, and is not trusted.
 */
import type { PackedInflight, PackedResubmit } from "./packed-ring.js";
import type { PackedWords } from "./ring-words.js";
import { INFLIGHT_VERSION, type InflightWords } from "./split-inflight.js";

const HEADER_BYTES = 32;
const ENTRY_BYTES = 32;
const VERSION_AT = 8;
const SIZE_AT = 10;
const FREE_AT = 12;
const OLD_FREE_AT = 14;
const USED_AT = 16;
const OLD_USED_AT = 18;
const WRAP_AT = 20;
const OLD_WRAP_AT = 21;
const NEXT_AT = 2;
const LAST_AT = 4;
const NUM_AT = 6;
const COUNTER_AT = 8;
/** In an entry: id, flags, length and address of a descriptor, in another order than in a ring. */
const ID_AT = 16;
const FLAGS_AT = 18;
const LENGTH_AT = 20;
const ADDRESS_AT = 24;
const DESCRIPTOR_BYTES = 16;
/** What alone is set in an available descriptor of the first round, and of the second. */
const AVAILABLE_FLAG = 0x80;
const USED_FLAG = 0x8000;

export function packedInflightBytes(size: number): number {
  return HEADER_BYTES + ENTRY_BYTES * size;
}

/** The part of a ring's words by which the last batch can be judged. */
export type DescriptorFlags = Pick<PackedWords, "descriptorFlags" | "setDescriptorFlags">;

/** The region makes no sense: the ring can't go on from it. */
export class InflightError extends Error {
  override readonly name = "InflightError";
}

export class PackedInflightRegion implements PackedInflight {
  readonly resubmit: readonly PackedResubmit[];
  readonly usedPosition: number | null;
  readonly #view: DataView;
  readonly #words: InflightWords;
  readonly #size: number;
  /** First entries of the chains that were given back since the driver was last shown any. */
  readonly #batch: number[] = [];
  #batchLength = 0;
  #counter = 0;
  /** The free entry that comes next, and the chain that is being noted. */
  #free = 0;
  #first = -1;
  #last = -1;
  #count = 0;

  /**
   * Takes over what an earlier process left. `usedPosition` is where a ring begins that nobody has
   * noted anything of; `ring` has the flags of the ring's descriptors. Throws InflightError.
   */
  constructor(
    region: Uint8Array,
    words: InflightWords,
    size: number,
    usedPosition: number,
    ring: DescriptorFlags,
  ) {
    this.#view = new DataView(region.buffer, region.byteOffset, region.byteLength);
    this.#words = words;
    this.#size = size;
    const known = this.#u16(VERSION_AT) === INFLIGHT_VERSION && this.#u16(SIZE_AT) === size;
    if (!known) {
      this.#initialise(region, usedPosition);
      this.usedPosition = null;
      this.resubmit = [];
      return;
    }
    this.#settle(ring);
    this.#free = this.#u16(FREE_AT);
    this.usedPosition = this.#position(OLD_USED_AT, OLD_WRAP_AT);
    this.#clearFree();
    this.resubmit = this.#inflight();
  }

  descriptor(low: number, high: number, length: number, id: number, flags: number): void {
    const entry = this.#free;
    if (this.#count === 0) this.#first = entry;
    this.#count++;
    this.#last = entry;
    if (entry >= this.#size) return;
    const at = entryAt(entry);
    this.#view.setUint16(at + ID_AT, id, true);
    this.#view.setUint16(at + FLAGS_AT, flags, true);
    this.#view.setUint32(at + LENGTH_AT, length, true);
    this.#view.setUint32(at + ADDRESS_AT, low, true);
    this.#view.setUint32(at + ADDRESS_AT + 4, high, true);
    this.#free = this.#u16(at + NEXT_AT);
  }

  taken(): number {
    const first = this.#first;
    const count = this.#count;
    this.#count = 0;
    // More descriptors than the ring has: the driver offers some again that it was not shown.
    if (first >= this.#size || this.#last >= this.#size) return -1;
    const at = entryAt(first);
    this.#view.setUint16(at + NUM_AT, count, true);
    this.#view.setUint16(at + LAST_AT, this.#last, true);
    this.#setCounter(first, this.#counter++);
    this.#words.store8(at, 1);
    this.#words.store16(FREE_AT, this.#free);
    this.#words.store16(OLD_FREE_AT, this.#free);
    return first;
  }

  returned(slot: number): void {
    this.#batch[this.#batchLength++] = slot;
  }

  publishing(usedPosition: number): void {
    for (let i = 0; i < this.#batchLength; i++) {
      const first = this.#batch[i] ?? 0;
      const last = this.#u16(entryAt(first) + LAST_AT);
      if (last < this.#size) this.#view.setUint16(entryAt(last) + NEXT_AT, this.#free, true);
      this.#free = first;
    }
    this.#words.store16(FREE_AT, this.#free);
    this.#setUsed(usedPosition, this.#position(OLD_USED_AT, OLD_WRAP_AT));
  }

  published(): void {
    for (let i = 0; i < this.#batchLength; i++) this.#words.store8(entryAt(this.#batch[i] ?? 0), 0);
    this.#batchLength = 0;
    this.#commit();
  }

  #initialise(region: Uint8Array, usedPosition: number): void {
    const size = this.#size;
    region.fill(0, 0, packedInflightBytes(size));
    this.#view.setUint16(SIZE_AT, size, true);
    for (let entry = 0; entry < size; entry++)
      this.#view.setUint16(entryAt(entry) + NEXT_AT, entry + 1, true);
    this.#setUsed(usedPosition, usedPosition);
    this.#words.store16(VERSION_AT, INFLIGHT_VERSION);
  }

  /** Decides whether the last batch was shown to the driver; else goes back to before it. */
  #settle(ring: DescriptorFlags): void {
    const size = this.#size;
    const from = this.#position(OLD_USED_AT, OLD_WRAP_AT);
    const to = this.#position(USED_AT, WRAP_AT);
    const count = (to - from) & (2 * size - 1);
    if (count > size) throw new InflightError(`${count} descriptors were used at once`);
    if (count > 0 && isUsed(ring.descriptorFlags(from & (size - 1)), from < size)) {
      this.#commit();
      return;
    }
    // Entries behind the first may be written already: they are to be available ones again before
    // it is forgotten that they were not.
    for (let i = 0; i < count; i++) {
      const position = (from + i) & (2 * size - 1);
      ring.setDescriptorFlags(position & (size - 1), position < size ? AVAILABLE_FLAG : USED_FLAG);
    }
    this.#words.store16(FREE_AT, this.#u16(OLD_FREE_AT));
    this.#setUsed(from, from);
  }

  #commit(): void {
    this.#words.store16(OLD_FREE_AT, this.#u16(FREE_AT));
    const used = this.#position(USED_AT, WRAP_AT);
    this.#setUsed(used, used);
  }

  /** Both used positions in one store: an index without its wrap would be another position. */
  #setUsed(used: number, old: number): void {
    const mask = this.#size - 1;
    const wraps = (used < this.#size ? 1 : 0) | (old < this.#size ? 0x100 : 0);
    this.#words.store64(USED_AT, (used & mask) + (old & mask) * 2 ** 16 + wraps * 2 ** 32);
  }

  #clearFree(): void {
    let entry = this.#free;
    for (let left = this.#size; left > 0 && entry < this.#size; left--) {
      this.#words.store8(entryAt(entry), 0);
      entry = this.#u16(entryAt(entry) + NEXT_AT);
    }
  }

  /** Chains in flight in the order in which they were taken; their counters begin anew. */
  #inflight(): PackedResubmit[] {
    const found: { readonly first: number; readonly counter: bigint }[] = [];
    for (let first = 0; first < this.#size; first++) {
      if (this.#view.getUint8(entryAt(first)) !== 1) continue;
      const counter = this.#view.getBigUint64(entryAt(first) + COUNTER_AT, true);
      found.push({ first, counter });
    }
    found.sort((a, b) => (a.counter < b.counter ? -1 : a.counter > b.counter ? 1 : 0));
    const ids = new Set<number>();
    let total = 0;
    return found.map(({ first }) => {
      this.#setCounter(first, this.#counter++);
      const chain = this.#chain(first);
      total += chain.count;
      if (chain.id >= this.#size || ids.has(chain.id) || total > this.#size)
        throw new InflightError(`entry ${first} is no chain of a ring of ${this.#size}`);
      ids.add(chain.id);
      return chain;
    });
  }

  /** A copy of a chain's descriptors, laid out as in a ring. */
  #chain(first: number): PackedResubmit {
    const count = this.#u16(entryAt(first) + NUM_AT);
    if (count === 0 || count > this.#size)
      throw new InflightError(`entry ${first} has ${count} descriptors, the ring ${this.#size}`);
    const table = new DataView(new ArrayBuffer(DESCRIPTOR_BYTES * count));
    let entry = first;
    let id = 0;
    for (let i = 0; i < count; i++) {
      if (entry >= this.#size) throw new InflightError(`the chain at entry ${first} has no end`);
      const at = entryAt(entry);
      const to = DESCRIPTOR_BYTES * i;
      id = this.#u16(at + ID_AT);
      // The bit that links descriptors follows from the count, whatever is found there.
      const flags = (this.#u16(at + FLAGS_AT) & ~1) | (i + 1 < count ? 1 : 0);
      table.setUint32(to, this.#view.getUint32(at + ADDRESS_AT, true), true);
      table.setUint32(to + 4, this.#view.getUint32(at + ADDRESS_AT + 4, true), true);
      table.setUint32(to + 8, this.#view.getUint32(at + LENGTH_AT, true), true);
      table.setUint16(to + 12, id, true);
      table.setUint16(to + 14, flags, true);
      entry = this.#u16(at + NEXT_AT);
    }
    return { slot: first, id, count, table };
  }

  #position(indexAt: number, wrapAt: number): number {
    const index = this.#u16(indexAt);
    if (index >= this.#size)
      throw new InflightError(`the used index is ${index}, the ring has ${this.#size}`);
    return index + (this.#view.getUint8(wrapAt) === 1 ? 0 : this.#size);
  }

  #setCounter(first: number, counter: number): void {
    const at = entryAt(first) + COUNTER_AT;
    this.#view.setUint32(at, counter >>> 0, true);
    this.#view.setUint32(at + 4, Math.floor(counter / 2 ** 32), true);
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, true);
  }
}

/** Whether a descriptor's flags are those of a used one, in the round of this wrap. */
function isUsed(flags: number, firstRound: boolean): boolean {
  const both = AVAILABLE_FLAG | USED_FLAG;
  return (flags & both) === (firstRound ? both : 0);
}

function entryAt(entry: number): number {
  return HEADER_BYTES + ENTRY_BYTES * entry;
}
