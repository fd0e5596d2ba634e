// SPDX-License-Identifier: Apache-2.0
/** A page of a memfd that two processes share, with ordered words: see src/gvmcs/page.ts. */
import { fence, mapRegion, RingWords } from "./native.js";

export interface MappedPage {
  readonly bytes: Uint8Array;
  readonly words: RingWords;
  fence(): void;
  unmap(): void;
}

/** Maps the first `bytes` of `fd`; the descriptor may be closed afterwards. */
export function mapSharedPage(fd: number, bytes: number, readonly: boolean): MappedPage {
  const mapping = mapRegion(fd, 0, bytes, { readonly });
  const view = new Uint8Array(mapping.window(0, bytes));
  return { bytes: view, words: new RingWords(view), fence, unmap: () => mapping.unmap() };
}
