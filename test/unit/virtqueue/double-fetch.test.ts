// SPDX-License-Identifier: Apache-2.0
// Rings and inflight areas in memory that changes at every read (CVE-2020-14374 to 14378): what comes
// out is what stood there at the first one.
import { describe, expect, it } from "vitest";
import { SplitInflightRegion, splitInflightBytes } from "../../../src/virtqueue/split-inflight.js";
import type { Chain } from "../../../src/virtqueue/types.js";
import { withChangingMemory } from "../../support/changing-memory.js";
import { PackedFixture } from "../../support/packed-fixture.js";
import { DATA, INDIRECT, NEXT, PAGES, RingFixture, WRITE } from "../../support/ring-fixture.js";

const SIZE = 8;
const PAGE = 4096;
const FLAG_BITS = 7;

const summary = (chain: Chain | null) =>
  chain && {
    head: chain.head,
    fault: chain.fault,
    readable: chain.readable.map((view) => [view.byteOffset, view.length]),
    writable: chain.writable.map((view) => [view.byteOffset, view.length]),
    bytes: [chain.readableBytes, chain.writableBytes],
  };

/** A direct chain, one with a table, one whose table crosses pages; and one that is wrong. */
const CASES = {
  "a chain in the ring": [
    { address: DATA, length: 100, flags: NEXT, next: 1 },
    { address: DATA + 4096, length: 64, flags: NEXT | WRITE, next: 2 },
    { address: PAGES, length: 2 * PAGE, flags: WRITE, next: 0 },
  ],
  "a table": [{ address: DATA + 64, length: 48, flags: INDIRECT }],
  "a table that crosses pages": [{ address: PAGES + PAGE - 16, length: 48, flags: INDIRECT }],
  "a table that is not there": [{ address: 0x20000, length: 48, flags: INDIRECT }],
  "a buffer that is not mapped": [{ address: 0x20000, length: 16, flags: WRITE }],
} as const;

const TABLE = [
  { address: DATA + 512, length: 32, flags: NEXT, next: 1 },
  { address: DATA + 1024, length: 7, flags: NEXT | WRITE, next: 2 },
  { address: PAGES + 3 * PAGE, length: 5000, flags: WRITE, next: 0 },
];

describe.each(Object.entries(CASES))("%s", (_, descriptors) => {
  it("of a split ring", () => {
    const pop = (changing: boolean) => {
      const fixture = new RingFixture({ size: SIZE });
      for (const table of [DATA + 64, PAGES + PAGE - 16])
        TABLE.forEach((entry, i) => {
          fixture.descriptor(i, entry, table);
        });
      fixture.offer(...descriptors);
      const take = () => summary(fixture.ring.pop());
      return changing ? withChangingMemory(fixture.memory.buffer, take) : take();
    };
    expect(pop(true)).toEqual(pop(false));
    expect(pop(false)).not.toBeNull();
  });

  it("of a packed ring", () => {
    const pop = (changing: boolean) => {
      const fixture = new PackedFixture({ size: SIZE });
      for (const table of [DATA + 64, PAGES + PAGE - 16])
        TABLE.forEach(({ address, length, flags }, i) => {
          fixture.raw(i, { address, length, flags: flags & WRITE }, 0, table);
        });
      for (const { address, length, flags } of descriptors)
        fixture.offer(5, { address, length, flags });
      const take = () => summary(fixture.ring.pop());
      // Flags are looked at for AVAIL and USED first, and are then read with their descriptor; only
      // that second value is used for the rest.
      const spare = (at: number): number => (at < 16 * SIZE && at % 16 === 14 ? FLAG_BITS : 0);
      return changing ? withChangingMemory(fixture.memory.buffer, take, { spare }) : take();
    };
    expect(pop(true)).toEqual(pop(false));
    expect(pop(false)).not.toBeNull();
  });
});

it("the chains in flight of a split ring, in memory that the front end shares", () => {
  const take = (changing: boolean): readonly number[] => {
    const region = new Uint8Array(splitInflightBytes(SIZE));
    const view = new DataView(region.buffer);
    const words = {
      store8: (at: number, value: number) => view.setUint8(at, value),
      store16: (at: number, value: number) => view.setUint16(at, value, true),
      store64: (at: number, value: number) => view.setBigUint64(at, BigInt(value), true),
    };
    const before = new SplitInflightRegion(region, words, SIZE, 0);
    for (const head of [3, 1, 6, 4]) before.taken(head);
    before.returned(1);
    const resume = () => new SplitInflightRegion(region, words, SIZE, 1).resubmit;
    return changing ? withChangingMemory(region.buffer, resume) : resume();
  };
  expect(take(false)).toEqual([3, 6, 4]);
  expect(take(true)).toEqual(take(false));
});

it("a second read would be seen", () => {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  withChangingMemory(bytes.buffer, () => {
    expect(view.getUint32(0, true)).toBe(0);
    expect(view.getUint32(0, true)).toBe(0xffffffff);
    new Uint8Array(4).set(bytes.subarray(4, 8));
    expect(bytes[4]).toBe(0xff);
  });
  expect(view.getUint32(0, true)).toBe(0);
});
