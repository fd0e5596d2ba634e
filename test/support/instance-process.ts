// SPDX-License-Identifier: Apache-2.0
/** Runs vgpu-instance from source as a process, for tests that talk to it over its socket. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export class InstanceProcess {
  readonly path: string;
  readonly child: ChildProcess;
  readonly #folder = mkdtempSync(join(tmpdir(), "vgpu-instance-"));
  #log = "";

  private constructor(program: URL, env: NodeJS.ProcessEnv, args: readonly string[]) {
    this.path = join(this.#folder, "vgpu.sock");
    this.child = spawn(
      process.execPath,
      ["--import", "tsx", fileURLToPath(program), `--socket-path=${this.path}`, ...args],
      { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, ...env } },
    );
  }

  /** Resolves when it listens; rejects with its messages if it ends before. */
  static start(...args: readonly string[]): Promise<InstanceProcess> {
    const program = new URL("../../src/cli/vgpu-instance.ts", import.meta.url);
    return InstanceProcess.#listening(new InstanceProcess(program, {}, args));
  }

  /** An instance that is wrong as VGPU_MUTANT says; "none" is right. */
  static startMutant(mutant: string, ...args: readonly string[]): Promise<InstanceProcess> {
    const program = new URL("mutant-instance.ts", import.meta.url);
    return InstanceProcess.#listening(new InstanceProcess(program, { VGPU_MUTANT: mutant }, args));
  }

  static async #listening(instance: InstanceProcess): Promise<InstanceProcess> {
    const { child } = instance;
    child.stderr?.on("data", (chunk) => {
      instance.#log += chunk;
    });
    // The socket is there before the device is; until then a front end waits in the backlog.
    while (!existsSync(instance.path)) {
      if (!instance.running) throw new Error(`vgpu-instance ended: ${instance.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return instance;
  }

  /** What it wrote to stderr so far. */
  get log(): string {
    return this.#log;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async stop(): Promise<void> {
    if (this.running) {
      const exit = once(this.child, "exit");
      this.child.kill("SIGTERM");
      await exit;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
