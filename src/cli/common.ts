// SPDX-License-Identifier: Apache-2.0
/** What the command-line programs share: exit codes, sizes, versions. */
import { readFileSync } from "node:fs";

export const ExitCode = { ok: 0, failure: 1, usage: 2 } as const;

/** A mistake in the arguments: the message is shown without a stack, the exit code is 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const UNITS: Readonly<Record<string, number>> = { "": 0, K: 10, M: 20, G: 30, T: 40 };

/**
 * A size in bytes: a whole number, optionally with K, M, G or T (powers of 1024; `KiB`, `MB` and the
 * like mean the same). Throws UsageError naming the option.
 */
export function parseSize(text: string, option: string): number {
  const match = /^(\d+)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  const bytes = match ? Number(match[1]) * 2 ** (UNITS[(match[2] ?? "").toUpperCase()] ?? 0) : 0;
  if (!Number.isSafeInteger(bytes) || bytes <= 0)
    throw new UsageError(`${option}: '${text}' is no size such as 512M or 4GiB`);
  return bytes;
}

/** The package's version, from the package.json two levels above this file (src or dist). */
export function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
