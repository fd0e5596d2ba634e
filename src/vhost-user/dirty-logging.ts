// SPDX-License-Identifier: Apache-2.0
/**
 * Decides whether writes into guest memory are logged: while the front end has acknowledged
 * VHOST_F_LOG_ALL and has given a log. Either may come first, and both change while rings run.
 */
import { DirtyLog } from "../io/dirty-log.js";
import { type GuestMemory, WriteLog } from "../io/guest-memory.js";
import { close, signal } from "../io/native.js";
import { Feature } from "./protocol.js";

export class DirtyLogging {
  readonly #memory: GuestMemory;
  #enabled = false;
  #pages: DirtyLog | null = null;
  #fd = -1;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /** Pages that were written and lie beyond the log. */
  get outside(): number {
    return this.#pages?.outside ?? 0;
  }

  get poisoned(): boolean {
    return this.#pages?.poisoned ?? false;
  }

  setFeatures(features: bigint): void {
    this.#enabled = (features & Feature.logAll) !== 0n;
    this.#apply();
  }

  /** SET_LOG_BASE; owns the descriptor. Returns why there is no such log, or null. */
  setLog(fd: number, offset: bigint, bytes: bigint): string | null {
    try {
      const pages = new DirtyLog(fd, offset, bytes);
      this.#pages?.unmap();
      this.#pages = pages;
    } catch (error) {
      return `the log of ${bytes} bytes at offset ${offset} can't be mapped: ${error}`;
    } finally {
      close(fd);
    }
    this.#apply();
    return null;
  }

  /** SET_LOG_FD: told at once, and when something was logged; owns the descriptor. */
  setFd(fd: number): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = fd;
  }

  dispose(): void {
    this.#memory.log = null;
    this.#pages?.unmap();
    this.#pages = null;
    this.setFd(-1);
  }

  #apply(): void {
    const pages = this.#enabled ? this.#pages : null;
    if (pages === null) this.#memory.log = null;
    else this.#memory.log = new WriteLog(this.#memory, pages, () => this.#tell());
  }

  #tell(): void {
    if (this.#fd < 0) return;
    try {
      if (signal(this.#fd)) return;
    } catch {
      // Not a descriptor that can be written; as with one whose other end is gone, it is let go.
    }
    this.setFd(-1);
  }
}
