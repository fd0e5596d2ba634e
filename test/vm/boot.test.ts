// SPDX-License-Identifier: Apache-2.0
//
// A plain guest, without a vGPU: if this fails, the other VM tests fail for its reason.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { startGuest } from "../../scripts/lib/guest.js";
import { runToEnd, stopProcess } from "../../scripts/lib/processes.js";
import { projectRoot } from "../../scripts/lib/programs.js";

const directory = mkdtempSync(join(tmpdir(), "para-vgpu-boot-"));

afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("a guest boots, loads the virtio modules, runs a script and powers off", async () => {
  const image = join(directory, "guest.img");
  await runToEnd({
    name: "scripts/guest-image.sh",
    command: join(projectRoot, "scripts", "guest-image.sh"),
    args: ["--output", image],
    logPath: join(directory, "image.log"),
  });
  const guest = startGuest({
    name: "plain",
    image,
    memory: "256M",
    sockets: [],
    programs: [],
    script: "ls -d /sys/bus/pci/drivers/virtio-pci; uname -r; exit 7",
    logDirectory: directory,
  });
  try {
    await guest.waitForEvent((event) => event.event === "done");
    const exit = await guest.process.exited;
    expect(exit).toEqual({ code: 0, signal: null });
  } finally {
    await stopProcess(guest.process);
  }
  expect(guest.events).toContainEqual({ event: "modules", ok: true });
  expect(guest.output[0]).toBe("/sys/bus/pci/drivers/virtio-pci");
  expect(guest.output[1]).toMatch(/^\d+\.\d+.*-cloud-amd64$/);
  expect(guest.events.find((event) => event.event === "end")).toMatchObject({
    program: "script",
    exit: 7,
  });
});
