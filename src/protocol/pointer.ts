// SPDX-License-Identifier: Apache-2.0
/**
 * Device pointers: `segment << 32 | offset`, kept as two u32 numbers, because a bigint per pointer
 * would cost an allocation on the way of every launch.
 */

/** A place in device memory. Both halves are u32; segment 0 with offset 0 is the null pointer. */
export interface DevicePointer {
  readonly segment: number;
  /** Bytes from the start of the segment. */
  readonly offset: number;
}

/** The pointer as it is on the wire. */
export function pointerToBigInt(pointer: DevicePointer): bigint {
  return (BigInt(pointer.segment) << 32n) | BigInt(pointer.offset);
}

/** The low 64 bits of `value` as a pointer. */
export function pointerFromBigInt(value: bigint): DevicePointer {
  return {
    segment: Number((value >> 32n) & 0xffff_ffffn),
    offset: Number(value & 0xffff_ffffn),
  };
}

/** For messages: `0x0400000000001000`. */
export function pointerText(pointer: DevicePointer): string {
  const hex = (half: number): string => half.toString(16).padStart(8, "0");
  return `0x${hex(pointer.segment)}${hex(pointer.offset)}`;
}
