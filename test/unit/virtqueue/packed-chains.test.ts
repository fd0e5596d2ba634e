// SPDX-License-Identifier: Apache-2.0
// Descriptor chains of a packed ring: each rule with a chain that keeps it and one that breaks it.
import { describe, expect, it } from "vitest";
import type { Chain } from "../../../src/virtqueue/types.js";
import {
  type PackedDescriptor,
  PackedFixture,
  type PackedFixtureOptions,
} from "../../support/packed-fixture.js";
import { DATA, HOLE, INDIRECT, NEXT, PAGES, WRITE } from "../../support/ring-fixture.js";

const TABLE = DATA + 0x8000;

const read = (length: number, linked = true, address: number | bigint = DATA) => ({
  address,
  length,
  flags: linked ? NEXT : 0,
});
const write = (length: number, linked = true) => ({
  address: DATA + 0x100,
  length,
  flags: WRITE | (linked ? NEXT : 0),
});

function pop(fixture: PackedFixture): Chain {
  const chain = fixture.ring.pop();
  if (chain === null) throw new Error(`the ring gave no chain: ${fixture.brokenReasons}`);
  return chain;
}

function chainOf(descriptors: readonly PackedDescriptor[], options: PackedFixtureOptions = {}) {
  const fixture = new PackedFixture(options);
  fixture.offer(3, ...descriptors);
  return pop(fixture);
}

/** A chain of one indirect descriptor with this table. */
function indirectChain(
  entries: readonly PackedDescriptor[],
  change: Partial<PackedDescriptor> = {},
  options: PackedFixtureOptions = {},
): Chain {
  const fixture = new PackedFixture(options);
  entries.forEach((entry, i) => {
    fixture.raw(i, entry, 0, TABLE);
  });
  const pointer = { address: TABLE, length: 16 * entries.length, flags: INDIRECT, ...change };
  fixture.offer(3, pointer, ...((pointer.flags & NEXT) !== 0 ? [read(1, false)] : []));
  return pop(fixture);
}

describe("direct chains of a packed ring", () => {
  it("resolves readable then writable parts in place, with the id of the last descriptor", () => {
    const fixture = new PackedFixture();
    fixture.offer(5, read(10), write(20), write(5, false));
    const chain = pop(fixture);
    expect(chain).toMatchObject({ head: 5, readableBytes: 10, writableBytes: 25, fault: null });
    chain.writable[0]?.fill(0xab);
    expect(fixture.memory[DATA + 0x100]).toBe(0xab);
  });

  it("resolves a range over several pieces of memory, and skips empty descriptors", () => {
    const chain = chainOf([read(0), read(0x1800, true, PAGES + 0x800), write(1, false)]);
    expect(chain.fault).toBeNull();
    expect(chain.readable.map((v) => v.length)).toEqual([0x800, 0x1000]);
  });

  it("crosses the end of the ring", () => {
    const fixture = new PackedFixture({ position: 6 });
    fixture.offer(1, read(1), read(2), write(3), write(4, false));
    expect(pop(fixture)).toMatchObject({ readableBytes: 3, writableBytes: 7, fault: null });
    fixture.offer(2, read(9, false));
    expect(pop(fixture)).toMatchObject({ head: 2, readableBytes: 9 });
  });

  it("takes a chain as long as the ring; one without an end breaks the ring", () => {
    const long = Array.from({ length: 8 }, (_, i) => read(1, i < 7));
    expect(chainOf(long)).toMatchObject({ readableBytes: 8, fault: null });
    const fixture = new PackedFixture();
    fixture.offer(0, ...Array.from({ length: 8 }, () => read(1)));
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.brokenReasons).toEqual([
      "the chain at descriptor 0 does not end within the 8 that are left",
    ]);
  });

  it("refuses a chain over descriptors that the device holds", () => {
    const fixture = new PackedFixture();
    for (let id = 0; id < 6; id++) fixture.offer(id, read(1, false));
    for (let id = 0; id < 6; id++) pop(fixture);
    fixture.offer(6, read(1), read(1), read(1, false));
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.brokenReasons[0]).toMatch(/does not end within the 2/);
  });

  it("refuses readable parts after writable ones, but keeps the rest and finds the end", () => {
    const fixture = new PackedFixture();
    fixture.offer(4, write(4), read(4), write(6, false));
    fixture.offer(5, read(7, false));
    const chain = pop(fixture);
    expect(chain.fault).toMatch(/readable descriptor follows a writable/);
    expect(chain).toMatchObject({ head: 4, readableBytes: 0, writableBytes: 10 });
    expect(pop(fixture)).toMatchObject({ head: 5, readableBytes: 7, fault: null });
  });

  it.each([
    ["wholly in a hole", HOLE, 16],
    ["running into a hole", HOLE - 8, 16],
    ["running out of memory", 0x30000 - 8, 16],
    ["above 2^53", 2n ** 53n, 16],
    ["wrapping 2^64", 2n ** 64n - 8n, 16],
  ])("refuses a range %s and still gives the writable part", (_, address, length) => {
    const chain = chainOf([read(length, true, address), write(32, false)]);
    expect(chain.fault).toMatch(/not mapped as a whole/);
    expect(chain).toMatchObject({ head: 3, readableBytes: 0, writableBytes: 32 });
  });
});

describe("buffer ids of a packed ring", () => {
  it("may be any below the size, but not beyond", () => {
    const fixture = new PackedFixture();
    fixture.offer(7, read(1, false));
    expect(pop(fixture).head).toBe(7);
    fixture.offer(8, read(1, false));
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.brokenReasons).toEqual([
      "the chain at descriptor 1 has buffer id 8, the ring has 8",
    ]);
  });

  it("may come again when they were given back, but not before", () => {
    const fixture = new PackedFixture();
    fixture.offer(2, read(1, false));
    const first = pop(fixture);
    fixture.ring.push(first, 0);
    fixture.offer(2, read(1, false));
    expect(pop(fixture).head).toBe(2);
    fixture.offer(2, read(1, false));
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.brokenReasons[0]).toMatch(/has buffer id 2, it is in use/);
  });
});

describe("indirect chains of a packed ring", () => {
  const entries = [read(10, false), write(20, false)];

  it("takes all entries in order, with no NEXT among them", () => {
    expect(indirectChain(entries)).toMatchObject({
      head: 3,
      readableBytes: 10,
      writableBytes: 20,
      fault: null,
    });
  });

  it("ignores WRITE on the descriptor that points to a table, and NEXT inside", () => {
    expect(indirectChain(entries, { flags: INDIRECT | WRITE }).fault).toBeNull();
    expect(indirectChain([read(10), write(20)])).toMatchObject({ writableBytes: 20, fault: null });
  });

  it.each([
    ["INDIRECT_DESC is not negotiated", {}, { indirect: false }, /without INDIRECT_DESC/],
    ["others follow", { flags: INDIRECT | NEXT }, {}, /linked with others/],
    ["the table is empty", { length: 0 }, {}, /0 bytes, not a multiple/],
    ["the table has a part of an entry", { length: 24 }, {}, /24 bytes, not a multiple/],
    ["the table is larger than any index", { length: 16 * 65537 }, {}, /the limit is/],
    ["the table is not mapped", { address: HOLE }, {}, /not mapped as a whole/],
    ["the table runs into a hole", { address: HOLE - 16 }, {}, /not mapped as a whole/],
    ["the table's address is huge", { address: 2n ** 60n }, {}, /not mapped as a whole/],
  ])("refuses when %s", (_, change, options, fault) => {
    expect(indirectChain(entries, change, options).fault).toMatch(fault);
  });

  it("refuses one that comes after direct descriptors, and a nested table", () => {
    const fixture = new PackedFixture();
    fixture.offer(1, read(5), { address: TABLE, length: 16, flags: INDIRECT });
    expect(pop(fixture).fault).toMatch(/linked with others/);
    const nested = { address: TABLE, length: 32, flags: INDIRECT };
    expect(indirectChain([nested, write(1, false)]).fault).toMatch(/holds an indirect/);
  });

  it("counts entries of the table against the ring size", () => {
    const table = (count: number) => Array.from({ length: count }, () => read(1, false));
    expect(indirectChain(table(8))).toMatchObject({ readableBytes: 8, fault: null });
    expect(indirectChain(table(9)).fault).toMatch(/longer than the ring size 8/);
  });

  it("resolves a table that lies in several pieces of memory", () => {
    const fixture = new PackedFixture();
    const at = PAGES + 0x1000 - 16;
    fixture.raw(0, read(10, false), 0, at);
    fixture.raw(1, write(20, false), 0, at);
    fixture.offer(0, { address: at, length: 32, flags: INDIRECT });
    expect(pop(fixture)).toMatchObject({ readableBytes: 10, writableBytes: 20, fault: null });
  });
});
