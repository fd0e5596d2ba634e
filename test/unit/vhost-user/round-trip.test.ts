// SPDX-License-Identifier: Apache-2.0
// A whole session, from negotiation to data through the rings.
import { afterEach, describe, expect, it } from "vitest";
import { EchoDevice } from "../../support/echo-device.js";
import { F_EVENT_IDX, F_INDIRECT_DESC, MockDriver } from "../../support/mock-driver.js";

const drivers: MockDriver[] = [];

function start(...args: Parameters<typeof MockDriver.inProcess>): Promise<MockDriver> {
  const driver = MockDriver.inProcess(...args);
  drivers.push(driver);
  return driver.start();
}

afterEach(() => {
  for (const driver of drivers.splice(0)) driver.close();
});

const bytes = (count: number, seed = 1): Uint8Array =>
  new Uint8Array(count).map((_, i) => (i * 31 + seed) & 0xff);

const ALL = (1n << 64n) - 1n;

describe("echo through a session", () => {
  const variants = [
    { name: "all features", features: ALL },
    { name: "no EVENT_IDX", features: ALL & ~F_EVENT_IDX },
    { name: "no INDIRECT_DESC", features: ALL & ~F_INDIRECT_DESC },
    { name: "no protocol features", features: ALL & ~(1n << 30n) },
  ];
  it.each(variants)("echoes with $name", async ({ features }) => {
    const driver = await start(new EchoDevice(), { features });
    for (let i = 0; i < 200; i++) {
      const data = bytes(1 + ((i * 37) % 3000), i);
      expect(await driver.request(i % 2 === 0 ? 0 : 2, data, 4096)).toEqual(data);
    }
  });

  it("echoes through indirect tables and several parts", async () => {
    const driver = await start(new EchoDevice());
    const parts = [bytes(3), bytes(100), bytes(5000)];
    const all = new Uint8Array([...bytes(3), ...bytes(100), ...bytes(5000)]);
    expect(await driver.request(0, parts, 8192, { indirect: true })).toEqual(all);
    expect(await driver.request(0, parts, 8192)).toEqual(all);
  });

  it("serves many requests in flight, more than the ring holds", async () => {
    const driver = await start(new EchoDevice(), { queueSize: 8 });
    const datas = Array.from({ length: 100 }, (_, i) => bytes(64, i));
    const echoes = await Promise.all(datas.map((data) => driver.request(0, data, 64)));
    expect(echoes).toEqual(datas);
  });

  it("delivers events, and holds none when no buffer is posted", async () => {
    const device = new EchoDevice();
    const driver = await start(device);
    expect(device.event(bytes(32))).toBe(false);
    driver.postEvents(4);
    for (let i = 0; i < 10; i++) {
      expect(device.event(bytes(32, i))).toBe(true);
      expect(await driver.nextEvent()).toEqual(bytes(32, i));
    }
  });

  it("crosses regions and windows of guest memory above 4 GiB", async () => {
    const GiB = 2 ** 30;
    const driver = await start(new EchoDevice(), {
      regions: [
        { guestAddress: 0, bytes: 1 << 20 },
        { guestAddress: 4 * GiB, bytes: 5 * GiB },
        { guestAddress: 9 * GiB, bytes: 1 << 20 },
      ],
    });
    for (const boundary of [5 * GiB, 8 * GiB, 9 * GiB]) {
      const data = bytes(8192, boundary / GiB);
      driver.memory.write(boundary - 4096, data.subarray(0, 4096));
      driver.memory.write(boundary, data.subarray(4096));
      const into = driver.memory.allocate(8192);
      const from = { address: boundary - 4096, bytes: 8192 };
      expect(await driver.complete(0, [from], [into])).toBe(8192);
      expect(driver.memory.read(into.address, 8192)).toEqual(data);
    }
  });
});
