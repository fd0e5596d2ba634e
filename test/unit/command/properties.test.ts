// SPDX-License-Identifier: Apache-2.0
/**
 * Properties of the decoders: what an encoder writes is what a decoder reads, and no bytes at all
 * make a decoder throw, read past the copy, or take more than the copy holds.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeSubmit, submitTarget } from "../../../src/command/decode.js";
import { decodeControl } from "../../../src/command/decode-control.js";
import type { DeviceCommand, ModuleLoadCommand } from "../../../src/command/types.js";
import {
  CommandWriter,
  type EncodedArgument,
  hostmemRegisterBytes,
  requestBytes,
  structBytes,
  submitBytes,
} from "../../../src/protocol/encode.js";
import {
  ContextCreateRequest,
  MemoryAllocRequest,
  ModuleFormat,
  Request,
  requestShapes,
  Status,
  statusName,
} from "../../../src/protocol/generated/wire.js";
import {
  type DevicePointer,
  pointerFromBigInt,
  pointerToBigInt,
} from "../../../src/protocol/pointer.js";
import { controlVectors, submitVectors, vectorBytes } from "../../support/vectors.js";

const u32 = fc.nat({ max: 0xffff_ffff });
const nonzero = fc.integer({ min: 1, max: 0xffff_ffff });
const count = fc.maxSafeNat();
const generation = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const pointer = fc.record({ segment: u32, offset: u32 }, { noNullPrototype: true });
const text = fc.string({ unit: "binary", maxLength: 200 });
const data = (minLength: number, maxLength: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength, maxLength });

const launchArgument = fc.oneof(
  fc.record(
    { kind: fc.constant("pointer" as const), segment: u32, offset: u32 },
    { noNullPrototype: true },
  ),
  fc.record({ kind: fc.constant("value" as const), data: data(1, 100) }, { noNullPrototype: true }),
);

function kind<K extends string, T extends object>(
  name: K,
  fields: { [Key in keyof T]: fc.Arbitrary<T[Key]> },
): fc.Arbitrary<T & { kind: K }> {
  return fc.record<T>(fields).map((values) => ({ kind: name, ...values }));
}

const fillCommand = fc
  .record({
    pointer,
    units: fc.nat(0xffff),
    pattern: u32,
    width: fc.constantFrom(1 as const, 2 as const, 4 as const),
  })
  .map(
    ({ pointer: at, units, pattern, width }): DeviceCommand => ({
      kind: "fill",
      pointer: { segment: at.segment, offset: at.offset - (at.offset % width) },
      bytes: units * width,
      pattern,
      width,
    }),
  );

const block = fc.oneof(fc.constant([0, 0, 0] as const), fc.tuple(nonzero, nonzero, nonzero));
const launchCommand = fc
  .record({
    id: u32,
    grid: fc.tuple(nonzero, nonzero, nonzero),
    block,
    shared: u32,
    list: fc.array(launchArgument, { maxLength: 64 }),
  })
  .map(
    ({ id, grid, block: size, shared, list }): DeviceCommand => ({
      kind: "launch",
      function: id,
      gridX: grid[0],
      gridY: grid[1],
      gridZ: grid[2],
      blockX: size[0],
      blockY: size[1],
      blockZ: size[2],
      sharedBytes: shared,
      arguments: list,
    }),
  );

const name = text.filter((each) => each.length > 0);
const moduleLoadCommand: fc.Arbitrary<ModuleLoadCommand> = fc.oneof(
  fc.record({ module: u32, text, ptx: fc.boolean(), checked: fc.boolean() }).map((each) => ({
    kind: "moduleLoad" as const,
    module: each.module,
    format: each.ptx ? ModuleFormat.PTX : ModuleFormat.WGSL,
    codeBytes: Buffer.byteLength(each.text),
    code: each.text,
    image: new Uint8Array(0),
    checked: each.ptx && each.checked,
  })),
  fc.record({ module: u32, image: data(0, 100), checked: fc.boolean() }).map((each) => ({
    ...each,
    kind: "moduleLoad" as const,
    format: ModuleFormat.FATBIN,
    codeBytes: each.image.length,
    code: "",
  })),
);
const anyCommand: fc.Arbitrary<DeviceCommand> = fc.oneof(
  fc.constant({ kind: "nop" } as const),
  moduleLoadCommand,
  kind("moduleUnload", { module: u32 }),
  kind("functionCreate", { function: u32, module: u32, name }),
  kind("functionDestroy", { function: u32 }),
  kind("copyToDevice", { pointer, hostmem: u32, offset: count, bytes: count }),
  kind("copyFromDevice", { pointer, hostmem: u32, offset: count, bytes: count }),
  kind("copyDevice", { destination: pointer, source: pointer, bytes: count }),
  fillCommand,
  kind("writeInline", { pointer, data: data(0, 100) }),
  launchCommand,
  kind("eventRecord", { event: u32, generation, timed: fc.boolean() }),
  kind("eventWait", { event: u32, generation }),
  kind("eventDestroy", { event: u32 }),
);

function write(writer: CommandWriter, command: DeviceCommand): void {
  switch (command.kind) {
    case "nop":
      writer.nop();
      return;
    case "moduleLoad":
      writer.moduleLoad(
        command.module,
        command.format === ModuleFormat.FATBIN ? command.image : command.code,
        command.format,
        command.checked ? 1 : 0,
      );
      return;
    case "moduleUnload":
      writer.moduleUnload(command.module);
      return;
    case "functionCreate":
      writer.functionCreate(command.function, command.module, command.name);
      return;
    case "functionDestroy":
      writer.functionDestroy(command.function);
      return;
    case "copyToDevice":
      writer.copyToDevice(command.pointer, command.hostmem, command.offset, command.bytes);
      return;
    case "copyFromDevice":
      writer.copyFromDevice(command.pointer, command.hostmem, command.offset, command.bytes);
      return;
    case "copyDevice":
      writer.copyDevice(command.destination, command.source, command.bytes);
      return;
    case "fill":
      writer.fill(command.pointer, command.bytes, command.pattern, command.width);
      return;
    case "writeInline":
      writer.writeInline(command.pointer, command.data);
      return;
    case "launch":
      writer.launch({
        function: command.function,
        grid: [command.gridX, command.gridY, command.gridZ],
        block: [command.blockX, command.blockY, command.blockZ],
        sharedBytes: command.sharedBytes,
        arguments: command.arguments.map(
          (each): EncodedArgument => (each.kind === "pointer" ? each : each.data),
        ),
      });
      return;
    case "eventRecord":
      writer.eventRecord(command.event, command.generation, command.timed ? 1 : 0);
      return;
    case "eventWait":
      writer.eventWait(command.event, command.generation);
      return;
    case "eventDestroy":
      writer.eventDestroy(command.event);
      return;
  }
}

/** A result in plain arrays, since a view's offset is not part of its meaning. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, each: unknown) =>
      each instanceof Uint8Array
        ? { bytes: [...each] }
        : typeof each === "bigint"
          ? `${each}n`
          : each,
    ),
  );
}

/** A decoder's answer is a result or an error that has a status and a text; it never throws. */
function expectSane(bytes: Uint8Array): void {
  for (const result of [decodeSubmit(bytes), decodeControl(bytes)]) {
    if (result.kind === "error") {
      expect(result.status).toBeGreaterThan(Status.OK);
      expect(statusName(result.status)).not.toMatch(/^STATUS_/);
      expect(result.text).not.toBe("");
      expect(result.subject).toBeLessThanOrEqual(bytes.length);
    } else if (result.kind === "submit") {
      expect(result.commands.length * 8).toBeLessThanOrEqual(bytes.length);
    }
  }
  submitTarget(bytes);
}

const validBytes = [...controlVectors(), ...submitVectors()]
  .filter((each) => !("status" in each))
  .map((each) => vectorBytes(each.hex));

describe("submits", () => {
  it("are decoded as they were encoded", () => {
    const commands = fc.array(anyCommand, { maxLength: 12 });
    const stream = fc.nat({ max: 63 });
    fc.assert(
      fc.property(commands, u32, stream, generation, (list, context, number, fence) => {
        const writer = new CommandWriter(64);
        for (const each of list) write(writer, each);
        const result = decodeSubmit(submitBytes(context, number, fence, writer));
        const expected = { kind: "submit", context, stream: number, fence, commands: list };
        expect(plain(result)).toEqual(plain(expected));
      }),
      { numRuns: 300 },
    );
  });

  it("keep no view on the guest's buffer beyond the copy they were given", () => {
    const bytes = submitBytes(
      1,
      0,
      1,
      new CommandWriter().writeInline({ segment: 1, offset: 0 }, Uint8Array.of(1, 2)),
    );
    const result = decodeSubmit(bytes);
    if (result.kind !== "submit") throw new Error(result.text);
    const [command] = result.commands;
    if (command?.kind !== "writeInline") throw new Error("no command");
    expect(command.data.buffer).toBe(bytes.buffer);
  });
});

describe("control requests", () => {
  it("are decoded as they were encoded: CONTEXT_CREATE", () => {
    const page = fc.nat({ max: 2 ** 40 }).map((each) => each * 4096);
    fc.assert(
      fc.property(
        u32,
        page,
        page,
        fc.stringMatching(/^[\w é]{0,15}$/),
        (context, timeline, arm, label) => {
          fc.pre(timeline !== arm);
          const payload = structBytes(ContextCreateRequest, {
            timeline_address: BigInt(timeline),
            arm_address: BigInt(arm),
            name: label,
          });
          expect(decodeControl(requestBytes(Request.CONTEXT_CREATE, context, payload))).toEqual({
            kind: "contextCreate",
            context,
            timelineAddress: timeline,
            armAddress: arm,
            name: label,
          });
        },
      ),
    );
  });

  it("are decoded as they were encoded: HOSTMEM_REGISTER", () => {
    const range = fc.record(
      { address: fc.nat({ max: 2 ** 50 }), bytes: fc.integer({ min: 1, max: 2 ** 40 }) },
      { noNullPrototype: true },
    );
    const ranges = fc.array(range, { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(u32, u32, ranges, (context, hostmem, list) => {
        const bytes = list.reduce((sum, each) => sum + each.bytes, 0);
        expect(decodeControl(hostmemRegisterBytes(context, hostmem, list))).toEqual({
          kind: "hostmemRegister",
          context,
          hostmem,
          bytes,
          ranges: list,
        });
      }),
    );
  });

  it("carry u64 sizes exactly up to 2^53 - 1, and none above", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), (bytes) => {
        const payload = structBytes(MemoryAllocRequest, { bytes, flags: 0n });
        const result = decodeControl(requestBytes(Request.MEMORY_ALLOC, 1, payload));
        if (bytes < 2n ** 53n) {
          expect(result).toEqual({
            kind: "memoryAlloc",
            context: 1,
            bytes: Number(bytes),
            dense: false,
          });
        } else {
          expect(result).toMatchObject({ status: Status.ALLOCATION_TOO_LARGE, value: bytes });
        }
      }),
    );
  });
});

describe("pointers", () => {
  it("keep all 64 bits", () => {
    fc.assert(
      fc.property(pointer, (each: DevicePointer) => {
        expect(pointerFromBigInt(pointerToBigInt(each))).toEqual(each);
      }),
    );
  });
});

describe("hostile bytes", () => {
  it("never make a decoder throw: random bytes", () => {
    fc.assert(fc.property(data(0, 400), expectSane), { numRuns: 2000 });
  });

  it("never make a decoder throw: random bytes behind a known type", () => {
    const type = fc.constantFrom(...requestShapes.keys());
    fc.assert(
      fc.property(type, u32, data(0, 400), (each, context, payload) => {
        expectSane(requestBytes(each, context, payload));
      }),
      { numRuns: 2000 },
    );
  });

  it("never make a decoder throw: random commands in a good envelope", () => {
    const opcode = fc.nat({ max: 20 });
    fc.assert(
      fc.property(fc.array(fc.tuple(opcode, data(0, 96))), (list) => {
        const writer = new CommandWriter();
        for (const [each, payload] of list) writer.raw(each, payload);
        expectSane(submitBytes(1, 0, 1, writer));
      }),
      { numRuns: 2000 },
    );
  });

  it("never make a decoder throw: every single-bit change of every short vector", () => {
    let changes = 0;
    for (const valid of validBytes.filter((each) => each.length <= 200)) {
      for (let bit = 0; bit < valid.length * 8; bit++) {
        const bytes = valid.slice();
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const submit = decodeSubmit(bytes);
        const control = decodeControl(bytes);
        // No request is valid on both queues, whatever its bytes are.
        expect(submit.kind === "error" || control.kind === "error").toBe(true);
        changes++;
      }
    }
    expect(changes).toBeGreaterThan(10_000);
  });

  it("never make a decoder throw: every truncation of every short vector", () => {
    for (const valid of validBytes.filter((each) => each.length <= 400)) {
      for (let length = 0; length < valid.length; length++) {
        const bytes = valid.slice(0, length);
        expect(decodeSubmit(bytes).kind).toBe("error");
        expect(decodeControl(bytes).kind).toBe("error");
      }
    }
  });

  it("never make a decoder throw: several random changes of a vector", () => {
    const patch = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(
        fc.constantFrom(...validBytes),
        fc.array(patch, { maxLength: 8 }),
        (valid, list) => {
          const bytes = valid.slice();
          for (const [at, value] of list) bytes[at % bytes.length] = value;
          expectSane(bytes);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
