// SPDX-License-Identifier: Apache-2.0
//
// What the VM tests share: one guest image for a test file, vgpud with named vGPUs, and guests
// that are ended with the file, whatever happened in between.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import {
  buildGuestImage,
  type Guest,
  type GuestOptions,
  programPaths,
  startGuest,
} from "../../scripts/lib/guest.js";
import { stopProcess, tail } from "../../scripts/lib/processes.js";
import { demoPrograms, projectRoot } from "../../scripts/lib/programs.js";

export interface VmBench {
  readonly broker: Broker;
  readonly boot: (
    vgpu: string,
    options?: Partial<
      Pick<GuestOptions, "memory" | "programs" | "qemuArguments" | "script" | "sockets">
    >,
  ) => Guest;
  /** Awaits something about a guest; when it fails, the error ends with the logs. */
  readonly expecting: <T>(guest: Guest, promise: Promise<T>) => Promise<T>;
  readonly close: () => Promise<void>;
}

/**
 * Starts vgpud with the vGPUs; logs go to out/vm-tests/NAME. The image holds the examples, and the
 * programs whose paths are given.
 */
export async function openVmBench(
  name: string,
  vgpus: readonly string[],
  morePrograms: readonly string[] = [],
): Promise<VmBench> {
  const directory = join(projectRoot, "out", "vm-tests", name);
  mkdirSync(directory, { recursive: true });
  const image = join(directory, "guest.img");
  await buildGuestImage(image, [...programPaths(demoPrograms), ...morePrograms], directory);
  const logPath = join(directory, "vgpud.log");
  const broker = await startBroker({ vgpus, logPath });
  const guests: Guest[] = [];
  return {
    broker,
    boot: (vgpu, options = {}) => {
      const guest = startGuest({
        name: vgpu,
        image,
        memory: options.memory ?? "512M",
        sockets: options.sockets ?? [broker.socketOf(vgpu)],
        programs: options.programs ?? [],
        logDirectory: directory,
        ...(options.script === undefined ? {} : { script: options.script }),
        ...(options.qemuArguments === undefined ? {} : { qemuArguments: options.qemuArguments }),
      });
      guests.push(guest);
      return guest;
    },
    expecting: async (guest, promise) => {
      try {
        return await promise;
      } catch (error) {
        const message = (error as Error).message;
        throw new Error(`${message}\n${guest.logTails()}\n  vgpud:\n${tail(logPath)}`);
      }
    },
    close: async () => {
      for (const guest of guests) await stopProcess(guest.process);
      await broker.stop();
    },
  };
}

/**
 * A guest's script that runs a program for ever and prints "round N status S" after each. The
 * programs check their results, so status 0 means that the GPU computed rightly.
 */
export function endlessRounds(command: string): string {
  return [
    "i=0",
    "while :; do",
    `  /opt/vgpu/bin/${command} >/tmp/round 2>&1; status=$?`,
    '  [ "$status" = 0 ] || tail -n 5 /tmp/round',
    '  echo "round $i status $status"; i=$((i + 1))',
    "done",
  ].join("\n");
}

/** The exit statuses of the rounds that a guest has printed. */
export function roundStatuses(guest: Guest): number[] {
  return guest.output.flatMap((line) => {
    const match = /^round \d+ status (\d+)$/.exec(line);
    return match?.[1] === undefined ? [] : [Number(match[1])];
  });
}

export function waitForRound(guest: Guest, round: number): Promise<string> {
  return guest.waitForLine((line) => line.startsWith(`round ${round} status `));
}
