// SPDX-License-Identifier: Apache-2.0
/** Errors of commands: they stick, they stay in their context, and queries tell of them. */
import {
  ErrorQueryResponse,
  Request,
  StatisticsResponse,
  statusName,
} from "../../protocol/generated/wire.js";
import { Commands } from "../driver/commands.js";
import type { Context } from "../driver/device.js";
import { check, equal, oneOf, pattern, sameBytes } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";
import { EMPTY } from "./modules.js";

async function fresh(t: TestContext): Promise<Context> {
  return (await t.device()).createContext();
}

/** A command that makes a context fail with POINTER_INVALID. */
const bad = (): Commands => new Commands().fill(4096n, 16, 0);

async function firstError(context: Context): Promise<ErrorQueryResponse> {
  return ErrorQueryResponse.decode(await context.ask(Request.ERROR_QUERY), 0);
}

const sticky = group("error/sticky", "The first error of a context stays, and stops it.");

sticky
  .test("rest-of-the-submit")
  .desc("Commands behind one that fails are not executed.")
  .dev(95)
  .needs("results")
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const pointer = await context.alloc(256);
    const buffer = device.frontEnd.memory.allocate(256);
    const hostmem = await context.register(buffer);
    buffer.bytes.fill(0x33);
    const commands = bad().copyFromDevice(pointer, hostmem, 0, 256);
    equal(await context.run(commands), "POINTER_INVALID", "the status");
    await t.pause(5);
    equal(buffer.bytes[0] ?? 0, 0x33, "the byte that the copy would have written");
  });

sticky
  .test("other-streams")
  .desc("Other streams of the context execute nothing more, and complete with the error.")
  .dev(95, 96)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const pointer = await context.alloc(256);
    const buffer = device.frontEnd.memory.allocate(256);
    const hostmem = await context.register(buffer);
    const held = await context.queue(
      1,
      new Commands().wait(1, 1).copyFromDevice(pointer, hostmem, 0, 256),
    );
    buffer.bytes.fill(0x33);
    equal(await context.run(bad()), "POINTER_INVALID", "the status of the stream that failed");
    equal(await context.wait(1, held), "POINTER_INVALID", "the status of the stream that waited");
    equal(buffer.bytes[0] ?? 0, 0x33, "the byte that the copy would have written");
  });

sticky
  .test("fences-in-order")
  .desc("Fences of all submits that were queued complete, in order, with the first error.")
  .dev(96)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.queue(0, new Commands().wait(1, 1).fill(4096n, 16, 0));
    for (let index = 0; index < 10; index++) await context.queue(0, new Commands().nop());
    await context.queue(1, new Commands().record(1, 1));
    let before = 0n;
    while (context.done(0) < 11n) {
      const now = context.done(0);
      check(now >= before, "fences complete in order");
      before = now;
      await new Promise((resolve) => setImmediate(resolve));
    }
    equal(statusName(context.slot(0).status), "POINTER_INVALID", "the status in the slot");
  });

sticky
  .test("later-submits")
  .desc("Submits that come after the failure are refused, and complete with its error.")
  .dev(96, 132)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.run(bad());
    for (const stream of [0, 1]) {
      const { response, fence } = await context.submit(stream, new Commands().nop());
      equal(response.status, "CONTEXT_FAILED", "the status of the response");
      equal(await context.wait(stream, fence), "POINTER_INVALID", `the status of stream ${stream}`);
    }
  });

sticky
  .test("first-is-kept")
  .desc("A second error of another kind does not replace the first.")
  .dev(97, 98)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.run(bad(), 3);
    await context.submit(4, new Commands().raw(1000));
    await context.submit(5, new Commands().launch({ function: 77 }));
    const error = await firstError(context);
    equal(statusName(error.status), "POINTER_INVALID", "the status of the error");
    equal(error.stream, 3, "its stream");
    const head = context.head();
    equal(statusName(head.context_status), "POINTER_INVALID", "context_status");
    equal(head.error_stream, 3, "error_stream");
  });

sticky
  .test("query")
  .desc("ERROR_QUERY tells status, stream, fence, value, limit and a text.")
  .dev(98)
  .fn(async (t) => {
    const context = await fresh(t);
    equal((await firstError(context)).status, 0, "the status before");
    await context.succeed(new Commands().nop(), 7);
    const pointer = await context.alloc(4096);
    await context.run(new Commands().fill(pointer, 4097, 0), 7);
    const error = await firstError(context);
    equal(statusName(error.status), "OUT_OF_RANGE", "the status");
    equal(error.stream, 7, "the stream");
    equal(error.fence, 2n, "the fence");
    check(error.text.length > 0, "there is a text");
    check(!error.text.includes("\n"), "the text is one line");
  });

sticky
  .test("destroy-clears")
  .desc("A context that is made again after CONTEXT_DESTROY has no error.")
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext(1);
    await context.run(bad());
    await context.destroy();
    const again = await device.createContext(1);
    equal((await firstError(again)).status, 0, "the status of the error");
    await again.succeed(new Commands().nop());
  });

sticky
  .test("alloc")
  .desc("A failed context gives no new memory, and lets go of what it has.")
  .fn(async (t) => {
    const context = await fresh(t);
    await context.alloc(4096);
    await context.run(bad());
    oneOf((await context.allocRaw(4096)).status, ["CONTEXT_FAILED", "OK"], "the status");
    await context.destroy();
  });

// ---- Others -------------------------------------------------------------------------------------

const others = group("error/others", "An error in one context changes nothing in another.");

others
  .test("go-on")
  .desc("While twenty contexts fail, another one computes and is right.")
  .dev(99)
  .fn(async (t) => {
    const device = await t.device();
    const good = await device.createContext(0);
    const pointer = await good.alloc(4096);
    await good.write(pointer, pattern(4096, 12));
    for (let id = 1; id <= 20; id++) {
      const failing = await device.createContext(id);
      const fence = await good.queue(0, new Commands().copyDevice(pointer, pointer, 4096));
      await failing.queue(0, id % 2 === 0 ? bad() : new Commands().launch({ function: id }));
      await failing.submit(1, new Commands().raw(9999));
      equal(await good.wait(0, fence), "OK", "the status of the good context");
    }
    equal((await firstError(good)).status, 0, "the error of the good context");
    if (t.environment.results)
      sameBytes(await good.read(pointer, 4096), pattern(4096, 12), "its memory");
  });

// ---- Queries ------------------------------------------------------------------------------------

const queries = group("query", "Queries are answered at once, whatever the context does.");

const QUERIES = [
  { name: "MEMORY_INFO", type: Request.MEMORY_INFO, bytes: 0 },
  { name: "MODULE_QUERY", type: Request.MODULE_QUERY, bytes: 8 },
  { name: "FUNCTION_QUERY", type: Request.FUNCTION_QUERY, bytes: 8 },
  { name: "EVENT_QUERY", type: Request.EVENT_QUERY, bytes: 8 },
  { name: "ERROR_QUERY", type: Request.ERROR_QUERY, bytes: 0 },
  { name: "STATISTICS", type: Request.STATISTICS, bytes: 0 },
] as const;

queries
  .test("failed-context")
  .desc("A context that has failed is still told about.")
  .dev(91)
  .params(QUERIES)
  .fn(async (t, { type, bytes }) => {
    const context = await fresh(t);
    await context.run(bad());
    equal((await context.call(type, new Uint8Array(bytes))).status, "OK", "the status");
  });

queries
  .test("while-waiting")
  .desc("A query waits for no command.")
  .params(QUERIES)
  .fn(async (t, { type, bytes }) => {
    const context = await fresh(t);
    for (let stream = 0; stream < 4; stream++)
      await context.queue(stream, new Commands().wait(stream, 1).nop());
    equal((await context.call(type, new Uint8Array(bytes))).status, "OK", "the status");
  });

queries
  .test("handle-limit")
  .desc("A handle that is not below the limit is refused.")
  .dev(137)
  .params([
    { name: "module", type: Request.MODULE_QUERY, limit: "modules_max" as const },
    { name: "function", type: Request.FUNCTION_QUERY, limit: "functions_max" as const },
    { name: "event", type: Request.EVENT_QUERY, limit: "events_max" as const },
  ])
  .fn(async (t, { type, limit }) => {
    const context = await fresh(t);
    const most = t.limits[limit];
    const ask = async (handle: number): Promise<string> => {
      const payload = new Uint8Array(8);
      new DataView(payload.buffer).setUint32(0, handle, true);
      return (await context.call(type, payload)).status;
    };
    equal(await ask(most - 1), "OK", "the last handle");
    equal(await ask(most), "HANDLE_LIMIT", "the one behind");
    equal(await ask(0xffff_ffff), "HANDLE_LIMIT", "the largest");
  });

queries
  .test("statistics")
  .desc("STATISTICS counts what the context did, and nothing of others.")
  .dev(92)
  .fn(async (t) => {
    const device = await t.device();
    const [busy, idle] = [await device.createContext(1), await device.createContext(2)];
    const pointer = await busy.alloc(8192);
    await busy.write(pointer, pattern(5000));
    await busy.read(pointer, 3000);
    await busy.succeed(
      new Commands().moduleLoad(1, EMPTY).functionCreate(1, 1, "main").launch({ function: 1 }),
    );
    const of = async (context: Context): Promise<StatisticsResponse> =>
      StatisticsResponse.decode(await context.ask(Request.STATISTICS), 0);
    const counted = await of(busy);
    equal(counted.bytes_to_device, 5000n, "bytes_to_device");
    equal(counted.bytes_from_device, 3000n, "bytes_from_device");
    equal(counted.launches, 1n, "launches");
    const none = await of(idle);
    const sum = none.launches + none.copies + none.bytes_to_device + none.bytes_from_device;
    equal(sum + none.gpu_time_ns, 0n, "what is counted for the other context");
  });
