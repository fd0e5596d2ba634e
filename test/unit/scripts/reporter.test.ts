// SPDX-License-Identifier: Apache-2.0
//
// The line that CI reads.

import { expect, test } from "vitest";
import { summaryLine } from "../../support/reporter.js";

test("the summary names skipped tests only when there are some", () => {
  expect(summaryLine({ passed: 3, failed: 1, skipped: 0 })).toBe("3 passed, 1 failed");
  expect(summaryLine({ passed: 0, failed: 0, skipped: 2 })).toBe("0 passed, 0 failed, 2 skipped");
});
