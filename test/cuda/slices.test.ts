// SPDX-License-Identifier: Apache-2.0
/**
 * CUDA kernels in slices through a whole device: every launch is cut into at least seven, so results
 * must be those of whole launches; a kernel that waits for another block is not cut, and named.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { DeviceRunner } from "../support/cuda/through-device.js";
import { CASES } from "./cases/index.js";

const folder = mkdtempSync(join(tmpdir(), "vgpu-slices-"));
let runner: DeviceRunner;
let broker: Broker;

beforeAll(async () => {
  runner = new DeviceRunner(folder);
  broker = await startBroker({
    vgpus: ["cuda,watchdog=60s"],
    logPath: join(folder, "vgpud.log"),
    env: { VGPU_SLICES: "7" },
  });
}, 60_000);

afterAll(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Unsliceable {
  readonly kernel: string;
  readonly reason: string;
}

async function unsliceable(): Promise<readonly Unsliceable[]> {
  const { device } = await broker.statusOf("cuda");
  return (device?.unsliceable ?? []) as readonly Unsliceable[];
}

/** Kernels of several blocks, whose atomics and retries must not pass for waiting. */
const SLICED = CASES.filter(
  ({ module, launches, noGpu, fault }) =>
    ["atomics", "linked", "scan"].includes(module) &&
    launches.some(({ grid: [x, y, z] }) => x * y * z > 1) &&
    noGpu === undefined &&
    fault === undefined,
);

/** One waits for the block before it, the other for a lock. */
const WAITING = ["scan_chained", "locked"];

describe("CUDA kernels in slices", () => {
  for (const each of SLICED) {
    // A list that the kernel builds holds addresses of the device, which the check can't know.
    if (each.name === "list_push") continue;
    it(`give the results of whole launches: ${each.name}`, async () => {
      const socket = broker.socketOf("cuda");
      expect(await runner.run(socket, `ptx/${each.module}.75.ptx`, each)).toBeNull();
      const found = (await unsliceable()).map(({ kernel }) => kernel);
      expect(found.filter((kernel) => !WAITING.includes(kernel))).toEqual([]);
      expect(found.includes(each.name)).toBe(WAITING.includes(each.name));
    }, 60_000);
  }

  it("are named with the line at which they wait", async () => {
    const [found] = await unsliceable();
    expect(found?.reason).toMatch(/^line \d+ waits for another workgroup to change memory$/);
  });
});
