// SPDX-License-Identifier: Apache-2.0
// The log of dirty pages: its bits, its bounds (CVE-2019-14835, CVE-2020-10722), the messages that
// give it, and that every write of a session is in it.
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { DirtyLog } from "../../../src/io/dirty-log.js";
import {
  close,
  drain,
  eventfd,
  ftruncate,
  type Mapping,
  mapRegion,
  memfdCreate,
} from "../../../src/io/native.js";
import { F_LOG_ALL, type MockDriver, VU } from "../../support/mock-driver.js";
import { u64, u64s } from "../../support/mock-frontend.js";
import { ALL_FEATURES, pattern, testSessions } from "../../support/session-tests.js";

const sessions = testSessions();
const closers: (() => void)[] = [];
afterEach(() => {
  for (const closer of closers.splice(0)) closer();
});

/** A log of a front end: its file, and the pages whose bits are set. */
class LogFile {
  readonly fd: number;
  readonly bytes: Uint8Array;
  readonly #mapping: Mapping;

  constructor(bytes: number) {
    this.fd = memfdCreate("mock-log", bytes);
    this.#mapping = mapRegion(this.fd, 0, bytes);
    this.bytes = new Uint8Array(this.#mapping.window(0, bytes));
    closers.push(() => {
      this.#mapping.unmap();
      close(this.fd);
    });
  }

  /** Numbers of the dirty pages; the bits are cleared, as a front end does. */
  take(): Set<number> {
    const pages = new Set<number>();
    this.bytes.forEach((byte, at) => {
      for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) pages.add(8 * at + bit);
    });
    this.bytes.fill(0);
    return pages;
  }
}

const pageOf = (address: number): number => Math.floor(address / 4096);

describe("bits", () => {
  it("are those of exactly the pages that a range touches", () => {
    const file = new LogFile(64);
    const log = new DirtyLog(file.fd, 0n, 64n);
    closers.push(() => log.unmap());
    const address = fc.integer({ min: 0, max: 512 * 4096 - 1 });
    fc.assert(
      fc.property(address, fc.integer({ min: 0, max: 40 * 4096 }), (start, bytes) => {
        const end = Math.min(start + bytes, 512 * 4096);
        log.mark(start, end - start);
        const expected = new Set<number>();
        for (let at = start; at < end; at += 4096) expected.add(pageOf(at));
        if (end > start) expected.add(pageOf(end - 1));
        expect(file.take()).toEqual(expected);
      }),
    );
  });

  it("beyond the log are not written, and counted", () => {
    const file = new LogFile(4096);
    // A log of 2 bytes in the middle of its file.
    const log = new DirtyLog(file.fd, 100n, 2n);
    closers.push(() => log.unmap());
    log.mark(14 * 4096, 4 * 4096);
    expect(log.outside).toBe(2);
    log.mark(2 ** 52, 4096);
    expect(log.outside).toBe(3);
    log.mark(0, 2 ** 30);
    expect(file.bytes[100]).toBe(0xff);
    expect(file.bytes.filter((byte) => byte !== 0)).toHaveLength(2);
  });

  it("stay beside those that others set", () => {
    const file = new LogFile(8);
    const log = new DirtyLog(file.fd, 0n, 8n);
    closers.push(() => log.unmap());
    file.bytes[1] = 0x81;
    log.mark(9 * 4096, 1);
    expect(file.bytes[1]).toBe(0x83);
  });
});

/** Gives a log of `bytes` bytes; returns the reply's value. */
async function setLog(driver: MockDriver, fd: number, bytes: number | bigint, offset = 0n) {
  const payload = u64s(bytes, offset);
  // No acknowledgement is asked for: the reply comes all the same.
  driver.frontend.send({ request: VU.SET_LOG_BASE, payload, fds: [fd] });
  const reply = await driver.frontend.reply();
  expect(reply.request).toBe(VU.SET_LOG_BASE);
  return new DataView(reply.payload.buffer, reply.payload.byteOffset).getBigUint64(0, true);
}

const setLogging = (driver: MockDriver, on: boolean): Promise<void> =>
  driver.frontend.set(VU.SET_FEATURES, u64(driver.features | (on ? F_LOG_ALL : 0n)));

describe("SET_LOG_BASE", () => {
  it.each([
    ["as large as its file", 4096, 0n, true],
    ["at an offset of any alignment", 4000, 96n, true],
    ["beyond the end of its file", 4096, 1n, false],
    ["at a huge offset", 1, (1n << 64n) - 1n, false],
    ["whose end wraps", (1n << 64n) - 4096n, 8192n, false],
    ["of no bytes", 0, 0n, false],
    ["of all bytes there are", (1n << 64n) - 1n, 0n, false],
  ])("with a log %s is answered, with 0 if it is taken: %d at %d", async (_, bytes, at, taken) => {
    const { driver } = await sessions.start();
    const file = new LogFile(4096);
    expect((await setLog(driver, file.fd, bytes, at)) === 0n).toBe(taken);
    await driver.frontend.barrier();
  });

  it("is answered when it is malformed too, but not where it is not negotiated", async () => {
    const { driver } = await sessions.start();
    driver.frontend.send({ request: VU.SET_LOG_BASE, payload: u64(1) });
    expect((await driver.frontend.reply()).payload[0]).toBe(1);
    const without = await sessions.start({ protocolFeatures: ALL_FEATURES & ~2n });
    without.driver.frontend.send({ request: VU.SET_LOG_BASE, payload: u64(1) });
    await without.driver.frontend.barrier();
  });

  it("of a file that shrinks ends the connection, not the process", async () => {
    const { driver } = await sessions.start();
    const file = new LogFile(4096);
    await setLog(driver, file.fd, 4096);
    await setLogging(driver, true);
    ftruncate(file.fd, 0);
    driver.queue(0).add([driver.memory.allocate(16)], [driver.memory.allocate(16)]);
    driver.kick(0, true);
    await driver.frontend.disconnected;
  });
});

describe.each([
  { format: "split", packed: false },
  { format: "packed", packed: true },
])("a session with $format rings", ({ packed }) => {
  /** Rings in pages of their own, so that writes into them are told from others. */
  async function started(flags = 0) {
    const session = await sessions.start({ packed, queueSize: 16 });
    const { driver } = session;
    const file = new LogFile(4096);
    expect(await setLog(driver, file.fd, 4096)).toBe(0n);
    if (flags !== 0) {
      for (let index = 0; index < 3; index++) {
        const log = driver.anyQueue(index).used.address;
        const payload = driver.vringAddress(index, { flags, log });
        await driver.frontend.set(VU.SET_VRING_ADDR, payload);
      }
    }
    driver.memory.allocate(1, 4096);
    const rings = pageOf(driver.memory.allocate(1, 4096).address);
    return { ...session, file, beyondRings: (p: number) => p >= rings };
  }

  it("logs nothing before LOG_ALL, and the chains' pages with it", async () => {
    const { driver, file } = await started();
    const room = driver.memory.allocate(3 * 4096, 4096);
    const into = { address: room.address + 100, bytes: 2 * 4096 };
    const source = driver.memory.place(pattern(5000));
    await driver.complete(0, [source], [into]);
    expect(file.take()).toEqual(new Set());
    await setLogging(driver, true);
    expect(await driver.complete(0, [source], [into])).toBe(5000);
    // 5000 bytes from byte 100 on: the third page has room, but nothing was written there.
    const page = pageOf(room.address);
    expect(file.take()).toEqual(new Set([page, page + 1]));
    await setLogging(driver, false);
    await driver.complete(0, [source], [into]);
    expect(file.take()).toEqual(new Set());
  });

  it("logs event buffers", async () => {
    const { driver, device, file } = await started();
    await setLogging(driver, true);
    driver.memory.allocate(1, 4096);
    driver.postEvents(1, 32);
    await driver.frontend.barrier();
    file.take();
    device.event(pattern(32));
    await driver.nextEvent();
    expect(file.take().size).toBe(1);
  });

  it("logs the ring's own words only if the addresses ask for it, at the log address", async () => {
    const { driver, device, file, beyondRings } = await started(1);
    await setLogging(driver, true);
    await driver.request(0, pattern(4), 4);
    const pages = [...file.take()].filter((page) => !beyondRings(page));
    const queue = driver.anyQueue(0);
    const own = packed ? [queue.used, queue.descriptors] : [queue.used];
    for (const part of own) expect(pages).toContain(pageOf(part.address));
    // Elsewhere, as with an IOMMU: moved while the ring runs.
    const log = 3000 * 4096 + 4000;
    const moved = driver.vringAddress(0, { flags: 1, log });
    await driver.frontend.set(VU.SET_VRING_ADDR, moved);
    await driver.request(0, pattern(4), 4);
    expect(file.take()).toContain(3000);
    await driver.frontend.set(VU.SET_VRING_ADDR, driver.vringAddress(0, { flags: 0, log }));
    file.take();
    await driver.request(0, pattern(4), 4);
    expect(file.take()).not.toContain(3000);
    expect(device.faults).toEqual([]);
  });

  it("signals the descriptor of SET_LOG_FD", async () => {
    const { driver, file } = await started();
    const fd = eventfd();
    await driver.frontend.set(VU.SET_LOG_FD, new Uint8Array(0), [fd]);
    await driver.request(0, pattern(4), 4);
    expect(drain(fd)).toBe(0);
    await setLogging(driver, true);
    await driver.request(0, pattern(4), 4);
    expect(drain(fd)).toBe(8);
    expect(file.take().size).toBeGreaterThan(0);
    close(fd);
  });

  it("goes on with a larger log, and with one that does not cover all memory", async () => {
    const { driver, file } = await started();
    await setLogging(driver, true);
    const small = new LogFile(1);
    expect(await setLog(driver, small.fd, 1)).toBe(0n);
    const far = driver.memory.allocate(4096, 1 << 20);
    await driver.complete(0, [driver.memory.place(pattern(9))], [far]);
    expect(file.take()).toEqual(new Set());
    expect([...small.take()].every((page) => page < 8)).toBe(true);
    expect(await setLog(driver, file.fd, 4096)).toBe(0n);
    await driver.complete(0, [driver.memory.place(pattern(9))], [far]);
    expect(file.take()).toContain(pageOf(far.address));
  });

  it("logs every page that changes where the device alone writes", async () => {
    const bytes = 8 << 20;
    const regions = [
      { guestAddress: 0, bytes },
      { guestAddress: 2 * bytes, bytes },
    ];
    const { driver, device } = await sessions.start({ packed, queueSize: 16, regions });
    const file = new LogFile(4096);
    await setLog(driver, file.fd, 4096);
    await setLogging(driver, true);
    const sources = Array.from({ length: 8 }, (_, i) => driver.memory.place(pattern(9000, i)));
    const [, theirs] = driver.memory.regions;
    if (theirs === undefined) throw new Error("no region");
    driver.memory.allocateFrom(theirs);
    driver.postEvents(8);
    const all = new Uint8Array(theirs.mapping.window(0, bytes));
    const before = all.slice();
    for (let i = 0; i < 40; i++) {
      const rooms = [driver.memory.allocate(5000 + 300 * i), driver.memory.allocate(10, 4096)];
      const source = sources[i % 8];
      if (source) await driver.complete(i % 2 === 0 ? 0 : 2, [source], rooms);
      if (i % 4 === 0) {
        device.event(pattern(32, i));
        await driver.nextEvent();
      }
    }
    for (let i = 0; i < 3; i++) await driver.stopQueue(i);
    const dirty = file.take();
    const changed = new Set<number>();
    for (let at = 0; at < bytes; at++)
      if (all[at] !== before[at]) changed.add(pageOf(2 * bytes + at));
    expect(changed.size).toBeGreaterThan(50);
    expect([...changed].filter((page) => !dirty.has(page))).toEqual([]);
    // And not much more than that: a write may leave a page as it was.
    const more = [...dirty].filter((page) => page >= pageOf(2 * bytes) && !changed.has(page));
    expect(more.length).toBeLessThan(10);
  });
});
