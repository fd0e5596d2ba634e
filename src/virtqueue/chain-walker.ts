// SPDX-License-Identifier: Apache-2.0
/**
 * Follows a descriptor chain through a descriptor table and resolves it into views on guest memory.
 * Each field of a descriptor is read exactly once, since the guest can change it at any time.
 * A chain that breaks a rule is not thrown away: it is handed on with `fault` set and with those
 * parts that could be resolved, so that the device can still answer with an error.
 *
 * A descriptor is 16 bytes: address u64 at 0, length u32 at 8, flags u16 at 12, next u16 at 14.
 */
import type { Chain } from "./types.js";

export const DESCRIPTOR_BYTES = 16;
export const DESCRIPTOR_NEXT = 1;
export const DESCRIPTOR_WRITE = 2;
export const DESCRIPTOR_INDIRECT = 4;
/** `next` is a u16, so no larger indirect table can be used; this also bounds the copy below. */
const INDIRECT_TABLE_BYTES_MAX = 65536 * DESCRIPTOR_BYTES;
/** VIRTIO 1.3, 2.7.4.2: a chain holds at most 2^32 bytes. */
const CHAIN_BYTES_MAX = 2 ** 32;
/** Guest addresses are kept as numbers; nothing above 2^53 can be mapped anyway. */
const ADDRESS_HIGH_MAX = 2 ** 21;

/** Resolves guest-physical ranges; null when a range is not mapped as a whole. */
export interface ChainMemory {
  translate(address: number, bytes: number): readonly Uint8Array[] | null;
}

/** A chain whose object and arrays are reused by the ring after it was given back. */
export class RingChain implements Chain {
  head = 0;
  readonly readable: Uint8Array[] = [];
  readonly writable: Uint8Array[] = [];
  readableBytes = 0;
  writableBytes = 0;
  fault: string | null = null;
  /** Popped and not yet pushed: guards against a double push by the device. */
  outstanding = false;

  clear(head: number): void {
    this.head = head;
    this.readable.length = 0;
    this.writable.length = 0;
    this.readableBytes = 0;
    this.writableBytes = 0;
    this.fault = null;
  }

  /** Keeps the first fault: the later ones mostly follow from it. */
  fail(text: string): void {
    this.fault ??= text;
  }
}

function dataView(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function gather(views: readonly Uint8Array[], bytes: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  let at = 0;
  for (const view of views) {
    copy.set(view, at);
    at += view.length;
  }
  return copy;
}

/** Walks chains of one ring. `indirect` says whether INDIRECT_DESC was negotiated. */
export class ChainWalker {
  readonly #memory: ChainMemory;
  readonly #size: number;
  readonly #indirect: boolean;
  #table: DataView;

  constructor(memory: ChainMemory, descriptors: Uint8Array, size: number, indirect: boolean) {
    this.#memory = memory;
    this.#size = size;
    this.#indirect = indirect;
    this.#table = dataView(descriptors);
  }

  /** The ring moved to other views of the same guest memory (a replaced memory table). */
  rebind(descriptors: Uint8Array): void {
    this.#table = dataView(descriptors);
  }

  /** Fills `chain` from descriptor `head`, which the caller has checked to be below the size. */
  walk(head: number, chain: RingChain): void {
    chain.clear(head);
    let table = this.#table;
    let entries = this.#size;
    let index = head;
    let inIndirect = false;
    // The bound is the ring size, indirect entries included: a loop ends here.
    for (let count = 0; count < this.#size; count++) {
      const at = index * DESCRIPTOR_BYTES;
      const low = table.getUint32(at, true);
      const high = table.getUint32(at + 4, true);
      const length = table.getUint32(at + 8, true);
      const flags = table.getUint16(at + 12, true);
      const next = table.getUint16(at + 14, true);

      if ((flags & DESCRIPTOR_INDIRECT) !== 0) {
        const inner = this.#openIndirect(chain, inIndirect, flags, low, high, length);
        if (inner === null) return;
        table = inner;
        entries = length / DESCRIPTOR_BYTES;
        index = 0;
        inIndirect = true;
        // The descriptor that points to the table carries no data and is not counted.
        count--;
        continue;
      }
      if (!this.#add(chain, (flags & DESCRIPTOR_WRITE) !== 0, low, high, length)) return;
      if ((flags & DESCRIPTOR_NEXT) === 0) return;
      if (next >= entries) {
        chain.fail(`descriptor ${index} has next ${next}, the table has ${entries} entries`);
        return;
      }
      index = next;
    }
    chain.fail(`the chain is longer than the ring size ${this.#size}`);
  }

  /** Returns the table's view, or null after recording the fault. */
  #openIndirect(
    chain: RingChain,
    nested: boolean,
    flags: number,
    low: number,
    high: number,
    length: number,
  ): DataView | null {
    if (!this.#indirect) chain.fail("an indirect descriptor is used without INDIRECT_DESC");
    else if (nested) chain.fail("an indirect table holds an indirect descriptor");
    else if ((flags & DESCRIPTOR_NEXT) !== 0) chain.fail("an indirect descriptor has NEXT set");
    else if (length === 0 || length % DESCRIPTOR_BYTES !== 0)
      chain.fail(`an indirect table has ${length} bytes, not a multiple of ${DESCRIPTOR_BYTES}`);
    else if (length > INDIRECT_TABLE_BYTES_MAX)
      chain.fail(`an indirect table has ${length} bytes, the limit is ${INDIRECT_TABLE_BYTES_MAX}`);
    else {
      const views =
        high < ADDRESS_HIGH_MAX ? this.#memory.translate(high * 2 ** 32 + low, length) : null;
      const first = views?.[0];
      if (views && first) return dataView(views.length === 1 ? first : gather(views, length));
      chain.fail(`an indirect table of ${length} bytes is not mapped as a whole`);
    }
    return null;
  }

  /** Adds one buffer; false when the walk can't go on. */
  #add(chain: RingChain, write: boolean, low: number, high: number, length: number): boolean {
    if (length === 0) return true;
    if (chain.readableBytes + chain.writableBytes + length > CHAIN_BYTES_MAX) {
      chain.fail(`the chain is longer than ${CHAIN_BYTES_MAX} bytes`);
      return false;
    }
    if (!write && chain.writable.length > 0) {
      chain.fail("a readable descriptor follows a writable one");
      return true;
    }
    const address = high * 2 ** 32 + low;
    const views = high < ADDRESS_HIGH_MAX ? this.#memory.translate(address, length) : null;
    if (views === null) {
      chain.fail(`${length} bytes at guest address ${hex(high, low)} are not mapped as a whole`);
      return true;
    }
    const into = write ? chain.writable : chain.readable;
    for (const view of views) into.push(view);
    if (write) chain.writableBytes += length;
    else chain.readableBytes += length;
    return true;
  }
}

function hex(high: number, low: number): string {
  return `0x${((BigInt(high) << 32n) | BigInt(low)).toString(16)}`;
}
