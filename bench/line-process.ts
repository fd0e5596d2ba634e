// SPDX-License-Identifier: Apache-2.0
/** A child process that is asked line by line and answers each line with one JSON object. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

export class LineProcess {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #waiting: {
    resolve: (answer: Record<string, unknown>) => void;
    reject: (error: Error) => void;
  }[] = [];
  readonly #early: Record<string, unknown>[] = [];
  #ended: string | null = null;

  constructor(name: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.#name = name;
    this.#child = spawn(command, args, { env, stdio: ["pipe", "pipe", "inherit"] });
    this.#child.on("error", (error) => this.#fail(`can't be started: ${error.message}`));
    this.#child.on("exit", (code, signal) => this.#fail(`has ended (${signal ?? code})`));
    const { stdout } = this.#child;
    if (stdout !== null) {
      createInterface({ input: stdout }).on("line", (line) => this.#answer(line));
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** The next answer, for a process that speaks first. */
  next(): Promise<Record<string, unknown>> {
    const early = this.#early.shift();
    if (early !== undefined) {
      return Promise.resolve(early);
    }
    if (this.#ended !== null) {
      return Promise.reject(new Error(this.#ended));
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  ask(line: string): Promise<Record<string, unknown>> {
    this.#child.stdin?.write(`${line}\n`);
    return this.next();
  }

  stop(): void {
    this.#child.removeAllListeners("exit");
    this.#child.kill("SIGTERM");
  }

  #answer(line: string): void {
    let answer: Record<string, unknown>;
    try {
      answer = JSON.parse(line) as Record<string, unknown>;
    } catch {
      // Dawn writes some warnings to stdout.
      return;
    }
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#early.push(answer);
    } else if (typeof answer.error === "string") {
      waiting.reject(new Error(`${this.#name}: ${answer.error}`));
    } else {
      waiting.resolve(answer);
    }
  }

  #fail(how: string): void {
    this.#ended = `${this.#name} ${how}`;
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new Error(this.#ended));
    }
  }
}
