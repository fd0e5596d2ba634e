// SPDX-License-Identifier: Apache-2.0
// The ring messages: start, stop, enable, descriptors, and what a broken ring costs.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  close,
  connect,
  eventfd,
  listen,
  memfdCreate,
  sendmsg,
  signal,
  socketpair,
} from "../../../src/io/native.js";
import { F_PROTOCOL, VU } from "../../support/mock-driver.js";
import { u32s, u64 } from "../../support/mock-frontend.js";
import {
  ALL_FEATURES,
  pattern,
  type TestSession,
  testSessions,
} from "../../support/session-tests.js";

const sessions = testSessions();

/** Memory shared and ring 0 laid out, but no ring message sent. */
async function prepared(options = {}): Promise<TestSession> {
  const session = sessions.open(options);
  await session.driver.negotiate();
  await session.driver.shareMemory();
  session.driver.addQueue(0);
  return session;
}

const ack = ({ driver }: TestSession, request: number, payload: Uint8Array, fds: number[] = []) =>
  driver.frontend.acknowledged({ request, payload, fds });

describe("ring parameters", () => {
  it.each([1, 2, 64, 256])("size %d is taken", async (size) => {
    expect(await ack(await prepared(), VU.SET_VRING_NUM, u32s(0, size))).toBe(0);
  });

  it.each([0, 3, 48, 255, 512, 0x80000000, 0xffffffff])("size %d is refused", async (size) => {
    expect(await ack(await prepared(), VU.SET_VRING_NUM, u32s(0, size))).not.toBe(0);
  });

  it("base 65535 is taken, 65536 is not", async () => {
    const session = await prepared();
    expect(await ack(session, VU.SET_VRING_BASE, u32s(0, 0xffff))).toBe(0);
    expect(await ack(session, VU.SET_VRING_BASE, u32s(0, 0x10000))).not.toBe(0);
  });

  it.each([
    ["descriptors", 16n],
    ["available", 2n],
    ["used", 4n],
  ] as const)("the %s part must be aligned to %d", async (part, align) => {
    const session = await prepared();
    const { driver } = session;
    const at = driver.memory.userAddress(driver.memory.allocate(8192, 64).address);
    const send = (address: bigint): Promise<number> =>
      ack(session, VU.SET_VRING_ADDR, driver.vringAddress(0, { [part]: address }));
    expect(await send(at)).toBe(0);
    expect(await send(at + align)).toBe(0);
    expect(await send(at + align / 2n)).not.toBe(0);
  });

  it("every part must lie inside one region as a whole", async () => {
    const bytes = 1 << 20;
    const regions = [
      { guestAddress: 0, bytes },
      { guestAddress: bytes, bytes },
    ];
    const session = await prepared({ regions });
    const { driver } = session;
    await driver.frontend.set(VU.SET_VRING_NUM, u32s(0, 64));
    const end = driver.memory.userAddress(bytes - 1) + 1n;
    const send = (change: object): Promise<number> =>
      ack(session, VU.SET_VRING_ADDR, driver.vringAddress(0, change));
    expect(await send({ descriptors: end - 1024n })).toBe(0);
    expect(await send({ descriptors: end - 1008n })).not.toBe(0);
    expect(await send({ available: end - 134n })).toBe(0);
    expect(await send({ available: end - 132n })).not.toBe(0);
    expect(await send({ used: end - 520n })).toBe(0);
    expect(await send({ used: end - 516n })).not.toBe(0);
    expect(await send({ used: 0n })).not.toBe(0);
    expect(await send({ used: (1n << 64n) - 16n })).not.toBe(0);
  });

  it("flags above the log flag are refused", async () => {
    const session = await prepared();
    const send = (flags: number): Promise<number> =>
      ack(session, VU.SET_VRING_ADDR, session.driver.vringAddress(0, { flags }));
    expect(await send(1)).toBe(0);
    expect(await send(2)).not.toBe(0);
  });

  it("a ring that does not exist is refused in every message, its descriptor closed", async () => {
    const session = await prepared();
    const fd = eventfd();
    for (const index of [0x7fffffff, 0xffffffff])
      expect(await ack(session, VU.SET_VRING_NUM, u32s(index, 8))).not.toBe(0);
    for (const index of [3, 200]) {
      expect(await ack(session, VU.SET_VRING_NUM, u32s(index, 8))).not.toBe(0);
      expect(await ack(session, VU.SET_VRING_BASE, u32s(index, 0))).not.toBe(0);
      expect(await ack(session, VU.SET_VRING_ENABLE, u32s(index, 1))).not.toBe(0);
      for (const request of [VU.SET_VRING_KICK, VU.SET_VRING_CALL, VU.SET_VRING_ERR])
        expect(await ack(session, request, u64(index), [fd])).not.toBe(0);
    }
    close(fd);
    session.driver.frontend.send({ request: VU.GET_VRING_BASE, payload: u32s(3, 0) });
    await session.driver.frontend.disconnected;
  });

  it("enable takes 0 and 1 only", async () => {
    const session = await prepared();
    expect(await ack(session, VU.SET_VRING_ENABLE, u32s(0, 1))).toBe(0);
    expect(await ack(session, VU.SET_VRING_ENABLE, u32s(0, 2))).not.toBe(0);
  });

  it("can't change while the ring runs", async () => {
    const session = await sessions.start();
    expect(await ack(session, VU.SET_VRING_NUM, u32s(0, 8))).not.toBe(0);
    expect(await ack(session, VU.SET_VRING_BASE, u32s(0, 1))).not.toBe(0);
    await session.driver.stopQueue(0);
    expect(await ack(session, VU.SET_VRING_NUM, u32s(0, 8))).toBe(0);
    expect(await ack(session, VU.SET_VRING_BASE, u32s(0, 1))).toBe(0);
  });
});

describe("starting and stopping", () => {
  it("needs size and addresses", async () => {
    const session = await prepared();
    const fd = eventfd();
    expect(await ack(session, VU.SET_VRING_KICK, u64(0), [fd])).not.toBe(0);
    await session.driver.frontend.set(VU.SET_VRING_NUM, u32s(0, 64));
    expect(await ack(session, VU.SET_VRING_KICK, u64(0), [fd])).not.toBe(0);
    await session.driver.frontend.set(VU.SET_VRING_ADDR, session.driver.vringAddress(0));
    expect(await ack(session, VU.SET_VRING_KICK, u64(0), [fd])).toBe(0);
    close(fd);
  });

  it("starts at the kick message, works once enabled, whatever comes first", async () => {
    const { driver, device } = await prepared();
    driver.queue(0).add([], [driver.memory.allocate(16)]);
    driver.queue(0).publish();
    await driver.enableQueue(0, true);
    expect(device.transport?.queue(0)).toBeNull();
    await driver.startQueue(0);
    // What was queued before the start is found without a kick.
    expect(driver.queue(0).takeUsed()).toHaveLength(1);
    await driver.enableQueue(0, false);
    expect(device.transport?.queue(0)).toBeNull();
    driver.queue(0).add([], [driver.memory.allocate(16)]);
    driver.kick(0, true);
    await driver.frontend.barrier();
    expect(driver.queue(0).takeUsed()).toHaveLength(0);
    await driver.enableQueue(0, true);
    expect(driver.queue(0).takeUsed()).toHaveLength(1);
  });

  it("is enabled from the start without PROTOCOL_FEATURES", async () => {
    const { driver } = await sessions.start({ features: ALL_FEATURES & ~F_PROTOCOL });
    expect(await driver.request(0, pattern(5), 5)).toEqual(pattern(5));
  });

  it("goes on at the base that the stop returned", async () => {
    const { driver } = await sessions.start({ queueSize: 4 });
    for (let i = 0; i < 7; i++) await driver.request(0, pattern(5, i), 5);
    expect(await driver.stopQueue(0)).toBe(7);
    expect(await driver.stopQueue(0)).toBe(7);
    await driver.startQueue(0, 7);
    expect(await driver.request(0, pattern(5), 5)).toEqual(pattern(5));
    expect(await driver.stopQueue(0)).toBe(8);
  });

  it("writes nothing and takes nothing after the stop", async () => {
    const { driver, device } = await sessions.start();
    await driver.stopQueue(0);
    driver.queue(0).add([], [driver.memory.allocate(16)]);
    driver.kick(0, true);
    await driver.frontend.barrier();
    expect(driver.queue(0).takeUsed()).toHaveLength(0);
    expect(device.transport?.queue(0)).toBeNull();
  });

  it("offers event buffers again that the device held at the stop", async () => {
    const { driver, device } = await sessions.start();
    driver.postEvents(2);
    await driver.frontend.barrier();
    device.transport?.queue(1)?.pop();
    expect(await driver.stopQueue(1)).toBe(0);
  });

  it("tells the device when all rings are stopped, and when one runs again", async () => {
    const { driver, device } = await sessions.start();
    const session = driver.connection?.session;
    await driver.stopQueue(0);
    await driver.stopQueue(1);
    expect(device.calls.at(-1)).toBe("running");
    await driver.stopQueue(2);
    expect(device.calls.at(-1)).toBe("suspended");
    expect(session?.suspended).toBe(true);
    await driver.startQueue(2);
    expect(device.calls.at(-1)).toBe("running");
    await driver.enableQueue(2, false);
    expect(device.calls.at(-1)).toBe("suspended");
  });

  it("disables all rings on RESET_OWNER and RESET_DEVICE, and resets on the latter", async () => {
    for (const request of [VU.RESET_OWNER, VU.RESET_DEVICE]) {
      const { driver, device } = await sessions.start();
      await driver.frontend.set(request, new Uint8Array(0));
      expect([0, 1, 2].map((i) => device.transport?.queue(i))).toEqual([null, null, null]);
      expect(device.resets).toBe(request === VU.RESET_DEVICE ? 1 : 0);
      for (let i = 0; i < 3; i++) {
        const base = await driver.stopQueue(i);
        await driver.startQueue(i, base);
        await driver.enableQueue(i, true);
      }
      expect(await driver.request(0, pattern(5), 5)).toEqual(pattern(5));
    }
  });

  it("restarts with a new layout after a reset without a stop", async () => {
    const { driver } = await sessions.start();
    await driver.request(0, pattern(5), 5);
    await driver.frontend.set(VU.RESET_DEVICE, new Uint8Array(0));
    driver.addQueue(0, 16);
    await driver.startQueue(0);
    await driver.enableQueue(0, true);
    expect(await driver.request(0, pattern(5), 5)).toEqual(pattern(5));
  });
});

describe("kick and call descriptors", () => {
  it("may be replaced while the ring runs", async () => {
    const { driver } = await sessions.start();
    const call = eventfd();
    const kick = eventfd();
    await driver.frontend.set(VU.SET_VRING_CALL, u64(0), [call]);
    await driver.frontend.set(VU.SET_VRING_KICK, u64(0), [kick]);
    let called = false;
    driver.frontend.poller.watch(call, 1, () => {
      called = true;
      driver.frontend.poller.unwatch(call);
    });
    driver.queue(0).add([], [driver.memory.allocate(16)]);
    driver.queue(0).publish();
    signal(kick);
    await expect.poll(() => called).toBe(true);
    expect(driver.counts(0).calls).toBe(0);
    close(call);
    close(kick);
  });

  it("may be sockets, as one front end has it", async () => {
    const { driver } = await sessions.start();
    const [kick, kickTheirs] = socketpair();
    const [call, callTheirs] = socketpair();
    await driver.frontend.set(VU.SET_VRING_KICK, u64(0), [kickTheirs]);
    await driver.frontend.set(VU.SET_VRING_CALL, u64(0), [callTheirs]);
    close(kickTheirs);
    close(callTheirs);
    let calls = 0;
    driver.frontend.poller.watch(call, 1, () => {
      calls++;
      driver.frontend.poller.unwatch(call);
    });
    driver.queue(0).add([], [driver.memory.allocate(16)]);
    driver.queue(0).publish();
    sendmsg(kick, u64(1));
    await expect.poll(() => calls).toBe(1);
    // The other ends go away: nothing spins, the ring still works when it is looked at.
    driver.frontend.poller.unwatch(call);
    close(call);
    close(kick);
    driver.queue(0).add([], [driver.memory.allocate(16)]);
    driver.queue(0).publish();
    await driver.enableQueue(0, false);
    await driver.enableQueue(0, true);
    expect(driver.queue(0).takeUsed()).toHaveLength(2);
  });

  it("may be absent: then the ring is looked at when it starts, and nobody is called", async () => {
    const { driver } = await prepared();
    await driver.frontend.set(VU.SET_VRING_NUM, u32s(0, 64));
    await driver.frontend.set(VU.SET_VRING_ADDR, driver.vringAddress(0));
    await driver.frontend.set(VU.SET_VRING_CALL, u64(0x100));
    await driver.enableQueue(0, true);
    driver.queue(0).add([], [driver.memory.allocate(16)]);
    driver.queue(0).publish();
    await driver.frontend.set(VU.SET_VRING_KICK, u64(0x100));
    expect(driver.queue(0).takeUsed()).toHaveLength(1);
  });

  it("refuses a kick descriptor that can't be waited on", async () => {
    const session = await sessions.start();
    const file = memfdCreate("no-kick", 4096);
    expect(await ack(session, VU.SET_VRING_KICK, u64(0), [file])).not.toBe(0);
    close(file);
    await session.driver.frontend.barrier();
  });

  it("survives a kick descriptor that can be waited on but not read", async () => {
    const { driver } = await sessions.start();
    const folder = mkdtempSync(join(tmpdir(), "vgpu-kick-"));
    const path = join(folder, "listener");
    const listener = listen(path);
    await driver.frontend.set(VU.SET_VRING_KICK, u64(0), [listener]);
    const peer = connect(path);
    await driver.frontend.barrier();
    await driver.frontend.barrier();
    expect(await driver.request(2, pattern(5), 5)).toEqual(pattern(5));
    for (const fd of [peer, listener]) close(fd);
    rmSync(folder, { recursive: true });
  });

  it("survives a call descriptor that can't be written", async () => {
    const { driver } = await sessions.start();
    const file = memfdCreate("no-call", 8, { seals: 0xf });
    await driver.frontend.set(VU.SET_VRING_CALL, u64(0), [file]);
    close(file);
    driver.queue(0).add([], [driver.memory.allocate(16)]);
    driver.kick(0, true);
    await expect.poll(() => driver.queue(0).takeUsed().length).toBe(1);
    await driver.frontend.barrier();
  });
});

describe("a broken ring", () => {
  it("stops alone, signals its error descriptor, and restarts after a stop", async () => {
    const logs: string[] = [];
    const { driver } = await sessions.start({ log: (line: string) => logs.push(line) });
    driver.queue(0).setAvailableIndex(1000);
    driver.kick(0, true);
    await driver.until(() => driver.counts(0).errors === 1, "waiting for the error");
    expect(logs.join("")).toMatch(/ring 0 is broken and stops: the available index 1000/);
    expect(await driver.request(2, pattern(5), 5)).toEqual(pattern(5));
    await driver.stopQueue(0);
    driver.addQueue(0);
    await driver.startQueue(0);
    expect(await driver.request(0, pattern(5), 5)).toEqual(pattern(5));
    expect(driver.counts(0).errors).toBe(0);
  });

  it("answers a chain that breaks a rule, and goes on", async () => {
    const { driver, device } = await sessions.start();
    const room = driver.memory.allocate(128);
    const head = driver.queue(0).addRaw([
      { address: 2 ** 40, length: 10, flags: 0 },
      { address: room.address, length: room.bytes, flags: 2 },
    ]);
    const written = await driver.completion(0, head);
    const text = new TextDecoder().decode(driver.memory.read(room.address, written));
    expect(text).toBe("10 bytes at guest address 0x10000000000 are not mapped as a whole");
    expect(device.faults).toEqual([text]);
    expect(driver.counts(0).errors).toBe(0);
    expect(await driver.request(0, pattern(5), 5)).toEqual(pattern(5));
  });

  it("crosses the wrap of the indices", async () => {
    const { driver } = await prepared();
    driver.queue(0).startAt(0xfff0);
    await driver.startQueue(0, 0xfff0);
    await driver.enableQueue(0, true);
    for (let i = 0; i < 40; i++) expect(await driver.request(0, pattern(5, i), 5)).toHaveLength(5);
    expect(await driver.stopQueue(0)).toBe((0xfff0 + 40) & 0xffff);
  });
});
