// SPDX-License-Identifier: Apache-2.0
/**
 * What a connection's next process must know, in a memory file: written by the process that serves
 * it, read by the one that takes over. First the contexts: one entry of two words for each id; the
 * timeline's address is written last and cleared first, so that an entry that has one is whole. Then
 * room for the notes of packed rings, see virtqueue/packed-inflight.ts.
 *
 * The guest causes what is written here and no other guest reads it, so that a reader need only
 * check addresses as it does with those of a request.
 */
import { addSeals, mapRegion, memfdCreate, RingWords, Seals } from "./native.js";

/** Entries; more than an instance allows contexts. */
export const JOURNAL_CONTEXTS_MAX = 1024;
const ENTRY_BYTES = 16;
/** Rings, and room for each: a table of chains in flight of a ring of 256 descriptors. */
const RINGS_MAX = 8;
const RING_BYTES = 12288;
const RINGS_AT = JOURNAL_CONTEXTS_MAX * ENTRY_BYTES;
const BYTES = RINGS_AT + RINGS_MAX * RING_BYTES;
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
  readonly #bytes: Uint8Array;
  readonly #words: RingWords;
  readonly #unmap: () => void;
  #frozen = false;

  /** Maps it; the descriptor may be closed afterwards. */
  constructor(fd: number) {
    const mapping = mapRegion(fd, 0, BYTES);
    this.#bytes = new Uint8Array(mapping.window(0, BYTES));
    this.#words = new RingWords(this.#bytes);
    this.#unmap = () => mapping.unmap();
  }

  /** This process ends, and its contexts with it: the next one is to find them as they are. */
  freeze(): void {
    this.#frozen = true;
  }

  set(context: number, { timelineAddress, armAddress }: JournalEntry): void {
    if (context >= JOURNAL_CONTEXTS_MAX || this.#frozen) return;
    const at = context * ENTRY_BYTES;
    this.#words.store64(at + ARM_AT, armAddress);
    // Both are the addresses of pages, so that the low bit is free.
    this.#words.store64(at, timelineAddress + PRESENT);
  }

  clear(context: number): void {
    if (context < JOURNAL_CONTEXTS_MAX && !this.#frozen)
      this.#words.store64(context * ENTRY_BYTES, 0);
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

  /** Memory for a ring's own notes, or null where there is none for it. */
  ring(index: number): Uint8Array | null {
    if (index >= RINGS_MAX) return null;
    const at = RINGS_AT + index * RING_BYTES;
    return this.#bytes.subarray(at, at + RING_BYTES);
  }

  unmap(): void {
    this.#unmap();
  }
}
