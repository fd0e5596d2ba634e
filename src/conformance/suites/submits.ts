// SPDX-License-Identifier: Apache-2.0
/** SUBMIT: its form, whole refusal, fences of what is refused, order, and full queues. */
import { Command, Request, VGPU } from "../../protocol/generated/wire.js";
import { Commands } from "../driver/commands.js";
import { type Context, type Response, request } from "../driver/device.js";
import { concat, words } from "../driver/wire.js";
import { check, equal, oneOf } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";

const SUBMIT = { queue: VGPU.QUEUE_SUBMIT };

async function fresh(t: TestContext): Promise<Context> {
  return (await t.device()).createContext();
}

function sendRaw(context: Context, bytes: Uint8Array): Promise<Response> {
  return context.device.send(bytes, SUBMIT);
}

// ---- Form ---------------------------------------------------------------------------------------

const form = group("submit/form", "What makes a SUBMIT well-formed, on both sides of each limit.");

form
  .test("stream")
  .desc("The last stream is accepted, the number behind it is refused.")
  .dev(55)
  .fn(async (t) => {
    const context = await fresh(t);
    const most = t.limits.streams_max;
    const at = (stream: number): Promise<Response> =>
      sendRaw(context, context.submitBytes(stream, 1n, new Commands().nop()));
    equal((await at(most - 1)).status, "OK", "the last stream");
    equal((await at(most)).status, "STREAM_UNKNOWN", "the stream behind it");
    const other = await context.device.createContext(9);
    const bytes = other.submitBytes(0xffff_ffff, 1n, new Commands().nop());
    equal((await sendRaw(other, bytes)).status, "STREAM_UNKNOWN", "the largest number");
  });

form
  .test("fence-order")
  .desc("A fence of 0, the same fence again and a lower one are refused.")
  .dev(56)
  .params([
    { name: "zero", first: 5n, second: 0n },
    { name: "same", first: 5n, second: 5n },
    { name: "lower", first: 5n, second: 4n },
  ])
  .fn(async (t, { first, second }) => {
    const context = await fresh(t);
    const send = (fence: bigint): Promise<Response> =>
      sendRaw(context, context.submitBytes(0, fence, new Commands().nop()));
    equal((await send(first)).status, "OK", "the first fence");
    equal((await send(second)).status, "FENCE_ORDER", "the second");
    await context.wait(0, first);
    equal(context.done(0), first, "the fence in the slot");
  });

form
  .test("fence-of-other-streams")
  .desc("Fences are ordered within a stream, not between streams.")
  .dev(56)
  .fn(async (t) => {
    const context = await fresh(t);
    for (const [stream, fence] of [
      [0, 10n],
      [1, 1n],
      [2, 10n],
    ] as const) {
      const bytes = context.submitBytes(stream, fence, new Commands().nop());
      equal((await sendRaw(context, bytes)).status, "OK", `stream ${stream}`);
    }
  });

/** A command's header alone. */
function header(opcode: number, bytes: number, flags = 0): Uint8Array {
  return words(opcode | (flags << 16), bytes);
}

form
  .test("command-size")
  .desc("Sizes of commands, and the whole, are multiples of 8 and not below the header.")
  .dev(57)
  .params([
    { name: "0", commands: header(Command.NOP, 0) },
    { name: "4", commands: header(Command.NOP, 4) },
    { name: "9", commands: concat(header(Command.NOP, 9), new Uint8Array(8)) },
    { name: "12", commands: concat(header(Command.NOP, 12), new Uint8Array(8)) },
    { name: "whole-12", commands: concat(header(Command.NOP, 8), new Uint8Array(4)) },
  ])
  .fn(async (t, { commands }) => {
    const context = await fresh(t);
    const { status } = await sendRaw(context, context.submitBytes(0, 1n, commands));
    equal(status, "MISALIGNED", "the status");
  });

form
  .test("filled")
  .desc("The commands fill command_bytes exactly, and are as many as command_count says.")
  .dev(58)
  .params([
    { name: "control", commands: new Commands().nop().nop(), change: {}, status: "OK" },
    {
      name: "count-high",
      commands: new Commands().nop(),
      change: { command_count: 2 },
      status: "MALFORMED",
    },
    {
      name: "count-low",
      commands: new Commands().nop().nop(),
      change: { command_count: 1 },
      status: "MALFORMED",
    },
    {
      name: "count-huge",
      commands: new Commands().nop(),
      change: { command_count: 0xffff_ffff },
      status: "MALFORMED",
    },
    {
      name: "command-past-the-end",
      commands: new Commands().bytesAsTheyAre(header(Command.NOP, 16)),
      change: {},
      status: "MALFORMED",
    },
  ])
  .fn(async (t, { commands, change, status }) => {
    const context = await fresh(t);
    const bytes = context.submitBytes(0, 1n, commands, change);
    equal((await sendRaw(context, bytes)).status, status, "the status");
  });

form
  .test("command-bytes")
  .desc("command_bytes has to be what follows: less and more are refused.")
  .dev(15)
  .params([-8, 8].map((by) => ({ name: `${by}`, by })))
  .fn(async (t, { by }) => {
    const context = await fresh(t);
    const commands = new Commands().nop().nop();
    const command_bytes = commands.bytes.length + by;
    const bytes = context.submitBytes(0, 1n, commands, { command_bytes });
    equal((await sendRaw(context, bytes)).status, "MALFORMED", "the status");
  });

form
  .test("opcode")
  .desc("Unknown opcodes are refused.")
  .dev(59)
  .params([0, 15, 100, 0xffff].map((opcode) => ({ name: `${opcode}`, opcode })))
  .fn(async (t, { opcode }) => {
    const { response } = await (await fresh(t)).submit(0, new Commands().raw(opcode));
    equal(response.status, "UNKNOWN_COMMAND", "the status");
  });

form
  .test("flags")
  .desc("Flags of commands must be zero, each bit.")
  .dev(14)
  .fn(async (t) => {
    const device = await t.device();
    for (let bit = 0; bit < 16; bit++) {
      const context = await device.createContext(bit);
      const { response } = await context.submit(
        0,
        new Commands().raw(Command.NOP, new Uint8Array(0), 1 << bit),
      );
      equal(response.status, "RESERVED_NONZERO", `the status with bit ${bit}`);
      await context.destroy();
    }
  });

/** Payload sizes of commands without trailing data, and where their reserved words lie. */
const RESERVED: readonly {
  readonly name: string;
  readonly opcode: number;
  readonly payload: Uint8Array;
}[] = [
  { name: "MODULE_UNLOAD", opcode: Command.MODULE_UNLOAD, payload: words(1, 1) },
  {
    name: "FUNCTION_CREATE",
    opcode: Command.FUNCTION_CREATE,
    payload: concat(words(1, 1, 1, 1), new Uint8Array([0x61])),
  },
  { name: "FUNCTION_DESTROY", opcode: Command.FUNCTION_DESTROY, payload: words(1, 1) },
  { name: "COPY_TO_DEVICE", opcode: Command.COPY_TO_DEVICE, payload: words(0n, 1, 1, 0n, 0n) },
  { name: "COPY_FROM_DEVICE", opcode: Command.COPY_FROM_DEVICE, payload: words(0n, 1, 1, 0n, 0n) },
  { name: "WRITE_INLINE", opcode: Command.WRITE_INLINE, payload: words(0n, 0, 1) },
  { name: "LAUNCH", opcode: Command.LAUNCH, payload: words(1, 0, 1, 1, 1, 0, 0, 0, 0, 1) },
  { name: "EVENT_WAIT", opcode: Command.EVENT_WAIT, payload: words(1, 1, 1n) },
  { name: "EVENT_DESTROY", opcode: Command.EVENT_DESTROY, payload: words(1, 1) },
];

form
  .test("reserved")
  .desc("A reserved word of a command that is not zero is refused.")
  .dev(14)
  .params(RESERVED)
  .fn(async (t, { opcode, payload }) => {
    const { response } = await (await fresh(t)).submit(0, new Commands().raw(opcode, payload));
    equal(response.status, "RESERVED_NONZERO", "the status");
  });

form
  .test("padding")
  .desc("Padding behind trailing data must be zero.")
  .dev(14)
  .fn(async (t) => {
    const context = await fresh(t);
    const payload = concat(words(context.id, 0, 3, 0), new Uint8Array([0x61, 0x62, 0x63, 0, 1]));
    const { response } = await context.submit(
      0,
      new Commands().raw(Command.FUNCTION_CREATE, payload),
    );
    equal(response.status, "RESERVED_NONZERO", "the status");
  });

form
  .test("payload-size")
  .desc("A command with 8 bytes more or less than its payload is refused.")
  .dev(15, 54)
  .params(
    RESERVED.flatMap(({ name, opcode, payload }) =>
      [-8, 8].map((by) => ({
        name: `${name}${by < 0 ? "-short" : "-long"}`,
        opcode,
        payload: new Uint8Array(Math.floor(payload.length / 8) * 8 + by),
      })),
    ),
  )
  .fn(async (t, { opcode, payload }) => {
    const { response } = await (await fresh(t)).submit(0, new Commands().raw(opcode, payload));
    // Trailing lengths of 0 are wrong in themselves for names.
    oneOf(response.status, ["MALFORMED", "SIZE_ZERO"], "the status");
  });

form
  .test("not-utf-8")
  .desc("Code and names that are not UTF-8 are malformed.")
  .dev(54)
  .params([
    { name: "code", make: (bad: Uint8Array) => new Commands().moduleLoad(1, bad) },
    { name: "name", make: (bad: Uint8Array) => new Commands().functionCreate(1, 1, bad) },
  ])
  .fn(async (t, { make }) => {
    const { response } = await (await fresh(t)).submit(0, make(new Uint8Array([0xc3, 0x28])));
    equal(response.status, "MALFORMED", "the status");
  });

form
  .test("name-length")
  .desc("Names of 1 and 1024 bytes are accepted, of 0 and 1025 refused.")
  .dev(54)
  .params([
    { name: "0", bytes: 0, good: false },
    { name: "1", bytes: 1, good: true },
    { name: "1024", bytes: VGPU.NAME_BYTES_MAX, good: true },
    { name: "1025", bytes: VGPU.NAME_BYTES_MAX + 1, good: false },
  ])
  .fn(async (t, { bytes, good }) => {
    const context = await fresh(t);
    await context.succeed(new Commands().moduleLoad(1, "@compute @workgroup_size(1) fn f() {}"));
    const { response } = await context.submit(
      0,
      new Commands().functionCreate(1, 1, "f".repeat(bytes)),
    );
    equal(response.status === "OK", good, "whether it is accepted");
  });

// ---- Refusal ------------------------------------------------------------------------------------

const refusal = group("submit/refusal", "A SUBMIT is refused whole, and its context fails.");

refusal
  .test("whole")
  .desc("With one malformed command nothing of the submit is executed.")
  .dev(54)
  .needs("results")
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const pointer = await context.alloc(256);
    const buffer = device.frontEnd.memory.allocate(256);
    const hostmem = await context.register(buffer);
    await context.succeed(new Commands().fill(pointer, 256, 0x11));
    buffer.bytes.fill(0x22);
    const { response } = await context.submit(
      0,
      new Commands().copyFromDevice(pointer, hostmem, 0, 256).raw(1000),
    );
    equal(response.status, "UNKNOWN_COMMAND", "the status");
    await t.pause(5);
    equal(buffer.bytes[0] ?? 0, 0x22, "the first byte that the copy would have written");
  });

refusal
  .test("fails-the-context")
  .desc("The context fails with the status; the fence completes with it.")
  .dev(60, 61)
  .fn(async (t) => {
    const context = await fresh(t);
    const { response, fence } = await context.submit(3, new Commands().raw(1000));
    equal(response.status, "UNKNOWN_COMMAND", "the status of the response");
    equal(await context.wait(3, fence), "UNKNOWN_COMMAND", "the status in the slot");
    await context.failed("UNKNOWN_COMMAND");
    equal(context.head().error_stream, 3, "error_stream");
  });

refusal
  .test("stream-unknown-fails-too")
  .desc("A SUBMIT to a stream that does not exist makes the context fail.")
  .dev(60)
  .fn(async (t) => {
    const context = await fresh(t);
    const bytes = context.submitBytes(t.limits.streams_max, 1n, new Commands().nop());
    await sendRaw(context, bytes);
    await context.failed("STREAM_UNKNOWN");
  });

refusal
  .test("behind-others")
  .desc("The fence of a refused submit completes after those of the submits before it.")
  .dev(61, 96)
  .fn(async (t) => {
    const context = await fresh(t);
    for (let index = 0; index < 10; index++) await context.queue(0, new Commands().nop());
    const { fence } = await context.submit(0, new Commands().raw(1000));
    await context.wait(0, fence);
    equal(context.done(0), 11n, "the fence in the slot");
  });

refusal
  .test("control-does-not-fail")
  .desc("A refused control request leaves the context as it is.")
  .fn(async (t) => {
    const context = await fresh(t);
    await context.allocRaw(0);
    await context.call(Request.MEMORY_FREE, new Uint8Array(8));
    await context.succeed(new Commands().nop());
  });

refusal
  .test("unknown-context-fails-none")
  .desc("A SUBMIT for an unknown context makes no context fail.")
  .dev(99)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext(1);
    const bytes = request(Request.SUBMIT, 2, new Uint8Array(24));
    check((await device.send(bytes, SUBMIT)).status !== "OK", "it is refused");
    await context.succeed(new Commands().nop());
  });

// ---- Full queues --------------------------------------------------------------------------------

const full = group("submit/full", "More work than the device wants to hold.");

full
  .test("flood")
  .desc("Twenty thousand commands at once are all executed: submits wait in the queue meanwhile.")
  .dev(62)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const commands = new Commands();
    for (let index = 0; index < 500; index++) commands.nop();
    const bytes = device.frontEnd.memory;
    const ids: number[] = [];
    for (let fence = 1n; fence <= 40n; fence++) {
      const sent = bytes.place(context.submitBytes(0, fence, commands), 8);
      const room = bytes.allocate(32, 8);
      ids.push(
        device.frontEnd.ring(2).add([
          { address: sent.address, length: sent.bytes.length },
          { address: room.address, length: 32, write: true },
        ]),
      );
      if (ids.length % 20 !== 0) continue;
      device.frontEnd.publish(2);
      for (const id of ids.splice(0)) await device.frontEnd.returned(2, id);
    }
    equal(await context.wait(0, 40n), "OK", "the status");
  });

full
  .test("one-too-large")
  .desc("A submit of more commands than queued_commands_max is refused; one of as many is not.")
  .dev(133)
  .fn(async (t) => {
    const device = await t.device({ memoryBytes: 16 << 20 });
    const most = t.limits.queued_commands_max;
    check(most <= 200_000, "queued_commands_max fits into a SUBMIT");
    const nop = new Commands().nop().bytes;
    const many = (count: number): Uint8Array => {
      const bytes = new Uint8Array(nop.length * count);
      for (let at = 0; at < count; at++) bytes.set(nop, at * nop.length);
      return bytes;
    };
    const context = await device.createContext(1);
    const good = context.submitBytes(0, 1n, many(most), { command_count: most });
    equal((await sendRaw(context, good)).status, "OK", "as many as can be queued");
    await context.wait(0, 1n);
    const bad = context.submitBytes(0, 2n, many(most + 1), { command_count: most + 1 });
    equal((await sendRaw(context, bad)).status, "QUEUE_FULL", "one more");
  });

full
  .test("held-stream")
  .desc("A context whose stream waits for ever is bounded, and others are not held up by it.")
  .dev(64, 134)
  .fn(async (t) => {
    const device = await t.device();
    const [held, other] = [await device.createContext(1), await device.createContext(2)];
    await held.queue(0, new Commands().wait(1, 1));
    const commands = new Commands();
    for (let index = 0; index < 1000; index++) commands.nop();
    let refused = false;
    const most = Math.ceil(t.limits.queued_commands_max / 1000) + 2;
    for (let index = 0; index < most && !refused; index++) {
      const { response } = await held.submit(0, commands);
      refused = response.status === "QUEUE_FULL";
      if (!refused) equal(response.status, "OK", "the status of a submit that waits");
    }
    check(refused, "a context can't queue without end");
    await other.succeed(new Commands().nop());
  });
