// SPDX-License-Identifier: Apache-2.0
// What a device does with the contexts of a process whose place it took, and notes of its own.
import { describe, expect, it } from "vitest";
import { EventType, Status } from "../../../src/protocol/generated/wire.js";
import type { ContextJournal, ContextPages } from "../../../src/vhost-user/device.js";
import { Harness } from "./harness.js";

class FakeJournal implements ContextJournal {
  readonly pages = new Map<number, ContextPages>();
  set(context: number, pages: ContextPages): void {
    this.pages.set(context, pages);
  }
  clear(context: number): void {
    this.pages.delete(context);
  }
  clearAll(): void {
    this.pages.clear();
  }
  entries(): readonly ContextPages[] {
    return [...this.pages.values()];
  }
  ring(): null {
    return null;
  }
}

/** A device that finds in the journal what an earlier one with two contexts left. */
function successor(): { harness: Harness; journal: FakeJournal; told: () => string[] } {
  const journal = new FakeJournal();
  const harness = new Harness();
  harness.init();
  harness.device.detach();
  harness.journal = journal;
  for (const id of [0, 1]) {
    const timelineAddress = harness.timelineAt(id);
    journal.set(id, { timelineAddress, armAddress: timelineAddress + 4096 });
    harness.writeHeader(id, { epoch: 77, status: Status.OK });
  }
  return { harness, journal, told: () => [0, 1].map((id) => harness.header(id).status) };
}

describe("a device that takes a place over", () => {
  it("tells each context that it is lost, with its own epoch, and sends the event", () => {
    const { harness, told } = successor();
    harness.attach();
    expect(told()).toEqual(["DEVICE_LOST", "DEVICE_LOST"]);
    expect(harness.header(0).epoch).toBe(harness.device.epoch);
    expect(harness.device.epoch).not.toBe(77);
    harness.postEventBuffers(2);
    expect(harness.events()).toMatchObject([
      { type: EventType.EPOCH, epoch: harness.device.epoch },
    ]);
  });

  it("writes no page where the rings stood still, for the guest may be another; it sends the event", () => {
    const { harness, journal, told } = successor();
    harness.attach({ suspended: true });
    harness.device.ringsChanged(false);
    expect(told()).toEqual(["OK", "OK"]);
    expect(journal.pages.size).toBe(0);
    harness.postEventBuffers(2);
    expect(harness.events()).toMatchObject([{ type: EventType.EPOCH }]);
  });

  it("leaves what a context had failed of", () => {
    const { harness, told } = successor();
    harness.writeHeader(1, { epoch: 77, status: Status.TIMEOUT });
    harness.attach();
    expect(told()).toEqual(["DEVICE_LOST", "TIMEOUT"]);
    expect(harness.header(1).epoch).toBe(harness.device.epoch);
  });

  it("keeps them for another process until their driver begins a session", () => {
    const { harness, journal } = successor();
    harness.attach();
    expect(journal.pages.size).toBe(2);
    harness.init();
    expect(journal.pages.size).toBe(0);
    // The driver may use the pages for something else now.
    harness.writeHeader(0, { epoch: 0, status: Status.OK });
    harness.device.ringsChanged(true);
    harness.device.ringsChanged(false);
    expect(harness.header(0).status).toBe("OK");
  });

  it("passes over pages that are not mapped", () => {
    const { harness, journal, told } = successor();
    journal.set(0, { timelineAddress: 2 ** 40, armAddress: 2 ** 41 });
    harness.attach();
    expect(told()).toEqual(["OK", "DEVICE_LOST"]);
  });
});

describe("the journal of a device", () => {
  it("has its contexts from their creation to their end", () => {
    const journal = new FakeJournal();
    const harness = new Harness();
    harness.device.detach();
    harness.journal = journal;
    harness.attach();
    harness.init();
    harness.createContext(3);
    harness.createContext(5);
    expect([...journal.pages.keys()]).toEqual([3, 5]);
    expect(journal.pages.get(3)?.timelineAddress).toBe(harness.timelineAt(3));
    harness.destroyContext(3);
    expect([...journal.pages.keys()]).toEqual([5]);
    harness.device.reset();
    expect(journal.pages.size).toBe(0);
  });
});

describe("a GPU that can't be used any more", () => {
  it("ends the process when it hangs, after the contexts were told", () => {
    const ends: string[] = [];
    const harness = new Harness({
      abandon: (why) => ends.push(`${harness.header(0).status}: ${why}`),
      reopen: () => Promise.reject(new Error("not asked for")),
    });
    harness.ready();
    const memory = harness.alloc(0, 256);
    harness.submit(0, 0, (w) => w.fill(memory, 4, 1, 4));
    harness.timeNs += 2e9;
    harness.watchdogCallback?.();
    expect(ends).toHaveLength(1);
    expect(ends[0]).toMatch(/^TIMEOUT: a batch is not done/);
  });

  it("ends the process when it can't be opened again after a loss", async () => {
    const ends: string[] = [];
    const harness = new Harness({
      abandon: (why) => ends.push(why),
      reopen: () => Promise.reject(new Error("no driver")),
    });
    harness.gpu.lose("gone");
    expect(ends).toEqual([]);
    await harness.settle();
    expect(ends).toEqual(["no GPU can be opened: Error: no driver"]);
  });
});
