// SPDX-License-Identifier: Apache-2.0
/**
 * Follows a descriptor chain of a split ring and resolves it into views on guest memory. What both
 * ring formats share of this is in {@link ChainResolver}.
 * Each field of a descriptor is read exactly once, since the guest can change it at any time.
 * A chain that breaks a rule is not thrown away: it is handed on with `fault` set and with those
 * parts that could be resolved, so that the device can still answer with an error.
 *
 * A descriptor is 16 bytes: address u64 at 0, length u32 at 8, flags u16 at 12, next u16 at 14.
 */
import type { GuestAddress } from "../io/guest-memory.js";
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

/** Resolves guest-physical ranges into views, across windows and regions. */
export interface ChainMemory {
  /** Appends the views to `pieces`; false, with `pieces` as before, if a byte is not mapped. */
  translateInto(address: GuestAddress, bytes: number, pieces: Uint8Array[]): boolean;
}

/** A chain whose object and arrays are reused by the ring after it was given back. */
export class RingChain implements Chain {
  head = 0;
  /** Descriptors that the chain takes up in a packed ring. */
  descriptors = 1;
  /** Where a table of chains in flight has it. */
  slot = -1;
  /** Number of the chain in the order of taking. */
  sequence = 0;
  readonly readable: Uint8Array[] = [];
  readonly writable: Uint8Array[] = [];
  readableBytes = 0;
  writableBytes = 0;
  fault: string | null = null;
  /** Popped and not yet pushed: guards against a double push by the device. */
  outstanding = false;

  clear(head: number): void {
    this.head = head;
    this.descriptors = 1;
    this.slot = -1;
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

function gather(views: readonly Uint8Array[], bytes: number): Uint8Array {
  const copy = new Uint8Array(bytes);
  let at = 0;
  for (const view of views) {
    copy.set(view, at);
    at += view.length;
  }
  return copy;
}

/** What the walks of both ring formats do with one descriptor. */
export class ChainResolver {
  readonly #memory: ChainMemory;
  readonly #indirect: boolean;
  /** The indirect table being walked: a view of its whole buffer, kept for the next chain. */
  protected inner: DataView | null = null;
  protected innerBase = 0;
  readonly #pieces: Uint8Array[] = [];

  /** `indirect` says whether INDIRECT_DESC was negotiated. */
  constructor(memory: ChainMemory, indirect: boolean) {
    this.#memory = memory;
    this.#indirect = indirect;
  }

  /** Sets `inner` and `innerBase`, or returns the fault. */
  protected openIndirect(
    nested: boolean,
    next: boolean,
    low: number,
    high: number,
    length: number,
  ): string | null {
    if (!this.#indirect) return "an indirect descriptor is used without INDIRECT_DESC";
    if (nested) return "an indirect table holds an indirect descriptor";
    if (next) return "an indirect descriptor has NEXT set";
    if (length === 0 || length % DESCRIPTOR_BYTES !== 0)
      return `an indirect table has ${length} bytes, not a multiple of ${DESCRIPTOR_BYTES}`;
    if (length > INDIRECT_TABLE_BYTES_MAX)
      return `an indirect table has ${length} bytes, the limit is ${INDIRECT_TABLE_BYTES_MAX}`;
    const pieces = this.#pieces;
    pieces.length = 0;
    if (!this.#translate(high, low, length, pieces))
      return `an indirect table of ${length} bytes is not mapped as a whole`;
    const first = pieces[0];
    if (first === undefined) return "an indirect table is empty";
    const bytes = pieces.length === 1 ? first : gather(pieces, length);
    if (this.inner === null || this.inner.buffer !== bytes.buffer)
      this.inner = new DataView(bytes.buffer);
    this.innerBase = bytes.byteOffset;
    return null;
  }

  /** Adds one buffer; false when nothing more can be added. */
  protected add(
    chain: RingChain,
    write: boolean,
    low: number,
    high: number,
    length: number,
  ): boolean {
    if (length === 0) return true;
    if (chain.readableBytes + chain.writableBytes + length > CHAIN_BYTES_MAX) {
      chain.fail(`the chain is longer than ${CHAIN_BYTES_MAX} bytes`);
      return false;
    }
    if (!write && chain.writable.length > 0) {
      chain.fail("a readable descriptor follows a writable one");
      return true;
    }
    if (!this.#translate(high, low, length, write ? chain.writable : chain.readable)) {
      chain.fail(`${length} bytes at guest address ${hex(high, low)} are not mapped as a whole`);
      return true;
    }
    if (write) chain.writableBytes += length;
    else chain.readableBytes += length;
    return true;
  }

  #translate(high: number, low: number, bytes: number, pieces: Uint8Array[]): boolean {
    if (high >= ADDRESS_HIGH_MAX) return false;
    // Below 2^53 by the check above, hence an exact number.
    return this.#memory.translateInto((high * 2 ** 32 + low) as GuestAddress, bytes, pieces);
  }
}

/** Walks chains of one split ring. */
export class ChainWalker extends ChainResolver {
  readonly #size: number;
  #table: DataView;

  constructor(memory: ChainMemory, descriptors: Uint8Array, size: number, indirect: boolean) {
    super(memory, indirect);
    this.#size = size;
    this.#table = viewOf(descriptors);
  }

  /** The ring moved to other views of the same guest memory (a replaced memory table). */
  rebind(descriptors: Uint8Array): void {
    this.#table = viewOf(descriptors);
    this.inner = null;
  }

  /** Fills `chain` from descriptor `head`, which the caller has checked to be below the size. */
  walk(head: number, chain: RingChain): void {
    chain.clear(head);
    let table = this.#table;
    let base = 0;
    let entries = this.#size;
    let index = head;
    let inIndirect = false;
    // The bound is the ring size, indirect entries included: a loop ends here.
    for (let left = this.#size; left > 0; ) {
      const at = base + index * DESCRIPTOR_BYTES;
      const low = table.getUint32(at, true);
      const high = table.getUint32(at + 4, true);
      const length = table.getUint32(at + 8, true);
      const flags = table.getUint16(at + 12, true);
      const next = table.getUint16(at + 14, true);

      if ((flags & DESCRIPTOR_INDIRECT) !== 0) {
        // The descriptor that points to a table carries no data and is not counted; there can be
        // only one in a chain.
        const linked = (flags & DESCRIPTOR_NEXT) !== 0;
        const problem = this.openIndirect(inIndirect, linked, low, high, length);
        if (problem !== null || this.inner === null) {
          chain.fail(problem ?? "an indirect table is missing");
          return;
        }
        table = this.inner;
        base = this.innerBase;
        entries = length / DESCRIPTOR_BYTES;
        index = 0;
        inIndirect = true;
        continue;
      }
      left--;
      if (!this.add(chain, (flags & DESCRIPTOR_WRITE) !== 0, low, high, length)) return;
      if ((flags & DESCRIPTOR_NEXT) === 0) return;
      if (next >= entries) {
        chain.fail(`descriptor ${index} has next ${next}, the table has ${entries} entries`);
        return;
      }
      index = next;
    }
    chain.fail(`the chain is longer than the ring size ${this.#size}`);
  }
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function hex(high: number, low: number): string {
  return `0x${((BigInt(high) << 32n) | BigInt(low)).toString(16)}`;
}
