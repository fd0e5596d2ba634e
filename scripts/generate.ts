// SPDX-License-Identifier: Apache-2.0
/**
 * `npm run generate`: writes every file that follows from spec/vgpu.json and spec/gvmcs.json.
 * With `--check` nothing is written: each file is compared, and the first that differs ends the
 * program with status 1, so that a stale generated file can't be merged.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeCHeader, writeStatusStrings } from "./generate/c-header.js";
import { parseDefinition } from "./generate/definition.js";
import { parseGvmcsDefinition } from "./generate/gvmcs-definition.js";
import { writeGvmcsTables, writeGvmcsTypeScript } from "./generate/gvmcs-output.js";
import { writeTables } from "./generate/tables.js";
import { writeTypeScript } from "./generate/typescript.js";
import { writeSubmitVectors } from "./generate/vectors-commands.js";
import { writeControlVectors } from "./generate/vectors-requests.js";
import { writeStructVectors } from "./generate/vectors-structs.js";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** Text of each generated file by its path from the top of the tree. */
export function generateAll(): ReadonlyMap<string, string> {
  const definition = parseDefinition(readFileSync(join(root, "spec/vgpu.json"), "utf8"));
  const gvmcs = parseGvmcsDefinition(readFileSync(join(root, "spec/gvmcs.json"), "utf8"));
  return new Map([
    ["guest-driver/include/uapi/virtio_vgpu.h", writeCHeader(definition)],
    ["guest-driver/libvgpu/status_strings.inc", writeStatusStrings(definition)],
    ["src/protocol/generated/wire.ts", writeTypeScript(definition)],
    ["spec/tables.md", writeTables(definition)],
    ["spec/vectors/structs.json", writeStructVectors(definition)],
    ["spec/vectors/control.json", writeControlVectors(definition)],
    ["spec/vectors/submit.json", writeSubmitVectors(definition)],
    ["src/gvmcs/generated/layout.ts", writeGvmcsTypeScript(gvmcs)],
    ["spec/gvmcs-tables.md", writeGvmcsTables(gvmcs)],
  ]);
}

/** Paths whose content on disk is not what the generator makes. */
export function staleFiles(files: ReadonlyMap<string, string>): string[] {
  const stale: string[] = [];
  for (const [path, text] of files) {
    const full = join(root, path);
    if (!existsSync(full) || readFileSync(full, "utf8") !== text) stale.push(path);
  }
  return stale;
}

function main(args: readonly string[]): number {
  const unknown = args.find((arg) => arg !== "--check");
  if (unknown !== undefined) {
    console.error(`generate: unknown option ${unknown}; the only option is --check`);
    return 2;
  }
  const files = generateAll();
  const stale = staleFiles(files);
  if (args.includes("--check")) {
    for (const path of stale) console.error(`${path} is stale: run "npm run generate"`);
    return stale.length === 0 ? 0 : 1;
  }
  for (const path of stale) {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, files.get(path) ?? "");
    console.log(`wrote ${path}`);
  }
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.exitCode = main(process.argv.slice(2));
