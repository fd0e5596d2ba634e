// SPDX-License-Identifier: Apache-2.0
/** Libraries that are loaded on a thread: in processes of their own, since it is done once in each. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { preload } from "../../src/io/native.js";

/** Part of every libc, and loaded by nobody. */
const LIBRARY = "libBrokenLocale.so.1";

function run(body: string): { status: number | null; out: string } {
  const source = `
    import { readFileSync } from "node:fs";
    import { preload } from "./src/io/native.ts";
    const loaded = () => readFileSync("/proc/self/maps", "utf8").includes("libBrokenLocale");
    ${body}`;
  const child = spawnSync(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "--eval", source],
    { cwd: new URL("../..", import.meta.url), encoding: "utf8" },
  );
  return { status: child.status, out: child.stdout + child.stderr };
}

describe("preload", () => {
  it("loads what there is, passes over the rest, and does nothing the second time", () => {
    const { status, out } = run(`
      if (loaded()) throw new Error("it is loaded already");
      preload(["/nowhere/libnothing.so", "${LIBRARY}"]);
      preload(["libutil.so.1"]);
      const began = performance.now();
      while (!loaded() && performance.now() - began < 10_000);
      console.log(loaded());`);
    expect(out).toBe("true\n");
    expect(status).toBe(0);
  });

  it("is over before the process ends", () => {
    const folder = mkdtempSync(join(tmpdir(), "vgpu-preload-"));
    try {
      const [library, mark] = [join(folder, "slow.so"), join(folder, "constructed")];
      const source = `#include <fcntl.h>
        #include <unistd.h>
        __attribute__((constructor)) static void slow(void)
        { usleep(300000); close(creat("${mark}", 0600)); }`;
      const flags = ["-shared", "-fPIC", "-x", "c", "-", "-o", library];
      execFileSync(process.env.CC ?? "cc", flags, { input: source });
      const { status, out } = run(`preload(["${library}"]); process.exit(3);`);
      expect(out).toBe("");
      expect(status).toBe(3);
      expect(existsSync(mark)).toBe(true);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("refuses what are no paths", () => {
    const wrong = preload as unknown as (paths: unknown) => void;
    for (const paths of [undefined, "x", [1], [["x"]]])
      expect(() => wrong(paths)).toThrow(TypeError);
    for (const paths of [[""], ["x".repeat(4096)], Array(65).fill("x")])
      expect(() => wrong(paths)).toThrow(RangeError);
  });
});
