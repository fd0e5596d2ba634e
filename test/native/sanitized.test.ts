// SPDX-License-Identifier: Apache-2.0
/** The addon's tests again, with sanitizers: a build and a process of their own. */
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";

const script = new URL("run-sanitized.sh", import.meta.url).pathname;
const runtime = spawnSync("sh", [
  "-c",
  'f=$("$0" -print-file-name=libasan.so); [ -e "$f" ]',
  "g++",
]);
const skip = runtime.status === 0 ? "" : " (libasan.so is not installed)";

it.skipIf(skip !== "")(
  `the addon's tests and a fuzzed session find nothing under the sanitizers${skip}`,
  () => {
    const { status, stdout, stderr } = spawnSync("bash", [script], {
      timeout: 280_000,
      encoding: "utf8",
      env: { ...process.env, VGPU_TEST_SUMMARY: undefined },
    });
    const output = `${stdout}\n${stderr}`;
    expect(status, output.slice(-6000)).toBe(0);
    expect(output).not.toMatch(/AddressSanitizer:|runtime error:/);
    expect(output).toMatch(/\n\d{2,} passed, 0 failed/);
    expect(output).toMatch(/vhost-session +\d+ inputs.* 0 crashes/);
    expect(output).toMatch(/addon +5000 inputs/);
  },
  300_000,
);
