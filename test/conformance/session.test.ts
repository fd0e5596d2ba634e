// SPDX-License-Identifier: Apache-2.0
// The statements of spec/virtio-vgpu.md on features, config space, initialisation, requests and
// contexts, each against a vgpu-instance process over its socket. Every test is a connection of its
// own, so the instance is back in its first state each time. Named by statement.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { requestBytes, structBytes } from "../../src/protocol/encode.js";
import {
  CapabilitiesResponse,
  Config,
  InitResponse,
  MemoryAllocRequest,
  Request,
  RequestHeader,
  requestShapes,
  TimelineHeader,
  VGPU,
} from "../../src/protocol/generated/wire.js";
import { InstanceProcess } from "../support/instance-process.js";
import { MockDriver, type MockDriverOptions, VU } from "../support/mock-driver.js";
import { concat, u32s } from "../support/mock-frontend.js";
import { MockGuest, ok } from "../support/mock-guest.js";
import { controlVectors, submitVectors, vectorBytes } from "../support/vectors.js";

let instance: InstanceProcess;
const drivers: MockDriver[] = [];

beforeAll(async () => {
  instance = await InstanceProcess.start("--executor=null", "--log-level=error");
});
afterEach(() => {
  for (const driver of drivers.splice(0)) driver.close();
  expect(instance.running).toBe(true);
});
afterAll(() => instance.stop());

async function connected(options: MockDriverOptions = {}): Promise<MockGuest> {
  const driver = MockDriver.connectPath(instance.path, { queueSize: 256, ...options });
  drivers.push(driver);
  return new MockGuest(await driver.start());
}

async function initialised(options: MockDriverOptions = {}): Promise<MockGuest> {
  const guest = await connected(options);
  ok(await guest.init());
  return guest;
}

interface Vector {
  readonly name: string;
  readonly queue: number;
  readonly bytes: Uint8Array;
  /** "" for a valid one. */
  readonly status: string;
}

const vectors: readonly Vector[] = [
  ...controlVectors().map((vector) => ({ vector, queue: VGPU.QUEUE_CONTROL })),
  ...submitVectors().map((vector) => ({ vector, queue: VGPU.QUEUE_SUBMIT })),
].map(({ vector, queue }) => ({
  name: vector.name,
  queue,
  bytes: vectorBytes(vector.hex),
  status: "status" in vector ? String(vector.status) : "",
}));
const valid = vectors.filter(({ status }) => status === "");
const invalid = vectors.filter(({ status }) => status !== "");

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset);

async function configSpace(guest: MockGuest): Promise<Uint8Array> {
  const payload = concat(u32s(0, VGPU.CONFIG_SPACE_BYTES, 0), new Uint8Array(256));
  return (await guest.driver.frontend.query(VU.GET_CONFIG, payload)).slice(12);
}

describe("features and config space", () => {
  it("VGPU-DEV-1: offers VERSION_1, and no feature bit of its own", async () => {
    const guest = await connected();
    const features = await guest.driver.frontend.query64(VU.GET_FEATURES);
    expect(features & (1n << 32n)).not.toBe(0n);
    expect(features & 0xffffffn).toBe(0n);
  });

  it("VGPU-DEV-2: config space begins with the magic and tells the limits", async () => {
    const config = Config.decode(viewOf(await configSpace(await connected())), 0);
    expect(config).toMatchObject({ magic: VGPU.MAGIC, version: VGPU.VERSION, queue_count: 3 });
    expect(config.streams_max).toBe(VGPU.STREAMS_MAX);
    expect(config.contexts_max).toBeGreaterThan(0);
    expect(config.control_request_bytes_max).toBe(VGPU.CONTROL_REQUEST_BYTES_MAX);
    expect(config.submit_bytes_max).toBe(VGPU.SUBMIT_BYTES_MAX);
  });

  it("VGPU-DEV-3: the rest of config space is zero", async () => {
    const space = await configSpace(await connected());
    expect(Config.reservedZero(viewOf(space), 0)).toBe(true);
    expect(space.subarray(Config.bytes).every((byte) => byte === 0)).toBe(true);
  });

  it("VGPU-DEV-4: writes to config space change nothing", async () => {
    const guest = await connected();
    const before = await configSpace(guest);
    const payload = concat(u32s(0, 256, 0), new Uint8Array(256).fill(0xff));
    await guest.driver.frontend.acknowledged({ request: VU.SET_CONFIG, payload });
    expect(await configSpace(guest)).toEqual(before);
  });
});

describe("initialisation", () => {
  it("VGPU-DEV-5: INIT answers with the capabilities of both sides", async () => {
    const guest = await connected();
    const offered = Config.decode(viewOf(await configSpace(guest)), 0).capabilities;
    for (const [session, asked] of [
      [1n, 0n],
      [2n, 1n],
      [3n, (1n << 64n) - 1n],
    ] as const) {
      const { payload } = ok(await guest.init(session, asked));
      expect(InitResponse.decode(viewOf(payload), 0).capabilities).toBe(offered & asked);
    }
  });

  it("VGPU-DEV-6: every other request is refused before INIT", async () => {
    const guest = await connected();
    for (const { name, queue, bytes } of valid) {
      if (bytes[0] === Request.INIT) continue;
      expect((await guest.send(queue, bytes)).status, name).toBe("NOT_INITIALISED");
    }
    ok(await guest.init());
    ok(await guest.call(Request.GET_CAPABILITIES));
  });

  it("VGPU-DEV-6: a new connection has to begin again", async () => {
    const first = await initialised();
    first.driver.close();
    const second = await connected();
    expect((await second.call(Request.GET_CAPABILITIES)).status).toBe("NOT_INITIALISED");
  });

  it("VGPU-DEV-7: another session drops the contexts of the one before", async () => {
    const guest = await initialised();
    await guest.createContext(1);
    ok(await guest.call(Request.MEMORY_INFO, 1));
    ok(await guest.init(2n));
    expect((await guest.call(Request.MEMORY_INFO, 1)).status).toBe("CONTEXT_UNKNOWN");
  });

  it("VGPU-DEV-8: the same session keeps them", async () => {
    const guest = await initialised();
    await guest.createContext(1);
    ok(await guest.init(1n));
    ok(await guest.call(Request.MEMORY_INFO, 1));
  });

  it("VGPU-DEV-8: pausing and resuming keeps them too", async () => {
    const guest = await initialised();
    const context = await guest.createContext(1);
    const { driver } = guest;
    for (let round = 0; round < 2; round++) {
      for (const queue of [0, 1, 2]) await driver.enableQueue(queue, false);
      const bases = [
        await driver.stopQueue(0),
        await driver.stopQueue(1),
        await driver.stopQueue(2),
      ];
      for (const [queue, base] of bases.entries()) await driver.startQueue(queue, base);
      for (const queue of [0, 1, 2]) await driver.enableQueue(queue, true);
      expect((await guest.run(context, 0, (commands) => commands.nop())).status).toBe(0);
    }
  });

  it("VGPU-DEV-9: the epoch is not zero, and stays while the state stays", async () => {
    const guest = await connected();
    const epoch = async (session: bigint): Promise<number> =>
      InitResponse.decode(viewOf(ok(await guest.init(session)).payload), 0).epoch;
    const first = await epoch(1n);
    expect(first).not.toBe(0);
    expect(await epoch(1n)).toBe(first);
  });
});

describe("requests and responses", () => {
  it("VGPU-DEV-11: every request gets a response, however it is cut", async () => {
    const guest = await initialised();
    const bytes = requestBytes(Request.GET_CAPABILITIES, 0);
    for (let cut = 1; cut < bytes.length; cut++) {
      const parts = [bytes.subarray(0, cut), bytes.subarray(cut)];
      const answer = await guest.driver.request(0, parts, 4096);
      expect(viewOf(answer).getUint32(0, true)).toBe(0);
      const indirect = await guest.driver.request(0, parts, 4096, { indirect: true });
      expect(indirect).toEqual(answer);
    }
  });

  it.each([VGPU.QUEUE_CONTROL, VGPU.QUEUE_SUBMIT])(
    "VGPU-DEV-11: chains that break a rule on queue %d get an error, and the queue goes on",
    async (queue) => {
      const guest = await initialised();
      const { driver } = guest;
      const room = driver.memory.allocate(64);
      const out = { address: room.address, length: room.bytes, flags: 2 };
      const header = driver.memory.place(requestBytes(Request.GET_CAPABILITIES, 0));
      const chains = [
        [{ address: 2n ** 63n, length: 16, flags: 0 }, out],
        [{ address: driver.memory.regions[0]?.bytes ?? 0, length: 16, flags: 0 }, out],
        [{ address: header.address, length: 0xffffffff, flags: 0 }, out],
        [out, { address: header.address, length: 16, flags: 0 }],
        [out],
        [{ address: header.address, length: 0, flags: 0 }, out],
        [{ address: header.address, length: 15, flags: 0 }, out],
      ];
      for (const chain of chains) {
        driver.memory.viewOf(room).fill(0xff);
        const written = await driver.completion(queue, driver.queue(queue).addRaw(chain));
        expect(written).toBe(32);
        expect(driver.memory.dataView(room).getUint32(0, true)).not.toBe(0);
      }
      ok(await guest.call(Request.GET_CAPABILITIES));
    },
  );

  it("VGPU-DEV-12: nothing is written where the header does not fit", async () => {
    const guest = await initialised();
    for (const room of [0, 1, 31]) {
      const response = await guest.call(Request.GET_CAPABILITIES, 0, new Uint8Array(0), room);
      expect(response.written).toBe(0);
    }
    expect((await guest.call(99, 0, new Uint8Array(0), 32)).written).toBe(32);
  });

  it("VGPU-DEV-13: unknown types, and those of the other queue, are refused", async () => {
    const guest = await initialised();
    for (const type of [0, 7, 15, 25, 31, 33, 0xffffffff]) {
      expect((await guest.call(type)).status).toBe("UNKNOWN_COMMAND");
      const bytes = requestBytes(type, 0);
      expect((await guest.send(VGPU.QUEUE_SUBMIT, bytes)).status).toBe("UNKNOWN_COMMAND");
    }
    expect((await guest.call(Request.SUBMIT)).status).toBe("UNKNOWN_COMMAND");
    const misplaced = requestBytes(Request.GET_CAPABILITIES, 0);
    expect((await guest.send(VGPU.QUEUE_SUBMIT, misplaced)).status).toBe("UNKNOWN_COMMAND");
  });

  it("VGPU-DEV-14: flags and reserved fields of the header must be zero", async () => {
    const guest = await initialised();
    for (const at of [RequestHeader.at.flags, RequestHeader.at.reserved]) {
      const bytes = requestBytes(Request.GET_CAPABILITIES, 0);
      bytes[at] = 1;
      expect((await guest.send(0, bytes)).status).toBe("RESERVED_NONZERO");
    }
  });

  it("VGPU-DEV-15: a request has exactly its length", async () => {
    const guest = await initialised();
    for (const { name, queue, bytes } of valid) {
      const wrong = [concat(bytes, new Uint8Array(1)), bytes.slice(0, -1)];
      for (const each of wrong)
        expect((await guest.send(queue, each)).status, name).toBe("MALFORMED");
    }
  });

  it("VGPU-DEV-16: a request is at most as long as its queue allows", async () => {
    const guest = await initialised({ regions: [{ guestAddress: 0, bytes: 32 << 20 }] });
    for (const [queue, most] of [
      [VGPU.QUEUE_CONTROL, VGPU.CONTROL_REQUEST_BYTES_MAX],
      [VGPU.QUEUE_SUBMIT, VGPU.SUBMIT_BYTES_MAX],
    ] as const) {
      const long = new Uint8Array(most + 1);
      long.set(requestBytes(queue === 0 ? Request.GET_CAPABILITIES : Request.SUBMIT, 0));
      expect((await guest.send(queue, long)).status).toBe("REQUEST_TOO_LARGE");
      expect((await guest.send(queue, long.subarray(0, most))).status).not.toBe(
        "REQUEST_TOO_LARGE",
      );
    }
  });

  it("VGPU-DEV-17, 18: a response that does not fit is refused, without payload", async () => {
    const guest = await initialised();
    const fits = 32 + CapabilitiesResponse.bytes;
    const none = new Uint8Array(0);
    ok(await guest.call(Request.GET_CAPABILITIES, 0, none, fits));
    const short = await guest.call(Request.GET_CAPABILITIES, 0, none, fits - 1);
    expect(short.status).toBe("RESPONSE_TOO_SMALL");
    expect(short.header?.payload_bytes).toBe(0);
    expect(short.written).toBe(32);
  });

  it("VGPU-DEV-19: reserved fields of what the device writes are zero", async () => {
    const guest = await initialised();
    const { payload } = ok(await guest.call(Request.GET_CAPABILITIES));
    expect(CapabilitiesResponse.reservedZero(viewOf(payload), 0)).toBe(true);
    const context = await guest.createContext(0);
    const page = guest.driver.memory.dataView(context.timeline);
    expect(TimelineHeader.reservedZero(page, 0)).toBe(true);
  });

  it("VGPU-DEV-20: an error names the value and the limit", async () => {
    const guest = await initialised();
    const { header } = await guest.tryCreateContext(1 << 20, { timeline: 0, arm: 4096 });
    const config = Config.decode(viewOf(await configSpace(guest)), 0);
    expect(header).toMatchObject({ value: 1n << 20n, limit: BigInt(config.contexts_max) });
  });

  it("VGPU-DEV-22: sizes of 2^53 and more are refused, not rounded", async () => {
    const guest = await initialised();
    await guest.createContext(1);
    for (const bytes of [1n << 53n, (1n << 53n) + 1n, (1n << 64n) - 1n]) {
      const payload = structBytes(MemoryAllocRequest, { bytes, flags: 0n });
      const { status } = await guest.call(Request.MEMORY_ALLOC, 1, payload);
      expect(status).toBe("ALLOCATION_TOO_LARGE");
    }
  });
});

describe("contexts", () => {
  it("VGPU-DEV-23, 24: an id is below the limit and not in use", async () => {
    const guest = await initialised({ regions: [{ guestAddress: 0, bytes: 64 << 20 }] });
    const max = Config.decode(viewOf(await configSpace(guest)), 0).contexts_max;
    const { timeline, arm } = guest.pages();
    const at = { timeline: timeline.address, arm: arm.address };
    expect((await guest.tryCreateContext(max, at)).status).toBe("CONTEXT_LIMIT");
    ok(await guest.tryCreateContext(max - 1, at));
    expect((await guest.tryCreateContext(max - 1, at)).status).toBe("CONTEXT_EXISTS");
    ok(await guest.call(Request.CONTEXT_DESTROY, max - 1));
    ok(await guest.tryCreateContext(max - 1, at));
  });

  it("VGPU-DEV-25, 26, 27: pages are aligned, different and guest memory", async () => {
    const guest = await initialised();
    const pages = guest.pages();
    const [timeline, arm] = [pages.timeline.address, pages.arm.address];
    const create = async (at: { timeline: number | bigint; arm: number | bigint }) =>
      (await guest.tryCreateContext(1, at)).status;
    expect(await create({ timeline: timeline + 64, arm })).toBe("MISALIGNED");
    expect(await create({ timeline, arm: arm + 64 })).toBe("MISALIGNED");
    expect(await create({ timeline, arm: timeline })).toBe("MALFORMED");
    expect(await create({ timeline: 1n << 40n, arm })).toBe("GUEST_ADDRESS");
    expect(await create({ timeline, arm: (1n << 64n) - 4096n })).toBe("GUEST_ADDRESS");
    expect(await create({ timeline, arm })).toBe("OK");
  });

  it("VGPU-DEV-28: the timeline page is written before the answer", async () => {
    const guest = await initialised();
    const { epoch } = InitResponse.decode(viewOf(ok(await guest.init()).payload), 0);
    const pages = guest.pages();
    guest.driver.memory.viewOf(pages.timeline).fill(0xaa);
    const at = { timeline: pages.timeline.address, arm: pages.arm.address };
    ok(await guest.tryCreateContext(0, at));
    const page = guest.driver.memory.read(pages.timeline.address, 4096);
    expect(TimelineHeader.decode(viewOf(page), 0)).toMatchObject({
      magic: VGPU.TIMELINE_MAGIC,
      epoch,
      context_status: 0,
    });
    const slots = page.subarray(
      VGPU.TIMELINE_HEADER_BYTES,
      VGPU.TIMELINE_HEADER_BYTES + VGPU.STREAMS_MAX * VGPU.TIMELINE_SLOT_BYTES,
    );
    expect(slots.every((byte) => byte === 0)).toBe(true);
  });

  it("VGPU-DEV-29: requests of an unknown context are refused", async () => {
    const guest = await initialised();
    for (const { name, queue, bytes } of valid) {
      const shape = requestShapes.get(bytes[0] ?? 0);
      if (shape?.scope !== "context") continue;
      expect((await guest.send(queue, bytes)).status, name).toBe("CONTEXT_UNKNOWN");
    }
  });

  it("VGPU-DEV-30: no page is written after CONTEXT_DESTROY was answered", async () => {
    const guest = await initialised();
    const context = await guest.createContext(1);
    await guest.run(context, 0, (commands) => commands.nop());
    ok(await guest.call(Request.CONTEXT_DESTROY, 1));
    guest.driver.memory.viewOf(context.timeline).fill(0x77);
    ok(await guest.call(Request.GET_CAPABILITIES));
    await guest.createContext(1);
    const page = guest.driver.memory.viewOf(context.timeline);
    expect(page.every((byte) => byte === 0x77)).toBe(true);
  });
});

describe("the golden vectors", () => {
  it("that are invalid are refused over the rings with their status", async () => {
    const guest = await initialised();
    expect(invalid.length).toBeGreaterThan(100);
    for (const { name, queue, bytes, status } of invalid)
      expect((await guest.send(queue, bytes)).status, name).toBe(status);
  });
});
