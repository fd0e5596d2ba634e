// SPDX-License-Identifier: Apache-2.0
/** Every CUDA kernel in the reference interpreter: the CPU references and it vouch for each other. */
import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { interpretCase } from "../support/cuda/lab.js";
import { CASES, ptxOf, TARGETS } from "./cases/index.js";

const root = new URL("../..", import.meta.url).pathname;

for (const target of TARGETS) {
  describe(`CUDA kernels in the interpreter, compute_${target}`, () => {
    for (const each of CASES) {
      it(`${each.module}: ${each.name}`, () => {
        expect(interpretCase(each, ptxOf(each.module, target)).wrong).toBeNull();
      });
    }
  });
}

describe("the CUDA kernels", () => {
  it("have names of their own", () => {
    expect(new Set(CASES.map((c) => c.name)).size).toBe(CASES.length);
  });

  it("are what nvcc makes of their sources", (context) => {
    const checked = spawnSync("scripts/cuda-ptx.sh", ["--check"], { cwd: root, encoding: "utf8" });
    if (checked.status === 3) {
      context.skip(`${checked.stderr.trim()}: the checked-in PTX is not compared`);
      return;
    }
    expect(checked.stdout + checked.stderr).toBe("");
    expect(checked.status).toBe(0);
  }, 120_000);
});
