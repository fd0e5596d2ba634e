// SPDX-License-Identifier: Apache-2.0
/** What operators get wrong: one clear line, the right exit status, nothing left behind. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { startBroker } from "../../scripts/lib/broker.js";

const dist = new URL("../../dist/cli", import.meta.url).pathname;

function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(dist, `${program}.js`), ...args],
    { env: { ...process.env, ...env }, encoding: "utf8", timeout: 20_000 },
  );
  return { status, stdout, stderr };
}

const fresh = (): string => mkdtempSync(join(tmpdir(), "vgpu-cli-"));
/** As on a machine without any Vulkan driver. */
const noDriver = { VK_DRIVER_FILES: "/nonexistent/icd.json" };

describe("vgpud", () => {
  it.each([
    [["--colour", "red"], /unknown option '--colour'/],
    [[], /no vGPU is configured: give --vgpu NAME/],
    [["--vgpu", "a,memory=lots"], /memory: "lots" is no size/],
    [["--vgpu", "a", "--executor", "abacus"], /Allowed choices are dawn, null, faulty/],
    [["--vgpu", "a", "--gpu-memory", "plenty"], /--gpu-memory: "plenty" is no size such as 8G/],
    [
      ["--vgpu", "a", "--vgpu", "b,memory=512M", "--gpu-memory", "1280M", "--executor", "null"],
      /vGPU b: 512 MiB of device memory do not fit: 256 MiB of 1280 MiB are left/,
    ],
    [
      ["--vgpu", "a,policy=fixed,min=60%,max=60%", "--vgpu", "b,policy=weighted,min=50%"],
      /vGPU b: a guaranteed share of 0.5 does not fit: 0.6 of 1 is given to other vGPUs/,
    ],
    [["--config", "/nonexistent.json"], /\/nonexistent\.json can't be read/],
  ])("%j: says what is wrong and ends with 2", (args, words) => {
    const { status, stdout, stderr } = run("vgpud", [...args, "--runtime-dir", fresh()]);
    expect(stderr).toMatch(words);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });

  it("says what to install where there is no Vulkan driver, and cleans up", () => {
    const folder = fresh();
    const { status, stderr } = run("vgpud", ["--vgpu", "a", "--runtime-dir", folder], noDriver);
    expect(stderr).toMatch(/no usable Vulkan driver: install .*mesa-vulkan-drivers/);
    expect(stderr).toMatch(/the instance of vGPU "a" ended while it started/);
    expect(status).toBe(1);
    expect(readdirSync(folder)).toEqual([]);
  });

  it("names a socket that another process listens at, and leaves that one alone", async () => {
    const broker = await startBroker({
      vgpus: ["a"],
      logPath: join(fresh(), "log"),
      extraArgs: ["--executor", "null"],
    });
    try {
      const taken = broker.socketOf("a");
      const args = ["--vgpu", `x,socket=${taken}`, "--executor", "null", "--runtime-dir", fresh()];
      const { status, stderr } = run("vgpud", args);
      expect(stderr).toContain(taken);
      expect(stderr).not.toMatch(/\n\s+at /);
      expect(status).toBe(1);
      expect(existsSync(taken)).toBe(true);
      expect((await broker.statusOf("a")).state).toBe("running");
    } finally {
      await broker.stop();
    }
  });
});

describe("vgpuctl", () => {
  it("says where it looked when no vgpud runs", () => {
    const path = join(fresh(), "control.sock");
    const { status, stderr } = run("vgpuctl", ["status", "--control", path]);
    expect(stderr).toContain(`vgpud at ${path} can't be reached`);
    expect(status).toBe(1);
  });
  it("explains itself", () => {
    const { status, stdout } = run("vgpuctl", ["status", "--help"]);
    expect(stdout).toMatch(/--json/);
    expect(status).toBe(0);
  });
});

describe("vgpu-instance", () => {
  it("says what to install where there is no Vulkan driver", () => {
    const socket = join(fresh(), "s");
    const { status, stderr } = run("vgpu-instance", [`--socket-path=${socket}`], noDriver);
    expect(stderr).toMatch(/no usable Vulkan driver: install/);
    expect(status).toBe(1);
    expect(existsSync(socket)).toBe(false);
  });
});
