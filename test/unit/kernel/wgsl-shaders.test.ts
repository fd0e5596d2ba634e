// SPDX-License-Identifier: Apache-2.0
/**
 * Every shader of the collection, in every way of binding its arguments: the real compiler accepts
 * the rewritten kernel, and running it gives what the plain kernel gives.
 */
import { describe, expect, test } from "vitest";
import { findEntry, rewriteKernel } from "../../../src/kernel/wgsl/index.js";
import type { Binding } from "../../support/wgsl-cases.js";
import { arrange, loadShaders } from "../../support/wgsl-cases.js";
import { compileErrors, runLaunch } from "../../support/wgsl-gpu.js";

const BINDINGS: readonly Binding[] = ["typed", "words", "typed-shared", "words-shared"];
const ELEMENTS = 40;
/** Others would have several workgroups on the same elements. */
const PLANAR = new Set(["sgemm-tiled", "transpose", "convolution", "block-3d"]);
const BLOCK = [8, 4, 1];

const shaders = loadShaders();

test("the collection has at least thirty shaders", () => {
  expect(shaders.length).toBeGreaterThanOrEqual(30);
});

describe.each(shaders)("$name", ({ name, module }) => {
  const grid: readonly [number, number, number] = PLANAR.has(name) ? [2, 2, 1] : [4, 1, 1];

  for (const entryName of module.entryNames) {
    const entry = findEntry(module, entryName);

    test(`${entryName}: the compiler accepts the plain kernel`, async () => {
      const { key } = arrange(entry, "plain", ELEMENTS).plan;
      expect(await compileErrors(rewriteKernel(entry, key).wgsl)).toBe("");
    });

    test.each(BINDINGS)(
      `${entryName}: bound %s it computes what it computes plain`,
      async (how) => {
        const plain = arrange(entry, "plain", ELEMENTS);
        const other = arrange(entry, how, ELEMENTS);
        expect(await compileErrors(rewriteKernel(entry, other.plan.key).wgsl)).toBe("");
        const launch = { entry, grid, block: BLOCK };
        const expected = await runLaunch(plain.memory, { ...launch, ...plain });
        const actual = await runLaunch(other.memory, { ...launch, ...other });
        let changed = false;
        for (const [index, { offset, bytes }] of plain.regions) {
          const from = other.regions.get(index)?.offset ?? 0;
          const want = expected.subarray(offset, offset + bytes);
          changed ||= !Buffer.from(want).equals(plain.memory.subarray(offset, offset + bytes));
          expect(actual.subarray(from, from + bytes), entry.resources[index]?.name).toEqual(want);
        }
        // A kernel that does nothing would pass all of the above.
        expect(changed).toBe(true);
      },
    );

    test.each([
      ["plain", [1, 1, 1]],
      ["words-shared", [2, 1, 1]],
    ] as const)(`${entryName}: %s in slices of %j it computes the same`, async (how, slice) => {
      const arranged = arrange(entry, how, ELEMENTS);
      const launch = { entry, grid, block: BLOCK, ...arranged };
      const expected = await runLaunch(arranged.memory, launch);
      expect(await runLaunch(arranged.memory, { ...launch, slice })).toEqual(expected);
    });
  }
});
