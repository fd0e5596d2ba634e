// SPDX-License-Identifier: Apache-2.0
// Descriptor chains: each rule with a chain that keeps it and one that breaks it.
import { describe, expect, it } from "vitest";
import { ChainWalker, RingChain } from "../../../src/virtqueue/chain-walker.js";
import type { Chain } from "../../../src/virtqueue/types.js";
import {
  DATA,
  type Descriptor,
  type FixtureOptions,
  HOLE,
  INDIRECT,
  NEXT,
  PAGES,
  RingFixture,
  WRITE,
} from "../../support/ring-fixture.js";

const TABLE = DATA + 0x8000;

function pop(fixture: RingFixture): Chain {
  const chain = fixture.ring.pop();
  if (chain === null) throw new Error("the ring gave no chain");
  return chain;
}

function chainOf(descriptors: readonly Descriptor[], options: FixtureOptions = {}): Chain {
  const fixture = new RingFixture(options);
  fixture.offer(...descriptors);
  return pop(fixture);
}

/** A chain of one indirect descriptor with this table. */
function indirectChain(
  entries: readonly Descriptor[],
  change: Partial<Descriptor> = {},
  options: FixtureOptions = {},
): Chain {
  const fixture = new RingFixture(options);
  entries.forEach((entry, i) => {
    fixture.descriptor(i, entry, TABLE);
  });
  const pointer = { address: TABLE, length: 16 * entries.length, flags: INDIRECT, ...change };
  fixture.offer(pointer, { address: DATA, length: 4 });
  return pop(fixture);
}

const read = (length: number, next?: number, address: number | bigint = DATA): Descriptor => ({
  address,
  length,
  flags: next === undefined ? 0 : NEXT,
  next: next ?? 0,
});
const write = (length: number, next?: number, address = DATA + 0x100): Descriptor => ({
  address,
  length,
  flags: WRITE | (next === undefined ? 0 : NEXT),
  next: next ?? 0,
});

describe("direct chains", () => {
  it("resolves readable then writable parts in place", () => {
    const fixture = new RingFixture();
    fixture.offer(read(10, 1), write(20, 2), write(5));
    const chain = pop(fixture);
    expect(chain).toMatchObject({ head: 0, readableBytes: 10, writableBytes: 25, fault: null });
    expect(chain.readable.map((v) => v.length)).toEqual([10]);
    expect(chain.writable.map((v) => v.length)).toEqual([20, 5]);
    chain.writable[0]?.fill(0xab);
    expect(fixture.memory[DATA + 0x100]).toBe(0xab);
  });

  it("resolves a range over several pieces of memory, and skips empty descriptors", () => {
    const chain = chainOf([read(0, 1), read(0x1800, 2, PAGES + 0x800), write(0, 3), write(1)]);
    expect(chain.fault).toBeNull();
    expect(chain.readable.map((v) => v.length)).toEqual([0x800, 0x1000]);
  });

  it("takes a chain as long as the ring, but not a longer one", () => {
    const long = Array.from({ length: 8 }, (_, i) => read(1, i < 7 ? i + 1 : undefined));
    expect(chainOf(long).fault).toBeNull();
    const loop = Array.from({ length: 8 }, (_, i) => read(1, (i + 1) % 8));
    expect(chainOf(loop).fault).toMatch(/longer than the ring size 8/);
  });

  it("ends at a descriptor that is its own next", () => {
    expect(chainOf([read(1, 0)]).fault).toMatch(/longer than the ring size/);
  });

  it("refuses a next beyond the table", () => {
    expect(chainOf([read(1, 7), read(1)]).fault).toBeNull();
    expect(chainOf([read(1, 8)]).fault).toMatch(/next 8, the table has 8/);
    expect(chainOf([read(1, 0xffff)]).fault).toMatch(/next 65535/);
  });

  it("refuses readable parts after writable ones, but keeps the rest", () => {
    const chain = chainOf([write(4, 1), read(4, 2), write(6)]);
    expect(chain.fault).toMatch(/readable descriptor follows a writable/);
    expect(chain).toMatchObject({ readableBytes: 0, writableBytes: 10 });
  });

  it.each([
    ["wholly in a hole", HOLE, 16],
    ["running into a hole", HOLE - 8, 16],
    ["spanning a hole", HOLE - 8, 0x1010],
    ["running out of memory", 0x30000 - 8, 16],
    ["at address 0", 0, 16],
    ["just below 2^53", 2n ** 53n - 8n, 16],
    ["above 2^53", 2n ** 53n, 16],
    ["wrapping 2^64", 2n ** 64n - 8n, 16],
  ])("refuses a range %s and still gives the writable part", (_, address, length) => {
    const chain = chainOf([read(length, 1, address), write(32)]);
    expect(chain.fault).toMatch(/not mapped as a whole/);
    expect(chain).toMatchObject({ readableBytes: 0, writableBytes: 32 });
  });

  it("accepts the last byte before a hole", () => {
    expect(chainOf([read(8, undefined, HOLE - 8)]).fault).toBeNull();
  });

  it("takes 2^32 bytes in all, but not one more", () => {
    const table = new Uint8Array(16 * 4);
    const fixture = new RingFixture();
    const half = 0x8000_0000;
    const walk = (...descriptors: readonly Descriptor[]): RingChain => {
      descriptors.forEach((descriptor, i) => {
        fixture.descriptor(i, descriptor);
      });
      table.set(fixture.memory.subarray(0, table.length));
      // Memory in which everything is mapped: only sizes count here.
      const walker = new ChainWalker({ translateInto: () => true }, table, 4, false);
      const chain = new RingChain();
      walker.walk(0, chain);
      return chain;
    };
    const most = walk(read(half, 1), write(half));
    expect(most).toMatchObject({ readableBytes: half, writableBytes: half, fault: null });
    const more = walk(read(half, 1), write(half, 2), write(1));
    expect(more.fault).toMatch(/longer than 4294967296 bytes/);
    expect(more.writableBytes).toBe(half);
  });
});

describe("indirect chains", () => {
  const entries = [read(10, 1), write(20)];

  it("resolves a table, alone or after direct descriptors", () => {
    expect(indirectChain(entries)).toMatchObject({
      readableBytes: 10,
      writableBytes: 20,
      fault: null,
    });
    const fixture = new RingFixture();
    fixture.descriptor(0, write(20), TABLE);
    fixture.offer(read(5, 1), { address: TABLE, length: 16, flags: INDIRECT });
    expect(pop(fixture)).toMatchObject({ readableBytes: 5, writableBytes: 20, fault: null });
  });

  it("resolves a table that lies in several pieces of memory", () => {
    const fixture = new RingFixture();
    const at = PAGES + 0x1000 - 16;
    fixture.descriptor(0, read(10, 1), at);
    fixture.descriptor(1, write(20), at);
    fixture.offer({ address: at, length: 32, flags: INDIRECT });
    expect(pop(fixture)).toMatchObject({ readableBytes: 10, writableBytes: 20, fault: null });
  });

  it("ignores WRITE on the descriptor that points to a table", () => {
    expect(indirectChain(entries, { flags: INDIRECT | WRITE }).fault).toBeNull();
  });

  it.each([
    ["INDIRECT_DESC is not negotiated", {}, { indirect: false }, /without INDIRECT_DESC/],
    ["NEXT is set too", { flags: INDIRECT | NEXT, next: 1 }, {}, /has NEXT set/],
    ["the table is empty", { length: 0 }, {}, /0 bytes, not a multiple/],
    ["the table has a part of an entry", { length: 24 }, {}, /24 bytes, not a multiple/],
    ["the table is larger than any index", { length: 16 * 65537 }, {}, /the limit is/],
    ["the table is not mapped", { address: HOLE }, {}, /not mapped as a whole/],
    ["the table runs into a hole", { address: HOLE - 16 }, {}, /not mapped as a whole/],
    ["the table's address is huge", { address: 2n ** 60n }, {}, /not mapped as a whole/],
  ])("refuses when %s", (_, change, options, fault) => {
    expect(indirectChain(entries, change, options).fault).toMatch(fault);
  });

  it("refuses a nested table", () => {
    const nested = { address: TABLE, length: 32, flags: INDIRECT };
    expect(indirectChain([nested, write(1)]).fault).toMatch(/holds an indirect descriptor/);
  });

  it("refuses a next beyond the table, although the ring is larger", () => {
    expect(indirectChain([read(1, 1), read(1)]).fault).toBeNull();
    expect(indirectChain([read(1, 2), read(1)]).fault).toMatch(/next 2, the table has 2/);
  });

  it("ends in a loop inside the table", () => {
    expect(indirectChain([read(1, 1), read(1, 0)]).fault).toMatch(/longer than the ring size/);
  });

  it("counts entries of the table against the ring size", () => {
    const table = (count: number): Descriptor[] =>
      Array.from({ length: count }, (_, i) => read(1, i + 1 < count ? i + 1 : undefined));
    expect(indirectChain(table(8)).fault).toBeNull();
    expect(indirectChain(table(9)).fault).toMatch(/longer than the ring size 8/);
  });
});
