// SPDX-License-Identifier: Apache-2.0
//
// vgpud as the demo and the VM tests start it: with a runtime directory of their own, so that they
// disturb no broker that runs on this machine.

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import {
  describeExit,
  type ManagedProcess,
  startProcess,
  stopProcess,
  tail,
  withDeadline,
} from "./processes.js";
import { projectRoot, requireBuilt } from "./programs.js";

const readyWithinMs = 60_000;

/** The part of `vgpuctl status --json` that the demo and the tests read. */
const brokerStatus = z.object({
  vgpus: z.array(
    z.looseObject({
      id: z.string(),
      state: z.string(),
      pid: z.number().nullable(),
      restarts: z.number(),
      adapter: z.string().nullable(),
      device: z.record(z.string(), z.unknown()).nullable(),
    }),
  ),
});
export type BrokerStatus = z.infer<typeof brokerStatus>;
export type VgpuStatus = BrokerStatus["vgpus"][number];

export interface Broker {
  readonly process: ManagedProcess;
  readonly socketOf: (vgpu: string) => string;
  readonly status: () => Promise<BrokerStatus>;
  readonly statusOf: (vgpu: string) => Promise<VgpuStatus>;
  /** Runs vgpuctl; rejects, with what it said, where that fails. */
  readonly control: (...args: readonly string[]) => Promise<{ stdout: string; stderr: string }>;
  readonly stop: () => Promise<void>;
}

export interface BrokerOptions {
  readonly vgpus: readonly string[];
  readonly logPath: string;
  readonly extraArgs?: readonly string[];
  /** Added to vgpud's environment, and so to its instances'. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Resolves once vgpud listens on all its sockets. */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const vgpud = join(projectRoot, "dist", "cli", "vgpud.js");
  const vgpuctl = join(projectRoot, "dist", "cli", "vgpuctl.js");
  requireBuilt([vgpud, vgpuctl]);
  // Socket paths are limited to 107 bytes, so not below the clone.
  const directory = mkdtempSync(join(tmpdir(), "para-vgpu-"));
  const removeDirectory = (): void => rmSync(directory, { recursive: true, force: true });
  process.once("exit", removeDirectory);
  let ready: () => void = () => {};
  const readyLine = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const child = startProcess({
    name: "vgpud",
    command: process.execPath,
    args: [
      ...[vgpud, "--runtime-dir", directory],
      ...options.vgpus.flatMap((name) => ["--vgpu", name]),
      ...(options.extraArgs ?? []),
    ],
    logPath: options.logPath,
    env: options.env ?? {},
    onLine: (line) => {
      if (line.startsWith("vgpud ready:")) ready();
    },
  });
  const stop = async (): Promise<void> => {
    await stopProcess(child);
    removeDirectory();
    process.removeListener("exit", removeDirectory);
  };
  const early = child.exited.then((exit) => {
    throw new Error(`vgpud ends with ${describeExit(exit)} before it is ready`);
  });
  early.catch(() => {});
  try {
    await withDeadline(
      Promise.race([readyLine, early]),
      readyWithinMs,
      `vgpud is not ready after ${readyWithinMs / 1000} s`,
    );
  } catch (error) {
    await stop();
    throw new Error(`${(error as Error).message}; its log:\n${tail(options.logPath)}`);
  }
  const control = (...args: readonly string[]): Promise<{ stdout: string; stderr: string }> => {
    const where = ["--control", join(directory, "control.sock")];
    return promisify(execFile)(process.execPath, [vgpuctl, ...args, ...where]);
  };
  const status = async (): Promise<BrokerStatus> => {
    const { stdout } = await control("status", "--json");
    return brokerStatus.parse(JSON.parse(stdout));
  };
  return {
    process: child,
    socketOf: (vgpu) => join(directory, `${vgpu}.sock`),
    status,
    statusOf: async (vgpu) => {
      const found = (await status()).vgpus.find((entry) => entry.id === vgpu);
      if (found === undefined) throw new Error(`vgpuctl status does not name ${vgpu}`);
      return found;
    },
    control,
    stop,
  };
}
