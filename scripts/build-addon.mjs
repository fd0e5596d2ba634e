// SPDX-License-Identifier: Apache-2.0
//
// Builds the native addon and vgpu-launch: the `install` script of package.json. It exists because
// npm's implicit `node-gyp rebuild` (triggered by binding.gyp) downloads Node's headers; cmake-js with
// `node-api-headers` needs none. It builds only when a source, a flag or the Node-API headers
// changed since the last build, so calling it from every entry point is cheap.
//
// Usage: node scripts/build-addon.mjs [--force] [--sanitize] [--quiet]
// Output: vgpu_native.node and vgpu-launch in build/Release (build/asan/Release with --sanitize).

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(import.meta.url);
const args = new Set(process.argv.slice(2));
const force = args.has("--force");
const sanitize = args.has("--sanitize");
const quiet = args.has("--quiet");
const outDir = join(root, sanitize ? "build/asan" : "build");
const addonPath = join(outDir, "Release", "vgpu_native.node");
const launcherPath = join(outDir, "Release", "vgpu-launch");
const stampPath = join(outDir, "vgpu_native.stamp");

function say(text) {
  if (!quiet) console.log(`[addon] ${text}`);
}

function fail(text) {
  console.error(`[addon] ${text}`);
  process.exit(1);
}

/** The hash of everything the binary depends on; the Node version does not matter to Node-API. */
function sourceHash() {
  const hash = createHash("sha256");
  const nativeDir = join(root, "native");
  const files = readdirSync(nativeDir)
    .filter((name) => /\.(cc|h|gypi)$/.test(name))
    .sort()
    .map((name) => join(nativeDir, name));
  for (const file of [...files, join(root, "CMakeLists.txt")]) {
    hash
      .update(`${file.slice(root.length)}\0`)
      .update(readFileSync(file))
      .update("\0");
  }
  for (const name of ["node-addon-api", "node-api-headers"]) {
    hash.update(`${name}@${require(`${name}/package.json`).version}\0`);
  }
  hash.update(`${process.arch} ${sanitize ? "asan" : "release"} ${root}`);
  return hash.digest("hex");
}

function hasCommand(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

function missingTools() {
  const compiler = process.env.CXX ?? "c++";
  const missing = [];
  if (!hasCommand("cmake")) missing.push("cmake");
  if (!hasCommand(compiler) && !hasCommand("g++")) missing.push("g++");
  if (!hasCommand("make") && !hasCommand("ninja")) missing.push("make");
  return missing;
}

function cmakeJsEntry() {
  try {
    const manifest = require.resolve("cmake-js/package.json");
    return join(dirname(manifest), require(manifest).bin["cmake-js"]);
  } catch {
    return fail("The package cmake-js is missing. Run: npm install --include=dev --ignore-scripts");
  }
}

/** Runs cmake-js, echoing compiler progress; keeps the log for the error message. */
function runCmakeJs(entry) {
  const cmakeArgs = ["compile", "--directory", root, "--out", outDir, "--config", "Release"];
  cmakeArgs.push("--parallel", "2", "--log-level", "info");
  if (sanitize) cmakeArgs.push("--CDVGPU_SANITIZE=ON");
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [entry, ...cmakeArgs], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const log = [];
    const onData = (chunk) => {
      log.push(chunk);
      for (const line of chunk.toString().split("\n")) {
        const step = /^\[\s*\d+(%|\/\d+)\].*$/.exec(line.trim());
        if (step) say(step[0]);
      }
    };
    child.stdout.on("data", onData);
    child.stderr.on("data", onData);
    child.on("error", (error) => resolve({ code: 1, log: String(error) }));
    child.on("close", (code) => resolve({ code, log: Buffer.concat(log).toString() }));
  });
}

async function main() {
  if (process.platform !== "linux") fail(`para-vgpu runs on Linux; this is ${process.platform}.`);
  for (const name of ["node-addon-api", "node-api-headers"]) {
    if (!existsSync(join(root, "node_modules", name))) {
      fail(`The package ${name} is missing. Run: npm install --include=dev --ignore-scripts`);
    }
  }
  const hash = sourceHash();
  const built = existsSync(addonPath) && existsSync(launcherPath);
  const fresh = built && existsSync(stampPath) && readFileSync(stampPath, "utf8") === hash;
  if (fresh && !force) return say("build/Release/vgpu_native.node is up to date.");

  const missing = missingTools();
  if (missing.length > 0) {
    fail(
      `The addon cannot be built: ${missing.join(", ")} not found. ` +
        `Run: apt-get install --yes ${missing.join(" ")}`,
    );
  }
  say("Building the native addon (a few seconds) …");
  const startedMs = Date.now();
  rmSync(stampPath, { force: true });
  // A build folder that was configured for another checkout or compiler is not reusable.
  if (force) rmSync(outDir, { recursive: true, force: true });
  const { code, log } = await runCmakeJs(cmakeJsEntry());
  if (code !== 0 || !existsSync(addonPath) || !existsSync(launcherPath)) {
    console.error(log);
    fail(`The build of the addon fails with exit status ${code}; the log is above.`);
  }
  writeFileSync(stampPath, hash);
  say(`Built in ${((Date.now() - startedMs) / 1000).toFixed(1)} s.`);
}

await main();
