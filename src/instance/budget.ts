// SPDX-License-Identifier: Apache-2.0
/**
 * The device memory of one vGPU, shared by its contexts: an exact count of the bytes of all
 * segments. A segment that is given back stays charged until the batches that may still use it are
 * done, so that the GPU never holds more than the limit.
 */

export class MemoryBudget {
  /** May be set below what is reserved: then nothing more is, until enough was given back. */
  limitBytes: number;
  #reservedBytes = 0;
  #allocatedBytes = 0;

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes;
  }

  /** Bytes of all segments, those awaiting their last batch included. */
  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** Bytes of all allocations, over all contexts. */
  get allocatedBytes(): number {
    return this.#allocatedBytes;
  }

  get availableBytes(): number {
    return Math.max(0, this.limitBytes - this.#reservedBytes);
  }

  reserve(bytes: number): boolean {
    if (bytes > this.availableBytes) return false;
    this.#reservedBytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.#reservedBytes -= bytes;
    if (this.#reservedBytes < 0) throw new Error("device memory is released twice");
  }

  /** Counts allocations (positive) and frees (negative). */
  count(bytes: number): void {
    this.#allocatedBytes += bytes;
    if (this.#allocatedBytes < 0) throw new Error("an allocation is freed twice");
  }
}
