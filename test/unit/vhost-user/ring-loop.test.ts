// SPDX-License-Identifier: Apache-2.0
// Adaptive polling: kicks are saved while there is activity, and an idle device does nothing.
import { describe, expect, it } from "vitest";
import { pattern, testSessions } from "../../support/session-tests.js";

const sessions = testSessions();
const never = { windowNs: 0, busyWindowNs: 0, spinNs: 0 };
/** Windows far longer than a test: polling ends only when told to. */
const always = { windowNs: 3e11, busyWindowNs: 3e11, spinNs: 1000 };
const short = { windowNs: 100_000, busyWindowNs: 100_000, spinNs: 10_000 };

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe("polling", () => {
  it("without a window needs a kick for each request that finds the device idle", async () => {
    const { driver } = await sessions.start({ polling: never });
    for (let i = 0; i < 20; i++) await driver.request(0, pattern(5), 5);
    expect(driver.counts(0).kicks).toBe(20);
  });

  it("takes requests without kicks in its window", async () => {
    const { driver } = await sessions.start({ polling: always });
    for (let i = 0; i < 20; i++) await driver.request(0, pattern(5), 5);
    expect(driver.counts(0).kicks).toBe(0);
    // Also on a ring that the device has not seen active before.
    expect(await driver.complete(2, [], [driver.memory.allocate(16)])).toBe(0);
    expect(driver.counts(2).kicks).toBe(0);
  });

  it("stops after its window: then kicks are asked for and no turn is taken", async () => {
    const { driver, device } = await sessions.start({ polling: short });
    await driver.request(0, pattern(5), 5);
    const session = driver.connection?.session;
    await expect.poll(() => session?.polling, { interval: 1 }).toBe(false);
    const before = session?.pollTurns;
    const processed = device.processed;
    await turns(20);
    expect(session?.pollTurns).toBe(before);
    expect(device.processed).toBe(processed);
    await driver.request(0, pattern(5), 5);
    expect(driver.counts(0).kicks).toBeGreaterThan(0);
  });

  it("goes on for as long as the device is busy, within the busy window", async () => {
    const polling = { ...short, busyWindowNs: 3e11 };
    const { driver, device } = await sessions.start({ polling });
    device.busy = true;
    await driver.request(0, pattern(5), 5);
    const session = driver.connection?.session;
    const before = session?.pollTurns ?? 0;
    await turns(200);
    expect(session?.pollTurns).toBeGreaterThan(before + 50);
    device.busy = false;
    await expect.poll(() => session?.polling, { interval: 1 }).toBe(false);
  });

  it("polls only shortly for more while the work is known to take long", async () => {
    const polling = { ...short, busyWindowNs: 3e11 };
    const { driver, device } = await sessions.start({ polling });
    device.busy = "long";
    await driver.request(0, pattern(5), 5);
    await expect.poll(() => driver.connection?.session.polling, { interval: 1 }).toBe(false);
    expect(device.busy).toBe("long");
  });

  it("begins its window anew when work ends: who waited sends more", async () => {
    const polling = { windowNs: 5e8, busyWindowNs: 3e11, spinNs: 1000 };
    const { driver, device } = await sessions.start({ polling });
    device.busy = true;
    await driver.request(0, pattern(5), 5);
    await new Promise((resolve) => setTimeout(resolve, 600));
    device.busy = false;
    await turns(5);
    const { kicks } = driver.counts(0);
    await driver.request(0, pattern(5), 5);
    expect(driver.counts(0).kicks).toBe(kicks);
  });

  it("polls again when told that work has ended, however long that took", async () => {
    const { driver } = await sessions.start({ polling: { ...short, windowNs: 5e8 } });
    await driver.request(0, pattern(5), 5);
    const session = driver.connection?.session;
    await expect.poll(() => session?.polling, { interval: 10 }).toBe(false);
    session?.expectMore();
    expect(session?.polling).toBe(true);
    const { kicks } = driver.counts(0);
    await driver.request(0, pattern(5), 5);
    expect(driver.counts(0).kicks).toBe(kicks);
    await expect.poll(() => session?.polling, { interval: 10 }).toBe(false);
  });

  it("never polls without a window, whatever it is told", async () => {
    const { driver } = await sessions.start({ polling: never });
    await driver.request(0, pattern(5), 5);
    const session = driver.connection?.session;
    session?.expectMore();
    expect(session?.polling).toBe(false);
  });

  it("loses no request, whatever the windows and the moments are", async () => {
    for (const polling of [never, short, { windowNs: 1000, busyWindowNs: 0, spinNs: 0 }]) {
      const { driver } = await sessions.start({ polling, queueSize: 8 });
      for (let i = 0; i < 300; i++) {
        const data = pattern(8, i);
        expect(await driver.request(i % 3 === 0 ? 2 : 0, data, 8)).toEqual(data);
        if (i % 7 === 0) await turns(i % 5);
      }
    }
  });

  it("asks a device that works in batches again until all is done", async () => {
    for (const polling of [never, short]) {
      const { driver, device } = await sessions.start({ polling });
      device.batch = 3;
      const all = Array.from({ length: 50 }, (_, i) => driver.request(0, pattern(8, i), 8));
      expect(await Promise.all(all)).toHaveLength(50);
    }
  });

  it("does not spin on event buffers that the device leaves in the ring", async () => {
    for (const polling of [never, short]) {
      const { driver, device } = await sessions.start({ polling });
      driver.postEvents(8);
      const session = driver.connection?.session;
      await driver.frontend.barrier();
      await expect.poll(() => session?.polling, { interval: 1 }).toBe(false);
      const processed = device.processed;
      const before = session?.pollTurns;
      await turns(50);
      expect(device.processed).toBe(processed);
      expect(session?.pollTurns).toBe(before);
    }
  });
});
