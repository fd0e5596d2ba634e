// SPDX-License-Identifier: Apache-2.0
//
// What QEMU's generic device and its guest do to the transport, with an instance that no broker
// looks after: the ring format, reboots, the driver's unloading, pauses under load, and the death of
// the back end. What can't work is shown as it is: see docs/QEMU.md.

import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildGuestImage, type Guest, programPaths, startGuest } from "../../scripts/lib/guest.js";
import {
  type ManagedProcess,
  startProcess,
  stopProcess,
  withDeadline,
} from "../../scripts/lib/processes.js";
import { demoPrograms, projectRoot, requireBuilt } from "../../scripts/lib/programs.js";
import { Qmp } from "../support/qmp.js";
import { roundStatuses, waitForRound } from "../support/vm.js";

const directory = join(projectRoot, "out", "vm-tests", "transport");
const folder = mkdtempSync(join(tmpdir(), "vgpu-transport-"));
const image = join(directory, "guest.img");
const instanceProgram = join(projectRoot, "dist", "cli", "vgpu-instance.js");
const guests: Guest[] = [];
const instances: ManagedProcess[] = [];
const monitors: Qmp[] = [];

/** A driver's features as Linux shows them: bit 0 first. */
const PACKED = 34;
const EVENT_IDX = 29;

beforeAll(async () => {
  requireBuilt([instanceProgram]);
  mkdirSync(directory, { recursive: true });
  await buildGuestImage(image, programPaths(demoPrograms), directory);
});

afterAll(async () => {
  for (const monitor of monitors) monitor.close();
  for (const guest of guests) await stopProcess(guest.process);
  for (const instance of instances) await stopProcess(instance);
  rmSync(folder, { recursive: true, force: true });
});

async function startInstance(name: string): Promise<ManagedProcess> {
  const socket = join(folder, `${name}.sock`);
  rmSync(socket, { force: true });
  const instance = startProcess({
    name: `instance-${name}`,
    command: process.execPath,
    args: [instanceProgram, `--socket-path=${socket}`],
    logPath: join(directory, `${name}.instance-${instances.length}.log`),
  });
  instances.push(instance);
  const listening = async (): Promise<void> => {
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await withDeadline(listening(), 30_000, `the instance ${name} does not listen`);
  return instance;
}

async function boot(name: string, script: string): Promise<{ guest: Guest; qmp: Qmp }> {
  const monitor = join(folder, `${name}.qmp`);
  const guest = startGuest({
    ...{ name: `transport-${name}`, image, memory: "512M", programs: [], script },
    sockets: [join(folder, `${name}.sock`)],
    logDirectory: directory,
    qemuArguments: ["-qmp", `unix:${monitor},server,nowait`],
  });
  guests.push(guest);
  await guest.waitForEvent((event) => event.event === "boot");
  const qmp = await Qmp.connect(monitor);
  monitors.push(qmp);
  return { guest, qmp };
}

/** Programs for ever; the guest's features first. */
const endless = [
  "cat /sys/bus/virtio/devices/virtio0/features",
  "i=0",
  "while :; do",
  "  /opt/vgpu/bin/vecadd >/tmp/round 2>&1; status=$?",
  '  [ "$status" = 0 ] || grep -o "[A-Z_]*:.*" /tmp/round | head -n 1',
  '  echo "round $i status $status"; i=$((i + 1))',
  "done",
].join("\n");

async function expecting<T>(guest: Guest, promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${guest.logTails()}`);
  }
}

const boots = (guest: Guest): number =>
  guest.events.filter((event) => event.event === "boot").length;

test("packed rings are used; reboots and pauses under load cost no round", async () => {
  await startInstance("reboot");
  const { guest, qmp } = await boot("reboot", endless);
  await expecting(guest, waitForRound(guest, 1));
  const features = guest.output.find((line) => /^[01]{64}$/.test(line)) ?? "";
  expect([features[PACKED], features[EVENT_IDX]]).toEqual(["1", "1"]);

  for (let pause = 0; pause < 4; pause++) {
    await qmp.execute("stop");
    const rounds = roundStatuses(guest).length;
    await new Promise((resolve) => setTimeout(resolve, 70 + 110 * pause));
    await qmp.execute("cont");
    await expecting(guest, waitForRound(guest, rounds + 1));
  }

  // The device is told nothing of a reset but that its rings stop; the next driver's session ends
  // the one before.
  await qmp.execute("set-action", { reboot: "reset" });
  for (let reset = 1; reset <= 2; reset++) {
    await qmp.execute("system_reset");
    await expecting(
      guest,
      guest.waitForEvent(() => boots(guest) > reset),
    );
    const before = guest.output.length;
    const again = (): boolean => guest.output.slice(before).some((line) => /^round 2 /.test(line));
    await expecting(guest, guest.waitForLine(again));
  }
  expect(new Set(roundStatuses(guest))).toEqual(new Set([0]));
});

test("the driver is unloaded and loaded again and again", async () => {
  await startInstance("reload");
  const { guest } = await boot(
    "reload",
    [
      "for i in 1 2 3 4 5; do",
      "  rmmod virtio_vgpu && insmod /lib/modules/virtio_vgpu.ko",
      "  /opt/vgpu/bin/vecadd >/tmp/round 2>&1; echo round $i status $?",
      "done",
    ].join("\n"),
  );
  await expecting(
    guest,
    guest.waitForEvent((event) => event.event === "done"),
  );
  expect(roundStatuses(guest)).toEqual([0, 0, 0, 0, 0]);
});

test("without a broker a killed back end is lost to its guest, which is told and goes on", async () => {
  const instance = await startInstance("killed");
  const timeout = "echo 3 >/sys/module/virtio_vgpu/parameters/timeout_s";
  const { guest, qmp } = await boot("killed", `${timeout}\n${endless}`);
  await expecting(guest, waitForRound(guest, 1));
  instance.kill("SIGKILL");
  // The driver gives the device up after its time-out; programs get an error, nothing hangs.
  const failed = (line: string): boolean => /^round \d+ status [1-9]/.test(line);
  await expecting(guest, guest.waitForLine(failed));
  // A back end that is there again is not looked for: the device has no way to reconnect.
  await startInstance("killed");
  const rounds = roundStatuses(guest).length;
  await expecting(guest, waitForRound(guest, rounds + 3));
  expect(roundStatuses(guest).slice(rounds).includes(0)).toBe(false);
  // The machine itself lives.
  expect(await qmp.execute("query-status")).toMatchObject({ running: true });
});
