// SPDX-License-Identifier: Apache-2.0
/** Copies, fills and inline writes through the submit queue, and the fences that tell of them. */
import { describe, expect, it } from "vitest";
import { EventType } from "../../../src/protocol/generated/wire.js";
import { at, DATA_AT, Harness, ok } from "./harness.js";

const KIB = 1024;

function pattern(bytes: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => (i * 7 + seed * 31) & 0xff);
}

describe("copies", () => {
  it("goes to the device and back, across ranges and windows, and leaves neighbours alone", () => {
    const harness = new Harness().ready();
    harness.memory.windowBytes = 4096;
    const ranges = [
      { address: DATA_AT + 100, bytes: 5000 },
      { address: DATA_AT + 20_001, bytes: 3 },
      { address: DATA_AT + 30_000, bytes: 4997 },
    ];
    ok(harness.register(0, 1, ranges));
    ok(harness.register(0, 2, [{ address: DATA_AT + 50_000, bytes: 10_000 }]));
    const data = pattern(10_000);
    let from = 0;
    for (const range of ranges) {
      harness.memory.bytes.set(data.subarray(from, from + range.bytes), range.address);
      from += range.bytes;
    }
    harness.memory.bytes.fill(0x55, DATA_AT + 50_000, DATA_AT + 60_000);
    const pointer = harness.alloc(0, 20_000);
    ok(
      harness.submit(0, 3, (w) => {
        w.copyToDevice(at(pointer, 77), 1, 11, 9_900);
        w.copyFromDevice(at(pointer, 77), 2, 50, 9_900);
      }),
    );
    expect(harness.slot(0, 3).fence).toBe(0);
    harness.gpu.finishAll();
    expect(harness.slot(0, 3)).toMatchObject({ fence: 1, status: "OK" });
    const back = harness.memory.bytes.subarray(DATA_AT + 50_000, DATA_AT + 60_000);
    expect(back.subarray(50, 9_950)).toEqual(data.subarray(11, 9_911));
    expect(back.subarray(0, 50).every((each) => each === 0x55)).toBe(true);
    expect(back.subarray(9_950).every((each) => each === 0x55)).toBe(true);
    expect(harness.statistics(0)).toMatchObject({
      copies: 2n,
      bytes_to_device: 9_900n,
      bytes_from_device: 9_900n,
    });
  });

  it("does inline writes, fills of each width, and overlapping device copies in order", () => {
    const harness = new Harness().ready();
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
    const pointer = harness.alloc(0, 64);
    ok(
      harness.submit(0, 0, (w) => {
        w.writeInline(pointer, pattern(16));
        w.fill(at(pointer, 16), 3, 0x1ab, 1);
        w.fill(at(pointer, 20), 4, 0x1beef, 2);
        w.fill(at(pointer, 24), 8, 0xdeadbeef, 4);
        w.copyDevice(at(pointer, 4), pointer, 16);
        w.copyFromDevice(pointer, 0, 0, 64);
      }),
    );
    harness.gpu.finishAll();
    const expected = new Uint8Array(64);
    expected.set(pattern(16));
    expected.fill(0xab, 16, 19);
    expected.set([0xef, 0xbe, 0xef, 0xbe], 20);
    expected.set([0xef, 0xbe, 0xad, 0xde, 0xef, 0xbe, 0xad, 0xde], 24);
    expected.copyWithin(4, 0, 16);
    expect(harness.memory.bytes.slice(DATA_AT, DATA_AT + 64)).toEqual(expected);
  });

  it("takes commands of zero bytes as done, whatever the pointer", () => {
    const harness = new Harness().ready();
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 16 }]));
    const nothing = { segment: 0, offset: 0 };
    ok(
      harness.submit(0, 0, (w) => {
        w.copyToDevice(nothing, 0, 16, 0).copyFromDevice(nothing, 0, 0, 0);
        w.copyDevice(nothing, nothing, 0).fill(nothing, 0, 1, 4);
        w.writeInline(nothing, new Uint8Array(0)).nop();
      }),
    );
    expect(harness.gpu.history).toEqual([]);
    expect(harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
  });

  it("splits large copies over batches and completes their fence with the last part", () => {
    const scheduling = { batchBytesMax: 64 * KIB, batchesInFlightMax: 2 };
    const harness = new Harness({ scheduling }).ready();
    const bytes = 300 * KIB + 5;
    ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 2 * 1024 * KIB }]));
    const data = pattern(bytes, 9);
    harness.memory.bytes.set(data, DATA_AT + 1);
    const pointer = harness.alloc(0, 512 * KIB);
    ok(harness.submit(0, 0, (w) => w.copyToDevice(at(pointer, 3), 0, 1, bytes)));
    ok(harness.submit(0, 0, (w) => w.copyFromDevice(at(pointer, 3), 0, 1024 * KIB, bytes)));
    expect(harness.gpu.pending.length).toBe(2);
    for (let finished = 0; harness.slot(0, 0).fence === 0; finished++) {
      expect(finished).toBeLessThan(6);
      harness.gpu.finish();
    }
    harness.gpu.finishAll();
    expect(harness.gpu.history.length).toBeGreaterThanOrEqual(10);
    for (const line of harness.gpu.history.flat())
      expect(Number(line.split(" ")[2])).toBeLessThanOrEqual(64 * KIB);
    expect(harness.slot(0, 0).fence).toBe(2);
    const back = harness.memory.bytes.subarray(DATA_AT + 1024 * KIB, DATA_AT + 1024 * KIB + bytes);
    expect(Buffer.compare(back, data)).toBe(0);
    expect(harness.statistics(0)).toMatchObject({ copies: 2n, bytes_to_device: BigInt(bytes) });
  });
});

describe("failing commands", () => {
  const cases: {
    name: string;
    status: string;
    text: RegExp;
    build: (
      writer: import("../../../src/protocol/encode.js").CommandWriter,
      pointer: import("../../../src/protocol/pointer.js").DevicePointer,
    ) => void;
  }[] = [
    {
      name: "an unknown registration",
      status: "HANDLE_UNKNOWN",
      text: /host memory 5 does not exist/,
      build: (w, p) => w.copyToDevice(p, 5, 0, 1),
    },
    {
      name: "a registration that is too short",
      status: "OUT_OF_RANGE",
      text: /2 bytes at offset 4095 of host memory 0 are copied, it has 4096/,
      build: (w, p) => w.copyToDevice(p, 0, 4095, 2),
    },
    {
      name: "an allocation that is too short",
      status: "OUT_OF_RANGE",
      text: /201 bytes at device pointer 0x\w+ are used, its allocation has 200 from there/,
      build: (w, p) => w.copyFromDevice(p, 0, 0, 201),
    },
    {
      name: "a pointer to nothing",
      status: "POINTER_INVALID",
      text: /device pointer 0x0000000000000040 belongs to no allocation/,
      build: (w) => w.fill({ segment: 0, offset: 64 }, 1, 0, 1),
    },
    {
      name: "a pointer behind its allocation",
      status: "POINTER_INVALID",
      text: /belongs to no allocation/,
      build: (w, p) => w.writeInline(at(p, 256), new Uint8Array(1)),
    },
    {
      name: "a bad source of a device copy",
      status: "OUT_OF_RANGE",
      text: /its allocation has 6 from there/,
      build: (w, p) => w.copyDevice(p, at(p, 194), 7),
    },
    {
      name: "a destroyed event",
      status: "HANDLE_UNKNOWN",
      text: /event 3 does not exist/,
      build: (w) => w.eventDestroy(3),
    },
    {
      name: "an event handle above the limit",
      status: "HANDLE_LIMIT",
      text: /event handle 65536 is asked for, handles are below 65536/,
      build: (w) => w.eventRecord(65536, 1),
    },
    {
      name: "a generation that does not ascend",
      status: "FENCE_ORDER",
      text: /event 3 is recorded with generation 4, its last one is 4/,
      build: (w) => w.eventRecord(3, 4).eventRecord(3, 4),
    },
    {
      name: "an unknown module",
      status: "HANDLE_UNKNOWN",
      text: /module 7 does not exist/,
      build: (w) => w.moduleUnload(7),
    },
    {
      name: "an unknown function",
      status: "HANDLE_UNKNOWN",
      text: /function 7 does not exist/,
      build: (w) => w.functionDestroy(7),
    },
  ];

  for (const { name, status, text, build } of cases) {
    it(`makes the context fail: ${name}`, () => {
      const harness = new Harness().ready(2);
      ok(harness.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
      const pointer = harness.alloc(0, 200);
      ok(harness.submit(0, 1, (w) => w.fill(pointer, 200, 1, 1)));
      ok(harness.submit(0, 2, (w) => w.nop().nop().fill(pointer, 4, 1, 4), 5));
      ok(
        harness.submit(
          0,
          2,
          (w) => {
            build(w, pointer);
            w.fill(pointer, 4, 2, 4);
          },
          6,
        ),
      );
      harness.gpu.finishAll();
      expect(harness.header(0)).toMatchObject({ status, error_stream: 2 });
      // What came before is done; the failed fence and what follows carry the status.
      expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "OK" });
      expect(harness.slot(0, 2)).toMatchObject({ fence: 6, status });
      const error = harness.error(0);
      expect(error).toMatchObject({ name: status, stream: 2, fence: 6n });
      expect(error.text).toMatch(text);
      expect(harness.statistics(0).commands_rejected).toBe(1n);
      // Nothing after the failed command was executed.
      expect(harness.gpu.history.flat().filter((line) => line.endsWith(" 2"))).toEqual([]);
      // It sticks: later submits are refused, and their fences complete all the same.
      expect(harness.submit(0, 2, undefined, 7).status).toBe("CONTEXT_FAILED");
      expect(harness.submit(0, 4).status).toBe("CONTEXT_FAILED");
      expect(harness.slot(0, 2)).toMatchObject({ fence: 7, status });
      expect(harness.slot(0, 4)).toMatchObject({ fence: 1, status });
      expect(harness.tryAlloc(0, 10).status).toBe("CONTEXT_FAILED");
      expect(harness.error(0)).toMatchObject({ name: status, fence: 6n });
      // The other context never notices.
      expect(harness.submit(1, 0).status).toBe("OK");
      expect(harness.slot(1, 0)).toMatchObject({ fence: 1, status: "OK" });
    });
  }
});

describe("interrupts", () => {
  it("comes once where the fence is armed, and not elsewhere", () => {
    const harness = new Harness().ready(2);
    const pointer = harness.alloc(1, 256);
    const work = (stream: number): void => {
      ok(harness.submit(1, stream, (w) => w.fill(pointer, 4, 1, 4)));
    };
    work(0);
    harness.gpu.finishAll();
    expect(harness.events()).toEqual([]);
    harness.arm(1, 0, 3);
    work(0);
    harness.gpu.finishAll();
    expect(harness.events()).toEqual([]);
    work(0);
    work(2);
    harness.gpu.finishAll();
    expect(harness.events()).toEqual([
      { type: EventType.FENCE, context: 1, epoch: harness.device.epoch, value: 0n },
    ]);
    work(0);
    harness.gpu.finishAll();
    expect(harness.events().length).toBe(1);
  });

  it("is remembered while there is no buffer, once for all fences", () => {
    const harness = new Harness();
    ok(harness.init());
    ok(harness.createContext(0));
    const pointer = harness.alloc(0, 256);
    harness.arm(0, 0, 1);
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 4, 1, 4)));
    harness.gpu.finishAll();
    harness.arm(0, 0, 2);
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 4, 1, 4)));
    harness.gpu.finishAll();
    harness.postEventBuffers(1, 31);
    expect(harness.events()).toEqual([]);
    harness.postEventBuffers(3);
    expect(harness.events().length).toBe(1);
    expect(harness.queue(1).available.length).toBe(2);
  });

  it("stores status and time before the fence, and the fence before it reads the arm page", () => {
    const harness = new Harness().ready();
    const slotAt = harness.timelineAt(0) + 64;
    const pointer = harness.alloc(0, 256);
    ok(harness.submit(0, 0, (w) => w.fill(pointer, 4, 1, 4)));
    harness.words.stores.length = 0;
    harness.gpu.finishAll();
    expect(harness.words.stores).toEqual([
      { at: slotAt, value: 1 },
      { at: -1, value: 0 },
    ]);
    // A failure: the header's status comes before the fence.
    ok(harness.submit(0, 0, (w) => w.eventDestroy(1)));
    const stores = harness.words.stores.map((each) => each.at);
    const statusAt = harness.timelineAt(0) + 8;
    expect(stores.indexOf(statusAt)).toBeGreaterThan(0);
    expect(stores.indexOf(statusAt)).toBeLessThan(stores.lastIndexOf(slotAt));
  });
});
