// SPDX-License-Identifier: Apache-2.0
/** Cutting grids: every workgroup is in one dispatch, whatever the shape and the sizes. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cutSlice, type Grid, gridGroups } from "../../../src/instance/slices.js";

/** Cuts a whole grid and gives how often each workgroup is in a dispatch. */
function visits(grid: Grid, sizes: readonly number[], sideMax: number, countMax: number): number[] {
  const seen = new Array<number>(gridGroups(grid)).fill(0);
  let done = 0;
  for (let turn = 0; done < seen.length; turn++) {
    const wanted = sizes[turn % sizes.length] ?? 1;
    const { dispatches, groups } = cutSlice(grid, done, wanted, sideMax, countMax);
    expect(groups).toBeGreaterThan(0);
    expect(groups).toBeLessThanOrEqual(wanted);
    expect(dispatches.length).toBeLessThanOrEqual(countMax);
    const before = done;
    for (const { grid: size, immediates } of dispatches) {
      const [ox = 0, oy = 0, oz = 0, pad0, gx, gy, gz, pad1] = immediates;
      expect([gx, gy, gz, pad0, pad1]).toEqual([...grid, 0, 0]);
      expect(Math.max(...size)).toBeLessThanOrEqual(sideMax);
      done += gridGroups(size);
      for (let z = oz; z < oz + size[2]; z++)
        for (let y = oy; y < oy + size[1]; y++)
          for (let x = ox; x < ox + size[0]; x++) {
            const at = x + grid[0] * (y + grid[1] * z);
            seen[at] = (seen[at] ?? 0) + 1;
          }
    }
    expect(done - before).toBe(groups);
    // What is done is a prefix in x, y, z order: one number tells how far it is.
    expect(seen.slice(0, done).every((each) => each === 1)).toBe(true);
  }
  return seen;
}

const side = fc.integer({ min: 1, max: 12 });

describe("slices", () => {
  it("cover each workgroup once, in order, whatever the sizes", () => {
    fc.assert(
      fc.property(
        fc.tuple(side, side, side),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 14 }),
        fc.integer({ min: 1, max: 5 }),
        (grid, sizes, sideMax, countMax) => {
          const seen = visits(grid, sizes, sideMax, countMax);
          expect(seen.every((each) => each === 1)).toBe(true);
        },
      ),
    );
  });

  it("are as few dispatches as the shape allows", () => {
    const count = (grid: Grid, done: number, groups: number): number =>
      cutSlice(grid, done, groups, 65535, 1000).dispatches.length;
    expect(count([70_000, 2, 1], 0, 140_000)).toBe(4);
    expect(count([1, 1, 70_000], 0, 70_000)).toBe(2);
    expect(count([100, 100, 100], 0, 1_000_000)).toBe(1);
    expect(count([100, 100, 100], 0, 250_000)).toBe(1);
    // The rest of a row and of a plane, whole planes, whole rows.
    expect(count([100, 100, 100], 150, 49_850)).toBe(3);
  });

  it("end with a row or a plane where that costs little", () => {
    expect(cutSlice([100, 100, 100], 0, 55_555, 65535, 9).groups).toBe(50_000);
    expect(cutSlice([100, 100, 100], 0, 5_555, 65535, 9).groups).toBe(5_500);
    expect(cutSlice([100, 100, 100], 0, 155, 65535, 9).groups).toBe(155);
  });
});
