// SPDX-License-Identifier: Apache-2.0
/** What the tests with real processes share: C programs of their own, and programs under watch. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";

const root = new URL("../..", import.meta.url).pathname;
const libraries = join(root, "guest-driver/build/lib");

/** Compiles test/e2e/programs/NAME.c against libvgpu unless that is done already. */
export function testProgram(name: string): string {
  const source = join(root, "test/e2e/programs", `${name}.c`);
  const folder = join(root, "build/e2e");
  const target = join(folder, name);
  const library = join(libraries, "libvgpu.so.0");
  if (!existsSync(library)) {
    throw new Error(`${library} is missing: run npm run build:guest`);
  }
  const newest = Math.max(statSync(source).mtimeMs, statSync(library).mtimeMs);
  if (!existsSync(target) || statSync(target).mtimeMs < newest) {
    mkdirSync(folder, { recursive: true });
    const include = join(root, "guest-driver/include");
    const flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-I", include];
    // CUDA's libraries have libvgpu in them.
    const link = /^cuda/.test(name) ? ["-lcudart", "-lcuda", "-lm"] : ["-lvgpu"];
    execFileSync("cc", [...flags, "-o", target, source, "-L", libraries, ...link]);
  }
  return target;
}

export function guestEnvironment(socket: string): NodeJS.ProcessEnv {
  const path = [libraries, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":");
  return { ...process.env, VGPU_DEVICE: `unix:${socket}`, LD_LIBRARY_PATH: path };
}

/** A program that is watched line by line. */
export class Watched {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  /** When each line came, ms on a clock of its own; for what is printed, never for assertions. */
  readonly times: number[] = [];
  stderr = "";
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #wakes: (() => void)[] = [];

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.child = spawn(command, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let pending = "";
    this.child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      const parts = (pending + chunk).split("\n");
      pending = parts.pop() ?? "";
      this.lines.push(...parts);
      this.times.push(...parts.map(() => performance.now()));
      this.#wake();
    });
    this.child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      this.stderr += chunk;
    });
    this.exit = new Promise((resolve) => {
      this.child.on("close", (code, signal) => {
        resolve({ code, signal });
        this.#wake();
      });
    });
  }

  /** Resolves when a line matches; rejects with what was said if the program ends before. */
  line(pattern: RegExp): Promise<string> {
    return this.#find(
      () => this.lines.find((line) => pattern.test(line)),
      () => `ended without ${pattern}`,
    );
  }

  /** Resolves when it has said this many lines in all; rejects if it ends before. */
  async count(lines: number): Promise<void> {
    await this.#find(
      () => (this.lines.length >= lines ? true : undefined),
      () => `ended after ${this.lines.length} of ${lines} lines`,
    );
  }

  async #find<T>(find: () => T | undefined, complaint: () => string): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) {
        return found;
      }
      const { exitCode, signalCode } = this.child;
      if (exitCode !== null || signalCode !== null) {
        const end = signalCode ?? `code ${exitCode}`;
        throw new Error(
          `${complaint()} (${end}): ${this.lines.slice(-20).join(" | ")} ${this.stderr}`,
        );
      }
      await new Promise<void>((resolve) => {
        this.#wakes.push(resolve);
      });
    }
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }

  /** The longest time without a line and the usual one, from the `first` line on: text for people. */
  pauses(first: number): string {
    const gaps = this.times
      .slice(first)
      .map((time, index) => time - (this.times[first + index - 1] ?? time));
    gaps.sort((a, b) => a - b);
    const [median = 0, longest = 0] = [gaps[gaps.length >> 1], gaps.at(-1)];
    return `longest pause between two rounds ${longest.toFixed(0)} ms, usual ${median.toFixed(1)} ms`;
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }
}

/** Asks until the answer satisfies; the test's own time limit bounds it. */
export async function eventually<T>(
  ask: () => Promise<T>,
  satisfied: (answer: T) => boolean,
): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (satisfied(answer)) {
      return answer;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
