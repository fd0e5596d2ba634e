// SPDX-License-Identifier: Apache-2.0
/**
 * kill -9 of the instance between every two steps of handling a message, and of taking over. The
 * front end, which knows nothing of it, gets each reply once and in order, and the state is whole.
 */
import { afterEach, describe, expect, it } from "vitest";
import { CommandWriter } from "../../src/protocol/encode.js";
import {
  EventMessage,
  EventType,
  Request,
  Status,
  TimelineHeader,
} from "../../src/protocol/generated/wire.js";
import { F_RING_PACKED, MockDriver, VU } from "../support/mock-driver.js";
import { u32s } from "../support/mock-frontend.js";
import { MockGuest, ok } from "../support/mock-guest.js";
import { type RealBroker, startRealBroker } from "../support/real-broker.js";

let real: RealBroker | null = null;
let driver: MockDriver | null = null;

async function shut(): Promise<void> {
  driver?.close();
  driver = null;
  await real?.stop();
  real = null;
}
afterEach(shut);

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Points of one message, in order. The process after the last one goes on to the next message. */
const MESSAGE_POINTS = ["received", "decoded", "applied", "answered"];

async function connect(crashAt: readonly string[], packed = false): Promise<MockDriver> {
  real = await startRealBroker(["a"], { crashAt });
  driver = MockDriver.connectPath(real.socketOf("a"), { timeoutMs: 60_000, packed });
  return driver;
}

/** Restarts that the log tells of. */
function restarts(): number {
  return real?.log.filter((line) => line.includes("it is started again")).length ?? 0;
}

/** A session that works: requests are answered, a launch-less stream completes. */
async function works(guest: MockGuest, session: bigint): Promise<void> {
  ok(await guest.init(session));
  const context = await guest.createContext(0);
  const slot = await guest.run(context, 0, () => {});
  expect(slot.status).toBe(0);
}

describe("kill -9 between every two steps of a message", () => {
  it("every message of the start, GET_VRING_BASE and the start anew", {
    timeout: 240_000,
  }, async () => {
    // Enough for every message of the script: each one is struck at each point.
    const crashAt = Array.from({ length: 60 }, () => MESSAGE_POINTS.map((p) => `${p}:1`)).flat();
    const driver = await connect(crashAt);
    await driver.start();
    const struck = restarts();
    // Each of the start's messages, four times. The last death may not have been noticed yet.
    const messages = 6 + 1 + 3 * 6 + 3;
    expect(struck).toBeGreaterThanOrEqual(4 * messages - 1);
    for (const index of [0, 1, 2]) expect(await driver.stopQueue(index)).toBe(0);
    await driver.startQueue(0);
    expect(restarts()).toBeGreaterThanOrEqual(struck + 4 * (3 + 6) - 1);
    // All replies came, and none too many: the next one is that of the next request.
    expect(await driver.frontend.query64(VU.GET_QUEUE_NUM)).toBe(3n);
  });

  it.each(["ring-flushed", "ring-stopped"])(
    "GET_VRING_BASE dies at %s, and is answered with where the ring is",
    async (point) => {
      const driver = await connect([`${point}:1`, `${point}:2`]);
      await driver.start();
      const guest = new MockGuest(driver);
      ok(await guest.init(1n));
      ok(await guest.init(1n));
      expect(await driver.stopQueue(0)).toBe(2);
      expect(await driver.stopQueue(1)).toBe(0);
      expect(await driver.stopQueue(2)).toBe(0);
      expect(restarts()).toBe(2);
      await driver.startQueue(0, 2);
      await driver.startQueue(1);
      await driver.startQueue(2);
      await works(guest, 2n);
    },
  );

  it("messages without replies are neither lost nor applied in another order", async () => {
    const crashAt = ["applied:31", "received:1", "answered:2", "decoded:3", "applied:1"];
    const driver = await connect(crashAt);
    await driver.start();
    // A burst: the last of each kind is what counts.
    for (let i = 0; i < 8; i++) {
      const on = i % 2;
      driver.frontend.send({ request: VU.SET_VRING_ENABLE, payload: u32s(0, on) });
    }
    await driver.frontend.barrier();
    expect(restarts()).toBe(crashAt.length);
    await works(new MockGuest(driver), 1n);
  });
});

describe("kill -9 while a front end is taken over", () => {
  it.each(["attached:1", "resuming:1", "retold:1", "retold:9", "replayed:1", "resumed:1"])(
    "the next process takes it over from the one that dies at %s",
    async (point) => {
      const driver = await connect(["answered:28", point, point]);
      await driver.start();
      // Answered by the process that stays.
      await driver.frontend.barrier();
      await works(new MockGuest(driver), 1n);
      expect(restarts()).toBe(3);
    },
  );
});

describe("kill -9 between every two steps of a chain", () => {
  const chainPoints = ["popped", "pushed", "published", "signalled"];

  const formats = chainPoints.flatMap((point) => [
    ["split", point],
    ["packed", point],
  ]);

  it.each(formats)(
    "%s ring: requests are answered once when it dies after one was %s",
    async (format, point) => {
      const packed = format === "packed";
      // Control requests: the 1st is INIT, the 2nd creates the context, the 3rd allocates.
      for (const count of [1, 2, 3]) {
        const driver = await connect([`${point}:${count}`], packed);
        await driver.start();
        expect((driver.features & F_RING_PACKED) !== 0n).toBe(packed);
        driver.postEvents(4);
        const guest = new MockGuest(driver);
        const answers = [(await guest.init(1n)).status];
        const pages = guest.pages();
        const addresses = { timeline: pages.timeline.address, arm: pages.arm.address };
        answers.push((await guest.tryCreateContext(0, addresses)).status);
        answers.push((await guest.call(Request.MEMORY_INFO, 0)).status);
        const last = (await guest.call(Request.GET_CAPABILITIES)).status;
        expect(restarts()).toBe(1);
        // What it had not given back is answered by the next one, which knows no session.
        const known = point === "popped" || point === "pushed" ? count - 1 : count;
        const lost = known >= 1 ? "NOT_INITIALISED" : "OK";
        answers.push(last);
        expect(answers).toEqual(answers.map((_, i) => (i < known ? "OK" : lost)));
        // Each chain came back once, and nothing else did.
        if (!packed) expect(driver.queue(0).usedIndex).toBe(4);
        if (known >= 2) {
          const event = await driver.nextEvent();
          expect(EventMessage.decode(viewOf(event), 0).type).toBe(EventType.EPOCH);
          const page = viewOf(driver.memory.viewOf(pages.timeline));
          const header = TimelineHeader.decode(page, 0);
          expect(header.context_status).toBe(Status.DEVICE_LOST);
          expect(header.epoch).toBe(EventMessage.decode(viewOf(event), 0).epoch);
        }
        await works(guest, 2n);
        await shut();
      }
    },
  );

  it.each(["completed", "shown", "notified"])(
    "a driver that waits for a fence learns that it is lost when it dies at %s",
    async (point) => {
      const driver = await connect([`${point}:2`]);
      await driver.start();
      driver.postEvents(4);
      const guest = new MockGuest(driver);
      ok(await guest.init(1n));
      const own = await guest.createContext(0);
      expect((await guest.run(own, 0, () => {})).status).toBe(0);
      // The acknowledgement may be the last thing that it does.
      await guest.submit(0, 0, new CommandWriter()).catch(() => {});
      let event = EventMessage.decode(viewOf(await driver.nextEvent()), 0);
      // Those of the fences before may come first.
      while (event.type === EventType.FENCE)
        event = EventMessage.decode(viewOf(await driver.nextEvent()), 0);
      expect(event.type).toBe(EventType.EPOCH);
      const page = viewOf(driver.memory.viewOf(own.timeline));
      expect(TimelineHeader.decode(page, 0).context_status).toBe(Status.DEVICE_LOST);
      await works(guest, 2n);
    },
  );
});
