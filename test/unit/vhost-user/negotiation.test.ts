// SPDX-License-Identifier: Apache-2.0
// Features, acknowledgements, config space, refusals: a session before its rings run.
import { describe, expect, it } from "vitest";
import { close, eventfd, socketpair } from "../../../src/io/native.js";
import {
  F_EVENT_IDX,
  F_IN_ORDER,
  F_INDIRECT_DESC,
  F_LOG_ALL,
  F_PROTOCOL,
  F_RING_PACKED,
  F_VERSION_1,
  VU,
} from "../../support/mock-driver.js";
import { concat, DisconnectedError, encodeRaw, u32s, u64 } from "../../support/mock-frontend.js";
import { ALL_FEATURES, pattern, testSessions } from "../../support/session-tests.js";

const sessions = testSessions();
const none = new Uint8Array(0);

async function negotiated(options = {}): ReturnType<typeof sessions.start> {
  const session = sessions.open(options);
  await session.driver.negotiate();
  return session;
}

describe("features", () => {
  it("offers what is implemented and nothing else", async () => {
    const { driver } = sessions.open();
    expect(await driver.frontend.query64(VU.GET_FEATURES)).toBe(
      F_LOG_ALL |
        F_INDIRECT_DESC |
        F_EVENT_IDX |
        F_PROTOCOL |
        F_VERSION_1 |
        F_RING_PACKED |
        F_IN_ORDER,
    );
    // MQ 0, LOG_SHMFD 1, REPLY_ACK 3, BACKEND_REQ 5, CONFIG 9, BACKEND_SEND_FD 10,
    // INFLIGHT_SHMFD 12, RESET_DEVICE 13, CONFIGURE_MEM_SLOTS 15.
    expect(await driver.frontend.query64(VU.GET_PROTOCOL_FEATURES)).toBe(0xb62bn);
  });

  it("takes a subset of the features, and refuses one that is not offered", async () => {
    const { driver } = await negotiated();
    const { frontend } = driver;
    const set = (value: bigint): Promise<number> =>
      frontend.acknowledged({ request: VU.SET_FEATURES, payload: u64(value) });
    expect(await set(F_PROTOCOL | F_VERSION_1)).toBe(0);
    expect(driver.connection?.session.features).toBe(F_PROTOCOL | F_VERSION_1);
    expect(await set(F_PROTOCOL | F_VERSION_1 | (1n << 40n))).not.toBe(0);
    expect(await set(1n << 27n)).not.toBe(0);
    expect(driver.connection?.session.features).toBe(F_PROTOCOL | F_VERSION_1);
  });

  it("refuses a protocol feature that is not offered", async () => {
    const { driver } = await negotiated();
    const set = (value: bigint): Promise<number> =>
      driver.frontend.acknowledged({ request: VU.SET_PROTOCOL_FEATURES, payload: u64(value) });
    expect(await set(0xb62bn)).toBe(0);
    expect(await set(0xb62bn | (1n << 14n))).not.toBe(0);
    expect(await set(0xb62bn | (1n << 2n))).not.toBe(0);
  });

  it("answers queue and slot counts", async () => {
    const { driver } = await negotiated();
    expect(await driver.frontend.query64(VU.GET_QUEUE_NUM)).toBe(3n);
    expect(await driver.frontend.query64(VU.GET_MAX_MEM_SLOTS)).toBe(509n);
  });
});

describe("acknowledgements", () => {
  it("come when REPLY_ACK is negotiated and asked for, and only then", async () => {
    const { driver } = sessions.open();
    const { frontend } = driver;
    // Before negotiation the flag means nothing: the next reply is that of GET_FEATURES.
    frontend.send({ request: VU.SET_OWNER, flags: 0x9 });
    await frontend.query64(VU.GET_FEATURES);
    // The message that negotiates it is not acknowledged yet.
    frontend.send({ request: VU.SET_PROTOCOL_FEATURES, payload: u64(8), flags: 0x9 });
    await frontend.query64(VU.GET_FEATURES);
    expect(await frontend.acknowledged({ request: VU.SET_OWNER })).toBe(0);
    frontend.send({ request: VU.SET_OWNER });
    await frontend.query64(VU.GET_FEATURES);
    // A request with a reply of its own gets no second one.
    frontend.send({ request: VU.GET_FEATURES, flags: 0x9 });
    expect((await frontend.reply()).payload).toHaveLength(8);
    await frontend.query64(VU.GET_PROTOCOL_FEATURES);
  });

  it("of a refused request are not zero, and the connection lives on", async () => {
    const { driver } = await negotiated();
    for (const request of [0, 6, 7, 19, 20, 23, 32, 33, 35, 39, 41, 1000])
      expect(await driver.frontend.acknowledged({ request, payload: u64(0) })).not.toBe(0);
    expect(driver.connection?.counters.refused).toBe(12);
    await driver.frontend.barrier();
  });

  it.each([22, 40, 42, 43, 44])(
    "request %d, which would owe a reply, ends the connection instead of hanging the front end",
    async (request) => {
      const { driver } = await negotiated();
      driver.frontend.send({ request, payload: u64(0) });
      await expect(driver.frontend.reply()).rejects.toThrow(DisconnectedError);
    },
  );

  it("needs the protocol feature of a message", async () => {
    const { driver } = await negotiated({ protocolFeatures: 1n << 3n });
    const region = concat(u64(0), new Uint8Array(32));
    for (const message of [
      { request: VU.SET_CONFIG, payload: u32s(0, 0, 0) },
      { request: VU.RESET_DEVICE },
      { request: VU.REM_MEM_REG, payload: region },
    ])
      expect(await driver.frontend.acknowledged(message)).not.toBe(0);
    const fd = eventfd();
    const backend = { request: VU.SET_BACKEND_REQ_FD, fds: [fd] };
    expect(await driver.frontend.acknowledged(backend)).not.toBe(0);
    close(fd);
  });

  it("needs PROTOCOL_FEATURES for SET_VRING_ENABLE", async () => {
    const { driver } = await negotiated();
    const enable = { request: VU.SET_VRING_ENABLE, payload: u32s(0, 1) };
    expect(await driver.frontend.acknowledged(enable)).toBe(0);
    await driver.frontend.set(VU.SET_FEATURES, u64(F_VERSION_1));
    expect(await driver.frontend.acknowledged(enable)).not.toBe(0);
  });
});

describe("broken framing", () => {
  it.each([
    ["a wrong version", { request: 1, flags: 2 }],
    ["the reply flag", { request: 1, flags: 5 }],
    ["an unknown flag", { request: 1, flags: 0x21 }],
    ["a huge payload", { request: 1, size: 0xffffffff }],
  ])("closes that connection only: %s", async (_, message) => {
    const other = await negotiated();
    const { driver, device } = await negotiated();
    driver.frontend.send(message);
    await driver.frontend.disconnected;
    expect(device.calls.at(-1)).toBe("detach");
    expect(driver.connection?.open).toBe(false);
    await other.driver.frontend.barrier();
  });

  it("closes when descriptors come inside a message, and when the stream ends there", async () => {
    const { driver } = await negotiated();
    driver.frontend.sendBytes(u32s(VU.SET_OWNER, 1));
    const fd = eventfd();
    driver.frontend.sendBytes(u32s(0), [fd]);
    await driver.frontend.disconnected;
    close(fd);

    const cut = await negotiated();
    cut.driver.frontend.sendBytes(new Uint8Array(5));
    const { connection } = cut.driver;
    cut.driver.frontend.close();
    await expect.poll(() => connection?.open).toBe(false);
  });

  it("closes on a ninth descriptor", async () => {
    const { driver } = await negotiated();
    const fds = Array.from({ length: 9 }, () => eventfd());
    driver.frontend.send({ request: VU.SET_MEM_TABLE, payload: u64(0), fds: fds.slice(0, 8) });
    await driver.frontend.barrier();
    driver.frontend.send({ request: VU.SET_MEM_TABLE, payload: u64(0), fds });
    await driver.frontend.disconnected;
    for (const fd of fds) close(fd);
  });

  it("understands messages that come byte by byte", async () => {
    const { driver } = sessions.open();
    const reply = driver.frontend.reply();
    for (const byte of u32s(VU.GET_FEATURES, 1, 0)) {
      driver.frontend.sendBytes(new Uint8Array([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await reply).payload).toHaveLength(8);
  });

  it("answers many requests sent at once, in order", async () => {
    const { driver } = await negotiated();
    const ids = Array.from({ length: 500 }, (_, i) => (i % 2 === 0 ? 1 : 17));
    driver.frontend.sendBytes(concat(...ids.map((request) => encodeRaw({ request }))));
    for (const id of ids) expect((await driver.frontend.reply()).request).toBe(id);
  });

  it("stops reading from a front end that takes no replies, and goes on when it does", async () => {
    const { driver } = await negotiated();
    const count = 2000;
    const request = encodeRaw({ request: VU.GET_FEATURES });
    driver.frontend.pause();
    driver.frontend.sendBytes(concat(...Array.from({ length: count }, () => request)));
    const { connection } = driver;
    await expect.poll(() => connection?.counters.messages).toBeGreaterThan(200);
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(connection?.counters.messages).toBeLessThan(count);
    driver.frontend.resume();
    for (let i = 0; i < count; i++) expect((await driver.frontend.reply()).request).toBe(1);
  });
});

describe("config space", () => {
  const config = (offset: number, bytes: number, data?: Uint8Array): Uint8Array =>
    concat(u32s(offset, bytes, 0), data ?? new Uint8Array(bytes));

  it("is read as a whole and in parts", async () => {
    const { driver, device } = await negotiated();
    const whole = await driver.frontend.query(VU.GET_CONFIG, config(0, 256));
    expect(whole).toEqual(config(0, 256, device.config));
    const part = await driver.frontend.query(VU.GET_CONFIG, config(250, 6));
    expect(part).toEqual(config(250, 6, device.config.slice(250)));
    expect(await driver.frontend.query(VU.GET_CONFIG, u32s(250, 6, 0))).toEqual(part);
  });

  it.each([
    ["past its end", config(250, 7)],
    ["far outside", config(0xffffffff, 1)],
    ["of more bytes than came", u32s(0, 4, 0, 0, 0)],
    ["with a wrapping end", u32s(0xffffffff, 0xffffffff, 0)],
  ])("answers a read %s with nothing", async (_, payload) => {
    const { driver } = await negotiated();
    expect(await driver.frontend.query(VU.GET_CONFIG, payload)).toEqual(none);
    await driver.frontend.barrier();
  });

  it("is written, unless the range or the device refuses", async () => {
    const { driver, device } = await negotiated();
    const set = (payload: Uint8Array): Promise<number> =>
      driver.frontend.acknowledged({ request: VU.SET_CONFIG, payload });
    expect(await set(config(0, 256, pattern(256)))).toBe(0);
    expect(device.config).toEqual(pattern(256));
    expect(await set(config(1, 256))).not.toBe(0);
    expect(await set(config(0xffffffff, 1))).not.toBe(0);
    expect(await set(config(0, 1, new Uint8Array([0xee])))).not.toBe(0);
    expect(await set(concat(u32s(0, 4, 1), pattern(4)))).toBe(0);
    expect(await set(concat(u32s(0, 4, 2), pattern(4)))).not.toBe(0);
  });
});

describe("the back-end channel", () => {
  it("carries config changes while a ring runs", async () => {
    const { driver, device } = await sessions.start();
    expect(device.transport?.notifyConfigChange()).toBe(true);
    await driver.until(() => driver.configChanges === 1, "waiting for the config change");
  });

  it("holds a config change while suspended", async () => {
    const { driver, device } = await sessions.start();
    const { transport } = device;
    for (let i = 0; i < 3; i++) await driver.stopQueue(i);
    expect(transport?.notifyConfigChange()).toBe(true);
    await driver.frontend.barrier();
    expect(driver.configChanges).toBe(0);
    await driver.startQueue(0);
    await driver.until(() => driver.configChanges === 1, "waiting for the config change");
  });

  it("is absent when it was not negotiated, and survives its other end's close", async () => {
    const features = { protocolFeatures: ALL_FEATURES & ~(1n << 5n) };
    const without = await sessions.start(features);
    expect(without.device.transport?.notifyConfigChange()).toBe(false);

    const { driver, device } = await sessions.start();
    const [ours, theirs] = socketpair();
    await driver.frontend.set(VU.SET_BACKEND_REQ_FD, none, [theirs]);
    close(ours);
    close(theirs);
    expect(device.transport?.notifyConfigChange()).toBe(true);
    expect(device.transport?.notifyConfigChange()).toBe(false);
    await driver.frontend.barrier();
  });
});
