// SPDX-License-Identifier: Apache-2.0
//
// One guest's end costs the other nothing: two virtual machines compute, one of them is killed
// without warning, or the process that serves it, and the other's results stay right.

import { afterAll, beforeAll, expect, test } from "vitest";
import {
  endlessRounds,
  openVmBench,
  roundStatuses,
  type VmBench,
  waitForRound,
} from "../support/vm.js";

let bench: VmBench;

beforeAll(async () => {
  bench = await openVmBench("isolation", ["victim", "survivor"]);
});

afterAll(async () => {
  await bench?.close();
});

test("killing one QEMU, or one vgpu-instance, leaves the other guest computing", async () => {
  const script = endlessRounds("sgemm 256");
  const survivor = bench.boot("survivor", { script });
  const victim = bench.boot("victim", { script });
  await bench.expecting(victim, waitForRound(victim, 1));
  await bench.expecting(survivor, waitForRound(survivor, 1));

  victim.process.kill("SIGKILL");
  expect((await victim.process.exited).signal).toBe("SIGKILL");
  const afterQemu = roundStatuses(survivor).length + 2;
  await bench.expecting(survivor, waitForRound(survivor, afterQemu));

  // The victim's device has nothing left of it, and serves the next guest.
  const orphan = bench.boot("orphan", { script, sockets: [bench.broker.socketOf("victim")] });
  await bench.expecting(orphan, waitForRound(orphan, 1));
  expect(roundStatuses(orphan)).toEqual([0, 0]);

  // A kill between two programs costs nothing; one within a program fails that one, and no other.
  for (let kills = 0; kills < 8 && !roundStatuses(orphan).some((status) => status > 0); kills++) {
    const { pid } = await bench.broker.statusOf("victim");
    expect(pid).toBeTypeOf("number");
    process.kill(pid as number, "SIGKILL");
    const next = roundStatuses(orphan).length + 1;
    await bench.expecting(orphan, waitForRound(orphan, next));
  }
  expect(roundStatuses(orphan).some((status) => status > 0)).toBe(true);
  const recovered = roundStatuses(orphan).length + 1;
  await bench.expecting(orphan, waitForRound(orphan, recovered));
  expect(roundStatuses(orphan)[recovered]).toBe(0);

  const afterInstance = roundStatuses(survivor).length + 2;
  await bench.expecting(survivor, waitForRound(survivor, afterInstance));

  expect(new Set(roundStatuses(survivor))).toEqual(new Set([0]));
  expect((await bench.broker.statusOf("survivor")).restarts).toBe(0);
});
