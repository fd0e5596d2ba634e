// SPDX-License-Identifier: Apache-2.0
/**
 * Hostile and random guests. Whatever comes, the device answers each chain, throws nothing, keeps
 * its accounts exact, and the fences of a context only ever rise, to the last one submitted.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  CommandWriter,
  hostmemRegisterBytes,
  requestBytes,
  structBytes,
  submitBytes,
} from "../../../src/protocol/encode.js";
import {
  ContextCreateRequest,
  InitRequest,
  MemoryAllocRequest,
  ModuleQueryRequest,
  Request,
} from "../../../src/protocol/generated/wire.js";
import type { DevicePointer } from "../../../src/protocol/pointer.js";
import { DATA_AT, Harness, ok } from "./harness.js";

const SOURCE =
  "@group(0) @binding(0) var<storage, read_write> d: array<u32>;\n" +
  "@compute @workgroup_size(1) fn increment() { d[0] += 1u; }\n";

/** Requests that are right, as seeds for wrong ones. */
function seeds(): { queue: number; bytes: Uint8Array }[] {
  const pointer: DevicePointer = { segment: 0x04000000, offset: 0 };
  const writer = new CommandWriter();
  writer.moduleLoad(0, SOURCE).functionCreate(0, 0, "increment");
  writer.launch({ function: 0, grid: [1, 1, 1], arguments: [pointer, new Uint8Array(4)] });
  writer.copyToDevice(pointer, 0, 0, 64).copyFromDevice(pointer, 0, 64, 64);
  writer.copyDevice(pointer, pointer, 8).fill(pointer, 8, 1, 4).writeInline(pointer, SEED_DATA);
  writer.eventRecord(0, 1).eventWait(0, 1).eventDestroy(0).nop();
  writer.functionDestroy(0).moduleUnload(0);
  const page = BigInt(DATA_AT);
  const create = { timeline_address: page, arm_address: page + 4096n, name: "seed" };
  return [
    { queue: 2, bytes: submitBytes(0, 0, 1, writer) },
    { queue: 0, bytes: hostmemRegisterBytes(0, 1, [{ address: DATA_AT, bytes: 4096 }]) },
    {
      queue: 0,
      bytes: requestBytes(Request.CONTEXT_CREATE, 3, structBytes(ContextCreateRequest, create)),
    },
    {
      queue: 0,
      bytes: requestBytes(
        Request.INIT,
        0,
        structBytes(InitRequest, { session: 5n, capabilities: 1n }),
      ),
    },
    {
      queue: 0,
      bytes: requestBytes(
        Request.MEMORY_ALLOC,
        0,
        structBytes(MemoryAllocRequest, { bytes: 4096n, flags: 0n }),
      ),
    },
    {
      queue: 0,
      bytes: requestBytes(
        Request.MODULE_QUERY,
        0,
        structBytes(ModuleQueryRequest, { module: 0, log_offset: 0 }),
      ),
    },
    { queue: 0, bytes: requestBytes(Request.CONTEXT_DESTROY, 1) },
  ];
}

const SEED_DATA = Uint8Array.from({ length: 24 }, (_, i) => i);

describe("hostile bytes", () => {
  it("answers every mutation of every request, and stays exact", async () => {
    const mutation = fc.record({
      seed: fc.nat(6),
      changes: fc.array(
        fc.record({ at: fc.nat(500), value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 255)) }),
        { maxLength: 4 },
      ),
      cut: fc.option(fc.nat(500), { nil: undefined, freq: 4 }),
      room: fc.constantFrom(0, 16, 32, 48, 64, 300, 4096),
      swap: fc.nat(15),
      fault: fc.nat(15),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 30 }), async (mutations) => {
        const harness = new Harness().ready(2);
        harness.alloc(0, 4096);
        ok(harness.register(0, 0, [{ address: DATA_AT + 8192, bytes: 4096 }]));
        const all = seeds();
        for (const each of mutations) {
          const seed = all[each.seed];
          if (seed === undefined) continue;
          const bytes = seed.bytes.slice(0, each.cut ?? seed.bytes.length);
          for (const { at, value } of each.changes)
            if (bytes.length > 0) bytes[at % bytes.length] = value;
          const queue = each.swap === 0 ? 2 - seed.queue : seed.queue;
          // Throws if the chain is not answered exactly once.
          const answer = harness.send(queue, bytes, each.room, each.fault === 0 ? "bad" : null);
          expect(answer.written === 0).toBe(each.room < 32);
        }
        for (let turn = 0; turn < 4; turn++) {
          await harness.settle();
          harness.gpu.finishAll();
        }
        for (const queue of harness.queues) expect(queue.outstanding).toBe(0);
        ok(harness.init(0xffffn));
        await harness.settle();
        harness.gpu.finishAll();
        expectNothingLeft(harness);
      }),
      { numRuns: 200 },
    );
  });
});

function expectNothingLeft(harness: Harness): void {
  expect(harness.device.status()).toMatchObject({
    memory: { reserved_bytes: 0, allocated_bytes: 0 },
    host_memory: { bytes: 0, ranges: 0 },
    queue: { commands: 0, bytes: 0, batches_in_flight: 0, compiling: 0 },
    code_bytes: 0,
    contexts: [],
  });
  expect(harness.gpu.liveBytes).toBe(0);
}

describe("random guests", () => {
  const STREAMS = 3;
  const CONTEXTS = 2;
  const who = { context: fc.nat(CONTEXTS - 1), stream: fc.nat(STREAMS - 1) };
  const command = fc.constantFrom(
    "nop",
    "fill",
    "toDevice",
    "fromDevice",
    "copy",
    "record",
    "wait",
    "load",
    "launch",
    "bad",
  );
  const action = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("submit" as const),
        ...who,
        commands: fc.array(command, { maxLength: 6 }),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("finish" as const) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("compile" as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("suspend" as const), on: fc.boolean() }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("fail" as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("destroy" as const), ...who }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("remap" as const) }) },
  );

  it("completes every fence in order, or with an error, and gives everything back", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        const scheduling = { batchOperationsMax: 3, batchesInFlightMax: 2, streamTurnCommands: 2 };
        const guest = new RandomGuest(new Harness({ scheduling }).ready(CONTEXTS));
        for (const each of actions) {
          await guest.act(each);
          guest.checkFences();
        }
        await guest.end();
        expectNothingLeft(guest.harness);
      }),
      { numRuns: 200 },
    );
  });

  type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

  class RandomGuest {
    readonly #pointers: DevicePointer[] = [];
    readonly #seen = new Map<string, number>();
    readonly #submitted = new Map<string, number>();
    readonly #generations = [1, 1];
    #suspended = false;

    constructor(readonly harness: Harness) {
      for (let context = 0; context < CONTEXTS; context++) this.#equip(context);
      harness.gpu.holdCompilers = true;
    }

    #equip(context: number): void {
      this.#pointers[context] = this.harness.alloc(context, 4096);
      ok(this.harness.register(context, 0, [{ address: DATA_AT, bytes: 65536 }]));
      for (let stream = 0; stream < STREAMS; stream++) {
        this.#seen.set(`${context}.${stream}`, 0);
        this.#submitted.set(`${context}.${stream}`, 0);
      }
      this.#generations[context] = 1;
    }

    async act(each: Action): Promise<void> {
      const { harness } = this;
      switch (each.kind) {
        case "submit":
          if (!this.#suspended) this.#submit(each.context, each.stream, each.commands);
          return;
        case "finish":
          harness.gpu.finish();
          return;
        case "compile":
          harness.gpu.releaseCompilers();
          harness.gpu.holdCompilers = true;
          await harness.settle();
          return;
        case "suspend":
          this.#suspended = each.on;
          harness.device.ringsChanged(each.on);
          return;
        case "fail":
          harness.gpu.failBatch("failed", "as the test wants");
          return;
        case "destroy":
          if (this.#suspended) return;
          ok(harness.destroyContext(each.context));
          ok(harness.createContext(each.context));
          this.#equip(each.context);
          return;
        case "remap":
          harness.memory.generation++;
          harness.device.memoryChanged();
          return;
      }
    }

    #submit(context: number, stream: number, commands: readonly string[]): void {
      const key = `${context}.${stream}`;
      const fence = (this.#submitted.get(key) ?? 0) + 1;
      this.#submitted.set(key, fence);
      const writer = new CommandWriter();
      for (const name of commands) this.#write(writer, context, name);
      this.harness.send(2, submitBytes(context, stream, fence, writer), 32);
    }

    #write(w: CommandWriter, context: number, name: string): void {
      const pointer = this.#pointers[context] ?? { segment: 0, offset: 0 };
      const generation = this.#generations[context] ?? 1;
      if (name === "nop") w.nop();
      if (name === "fill") w.fill(pointer, 64, 3, 4);
      if (name === "toDevice") w.copyToDevice(pointer, 0, 5, 999);
      if (name === "fromDevice") w.copyFromDevice(pointer, 0, 2000, 999);
      if (name === "copy") w.copyDevice({ ...pointer, offset: pointer.offset + 7 }, pointer, 100);
      if (name === "record") {
        w.eventRecord(1, generation);
        this.#generations[context] = generation + 1;
      }
      // Often for a generation that was recorded, sometimes for the next one.
      if (name === "wait") w.eventWait(1, Math.max(1, generation - (generation % 3)));
      if (name === "load")
        w.moduleLoad(generation, SOURCE).functionCreate(generation, generation, "increment");
      if (name === "launch")
        w.launch({ function: generation, grid: [1, 1, 1], arguments: [pointer] });
      if (name === "bad") w.fill({ segment: 1, offset: 0 }, 4, 1, 4);
    }

    checkFences(): void {
      for (const [key, before] of this.#seen) {
        const [context = 0, stream = 0] = key.split(".").map(Number);
        const { fence, status } = this.harness.slot(context, stream);
        expect(fence).toBeGreaterThanOrEqual(before);
        expect(fence).toBeLessThanOrEqual(this.#submitted.get(key) ?? 0);
        // A fence with an error is only ever seen together with the context's.
        if (status !== "OK") expect(this.harness.header(context).status).not.toBe("OK");
        this.#seen.set(key, fence);
      }
    }

    async end(): Promise<void> {
      const { harness } = this;
      if (this.#suspended) harness.device.ringsChanged(false);
      harness.gpu.holdCompilers = false;
      harness.gpu.releaseCompilers();
      for (let turn = 0; turn < 10; turn++) {
        await harness.settle();
        harness.gpu.finishAll();
      }
      for (let context = 0; context < CONTEXTS; context++) {
        // Whoever still waits, waits for an event that was never recorded: record them all.
        const generation = (this.#generations[context] ?? 1) + 10;
        harness.send(
          2,
          submitBytes(context, 40, 1, new CommandWriter().eventRecord(1, generation)),
          32,
        );
      }
      for (let turn = 0; turn < 10; turn++) {
        await harness.settle();
        harness.gpu.finishAll();
      }
      for (const [key, fence] of this.#submitted) {
        const [context = 0, stream = 0] = key.split(".").map(Number);
        expect(`${key}: ${harness.slot(context, stream).fence}`).toBe(`${key}: ${fence}`);
      }
      ok(harness.init(0xffffn));
      harness.gpu.finishAll();
    }
  }
});
