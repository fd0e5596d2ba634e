// SPDX-License-Identifier: Apache-2.0
//
// The line that CI reads.

import { afterEach, expect, test, vi } from "vitest";
import type { TestModule } from "vitest/node";
import Reporter from "../../support/reporter.js";

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** As much of a module as the reporter looks at: one test for each state. */
function moduleOf(...states: string[]): TestModule {
  const module = { errors: () => [], children: { allSuites: () => [], allTests: () => tests } };
  const tests = states.map((state, index) => ({
    fullName: `test ${index}`,
    module,
    parent: { type: "module" },
    result: () => (state === "skipped" ? { state, note: "no huge pages" } : { state }),
  }));
  return module as unknown as TestModule;
}

/** What the reporter prints at the end of a run. */
function printed(modules: TestModule[], reason: "passed" | "failed" | "interrupted"): string[] {
  vi.stubEnv("VGPU_TEST_SUMMARY", undefined);
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  new Reporter().onTestRunEnd(modules, [], reason);
  return log.mock.calls.join("\n").split("\n");
}

test("ends with the counts alone, after what is skipped and why", () => {
  vi.stubEnv("VGPU_LINT", "passed");
  const lines = printed([moduleOf("passed", "skipped", "passed"), moduleOf("failed")], "failed");
  expect(lines.at(-1)).toBe("2 passed, 1 failed");
  expect(lines).toContain("skipped: test 1 (no huge pages)");
});

test("is red when a test never ended, none ran, the run was interrupted, or lint failed", () => {
  vi.stubEnv("VGPU_LINT", "passed");
  expect(printed([moduleOf("passed", "pending")], "passed").at(-1)).toBe("1 passed, 1 failed");
  expect(printed([moduleOf("skipped")], "passed").at(-1)).toBe("0 passed, 1 failed");
  expect(printed([moduleOf("passed")], "interrupted").at(-1)).toBe("1 passed, 1 failed");
  vi.stubEnv("VGPU_LINT", "failed");
  expect(printed([moduleOf("passed")], "passed").at(-1)).toBe("1 passed, 1 failed");
});
