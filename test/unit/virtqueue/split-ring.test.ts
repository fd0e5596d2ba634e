// SPDX-License-Identifier: Apache-2.0
// Indices, notifications and life of a split ring.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DATA, RingFixture, WRITE } from "../../support/ring-fixture.js";

const out = { address: DATA, length: 64, flags: WRITE };

/** Takes all chains and gives them back with `written` bytes each. */
function drain(fixture: RingFixture, written = 0): number {
  let count = 0;
  for (let chain = fixture.ring.pop(); chain !== null; chain = fixture.ring.pop()) {
    fixture.ring.push(chain, written);
    count++;
  }
  fixture.ring.flush();
  return count;
}

describe("taking and giving back", () => {
  it("publishes used elements only on flush", () => {
    const fixture = new RingFixture();
    fixture.offer(out);
    const chain = fixture.ring.pop();
    if (chain === null) throw new Error("no chain");
    fixture.ring.push(chain, 12);
    expect(fixture.usedIndex).toBe(0);
    fixture.ring.flush();
    expect(fixture.usedIndex).toBe(1);
    expect(fixture.used(0)).toEqual({ id: 0, length: 12 });
    expect(fixture.signals).toBe(1);
    fixture.ring.flush();
    expect(fixture.signals).toBe(1);
  });

  it("keeps going across the wrap of the indices", () => {
    const fixture = new RingFixture({ base: 0xfffa, eventIndex: true });
    for (let i = 0; i < 20; i++) {
      fixture.descriptor(i % 8, out);
      fixture.offerHead(i % 8);
      expect(drain(fixture, i)).toBe(1);
      expect(fixture.used((0xfffa + i) % 8)).toEqual({ id: i % 8, length: i });
    }
    expect(fixture.usedIndex).toBe((0xfffa + 20) & 0xffff);
    expect(fixture.ring.base).toBe((0xfffa + 20) & 0xffff);
  });

  it("gives chains back in any order, with more outstanding than free objects", () => {
    const fixture = new RingFixture();
    for (let i = 0; i < 8; i++) {
      fixture.descriptor(i, out);
      fixture.offerHead(i);
    }
    const chains = Array.from({ length: 8 }, () => fixture.ring.pop());
    expect(new Set(chains.map((chain) => chain?.head)).size).toBe(8);
    for (const chain of chains.reverse()) if (chain) fixture.ring.push(chain, chain.head);
    fixture.ring.flush();
    expect(fixture.usedIndex).toBe(8);
    expect(Array.from({ length: 8 }, (_, i) => fixture.used(i).id)).toEqual([
      7, 6, 5, 4, 3, 2, 1, 0,
    ]);
  });

  it("reuses chain objects only after they were given back", () => {
    const fixture = new RingFixture();
    fixture.offer(out);
    fixture.offerHead(0);
    const [first, second] = [fixture.ring.pop(), fixture.ring.pop()];
    expect(first).not.toBe(second);
    if (first) fixture.ring.push(first, 0);
    fixture.offerHead(0);
    expect(fixture.ring.pop()).toBe(first);
  });

  it("refuses a chain given back twice, a foreign one, and a count that is too large", () => {
    const fixture = new RingFixture();
    fixture.offer(out);
    const chain = fixture.ring.pop();
    if (chain === null) throw new Error("no chain");
    expect(() => fixture.ring.push(chain, 65)).toThrow(/65 bytes written, the chain has 64/);
    expect(() => fixture.ring.push({ ...chain }, 0)).toThrow(/was not taken/);
    fixture.ring.push(chain, 64);
    expect(() => fixture.ring.push(chain, 0)).toThrow(/was not taken/);
  });

  it("counts outstanding chains back in the base", () => {
    const fixture = new RingFixture({ base: 0 });
    fixture.offer(out);
    fixture.offerHead(0);
    fixture.ring.pop();
    expect(fixture.ring.base).toBe(0);
    fixture.ring.pop();
    expect(fixture.ring.base).toBe(0);
    expect(fixture.ring.outstanding).toBe(2);
  });
});

describe("a broken ring", () => {
  it("accepts a full ring, breaks on an available index beyond it, and says so once", () => {
    const full = new RingFixture();
    full.offer(out);
    full.setAvailable(8);
    expect(full.ring.pop()).not.toBeNull();
    expect(full.brokenReasons).toEqual([]);

    const fixture = new RingFixture();
    fixture.offer(out);
    fixture.setAvailable(9);
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.brokenReasons).toEqual([expect.stringContaining("is 9 ahead of 0")]);
  });

  it("breaks when the available index goes back", () => {
    const fixture = new RingFixture({ base: 100 });
    fixture.setAvailable(99);
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.brokenReasons).toHaveLength(1);
  });

  it("breaks on a head outside the table", () => {
    const fixture = new RingFixture();
    fixture.offerHead(7);
    expect(fixture.ring.pop()).not.toBeNull();
    fixture.offerHead(8);
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.ring.brokenReason).toMatch(/names descriptor 8/);
  });

  it("writes nothing into guest memory any more", () => {
    const fixture = new RingFixture();
    fixture.offer(out);
    const chain = fixture.ring.pop();
    fixture.setAvailable(1000);
    expect(fixture.ring.pop()).toBeNull();
    const before = fixture.memory.slice();
    if (chain) fixture.ring.push(chain, 5);
    fixture.ring.flush();
    expect(fixture.ring.enableKick(true)).toBe(false);
    expect(fixture.memory).toEqual(before);
    expect(fixture.signals).toBe(0);
  });
});

describe("a ring that is not active or stopped", () => {
  it("takes nothing while disabled, and goes on after", () => {
    const fixture = new RingFixture();
    fixture.offer(out);
    fixture.ring.setActive(false);
    expect(fixture.ring.pop()).toBeNull();
    fixture.ring.setActive(true);
    expect(fixture.ring.pop()).not.toBeNull();
  });

  it("writes nothing after it was stopped", () => {
    const fixture = new RingFixture();
    fixture.offer(out);
    const chain = fixture.ring.pop();
    fixture.ring.stop();
    const before = fixture.memory.slice();
    if (chain) fixture.ring.push(chain, 5);
    fixture.ring.flush();
    fixture.ring.enableKick(false);
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.memory).toEqual(before);
  });
});

describe("notifications", () => {
  it("respects NO_INTERRUPT without EVENT_IDX", () => {
    const fixture = new RingFixture();
    fixture.availableFlags = 1;
    fixture.offer(out);
    drain(fixture);
    expect(fixture.signals).toBe(0);
    fixture.availableFlags = 0;
    fixture.offerHead(0);
    drain(fixture);
    expect(fixture.signals).toBe(1);
  });

  it("sets NO_NOTIFY while polling without EVENT_IDX", () => {
    const fixture = new RingFixture();
    fixture.ring.enableKick(false);
    expect(fixture.usedFlags).toBe(1);
    expect(fixture.ring.enableKick(true)).toBe(false);
    expect(fixture.usedFlags).toBe(0);
  });

  it("signals one time for a batch", () => {
    const fixture = new RingFixture({ eventIndex: true });
    fixture.offer(out);
    for (let i = 0; i < 5; i++) fixture.offerHead(0);
    expect(drain(fixture)).toBe(6);
    expect(fixture.signals).toBe(1);
  });

  it("reports chains that came before kicks were asked for", () => {
    for (const eventIndex of [false, true]) {
      const fixture = new RingFixture({ eventIndex });
      fixture.ring.enableKick(false);
      fixture.offer(out);
      expect(fixture.ring.enableKick(true)).toBe(true);
      drain(fixture);
      expect(fixture.ring.enableKick(true)).toBe(false);
    }
  });

  it("signals exactly when the used index passes used_event, at any place of the wrap", () => {
    const index = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(index, index, fc.integer({ min: 1, max: 8 }), (base, event, count) => {
        const fixture = new RingFixture({ eventIndex: true, base });
        // The first signal is unconditional: nothing is known of the driver before.
        fixture.offer(out);
        drain(fixture);
        expect(fixture.signals).toBe(1);
        fixture.usedEvent = event;
        for (let i = 0; i < count; i++) fixture.offerHead(0);
        drain(fixture);
        const passed = ((event - (base + 1)) & 0xffff) < count;
        expect(fixture.signals).toBe(passed ? 2 : 1);
      }),
    );
  });

  it("asks for no kick while polling and for the very next one after, at any index", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff }), (base) => {
        const fixture = new RingFixture({ eventIndex: true, base });
        /** Whether a driver that goes from `before` to `after` has to kick (VIRTIO 2.7.10). */
        const kicks = (before: number, after: number): boolean =>
          ((after - fixture.availableEvent - 1) & 0xffff) < ((after - before) & 0xffff);
        fixture.ring.enableKick(false);
        expect(kicks(base, (base + 8) & 0xffff)).toBe(false);
        fixture.ring.enableKick(true);
        expect(kicks(base, (base + 1) & 0xffff)).toBe(true);
      }),
    );
  });
});

describe("many rounds", () => {
  it("gives back every chain once, whatever the batches are", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffff }),
        fc.array(fc.integer({ min: 0, max: 8 }), { maxLength: 50 }),
        (base, batches) => {
          const fixture = new RingFixture({ base, eventIndex: true });
          let total = 0;
          for (const batch of batches) {
            for (let i = 0; i < batch; i++) {
              fixture.descriptor(i, out);
              fixture.offerHead(i);
            }
            expect(drain(fixture, 1)).toBe(batch);
            total += batch;
          }
          expect(fixture.usedIndex).toBe((base + total) & 0xffff);
          expect(fixture.brokenReasons).toEqual([]);
        },
      ),
    );
  });
});
