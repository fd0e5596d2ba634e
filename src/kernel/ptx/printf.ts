// SPDX-License-Identifier: Apache-2.0
/**
 * printf's buffer: a hidden global variable that the CUDA library reads when it synchronises.
 *
 *   0 [bytes reserved] 4 [bytes that fit] 8 [0] 12 [0] 16 … records
 *   record: 0 [bytes, this header too] 4 [format's address, low] 8 [high] 12 [bytes of arguments] …
 */
import type { Emit } from "./emit-context.js";

/** Bytes of the whole variable. */
export const PRINTF_BYTES = 1024 * 1024;

export function printfInitial(): Uint8Array {
  const words = new Uint32Array([0, PRINTF_BYTES - 16, 0, 0]);
  return new Uint8Array(words.buffer);
}

export function printfHelpers(name: string, e: Emit, at: number): string {
  const [low, high] = [e.word(at), e.word(at + 1)];
  const isPlain = e.options.segments === 1 && !e.options.checked;
  const prefix = isPlain ? "m0" : "g";
  const address = (text: string): string => (isPlain ? text : `vec2u(${text}, ${high})`);
  e.use("printf_put");
  e.use("printf_reserve");
  if (name === "printf_put") {
    return `fn printf_put(a: u32, v: u32) { ${e.use(`${prefix}_st`)}(${address("a")}, v); }`;
  }
  return `fn printf_reserve(n: u32) -> u32 {
  let room = ${e.use(`${prefix}_ld`)}(${address(`${low} + 4u`)});
  if (${e.use(`${prefix}_ld`)}(${address(low)}) > room) { return 0u; }
  let at = ${e.use(`${prefix}_add`)}(${address(low)}, n);
  if (at > room || room - at < n) { return 0u; }
  return ${low} + 16u + at;
}`;
}
