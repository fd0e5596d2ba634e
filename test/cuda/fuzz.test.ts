// SPDX-License-Identifier: Apache-2.0
/**
 * Random PTX programs: the GPU against the interpreter. `PTX_FUZZ=FROM-TO` runs other seeds than the
 * few of every run, `PTX_FUZZ=SEED` repeats one.
 */
import { describe, expect, it } from "vitest";
import { fuzzCase, fuzzOnGpu } from "../support/cuda/fuzz.js";
import { gpuCase } from "../support/cuda/gpu.js";

const [from = 1, to = from] = (process.env.PTX_FUZZ ?? "1-24").split("-").map(Number);

describe("random PTX programs", () => {
  for (let seed = from; seed <= to; seed++) {
    it(`give what the interpreter gives: seed ${seed}`, async () => {
      expect(await fuzzOnGpu(seed)).toBeNull();
    });
  }

  it("that are changed are found", async () => {
    const { ptx, testCase } = fuzzCase(5);
    const changed = ptx.replace("%own+8], %r0", "%own+8], %r1");
    expect(changed).not.toBe(ptx);
    expect(await gpuCase(testCase, changed)).toMatch(/^out: \d+ of \d+ differ/);
  });
});
