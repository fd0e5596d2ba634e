// SPDX-License-Identifier: Apache-2.0
/** Runs the conformance suite against a vgpu-instance process, within the test's own process. */
import { explore, type Result, run, selectCases } from "../../src/conformance/index.js";
import type { InstanceProcess } from "./instance-process.js";

export interface ConformanceOptions {
  readonly filter?: string;
  readonly executor?: "null" | "full" | "detect";
  readonly timeoutMs?: number;
}

export async function runSuite(
  instance: InstanceProcess,
  options: ConformanceOptions = {},
): Promise<Result[]> {
  const all = {
    path: instance.path,
    pid: instance.child.pid ?? null,
    executor: options.executor ?? "detect",
    timeoutMs: options.timeoutMs ?? 20_000,
  };
  const cases = selectCases(options.filter ?? "");
  if (cases.length === 0) throw new Error(`no conformance test is named '${options.filter}'`);
  // A short time is for the cases: a slow machine may take longer to start.
  return run(cases, await explored({ ...all, timeoutMs: 20_000 }), all);
}

/** A socket can be seen a moment before it listens. */
async function explored(options: Parameters<typeof explore>[0]): ReturnType<typeof explore> {
  for (let tries = 0; ; tries++) {
    try {
      return await explore(options);
    } catch (error) {
      const refused = error instanceof Error && "code" in error && error.code === "ECONNREFUSED";
      if (!refused || tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Ids of failed cases with what they say. */
export function failures(results: readonly Result[]): string[] {
  return results
    .filter(({ outcome }) => outcome === "failed")
    .map(({ id, reason }) => `${id}: ${reason}`);
}
