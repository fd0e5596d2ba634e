// SPDX-License-Identifier: Apache-2.0
/** Modules, functions and launches: what is asynchronous, what is shared, what fails and how. */
import { describe, expect, it } from "vitest";
import type { CommandWriter } from "../../../src/protocol/encode.js";
import {
  ArgumentInfo,
  FunctionQueryResponse,
  ObjectState,
  Status,
} from "../../../src/protocol/generated/wire.js";
import type { DevicePointer } from "../../../src/protocol/pointer.js";
import { at, DATA_AT, Harness, type HarnessOptions, ok } from "./harness.js";

const SOURCE = `
override width: u32;
override lanes: u32 = 8;
@group(0) @binding(0) var<storage, read> source: array<u32>;
@group(0) @binding(1) var<storage, read_write> target_: array<u32>;
@group(1) @binding(0) var<uniform> value: u32;
@group(2) @binding(0) var<storage, read_write> data: array<u32>;

@compute @workgroup_size(64)
fn increment(@builtin(global_invocation_id) id: vec3u) { data[id.x] += 1u; }

@compute @workgroup_size(8, 4)
fn addTo(@builtin(global_invocation_id) id: vec3u) { target_[id.x] += source[id.x]; }

@compute @workgroup_size(lanes)
fn setValue(@builtin(global_invocation_id) id: vec3u) { data[id.x] = value; }

@compute @workgroup_size(width, 2)
fn setParams(@builtin(global_invocation_id) id: vec3u) { data[id.x] = value; }

@compute @workgroup_size(lanes, lanes)
fn square(@builtin(global_invocation_id) id: vec3u) { data[id.x] = value; }

@compute @workgroup_size(1)
fn explode() { data[0] = 1u; }

@compute @workgroup_size(1)
fn refused() { data[0] = 1u; }
`;

const NAMES = ["increment", "addTo", "setValue", "setParams", "explode", "refused", "square"];

interface Rig {
  readonly harness: Harness;
  readonly pointer: DevicePointer;
}

/** A context with the module as 1, functions 0 to 6, and 4 KiB of zeroed memory. */
async function rig(options: HarnessOptions = {}): Promise<Rig> {
  const harness = new Harness(options).ready(2);
  const pointer = harness.alloc(0, 4096);
  ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 65536 }]));
  ok(harness.submit(0, 0, (w) => loadAll(w)));
  await harness.settle();
  expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
  return { harness, pointer };
}

function loadAll(writer: CommandWriter): void {
  writer.moduleLoad(1, SOURCE);
  NAMES.forEach((name, id) => {
    writer.functionCreate(id, 1, name);
  });
}

/** Runs what is queued to the end, compilations included. */
async function run(harness: Harness): Promise<void> {
  for (let turn = 0; turn < 8; turn++) {
    await harness.settle();
    harness.gpu.finishAll();
  }
}

async function read(harness: Harness, pointer: DevicePointer, words: number): Promise<number[]> {
  ok(harness.submit(0, 9, (w) => w.copyFromDevice(pointer, 0, 0, words * 4)));
  await run(harness);
  const bytes = harness.memory.bytes.slice(DATA_AT, DATA_AT + words * 4);
  return [...new Uint32Array(bytes.buffer)];
}

const u32 = (value: number): Uint8Array => new Uint8Array(new Uint32Array([value]).buffer);

describe("modules and functions", () => {
  it("answers queries about the module and its functions", async () => {
    const { harness } = await rig();
    expect(harness.moduleQuery(0, 1)).toMatchObject({
      state: ObjectState.READY,
      status: Status.OK,
      log_bytes: 0,
      function_count: 7,
    });
    expect(harness.moduleQuery(0, 2).state).toBe(ObjectState.ABSENT);
    const response = ok(harness.functionQuery(0, 2));
    const view = new DataView(response.payload.buffer);
    expect(FunctionQueryResponse.decode(view, 0)).toMatchObject({
      state: ObjectState.READY,
      argument_count: 2,
      block_x: 0,
      block_y: 1,
      block_z: 1,
    });
    expect(ArgumentInfo.decode(view, FunctionQueryResponse.bytes)).toEqual({
      kind: 1,
      access: 0,
      bytes_min: 4,
      align: 4,
      name: "value",
      offset: 0,
    });
    expect(ArgumentInfo.decode(view, FunctionQueryResponse.bytes + ArgumentInfo.bytes)).toEqual({
      kind: 0,
      access: 2,
      bytes_min: 4,
      align: 4,
      name: "data",
      offset: 0,
    });
    // Room for one entry only: the count still tells both.
    const cut = ok(harness.functionQuery(0, 2, 32 + FunctionQueryResponse.bytes + 64 + 63));
    expect(cut.payload.length).toBe(FunctionQueryResponse.bytes + 64);
    expect(FunctionQueryResponse.decode(new DataView(cut.payload.buffer), 0).argument_count).toBe(
      2,
    );
  });

  it("keeps the compiler's messages, and a look-up that fails, to the object alone", async () => {
    const harness = new Harness().ready();
    ok(
      harness.submit(0, 0, (w) => {
        w.moduleLoad(1, "fn a() {}\n!syntax\n").functionCreate(4, 1, "main");
        w.moduleLoad(2, SOURCE).functionCreate(5, 2, "missing");
      }),
    );
    await harness.settle();
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
    const failed = harness.moduleQuery(0, 1);
    expect(failed).toMatchObject({ state: ObjectState.FAILED, status: Status.MODULE_INVALID });
    expect(failed.log).toBe("2:1: error: bad syntax");
    expect(failed.log_bytes).toBe(failed.log.length);
    expect(harness.moduleQuery(0, 1, 32 + 16 + 5, 4).log).toBe(" erro");
    const state = (id: number): [number, number] => {
      const view = new DataView(ok(harness.functionQuery(0, id)).payload.buffer);
      const { state, status } = FunctionQueryResponse.decode(view, 0);
      return [state, status];
    };
    expect(state(4)).toEqual([ObjectState.FAILED, Status.MODULE_INVALID]);
    expect(state(5)).toEqual([ObjectState.FAILED, Status.FUNCTION_NOT_FOUND]);
    expect(state(7)).toEqual([ObjectState.ABSENT, Status.OK]);
    // Only a launch of a failed function makes the context fail.
    ok(harness.submit(0, 0, (w) => w.launch({ function: 5, grid: [1, 1, 1], arguments: [] })));
    expect(harness.error(0)).toMatchObject({ name: "FUNCTION_NOT_FOUND", fence: 2n });
    expect(harness.error(0).text).toMatch(/function 5 \(missing\) has failed: .*'missing'/);
  });

  it("VGPU-DEV-88: fails the context for a function of a module that does not exist", async () => {
    const harness = new Harness().ready();
    ok(harness.submit(0, 0, (w) => w.functionCreate(6, 9, "main")));
    await harness.settle();
    expect(harness.error(0)).toMatchObject({ name: "HANDLE_UNKNOWN", fence: 1n });
  });

  it("blocks only the stream that loads, and streams that name what is being made", async () => {
    const harness = new Harness().ready();
    const pointer = harness.alloc(0, 4096);
    harness.gpu.holdCompilers = true;
    ok(harness.submit(0, 0, (w) => loadAll(w)));
    ok(harness.submit(0, 1, (w) => w.fill(pointer, 4096, 5, 4)));
    ok(
      harness.submit(0, 2, (w) =>
        w.launch({ function: 0, grid: [16, 1, 1], arguments: [pointer] }),
      ),
    );
    ok(harness.submit(0, 3, (w) => w.functionDestroy(3)));
    await harness.settle();
    harness.gpu.finishAll();
    expect(harness.moduleQuery(0, 1).state).toBe(ObjectState.PENDING);
    expect([0, 1, 2, 3].map((stream) => harness.slot(0, stream).fence)).toEqual([0, 1, 0, 0]);
    harness.gpu.releaseCompilers();
    await run(harness);
    expect([0, 1, 2, 3].map((stream) => harness.slot(0, stream))).toMatchObject(
      [0, 1, 2, 3].map(() => ({ fence: 1, status: "OK" })),
    );
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 65536 }]));
    expect(await read(harness, pointer, 1)).toEqual([6]);
  });

  it("does not wait for what comes later in the same stream", () => {
    const harness = new Harness().ready();
    ok(
      harness.submit(0, 0, (w) =>
        w.launch({ function: 0, grid: [1, 1, 1], arguments: [] }).functionCreate(0, 1, "x"),
      ),
    );
    expect(harness.error(0).name).toBe("HANDLE_UNKNOWN");
  });

  it("refuses handles above the limits and handles in use, and code above the quota", async () => {
    const limits = { modulesMax: 4, functionsMax: 8, codeBytesMax: 4096, codeBytesTotalMax: 4500 };
    for (const [status, build] of [
      ["HANDLE_LIMIT", (w: CommandWriter) => w.moduleLoad(4, SOURCE)],
      ["HANDLE_LIMIT", (w: CommandWriter) => w.functionCreate(8, 1, "increment")],
      ["HANDLE_EXISTS", (w: CommandWriter) => w.moduleLoad(1, SOURCE)],
      ["HANDLE_EXISTS", (w: CommandWriter) => w.functionCreate(0, 1, "increment")],
    ] as const) {
      const { harness } = await rig({ limits });
      ok(harness.submit(0, 0, (w) => build(w)));
      await harness.settle();
      expect(harness.error(0).name).toBe(status);
    }
    const { harness } = await rig({ limits });
    ok(harness.submit(0, 0, (w) => w.moduleLoad(2, " ".repeat(4097))));
    ok(harness.submit(0, 0, (w) => w.moduleLoad(3, " ".repeat(4000))));
    expect(harness.moduleQuery(0, 2)).toMatchObject({
      state: ObjectState.FAILED,
      status: Status.QUOTA,
      log: "module 2 has 4097 bytes of code, the limit is 4096",
    });
    expect(harness.moduleQuery(0, 3)).toMatchObject({ status: Status.QUOTA });
    expect(harness.header(0).status).toBe("OK");
    ok(harness.submit(0, 0, (w) => w.moduleUnload(1).moduleUnload(2).moduleUnload(3)));
    expect(harness.device.status().code_bytes).toBe(0);
  });

  it("unloads functions with their module", async () => {
    const { harness, pointer } = await rig();
    ok(harness.submit(0, 0, (w) => w.functionDestroy(5).moduleUnload(1)));
    expect(harness.device.status().contexts[0]).toMatchObject({ modules: 0, functions: 0 });
    ok(
      harness.submit(0, 0, (w) => w.launch({ function: 0, grid: [1, 1, 1], arguments: [pointer] })),
    );
    expect(harness.error(0).name).toBe("HANDLE_UNKNOWN");
  });

  it("shares checked code and pipelines between contexts", async () => {
    const { harness, pointer } = await rig();
    const launch = (w: CommandWriter, p: DevicePointer): unknown =>
      w.launch({ function: 0, grid: [1, 1, 1], arguments: [p] });
    ok(harness.submit(0, 0, (w) => launch(w, pointer)));
    await run(harness);
    const other = harness.alloc(1, 4096);
    ok(
      harness.submit(1, 0, (w) => {
        loadAll(w);
        launch(w, other);
      }),
    );
    // No compiler is asked again: the work is there without a turn of the event loop.
    harness.gpu.finishAll();
    expect(harness.slot(1, 0)).toMatchObject({ fence: 1, status: "OK" });
    expect(harness.gpu.modules.length).toBe(1);
    expect(harness.gpu.pipelines.length).toBe(1);
  });
});

describe("launches", () => {
  it("binds pointers and values by order, at any offset, and merges aliases", async () => {
    const { harness, pointer } = await rig();
    const second = harness.alloc(0, 1024);
    ok(
      harness.submit(0, 1, (w) => {
        w.launch({ function: 2, grid: [4, 1, 1], arguments: [u32(7), pointer] });
        w.launch({ function: 2, grid: [4, 1, 1], arguments: [u32(5), second] });
        w.launch({ function: 1, grid: [4, 1, 1], arguments: [pointer, second] });
        w.launch({ function: 0, grid: [4, 1, 1], arguments: [at(pointer, 256)] });
      }),
    );
    await run(harness);
    expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "OK" });
    expect((await read(harness, second, 256)).every((each) => each === 12)).toBe(true);
    const first = await read(harness, pointer, 1024);
    expect(first.slice(0, 64).every((each) => each === 7)).toBe(true);
    expect(first.slice(64).every((each) => each === 8)).toBe(true);
    expect(harness.statistics(0).launches).toBe(4n);
    // add(x, x): one binding for both, and another pipeline.
    const before = harness.gpu.pipelines.length;
    ok(
      harness.submit(0, 1, (w) =>
        w.launch({ function: 1, grid: [1, 1, 1], arguments: [second, second] }),
      ),
    );
    await harness.settle();
    expect(harness.gpu.pipelines.length).toBe(before + 1);
    expect(harness.gpu.pipelines.at(-1)?.bindings.filter((b) => b.kind === "storage").length).toBe(
      1,
    );
  });

  it("takes a uniform from device memory, too", async () => {
    const { harness, pointer } = await rig();
    const value = harness.alloc(0, 16);
    ok(
      harness.submit(0, 0, (w) => {
        w.writeInline(at(value, 4), u32(99));
        w.launch({ function: 2, grid: [1, 1, 1], arguments: [at(value, 4), pointer] });
      }),
    );
    await run(harness);
    expect(await read(harness, pointer, 2)).toEqual([99, 99]);
  });

  it("compiles once for each block of an override, and not at all the second time", async () => {
    const { harness, pointer } = await rig();
    const launch = (block?: [number, number, number]): void => {
      ok(
        harness.submit(0, 0, (w) =>
          w.launch({
            function: 2,
            grid: [1, 1, 1],
            ...(block ? { block } : {}),
            arguments: [u32(1), pointer],
          }),
        ),
      );
    };
    launch();
    launch([16, 1, 1]);
    launch([32, 1, 1]);
    await run(harness);
    expect(harness.gpu.pipelines.map((each) => each.constants)).toEqual([
      {},
      { lanes: 16 },
      { lanes: 32 },
    ]);
    launch([16, 1, 1]);
    launch();
    harness.gpu.finishAll();
    expect(harness.gpu.pipelines.length).toBe(3);
    expect(harness.slot(0, 0).fence).toBe(6);
  });

  it("takes both dimensions of a block from one override, if the launch gives both alike", async () => {
    const { harness, pointer } = await rig();
    ok(
      harness.submit(0, 0, (w) =>
        w.launch({ function: 6, grid: [1, 1, 1], block: [4, 4, 1], arguments: [u32(1), pointer] }),
      ),
    );
    await run(harness);
    expect(harness.header(0).status).toBe("OK");
    expect(harness.gpu.pipelines.map((each) => each.constants)).toEqual([{ lanes: 4 }]);
  });

  it("counts a run-time sized array by what was asked for, not by what was reserved", async () => {
    const { harness } = await rig();
    const odd = harness.alloc(0, 1000);
    ok(
      harness.submit(0, 0, (w) =>
        w.launch({ function: 0, grid: [1, 1, 1], arguments: [odd] }).launch({
          function: 0,
          grid: [1, 1, 1],
          arguments: [at(odd, 256)],
        }),
      ),
    );
    await run(harness);
    expect(harness.header(0).status).toBe("OK");
    const { data } = harness.gpu.segments[0] ?? { data: new Uint8Array(0) };
    const all = [...new Uint32Array(data.buffer, data.byteOffset + odd.offset, 256)];
    expect(all).toEqual([
      ...Array<number>(64).fill(1),
      ...Array<number>(186).fill(2),
      ...Array<number>(6).fill(0),
    ]);
  });

  it("lets other streams go on while a pipeline is compiled", async () => {
    const { harness, pointer } = await rig();
    harness.gpu.holdCompilers = true;
    const launch = (w: CommandWriter): CommandWriter =>
      w.launch({ function: 0, grid: [1, 1, 1], arguments: [pointer] });
    ok(harness.submit(0, 1, (w) => launch(w).fill(pointer, 4, 50, 4)));
    ok(harness.submit(0, 2, (w) => launch(w)));
    ok(harness.submit(0, 3, (w) => w.fill(pointer, 4, 40, 4)));
    await harness.settle();
    harness.gpu.finishAll();
    expect(harness.slot(0, 1).fence).toBe(0);
    expect(harness.slot(0, 2).fence).toBe(0);
    expect(harness.slot(0, 3).fence).toBe(1);
    harness.gpu.releaseCompilers();
    await run(harness);
    expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "OK" });
    expect(harness.slot(0, 2)).toMatchObject({ fence: 1, status: "OK" });
    expect(harness.gpu.pipelines.length).toBe(1);
  });

  it("keeps as many pipelines as the limit says, the least recently used one goes", async () => {
    const { harness, pointer } = await rig({ limits: { pipelinesMax: 2 } });
    const launch = async (lanes: number): Promise<void> => {
      ok(
        harness.submit(0, 0, (w) =>
          w.launch({
            function: 2,
            grid: [1, 1, 1],
            block: [lanes, 1, 1],
            arguments: [u32(1), pointer],
          }),
        ),
      );
      await run(harness);
    };
    for (const lanes of [1, 2, 1, 3, 1]) await launch(lanes);
    expect(harness.gpu.pipelines.length).toBe(3);
    await launch(2);
    expect(harness.gpu.pipelines.length).toBe(4);
    expect(harness.device.status().pipelines).toBe(2);
  });

  const bad: {
    name: string;
    status: string;
    text: RegExp;
    launch: (p: DevicePointer) => Parameters<CommandWriter["launch"]>[0];
  }[] = [
    {
      name: "too large a grid",
      status: "LAUNCH_SIZE",
      text: /grid 1 x 2147483648 x 1 is launched, a dimension is at most 2147483647/,
      launch: (p) => ({ function: 0, grid: [1, 2 ** 31, 1], arguments: [p] }),
    },
    {
      name: "another block than the declared one",
      status: "LAUNCH_BLOCK",
      text: /addTo is launched with block y of 5, it declares 4/,
      launch: (p) => ({ function: 1, grid: [1, 1, 1], block: [8, 5, 1], arguments: [p, p] }),
    },
    {
      name: "no block where the launch has to give it",
      status: "LAUNCH_BLOCK",
      text: /setParams leaves block x to the launch, which gives none/,
      launch: (p) => ({ function: 3, grid: [1, 1, 1], arguments: [u32(1), p] }),
    },
    {
      name: "too large a block dimension",
      status: "LAUNCH_SIZE",
      text: /block with dimension of 257 is launched, the limit is 256/,
      launch: (p) => ({ function: 3, grid: [1, 1, 1], block: [257, 2, 1], arguments: [u32(1), p] }),
    },
    {
      name: "too many invocations",
      status: "LAUNCH_SIZE",
      text: /invocations of 258 is launched, the limit is 256/,
      launch: (p) => ({ function: 3, grid: [1, 1, 1], block: [129, 2, 1], arguments: [u32(1), p] }),
    },
    {
      name: "two values for one override",
      status: "LAUNCH_BLOCK",
      text: /square takes block x and y from the override 'lanes', the launch gives 8 and 4/,
      launch: (p) => ({ function: 6, grid: [1, 1, 1], block: [8, 4, 1], arguments: [u32(1), p] }),
    },
    {
      name: "dynamic workgroup memory",
      status: "NOT_SUPPORTED",
      text: /64 bytes of dynamic workgroup memory/,
      launch: (p) => ({ function: 0, grid: [1, 1, 1], sharedBytes: 64, arguments: [p] }),
    },
    {
      name: "a missing argument",
      status: "ARGUMENT_COUNT",
      text: /'addTo' takes 2 arguments, not 1/,
      launch: (p) => ({ function: 1, grid: [1, 1, 1], arguments: [p] }),
    },
    {
      name: "a value where a pointer is needed",
      status: "ARGUMENT_KIND",
      text: /argument 0 \('data'\)/,
      launch: () => ({ function: 0, grid: [1, 1, 1], arguments: [u32(1)] }),
    },
    {
      name: "a value of the wrong size",
      status: "ARGUMENT_KIND",
      text: /argument 0 \('value'\) has 8 bytes/,
      launch: (p) => ({ function: 2, grid: [1, 1, 1], arguments: [new Uint8Array(8), p] }),
    },
    {
      name: "a pointer to nothing",
      status: "POINTER_INVALID",
      text: /device pointer 0x0000000000001000 belongs to no allocation/,
      launch: () => ({
        function: 0,
        grid: [1, 1, 1],
        arguments: [{ segment: 0, offset: 4096 }],
      }),
    },
    {
      name: "a misaligned pointer",
      status: "MISALIGNED",
      text: /argument 0 \('data'\) points to/,
      launch: (p) => ({ function: 0, grid: [1, 1, 1], arguments: [at(p, 2)] }),
    },
    {
      name: "a kernel that the driver refuses",
      status: "LAUNCH_FAILED",
      text: /refused can't be made into a pipeline: the driver refuses this kernel/,
      launch: (p) => ({ function: 5, grid: [1, 1, 1], arguments: [p] }),
    },
    {
      name: "a kernel that fails",
      status: "LAUNCH_FAILED",
      text: /the kernel explodes/,
      launch: (p) => ({ function: 4, grid: [1, 1, 1], arguments: [p] }),
    },
  ];

  for (const { name, status, text, launch } of bad) {
    it(`fails: ${name}`, async () => {
      const { harness, pointer } = await rig();
      ok(harness.submit(0, 6, (w) => w.launch(launch(pointer))));
      harness.submit(0, 6, (w) => w.fill(pointer, 4, 1, 4));
      await run(harness);
      expect(harness.error(0)).toMatchObject({ name: status, stream: 6, fence: 1n });
      expect(harness.error(0).text).toMatch(text);
      expect(harness.slot(0, 6)).toMatchObject({ fence: 2, status });
      expect(harness.statistics(0).launches).toBe(0n);
    });
  }
});
