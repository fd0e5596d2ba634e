// SPDX-License-Identifier: Apache-2.0
// Whole sessions over either ring format, with the real addon: batches, notifications both ways,
// stops in the middle, memory that moves, and the limits of where a packed ring may lie.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  F_EVENT_IDX,
  F_INDIRECT_DESC,
  F_PROTOCOL,
  F_VERSION_1,
  VU,
} from "../../support/mock-driver.js";
import { u32s } from "../../support/mock-frontend.js";
import { pattern, type TestSession, testSessions } from "../../support/session-tests.js";

const sessions = testSessions();
const BASIC = F_PROTOCOL | F_VERSION_1;
const features = [
  ["without event index", BASIC | F_INDIRECT_DESC | (3n << 34n)],
  ["with event index", BASIC | F_INDIRECT_DESC | F_EVENT_IDX | (3n << 34n)],
] as const;
const formats = [
  { format: "split", packed: false, inOrder: false },
  { format: "packed", packed: true, inOrder: false },
  { format: "split in order", packed: false, inOrder: true },
  { format: "packed in order", packed: true, inOrder: true },
] as const;

async function roundTrip({ driver }: TestSession, seed: number, indirect = false): Promise<void> {
  const data = pattern(60, seed);
  const parts = [data.subarray(0, 10), data.subarray(10)];
  expect(await driver.request(seed % 2 === 0 ? 0 : 2, parts, 60, { indirect })).toEqual(data);
}

describe.each(formats)("$format rings", ({ packed, inOrder }) => {
  describe.each(features)("%s", (_, asked) => {
    const options = { packed, inOrder, features: asked, queueSize: 8 };

    it("carry requests round the ring, direct and indirect, one by one and at once", async () => {
      const session = await sessions.start(options);
      expect(session.driver.anyQueue(0).packed).toBe(packed);
      for (let i = 0; i < 40; i++) await roundTrip(session, i, i % 3 === 0);
      await Promise.all(Array.from({ length: 60 }, (__, i) => roundTrip(session, i, i % 5 === 0)));
      expect(session.device.faults).toEqual([]);
      expect(session.driver.counts(0).errors).toBe(0);
    });

    it("go on after stops, at the base that the stop returned", async () => {
      const session = await sessions.start(options);
      for (let round = 0; round < 9; round++) {
        for (let i = 0; i <= round % 4; i++) await roundTrip(session, 2 * i + round);
        for (const index of [0, 2]) {
          const base = await session.driver.stopQueue(index);
          expect(base).toBe(session.driver.anyQueue(index).base);
          await session.driver.startQueue(index, base);
        }
      }
    });

    it("serve what was queued while they were stopped", async () => {
      const { driver } = await sessions.start(options);
      const base = await driver.stopQueue(0);
      const queue = driver.anyQueue(0);
      const room = driver.memory.allocate(16);
      const heads = Array.from({ length: 8 }, () => queue.add([], [room]));
      queue.publish();
      await driver.frontend.barrier();
      expect(queue.takeUsed()).toEqual([]);
      const done = Promise.all(heads.map((head) => driver.completion(0, head)));
      await driver.startQueue(0, base);
      expect(await done).toEqual(heads.map(() => 0));
    });

    it("carry events, whose buffers are held in the ring until there are any", async () => {
      const { driver, device } = await sessions.start(options);
      driver.postEvents(8);
      await driver.frontend.barrier();
      for (let i = 0; i < 30; i++) {
        expect(device.event(pattern(32, i))).toBe(true);
        expect(await driver.nextEvent()).toEqual(pattern(32, i));
      }
      // Buffers that were posted and not used are offered again.
      await driver.startQueue(1, await driver.stopQueue(1));
      expect(device.event(pattern(32, 99))).toBe(true);
      expect(await driver.nextEvent()).toEqual(pattern(32, 99));
    });
  });

  it("carry any batches of any lengths", async () => {
    const session = await sessions.start({ packed, inOrder, queueSize: 16 });
    const { driver } = session;
    const batch = fc.array(fc.tuple(fc.nat(3), fc.nat(2), fc.boolean()), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(batch, async (requests) => {
        await Promise.all(
          requests.map(async ([readable, writable, indirect], i) => {
            if (readable + writable === 0) return;
            const parts = Array.from({ length: readable }, (__, k) => pattern(5 + k, i));
            const got = await driver.request(0, parts, 8 * writable, { indirect });
            const sent = parts.flatMap((part) => [...part]);
            expect([...got]).toEqual(sent.slice(0, 8 * writable));
          }),
        );
      }),
      { numRuns: 60 },
    );
  });
});

describe("the place of a packed ring", () => {
  async function prepared(): Promise<TestSession> {
    const session = sessions.open({ packed: true });
    await session.driver.negotiate();
    await session.driver.shareMemory();
    session.driver.addQueue(0);
    await session.driver.frontend.set(VU.SET_VRING_NUM, u32s(0, 64));
    return session;
  }

  it.each([
    ["descriptors", 16n],
    ["available", 4n],
    ["used", 4n],
  ] as const)("has its %s aligned to %d", async (part, align) => {
    const { driver } = await prepared();
    const at = driver.memory.userAddress(driver.memory.allocate(8192, 64).address);
    const send = (address: bigint): Promise<number> =>
      driver.frontend.acknowledged({
        request: VU.SET_VRING_ADDR,
        payload: driver.vringAddress(0, { [part]: address }),
      });
    expect(await send(at)).toBe(0);
    expect(await send(at + align)).toBe(0);
    expect(await send(at + align / 2n)).not.toBe(0);
  });

  it("lies inside one region as a whole", async () => {
    const { driver } = await prepared();
    const end = driver.memory.userAddress((16 << 20) - 1) + 1n;
    const send = (change: object): Promise<number> =>
      driver.frontend.acknowledged({
        request: VU.SET_VRING_ADDR,
        payload: driver.vringAddress(0, change),
      });
    expect(await send({ descriptors: end - 1024n })).toBe(0);
    expect(await send({ descriptors: end - 1008n })).not.toBe(0);
    for (const part of ["available", "used"]) {
      expect(await send({ [part]: end - 4n })).toBe(0);
      expect(await send({ [part]: end })).not.toBe(0);
    }
  });

  it.each([
    ["the available position at the size", 0x8000_8040, false],
    ["the used position at the size", 0x8040_8000, false],
    ["both just below", 0x803f_803f, true],
    ["the available half alone", 0x8001, true],
  ])("starts at a base with %s: %d is taken %s", async (_, base, taken) => {
    const { driver } = await prepared();
    const start = driver.startQueue(0, base);
    if (taken) await start;
    else await expect(start).rejects.toThrow(/failed/);
  });

  it("is a new one without a base", async () => {
    const { driver } = await prepared();
    await driver.frontend.set(VU.SET_VRING_ADDR, driver.vringAddress(0));
    driver.sendKick(0);
    driver.sendCallAndErr(0);
    await driver.enableQueue(0, true);
    expect(await driver.request(0, pattern(5), 5)).toEqual(pattern(5));
  });

  it("breaks alone on an id that is not in the ring, and restarts", async () => {
    const { driver } = await sessions.start({ packed: true });
    const room = driver.memory.allocate(16);
    driver.packedQueue(0).addRaw([{ address: room.address, length: 16, flags: 2 }], { id: 64 });
    driver.kick(0, true);
    await driver.until(() => driver.counts(0).errors === 1, "waiting for the error");
    expect(await driver.request(2, pattern(5), 5)).toEqual(pattern(5));
    await driver.stopQueue(0);
    driver.addQueue(0);
    await driver.startQueue(0);
    expect(await driver.request(0, pattern(5), 5)).toEqual(pattern(5));
  });
});
