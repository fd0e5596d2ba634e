// SPDX-License-Identifier: Apache-2.0
// GET_INFLIGHT_FD and SET_INFLIGHT_FD: their numbers are checked (CVE-2021-3839), and chains that a
// connection left in flight are taken by the next one.
import { afterEach, describe, expect, it } from "vitest";
import {
  close,
  dup,
  fstat,
  ftruncate,
  getSeals,
  memfdCreate,
  Seals,
} from "../../../src/io/native.js";
import type { Chain } from "../../../src/virtqueue/types.js";
import { EchoDevice } from "../../support/echo-device.js";
import { F_IN_ORDER, MockDriver, VU } from "../../support/mock-driver.js";
import { concat, u32s, u64s } from "../../support/mock-frontend.js";
import { pattern, type TestSession, testSessions } from "../../support/session-tests.js";

const sessions = testSessions();
const open: number[] = [];
afterEach(() => {
  for (const fd of open.splice(0)) close(fd);
});

interface Area {
  readonly bytes: number | bigint;
  readonly offset?: number | bigint;
  readonly queues: number;
  readonly size: number;
}

const payloadOf = ({ bytes, offset = 0, queues, size }: Area): Uint8Array =>
  concat(u64s(bytes, offset), u32s((queues | (size << 16)) >>> 0, 0));

/** Asks for an area; returns what came, with a descriptor of the test's own. */
async function getArea({ driver }: TestSession, queues: number, size: number) {
  const payload = payloadOf({ bytes: 0, queues, size });
  driver.frontend.send({ request: VU.GET_INFLIGHT_FD, payload });
  const reply = await driver.frontend.reply();
  const view = new DataView(reply.payload.buffer, reply.payload.byteOffset);
  const [fd] = reply.fds;
  const own = fd === undefined ? -1 : dup(fd);
  if (own >= 0) open.push(own);
  return { bytes: Number(view.getBigUint64(0, true)), payload: reply.payload, fd: own };
}

async function prepared(options = {}): Promise<TestSession> {
  const session = sessions.open(options);
  await session.driver.negotiate();
  await session.driver.shareMemory();
  return session;
}

describe("GET_INFLIGHT_FD", () => {
  it.each([
    ["split", false, 16 + 16 * 256],
    ["packed", true, 32 + 32 * 256],
  ])("gives a file for all %s rings, whose size stays", async (_, packed, region) => {
    const session = await prepared({ packed });
    const { bytes, payload, fd } = await getArea(session, 3, 256);
    expect(bytes).toBe(3 * Math.ceil(region / 64) * 64);
    expect(payload).toEqual(payloadOf({ bytes, queues: 3, size: 256 }));
    expect(fstat(fd).size).toBe(bytes);
    expect(getSeals(fd) & (Seals.shrink | Seals.grow)).toBe(Seals.shrink | Seals.grow);
    const set = { request: VU.SET_INFLIGHT_FD, payload, fds: [fd] };
    expect(await session.driver.frontend.acknowledged(set)).toBe(0);
  });

  it.each([
    ["no rings", 0, 64],
    ["more rings than the device has", 4, 64],
    ["65535 rings", 0xffff, 64],
    ["rings of no size", 3, 0],
    ["rings over the limit", 3, 257],
  ])("gives nothing for %s", async (_, queues, size) => {
    const session = await prepared();
    expect(await getArea(session, queues, size)).toMatchObject({ bytes: 0, fd: -1 });
    await session.driver.frontend.barrier();
  });
});

describe("SET_INFLIGHT_FD", () => {
  const REGION = 1088; // 16 + 16 * 64, a multiple of 64 already after rounding: 1040 -> 1088.
  it.each([
    ["as large as its rings need", { bytes: 3 * REGION, queues: 3, size: 64 }, true],
    ["for one ring", { bytes: REGION, queues: 1, size: 64 }, true],
    ["one byte too small", { bytes: 3 * REGION - 1, queues: 3, size: 64 }, false],
    ["for more rings than there are", { bytes: 8192, queues: 4, size: 64 }, false],
    ["for 65535 rings", { bytes: 8192, queues: 0xffff, size: 64 }, false],
    ["for no ring", { bytes: 8192, queues: 0, size: 64 }, false],
    ["of larger rings than allowed", { bytes: 8192, queues: 1, size: 257 }, false],
    ["beyond its file", { bytes: 8193, queues: 3, size: 64 }, false],
    ["at an odd offset", { bytes: REGION, offset: 4, queues: 1, size: 64 }, false],
    ["at an offset beyond it", { bytes: 8192, offset: 1, queues: 3, size: 64 }, false],
    ["whose end wraps", { bytes: 4096, offset: 2n ** 64n - 4096n, queues: 3, size: 64 }, false],
    ["of all bytes there are", { bytes: 2n ** 64n - 1n, queues: 3, size: 64 }, false],
  ])("with an area %s: %o is taken %s", async (_, area: Area, taken) => {
    const { driver } = await prepared();
    const fd = memfdCreate("mock-area", 8192);
    open.push(fd);
    const set = { request: VU.SET_INFLIGHT_FD, payload: payloadOf(area), fds: [fd] };
    expect((await driver.frontend.acknowledged(set)) === 0).toBe(taken);
    await driver.startQueues();
    expect(await driver.request(0, pattern(5), 5)).toEqual(pattern(5));
  });

  it("is refused while rings are started", async () => {
    const session = await sessions.start();
    const { payload, fd } = await getArea(session, 3, 64);
    const set = { request: VU.SET_INFLIGHT_FD, payload, fds: [fd] };
    expect(await session.driver.frontend.acknowledged(set)).not.toBe(0);
    for (let i = 0; i < 3; i++) await session.driver.stopQueue(i);
    expect(await session.driver.frontend.acknowledged(set)).toBe(0);
  });

  it("refuses to start a packed ring from an area that makes no sense", async () => {
    const session = await prepared({ packed: true });
    const { driver } = session;
    const region = new Uint8Array(32 + 32 * 64);
    const view = new DataView(region.buffer);
    view.setUint16(8, 1, true);
    view.setUint16(10, 64, true);
    view.setUint16(18, 999, true);
    const area = driver.memory.place(region);
    const [guest] = driver.memory.regions;
    if (guest === undefined) throw new Error("no region");
    // Guest memory serves as the file: whoever can write it can write anything there.
    const payload = payloadOf({
      bytes: region.length + 64,
      offset: area.address,
      queues: 1,
      size: 64,
    });
    await driver.frontend.set(VU.SET_INFLIGHT_FD, payload, [guest.fd]);
    driver.addQueue(0);
    await expect(driver.startQueue(0)).rejects.toThrow(/failed/);
  });

  it("of a file that shrinks costs the connection, not the process", async () => {
    const { driver } = await prepared();
    const fd = memfdCreate("mock-area", 8192);
    open.push(fd);
    const payload = payloadOf({ bytes: 3 * REGION, queues: 3, size: 64 });
    await driver.frontend.set(VU.SET_INFLIGHT_FD, payload, [fd]);
    await driver.startQueues();
    ftruncate(fd, 0);
    driver.queue(0).add([], [driver.memory.allocate(16)]);
    driver.kick(0, true);
    await driver.frontend.disconnected;
  });
});

/** Takes requests and answers them only when told to. */
class HoldingDevice extends EchoDevice {
  readonly held: Chain[] = [];

  override processQueue(index: number): void {
    const queue = this.transport?.queue(index);
    if (!queue || index !== 0) return;
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) this.held.push(chain);
  }

  answer(index: number): void {
    const queue = this.transport?.queue(0);
    const [chain] = this.held.splice(index, 1);
    if (!queue || chain === undefined) throw new Error("there is nothing to answer");
    chain.writable[0]?.fill(0xa0 + chain.head);
    queue.push(chain, chain.writableBytes);
    queue.flush();
  }
}

describe.each([
  { format: "split", packed: false },
  { format: "packed", packed: true },
])("chains in flight of $format rings", ({ packed }) => {
  it("are taken by the next connection, in their order, before new ones", async () => {
    const first = new HoldingDevice();
    const driver = MockDriver.inProcess(first, { packed });
    expect(driver.features & F_IN_ORDER).toBe(0n);
    await driver.negotiate();
    await driver.shareMemory();
    const session = { driver, device: first };
    const { payload, fd } = await getArea(session, 3, 64);
    await driver.frontend.set(VU.SET_INFLIGHT_FD, payload, [fd]);
    await driver.startQueues();
    const queue = driver.anyQueue(0);
    const rooms = Array.from({ length: 5 }, () => driver.memory.allocate(8));
    const heads = rooms.map((room) => queue.add([], [room]));
    driver.kick(0, true);
    await driver.frontend.barrier();
    await expect.poll(() => first.held.length, { interval: 1 }).toBe(5);
    // The second comes back out of turn; then the connection ends as by a crash.
    first.answer(1);
    await driver.until(() => driver.counts(0).calls > 0, "waiting for the answer");
    const held = first.held.map((chain) => chain.head);

    const second = new HoldingDevice();
    driver.reconnectInProcess(second);
    await driver.negotiate();
    await driver.shareMemory();
    await driver.frontend.set(VU.SET_INFLIGHT_FD, payload, [fd]);
    // A new request of the driver, and a base that knows nothing of what is in flight.
    const late = driver.memory.allocate(8);
    const done = driver.completion(0, queue.add([], [late]));
    await driver.startQueue(0, packed ? 0x80018001 : 1);
    await driver.enableQueue(0, true);
    await expect.poll(() => second.held.length, { interval: 1 }).toBe(5);
    expect(second.held.map((chain) => chain.head).slice(0, 4)).toEqual(held);
    while (second.held.length > 0) second.answer(0);
    expect(await done).toBe(8);
    for (const [i, room] of rooms.entries())
      expect(driver.memory.read(room.address, 8)).toEqual(
        new Uint8Array(8).fill(0xa0 + (heads[i] ?? 0)),
      );
    expect(queue.free).toBe(64);
    driver.close();
  });
});
