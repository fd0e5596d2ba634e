// SPDX-License-Identifier: Apache-2.0
/**
 * A parser with a planted bug: it trusts an inner length if three conditions hold, which no seed
 * meets. The engine must get there by itself.
 */
import { type FuzzTarget, InputReader } from "../target.js";

const MAGIC = 0x5a;
const KIND = 3;

function parse(bytes: Uint8Array): string {
  const reader = new InputReader(bytes);
  if (reader.u8() !== MAGIC) return "bad magic";
  const length = reader.u8();
  const kind = reader.u8();
  if (kind > KIND) return "bad kind";
  if (length <= bytes.length) return `kind ${kind}`;
  if (kind !== KIND) return "too long";
  // The bug: kind 3 does not compare its length.
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return `sum ${view.getUint8(length - 1)}`;
}

export const canary: FuzzTarget = {
  name: "canary",
  parses: "nothing: it has a bug on purpose, and fails",
  bytesMax: 64,
  cpuLimitMs: 1000,
  seeds: () => [Uint8Array.of(MAGIC, 4, 0, 0)],
  run: parse,
};
