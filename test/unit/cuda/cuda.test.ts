// SPDX-License-Identifier: Apache-2.0
/**
 * libcuda and libcudart on a fake libvgpu, without a GPU: C programs, each test a process of its
 * own. With the sanitizers, but for managed memory: its addresses are where theirs keep theirs.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";

const here = new URL(".", import.meta.url).pathname;
const guestDriver = join(here, "../../../guest-driver");

/** Two test files, or two runs, may build at a time. */
function make(directory: string, ...options: readonly string[]): void {
  mkdirSync(join(guestDriver, "build"), { recursive: true });
  const lock = join(guestDriver, "build/.lock");
  const made = spawnSync("flock", [lock, "make", "-s", "-j2", "-C", directory, ...options], {
    encoding: "utf8",
  });
  if (made.status !== 0) throw new Error(`make failed:\n${made.stdout}${made.stderr}`);
}

const plain = join(guestDriver, "build/test-cuda/cuda-test");
const sanitized = join(guestDriver, "build/test-cuda-sanitize/cuda-test");

/** The names as the sources list them, so that they are known before anything is built. */
const names = ["test-driver.c", "test-graph.c", "test-runtime.c"].flatMap((file) =>
  [...readFileSync(join(here, file), "utf8").matchAll(/^\t\{ "([a-z-]+)", \w+ \},$/gm)].map(
    (match) => match[1] ?? "",
  ),
);

describe("libcuda and libcudart", () => {
  beforeAll(() => {
    make(here, "SANITIZE=1");
    make(here);
    make(join(guestDriver, "cuda"));
  }, 300_000);

  it("lists the tests that the sources have", () => {
    expect(execFileSync(plain, { encoding: "utf8" }).trim().split("\n")).toEqual(names);
    expect(names.length).toBeGreaterThan(30);
  });

  it.each(names)("%s", (name) => {
    const program = name === "managed" ? plain : sanitized;
    // Handles that a program forgets keep their memory for good: see objects.c.
    const env = { ...process.env, ASAN_OPTIONS: "detect_leaks=0" };
    const run = spawnSync(program, [name], { encoding: "utf8", timeout: 30_000, env });
    expect({ status: run.status, stderr: run.stderr }).toEqual({ status: 0, stderr: "" });
  });

  it("exports CUDA's names and nothing else", () => {
    const exported = (library: string): string[] =>
      execFileSync("nm", ["-D", "--defined-only", join(guestDriver, "build/lib", library)], {
        encoding: "utf8",
      })
        .trim()
        .split("\n")
        .map((line) => line.split(" ").pop() ?? "");
    const driver = exported("libcuda.so.1");
    expect(driver.filter((name) => !/^cu[A-Z]/.test(name))).toEqual([]);
    expect(driver).toContain("cuMemAlloc_v2");
    expect(driver).toContain("cuLaunchKernel_ptsz");
    const runtime = exported("libcudart.so.13").filter((name) => name !== "libcudart.so.13");
    const foreign = runtime.filter((name) => !/^(__)?cuda[A-Z]\w+@@libcudart\.so\.13$/.test(name));
    expect(foreign).toEqual([]);
    expect(runtime).toContain("__cudaRegisterFatBinary@@libcudart.so.13");
  });

  it("finds every exported driver function by name", () => {
    const list = readFileSync(join(guestDriver, "cuda/driver/procs.inc"), "utf8");
    const unsupported = readFileSync(join(guestDriver, "cuda/driver/unsupported.inc"), "utf8");
    const exported = execFileSync(
      "nm",
      ["-D", "--defined-only", join(guestDriver, "build/lib/libcuda.so.1")],
      { encoding: "utf8" },
    );
    const known = new Set(`${list} ${unsupported}`.match(/\bcu[A-Z]\w+/g));
    // Older forms of calls, which cuGetProcAddress gives no more.
    const missing = [...exported.matchAll(/ (cu[A-Z]\w+)$/gm)]
      .map((match) => match[1] ?? "")
      .filter((name) => !known.has(name));
    expect(missing).toEqual([]);
  });
});
