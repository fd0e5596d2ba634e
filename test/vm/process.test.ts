// SPDX-License-Identifier: Apache-2.0
//
// A process of a guest that is killed while it computes leaves nothing in the device: neither a
// context nor memory, while the guest goes on and other processes of it keep theirs.

import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { openVmBench, type VmBench } from "../support/vm.js";

const deviceStatus = z.object({
  memory: z.object({ allocated_bytes: z.number() }),
  host_memory: z.object({ bytes: z.number() }),
  contexts: z.array(z.unknown()),
});
type DeviceStatus = z.infer<typeof deviceStatus>;

let bench: VmBench;

beforeAll(async () => {
  bench = await openVmBench("process", ["guest"]);
});

afterAll(async () => {
  await bench?.close();
});

/** Asks vgpuctl until the device looks so; the test's own time limit ends a vain wait. */
async function waitForDevice(fits: (status: DeviceStatus) => boolean): Promise<void> {
  for (;;) {
    if (fits(deviceStatus.parse((await bench.broker.statusOf("guest")).device))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("a process killed in the middle of its work leaves no memory behind", async () => {
  // The victim is a shell that runs the program again and again, killed together with the run of
  // the moment, so that no machine is fast enough to be done before. It is killed at eight moments
  // of a run, and once when the host has seen what it holds.
  const victim = "setsid sh -c 'while :; do /opt/vgpu/bin/digits; done' >/tmp/digits 2>&1 & pid=$!";
  const guest = bench.boot("guest", {
    script: [
      "for tenths in 1 2 3 4 5 6 8 10; do",
      `  ${victim}`,
      "  usleep $((tenths * 100000)); kill -9 -$pid",
      '  wait "$pid"; echo "killed: status $?"',
      "done",
      // Nothing of them is in the way of the next.
      "/opt/vgpu/bin/vecadd >/tmp/vecadd 2>&1; echo vecadd status $?",
      victim,
      'echo "running"; sleep 20; kill -9 -$pid; wait "$pid"; echo "last killed: status $?"',
      "sleep 1000",
    ].join("\n"),
  });
  await bench.expecting(
    guest,
    guest.waitForLine((line) => line === "running"),
  );
  // The device does show what a living process holds, or the emptiness below would prove nothing.
  await waitForDevice(
    ({ contexts, memory }) => contexts.length === 1 && memory.allocated_bytes > 0,
  );
  await bench.expecting(
    guest,
    guest.waitForLine((line) => line.startsWith("last killed")),
  );
  await waitForDevice(
    ({ contexts, memory, host_memory }) =>
      contexts.length === 0 && memory.allocated_bytes === 0 && host_memory.bytes === 0,
  );
  // 137 is 128 and signal 9; the shell has a word of its own on each.
  expect(guest.output.filter((line) => line !== "Killed")).toEqual([
    ...Array.from({ length: 8 }, () => "killed: status 137"),
    "vecadd status 0",
    "running",
    "last killed: status 137",
  ]);
});
