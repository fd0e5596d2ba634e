// SPDX-License-Identifier: Apache-2.0
// Chains in flight: what a process leaves in the region at any moment, its successor takes again,
// each once, in order; and what a region holds is not trusted.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  InflightError,
  PackedInflightRegion,
  packedInflightBytes,
} from "../../../src/virtqueue/packed-inflight.js";
import { PackedRing } from "../../../src/virtqueue/packed-ring.js";
import { type PackedWords, plainWords16 } from "../../../src/virtqueue/ring-words.js";
import { SplitInflightRegion, splitInflightBytes } from "../../../src/virtqueue/split-inflight.js";
import { SplitRing } from "../../../src/virtqueue/split-ring.js";
import type { Chain, DeviceRing } from "../../../src/virtqueue/types.js";
import { PackedFixture } from "../../support/packed-fixture.js";
import { DATA, FixtureMemory, RingFixture, WRITE } from "../../support/ring-fixture.js";

const SIZE = 8;
const out = { address: DATA, length: 64, flags: WRITE };

/** Thrown in place of the n-th store: the process ends there. */
class Killed extends Error {}

/** Words that count their stores and end the process at one of them. */
function mortalWords(region: Uint8Array, budget: { left: number }) {
  const words = plainWords16(region);
  const step = (store: () => void): void => {
    if (budget.left-- <= 0) throw new Killed();
    store();
  };
  return {
    store8: (at: number, value: number) =>
      step(() => {
        region[at] = value;
      }),
    store16: (at: number, value: number) => step(() => void words.store16(at, value)),
    store64: (at: number, value: number) =>
      step(() => {
        const view = new DataView(region.buffer, region.byteOffset);
        view.setBigUint64(at, BigInt(value), true);
      }),
  };
}

/** A driver on a ring whose device side can be killed and made anew. */
interface Life {
  ring: DeviceRing;
  offer(id: number): void;
  /** Ids of all chains that came back, in their order. */
  readonly back: number[];
  collect(): void;
  /** A new process over the same memory. */
  revive(budget: { left: number }): void;
}

function splitLife(budget: { left: number }): Life {
  const region = new Uint8Array(splitInflightBytes(SIZE));
  const fixture = new RingFixture({ size: SIZE });
  const back: number[] = [];
  let taken = 0;
  const revive = (left: { left: number }): DeviceRing => {
    const words = mortalWords(region, left);
    const inflight = new SplitInflightRegion(region, words, SIZE, fixture.usedIndex);
    return new SplitRing({
      ...common,
      parts: {
        ...fixture.parts,
        words: {
          ...fixture.parts.words,
          setUsedIndex: (index) => {
            if (left.left-- <= 0) throw new Killed();
            fixture.parts.words.setUsedIndex(index);
          },
        },
      },
      memory: new FixtureMemory(),
      base: fixture.usedIndex,
      inflight,
    });
  };
  const life: Life = {
    ring: revive(budget),
    back,
    offer: (id) => {
      fixture.descriptor(id, out);
      fixture.offerHead(id);
    },
    collect: () => {
      for (; taken !== fixture.usedIndex; taken++) back.push(fixture.used(taken % SIZE).id);
    },
    revive: (left) => {
      life.ring = revive(left);
      life.ring.setActive(true);
    },
  };
  life.ring.setActive(true);
  return life;
}

function packedLife(budget: { left: number }): Life {
  const region = new Uint8Array(packedInflightBytes(SIZE));
  const fixture = new PackedFixture({ size: SIZE });
  const { words } = fixture.parts;
  const back: number[] = [];
  const revive = (left: { left: number }): DeviceRing => {
    const mortal: PackedWords = {
      ...words,
      setDescriptorFlags: (slot, flags) => {
        if (left.left-- <= 0) throw new Killed();
        words.setDescriptorFlags(slot, flags);
      },
    };
    const inflight = new PackedInflightRegion(region, mortalWords(region, left), SIZE, 0, mortal);
    return new PackedRing({
      ...common,
      parts: { ...fixture.parts, words: mortal },
      memory: new FixtureMemory(),
      base: 0x80008000,
      inflight,
    });
  };
  const life: Life = {
    ring: revive(budget),
    back,
    offer: (id) => fixture.offer(id, out),
    collect: () => back.push(...fixture.takeUsed().map(({ id }) => id)),
    revive: (left) => {
      life.ring = revive(left);
      life.ring.setActive(true);
    },
  };
  life.ring.setActive(true);
  return life;
}

const common = {
  index: 0,
  size: SIZE,
  indirect: false,
  eventIndex: false,
  inOrder: false,
  signal: () => {},
  broken: (reason: string) => {
    throw new Error(reason);
  },
};

const FOREVER = { left: Number.POSITIVE_INFINITY };

describe.each([
  ["split", splitLife],
  ["packed", packedLife],
] as const)("a %s ring whose process is killed", (_, make) => {
  it("takes chains again that were taken, in the order in which they were", () => {
    const life = make(FOREVER);
    for (const id of [3, 1, 4, 5]) life.offer(id);
    const chains = Array.from({ length: 4 }, () => life.ring.pop());
    // One comes back out of turn, and is shown.
    const second = chains[1];
    if (second) life.ring.push(second, 8);
    life.ring.flush();
    life.collect();
    expect(life.back).toEqual([1]);
    life.revive(FOREVER);
    life.offer(6);
    const again: number[] = [];
    for (let chain = life.ring.pop(); chain !== null; chain = life.ring.pop()) {
      expect(chain).toMatchObject({ writableBytes: 64, fault: null });
      again.push(chain.head);
      life.ring.push(chain, 0);
    }
    expect(again).toEqual([3, 4, 5, 6]);
    life.ring.flush();
    life.collect();
    expect(life.back).toEqual([1, 3, 4, 5, 6]);
  });

  it("at any store gives every chain back exactly once", () => {
    let killed = 0;
    const plan = fc.array(fc.tuple(fc.nat(3), fc.nat(4), fc.nat(3)), { minLength: 4 });
    fc.assert(
      fc.property(fc.array(fc.nat(40), { maxLength: 4 }), plan, (moments, rounds) => {
        const deaths = [...moments];
        const budget = { left: Number.POSITIVE_INFINITY };
        const life = make(budget);
        budget.left = deaths.shift() ?? Number.POSITIVE_INFINITY;
        const freeIds = Array.from({ length: SIZE }, (__, i) => i);
        let offered = 0;
        let held: Chain[] = [];
        /** Runs a step of the device; if it is killed, another process takes over. */
        const alive = (step: () => void): void => {
          try {
            step();
          } catch (error) {
            if (!(error instanceof Killed)) throw error;
            killed++;
            held = [];
            budget.left = deaths.shift() ?? Number.POSITIVE_INFINITY;
            // A process that dies while it takes over: the last one does not.
            try {
              life.revive(budget);
            } catch (again) {
              if (!(again instanceof Killed)) throw again;
              budget.left = Number.POSITIVE_INFINITY;
              life.revive(budget);
            }
          }
        };
        const collect = (): void => {
          const before = life.back.length;
          life.collect();
          freeIds.push(...life.back.slice(before));
        };
        const drain = (most: number): void =>
          alive(() => {
            for (let i = 0; i < most; i++) {
              const chain = life.ring.pop();
              if (chain === null) return;
              held.push(chain);
            }
          });
        const give = (count: number): void =>
          alive(() => {
            for (let i = 0; i < count; i++) {
              const chain = held.splice(i % Math.max(1, held.length), 1)[0];
              if (chain) life.ring.push(chain, 1);
            }
            life.ring.flush();
          });
        for (const [offers, takes, gives] of rounds) {
          for (let i = 0; i < offers && freeIds.length > 0; i++) {
            life.offer(freeIds.shift() ?? 0);
            offered++;
          }
          drain(takes);
          give(gives);
          collect();
        }
        for (let turn = 0; turn < 20 && life.back.length < offered; turn++) {
          drain(SIZE);
          give(SIZE);
          collect();
        }
        expect(life.back.length).toBe(offered);
        expect(freeIds.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
        expect(life.ring.outstanding).toBe(0);
      }),
      { numRuns: 1500 },
    );
    expect(killed).toBeGreaterThan(500);
  });
});

/** A ring all of whose descriptors have these flags. */
const ring = (flags: number) => ({
  descriptorFlags: () => flags,
  setDescriptorFlags: (slot: number) => expect(slot).toBeLessThan(SIZE),
});

describe("a region that another wrote", () => {
  it.each(["split", "packed"])("with anything in it costs no more than an error: %s", (format) => {
    let accepted = 0;
    let refused = 0;
    const bytes = format === "split" ? splitInflightBytes(SIZE) : packedInflightBytes(SIZE);
    const noise = fc.uint8Array({ minLength: bytes, maxLength: bytes });
    fc.assert(
      fc.property(noise, fc.nat(0xffff), fc.nat(15), fc.boolean(), (region, used, mask, small) => {
        const view = new DataView(region.buffer, region.byteOffset);
        view.setUint16(8, 1, true);
        view.setUint16(10, SIZE, true);
        // Small numbers reach further than arbitrary ones.
        if (small)
          for (let at = 12; at < bytes; at += 2)
            view.setUint16(at, view.getUint16(at, true) & mask, true);
        const words = mortalWords(region, { left: Number.POSITIVE_INFINITY });
        try {
          const made =
            format === "split"
              ? new SplitInflightRegion(region, words, SIZE, used).resubmit
              : new PackedInflightRegion(region, words, SIZE, 0, ring(used)).resubmit.map((c) => {
                  expect(c.table.byteLength).toBe(16 * c.count);
                  return c.id;
                });
          expect(made.every((id) => id < SIZE)).toBe(true);
          expect(new Set(made).size).toBe(made.length);
          accepted++;
        } catch (error) {
          if (!(error instanceof InflightError)) throw error;
          refused++;
        }
      }),
      { numRuns: 2000 },
    );
    expect(accepted).toBeGreaterThan(50);
    if (format === "packed") expect(refused).toBeGreaterThan(50);
  });

  it("of another size or version is made anew", () => {
    const region = new Uint8Array(splitInflightBytes(SIZE)).fill(1);
    const words = mortalWords(region, { left: Number.POSITIVE_INFINITY });
    const made = new SplitInflightRegion(region, words, SIZE, 9);
    expect(made.resubmit).toEqual([]);
    expect(region.filter((byte) => byte !== 0)).toEqual(new Uint8Array([1, SIZE, 9]));
  });
});
