// SPDX-License-Identifier: Apache-2.0
/** Slicing (placeholder until the rest works). */
import { Status } from "../../protocol/generated/wire.js";
import { WgslError } from "./error.js";
import type { EntryInfo } from "./reflect.js";

export interface SliceLayout {
  readonly bytes: number;
}

export interface SlicedEntry {
  readonly layout: SliceLayout;
  readonly directive: string;
  readonly text: string;
  renamed(text: string): string;
}

export function sliceEntry(entry: EntryInfo, _prefix: string): SlicedEntry {
  throw new WgslError(Status.NOT_SUPPORTED, `'${entry.name}' cannot be sliced yet`);
}
