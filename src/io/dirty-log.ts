// SPDX-License-Identifier: Apache-2.0
/**
 * The front end's log of dirty pages: one bit for each 4 KiB of guest-physical memory, in a shared
 * file that the front end reads and clears while we set bits. Only set after a page was written, so
 * that whoever clears a bit and then copies the page has the write in the copy.
 *
 * The front end says how large the log is; what lies beyond is not logged (a bit written past the
 * end was CVE-2019-14835). The file may shrink: see Mapping.poisoned.
 */
import { type Mapping, mapRegion, RingWords, WINDOW_BYTES_MAX } from "./native.js";

export const LOG_PAGE_BYTES = 4096;
/** Covers 32 TiB of guest memory. */
export const LOG_BYTES_MAX = WINDOW_BYTES_MAX;
/** What one byte of the log stands for. */
const BYTE_SPAN = 8 * LOG_PAGE_BYTES;

export class DirtyLog {
  readonly bytes: number;
  /** Pages that were to be logged and lie beyond the log. */
  outside = 0;
  readonly #mapping: Mapping;
  readonly #words: RingWords;

  /** Maps `bytes` of the file from `offset`; throws RangeError or a system error. */
  constructor(fd: number, offset: bigint, bytes: bigint) {
    if (bytes === 0n || bytes > BigInt(LOG_BYTES_MAX))
      throw new RangeError(`a log of ${bytes} bytes, the limit is ${LOG_BYTES_MAX}`);
    this.bytes = Number(bytes);
    this.#mapping = mapRegion(fd, offset, this.bytes);
    this.#words = new RingWords(new Uint8Array(this.#mapping.window(0, this.bytes)));
  }

  /** Whether the file has shrunk under the log. */
  get poisoned(): boolean {
    return this.#mapping.poisoned;
  }

  /** Sets the bits of all pages that [address, address + bytes) touches. */
  mark(address: number, bytes: number): void {
    if (bytes <= 0) return;
    const last = Math.floor((address + bytes - 1) / LOG_PAGE_BYTES);
    const end = this.bytes * 8;
    let page = Math.floor(address / LOG_PAGE_BYTES);
    if (last >= end) this.outside += last - Math.max(page, end) + 1;
    const stop = Math.min(last, end - 1);
    while (page <= stop) {
      const at = Math.floor((page * LOG_PAGE_BYTES) / BYTE_SPAN);
      const from = page % 8;
      const to = Math.min(7, from + (stop - page));
      // Bits from `from` to `to`, both included.
      const bits = (0xff >> (7 - (to - from))) << from;
      this.#words.fetchOr8(at, bits & 0xff);
      page += to - from + 1;
    }
  }

  unmap(): void {
    this.#mapping.unmap();
  }
}
