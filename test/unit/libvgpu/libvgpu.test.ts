// SPDX-License-Identifier: Apache-2.0
/**
 * Runs the C tests of libvgpu, built with the address and undefined-behaviour sanitizers, one
 * vitest test for each; and holds what libvgpu writes on the submit queue against the device's own
 * decoder.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { decodeSubmit } from "../../../src/command/decode.js";
import { makeTests, testBuild } from "./build.js";

const program = join(testBuild, "libvgpu-test");
makeTests();
const names = execFileSync(program, ["--list"], { encoding: "utf8" }).trim().split("\n");

describe("libvgpu against a mock back end", () => {
  const folder = mkdtempSync(join(tmpdir(), "libvgpu-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("lists its tests", () => {
    expect(names.length).toBeGreaterThan(30);
    expect(existsSync(join(testBuild, "mock-backend"))).toBe(true);
  });

  it.each(names)("%s", (name) => {
    const run = spawnSync(program, [name], {
      encoding: "utf8",
      timeout: 60_000,
      env: { ...process.env, TMPDIR: folder },
    });
    expect(run.stderr).toBe("");
    expect(run.status).toBe(0);
  });
});

/** Runs a test and gives what it put on the submit queue. */
function recorded(name: string, folder: string): Uint8Array[] {
  const file = join(folder, `${name}.hex`);
  const env = { ...process.env, TMPDIR: folder, MOCK_RECORD: file };
  expect(spawnSync(program, [name], { timeout: 60_000, env }).status).toBe(0);
  const lines = readFileSync(file, "utf8").trim().split("\n");
  return lines.map((line) => new Uint8Array(Buffer.from(line, "hex")));
}

describe("the device's decoder reads what libvgpu writes", () => {
  const folder = mkdtempSync(join(tmpdir(), "libvgpu-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const cases: [string, string[]][] = [
    ["launches", ["copyFromDevice", "functionCreate", "launch", "moduleLoad", "writeInline"]],
    ["copies-of-every-size", ["copyFromDevice", "copyToDevice", "fill", "writeInline"]],
    ["fills-and-device-copies", ["copyDevice", "copyFromDevice", "fill"]],
    ["events-and-streams", ["eventRecord", "eventWait", "fill"]],
    ["modules-and-functions", ["functionCreate", "functionDestroy", "moduleLoad", "moduleUnload"]],
    ["large-commands", ["functionCreate", "launch", "moduleLoad"]],
  ];
  it.each(cases)("%s", (name, expected) => {
    const kinds = new Set<string>();
    for (const submit of recorded(name, folder)) {
      const decoded = decodeSubmit(submit);
      if ("status" in decoded) throw new Error(`${decoded.text} in ${submit.length} bytes`);
      for (const command of decoded.commands) kinds.add(command.kind);
    }
    expect([...kinds].sort()).toEqual(expected);
  });
});
