// SPDX-License-Identifier: Apache-2.0
/** Small arithmetic of batches: alignment, patterns, parts of views. */

export function alignDown(value: number, align: number): number {
  return Math.floor(value / align) * align;
}

/** A pattern of 1, 2 or 4 bytes as a word of it. */
export function repeat(pattern: number, width: 1 | 2 | 4): number {
  if (width === 4) {
    return pattern >>> 0;
  }
  return width === 2
    ? (((pattern & 0xffff) << 16) | (pattern & 0xffff)) >>> 0
    : ((pattern & 0xff) * 0x01010101) >>> 0;
}

/** Shorter sources are gathered: each call into Dawn costs some microseconds. */
const GATHER_BYTES_MAX = 32 * 1024;

/**
 * Gives `put` the sources, one after the other, with the offset of each; short ones that follow each
 * other are copied into `room` first, and come as one. Guest memory is rarely in one piece.
 */
export function gather(
  sources: readonly Uint8Array[],
  room: Uint8Array,
  put: (data: Uint8Array, at: number) => void,
): void {
  const alone = sources.length === 1;
  let held = 0;
  let at = 0;
  for (const source of sources) {
    const short = source.length <= GATHER_BYTES_MAX && !alone;
    if (held > 0 && (!short || held + source.length > room.length)) {
      put(room.subarray(0, held), at - held);
      held = 0;
    }
    if (short) {
      room.set(source, held);
      held += source.length;
    } else if (source.length > 0) {
      put(source, at);
    }
    at += source.length;
  }
  if (held > 0) put(room.subarray(0, held), at - held);
}

/** Copies `data` to byte `offset` of the concatenation of `views`. */
export function scatter(data: Uint8Array, views: readonly Uint8Array[], offset: number): void {
  let skip = offset;
  let taken = 0;
  for (const view of views) {
    if (skip >= view.length) {
      skip -= view.length;
      continue;
    }
    const count = Math.min(view.length - skip, data.length - taken);
    view.set(data.subarray(taken, taken + count), skip);
    taken += count;
    skip = 0;
    if (taken === data.length) {
      return;
    }
  }
}
