// SPDX-License-Identifier: Apache-2.0
/** Single PTX instructions over nasty operands: the GPU against the interpreter, bit by bit. */
import { describe, expect, it } from "vitest";
import { formsCase } from "../support/cuda/forms-case.js";
import { gpuCase } from "../support/cuda/gpu.js";
import { DOUBLE, FLOAT, type Form, HALF, INTEGER, WIDE } from "../support/cuda/instructions.js";

const GROUPS: readonly [string, readonly Form[]][] = [
  ["32-bit integers", INTEGER],
  ["64-bit integers", WIDE],
  ["16-bit integers", HALF],
  ["floats", FLOAT],
  ["f64", DOUBLE],
];
/** Forms a kernel: more would compile for too long. */
const BATCH = 24;

describe("PTX instructions", () => {
  for (const [name, list] of GROUPS) {
    for (let i = 0; i < list.length; i += BATCH) {
      const part = list.slice(i, i + BATCH);
      const range = `${i + 1} to ${i + part.length}`;
      it(`give what the interpreter gives: ${name}, ${range} of ${list.length}`, async () => {
        const { ptx, testCase } = formsCase(name, part);
        expect(await gpuCase(testCase, ptx)).toBeNull();
      });
    }
  }

  it("that differ are found", async () => {
    const { ptx, testCase } = formsCase("canary", [{ kind: "r", text: "add.s32 D, A, B;" }]);
    const wrong = await gpuCase(testCase, ptx.replace("add.s32 %r3", "sub.s32 %r3"));
    expect(wrong).toMatch(/^add\.s32 D, A, B; .* is [0-9a-f]+, not [0-9a-f]+$/);
  });
});
