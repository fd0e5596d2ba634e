// SPDX-License-Identifier: Apache-2.0
/**
 * What a fuzz target is. A target turns any bytes at all into calls of one parser; it throws only if
 * the parser does what it must not: throws something else than its typed errors, gives out what is
 * out of bounds, or keeps what it was lent.
 */

/** One text, or several of which each counts by itself: their combinations would have no end. */
export type Outcome = string | readonly string[];

export interface FuzzTarget {
  readonly name: string;
  /** What it parses, for people. */
  readonly parses: string;
  /** Inputs to start from, most of them valid. */
  seeds(): Uint8Array[] | Promise<Uint8Array[]>;
  /** Pieces that a mutation may put in: tokens, ids, addresses. */
  dictionary?(): Uint8Array[];
  /** Cuts an input where it has a seam (lines, steps): mutations then keep its form more often. */
  pieces?(bytes: Uint8Array): Uint8Array[];
  /** Longest input, bytes. */
  readonly bytesMax: number;
  /** CPU time after which an input counts as a hang, ms. */
  readonly cpuLimitMs: number;
  /**
   * Gives what became of the input, in a form that is the same for inputs of the same kind, or several
   * such things: an input with a new one joins the corpus. Throws what is a finding.
   */
  run(bytes: Uint8Array): Outcome | Promise<Outcome>;
  /** Gives back what the target itself holds. */
  close?(): void;
}

/** A target finds that a promise of the parser does not hold. */
export class Finding extends Error {
  override readonly name = "Finding";
}

export function expectThat(condition: boolean, text: string): asserts condition {
  if (!condition) throw new Finding(text);
}

/** An error's text without what differs between inputs of one kind: numbers and quoted names. */
export function kindOf(text: string): string {
  return text
    .slice(0, 200)
    .replace(/'[^']*'|"[^"]*"|`[^`]*`/gu, "'")
    .replace(/0x[\da-f]+|\d+/gu, "0");
}

/** Cuts at the ends of lines and statements, and between words: what text is made of. */
export function textPieces(bytes: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let start = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    // A line feed, a space, and ( ) , ; { }.
    const seam = byte === 10 || byte === 32 || byte === 40 || byte === 41 || byte === 44;
    if (!seam && byte !== 59 && byte !== 123 && byte !== 125) continue;
    pieces.push(bytes.subarray(start, at + 1));
    start = at + 1;
  }
  if (start < bytes.length) pieces.push(bytes.subarray(start));
  return pieces;
}

export const textBytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Reads an input from its start; behind its end there are zeros. */
export class InputReader {
  #at = 0;
  readonly #view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.#at >= this.bytes.length;
  }

  get at(): number {
    return Math.min(this.#at, this.bytes.length);
  }

  u8(): number {
    return this.bytes[this.#at++] ?? 0;
  }

  u16(): number {
    return this.u8() | (this.u8() << 8);
  }

  u64(): bigint {
    const at = this.#at;
    this.#at += 8;
    if (at + 8 <= this.bytes.length) return this.#view.getBigUint64(at, true);
    const rest = new Uint8Array(8);
    rest.set(this.bytes.subarray(Math.min(at, this.bytes.length)));
    return new DataView(rest.buffer).getBigUint64(0, true);
  }

  /** The next `count` bytes, or what is left. */
  take(count: number): Uint8Array {
    const start = Math.min(this.#at, this.bytes.length);
    this.#at += count;
    return this.bytes.subarray(start, start + count);
  }
}

/** Cuts an input into the steps that `skip` reads over one by one. */
export function stepPieces(
  bytes: Uint8Array,
  head: number,
  skip: (reader: InputReader) => void,
): Uint8Array[] {
  const reader = new InputReader(bytes);
  const pieces: Uint8Array[] = [];
  reader.take(head);
  if (head > 0) pieces.push(bytes.subarray(0, head));
  while (!reader.done) {
    const start = reader.at;
    skip(reader);
    pieces.push(bytes.subarray(start, reader.at));
  }
  return pieces;
}
