// SPDX-License-Identifier: Apache-2.0
/** Fat binaries: what nvcc embeds in programs. Pure; bounded in size and in time. */

export type { FatbinEntry, FatbinLimits } from "./container.js";
export {
  choosePtx,
  FATBIN_ARCHITECTURE,
  FATBIN_ENTRIES_MAX,
  FATBIN_MAGIC,
  FATBIN_PTX_BYTES_MAX,
  ptxOf,
  rankPtx,
  readFatbin,
} from "./container.js";
export { FatbinError } from "./error.js";
export { loadZstd } from "./zstd.js";
