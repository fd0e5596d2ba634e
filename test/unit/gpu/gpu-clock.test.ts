// SPDX-License-Identifier: Apache-2.0
/** Times of the GPU's clock on the host's. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GpuClock } from "../../../src/gpu/dawn/gpu-clock.js";

describe("the GPU's clock", () => {
  it("is the host's where it fits", () => {
    const clock = new GpuClock();
    expect(clock.place([110, 150], 100, 200)).toEqual([110, 150]);
    expect(clock.place([210], 205, 300)).toEqual([210]);
  });

  it("keeps its offset while that fits, and moves it no further than it must", () => {
    const clock = new GpuClock();
    // 0 does not fit: the nearest end is where the first mark meets the submission.
    expect(clock.place([10, 50], 1000, 1100)).toEqual([1000, 1040]);
    expect(clock.place([120, 130], 1105, 1200)).toEqual([1110, 1120]);
    // This one was noticed before it ended by that offset.
    expect(clock.place([220, 230], 1205, 1212)).toEqual([1205, 1212]);
    expect(clock.place([330], 1300, 1400)).toEqual([1315]);
  });

  it("gives no time outside of the batch, and none before an earlier one", () => {
    const clock = new GpuClock();
    expect(clock.place([5000], 100, 200)).toEqual([200]);
    // A clock that jumps back; the batch was submitted while the one before was running.
    expect(clock.place([10, 20], 150, 210)).toEqual([200, 200]);
    expect(clock.place([], 300, 400)).toEqual([]);
  });

  it("tells times of batches apart exactly as a clock that drifts little does", () => {
    const batch = fc.record({
      wait: fc.integer({ min: 0, max: 1000 }),
      works: fc.array(fc.integer({ min: 0, max: 10_000 }), { minLength: 1, maxLength: 6 }),
      notice: fc.integer({ min: 0, max: 1000 }),
    });
    const origin = fc.integer({ min: -1e12, max: 1e12 });
    fc.assert(
      fc.property(origin, fc.array(batch, { minLength: 1, maxLength: 20 }), (shift, batches) => {
        const clock = new GpuClock();
        let now = 2e12;
        let last = 0;
        for (const { wait, works, notice } of batches) {
          const submitted = now;
          now += wait;
          const times = works.map((work) => {
            now += work;
            return now;
          });
          const noticed = now + notice;
          const placed = clock.place(
            times.map((time) => time + shift),
            submitted,
            noticed,
          );
          for (const [index, at] of placed.entries()) {
            expect(at).toBeGreaterThanOrEqual(Math.max(last, submitted));
            expect(at).toBeLessThanOrEqual(noticed);
            if (index > 0) expect(at - last).toBe((times[index] ?? 0) - (times[index - 1] ?? 0));
            last = at;
          }
          now = noticed;
        }
      }),
    );
  });
});
