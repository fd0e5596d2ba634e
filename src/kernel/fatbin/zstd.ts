// SPDX-License-Identifier: Apache-2.0
/**
 * Decompresses one Zstandard frame, as CUDA 12.9 and later compress fat binaries, with libzstd in
 * WebAssembly (Node before 22.15 has none; decoders in JavaScript follow a damaged block of a few
 * bytes through billions of steps). The header is read here first: it has to declare the size that
 * the fat binary says, which its caller has bounded, and libzstd keeps to that size in memory and time.
 *
 * The decoder is loaded once, by {@link loadZstd}, before the first use.
 */
import type { ZSTDDecoder } from "zstddec";
import { FatbinError } from "./error.js";

const MAGIC = 0xfd2fb528;
/** Magic, flags, a size, and the header of a block. */
const FRAME_BYTES_MIN = 9;

let decoder: ZSTDDecoder | null = null;

export async function loadZstd(): Promise<void> {
  if (decoder !== null) return;
  const { ZSTDDecoder } = await import("zstddec");
  const loaded = new ZSTDDecoder();
  await loaded.init();
  decoder = loaded;
}

/** Decompresses `source` into exactly `bytes` bytes. Throws FatbinError. */
export function decompressZstd(source: Uint8Array, bytes: number): Uint8Array {
  if (decoder === null) throw new Error("Zstandard is not loaded: see loadZstd");
  const declared = contentBytes(source);
  if (declared !== bytes)
    throw new FatbinError(
      `the Zstandard frame has ${declared} bytes, the fat binary says ${bytes}`,
    );
  if (bytes === 0) return new Uint8Array(0);
  // An error is a length below zero, and then nothing is taken out.
  const result = decoder.decode(source, bytes);
  if (result.length !== bytes)
    throw new FatbinError(`the Zstandard frame of ${source.length} bytes is damaged`);
  return result;
}

/** The content size in a frame's header. */
function contentBytes(source: Uint8Array): number {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  if (source.length < FRAME_BYTES_MIN || view.getUint32(0, true) !== MAGIC)
    throw new FatbinError("the Zstandard data does not begin with a frame");
  const flags = view.getUint8(4);
  const single = (flags & 0x20) !== 0;
  if ((flags & 3) !== 0) throw new FatbinError("the Zstandard frame needs a dictionary");
  const at = single ? 5 : 6;
  const size = flags >> 6;
  if (size === 0 && !single) throw new FatbinError("the Zstandard frame does not tell its size");
  if (source.length < at + 2 ** size)
    throw new FatbinError("the Zstandard frame ends in its header");
  if (size === 0) return view.getUint8(at);
  if (size === 1) return view.getUint16(at, true) + 256;
  return size === 2 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}
