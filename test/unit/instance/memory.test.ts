// SPDX-License-Identifier: Apache-2.0
/** Device memory: the sub-allocator against a model, segments, zeroing, limits, exact accounts. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OrderedSet } from "../../../src/instance/ordered-set.js";
import { SubAllocator } from "../../../src/instance/suballocator.js";
import type { CommandWriter } from "../../../src/protocol/encode.js";
import { VGPU } from "../../../src/protocol/generated/wire.js";
import type { DevicePointer } from "../../../src/protocol/pointer.js";
import { at, DATA_AT, Harness, ok } from "./harness.js";

const KIB = 1024;
const MIB = 1024 * KIB;

describe("ordered set", () => {
  it("agrees with a sorted list", () => {
    const key = fc.tuple(fc.nat(9), fc.nat(9));
    const action = fc.record({ add: fc.boolean(), key });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), key, fc.nat(), (actions, probe, seed) => {
        const set = new OrderedSet<number>(seed);
        const model = new Map<number, number>();
        for (const { add, key: each } of actions) {
          const [major, minor] = each;
          const id = major * 10 + minor;
          if (!add) expect(set.remove(major, minor)).toBe(model.delete(id));
          else if (!model.has(id)) {
            set.insert(major, minor, id);
            model.set(id, id);
          }
        }
        const sorted = [...model.keys()].sort((a, b) => a - b);
        const seen: number[] = [];
        set.forEach((value) => {
          seen.push(value);
        });
        expect(seen).toEqual(sorted);
        expect(set.size).toBe(sorted.length);
        const id = probe[0] * 10 + probe[1];
        expect(set.ceiling(...probe)).toBe(sorted.find((each) => each >= id) ?? null);
        expect(set.floor(...probe)).toBe(sorted.filter((each) => each <= id).at(-1) ?? null);
      }),
    );
  });
});

describe("sub-allocator", () => {
  const GRANULES = 64;

  it("gives disjoint best-fitting ranges, finds them, and coalesces back to one", () => {
    const action = fc.oneof(
      fc.record({
        kind: fc.constant("allocate" as const),
        bytes: fc.integer({ min: 1, max: 4000 }),
      }),
      fc.record({ kind: fc.constant("free" as const), pick: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), fc.nat(), (actions, seed) => {
        const allocator = new SubAllocator(GRANULES * 256, 256, seed);
        const owner = new Array<number>(GRANULES).fill(-1);
        const live = new Map<number, number>();
        for (const each of actions) {
          if (each.kind === "allocate") {
            const need = Math.ceil(each.bytes / 256);
            const best = holes(owner)
              .filter(([, length]) => length >= need)
              .sort((a, b) => a[1] - b[1] || a[0] - b[0])[0];
            const got = allocator.allocate(each.bytes);
            expect(got?.offset ?? null).toBe(best === undefined ? null : best[0] * 256);
            if (got === null) continue;
            expect(got.bytes).toBe(need * 256);
            owner.fill(got.offset, got.offset / 256, got.offset / 256 + need);
            live.set(got.offset, need);
          } else if (live.size > 0) {
            const offset = [...live.keys()][each.pick % live.size] ?? 0;
            const length = live.get(offset) ?? 0;
            if (length > 1) expect(allocator.free(offset + 256)).toBeNull();
            expect(allocator.free(offset)?.bytes).toBe(length * 256);
            expect(allocator.free(offset)).toBeNull();
            owner.fill(-1, offset / 256, offset / 256 + length);
            live.delete(offset);
          }
          for (let granule = 0; granule < GRANULES; granule++) {
            const expected = owner[granule] === -1 ? null : owner[granule];
            expect(allocator.find(granule * 256 + 255)?.offset ?? null).toBe(expected);
          }
        }
        const used = owner.filter((each) => each >= 0).length;
        expect(allocator.usedBytes).toBe(used * 256);
        expect(allocator.count).toBe(live.size);
        const largest = Math.max(0, ...holes(owner).map(([, length]) => length));
        expect(allocator.largestFree).toBe(largest * 256);
        for (const offset of live.keys()) allocator.free(offset);
        expect(allocator.largestFree).toBe(GRANULES * 256);
      }),
      { numRuns: 150 },
    );
  });

  it("stays fast with many allocations", () => {
    const count = 20_000;
    const allocator = new SubAllocator(count * 512, 256, 1);
    for (let i = 0; i < count; i++) allocator.allocate(512);
    expect(allocator.allocate(1)).toBeNull();
    // Every second one, then the rest in another order: no quadratic search, no lost range.
    for (let i = 0; i < count; i += 2) allocator.free(i * 512);
    expect(allocator.largestFree).toBe(512);
    for (let i = count - 1; i > 0; i -= 2) allocator.free(i * 512);
    expect(allocator.largestFree).toBe(count * 512);
  });
});

/** Free runs of a list of owners: [start, length]. */
function holes(owner: readonly number[]): [number, number][] {
  const found: [number, number][] = [];
  owner.forEach((each, index) => {
    const last = found.at(-1);
    if (each !== -1) return;
    if (last !== undefined && last[0] + last[1] === index) last[1]++;
    else found.push([index, 1]);
  });
  return found;
}

describe("device memory", () => {
  it("aligns, rounds and counts", () => {
    const harness = new Harness({ limits: { memoryBytesMax: 32 * MIB } }).ready(2);
    const first = harness.alloc(0, 1);
    const second = harness.alloc(0, 257);
    expect(first.segment).toBe(VGPU.SEGMENT_FIRST);
    expect(second).toEqual(at(first, 256));
    harness.alloc(1, 1000);
    expect(harness.memoryInfo(0)).toEqual({
      total_bytes: BigInt(32 * MIB),
      free_bytes: BigInt(32 * MIB - 256 - 512 - 1024),
      context_bytes: 768n,
      allocation_count: 2n,
    });
    expect(harness.free(0, at(second, 256)).status).toBe("POINTER_INVALID");
    expect(harness.free(1, second).status).toBe("POINTER_INVALID");
    expect(harness.free(0, second).status).toBe("OK");
    expect(harness.free(0, second).status).toBe("POINTER_INVALID");
    expect(harness.memoryInfo(0)).toMatchObject({ context_bytes: 256n, allocation_count: 1n });
  });

  it("refuses what is larger than a segment, and what is above the limit", () => {
    const limits = { memoryBytesMax: 10 * MIB, allocationsMax: 3 };
    const harness = new Harness({ limits, gpu: { info: { segmentBytesMax: 4 * MIB } } }).ready();
    expect(harness.tryAlloc(0, 4 * MIB + 1)).toMatchObject({
      status: "ALLOCATION_TOO_LARGE",
      value: BigInt(4 * MIB + 1),
      limit: BigInt(4 * MIB),
    });
    const pointers = [harness.alloc(0, 4 * MIB), harness.alloc(0, 4 * MIB)];
    expect(new Set(pointers.map((each) => each.segment)).size).toBe(2);
    expect(harness.tryAlloc(0, 4 * MIB)).toMatchObject({
      status: "OUT_OF_MEMORY",
      limit: BigInt(10 * MIB),
    });
    // To the last byte.
    harness.alloc(0, 2 * MIB);
    expect(harness.memoryInfo(0).free_bytes).toBe(0n);
    expect(harness.tryAlloc(0, 1)).toMatchObject({ status: "QUOTA", value: 3n, limit: 3n });
    expect(harness.device.status().memory.reserved_bytes).toBe(10 * MIB);
  });

  it("says so when the GPU has less than the limit", () => {
    const harness = new Harness({ gpu: { memoryBytes: 8 * MIB + 512 } }).ready();
    harness.alloc(0, MIB);
    // A grown segment fails, an exact one fits.
    const limits = harness.alloc(0, 7 * MIB);
    expect(limits.segment).toBe(VGPU.SEGMENT_FIRST);
    harness.alloc(0, 512);
    expect(harness.tryAlloc(0, 256)).toMatchObject({ status: "OUT_OF_MEMORY", value: 256n });
    expect(harness.device.status().memory.reserved_bytes).toBe(8 * MIB + 512);
  });

  it("zeroes what was used before, and only that, ahead of the next operation", () => {
    const harness = new Harness().ready();
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 65536 }]));
    const keep = harness.alloc(0, 256);
    const used = harness.alloc(0, 1024);
    ok(
      harness.submit(0, 0, (w) => {
        w.fill(keep, 256, 0x77, 1).fill(used, 1024, 0x66, 1);
      }),
    );
    ok(harness.free(0, used));
    // The batch with the old contents has not even run: the zeroing still comes after it.
    const again = harness.alloc(0, 2048);
    expect(again).toEqual(used);
    ok(harness.submit(0, 5, (w) => w.copyFromDevice(again, 0, 0, 2048)));
    harness.gpu.finishAll();
    const bytes = harness.memory.bytes.subarray(DATA_AT, DATA_AT + 2048);
    expect(bytes.every((each) => each === 0)).toBe(true);
    expect(harness.gpu.history[1]).toEqual(["fill 256 1024 0", "read 256 2048"]);
    expect(harness.gpu.segments[0]?.data[0]).toBe(0x77);
  });

  it("ends an allocation where the guest asked, though more is reserved", () => {
    const past = [
      (w: CommandWriter, p: DevicePointer) => w.fill(p, 1001, 1, 1),
      (w: CommandWriter, p: DevicePointer) => w.copyToDevice(at(p, 998), 0, 0, 3),
      (w: CommandWriter, p: DevicePointer) => w.copyFromDevice(at(p, 1000), 0, 0, 1),
      (w: CommandWriter, p: DevicePointer) => w.copyDevice(p, at(p, 512), 489),
      (w: CommandWriter, p: DevicePointer) => w.writeInline(at(p, 1020), new Uint8Array(4)),
    ];
    const harness = new Harness().ready(past.length);
    past.forEach((build, id) => {
      const pointer = harness.alloc(id, 1000);
      ok(harness.register(id, 0, [{ address: DATA_AT, bytes: 4096 }]));
      ok(
        harness.submit(id, 0, (w) => {
          w.fill(pointer, 1000, 1, 1).copyToDevice(pointer, 0, 0, 1000);
          w.copyFromDevice(at(pointer, 999), 0, 0, 1).copyDevice(pointer, at(pointer, 512), 488);
        }),
      );
      harness.gpu.finishAll();
      expect(harness.slot(id, 0)).toMatchObject({ fence: 1, status: "OK" });
      ok(harness.submit(id, 0, (w) => build(w, pointer)));
      expect(harness.error(id)).toMatchObject({ name: "OUT_OF_RANGE", fence: 2n });
    });
    const rooms = past.map((_, id) => Number(harness.error(id).limit));
    expect(rooms).toEqual([1000, 2, 0, 488, 0]);
  });

  it("returns empty segments but one, large ones at once, and reclaims for others", () => {
    const limits = { memoryBytesMax: 64 * MIB, segmentBytesFirst: MIB, segmentBytesOwn: 8 * MIB };
    const harness = new Harness({ limits }).ready(2);
    const large = harness.alloc(0, 8 * MIB);
    const small = harness.alloc(0, 1000);
    expect(harness.gpu.liveBytes).toBeGreaterThan(8 * MIB);
    ok(harness.free(0, large));
    expect(harness.gpu.segments[0]?.destroyed).toBe(true);
    ok(harness.free(0, small));
    const kept = harness.gpu.liveBytes;
    expect(kept).toBeGreaterThan(0);
    expect(harness.device.status().memory).toMatchObject({
      reserved_bytes: kept,
      allocated_bytes: 0,
    });
    // Another context needs it all: what is kept for later has to go.
    const all: DevicePointer[] = [];
    for (let i = 0; i < 8; i++) all.push(harness.alloc(1, 8 * MIB));
    expect(harness.gpu.liveBytes).toBe(64 * MIB);
    for (const each of all) ok(harness.free(1, each));
    ok(harness.destroyContext(0));
    ok(harness.destroyContext(1));
    expect(harness.gpu.liveBytes).toBe(0);
    expect(harness.device.status().memory.reserved_bytes).toBe(0);
  });

  it("never gives a segment number twice while it is in use", () => {
    const limits = { segmentBytesOwn: 256, segmentBytesFirst: 256 };
    const harness = new Harness({ limits }).ready();
    const first = harness.alloc(0, 256);
    const second = harness.alloc(0, 256);
    ok(harness.free(0, second));
    const third = harness.alloc(0, 256);
    const numbers = [first, second, third].map((each) => each.segment - VGPU.SEGMENT_FIRST);
    expect(numbers).toEqual([0, 1, 2]);
    ok(harness.submit(0, 0, (w) => w.fill(second, 4, 1, 4)));
    expect(harness.error(0).name).toBe("POINTER_INVALID");
  });

  it("keeps the account exact over any sequence of requests", () => {
    const action = fc.oneof(
      fc.record({
        kind: fc.constant("alloc" as const),
        context: fc.nat(1),
        bytes: fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 3 * MIB })),
      }),
      fc.record({ kind: fc.constant("free" as const), context: fc.nat(1), pick: fc.nat() }),
      fc.record({ kind: fc.constant("work" as const), context: fc.nat(1), pick: fc.nat() }),
      fc.record({ kind: fc.constant("finish" as const) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const limits = {
          memoryBytesMax: 8 * MIB,
          segmentBytesFirst: MIB,
          segmentBytesOwn: 2 * MIB,
        };
        const harness = new Harness({ limits }).ready(2);
        const live: { pointer: DevicePointer; bytes: number }[][] = [[], []];
        for (const each of actions) {
          const mine = live["context" in each ? each.context : 0] ?? [];
          if (each.kind === "alloc") {
            const response = harness.tryAlloc(each.context, each.bytes);
            if (response.status !== "OK") continue;
            const view = new DataView(response.payload.buffer);
            const pointer = { segment: view.getUint32(4, true), offset: view.getUint32(0, true) };
            mine.push({ pointer, bytes: Number(view.getBigUint64(8, true)) });
          } else if (each.kind === "free" && mine.length > 0) {
            const [gone] = mine.splice(each.pick % mine.length, 1);
            if (gone !== undefined) ok(harness.free(each.context, gone.pointer));
          } else if (each.kind === "work" && mine.length > 0) {
            const target = mine[each.pick % mine.length];
            if (target !== undefined)
              ok(harness.submit(each.context, 0, (w) => w.fill(target.pointer, 1, 9, 1)));
          } else if (each.kind === "finish") harness.gpu.finish();
          const { memory } = harness.device.status();
          const sum = live.flat().reduce((total, one) => total + one.bytes, 0);
          expect(memory.allocated_bytes).toBe(sum);
          expect(memory.reserved_bytes).toBeGreaterThanOrEqual(harness.gpu.liveBytes);
          expect(memory.reserved_bytes).toBeLessThanOrEqual(8 * MIB);
          if (harness.gpu.pending.length === 0)
            expect(memory.reserved_bytes).toBe(harness.gpu.liveBytes);
        }
        ok(harness.init(99n));
        harness.gpu.finishAll();
        expect(harness.device.status().memory).toMatchObject({
          reserved_bytes: 0,
          allocated_bytes: 0,
        });
        expect(harness.gpu.liveBytes).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
