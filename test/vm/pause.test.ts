// SPDX-License-Identifier: Apache-2.0
//
// What a VMM does to a running guest: it pauses it and lets it go on, and plugs memory in. The
// programs in the guest notice nothing of it, and a paused guest's memory is left alone.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Qmp } from "../support/qmp.js";
import {
  endlessRounds,
  openVmBench,
  roundStatuses,
  type VmBench,
  waitForRound,
} from "../support/vm.js";

const PAUSES = 5;

let bench: VmBench;
const folder = mkdtempSync(join(tmpdir(), "vgpu-pause-"));

beforeAll(async () => {
  bench = await openVmBench("pause", ["paused"]);
});

afterAll(async () => {
  await bench?.close();
  rmSync(folder, { recursive: true, force: true });
});

test("a guest computes on after pauses in the middle of its work, and with more memory", async () => {
  const monitor = join(folder, "qmp.sock");
  const guest = bench.boot("paused", {
    script: endlessRounds("sgemm 256"),
    qemuArguments: ["-qmp", `unix:${monitor},server,nowait`, "-m", "slots=2,maxmem=2G"],
  });
  await bench.expecting(guest, waitForRound(guest, 1));
  const qmp = await Qmp.connect(monitor);
  for (let pause = 0; pause < PAUSES; pause++) {
    await qmp.execute("stop");
    const rounds = roundStatuses(guest).length;
    await new Promise((resolve) => setTimeout(resolve, 100 + 130 * pause));
    // A round that was printed before the stop may still be on its way.
    expect(roundStatuses(guest).length).toBeLessThanOrEqual(rounds + 1);
    await qmp.execute("cont");
    await bench.expecting(guest, waitForRound(guest, rounds + 1));
  }

  await qmp.execute("object-add", {
    "qom-type": "memory-backend-memfd",
    id: "more",
    size: 256 << 20,
    share: true,
  });
  await qmp.execute("device_add", { driver: "pc-dimm", id: "dimm", memdev: "more" });
  const rounds = roundStatuses(guest).length;
  await bench.expecting(guest, waitForRound(guest, rounds + 2));
  qmp.close();

  expect(new Set(roundStatuses(guest))).toEqual(new Set([0]));
  const { restarts, device } = await bench.broker.statusOf("paused");
  expect(restarts).toBe(0);
  expect(device).not.toBeNull();
});
