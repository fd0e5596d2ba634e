// SPDX-License-Identifier: Apache-2.0
//
// A "guest" that is no virtual machine: the example programs as processes of this machine, over
// libvgpu's unix: transport, one after the other as in a virtual machine.

import { dirname, join } from "node:path";
import { describeExit, startProcess, stopProcess, tail, withDeadline } from "./processes.js";
import {
  guestLibraries,
  libvgpu,
  type Program,
  type ProgramReport,
  type ProgramResult,
  parseReport,
  programPath,
  programResult,
  requireBuilt,
} from "./programs.js";

export interface HostGuestOptions {
  readonly name: string;
  /** The vhost-user socket of its vGPU. */
  readonly socket: string;
  readonly programs: readonly Program[];
  readonly logDirectory: string;
  /** For all programs together. */
  readonly deadlineMs: number;
  readonly onStart: (program: string) => void;
  readonly onOutput: (line: string) => void;
  readonly onResult: (result: ProgramResult) => void;
}

export interface HostGuestResult {
  readonly results: readonly ProgramResult[];
  /** Why programs failed, with the ends of their logs; null when none did. */
  readonly failure: string | null;
}

export async function runOnHost(options: HostGuestOptions): Promise<HostGuestResult> {
  requireBuilt([
    ...guestLibraries,
    ...options.programs.map((program) => programPath(program.name)),
  ]);
  const endMs = performance.now() + options.deadlineMs;
  const results: ProgramResult[] = [];
  const failures: string[] = [];
  for (const program of options.programs) {
    options.onStart(program.name);
    let report: ProgramReport | null = null;
    const child = startProcess({
      name: program.name,
      command: programPath(program.name),
      args: program.args,
      env: {
        VGPU_DEVICE: `unix:${options.socket}`,
        LD_LIBRARY_PATH: dirname(libvgpu),
      },
      logPath: join(options.logDirectory, `${options.name}.${program.name}.log`),
      onLine: (line) => {
        const parsed = parseReport(line);
        if (parsed !== null) report = parsed;
        else options.onOutput(line);
      },
    });
    let status: number | null = null;
    let reason = "reports a failure";
    try {
      const late = `runs longer than the demo's ${Math.round(options.deadlineMs / 1000)} s allow`;
      const exit = await withDeadline(child.exited, endMs - performance.now(), late);
      status = exit.code;
      if (exit.code !== 0) reason = `ends with ${describeExit(exit)}`;
    } catch (error) {
      reason = (error as Error).message;
      await stopProcess(child);
    }
    const result = programResult(program.name, status, report);
    results.push(result);
    options.onResult(result);
    if (!result.ok) {
      failures.push(`  ${program.name} ${reason} (${child.logPath}):\n${tail(child.logPath)}`);
    }
  }
  return { results, failure: failures.length === 0 ? null : failures.join("\n") };
}
