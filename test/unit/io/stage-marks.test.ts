// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const module = new URL("../../../src/io/stage-marks.ts", import.meta.url).href;
const root = new URL("../../..", import.meta.url).pathname;
let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vgpu-marks-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function run(env: Record<string, string>): void {
  const code = `const { markStage } = await import("${module}");
    markStage("taken"); markStage("done"); markStage("taken");`;
  execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
    cwd: root,
    env: { ...process.env, ...env },
  });
}

describe("marks of stages", () => {
  it("are written when the process ends, in their order", () => {
    const path = join(folder, "marks");
    run({ VGPU_STAGES: path });
    const file = readFileSync(path);
    const end = file.indexOf("\n");
    const names = file.toString("latin1", 0, end).split(" ");
    expect(file.length - end - 1).toBe(3 * 16);
    const at = [0, 1, 2].map((i) => end + 1 + 16 * i);
    expect(at.map((from) => names[file.readDoubleLE(from)])).toEqual(["taken", "done", "taken"]);
    const times = at.map((from) => file.readDoubleLE(from + 8));
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  it("are not kept where nobody asks for them", () => {
    run({ VGPU_STAGES: "" });
    expect(readdirSync(folder)).toEqual([]);
  });
});
