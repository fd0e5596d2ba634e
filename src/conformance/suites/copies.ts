// SPDX-License-Identifier: Apache-2.0
/** Copies, fills and inline writes: bytes, bounds, alignment, and what lies beside them. */
import { Commands } from "../driver/commands.js";
import type { Context } from "../driver/device.js";
import { check, equal, pattern, sameBytes } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";

interface Setting {
  readonly context: Context;
  /** An allocation of 4096 bytes. */
  readonly pointer: bigint;
  /** A registration of 4096 bytes, in two ranges of odd sizes. */
  readonly hostmem: number;
  readonly host: readonly Uint8Array[];
}

const BYTES = 4096;
const CUT = 1371;

async function setting(t: TestContext): Promise<Setting> {
  const device = await t.device();
  const context = await device.createContext();
  const pointer = await context.alloc(BYTES);
  const { memory } = device.frontEnd;
  const [first, second] = [memory.allocate(CUT, 1), memory.allocate(BYTES - CUT, 64)];
  const hostmem = await context.register(first, second);
  return { context, pointer, hostmem, host: [first.bytes, second.bytes] };
}

/** What the registration holds, in its order. */
function hostBytes(host: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  let at = 0;
  for (const part of host) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function setHost(host: readonly Uint8Array[], bytes: Uint8Array): void {
  host[0]?.set(bytes.subarray(0, CUT));
  host[1]?.set(bytes.subarray(CUT));
}

// ---- Bounds -------------------------------------------------------------------------------------

type Make = (at: Setting, offset: bigint, bytes: bigint) => Commands;

const KINDS: readonly { readonly name: string; readonly make: Make }[] = [
  {
    name: "to-device",
    make: (s, offset, bytes) =>
      new Commands().copyToDevice(s.pointer + offset, s.hostmem, 0, bytes),
  },
  {
    name: "from-device",
    make: (s, offset, bytes) =>
      new Commands().copyFromDevice(s.pointer + offset, s.hostmem, 0, bytes),
  },
  {
    name: "to-device-host",
    make: (s, offset, bytes) => new Commands().copyToDevice(s.pointer, s.hostmem, offset, bytes),
  },
  {
    name: "from-device-host",
    make: (s, offset, bytes) => new Commands().copyFromDevice(s.pointer, s.hostmem, offset, bytes),
  },
  {
    name: "device-destination",
    make: (s, offset, bytes) => new Commands().copyDevice(s.pointer + offset, s.pointer, bytes),
  },
  {
    name: "device-source",
    make: (s, offset, bytes) => new Commands().copyDevice(s.pointer, s.pointer + offset, bytes),
  },
  { name: "fill", make: (s, offset, bytes) => new Commands().fill(s.pointer + offset, bytes, 1) },
  {
    name: "write-inline",
    make: (s, offset, bytes) =>
      new Commands().writeInline(s.pointer + offset, new Uint8Array(Number(bytes % 65536n))),
  },
];

const bounds = group("command/bounds", "Ranges inside one allocation and one registration.");

bounds
  .test("inside")
  .desc("The control: ranges up to the last byte are accepted.")
  .params(KINDS)
  .fn(async (t, { make }) => {
    const at = await setting(t);
    for (const [offset, bytes] of [
      [0n, BigInt(BYTES)],
      [4095n, 1n],
      [1n, 4095n],
    ] as const)
      equal(await at.context.run(make(at, offset, bytes)), "OK", `${bytes} bytes at ${offset}`);
  });

bounds
  .test("outside")
  .desc("A range that ends one byte behind fails with OUT_OF_RANGE.")
  .dev(71)
  .params(
    KINDS.flatMap(({ name, make }) =>
      [
        { offset: 1n, bytes: BigInt(BYTES) },
        { offset: 4095n, bytes: 2n },
        { offset: 0n, bytes: 4097n },
      ].map((range) => ({ name: `${name}-${range.offset}-${range.bytes}`, make, ...range })),
    ),
  )
  .fn(async (t, { make, offset, bytes }) => {
    const at = await setting(t);
    equal(await at.context.run(make(at, offset, bytes)), "OUT_OF_RANGE", "the status");
    await at.context.failed("OUT_OF_RANGE");
  });

bounds
  .test("huge")
  .desc("Sizes whose sum with the offset overflows are refused or fail, and harm nobody.")
  .dev(22, 71)
  .params(
    KINDS.filter(({ name }) => name !== "write-inline").flatMap(({ name, make }) =>
      [(1n << 64n) - 1n, (1n << 64n) - 4096n, 1n << 53n, (1n << 53n) - 1n, 1n << 32n].map(
        (bytes) => ({
          name: `${name}-${bytes.toString(16)}`,
          make,
          bytes,
        }),
      ),
    ),
  )
  .fn(async (t, { make, bytes }) => {
    const at = await setting(t);
    const { response, fence } = await at.context.submit(0, make(at, 16n, bytes));
    const early = bytes >= 1n << 53n;
    equal(response.status, early ? "OUT_OF_RANGE" : "OK", "the status of SUBMIT");
    equal(await at.context.wait(0, fence), "OUT_OF_RANGE", "the status in the slot");
  });

bounds
  .test("zero")
  .desc("Copies and fills of no bytes are done, at the start and at the end of a range.")
  .dev(70)
  .params(KINDS)
  .fn(async (t, { make }) => {
    const at = await setting(t);
    for (const offset of [0n, 1n, 4095n])
      equal(await at.context.run(make(at, offset, 0n)), "OK", `0 bytes at ${offset}`);
  });

bounds
  .test("pointer")
  .desc("Pointers that belong to no allocation fail with POINTER_INVALID.")
  .dev(72)
  .params(
    [
      { name: "null", pointer: 0n },
      { name: "small", pointer: 4096n },
      { name: "user", pointer: 0x7fff_0000_0000n },
      { name: "high", pointer: (1n << 64n) - 4096n },
    ].flatMap(({ name, pointer }) => [
      {
        name: `${name}-fill`,
        commands: () => new Commands().fill(pointer, 16, 0, 1),
      },
      {
        name: `${name}-copy`,
        commands: (s: Setting) => new Commands().copyDevice(pointer, s.pointer, 16),
      },
      {
        name: `${name}-source`,
        commands: (s: Setting) => new Commands().copyDevice(s.pointer, pointer, 16),
      },
      {
        name: `${name}-host`,
        commands: (s: Setting) => new Commands().copyToDevice(pointer, s.hostmem, 0, 16),
      },
    ]),
  )
  .fn(async (t, { commands }) => {
    const at = await setting(t);
    equal(await at.context.run(commands(at)), "POINTER_INVALID", "the status");
  });

bounds
  .test("hostmem")
  .desc("Registrations that do not exist fail with HANDLE_UNKNOWN.")
  .dev(88)
  .params([
    {
      name: "to",
      make: (s: Setting, h: number) => new Commands().copyToDevice(s.pointer, h, 0, 4),
    },
    {
      name: "from",
      make: (s: Setting, h: number) => new Commands().copyFromDevice(s.pointer, h, 0, 4),
    },
  ])
  .fn(async (t, { make }) => {
    const at = await setting(t);
    equal(await at.context.run(make(at, 77)), "HANDLE_UNKNOWN", "the status");
  });

// ---- Bytes --------------------------------------------------------------------------------------

const bytes = group(
  "command/bytes",
  "Copies and fills change the bytes that they name, and no other.",
  {
    needs: ["results"],
  },
);

/** Starts, lengths of any alignment. */
const RANGES = [
  [0, 4096],
  [0, 1],
  [1, 1],
  [3, 2],
  [1, 7],
  [5, 256],
  [255, 513],
  [1370, 3],
  [4093, 3],
  [2, 4093],
] as const;

bytes
  .test("to-device")
  .desc("COPY_TO_DEVICE at any alignment, across the registration's ranges.")
  .dev(69)
  .params(RANGES.map(([at, count]) => ({ name: `${at}-${count}`, at, count })))
  .fn(async (t, { at, count }) => {
    const s = await setting(t);
    const [before, data] = [pattern(BYTES, 1), pattern(BYTES, 2)];
    await s.context.write(s.pointer, before);
    setHost(s.host, data);
    const expected = before.slice();
    const target = BYTES - at - count;
    expected.set(data.subarray(at, at + count), target);
    await s.context.succeed(
      new Commands().copyToDevice(s.pointer + BigInt(target), s.hostmem, at, count),
    );
    sameBytes(await s.context.read(s.pointer, BYTES), expected, "device memory");
    sameBytes(hostBytes(s.host), data, "host memory");
  });

bytes
  .test("from-device")
  .desc("COPY_FROM_DEVICE at any alignment, across the registration's ranges.")
  .dev(69)
  .params(RANGES.map(([at, count]) => ({ name: `${at}-${count}`, at, count })))
  .fn(async (t, { at, count }) => {
    const s = await setting(t);
    const [data, before] = [pattern(BYTES, 3), pattern(BYTES, 4)];
    await s.context.write(s.pointer, data);
    setHost(s.host, before);
    const source = BYTES - at - count;
    const expected = before.slice();
    expected.set(data.subarray(source, source + count), at);
    await s.context.succeed(
      new Commands().copyFromDevice(s.pointer + BigInt(source), s.hostmem, at, count),
    );
    sameBytes(hostBytes(s.host), expected, "host memory");
  });

bytes
  .test("device")
  .desc("COPY_DEVICE within one allocation, as memmove does, in both directions.")
  .dev(69)
  .params(
    [
      [0, 1, 4095],
      [1, 0, 4095],
      [0, 256, 3000],
      [256, 0, 3000],
      [7, 13, 1000],
      [13, 7, 1000],
      [100, 100, 50],
      [0, 4000, 96],
    ].map(([to = 0, from = 0, count = 0]) => ({ name: `${to}-${from}-${count}`, to, from, count })),
  )
  .fn(async (t, { to, from, count }) => {
    const s = await setting(t);
    const expected = pattern(BYTES, 5);
    await s.context.write(s.pointer, expected);
    expected.copyWithin(to, from, from + count);
    const target = s.pointer + BigInt(to);
    await s.context.succeed(new Commands().copyDevice(target, s.pointer + BigInt(from), count));
    sameBytes(await s.context.read(s.pointer, BYTES), expected, "device memory");
  });

bytes
  .test("between-allocations")
  .desc("COPY_DEVICE from one allocation to another.")
  .dev(69)
  .fn(async (t) => {
    const s = await setting(t);
    const other = await s.context.alloc(BYTES);
    const data = pattern(BYTES, 6);
    await s.context.write(s.pointer, data);
    await s.context.succeed(new Commands().copyDevice(other + 3n, s.pointer + 5n, 4000));
    const expected = new Uint8Array(BYTES);
    expected.set(data.subarray(5, 4005), 3);
    sameBytes(await s.context.read(other, BYTES), expected, "the other allocation");
  });

bytes
  .test("inline")
  .desc("WRITE_INLINE at any alignment.")
  .dev(69)
  .params(RANGES.map(([at, count]) => ({ name: `${at}-${count}`, at, count })))
  .fn(async (t, { at, count }) => {
    const s = await setting(t);
    const expected = pattern(BYTES, 7);
    await s.context.write(s.pointer, expected);
    const data = pattern(count, 8);
    expected.set(data, at);
    await s.context.succeed(new Commands().writeInline(s.pointer + BigInt(at), data));
    sameBytes(await s.context.read(s.pointer, BYTES), expected, "device memory");
  });

bytes
  .test("fill")
  .desc("FILL of each width repeats the low bytes of the pattern, and touches no neighbour.")
  .dev(69)
  .params(
    [
      [1, 0, 4096],
      [1, 1, 1],
      [1, 3, 2],
      [1, 4095, 1],
      [1, 5, 1001],
      [2, 0, 4096],
      [2, 2, 2],
      [2, 6, 1002],
      [4, 0, 4096],
      [4, 4, 4],
      [4, 1020, 2048],
    ].map(([width = 1, at = 0, count = 0]) => ({
      name: `${width}-${at}-${count}`,
      width,
      at,
      count,
    })),
  )
  .fn(async (t, { width, at, count }) => {
    const s = await setting(t);
    const expected = pattern(BYTES, 9);
    await s.context.write(s.pointer, expected);
    const value = [0xa1, 0xb2, 0xc3, 0xd4];
    for (let index = 0; index < count; index++) expected[at + index] = value[index % width] ?? 0;
    const commands = new Commands().fill(s.pointer + BigInt(at), count, 0xd4c3_b2a1, width);
    await s.context.succeed(commands);
    sameBytes(await s.context.read(s.pointer, BYTES), expected, "device memory");
  });

bytes
  .test("neighbours-at-work")
  .desc("Fills of neighbouring odd ranges on different streams do not undo each other.")
  .dev(69)
  .fn(async (t) => {
    const s = await setting(t);
    const streams = 8;
    const expected = new Uint8Array(BYTES);
    const fences: bigint[] = [];
    const part = 511;
    for (let stream = 0; stream < streams; stream++) {
      expected.fill(stream + 1, stream * part, (stream + 1) * part);
      const commands = new Commands();
      for (let times = 0; times < 20; times++)
        commands.fill(s.pointer + BigInt(stream * part), part, stream + 1);
      fences.push(await s.context.queue(stream, commands));
    }
    for (const [stream, fence] of fences.entries()) await s.context.wait(stream, fence);
    sameBytes(await s.context.read(s.pointer, BYTES), expected, "device memory");
  });

bytes
  .test("large")
  .desc("A copy of 3 MiB + 1 byte there and back.")
  .fn(async (t) => {
    const device = await t.device({ memoryBytes: 16 << 20 });
    const context = await device.createContext();
    const count = (3 << 20) + 1;
    const pointer = await context.alloc(count);
    const data = pattern(count, 10);
    await context.write(pointer, data);
    sameBytes(await context.read(pointer, count), data, "what comes back");
  });

// ---- FILL ---------------------------------------------------------------------------------------

const fill = group("command/fill", "Width and alignment of FILL.");

fill
  .test("width")
  .desc("Widths 1, 2 and 4 are accepted, others refused.")
  .dev(73)
  .params([0, 1, 2, 3, 4, 5, 8, 0xffff_ffff].map((width) => ({ name: `${width}`, width })))
  .fn(async (t, { width }) => {
    const s = await setting(t);
    const { response } = await s.context.submit(0, new Commands().fill(s.pointer, 16, 0, width));
    const good = width === 1 || width === 2 || width === 4;
    equal(response.status, good ? "OK" : "MALFORMED", "the status");
  });

fill
  .test("alignment")
  .desc("Pointer and size are multiples of the width.")
  .dev(74)
  .params(
    [
      { width: 2, at: 1, count: 16 },
      { width: 2, at: 0, count: 15 },
      { width: 4, at: 2, count: 16 },
      { width: 4, at: 0, count: 18 },
      { width: 4, at: 1, count: 16 },
    ].map((each) => ({ name: `${each.width}-${each.at}-${each.count}`, ...each })),
  )
  .fn(async (t, { width, at, count }) => {
    const s = await setting(t);
    const commands = new Commands().fill(s.pointer + BigInt(at), count, 0, width);
    const { response } = await s.context.submit(0, commands);
    equal(response.status, "MISALIGNED", "the status");
    check(response.header?.payload_bytes === 0, "the response has no payload");
  });
