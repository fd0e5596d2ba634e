// SPDX-License-Identifier: Apache-2.0
/** Both ring formats: chains of any shape, wrap-around, notifications, order. */
import { Request, VGPU } from "../../protocol/generated/wire.js";
import { type Device, request, responseOf, succeeded } from "../driver/device.js";
import type { FrontEndOptions } from "../driver/front-end.js";
import { Feature, USUAL_FEATURES } from "../driver/front-end.js";
import { check, equal, pattern, sameBytes } from "../framework/check.js";
import { group, type Need } from "../framework/registry.js";

const source = "virtio";

interface Format {
  readonly name: string;
  readonly needs: readonly Need[];
  readonly options: FrontEndOptions;
}

/** Each ring test runs with each of these. */
export const FORMATS: readonly Format[] = [
  { name: "split", needs: [], options: {} },
  {
    name: "split-no-event-idx",
    needs: [],
    options: { features: USUAL_FEATURES & ~Feature.eventIndex },
  },
  { name: "packed", needs: ["packed"], options: { packed: true } },
  {
    name: "packed-no-event-idx",
    needs: ["packed"],
    options: { packed: true, features: (USUAL_FEATURES | Feature.packed) & ~Feature.eventIndex },
  },
];

const capabilities = (): Uint8Array => request(Request.GET_CAPABILITIES, 0);
const ANSWER = 32 + 256;

// ---- Chains -------------------------------------------------------------------------------------

const chains = group(
  "ring/chain",
  "Requests and responses may be cut into descriptors anywhere, direct or indirect.",
  { source },
);

chains
  .test("request-cut")
  .desc("A request in two descriptors, cut at every byte, is answered like one in one piece.")
  .dev(11)
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device(options);
    const bytes = capabilities();
    const whole = await device.send(bytes);
    for (let cut = 1; cut < bytes.length; cut++) {
      const parts = await device.send([bytes.subarray(0, cut), bytes.subarray(cut)]);
      sameBytes(parts.payload, whole.payload, "the response");
    }
  });

chains
  .test("response-cut")
  .desc("A response is written across two buffers, cut at any place.")
  .dev(11)
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device(options);
    const { memory } = device.frontEnd;
    const { payload } = await device.send(capabilities());
    for (const cut of [1, 31, 32, 33, 100, ANSWER - 1]) {
      const bytes = memory.place(capabilities());
      const [first, second] = [memory.allocate(cut), memory.allocate(ANSWER - cut)];
      const written = await device.frontEnd.complete(0, [
        { address: bytes.address, length: bytes.bytes.length },
        { address: first.address, length: cut, write: true },
        { address: second.address, length: ANSWER - cut, write: true },
      ]);
      const joined = new Uint8Array(ANSWER);
      joined.set(first.bytes);
      joined.set(second.bytes, cut);
      sameBytes(responseOf(joined, written).payload, payload, `the response cut at ${cut}`);
    }
  });

chains
  .test("bytewise")
  .desc("A chain of one-byte descriptors, as long as the ring, is a request as any other.")
  .dev(11)
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device({ ...options, queueSize: 64 });
    const bytes = capabilities();
    const parts = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
    succeeded(await device.send(parts), "a request in 16 descriptors");
  });

chains
  .test("indirect")
  .desc("Chains in indirect tables, up to as many descriptors as the ring has, are answered.")
  .needs("indirect")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device({ ...options, queueSize: 8 });
    const bytes = capabilities();
    const parts = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
    const seven = parts.slice(0, 6).concat(bytes.subarray(6));
    for (let round = 0; round < 10; round++)
      succeeded(await device.send(seven, { indirect: true }), "a request in an indirect table");
  });

chains
  .test("used-length")
  .desc("The used length is what was written, not the room.")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device(options);
    for (const room of [ANSWER, ANSWER + 1, 4096])
      equal((await device.send(capabilities(), { room })).written, ANSWER, "the used length");
    equal((await device.call(Request.CONTEXT_DESTROY, 1)).written, 32, "that of an error");
  });

chains
  .test("not-beyond")
  .desc("Memory behind the writable buffers, and that of the request, is not written.")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device(options);
    const { memory } = device.frontEnd;
    const around = memory.allocate(4096, 4096);
    around.bytes.set(pattern(4096));
    const bytes = memory.place(capabilities());
    const written = await device.frontEnd.complete(0, [
      { address: bytes.address, length: bytes.bytes.length },
      { address: around.address + 1001, length: 40, write: true },
    ]);
    check(written <= 40, "no more is written than fits");
    const expected = pattern(4096);
    sameBytes(around.bytes.slice(0, 1001), expected.slice(0, 1001), "the memory before");
    sameBytes(around.bytes.slice(1041), expected.slice(1041), "the memory behind");
    sameBytes(bytes.bytes.slice(), capabilities(), "the request");
  });

// ---- Going round --------------------------------------------------------------------------------

const round = group("ring/round", "Rings go round, and indices wrap.", { source });

round
  .test("many")
  .desc("Five hundred requests through a ring of four entries.")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device({ ...options, queueSize: 4 });
    for (let index = 0; index < 500; index++)
      equal((await device.call(Request.CONTEXT_DESTROY, 1)).status, "CONTEXT_UNKNOWN", "a status");
  });

round
  .test("index-wraps")
  .desc("A split ring whose indices begin at 65530 passes 65535 like any other number.")
  .params(FORMATS.filter(({ name }) => name.startsWith("split")))
  .fn(async (t, { options }) => {
    const device = await t.device({ ...options, base: 65530 });
    for (let index = 0; index < 20; index++) await device.capabilities();
    equal(
      await device.frontEnd.stopQueue(0),
      (65530 + 21) & 0xffff,
      "the base of the control queue",
    );
  });

round
  .test("stop-anywhere")
  .desc("A ring that is stopped at each of its places goes on where it was.")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device({ ...options, queueSize: 4 });
    for (let index = 0; index < 10; index++) {
      await device.capabilities();
      const base = await device.frontEnd.stopQueue(0);
      equal(base, device.frontEnd.ring(0).base, `the base after ${index + 2} requests`);
      await device.frontEnd.startQueue(0, base);
    }
  });

round
  .test("full")
  .desc("A whole ring of requests that becomes visible at once is given back, each one once.")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device({ ...options, queueSize: 64 });
    const ids = await fill(device, 32);
    equal(new Set(ids).size, 32, "the number of different chains");
    for (const id of ids) equal(await device.frontEnd.returned(0, id), ANSWER, "a used length");
    equal(device.frontEnd.ring(0).free, 64, "the number of free descriptors");
  });

round
  .test("in-order")
  .desc("With IN_ORDER, chains come back in the order in which they were made available.")
  .needs("in-order")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const features = (options.features ?? USUAL_FEATURES | Feature.packed) | Feature.inOrder;
    const device = await t.device({
      ...options,
      queueSize: 64,
      features: options.packed === true ? features : features & ~Feature.packed,
    });
    const ids = await fill(device, 32);
    while (device.frontEnd.collect(0).size < ids.length) await t.pause(1);
    equal([...device.frontEnd.collect(0).keys()].join(), ids.join(), "the order of the chains");
  });

/** Makes `count` requests visible at once; their ids. */
async function fill(device: Device, count: number): Promise<number[]> {
  const { frontEnd } = device;
  const ids: number[] = [];
  for (let index = 0; index < count; index++) {
    const bytes = frontEnd.memory.place(capabilities());
    const room = frontEnd.memory.allocate(ANSWER);
    ids.push(
      frontEnd.ring(0).add([
        { address: bytes.address, length: bytes.bytes.length },
        { address: room.address, length: ANSWER, write: true },
      ]),
    );
  }
  frontEnd.publish(0);
  return ids;
}

// ---- Notifications ------------------------------------------------------------------------------

const notify = group("ring/notify", "Calls come when they are asked for.", { source });

notify
  .test("call")
  .desc("A driver that asks for a call gets one with the chain.")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device(options);
    const { frontEnd } = device;
    const { calls } = frontEnd.counts(0);
    check(!frontEnd.ring(0).wantCall(), "the ring is empty");
    const [id] = await fill(device, 1);
    // A call for the chain before may still be on its way: it alone is not enough.
    const { wire } = frontEnd;
    await wire.until(() => frontEnd.counts(0).calls > calls && frontEnd.collect(0).has(id ?? -1));
  });

notify
  .test("no-call")
  .desc("A driver that asks for none gets at most one, since asking is a hint in older formats.")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device(options);
    const { frontEnd } = device;
    const ring = frontEnd.ring(0);
    ring.noCall();
    const { calls } = frontEnd.counts(0);
    for (let index = 0; index < 20; index++) {
      const [id] = await fill(device, 1);
      while (!frontEnd.collect(0).has(id ?? -1)) await t.pause(1);
    }
    const more = frontEnd.counts(0).calls - calls;
    check(more <= 1, `calls that nobody asks for do not come (${more} came)`);
  });

notify
  .test("kick-only-when-asked")
  .desc("A driver that kicks only when the device asks for it is never forgotten.")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const device = await t.device(options);
    for (let index = 0; index < 200; index++) {
      await device.capabilities();
      if (index % 20 === 0) await t.pause(2);
    }
  });

notify
  .test("spurious-kick")
  .desc("Kicks without chains do nothing.")
  .fn(async (t) => {
    const device = await t.device();
    for (const index of [0, 1, 2])
      for (let times = 0; times < 10; times++) device.frontEnd.kick(index);
    await device.capabilities();
  });

// ---- Other queues -------------------------------------------------------------------------------

const queues = group("ring/queues", "The three queues work side by side.", { source });

queues
  .test("all")
  .desc("A context computes over the packed and the split ring alike: control, submit, event.")
  .params(FORMATS)
  .fn(async (t, { options }) => {
    const { Commands } = await import("../driver/commands.js");
    const device = await t.device(options);
    const context = await device.createContext();
    const buffer = device.frontEnd.memory.allocate(32);
    const id = device.frontEnd
      .ring(VGPU.QUEUE_EVENT)
      .add([{ address: buffer.address, length: 32, write: true }]);
    device.frontEnd.publish(VGPU.QUEUE_EVENT);
    check(!context.armFence(0, 1n), "the fence has not completed before the submit");
    await context.queue(0, new Commands().nop());
    equal(await device.frontEnd.returned(VGPU.QUEUE_EVENT, id), 32, "the event's used length");
    equal(context.done(0), 1n, "the fence when the event comes");
  });
