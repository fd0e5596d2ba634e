// SPDX-License-Identifier: Apache-2.0
/**
 * Quotas: what is within the limit works, one more gets a stable error with the limit in it, and all
 * is given back to the last byte however the guest's things end.
 */
import { describe, expect, it } from "vitest";
import type { CommandWriter } from "../../../src/protocol/encode.js";
import { ObjectState } from "../../../src/protocol/generated/wire.js";
import { DATA_AT, Harness, ok } from "./harness.js";

const MIB = 2 ** 20;
const SOURCE =
  "@group(0) @binding(0) var<storage, read_write> d: array<u32>;\n" +
  "@compute @workgroup_size(1) fn increment() { d[0] += 1u; }\n";
/** Another text each, for nothing is compiled twice. */
const source = (index: number): string => `${SOURCE}// ${index}\n`;

/** One of everything that a quota limits, and work in flight. */
async function filled(): Promise<Harness> {
  const scheduling = { batchesInFlightMax: 1, batchOperationsMax: 2 };
  const harness = new Harness({ scheduling }).ready(2);
  for (const context of [0, 1]) {
    const a = harness.alloc(context, 4096);
    harness.alloc(context, 20 * MIB);
    ok(harness.register(context, 0, [{ address: DATA_AT, bytes: 8192 }]));
    ok(
      harness.submit(context, 0, (w) =>
        w.moduleLoad(0, source(context)).functionCreate(0, 0, "increment"),
      ),
    );
    await harness.settle();
    ok(
      harness.submit(context, 1, (w) => {
        w.eventRecord(0, 1).copyToDevice(a, 0, 0, 4096).copyFromDevice(a, 0, 4096, 4096);
        w.launch({ function: 0, grid: [1, 1, 1], arguments: [a] });
      }),
    );
    ok(harness.submit(context, 2, (w) => w.eventWait(1, 1).fill(a, 4, 1, 4)));
  }
  await harness.settle();
  return harness;
}

const NOTHING = {
  contexts: 0,
  reserved_bytes: 0,
  allocated_bytes: 0,
  staging_bytes: 0,
  hostmem_bytes: 0,
  hostmem_entries: 0,
  modules: 0,
  code_bytes: 0,
  functions: 0,
  events: 0,
  queued_commands: 0,
  queued_bytes: 0,
  batches: 0,
};

describe("everything that is held", () => {
  it("is counted, and the counts agree", async () => {
    const { holdings, problems } = (await filled()).device.audit();
    expect(problems).toEqual([]);
    for (const [name, value] of Object.entries(holdings)) {
      expect({ name, held: value > 0 }).toEqual({ name, held: true });
    }
  });

  it.each<[string, (harness: Harness) => void]>([
    [
      "contexts are destroyed",
      (harness) => {
        ok(harness.destroyContext(0));
        ok(harness.destroyContext(1));
      },
    ],
    ["another session begins", (harness) => void ok(harness.init(2n))],
    ["the front end is gone", (harness) => harness.device.detach()],
    ["the device is reset", (harness) => harness.device.reset()],
    [
      "the GPU is lost",
      (harness) => {
        harness.gpu.lose("gone");
        ok(harness.init(2n));
      },
    ],
    [
      "contexts fail and are destroyed",
      (harness) => {
        for (const context of [0, 1]) {
          ok(harness.submit(context, 5, (w) => w.fill({ segment: 1, offset: 0 }, 4, 1, 4)));
          ok(harness.destroyContext(context));
        }
      },
    ],
  ])("is given back to the last byte when %s", async (_, end) => {
    const harness = await filled();
    end(harness);
    expect(harness.device.audit().problems).toEqual([]);
    harness.gpu.finishAll();
    expect(harness.device.audit()).toEqual({ holdings: NOTHING, problems: [] });
    expect(harness.gpu.liveBytes).toBe(0);
  });

  it("is given back step by step, the books agreeing at each", async () => {
    const harness = await filled();
    const agree = (): void => expect(harness.device.audit().problems).toEqual([]);
    ok(harness.destroyContext(1));
    agree();
    harness.gpu.finish();
    agree();
    ok(harness.submit(0, 3, (w) => w.moduleUnload(0).eventDestroy(0)));
    harness.gpu.finishAll();
    agree();
    ok(harness.unregister(0, 0));
    agree();
    ok(harness.destroyContext(0));
    harness.gpu.finishAll();
    expect(harness.device.audit().holdings).toEqual(NOTHING);
  });

  it("would be noticed if a count were wrong", async () => {
    const harness = await filled();
    harness.device.runner.queuedBytes++;
    expect(harness.device.audit().problems).toEqual([
      expect.stringMatching(/^queued_bytes: \d+ in all, \d+ by context$/),
    ]);
    harness.device.runner.queuedBytes--;
  });
});

describe("limits, on both sides", () => {
  it("device memory", () => {
    const harness = new Harness({ limits: { memoryBytesMax: 32 * MIB } }).ready(2);
    ok(harness.tryAlloc(0, 16 * MIB));
    ok(harness.tryAlloc(1, 16 * MIB));
    const refused = { status: "OUT_OF_MEMORY", limit: BigInt(32 * MIB) };
    expect(harness.tryAlloc(1, 256)).toMatchObject(refused);
    expect(harness.tryAlloc(1, 256)).toMatchObject(refused);
    ok(harness.destroyContext(0));
    ok(harness.tryAlloc(1, 256));
  });

  it("contexts", () => {
    const harness = new Harness({ limits: { contextsMax: 2 } }).ready(2);
    expect(harness.createContext(2)).toMatchObject({ status: "CONTEXT_LIMIT", limit: 2n });
    ok(harness.destroyContext(1));
    ok(harness.createContext(1));
  });

  it.each<[string, string, number, (w: CommandWriter, handle: number) => void]>([
    ["module handles", "HANDLE_LIMIT", 2, (w, handle) => w.moduleLoad(handle, SOURCE)],
    [
      "function handles",
      "HANDLE_LIMIT",
      3,
      (w, handle) => w.moduleLoad(0, SOURCE).functionCreate(handle, 0, "increment"),
    ],
    ["event handles", "HANDLE_LIMIT", 4, (w, handle) => w.eventRecord(handle, 1)],
    [
      "functions of all contexts",
      "QUOTA",
      1,
      (w, last) => {
        w.moduleLoad(0, SOURCE);
        for (let handle = 0; handle <= last; handle++) w.functionCreate(handle, 0, "increment");
      },
    ],
  ])("%s", async (_, status, limit, use) => {
    const limits = { modulesMax: 2, functionsMax: 3, eventsMax: 4, functionsTotalMax: 1 };
    const harness = new Harness({ limits }).ready(2);
    ok(harness.submit(0, 0, (w) => use(w, limit - 1)));
    await harness.settle();
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
    ok(harness.destroyContext(0));
    ok(harness.submit(1, 0, (w) => use(w, limit)));
    await harness.settle();
    expect(harness.error(1)).toMatchObject({ name: status, limit: BigInt(limit) });
  });

  it("size of code, of one module and of all", async () => {
    const limits = { codeBytesMax: 200, codeBytesTotalMax: 300 };
    const harness = new Harness({ limits }).ready();
    const code = (bytes: number): string => SOURCE.padEnd(bytes, " ");
    const load = async (build: (w: CommandWriter) => void): Promise<void> => {
      ok(harness.submit(0, 0, build));
      await harness.settle();
    };
    await load((w) => w.moduleLoad(0, code(200)).moduleLoad(1, code(201)));
    await load((w) => w.moduleLoad(2, code(150)));
    expect(harness.moduleQuery(0, 0).state).toBe(ObjectState.READY);
    expect(harness.moduleQuery(0, 1).log).toMatch(/module 1 has 201 bytes .* limit is 200/);
    expect(harness.moduleQuery(0, 2).log).toMatch(/would make 350 bytes .* limit is 300/);
    await load((w) => w.moduleUnload(0).moduleLoad(3, code(150)).moduleLoad(4, code(150)));
    expect(harness.moduleQuery(0, 4).state).toBe(ObjectState.READY);
  });

  it("queued commands of a context that waits for its guest", () => {
    const harness = new Harness({ limits: { queuedCommandsMax: 4 } }).ready(2);
    ok(harness.submit(0, 0, (w) => w.eventWait(0, 1).nop().nop().nop()));
    expect(harness.submit(0, 1, (w) => w.nop())).toMatchObject({ status: "QUEUE_FULL", limit: 4n });
    ok(harness.submit(1, 0, (w) => w.eventWait(0, 1).nop().nop()));
  });

  it("staging memory: copies wait for room, and never take more", () => {
    const stagingBytesMax = 64 * 1024;
    const harness = new Harness({ scheduling: { stagingBytesMax } }).ready();
    const a = harness.alloc(0, MIB);
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: MIB }]));
    harness.memory.bytes.fill(3, DATA_AT, DATA_AT + MIB);
    const inFlight: number[] = [];
    const look = (): void => void inFlight.push(harness.device.audit().holdings.staging_bytes);
    ok(harness.submit(0, 0, (w) => w.copyToDevice(a, 0, 0, 200_001)));
    ok(harness.submit(0, 1, (w) => w.copyToDevice(a, 0, 0, 65_536)));
    look();
    while (harness.gpu.finish() > 0) look();
    expect(Math.max(...inFlight)).toBe(stagingBytesMax);
    expect(inFlight.at(-1)).toBe(0);
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
    expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "OK" });
    const data = harness.gpu.segments[0]?.data.subarray(a.offset, a.offset + 200_001);
    expect(data?.every((byte) => byte === 3)).toBe(true);
  });

  it("compiler time: refused while it is used up, and back at its rate", async () => {
    const limits = { compileNsMax: 10e9, compileShare: 0.5, compilesMax: 1 };
    const harness = new Harness({ limits }).ready(3);
    const compile = async (module: number, ns: number): Promise<void> => {
      harness.gpu.holdCompilers = true;
      ok(harness.submit(0, 0, (w) => w.moduleLoad(module, source(module))));
      await harness.settle();
      harness.timeNs += ns;
      harness.gpu.releaseCompilers();
      await harness.settle();
    };
    const pointer = harness.alloc(1, 256);
    await compile(0, 8e9);
    await compile(1, 9e9);
    expect(harness.moduleQuery(0, 1).state).toBe(ObjectState.READY);
    // 8 s, half of 9 s back, and 9 s: over the limit.
    await compile(2, 0);
    expect(harness.moduleQuery(0, 2).log).toMatch(
      /module 2 is not compiled: compilations have used 12\.5 s, the limit is 10 s, of which 0\.5/,
    );
    // The same text as before needs no compiler; a launch does.
    ok(harness.submit(1, 0, (w) => w.moduleLoad(0, source(0)).functionCreate(0, 0, "increment")));
    const launch = { function: 0, grid: [1, 1, 1], arguments: [pointer] } as const;
    ok(harness.submit(1, 0, (w) => w.launch({ ...launch, grid: [1, 1, 1] })));
    await harness.settle();
    expect(harness.error(1)).toMatchObject({ name: "QUOTA", limit: BigInt(10e9) });
    harness.timeNs += 6e9;
    await compile(3, 0);
    expect(harness.moduleQuery(0, 3).state).toBe(ObjectState.READY);
  });
});

describe("a text that takes long to parse", () => {
  it("is announced before each step; a short one is not, nor one that is too long", async () => {
    const harness = new Harness().ready();
    const load = async (module: number, kib: number): Promise<number> => {
      const code = source(module) + "// fill\n".repeat(kib * 128);
      ok(harness.submit(0, 0, (w) => w.moduleLoad(module, code)));
      await harness.settle();
      return harness.announced.splice(0).reduce((sum, ms) => sum + ms, 0);
    };
    expect(await load(0, 1)).toBe(0);
    const [short, long] = [await load(1, 64), await load(2, 500)];
    // Checked and reflected: a quarter of a mebibyte was measured at 0.3 s.
    expect(short).toBeGreaterThan((2 * 300) / 4);
    expect(long).toBeGreaterThan(7 * short);
    // Refused for its length, before the compiler looks at it.
    expect(await load(3, 600)).toBe(0);
  });
});
