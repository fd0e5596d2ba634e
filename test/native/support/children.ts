// SPDX-License-Identifier: Apache-2.0
//
// Runs a script with the addon in a process of its own: for what may end the process, or what must
// be seen from outside. Scripts are plain JavaScript, with the addon as `native`.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const addonPath =
  process.env.VGPU_ADDON ??
  fileURLToPath(new URL("../../../build/Release/vgpu_native.node", import.meta.url));

export interface ChildResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs `source` to its end; `native` is the addon in it, `require` is Node's. */
export function runScript(source: string, nodeFlags: readonly string[] = []): Promise<ChildResult> {
  const prelude = `const native = require(${JSON.stringify(addonPath)});\n`;
  const child = spawn(process.execPath, [...nodeFlags, "-e", prelude + source], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  return new Promise((resolve, reject) => {
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += String(chunk);
    });
    child.stderr.on("data", (chunk) => {
      stderr += String(chunk);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** How many descriptors this process has open. */
export function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}
