// SPDX-License-Identifier: Apache-2.0
// A driver that writes anything anywhere: the ring never throws, never hands out what is not
// mapped, never works without bound, and keeps its own books right.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Chain } from "../../../src/virtqueue/types.js";
import { DATA, HOLE, PAGES, RingFixture } from "../../support/ring-fixture.js";

const SIZE = 8;

/** Addresses near the edges of what is mapped, and far from it. */
const address = fc.oneof(
  fc.integer({ min: DATA, max: DATA + 0x200 }),
  fc.integer({ min: HOLE - 64, max: PAGES + 64 }),
  fc.integer({ min: 0x30000 - 64, max: 0x30000 + 64 }),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);
const length = fc.oneof(
  fc.integer({ min: 0, max: 64 }),
  fc.constantFrom(16, 32, 128, 0x1000, 0x10000, 0xffffffff),
);
const descriptor = fc.record({
  address,
  length,
  flags: fc.oneof(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 0xffff })),
  next: fc.oneof(fc.integer({ min: 0, max: SIZE }), fc.integer({ min: 0, max: 0xffff })),
});
const small = fc.integer({ min: 0, max: SIZE - 1 });
const u16 = fc.integer({ min: 0, max: 0xffff });
const write = fc.record({
  kind: fc.constant("write" as const),
  index: small,
  descriptor,
  inTable: fc.boolean(),
});
const offer = (head: fc.Arbitrary<number>) =>
  fc.record({ kind: fc.constant("offer" as const), head });
/** What breaks the ring is rare, so that much happens before. */
const step = fc.oneof(
  { weight: 12, arbitrary: write },
  { weight: 12, arbitrary: offer(small) },
  { weight: 1, arbitrary: offer(u16) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("index" as const), index: u16 }) },
  { weight: 12, arbitrary: fc.record({ kind: fc.constant("drain" as const) }) },
);

function check(chain: Chain, fixture: RingFixture): void {
  const sum = (views: readonly Uint8Array[]): number =>
    views.reduce((total, view) => total + view.length, 0);
  expect(sum(chain.readable)).toBe(chain.readableBytes);
  expect(sum(chain.writable)).toBe(chain.writableBytes);
  // At most one descriptor a view and a page: 64 KiB of data in pages of 4 KiB, 8 descriptors.
  expect(chain.readable.length + chain.writable.length).toBeLessThanOrEqual(SIZE * 18);
  for (const view of [...chain.readable, ...chain.writable]) {
    expect(view.buffer).toBe(fixture.memory.buffer);
    const [start, end] = [view.byteOffset, view.byteOffset + view.length];
    expect(start >= DATA && end <= 0x30000 && (end <= HOLE || start >= PAGES)).toBe(true);
  }
}

describe("a hostile driver", () => {
  it.each([true, false])("gets nothing out of the ring, with EVENT_IDX %s", (eventIndex) => {
    let faults = 0;
    let broken = 0;
    let sound = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: "max" }), (steps) => {
        const fixture = new RingFixture({ size: SIZE, eventIndex });
        const { ring } = fixture;
        for (const each of steps) {
          if (each.kind === "write")
            fixture.descriptor(each.index, each.descriptor, each.inTable ? DATA : 0);
          else if (each.kind === "offer") fixture.offerHead(each.head);
          else if (each.kind === "index") fixture.setAvailable(each.index);
          for (let count = 0; each.kind === "drain" && count <= SIZE; count++) {
            const chain = ring.pop();
            if (chain === null) break;
            expect(count).toBeLessThan(SIZE);
            check(chain, fixture);
            if (chain.fault === null) sound++;
            else faults++;
            ring.push(chain, chain.writableBytes);
            ring.flush();
          }
          ring.enableKick(each.kind === "drain");
        }
        expect(ring.outstanding).toBe(0);
        expect(fixture.usedIndex).toBe(ring.counters.pushed & 0xffff);
        expect(fixture.brokenReasons.length).toBe(ring.brokenReason === null ? 0 : 1);
        broken += fixture.brokenReasons.length;
      }),
      { numRuns: 300 },
    );
    // The generator must reach all three: else this test could not fail.
    expect(Math.min(faults, broken, sound)).toBeGreaterThan(10);
  });
});
