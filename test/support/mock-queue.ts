// SPDX-License-Identifier: Apache-2.0
/**
 * The driver's side of a split ring, written from the specification and sharing no code with the
 * device's side. Besides the proper way to add and take buffers it lets tests write any descriptor
 * and any index.
 */
import { fence, RingWords } from "../../src/io/native.js";
import type { GuestBuffer, MockMemory } from "./mock-memory.js";

export const F_NEXT = 1;
export const F_WRITE = 2;
export const F_INDIRECT = 4;

export interface RawDescriptor {
  readonly address: number | bigint;
  readonly length: number;
  readonly flags: number;
  readonly next?: number;
}

export interface UsedElement {
  readonly head: number;
  readonly written: number;
}

export interface MockQueueOptions {
  readonly size: number;
  readonly eventIndex: boolean;
}

/** What the mock driver needs of a ring, whatever its format is. */
export interface DriverQueue {
  readonly index: number;
  readonly size: number;
  readonly packed: boolean;
  /** Descriptors; the driver's area; the device's area. */
  readonly descriptors: GuestBuffer;
  readonly available: GuestBuffer;
  readonly used: GuestBuffer;
  /** Free descriptors. */
  readonly free: number;
  /** What SET_VRING_BASE says at this point, if the device has taken everything. */
  readonly base: number;
  add(
    readable: readonly GuestBuffer[],
    writable: readonly GuestBuffer[],
    options?: { readonly indirect?: boolean },
  ): number;
  addRaw(parts: readonly RawDescriptor[]): number;
  publish(): boolean;
  takeUsed(): UsedElement[];
  enableInterrupts(on: boolean): boolean;
}

export class MockQueue implements DriverQueue {
  readonly index: number;
  readonly size: number;
  readonly eventIndex: boolean;
  readonly packed = false;
  readonly descriptors: GuestBuffer;
  readonly available: GuestBuffer;
  readonly used: GuestBuffer;
  readonly #memory: MockMemory;
  readonly #table: DataView;
  readonly #avail: DataView;
  readonly #usedView: DataView;
  readonly #availWords: RingWords;
  readonly #usedWords: RingWords;
  readonly #freeDescriptors: number[];
  readonly #chains = new Map<number, number[]>();
  /** Available index, of what was added and of what the device may see. */
  #added = 0;
  #published = 0;
  #taken = 0;

  constructor(index: number, memory: MockMemory, options: MockQueueOptions) {
    this.index = index;
    this.size = options.size;
    this.eventIndex = options.eventIndex;
    this.#memory = memory;
    this.descriptors = memory.allocate(16 * options.size, 16);
    this.available = memory.allocate(6 + 2 * options.size, 2);
    this.used = memory.allocate(6 + 8 * options.size, 4);
    this.#table = memory.dataView(this.descriptors);
    this.#avail = memory.dataView(this.available);
    this.#usedView = memory.dataView(this.used);
    this.#availWords = new RingWords(memory.viewOf(this.available));
    this.#usedWords = new RingWords(memory.viewOf(this.used));
    this.#freeDescriptors = Array.from({ length: options.size }, (_, i) => options.size - 1 - i);
  }

  /** Starts the ring at another index than 0, before any use (wrap-around tests). */
  startAt(index: number): void {
    this.#added = this.#published = this.#taken = index & 0xffff;
    this.#availWords.store16(2, this.#added);
    this.#usedWords.store16(2, this.#taken);
    this.enableInterrupts(true);
  }

  get availableIndex(): number {
    return this.#added;
  }

  get base(): number {
    return this.#added;
  }

  get usedTaken(): number {
    return this.#taken;
  }

  get free(): number {
    return this.#freeDescriptors.length;
  }

  /** Adds a chain; returns its head, or -1 when descriptors are short. Visible after publish. */
  add(
    readable: readonly GuestBuffer[],
    writable: readonly GuestBuffer[],
    options: { readonly indirect?: boolean } = {},
  ): number {
    const parts: RawDescriptor[] = [
      ...readable.map((b) => ({ address: b.address, length: b.bytes, flags: 0 })),
      ...writable.map((b) => ({ address: b.address, length: b.bytes, flags: F_WRITE })),
    ];
    if (options.indirect) {
      const table = this.writeIndirect(parts);
      return this.addRaw([{ address: table.address, length: table.bytes, flags: F_INDIRECT }]);
    }
    return this.addRaw(parts);
  }

  /** Writes an indirect table whose entries are linked in order. */
  writeIndirect(parts: readonly RawDescriptor[]): GuestBuffer {
    const table = this.#memory.allocate(16 * parts.length, 16);
    const view = this.#memory.dataView(table);
    parts.forEach((part, i) => {
      const linked = i + 1 < parts.length;
      writeDescriptor(view, i, {
        ...part,
        flags: part.flags | (linked ? F_NEXT : 0),
        next: part.next ?? (linked ? i + 1 : 0),
      });
    });
    return table;
  }

  /** As `add`, with descriptors as given; NEXT and next are filled in, unless next is given. */
  addRaw(parts: readonly RawDescriptor[]): number {
    if (parts.length === 0 || parts.length > this.#freeDescriptors.length) return -1;
    const ids = this.#freeDescriptors.splice(-parts.length).reverse();
    parts.forEach((part, i) => {
      const next = ids[i + 1];
      const linked = next !== undefined;
      this.setDescriptor(ids[i] ?? 0, {
        ...part,
        flags: part.flags | (linked ? F_NEXT : 0),
        next: part.next ?? next ?? 0,
      });
    });
    const head = ids[0] ?? 0;
    this.#chains.set(head, ids);
    this.offerHead(head);
    return head;
  }

  /** Writes one descriptor of the table as it is. */
  setDescriptor(index: number, descriptor: RawDescriptor): void {
    writeDescriptor(this.#table, index, descriptor);
  }

  /** Puts a head into the available ring without looking at it. */
  offerHead(head: number): void {
    this.#avail.setUint16(4 + 2 * (this.#added & (this.size - 1)), head, true);
    this.#added = (this.#added + 1) & 0xffff;
  }

  /** Makes added chains visible. Returns whether the device asked for a kick. */
  publish(): boolean {
    const before = this.#published;
    this.#published = this.#added;
    this.#availWords.store16(2, this.#added);
    fence();
    if (!this.eventIndex) return (this.#usedWords.load16(0) & 1) === 0;
    const event = this.#usedWords.load16(4 + 8 * this.size);
    return ((this.#added - event - 1) & 0xffff) < ((this.#added - before) & 0xffff);
  }

  /** Writes the available index without adding anything. */
  setAvailableIndex(index: number): void {
    this.#added = this.#published = index & 0xffff;
    this.#availWords.store16(2, index & 0xffff);
  }

  /** Takes all chains that the device gave back. */
  takeUsed(): UsedElement[] {
    const elements: UsedElement[] = [];
    const index = this.#usedWords.load16(2);
    while (this.#taken !== index) {
      const at = 4 + 8 * (this.#taken & (this.size - 1));
      const head = this.#usedView.getUint32(at, true);
      elements.push({ head, written: this.#usedView.getUint32(at + 4, true) });
      this.#taken = (this.#taken + 1) & 0xffff;
      const ids = this.#chains.get(head);
      if (ids !== undefined) {
        this.#chains.delete(head);
        this.#freeDescriptors.push(...ids.reverse());
      }
    }
    return elements;
  }

  get usedIndex(): number {
    return this.#usedWords.load16(2);
  }

  /**
   * Asks for an interrupt at the next chain given back, or for none. True when chains are there
   * already, so that the caller must look again.
   */
  enableInterrupts(on: boolean): boolean {
    if (this.eventIndex)
      this.#availWords.store16(4 + 2 * this.size, (on ? this.#taken : this.#taken - 1) & 0xffff);
    else this.#availWords.store16(0, on ? 0 : 1);
    fence();
    return this.#usedWords.load16(2) !== this.#taken;
  }
}

function writeDescriptor(table: DataView, index: number, descriptor: RawDescriptor): void {
  const at = 16 * index;
  table.setBigUint64(at, BigInt(descriptor.address), true);
  table.setUint32(at + 8, descriptor.length, true);
  table.setUint16(at + 12, descriptor.flags, true);
  table.setUint16(at + 14, descriptor.next ?? 0, true);
}
