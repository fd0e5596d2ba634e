// SPDX-License-Identifier: Apache-2.0
/** Read-only storage that decides control flow around barriers is bound as a uniform copy. */
import { describe, expect, test } from "vitest";
import type { LaunchArgument } from "../../../src/kernel/wgsl/index.js";
import {
  findEntry,
  planLaunch,
  reflectModule,
  rewriteKernel,
  shapeOfKey,
} from "../../../src/kernel/wgsl/index.js";
import { compileErrors, LIMITS, runLaunch } from "../../support/wgsl-gpu.js";

function kernel(body: string, declarations = ""): string {
  return `${declarations}
    @group(0) @binding(0) var<storage, read> dims: array<u32>;
    @group(0) @binding(1) var<storage, read> more: array<u32>;
    @group(0) @binding(2) var<storage, read_write> out: array<u32>;
    var<workgroup> tile: array<u32, 16>;
    @compute @workgroup_size(16) fn main(
      @builtin(local_invocation_index) l: u32, @builtin(workgroup_id) w: vec3u) {
      _ = dims[0] + more[0]; out[l] = 1; ${body} }`;
}

function copied(body: string, declarations = ""): string[] {
  const entry = findEntry(reflectModule(kernel(body, declarations)), "main");
  return [...entry.uniformReads].map((i) => entry.resources[i]?.name ?? "");
}

describe("which arguments are copied", () => {
  const barrier = "tile[l] += tile[15 - l]; workgroupBarrier();";

  test.each([
    ["a loop's bound", `for (var i = 0u; i < dims[0]; i++) { ${barrier} }`, ["dims"]],
    [
      "through variables",
      `let n = dims[1]; var m = n * 2; while (m > 0) { m--; ${barrier} }`,
      ["dims"],
    ],
    ["a uniform index", `if (more[dims[w.x]] > 1) { ${barrier} }`, ["dims", "more"]],
    ["a switch", `switch more[0] { case 1 { ${barrier} } default {} }`, ["more"]],
    ["break if", `loop { ${barrier} continuing { break if dims[0] > 1; } }`, ["dims"]],
    ["a return before", `if (dims[0] == 0) { return; } ${barrier}`, ["dims"]],
    ["through a pointer", `let p = &dims[3]; if (*p > 1) { ${barrier} }`, ["dims"]],
    ["a uniform load", "if (dims[0] > 1) { _ = workgroupUniformLoad(&tile[0]); }", ["dims"]],
    ["no barrier", "if (dims[0] > 1) { out[0] = 2; }", []],
    ["no condition", `tile[l] = dims[l] + more[0]; ${barrier}`, []],
    ["a varying index", `if (dims[l] > 1) { out[l] = 2; } ${barrier}`, []],
    ["a varying value beside it", `if (dims[0] + out[l] > 1) { out[l] = 2; } ${barrier}`, []],
    ["only its length", `for (var i = 0u; i < arrayLength(&dims); i++) { ${barrier} }`, []],
  ])("%s", (_, body, expected) => {
    expect(copied(body)).toEqual(expected);
  });

  test("through functions, in and out", () => {
    const functions = `fn twice(v: u32) -> u32 { return v * 2u; }
      fn fetch_() -> u32 { return more[2]; }
      fn sync(n: u32) { for (var i = 0u; i < n; i++) { workgroupBarrier(); } }`;
    expect(copied("sync(twice(dims[0]));", functions)).toEqual(["dims"]);
    expect(copied("sync(fetch_());", functions)).toEqual(["more"]);
    expect(copied("out[0] = twice(fetch_());", functions)).toEqual([]);
  });
});

describe("launches", () => {
  const SOURCE = kernel(`
    for (var i = 0u; i < dims[1]; i++) {
      tile[l] = out[l] + dims[0]; workgroupBarrier();
      out[l] += tile[15 - l]; workgroupBarrier();
    }`);
  const at = (start: number, offset: number, bytes = 64): LaunchArgument => {
    const common = { kind: "pointer", segment: 0, allocationStart: start } as const;
    return { ...common, allocationBytes: bytes, offset: start + offset };
  };

  test("the copy makes the compiler accept what it refuses of read_write storage", async () => {
    const entry = findEntry(reflectModule(SOURCE), "main");
    expect(await compileErrors(rewriteKernel(entry, "").wgsl)).toContain("uniform control flow");
    const plan = planLaunch(entry, [at(256, 8), at(512, 0), at(0, 0)], LIMITS);
    expect(shapeOfKey(entry, plan.key)).toEqual([
      { mode: "plain", arguments: [1], bytes: 0 },
      { mode: "plain", arguments: [2], bytes: 0 },
      { mode: "copy", arguments: [0], bytes: 256 },
    ]);
    expect(plan.copies).toEqual([{ segment: 0, offset: 256, bytes: 256 }]);
    expect([...(plan.params ?? [])].slice(0, 2)).toEqual([8, 14]);
    const { wgsl, bindings } = rewriteKernel(entry, plan.key);
    expect(await compileErrors(wgsl)).toBe("");
    expect(bindings.map((b) => [b.kind, b.bytes, b.arguments])).toEqual([
      ["storage", 0, [1]],
      ["storage", 0, [2]],
      ["uniform", 256, [0]],
      ["uniform", 16, []],
    ]);
  });

  test.each([
    ["in an allocation of its own", 256, 4],
    ["in the allocation that the kernel writes", 0, 128],
  ])("the bound %s gives what the CPU gives", async (_, start, offset) => {
    const entry = findEntry(reflectModule(SOURCE), "main");
    const words = new Uint32Array(256);
    words.set([10, 3], (start + offset) / 4);
    const launchArguments = [at(start, offset, 192), at(512, 0), at(0, 0, 192)];
    const launch = { entry, arguments: launchArguments, grid: [1, 1, 1] as const };
    const result = (await runLaunch(new Uint8Array(words.buffer), launch)).slice();
    // Every lane holds the same: v -> v + (v + 10), from 1, three times.
    const expected = [1, 2, 3].reduce((v) => 2 * v + 10, 1);
    expect([...new Uint32Array(result.buffer).subarray(0, 16)]).toEqual(Array(16).fill(expected));
  });

  test("what is larger than a uniform buffer stays storage", () => {
    const entry = findEntry(reflectModule(SOURCE), "main");
    const largest = [at(65536, 0, 65536), at(512, 0), at(0, 0)];
    expect(planLaunch(entry, largest, LIMITS).copies.length).toBe(1);
    const larger = [at(65536, 0, 65537), at(512, 0), at(0, 0)];
    expect(planLaunch(entry, larger, LIMITS)).toMatchObject({ key: "", copies: [] });
  });
});
