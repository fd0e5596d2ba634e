// SPDX-License-Identifier: Apache-2.0
// A driver that writes anything anywhere into a packed ring: the ring never throws, never hands out
// what is not mapped, never works without bound, and keeps its own books right.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Chain } from "../../../src/virtqueue/types.js";
import { PackedFixture } from "../../support/packed-fixture.js";
import { DATA, HOLE, PAGES } from "../../support/ring-fixture.js";

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
const u16 = fc.integer({ min: 0, max: 0xffff });
const id = fc.oneof(
  { weight: 30, arbitrary: fc.integer({ min: 0, max: SIZE - 1 }) },
  { weight: 1, arbitrary: u16 },
);
const flags = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(0, 2, 4) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 7 }) },
);
const descriptor = fc.record({ address, length, flags });
const small = fc.integer({ min: 0, max: SIZE - 1 });
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("offer" as const), id, descriptor }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("table" as const), slot: small, id, descriptor }),
  },
  // A slot that is not the driver's turn, with any flags.
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("raw" as const), slot: small, id, flags: u16 }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("event" as const), flags: u16, at: u16 }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("drain" as const), hold: fc.boolean() }) },
);

function check(chain: Chain, fixture: PackedFixture): void {
  const sum = (views: readonly Uint8Array[]): number =>
    views.reduce((total, view) => total + view.length, 0);
  expect(sum(chain.readable)).toBe(chain.readableBytes);
  expect(sum(chain.writable)).toBe(chain.writableBytes);
  expect(chain.readable.length + chain.writable.length).toBeLessThanOrEqual(SIZE * 18);
  for (const view of [...chain.readable, ...chain.writable]) {
    expect(view.buffer).toBe(fixture.memory.buffer);
    const [start, end] = [view.byteOffset, view.byteOffset + view.length];
    expect(start >= DATA && end <= 0x30000 && (end <= HOLE || start >= PAGES)).toBe(true);
  }
}

describe("a hostile driver", () => {
  it.each([true, false])("gets nothing out of the ring, with EVENT_IDX %s", (eventIndex) => {
    const seen = { faults: 0, broken: 0, sound: 0, heldAtOnce: 0 };
    const steps = fc.array(step, { minLength: 10, maxLength: 60, size: "max" });
    fc.assert(
      fc.property(fc.nat(2 * SIZE - 1), steps, (position, all) => {
        const fixture = new PackedFixture({ size: SIZE, eventIndex, position });
        const { ring } = fixture;
        const held: Chain[] = [];
        for (const each of all) {
          if (each.kind === "offer") fixture.offer(each.id, each.descriptor);
          else if (each.kind === "table") fixture.raw(each.slot, each.descriptor, each.id, DATA);
          else if (each.kind === "raw")
            fixture.raw(each.slot, { address: DATA, length: 8, flags: each.flags }, each.id);
          else if (each.kind === "event") fixture.driverEvent(each.flags, each.at);
          if (each.kind !== "drain") continue;
          ring.isBehind(ring.availableIndex);
          for (let count = 0; ; count++) {
            const chain = ring.pop();
            if (chain === null) break;
            expect(count).toBeLessThan(SIZE);
            expect(held.some((other) => other.head === chain.head)).toBe(false);
            check(chain, fixture);
            seen[chain.fault === null ? "sound" : "faults"]++;
            held.push(chain);
          }
          expect(held.length).toBeLessThanOrEqual(SIZE);
          seen.heldAtOnce = Math.max(seen.heldAtOnce, held.length);
          while (!each.hold && held.length > 0) {
            const chain = held.pop();
            if (chain) ring.push(chain, chain.writableBytes);
          }
          ring.flush();
          ring.enableKick(each.hold);
          expect(ring.watchOffset).toBeLessThan(16 * SIZE);
          expect(ring.base).toBeGreaterThanOrEqual(0);
        }
        expect(ring.outstanding).toBe(held.length);
        expect(fixture.brokenReasons.length).toBe(ring.brokenReason === null ? 0 : 1);
        seen.broken += fixture.brokenReasons.length;
      }),
      { numRuns: 400 },
    );
    // The generator must reach all: else this test could not fail.
    expect(Math.min(seen.faults, seen.broken, seen.sound)).toBeGreaterThan(10);
    expect(seen.heldAtOnce).toBeGreaterThan(3);
  });
});
