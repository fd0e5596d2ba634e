// SPDX-License-Identifier: Apache-2.0
/**
 * A packed ring in plain memory, without addon, session or device: the counterpart of
 * {@link RingFixture}, over the same map of memory. The test writes each descriptor itself; `offer`
 * does it as a driver does.
 */
import {
  PACKED_BASE_NEW,
  type PackedInflight,
  PackedRing,
  type PackedRingParts,
} from "../../src/virtqueue/packed-ring.js";
import { packedRingBytes, packedWords, plainWords16 } from "../../src/virtqueue/ring-words.js";
import type { RingLog } from "../../src/virtqueue/types.js";
import { FixtureMemory } from "./ring-fixture.js";

export const AVAIL = 0x80;
export const USED = 0x8000;
export const EVENT_ENABLE = 0;
export const EVENT_DISABLE = 1;
export const EVENT_DESCRIPTOR = 2;

export interface PackedDescriptor {
  readonly address: number | bigint;
  readonly length: number;
  /** Without the two bits that make it available. */
  readonly flags?: number;
}

export interface PackedFixtureOptions {
  readonly size?: number;
  readonly indirect?: boolean;
  readonly eventIndex?: boolean;
  readonly inOrder?: boolean;
  /** Position at which everything starts, 0 to 2 * size - 1. */
  readonly position?: number;
  readonly inflight?: PackedInflight;
  /** Memory of a fixture that is gone, zeroed; default: new. */
  readonly at?: FixtureMemory;
}

export class PackedFixture {
  readonly #at: FixtureMemory;
  readonly memory: Uint8Array;
  readonly view: DataView;
  readonly size: number;
  readonly ring: PackedRing;
  readonly parts: PackedRingParts;
  readonly brokenReasons: string[] = [];
  log: RingLog | null = null;
  signals = 0;
  /** Positions: of the next descriptor that the driver writes, and that it expects back. */
  next: number;
  usedNext: number;
  readonly #driverAt: number;
  readonly #deviceAt: number;

  constructor(options: PackedFixtureOptions = {}) {
    const size = options.size ?? 8;
    this.#at = options.at ?? new FixtureMemory();
    this.memory = this.#at.memory;
    this.view = this.#at.view;
    this.size = size;
    this.next = this.usedNext = options.position ?? 0;
    this.#driverAt = packedRingBytes.descriptors(size);
    this.#deviceAt = this.#driverAt + 4;
    const descriptors = this.memory.subarray(0, this.#driverAt);
    const available = this.memory.subarray(this.#driverAt, this.#deviceAt);
    const used = this.memory.subarray(this.#deviceAt, this.#deviceAt + 4);
    const words = packedWords(
      plainWords16(descriptors),
      plainWords16(available),
      plainWords16(used),
      () => {},
    );
    this.parts = { descriptors, available, used, words };
    this.#fillRoundsBefore();
    const half = this.position(this.next);
    const base = this.next === 0 ? PACKED_BASE_NEW : ((half << 16) | half) >>> 0;
    this.ring = new PackedRing({
      index: 0,
      size,
      parts: this.parts,
      memory: this.#at,
      indirect: options.indirect ?? true,
      eventIndex: options.eventIndex ?? false,
      inOrder: options.inOrder ?? false,
      base,
      observer: this,
      inflight: options.inflight ?? null,
      signal: () => {
        this.signals++;
      },
      broken: (reason) => this.brokenReasons.push(reason),
    });
    this.ring.setActive(true);
  }

  /** A position as messages and event areas have it. */
  position(position: number): number {
    const round = position % (2 * this.size);
    return (round % this.size) | (round < this.size ? 0x8000 : 0);
  }

  /** The flags that make a descriptor in this position available. */
  availableFlags(position: number): number {
    return position % (2 * this.size) < this.size ? AVAIL : USED;
  }

  /** Writes a descriptor into a slot of the ring, or of a table, with its flags as they are. */
  raw(slot: number, descriptor: PackedDescriptor, id: number, table = 0): void {
    const at = table + 16 * slot;
    this.view.setBigUint64(at, BigInt(descriptor.address), true);
    this.view.setUint32(at + 8, descriptor.length, true);
    this.view.setUint16(at + 12, id, true);
    this.view.setUint16(at + 14, descriptor.flags ?? 0, true);
  }

  /** Makes a chain available, NEXT as given; only the last descriptor has the id. */
  offer(id: number, ...descriptors: readonly PackedDescriptor[]): void {
    descriptors.forEach((descriptor, i) => {
      const last = i + 1 === descriptors.length;
      const flags = (descriptor.flags ?? 0) | this.availableFlags(this.next);
      this.raw(this.next % this.size, { ...descriptor, flags }, last ? id : 0xffff);
      this.next = (this.next + 1) % (2 * this.size);
    });
  }

  /** What the device gave back, for chains of `counts` descriptors by id (default 1). */
  takeUsed(counts: ReadonlyMap<number, number> = new Map()): { id: number; length: number }[] {
    const entries: { id: number; length: number }[] = [];
    for (;;) {
      const at = 16 * (this.usedNext % this.size);
      const flags = this.view.getUint16(at + 14, true) & (AVAIL | USED);
      if (flags !== (this.usedNext < this.size ? AVAIL | USED : 0)) return entries;
      if (entries.length === this.size) return entries;
      const id = this.view.getUint16(at + 12, true);
      entries.push({ id, length: this.view.getUint32(at + 8, true) });
      this.usedNext = (this.usedNext + (counts.get(id) ?? 1)) % (2 * this.size);
    }
  }

  usedFlags(slot: number): number {
    return this.view.getUint16(16 * slot + 14, true);
  }

  /** What the driver asks for. */
  driverEvent(flags: number, position = 0): void {
    this.view.setUint16(this.#driverAt, this.position(position), true);
    this.view.setUint16(this.#driverAt + 2, flags, true);
  }

  get deviceEvent(): { position: number; flags: number } {
    return {
      position: this.view.getUint16(this.#deviceAt, true),
      flags: this.view.getUint16(this.#deviceAt + 2, true),
    };
  }

  /** Slots before the start were used in this round, the others in the round before. */
  #fillRoundsBefore(): void {
    const [slot, first] = [this.next % this.size, this.next < this.size];
    for (let i = 0; i < this.size; i++) {
      const round = i < slot ? first : !first;
      this.view.setUint16(16 * i + 14, round ? AVAIL | USED : 0, true);
    }
  }
}
