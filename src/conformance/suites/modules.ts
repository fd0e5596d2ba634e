// SPDX-License-Identifier: Apache-2.0
/** Modules and functions: formats, states, handles, and what queries tell of them. */
import {
  ArgumentAccess,
  ArgumentInfo,
  ArgumentKind,
  FunctionQueryRequest,
  FunctionQueryResponse,
  ModuleFormat,
  ModuleQueryRequest,
  ModuleQueryResponse,
  ObjectState,
  Request,
  ResponseHeader,
  statusName,
  VGPU,
} from "../../protocol/generated/wire.js";
import { Commands, struct } from "../driver/commands.js";
import { type Context, viewOf } from "../driver/device.js";
import { check, equal, oneOf } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";

export const EMPTY = "@compute @workgroup_size(1) fn main() {}";
/** Two pointers, the first read, and a value. */
export const SCALE = `
@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> target_: array<f32>;
@group(0) @binding(2) var<uniform> factor: f32;
@compute @workgroup_size(64) fn scale(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&source)) { target_[id.x] = source[id.x] * factor; }
}`;
const WRONG = "@compute @workgroup_size(1) fn main() { let x: u32 = 1.5; }";

async function fresh(t: TestContext): Promise<Context> {
  return (await t.device()).createContext();
}

export async function moduleState(context: Context, module: number): Promise<ModuleQueryResponse> {
  const payload = struct(ModuleQueryRequest, { module, log_offset: 0 });
  return ModuleQueryResponse.decode(await context.ask(Request.MODULE_QUERY, payload), 0);
}

export async function functionState(
  context: Context,
  handle: number,
): Promise<FunctionQueryResponse> {
  const payload = struct(FunctionQueryRequest, { function: handle });
  return FunctionQueryResponse.decode(await context.ask(Request.FUNCTION_QUERY, payload), 0);
}

/** Asks until a state is not PENDING. */
export async function settled<T extends { readonly state: number }>(
  t: TestContext,
  ask: () => Promise<T>,
): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (answer.state !== ObjectState.PENDING) return answer;
    await t.pause(2);
  }
}

// ---- Modules ------------------------------------------------------------------------------------

const modules = group("command/module", "MODULE_LOAD and MODULE_UNLOAD.");

modules
  .test("format")
  .desc("An unknown format is refused; WGSL is not.")
  .dev(65)
  .params([0, 4, 0xffff_ffff].map((format) => ({ name: `${format}`, format })))
  .fn(async (t, { format }) => {
    const device = await t.device();
    const context = await device.createContext(1);
    const { response } = await context.submit(0, new Commands().moduleLoad(1, EMPTY, format));
    equal(response.status, "FORMAT_UNKNOWN", "the status");
    const other = await device.createContext(2);
    await other.succeed(new Commands().moduleLoad(1, EMPTY, ModuleFormat.WGSL));
  });

modules
  .test("flags")
  .desc("Flags of a WGSL module, and unknown flags of others, are refused.")
  .dev(110)
  .params([
    { name: "wgsl-checked", format: ModuleFormat.WGSL, flags: VGPU.MODULE_CHECKED },
    { name: "wgsl-unknown", format: ModuleFormat.WGSL, flags: 2 },
    { name: "ptx-unknown", format: ModuleFormat.PTX, flags: 2 },
    { name: "fatbin-unknown", format: ModuleFormat.FATBIN, flags: 0x8000_0000 },
  ])
  .fn(async (t, { format, flags }) => {
    const context = await fresh(t);
    const { response } = await context.submit(
      0,
      new Commands().moduleLoad(1, EMPTY, format, flags),
    );
    equal(response.status, "RESERVED_NONZERO", "the status");
  });

modules
  .test("states")
  .desc("ABSENT before; PENDING or READY from the answer to SUBMIT on; READY; ABSENT after unload.")
  .dev(67)
  .fn(async (t) => {
    const context = await fresh(t);
    equal((await moduleState(context, 5)).state, ObjectState.ABSENT, "the state before");
    const fence = await context.queue(0, new Commands().moduleLoad(5, EMPTY));
    const { state } = await moduleState(context, 5);
    oneOf(state, [ObjectState.PENDING, ObjectState.READY], "the state after the answer");
    equal(await context.wait(0, fence), "OK", "the submit's status");
    const ready = await settled(t, () => moduleState(context, 5));
    equal(ready.state, ObjectState.READY, "the state at last");
    equal(ready.function_count, 1, "function_count");
    await context.succeed(new Commands().moduleUnload(5));
    equal((await moduleState(context, 5)).state, ObjectState.ABSENT, "the state after unloading");
  });

modules
  .test("pending-while-waiting")
  .desc("A module whose load is held behind a wait is PENDING, not ABSENT.")
  .dev(67)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.queue(
      0,
      new Commands().wait(1, 1).moduleLoad(1, EMPTY).functionCreate(1, 1, "main"),
    );
    equal((await moduleState(context, 1)).state, ObjectState.PENDING, "the module's state");
    equal((await functionState(context, 1)).state, ObjectState.PENDING, "the function's state");
    await context.queue(1, new Commands().record(1, 1));
    await settled(t, () => functionState(context, 1));
  });

modules
  .test("does-not-compile")
  .desc("Wrong code makes the module FAILED with a message, and its functions; not the context.")
  .dev(66, 68)
  .params([
    { name: "syntax", code: "this is no program" },
    { name: "type", code: WRONG },
    { name: "empty", code: "" },
  ])
  .fn(async (t, { name, code }) => {
    if (name === "type" && !t.environment.results) return;
    const context = await fresh(t);
    await context.succeed(new Commands().moduleLoad(1, code).functionCreate(1, 1, "main"));
    const entry = await settled(t, () => functionState(context, 1));
    equal(entry.state, ObjectState.FAILED, "the function's state");
    if (code !== "") {
      const module = await settled(t, () => moduleState(context, 1));
      equal(module.state, ObjectState.FAILED, "the module's state");
      equal(statusName(module.status), "MODULE_INVALID", "the module's status");
      check(module.log_bytes > 0, "there is a message");
    }
    await context.succeed(new Commands().nop());
  });

modules
  .test("log-parts")
  .desc("MODULE_QUERY returns the messages from an offset on, cut to the room.")
  .dev(21)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.succeed(new Commands().moduleLoad(1, "this is no program"));
    const { log_bytes: whole } = await settled(t, () => moduleState(context, 1));
    const fixed = ResponseHeader.bytes + ModuleQueryResponse.bytes;
    const ask = async (offset: number, room: number): Promise<Uint8Array> => {
      const payload = struct(ModuleQueryRequest, { module: 1, log_offset: offset });
      const response = await context.call(Request.MODULE_QUERY, payload, { room: fixed + room });
      equal(response.status, "OK", "the status");
      equal(
        viewOf(response.payload).getUint32(ModuleQueryResponse.at.log_bytes ?? 0, true),
        whole,
        "log_bytes",
      );
      return response.payload.slice(ModuleQueryResponse.bytes);
    };
    const text = await ask(0, whole + 100);
    equal(text.length, whole, "the length of the whole log");
    for (const [offset, room] of [
      [0, 0],
      [0, 5],
      [3, 4],
      [whole - 1, 10],
      [whole, 10],
      [whole + 1000, 10],
      [0xffff_ffff, 10],
    ] as const) {
      const part = await ask(offset, room);
      const expected = text.subarray(Math.min(offset, whole), Math.min(offset + room, whole));
      equal(Buffer.compare(part, expected), 0, `the difference of the part at ${offset}`);
    }
  });

modules
  .test("handles")
  .desc("Handles of modules: used ones, unknown ones, the last one, the one behind.")
  .dev(88, 89, 90)
  .params([
    {
      name: "exists",
      make: () => new Commands().moduleLoad(1, EMPTY).moduleLoad(1, EMPTY),
      status: "HANDLE_EXISTS",
    },
    { name: "unknown", make: () => new Commands().moduleUnload(1), status: "HANDLE_UNKNOWN" },
    {
      name: "twice",
      make: () => new Commands().moduleLoad(1, EMPTY).moduleUnload(1).moduleUnload(1),
      status: "HANDLE_UNKNOWN",
    },
    {
      name: "again",
      make: () => new Commands().moduleLoad(1, EMPTY).moduleUnload(1).moduleLoad(1, EMPTY),
      status: "OK",
    },
    {
      name: "last",
      make: (most: number) => new Commands().moduleLoad(most - 1, EMPTY),
      status: "OK",
    },
    {
      name: "limit",
      make: (most: number) => new Commands().moduleLoad(most, EMPTY),
      status: "HANDLE_LIMIT",
    },
    {
      name: "largest",
      make: () => new Commands().moduleLoad(0xffff_ffff, EMPTY),
      status: "HANDLE_LIMIT",
    },
  ])
  .fn(async (t, { make, status }) => {
    const context = await fresh(t);
    equal(await context.run(make(t.limits.modules_max)), status, "the status");
  });

modules
  .test("unload-while-queued")
  .desc("Launches that are queued before MODULE_UNLOAD are executed.")
  .fn(async (t) => {
    const context = await fresh(t);
    await context.succeed(
      new Commands()
        .moduleLoad(1, EMPTY)
        .functionCreate(1, 1, "main")
        .launch({ function: 1 })
        .moduleUnload(1),
    );
    equal(
      await context.run(new Commands().launch({ function: 1 })),
      "HANDLE_UNKNOWN",
      "one behind it",
    );
  });

modules
  .test("ptx-not-offered")
  .desc("Without capability PTX, modules of these formats become FAILED with NOT_SUPPORTED.")
  .dev(111)
  .params([
    { name: "ptx", format: ModuleFormat.PTX },
    { name: "fatbin", format: ModuleFormat.FATBIN },
  ])
  .fn(async (t, { format }) => {
    if (t.environment.ptx) return;
    const context = await fresh(t);
    await context.succeed(new Commands().moduleLoad(1, ".version 6.0", format));
    const { state, status } = await settled(t, () => moduleState(context, 1));
    equal(state, ObjectState.FAILED, "the state");
    equal(statusName(status), "NOT_SUPPORTED", "the status");
  });

// ---- Functions ----------------------------------------------------------------------------------

const functions = group("command/function", "FUNCTION_CREATE and FUNCTION_DESTROY.");

functions
  .test("not-found")
  .desc("A name that the module does not have gives a FAILED function; the context goes on.")
  .dev(68)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.succeed(new Commands().moduleLoad(1, EMPTY).functionCreate(1, 1, "other"));
    const { state, status } = await settled(t, () => functionState(context, 1));
    equal(state, ObjectState.FAILED, "the state");
    equal(statusName(status), "FUNCTION_NOT_FOUND", "the status");
    await context.succeed(new Commands().functionCreate(2, 1, "main").launch({ function: 2 }));
  });

functions
  .test("handles")
  .desc("Handles of functions and of their modules.")
  .dev(88, 89, 90)
  .params([
    {
      name: "exists",
      make: () => new Commands().functionCreate(1, 1, "main").functionCreate(1, 1, "main"),
      status: "HANDLE_EXISTS",
    },
    {
      name: "no-module",
      make: () => new Commands().functionCreate(1, 2, "main"),
      status: "HANDLE_UNKNOWN",
    },
    { name: "unknown", make: () => new Commands().functionDestroy(1), status: "HANDLE_UNKNOWN" },
    {
      name: "launch-unknown",
      make: () => new Commands().launch({ function: 1 }),
      status: "HANDLE_UNKNOWN",
    },
    {
      name: "again",
      make: () =>
        new Commands().functionCreate(1, 1, "main").functionDestroy(1).functionCreate(1, 1, "main"),
      status: "OK",
    },
    {
      name: "last",
      make: (most: number) => new Commands().functionCreate(most - 1, 1, "main"),
      status: "OK",
    },
    {
      name: "limit",
      make: (most: number) => new Commands().functionCreate(most, 1, "main"),
      status: "HANDLE_LIMIT",
    },
  ])
  .fn(async (t, { make, status }) => {
    const context = await fresh(t);
    await context.succeed(new Commands().moduleLoad(1, EMPTY));
    equal(await context.run(make(t.limits.functions_max)), status, "the status");
  });

functions
  .test("module-gone")
  .desc("MODULE_UNLOAD ends the functions of the module, and no others.")
  .fn(async (t) => {
    const context = await fresh(t);
    await context.succeed(
      new Commands()
        .moduleLoad(1, EMPTY)
        .moduleLoad(2, EMPTY)
        .functionCreate(1, 1, "main")
        .functionCreate(2, 2, "main")
        .moduleUnload(1)
        .launch({ function: 2 }),
    );
    equal((await functionState(context, 1)).state, ObjectState.ABSENT, "the state of its function");
  });

functions
  .test("query")
  .desc("FUNCTION_QUERY tells the block and the arguments in the order of (group, binding).")
  .fn(async (t) => {
    const context = await fresh(t);
    await context.succeed(new Commands().moduleLoad(1, SCALE).functionCreate(1, 1, "scale"));
    const answer = await settled(t, () => functionState(context, 1));
    equal(answer.state, ObjectState.READY, "the state");
    equal(answer.argument_count, 3, "argument_count");
    equal([answer.block_x, answer.block_y, answer.block_z].join(), "64,1,1", "the block");
    const payload = struct(FunctionQueryRequest, { function: 1 });
    const view = await context.ask(Request.FUNCTION_QUERY, payload);
    const infos = [0, 1, 2].map((index) =>
      ArgumentInfo.decode(view, FunctionQueryResponse.bytes + index * ArgumentInfo.bytes),
    );
    equal(
      infos.map(({ name }) => name).join(),
      "source,target_,factor",
      "the names of the arguments",
    );
    const { POINTER, VALUE } = ArgumentKind;
    equal(infos.map(({ kind }) => kind).join(), [POINTER, POINTER, VALUE].join(), "the kinds");
    const { READ, READ_WRITE, NONE } = ArgumentAccess;
    equal(
      infos.map(({ access }) => access).join(),
      [READ, READ_WRITE, NONE].join(),
      "the accesses",
    );
    equal(infos[2]?.bytes_min ?? 0, 4, "the bytes of the value");
  });

functions
  .test("query-cut")
  .desc("argument_info is cut to whole entries.")
  .dev(21)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.succeed(new Commands().moduleLoad(1, SCALE).functionCreate(1, 1, "scale"));
    await settled(t, () => functionState(context, 1));
    const fixed = ResponseHeader.bytes + FunctionQueryResponse.bytes;
    const payload = struct(FunctionQueryRequest, { function: 1 });
    for (const [room, entries] of [
      [0, 0],
      [63, 0],
      [64, 1],
      [191, 2],
      [192, 3],
      [1000, 3],
    ] as const) {
      const response = await context.call(Request.FUNCTION_QUERY, payload, { room: fixed + room });
      const bytes = FunctionQueryResponse.bytes + entries * ArgumentInfo.bytes;
      equal(response.payload.length, bytes, `the payload's length with ${room} bytes of room`);
    }
  });

functions
  .test("other-stream")
  .desc("A command waits for an object that a submit answered before makes on another stream.")
  .dev(106)
  .fn(async (t) => {
    const context = await fresh(t);
    await context.queue(0, new Commands().wait(1, 1).moduleLoad(1, EMPTY));
    await context.queue(1, new Commands().functionCreate(1, 1, "main"));
    const fence = await context.queue(2, new Commands().launch({ function: 1 }));
    await t.pause(5);
    equal(context.done(2), 0n, "the fence of the launch, before the module is made");
    await context.succeed(new Commands().record(1, 1), 3);
    equal(await context.wait(2, fence), "OK", "the status of the launch");
  });
