// SPDX-License-Identifier: Apache-2.0
/**
 * Decompresses one Zstandard frame (RFC 8878), as CUDA 12.9 and later compress fat binaries. Our own
 * like LZ4's, and for the same reason: Node before 22.15 has none, and what npm has in JavaScript
 * follows a damaged block of a few bytes through billions of steps. Here every length is held against
 * what is left of the input and of the output before it is followed, so that time and memory are those
 * of the output, whose size the caller has bounded. Checksums are not looked at: whoever damages a
 * frame on purpose can write them too.
 *
 *   frame: magic u32 · flags u8 · [window u8] · size of the content · blocks · [checksum u32]
 *   block: last 1 bit, kind 2 bits (raw, one byte repeated, compressed), size 21 bits · data
 *   compressed block: literals · sequences (take so many literals, then copy from so far back)
 */
import { FatbinError } from "./error.js";
import {
  BackwardBits,
  damaged,
  type FseTable,
  fseRepeat,
  fseTable,
  type HuffmanTable,
  huffmanStream,
  readFseTable,
  readHuffmanTable,
} from "./zstd-entropy.js";

const MAGIC = 0xfd2fb528;
/** The magic, the flags, a window or a size: each kind of header has as much before its first block. */
const HEADER_BYTES_MIN = 6;
const BLOCK_BYTES_MAX = 128 * 1024;
const BlockKind = { raw: 0, repeated: 1, compressed: 2 } as const;
const LiteralKind = { raw: 0, repeated: 1, compressed: 2, sameTable: 3 } as const;
const TableMode = { predefined: 0, single: 1, described: 2, repeat: 3 } as const;
/** Distances above 2^27 reach before the start of anything that we decompress. */
const OFFSET_CODE_MAX = 27;

/** Decompresses `source` into exactly `bytes` bytes. Throws FatbinError. */
export function decompressZstd(source: Uint8Array, bytes: number): Uint8Array {
  const header = frameHeader(source);
  if (header.bytes !== bytes)
    throw new FatbinError(
      `the Zstandard frame has ${header.bytes} bytes, the fat binary says ${bytes}`,
    );
  const target = new Uint8Array(bytes);
  const frame = new Frame(source, header.end, target);
  while (!frame.block());
  if (frame.at !== bytes) throw damaged(`it has ${frame.at} bytes and not ${bytes}`);
  if (frame.inputAt + (header.checksum ? 4 : 0) !== source.length)
    throw new FatbinError("the Zstandard data is not one frame");
  return target;
}

interface FrameHeader {
  readonly bytes: number;
  readonly checksum: boolean;
  /** Where the first block begins. */
  readonly end: number;
}

function frameHeader(source: Uint8Array): FrameHeader {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  if (source.length < HEADER_BYTES_MIN || view.getUint32(0, true) !== MAGIC)
    throw new FatbinError("the Zstandard data does not begin with a frame");
  const flags = view.getUint8(4);
  const single = (flags & 0x20) !== 0;
  if ((flags & 3) !== 0) throw new FatbinError("the Zstandard frame needs a dictionary");
  if ((flags & 8) !== 0) throw damaged("a reserved flag is set");
  const at = single ? 5 : 6;
  const size = flags >> 6;
  if (size === 0 && !single) throw new FatbinError("the Zstandard frame does not tell its size");
  if (source.length < at + (1 << size)) throw damaged("it ends in its header");
  const checksum = (flags & 4) !== 0;
  if (size === 0) return { bytes: view.getUint8(at), checksum, end: at + 1 };
  if (size === 1) return { bytes: view.getUint16(at, true) + 256, checksum, end: at + 2 };
  if (size === 2) return { bytes: view.getUint32(at, true), checksum, end: at + 4 };
  return { bytes: Number(view.getBigUint64(at, true)), checksum, end: at + 8 };
}

/** What a sequence's codes stand for: a base, and so many more bits. */
interface Codes {
  readonly base: Int32Array;
  readonly bits: Uint8Array;
}

/** Codes up to `plain` are themselves plus `first`; those behind have the bits given. */
function codes(plain: number, first: number, extra: readonly number[]): Codes {
  const bits = Uint8Array.from([...new Array<number>(plain).fill(0), ...extra]);
  const base = new Int32Array(bits.length);
  for (let code = 0, value = first; code < bits.length; code++) {
    base[code] = value;
    value += 1 << (bits[code] ?? 0);
  }
  return { base, bits };
}

const LITERAL_CODES = codes(16, 0, [
  ...[1, 1, 1, 1, 2, 2, 3, 3, 4, 6],
  ...[7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
]);
const MATCH_CODES = codes(32, 3, [
  ...[1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5],
  ...[7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
]);

const times = (count: number, value: number): number[] => new Array<number>(count).fill(value);

/** What mode `predefined` stands for. */
const LITERAL_TABLE = fseTable(6, [
  ...[4, 3, ...times(11, 2), 1, 1, 1],
  ...[...times(9, 2), 3, 2, ...times(5, 1), ...times(4, -1)],
]);
const OFFSET_TABLE = fseTable(5, [...times(6, 1), 2, 2, 2, ...times(15, 1), ...times(5, -1)]);
const MATCH_TABLE = fseTable(6, [1, 4, 3, ...times(6, 2), ...times(37, 1), ...times(7, -1)]);

/** A frame under way: what blocks leave to later ones. */
class Frame {
  at = 0;
  inputAt: number;
  readonly #source: Uint8Array;
  readonly #target: Uint8Array;
  readonly #literals: Uint8Array;
  #huffman: HuffmanTable | null = null;
  #literalTable: FseTable | null = null;
  #offsetTable: FseTable | null = null;
  #matchTable: FseTable | null = null;
  /** The last three distances, which a code may repeat. */
  #last: [number, number, number] = [1, 4, 8];

  constructor(source: Uint8Array, inputAt: number, target: Uint8Array) {
    this.#source = source;
    this.inputAt = inputAt;
    this.#target = target;
    this.#literals = new Uint8Array(Math.min(BLOCK_BYTES_MAX, target.length));
  }

  /** The next block; true if it is the last. */
  block(): boolean {
    const head = this.#byte() | (this.#byte() << 8) | (this.#byte() << 16);
    const bytes = head >> 3;
    if (bytes > BLOCK_BYTES_MAX) throw damaged(`a block has ${bytes} bytes`);
    switch ((head >> 1) & 3) {
      case BlockKind.raw:
        this.#put(this.#take(bytes));
        break;
      case BlockKind.repeated:
        this.#room(bytes);
        this.#target.fill(this.#byte(), this.at, this.at + bytes);
        this.at += bytes;
        break;
      case BlockKind.compressed:
        this.#compressed(this.#take(bytes));
        break;
      default:
        throw damaged("a block is of no kind");
    }
    return (head & 1) === 1;
  }

  #byte(): number {
    const value = this.#source[this.inputAt];
    if (value === undefined) throw damaged("it ends too early");
    this.inputAt++;
    return value;
  }

  #take(bytes: number): Uint8Array {
    const end = this.inputAt + bytes;
    if (end > this.#source.length) throw damaged("a block ends too early");
    const part = this.#source.subarray(this.inputAt, end);
    this.inputAt = end;
    return part;
  }

  #room(bytes: number): void {
    if (bytes > this.#target.length - this.at) throw damaged("it is longer than it says");
  }

  #put(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#target.set(bytes, this.at);
    this.at += bytes.length;
  }

  #compressed(block: Uint8Array): void {
    const { literals, end } = this.#readLiterals(block);
    let at = end;
    let count = block[at++] ?? 0;
    if (count === 255) count = (block[at++] ?? 0) + ((block[at++] ?? 0) << 8) + 0x7f00;
    else if (count > 127) count = ((count - 128) << 8) + (block[at++] ?? 0);
    if (count === 0) {
      if (at !== block.length) throw damaged("bytes follow the literals of a block");
      this.#put(literals);
      return;
    }
    const modes = block[at++] ?? 0;
    if ((modes & 3) !== 0) throw damaged("a reserved mode is set");
    const table = (mode: number, options: TableOptions): FseTable => {
      const read = readTable(block, at, mode, options);
      at = read.end;
      return read.table;
    };
    const [literalsOf, offsets, matches] = [
      table(modes >> 6, { known: LITERAL_TABLE, last: this.#literalTable, bitsMax: 9, codes: 36 }),
      table((modes >> 4) & 3, {
        ...{ known: OFFSET_TABLE, last: this.#offsetTable, bitsMax: 8, codes: OFFSET_CODE_MAX + 1 },
      }),
      table((modes >> 2) & 3, {
        ...{ known: MATCH_TABLE, last: this.#matchTable, bitsMax: 9, codes: 53 },
      }),
    ];
    this.#literalTable = literalsOf;
    this.#offsetTable = offsets;
    this.#matchTable = matches;
    this.#sequences(block.subarray(at), count, literals);
  }

  /** The literals of a block, and where they end in it. */
  #readLiterals(block: Uint8Array): { literals: Uint8Array; end: number } {
    const head = literalsHeader(block);
    if (head.bytes > this.#literals.length) throw damaged(`it has ${head.bytes} literals`);
    this.#room(head.bytes);
    const { kind, at, packedBytes } = head;
    if (at + packedBytes > block.length) throw damaged("its literals end too early");
    const packed = block.subarray(at, at + packedBytes);
    const end = at + packedBytes;
    if (kind === LiteralKind.raw) return { literals: packed, end };
    const literals = this.#literals.subarray(0, head.bytes);
    if (kind === LiteralKind.repeated) literals.fill(packed[0] ?? 0);
    else {
      let from = 0;
      if (kind === LiteralKind.compressed) {
        const { table, end: behind } = readHuffmanTable(packed);
        this.#huffman = table;
        from = behind;
      }
      if (this.#huffman === null) throw damaged("there is no table of literals to repeat");
      decodeLiterals(packed.subarray(from), literals, this.#huffman, head.streams);
    }
    return { literals, end };
  }

  #sequences(stream: Uint8Array, count: number, literals: Uint8Array): void {
    const [forLiterals, forOffsets, forMatches] = [
      this.#literalTable ?? LITERAL_TABLE,
      this.#offsetTable ?? OFFSET_TABLE,
      this.#matchTable ?? MATCH_TABLE,
    ];
    const bits = new BackwardBits(stream);
    let literal = bits.read(forLiterals.log);
    let offset = bits.read(forOffsets.log);
    let match = bits.read(forMatches.log);
    let literalAt = 0;
    for (let left = count; left > 0; left--) {
      const literalCode = forLiterals.symbols[literal] ?? 0;
      const offsetCode = forOffsets.symbols[offset] ?? 0;
      const matchCode = forMatches.symbols[match] ?? 0;
      const distance = (1 << offsetCode) + bits.read(offsetCode);
      const matchBytes =
        (MATCH_CODES.base[matchCode] ?? 0) + bits.read(MATCH_CODES.bits[matchCode] ?? 0);
      const literalBytes =
        (LITERAL_CODES.base[literalCode] ?? 0) + bits.read(LITERAL_CODES.bits[literalCode] ?? 0);
      if (bits.left < 0) throw damaged("its sequences end too early");
      if (literalBytes > literals.length - literalAt) throw damaged("it takes too many literals");
      this.#put(literals.subarray(literalAt, literalAt + literalBytes));
      literalAt += literalBytes;
      this.#copy(this.#distance(distance, literalBytes), matchBytes);
      if (left === 1) break;
      literal = forLiterals.next(literal, bits);
      match = forMatches.next(match, bits);
      offset = forOffsets.next(offset, bits);
    }
    if (bits.left !== 0) throw damaged("its sequences do not end with their bits");
    this.#put(literals.subarray(literalAt));
  }

  /** How far back a sequence copies from: its own distance, or one of the last three. */
  #distance(value: number, literalBytes: number): number {
    const [first, second, third] = this.#last;
    if (value > 3) {
      this.#last = [value - 3, first, second];
      return value - 3;
    }
    switch (value - 1 + (literalBytes === 0 ? 1 : 0)) {
      case 0:
        return first;
      case 1:
        this.#last = [second, first, third];
        return second;
      case 2:
        this.#last = [third, first, second];
        return third;
      default:
        this.#last = [first - 1, first, second];
        return first - 1;
    }
  }

  #copy(distance: number, bytes: number): void {
    const { at } = this;
    const target = this.#target;
    if (distance < 1 || distance > at) throw damaged(`it copies from ${distance} bytes before`);
    this.#room(bytes);
    // Byte by byte where it overlaps with itself: that repeats a pattern.
    if (distance >= bytes) target.copyWithin(at, at - distance, at - distance + bytes);
    else for (let end = at + bytes, i = at; i < end; i++) target[i] = target[i - distance] ?? 0;
    this.at += bytes;
  }
}

interface LiteralsHeader {
  readonly kind: number;
  /** After decompression. */
  readonly bytes: number;
  readonly packedBytes: number;
  readonly streams: 1 | 4;
  /** Where the data begins. */
  readonly at: number;
}

function literalsHeader(block: Uint8Array): LiteralsHeader {
  const head = block[0] ?? 0;
  const kind = head & 3;
  const format = (head >> 2) & 3;
  if (block.length < 5) {
    // Zeros behind a short block: what they say is found to be too long.
    const longer = new Uint8Array(5);
    longer.set(block);
    return { ...literalsHeader(longer) };
  }
  const word = new DataView(block.buffer, block.byteOffset).getUint32(0, true);
  if (kind === LiteralKind.raw || kind === LiteralKind.repeated) {
    const at = format === 1 ? 2 : format === 3 ? 3 : 1;
    const bytes = at === 1 ? head >> 3 : (word & (at === 2 ? 0xffff : 0xff_ffff)) >> 4;
    const packedBytes = kind === LiteralKind.raw ? bytes : 1;
    return { kind, bytes, packedBytes, streams: 1, at };
  }
  const streams = format === 0 ? 1 : 4;
  if (format < 2)
    return { kind, bytes: (word >> 4) & 0x3ff, packedBytes: (word >> 14) & 0x3ff, streams, at: 3 };
  if (format === 2)
    return { kind, bytes: (word >>> 4) & 0x3fff, packedBytes: word >>> 18, streams, at: 4 };
  const packedBytes = (word >>> 22) + ((block[4] ?? 0) << 10);
  return { kind, bytes: (word >>> 4) & 0x3_ffff, packedBytes, streams, at: 5 };
}

/** One stream, or four behind a table of the sizes of three. */
function decodeLiterals(
  packed: Uint8Array,
  literals: Uint8Array,
  table: HuffmanTable,
  streams: 1 | 4,
): void {
  if (streams === 1) {
    huffmanStream(packed, literals, table);
    return;
  }
  if (packed.length < 6) throw damaged("its literals end too early");
  const each = (literals.length + 3) >> 2;
  let at = 6;
  for (let i = 0; i < 4; i++) {
    const bytes =
      i === 3 ? packed.length - at : (packed[2 * i] ?? 0) + ((packed[2 * i + 1] ?? 0) << 8);
    if (bytes < 0 || at + bytes > packed.length) throw damaged("a stream ends too early");
    const [from, to] = [i * each, i === 3 ? literals.length : (i + 1) * each];
    if (from > to || to > literals.length)
      throw damaged("it has too few literals for four streams");
    huffmanStream(packed.subarray(at, at + bytes), literals.subarray(from, to), table);
    at += bytes;
  }
}

interface TableOptions {
  readonly known: FseTable;
  readonly last: FseTable | null;
  readonly bitsMax: number;
  /** How many codes there are. */
  readonly codes: number;
}

function readTable(
  block: Uint8Array,
  at: number,
  mode: number,
  { known, last, bitsMax, codes: count }: TableOptions,
): { table: FseTable; end: number } {
  if (mode === TableMode.predefined) return { table: known, end: at };
  if (mode === TableMode.described) return readFseTable(block, at, bitsMax, count);
  if (mode === TableMode.single) {
    const code = block[at] ?? count;
    if (code >= count) throw damaged(`code ${code} does not exist`);
    return { table: fseRepeat(code), end: at + 1 };
  }
  if (last === null) throw damaged("there is no table to repeat");
  return { table: last, end: at };
}
