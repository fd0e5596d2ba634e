// SPDX-License-Identifier: Apache-2.0
//
// The guest driver against a device that obeys and misbehaves on demand (test/support/mock-vgpu.ts):
// a program in the guest (test/kernel/guest) tells the device what to do, and checks what the
// driver makes of it. No GPU and no broker are in the way.

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Guest, startGuest } from "../../scripts/lib/guest.js";
import {
  type ManagedProcess,
  runToEnd,
  startProcess,
  stopProcess,
  withDeadline,
} from "../../scripts/lib/processes.js";
import { guestModule, projectRoot, requireBuilt } from "../../scripts/lib/programs.js";

const directory = mkdtempSync(join(tmpdir(), "vgpu-driver-vm-"));
const image = join(directory, "guest.img");
const sources = join(projectRoot, "test", "kernel", "guest");
const program = join(directory, "driver-check");
const devices: ManagedProcess[] = [];
const guests: Guest[] = [];

/** The kernel has complained about itself: of the driver's locks, memory or sleep. */
const complaint =
  /BUG |BUG:|WARNING:|Oops|Call Trace|hung_task|blocked for more than|list_(add|del) corruption/;
/**
 * What a kernel as distributions build it can check about itself: red zones and poison in every slab,
 * the sanity of its lists on each use, memory that is overwritten when it is taken and given back.
 */
const selfChecks = "slub_debug=FZPU init_on_alloc=1 init_on_free=1 page_poison=1";

beforeAll(async () => {
  requireBuilt([guestModule]);
  const files = readdirSync(sources).filter((name) => name.endsWith(".c"));
  const uapi = join(projectRoot, "guest-driver", "include", "uapi");
  const flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread"];
  const inputs = files.map((name) => join(sources, name));
  execFileSync("cc", [...flags, `-I${uapi}`, ...inputs, "-o", program]);
  await runToEnd({
    name: "scripts/guest-image.sh",
    command: join(projectRoot, "scripts", "guest-image.sh"),
    args: ["--output", image, "--module", guestModule, "--program", program],
    logPath: join(directory, "image.log"),
  });
});

afterAll(async () => {
  for (const guest of guests) await stopProcess(guest.process);
  for (const device of devices) await stopProcess(device);
  rmSync(directory, { recursive: true, force: true });
});

async function startDevice(name: string): Promise<string> {
  const socket = join(directory, `${name}.sock`);
  const device = startProcess({
    name,
    command: process.execPath,
    args: [
      ...["--import", "tsx", join(projectRoot, "test", "support", "mock-vgpu-instance.ts")],
      `--socket-path=${socket}`,
    ],
    logPath: join(directory, `${name}.log`),
  });
  devices.push(device);
  const listening = async (): Promise<void> => {
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await withDeadline(listening(), 30_000, `${name} does not listen`);
  return socket;
}

/** Runs a script in a guest; returns what it printed. */
async function inGuest(
  name: string,
  vgpus: number,
  script: string,
  append = "",
): Promise<readonly string[]> {
  const sockets: string[] = [];
  for (let i = 0; i < vgpus; i++) sockets.push(await startDevice(`${name}-${i}`));
  const guest = startGuest({
    ...{ name, image, memory: "512M", programs: [], logDirectory: directory },
    ...{ sockets, script, append },
  });
  guests.push(guest);
  await guest
    .waitForEvent((event) => event.event === "done")
    .catch((error: Error) => {
      throw new Error(`${error.message}\n${guest.logTails()}`);
    });
  const log = readFileSync(join(directory, `${name}.console.log`), "utf8");
  expect(log.split("\n").filter((line) => complaint.test(line))).toEqual([]);
  return guest.output;
}

/** The names of driver-check's cases, from its tables. */
function caseNames(): string[] {
  const names: string[] = [];
  for (const file of ["basic-checks.c", "memory-checks.c", "fault-checks.c"]) {
    const text = readFileSync(join(sources, file), "utf8");
    for (const [, name] of text.matchAll(/^\t\{ "(\w+)",/gm)) names.push(name ?? "");
  }
  return names;
}

test("the driver keeps its promises, whatever the device does", async () => {
  const script = "driver-check; dmesg | grep -c 'mem auto-init.*free:on'";
  const output = await inGuest("checks", 1, script, selfChecks);
  const passed = output.flatMap((line) => /^ok (\w+) /.exec(line)?.[1] ?? []);
  // The kernel has understood.
  expect(output.filter((line) => !line.startsWith("ok "))).toEqual(["1"]);
  expect(passed).toEqual(caseNames());
  expect(passed.length).toBeGreaterThan(30);
});

test("two devices, and the module goes when the last file is closed", async () => {
  const output = await inGuest(
    "devices",
    2,
    `
    VGPU_DEVICE=/dev/vgpu1 driver-check requests_are_answered fences_count_per_stream
    driver-check --hold & holder=$!
    sleep 1
    rmmod virtio_vgpu 2>/dev/null && echo "gone too early"
    kill $holder; { wait $holder; } 2>/dev/null
    rmmod virtio_vgpu && echo "module removed"
    ls -1 /dev/vgpu* 2>/dev/null
    insmod /lib/modules/virtio_vgpu.ko device_id=39 && ls -1 /dev/vgpu* 2>/dev/null
    rmmod virtio_vgpu
    insmod /lib/modules/virtio_vgpu.ko poll_us=0 && ls -1 /dev/vgpu*
    driver-check requests_are_answered sleepers_are_interrupted
    `,
  );
  const lines = output.map((line) => line.replace(/ \d+ ms$/, ""));
  expect(lines).toEqual([
    "ok requests_are_answered",
    "ok fences_count_per_stream",
    "module removed",
    "/dev/vgpu0",
    "/dev/vgpu1",
    "ok requests_are_answered",
    "ok sleepers_are_interrupted",
  ]);
});
