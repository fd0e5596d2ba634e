// SPDX-License-Identifier: Apache-2.0
/** Times of events: the GPU's for those that ask, the batch's end for the others. */
import { describe, expect, it } from "vitest";
import { ObjectState, VGPU } from "../../../src/protocol/generated/wire.js";
import { Harness, ok } from "./harness.js";

const TIMED = VGPU.EVENT_TIMED;
const timestamps = { info: { timestamps: true } };

const times = (harness: Harness, ...events: number[]): bigint[] =>
  events.map((event) => {
    const { state, time_ns } = harness.eventQuery(0, event);
    expect(state).toBe(ObjectState.READY);
    return time_ns;
  });

describe("a timed event", () => {
  it("has the time of its place in the batch, beginning with an idle stream", () => {
    const harness = new Harness({ gpu: timestamps }).ready();
    const pointer = harness.alloc(0, 256);
    const { gpu } = harness;
    gpu.markTimesNs = [5000, 7000, 7500];
    ok(
      harness.submit(0, 0, (w) =>
        w
          .eventRecord(1, 1, TIMED)
          .fill(pointer, 4, 1, 4)
          .eventRecord(2, 1, TIMED)
          .fill(pointer, 4, 2, 4)
          .eventRecord(3, 1, TIMED),
      ),
    );
    expect(gpu.history).toEqual([["mark", "fill 0 4 1", "mark", "fill 0 4 2", "mark"]]);
    expect(harness.eventQuery(0, 1).state).toBe(ObjectState.PENDING);
    gpu.finishAll();
    expect(times(harness, 1, 2, 3)).toEqual([5000n, 7000n, 7500n]);
  });

  it("goes into the next batch if this one can have no more", () => {
    const harness = new Harness({ gpu: { ...timestamps, marksMax: 2 } }).ready();
    harness.gpu.markTimesNs = [2000, 3000, 4000, 5000, 6000];
    ok(
      harness.submit(0, 0, (w) => {
        for (let event = 1; event <= 5; event++) w.eventRecord(event, 1, TIMED);
      }),
    );
    harness.gpu.finishAll();
    expect(harness.gpu.history).toEqual([["mark", "mark"], ["mark", "mark"], ["mark"]]);
    expect(times(harness, 1, 2, 3, 4, 5)).toEqual([2000n, 3000n, 4000n, 5000n, 6000n]);
  });

  it("has the batch's end where the GPU could not tell, and never a time before an earlier one", () => {
    const harness = new Harness({ gpu: timestamps }).ready();
    const pointer = harness.alloc(0, 256);
    harness.gpu.markTimesNs = [90_000];
    ok(
      harness.submit(0, 0, (w) =>
        w.eventRecord(1, 1, TIMED).fill(pointer, 4, 1, 4).eventRecord(2, 1, TIMED),
      ),
    );
    harness.gpu.finishAll();
    // The second mark has no time, and by the host's clock it is earlier.
    expect(times(harness, 1, 2)).toEqual([90_000n, 90_000n]);
    ok(harness.submit(0, 0, (w) => w.eventRecord(3, 1)));
    expect(times(harness, 3)).toEqual([90_000n]);
  });

  it("is not pushed on by one before it that nobody asked to be timed", () => {
    const harness = new Harness({ gpu: timestamps }).ready();
    const pointer = harness.alloc(0, 256);
    harness.gpu.markTimesNs = [5000, 7000];
    ok(
      harness.submit(0, 0, (w) =>
        w
          .fill(pointer, 4, 1, 4)
          .eventRecord(1, 1)
          .eventRecord(2, 1, TIMED)
          .fill(pointer, 4, 1, 4)
          .eventRecord(3, 1, TIMED),
      ),
    );
    harness.gpu.finishAll();
    expect(times(harness, 1, 2, 3)).toEqual([5000n, 5000n, 7000n]);
  });

  it("completes with its batch, and wakes no sooner who waits for it", () => {
    const harness = new Harness({ gpu: timestamps }).ready();
    ok(harness.submit(0, 0, (w) => w.eventRecord(1, 1, TIMED)));
    ok(harness.submit(0, 1, (w) => w.eventWait(1, 1)));
    expect(harness.slot(0, 0).fence).toBe(0);
    expect(harness.slot(0, 1).fence).toBe(0);
    harness.gpu.finishAll();
    expect(harness.slot(0, 0).fence).toBe(1);
    expect(harness.slot(0, 1).fence).toBe(1);
  });

  it("fails with its context, and leaves no batch behind, when its handle is too large", () => {
    const harness = new Harness({ gpu: timestamps }).ready();
    ok(harness.submit(0, 0, (w) => w.eventRecord(0xffff_ffff, 1, TIMED)));
    harness.gpu.finishAll();
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "HANDLE_LIMIT" });
    expect(harness.gpu.pending.length).toBe(0);
  });
});

describe("an event costs the GPU nothing", () => {
  it("if nobody asks for its time", () => {
    const harness = new Harness({ gpu: timestamps }).ready();
    const pointer = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.eventRecord(1, 1).fill(pointer, 4, 1, 4).eventRecord(2, 1)));
    expect(harness.gpu.history).toEqual([["fill 0 4 1"]]);
    harness.gpu.finishAll();
    const [first = 0n, second = 0n] = times(harness, 1, 2);
    expect(second).toBeGreaterThan(first);
  });

  it.each([
    ["if the GPU has no timestamps", {}, {}],
    ["if timestamps are switched off", timestamps, { timestamps: false }],
  ])("%s", (_, gpu, scheduling) => {
    const harness = new Harness({ gpu, scheduling }).ready();
    const pointer = harness.alloc(0, 256);
    ok(
      harness.submit(0, 0, (w) =>
        w.eventRecord(1, 1, TIMED).fill(pointer, 4, 1, 4).eventRecord(2, 1, TIMED),
      ),
    );
    expect(harness.gpu.history).toEqual([["fill 0 4 1"]]);
    harness.gpu.finishAll();
    const [first = 0n, second = 0n] = times(harness, 1, 2);
    expect(second).toBeGreaterThan(first);
  });
});
