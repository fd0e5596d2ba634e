// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from "vitest/config";

// The tests that boot virtual machines run after the others and one file at a time: a guest that
// competes with the unit tests for two cores is slow, and slows them.
export default defineConfig({
  test: {
    pool: "forks",
    reporters: ["default", "./test/support/reporter.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/vm/**", "node_modules/**"],
          maxWorkers: 2,
          testTimeout: 30_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "vm",
          include: ["test/vm/**/*.test.ts"],
          maxWorkers: 1,
          testTimeout: 240_000,
          hookTimeout: 240_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
