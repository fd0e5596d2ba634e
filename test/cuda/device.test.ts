// SPDX-License-Identifier: Apache-2.0
/**
 * CUDA kernels through a whole device: libcuda in a program, vgpu-instance on Dawn; from PTX and from
 * the fat binaries that nvcc makes, compressed and not. And the example that trains a GPT.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import type { KernelCase } from "../support/cuda/lab.js";
import { DeviceRunner } from "../support/cuda/through-device.js";
import { guestEnvironment, Watched } from "../support/e2e.js";
import { CASES } from "./cases/index.js";

const root = new URL("../..", import.meta.url).pathname;
const build = join(root, "guest-driver/build");
const folder = mkdtempSync(join(tmpdir(), "vgpu-cuda-"));
let runner: DeviceRunner;
let broker: Broker;

/** One module with its cases, as a plan for run-case. */
interface Part {
  readonly module: string;
  readonly file: string;
  readonly only?: readonly string[];
}

const PARTS: readonly Part[] = [
  ...["stream", "scan", "params", "linked"].map((module) => ({
    module,
    file: `ptx/${module}.121.ptx`,
  })),
  ...["75", "121"].map((target) => ({ module: "text", file: `ptx/text.${target}.ptx` })),
  { module: "nn", file: "ptx/nn.75.ptx", only: ["softmax", "attention", "adamw"] },
  ...["reduce", "warp"].flatMap((module) =>
    ["default", "none"].map((mode) => ({
      module,
      file: `fatbin/${module}.${mode}.fatbin`,
      ...(mode === "none" ? { only: ["reduce_atomic", "argmax", "votes", "warp_sort"] } : {}),
    })),
  ),
];

const casesOf = (part: Part): KernelCase[] =>
  CASES.filter(
    (c) =>
      c.module === part.module &&
      c.noGpu === undefined &&
      (part.only === undefined || part.only.includes(c.name)),
  );

beforeAll(async () => {
  runner = new DeviceRunner(folder);
  // Software drivers compile at the first launch: the usual limit is too short on a busy machine.
  const logPath = join(folder, "vgpud.log");
  broker = await startBroker({ vgpus: ["cuda,watchdog=60s"], logPath });
}, 60_000);

afterAll(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("CUDA kernels through libcuda and a device", () => {
  for (const part of PARTS) {
    for (const each of casesOf(part)) {
      // A list that the kernel builds holds addresses of the device, which the check can't know.
      if (each.name === "list_push") continue;
      it(`${part.file}: ${each.name}`, async () => {
        expect(await runner.run(broker.socketOf("cuda"), part.file, each)).toBeNull();
      }, 60_000);
    }
  }
});

describe("the example that trains a GPT", () => {
  const gpt = join(build, "bin/cuda-gpt");
  const small = [
    "--layers",
    "2",
    "--width",
    "32",
    "--heads",
    "2",
    "--length",
    "16",
    "--batch",
    "2",
  ];

  it("learns what its reference on the CPU learns", async () => {
    const run = new Watched(gpt, [...small, "--steps", "15", "--reference"], {
      ...guestEnvironment(broker.socketOf("cuda")),
    });
    expect((await run.exit).code, run.stderr).toBe(0);
    const report = JSON.parse(run.lines.at(-1) ?? "{}") as Record<string, number>;
    expect(report).toMatchObject({ program: "cuda-gpt", ok: true, steps: 15 });
    expect(report.reference_difference).toBeLessThan(1e-3);
    expect(report.last_loss).toBeLessThan((report.first_loss ?? 0) - 0.2);
  }, 120_000);

  it("says how it is used, and refuses what makes no sense", async () => {
    const help = new Watched(gpt, ["--help"], process.env);
    expect((await help.exit).code).toBe(0);
    expect(help.lines.join("\n")).toMatch(/--layers N.*--reference/s);
    const odd = new Watched(gpt, ["--width", "10", "--heads", "3"], process.env);
    expect((await odd.exit).code).toBe(2);
    expect(odd.stderr).toContain("the width (10) must be a multiple of the heads (3)");
  });
});
