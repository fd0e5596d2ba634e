// SPDX-License-Identifier: Apache-2.0
//
// GuestMemory on real memory files: translation within and across windows and regions, refusal of
// hostile tables, and the life of mappings under pins.

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type GuestAddress,
  GuestMemory,
  GuestMemoryError,
  guestAddress,
  type RegionSpec,
} from "../../../src/io/guest-memory.js";
import * as native from "../../../src/io/native.js";

const GIB = 2 ** 30;
const PAGE = 4096;

let fds: number[] = [];
let memory: GuestMemory;

beforeEach(() => {
  fds = [];
  memory = new GuestMemory();
});

afterEach(() => {
  memory.clear();
  for (const fd of fds) native.close(fd);
});

function at(address: number): GuestAddress {
  const branded = guestAddress(address);
  if (branded === null) throw new Error("not a guest address");
  return branded;
}

function region(start: number, bytes: number, extra: Partial<RegionSpec> = {}): RegionSpec {
  const fd = native.memfdCreate("guest-memory-test", bytes + Number(extra.mmapOffset ?? 0));
  fds.push(fd);
  return {
    guestAddress: start,
    bytes,
    userAddress: 0x7f00_0000_0000n + BigInt(start),
    fd,
    mmapOffset: 0,
    ...extra,
  };
}

/** Writes `value` as one byte of guest memory. */
function poke(address: number, value: number): void {
  const [view] = memory.translate(at(address), 1) ?? [];
  if (view === undefined) throw new Error(`the address ${address} is unmapped`);
  view[0] = value;
}

function lengths(views: Uint8Array[] | null): number[] | null {
  return views === null ? null : views.map((view) => view.length);
}

function mappedCount(): number {
  const maps = readFileSync("/proc/self/maps", "utf8");
  return maps.split("\n").filter((line) => line.includes("memfd:guest-memory-test")).length;
}

function code(action: () => void): string {
  try {
    action();
  } catch (error) {
    if (error instanceof GuestMemoryError) return error.code;
    throw error;
  }
  return "none";
}

describe("guestAddress", () => {
  test.each([
    [0, 0],
    [5n, 5],
    [2n ** 53n - 1n, 2 ** 53 - 1],
    [2n ** 53n, null],
    [2n ** 64n - 1n, null],
    [-1, null],
    [-1n, null],
    [0.5, null],
    [Number.NaN, null],
    [2 ** 53, null],
  ])("of %s is %s", (value, expected) => {
    expect(guestAddress(value)).toBe(expected);
  });
});

describe("translate", () => {
  test("gives the bytes of the region's file", () => {
    const spec = region(0x10000, 4 * PAGE, { mmapOffset: PAGE });
    memory.addRegion(spec);
    poke(0x10000, 1);
    poke(0x13fff, 2);
    const mapping = native.mapRegion(spec.fd, 0, 5 * PAGE);
    const file = new Uint8Array(mapping.window(0, 5 * PAGE));
    expect([file[PAGE], file[5 * PAGE - 1]]).toEqual([1, 2]);
    mapping.unmap();
  });

  test.each([
    [0x10000, 0, []],
    [0x10000, 1, [1]],
    [0x10000, 2 * PAGE, [2 * PAGE]],
    [0x10000, 2 * PAGE + 1, null],
    [0x0ffff, 1, null],
    [0x0ffff, 2, null],
    [0x12000, 1, null],
    [0x11fff, 1, [1]],
    [0x11fff, 2, null],
    [0, 2 ** 53 - 1, null],
    [2 ** 53 - 1, 1, null],
    [2 ** 53 - 1, 2 ** 53 - 1, null],
    [0x10000, -1, null],
    [0x10000, 0.5, null],
    [0x10000, Number.NaN, null],
    [0x10000, Number.POSITIVE_INFINITY, null],
  ])("of %i with %s bytes in one region gives %j", (address, bytes, expected) => {
    memory.addRegion(region(0x10000, 2 * PAGE));
    expect(lengths(memory.translate(at(address), bytes))).toEqual(expected);
  });

  test("splits where windows of 1 GiB meet, in order", () => {
    memory.addRegion(region(4 * GIB, 3 * GIB + PAGE));
    for (const border of [1, 2, 3]) {
      const start = 4 * GIB + border * GIB - 3;
      for (let i = 0; i < 6; i += 1) poke(start + i, 10 * border + i);
      const views = memory.translate(at(start), 6);
      expect(views?.map((view) => [...view])).toEqual([
        [0, 1, 2].map((i) => 10 * border + i),
        [3, 4, 5].map((i) => 10 * border + i),
      ]);
    }
    const whole = memory.translate(at(4 * GIB), 3 * GIB + PAGE);
    expect(lengths(whole)).toEqual([GIB, GIB, GIB, PAGE]);
  });

  test("continues into the next region, and stops at a hole", () => {
    memory.replaceAll([region(0x4000, PAGE), region(0x2000, 2 * PAGE), region(0x6000, PAGE)]);
    expect(lengths(memory.translate(at(0x2000), 3 * PAGE))).toEqual([2 * PAGE, PAGE]);
    expect(lengths(memory.translate(at(0x3fff), 2))).toEqual([1, 1]);
    expect(memory.translate(at(0x4000), PAGE + 1)).toBeNull();
    expect(memory.translate(at(0x2000), 5 * PAGE)).toBeNull();
  });

  test("on failure leaves the pieces it was given as they were", () => {
    memory.addRegion(region(0, PAGE));
    const pieces = [new Uint8Array(1)];
    expect(memory.translateInto(at(PAGE - 1), 2, pieces)).toBe(false);
    expect(pieces).toHaveLength(1);
    expect(memory.translateInto(at(PAGE - 1), 1, pieces)).toBe(true);
    expect(pieces).toHaveLength(2);
  });

  test("agrees with a map of single bytes, for any table and range", () => {
    const unit = PAGE;
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(11), { maxLength: 8 }),
        fc.nat(12 * unit),
        fc.nat(5 * unit),
        (pages, start, bytes) => {
          const local = new GuestMemory();
          const specs = pages.map((page) => region(page * unit, unit));
          local.replaceAll(specs);
          const mapped = new Set(pages);
          let covered = true;
          const last = bytes === 0 ? -1 : Math.floor((start + bytes - 1) / unit);
          for (let page = Math.floor(start / unit); page <= last; page += 1) {
            covered &&= mapped.has(page);
          }
          const views = local.translate(at(start), bytes);
          expect(views !== null).toBe(covered);
          expect(views?.reduce((sum, view) => sum + view.length, 0) ?? bytes).toBe(bytes);
          local.clear();
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe("contiguous and translateUser", () => {
  test("give one view, across windows too, but never across regions", () => {
    memory.replaceAll([region(0, 2 * GIB), region(2 * GIB, PAGE)]);
    poke(GIB - 1, 5);
    poke(GIB, 6);
    const view = memory.contiguous(at(GIB - 1), 2);
    expect([...(view ?? [])]).toEqual([5, 6]);
    expect(memory.contiguous(at(2 * GIB - 1), 2)).toBeNull();
    expect(memory.contiguous(at(2 * GIB - 1), 1)).not.toBeNull();
    expect(memory.contiguous(at(0), 0)).toBeNull();
    expect(memory.contiguous(at(1), GIB + 1)).toBeNull();
    expect(memory.contiguous(at(3 * GIB), 1)).toBeNull();
  });

  test("find ring addresses of the front end, to the last byte of a region", () => {
    const spec = region(0x8000, 2 * PAGE, { userAddress: 2n ** 64n - 8192n });
    memory.addRegion(spec);
    poke(0x8000 + 2 * PAGE - 1, 9);
    expect([...(memory.translateUser(2n ** 64n - 1n, 1) ?? [])]).toEqual([9]);
    expect(memory.translateUser(2n ** 64n - 1n, 2)).toBeNull();
    expect(memory.translateUser(2n ** 64n - 8193n, 1)).toBeNull();
    expect(memory.userToGuest(2n ** 64n - 8192n)).toBe(0x8000);
    expect(memory.userToGuest(0n)).toBeNull();
  });
});

describe("the table", () => {
  test("counts each change, and only changes", () => {
    const spec = region(0, PAGE);
    expect(memory.generation).toBe(0);
    memory.addRegion(spec);
    expect(memory.generation).toBe(1);
    expect(code(() => memory.addRegion(spec))).toBe("overlap");
    expect(memory.removeRegion({ ...spec, bytes: 2 * PAGE })).toBe(false);
    memory.translate(at(0), 1);
    expect(memory.generation).toBe(1);
    expect(memory.removeRegion(spec)).toBe(true);
    expect(memory.generation).toBe(2);
    expect(memory.regionCount).toBe(0);
  });

  test.each<[string, Partial<RegionSpec>, string]>([
    ["of 0 bytes", { bytes: 0 }, "range"],
    ["beyond 2^53", { guestAddress: 2n ** 53n - 4096n, bytes: 8192n }, "range"],
    ["at 2^64 − 4096", { guestAddress: 2n ** 64n - 4096n }, "range"],
    ["of 2^64 − 1 bytes", { bytes: 2n ** 64n - 1n }, "range"],
    ["whose user range wraps", { userAddress: 2n ** 64n - 4095n }, "range"],
    ["longer than its file", { bytes: 8192 }, "map"],
    ["beyond its file", { mmapOffset: 8 }, "map"],
    ["at a file offset of 2^64 − 4096", { mmapOffset: 2n ** 64n - 4096n }, "map"],
    ["with a closed descriptor", { fd: 1_000_000 }, "map"],
    ["that overlaps in guest addresses", { guestAddress: 0x4fff }, "overlap"],
    ["whose words are moved", { mmapOffset: 4 }, "range"],
    ["that overlaps in user addresses", { userAddress: 0x7f00_0000_4fffn }, "overlap"],
  ])("refuses a region %s, and stays as it was", (_what, change, expected) => {
    memory.addRegion(region(0x4000, PAGE));
    const before = mappedCount();
    expect(code(() => memory.addRegion({ ...region(0x1000, PAGE), ...change }))).toBe(expected);
    const good = region(0x1000, PAGE);
    expect(code(() => memory.replaceAll([region(0x4000, PAGE), { ...good, ...change }]))).toBe(
      expected,
    );
    expect(mappedCount()).toBe(before);
    expect(memory.translate(at(0x4000), PAGE)).not.toBeNull();
    expect([memory.generation, memory.regionCount]).toEqual([1, 1]);
  });

  test("takes slotsMax regions and no more", () => {
    const small = new GuestMemory({ slotsMax: 2 });
    small.addRegion(region(0, PAGE));
    small.addRegion(region(PAGE, PAGE));
    expect(code(() => small.addRegion(region(2 * PAGE, PAGE)))).toBe("limit");
    expect(small.bytes).toBe(2 * PAGE);
    small.clear();
  });

  test("may replace a region by one at the same place; old views then reach nothing", () => {
    memory.replaceAll([region(0, PAGE)]);
    poke(7, 1);
    const old = memory.translate(at(0), PAGE)?.[0];
    memory.replaceAll([region(0, PAGE)]);
    expect(old?.length).toBe(0);
    expect(memory.translate(at(7), 1)?.[0]?.[0]).toBe(0);
  });

  test("tells when a file has shrunk", () => {
    const spec = region(0, 2 * PAGE);
    memory.addRegion(spec);
    expect(memory.poisoned).toBe(false);
    native.ftruncate(spec.fd, PAGE);
    expect(memory.translate(at(PAGE), 1)?.[0]?.[0]).toBe(0);
    expect(memory.poisoned).toBe(true);
  });

  test("takes its memory from the given mapper, for tests without files", () => {
    const buffer = new ArrayBuffer(PAGE);
    const backing = { bytes: PAGE, poisoned: false, window: () => buffer, unmap: () => {} };
    const simulated = new GuestMemory({ map: () => backing });
    simulated.addRegion({ guestAddress: 0, bytes: PAGE, userAddress: 0n, fd: -1, mmapOffset: 0 });
    new Uint8Array(buffer)[3] = 8;
    expect(simulated.translate(at(3), 1)?.[0]?.[0]).toBe(8);
  });
});

describe("pins", () => {
  test("keep removed regions mapped until the last is released", () => {
    const spec = region(0, PAGE);
    memory.addRegion(spec);
    const view = memory.translate(at(0), PAGE)?.[0] ?? new Uint8Array();
    const first = memory.pin();
    const second = memory.pin();
    memory.removeRegion(spec);
    expect(memory.translate(at(0), 1)).toBeNull();
    view[0] = 4;
    expect(view[0]).toBe(4);
    first.release();
    first.release();
    expect(view.length).toBe(PAGE);
    second.release();
    expect(view.length).toBe(0);
    expect(mappedCount()).toBe(0);
  });

  test("of different tables each hold what they saw", () => {
    const specs = [region(0, PAGE), region(PAGE, PAGE), region(2 * PAGE, PAGE)];
    const [a, b, c] = specs;
    if (a === undefined || b === undefined || c === undefined) throw new Error("three regions");
    memory.addRegion(a);
    const pinA = memory.pin();
    memory.addRegion(b);
    const pinAB = memory.pin();
    memory.replaceAll([]);
    memory.addRegion(c);
    expect(mappedCount()).toBe(3);
    pinAB.release();
    expect(mappedCount()).toBe(2); // a by the first pin, c by the table
    pinA.release();
    expect(mappedCount()).toBe(1);
  });

  test("released while the regions are still in the table unmap nothing", () => {
    memory.addRegion(region(0, PAGE));
    memory.pin().release();
    expect(memory.translate(at(0), PAGE)?.[0]?.length).toBe(PAGE);
  });
});
