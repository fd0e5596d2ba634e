// SPDX-License-Identifier: Apache-2.0
/**
 * Writes spec/conformance.md, or with `--check` compares it. Apart from generate.ts, since the list
 * of tests comes from the suite itself, which loads the addon. Ends with status 1 if a MUST of the
 * device has no test, or a test names a statement that does not exist.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { allCases } from "../src/conformance/index.js";
import {
  type Coverage,
  coverage,
  type Tagged,
  taggedFiles,
  writeConformance,
} from "./generate/conformance.js";

const root = fileURLToPath(new URL("..", import.meta.url));
export const CONFORMANCE_PATH = join(root, "spec/conformance.md");

/** Tests of the suite, their cases taken together. */
export function suiteTests(): Tagged[] {
  const tests = new Map<string, Set<string>>();
  for (const { id, statements } of allCases()) {
    const [name = id] = id.split(":");
    const numbers = tests.get(name) ?? new Set();
    for (const number of statements) numbers.add(`VGPU-DEV-${number}`);
    tests.set(name, numbers);
  }
  return [...tests].map(([name, statements]) => ({ name, statements: [...statements] }));
}

export function currentCoverage(): Coverage {
  const text = readFileSync(join(root, "spec/virtio-vgpu.md"), "utf8");
  return coverage(text, suiteTests(), taggedFiles(root));
}

function main(args: readonly string[]): number {
  const found = currentCoverage();
  for (const problem of found.problems) console.error(problem);
  const text = writeConformance(found);
  const stale = readFileSync(CONFORMANCE_PATH, { encoding: "utf8", flag: "a+" }) !== text;
  if (stale && args.includes("--check")) {
    console.error('spec/conformance.md is stale: run "npm run generate"');
    return 1;
  }
  if (stale) {
    writeFileSync(CONFORMANCE_PATH, text);
    console.log("wrote spec/conformance.md");
  }
  return found.problems.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.exitCode = main(process.argv.slice(2));
