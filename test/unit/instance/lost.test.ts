// SPDX-License-Identifier: Apache-2.0
/** Lost GPUs: the epoch changes, contexts fail, everything is given back, and new contexts work. */
import { describe, expect, it } from "vitest";
import type { Executor } from "../../../src/gpu/executor.js";
import { EventType } from "../../../src/protocol/generated/wire.js";
import { MemoryExecutor } from "../../support/memory-executor.js";
import { at, DATA_AT, Harness, ok } from "./harness.js";

/** Opens executors when the test says so. */
class Opener {
  calls = 0;
  #settle: { resolve: (executor: Executor) => void; reject: (error: Error) => void } | null = null;

  readonly open = (): Promise<Executor> => {
    this.calls++;
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  };

  succeed(): MemoryExecutor {
    const executor = new MemoryExecutor();
    this.#settle?.resolve(executor);
    return executor;
  }

  fail(): void {
    this.#settle?.reject(new Error("no driver"));
  }
}

describe("a lost GPU", () => {
  it("VGPU-DEV-9, 103, 104, 105: fails every context, in order: in flight, queued, blocked", () => {
    const scheduling = { batchesInFlightMax: 2, batchOperationsMax: 1 };
    const harness = new Harness({ scheduling }).ready(3);
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
    const a = harness.alloc(0, 256);
    const b = harness.alloc(1, 256);
    harness.arm(0, 0, 2);
    ok(harness.submit(0, 0, (w) => w.copyFromDevice(a, 0, 0, 8)));
    ok(harness.submit(1, 5, (w) => w.fill(b, 4, 1, 4)));
    ok(harness.submit(0, 0, (w) => w.fill(a, 4, 1, 4)));
    ok(harness.submit(0, 1, (w) => w.eventWait(1, 1)));
    const epoch = harness.device.epoch;
    harness.gpu.lose("the driver crashed");
    expect(harness.device.epoch).not.toBe(epoch);
    for (const id of [0, 1, 2])
      expect(harness.header(id)).toMatchObject({
        status: "DEVICE_LOST",
        epoch: harness.device.epoch,
      });
    expect(harness.slot(0, 0)).toMatchObject({ fence: 2, status: "DEVICE_LOST" });
    expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "DEVICE_LOST" });
    expect(harness.slot(1, 5)).toMatchObject({ fence: 1, status: "DEVICE_LOST" });
    expect(harness.error(2).text).toMatch(/the device lost its state: the driver crashed/);
    expect(harness.memory.bytes[DATA_AT]).toBe(0);
    const types = harness.events().map((each) => each.type);
    expect(types.sort()).toEqual([EventType.FENCE, EventType.EPOCH]);
    expect(harness.device.status()).toMatchObject({
      gpu: "lost",
      memory: { reserved_bytes: 0, allocated_bytes: 0 },
      queue: { commands: 0, bytes: 0, batches_in_flight: 0 },
    });
    // Without a way to open another one, nothing that needs a GPU works, and all is answered.
    expect(harness.tryAlloc(0, 10).status).toBe("CONTEXT_FAILED");
    ok(harness.destroyContext(0));
    expect(harness.createContext(0).status).toBe("DEVICE_LOST");
    expect(harness.submit(1, 5).status).toBe("CONTEXT_FAILED");
    expect(harness.slot(1, 5)).toMatchObject({ fence: 2, status: "DEVICE_LOST" });
  });

  it("lets requests wait for the next GPU, and new contexts work on it", async () => {
    const opener = new Opener();
    const harness = new Harness({ reopen: opener.open }).ready();
    harness.gpu.lose("gone");
    expect(opener.calls).toBe(1);
    expect(harness.device.status().gpu).toBe("opening");
    const control = harness.queue(0);
    const before = control.used.length;
    expect(() => harness.createContext(1)).toThrow("does not answer");
    const next = opener.succeed();
    await harness.settle();
    expect(control.used.length).toBe(before + 1);
    expect(control.outstanding).toBe(0);
    expect(harness.device.status().gpu).toBe("ready");
    ok(harness.register(1, 0, [{ address: DATA_AT, bytes: 4096 }]));
    const pointer = harness.alloc(1, 256);
    ok(harness.submit(1, 0, (w) => w.fill(pointer, 8, 3, 1).copyFromDevice(pointer, 0, 0, 8)));
    next.finishAll();
    expect(harness.slot(1, 0)).toMatchObject({ fence: 1, status: "OK" });
    expect(harness.memory.bytes[DATA_AT + 7]).toBe(3);
    expect(harness.header(1)).toMatchObject({ status: "OK", epoch: harness.device.epoch });
    // The old context is as dead as before, and its pointers are nobody's.
    expect(harness.submit(0, 0).status).toBe("CONTEXT_FAILED");
    expect(harness.gpu.closed).toBe(true);
  });

  it("answers while it tries again, ever more rarely", async () => {
    const opener = new Opener();
    const harness = new Harness({ reopen: opener.open }).ready();
    harness.gpu.lose("gone");
    expect(() => harness.createContext(1)).toThrow("does not answer");
    opener.fail();
    await harness.settle();
    // The held request is answered now, with the truth.
    expect(harness.queue(0).available.length).toBe(0);
    expect(harness.createContext(2).status).toBe("DEVICE_LOST");
    const delays: number[] = [];
    for (let attempt = 0; attempt < 9; attempt++) {
      delays.push(harness.timerNs);
      harness.timerCallback?.();
      opener.fail();
      await harness.settle();
    }
    expect(delays.slice(0, 3)).toEqual([200e6, 400e6, 800e6]);
    expect(delays.at(-1)).toBe(30e9);
    harness.timerCallback?.();
    opener.succeed();
    await harness.settle();
    ok(harness.createContext(2));
    expect(harness.device.status().gpu).toBe("ready");
  });

  it("compiles again for the next GPU, and drops what was being compiled", async () => {
    const opener = new Opener();
    const harness = new Harness({ reopen: opener.open }).ready();
    const source =
      "@group(0) @binding(0) var<storage, read_write> d: array<u32>;\n" +
      "@compute @workgroup_size(1) fn increment() { d[0] += 1u; }";
    const use = (context: number): void => {
      const pointer = harness.alloc(context, 256);
      ok(
        harness.submit(context, 0, (w) => {
          w.moduleLoad(0, source).functionCreate(0, 0, "increment");
          w.launch({ function: 0, grid: [1, 1, 1], arguments: [at(pointer, 0)] });
        }),
      );
    };
    use(0);
    await harness.settle();
    harness.gpu.holdCompilers = true;
    ok(harness.submit(0, 1, (w) => w.moduleLoad(1, `${source}\n`)));
    harness.gpu.lose("gone");
    harness.gpu.releaseCompilers();
    await harness.settle();
    const next = opener.succeed();
    await harness.settle();
    ok(harness.destroyContext(0));
    ok(harness.createContext(0));
    harness.device.status();
    const pointer = harness.alloc(0, 256);
    ok(
      harness.submit(
        0,
        0,
        (w) => {
          w.moduleLoad(1, `${source}\n`).functionCreate(0, 1, "increment");
          w.launch({ function: 0, grid: [1, 1, 1], arguments: [pointer] });
        },
        10,
      ),
    );
    for (let turn = 0; turn < 4; turn++) {
      await harness.settle();
      next.finishAll();
    }
    expect(harness.slot(0, 0)).toMatchObject({ fence: 10, status: "OK" });
    expect(next.pipelines.length).toBe(1);
  });

  it("tells of the loss after the rings run again", () => {
    const harness = new Harness().ready();
    harness.device.ringsChanged(true);
    harness.gpu.lose("gone");
    expect(harness.header(0).status).toBe("OK");
    expect(harness.events()).toEqual([]);
    harness.device.ringsChanged(false);
    expect(harness.header(0).status).toBe("DEVICE_LOST");
    expect(harness.events().map((each) => each.type)).toEqual([EventType.EPOCH]);
  });
});
