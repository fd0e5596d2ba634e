// SPDX-License-Identifier: Apache-2.0
/** Streams and events: order within, independence between, and what events order. */
import {
  EventQueryRequest,
  EventQueryResponse,
  ObjectState,
  Request,
  VGPU,
} from "../../protocol/generated/wire.js";
import { Commands, struct } from "../driver/commands.js";
import type { Context } from "../driver/device.js";
import { words } from "../driver/wire.js";
import { check, equal, oneOf, sameBytes } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";
import { EMPTY } from "./modules.js";

async function fresh(t: TestContext): Promise<Context> {
  return (await t.device()).createContext();
}

async function eventState(context: Context, event: number): Promise<EventQueryResponse> {
  const view = await context.ask(Request.EVENT_QUERY, struct(EventQueryRequest, { event }));
  check(EventQueryResponse.reservedZero(view, 0), "the reserved word of the answer is zero");
  return EventQueryResponse.decode(view, 0);
}

const streams = group("stream/order", "Streams execute in order, and beside each other.");

streams
  .test("waiting-holds-no-other")
  .desc("While one stream waits for an event, every other stream goes on.")
  .dev(64)
  .fn(async (t) => {
    const context = await fresh(t);
    const held = await context.queue(0, new Commands().wait(1, 1));
    for (let stream = 1; stream < t.limits.streams_max; stream++)
      await context.succeed(new Commands().nop(), stream);
    equal(context.done(0), 0n, "the fence of the stream that waits");
    await context.succeed(new Commands().record(1, 1), 1);
    equal(await context.wait(0, held), "OK", "its status at last");
  });

streams
  .test("compiling-holds-no-other")
  .desc("While one stream waits for a module, others go on.")
  .dev(64)
  .fn(async (t) => {
    const context = await fresh(t);
    const commands = new Commands();
    for (let index = 1; index <= 8; index++) {
      const body = `${"x = x * 3u + 1u; ".repeat(10 * index)}`;
      const code = `@group(0) @binding(0) var<storage, read_write> d: array<u32>;
@compute @workgroup_size(1) fn main() { var x = d[0]; ${body} d[0] = x; }`;
      commands.moduleLoad(index, code).functionCreate(index, index, "main");
    }
    const pointer = await context.alloc(256);
    for (let index = 1; index <= 8; index++) commands.launch({ function: index, args: [pointer] });
    const fence = await context.queue(0, commands);
    await context.succeed(new Commands().nop(), 1);
    equal(await context.wait(0, fence), "OK", "the status of what was compiled");
  });

streams
  .test("order-of-submits")
  .desc("Fences of a stream complete in order; a later submit is never done before an earlier one.")
  .dev(63)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.queue(0, new Commands().wait(1, 1));
    for (let index = 0; index < 5; index++) await context.queue(0, new Commands().nop());
    await t.pause(5);
    equal(context.done(0), 0n, "the fence while the first submit waits");
    await context.succeed(new Commands().record(1, 1), 1);
    equal(await context.wait(0, 6n), "OK", "the status of the last");
  });

streams
  .test("within-a-submit")
  .desc("Commands of one submit take effect one after the other.")
  .dev(63)
  .needs("results")
  .fn(async (t) => {
    const context = await fresh(t);
    const pointer = await context.alloc(256);
    await context.succeed(
      new Commands()
        .fill(pointer, 16, 1, 4)
        .writeInline(pointer + 4n, words(2))
        .copyDevice(pointer + 8n, pointer + 4n, 4)
        .fill(pointer + 4n, 4, 3, 4),
    );
    sameBytes(await context.read(pointer, 16), words(1, 3, 2, 1), "device memory");
  });

// ---- Events -------------------------------------------------------------------------------------

const events = group("stream/event", "EVENT_RECORD, EVENT_WAIT and EVENT_DESTROY.");

events
  .test("states")
  .desc("ABSENT before the first record, PENDING until it completes, then READY.")
  .fn(async (t) => {
    const context = await fresh(t);
    equal((await eventState(context, 1)).state, ObjectState.ABSENT, "the state before");
    await context.succeed(new Commands().record(1, 5));
    const answer = await eventState(context, 1);
    equal(answer.state, ObjectState.READY, "the state afterwards");
    equal(answer.generation, 5n, "the generation");
    await context.succeed(new Commands().eventDestroy(1));
    equal((await eventState(context, 1)).state, ObjectState.ABSENT, "the state at last");
  });

events
  .test("held-record")
  .desc("A record behind a wait has not completed.")
  .dev(87)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.queue(0, new Commands().wait(1, 1).record(2, 1));
    const waiting = await context.queue(1, new Commands().wait(2, 1));
    oneOf(
      (await eventState(context, 2)).state,
      [ObjectState.ABSENT, ObjectState.PENDING],
      "the state of the event",
    );
    equal(context.done(1), 0n, "the fence of who waits for it");
    await context.succeed(new Commands().record(1, 1), 2);
    equal(await context.wait(1, waiting), "OK", "the status at last");
    equal(context.done(0), 1n, "the fence of the record");
  });

events
  .test("record-first")
  .desc("A wait for a record that has completed goes on at once.")
  .fn(async (t) => {
    const context = await fresh(t);
    await context.succeed(new Commands().record(1, 1));
    await context.succeed(new Commands().wait(1, 1), 1);
  });

events
  .test("wait-first")
  .desc("A wait may come before the record, on an event that does not exist yet.")
  .fn(async (t) => {
    const context = await fresh(t);
    const fence = await context.queue(0, new Commands().wait(9, 3));
    await context.succeed(new Commands().record(9, 2), 1);
    await t.pause(5);
    equal(context.done(0), 0n, "the fence after an earlier generation");
    await context.succeed(new Commands().record(9, 4), 1);
    equal(await context.wait(0, fence), "OK", "the status after a later generation");
  });

events
  .test("generation-order")
  .desc("A generation that is not above the last one makes the context fail.")
  .dev(85)
  .params([
    { name: "same", second: 5 },
    { name: "lower", second: 4 },
    { name: "higher", second: 6 },
  ])
  .fn(async (t, { second }) => {
    const context = await fresh(t);
    await context.succeed(new Commands().record(1, 5));
    const status = await context.run(new Commands().record(1, second));
    equal(status, second > 5 ? "OK" : "FENCE_ORDER", "the status");
  });

events
  .test("generation-0")
  .desc("Generation 0 is refused.")
  .dev(86)
  .params([
    { name: "record", make: () => new Commands().record(1, 0) },
    { name: "wait", make: () => new Commands().wait(1, 0) },
  ])
  .fn(async (t, { make }) => {
    const { response } = await (await fresh(t)).submit(0, make());
    equal(response.status, "OUT_OF_RANGE", "the status");
  });

events
  .test("generation-large")
  .desc("Generations up to 2^53 − 1 are accepted, 2^53 is refused.")
  .dev(22)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.succeed(new Commands().record(1, (1n << 53n) - 1n));
    const { response } = await context.submit(0, new Commands().record(2, 1n << 53n));
    equal(response.status, "OUT_OF_RANGE", "the status");
  });

events
  .test("time-order")
  .desc("A record's time is never before that of an earlier one of its stream, timed or not.")
  .dev(143)
  .params([
    { name: "timed", flags: [VGPU.EVENT_TIMED, VGPU.EVENT_TIMED, VGPU.EVENT_TIMED] },
    { name: "untimed", flags: [0, 0, 0] },
    { name: "mixed", flags: [0, VGPU.EVENT_TIMED, 0] },
  ])
  .fn(async (t, { flags }) => {
    const context = await fresh(t);
    const pointer = await context.alloc(4096);
    const work = new Commands();
    for (const [event, each] of flags.entries())
      work.fill(pointer, 4096, event, 4).record(event + 1, 1, each);
    await context.succeed(work);
    let last = 0n;
    for (const event of flags.keys()) {
      const answer = await eventState(context, event + 1);
      equal(answer.state, ObjectState.READY, `the state of event ${event + 1}`);
      check(answer.time_ns >= last, `event ${event + 1} is not before the one recorded before it`);
      last = answer.time_ns;
    }
  });

events
  .test("flags")
  .desc("Flags that are not known are refused.")
  .dev(14)
  .params([
    { name: "timed", flags: VGPU.EVENT_TIMED, status: "OK" },
    { name: "unknown", flags: 2, status: "RESERVED_NONZERO" },
    { name: "both", flags: 3, status: "RESERVED_NONZERO" },
  ])
  .fn(async (t, { flags, status }) => {
    const { response } = await (await fresh(t)).submit(0, new Commands().record(1, 1, flags));
    equal(response.status, status, "the status");
  });

events
  .test("handles")
  .desc("The last handle, the one behind, and an event that does not exist.")
  .dev(88, 90)
  .params([
    { name: "last", make: (most: number) => new Commands().record(most - 1, 1), status: "OK" },
    {
      name: "limit",
      make: (most: number) => new Commands().record(most, 1),
      status: "HANDLE_LIMIT",
    },
    {
      name: "wait-limit",
      make: (most: number) => new Commands().wait(most, 1),
      status: "HANDLE_LIMIT",
    },
    {
      name: "destroy-unknown",
      make: () => new Commands().eventDestroy(1),
      status: "HANDLE_UNKNOWN",
    },
  ])
  .fn(async (t, { make, status }) => {
    const context = await fresh(t);
    equal(await context.run(make(t.limits.events_max)), status, "the status");
  });

events
  .test("destroyed-while-waited-for")
  .desc("A wait for a record that was made before EVENT_DESTROY is met.")
  .fn(async (t) => {
    const context = await fresh(t);
    const fence = await context.queue(0, new Commands().wait(1, 1));
    await context.succeed(new Commands().record(1, 1).eventDestroy(1), 1);
    equal(await context.wait(0, fence), "OK", "the status of who waits");
  });

events
  .test("orders-data")
  .desc("What is behind a wait sees what was before the record, two hundred times.")
  .dev(87)
  .needs("results")
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const [source, target] = [await context.alloc(65536), await context.alloc(65536)];
    const buffer = device.frontEnd.memory.allocate(65536);
    const hostmem = await context.register(buffer);
    for (let round = 1; round <= 200; round++) {
      const value = round & 0xff;
      // The copy waits for the fill; the next fill waits for the copy.
      await context.queue(
        1,
        new Commands().wait(1, round).copyDevice(target, source, 65536).record(2, round),
      );
      const fill = new Commands();
      if (round > 1) fill.wait(2, round - 1);
      await context.queue(0, fill.fill(source, 65536, value).record(1, round));
      if (round % 50 !== 0) continue;
      const read = new Commands().wait(2, round).copyFromDevice(target, hostmem, 0, 65536);
      equal(await context.run(read, 2), "OK", "the status of the copy to the host");
      equal(buffer.bytes[0] ?? 0, value, `the first byte in round ${round}`);
      equal(buffer.bytes[65535] ?? 0, value, `the last byte in round ${round}`);
    }
  });

events
  .test("cycle")
  .desc("Streams that wait for each other stand still without harm, and end with their context.")
  .dev(64)
  .fn(async (t) => {
    const device = await t.device();
    const [stuck, other] = [await device.createContext(1), await device.createContext(2)];
    await stuck.queue(0, new Commands().wait(1, 1).record(2, 1));
    await stuck.queue(1, new Commands().wait(2, 1).record(1, 1));
    await other.succeed(new Commands().moduleLoad(1, EMPTY));
    await stuck.succeed(new Commands().nop(), 2);
    await stuck.destroy();
    await other.succeed(new Commands().nop());
  });
