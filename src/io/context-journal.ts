// SPDX-License-Identifier: Apache-2.0
/**
 * The contexts of a connection in a memory file: written by the process that serves it, read by the
 * one that takes over. One entry of two words for each context id; the timeline's address is
 * written last and cleared first, so that an entry that has one is whole.
 *
 * The guest causes what is written here and no other guest reads it, so that a reader need only
 * check addresses as it does with those of a request.
 */
import { addSeals, mapRegion, memfdCreate, RingWords, Seals } from "./native.js";

/** Entries; more than an instance allows contexts. */
export const JOURNAL_CONTEXTS_MAX = 1024;
const ENTRY_BYTES = 16;
const BYTES = JOURNAL_CONTEXTS_MAX * ENTRY_BYTES;
const ARM_AT = 8;
/** A timeline may lie at address 0. */
const PRESENT = 1;

export interface JournalEntry {
  readonly timelineAddress: number;
  readonly armAddress: number;
}

/** An empty journal; the descriptor is the caller's. */
export function createJournal(name: string): number {
  const fd = memfdCreate(name, BYTES, { seals: 0 });
  addSeals(fd, Seals.seal | Seals.shrink | Seals.grow);
  return fd;
}

export class MappedJournal {
  readonly #words: RingWords;
  readonly #unmap: () => void;

  /** Maps it; the descriptor may be closed afterwards. */
  constructor(fd: number) {
    const mapping = mapRegion(fd, 0, BYTES);
    this.#words = new RingWords(new Uint8Array(mapping.window(0, BYTES)));
    this.#unmap = () => mapping.unmap();
  }

  set(context: number, { timelineAddress, armAddress }: JournalEntry): void {
    if (context >= JOURNAL_CONTEXTS_MAX) return;
    const at = context * ENTRY_BYTES;
    this.#words.store64(at + ARM_AT, armAddress);
    // Both are the addresses of pages, so that the low bit is free.
    this.#words.store64(at, timelineAddress + PRESENT);
  }

  clear(context: number): void {
    if (context < JOURNAL_CONTEXTS_MAX) this.#words.store64(context * ENTRY_BYTES, 0);
  }

  clearAll(): void {
    for (let context = 0; context < JOURNAL_CONTEXTS_MAX; context++) this.clear(context);
  }

  entries(): readonly JournalEntry[] {
    const found: JournalEntry[] = [];
    for (let context = 0; context < JOURNAL_CONTEXTS_MAX; context++) {
      const at = context * ENTRY_BYTES;
      const timeline = this.#words.load64(at);
      if (timeline === 0 || !Number.isSafeInteger(timeline)) continue;
      const armAddress = this.#words.load64(at + ARM_AT);
      if (!Number.isSafeInteger(armAddress)) continue;
      found.push({ timelineAddress: timeline - PRESENT, armAddress });
    }
    return found;
  }

  unmap(): void {
    this.#unmap();
  }
}
