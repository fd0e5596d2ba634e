// SPDX-License-Identifier: Apache-2.0
/** VGPU_FAULTS as vgpu-instance reads it, for its whole life. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { UsageError } from "../../../src/cli/common.js";

beforeEach(() => {
  // Faults are counted over the life of the process: each test has a new one, so to speak.
  vi.resetModules();
});
afterEach(() => {
  vi.unstubAllEnvs();
});

async function opener(faults: string) {
  vi.stubEnv("VGPU_FAULTS", faults);
  const { openExecutor } = await import("../../../src/cli/create-device.js");
  return () => openExecutor("faulty");
}

it("refuses to open the GPU again as often as fail-reopens says, and not the first time", async () => {
  const open = await opener("fail-reopens=2");
  const first = await open();
  expect(first.kind).toBe("faulty");
  await expect(open()).rejects.toThrow("the GPU is refused on purpose");
  await expect(open()).rejects.toThrow("the GPU is refused on purpose");
  expect((await open()).kind).toBe("faulty");
});

it("strikes once, not again in the GPU that is opened afterwards", async () => {
  const open = await opener("out-of-memory-at-segment=1");
  const first = await open();
  expect(() => first.createSegment(256, "s")).toThrow(/segment 1 .* is refused on purpose/);
  const next = await open();
  expect(next.createSegment(256, "s").bytes).toBe(256);
});

it("says what is wrong with the list, as a mistake of whoever started the program", async () => {
  const open = await opener("explode=1");
  const error: unknown = await open().catch((reason: unknown) => reason);
  expect((error as Error).name).toBe(UsageError.name);
  expect((error as Error).message).toMatch(/^VGPU_FAULTS: the fault "explode" is unknown; there/);
});
