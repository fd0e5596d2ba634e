// SPDX-License-Identifier: Apache-2.0
/** CUDA programs on the real device: both interfaces, kernels as nvcc compiled them. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { programPath } from "../../scripts/lib/programs.js";
import { guestEnvironment, testProgram, Watched } from "../support/e2e.js";

let broker: Broker;
const ptx = new URL("programs/cuda-kernels.ptx", import.meta.url).pathname;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-cuda-"));
  // A software GPU on a busy machine needs more time than the watchdog gives by itself.
  broker = await startBroker({ vgpus: ["a,watchdog=30s"], logPath: join(folder, "vgpud.log") });
});

afterAll(async () => {
  await broker.stop();
});

async function run(name: string, extra: NodeJS.ProcessEnv = {}): Promise<readonly string[]> {
  const env = { ...guestEnvironment(broker.socketOf("a")), ...extra };
  const program = new Watched(testProgram("cuda"), [name, ptx], env);
  const end = await program.exit;
  expect(end, program.lines.join("\n")).toEqual({ code: 0, signal: null });
  expect(program.stderr).toBe("");
  return program.lines;
}

describe("CUDA on the device", () => {
  it.each([
    "reduce",
    "default-streams",
    "timed-events",
    "symbols",
    "managed",
    "managed-variables",
    "linking",
    "cut-off",
    "gone",
    "calls",
    "graphs",
    "mistakes",
    "trap",
    "assertion",
  ])(
    "%s",
    async (name) => {
      const lines = await run(name);
      expect(lines.at(-1)).toBe("ok");
    },
    60_000,
  );

  it("prints what kernels print", async () => {
    const lines = await run("output");
    expect([...lines].sort()).toEqual([
      "number 42, thread 0 of 2, 1.500 end",
      "number 42, thread 1 of 2, 1.500 end",
      "ok",
    ]);
  }, 60_000);

  it("reports an illegal address with VGPU_CHECKED=1", async () => {
    expect(await run("wild", { VGPU_CHECKED: "1" })).toEqual(["ok"]);
  }, 60_000);

  it("runs the example", async () => {
    const env = guestEnvironment(broker.socketOf("a"));
    const program = new Watched(programPath("cuda-nbody"), ["512", "5"], env);
    expect(await program.exit).toEqual({ code: 0, signal: null });
    expect(program.lines.at(-1)).toMatch(/"ok":true/);
  }, 60_000);
});
