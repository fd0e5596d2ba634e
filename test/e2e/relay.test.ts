// SPDX-License-Identifier: Apache-2.0
/**
 * The broker between a front end and an instance: what it does with an instance that breaks the
 * rules or keeps dying, with a front end that does, and what stays when either goes.
 */
import { readdirSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { MockDriver, VU } from "../support/mock-driver.js";
import { u64 } from "../support/mock-frontend.js";
import { MockGuest, ok } from "../support/mock-guest.js";
import { type RealBroker, startRealBroker } from "../support/real-broker.js";

const liar = new URL("../support/liar-instance.ts", import.meta.url).pathname;
let real: RealBroker;
const drivers: MockDriver[] = [];

afterEach(async () => {
  for (const driver of drivers.splice(0)) driver.close();
  await real.stop();
});

function connect(): MockDriver {
  const driver = MockDriver.connectPath(real.socketOf("a"), { timeoutMs: 20_000 });
  drivers.push(driver);
  return driver;
}

const logged = (text: string | RegExp): number =>
  real.log.filter((line) => (typeof text === "string" ? line.includes(text) : text.test(line)))
    .length;

/** Waits for log lines; the test's time limit ends a vain wait. */
async function logs(text: string | RegExp, count = 1): Promise<void> {
  while (logged(text) < count) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** A broker whose instances answer every message with the lie. */
async function startLiars(lie: string): Promise<void> {
  process.env.VGPU_LIAR = lie;
  real = await startRealBroker(["a"], {
    instanceCommand: [process.execPath, "--import", "tsx", liar],
    restartLimits: { max: 2, windowMs: 60_000 },
  });
}

function openFds(): number {
  return readdirSync("/proc/self/fd").length;
}

describe("an instance that breaks the rules of the relay", () => {
  it.each(["another reply", "half a reply", "another frame", "no frame"])(
    "is ended and replaced when it sends %s, and the front end sees nothing of it",
    async (lie) => {
      await startLiars(lie);
      const { frontend } = connect();
      frontend.send({ request: VU.GET_FEATURES });
      // Three processes, each of which lies about the same message.
      await logs("it is given up");
      expect(logged("it is started again")).toBe(2);
      await expect(frontend.reply()).rejects.toThrow(/disconnected/);
    },
  );

  it("is ended when it answers twice; the first answer counts", async () => {
    await startLiars("two answers");
    const { frontend } = connect();
    expect(await frontend.query64(VU.GET_FEATURES)).toBe(0n);
    await logs("it is started again");
    expect(logged("sent frame")).toBe(1);
  });

  it("may end a connection, and stays itself", async () => {
    await startLiars("an end");
    const { frontend } = connect();
    frontend.send({ request: VU.GET_FEATURES });
    await frontend.disconnected;
    expect(logged("the front end is gone: it does not like it")).toBe(1);
    expect(logged("it is started again")).toBe(0);
  });
});

describe("an instance that keeps dying", () => {
  it("is given up, and has another chance with a later front end", async () => {
    const crashAt = ["attached:1", "attached:1", "attached:1"];
    const windowMs = 3000;
    real = await startRealBroker(["a"], { crashAt, restartLimits: { max: 2, windowMs } });
    const first = connect();
    await first.frontend.disconnected;
    expect(logged("is given up")).toBe(1);
    // Too early.
    await connect().frontend.disconnected;
    expect(logged("a front end is refused")).toBe(1);
    await new Promise((resolve) => setTimeout(resolve, windowMs));
    const later = await connect().start();
    ok(await new MockGuest(later).init());
  });
});

describe("a front end", () => {
  it("that breaks the rules costs its own connection, and no process", async () => {
    real = await startRealBroker(["a"]);
    for (const bytes of [
      new Uint8Array(12).fill(0xff),
      // The broker's own numbers.
      new Uint8Array([3, 0, 0x67, 0x76, 1, 0, 0, 0, 0, 0, 0, 0]),
      new Uint8Array([0x10, 0, 0x67, 0x76, 1, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0]),
    ]) {
      const { frontend } = connect();
      frontend.sendBytes(bytes);
      await frontend.disconnected;
    }
    const driver = await connect().start();
    ok(await new MockGuest(driver).init());
    expect(logged("it is started again")).toBe(0);
  });

  it("is refused what it asks wrongly, and this is not kept for the next process", async () => {
    real = await startRealBroker(["a"], { crashAt: ["answered:31"] });
    const driver = await connect().start();
    const { frontend } = driver;
    const bad = { request: VU.SET_PROTOCOL_FEATURES, payload: u64(1n << 60n) };
    expect(await frontend.acknowledged(bad)).toBe(1);
    expect(await frontend.acknowledged({ ...bad, payload: u64(driver.protocolFeatures) })).toBe(0);
    // The 31st message: the next process is told what was accepted, or it would be refused again.
    await frontend.barrier();
    await logs("it is started again");
    await frontend.barrier();
    ok(await new MockGuest(driver).init());
  });

  it("may go while its process is being replaced; nothing of it is left", async () => {
    real = await startRealBroker(["a"], { crashAt: ["answered:28", "retold:5", "attached:2"] });
    await (await connect().start()).frontend.barrier();
    const before = openFds();
    for (let i = 0; i < 3; i++) {
      const driver = MockDriver.connectPath(real.socketOf("a"), { timeoutMs: 20_000 });
      // Waits in the backlog until the one before is gone.
      drivers.pop()?.close();
      drivers.push(driver);
      await driver.start();
      ok(await new MockGuest(driver).init());
    }
    expect(logged("it is started again")).toBeGreaterThanOrEqual(2);
    expect(openFds()).toBeLessThanOrEqual(before);
  });
});
