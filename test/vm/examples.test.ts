// SPDX-License-Identifier: Apache-2.0
//
// The example programs in virtual machines, through the kernel driver: each checks its result
// against the guest's own CPU. Once with ordinary memory, and once with 6 GiB, which lie on both
// sides of the PCI hole and in more than one window of the device.

import { afterAll, beforeAll, expect, test } from "vitest";
import { demoPrograms, programResult } from "../../scripts/lib/programs.js";
import { openVmBench, type VmBench } from "../support/vm.js";

let bench: VmBench;

beforeAll(async () => {
  bench = await openVmBench("examples", ["small", "large"]);
});

afterAll(async () => {
  await bench?.close();
});

test.each([
  { vgpu: "small", memory: "512M" },
  { vgpu: "large", memory: "6G" },
])("all examples pass in a guest with $memory", async ({ vgpu, memory }) => {
  const guest = bench.boot(vgpu, { memory, programs: demoPrograms });
  await bench.expecting(
    guest,
    guest.waitForEvent((event) => event.event === "done"),
  );
  const results = guest.events.flatMap((event) =>
    event.event === "end" ? [programResult(event.program, event.exit, event.result)] : [],
  );
  expect(results.filter((result) => !result.ok)).toEqual([]);
  expect(results.map((result) => result.name)).toEqual(demoPrograms.map(({ name }) => name));
  expect(await guest.process.exited).toEqual({ code: 0, signal: null });
});
