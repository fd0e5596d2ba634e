// SPDX-License-Identifier: Apache-2.0
/** The driver's side of a split ring (VIRTIO 1.3, 2.7). */
import { fence, RingWords } from "../../io/native.js";
import type { Buffer, GuestMemory } from "./memory.js";
import {
  chained,
  DescriptorFlag,
  type DriverRing,
  type Piece,
  passed,
  type RawDescriptor,
  type RingOptions,
  type Used,
  writeDescriptor,
} from "./ring.js";

export class SplitDriverRing implements DriverRing {
  readonly size: number;
  readonly areas: readonly [Buffer, Buffer, Buffer];
  readonly #memory: GuestMemory;
  readonly #available: RingWords;
  readonly #used: RingWords;
  readonly #eventIndex: boolean;
  readonly #unused: number[];
  /** Descriptors of each chain under way, by head. */
  readonly #chains = new Map<number, number[]>();
  #next: number;
  #published: number;
  #taken: number;

  constructor(memory: GuestMemory, options: RingOptions) {
    const { size } = options;
    this.size = size;
    this.#memory = memory;
    this.#eventIndex = options.eventIndex;
    const table = memory.allocate(16 * size, 16);
    const available = memory.allocate(6 + 2 * size, 2);
    const used = memory.allocate(6 + 8 * size, 4);
    this.areas = [table, available, used];
    this.#available = new RingWords(available.bytes);
    this.#used = new RingWords(used.bytes);
    this.#unused = Array.from({ length: size }, (_, index) => size - 1 - index);
    const base = options.base ?? 0;
    this.#next = this.#published = this.#taken = base;
    this.#available.store16(2, base);
    this.#used.store16(2, base);
  }

  get base(): number {
    return this.#published;
  }

  get free(): number {
    return this.#unused.length;
  }

  add(pieces: readonly Piece[], indirect = false): number {
    if (!indirect) return this.addRaw(chained(pieces, true));
    const table = this.table(chained(pieces, true));
    const flags = DescriptorFlag.indirect;
    return this.addRaw([{ address: table.address, length: table.bytes.length, flags }]);
  }

  addRaw(list: readonly RawDescriptor[], head?: number): number {
    if (list.length > this.#unused.length) throw new RangeError("the ring is full");
    const own = list.map(() => this.#unused.pop() ?? 0);
    list.forEach((descriptor, index) => {
      const next = descriptor.next ?? own[index + 1] ?? 0;
      writeDescriptor(this.areas[0].view, own[index] ?? 0, descriptor, next);
    });
    const id = head ?? own[0] ?? 0;
    this.#chains.set(id, own);
    this.#available.store16(4 + 2 * (this.#next % this.size), id);
    this.#next = (this.#next + 1) & 0xffff;
    return id;
  }

  table(list: readonly RawDescriptor[]): Buffer {
    const table = this.#memory.allocate(16 * list.length, 16);
    list.forEach((each, index) => {
      writeDescriptor(table.view, index, each, each.next ?? index + 1);
    });
    return table;
  }

  /** Claims entries that were never written. */
  skip(entries: number): void {
    this.#next = (this.#next + entries) & 0xffff;
  }

  publish(): boolean {
    const before = this.#published;
    this.#published = this.#next;
    this.#available.store16(2, this.#next);
    fence();
    if (!this.#eventIndex) return (this.#used.load16(0) & 1) === 0;
    return passed(this.#used.load16(4 + 8 * this.size), before, this.#next);
  }

  take(): Used | null {
    if (this.#used.load16(2) === this.#taken) return null;
    const at = 4 + 8 * (this.#taken % this.size);
    const used = { id: this.#used.load32(at), written: this.#used.load32(at + 4) };
    this.#taken = (this.#taken + 1) & 0xffff;
    for (const index of this.#chains.get(used.id) ?? []) this.#unused.push(index);
    this.#chains.delete(used.id);
    return used;
  }

  wantCall(): boolean {
    if (this.#eventIndex) this.#available.store16(4 + 2 * this.size, this.#taken);
    else this.#available.store16(0, 0);
    fence();
    return this.#used.load16(2) !== this.#taken;
  }

  noCall(): void {
    // With event indices, an entry that was passed long ago is one that does not come soon.
    if (this.#eventIndex)
      this.#available.store16(4 + 2 * this.size, (this.#taken - 1 - this.size) & 0xffff);
    else this.#available.store16(0, 1);
  }
}
