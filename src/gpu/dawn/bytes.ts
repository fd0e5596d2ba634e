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
