// SPDX-License-Identifier: Apache-2.0
//
// Child processes of the demo and of the VM tests: each one's output goes to a log file and, line
// by line, to a callback; all of them end when this process ends, however it ends. Node leaves
// children behind when their parent is killed, so each is started under setpriv, which asks the
// kernel to signal it at its parent's death.

import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, mkdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { createInterface } from "node:readline";

export interface ProcessOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Added to this process's environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Receives standard output and standard error. */
  readonly logPath: string;
  /** Called with each line of standard output. */
  readonly onLine?: (line: string) => void;
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ManagedProcess {
  readonly name: string;
  readonly pid: number;
  readonly logPath: string;
  /** Resolves, never rejects, once the process has ended and its output is read. */
  readonly exited: Promise<ProcessExit>;
  readonly running: () => boolean;
  readonly kill: (signal: NodeJS.Signals) => void;
}

const terminationGraceMs = 3_000;

const live = new Set<ChildProcess>();

process.on("exit", () => {
  for (const child of live) child.kill("SIGKILL");
});

export function startProcess(options: ProcessOptions): ManagedProcess {
  mkdirSync(dirname(options.logPath), { recursive: true });
  const log = createWriteStream(options.logPath);
  const env: NodeJS.ProcessEnv = { ...process.env };
  for (const [key, value] of Object.entries(options.env ?? {})) {
    if (value === undefined) delete env[key];
    else env[key] = value;
  }
  const child = spawn("setpriv", ["--pdeathsig", "TERM", "--", options.command, ...options.args], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
  });
  live.add(child);
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const { onLine } = options;
  if (onLine !== undefined) createInterface({ input: child.stdout }).on("line", onLine);

  const exited = new Promise<ProcessExit>((resolve) => {
    const finish = (exit: ProcessExit): void => {
      live.delete(child);
      log.end(() => resolve(exit));
    };
    child.once("error", (error) => {
      log.write(`${options.command} does not start: ${error.message}\n`);
      finish({ code: 127, signal: null });
    });
    child.once("close", (code, signal) => finish({ code, signal }));
  });
  return {
    name: options.name,
    pid: child.pid ?? -1,
    logPath: options.logPath,
    exited,
    running: () => child.exitCode === null && child.signalCode === null && child.pid !== undefined,
    kill: (signal) => {
      child.kill(signal);
    },
  };
}

/** Asks a process to end, and makes it end when it has not after a grace period. */
export async function stopProcess(target: ManagedProcess): Promise<ProcessExit> {
  if (target.running()) {
    target.kill("SIGTERM");
    const timer = setTimeout(() => target.kill("SIGKILL"), terminationGraceMs);
    await target.exited;
    clearTimeout(timer);
  }
  return target.exited;
}

/** Ends all children, in order where they let it be so: vgpud ends its instances itself. */
export async function stopAllProcesses(): Promise<void> {
  const children = [...live];
  for (const child of children) child.kill("SIGTERM");
  const ended = Promise.all(
    children.map((child) => new Promise((resolve) => child.once("close", resolve))),
  );
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, terminationGraceMs))]);
}

/** Runs a command to its end; fails with the end of its log when its status is not 0. */
export async function runToEnd(options: ProcessOptions): Promise<void> {
  const exit = await startProcess(options).exited;
  if (exit.code !== 0) {
    throw new Error(`${options.name} fails with ${describeExit(exit)}:\n${tail(options.logPath)}`);
  }
}

export function describeExit(exit: ProcessExit): string {
  return exit.signal === null ? `status ${exit.code}` : `signal ${exit.signal}`;
}

/** The last lines of a text file, indented; a sentence when there are none. */
export function tail(path: string, lines = 25): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return `    (there is no ${path})`;
  }
  const all = text.split(/\r?\n/).filter((line) => line !== "");
  if (all.length === 0) return "    (nothing)";
  return all
    .slice(-lines)
    .map((line) => `    | ${line}`)
    .join("\n");
}

/** Rejects with the text after a time, unless the promise settles first. */
export async function withDeadline<T>(
  promise: Promise<T>,
  milliseconds: number,
  text: string,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(text)), milliseconds);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
