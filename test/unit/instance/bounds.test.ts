// SPDX-License-Identifier: Apache-2.0
/** What bounds a guest: batch times learned from measurements, the watchdog, totals, the log. */
import { describe, expect, it } from "vitest";
import type { Batch } from "../../../src/gpu/executor.js";
import { BatchRecord } from "../../../src/instance/batches.js";
import type { Context } from "../../../src/instance/context.js";
import { CostMeter } from "../../../src/instance/cost.js";
import { type DeviceLog, LogLimiter } from "../../../src/instance/host.js";
import { Variant, type WgslEntry } from "../../../src/instance/kernel-code.js";
import type { CommandWriter } from "../../../src/protocol/encode.js";
import { ObjectState } from "../../../src/protocol/generated/wire.js";
import { MemoryExecutor } from "../../support/memory-executor.js";
import { Harness, ok } from "./harness.js";

const SOURCE =
  "@group(0) @binding(0) var<storage, read_write> d: array<u32>;\n" +
  "@compute @workgroup_size(1) fn increment() { d[0] += 1u; }\n";

describe("cost", () => {
  const OVERHEAD_NS = 50_000;
  const variant = (): Variant => new Variant(null as unknown as WgslEntry, "");

  it("learns a pipeline's cost per workgroup from the batch's time", () => {
    const kernel = variant();
    const first = new CostMeter();
    first.add(kernel, 100, 1e6);
    first.add(kernel, 300, 1e6);
    expect(first.estimateNs).toBe(2e6);
    first.learn(OVERHEAD_NS + 400 * 20, 0);
    expect(kernel.cost.nsPerGroup).toBeCloseTo(20, 6);
    const second = new CostMeter();
    second.add(kernel, 1000, 1e6);
    expect(second.estimateNs).toBeCloseTo(20_000, 3);
    // It follows, by the workgroups that each measurement is of.
    second.learn(OVERHEAD_NS + 1000 * 60, 0);
    expect(kernel.cost.nsPerGroup).toBeCloseTo((400 * 20 + 1000 * 60) / 1400, 6);
  });

  it("shares a batch's time among pipelines by what was expected of them", () => {
    const [cheap, dear] = [variant(), variant()];
    cheap.cost.nsPerGroup = 10;
    dear.cost.nsPerGroup = 1000;
    for (let i = 0; i < 60; i++) {
      const meter = new CostMeter();
      meter.add(cheap, 100, 1e6);
      meter.add(dear, 100, 1e6);
      meter.learn(OVERHEAD_NS + 2 * 100 * 1010, 0);
    }
    expect(cheap.cost.nsPerGroup).toBeCloseTo(20, 0);
    expect(dear.cost.nsPerGroup).toBeCloseTo(2000, -2);
  });

  /** What a workgroup costs after 40 batches of so many that each took so long, from so much at first. */
  function learned(firstNs: number, groups: number, batchNs: number, sharedNs: number): number {
    const kernel = variant();
    kernel.cost.nsPerGroup = firstNs;
    for (let batch = 0; batch < 40; batch++) {
      const meter = new CostMeter();
      meter.add(kernel, groups, 1e6);
      meter.learn(OVERHEAD_NS + batchNs, 0, false, sharedNs);
    }
    return kernel.cost.nsPerGroup;
  }

  it("learns from a batch that began beside another one's rest, whatever was thought before", () => {
    // 10 ms, of which the other one had 2 to 4: 6,000 to 8,000 ns, and what was thought if it is that.
    expect(learned(3000, 1000, 10e6, 4e6)).toBeCloseTo(6000, -1);
    expect(learned(30_000, 1000, 10e6, 4e6)).toBeCloseTo(8000, -1);
    expect(learned(7000, 1000, 10e6, 4e6)).toBeCloseTo(7000, -1);
  });

  it("takes one time that is far off for a disturbance, and several for the kernel's", () => {
    const kernel = variant();
    const batch = (groups: number, batchNs: number): void => {
      const meter = new CostMeter();
      meter.add(kernel, groups, 1e6);
      meter.learn(OVERHEAD_NS + batchNs, 0);
    };
    for (let count = 0; count < 20; count++) batch(100, 1e6);
    const fitting = kernel.cost.groupsWithin(1e6, kernel.cost.nsPerGroup);
    expect(fitting).toBeCloseTo(100, 0);
    // Within 300 µs no spread is learned, and of a stall of 50 ms not its length.
    for (let count = 0; count < 10; count++) batch(100, 1.2e6);
    for (let count = 0; count < 20; count++) batch(100, 1e6);
    expect(kernel.cost.groupsWithin(1e6, kernel.cost.nsPerGroup)).toBeCloseTo(100, 0);
    batch(2, 50e6);
    expect(kernel.cost.nsPerGroup).toBeLessThan(15_000);
    batch(100, 1e6);
    for (let count = 0; count < 3; count++) batch(100, 50e6);
    expect(kernel.cost.nsPerGroup).toBeGreaterThan(200_000);
  });

  it("learns an eighth of the time of a batch that took no longer than one without work would", () => {
    // Nothing at all would let the next batch have any number of launches.
    expect(learned(1, 64, 40_000 - OVERHEAD_NS, 0)).toBeCloseTo(40_000 / 8 / 64, 0);
  });

  it.each([
    // A window of 6 ms that ends at 100, the GPU free of others' work since 0, 90, 96, 99 and not yet.
    [50, 0, 0],
    [50, 90, 0],
    [50, 96, 2],
    [50, 99, 5],
    [50, 100, 6],
    // It was submitted but 3 ms ago: its time can't have begun before.
    [97, 96, 0],
    [97, 99, 2],
  ])("submitted at %s, alone since %s: shared %s ms", (submittedMs, aloneMs, sharedMs) => {
    const record = new BatchRecord(1, null as unknown as Context, null as unknown as Batch);
    record.submittedNs = submittedMs * 1e6;
    expect(record.sharedNs(6e6, 100e6, aloneMs * 1e6)).toBe(sharedMs * 1e6);
  });

  it("ends a batch near its time: few launches while the cost is unknown, then as many as fit", async () => {
    const batchNsMax = 1e6;
    const gpu = { gpuTimeNs: OVERHEAD_NS + 400_000 };
    const harness = new Harness({ gpu, scheduling: { batchNsMax, batchesInFlightMax: 1 } }).ready();
    const pointer = harness.alloc(0, 256);
    const launches = (count: number) => (w: CommandWriter) => {
      for (let i = 0; i < count; i++)
        w.launch({ function: 0, grid: [10, 1, 1], arguments: [pointer] });
    };
    ok(harness.submit(0, 0, (w) => w.moduleLoad(0, SOURCE).functionCreate(0, 0, "increment")));
    await harness.settle();
    ok(harness.submit(0, 0, launches(40)));
    await harness.settle();
    expect(harness.gpu.history.map((lines) => lines.length)).toEqual([4]);
    // Four launches took 400 µs: ten fit into a batch of 1 ms.
    harness.gpu.finish();
    expect(harness.gpu.history.map((lines) => lines.length)).toEqual([4, 10]);
    harness.gpu.finishAll();
    expect(harness.slot(0, 0)).toMatchObject({ fence: 2, status: "OK" });
    expect(harness.statistics(0).launches).toBe(40n);
  });
});

describe("the watchdog", () => {
  const scheduling = { watchdogNs: 5e9, batchesInFlightMax: 2 };

  it("VGPU-DEV-100: blames the context of the batch that hangs, and opens another GPU", async () => {
    const next = new MemoryExecutor();
    const harness = new Harness({ scheduling, reopen: async () => next }).ready(2);
    const a = harness.alloc(0, 256);
    const b = harness.alloc(1, 256);
    expect(harness.watchdogCallback).toBeNull();
    ok(harness.submit(0, 3, (w) => w.fill(a, 4, 1, 4)));
    ok(harness.submit(1, 0, (w) => w.fill(b, 4, 1, 4)));
    expect(harness.watchdogNs).toBe(5e9);
    harness.timeNs += 5e9;
    harness.watchdogCallback?.();
    expect(harness.header(0).status).toBe("TIMEOUT");
    expect(harness.slot(0, 3)).toMatchObject({ fence: 1, status: "TIMEOUT" });
    await harness.settle();
    expect(harness.error(0).text).toMatch(
      /a batch is not done after 5\.0 s, the watchdog's limit is 5 s/,
    );
    expect(harness.slot(1, 0)).toMatchObject({ fence: 1, status: "DEVICE_LOST" });
    await harness.settle();
    ok(harness.destroyContext(1));
    ok(harness.createContext(1));
    const again = harness.alloc(1, 256);
    ok(harness.submit(1, 0, (w) => w.fill(again, 4, 1, 4)));
    next.finishAll();
    expect(harness.slot(1, 0)).toMatchObject({ fence: 2, status: "OK" });
    // The hung GPU wakes up at last: nobody listens.
    harness.gpu.finishAll();
    expect(harness.slot(0, 3).status).toBe("TIMEOUT");
  });

  it("gives each batch its own time, and looks again while they make progress", () => {
    const harness = new Harness({ scheduling }).ready();
    const a = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.fill(a, 4, 1, 4)));
    ok(harness.submit(0, 0, (w) => w.fill(a, 4, 1, 4)));
    harness.timeNs += 4e9;
    harness.gpu.finish();
    harness.timeNs += 1e9;
    harness.watchdogCallback?.();
    expect(harness.header(0).status).toBe("OK");
    expect(harness.watchdogNs).toBeGreaterThan(3.9e9);
    harness.gpu.finish();
    harness.timeNs += 4e9;
    harness.watchdogCallback?.();
    expect(harness.header(0).status).toBe("OK");
  });
});

describe("totals", () => {
  it("bounds modules, functions and events of all contexts together", async () => {
    const limits = { modulesTotalMax: 2, functionsTotalMax: 2, eventsTotalMax: 2 };
    const harness = new Harness({ limits }).ready(3);
    ok(harness.submit(0, 0, (w) => w.eventRecord(0, 1)));
    ok(harness.submit(1, 0, (w) => w.eventWait(9, 1)));
    ok(harness.submit(2, 0, (w) => w.eventRecord(0, 1)));
    expect(harness.error(2)).toMatchObject({ name: "QUOTA", limit: 2n });
    ok(harness.destroyContext(1));
    ok(harness.destroyContext(2));
    ok(harness.createContext(1));
    ok(harness.submit(1, 1, (w) => w.eventRecord(0, 1)));
    expect(harness.header(1).status).toBe("OK");
    ok(harness.submit(0, 0, (w) => w.moduleLoad(0, SOURCE).moduleLoad(1, SOURCE)));
    await harness.settle();
    ok(harness.submit(1, 1, (w) => w.moduleLoad(0, SOURCE)));
    expect(harness.moduleQuery(1, 0)).toMatchObject({ state: ObjectState.FAILED });
    expect(harness.moduleQuery(1, 0).log).toMatch(/one of 3 modules, the limit is 2/);
    ok(harness.submit(0, 0, (w) => w.functionCreate(0, 0, "increment").functionCreate(1, 1, "x")));
    ok(harness.submit(1, 1, (w) => w.functionCreate(0, 0, "increment")));
    expect(harness.error(1)).toMatchObject({ name: "QUOTA", limit: 2n });
    ok(harness.submit(0, 0, (w) => w.moduleUnload(0).moduleUnload(1)));
    ok(harness.submit(0, 0, (w) => w.moduleLoad(5, SOURCE).functionCreate(7, 5, "increment")));
    await harness.settle();
    expect(harness.header(0).status).toBe("OK");
    expect(harness.moduleQuery(0, 5).state).toBe(ObjectState.READY);
  });

  it("tells that a queued object is not ready yet", () => {
    const harness = new Harness().ready();
    harness.gpu.holdCompilers = true;
    ok(harness.submit(0, 0, (w) => w.moduleLoad(0, SOURCE).functionCreate(3, 0, "increment")));
    const state = (): number =>
      new DataView(harness.functionQuery(0, 3).payload.buffer).getUint32(0, true);
    expect(state()).toBe(ObjectState.PENDING);
    expect(harness.moduleQuery(0, 0).state).toBe(ObjectState.PENDING);
  });

  it("keeps no zeroing for memory that was freed again, and cuts many fills into batches", () => {
    const scheduling = { batchOperationsMax: 10, batchesInFlightMax: 1 };
    const harness = new Harness({ scheduling }).ready();
    const many = Array.from({ length: 25 }, () => harness.alloc(0, 256));
    for (const each of many) ok(harness.free(0, each));
    const again = Array.from({ length: 25 }, () => harness.alloc(0, 256));
    for (let round = 0; round < 50; round++) {
      const last = again.pop();
      if (last === undefined) break;
      ok(harness.free(0, last));
      again.push(harness.alloc(0, 256));
    }
    const first = again[0] ?? { segment: 0, offset: 0 };
    ok(harness.submit(0, 0, (w) => w.fill(first, 4, 7, 4)));
    harness.gpu.finishAll();
    expect(harness.gpu.history.map((lines) => lines.length)).toEqual([10, 10, 6]);
    expect(harness.gpu.history.flat().at(-1)).toBe(`fill ${first.offset} 4 7`);
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
  });
});

describe("the log", () => {
  it("can't be flooded", () => {
    const lines: string[] = [];
    const log: DeviceLog = {
      debug: () => {},
      info: (fields, text) => {
        lines.push(`${text} ${JSON.stringify(fields)}`);
      },
      warn: () => {},
    };
    let now = 7;
    const limiter = new LogLimiter(log, () => now);
    for (let i = 0; i < 25; i++) limiter.info({ i }, "a line");
    expect(lines.length).toBe(10);
    now += 1e9;
    limiter.info({}, "another");
    expect(lines.slice(10)).toEqual(['log lines were left out {"lines":15}', "another {}"]);
  });
});
