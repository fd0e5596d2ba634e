// SPDX-License-Identifier: Apache-2.0
/** Work that is encoded before the turn has come: nothing of it reaches the GPU earlier. */
import { describe, expect, it } from "vitest";
import type { Lease, LeaseEnd } from "../../../src/instance/lease.js";
import type { SchedulingLimits } from "../../../src/instance/limits.js";
import { MemoryExecutor } from "../../support/memory-executor.js";
import { DATA_AT, Harness, ok } from "./harness.js";

class TurnLease implements Lease {
  held = false;
  onRevoke: (() => void) | null = null;
  onPrepare: (() => void) | null = null;
  granted: (() => void) | null = null;
  ends: LeaseEnd[] = [];

  request(granted: () => void): void {
    this.granted = granted;
  }
  release(): void {}
  end(why: LeaseEnd): void {
    this.ends.push(why);
  }
  prepare(): void {
    this.onPrepare?.();
  }
  grant(): void {
    this.held = true;
    const granted = this.granted;
    this.granted = null;
    granted?.();
  }
}

function rig(scheduling: Partial<SchedulingLimits> = {}) {
  const lease = new TurnLease();
  const next = new MemoryExecutor();
  const harness = new Harness({ lease, scheduling, reopen: async () => next }).ready(2);
  const turns = () => harness.device.status().turns;
  return { lease, harness, next, turns };
}

describe("encode-ahead", () => {
  it("submits the prepared batch first, at once when the turn comes, and in order", () => {
    const { lease, harness, turns } = rig();
    const a = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.fill(a, 4, 1, 4)));
    lease.prepare();
    ok(harness.submit(0, 0, (w) => w.fill(a, 4, 2, 4)));
    expect(harness.gpu.history).toEqual([]);
    expect(harness.slot(0, 0).fence).toBe(0);
    lease.grant();
    expect(harness.gpu.history).toEqual([["fill 0 4 1"], ["fill 0 4 2"]]);
    expect(turns()).toMatchObject({ turns: 1, prepared: 1 });
    harness.gpu.finishAll();
    expect(harness.slot(0, 0)).toMatchObject({ fence: 2, status: "OK" });
    expect(harness.gpu.segments[0]?.data[0]).toBe(2);
  });

  it("is off where it is switched off", () => {
    const { lease, harness, turns } = rig({ encodeAhead: false });
    const a = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.fill(a, 4, 1, 4)));
    lease.prepare();
    lease.grant();
    expect(turns()).toMatchObject({ turns: 1, prepared: 0 });
  });

  it("leaves copies between host and device to the turn: they go straight to the queue", () => {
    const { lease, harness } = rig();
    const a = harness.alloc(0, 256);
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
    const guest = harness.memory.bytes;
    guest.fill(1, DATA_AT, DATA_AT + 16);
    ok(
      harness.submit(0, 0, (w) =>
        w.fill(a, 16, 7, 4).copyToDevice(a, 0, 0, 16).copyFromDevice(a, 0, 64, 16),
      ),
    );
    lease.prepare();
    // The batch has been closed before the copy, whose data is read in the turn.
    guest.fill(9, DATA_AT, DATA_AT + 16);
    lease.grant();
    expect(harness.gpu.history[0]?.length).toBe(1);
    harness.gpu.finishAll();
    expect(guest[DATA_AT + 64]).toBe(9);
  });

  it("drops what was encoded for a context that is destroyed, and charges nothing for it", () => {
    const { lease, harness } = rig();
    const a = harness.alloc(0, 256);
    const b = harness.alloc(1, 256);
    ok(harness.submit(0, 0, (w) => w.fill(a, 4, 1, 4)));
    lease.prepare();
    ok(harness.destroyContext(0));
    expect(harness.gpu.discarded).toBe(1);
    ok(harness.submit(1, 0, (w) => w.fill(b, 4, 2, 4)));
    lease.grant();
    harness.gpu.finishAll();
    expect(harness.gpu.history).toEqual([["fill 0 4 2"]]);
    expect(harness.slot(1, 0)).toMatchObject({ fence: 1, status: "OK" });
    ok(harness.destroyContext(1));
    expect(harness.device.budget.reservedBytes).toBe(0);
  });

  it("keeps memory charged that is freed while a prepared batch names it", () => {
    const { lease, harness } = rig();
    const bytes = 16 * 2 ** 20;
    const own = harness.alloc(0, bytes);
    ok(harness.submit(0, 0, (w) => w.fill(own, 4, 1, 4)));
    lease.prepare();
    ok(harness.free(0, own));
    expect(harness.device.budget.reservedBytes).toBe(bytes);
    lease.grant();
    harness.gpu.finishAll();
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
    expect(harness.device.budget.reservedBytes).toBe(0);
  });

  it("ends with a lost device like what is in flight", async () => {
    const { lease, harness, next } = rig();
    const a = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.fill(a, 4, 1, 4)));
    lease.prepare();
    harness.gpu.lose("gone");
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "DEVICE_LOST" });
    expect(harness.device.budget.reservedBytes).toBe(0);
    await harness.settle();
    const b = ((): ReturnType<Harness["alloc"]> => {
      ok(harness.destroyContext(1));
      ok(harness.createContext(1));
      return harness.alloc(1, 256);
    })();
    ok(harness.submit(1, 0, (w) => w.fill(b, 4, 2, 4)));
    lease.prepare();
    lease.grant();
    next.finishAll();
    expect(harness.slot(1, 0)).toMatchObject({ fence: 1, status: "OK" });
    expect(harness.gpu.history).toEqual([]);
  });

  it("waits while the rings are stopped, and then goes on", () => {
    const { lease, harness } = rig();
    const a = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.fill(a, 4, 1, 4)));
    lease.prepare();
    harness.device.ringsChanged(true);
    expect(harness.device.runner.wantsGpu).toBe(false);
    lease.grant();
    expect(harness.gpu.history).toEqual([]);
    harness.device.ringsChanged(false);
    expect(harness.gpu.history.length).toBe(1);
  });
});
