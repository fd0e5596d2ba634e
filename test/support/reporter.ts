// SPDX-License-Identifier: Apache-2.0
//
// A vitest reporter that ends a run with the line that CI reads, "N passed, N failed" and nothing
// else, after each skipped test with its reason: a test that silently does not run is worth no
// more than none. What fails outside a test (a file that does not load,
// an unhandled error, the lint that scripts/test.sh ran before) counts as a failure.

import { writeFileSync } from "node:fs";
import type { SerializedError } from "vitest";
import type { Reporter, TestCase, TestModule } from "vitest/node";

export interface TestCounts {
  passed: number;
  failed: number;
}

export function summaryLine(counts: TestCounts): string {
  return `${counts.passed} passed, ${counts.failed} failed`;
}

function skipReason(test: TestCase): string {
  const broken =
    test.module.errors().length > 0 ||
    (test.parent.type === "suite" && test.parent.errors().length > 0);
  return broken ? "the set-up of its file failed" : "no reason given";
}

export default class SummaryReporter implements Reporter {
  onTestRunEnd(
    modules: readonly TestModule[],
    unhandledErrors: readonly SerializedError[],
    reason: "passed" | "interrupted" | "failed",
  ): void {
    const counts: TestCounts = { passed: 0, failed: unhandledErrors.length };
    const skips: string[] = [];
    for (const module of modules) {
      counts.failed += module.errors().length;
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length;
      for (const test of module.children.allTests()) this.count(test, counts, skips);
    }
    if (process.env.VGPU_LINT === "failed") {
      console.log("lint failed; its messages stand above the tests'");
      counts.failed += 1;
    }
    // An interrupted run, or one that failed in a place not counted above, must not look green.
    if (counts.failed === 0 && (reason !== "passed" || counts.passed === 0)) counts.failed = 1;
    for (const skip of skips) console.log(skip);
    const line = summaryLine(counts);
    console.log(`\n${line}`);
    const path = process.env.VGPU_TEST_SUMMARY;
    if (path !== undefined) writeFileSync(path, `${line}\n`);
  }

  private count(test: TestCase, counts: TestCounts, skips: string[]): void {
    const result = test.result();
    switch (result.state) {
      case "passed":
        counts.passed += 1;
        return;
      case "failed":
        counts.failed += 1;
        return;
      case "skipped":
        skips.push(`skipped: ${test.fullName} (${result.note ?? skipReason(test)})`);
        return;
      case "pending":
        // It was started and never ended.
        counts.failed += 1;
        return;
    }
  }
}
