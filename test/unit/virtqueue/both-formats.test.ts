// SPDX-License-Identifier: Apache-2.0
// What holds for a ring of either format, whatever the batches, the order of giving back and the
// place in the ring are; and IN_ORDER.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { GuestAddress } from "../../../src/io/guest-memory.js";
import { PackedRing } from "../../../src/virtqueue/packed-ring.js";
import { SplitRing } from "../../../src/virtqueue/split-ring.js";
import type { Chain, DeviceRing } from "../../../src/virtqueue/types.js";
import { PackedFixture } from "../../support/packed-fixture.js";
import { DATA, NEXT, RingFixture, WRITE } from "../../support/ring-fixture.js";

const SIZE = 8;

/** One fixture as the tests below drive it: a driver with free descriptors and ids. */
interface Side {
  readonly ring: DeviceRing;
  readonly brokenReasons: readonly string[];
  readonly signals: number;
  /** Offers a chain of so many descriptors; false when there are not as many left. */
  offer(descriptors: number): boolean;
  /** Lengths of the chains that came back, by the number of the offer. */
  collect(): Map<number, number>;
}

const BYTES = 64;

function splitSide(start: number, inOrder: boolean): Side {
  const fixture = new RingFixture({ size: SIZE, base: start, eventIndex: true, inOrder });
  const free = Array.from({ length: SIZE }, (_, i) => i);
  const out = new Map<number, { number: number; ids: number[] }>();
  let offers = 0;
  let taken = start;
  return {
    ring: fixture.ring,
    brokenReasons: fixture.brokenReasons,
    get signals() {
      return fixture.signals;
    },
    offer: (descriptors) => {
      if (descriptors > free.length) return false;
      const ids = free.splice(0, descriptors);
      ids.forEach((id, i) => {
        const next = ids[i + 1];
        const flags = WRITE | (next === undefined ? 0 : NEXT);
        fixture.descriptor(id, { address: DATA, length: BYTES, flags, next: next ?? 0 });
      });
      const head = ids[0] ?? 0;
      out.set(head, { number: offers++, ids });
      fixture.offerHead(head);
      return true;
    },
    collect: () => {
      const back = new Map<number, number>();
      for (; taken !== fixture.usedIndex; taken = (taken + 1) & 0xffff) {
        const { id, length } = fixture.used(taken % SIZE);
        const chain = out.get(id);
        if (chain === undefined) throw new Error(`chain ${id} came back and was not out`);
        out.delete(id);
        free.push(...chain.ids);
        back.set(chain.number, length);
      }
      return back;
    },
  };
}

function packedSide(start: number, inOrder: boolean): Side {
  const position = start % (2 * SIZE);
  const fixture = new PackedFixture({ size: SIZE, position, eventIndex: true, inOrder });
  const freeIds = Array.from({ length: SIZE }, (_, i) => (i * 3) % SIZE);
  const out = new Map<number, { number: number; count: number }>();
  let free = SIZE;
  let offers = 0;
  fixture.driverEvent(2, position);
  return {
    ring: fixture.ring,
    brokenReasons: fixture.brokenReasons,
    get signals() {
      return fixture.signals;
    },
    offer: (descriptors) => {
      const id = freeIds[0];
      if (descriptors > free || id === undefined) return false;
      freeIds.shift();
      free -= descriptors;
      const parts = Array.from({ length: descriptors }, (_, i) => {
        const flags = WRITE | (i + 1 < descriptors ? NEXT : 0);
        return { address: DATA, length: BYTES, flags };
      });
      out.set(id, { number: offers++, count: descriptors });
      fixture.offer(id, ...parts);
      return true;
    },
    collect: () => {
      const back = new Map<number, number>();
      while (out.size > 0) {
        const counts = new Map([...out].map(([id, chain]) => [id, chain.count]));
        // One at a time: a slot that is reached again holds an entry of the round before.
        const before = fixture.usedNext;
        const [entry] = takeOne(fixture, counts);
        if (entry === undefined) break;
        const chain = out.get(entry.id);
        if (chain === undefined) throw new Error(`id ${entry.id} came back and was not out`);
        fixture.usedNext = (before + chain.count) % (2 * SIZE);
        out.delete(entry.id);
        freeIds.push(entry.id);
        free += chain.count;
        back.set(chain.number, entry.length);
      }
      return back;
    },
  };
}

function takeOne(fixture: PackedFixture, counts: ReadonlyMap<number, number>) {
  const all = fixture.takeUsed(counts);
  return all.slice(0, 1);
}

const formats = [
  ["split", splitSide],
  ["packed", packedSide],
] as const;

const step = fc.oneof(
  fc.record({ kind: fc.constant("offer" as const), descriptors: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant("take" as const), count: fc.integer({ min: 1, max: 8 }) }),
  fc.record({ kind: fc.constant("give" as const), pick: fc.nat(7), flush: fc.boolean() }),
  fc.record({ kind: fc.constant("kick" as const), on: fc.boolean() }),
);

/** A fixture that a test writes into itself, and how it offers one writable descriptor. */
function rawFixture(split: boolean) {
  const fixture = split ? new RingFixture({ size: SIZE }) : new PackedFixture({ size: SIZE });
  const offer = (id: number): void => {
    const out = { address: DATA, length: BYTES, flags: WRITE };
    if (fixture instanceof PackedFixture) fixture.offer(id, out);
    else {
      fixture.descriptor(id, out);
      fixture.offerHead(id);
    }
  };
  return { fixture, offer };
}

describe.each(formats)("a %s ring", (_, makeSide) => {
  it("never has more chains out than its size, whatever is offered (CVE-2016-5403)", () => {
    const { fixture, offer } = rawFixture(makeSide === splitSide);
    for (let id = 0; id < SIZE; id++) offer(id);
    for (let id = 0; id < SIZE; id++) expect(fixture.ring.pop()).not.toBeNull();
    for (let id = 0; id < SIZE; id++) offer(id);
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.ring.outstanding).toBe(SIZE);
    expect(fixture.brokenReasons).toHaveLength(1);
  });

  it("reads each descriptor once, whatever changes meanwhile (CVE-2020-14374)", () => {
    const split = makeSide === splitSide;
    const { fixture } = rawFixture(split);
    // The guest rewrites all descriptors whenever the device looks one up.
    const memory = {
      translateInto: (address: GuestAddress, bytes: number, pieces: Uint8Array[]): boolean => {
        pieces.push(fixture.memory.subarray(address, address + bytes));
        for (let slot = 0; slot < SIZE; slot++)
          fixture.view.setUint32(16 * slot + 8, 0x7fffffff, true);
        return true;
      },
    };
    const common = {
      index: 0,
      size: SIZE,
      memory,
      indirect: true,
      eventIndex: false,
      inOrder: false,
      signal: () => {},
      broken: () => {},
    };
    let ring: DeviceRing;
    if (fixture instanceof PackedFixture) {
      ring = new PackedRing({ ...common, parts: fixture.parts, base: 0x80008000 });
      fixture.offer(1, { address: DATA, length: BYTES, flags: WRITE });
    } else {
      ring = new SplitRing({ ...common, parts: fixture.parts, base: 0 });
      fixture.offer({ address: DATA, length: BYTES, flags: WRITE });
    }
    ring.setActive(true);
    const chain = ring.pop();
    expect(chain).toMatchObject({ writableBytes: BYTES, fault: null });
    expect(chain?.writable.map((view) => view.length)).toEqual([BYTES]);
    expect(() => chain && ring.push(chain, BYTES + 1)).toThrow(RangeError);
  });

  it.each([false, true])("gives every chain back once, with its length; in order %s", (inOrder) => {
    let collected = 0;
    const steps = fc.array(step, { minLength: 20, maxLength: 80, size: "max" });
    fc.assert(
      fc.property(fc.nat(0xffff), steps, (start, all) => {
        const side = makeSide(start, inOrder);
        const { ring } = side;
        const held: { chain: Chain; number: number }[] = [];
        const expected = new Map<number, number>();
        const returned = new Map<number, number>();
        let offered = 0;
        let taken = 0;
        const give = (index: number, flush: boolean): void => {
          const [given] = held.splice(index, 1);
          if (given === undefined) return;
          const written = (given.number * 7) % (given.chain.writableBytes + 1);
          ring.push(given.chain, written);
          expected.set(given.number, written);
          if (flush) ring.flush();
        };
        const take = (): boolean => {
          const chain = ring.pop();
          if (chain === null) return false;
          expect(chain.fault).toBeNull();
          held.push({ chain, number: taken++ });
          return true;
        };
        const collect = (): void => {
          for (const [number, length] of side.collect()) {
            expect(returned.has(number)).toBe(false);
            returned.set(number, length);
          }
        };
        for (const each of all) {
          if (each.kind === "offer") offered += side.offer(each.descriptors) ? 1 : 0;
          else if (each.kind === "take") for (let i = 0; i < each.count && take(); i++);
          else if (each.kind === "kick") ring.enableKick(each.on);
          else give(inOrder ? 0 : each.pick % Math.max(1, held.length), each.flush);
          collect();
          expect(taken).toBeLessThanOrEqual(offered);
        }
        while (take());
        expect(taken).toBe(offered);
        while (held.length > 0) give(0, false);
        ring.flush();
        collect();
        expect(returned).toEqual(expected);
        expect(returned.size).toBe(offered);
        expect(ring.outstanding).toBe(0);
        expect(side.brokenReasons).toEqual([]);
        collected += returned.size;
      }),
      { numRuns: 300 },
    );
    // Rings of 8 went round many times, or this test shows little.
    expect(collected).toBeGreaterThan(1000);
  });

  it("must be given chains back in order with IN_ORDER", () => {
    const side = makeSide(5, true);
    side.offer(1);
    side.offer(2);
    const [first, second] = [side.ring.pop(), side.ring.pop()];
    if (first === null || second === null) throw new Error("no chain");
    expect(() => side.ring.push(second, 0)).toThrow(
      /chain 1 is given back before 0, with IN_ORDER/,
    );
    side.ring.push(first, 1);
    side.ring.push(second, 2);
    side.ring.flush();
    expect([...side.collect()]).toEqual([
      [0, 1],
      [1, 2],
    ]);
  });

  it("tells a log of what it writes, and only that", () => {
    const { fixture, offer } = rawFixture(makeSide === splitSide);
    const written: number[] = [];
    let ringWrites = 0;
    const give = (bytes: number): void => {
      const chain = fixture.ring.pop();
      if (chain) fixture.ring.push(chain, bytes);
      fixture.ring.flush();
    };
    offer(0);
    give(3);
    expect(written).toEqual([]);
    fixture.log = {
      written: (views, bytes) => {
        expect(views.map((view) => view.byteOffset)).toEqual([DATA]);
        written.push(bytes);
      },
      ringWritten: () => {
        ringWrites++;
      },
    };
    offer(1);
    give(5);
    offer(2);
    give(0);
    expect(written).toEqual([5]);
    expect(ringWrites).toBe(2);
    fixture.ring.enableKick(false);
    fixture.ring.enableKick(true);
    expect(ringWrites).toBe(4);
    fixture.log = null;
    fixture.ring.enableKick(false);
    expect(ringWrites).toBe(4);
  });
});
