// SPDX-License-Identifier: Apache-2.0
/**
 * Mutations of inputs. Everything comes from the seeded generator, so that a run is repeated by its
 * seed. See docs/decisions/0011 for why these are our own.
 */
import type { SeededRandom } from "../../src/io/random.js";

/** Values at which comparisons change their mind. */
const INTERESTING = [
  0n,
  1n,
  2n,
  3n,
  4n,
  7n,
  8n,
  16n,
  31n,
  32n,
  63n,
  64n,
  100n,
  127n,
  128n,
  255n,
  256n,
  257n,
  512n,
  1000n,
  1024n,
  4095n,
  4096n,
  4097n,
  0x7fffn,
  0x8000n,
  0xfffen,
  0xffffn,
  0x1_0000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_fffen,
  0xffff_ffffn,
  0x1_0000_0000n,
  (1n << 53n) - 1n,
  1n << 53n,
  (1n << 63n) - 1n,
  1n << 63n,
  (1n << 64n) - 4096n,
  (1n << 64n) - 1n,
];
const ROUNDS_MAX = 5;
const PIECE_MAX = 64;

export interface MutatorOptions {
  readonly random: SeededRandom;
  readonly bytesMax: number;
  readonly dictionary: readonly Uint8Array[];
  /** Where inputs have seams; see FuzzTarget. */
  readonly pieces?: ((bytes: Uint8Array) => Uint8Array[]) | undefined;
}

export class Mutator {
  readonly #random: SeededRandom;
  readonly #bytesMax: number;
  readonly #dictionary: readonly Uint8Array[];
  readonly #cut: ((bytes: Uint8Array) => Uint8Array[]) | null;
  /** Inputs of the corpus are cut once. */
  readonly #pieces = new WeakMap<Uint8Array, readonly Uint8Array[]>();

  constructor(options: MutatorOptions) {
    this.#random = options.random;
    this.#bytesMax = options.bytesMax;
    this.#dictionary = options.dictionary;
    this.#cut = options.pieces ?? null;
  }

  /** A changed copy of an input of the corpus; the others lend pieces. */
  mutate(corpus: readonly Uint8Array[]): Uint8Array {
    const parent = this.#pickShort(corpus);
    // Most of them with one change: inputs with several are mostly refused for the first one.
    const rounds = this.#random.below(2) === 0 ? 1 : 1 + this.#random.below(ROUNDS_MAX);
    if (this.#cut !== null && this.#random.below(4) > 0)
      return this.#rearrange(
        [...this.#piecesOf(parent, this.#cut)],
        this.#piecesOf(this.#pick(corpus), this.#cut),
        rounds,
      );
    let bytes: Uint8Array = parent.slice();
    for (let round = 0; round < rounds; round++) bytes = this.#change(bytes, corpus);
    return bytes.length > this.#bytesMax ? bytes.slice(0, this.#bytesMax) : bytes;
  }

  /** Changes whole pieces, or bytes within one, whose length stays. */
  #rearrange(pieces: Uint8Array[], others: readonly Uint8Array[], rounds: number): Uint8Array {
    const random = this.#random;
    // Few changes of a long input: each may be the one that spoils it.
    for (let round = 0; round < Math.min(rounds, 3); round++) {
      const at = random.below(pieces.length + 1);
      const old = pieces[at] ?? new Uint8Array(0);
      const other = this.#pick(random.below(2) === 0 ? pieces : others);
      switch (random.below(8)) {
        case 0:
          pieces.splice(at, 1);
          break;
        case 1:
          pieces.splice(at, 0, old);
          break;
        case 2:
          pieces.splice(at, 0, other);
          break;
        case 3:
          if (this.#dictionary.length > 0) pieces[at] = this.#pick(this.#dictionary);
          break;
        case 4:
          pieces.splice(at, 1 + random.below(8));
          break;
        case 5:
          pieces[at] = random.below(2) === 0 ? this.#flip(old.slice()) : this.#byte(old.slice());
          break;
        case 6:
          pieces[at] = this.#number(old.slice());
          break;
        default:
          pieces[at] = other;
      }
    }
    return join(...pieces).slice(0, this.#bytesMax);
  }

  #piecesOf(bytes: Uint8Array, cut: (bytes: Uint8Array) => Uint8Array[]): readonly Uint8Array[] {
    let pieces = this.#pieces.get(bytes);
    if (pieces === undefined) {
      pieces = cut(bytes);
      this.#pieces.set(bytes, pieces);
    }
    return pieces;
  }

  /** The shorter of two mostly: it takes less time, and a change of it is more likely to matter. */
  #pickShort(corpus: readonly Uint8Array[]): Uint8Array {
    const [one, other] = [this.#pick(corpus), this.#pick(corpus)];
    if (this.#random.below(4) === 0) return one;
    return one.length <= other.length ? one : other;
  }

  #pick(corpus: readonly Uint8Array[]): Uint8Array {
    if (corpus.length === 0) return new Uint8Array(0);
    return corpus[this.#random.below(corpus.length)] ?? new Uint8Array(0);
  }

  #change(bytes: Uint8Array, corpus: readonly Uint8Array[]): Uint8Array {
    const random = this.#random;
    switch (random.below(10)) {
      case 0:
        return this.#flip(bytes);
      case 1:
        return this.#byte(bytes);
      case 2:
      case 3:
        return this.#number(bytes);
      case 4:
        return bytes.slice(0, random.below(bytes.length + 1));
      case 5:
        return this.#replace(bytes, new Uint8Array(0));
      case 6:
        return this.#insert(bytes, this.#piece(bytes));
      case 7:
        return this.#replace(bytes, this.#piece(this.#pick(corpus)));
      case 8:
        return this.#dictionary.length > 0 ? this.#word(bytes) : this.#noise(bytes);
      default:
        return random.below(4) === 0 ? this.#cross(bytes, corpus) : this.#move(bytes);
    }
  }

  #flip(bytes: Uint8Array): Uint8Array {
    if (bytes.length === 0) return bytes;
    const bit = this.#random.below(bytes.length * 8);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return bytes;
  }

  #byte(bytes: Uint8Array): Uint8Array {
    if (bytes.length > 0) bytes[this.#random.below(bytes.length)] = this.#random.below(256);
    return bytes;
  }

  /** An interesting number, or the one that is there with a small change, little-endian. */
  #number(bytes: Uint8Array): Uint8Array {
    const random = this.#random;
    const width = 1 << random.below(4);
    if (bytes.length < width) return this.#noise(bytes);
    const places = bytes.length - width + 1;
    // Fields lie at multiples of their size mostly.
    const place = random.below(places);
    const at = random.below(4) > 0 ? place - (place % Math.min(width, 4)) : place;
    let value = INTERESTING[random.below(INTERESTING.length)] ?? 0n;
    if (random.below(2) === 0) {
      value = BigInt(random.below(33)) - 16n;
      for (let i = 0; i < width; i++) value += BigInt(bytes[at + i] ?? 0) << BigInt(8 * i);
    }
    for (let i = 0; i < width; i++)
      bytes[at + i] = Number(BigInt.asUintN(64, value) >> BigInt(8 * i)) & 0xff;
    return bytes;
  }

  #noise(bytes: Uint8Array): Uint8Array {
    const piece = new Uint8Array(1 + this.#random.below(16));
    return this.#insert(
      bytes,
      piece.map(() => this.#random.below(256)),
    );
  }

  #word(bytes: Uint8Array): Uint8Array {
    const word = this.#pick(this.#dictionary);
    if (this.#random.below(2) === 0) return this.#insert(bytes, word);
    const at = this.#random.below(bytes.length + 1);
    return join(bytes.subarray(0, at), word, bytes.subarray(at + word.length));
  }

  /** A piece of an input, mostly short. */
  #piece(bytes: Uint8Array): Uint8Array {
    const random = this.#random;
    const longest = random.below(8) === 0 ? bytes.length : Math.min(bytes.length, PIECE_MAX);
    const length = random.below(longest + 1);
    const at = random.below(bytes.length - length + 1);
    return bytes.slice(at, at + length);
  }

  #insert(bytes: Uint8Array, piece: Uint8Array): Uint8Array {
    const at = this.#random.below(bytes.length + 1);
    return join(bytes.subarray(0, at), piece, bytes.subarray(at));
  }

  #replace(bytes: Uint8Array, piece: Uint8Array): Uint8Array {
    const at = this.#random.below(bytes.length + 1);
    const removed = this.#random.below(Math.min(bytes.length - at, PIECE_MAX) + 1);
    return join(bytes.subarray(0, at), piece, bytes.subarray(at + removed));
  }

  /** The start of one input and the end of another. */
  #cross(bytes: Uint8Array, corpus: readonly Uint8Array[]): Uint8Array {
    const other = this.#pick(corpus);
    const at = this.#random.below(bytes.length + 1);
    return join(bytes.subarray(0, at), other.subarray(this.#random.below(other.length + 1)));
  }

  /** Copies a piece over another place of the same input. */
  #move(bytes: Uint8Array): Uint8Array {
    const piece = this.#piece(bytes);
    bytes.set(piece, this.#random.below(bytes.length - piece.length + 1));
    return bytes;
  }
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
