// SPDX-License-Identifier: Apache-2.0
/** Libraries that are loaded on a thread: in processes of their own, since it is done once in each. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { preload } from "../../src/io/native.js";

function run(body: string): { status: number | null; out: string } {
  const source = `
    import { existsSync, readFileSync } from "node:fs";
    import { preload, preloaded } from "./src/io/native.ts";
    const loaded = (path) => readFileSync("/proc/self/maps", "utf8").includes(path);
    ${body}`;
  const child = spawnSync(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "--eval", source],
    { cwd: new URL("../..", import.meta.url), encoding: "utf8" },
  );
  return { status: child.status, out: child.stdout + child.stderr };
}

/** A library whose constructor takes its time, and leaves a file when it is over. */
function slowLibrary(folder: string, name: string): { library: string; mark: string } {
  const [library, mark] = [join(folder, `${name}.so`), join(folder, `${name}.mark`)];
  const source = `#include <fcntl.h>
    #include <unistd.h>
    __attribute__((constructor)) static void slow(void)
    { usleep(300000); close(creat("${mark}", 0600)); }`;
  const flags = ["-shared", "-fPIC", "-x", "c", "-", "-o", library];
  execFileSync(process.env.CC ?? "cc", flags, { input: source });
  return { library, mark };
}

describe("preload", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "vgpu-preload-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("loads what there is, passes over the rest, and does nothing the second time", () => {
    const [first, second] = ["first", "second"].map((name) => slowLibrary(folder, name));
    const { status, out } = run(`
      preload(["/nowhere/libnothing.so", "${first?.library}"]);
      preload(["${second?.library}"]);
      preloaded();
      console.log(loaded("${first?.library}"), loaded("${second?.library}"));`);
    expect(out).toBe("true false\n");
    expect(status).toBe(0);
    expect(existsSync(first?.mark ?? "")).toBe(true);
    expect(existsSync(second?.mark ?? "")).toBe(false);
  });

  it("is waited for", () => {
    const { library, mark } = slowLibrary(folder, "waited");
    const { status, out } = run(`
      process.once("exit", () => {
        preloaded();
        console.log(existsSync("${mark}"));
        preloaded();
      });
      preload(["${library}"]);
      console.log(existsSync("${mark}"));
      process.exit(3);`);
    expect(out).toBe("false\ntrue\n");
    expect(status).toBe(3);
  });

  it("need not have been begun to be waited for", () => {
    const { status, out } = run("preloaded(); console.log(1);");
    expect(out).toBe("1\n");
    expect(status).toBe(0);
  });

  it("refuses what are no paths", () => {
    const wrong = preload as unknown as (paths: unknown) => void;
    for (const paths of [undefined, "x", [1], [["x"]]])
      expect(() => wrong(paths)).toThrow(TypeError);
    for (const paths of [[""], ["x".repeat(4096)], Array(65).fill("x")])
      expect(() => wrong(paths)).toThrow(RangeError);
  });
});
