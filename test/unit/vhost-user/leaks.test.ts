// SPDX-License-Identifier: Apache-2.0
// Descriptors and mappings are given back, whatever a front end sends (CVE-2022-0669 and its kin).
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { close, eventfd } from "../../../src/io/native.js";
import { slotPayload, VU } from "../../support/mock-driver.js";
import { concat, u32s, u64, u64s } from "../../support/mock-frontend.js";
import { openFds, pattern, type TestSession, testSessions } from "../../support/session-tests.js";

const sessions = testSessions();

function mappings(): number {
  const maps = readFileSync("/proc/self/maps", "utf8");
  return maps.split("\n").filter((line) => line.includes("mock-guest")).length;
}

describe("descriptors", () => {
  it("of 1000 bad messages are all closed", async () => {
    const { driver } = await sessions.start();
    const fds = Array.from({ length: 8 }, () => eventfd());
    const [one = -1] = fds;
    const region = { guestAddress: 0, bytes: 4096, userAddress: 0n, mmapOffset: 0 };
    const bad = [
      { request: VU.SET_MEM_TABLE, payload: u32s(1, 0), fds },
      { request: VU.SET_MEM_TABLE, payload: concat(u32s(8, 0), new Uint8Array(256)), fds },
      { request: VU.ADD_MEM_REG, payload: slotPayload(region), fds: [one] },
      { request: VU.ADD_MEM_REG, payload: slotPayload(region), fds },
      { request: VU.REM_MEM_REG, payload: slotPayload(region), fds: [one] },
      { request: VU.SET_VRING_KICK, payload: u64(77), fds: [one] },
      { request: VU.SET_VRING_CALL, payload: u64(0x100), fds: [one] },
      { request: VU.SET_VRING_ERR, payload: u64(1n << 40n), fds: [one] },
      { request: VU.SET_LOG_FD, fds: [one, one] },
      { request: VU.SET_LOG_BASE, payload: u64s(4096, 0), fds: [one] },
      { request: VU.SET_INFLIGHT_FD, payload: concat(u64s(4096, 0), u32s(1, 0)), fds: [one] },
      { request: 35, fds: [one] },
      { request: 1000, payload: pattern(100), fds },
    ];
    for (const message of bad) expect(await driver.frontend.acknowledged(message)).not.toBe(0);
    const before = openFds();
    for (let i = 0; i < 100; i++)
      for (const message of bad) await driver.frontend.acknowledged(message);
    expect(openFds()).toBe(before);
    expect(driver.connection?.counters.refused).toBe(101 * bad.length);
    for (const fd of fds) close(fd);
  });

  it("that are set again and again replace one another", async () => {
    const { driver } = await sessions.start();
    const fd = eventfd();
    const before = openFds();
    for (let i = 0; i < 100; i++) {
      for (const request of [VU.SET_VRING_KICK, VU.SET_VRING_CALL, VU.SET_VRING_ERR])
        await driver.frontend.set(request, u64(2), [fd]);
      await driver.frontend.set(VU.SET_BACKEND_REQ_FD, new Uint8Array(0), [fd]);
    }
    expect(openFds()).toBe(before);
    close(fd);
  });

  it("and mappings are gone after a disconnect, at any point of a session", async () => {
    const steps = [
      async () => {},
      async (s: TestSession) => s.driver.negotiate(),
      async (s: TestSession) => s.driver.shareMemory(),
      async (s: TestSession) => s.driver.startQueues(),
      async (s: TestSession) => void (await s.driver.request(0, pattern(5), 5)),
      async (s: TestSession) => s.driver.frontend.sendBytes(u32s(5, 1)),
    ];
    const before = openFds();
    for (let last = 0; last < steps.length; last++) {
      const session = sessions.open();
      for (const step of steps.slice(0, last + 1)) await step(session);
      const { connection } = session.driver;
      session.driver.frontend.close();
      await expect.poll(() => connection?.open, { interval: 1 }).toBe(false);
      expect(session.device.calls.at(-1)).toBe("detach");
      session.driver.close();
      expect(openFds()).toBe(before);
      expect(mappings()).toBe(0);
    }
  });

  it("of arbitrary messages are closed, and the session survives or closes", async () => {
    const fd = eventfd();
    const known = [...Array(46).keys()];
    const message = fc.record({
      request: fc.oneof(fc.constantFrom(...known), fc.integer({ min: 0, max: 2 ** 32 - 1 })),
      payload: fc.oneof(
        fc.uint8Array({ maxLength: 300 }),
        fc.tuple(fc.nat(4), fc.nat(300)).map(([a, b]) => u32s(a, b)),
      ),
      fds: fc.nat(8).map((count) => Array.from({ length: count }, () => fd)),
      flags: fc.constantFrom(1, 9),
    });
    const before = openFds();
    await fc.assert(
      fc.asyncProperty(fc.array(message, { maxLength: 30 }), async (messages) => {
        const session = sessions.open();
        await session.driver.start();
        for (const each of messages) if (session.driver.frontend.connected) trySend(session, each);
        const { connection } = session.driver;
        await handled(session);
        session.driver.frontend.close();
        await expect.poll(() => connection?.open, { interval: 1 }).toBe(false);
        session.driver.close();
        expect(openFds()).toBe(before);
      }),
      { numRuns: 100 },
    );
    close(fd);
  });
});

/** Waits until the device has read everything, or has closed. */
async function handled({ driver }: TestSession): Promise<void> {
  const count = (): number => driver.connection?.counters.messages ?? 0;
  for (let idle = 0, last = count(); idle < 4; ) {
    await new Promise((resolve) => setImmediate(resolve));
    idle = count() === last ? idle + 1 : 0;
    last = count();
  }
}

/** A message to a connection that may be closed already by the one before. */
function trySend(
  { driver }: TestSession,
  message: Parameters<typeof driver.frontend.send>[0],
): void {
  try {
    driver.frontend.send(message);
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
  }
}
