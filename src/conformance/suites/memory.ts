// SPDX-License-Identifier: Apache-2.0
/** Device memory: allocation, pointers, limits, and that contexts do not see each other's. */
import {
  MemoryAllocRequest,
  MemoryAllocResponse,
  MemoryFreeRequest,
  MemoryInfoResponse,
  Request,
  VGPU,
} from "../../protocol/generated/wire.js";
import { Commands, struct } from "../driver/commands.js";
import { type Context, viewOf } from "../driver/device.js";
import { allBytes, check, equal, pattern, sameBytes } from "../framework/check.js";
import { group } from "../framework/registry.js";

const alloc = group("memory/alloc", "MEMORY_ALLOC and MEMORY_FREE.");

async function free(context: Context, pointer: bigint): Promise<string> {
  return (await context.call(Request.MEMORY_FREE, struct(MemoryFreeRequest, { pointer }))).status;
}

async function info(context: Context): Promise<MemoryInfoResponse> {
  return MemoryInfoResponse.decode(await context.ask(Request.MEMORY_INFO), 0);
}

alloc
  .test("aligned")
  .desc("Pointers are aligned to 256 bytes and lie above every user address.")
  .dev(39)
  .params([1, 4, 255, 256, 257, 4096, 1 << 20].map((bytes) => ({ name: `${bytes}`, bytes })))
  .fn(async (t, { bytes }) => {
    const context = await (await t.device()).createContext();
    for (let count = 0; count < 10; count++) {
      const pointer = await context.alloc(bytes);
      equal(pointer % BigInt(VGPU.ALLOCATION_ALIGN), 0n, "what is over an aligned pointer");
      check(pointer >> 32n >= BigInt(VGPU.SEGMENT_FIRST), "the segment number is not too small");
    }
  });

alloc
  .test("apart")
  .desc("Allocations do not overlap, and lie in one segment each.")
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    const ranges: [bigint, bigint][] = [];
    for (let count = 1; count <= 50; count++) {
      const bytes = BigInt(count * 1000);
      const pointer = await context.alloc(bytes);
      equal((pointer + bytes - 1n) >> 32n, pointer >> 32n, "the segment of the last byte");
      for (const [start, end] of ranges)
        check(pointer >= end || pointer + bytes <= start, "two allocations do not overlap");
      ranges.push([pointer, pointer + bytes]);
    }
  });

alloc
  .test("zero")
  .desc("An allocation of no bytes is refused.")
  .dev(41)
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    equal((await context.allocRaw(0)).status, "SIZE_ZERO", "the status of 0 bytes");
    equal((await context.allocRaw(1)).status, "OK", "the status of 1 byte");
  });

alloc
  .test("too-large")
  .desc("One byte more than segment_bytes_max is refused as too large.")
  .dev(42)
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    const most = t.limits.segment_bytes_max;
    equal((await context.allocRaw(most + 1n)).status, "ALLOCATION_TOO_LARGE", "one byte more");
    const { status } = await context.allocRaw(most);
    check(status === "OK" || status === "OUT_OF_MEMORY", `the largest is not refused as ${status}`);
  });

alloc
  .test("out-of-memory")
  .desc("More than memory_bytes can't be allocated; freed memory can be allocated again.")
  .dev(43)
  .needs("results")
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    await exhaust(context, t.limits.memory_bytes, t.limits.segment_bytes_max);
  });

async function exhaust(context: Context, total: bigint, segment: bigint): Promise<void> {
  const part = [total / 8n, segment].reduce((a, b) => (a < b ? a : b));
  const pointers: bigint[] = [];
  for (let count = 0n; count <= total / part + 1n; count++) {
    const response = await context.allocRaw(part);
    if (response.status !== "OK") {
      equal(response.status, "OUT_OF_MEMORY", "the status of the allocation that does not fit");
      check(pointers.length > 0, "something could be allocated");
      equal(await free(context, pointers[0] ?? 0n), "OK", "the status of MEMORY_FREE");
      equal((await context.allocRaw(part)).status, "OK", "the status when memory is free again");
      return;
    }
    pointers.push(MemoryAllocResponse.decode(viewOf(response.payload), 0).pointer);
  }
  check(false, "the limit of the vGPU's memory is held");
}

alloc
  .test("free")
  .desc("MEMORY_FREE takes a pointer of MEMORY_ALLOC once, and no other.")
  .dev(44)
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    const pointer = await context.alloc(4096);
    for (const wrong of [0n, pointer + 1n, pointer + 256n, pointer - 256n, 1n << 60n])
      equal(await free(context, wrong), "POINTER_INVALID", `freeing 0x${wrong.toString(16)}`);
    equal(await free(context, pointer), "OK", "freeing it");
    equal(await free(context, pointer), "POINTER_INVALID", "freeing it again");
  });

alloc
  .test("flags")
  .desc("Unknown flags of MEMORY_ALLOC are refused; MEMORY_DENSE is known.")
  .dev(14)
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    const withFlags = async (flags: bigint): Promise<string> => {
      const payload = struct(MemoryAllocRequest, { bytes: 4096n, flags });
      return (await context.call(Request.MEMORY_ALLOC, payload)).status;
    };
    const dense = BigInt(VGPU.MEMORY_DENSE);
    equal(await withFlags(dense), "OK", "the status with MEMORY_DENSE");
    for (const flags of [dense << 1n, dense | (dense << 1n), 1n << 63n])
      equal(await withFlags(flags), "RESERVED_NONZERO", `the status with flags ${flags}`);
  });

alloc
  .test("info")
  .desc("MEMORY_INFO counts what is allocated, for the context and for the vGPU.")
  .fn(async (t) => {
    const device = await t.device();
    const [one, two] = [await device.createContext(1), await device.createContext(2)];
    const before = await info(one);
    equal(before.total_bytes, t.limits.memory_bytes, "total_bytes");
    equal(before.context_bytes, 0n, "context_bytes of a new context");
    const response = await two.allocRaw(5000);
    const { pointer, bytes } = MemoryAllocResponse.decode(viewOf(response.payload), 0);
    check(bytes >= 5000n, "an allocation takes at least its size");
    const [first, second] = [await info(one), await info(two)];
    equal(first.context_bytes, 0n, "context_bytes of the other context");
    equal(second.context_bytes, bytes, "context_bytes");
    equal(second.allocation_count, 1n, "allocation_count");
    equal(first.free_bytes, before.free_bytes - bytes, "free_bytes");
    equal(await free(two, pointer), "OK", "MEMORY_FREE");
    equal((await info(two)).allocation_count, 0n, "allocation_count afterwards");
  });

// ---- Content ------------------------------------------------------------------------------------

const content = group("memory/content", "What memory holds, and who can see it.");

content
  .test("zero-first")
  .desc("New memory reads as zero, also where other contexts had theirs before.")
  .dev(40)
  .needs("results")
  .fn(async (t) => {
    const device = await t.device();
    const bytes = 1 << 20;
    for (let round = 0; round < 3; round++) {
      const context = await device.createContext(1);
      for (let part = 0; part < 4; part++) {
        const pointer = await context.alloc(bytes);
        allBytes(await context.read(pointer, bytes), 0, `new memory in round ${round}`);
        await context.succeed(new Commands().fill(pointer, bytes, 0xdd));
        if (part % 2 === 0) equal(await free(context, pointer), "OK", "MEMORY_FREE");
      }
      await context.destroy();
    }
  });

content
  .test("isolated")
  .desc("A pointer of another context is no pointer: copies, fills and launches are refused.")
  .dev(45)
  .fn(async (t) => {
    const device = await t.device();
    const owner = await device.createContext(1);
    const pointer = await owner.alloc(4096);
    await owner.write(pointer, pattern(4096));
    for (const [index, command] of [
      new Commands().fill(pointer, 4, 0),
      new Commands().writeInline(pointer, new Uint8Array(4)),
      new Commands().copyDevice(pointer, pointer, 4),
    ].entries()) {
      const other = await device.createContext(10 + index);
      equal(await other.run(command), "POINTER_INVALID", `the status of command ${index}`);
    }
    if (t.environment.results)
      sameBytes(await owner.read(pointer, 4096), pattern(4096), "the owner's memory");
  });

content
  .test("freed-before")
  .desc("Commands that were not begun when their memory was freed fail with POINTER_INVALID.")
  .dev(72)
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    const pointer = await context.alloc(4096);
    const fence = await context.queue(1, new Commands().wait(1, 1).fill(pointer, 4096, 1));
    equal(await free(context, pointer), "OK", "MEMORY_FREE");
    await context.queue(0, new Commands().record(1, 1));
    equal(await context.wait(1, fence), "POINTER_INVALID", "the status of the fill");
  });
