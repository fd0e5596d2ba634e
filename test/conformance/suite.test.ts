// SPDX-License-Identifier: Apache-2.0
// The conformance suite against our own device, with an executor that computes nothing and with
// Dawn, and the command-line program around it.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { allCases } from "../../src/conformance/index.js";
import { failures, runSuite } from "../support/conformance.js";
import { InstanceProcess } from "../support/instance-process.js";

let instance: InstanceProcess | null = null;
afterEach(async () => {
  await instance?.stop();
  instance = null;
});

const start = async (...args: readonly string[]): Promise<InstanceProcess> => {
  instance = await InstanceProcess.start("--log-level=fatal", ...args);
  return instance;
};

describe("the conformance suite", () => {
  it("passes against our device with the null executor", { timeout: 120_000 }, async () => {
    const results = await runSuite(await start("--executor=null"));
    expect(failures(results)).toEqual([]);
    const passed = results.filter(({ outcome }) => outcome === "passed");
    expect(passed.length).toBeGreaterThan(650);
    const reasons = new Set(results.map(({ reason }) => reason).filter((reason) => reason !== ""));
    for (const reason of reasons)
      expect(reason).toMatch(/^(not offered: |the executor computes nothing)/);
  });

  it("passes against our device on Dawn", { timeout: 120_000 }, async () => {
    const results = await runSuite(await start("--executor=dawn"));
    expect(failures(results)).toEqual([]);
    const reasons = new Set(results.map(({ reason }) => reason).filter((reason) => reason !== ""));
    for (const reason of reasons) expect(reason).toMatch(/^not offered: /);
  });
});

describe("vgpu-conformance", () => {
  const program = fileURLToPath(new URL("../../src/cli/vgpu-conformance.ts", import.meta.url));
  const conformance = async (
    ...args: readonly string[]
  ): Promise<{ code: number; stdout: string; stderr: string }> => {
    const run = promisify(execFile);
    try {
      const { stdout, stderr } = await run(process.execPath, ["--import", "tsx", program, ...args]);
      return { code: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, stdout, stderr };
    }
  };

  it("prints a table and writes a report", async () => {
    const { path } = await start("--executor=null");
    const folder = mkdtempSync(join(tmpdir(), "vgpu-conformance-"));
    const file = join(folder, "report.json");
    const { code, stdout } = await conformance(
      `--socket-path=${path}`,
      "--filter=device/config,command/launch/result/scale,session/descriptors/leak/memory",
      `--json=${file}`,
    );
    expect(code).toBe(0);
    expect(stdout).toMatch(/^device\/config\/magic +DEV-2 +pass +[\d.]+ ms$/m);
    expect(stdout).toMatch(/^command\/launch\/result\/scale .* skip .*computes nothing$/m);
    expect(stdout).toMatch(/leak\/memory .* skip .*\(--pid\)$/m);
    expect(stdout).toMatch(/^4 passed, 0 failed, 2 skipped; 3 statements/m);
    const report = JSON.parse(readFileSync(file, "utf8"));
    expect(report.totals).toEqual({ passed: 4, failed: 0, skipped: 2 });
    expect(report.device.computes).toBe(false);
    expect(report.results).toContainEqual(
      expect.objectContaining({ id: "device/config/magic", statements: [2], outcome: "passed" }),
    );
    rmSync(folder, { recursive: true });
  });

  it("fails when a test fails, and names it", async () => {
    instance = await InstanceProcess.startMutant("magic", "--executor=null", "--log-level=fatal");
    const { code, stdout } = await conformance(
      `--socket-path=${instance.path}`,
      "--filter=device/config",
      "--quiet",
    );
    expect(code).toBe(1);
    expect(stdout).toMatch(/^device\/config\/magic .* FAIL .* config.magic is .* has to be/m);
  });

  it("lists its tests without a back end", async () => {
    const { code, stdout } = await conformance("--list");
    expect(code).toBe(0);
    expect(stdout.match(/^\S+ {2}\[/gm)?.length).toBe(allCases().length);
  });

  it("exits with 2 for wrong options, with 1 without a back end", async () => {
    expect((await conformance()).code).toBe(2);
    expect((await conformance("--filter=no/such/test", "--list")).code).toBe(2);
    expect((await conformance("--timeout=0", "--socket-path=/nowhere")).code).toBe(2);
    const gone = await conformance("--socket-path=/nowhere/vgpu.sock");
    expect(gone.code).toBe(1);
    expect(gone.stderr).toMatch(/ENOENT/);
  });
});
