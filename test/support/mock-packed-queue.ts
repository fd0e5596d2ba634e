// SPDX-License-Identifier: Apache-2.0
/**
 * The driver's side of a packed ring, written from the specification and sharing no code with the
 * device's side. The same calls as the split one's, so that tests run over both formats.
 */
import { fence, RingWords } from "../../src/io/native.js";
import type { GuestBuffer, MockMemory } from "./mock-memory.js";
import type { DriverQueue, MockQueueOptions, RawDescriptor, UsedElement } from "./mock-queue.js";

const NEXT = 1;
const WRITE = 2;
const INDIRECT = 4;
const AVAIL = 1 << 7;
const USED = 1 << 15;

export class MockPackedQueue implements DriverQueue {
  readonly index: number;
  readonly size: number;
  readonly eventIndex: boolean;
  readonly packed = true;
  readonly descriptors: GuestBuffer;
  readonly available: GuestBuffer;
  readonly used: GuestBuffer;
  readonly #memory: MockMemory;
  readonly #ring: DataView;
  readonly #ringWords: RingWords;
  readonly #driverArea: RingWords;
  readonly #deviceArea: RingWords;
  readonly #freeIds: number[];
  /** Descriptors of each chain that is out, by its id. */
  readonly #chains = new Map<number, number>();
  #freeDescriptors: number;
  /** Where the driver writes next, and where it expects the next used descriptor. */
  #slot = 0;
  #wrap = 1;
  #usedSlot = 0;
  #usedWrap = 1;
  /** Flags of the first head that is not visible yet. */
  #hidden: { readonly slot: number; readonly flags: number } | null = null;
  /** Descriptors made visible so far, and added. */
  #published = 0;
  #added = 0;
  /** Chains taken back. */
  taken = 0;

  constructor(index: number, memory: MockMemory, options: MockQueueOptions) {
    this.index = index;
    this.size = options.size;
    this.eventIndex = options.eventIndex;
    this.#memory = memory;
    this.descriptors = memory.allocate(16 * options.size, 16);
    this.available = memory.allocate(4, 4);
    this.used = memory.allocate(4, 4);
    this.#ring = memory.dataView(this.descriptors);
    this.#ringWords = new RingWords(memory.viewOf(this.descriptors));
    this.#driverArea = new RingWords(memory.viewOf(this.available));
    this.#deviceArea = new RingWords(memory.viewOf(this.used));
    this.#freeIds = Array.from({ length: options.size }, (_, i) => i);
    this.#freeDescriptors = options.size;
  }

  /** What SET_VRING_BASE says at this point: next and used position, each with its wrap. */
  get base(): number {
    const next = this.#slot | (this.#wrap << 15);
    const used = this.#usedSlot | (this.#usedWrap << 15);
    return ((used << 16) | next) >>> 0;
  }

  /** Starts the ring elsewhere, before any use. */
  startAt(slot: number, wrap = 1): void {
    this.#slot = this.#usedSlot = slot;
    this.#wrap = this.#usedWrap = wrap;
    // Descriptors of the round before: used, as far as the driver's own flags tell.
    for (let i = 0; i < this.size; i++) {
      const round = i < slot ? wrap : wrap ^ 1;
      this.#ring.setUint16(16 * i + 14, round === 1 ? AVAIL | USED : 0, true);
    }
    this.#added = this.#published = slot + (wrap === 1 ? 0 : this.size);
    this.enableInterrupts(true);
  }

  get free(): number {
    return this.#freeDescriptors;
  }

  add(
    readable: readonly GuestBuffer[],
    writable: readonly GuestBuffer[],
    options: { readonly indirect?: boolean } = {},
  ): number {
    const parts: RawDescriptor[] = [
      ...readable.map((b) => ({ address: b.address, length: b.bytes, flags: 0 })),
      ...writable.map((b) => ({ address: b.address, length: b.bytes, flags: WRITE })),
    ];
    if (!options.indirect) return this.addRaw(parts);
    const table = this.writeIndirect(parts);
    return this.addRaw([{ address: table.address, length: table.bytes, flags: INDIRECT }]);
  }

  /** Writes an indirect table: entries one after another, no ids. */
  writeIndirect(parts: readonly RawDescriptor[]): GuestBuffer {
    const table = this.#memory.allocate(16 * parts.length, 16);
    const view = this.#memory.dataView(table);
    for (const [i, part] of parts.entries()) writeEntry(view, i, part, 0, part.flags);
    return table;
  }

  /** As `add`, with descriptors as given; NEXT is filled in, and the id unless one is given. */
  addRaw(parts: readonly RawDescriptor[], options: { readonly id?: number } = {}): number {
    if (parts.length === 0 || parts.length > this.#freeDescriptors) return -1;
    const id = options.id ?? this.#freeIds.shift() ?? -1;
    if (id < 0) return -1;
    for (const [i, part] of parts.entries()) {
      const linked = i + 1 < parts.length ? NEXT : 0;
      const flags = part.flags | linked | (this.#wrap === 1 ? AVAIL : USED);
      const first = i === 0 && this.#hidden === null;
      // The head shows the chain: while it is hidden it keeps the flags of the round before.
      const shown = first ? this.#ring.getUint16(16 * this.#slot + 14, true) : flags;
      writeEntry(this.#ring, this.#slot, part, linked === 0 ? id : 0xdead, shown);
      if (first) this.#hidden = { slot: this.#slot, flags };
      this.#slot++;
      if (this.#slot === this.size) {
        this.#slot = 0;
        this.#wrap ^= 1;
      }
    }
    this.#chains.set(id, parts.length);
    this.#freeDescriptors -= parts.length;
    this.#added += parts.length;
    return id;
  }

  publish(): boolean {
    const before = this.#published;
    this.#published = this.#added;
    if (this.#hidden !== null) {
      this.#ringWords.store16(16 * this.#hidden.slot + 14, this.#hidden.flags);
      this.#hidden = null;
    }
    fence();
    const flags = this.#deviceArea.load16(2) & 3;
    if (flags !== 2) return flags === 0;
    const event = this.#deviceArea.load16(0);
    const slot = event & 0x7fff;
    // Both as counts of descriptors since the first round, of which the event is the nearest.
    const round = 2 * this.size;
    const at = slot + (event >>> 15 === 1 ? 0 : this.size);
    const ahead = (((at - before) % round) + round) % round;
    return ahead < this.#added - before;
  }

  takeUsed(): UsedElement[] {
    const elements: UsedElement[] = [];
    while (this.#hasUsed()) {
      const at = 16 * this.#usedSlot;
      const head = this.#ring.getUint16(at + 12, true);
      elements.push({ head, written: this.#ring.getUint32(at + 8, true) });
      const count = this.#chains.get(head);
      if (count === undefined) throw new Error(`the device gave back id ${head}, which is not out`);
      this.#chains.delete(head);
      this.#freeIds.push(head);
      this.#freeDescriptors += count;
      this.taken++;
      this.#usedSlot += count;
      if (this.#usedSlot >= this.size) {
        this.#usedSlot -= this.size;
        this.#usedWrap ^= 1;
      }
    }
    return elements;
  }

  enableInterrupts(on: boolean): boolean {
    if (!on) this.#driverArea.store16(2, 1);
    else if (this.eventIndex) {
      this.#driverArea.store16(0, this.#usedSlot | (this.#usedWrap << 15));
      this.#driverArea.store16(2, 2);
    } else this.#driverArea.store16(2, 0);
    fence();
    return this.#hasUsed();
  }

  #hasUsed(): boolean {
    const flags = this.#ringWords.load16(16 * this.#usedSlot + 14);
    const expected = this.#usedWrap === 1 ? AVAIL | USED : 0;
    return this.#chains.size > 0 && (flags & (AVAIL | USED)) === expected;
  }
}

function writeEntry(
  view: DataView,
  slot: number,
  part: RawDescriptor,
  id: number,
  flags: number,
): void {
  const at = 16 * slot;
  view.setBigUint64(at, BigInt(part.address), true);
  view.setUint32(at + 8, part.length, true);
  view.setUint16(at + 12, id, true);
  view.setUint16(at + 14, flags, true);
}
