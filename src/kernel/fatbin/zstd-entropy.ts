// SPDX-License-Identifier: Apache-2.0
/**
 * The entropy codes of Zstandard (RFC 8878, 4): tables of finite states (FSE) and of prefix codes
 * (Huffman), and the streams in them, which are read from their last bit to their first.
 */
import { FatbinError } from "./error.js";

const HUFFMAN_BITS_MAX = 11;
const WEIGHTS_MAX = 255;
const WEIGHT_LOG_MAX = 6;

export function damaged(what: string): FatbinError {
  return new FatbinError(`the Zstandard frame is damaged: ${what}`);
}

/** Place of the highest bit that is set; of a number above 0. */
const highestBit = (value: number): number => 31 - Math.clz32(value);

/** Bits from the end of a stream. Its last byte has a 1 above them. */
export class BackwardBits {
  /** Bits not read yet; negative once more are read than there are, which are zeros. */
  left: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    const last = bytes[bytes.length - 1] ?? 0;
    if (last === 0) throw damaged("a stream of bits does not end");
    this.#bytes = bytes;
    this.left = 8 * (bytes.length - 1) + highestBit(last);
  }

  /** 0 to 27 bits. */
  read(count: number): number {
    if (count > 16) {
      const high = this.read(count - 16);
      return ((high << 16) | this.read(16)) >>> 0;
    }
    this.left -= count;
    if (this.left < 0) {
      const missing = -this.left;
      if (missing >= count) return 0;
      const there = count - missing;
      return (this.#at(0) & ((1 << there) - 1)) << missing;
    }
    return (this.#at(this.left >> 3) >>> (this.left & 7)) & ((1 << count) - 1);
  }

  #at(byte: number): number {
    const bytes = this.#bytes;
    return (bytes[byte] ?? 0) | ((bytes[byte + 1] ?? 0) << 8) | ((bytes[byte + 2] ?? 0) << 16);
  }
}

/** States: each stands for a symbol, and for where the next bits lead. */
export class FseTable {
  constructor(
    readonly log: number,
    readonly symbols: Uint8Array,
    readonly bits: Uint8Array,
    readonly base: Uint16Array,
  ) {}

  next(state: number, from: BackwardBits): number {
    return (this.base[state] ?? 0) + from.read(this.bits[state] ?? 0);
  }
}

/** A table of one symbol, which takes no bits. */
export const fseRepeat = (symbol: number): FseTable =>
  new FseTable(0, Uint8Array.of(symbol), new Uint8Array(1), new Uint16Array(1));

/** The table of `2^log` states in which symbol i has `counts[i]`; -1 is "less than one". */
export function fseTable(log: number, counts: readonly number[]): FseTable {
  const size = 1 << log;
  const symbols = new Uint8Array(size);
  const next = new Uint16Array(counts.length);
  let high = size;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    const count = counts[symbol] ?? 0;
    if (count === -1) symbols[--high] = symbol;
    next[symbol] = Math.abs(count);
  }
  const step = (size >> 1) + (size >> 3) + 3;
  let place = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) {
    for (let i = counts[symbol] ?? 0; i > 0; i--) {
      symbols[place] = symbol;
      // At most `size` steps: `step` has no factor in common with it, and place 0 is below `high`.
      do place = (place + step) & (size - 1);
      while (place >= high);
    }
  }
  const bits = new Uint8Array(size);
  const base = new Uint16Array(size);
  for (let state = 0; state < size; state++) {
    const symbol = symbols[state] ?? 0;
    const value = next[symbol] ?? 0;
    next[symbol] = value + 1;
    const count = log - highestBit(value);
    bits[state] = count;
    base[state] = (value << count) - size;
  }
  return new FseTable(log, symbols, bits, base);
}

/** Bits from the start of a part. */
class ForwardBits {
  at = 0;

  constructor(
    readonly bytes: Uint8Array,
    readonly start: number,
  ) {}

  read(count: number): number {
    const value = this.peek(count);
    this.at += count;
    return value;
  }

  /** Up to 16 bits. */
  peek(count: number): number {
    const { bytes } = this;
    const byte = this.start + (this.at >> 3);
    const word =
      (bytes[byte] ?? 0) | ((bytes[byte + 1] ?? 0) << 8) | ((bytes[byte + 2] ?? 0) << 16);
    return (word >>> (this.at & 7)) & ((1 << count) - 1);
  }

  /** Where the next byte begins that nothing was read of. */
  get end(): number {
    return this.start + ((this.at + 7) >> 3);
  }
}

/** The description of a table at `at`: at most 2^`logMax` states, at most `symbolsMax` symbols. */
export function readFseTable(
  bytes: Uint8Array,
  at: number,
  logMax: number,
  symbolsMax: number,
): { table: FseTable; end: number } {
  const bits = new ForwardBits(bytes, at);
  const log = bits.read(4) + 5;
  if (log > logMax) throw damaged(`a table has 2^${log} states`);
  const counts: number[] = [];
  for (let left = 1 << log; left > 0; ) {
    if (counts.length >= symbolsMax) throw damaged("a table has too many symbols");
    const width = highestBit(left + 1) + 1;
    const half = 1 << (width - 1);
    // The lowest values take a bit less.
    const short = (1 << width) - 2 - left;
    let value = bits.peek(width);
    if ((value & (half - 1)) < short) {
      value &= half - 1;
      bits.at += width - 1;
    } else {
      if (value >= half) value -= short;
      bits.at += width;
    }
    const count = value - 1;
    left -= Math.abs(count);
    counts.push(count);
    if (count !== 0) continue;
    for (let more = 3; more === 3; ) {
      more = bits.read(2);
      if (counts.length + more > symbolsMax) throw damaged("a table has too many symbols");
      for (let i = 0; i < more; i++) counts.push(0);
      if (bits.end > bytes.length) break;
    }
  }
  if (bits.end > bytes.length) throw damaged("a table ends too early");
  return { table: fseTable(log, counts), end: bits.end };
}

export interface HuffmanTable {
  readonly log: number;
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
}

/** The description of a table at the start of `packed`. */
export function readHuffmanTable(packed: Uint8Array): { table: HuffmanTable; end: number } {
  const head = packed[0] ?? 0;
  if (head >= 128) {
    const count = head - 127;
    const end = 1 + ((count + 1) >> 1);
    if (end > packed.length) throw damaged("a table ends too early");
    const weights = Array.from({ length: count }, (_, i) => {
      const byte = packed[1 + (i >> 1)] ?? 0;
      return i % 2 === 0 ? byte >> 4 : byte & 15;
    });
    return { table: huffmanTable(weights), end };
  }
  const end = 1 + head;
  if (end > packed.length) throw damaged("a table ends too early");
  const part = packed.subarray(0, end);
  const { table, end: from } = readFseTable(part, 1, WEIGHT_LOG_MAX, HUFFMAN_BITS_MAX + 1);
  return { table: huffmanTable(weightsOf(part.subarray(from), table)), end };
}

/** Two states take turns until the bits are used up. */
function weightsOf(stream: Uint8Array, table: FseTable): number[] {
  const bits = new BackwardBits(stream);
  let [one, other] = [bits.read(table.log), bits.read(table.log)];
  const weights: number[] = [];
  while (weights.length < WEIGHTS_MAX) {
    weights.push(table.symbols[one] ?? 0);
    const next = table.next(one, bits);
    one = other;
    other = next;
    if (bits.left >= 0) continue;
    weights.push(table.symbols[one] ?? 0);
    break;
  }
  if (bits.left >= 0 || weights.length > WEIGHTS_MAX) throw damaged("a table has too many weights");
  return weights;
}

/** The weight of the last symbol follows from the others: all together fill the table. */
function huffmanTable(weights: number[]): HuffmanTable {
  let sum = 0;
  for (const weight of weights) {
    if (weight > HUFFMAN_BITS_MAX) throw damaged(`a weight is ${weight}`);
    if (weight > 0) sum += 1 << (weight - 1);
  }
  if (sum === 0) throw damaged("a table has no symbols");
  const log = highestBit(sum) + 1;
  if (log > HUFFMAN_BITS_MAX) throw damaged(`a code has ${log} bits`);
  const rest = (1 << log) - sum;
  if ((rest & (rest - 1)) !== 0) throw damaged("a table is not complete");
  weights.push(highestBit(rest) + 1);
  const symbols = new Uint8Array(1 << log);
  const bits = new Uint8Array(1 << log);
  let at = 0;
  for (let weight = 1; weight <= log; weight++) {
    for (let symbol = 0; symbol < weights.length; symbol++) {
      if (weights[symbol] !== weight) continue;
      const end = at + (1 << (weight - 1));
      symbols.fill(symbol, at, end);
      bits.fill(log + 1 - weight, at, end);
      at = end;
    }
  }
  return { log, symbols, bits };
}

/** Fills `into` from a stream, which has to end with it. */
export function huffmanStream(stream: Uint8Array, into: Uint8Array, table: HuffmanTable): void {
  const bits = new BackwardBits(stream);
  const mask = (1 << table.log) - 1;
  let state = bits.read(table.log);
  for (let i = 0; i < into.length; i++) {
    if (bits.left <= -table.log) throw damaged("its literals end too early");
    into[i] = table.symbols[state] ?? 0;
    const count = table.bits[state] ?? 0;
    state = ((state << count) | bits.read(count)) & mask;
  }
  if (bits.left !== -table.log) throw damaged("its literals do not end with their bits");
}
