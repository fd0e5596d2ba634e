// SPDX-License-Identifier: Apache-2.0
/** `vgpuctl` against a running vgpud: live settings, the control structure, metrics, the trace. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { guestEnvironment, testProgram, Watched } from "../support/e2e.js";

const vgpuctl = new URL("../../dist/cli/vgpuctl.js", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "vgpu-control-"));
const trace = join(folder, "trace.json");
let broker: Broker;

function control(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const path = join(dirname(broker.socketOf("a")), "control.sock");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [vgpuctl, ...args, "--control", path],
    { encoding: "utf8" },
  );
  return { status, stdout, stderr };
}

beforeAll(async () => {
  broker = await startBroker({
    vgpus: ["a,policy=weighted,weight=2,memory=64M", "b"],
    logPath: join(folder, "log"),
    extraArgs: ["--trace", trace],
  });
});

afterAll(async () => {
  await broker.stop();
});

describe("vgpuctl", () => {
  it("changes settings live, and the control structure has them", () => {
    const { status } = control("set", "a", "weight=7", "max=50%", "slice=4ms");
    expect(status).toBe(0);
    const { stdout } = control("gvmcs", "a");
    expect(stdout).toMatch(/weight +7$/m);
    expect(stdout).toMatch(/slice_ns +4 ms$/m);
    expect(stdout).toMatch(/max_share_ppm +50 %$/m);
    expect(stdout).toMatch(/policy +WEIGHTED$/m);
    expect(stdout).toMatch(/launch_state +READY$/m);
  });

  it.each([
    [["set", "a", "weight=0"], /weight 0 is no integer from 1 to 10000/],
    [["set", "a", "slice=31ms"], /slice 31 ms is outside 1 to 30 ms/],
    [["set", "a", "colour=red"], /"colour" is no setting; there are policy, weight/],
    [["set", "nobody", "weight=1"], /there is no vGPU "nobody"; there are a, b/],
    [["gvmcs", "nobody"], /there is no vGPU "nobody"/],
  ])("%j is refused with the reason", (args, words) => {
    const { status, stdout, stderr } = control(...args);
    expect(stderr).toMatch(words);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  });

  it("counts what programs did, in status and metrics", async () => {
    const environment = guestEnvironment(broker.socketOf("b"));
    const program = new Watched(testProgram("worker"), ["5", "1", "1"], environment);
    expect(await program.exit).toEqual({ code: 0, signal: null });
    const { stdout } = control("metrics");
    expect(stdout).toMatch(/^vgpu_up\{vgpu="a"\} 1$/m);
    expect(stdout).toMatch(/^vgpu_launches_total\{vgpu="b"\} 5$/m);
    expect(stdout).toMatch(/^vgpu_memory_limit_bytes\{vgpu="a"\} 67108864$/m);
    const seconds = /^vgpu_gpu_seconds_total\{vgpu="b"\} (\S+)$/m.exec(stdout)?.[1];
    expect(Number(seconds)).toBeGreaterThan(0);
    expect(control("status").stdout).toMatch(/^b +running/m);
  });

  it("has an entry and an exit for it in the trace, which is valid JSON at the end", async () => {
    await broker.stop();
    const events = JSON.parse(readFileSync(trace, "utf8")) as { ph: string; name?: string }[];
    expect(events.filter((e) => e.ph === "B" && e.name === "b").length).toBeGreaterThan(0);
    const begins = events.filter((e) => e.ph === "B").length;
    expect(events.filter((e) => e.ph === "E").length).toBe(begins);
  });
});
