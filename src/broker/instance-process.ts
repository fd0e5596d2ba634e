// SPDX-License-Identifier: Apache-2.0
/**
 * The life of one vGPU's process. The broker keeps the front end's connection, so that the one that
 * a process leaves behind is served by the next. A process that ends is started again, at growing
 * intervals if it keeps ending, and not any more once it has done so too often.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { Readable, type Writable } from "node:stream";
import type { Logger } from "../telemetry/log.js";
import {
  type Confinement,
  type ConfinementReport,
  confinementReport,
  freshPrivateFolder,
  instanceEnvironment,
  launcherArguments,
  REPORT_FD,
  translationFolder,
} from "./confinement.js";
import { type RestartLimits, RestartPolicy } from "./restart-policy.js";

/** Descriptor numbers under which the process finds the relay's channel and its G-VMCS. */
const CHILD_RELAY_FD = 3;
const CHILD_GVMCS_FDS = "4,5,6,7";
/** How long SIGTERM may take before SIGKILL. */
const STOP_MS = 2_000;

export interface InstanceProcessOptions {
  readonly id: string;
  /** The program and its arguments before ours. */
  readonly command: readonly [string, ...string[]];
  readonly brokerPath: string;
  readonly executor: string;
  readonly memoryLimitBytes: number | null;
  /** Where each vGPU has a folder for its translations; null for none. */
  readonly translationCache: string | null;
  readonly logLevel: string;
  readonly extraArguments: readonly string[];
  /** For tests: where the first process ends itself, the second, and so on. */
  readonly crashAt: readonly string[];
  readonly restartLimits: RestartLimits;
  readonly confinement: Confinement | null;
  /** Where the process's private folder is made. */
  readonly runtimeDir: string;
  /** The process's end of a fresh channel for front ends; stays the broker's. */
  readonly openChannel: () => number;
  /** Descriptors of a fresh G-VMCS for the process: controls, state, its doorbell, the broker's. */
  readonly prepare: () => readonly number[];
  /** The process has been started, or can't be. */
  readonly started: () => void;
  readonly log: Logger;
  readonly nowMs: () => number;
}

export class InstanceProcess {
  readonly #options: InstanceProcessOptions;
  #child: ChildProcess | null = null;
  #timer: NodeJS.Timeout | null = null;
  readonly #policy: RestartPolicy;
  #starts = 0;
  #stopping = false;
  #replacing = false;
  restarts = 0;
  /** It has ended too often, and is started again only by {@link revive}. */
  givenUp = false;
  /** What the launcher reported about the process. */
  confined: ConfinementReport | null = null;
  /** Called when the process has ended, before it is started again. */
  onExit: (() => void) | null = null;
  /** Called when it has been given up. */
  onGivenUp: (() => void) | null = null;

  constructor(options: InstanceProcessOptions) {
    this.#options = options;
    this.#policy = new RestartPolicy(options.restartLimits);
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  get waitingToRestart(): boolean {
    return this.#timer !== null;
  }

  start(): void {
    this.#timer = null;
    const o = this.#options;
    const crashAt = o.crashAt[this.#starts++];
    const cache = this.#translationFolder();
    const command = [
      ...o.command,
      `--relay=${CHILD_RELAY_FD}`,
      `--broker=${o.brokerPath}`,
      `--gvmcs=${CHILD_GVMCS_FDS}`,
      `--id=${o.id}`,
      `--executor=${o.executor}`,
      `--log-level=${o.logLevel}`,
      ...(o.memoryLimitBytes === null ? [] : [`--memory-limit=${o.memoryLimitBytes}`]),
      ...(cache === null ? [] : [`--translation-cache=${cache}`]),
      ...(crashAt === undefined || crashAt === "" ? [] : [`--crash-at=${crashAt}`]),
      ...o.extraArguments,
    ];
    const child = this.#spawn(command, cache);
    o.started();
    this.#child = child;
    child.once("error", (error) => this.#ended(`can't be started: ${error.message}`));
    child.once("exit", (code, signal) => {
      this.#ended(signal === null ? `ended with status ${code}` : `was ended by ${signal}`);
    });
  }

  /** Without it translations take longer, and nothing else. */
  #translationFolder(): string | null {
    const { translationCache, id, log } = this.#options;
    try {
      return translationCache === null ? null : translationFolder(translationCache, id);
    } catch (error) {
      log.warn({ id, err: error }, "translations are not kept: there is no folder for them");
      return null;
    }
  }

  /** The launcher becomes the process itself, so that its id and its signals are the same. */
  #spawn(command: readonly string[], cache: string | null): ChildProcess {
    const { confinement, runtimeDir, id, openChannel, prepare } = this.#options;
    // The process's stdout goes to our stderr: stdout carries only what vgpud itself says.
    const stdio = ["ignore" as const, 2, 2, openChannel(), ...prepare()];
    if (confinement === null) {
      const [program = "", ...args] = command;
      return spawn(program, args, { stdio, env: instanceEnvironment(process.env, null) });
    }
    const folder = freshPrivateFolder(runtimeDir, id);
    const env = instanceEnvironment(process.env, folder);
    const args = [...launcherArguments(confinement, env, folder, cache), ...command];
    const child = spawn(confinement.launcher, args, { stdio: [...stdio, "pipe"], env });
    this.#readReport(child);
    return child;
  }

  #readReport(child: ChildProcess): void {
    const { log, id } = this.#options;
    const streams: readonly (Readable | Writable | null | undefined)[] = child.stdio;
    const stream = streams[REPORT_FD];
    if (!(stream instanceof Readable)) return;
    let text = "";
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => {
      text += chunk;
    });
    stream.on("error", () => {});
    stream.on("end", () => {
      // Without one it has said on stderr why, and ends.
      if (text === "" || this.#child !== child) return;
      this.confined = confinementReport.parse(JSON.parse(text));
      log[this.restarts === 0 ? "info" : "debug"]({ id, ...this.confined }, "it is confined");
    });
  }

  kill(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Ends the process for another one, which is no fault of its own. */
  replace(): void {
    this.#replacing = true;
    this.kill("SIGKILL");
  }

  /** Ends the process for good: SIGTERM, then SIGKILL. */
  stop(): Promise<void> {
    this.#stopping = true;
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    const child = this.#child;
    if (child === null) {
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const force = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      child.once("exit", () => {
        clearTimeout(force);
        resolve();
      });
      child.kill("SIGTERM");
    });
  }

  #ended(how: string): void {
    if (this.#child === null) {
      return;
    }
    const pid = this.#child.pid;
    this.#child = null;
    this.confined = null;
    this.onExit?.();
    if (this.#stopping) {
      return;
    }
    if (this.#replacing) {
      this.#replacing = false;
      this.restarts++;
      this.start();
      return;
    }
    this.#again(how, pid);
  }

  /** A front end asks for a process that was given up. False if it is too early for another try. */
  revive(): boolean {
    if (!this.givenUp) return true;
    if (!this.#policy.allows(this.#options.nowMs())) return false;
    this.givenUp = false;
    this.restarts++;
    this.start();
    return true;
  }

  #again(how: string, pid: number | undefined): void {
    const { log, nowMs, id, restartLimits } = this.#options;
    const delayMs = this.#policy.next(nowMs());
    if (delayMs === null) {
      this.givenUp = true;
      const { max, windowMs } = restartLimits;
      const often = `more than ${max} times in ${windowMs / 1000} s`;
      log.error({ id, pid }, `the instance ${how}, ${often}: it is given up`);
      this.onGivenUp?.();
      return;
    }
    log.warn({ id, pid, delayMs }, `the instance ${how}; it is started again`);
    this.restarts++;
    this.#timer = setTimeout(() => this.start(), delayMs);
  }
}
