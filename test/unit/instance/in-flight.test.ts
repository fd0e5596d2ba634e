// SPDX-License-Identifier: Apache-2.0
/** Ends that nobody waits for may be noticed late, but never so late that the GPU runs dry. */
import { beforeEach, expect, it } from "vitest";
import type { Executor, Interest } from "../../../src/gpu/executor.js";
import { BatchRecord } from "../../../src/instance/batches.js";
import type { Context } from "../../../src/instance/context.js";
import { InFlight } from "../../../src/instance/in-flight.js";
import type { Variant } from "../../../src/instance/kernel-code.js";
import { DEFAULT_SCHEDULING } from "../../../src/instance/limits.js";

const MS = 1e6;
const NO_WATCHDOG = { ...DEFAULT_SCHEDULING, watchdogNs: 0 };

let flight: InFlight;
let told: { timeNs: number; interest: Interest } | null;
let timestamps: boolean;

beforeEach(() => {
  flight = new InFlight();
  told = null;
  timestamps = true;
});

/** A batch that was submitted at 0 and should take so long. */
function add(estimateNs: number): BatchRecord {
  const variant = { cost: { nsPerGroup: 1, covers: () => true } } as unknown as Variant;
  const record = new BatchRecord(1, {} as Context, { operations: 1 } as BatchRecord["batch"]);
  record.cost.add(variant, estimateNs, 0);
  flight.add(record);
  return record;
}

function look(awaited = false, limits = NO_WATCHDOG): typeof told {
  const expectDone = (timeNs: number, interest: Interest): void => {
    told = { timeNs, interest };
  };
  flight.expect(
    { info: { timestamps }, expectDone } as Partial<Executor> as Executor,
    awaited,
    limits,
  );
  return told;
}

it("is long as long as much of it is left, and its kernels are known", () => {
  expect(flight.long(0)).toBe(false);
  add(3 * MS);
  expect(flight.long(0)).toBe(true);
  expect(flight.long(1.9 * MS)).toBe(true);
  expect(flight.long(2.1 * MS)).toBe(false);
  add(40 * MS);
  expect(flight.long(2.1 * MS)).toBe(true);
  const unknown = { cost: { nsPerGroup: 0, covers: () => false } } as unknown as Variant;
  add(1).cost.add(unknown, 1, 60 * MS);
  expect(flight.long(0)).toBe(false);
});

it("is looked for in the midst of the next one if nobody waits for it", () => {
  add(40 * MS);
  add(20 * MS);
  expect(look()).toEqual({ timeNs: 50 * MS, interest: "none" });
});

it("is looked for at its time if it is the last one", () => {
  add(40 * MS);
  expect(look()).toEqual({ timeNs: 40 * MS, interest: "guest" });
});

it.each<[string, (record: BatchRecord) => unknown]>([
  ["a fence", (record) => record.jobs.push({} as BatchRecord["jobs"][number])],
  ["an event", (record) => record.events.push({} as BatchRecord["events"][number])],
  ["a stream that wants its cost", (record) => record.waiters.push(() => {})],
  ["memory that it holds", (record) => Object.assign(record, { retiredBytes: 1 })],
  ["a copy", (record) => Object.assign(record, { bytesFromDevice: 4 })],
])("is looked for at its time if %s waits for it", (_what, wait) => {
  wait(add(40 * MS));
  add(40 * MS);
  expect(look()).toEqual({ timeNs: 40 * MS, interest: "guest" });
});

it("is looked for less closely if it is a tail, with another process's work behind it", () => {
  add(40 * MS);
  flight.left(39 * MS);
  expect(look()).toEqual({ timeNs: 40 * MS, interest: "tail" });
});

it("is looked for closely if another process waits for the GPU", () => {
  add(40 * MS);
  add(40 * MS);
  expect(look(true)).toEqual({ timeNs: 40 * MS, interest: "process" });
});

it("is looked for at its time where the look is also the measurement", () => {
  add(40 * MS);
  add(40 * MS);
  timestamps = false;
  expect(look()?.interest).toBe("guest");
  timestamps = true;
  expect(look(false, { ...NO_WATCHDOG, timestamps: false })?.interest).toBe("guest");
});

it("does not seem to hang for being noticed late", () => {
  add(40 * MS);
  add(40 * MS);
  expect(look(false, { ...NO_WATCHDOG, watchdogNs: 16 * MS })?.timeNs).toBe(41 * MS);
});

it("takes the next one to have begun when the GPU's clock says so, not when that was noticed", () => {
  const first = add(40 * MS);
  add(20 * MS);
  flight.remove(first, 50 * MS, 38 * MS);
  expect(look()).toEqual({ timeNs: 58 * MS, interest: "guest" });
});
