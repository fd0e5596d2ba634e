// SPDX-License-Identifier: Apache-2.0
/**
 * The fat binary container: a list of code for several architectures, of which we read the PTX.
 *
 *   header, 16 bytes:  0 magic u32 · 4 version u16 (1) · 6 header bytes u16 · 8 bytes of entries u64
 *   entry:             0 kind u16 (1 PTX, 2 machine code) · 4 header bytes u32 · 8 payload bytes u64,
 *                      padded · 16 compressed bytes u32 · 28 architecture u32 (75: 7.5) ·
 *                      40 flags u64 · 56 uncompressed bytes u64
 *
 * The bytes are hostile: an entry is looked at only as far as it lies inside the container, nothing
 * is decompressed but the one entry that is chosen, and that only up to a limit.
 */
import { FatbinError } from "./error.js";
import { decompressLz4 } from "./lz4.js";
import { decompressZstd } from "./zstd.js";

export const FATBIN_MAGIC = 0xba55ed50;
const HEADER_BYTES_MIN = 16;
/** Up to the uncompressed size; the fields behind it are not needed. */
const ENTRY_BYTES_MIN = 64;
/** Kinds and flags of entries. */
const KIND_PTX = 1;
const FLAG_LZ4 = 0x2000n;
const FLAG_ZSTD = 0x8000n;

/** Most entries of a container; nvcc writes two for each architecture. */
export const FATBIN_ENTRIES_MAX = 256;
/** Longest PTX after decompression, bytes. */
export const FATBIN_PTX_BYTES_MAX = 16 * 1024 * 1024;
/**
 * The architecture whose PTX is taken if there is a choice: as a GPU of compute capability 7.5 does,
 * the highest that is not above it. Code for newer ones uses what we can't translate.
 */
export const FATBIN_ARCHITECTURE = 75;

export interface FatbinLimits {
  readonly entriesMax: number;
  readonly ptxBytesMax: number;
}

const DEFAULT_LIMITS: FatbinLimits = {
  entriesMax: FATBIN_ENTRIES_MAX,
  ptxBytesMax: FATBIN_PTX_BYTES_MAX,
};

/** One entry, not decompressed. */
export interface FatbinEntry {
  readonly kind: "ptx" | "other";
  /** 75 for compute capability 7.5. */
  readonly architecture: number;
  readonly compression: "none" | "lz4" | "zstd";
  /** The bytes as they lie in the container: a view. */
  readonly data: Uint8Array;
  /** Bytes after decompression. */
  readonly bytes: number;
}

/** Reads the list of entries. Throws FatbinError. */
export function readFatbin(
  image: Uint8Array,
  limits: FatbinLimits = DEFAULT_LIMITS,
): FatbinEntry[] {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (image.length < HEADER_BYTES_MIN)
    throw new FatbinError(`the fat binary has ${image.length} bytes, its header alone has 16`);
  const magic = view.getUint32(0, true);
  if (magic !== FATBIN_MAGIC)
    throw new FatbinError(`the fat binary begins with 0x${magic.toString(16)}, not 0xba55ed50`);
  const version = view.getUint16(4, true);
  if (version !== 1) throw new FatbinError(`the fat binary's version is ${version}, known is 1`);
  const headerBytes = view.getUint16(6, true);
  const bytes = count(view, 8, "size of the fat binary");
  if (headerBytes < HEADER_BYTES_MIN || headerBytes + bytes > image.length)
    throw new FatbinError(
      `the fat binary claims ${headerBytes} + ${bytes} bytes, there are ${image.length}`,
    );
  const end = headerBytes + bytes;
  const entries: FatbinEntry[] = [];
  for (let at = headerBytes; at < end; ) {
    if (entries.length >= limits.entriesMax)
      throw new FatbinError(`the fat binary has more than ${limits.entriesMax} entries`);
    at = readEntry(image, view, at, end, entries);
  }
  return entries;
}

/** Adds the entry at `at` and returns where the next one begins. */
function readEntry(
  image: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  entries: FatbinEntry[],
): number {
  const name = `entry ${entries.length} of the fat binary`;
  if (end - at < ENTRY_BYTES_MIN) throw new FatbinError(`${name} is cut off in its header`);
  const headerBytes = view.getUint32(at + 4, true);
  const bytes = count(view, at + 8, `size of ${name}`);
  if (headerBytes < ENTRY_BYTES_MIN || headerBytes > end - at)
    throw new FatbinError(`${name} has a header of ${headerBytes} bytes, ${end - at} are left`);
  if (bytes > end - at - headerBytes)
    throw new FatbinError(`${name} has ${bytes} bytes of code, ${end - at - headerBytes} are left`);
  const flags = view.getBigUint64(at + 40, true);
  const lz4 = (flags & FLAG_LZ4) !== 0n;
  const packed = lz4 || (flags & FLAG_ZSTD) !== 0n;
  const packedBytes = view.getUint32(at + 16, true);
  if (packed && packedBytes > bytes)
    throw new FatbinError(`${name} has ${packedBytes} compressed bytes in ${bytes} bytes`);
  const dataAt = at + headerBytes;
  entries.push({
    kind: view.getUint16(at, true) === KIND_PTX ? "ptx" : "other",
    architecture: view.getUint32(at + 28, true),
    compression: packed ? (lz4 ? "lz4" : "zstd") : "none",
    data: image.subarray(dataAt, dataAt + (packed ? packedBytes : bytes)),
    bytes: packed ? count(view, at + 56, `uncompressed size of ${name}`) : bytes,
  });
  return dataAt + bytes;
}

/** A u64 that has to be a size: larger ones than any memory are the guest's mistake. */
function count(view: DataView, at: number, what: string): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FatbinError(`the ${what} is ${value}`);
  return Number(value);
}

/** PTX entries, the best first: see {@link FATBIN_ARCHITECTURE}. */
export function rankPtx(entries: readonly FatbinEntry[]): FatbinEntry[] {
  const fits = ({ architecture }: FatbinEntry): boolean => architecture <= FATBIN_ARCHITECTURE;
  return entries
    .filter((each) => each.kind === "ptx")
    .sort((a, b) => {
      if (fits(a) !== fits(b)) return fits(a) ? -1 : 1;
      return fits(a) ? b.architecture - a.architecture : a.architecture - b.architecture;
    });
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The PTX of an entry. Throws FatbinError. Call loadZstd before. */
export function ptxOf(entry: FatbinEntry, limits: FatbinLimits = DEFAULT_LIMITS): string {
  if (entry.bytes > limits.ptxBytesMax)
    throw new FatbinError(
      `the PTX for ${entry.architecture} has ${entry.bytes} bytes, the limit is ${limits.ptxBytesMax}`,
    );
  const bytes = unpack(entry);
  const nul = bytes.indexOf(0);
  try {
    return utf8.decode(nul < 0 ? bytes : bytes.subarray(0, nul));
  } catch {
    throw new FatbinError(`the PTX for ${entry.architecture} is not UTF-8`);
  }
}

function unpack({ compression, data, bytes }: FatbinEntry): Uint8Array {
  if (compression === "lz4") return decompressLz4(data, bytes);
  return compression === "zstd" ? decompressZstd(data, bytes) : data;
}

/** The PTX that a fat binary is executed as. Throws FatbinError. Call loadZstd before. */
export function choosePtx(image: Uint8Array, limits: FatbinLimits = DEFAULT_LIMITS): string {
  const entries = readFatbin(image, limits);
  const [best] = rankPtx(entries);
  if (best !== undefined) return ptxOf(best, limits);
  const others = entries.map((each) => `sm_${each.architecture}`).join(", ");
  throw new FatbinError(
    entries.length === 0
      ? "the fat binary is empty"
      : `the fat binary has no PTX, only machine code (${others}): compile with -arch=compute_75`,
  );
}
