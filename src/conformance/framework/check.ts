// SPDX-License-Identifier: Apache-2.0
/** What tests say when something is not as it has to be. Messages name the value and the wish. */

/** The back end broke a rule. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** The test can't be done here; the message says why. */
export class Skip extends Error {
  override readonly name = "Skip";
}

/** `what` is a sentence about what holds, for the report when it does not. */
export function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Violation(`it does not hold that ${what}`);
}

export function equal<T extends number | bigint | string | boolean | null>(
  actual: T,
  expected: T,
  what: string,
): void {
  if (actual !== expected)
    throw new Violation(`${what} is ${text(actual)}, and has to be ${text(expected)}`);
}

export function oneOf<T extends number | bigint | string>(
  actual: T,
  expected: readonly T[],
  what: string,
): void {
  if (!expected.includes(actual)) {
    const list = expected.map(text).join(" or ");
    throw new Violation(`${what} is ${text(actual)}, and has to be ${list}`);
  }
}

/** Compares bytes, and names the first that differs. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array, what: string): void {
  equal(actual.length, expected.length, `the length of ${what}`);
  for (let at = 0; at < expected.length; at++) {
    if (actual[at] !== expected[at])
      throw new Violation(
        `byte ${at} of ${what} is ${hex(actual[at])}, and has to be ${hex(expected[at])}`,
      );
  }
}

/** Checks that all bytes have one value. */
export function allBytes(actual: Uint8Array, value: number, what: string): void {
  for (let at = 0; at < actual.length; at++) {
    if (actual[at] !== value)
      throw new Violation(
        `byte ${at} of ${what} is ${hex(actual[at])}, and has to be ${hex(value)}`,
      );
  }
}

/** Different bytes everywhere, so that a shifted copy is noticed. */
export function pattern(bytes: number, seed = 1): Uint8Array {
  const data = new Uint8Array(bytes);
  let state = (seed * 0x9e3779b1) >>> 0;
  for (let at = 0; at < bytes; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[at] = state >>> 24;
  }
  return data;
}

function text(value: number | bigint | string | boolean | null): string {
  return typeof value === "bigint" ? `0x${value.toString(16)}` : String(value);
}

function hex(byte: number | undefined): string {
  return `0x${(byte ?? 0).toString(16).padStart(2, "0")}`;
}
