// SPDX-License-Identifier: Apache-2.0
// Memory messages: tables, slots, and rings while memory comes and goes.
import { describe, expect, it } from "vitest";
import { close, ftruncate, memfdCreate } from "../../../src/io/native.js";
import {
  P_CONFIGURE_MEM_SLOTS,
  regionPayload,
  slotPayload,
  VU,
} from "../../support/mock-driver.js";
import { concat, NackError, u32s, u64 } from "../../support/mock-frontend.js";
import type { MockRegion } from "../../support/mock-memory.js";
import { ALL_FEATURES, pattern, testSessions } from "../../support/session-tests.js";

const sessions = testSessions();
const MiB = 1 << 20;
const GiB = 2 ** 30;
const twoRegions = [
  { guestAddress: 0, bytes: 4 * MiB },
  { guestAddress: 16 * MiB, bytes: 4 * MiB },
];
const withTable = { protocolFeatures: ALL_FEATURES & ~P_CONFIGURE_MEM_SLOTS };

async function negotiated(options = {}): ReturnType<typeof sessions.start> {
  const session = sessions.open(options);
  await session.driver.negotiate();
  return session;
}

describe("SET_MEM_TABLE", () => {
  it("maps regions with offsets into their files", async () => {
    const { driver, device } = await negotiated({ ...withTable, regions: [] });
    driver.memory.addRegion({ guestAddress: 0, bytes: 2 * MiB, mmapOffset: 3 * MiB });
    driver.memory.write(12345, pattern(100));
    await driver.shareTable();
    expect(device.calls.at(-1)).toBe("memory");
    const address = 12345 as Parameters<
      NonNullable<typeof device.transport>["memory"]["translate"]
    >[0];
    expect(device.transport?.memory.translate(address, 100)).toEqual([pattern(100)]);
  });

  it("takes the 72-byte form for one region", async () => {
    const { driver } = await negotiated(withTable);
    const [region] = driver.memory.regions;
    if (region === undefined) throw new Error("no region");
    const payload = concat(u32s(1, 0), regionPayload(region), new Uint8Array(32));
    expect(payload).toHaveLength(72);
    await driver.frontend.set(VU.SET_MEM_TABLE, payload, [region.fd]);
    await driver.startQueues();
    expect(await driver.request(0, pattern(9), 9)).toEqual(pattern(9));
  });

  it.each<[string, (region: MockRegion) => Partial<MockRegion>]>([
    ["of size 0", () => ({ bytes: 0 })],
    ["beyond 2^53", () => ({ guestAddress: 2 ** 53 })],
    ["with a wrapping user address", () => ({ userAddress: (1n << 64n) - 4096n })],
    ["overlapping another", () => ({ guestAddress: 16 * MiB - 4096 })],
    ["overlapping in user addresses", (r) => ({ userAddress: r.userAddress + BigInt(16 * MiB) })],
    ["beyond its file", (r) => ({ bytes: r.bytes + 4096 })],
    ["at an offset that moves its words", (r) => ({ bytes: r.bytes - 4096, mmapOffset: 4 })],
    ["whose user address moves its words", (r) => ({ userAddress: r.userAddress + 4n })],
    ["at an offset beyond its file", (r) => ({ mmapOffset: r.bytes })],
  ])("refuses a region %s and keeps the old table", async (_, change) => {
    const { driver } = await negotiated({ ...withTable, regions: twoRegions });
    await driver.shareTable();
    const [first, second] = driver.memory.regions;
    if (first === undefined || second === undefined) throw new Error("no regions");
    const wrong = { ...first, ...change(first) };
    await expect(driver.shareTable([wrong, second])).rejects.toThrow(NackError);
    await driver.startQueues();
    expect(await driver.request(0, pattern(9), 9)).toEqual(pattern(9));
  });

  it("may replace the table under running rings", async () => {
    const { driver } = await sessions.start({ ...withTable, regions: twoRegions });
    for (let i = 0; i < 5; i++) {
      await driver.shareTable([...driver.memory.regions].reverse());
      expect(await driver.request(0, pattern(99, i), 99)).toEqual(pattern(99, i));
    }
  });

  it("breaks rings that lose their memory, and tells the front end", async () => {
    const { driver } = await sessions.start({ ...withTable, regions: twoRegions });
    await driver.shareTable(driver.memory.regions.slice(1));
    await driver.until(() => driver.counts(0).errors === 1, "waiting for the error");
    driver.kick(0, true);
    await driver.frontend.barrier();
    // The ring is started anew once its memory is back.
    await driver.shareTable();
    const base = await driver.stopQueue(0);
    await driver.startQueue(0, base);
    expect(await driver.request(0, pattern(9), 9)).toEqual(pattern(9));
  });
});

describe("memory slots", () => {
  it("adds and removes regions while rings run", async () => {
    const { driver } = await sessions.start();
    const hot = driver.memory.addRegion({ guestAddress: 6 * GiB, bytes: 2 * MiB });
    const into = driver.memory.allocate(64);
    const from = { address: 6 * GiB + 100, bytes: 64 };
    driver.memory.write(from.address, pattern(64));
    await driver.shareRegion(hot);
    expect(await driver.complete(0, [from], [into])).toBe(64);
    expect(driver.memory.viewOf(into)).toEqual(pattern(64));
    await driver.unshareRegion(hot);
    // The echo of a fault is its text.
    const room = driver.memory.allocate(200);
    const written = await driver.complete(0, [from], [room]);
    const text = new TextDecoder().decode(driver.memory.read(room.address, written));
    expect(text).toMatch(/not mapped as a whole/);
  });

  it("matches exactly on removal, whatever the offset", async () => {
    const { driver } = await sessions.start();
    const hot = driver.memory.addRegion({ guestAddress: 6 * GiB, bytes: 2 * MiB });
    await driver.shareRegion(hot);
    const remove = (change: object): Promise<number> =>
      driver.frontend.acknowledged({
        request: VU.REM_MEM_REG,
        payload: slotPayload({ ...hot, ...change }),
      });
    expect(await remove({ bytes: MiB })).not.toBe(0);
    expect(await remove({ guestAddress: 6 * GiB + 4096 })).not.toBe(0);
    expect(await remove({ userAddress: hot.userAddress + 4096n })).not.toBe(0);
    expect(await remove({ mmapOffset: 4096 })).toBe(0);
    expect(await remove({})).not.toBe(0);
  });

  it("refuses a region twice, and takes a descriptor with a removal", async () => {
    const { driver } = await sessions.start();
    const hot = driver.memory.addRegion({ guestAddress: 6 * GiB, bytes: 2 * MiB });
    await driver.shareRegion(hot);
    await expect(driver.shareRegion(hot)).rejects.toThrow(NackError);
    await driver.frontend.set(VU.REM_MEM_REG, slotPayload(hot), [hot.fd]);
    await driver.shareRegion(hot);
  });

  it("takes 509 regions, not 510", async () => {
    const { driver } = await negotiated({ regions: [] });
    const fd = memfdCreate("slots", 4096);
    const add = (slot: number): Promise<number> =>
      driver.frontend.acknowledged({
        request: VU.ADD_MEM_REG,
        payload: slotPayload({
          guestAddress: slot * 8192,
          bytes: 4096,
          userAddress: BigInt(slot * 8192),
          mmapOffset: 0,
        }),
        fds: [fd],
      });
    for (let slot = 0; slot < 509; slot++) expect(await add(slot)).toBe(0);
    expect(await add(509)).not.toBe(0);
    close(fd);
  });

  it("refuses a descriptor that can't be mapped", async () => {
    const { driver } = await negotiated({ regions: [] });
    const { fd } = driver.frontend;
    const payload = slotPayload({ guestAddress: 0, bytes: 4096, userAddress: 0n, mmapOffset: 0 });
    const message = { request: VU.ADD_MEM_REG, payload, fds: [fd] };
    expect(await driver.frontend.acknowledged(message)).not.toBe(0);
  });
});

describe("a memory file that shrinks", () => {
  it("costs that front end its connection, nothing else", async () => {
    const other = await sessions.start();
    const { driver, device } = await sessions.start({ regions: twoRegions });
    const from = { address: 16 * MiB + 100, bytes: 64 };
    const region = driver.memory.regionAt(from.address);
    ftruncate(region.fd, 0);
    driver.queue(0).add([from], [driver.memory.allocate(64)]);
    driver.kick(0);
    await driver.frontend.disconnected;
    expect(device.calls.at(-1)).toBe("detach");
    expect(await other.driver.request(0, pattern(9), 9)).toEqual(pattern(9));
  });
});

describe("payload padding", () => {
  it("of ADD_MEM_REG is not looked at", async () => {
    const { driver } = await negotiated();
    const [region] = driver.memory.regions;
    if (region === undefined) throw new Error("no region");
    const payload = concat(u64(ALL_FEATURES), regionPayload(region));
    await driver.frontend.set(VU.ADD_MEM_REG, payload, [region.fd]);
    await driver.startQueues();
    expect(await driver.request(0, pattern(9), 9)).toEqual(pattern(9));
  });
});
