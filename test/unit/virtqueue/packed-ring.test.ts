// SPDX-License-Identifier: Apache-2.0
// Positions, notifications and life of a packed ring.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodePosition, encodePosition } from "../../../src/virtqueue/packed-ring.js";
import {
  AVAIL,
  EVENT_DESCRIPTOR,
  EVENT_DISABLE,
  EVENT_ENABLE,
  PackedFixture,
  USED,
} from "../../support/packed-fixture.js";
import { DATA, NEXT, WRITE } from "../../support/ring-fixture.js";

const out = { address: DATA, length: 64, flags: WRITE };
const linked = { ...out, flags: WRITE | NEXT };
const position = fc.integer({ min: 0, max: 15 });

/** Takes all chains and gives them back with `written` bytes each. */
function drain(fixture: PackedFixture, written = 0): number {
  let count = 0;
  for (let chain = fixture.ring.pop(); chain !== null; chain = fixture.ring.pop()) {
    fixture.ring.push(chain, written);
    count++;
  }
  fixture.ring.flush();
  return count;
}

describe("taking and giving back", () => {
  it("shows used descriptors only on flush, the first one last", () => {
    const fixture = new PackedFixture();
    for (let id = 4; id < 7; id++) fixture.offer(id, out);
    for (let i = 0; i < 3; i++) {
      const chain = fixture.ring.pop();
      if (chain) fixture.ring.push(chain, 10 + i);
    }
    expect(fixture.takeUsed()).toEqual([]);
    expect(fixture.usedFlags(0)).toBe(WRITE | AVAIL);
    fixture.ring.flush();
    expect(fixture.takeUsed()).toEqual([
      { id: 4, length: 10 },
      { id: 5, length: 11 },
      { id: 6, length: 12 },
    ]);
    expect(fixture.signals).toBe(1);
    fixture.ring.flush();
    expect(fixture.signals).toBe(1);
  });

  it("says WRITE only of chains into which something was written", () => {
    const fixture = new PackedFixture();
    fixture.offer(0, out);
    fixture.offer(1, out);
    const [first, second] = [fixture.ring.pop(), fixture.ring.pop()];
    if (first) fixture.ring.push(first, 0);
    if (second) fixture.ring.push(second, 1);
    fixture.ring.flush();
    expect(fixture.usedFlags(0)).toBe(AVAIL | USED);
    expect(fixture.usedFlags(1)).toBe(AVAIL | USED | WRITE);
  });

  it("gives chains back in any order, each over as many descriptors as it has", () => {
    const fixture = new PackedFixture({ position: 5 });
    const counts = new Map([
      [0, 3],
      [1, 1],
      [2, 2],
    ]);
    fixture.offer(0, linked, linked, out);
    fixture.offer(1, out);
    fixture.offer(2, linked, out);
    const chains = [fixture.ring.pop(), fixture.ring.pop(), fixture.ring.pop()];
    for (const chain of chains.reverse()) if (chain) fixture.ring.push(chain, chain.head);
    fixture.ring.flush();
    expect(fixture.takeUsed(counts).map((entry) => entry.id)).toEqual([2, 1, 0]);
    fixture.offer(0, out);
    expect(fixture.ring.pop()?.head).toBe(0);
  });

  it("refuses a chain given back twice, a foreign one, and a count that is too large", () => {
    const fixture = new PackedFixture();
    fixture.offer(0, out);
    const chain = fixture.ring.pop();
    if (chain === null) throw new Error("no chain");
    expect(() => fixture.ring.push(chain, 65)).toThrow(/65 bytes written, the chain has 64/);
    expect(() => fixture.ring.push({ ...chain }, 0)).toThrow(/was not taken/);
    fixture.ring.push(chain, 64);
    expect(() => fixture.ring.push(chain, 0)).toThrow(/was not taken/);
  });

  it("counts outstanding chains back in the base", () => {
    const fixture = new PackedFixture({ position: 7 });
    const start = fixture.position(7);
    expect(fixture.ring.base).toBe(((start << 16) | start) >>> 0);
    fixture.offer(0, linked, out);
    const chain = fixture.ring.pop();
    expect(fixture.ring.base).toBe(((start << 16) | start) >>> 0);
    if (chain) fixture.ring.push(chain, 0);
    fixture.ring.flush();
    const end = fixture.position(9);
    expect(fixture.ring.base).toBe(((end << 16) | end) >>> 0);
    expect(end & 0x8000).toBe(0);
  });

  it("sees a full ring as full, not as a round further", () => {
    const fixture = new PackedFixture({ position: 3 });
    for (let id = 0; id < 8; id++) fixture.offer(id, out);
    for (let id = 0; id < 8; id++) expect(fixture.ring.pop()?.head).toBe(id);
    expect(fixture.ring.pop()).toBeNull();
    expect(fixture.brokenReasons).toEqual([]);
  });

  it("sees how far the driver got, for polling", () => {
    const fixture = new PackedFixture({ position: 6 });
    const { ring } = fixture;
    const mark = ring.availableIndex;
    expect(ring.isBehind(mark)).toBe(false);
    const at = ring.watchOffset;
    expect(fixture.view.getUint16(at, true)).toBe(ring.watchValue(mark));
    fixture.offer(0, linked, out);
    expect(fixture.view.getUint16(at, true)).not.toBe(ring.watchValue(mark));
    const later = ring.availableIndex;
    expect((later - mark) & 15).toBe(2);
    expect(ring.isBehind(later)).toBe(true);
    // An older mark never looks as if nothing had come.
    expect(fixture.view.getUint16(ring.watchOffset, true)).not.toBe(ring.watchValue(mark));
    drain(fixture);
    expect(ring.isBehind(later)).toBe(false);
  });
});

describe("a ring that is broken, not active or stopped", () => {
  it("writes nothing into guest memory any more", () => {
    for (const end of ["broken", "stopped"]) {
      const fixture = new PackedFixture();
      fixture.offer(0, out);
      const chain = fixture.ring.pop();
      if (end === "stopped") fixture.ring.stop();
      else fixture.ring.fail("for the test");
      const before = fixture.memory.slice();
      if (chain) fixture.ring.push(chain, 5);
      fixture.ring.flush();
      expect(fixture.ring.enableKick(true)).toBe(false);
      fixture.offer(1, out);
      expect(fixture.ring.pop()).toBeNull();
      fixture.memory.copyWithin(16, 32, 48);
      before.copyWithin(16, 32, 48);
      expect(fixture.memory).toEqual(before);
      expect(fixture.signals).toBe(0);
    }
  });

  it("takes nothing while disabled, and goes on after", () => {
    const fixture = new PackedFixture();
    fixture.offer(0, out);
    fixture.ring.setActive(false);
    expect(fixture.ring.pop()).toBeNull();
    fixture.ring.setActive(true);
    expect(fixture.ring.pop()).not.toBeNull();
  });
});

describe("notifications", () => {
  it("respects the driver's flags", () => {
    const fixture = new PackedFixture();
    fixture.driverEvent(EVENT_DISABLE);
    fixture.offer(0, out);
    drain(fixture);
    expect(fixture.signals).toBe(0);
    fixture.driverEvent(EVENT_ENABLE);
    fixture.offer(0, out);
    drain(fixture);
    expect(fixture.signals).toBe(1);
  });

  it("takes a wish for one descriptor as one for all without EVENT_IDX", () => {
    const fixture = new PackedFixture();
    for (let i = 0; i < 3; i++) {
      fixture.driverEvent(EVENT_DESCRIPTOR, 7);
      fixture.offer(0, out);
      drain(fixture);
      expect(fixture.signals).toBe(i + 1);
    }
  });

  it("disables kicks while polling, and asks for the next one after", () => {
    const fixture = new PackedFixture({ position: 9 });
    fixture.ring.enableKick(false);
    expect(fixture.deviceEvent.flags).toBe(EVENT_DISABLE);
    expect(fixture.ring.enableKick(true)).toBe(false);
    expect(fixture.deviceEvent.flags).toBe(EVENT_ENABLE);
    const indexed = new PackedFixture({ eventIndex: true, position: 9 });
    indexed.ring.enableKick(true);
    expect(indexed.deviceEvent).toEqual({ position: 1, flags: EVENT_DESCRIPTOR });
  });

  it("reports chains that came before kicks were asked for", () => {
    for (const eventIndex of [false, true]) {
      const fixture = new PackedFixture({ eventIndex });
      fixture.ring.enableKick(false);
      fixture.offer(0, out);
      expect(fixture.ring.enableKick(true)).toBe(true);
      drain(fixture);
      expect(fixture.ring.enableKick(true)).toBe(false);
    }
  });

  it("signals exactly when the used position passes the event, at any place of both rounds", () => {
    const some = fc.integer({ min: 1, max: 8 });
    fc.assert(
      fc.property(position, position, some, (start, event, count) => {
        const fixture = new PackedFixture({ eventIndex: true, position: start });
        fixture.driverEvent(EVENT_DESCRIPTOR, event);
        // The first signal is unconditional: nothing is known of the driver before.
        fixture.offer(0, out);
        drain(fixture);
        expect(fixture.signals).toBe(1);
        for (let id = 0; id < count; id++) fixture.offer(id, out);
        drain(fixture);
        const passed = ((event - (start + 1)) & 15) < count;
        expect(fixture.signals).toBe(passed ? 2 : 1);
      }),
      { numRuns: 500 },
    );
  });
});

describe("positions", () => {
  it("are encoded as slot and wrap, and back", () => {
    expect(encodePosition(0, 8)).toBe(0x8000);
    expect(encodePosition(7, 8)).toBe(0x8007);
    expect(encodePosition(8, 8)).toBe(0);
    fc.assert(
      fc.property(position, (at) => {
        expect(decodePosition(encodePosition(at, 8), 8)).toBe(at);
      }),
    );
  });
});
