// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";

/** The package's version, from the package.json two levels above this file (src or dist). */
export function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
