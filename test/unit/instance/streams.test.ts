// SPDX-License-Identifier: Apache-2.0
/** Streams, events, fairness, back-pressure, suspended rings, leases, and ends in the middle. */
import { describe, expect, it } from "vitest";
import type { Lease } from "../../../src/instance/lease.js";
import { CommandWriter, requestBytes, submitBytes } from "../../../src/protocol/encode.js";
import { EventType, ObjectState, Request } from "../../../src/protocol/generated/wire.js";
import { at, DATA_AT, Harness, ok } from "./harness.js";

const SOURCE = `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
  @compute @workgroup_size(1) fn increment() { data[0] += 1u; }`;

describe("streams and events", () => {
  it("keeps each stream in order and the streams apart", () => {
    const harness = new Harness().ready();
    const pointer = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.eventWait(1, 1).fill(pointer, 4, 2, 4)));
    ok(harness.submit(0, 0, (w) => w.nop()));
    ok(harness.submit(0, 1, (w) => w.fill(at(pointer, 4), 4, 3, 4)));
    harness.gpu.finishAll();
    expect(harness.slot(0, 0).fence).toBe(0);
    expect(harness.slot(0, 1).fence).toBe(1);
    ok(harness.submit(0, 2, (w) => w.fill(pointer, 4, 1, 4).eventRecord(1, 1)));
    // The record is encoded, so the waiting stream follows in order, before anything has completed.
    expect(harness.gpu.history.flat().slice(-2)).toEqual(["fill 0 4 1", "fill 0 4 2"]);
    expect(harness.slot(0, 0).fence).toBe(0);
    harness.gpu.finishAll();
    expect(harness.slot(0, 0)).toMatchObject({ fence: 2, status: "OK" });
    expect(harness.gpu.segments[0]?.data[0]).toBe(2);
  });

  it("does not complete a wait before the work that it waits for", () => {
    const harness = new Harness().ready();
    const pointer = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 4, 1, 4).eventRecord(7, 5)));
    // This stream has no work of its own on the GPU.
    ok(harness.submit(0, 1, (w) => w.eventWait(7, 3)));
    expect(harness.slot(0, 1).fence).toBe(0);
    expect(harness.eventQuery(0, 7)).toMatchObject({ state: ObjectState.PENDING, generation: 0n });
    harness.gpu.finishAll();
    expect(harness.slot(0, 1).fence).toBe(1);
    const answer = harness.eventQuery(0, 7);
    expect(answer).toMatchObject({ state: ObjectState.READY, generation: 5n });
    expect(answer.time_ns).toBeGreaterThan(0n);
    expect(harness.eventQuery(0, 8).state).toBe(ObjectState.ABSENT);
  });

  it("lets a wait for a destroyed event pass, and makes the event anew", () => {
    const harness = new Harness().ready();
    ok(harness.submit(0, 0, (w) => w.eventWait(2, 1).eventWait(1, 4)));
    ok(harness.submit(0, 1, (w) => w.eventRecord(1, 4).eventDestroy(1)));
    expect(harness.eventQuery(0, 1).state).toBe(ObjectState.ABSENT);
    ok(harness.submit(0, 2, (w) => w.eventRecord(2, 1)));
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
    ok(harness.submit(0, 1, (w) => w.eventRecord(1, 1)));
    expect(harness.eventQuery(0, 1)).toMatchObject({ state: ObjectState.READY, generation: 1n });
  });

  it("expects more when all work has ended, unless others may want the GPU", () => {
    const lease: Lease & { alone: boolean } = {
      held: true,
      alone: true,
      request: (granted) => granted(),
      release: () => {},
      onRevoke: null,
    };
    for (const alone of [true, false]) {
      lease.alone = alone;
      const harness = new Harness({ lease }).ready();
      const pointer = harness.alloc(0, 256);
      harness.expectedMore = 0;
      for (const stream of [0, 1]) ok(harness.submit(0, stream, (w) => w.fill(pointer, 4, 1, 4)));
      expect(harness.expectedMore).toBe(0);
      harness.gpu.finishAll();
      expect(harness.expectedMore > 0).toBe(alone);
    }
  });

  it("begins no batch beside one that wants to be the only one", () => {
    const harness = new Harness().ready();
    const pointer = harness.alloc(0, 256);
    const { gpu } = harness;
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 4, 1, 4)));
    gpu.exclusive = true;
    ok(harness.submit(0, 1, (w) => w.fill(pointer, 4, 2, 4)));
    expect(gpu.inFlight).toBe(1);
    gpu.exclusive = false;
    gpu.finishAll();
    expect(harness.slot(0, 0).fence).toBe(1);
    expect(harness.slot(0, 1).fence).toBe(1);
  });

  it("has an idle GPU begin with the first commands of many", () => {
    const scheduling = { firstOperationsMax: 3, batchOperationsMax: 8 };
    const harness = new Harness({ scheduling }).ready();
    const pointer = harness.alloc(0, 256);
    ok(
      harness.submit(0, 0, (w) => {
        for (let i = 0; i < 20; i++) w.fill(pointer, 4, i, 4);
      }),
    );
    harness.gpu.finishAll();
    expect(harness.gpu.history.map((lines) => lines.length)).toEqual([3, 8, 8, 1]);
    expect(harness.gpu.history.flat().map((line) => line.split(" ")[3])).toEqual(
      Array.from({ length: 20 }, (_, i) => `${i}`),
    );
  });

  it("gives streams and contexts their turns", () => {
    const scheduling = {
      streamTurnCommands: 2,
      batchOperationsMax: 4,
      batchesInFlightMax: 1,
    };
    const harness = new Harness({ scheduling }).ready(2);
    const a = harness.alloc(0, 256);
    const b = harness.alloc(1, 256);
    ok(harness.submit(0, 9, (w) => w.fill(a, 4, 9, 4)));
    for (const stream of [0, 1])
      ok(
        harness.submit(0, stream, (w) => {
          for (let i = 0; i < 6; i++) w.fill(at(a, 16 * stream), 4, stream, 4);
        }),
      );
    ok(
      harness.submit(1, 0, (w) => {
        for (let i = 0; i < 6; i++) w.fill(b, 4, 7, 4);
      }),
    );
    harness.gpu.finishAll();
    const patterns = harness.gpu.history.map((lines) => lines.map((line) => line.split(" ")[3]));
    expect(patterns).toEqual([
      ["9"],
      ["0", "0", "1", "1"],
      ["7", "7", "7", "7"],
      ["0", "0", "1", "1"],
      ["7", "7"],
      ["0", "0", "1", "1"],
    ]);
  });
});

describe("admission", () => {
  it("refuses fences that do not ascend, and makes the context fail", () => {
    for (const fence of [2, 3]) {
      const harness = new Harness().ready();
      ok(harness.submit(0, 0, undefined, 3));
      expect(harness.submit(0, 0, undefined, fence)).toMatchObject({
        status: "FENCE_ORDER",
        value: BigInt(fence),
        limit: 3n,
      });
      expect(harness.header(0).status).toBe("FENCE_ORDER");
      expect(harness.slot(0, 0)).toMatchObject({ fence: 3, status: "OK" });
    }
  });

  it("refuses a malformed submit whole, fails the context and completes the fence", () => {
    const harness = new Harness().ready(2);
    const pointer = harness.alloc(0, 256);
    ok(harness.submit(0, 4, (w) => w.fill(pointer, 4, 1, 4)));
    const bad = harness.submit(0, 4, (w) => w.fill(pointer, 4, 2, 4).raw(999), 2);
    expect(bad.status).toBe("UNKNOWN_COMMAND");
    expect(harness.gpu.history.flat()).toEqual(["fill 0 4 1"]);
    expect(harness.slot(0, 4).fence).toBe(0);
    harness.gpu.finishAll();
    expect(harness.slot(0, 4)).toMatchObject({ fence: 2, status: "UNKNOWN_COMMAND" });
    expect(harness.error(0)).toMatchObject({ name: "UNKNOWN_COMMAND", stream: 4, fence: 2n });
    expect(harness.submit(1, 0).status).toBe("OK");
  });

  it("answers submits that are short, broken, or for nobody", () => {
    const harness = new Harness().ready();
    expect(harness.send(2, new Uint8Array(3)).status).toBe("MALFORMED");
    expect(harness.submit(9, 0).status).toBe("CONTEXT_UNKNOWN");
    expect(harness.send(2, requestBytes(Request.INIT, 0)).status).toBe("UNKNOWN_COMMAND");
    expect(harness.header(0).status).toBe("OK");
    const whole = submitBytes(0, 1, 1, new CommandWriter());
    expect(harness.send(2, whole, 64, "a descriptor loop").status).toBe("MALFORMED");
    expect(harness.header(0).status).toBe("MALFORMED");
    expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "MALFORMED" });
    for (const [bytes, room, status] of [
      [requestBytes(Request.SUBMIT, 0), 64, "MALFORMED"],
      [whole, 31, "RESPONSE_TOO_SMALL"],
    ] as const) {
      const other = new Harness().ready();
      expect(other.send(2, bytes, room).written).toBe(room < 32 ? 0 : 32);
      expect(other.header(0).status).toBe(status);
      expect(other.device.status().requests_rejected).toBe(1);
    }
  });

  it("refuses what a stuck context queues above its limit, not what a working one does", () => {
    const limits = { queuedCommandsMax: 10 };
    const harness = new Harness({ limits, scheduling: { batchesInFlightMax: 1 } }).ready(2);
    const nops = (count: number) => (w: CommandWriter) => {
      for (let i = 0; i < count; i++) w.nop();
    };
    expect(harness.submit(0, 0, nops(11))).toMatchObject({
      status: "QUEUE_FULL",
      value: 11n,
      limit: 10n,
    });
    ok(harness.submit(1, 0, (w) => w.eventWait(1, 1)));
    ok(harness.submit(1, 0, nops(9)));
    expect(harness.submit(1, 0, nops(1)).status).toBe("QUEUE_FULL");
    expect(harness.slot(1, 0)).toMatchObject({ fence: 3, status: "QUEUE_FULL" });
  });

  it("leaves submits in the ring while a working context is over its limit", () => {
    const limits = { queuedCommandsMax: 4 };
    const scheduling = { batchesInFlightMax: 1, batchOperationsMax: 1 };
    const harness = new Harness({ limits, scheduling }).ready();
    const pointer = harness.alloc(0, 256);
    const queue = harness.queue(2);
    for (let fence = 1; fence <= 6; fence++) {
      const writer = new CommandWriter();
      for (let i = 0; i < 3; i++) writer.fill(pointer, 4, fence, 4);
      queue.add([submitBytes(0, 0, fence, writer)], 32);
    }
    harness.device.processQueue(2);
    // Two submits of three commands, of which one command is on its way: the rest waits outside.
    expect(queue.used.length).toBe(2);
    expect(harness.device.status().queue.commands).toBe(6);
    let most = 0;
    while (harness.gpu.pending.length > 0) {
      harness.gpu.finish();
      most = Math.max(most, harness.device.status().queue.commands);
    }
    expect(most).toBeLessThanOrEqual(6);
    expect(queue.used.length).toBe(6);
    expect(queue.outstanding).toBe(0);
    expect(harness.slot(0, 0)).toMatchObject({ fence: 6, status: "OK" });
    expect(harness.device.status().queue).toMatchObject({ commands: 0, bytes: 0 });
  });

  it("takes a bounded number of chains in one turn", () => {
    const harness = new Harness({ scheduling: { drainChainsMax: 3 } }).ready();
    const queue = harness.queue(2);
    for (let fence = 1; fence <= 5; fence++)
      queue.add([submitBytes(0, 0, fence, new CommandWriter())], 32);
    harness.device.processQueue(2);
    expect(queue.available.length).toBe(2);
    harness.device.processQueue(2);
    expect(harness.slot(0, 0).fence).toBe(5);
  });
});

describe("who sleeps until a launch is done", () => {
  const SOON = [{ type: EventType.SOON, context: 0 }];
  const FENCE = [{ type: EventType.FENCE, context: 0 }];

  /** A context with a kernel whose cost is known: each launch of it takes so long. */
  async function rig(launchNs: number): Promise<{ harness: Harness; launch: () => Promise<void> }> {
    const harness = new Harness({ gpu: { groupNs: () => launchNs } }).ready();
    const pointer = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.moduleLoad(0, SOURCE).functionCreate(0, 0, "increment")));
    await harness.settle();
    const launch = async (): Promise<void> => {
      ok(
        harness.submit(0, 0, (w) =>
          w.launch({ function: 0, grid: [1, 1, 1], arguments: [pointer] }),
        ),
      );
      // Its pipeline may have to be made.
      await harness.settle();
    };
    return { harness, launch };
  }

  it("is told when it is submitted, if that is short and it asks for it, and again when it is done", async () => {
    const { harness, launch } = await rig(20_000);
    const seen = (): object[] => harness.events().map(({ type, context }) => ({ type, context }));
    // The cost of the kernel is not known yet.
    harness.arm(0, 0, 2, 100_000);
    await launch();
    expect(seen()).toEqual([]);
    harness.gpu.finishAll();
    expect(seen()).toEqual(FENCE);
    harness.arm(0, 0, 3, 100_000);
    await launch();
    expect(seen()).toEqual([...FENCE, ...SOON]);
    harness.gpu.finishAll();
    expect(seen()).toEqual([...FENCE, ...SOON, ...FENCE]);
    // Neither asked for, nor armed, nor soon.
    for (const [fence, armed, aheadNs] of [
      [4, 4, 0],
      [5, 4, 100_000],
      [6, 7, 100_000],
      [7, 7, 10],
    ] as const) {
      const before = seen().length;
      harness.arm(0, 0, armed, aheadNs);
      await launch();
      expect(harness.slot(0, 0).fence).toBe(fence - 1);
      expect(seen().length).toBe(before);
      harness.gpu.finishAll();
    }
  });

  it("is not told behind other work", async () => {
    const { harness, launch } = await rig(20_000);
    await launch();
    harness.gpu.finishAll();
    harness.arm(0, 0, 4, 100_000);
    await launch();
    await launch();
    expect(harness.events()).toEqual([]);
    harness.gpu.finishAll();
    expect(harness.events().length).toBe(1);
  });
});

describe("suspended rings", () => {
  it("holds data, fences and interrupts until the rings run again", () => {
    const harness = new Harness({ scheduling: { batchesInFlightMax: 1 } }).ready();
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
    const pointer = harness.alloc(0, 256);
    harness.arm(0, 0, 1);
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 8, 0x5a, 1).copyFromDevice(pointer, 0, 0, 8)));
    ok(harness.submit(0, 1, (w) => w.fill(pointer, 8, 1, 1)));
    harness.device.ringsChanged(true);
    const before = harness.memory.bytes.slice();
    const flushes = harness.queue(1).flushes;
    harness.gpu.finishAll();
    expect(Buffer.compare(harness.memory.bytes, before)).toBe(0);
    expect(harness.queue(1).flushes).toBe(flushes);
    // Nothing new is begun either.
    expect(harness.gpu.history.length).toBe(1);
    harness.device.ringsChanged(false);
    expect(harness.memory.bytes[DATA_AT + 7]).toBe(0x5a);
    expect(harness.slot(0, 0).fence).toBe(1);
    expect(harness.events().length).toBe(1);
    harness.gpu.finishAll();
    expect(harness.slot(0, 1).fence).toBe(1);
  });

  it("holds an error, too", () => {
    const harness = new Harness().ready();
    const pointer = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 8, 1, 1)));
    harness.device.ringsChanged(true);
    harness.gpu.failBatch("timeout", "the watchdog stopped it");
    expect(harness.header(0).status).toBe("OK");
    expect(harness.slot(0, 0).fence).toBe(0);
    harness.device.ringsChanged(false);
    expect(harness.header(0).status).toBe("TIMEOUT");
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "TIMEOUT" });
  });
});

describe("changing memory", () => {
  it("finds registrations and pages again", () => {
    const harness = new Harness().ready();
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
    const pointer = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.copyFromDevice(pointer, 0, 0, 256)));
    // The pages go for a while: nothing is lost, only later.
    harness.memory.holes = [[harness.timelineAt(0), harness.timelineAt(0) + 8192]];
    harness.memory.generation++;
    harness.device.memoryChanged();
    harness.gpu.finishAll();
    expect(harness.slot(0, 0).fence).toBe(0);
    harness.memory.holes = [];
    harness.memory.generation++;
    harness.device.memoryChanged();
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
  });

  it("makes the context fail whose copy has no memory any more", () => {
    const harness = new Harness().ready();
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
    const pointer = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.copyFromDevice(pointer, 0, 10, 200)));
    harness.memory.holes = [[DATA_AT, DATA_AT + 1]];
    harness.memory.generation++;
    harness.device.memoryChanged();
    // Only what the copy touches has to be there.
    harness.gpu.finishAll();
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
    ok(harness.submit(0, 0, (w) => w.copyFromDevice(pointer, 0, 10, 200)));
    harness.memory.holes = [[DATA_AT + 100, DATA_AT + 101]];
    harness.memory.generation++;
    harness.gpu.finishAll();
    expect(harness.slot(0, 0)).toMatchObject({ fence: 2, status: "GUEST_ADDRESS" });
    expect(harness.error(0).text).toMatch(/200 bytes at offset 10 of host memory 0/);
    const other = new Harness().ready();
    ok(other.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
    const target = other.alloc(0, 256);
    other.memory.holes = [[DATA_AT, DATA_AT + 1]];
    other.memory.generation++;
    ok(other.submit(0, 0, (w) => w.copyToDevice(target, 0, 0, 1)));
    expect(other.error(0).name).toBe("GUEST_ADDRESS");
  });

  it("drops data of a registration that was taken back", () => {
    const harness = new Harness().ready();
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
    const pointer = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 8, 1, 1).copyFromDevice(pointer, 0, 0, 8)));
    ok(harness.unregister(0, 0));
    harness.gpu.finishAll();
    expect(harness.memory.bytes[DATA_AT]).toBe(0);
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
  });
});

describe("ends in the middle", () => {
  it("touches nothing of a destroyed context, and gives its memory back with its last batch", () => {
    const harness = new Harness({ scheduling: { batchesInFlightMax: 1 } }).ready(2);
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
    const pointer = harness.alloc(0, 256);
    harness.arm(0, 0, 1);
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 8, 9, 1).copyFromDevice(pointer, 0, 0, 8)));
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 8, 8, 1)));
    ok(harness.submit(0, 1, (w) => w.eventWait(1, 1)));
    ok(harness.destroyContext(0));
    const before = harness.memory.bytes.slice();
    expect(harness.device.status()).toMatchObject({ queue: { commands: 0, bytes: 0 } });
    expect(harness.device.status().memory.reserved_bytes).toBeGreaterThan(0);
    harness.gpu.finishAll();
    expect(Buffer.compare(harness.memory.bytes, before)).toBe(0);
    expect(harness.events()).toEqual([]);
    expect(harness.device.status().memory.reserved_bytes).toBe(0);
    expect(harness.gpu.history.length).toBe(1);
    // What it has done is still counted for the instance.
    expect(harness.device.status().usage).toMatchObject({ copies: 2, bytes_from_device: 8 });
    ok(harness.submit(1, 0));
    expect(harness.slot(1, 0).fence).toBe(1);
  });

  it("survives a context that goes while its module and pipeline are compiled", async () => {
    const harness = new Harness().ready();
    harness.gpu.holdCompilers = true;
    ok(harness.submit(0, 0, (w) => w.moduleLoad(0, "fn x() {}").nop()));
    ok(harness.submit(0, 1, (w) => w.functionCreate(0, 0, "x")));
    ok(harness.destroyContext(0));
    harness.gpu.releaseCompilers();
    await harness.settle();
    ok(harness.createContext(0));
    expect(harness.slot(0, 0).fence).toBe(0);
    expect(harness.device.status()).toMatchObject({ code_bytes: 0, queue: { compiling: 0 } });
  });

  it("reports failed batches to the context they belong to", () => {
    for (const [reason, status] of [
      ["out-of-memory", "OUT_OF_MEMORY"],
      ["failed", "LAUNCH_FAILED"],
      ["timeout", "TIMEOUT"],
    ] as const) {
      const harness = new Harness({ scheduling: { batchesInFlightMax: 1 } }).ready(2);
      const a = harness.alloc(0, 256);
      const b = harness.alloc(1, 256);
      ok(harness.submit(0, 2, (w) => w.fill(a, 4, 1, 4), 10));
      ok(harness.submit(0, 2, (w) => w.fill(a, 4, 1, 4), 11));
      ok(harness.submit(1, 0, (w) => w.fill(b, 4, 1, 4)));
      harness.gpu.failBatch(reason, "as the test wants");
      harness.gpu.finishAll();
      expect(harness.error(0)).toMatchObject({ name: status, stream: 2, fence: 10n });
      expect(harness.error(0).text).toMatch(/as the test wants/);
      expect(harness.slot(0, 2)).toMatchObject({ fence: 11, status });
      expect(harness.slot(1, 0)).toMatchObject({ fence: 1, status: "OK" });
      expect(harness.header(1).status).toBe("OK");
      expect(harness.statistics(0).copies).toBe(0n);
    }
  });
});

/** A lease in the test's hands. */
class TestLease implements Lease {
  held = false;
  onRevoke: (() => void) | null = null;
  granted: (() => void) | null = null;
  releases = 0;

  request(granted: () => void): void {
    if (this.held) granted();
    else this.granted = granted;
  }

  release(): void {
    this.releases++;
  }

  grant(): void {
    this.held = true;
    const granted = this.granted;
    this.granted = null;
    granted?.();
  }

  revoke(): void {
    this.held = false;
    this.onRevoke?.();
  }
}

describe("the lease", () => {
  it("submits only while it is held, and gives it back after the last batch", () => {
    const lease = new TestLease();
    const scheduling = { batchesInFlightMax: 2, batchOperationsMax: 1 };
    const harness = new Harness({ lease, scheduling }).ready();
    const pointer = harness.alloc(0, 256);
    expect(lease.granted).toBeNull();
    ok(
      harness.submit(0, 0, (w) => {
        for (let i = 0; i < 5; i++) w.fill(pointer, 4, i, 4);
      }),
    );
    expect(harness.gpu.history.length).toBe(0);
    harness.timeNs += 5000;
    lease.grant();
    expect(harness.gpu.history.length).toBe(2);
    expect(harness.statistics(0).wait_ns).toBeGreaterThanOrEqual(5000n);
    lease.revoke();
    harness.gpu.finish();
    expect(lease.releases).toBe(0);
    harness.gpu.finish();
    expect(lease.releases).toBe(1);
    expect(harness.gpu.history.length).toBe(2);
    // It asks again, since there is more to do.
    expect(lease.granted).not.toBeNull();
    lease.grant();
    harness.gpu.finishAll();
    expect(harness.slot(0, 0).fence).toBe(1);
    // Without work it is kept until someone else wants it, and then given back at once.
    expect(lease.releases).toBe(1);
    lease.revoke();
    expect(lease.releases).toBe(2);
  });
});
