// SPDX-License-Identifier: Apache-2.0
//
// Runs a program of dist/cli as it is, and when it ends, writes the byte code that V8 has by then:
//
//   node scripts/lib/code-cache.mjs NAME [ARGUMENT]...
//
// The first line of the file is the last of the bundle: see src/cli/start.ts.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";

const [, , name] = process.argv;
const dist = new URL("../../dist/", import.meta.url);
const program = new URL(`cli/${name}.js`, dist);
const bundle = fileURLToPath(new URL(`programs/${name}.js`, dist));
const mark = readFileSync(bundle, "latin1").slice(-68);

globalThis.vgpuKeepScript = (script) => {
  process.on("exit", () => {
    writeFileSync(`${bundle}.code`, Buffer.concat([Buffer.from(mark), script.createCachedData()]));
  });
};
process.argv.splice(1, 2, fileURLToPath(program));
await import(pathToFileURL(fileURLToPath(program)).href);
