// SPDX-License-Identifier: Apache-2.0
/** Builds libvgpu's C tests and the examples, with sanitizers; two test files may ask at once. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
export const guestDriver = join(here, "../../../guest-driver");
/** libvgpu-test, libvgpu-real and mock-backend. */
export const testBuild = join(guestDriver, "build/test-libvgpu-sanitize");
export const exampleBuild = join(guestDriver, "build/bin-sanitize");

function locked(directory: string): void {
  mkdirSync(join(guestDriver, "build"), { recursive: true });
  const args = [
    join(guestDriver, "build/.lock"),
    "make",
    "-s",
    "-C",
    directory,
    "SANITIZE=1",
    "-j2",
  ];
  const made = spawnSync("flock", args, { encoding: "utf8" });
  if (made.status !== 0) throw new Error(`make failed:\n${made.stdout}${made.stderr}`);
}

export function makeTests(): void {
  locked(here);
}

export function makeExamples(): void {
  locked(join(guestDriver, "examples"));
}
