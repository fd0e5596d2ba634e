// SPDX-License-Identifier: Apache-2.0
//
// The process behind a guest's device is killed while the guest computes. QEMU and the guest's
// kernel module go on with the next one: contexts are lost with a typed error, new ones work, and
// nothing has to be loaded again.

import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Guest } from "../../scripts/lib/guest.js";
import { testProgram } from "../support/e2e.js";
import { openVmBench, type VmBench } from "../support/vm.js";

/** Programs of the guest that each lose their contexts, and how many of them. */
const LOSSES = 3;

let bench: VmBench;

beforeAll(async () => {
  bench = await openVmBench("takeover", ["guest"], [testProgram("survivor")]);
});

let running: Guest | null = null;

afterEach(async () => {
  running?.process.kill("SIGKILL");
  await running?.process.exited;
  running = null;
});

afterAll(async () => {
  await bench?.close();
});

async function killInstance(): Promise<number> {
  const { pid } = await bench.broker.statusOf("guest");
  expect(pid).toBeTypeOf("number");
  const killedMs = performance.now();
  process.kill(pid as number, "SIGKILL");
  return killedMs;
}

test.each(["poll", "interrupt"])(
  "contexts are lost and new ones work, for a guest that waits by %s",
  async (mode) => {
    const guest = bench.boot("guest", {
      script: [
        `export VGPU_WAIT=${mode}`,
        `survivor ${LOSSES + 1} 3 50; echo "survivor status $?"`,
        "echo idle; read line </dev/null; sleep 2",
        'vecadd >/tmp/out 2>&1; echo "vecadd status $?"',
        "dmesg | grep -E 'WARNING|BUG|Oops|virtio_vgpu.*given up' || echo clean",
        "lsmod | grep -c '^virtio_vgpu '",
        "sleep 1000",
      ].join("\n"),
    });
    running = guest;
    const before = (await bench.broker.statusOf("guest")).restarts;
    const times: number[] = [];
    for (let context = 1; context <= LOSSES; context++) {
      const works = (n: number) => (line: string) => line.startsWith(`context ${n} works`);
      await bench.expecting(guest, guest.waitForLine(works(context)));
      const killedMs = await killInstance();
      await bench.expecting(guest, guest.waitForLine(works(context + 1)));
      times.push(Math.round(performance.now() - killedMs));
    }
    await bench.expecting(
      guest,
      guest.waitForLine((line) => line === "idle"),
    );
    process.stderr.write(`kill to working context, ms: ${times.join(" ")}\n`);
    // Nothing is open now: the next program finds a device that has forgotten the module's session.
    await killInstance();
    await bench.expecting(
      guest,
      guest.waitForLine((line) => /^\d+$/.test(line)),
    );
    const lost = guest.output.filter((line) => line.startsWith("lost "));
    expect(lost).toHaveLength(LOSSES);
    for (const line of lost) expect(line).toMatch(/: DEVICE_LOST, again: DEVICE_LOST$/);
    const ends = guest.output.filter((line) => /status|clean|given up|WARN|BUG|Oops/.test(line));
    expect(ends).toEqual(["survivor status 0", "vecadd status 0", "clean"]);
    expect(guest.output.at(-1)).toBe("1");
    expect((await bench.broker.statusOf("guest")).restarts).toBe(before + LOSSES + 1);
  },
);
