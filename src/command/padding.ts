// SPDX-License-Identifier: Apache-2.0
/** Padding is checked like a reserved field: a driver that leaves it dirty leaks its own memory. */
import { reservedError } from "./errors.js";
import type { DecodeError } from "./types.js";

/** The error for the first byte from `start` to `end` that is not zero; null if all are. */
export function paddingError(
  bytes: Uint8Array,
  start: number,
  end: number,
  index: number,
  name: string,
): DecodeError | null {
  for (let at = start; at < end; at++) {
    const value = bytes[at] ?? 0;
    if (value !== 0) return reservedError(at, value, `command ${index} (${name}): a padding byte`);
  }
  return null;
}
