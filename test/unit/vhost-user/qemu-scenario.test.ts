// SPDX-License-Identifier: Apache-2.0
// The messages of QEMU's generic vhost-user device in the order in which QEMU 11.1 sends them, as
// recorded from a guest whose driver uses the first of three rings: start, pause, resume, end.
import { describe, expect, it } from "vitest";
import { close, socketpair } from "../../../src/io/native.js";
import { F_IN_ORDER, F_RING_PACKED, slotPayload, VU } from "../../support/mock-driver.js";
import { u32s, u64 } from "../../support/mock-frontend.js";
import { pattern, type TestSession, testSessions } from "../../support/session-tests.js";

const sessions = testSessions();
const NEED_REPLY = 0x9;

/** Requests that QEMU asks to acknowledge once REPLY_ACK is negotiated. */
async function acknowledged(
  { driver }: TestSession,
  request: number,
  payload: Uint8Array,
  fds: number[] = [],
): Promise<void> {
  driver.frontend.send({ request, payload, fds, flags: NEED_REPLY });
  expect(u64Of((await driver.frontend.reply()).payload)).toBe(0n);
}

function u64Of(payload: Uint8Array): bigint {
  return new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true);
}

/** Opening of the device: no guest runs yet. */
async function realize(session: TestSession): Promise<void> {
  const { driver } = session;
  const { frontend } = driver;
  const features = await frontend.query64(VU.GET_FEATURES);
  expect(features & (1n << 30n)).not.toBe(0n);
  const protocol = await frontend.query64(VU.GET_PROTOCOL_FEATURES);
  // QEMU takes what it knows of what is offered.
  frontend.send({ request: VU.SET_PROTOCOL_FEATURES, payload: u64(protocol) });
  driver.protocolFeatures = protocol;
  // The generic device passes the guest all features; this guest's driver knows no packed rings.
  driver.features = features & ~(F_RING_PACKED | F_IN_ORDER);
  expect(await frontend.query64(VU.GET_QUEUE_NUM)).toBeGreaterThanOrEqual(3n);
  expect(await frontend.query64(VU.GET_MAX_MEM_SLOTS)).toBeGreaterThan(0n);
  const [ours, theirs] = socketpair();
  await acknowledged(session, VU.SET_BACKEND_REQ_FD, new Uint8Array(0), [theirs]);
  close(theirs);
  close(ours);
  frontend.send({ request: VU.SET_OWNER });
  expect(await frontend.query64(VU.GET_FEATURES)).toBe(features);
  for (let index = 0; index < 3; index++) {
    driver.addQueue(index);
    driver.sendCallAndErr(index);
  }
}

/** The guest's driver is ready, or the guest goes on: only ring 0 was set up by it. */
async function startDevice(session: TestSession, base: number): Promise<void> {
  const { driver } = session;
  const { frontend } = driver;
  await acknowledged(session, VU.SET_FEATURES, u64(driver.features));
  frontend.send({ request: VU.SET_VRING_NUM, payload: u32s(0, 64) });
  frontend.send({ request: VU.SET_VRING_BASE, payload: u32s(0, base) });
  await acknowledged(session, VU.SET_VRING_ADDR, driver.vringAddress(0));
  driver.sendKick(0);
  driver.sendCallAndErr(0);
  for (let index = 0; index < 3; index++)
    frontend.send({ request: VU.SET_VRING_ENABLE, payload: u32s(index, 1) });
  for (let index = 0; index < 3; index++) driver.sendCallAndErr(index);
}

/** The guest stops or is paused. Returns the base of ring 0. */
async function stopDevice({ driver }: TestSession): Promise<number> {
  for (let index = 0; index < 3; index++)
    driver.frontend.send({ request: VU.SET_VRING_ENABLE, payload: u32s(index, 0) });
  return driver.stopQueue(0);
}

describe("QEMU's generic vhost-user device", () => {
  it("starts, pauses, resumes and ends", async () => {
    const session = sessions.open();
    const { driver, device } = session;
    await realize(session);
    const [region] = driver.memory.regions;
    if (region === undefined) throw new Error("no region");
    await acknowledged(session, VU.ADD_MEM_REG, slotPayload(region), [region.fd]);

    let base = 0;
    for (let round = 0; round < 3; round++) {
      await startDevice(session, base);
      for (let i = 0; i < 5; i++) {
        const data = pattern(100, round * 10 + i);
        expect(await driver.request(0, data, 100)).toEqual(data);
      }
      base = await stopDevice(session);
      expect(base).toBe(5 * (round + 1));
      expect(device.calls.at(-1)).toBe("suspended");
    }
    const { connection } = driver;
    expect(connection?.counters.refused).toBe(0);
    driver.frontend.close();
    await expect.poll(() => connection?.open, { interval: 1 }).toBe(false);
    expect(device.calls.at(-1)).toBe("detach");
  });

  it("serves requests that the guest queued while it was paused", async () => {
    const session = sessions.open();
    const { driver } = session;
    await realize(session);
    await driver.shareMemory();
    await startDevice(session, 0);
    await driver.request(0, pattern(3), 3);
    const base = await stopDevice(session);
    driver.queue(0).add([], [driver.memory.allocate(16)]);
    driver.queue(0).publish();
    await startDevice(session, base);
    await driver.frontend.barrier();
    expect(driver.queue(0).usedIndex).toBe(2);
  });
});
