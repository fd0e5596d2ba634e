// SPDX-License-Identifier: Apache-2.0
/** Division of the GPU's time, and the ledger of promised memory. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { divide, MemoryLedger } from "../../../src/scheduler/index.js";

const free = { minShare: 0, maxShare: 1 };

describe("divide", () => {
  it.each([
    [[{ weight: 1, ...free }], 1, [1]],
    [[1, 2, 4].map((weight) => ({ weight, ...free })), 1, [1 / 7, 2 / 7, 4 / 7]],
    [[1, 1].map((weight) => ({ weight, ...free })), 0.6, [0.3, 0.3]],
    [
      [
        { weight: 1, minShare: 0.4, maxShare: 1 },
        { weight: 9, ...free },
      ],
      1,
      [0.4, 0.6],
    ],
    [
      [
        { weight: 9, minShare: 0, maxShare: 0.3 },
        { weight: 1, ...free },
      ],
      1,
      [0.3, 0.7],
    ],
    [[{ weight: 1, minShare: 0, maxShare: 0.2 }], 1, [0.2]],
    [[], 1, []],
  ])("%j of %d", (claims, capacity, shares) => {
    const got = divide(claims, capacity);
    expect(got).toHaveLength(shares.length);
    got.forEach((share, index) => {
      expect(share).toBeCloseTo(shares[index] ?? 0, 9);
    });
  });

  it("keeps every limit, and gives out all there is unless the maxima forbid it", () => {
    const claim = fc
      .tuple(fc.integer({ min: 1, max: 10_000 }), fc.nat(100), fc.integer({ min: 1, max: 1000 }))
      .map(([weight, min, more]) => {
        const minShare = min / 1000;
        return { weight, minShare, maxShare: Math.min(1, minShare + more / 1000) };
      });
    fc.assert(
      fc.property(fc.array(claim, { minLength: 1, maxLength: 10 }), (claims) => {
        const shares = divide(claims, 1);
        shares.forEach((share, index) => {
          expect(share).toBeGreaterThanOrEqual(claims[index]?.minShare ?? 0);
          expect(share).toBeLessThanOrEqual(claims[index]?.maxShare ?? 0);
        });
        const sum = shares.reduce((a, b) => a + b, 0);
        const most = claims.reduce((a, each) => a + each.maxShare, 0);
        expect(sum).toBeCloseTo(Math.min(1, most), 6);
      }),
    );
  });
});

describe("the ledger of memory", () => {
  it("refuses what does not fit and says what is left", () => {
    const ledger = new MemoryLedger(2 ** 30);
    ledger.promise("a", 600 * 2 ** 20);
    expect(() => ledger.promise("b", 425 * 2 ** 20)).toThrow(
      "vGPU b: 425 MiB of device memory do not fit: 424 MiB of 1024 MiB are left",
    );
    ledger.promise("b", 424 * 2 ** 20);
    expect(ledger.promisedBytes).toBe(2 ** 30);
    ledger.promise("a", 1);
    ledger.release("b");
    expect(ledger.promisedBytes).toBe(1);
    expect(() => ledger.promise("a", -1)).toThrow(/-1 is no number of bytes/);
  });
});
