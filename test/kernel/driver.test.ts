// SPDX-License-Identifier: Apache-2.0
//
// The guest driver's logic and its fences, compiled in user space from the driver's own files over
// a shim of the kernel (kernel-shim.h). Each case of the C programs is a test of its own. A canary
// breaks the driver's arm protocol and must be caught, or the race test proves nothing.

import { execFile, execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";

const here = import.meta.dirname;
const driver = join(here, "../../guest-driver/kernel");
const uapi = join(here, "../../guest-driver/include/uapi");
const scratch = mkdtempSync(join(tmpdir(), "vgpu-driver-"));
const run = promisify(execFile);

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The kernel's header names, empty: what they hold is in kernel-shim.h. */
function emptyHeaders(source: string): string {
  const root = join(scratch, "include");
  for (const [, name] of source.matchAll(/^#include <(linux\/(?!types|ioctl)[\w/-]+\.h)>/gm)) {
    const file = join(root, name ?? "");
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "");
  }
  for (const name of ["vgpu_drv.h", "vgpu_trace.h"]) writeFileSync(join(root, name), "");
  return root;
}

function compile(name: string, sources: string[], flags: string[] = []): string {
  const program = join(scratch, name);
  const include = emptyHeaders(readFileSync(join(driver, "vgpu_fence.c"), "utf8"));
  const shim = ["-include", join(here, "kernel-shim.h")];
  const paths = [`-I${include}`, `-I${uapi}`, `-I${driver}`, `-I${here}`];
  const warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"];
  const base = ["-std=gnu11", "-O2", "-pthread", ...warnings, ...paths, ...shim];
  execFileSync("cc", [...base, ...flags, ...sources, "-o", program], { stdio: "pipe" });
  return program;
}

function cases(program: string): string[] {
  return execFileSync(program, { encoding: "utf8" }).trim().split("\n");
}

/** A copy of vgpu_fence.c beside an empty vgpu_drv.h, so that its own include finds that one. */
function fenceSource(change: (text: string) => string): string {
  const text = readFileSync(join(driver, "vgpu_fence.c"), "utf8");
  const changed = change(text).replaceAll(/^#define VGPU_HEARTBEAT.*$/gm, "");
  const file = join(mkdtempSync(join(scratch, "fence-")), "vgpu_fence.c");
  writeFileSync(file, changed);
  return file;
}

const heartbeat = ["FIRST", "LAST"].map((n) => `-DVGPU_HEARTBEAT_${n}_NS=(3600*NSEC_PER_SEC)`);
const sanitizer = "-fsanitize=address,undefined";

describe("vgpu_logic.h", () => {
  const program = compile("logic", [join(here, "logic-test.c")], [sanitizer]);
  it.each(cases(program))("%s", async (name) => {
    await run(program, [name]);
  });
});

describe("vgpu_fence.c", () => {
  const program = compile(
    "fence",
    [join(here, "fence-test.c"), fenceSource((text) => text)],
    [...heartbeat, sanitizer],
  );
  it.each(cases(program))("%s", { timeout: 60_000 }, async (name) => {
    await run(program, [name], { timeout: 55_000 });
  });

  it("is caught when it arms for the last waiter only", async () => {
    const least = "vgpu_arm_least(least, completed, sleeper->fence)";
    const broken = fenceSource((text) => {
      expect(text).toContain(least);
      return text.replace(least, "sleeper->fence > completed ? max(least, sleeper->fence) : least");
    });
    const program = compile("broken", [join(here, "fence-test.c"), broken], heartbeat);
    const name = "the_next_fence_is_armed_in_turn";
    await expect(run(program, [name], { timeout: 2_000 })).rejects.toThrow();
  });
});
