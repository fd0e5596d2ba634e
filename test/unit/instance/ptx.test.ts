// SPDX-License-Identifier: Apache-2.0
/** Modules in PTX: variables, launches, faults, what is shared and what is refused. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NullExecutor } from "../../../src/gpu/null/index.js";
import type { CommandWriter } from "../../../src/protocol/encode.js";
import {
  ArgumentInfo,
  FunctionQueryResponse,
  ModuleFormat,
  ModuleSymbolResponse,
  ObjectState,
  Status,
  statusName,
  VGPU,
} from "../../../src/protocol/generated/wire.js";
import { type DevicePointer, pointerFromBigInt } from "../../../src/protocol/pointer.js";
import {
  type StubKernel,
  type StubModule,
  StubTranslator,
  stubPtx,
} from "../../support/stub-translator.js";
import { at, DATA_AT, Harness, type HarnessOptions, ok } from "./harness.js";

const MIB = 1024 * 1024;
const view = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const params = (...bytes: number[]): Pick<StubKernel, "params" | "paramBytes"> => {
  let end = 0;
  const list = bytes.map((each) => {
    const offset = Math.ceil(end / each) * each;
    end = offset + each;
    return { offset, bytes: each, align: each };
  });
  return { params: list, paramBytes: end };
};

const STORE: StubKernel = { name: "ptxStore", ...params(8, 4, 4) };
const VISIT: StubKernel = { name: "ptxVisit", ...params(8) };

/** The parameter buffer: a pointer, then words. */
function pack(pointer: DevicePointer, ...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.of(pointer.offset, pointer.segment, ...values).buffer);
}

class PtxHarness extends Harness {
  readonly stub: StubTranslator;

  constructor(options: HarnessOptions = {}, contexts = 1) {
    const stub = new StubTranslator();
    super({ translator: stub, ...options });
    this.stub = stub;
    this.ready(contexts);
  }

  async load(context: number, module: number, what: StubModule, flags = 0): Promise<void> {
    const code = stubPtx(what);
    ok(this.submit(context, 0, (w) => w.moduleLoad(module, code, ModuleFormat.PTX, flags)));
    await this.settle();
  }

  async function(context: number, id: number, module: number, name: string): Promise<void> {
    ok(this.submit(context, 0, (w) => w.functionCreate(id, module, name)));
    await this.settle();
  }

  pointer(context: number, module: number, name: string): DevicePointer & { bytes: number } {
    const { payload } = ok(this.symbol(context, module, name));
    const { pointer, bytes } = ModuleSymbolResponse.decode(view(payload), 0);
    return { ...pointerFromBigInt(pointer), bytes: Number(bytes) };
  }

  async launch(
    context: number,
    id: number,
    buffer: Uint8Array | null,
    options: Partial<Parameters<CommandWriter["launch"]>[0]> = {},
  ): Promise<void> {
    const given = buffer === null ? [] : [buffer];
    const launch = { function: id, grid: [1, 1, 1], block: [32, 1, 1], arguments: given } as const;
    ok(this.submit(context, 0, (w) => w.launch({ ...launch, ...options })));
    await this.settle();
    this.gpu.finishAll();
    await this.settle();
    this.gpu.finishAll();
  }

  /** Bytes of device memory, read as a guest does. */
  read(context: number, pointer: DevicePointer, bytes: number): Buffer {
    ok(this.submit(context, 1, (w) => w.copyFromDevice(pointer, 0, 0, bytes)));
    this.gpu.finishAll();
    return Buffer.from(this.memory.bytes.slice(DATA_AT, DATA_AT + bytes));
  }

  registered(context = 0): this {
    ok(this.register(context, 0, [{ address: DATA_AT, bytes: 65536 }]));
    return this;
  }
}

describe("modules in PTX", () => {
  it("VGPU-DEV-111: are not supported where the device does not offer them", async () => {
    const harness = new Harness().ready();
    ok(harness.submit(0, 0, (w) => w.moduleLoad(0, stubPtx({}), ModuleFormat.PTX)));
    await harness.settle();
    expect(harness.moduleQuery(0, 0)).toMatchObject({
      state: ObjectState.FAILED,
      status: Status.NOT_SUPPORTED,
    });
    expect(harness.error(0).name).toBe("OK");
  });

  it.each([
    ["a WGSL module", ModuleFormat.WGSL, 1],
    ["an unknown bit", ModuleFormat.PTX, 2],
    ["the highest bit", ModuleFormat.FATBIN, 0x8000_0000],
  ])("VGPU-DEV-110: flags are refused for %s", async (_, format, flags) => {
    const harness = new PtxHarness();
    const answer = harness.submit(0, 0, (w) => w.moduleLoad(0, "", format, flags));
    expect(answer.status).toBe("RESERVED_NONZERO");
    expect(harness.error(0).name).toBe("RESERVED_NONZERO");
  });

  it("VGPU-DEV-112: become FAILED if they can't be read, and the context goes on", async () => {
    const harness = new PtxHarness();
    ok(
      harness.submit(0, 0, (w) =>
        w
          .moduleLoad(0, ".version what", ModuleFormat.PTX)
          .moduleLoad(1, new Uint8Array(20), ModuleFormat.FATBIN)
          .functionCreate(0, 1, "main"),
      ),
    );
    await harness.settle();
    const [text, binary] = [harness.moduleQuery(0, 0), harness.moduleQuery(0, 1)];
    expect(text).toMatchObject({ state: ObjectState.FAILED, status: Status.MODULE_INVALID });
    expect(text.log).toContain("line 1");
    expect(binary).toMatchObject({ state: ObjectState.FAILED, status: Status.MODULE_INVALID });
    expect(binary.log).toContain("the fat binary begins with 0x0");
    const query = FunctionQueryResponse.decode(view(ok(harness.functionQuery(0, 0)).payload), 0);
    expect(query).toMatchObject({ state: ObjectState.FAILED, status: Status.MODULE_INVALID });
    expect(harness.error(0).name).toBe("OK");
  });

  it("VGPU-DEV-113: fail kernel by kernel, and the log says why", async () => {
    const harness = new PtxHarness();
    const unsupported = "line 41: kernel tensor: mma.sync is not supported";
    await harness.load(0, 0, { kernels: [STORE, { name: "tensor", unsupported }] });
    expect(harness.moduleQuery(0, 0)).toMatchObject({ state: ObjectState.READY, log: "" });
    await harness.function(0, 0, 0, "tensor");
    await harness.function(0, 1, 0, "ptxStore");
    await harness.function(0, 2, 0, "absent");
    const states = [0, 1, 2].map((id) => {
      const { payload } = ok(harness.functionQuery(0, id));
      return statusName(FunctionQueryResponse.decode(view(payload), 0).status);
    });
    expect(states).toEqual(["NOT_SUPPORTED", "OK", "FUNCTION_NOT_FOUND"]);
    await harness.function(0, 3, 0, "tensor");
    expect(harness.moduleQuery(0, 0)).toMatchObject({
      state: ObjectState.READY,
      function_count: 2,
      log: `${unsupported}\n`,
    });
    // What is not asked for is not looked at, and what is, once.
    expect(harness.stub.described).toEqual(["tensor", "ptxStore"]);
    expect(harness.error(0).name).toBe("OK");
  });

  it("are found in fat binaries", async () => {
    const harness = new PtxHarness();
    const image = readFileSync(new URL("../kernel/fatbin/zstd.fatbin", import.meta.url));
    ok(harness.submit(0, 0, (w) => w.moduleLoad(0, new Uint8Array(image), ModuleFormat.FATBIN)));
    await harness.settle();
    // The stub wants JSON: that it complains of PTX shows that it was given some.
    expect(harness.moduleQuery(0, 0).log).toMatch(/line 1: .*"\/\/|\.version/);
  });

  it("are translated once for all contexts, and apart if they are checked", async () => {
    const harness = new PtxHarness({}, 3);
    await harness.load(0, 0, { kernels: [VISIT] });
    await harness.load(1, 5, { kernels: [VISIT] });
    expect(harness.stub.loads.length).toBe(1);
    await harness.load(2, 0, { kernels: [VISIT] }, VGPU.MODULE_CHECKED);
    expect(harness.stub.loads.length).toBe(2);
    for (const context of [0, 1, 2]) {
      const pointer = harness.registered(context).alloc(context, 64);
      await harness.function(context, 0, context === 1 ? 5 : 0, "ptxVisit");
      await harness.launch(context, 0, pack(pointer), { grid: [3, 1, 1] });
      expect([...harness.read(context, pointer, 16)].filter((each) => each === 1).length).toBe(3);
    }
    // Two contexts share a pipeline; the checked one has its own.
    expect(harness.stub.emitted.map(({ request }) => request.checked)).toEqual([false, true]);
  });

  it("are executed by the null executor too", async () => {
    const executor = new NullExecutor({ nowNs: () => 0 });
    const harness = new PtxHarness({ executor });
    await harness.load(0, 0, { kernels: [STORE], variables: [{ name: "v", init: [1] }] });
    await harness.function(0, 0, 0, "ptxStore");
    await harness.launch(0, 0, pack(harness.pointer(0, 0, "v"), 1, 1));
    await new Promise((go) => setTimeout(go, 5));
    await harness.settle();
    expect(harness.error(0).name).toBe("OK");
    expect(harness.slot(0, 0).fence).toBe(3);
  });
});

describe("variables", () => {
  const variables = [
    { name: "zero", bytes: 100, align: 4 },
    { name: "bytes", init: [1, 2, 3], bytes: 5, align: 1 },
    {
      name: "table",
      bytes: 24,
      align: 8,
      init: [9, 9],
      relocations: [
        { at: 8, target: "bytes", addend: 2 },
        { at: 16, target: "zero", addend: -4 },
      ],
    },
    { name: "aligned", bytes: 4, align: 128 },
  ];

  it("that are managed have pages of their own, which a hidden variable names", async () => {
    const harness = new PtxHarness().registered();
    const managed = { init: [7], bytes: 5000, managed: true };
    await harness.load(0, 3, { variables: [...variables, { name: "shared", ...managed }] });
    const pages = harness.pointer(0, 3, "__vgpu_managed");
    expect(pages.bytes).toBe(8192);
    expect(pages.offset % 4096).toBe(0);
    expect(harness.pointer(0, 3, "shared")).toEqual({ ...pages, bytes: 5000 });
    expect(harness.read(0, pages, 2)).toEqual(Buffer.from([7, 0]));
    for (const { name } of variables) {
      const { offset } = harness.pointer(0, 3, name);
      expect(offset >= pages.offset + pages.bytes || offset < pages.offset).toBe(true);
    }
    expect(harness.read(0, harness.pointer(0, 3, "bytes"), 3)).toEqual(Buffer.from([1, 2, 3]));
  });

  it("VGPU-DEV-114: have their values, and addresses of each other, when the module is READY", async () => {
    const harness = new PtxHarness().registered();
    await harness.load(0, 3, { variables });
    expect(harness.moduleQuery(0, 3).state).toBe(ObjectState.READY);
    const bytes = harness.pointer(0, 3, "bytes");
    const zero = harness.pointer(0, 3, "zero");
    const table = harness.pointer(0, 3, "table");
    expect(bytes.bytes).toBe(5);
    expect(harness.read(0, bytes, 5)).toEqual(Buffer.from([1, 2, 3, 0, 0]));
    expect(harness.read(0, zero, 100)).toEqual(Buffer.alloc(100));
    const words = harness.read(0, table, 24);
    expect(words.readUInt32LE(0)).toBe(0x0909);
    expect(pointerFromBigInt(words.readBigUInt64LE(8))).toEqual(at(pick(bytes), 2));
    expect(pointerFromBigInt(words.readBigUInt64LE(16))).toEqual(at(pick(zero), -4));
    expect(harness.pointer(0, 3, "aligned").offset % 128).toBe(0);
  });

  it("VGPU-DEV-114: reads as zero what other allocations had used", async () => {
    const harness = new PtxHarness().registered();
    const used = harness.alloc(0, 4096);
    ok(harness.submit(0, 0, (w) => w.fill(used, 4096, 0xff, 1)));
    ok(harness.free(0, used));
    await harness.load(0, 3, { variables });
    expect(harness.read(0, harness.pointer(0, 3, "zero"), 100)).toEqual(Buffer.alloc(100));
    expect(harness.read(0, harness.pointer(0, 3, "bytes"), 5)).toEqual(
      Buffer.from([1, 2, 3, 0, 0]),
    );
  });

  it("VGPU-DEV-115: make the module FAILED if there is no memory for them", async () => {
    const harness = new PtxHarness({ limits: { memoryBytesMax: 4 * MIB } });
    await harness.load(0, 0, { variables: [{ name: "large", bytes: 5 * MIB }] });
    await harness.load(0, 1, { variables: [{ name: "larger", bytes: 2 ** 33 }] });
    for (const module of [0, 1]) {
      const query = harness.moduleQuery(0, module);
      expect(query).toMatchObject({ state: ObjectState.FAILED, status: Status.OUT_OF_MEMORY });
      expect(query.log).toContain("the variables of module");
    }
    expect(harness.symbol(0, 0, "large").status).toBe("SYMBOL_NOT_FOUND");
    expect(harness.error(0).name).toBe("OK");
    expect(harness.memoryInfo(0).context_bytes).toBe(0n);
  });

  it("VGPU-DEV-116: are counted, and freed to the last byte when the module is unloaded", async () => {
    const harness = new PtxHarness();
    await harness.load(0, 0, { variables });
    expect(harness.memoryInfo(0)).toMatchObject({ context_bytes: 512n, allocation_count: 1n });
    ok(harness.submit(0, 0, (w) => w.moduleUnload(0)));
    harness.gpu.finishAll();
    expect(harness.memoryInfo(0)).toMatchObject({ context_bytes: 0n, allocation_count: 0n });
    await harness.load(0, 0, { variables });
    ok(harness.destroyContext(0));
    harness.gpu.finishAll();
    expect(harness.device.status().memory).toMatchObject({ reserved_bytes: 0, allocated_bytes: 0 });
    expect(harness.gpu.liveBytes).toBe(0);
  });

  it("VGPU-DEV-117: are not freed by MEMORY_FREE", async () => {
    const harness = new PtxHarness();
    await harness.load(0, 0, { variables: [variables[1] ?? { name: "" }] });
    const pointer = harness.pointer(0, 0, "bytes");
    expect(harness.free(0, pointer).status).toBe("POINTER_INVALID");
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 4, 0, 4)));
    expect(harness.error(0).name).toBe("OK");
  });

  it("VGPU-DEV-118: are found by name in READY modules only", async () => {
    const harness = new PtxHarness();
    harness.stub.hold = true;
    await harness.load(0, 0, { variables });
    expect(harness.symbol(0, 0, "bytes").status).toBe("SYMBOL_NOT_FOUND");
    expect(harness.symbol(0, 1, "bytes").status).toBe("HANDLE_UNKNOWN");
    expect(harness.symbol(0, 2 ** 31, "bytes").status).toBe("HANDLE_LIMIT");
    harness.stub.release();
    await harness.settle();
    expect(harness.symbol(0, 0, "bytes").status).toBe("OK");
    expect(harness.symbol(0, 0, "byte").status).toBe("SYMBOL_NOT_FOUND");
  });

  it("that name others which do not exist make the module invalid, and take no memory", async () => {
    const harness = new PtxHarness();
    const relocations = [{ at: 0, target: "absent", addend: 0 }];
    await harness.load(0, 0, { variables: [{ name: "v", bytes: 8, relocations }] });
    expect(harness.moduleQuery(0, 0)).toMatchObject({
      state: ObjectState.FAILED,
      status: Status.MODULE_INVALID,
    });
    expect(harness.memoryInfo(0).context_bytes).toBe(0n);
  });
});

const pick = ({ segment, offset }: DevicePointer): DevicePointer => ({ segment, offset });

describe("launches of PTX", () => {
  const ready = async (kernels: readonly StubKernel[], options?: HarnessOptions) => {
    const harness = new PtxHarness(options).registered();
    await harness.load(0, 0, { kernels, variables: [{ name: "v", bytes: 64 }] });
    for (const [id, kernel] of kernels.entries()) await harness.function(0, id, 0, kernel.name);
    return harness;
  };

  it("tells the parameters' places, sizes and the limits of the block", async () => {
    const kernel = { ...STORE, sharedBytes: 100, maxThreads: 64, block: [8, 4, 1] as const };
    const harness = await ready([kernel]);
    const { payload } = ok(harness.functionQuery(0, 0));
    expect(FunctionQueryResponse.decode(view(payload), 0)).toMatchObject({
      state: ObjectState.READY,
      argument_count: 3,
      block_x: 8,
      block_y: 4,
      block_z: 1,
      shared_bytes: 100,
      block_threads_max: 64,
    });
    const places = [0, 1, 2].map((index) => {
      const where = FunctionQueryResponse.bytes + index * ArgumentInfo.bytes;
      const { kind, bytes_min, align, offset } = ArgumentInfo.decode(view(payload), where);
      return [kind, offset, bytes_min, align];
    });
    expect(places).toEqual([
      [1, 0, 8, 8],
      [1, 8, 4, 4],
      [1, 12, 4, 4],
    ]);
  });

  it("write where pointers in the parameter buffer point, and nowhere else", async () => {
    const harness = await ready([STORE]);
    const pointer = harness.alloc(0, 1024);
    await harness.launch(0, 0, pack(at(pointer, 512), 0x01020304, 2));
    const bytes = harness.read(0, pointer, 1024);
    expect(bytes.readUInt32LE(512)).toBe(0x01020304);
    expect(bytes.filter((each) => each !== 0).length).toBe(8);
  });

  it("pass the addresses of variables behind the parameters", async () => {
    const harness = new PtxHarness().registered();
    // Without parameters of its own the stub's kernel reads its variable's address as the pointer.
    const kernel = { name: "ptxVisit", globals: ["second"] };
    await harness.load(0, 0, {
      kernels: [kernel],
      variables: [{ name: "first" }, { name: "second" }],
    });
    await harness.function(0, 0, 0, "ptxVisit");
    await harness.launch(0, 0, null);
    expect(harness.read(0, harness.pointer(0, 0, "second"), 4).readUInt32LE(0)).toBe(1);
    expect(harness.read(0, harness.pointer(0, 0, "first"), 4).readUInt32LE(0)).toBe(0);
  });

  const refusals: readonly [
    string,
    StubKernel,
    Partial<Parameters<CommandWriter["launch"]>[0]>,
    string,
  ][] = [
    ["VGPU-DEV-119: no argument", STORE, { arguments: [] }, "ARGUMENT_COUNT"],
    [
      "VGPU-DEV-119: an argument too many",
      STORE,
      { arguments: [new Uint8Array(16), new Uint8Array(1)] },
      "ARGUMENT_COUNT",
    ],
    [
      "VGPU-DEV-119: an argument for none",
      { name: "ptxVisit" },
      { arguments: [new Uint8Array(1)] },
      "ARGUMENT_COUNT",
    ],
    [
      "VGPU-DEV-119: a buffer too short",
      STORE,
      { arguments: [new Uint8Array(15)] },
      "ARGUMENT_KIND",
    ],
    [
      "VGPU-DEV-119: a buffer too long",
      STORE,
      { arguments: [new Uint8Array(17)] },
      "ARGUMENT_KIND",
    ],
    [
      "VGPU-DEV-119: a pointer",
      STORE,
      { arguments: [{ segment: VGPU.SEGMENT_FIRST, offset: 256 }] },
      "ARGUMENT_KIND",
    ],
    [
      "VGPU-DEV-120: a block above the device's limit",
      STORE,
      { block: [257, 1, 1] },
      "LAUNCH_SIZE",
    ],
    [
      "VGPU-DEV-120: a dimension above the device's limit",
      STORE,
      { block: [1, 1, 65] },
      "LAUNCH_SIZE",
    ],
    [
      "VGPU-DEV-120: a block above the kernel's limit",
      { ...STORE, maxThreads: 64 },
      { block: [65, 1, 1] },
      "LAUNCH_SIZE",
    ],
    [
      "VGPU-DEV-120: too much workgroup memory",
      { ...STORE, sharedBytes: 16000 },
      { sharedBytes: 385 },
      "LAUNCH_SIZE",
    ],
    ["VGPU-DEV-120: 4 GiB of workgroup memory", STORE, { sharedBytes: 0xffff_ffff }, "LAUNCH_SIZE"],
    ["VGPU-DEV-121: no block", STORE, { block: [0, 0, 0] }, "LAUNCH_BLOCK"],
    [
      "VGPU-DEV-121: another block than declared",
      { ...STORE, block: [32, 2, 1] },
      { block: [64, 1, 1] },
      "LAUNCH_BLOCK",
    ],
    ["a grid above the device's limit", STORE, { grid: [2 ** 31, 1, 1] }, "LAUNCH_SIZE"],
  ];

  it.each(refusals)("%s makes the context fail", async (_, kernel, options, status) => {
    const harness = await ready([kernel]);
    await harness.launch(0, 0, new Uint8Array(16), options);
    expect(harness.error(0).name).toBe(status);
    expect(harness.error(0).text).toContain(kernel.name === "ptxVisit" ? "ptxVisit" : "");
    expect(harness.stub.emitted).toEqual([]);
  });

  it("VGPU-DEV-121: take the declared block if they give none", async () => {
    const harness = await ready([{ ...STORE, block: [32, 2, 1] }]);
    await harness.launch(0, 0, pack(harness.pointer(0, 0, "v"), 1, 1), { block: [0, 0, 0] });
    expect(harness.error(0).name).toBe("OK");
    expect(harness.stub.emitted[0]?.request.block).toEqual([32, 2, 1]);
  });

  it("compile once for each block, dynamic memory and number of segments", async () => {
    const harness = await ready([STORE]);
    const buffer = pack(harness.pointer(0, 0, "v"), 7, 1);
    for (const block of [32, 64, 32]) await harness.launch(0, 0, buffer, { block: [block, 1, 1] });
    for (const sharedBytes of [64, 64, 128]) await harness.launch(0, 0, buffer, { sharedBytes });
    const made = harness.stub.emitted.map(
      ({ request }) => `${request.segments} ${request.block[0]} ${request.dynamicSharedBytes}`,
    );
    expect(made).toEqual(["1 32 0", "1 64 0", "1 32 64", "1 32 128"]);
    expect(harness.gpu.pipelines.at(-1)).toMatchObject({
      bindings: [
        { binding: 0, kind: "storage", bytes: 0 },
        { binding: 1, kind: "uniform", bytes: 32 },
      ],
      immediateBytes: 32,
    });
  });

  it("fail the context with the reason if the kernel can't be emitted, or is too long", async () => {
    const fails = "line 7: kernel ptxStore: a loop with two entries";
    const refused = await ready([{ ...STORE, fails }]);
    await refused.launch(0, 0, new Uint8Array(16));
    expect(refused.error(0)).toMatchObject({ name: "NOT_SUPPORTED" });
    expect(refused.error(0).text).toContain(fails);
    const long = await ready([{ ...STORE, length: 5000 }], { limits: { emittedLengthMax: 4096 } });
    await long.launch(0, 0, new Uint8Array(16));
    expect(long.error(0)).toMatchObject({ name: "QUOTA" });
    expect(long.error(0).text).toContain("5000 characters of WGSL, the limit is 4096");
  });

  it("give equal results in slices of any number", async () => {
    const results: Buffer[] = [];
    for (const slicesMin of [0, 2, 7]) {
      const harness = await ready([VISIT], { scheduling: { slicesMin } });
      const pointer = harness.alloc(0, 4 * 5 * 6 * 7);
      await harness.launch(0, 0, pack(pointer), { grid: [5, 6, 7] });
      const launched = harness.gpu.history.flat().filter((each) => each.startsWith("launch"));
      expect(launched.length).toBeGreaterThanOrEqual(Math.max(1, slicesMin));
      results.push(harness.read(0, pointer, 4 * 5 * 6 * 7));
    }
    expect(results[0]?.readUInt32LE(0)).toBe(1);
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it("run whole, and say so once, if they can't be sliced", async () => {
    const unsliceable = "line 9 waits for another block";
    const harness = await ready([{ ...VISIT, unsliceable }], { scheduling: { slicesMin: 4 } });
    const pointer = harness.alloc(0, 4096);
    for (let i = 0; i < 2; i++) await harness.launch(0, 0, pack(pointer), { grid: [100, 1, 1] });
    expect(harness.gpu.history.flat().filter((each) => each.startsWith("launch")).length).toBe(2);
    expect(harness.log.filter((each) => each.includes(unsliceable)).length).toBe(1);
  });

  it("have something to bind in a context without memory", async () => {
    const harness = new PtxHarness();
    await harness.load(0, 0, { kernels: [{ name: "ptxStore" }] });
    await harness.function(0, 0, 0, "ptxStore");
    // Segment 0 is the null pointer's: the stub finds none of that number.
    await expect(harness.launch(0, 0, null)).rejects.toThrow("no segment has the number");
    expect(harness.stub.emitted[0]?.request.segments).toBe(1);
  });
});

describe("memory of contexts that run PTX", () => {
  it("stays in one segment that grows, with its contents and pointers", async () => {
    const harness = new PtxHarness().registered();
    await harness.load(0, 0, { kernels: [STORE], variables: [{ name: "v", init: [1, 2, 3, 4] }] });
    const small = harness.alloc(0, 1000);
    ok(harness.submit(0, 0, (w) => w.fill(small, 1000, 0x55, 1)));
    const large = harness.alloc(0, 20 * MIB);
    const larger = harness.alloc(0, 20 * MIB);
    expect([small, large, larger].every((each) => each.segment === small.segment)).toBe(true);
    await harness.function(0, 0, 0, "ptxStore");
    await harness.launch(0, 0, pack(at(larger, 20 * MIB - 4), 0xabcd, 1));
    expect(harness.read(0, small, 1000)).toEqual(Buffer.alloc(1000, 0x55));
    expect([...harness.read(0, harness.pointer(0, 0, "v"), 4)]).toEqual([1, 2, 3, 4]);
    expect(harness.read(0, at(larger, 20 * MIB - 4), 4).readUInt32LE(0)).toBe(0xabcd);
    expect(harness.read(0, at(large, 10 * MIB), 64)).toEqual(Buffer.alloc(64));
    expect(harness.gpu.segments.filter((each) => !each.destroyed).length).toBe(1);
    expect(harness.device.status().memory.reserved_bytes).toBe(harness.gpu.liveBytes);
  });

  it("VGPU-DEV-140: stays so from the first allocation that says it, by a known flag", async () => {
    const harness = new PtxHarness();
    expect(harness.tryAlloc(0, 256, 2n).status).toBe("RESERVED_NONZERO");
    ok(harness.tryAlloc(0, 256, BigInt(VGPU.MEMORY_DENSE)));
    const all = [20 * MIB, 256, 20 * MIB].map((bytes) => harness.alloc(0, bytes));
    expect(new Set(all.map((each) => each.segment)).size).toBe(1);
    expect(all.every((each) => each.offset >= 512)).toBe(true);
  });

  it("goes on in a second segment when one can't be larger, and kernels see both", async () => {
    const harness = new PtxHarness({ gpu: { info: { segmentBytesMax: 16 * MIB } } }).registered();
    await harness.load(0, 0, { kernels: [STORE] });
    await harness.function(0, 0, 0, "ptxStore");
    const all = Array.from({ length: 5 }, () => harness.alloc(0, 6 * MIB));
    expect(new Set(all.map((each) => each.segment)).size).toBe(3);
    for (const [index, pointer] of all.entries())
      await harness.launch(0, 0, pack(pointer, 100 + index, 1));
    const found = all.map((pointer) => harness.read(0, pointer, 4).readUInt32LE(0));
    expect(found).toEqual([100, 101, 102, 103, 104]);
    expect(harness.stub.emitted.map(({ request }) => request.segments)).toEqual([3]);
  });

  it("refuses a launch that would bind more segments than the GPU can", async () => {
    const info = { segmentBytesMax: 2 * MIB, storageBindingsMax: 2 };
    const harness = new PtxHarness({ gpu: { info } });
    await harness.load(0, 0, { kernels: [STORE] });
    await harness.function(0, 0, 0, "ptxStore");
    for (let i = 0; i < 3; i++) harness.alloc(0, 3 * (MIB / 2));
    await harness.launch(0, 0, new Uint8Array(16));
    expect(harness.error(0)).toMatchObject({ name: "LAUNCH_FAILED", value: 3n, limit: 2n });
    expect(harness.error(0).text).toContain("in 3 segments");
  });

  it("never begins at the start of a segment: null is nobody's", async () => {
    const harness = new PtxHarness();
    await harness.load(0, 0, {});
    const sizes = [1, 4096, 3 * MIB, 30 * MIB];
    for (const size of sizes) expect(harness.alloc(0, size).offset).toBeGreaterThanOrEqual(256);
  });

  it("keeps what is written and the account exact, however it grows and shrinks", async () => {
    const action = fc.record({ free: fc.boolean(), size: fc.integer({ min: 1, max: 3 * MIB }) });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
        const limits = { segmentBytesFirst: MIB, memoryBytesMax: 48 * MIB };
        const info = { segmentBytesMax: 8 * MIB };
        const harness = new PtxHarness({ limits, gpu: { info } }).registered();
        await harness.load(0, 0, {});
        const live: { pointer: DevicePointer; tag: number; size: number }[] = [];
        for (const [index, { free, size }] of actions.entries()) {
          if (free && live.length > 0) {
            // What is queued and not begun must not name it any more.
            harness.gpu.finishAll();
            const [gone] = live.splice(size % live.length, 1);
            if (gone !== undefined) ok(harness.free(0, gone.pointer));
            continue;
          }
          if (harness.tryAlloc(0, size).status !== "OK") continue;
          // The first one is freed by the context's end.
          const tried = harness.tryAlloc(0, size);
          if (tried.status !== "OK") continue;
          const pointer = pointerFromBigInt(view(tried.payload).getBigUint64(0, true));
          ok(harness.submit(0, 0, (w) => w.fill(pointer, size, index + 1, 1)));
          live.push({ pointer, tag: index + 1, size });
          if (size % 3 === 0) harness.gpu.finishAll();
        }
        for (const { pointer, tag, size } of live) {
          expect(harness.read(0, pointer, 1)[0]).toBe(tag);
          expect(harness.read(0, at(pointer, size - 1), 1)[0]).toBe(tag);
        }
        expect(harness.device.audit().problems).toEqual([]);
        harness.gpu.finishAll();
        expect(harness.device.status().memory.reserved_bytes).toBe(harness.gpu.liveBytes);
        ok(harness.destroyContext(0));
        harness.gpu.finishAll();
        expect(harness.gpu.liveBytes).toBe(0);
        expect(harness.device.status().memory.reserved_bytes).toBe(0);
      }),
      { numRuns: 10 },
    );
  });
});

describe("faults of kernels", () => {
  const ready = async (flags: number, mayFault: boolean) => {
    const harness = new PtxHarness({}, 2).registered();
    const variables = mayFault ? [{ name: "__vgpu_fault", bytes: 16 }] : [];
    await harness.load(0, 0, { kernels: [{ ...STORE, mayFault }], variables }, flags);
    await harness.function(0, 0, 0, "ptxStore");
    return harness;
  };

  it.each([
    ["VGPU-DEV-123", 1, "TRAP", "executes a trap", 0],
    ["VGPU-DEV-123", 2, "ASSERT", "fails an assertion", 0],
    ["VGPU-DEV-124", 3, "ILLEGAL_ADDRESS", "accesses an illegal address", VGPU.MODULE_CHECKED],
    ["VGPU-DEV-124", 4, "MISALIGNED_ADDRESS", "accesses a misaligned address", VGPU.MODULE_CHECKED],
  ] as const)("%s, VGPU-DEV-125: code %i is told as %s", async (_, code, status, text, flags) => {
    const harness = await ready(flags, flags === 0);
    const fault = harness.pointer(0, 0, "__vgpu_fault");
    expect(fault.bytes).toBe(16);
    // The stub's kernel writes one value into all four words.
    await harness.launch(0, 0, pack(fault, code, 4));
    expect(harness.error(0).name).toBe(status);
    expect(harness.error(0).text).toBe(
      `kernel ptxStore ${text}: line ${code} of its PTX, block ${code}, thread ${code}`,
    );
    // The launch's own fence has the status already.
    expect(harness.slot(0, 0)).toMatchObject({ fence: 3, status });
    expect(harness.error(1).name).toBe("OK");
  });

  it("are looked for once in a batch, and only where there can be some", async () => {
    const harness = await ready(0, true);
    const pointer = harness.alloc(0, 256);
    const launch = { function: 0, grid: [1, 1, 1], block: [32, 1, 1] } as const;
    const value = { ...launch, arguments: [pack(pointer, 1, 1)] };
    await harness.launch(0, 0, pack(pointer, 1, 1));
    ok(harness.submit(0, 0, (w) => w.launch(value).launch(value).launch(value)));
    harness.gpu.finishAll();
    expect(harness.gpu.history.at(-1)?.filter((each) => each.startsWith("read")).length).toBe(1);
    const other = await ready(0, false);
    await other.launch(0, 0, pack(other.alloc(0, 256), 1, 1));
    expect(other.gpu.history.flat().some((each) => each.startsWith("read"))).toBe(false);
  });

  it("are found although the module is unloaded in the same batch", async () => {
    const harness = await ready(0, true);
    const fault = harness.pointer(0, 0, "__vgpu_fault");
    await harness.launch(0, 0, pack(harness.alloc(0, 256), 1, 1));
    const launch = { function: 0, grid: [1, 1, 1], block: [32, 1, 1] } as const;
    const bad = { ...launch, arguments: [pack(fault, 1, 4)] };
    ok(harness.submit(0, 0, (w) => w.launch(bad).moduleUnload(0)));
    harness.gpu.finishAll();
    expect(harness.error(0).name).toBe("TRAP");
  });
});
