// SPDX-License-Identifier: Apache-2.0
/**
 * Decompresses one Zstandard frame, as CUDA 12.9 and later compress fat binaries, with fzstd (Node
 * before 22.15 has no zstd). Its header is read here first: fzstd allocates what a header says, and
 * takes frames that say nothing. With an output of the right size it allocates little more and
 * writes nothing past it. Its *time* has no such bound: a block of a few bytes may ask for billions
 * of steps. Therefore fat binaries of guests are opened in the translator's thread, which ends at
 * its deadline.
 */
import { decompress } from "fzstd";
import { FatbinError } from "./error.js";

const MAGIC = 0xfd2fb528;

/** Decompresses `source` into exactly `bytes` bytes. Throws FatbinError. */
export function decompressZstd(source: Uint8Array, bytes: number): Uint8Array {
  const declared = contentBytes(source);
  if (declared !== bytes)
    throw new FatbinError(
      `the Zstandard frame has ${declared} bytes, the fat binary says ${bytes}`,
    );
  const target = new Uint8Array(bytes);
  try {
    // More than one frame, or a skippable one, gives something else than the buffer.
    if (decompress(source, target) === target) return target;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FatbinError(`the Zstandard frame is damaged: ${reason}`);
  }
  throw new FatbinError("the Zstandard data is not one frame");
}

/** The content size in a frame's header. */
function contentBytes(source: Uint8Array): number {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  if (source.length < 16 || view.getUint32(0, true) !== MAGIC)
    throw new FatbinError("the Zstandard data does not begin with a frame");
  const flags = view.getUint8(4);
  const single = (flags & 0x20) !== 0;
  if ((flags & 3) !== 0) throw new FatbinError("the Zstandard frame needs a dictionary");
  const at = single ? 5 : 6;
  const size = flags >> 6;
  if (size === 0 && !single) throw new FatbinError("the Zstandard frame does not tell its size");
  if (size === 0) return view.getUint8(at);
  if (size === 1) return view.getUint16(at, true) + 256;
  return size === 2 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}
