// SPDX-License-Identifier: Apache-2.0
/** LAUNCH: arguments, grids and blocks on both sides of each limit, and results. */
import { ArgumentKind, VGPU } from "../../protocol/generated/wire.js";
import { type Argument, Commands, type Launch, type Triple } from "../driver/commands.js";
import type { Context } from "../driver/device.js";
import { words } from "../driver/wire.js";
import { check, equal, pattern, sameBytes } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";
import { EMPTY, SCALE } from "./modules.js";

const FREE = `override bx: u32; override by: u32;
@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@compute @workgroup_size(bx, by, 1) fn main(@builtin(global_invocation_id) id: vec3u) {
  data[id.x] += 1u;
}`;
const ONE_OVERRIDE = `override b: u32;
@compute @workgroup_size(b, b, 1) fn main() {}`;
const COUNT = `@group(0) @binding(0) var<storage, read_write> count: atomic<u32>;
@compute @workgroup_size(4, 2, 1) fn main() { atomicAdd(&count, 1u); }`;
const LENGTH = `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@compute @workgroup_size(1) fn main() { data[0] = arrayLength(&data); }`;
const WILD = `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@group(0) @binding(1) var<uniform> at: u32;
@compute @workgroup_size(1) fn main() { data[at] = 0xdeadbeefu; data[0] = data[at + 1u]; }`;

/** A context in which function 1 is the entry point `name` of a program. */
async function withFunction(t: TestContext, code: string, name = "main"): Promise<Context> {
  const context = await (await t.device()).createContext();
  await context.succeed(new Commands().moduleLoad(1, code).functionCreate(1, 1, name));
  return context;
}

function launch(options: Omit<Launch, "function">): Commands {
  return new Commands().launch({ function: 1, ...options });
}

/** Status of the response if the SUBMIT is refused, else of the slot. */
async function outcome(context: Context, commands: Commands): Promise<string> {
  const { response, fence } = await context.submit(0, commands);
  if (response.status !== "OK") return `refused ${response.status}`;
  return context.wait(0, fence);
}

// ---- Form ---------------------------------------------------------------------------------------

const form = group("command/launch/form", "What a LAUNCH has to look like, whatever it launches.");

form
  .test("grid-zero")
  .desc("A grid dimension of 0 is refused.")
  .dev(75)
  .params(
    [
      [0, 1, 1],
      [1, 0, 1],
      [1, 1, 0],
    ].map((grid) => ({ name: grid.join("-"), grid: grid as unknown as Triple })),
  )
  .fn(async (t, { grid }) => {
    const context = await withFunction(t, EMPTY);
    equal(await outcome(context, launch({ grid })), "refused SIZE_ZERO", "the outcome");
  });

form
  .test("block-partly-zero")
  .desc("Some but not all block dimensions 0 are refused.")
  .dev(76)
  .params(
    [
      [0, 1, 1],
      [1, 0, 1],
      [1, 1, 0],
      [1, 0, 0],
    ].map((block) => ({ name: block.join("-"), block: block as unknown as Triple })),
  )
  .fn(async (t, { block }) => {
    const context = await withFunction(t, EMPTY);
    equal(await outcome(context, launch({ block })), "refused LAUNCH_BLOCK", "the outcome");
  });

form
  .test("argument-limit")
  .desc("More than 64 arguments are refused; 64 fail only because the function has none.")
  .dev(77)
  .fn(async (t) => {
    const context = await withFunction(t, EMPTY);
    const args = (count: number): Argument[] => Array.from({ length: count }, () => 0n);
    const most = VGPU.LAUNCH_ARGUMENTS_MAX;
    const { response } = await context.submit(0, launch({ args: args(most) }));
    equal(response.status, "OK", "the status of SUBMIT with 64 arguments");
    const other = await context.device.createContext(7);
    const many = launch({ args: args(most + 1) });
    equal(await outcome(other, many), "refused ARGUMENT_COUNT", "with 65");
  });

const MOST = VGPU.LAUNCH_VALUE_BYTES_MAX;

form
  .test("argument-form")
  .desc("Kinds and sizes of arguments, on both sides of each limit.")
  .dev(78)
  .params([
    { name: "kind-2", kind: 2, bytes: 8, data: 8, good: false },
    { name: "kind-huge", kind: 0xffff_ffff, bytes: 8, data: 8, good: false },
    { name: "pointer-4", kind: ArgumentKind.POINTER, bytes: 4, data: 8, good: false },
    { name: "pointer-16", kind: ArgumentKind.POINTER, bytes: 16, data: 16, good: false },
    { name: "pointer-8", kind: ArgumentKind.POINTER, bytes: 8, data: 8, good: true },
    { name: "value-0", kind: ArgumentKind.VALUE, bytes: 0, data: 0, good: false },
    { name: "value-1", kind: ArgumentKind.VALUE, bytes: 1, data: 8, good: true },
    { name: "value-most", kind: ArgumentKind.VALUE, bytes: MOST, data: MOST, good: true },
    { name: "value-over", kind: ArgumentKind.VALUE, bytes: MOST + 1, data: MOST + 8, good: false },
  ])
  .fn(async (t, { kind, bytes, data, good }) => {
    const context = await withFunction(t, EMPTY);
    const argument = { kind, bytes, data: new Uint8Array(data) };
    const { response } = await context.submit(0, launch({ args: [argument] }));
    equal(response.status, good ? "OK" : "ARGUMENT_KIND", "the status of SUBMIT");
  });

form
  .test("argument-past-the-end")
  .desc("Arguments that are more or longer than the command are refused.")
  .dev(54)
  .params([
    { name: "count", count: 2, bytes: 8 },
    { name: "count-huge", count: 64, bytes: 8 },
    { name: "bytes", count: 1, bytes: 1000 },
  ])
  .fn(async (t, { count, bytes }) => {
    const context = await withFunction(t, EMPTY);
    const argument = { kind: ArgumentKind.VALUE, bytes, data: new Uint8Array(8) };
    const commands = launch({ args: [argument], count });
    equal(await outcome(context, commands), "refused MALFORMED", "the outcome");
  });

// ---- Against the function -----------------------------------------------------------------------

const match = group(
  "command/launch/match",
  "What a LAUNCH gives has to be what the function takes.",
);

match
  .test("argument-count")
  .desc("As many arguments as the function has: one less and one more fail.")
  .dev(79)
  .params([2, 3, 4].map((count) => ({ name: `${count}`, count })))
  .fn(async (t, { count }) => {
    const context = await withFunction(t, SCALE, "scale");
    const pointer = await context.alloc(4096);
    const args = [pointer, pointer, words(0), words(0)].slice(0, count);
    const expected = count === 3 ? "OK" : "ARGUMENT_COUNT";
    equal(await outcome(context, launch({ args })), expected, "the outcome");
  });

match
  .test("argument-kind")
  .desc("A value for a storage buffer, and values of a wrong size, fail.")
  .dev(80)
  .params([
    { name: "value-for-storage", make: (p: bigint): Argument[] => [words(0n), p, words(0)] },
    { name: "value-short", make: (p: bigint): Argument[] => [p, p, new Uint8Array(3)] },
    { name: "value-long", make: (p: bigint): Argument[] => [p, p, words(0, 0)] },
  ])
  .fn(async (t, { make }) => {
    const context = await withFunction(t, SCALE, "scale");
    const pointer = await context.alloc(4096);
    equal(await outcome(context, launch({ args: make(pointer) })), "ARGUMENT_KIND", "the outcome");
  });

match
  .test("pointer")
  .desc("Null pointers, freed ones and those of nobody fail with POINTER_INVALID.")
  .dev(72)
  .params([
    { name: "null", pointer: 0n },
    { name: "user", pointer: 0x7fff_0000_0000n },
  ])
  .fn(async (t, { pointer }) => {
    const context = await withFunction(t, COUNT);
    equal(await outcome(context, launch({ args: [pointer] })), "POINTER_INVALID", "the outcome");
  });

match
  .test("pointer-alignment")
  .desc("Pointers are aligned as FUNCTION_QUERY tells; those for uniforms to 4 bytes.")
  .dev(135)
  .params([
    { name: "storage-4", make: (p: bigint): Argument[] => [p + 4n, p, words(0)], good: true },
    { name: "storage-1", make: (p: bigint): Argument[] => [p + 1n, p, words(0)], good: false },
    { name: "storage-2", make: (p: bigint): Argument[] => [p, p + 2n, words(0)], good: false },
    { name: "uniform-4", make: (p: bigint): Argument[] => [p, p, p + 4n], good: true },
    { name: "uniform-2", make: (p: bigint): Argument[] => [p, p, p + 2n], good: false },
  ])
  .fn(async (t, { make, good }) => {
    const context = await withFunction(t, SCALE, "scale");
    const args = make(await context.alloc(4096));
    equal(await outcome(context, launch({ args })), good ? "OK" : "MISALIGNED", "the outcome");
  });

match
  .test("pointer-room")
  .desc("A variable of 16 bytes with 12 bytes behind its pointer fails.")
  .dev(136)
  .params([
    { name: "16", left: 16n, good: true },
    { name: "12", left: 12n, good: false },
    { name: "4", left: 4n, good: false },
  ])
  .fn(async (t, { left, good }) => {
    const code = `@group(0) @binding(0) var<storage, read_write> data: array<u32, 4>;
@compute @workgroup_size(1) fn main() { data[3] = 1u; }`;
    const context = await withFunction(t, code);
    const args = [(await context.alloc(256)) + 256n - left];
    equal(await outcome(context, launch({ args })), good ? "OK" : "OUT_OF_RANGE", "the outcome");
  });

match
  .test("block")
  .desc("The block is the declared one or all zero; another one fails.")
  .dev(82)
  .params([
    { name: "zero", block: [0, 0, 0], good: true },
    { name: "declared", block: [4, 2, 1], good: true },
    { name: "other-x", block: [8, 2, 1], good: false },
    { name: "other-y", block: [4, 1, 1], good: false },
    { name: "other-z", block: [4, 2, 2], good: false },
  ])
  .fn(async (t, { block, good }) => {
    const context = await withFunction(t, COUNT);
    const args = [await context.alloc(256)];
    const commands = launch({ block: block as unknown as Triple, args });
    equal(await outcome(context, commands), good ? "OK" : "LAUNCH_BLOCK", "the outcome");
  });

match
  .test("block-free")
  .desc("Dimensions that an override sets are chosen by the launch, and must be given.")
  .dev(82)
  .params([
    { name: "8-4", block: [8, 4, 1], good: true },
    { name: "64-1", block: [64, 1, 1], good: true },
    { name: "zero", block: [0, 0, 0], good: false },
    { name: "z-2", block: [8, 4, 2], good: false },
  ])
  .fn(async (t, { block, good }) => {
    const context = await withFunction(t, FREE);
    const args = [await context.alloc(4096)];
    const commands = launch({ block: block as unknown as Triple, args });
    equal(await outcome(context, commands), good ? "OK" : "LAUNCH_BLOCK", "the outcome");
  });

match
  .test("one-override")
  .desc("Dimensions from one override have the same value.")
  .dev(109)
  .params([
    { name: "same", block: [4, 4, 1], good: true },
    { name: "different", block: [4, 2, 1], good: false },
  ])
  .fn(async (t, { block, good }) => {
    const context = await withFunction(t, ONE_OVERRIDE);
    const commands = launch({ block: block as unknown as Triple });
    equal(await outcome(context, commands), good ? "OK" : "LAUNCH_BLOCK", "the outcome");
  });

match
  .test("block-threads")
  .desc("As many invocations as block_threads_max, and no more; dimensions within their limits.")
  .dev(107)
  .params([{ name: "at" }, { name: "above" }, { name: "above-x" }, { name: "huge" }])
  .fn(async (t, { name }) => {
    const context = await withFunction(t, FREE);
    const args = [await context.alloc(1 << 20)];
    const { block_threads_max: threads, block_max_x: most } = t.limits;
    const x = Math.min(threads, most);
    const blocks: Record<string, Triple> = {
      at: [x, Math.floor(threads / x), 1],
      above: [x, Math.floor(threads / x) + 1, 1],
      "above-x": [most + 1, 1, 1],
      huge: [0xffff_ffff, 0xffff_ffff, 1],
    };
    const block = blocks[name] ?? [1, 1, 1];
    const expected = name === "at" ? "OK" : "LAUNCH_SIZE";
    equal(await outcome(context, launch({ block, args })), expected, "the outcome");
  });

match
  .test("grid")
  .desc("A grid dimension above grid_max fails.")
  .dev(81)
  .params([0, 1, 2].map((axis) => ({ name: "xyz"[axis] ?? "", axis })))
  .fn(async (t, { axis }) => {
    const context = await withFunction(t, EMPTY);
    const most = t.limits.grid_max;
    check(most < 0xffff_ffff, "grid_max leaves a number above it");
    const grid = [1, 1, 1].map((one, at) => (at === axis ? most + 1 : one));
    const commands = launch({ grid: grid as unknown as Triple });
    equal(await outcome(context, commands), "LAUNCH_SIZE", "the outcome");
  });

match
  .test("shared-bytes")
  .desc("Dynamic workgroup memory is not supported for WGSL.")
  .dev(108)
  .params([
    { name: "0", bytes: 0 },
    { name: "4", bytes: 4 },
  ])
  .fn(async (t, { bytes }) => {
    const context = await withFunction(t, EMPTY);
    const expected = bytes === 0 ? "OK" : "NOT_SUPPORTED";
    equal(await outcome(context, launch({ sharedBytes: bytes })), expected, "the outcome");
  });

match
  .test("failed-function")
  .desc("Launching a FAILED function makes the context fail with the function's status.")
  .dev(83)
  .params([
    { name: "not-found", code: EMPTY, entry: "other", status: "FUNCTION_NOT_FOUND" },
    { name: "invalid", code: "no program", entry: "main", status: "MODULE_INVALID" },
  ])
  .fn(async (t, { code, entry, status }) => {
    const context = await withFunction(t, code, entry);
    equal(await outcome(context, launch({})), status, "the outcome");
  });

// ---- Results ------------------------------------------------------------------------------------

const results = group("command/launch/result", "Launches compute what they should.", {
  needs: ["results"],
});

function floats(...list: readonly number[]): Uint8Array {
  return new Uint8Array(new Float32Array(list).buffer);
}

results
  .test("scale")
  .desc("Pointers and a value bind in the order of the variables.")
  .fn(async (t) => {
    const context = await withFunction(t, SCALE, "scale");
    const [from, to] = [await context.alloc(256), await context.alloc(256)];
    const numbers = Array.from({ length: 64 }, (_, index) => index);
    await context.write(from, floats(...numbers));
    await context.succeed(launch({ args: [from, to, floats(2.5)] }));
    const expected = floats(...numbers.map((each) => each * 2.5));
    sameBytes(await context.read(to, 256), expected, "the products");
  });

results
  .test("uniform-by-pointer")
  .desc("A uniform can be given by a pointer: its bytes are taken when the launch begins.")
  .fn(async (t) => {
    const context = await withFunction(t, SCALE, "scale");
    const pointer = await context.alloc(256);
    const factor = await context.alloc(256);
    await context.write(pointer, floats(3));
    await context.write(factor, floats(7));
    await context.succeed(launch({ args: [pointer, pointer, factor] }));
    sameBytes(await context.read(pointer, 4), floats(21), "the product");
  });

results
  .test("same-pointer")
  .desc("One pointer for two arguments, read and written.")
  .fn(async (t) => {
    const context = await withFunction(t, SCALE, "scale");
    const pointer = await context.alloc(256);
    await context.write(pointer, floats(1, 2, 3, 4));
    await context.succeed(launch({ args: [pointer, pointer, floats(10)] }));
    sameBytes(await context.read(pointer, 16), floats(10, 20, 30, 40), "the products");
  });

results
  .test("grid")
  .desc("Every workgroup of the grid runs once, in all three dimensions.")
  .params(
    [
      [1, 1, 1],
      [7, 1, 1],
      [1, 5, 3],
      [3, 4, 5],
      [70_000, 1, 1],
    ].map((grid) => ({ name: grid.join("-"), grid: grid as unknown as Triple })),
  )
  .fn(async (t, { grid }) => {
    const context = await withFunction(t, COUNT);
    const pointer = await context.alloc(256);
    await context.succeed(launch({ grid, args: [pointer] }));
    const count = words(grid[0] * grid[1] * grid[2] * 8);
    sameBytes(await context.read(pointer, 4), count, "the number of invocations");
  });

results
  .test("free-block")
  .desc("A block that the launch chooses is the one that runs.")
  .fn(async (t) => {
    const context = await withFunction(t, FREE);
    const pointer = await context.alloc(1024);
    await context.succeed(launch({ block: [16, 2, 1], grid: [2, 1, 1], args: [pointer] }));
    const expected = words(...Array.from({ length: 256 }, (_, at) => (at < 32 ? 2 : 0)));
    sameBytes(await context.read(pointer, 1024), expected, "the counters");
  });

results
  .test("array-length")
  .desc("A run-time sized array reaches from the pointer to the end of the allocation.")
  .params([
    { name: "whole", bytes: 1024, at: 0 },
    { name: "inside", bytes: 1024, at: 256 },
    { name: "odd", bytes: 1000, at: 256 },
  ])
  .fn(async (t, { bytes, at }) => {
    const context = await withFunction(t, LENGTH);
    const pointer = (await context.alloc(bytes)) + BigInt(at);
    await context.succeed(launch({ args: [pointer] }));
    const expected = words(Math.floor((bytes - at) / 4));
    sameBytes(await context.read(pointer, 4), expected, "arrayLength");
  });

results
  .test("out-of-bounds")
  .desc("A kernel that indexes behind its array changes and reads no other allocation.")
  .dev(84)
  .params(
    [16, 64, 65, 1000, 1 << 18, 0x3fff_ffff, 0x7fff_ffff].map((at) => ({ name: `${at}`, at })),
  )
  .fn(async (t, { at }) => {
    const context = await withFunction(t, WILD);
    const other = await context.device.createContext(9);
    const before = await context.alloc(4096);
    const pointer = await context.alloc(64);
    const after = await context.alloc(4096);
    const foreign = await other.alloc(1 << 20);
    const data = pattern(4096, 11);
    for (const each of [before, after]) await context.write(each, data);
    await other.write(foreign, data);
    await context.succeed(launch({ args: [pointer, words(at)] }));
    sameBytes(await context.read(before, 4096), data, "the allocation before");
    sameBytes(await context.read(after, 4096), data, "the allocation behind");
    sameBytes(await other.read(foreign, 4096), data, "another context's allocation");
    // What was read from outside is zero or a value of the own array, not the neighbour's.
    const [read] = new Uint32Array((await context.read(pointer, 4)).buffer);
    check(read === 0 || read === 0xdeadbeef, "nothing of another allocation is read");
  });

results
  .test("order")
  .desc("A hundred launches and copies of a stream see each other's results in order.")
  .dev(63)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const code = `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@compute @workgroup_size(1) fn main() { data[0] = data[0] * 3u + 1u; }`;
    await context.succeed(new Commands().moduleLoad(1, code).functionCreate(1, 1, "main"));
    const [one, two] = [await context.alloc(256), await context.alloc(256)];
    let expected = 0;
    let last = 0n;
    for (let round = 0; round < 50; round++) {
      const commands = new Commands()
        .launch({ function: 1, args: [one] })
        .copyDevice(two, one, 256)
        .launch({ function: 1, args: [two] })
        .copyDevice(one, two, 256);
      for (let times = 0; times < 2; times++) expected = (Math.imul(expected, 3) + 1) >>> 0;
      last = await context.queue(0, commands);
    }
    equal(await context.wait(0, last), "OK", "the status");
    sameBytes(await context.read(one, 4), words(expected), "the number after a hundred launches");
  });
