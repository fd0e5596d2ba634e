// SPDX-License-Identifier: Apache-2.0
/**
 * Device memory that is promised to vGPUs: what does not fit is refused before it is promised, so
 * that a vGPU's limit is memory that it can really get.
 */
import { SettingsError } from "./settings.js";

function mebibytes(bytes: number): string {
  return `${Number((bytes / 2 ** 20).toFixed(1))} MiB`;
}

export class MemoryLedger {
  /** Null: not limited. */
  readonly capacityBytes: number | null;
  readonly #promised = new Map<string, number>();

  constructor(capacityBytes: number | null) {
    this.capacityBytes = capacityBytes;
  }

  get promisedBytes(): number {
    let bytes = 0;
    for (const each of this.#promised.values()) bytes += each;
    return bytes;
  }

  /** Promises memory, or another amount of it; 0 promises none. Throws SettingsError. */
  promise(id: string, bytes: number): void {
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new SettingsError(`vGPU ${id}: the memory limit ${bytes} is no number of bytes`);
    }
    const others = this.promisedBytes - (this.#promised.get(id) ?? 0);
    const leftBytes = (this.capacityBytes ?? Number.MAX_SAFE_INTEGER) - others;
    if (bytes > leftBytes) {
      throw new SettingsError(
        `vGPU ${id}: ${mebibytes(bytes)} of device memory do not fit: ${mebibytes(leftBytes)} ` +
          `of ${mebibytes(this.capacityBytes ?? 0)} are left`,
      );
    }
    this.#promised.set(id, bytes);
  }

  release(id: string): void {
    this.#promised.delete(id);
  }
}
