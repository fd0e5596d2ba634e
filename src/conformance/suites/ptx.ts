// SPDX-License-Identifier: Apache-2.0
/** Modules in PTX: variables, parameter buffers, blocks, faults. Only with capability PTX. */
import {
  ArgumentInfo,
  FunctionQueryRequest,
  FunctionQueryResponse,
  MemoryFreeRequest,
  MemoryInfoResponse,
  ModuleFormat,
  ModuleSymbolRequest,
  ModuleSymbolResponse,
  ObjectState,
  Request,
  statusName,
  VGPU,
} from "../../protocol/generated/wire.js";
import { Commands, type Launch, struct } from "../driver/commands.js";
import { type Context, type Response, viewOf } from "../driver/device.js";
import { concat, words } from "../driver/wire.js";
import { check, equal, pattern, sameBytes } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";
import { functionState, moduleState, settled } from "./modules.js";

const HEAD = ".version 6.4\n.target sm_70\n.address_size 64\n";
/** Stores its second parameter where the first one points. */
const STORE = `${HEAD}
.visible .entry store(.param .u64 p, .param .u32 v)
{
  .reg .b32 %r<3>;
  .reg .b64 %rd<3>;
  ld.param.u64 %rd1, [p];
  ld.param.u32 %r1, [v];
  cvta.to.global.u64 %rd2, %rd1;
  st.global.u32 [%rd2], %r1;
  ret;
}
.visible .entry none() { ret; }
.visible .entry wide() .reqntid 64, 1, 1 { ret; }
.visible .entry dies() { trap; }
`;
/** An array with values, a number that is zero, and a pointer to the array. */
const VARIABLES = `${HEAD}
.visible .global .align 4 .u32 numbers[4] = {1, 2, 3, 4};
.visible .global .align 4 .u32 zero;
.visible .global .align 8 .u64 where = generic(numbers);
.visible .entry none() { ret; }
`;
/** One entry point that is fine, one with an instruction that no GPU model here has. */
const MIXED = `${HEAD}
.visible .entry good() { ret; }
.visible .entry bad() { .reg .b32 %r<2>; wgmma.fence.sync.aligned; ret; }
`;

const modules = group("ptx/module", "Modules in PTX and their variables.", { needs: ["ptx"] });

async function loaded(t: TestContext, code: string, flags = 0): Promise<Context> {
  const context = await (await t.device()).createContext();
  await context.succeed(new Commands().moduleLoad(1, code, ModuleFormat.PTX, flags));
  await settled(t, () => moduleState(context, 1));
  return context;
}

function symbolRaw(context: Context, module: number, name: string): Promise<Response> {
  const text = new TextEncoder().encode(name);
  const head = struct(ModuleSymbolRequest, { module, name_bytes: text.length });
  return context.call(Request.MODULE_SYMBOL, concat(head, text));
}

async function symbol(context: Context, name: string): Promise<ModuleSymbolResponse> {
  const response = await symbolRaw(context, 1, name);
  equal(response.status, "OK", `the status of MODULE_SYMBOL of ${name}`);
  return ModuleSymbolResponse.decode(viewOf(response.payload), 0);
}

async function contextBytes(context: Context): Promise<bigint> {
  return MemoryInfoResponse.decode(await context.ask(Request.MEMORY_INFO), 0).context_bytes;
}

modules
  .test("invalid")
  .desc(
    "PTX that can't be read, and a fat binary that is none, become FAILED; the context goes on.",
  )
  .dev(112)
  .params([
    { name: "text", format: ModuleFormat.PTX, code: "this is no PTX" },
    { name: "empty", format: ModuleFormat.PTX, code: "" },
    { name: "cut", format: ModuleFormat.PTX, code: STORE.slice(0, 200) },
    { name: "fatbin-magic", format: ModuleFormat.FATBIN, code: "no fat binary at all" },
    { name: "fatbin-cut", format: ModuleFormat.FATBIN, code: "\u0050" },
  ])
  .fn(async (t, { format, code }) => {
    const context = await (await t.device()).createContext();
    await context.succeed(new Commands().moduleLoad(1, code, format));
    const { state, status } = await settled(t, () => moduleState(context, 1));
    equal(state, ObjectState.FAILED, "the state");
    equal(statusName(status), "MODULE_INVALID", "the status");
    await context.succeed(new Commands().nop());
  });

modules
  .test("one-function-unsupported")
  .desc("A function with an unknown instruction is FAILED; its neighbours are READY.")
  .dev(113)
  .fn(async (t) => {
    const context = await loaded(t, MIXED);
    await context.succeed(new Commands().functionCreate(1, 1, "good").functionCreate(2, 1, "bad"));
    const good = await settled(t, () => functionState(context, 1));
    equal(good.state, ObjectState.READY, "the state of the good one");
    const bad = await settled(t, () => functionState(context, 2));
    equal(bad.state, ObjectState.FAILED, "the state of the other");
    equal(statusName(bad.status), "NOT_SUPPORTED", "its status");
  });

modules
  .test("variables")
  .desc("Variables have their values, and addresses of others, when the module is READY.")
  .dev(114)
  .needs("results")
  .fn(async (t) => {
    const context = await loaded(t, VARIABLES);
    const numbers = await symbol(context, "numbers");
    equal(numbers.bytes, 16n, "the size of the array");
    sameBytes(await context.read(numbers.pointer, 16), words(1, 2, 3, 4), "the array");
    const zero = await symbol(context, "zero");
    sameBytes(await context.read(zero.pointer, 4), words(0), "the number");
    const where = await symbol(context, "where");
    sameBytes(await context.read(where.pointer, 8), words(numbers.pointer), "the pointer");
  });

modules
  .test("variables-too-large")
  .desc("Variables that do not fit into the vGPU's memory make the module FAILED.")
  .dev(115)
  .fn(async (t) => {
    const bytes = t.limits.memory_bytes + 4096n;
    const context = await loaded(t, `${HEAD}.visible .global .align 4 .b8 big[${bytes}];\n`);
    const { state, status } = await moduleState(context, 1);
    equal(state, ObjectState.FAILED, "the state");
    equal(statusName(status), "OUT_OF_MEMORY", "the status");
    await context.succeed(new Commands().nop());
  });

modules
  .test("variables-are-counted")
  .desc("Variables count in MEMORY_INFO until the module is unloaded.")
  .dev(116)
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    const before = await contextBytes(context);
    await context.succeed(new Commands().moduleLoad(1, VARIABLES, ModuleFormat.PTX));
    await settled(t, () => moduleState(context, 1));
    check((await contextBytes(context)) > before, "variables take memory of the context");
    await context.succeed(new Commands().moduleUnload(1));
    equal(await contextBytes(context), before, "context_bytes after MODULE_UNLOAD");
  });

modules
  .test("variables-are-not-freed")
  .desc("MEMORY_FREE does not take a variable.")
  .dev(117)
  .fn(async (t) => {
    const context = await loaded(t, VARIABLES);
    const { pointer } = await symbol(context, "numbers");
    const payload = struct(MemoryFreeRequest, { pointer });
    equal(
      (await context.call(Request.MEMORY_FREE, payload)).status,
      "POINTER_INVALID",
      "the status",
    );
  });

modules
  .test("symbol")
  .desc("MODULE_SYMBOL of an unknown module, of an unknown name, of a FAILED module.")
  .dev(118)
  .fn(async (t) => {
    const context = await loaded(t, VARIABLES);
    equal((await symbolRaw(context, 2, "numbers")).status, "HANDLE_UNKNOWN", "an unknown module");
    equal((await symbolRaw(context, 1, "other")).status, "SYMBOL_NOT_FOUND", "an unknown name");
    await context.succeed(new Commands().moduleLoad(2, "no PTX", ModuleFormat.PTX));
    await settled(t, () => moduleState(context, 2));
    equal((await symbolRaw(context, 2, "numbers")).status, "SYMBOL_NOT_FOUND", "a FAILED module");
  });

// ---- Launches -----------------------------------------------------------------------------------

const launches = group("ptx/launch", "Launches of PTX functions.", { needs: ["ptx"] });

/** A context in which function 1 is an entry point of STORE. */
async function withFunction(t: TestContext, name: string, flags = 0): Promise<Context> {
  const context = await loaded(t, STORE, flags);
  await context.succeed(new Commands().functionCreate(1, 1, name));
  equal((await settled(t, () => functionState(context, 1))).state, ObjectState.READY, "the state");
  return context;
}

function launch(options: Omit<Launch, "function">): Commands {
  return new Commands().launch({ function: 1, block: [1, 1, 1], ...options });
}

launches
  .test("stores")
  .desc("The parameters lie where FUNCTION_QUERY says, and a pointer among them is followed.")
  .needs("results")
  .fn(async (t) => {
    const context = await withFunction(t, "store");
    const pointer = await context.alloc(256);
    const view = await context.ask(
      Request.FUNCTION_QUERY,
      struct(FunctionQueryRequest, { function: 1 }),
    );
    const [first, second] = [0, 1].map((index) =>
      ArgumentInfo.decode(view, FunctionQueryResponse.bytes + index * ArgumentInfo.bytes),
    );
    equal(first?.offset ?? -1, 0, "the offset of the pointer");
    equal(second?.offset ?? -1, 8, "the offset of the number");
    await context.succeed(launch({ args: [concat(words(pointer + 8n), words(77))] }));
    sameBytes(await context.read(pointer, 16), words(0, 0, 77, 0), "device memory");
  });

launches
  .test("parameters")
  .desc("Exactly one VALUE of the size of the parameter buffer, or no argument without parameters.")
  .dev(119)
  .params([
    { name: "none", args: () => [], status: "ARGUMENT_COUNT" },
    { name: "two", args: (p: bigint) => [words(p), words(1)], status: "ARGUMENT_COUNT" },
    { name: "pointer", args: (p: bigint) => [p], status: "ARGUMENT_KIND" },
    { name: "short", args: (p: bigint) => [words(p)], status: "ARGUMENT_KIND" },
    {
      name: "long",
      args: (p: bigint) => [concat(words(p), new Uint8Array(16))],
      status: "ARGUMENT_KIND",
    },
    { name: "right", args: (p: bigint) => [concat(words(p), words(1))], status: "OK" },
  ])
  .fn(async (t, { args, status }) => {
    const context = await withFunction(t, "store");
    const pointer = await context.alloc(256);
    equal(await context.run(launch({ args: args(pointer) })), status, "the status");
  });

launches
  .test("no-parameters")
  .desc("A function without parameters takes no argument.")
  .dev(119)
  .fn(async (t) => {
    const context = await withFunction(t, "none");
    equal(await context.run(launch({})), "OK", "the status without an argument");
    equal(await context.run(launch({ args: [words(0)] })), "ARGUMENT_COUNT", "with one");
  });

launches
  .test("size")
  .desc("Blocks and workgroup memory above their limits fail with LAUNCH_SIZE.")
  .dev(120)
  .params([{ name: "block" }, { name: "memory" }])
  .fn(async (t, { name }) => {
    const context = await withFunction(t, "none");
    const threads = (await functionState(context, 1)).block_threads_max || 1024;
    const { shared_bytes_max: memory } = t.limits;
    const good = name === "block" ? { block: [threads, 1, 1] as const } : { sharedBytes: 16 };
    equal(await context.run(launch(good)), "OK", "the control");
    const bad =
      name === "block" ? { block: [threads, 2, 1] as const } : { sharedBytes: memory + 16 };
    equal(await context.run(launch(bad)), "LAUNCH_SIZE", "the status above the limit");
  });

launches
  .test("block")
  .desc("A function that declares no block has to be given one; one that does takes no other.")
  .dev(121)
  .params([
    { name: "not-given", entry: "none", block: [0, 0, 0], status: "LAUNCH_BLOCK" },
    { name: "given", entry: "none", block: [8, 1, 1], status: "OK" },
    { name: "declared", entry: "wide", block: [0, 0, 0], status: "OK" },
    { name: "the-same", entry: "wide", block: [64, 1, 1], status: "OK" },
    { name: "another", entry: "wide", block: [32, 1, 1], status: "LAUNCH_BLOCK" },
  ])
  .fn(async (t, { entry, block, status }) => {
    const context = await withFunction(t, entry);
    const [x = 0, y = 0, z = 0] = block;
    equal(await context.run(launch({ block: [x, y, z] })), status, "the status");
  });

launches
  .test("other-contexts")
  .desc("A kernel that stores at a pointer of another context changes nothing there.")
  .dev(122, 45)
  .needs("results")
  .fn(async (t) => {
    const context = await withFunction(t, "store");
    const other = await context.device.createContext(9);
    const foreign = await other.alloc(4096);
    await other.write(foreign, pattern(4096));
    await context.run(launch({ args: [concat(words(foreign), words(1))] }));
    sameBytes(await other.read(foreign, 4096), pattern(4096), "the other context's memory");
  });

launches
  .test("trap")
  .desc("A trap makes the context fail before the fence completes; the text names the kernel.")
  .dev(123, 125)
  .needs("results")
  .fn(async (t) => {
    const context = await withFunction(t, "dies");
    equal(await context.run(launch({})), "TRAP", "the status");
    check((await context.errorText()).includes("dies"), "the error's text names the kernel");
  });

launches
  .test("checked")
  .desc("In a checked module, bad addresses make the context fail, and misaligned ones too.")
  .dev(124, 125)
  .needs("results")
  .params([
    { name: "null", at: () => 0n, status: "ILLEGAL_ADDRESS" },
    { name: "user", at: () => 0x7fff_0000_0000n, status: "ILLEGAL_ADDRESS" },
    { name: "misaligned", at: (p: bigint) => p + 2n, status: "MISALIGNED_ADDRESS" },
    { name: "right", at: (p: bigint) => p, status: "OK" },
  ])
  .fn(async (t, { at, status }) => {
    const context = await withFunction(t, "store", VGPU.MODULE_CHECKED);
    const pointer = await context.alloc(256);
    const args = [concat(words(at(pointer)), words(1))];
    equal(await context.run(launch({ args })), status, "the status");
    if (status !== "OK")
      check((await context.errorText()).includes("store"), "the error's text names the kernel");
  });
