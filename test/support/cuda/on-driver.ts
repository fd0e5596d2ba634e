// SPDX-License-Identifier: Apache-2.0
/** The tests of all CUDA kernels on one Vulkan driver, each a test of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { beforeAll, describe, expect, it } from "vitest";
import { CASES, TARGETS } from "../../cuda/cases/index.js";
import type { RunnerLine } from "./runner.js";

const root = new URL("../../..", import.meta.url).pathname;
/** One kernel takes a minute of a busy core at most; all of them took 60 to 230 s. */
const SILENCE_MS = 240_000;
const RUN_MS = 1_800_000;

/** `pattern` is found in the adapter's name; `missing` is why they can't run, or null. */
export function testOnDriver(
  driver: string,
  pattern: string,
  env: NodeJS.ProcessEnv,
  missing: string | null,
): void {
  const results = new Map<string, RunnerLine>();
  let adapter = "";
  let noise = "";

  async function run(): Promise<void> {
    const args = ["--import", "tsx", "test/support/cuda/runner.ts"];
    const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } });
    child.stderr.on("data", (data) => {
      noise = (noise + String(data)).slice(-2000);
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), SILENCE_MS);
    for await (const line of createInterface({ input: child.stdout })) {
      timer.refresh();
      if (!line.startsWith("{")) continue;
      const said = JSON.parse(line) as RunnerLine & { driver?: string };
      if (said.driver !== undefined) adapter = said.driver;
      else results.set(`${said.target} ${said.name}`, said);
    }
    if (child.exitCode === null) await once(child, "exit");
    clearTimeout(timer);
  }

  describe(`CUDA kernels on ${driver}`, () => {
    if (missing === null) beforeAll(run, RUN_MS);

    it("is the driver that is meant", (context) => {
      if (missing !== null) context.skip(missing);
      expect(adapter, noise).toMatch(new RegExp(pattern, "i"));
    });

    // One test says why none of the others is there.
    if (missing !== null) return;
    for (const target of TARGETS) {
      for (const each of CASES) {
        it(`${each.module}: ${each.name}, compute_${target}`, (context) => {
          if (each.noGpu !== undefined) context.skip(each.noGpu);
          if (each.heavy !== undefined && env.VGPU_SKIP_HEAVY !== undefined) {
            context.skip(each.heavy);
          }
          const result = results.get(`${target} ${each.name}`);
          expect(result, `it did not run; the process said: ${noise}`).toBeDefined();
          expect(result?.wrong).toBeNull();
        });
      }
    }
  });
}
