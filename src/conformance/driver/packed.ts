// SPDX-License-Identifier: Apache-2.0
/** The driver's side of a packed ring (VIRTIO 1.3, 2.8). */
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
} from "./ring.js";

const AVAILABLE = 1 << 7;
const USED = 1 << 15;
const EventFlag = { enable: 0, disable: 1, descriptor: 2 } as const;

interface Hidden {
  readonly at: number;
  readonly flags: number;
}

export class PackedDriverRing implements DriverRing {
  readonly size: number;
  readonly areas: readonly [Buffer, Buffer, Buffer];
  readonly #memory: GuestMemory;
  readonly #words: RingWords;
  readonly #driver: RingWords;
  readonly #device: RingWords;
  readonly #eventIndex: boolean;
  readonly #ids: number[];
  /** How many descriptors each chain under way has, by id. */
  readonly #chains = new Map<number, number>();
  /** Heads that the device can't see yet. */
  #hidden: Hidden[] = [];
  #added = 0;
  #free: number;
  #next: number;
  #nextWrap: number;
  #taken: number;
  #takenWrap: number;

  constructor(memory: GuestMemory, options: RingOptions) {
    const { size, base = 0x8000_8000 } = options;
    this.size = size;
    this.#memory = memory;
    this.#eventIndex = options.eventIndex;
    this.areas = [memory.allocate(16 * size, 16), memory.allocate(4, 4), memory.allocate(4, 4)];
    this.#words = new RingWords(this.areas[0].bytes);
    this.#driver = new RingWords(this.areas[1].bytes);
    this.#device = new RingWords(this.areas[2].bytes);
    this.#ids = Array.from({ length: size }, (_, index) => size - 1 - index);
    this.#free = size;
    this.#next = base & 0x7fff;
    this.#nextWrap = (base >>> 15) & 1;
    this.#taken = (base >>> 16) & 0x7fff;
    this.#takenWrap = (base >>> 31) & 1;
  }

  get base(): number {
    const used = this.#taken | (this.#takenWrap << 15);
    return (this.#next | (this.#nextWrap << 15) | (used << 16)) >>> 0;
  }

  get free(): number {
    return this.#free;
  }

  add(pieces: readonly Piece[], indirect = false): number {
    if (!indirect) return this.addRaw(chained(pieces, true));
    // Tables of packed rings have no links: the order of the entries is that of the chain.
    const table = this.table(chained(pieces, false));
    const flags = DescriptorFlag.indirect;
    return this.addRaw([{ address: table.address, length: table.bytes.length, flags }]);
  }

  addRaw(list: readonly RawDescriptor[], head?: number): number {
    if (list.length > this.#free) throw new RangeError("the ring is full");
    const id = head ?? this.#ids.pop() ?? 0;
    const { view } = this.areas[0];
    list.forEach((descriptor, index) => {
      const at = 16 * this.#next;
      writePacked(view, at, descriptor, id);
      const wrap = this.#nextWrap === 1 ? AVAILABLE : USED;
      const flags = descriptor.flags | wrap;
      if (index === 0) this.#hidden.push({ at: at + 14, flags });
      else this.#words.store16(at + 14, flags);
      this.#next++;
      if (this.#next === this.size) {
        this.#next = 0;
        this.#nextWrap ^= 1;
      }
    });
    this.#chains.set(id, list.length);
    this.#added += list.length;
    this.#free -= list.length;
    return id;
  }

  table(list: readonly RawDescriptor[]): Buffer {
    const table = this.#memory.allocate(16 * list.length, 16);
    list.forEach((each, index) => {
      writePacked(table.view, 16 * index, each, 0);
      table.view.setUint16(16 * index + 14, each.flags, true);
    });
    return table;
  }

  publish(): boolean {
    // The first head last: the device stops at a descriptor that is not available.
    for (const { at, flags } of this.#hidden.reverse()) this.#words.store16(at, flags);
    this.#hidden = [];
    const added = this.#added;
    this.#added = 0;
    fence();
    const flags = this.#device.load16(2);
    if (flags === EventFlag.enable) return true;
    if (flags !== EventFlag.descriptor) return false;
    const word = this.#device.load16(0);
    const event = (word & 0x7fff) - (word >>> 15 === this.#nextWrap ? 0 : this.size);
    return passed(event & 0xffff, (this.#next - added) & 0xffff, this.#next);
  }

  take(): Used | null {
    if (!this.#returned()) return null;
    const at = 16 * this.#taken;
    const { view } = this.areas[0];
    const used = { id: view.getUint16(at + 12, true), written: view.getUint32(at + 8, true) };
    const count = this.#chains.get(used.id) ?? 1;
    this.#chains.delete(used.id);
    this.#ids.push(used.id);
    this.#free += count;
    this.#taken += count;
    if (this.#taken >= this.size) {
      this.#taken -= this.size;
      this.#takenWrap ^= 1;
    }
    return used;
  }

  wantCall(): boolean {
    if (this.#eventIndex) {
      this.#driver.store16(0, this.#taken | (this.#takenWrap << 15));
      this.#driver.store16(2, EventFlag.descriptor);
    } else {
      this.#driver.store16(2, EventFlag.enable);
    }
    fence();
    return this.#returned();
  }

  noCall(): void {
    this.#driver.store16(2, EventFlag.disable);
  }

  #returned(): boolean {
    const flags = this.#words.load16(16 * this.#taken + 14);
    const available = (flags & AVAILABLE) !== 0;
    const used = (flags & USED) !== 0;
    return available === used && used === (this.#takenWrap === 1);
  }
}

/** All of a descriptor but its flags. */
function writePacked(view: DataView, at: number, descriptor: RawDescriptor, id: number): void {
  view.setBigUint64(at, BigInt.asUintN(64, BigInt(descriptor.address)), true);
  view.setUint32(at + 8, descriptor.length, true);
  view.setUint16(at + 12, id, true);
}
