// SPDX-License-Identifier: Apache-2.0
//
// One virtual machine, started by scripts/qemu.sh from an image of scripts/guest-image.sh. Its
// first process (scripts/guest-init) reports on the second serial port, which is QEMU's standard
// output here; the kernel's own messages go to a file.

import { join } from "node:path";
import { z } from "zod";
import { describeExit, type ManagedProcess, runToEnd, startProcess, tail } from "./processes.js";
import {
  guestLibraries,
  guestModule,
  type Program,
  programPath,
  programReport,
  projectRoot,
  requireBuilt,
} from "./programs.js";

const guestEvent = z.discriminatedUnion("event", [
  z.object({ event: z.literal("boot"), kernel: z.string(), memory_kib: z.number() }),
  z.object({ event: z.literal("modules"), ok: z.boolean() }),
  z.object({ event: z.literal("start"), program: z.string() }),
  z.object({
    event: z.literal("end"),
    program: z.string(),
    exit: z.number(),
    ms: z.number(),
    result: programReport.nullable(),
  }),
  z.object({ event: z.literal("done") }),
]);
export type GuestEvent = z.infer<typeof guestEvent>;

const eventPrefix = "VGPU-DEMO ";

/** The event that a line of the report port holds, or null for a program's ordinary output. */
export function parseGuestLine(line: string): GuestEvent | null {
  if (!line.startsWith(eventPrefix)) return null;
  try {
    return guestEvent.parse(JSON.parse(line.slice(eventPrefix.length)));
  } catch {
    return null;
  }
}

export interface GuestOptions {
  readonly name: string;
  readonly image: string;
  /** As QEMU takes it: "1G". */
  readonly memory: string;
  /** vhost-user sockets, one per vGPU; the guest sees them as /dev/vgpu0 and so on. */
  readonly sockets: readonly string[];
  readonly programs: readonly Program[];
  /** A shell script that the guest runs after the programs. */
  readonly script?: string;
  readonly logDirectory: string;
  /** Further parameters of the kernel. */
  readonly append?: string;
  /** Further arguments of QEMU, e.g. for a monitor. */
  readonly qemuArguments?: readonly string[];
  readonly onEvent?: (event: GuestEvent) => void;
  readonly onOutput?: (line: string) => void;
}

export interface Guest {
  readonly name: string;
  readonly process: ManagedProcess;
  readonly events: readonly GuestEvent[];
  readonly output: readonly string[];
  /** Resolves with the first event or line that fits; rejects when the guest ends before. */
  readonly waitForEvent: (fits: (event: GuestEvent) => boolean) => Promise<GuestEvent>;
  readonly waitForLine: (fits: (line: string) => boolean) => Promise<string>;
  /** The ends of the guest's two logs, to show when something goes wrong. */
  readonly logTails: () => string;
}

/** Builds the initramfs with the driver, libvgpu and the given programs (paths). */
export async function buildGuestImage(
  image: string,
  programPaths: readonly string[],
  logDirectory: string,
): Promise<void> {
  requireBuilt([guestModule, ...guestLibraries, ...programPaths]);
  await runToEnd({
    name: "scripts/guest-image.sh",
    command: join(projectRoot, "scripts", "guest-image.sh"),
    args: [
      ...["--output", image, "--module", guestModule],
      ...guestLibraries.flatMap((path) => ["--library", path]),
      ...programPaths.flatMap((path) => ["--program", path]),
    ],
    logPath: join(logDirectory, "guest-image.log"),
  });
}

export function programPaths(programs: readonly Program[]): string[] {
  return programs.map((program) => programPath(program.name));
}

interface Waiter<T> {
  readonly fits: (value: T) => boolean;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** A growing list on which one can wait for an element, also for one that is there already. */
class Feed<T> {
  readonly all: T[] = [];
  private waiters: Waiter<T>[] = [];
  private ended: Error | null = null;

  push(value: T): void {
    this.all.push(value);
    this.waiters = this.waiters.filter((waiter) => {
      if (!waiter.fits(value)) return true;
      waiter.resolve(value);
      return false;
    });
  }

  end(error: Error): void {
    this.ended = error;
    for (const waiter of this.waiters) waiter.reject(error);
    this.waiters = [];
  }

  waitFor(fits: (value: T) => boolean): Promise<T> {
    const found = this.all.find(fits);
    if (found !== undefined) return Promise.resolve(found);
    if (this.ended !== null) return Promise.reject(this.ended);
    return new Promise((resolve, reject) => this.waiters.push({ fits, resolve, reject }));
  }
}

export function startGuest(options: GuestOptions): Guest {
  const events = new Feed<GuestEvent>();
  const output = new Feed<string>();
  const consolePath = join(options.logDirectory, `${options.name}.console.log`);
  const child = startProcess({
    name: options.name,
    command: join(projectRoot, "scripts", "qemu.sh"),
    args: [
      ...["--name", options.name, "--initrd", options.image, "--memory", options.memory],
      ...options.sockets.flatMap((socket) => ["--vgpu", socket]),
      ...["--console", consolePath, "--append", kernelArguments(options)],
      ...(options.qemuArguments === undefined ? [] : ["--", ...options.qemuArguments]),
    ],
    logPath: join(options.logDirectory, `${options.name}.log`),
    onLine: (line) => {
      const event = parseGuestLine(line);
      if (event !== null) {
        options.onEvent?.(event);
        events.push(event);
      } else {
        options.onOutput?.(line);
        output.push(line);
      }
    },
  });
  void child.exited.then((exit) => {
    const error = new Error(`${options.name}: QEMU ends with ${describeExit(exit)}`);
    events.end(error);
    output.end(error);
  });
  return {
    name: options.name,
    process: child,
    events: events.all,
    output: output.all,
    waitForEvent: (fits) => events.waitFor(fits),
    waitForLine: (fits) => output.waitFor(fits),
    logTails: () =>
      `  ${options.name}, programs (${child.logPath}):\n${tail(child.logPath)}\n` +
      `  ${options.name}, kernel (${consolePath}):\n${tail(consolePath)}`,
  };
}

/** What scripts/guest-init reads. Names and arguments must not hold its separators. */
function kernelArguments(options: GuestOptions): string {
  const words = options.programs.map((program) => [program.name, ...program.args].join(":"));
  for (const word of words) {
    if (/[\s,"]/.test(word)) throw new Error(`a guest cannot be told to run "${word}"`);
  }
  const parts = [`vgpu_run=${words.join(",")}`];
  if (options.script !== undefined) {
    parts.push(`vgpu_script=${Buffer.from(options.script).toString("base64")}`);
  }
  if (options.append !== undefined) parts.push(options.append);
  return parts.join(" ");
}
