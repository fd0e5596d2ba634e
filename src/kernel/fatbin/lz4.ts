// SPDX-License-Identifier: Apache-2.0
/**
 * Decompresses one raw LZ4 block (no frame), as fat binaries hold them. Our own: the format is two
 * loops, and a decoder that trusts its input (as those on npm do) would be worse than none here.
 * Every length is held against what is left of the input and of the output, so that time and memory
 * are those of the output, whose size the caller has bounded.
 */
import { FatbinError } from "./error.js";

const MATCH_BYTES_MIN = 4;

/** Decompresses `source` into exactly `bytes` bytes. Throws FatbinError. */
export function decompressLz4(source: Uint8Array, bytes: number): Uint8Array {
  const block = new Lz4Block(source);
  const target = new Uint8Array(bytes);
  let at = 0;
  for (;;) {
    const token = block.byte();
    const literals = block.length(token >> 4, bytes - at);
    target.set(block.take(literals), at);
    at += literals;
    // A block ends with literals: where its bytes end, its output must.
    if (block.ended) break;
    const distance = block.byte() + 256 * block.byte();
    if (distance === 0 || distance > at) throw damaged(`it copies from ${distance} bytes before`);
    const match = MATCH_BYTES_MIN + block.length(token & 15, bytes - at - MATCH_BYTES_MIN);
    // Byte by byte where it overlaps with itself: that repeats a pattern.
    if (distance >= match) target.copyWithin(at, at - distance, at - distance + match);
    else for (let end = at + match, i = at; i < end; i++) target[i] = target[i - distance] ?? 0;
    at += match;
  }
  if (at !== bytes) throw damaged(`it has ${at} bytes and not ${bytes}`);
  return target;
}

class Lz4Block {
  #at = 0;
  readonly #source: Uint8Array;

  constructor(source: Uint8Array) {
    this.#source = source;
  }

  get ended(): boolean {
    return this.#at === this.#source.length;
  }

  byte(): number {
    const value = this.#source[this.#at];
    if (value === undefined) throw damaged("it ends too early");
    this.#at++;
    return value;
  }

  take(count: number): Uint8Array {
    const end = this.#at + count;
    if (end > this.#source.length) throw damaged("its literals end too early");
    const part = this.#source.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  /** A length that begins with four bits; `room` is the most that it may be. */
  length(nibble: number, room: number): number {
    let length = nibble;
    if (nibble === 15) {
      for (let more = 255; more === 255 && length <= room; length += more) more = this.byte();
    }
    if (length > room) throw damaged("it is longer than it says");
    return length;
  }
}

function damaged(what: string): FatbinError {
  return new FatbinError(`the LZ4 block is damaged: ${what}`);
}
