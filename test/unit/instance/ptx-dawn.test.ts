// SPDX-License-Identifier: Apache-2.0
/** What nvcc made of ptx/kernels.cu, through the compiler and the device, on a GPU. */
import { readFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import type { DawnExecutor } from "../../../src/gpu/dawn/index.js";
import { InlineTranslator } from "../../../src/kernel/translator/index.js";
import type { CommandWriter } from "../../../src/protocol/encode.js";
import {
  ModuleFormat,
  ModuleSymbolResponse,
  ObjectState,
  VGPU,
} from "../../../src/protocol/generated/wire.js";
import {
  type DevicePointer,
  pointerFromBigInt,
  pointerToBigInt,
} from "../../../src/protocol/pointer.js";
import { testExecutor } from "../../support/dawn.js";
import { at, DATA_AT, Harness, type HarnessOptions, ok } from "./harness.js";

const PTX = readFileSync(new URL("./ptx/kernels.ptx", import.meta.url), "utf8");
const MIB = 1024 * 1024;
const KERNELS = ["axpy", "chase", "visit", "sum", "stop", "insist", "store"] as const;
type Kernel = (typeof KERNELS)[number];
type Triple = readonly [number, number, number];

let executor: DawnExecutor;

beforeAll(async () => {
  executor = await testExecutor();
});

/** A context with the module and all of its kernels. */
class Guest {
  #fence = 0;

  constructor(
    readonly harness: Harness,
    readonly context = 0,
  ) {
    ok(harness.register(context, 0, [{ address: DATA_AT, bytes: MIB }]));
  }

  static open(options: HarnessOptions = {}, contexts = 1): Guest[] {
    const translator = new InlineTranslator();
    const harness = new Harness({ translator, ...options, executor }).ready(contexts);
    return Array.from({ length: contexts }, (_, id) => new Guest(harness, id));
  }

  /** A guest that has loaded the module. */
  static async ready(flags = 0, options: HarnessOptions = {}): Promise<Guest> {
    const [guest] = Guest.open(options);
    if (guest === undefined) throw new Error("no guest");
    return guest.load(flags);
  }

  async load(flags = 0): Promise<this> {
    this.submit((w) => {
      w.moduleLoad(0, PTX, ModuleFormat.PTX, flags);
      KERNELS.forEach((name, id) => {
        w.functionCreate(id, 0, name);
      });
    });
    await this.finish();
    const { state, log } = this.harness.moduleQuery(this.context, 0);
    expect({ state, log }).toEqual({ state: ObjectState.READY, log: "" });
    return this;
  }

  submit(build: (w: CommandWriter) => void): void {
    this.#fence++;
    ok(this.harness.submit(this.context, 0, build));
  }

  async settle(): Promise<string> {
    while (this.harness.slot(this.context, 0).fence < this.#fence) await nextTurn();
    return this.harness.slot(this.context, 0).status;
  }

  async finish(): Promise<void> {
    const status = await this.settle();
    expect(this.harness.error(this.context).text).toBe("");
    expect(status).toBe("OK");
  }

  upload(bytes: Uint8Array, room = bytes.length): DevicePointer {
    const pointer = this.harness.alloc(this.context, room);
    this.harness.memory.bytes.set(bytes, DATA_AT);
    this.submit((w) => w.copyToDevice(pointer, 0, 0, bytes.length));
    return pointer;
  }

  async download(pointer: DevicePointer, bytes: number): Promise<Buffer> {
    this.submit((w) => w.copyFromDevice(pointer, 0, 0, bytes));
    await this.finish();
    return Buffer.from(this.harness.memory.bytes.slice(DATA_AT, DATA_AT + bytes));
  }

  launch(
    kernel: Kernel,
    grid: Triple,
    block: Triple,
    parameters: readonly (DevicePointer | number | Float32Array)[],
    sharedBytes = 0,
  ): void {
    const parts = parameters.map((each) => {
      if (typeof each === "number") return Uint32Array.of(each);
      return each instanceof Float32Array ? each : BigUint64Array.of(pointerToBigInt(each));
    });
    const bytes = Buffer.concat(parts.map((part) => Buffer.from(part.buffer)));
    const id = KERNELS.indexOf(kernel);
    this.submit((w) =>
      w.launch({ function: id, grid, block, sharedBytes, arguments: [new Uint8Array(bytes)] }),
    );
  }

  symbol(name: string): DevicePointer {
    const { payload } = ok(this.harness.symbol(this.context, 0, name));
    const view = new DataView(payload.buffer, payload.byteOffset);
    return pointerFromBigInt(ModuleSymbolResponse.decode(view, 0).pointer);
  }
}

const f32 = (count: number, of: (i: number) => number): Uint8Array =>
  new Uint8Array(Float32Array.from({ length: count }, (_, i) => of(i)).buffer);
const u32 = (count: number, of: (i: number) => number): Uint8Array =>
  new Uint8Array(Uint32Array.from({ length: count }, (_, i) => of(i)).buffer);
const words = (bytes: Buffer): Uint32Array =>
  new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);

/** Allocations that were there before the module: each of them a segment of its own. */
const SEPARATE = { limits: { segmentBytesFirst: MIB, segmentBytesOwn: MIB } };

describe("kernels in PTX on a GPU", () => {
  it("compute, with constants, variables and addresses of variables in memory", async () => {
    const guest = await Guest.ready();
    const count = 1000;
    const x = guest.upload(f32(count, (i) => i / 8));
    const y = guest.upload(f32(count, (i) => 100 - i));
    const a = Float32Array.of(2.5);
    guest.launch("axpy", [8, 1, 1], [128, 1, 1], [y, x, a, count]);
    const bytes = await guest.download(y, count * 4);
    const expected = f32(count, (i) => (2.5 * i) / 8 + (100 - i) + (i % 4) + 1);
    expect(bytes).toEqual(Buffer.from(expected));
    expect((await guest.download(guest.symbol("counter"), 4)).readInt32LE(0)).toBe(6);
  });

  it("share code among contexts, and no variables", async () => {
    const guests = Guest.open({}, 2);
    for (const guest of guests) await guest.load();
    const [first, second] = guests as [Guest, Guest];
    for (const guest of [first, first, second]) {
      const data = guest.upload(f32(4, () => 0));
      guest.launch("axpy", [1, 1, 1], [32, 1, 1], [data, data, Float32Array.of(1), 4]);
      await guest.finish();
    }
    expect((await first.download(first.symbol("counter"), 4)).readInt32LE(0)).toBe(7);
    expect((await second.download(second.symbol("counter"), 4)).readInt32LE(0)).toBe(6);
    expect(first.harness.device.status().pipelines).toBe(1);
  });

  it.each([
    ["one segment", {}],
    ["segments of their own", SEPARATE],
  ])("follow pointers through memory in %s", async (_, options) => {
    const [guest] = Guest.open(options) as [Guest];
    const nodes = Array.from({ length: 5 }, () => guest.harness.alloc(0, 2 * MIB));
    if (options === SEPARATE)
      expect(new Set(nodes.map((each) => each.segment)).size).toBe(nodes.length);
    nodes.forEach((pointer, i) => {
      const node = new Uint8Array(16);
      const view = new DataView(node.buffer);
      const next = nodes[i + 1];
      view.setBigUint64(0, next === undefined ? 0n : pointerToBigInt(at(next, MIB)), true);
      view.setUint32(8, 10 ** i, true);
      guest.submit((w) => w.writeInline(at(pointer, MIB), node));
    });
    await guest.load();
    const total = guest.upload(new Uint8Array(4));
    guest.launch("chase", [1, 1, 1], [1, 1, 1], [at(nodes[0] as DevicePointer, MIB), total]);
    expect((await guest.download(total, 4)).readUInt32LE(0)).toBe(11111);
  });

  it("use dynamic workgroup memory and barriers, in blocks of several sizes", async () => {
    const guest = await Guest.ready();
    const data = guest.upload(u32(1024, (i) => i));
    for (const threads of [32, 128, 256]) {
      const sums = guest.upload(new Uint8Array(4 * 32));
      guest.launch("sum", [4, 1, 1], [threads, 1, 1], [data, sums], 4 * threads);
      const found = words(await guest.download(sums, 16));
      const first = (threads * (threads - 1)) / 2;
      expect([...found]).toEqual([0, 1, 2, 3].map((block) => first + block * threads * threads));
    }
  });

  it("see the true grid in slices, and compute the same", async () => {
    const compute = async (slicesMin: number): Promise<{ seen: Buffer; batches: number }> => {
      const guest = await Guest.ready(0, { scheduling: { slicesMin } });
      const seen = guest.upload(new Uint8Array(16), 4 * 32 * 63);
      guest.launch("visit", [7, 3, 3], [32, 1, 1], [seen, 7, 3]);
      const bytes = await guest.download(seen, 4 * 32 * 63);
      return { seen: bytes, batches: guest.harness.device.status().queue.batches_done };
    };
    const whole = await compute(0);
    expect(words(whole.seen).every((each) => each === 70303)).toBe(true);
    const sliced = await compute(9);
    expect(sliced.seen).toEqual(whole.seen);
    expect(sliced.batches).toBeGreaterThan(whole.batches + 5);
  });

  it("see what an earlier launch wrote although the segment has grown since", async () => {
    const guest = await Guest.ready();
    const small = guest.harness.alloc(0, 4096);
    guest.launch("store", [1, 1, 1], [64, 1, 1], [small, 77]);
    const large = guest.harness.alloc(0, 40 * MIB);
    expect(large.segment).toBe(small.segment);
    guest.launch("store", [1, 1, 1], [64, 1, 1], [at(large, 40 * MIB - 256), 78]);
    const found = [
      await guest.download(small, 256),
      await guest.download(at(large, 40 * MIB - 256), 256),
      await guest.download(large, 4096),
    ];
    expect(found.map((each) => each.readUInt32LE(each.length - 4))).toEqual([77, 78, 0]);
  });
});

describe("faults of kernels in PTX on a GPU", () => {
  const fails = async (guest: Guest): Promise<{ name: string; text: string }> => {
    await guest.settle();
    const { name, text } = guest.harness.error(0);
    return { name, text };
  };

  it("VGPU-DEV-123: a trap makes the context fail, and no other", async () => {
    const guests = Guest.open({}, 2);
    for (const guest of guests) await guest.load();
    const [guest, other] = guests as [Guest, Guest];
    const when = guest.upload(Uint8Array.of(100, 0, 0, 0));
    guest.launch("stop", [1, 1, 1], [64, 1, 1], [when]);
    await guest.finish();
    guest.launch("stop", [4, 1, 1], [64, 1, 1], [when]);
    const { name, text } = await fails(guest);
    expect(name).toBe("TRAP");
    expect(text).toMatch(/^kernel stop executes a trap: line \d+ of its PTX, block 1, thread 36$/);
    const data = other.upload(new Uint8Array(4));
    other.launch("store", [1, 1, 1], [1, 1, 1], [data, 3]);
    expect((await other.download(data, 4)).readUInt32LE(0)).toBe(3);
  });

  it("VGPU-DEV-123: a failed assertion too", async () => {
    const guest = await Guest.ready();
    const values = guest.upload(u32(64, (i) => (i === 9 ? 1 : 0)));
    guest.launch("insist", [1, 1, 1], [8, 1, 1], [values]);
    await guest.finish();
    guest.launch("insist", [1, 1, 1], [32, 1, 1], [values]);
    const { name, text } = await fails(guest);
    expect(name).toBe("ASSERT");
    expect(text).toMatch(/^kernel insist fails an assertion: .*, block 0, thread 9$/);
  });

  const bad: readonly [string, (guest: Guest) => DevicePointer, string][] = [
    ["null", () => ({ segment: 0, offset: 0 }), "ILLEGAL_ADDRESS"],
    ["near null", () => ({ segment: 0, offset: 252 }), "ILLEGAL_ADDRESS"],
    [
      "another segment's number",
      (g) => ({ ...g.symbol("counter"), segment: 77 }),
      "ILLEGAL_ADDRESS",
    ],
    [
      "behind all that is allocated",
      (g) => ({ ...g.symbol("counter"), offset: 2 ** 31 }),
      "ILLEGAL_ADDRESS",
    ],
    ["just behind the last allocation", (g) => at(g.harness.alloc(0, 256), 256), "ILLEGAL_ADDRESS"],
    [
      "behind the last byte of an allocation before others",
      (g) => {
        const short = g.harness.alloc(0, 100);
        g.harness.alloc(0, 256);
        return at(short, 100);
      },
      "ILLEGAL_ADDRESS",
    ],
    [
      "memory that was freed between others",
      (g) => {
        const [, freed] = [0, 1, 2].map(() => g.harness.alloc(0, 1024));
        if (freed === undefined) throw new Error("nothing was allocated");
        g.harness.free(0, freed);
        return at(freed, 512);
      },
      "ILLEGAL_ADDRESS",
    ],
    ["an odd address", (g) => at(g.harness.alloc(0, 256), 1), "MISALIGNED_ADDRESS"],
  ];

  it.each(bad)("VGPU-DEV-124: %s is found by a checked module", async (_, where, status) => {
    const guest = await Guest.ready(VGPU.MODULE_CHECKED);
    const good = guest.harness.alloc(0, 256);
    guest.launch("store", [1, 1, 1], [64, 1, 1], [good, 1]);
    await guest.finish();
    guest.launch("store", [1, 1, 1], [1, 1, 1], [where(guest), 1]);
    const { name, text } = await fails(guest);
    expect(name).toBe(status);
    expect(text).toMatch(/^kernel store .* address: line \d+ of its PTX, block 0, thread 0$/);
  });

  it.each(bad)("VGPU-DEV-122: %s hits nobody's memory in one that is not", async (_, where) => {
    const guests = Guest.open({}, 2);
    for (const guest of guests) await guest.load();
    const [guest, other] = guests as [Guest, Guest];
    const theirs = other.upload(u32(1024, (i) => i));
    await other.finish();
    guest.launch("store", [1, 1, 1], [64, 1, 1], [where(guest), 0xdead]);
    await guest.finish();
    expect(await other.download(theirs, 4096)).toEqual(Buffer.from(u32(1024, (i) => i)));
  });
});
