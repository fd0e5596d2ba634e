#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/**
 * What stands in dist/cli under the name of each program: it runs the bundle of that name in
 * dist/programs, with the byte code that V8 had made of it when it was built. Loading hundreds of
 * modules one by one, and compiling them anew, took longer than opening the GPU.
 *
 * The byte code is only a help. V8 refuses what another version of it has made, and what does not
 * belong to this very bundle is left aside here: the last line of the bundle, a hash of the rest, is
 * also the first of the byte code. Nobody writes it but the build, since an instance may only read.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { constants, Script } from "node:vm";
import { driverLibraries } from "../gpu/dawn/driver-files.js";
import type { NativeAddon } from "../io/native-types.js";
import { addonPath } from "../io/package-root.js";

/** Length of the line that says to which bundle byte code belongs: `//# ` and SHA-256. */
const MARK_LENGTH = 4 + 64;

type Wrapper = (
  exports: object,
  require: NodeJS.Require,
  module: { exports: object },
  filename: string,
  directory: string,
) => void;

function codeOf(bundle: string, source: string): Buffer | undefined {
  try {
    const code = readFileSync(`${bundle}.code`);
    const mark = code.toString("latin1", 0, MARK_LENGTH);
    return source.endsWith(mark) ? code.subarray(MARK_LENGTH) : undefined;
  } catch {
    return undefined;
  }
}

function start(bundle: string): void {
  // Bundles are ASCII, and V8 keeps a text of one byte a character as it is.
  const source = readFileSync(bundle, "latin1");
  const cachedData = codeOf(bundle, source);
  const script = new Script(
    `(function (exports, require, module, __filename, __dirname) { ${source}\n})`,
    {
      filename: bundle,
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
      ...(cachedData === undefined ? {} : { cachedData }),
    },
  );
  const module = { exports: {} };
  const run = script.runInThisContext() as Wrapper;
  run(module.exports, createRequire(bundle), module, bundle, dirname(bundle));
  keep?.(script);
}

/** Options with which an instance opens no GPU. */
const WITHOUT_GPU =
  /^(--(help|version|print-capabilities|executor=(null|faulty))|-[hV]|null|faulty)$/;

/**
 * The GPU's driver is loaded on another thread while this one loads the program: either takes some tens
 * of milliseconds. Whatever is wrong with it is said where it is needed.
 */
function preloadDriver(): void {
  if (process.argv.length < 3 || process.argv.some((each) => WITHOUT_GPU.test(each))) return;
  try {
    const libraries = driverLibraries(process.env);
    if (libraries.length === 0) return;
    const addon = createRequire(import.meta.url)(addonPath()) as NativeAddon;
    addon.preload(libraries);
    process.once("exit", () => addon.preloaded());
  } catch {
    // No addon, or an old one.
  }
}

/** Set by the build alone, which makes the byte code when the program ends. */
const keep = (globalThis as { vgpuKeepScript?: (script: Script) => void }).vgpuKeepScript;

// The nursery is small and nearly empty when it is collected: threads that help cost more to wake than
// they spare, the more so where the host's cores are busy with other instances.
setFlagsFromString("--no-parallel-scavenge");
const file = fileURLToPath(import.meta.url);
if (basename(file) === "vgpu-instance.js") preloadDriver();
start(fileURLToPath(new URL(`../programs/${basename(file)}`, import.meta.url)));
