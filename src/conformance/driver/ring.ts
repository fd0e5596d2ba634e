// SPDX-License-Identifier: Apache-2.0
/**
 * What the driver's side of a ring does, whatever its format. Besides chains as a driver makes
 * them there are raw descriptors, which may be anything.
 */
import type { Buffer, GuestMemory } from "./memory.js";

export const DescriptorFlag = { next: 1, write: 2, indirect: 4 } as const;

/** One buffer of a chain. */
export interface Piece {
  readonly address: number | bigint;
  readonly length: number;
  /** The device writes it. */
  readonly write?: boolean;
}

/** A descriptor as it is written into the ring. */
export interface RawDescriptor {
  readonly address: number | bigint;
  readonly length: number;
  readonly flags: number;
  /** Split rings: instead of the next entry of the list. */
  readonly next?: number;
}

export interface Used {
  readonly id: number;
  readonly written: number;
}

export interface RingOptions {
  readonly size: number;
  readonly eventIndex: boolean;
  /** Where a ring begins to count: a value of SET_VRING_BASE. */
  readonly base?: number;
}

export interface DriverRing {
  readonly size: number;
  /** Descriptor area, driver area and device area. */
  readonly areas: readonly [Buffer, Buffer, Buffer];
  /** What SET_VRING_BASE has to say for the ring as it is now, all taken back. */
  readonly base: number;
  /** Descriptors that are not in use. */
  readonly free: number;
  /** Puts a chain into the ring, which the device can't see yet; its id. */
  add(pieces: readonly Piece[], indirect?: boolean): number;
  addRaw(list: readonly RawDescriptor[], head?: number): number;
  /** An indirect table in guest memory, in the format of this ring. */
  table(list: readonly RawDescriptor[]): Buffer;
  /** Makes all added chains visible. True if the device asked for a kick. */
  publish(): boolean;
  /** The next chain that the device gave back. */
  take(): Used | null;
  /** Asks for a call at the next chain; true if there is one already. */
  wantCall(): boolean;
  /** Asks for none. */
  noCall(): void;
}

export type RingMaker = (memory: GuestMemory, options: RingOptions) => DriverRing;

/** Writes a descriptor of a split ring or of an indirect table of one. */
export function writeDescriptor(
  view: DataView,
  index: number,
  descriptor: RawDescriptor,
  next: number,
): void {
  view.setBigUint64(16 * index, BigInt.asUintN(64, BigInt(descriptor.address)), true);
  view.setUint32(16 * index + 8, descriptor.length, true);
  view.setUint16(16 * index + 12, descriptor.flags, true);
  view.setUint16(16 * index + 14, next, true);
}

/** The descriptors of a chain: NEXT on all but the last, WRITE where the device writes. */
export function chained(pieces: readonly Piece[], next: boolean): RawDescriptor[] {
  return pieces.map((piece, index) => ({
    address: piece.address,
    length: piece.length,
    flags:
      (piece.write === true ? DescriptorFlag.write : 0) |
      (next && index + 1 < pieces.length ? DescriptorFlag.next : 0),
  }));
}

/** Whether the index went past the entry that the other side wants to hear of. */
export function passed(event: number, before: number, after: number): boolean {
  return ((after - event - 1) & 0xffff) < ((after - before) & 0xffff);
}
