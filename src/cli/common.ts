// SPDX-License-Identifier: Apache-2.0
/** What the command-line programs share: exit codes, sizes, versions. */
import { readFileSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { packageRoot } from "../io/package-root.js";

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

/** The package's version. */
export function packageVersion(): string {
  const text = readFileSync(new URL("package.json", packageRoot), "utf8");
  const { version } = JSON.parse(text) as { version: string };
  return version;
}

/** Whether this process was started as the program of that name, not as one that imports it. */
export function isProgram(name: string): boolean {
  const [, path] = process.argv;
  return path !== undefined && basename(realpathSync(path)).replace(/\.[jt]s$/, "") === name;
}
