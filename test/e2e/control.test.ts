// SPDX-License-Identifier: Apache-2.0
/** `vgpuctl` against a running vgpud: live settings, the control structure, metrics, the trace. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { sharesOverTime } from "../../scripts/lib/shares.js";
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
    extraArgs: ["--trace", trace, "--gpu-memory", "1280M"],
  });
});

afterAll(async () => {
  await broker.stop();
});

describe("vgpuctl", () => {
  it("changes settings live, and the control structure has them", () => {
    const features = "features=slicing+timestamps";
    const { status } = control("set", "a", "weight=7", "max=50%", "slice=4ms", features);
    expect(status).toBe(0);
    const { stdout } = control("gvmcs", "a");
    expect(stdout).toMatch(/weight +7$/m);
    expect(stdout).toMatch(/slice_ns +4 ms$/m);
    expect(stdout).toMatch(/features +SLICING TIMESTAMPS$/m);
    expect(stdout).toMatch(/max_share_ppm +50 %$/m);
    expect(stdout).toMatch(/policy +WEIGHTED$/m);
    expect(stdout).toMatch(/launch_state +READY$/m);
  });

  it("has the longest tail follow the slice, unless it is set", () => {
    const tail = (...settings: string[]): string => {
      expect(control("set", "a", ...settings).status).toBe(0);
      return /tail_ns_max +(.*)$/m.exec(control("gvmcs", "a").stdout)?.[1] ?? "";
    };
    expect(tail("slice=12ms")).toBe("2 ms");
    expect(tail("tail=0.5ms")).toBe("500 us");
    expect(tail("slice=6ms")).toBe("500 us");
    expect(tail("tail=auto")).toBe("1 ms");
  });

  it.each([
    [
      ["set", "a", "features=slicing+speed"],
      /"speed" is none of slicing, timestamps, prepare, all/,
    ],
    [["set", "a", "weight=0"], /weight 0 is no integer from 1 to 10000/],
    [["set", "a", "slice=31ms"], /slice 31 ms is outside 1 to 30 ms/],
    [["set", "a", "tail=long"], /tail: "long" is not of the form 0.5ms or auto/],
    [["set", "a", "colour=red"], /"colour" is no setting; there are policy, weight/],
    [["set", "a", "memory=300M"], /300 MiB of device memory do not fit: 256 MiB of 1280 MiB are/],
    [["reset", "nobody"], /there is no vGPU "nobody"/],
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

  it("sets a memory limit below what is in use: it says so, and takes nothing away", async () => {
    const environment = guestEnvironment(broker.socketOf("b"));
    const program = new Watched(testProgram("worker"), ["100000", "48", "1"], environment);
    await program.line(/^round 1$/);
    const shrunk = control("set", "b", "memory=32M");
    expect(shrunk.stderr).toMatch(/note: vGPU b holds \d+ bytes of device memory, more than its/);
    expect(shrunk.status).toBe(0);
    expect(control("gvmcs", "b").stdout).toMatch(/memory_bytes_max +32 MiB$/m);
    await program.line(new RegExp(`^round ${program.lines.length + 2}$`));
    program.kill();
    await program.exit;
    const second = new Watched(testProgram("worker"), ["1", "48", "1"], environment);
    expect((await second.exit).code).toBe(4);
    expect(second.stderr).toMatch(/allocation of 50331648 bytes, the limit is 33554432/);
    expect(control("set", "b", "memory=1G")).toMatchObject({ status: 0, stderr: "" });
  });

  it("resets a vGPU: its guest's contexts end, and new ones work", async () => {
    const environment = guestEnvironment(broker.socketOf("b"));
    const program = new Watched(testProgram("worker"), ["100000", "1", "50"], environment);
    await program.line(/^round 1$/);
    expect(control("reset", "b").status).toBe(0);
    expect((await program.exit).code).toBe(4);
    expect(program.stderr).toMatch(/DEVICE_LOST/);
    const next = new Watched(testProgram("worker"), ["2", "1", "1"], environment);
    expect(await next.exit).toEqual({ code: 0, signal: null });
    const { restarts } = await broker.statusOf("b");
    expect(restarts).toBe(0);
  });

  it("has an entry and an exit for it in the trace, which is valid JSON at the end", async () => {
    await broker.stop();
    const events = JSON.parse(readFileSync(trace, "utf8")) as { ph: string; name?: string }[];
    expect(events.filter((e) => e.ph === "B" && e.name === "b").length).toBeGreaterThan(0);
    const begins = events.filter((e) => e.ph === "B").length;
    expect(events.filter((e) => e.ph === "E").length).toBe(begins);
    const shares = sharesOverTime(events, 100);
    expect(shares?.vgpus.map(({ name }) => name).sort()).toEqual(["a", "b"]);
    const sums = shares?.vgpus[0]?.parts.map((_, index) =>
      shares.vgpus.reduce((sum, { parts }) => sum + (parts[index] ?? 0), 0),
    );
    // One owner at a time: the parts of an interval are at most all of it.
    expect(Math.max(...(sums ?? [2]))).toBeLessThanOrEqual(1 + 1e-6);
  });
});
