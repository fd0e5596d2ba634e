// SPDX-License-Identifier: Apache-2.0
//
// Ordered words: that each operation does what its name says at every width, checks bounds and
// alignment, and that what one thread publishes another sees.

import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import * as native from "../../src/io/native.js";
import { addonPath } from "./support/children.js";

const FUNCTIONS = {
  8: [native.loadAcquire8, native.storeRelease8],
  16: [native.loadAcquire16, native.storeRelease16],
  32: [native.loadAcquire32, native.storeRelease32],
} as const;

describe.each([8, 16, 32] as const)("words of %i bits", (bits) => {
  const bytes = bits / 8;
  const max = 2 ** bits - 1;
  const [load, store] = FUNCTIONS[bits];

  test.each([0, 1, 0x7f, max - 1, max])(
    "hold %i, little-endian, and nothing beside it",
    (value) => {
      const view = new Uint8Array(24).fill(0xaa);
      store(view, 8, value);
      expect(load(view, 8)).toBe(value);
      const expected = new Uint8Array(24).fill(0xaa);
      for (let i = 0; i < bytes; i += 1) expected[8 + i] = Math.floor(value / 256 ** i) % 256;
      expect(view).toEqual(expected);
      const words = new native.RingWords(view);
      const method = { 8: words.load8, 16: words.load16, 32: words.load32 }[bits];
      expect(method(8)).toBe(value);
    },
  );

  test("reach the last word and no further", () => {
    const view = new Uint8Array(new ArrayBuffer(32), 8, 16);
    store(view, 16 - bytes, 1);
    expect(load(view, 16 - bytes)).toBe(1);
    for (const offset of [16 - bytes + 1, 16, 17, -1, -bytes, 2 ** 32, 2 ** 53]) {
      expect(() => load(view, offset)).toThrow(RangeError);
      expect(() => store(view, offset, 1)).toThrow(RangeError);
    }
    expect(() => load(new Uint8Array(0), 0)).toThrow(RangeError);
  });

  test("refuse a misaligned offset", () => {
    const view = new Uint8Array(16);
    for (let offset = 1; offset < bytes; offset += 1) {
      expect(() => load(view, offset)).toThrow(RangeError);
    }
  });
});

describe("words of 64 bits", () => {
  test.each([0n, 1n, 2n ** 32n, 2n ** 53n - 1n])("hold %i as number and as bigint", (value) => {
    const view = new Uint8Array(16);
    native.storeReleaseU64(view, 8, value);
    expect(native.loadAcquireU64(view, 8)).toBe(Number(value));
    expect(native.loadAcquireBigU64(view, 8)).toBe(value);
    native.storeReleaseU64(view, 0, Number(value));
    expect(native.loadAcquireBigU64(view, 0)).toBe(value);
    expect(new DataView(view.buffer).getBigUint64(8, true)).toBe(value);
  });

  test("hold the largest as bigint; numbers over 2^53 are refused", () => {
    const words = new native.RingWords(new Uint8Array(8));
    words.store64(0, 2n ** 64n - 1n);
    expect(words.loadBig64(0)).toBe(2n ** 64n - 1n);
    expect(words.load64(0)).toBe(2 ** 64);
    for (const wrong of [2 ** 53, -1, Number.NaN, 2n ** 64n, -1n]) {
      expect(() => words.store64(0, wrong)).toThrow(TypeError);
    }
    expect(words.loadBig64(0)).toBe(2n ** 64n - 1n);
  });
});

describe("read-modify-write", () => {
  test("exchange returns what was there", () => {
    const view = new Uint8Array(8);
    expect(native.exchange32(view, 4, 0xffffffff)).toBe(0);
    expect(native.exchange32(view, 4, 7)).toBe(0xffffffff);
    expect(new native.RingWords(view).exchange32(4, 8)).toBe(7);
  });

  test("compareExchange stores only over what is expected", () => {
    const view = new Uint8Array(8);
    expect(native.compareExchange32(view, 0, 1, 5)).toBe(0);
    expect(native.loadAcquire32(view, 0)).toBe(0);
    expect(native.compareExchange32(view, 0, 0, 5)).toBe(0);
    expect(new native.RingWords(view).compareExchange32(0, 5, 6)).toBe(5);
    expect(native.loadAcquire32(view, 0)).toBe(6);
  });

  test("fetchOr sets bits and returns what was there", () => {
    const view = new Uint8Array(8);
    expect(native.fetchOr8(view, 3, 0x81)).toBe(0);
    expect(native.fetchOr8(view, 3, 0x02)).toBe(0x81);
    expect(native.fetchOr32(view, 0, 1)).toBe(0x83000000);
    expect(new native.RingWords(view).fetchOr8(3, 0)).toBe(0x83);
    expect([...view]).toEqual([1, 0, 0, 0x83, 0, 0, 0, 0]);
  });
});

describe("views", () => {
  test("of every kind are taken, with byte offsets from their start", () => {
    const buffer = new ArrayBuffer(32);
    const bytes = new Uint8Array(buffer);
    bytes[12] = 9;
    expect(native.loadAcquire32(buffer, 12)).toBe(9);
    expect(native.loadAcquire32(new Uint16Array(buffer, 8, 4), 4)).toBe(9);
    expect(native.loadAcquire32(new BigInt64Array(buffer, 8, 2), 4)).toBe(9);
    expect(new native.RingWords(new DataView(buffer, 8)).load32(4)).toBe(9);
    expect(() => native.loadAcquire32(new Uint16Array(buffer, 8, 4), 8)).toThrow(RangeError);
  });

  test.each([null, undefined, 1, "x", {}, []])("of no memory (%s) are refused", (what) => {
    const wrong = what as unknown as Uint8Array;
    expect(() => native.loadAcquire16(wrong, 0)).toThrow(TypeError);
    expect(() => new native.RingWords(wrong)).toThrow(TypeError);
    expect(() => native.copy(wrong, 0, new Uint8Array(1), 0, 1)).toThrow(TypeError);
  });

  test("that are detached are refused, also after binding", () => {
    const buffer = new ArrayBuffer(16);
    const view = new Uint8Array(buffer);
    const words = new native.RingWords(view);
    structuredClone(buffer, { transfer: [buffer] });
    expect(() => words.load8(0)).toThrow(RangeError);
    expect(() => native.loadAcquire8(view, 0)).toThrow(RangeError);
    expect(() => native.copy(view, 0, new Uint8Array(1), 0, 1)).toThrow(RangeError);
  });

  test("missing and wrong operands throw", () => {
    const words = new native.RingWords(new Uint8Array(8));
    const loose = words as unknown as Record<string, (...args: unknown[]) => unknown>;
    expect(() => loose.load16?.()).toThrow(TypeError);
    expect(() => loose.load16?.("0")).toThrow(TypeError);
    expect(() => loose.store16?.(0)).toThrow(TypeError);
    expect(() => loose.compareExchange32?.(0, 1)).toThrow(TypeError);
  });
});

describe("copy", () => {
  test("moves bytes, overlapping ones too", () => {
    const view = Uint8Array.from({ length: 10 }, (_, i) => i);
    native.copy(view, 2, view, 0, 6);
    expect([...view]).toEqual([0, 1, 0, 1, 2, 3, 4, 5, 8, 9]);
  });

  test.each([
    [0, 0, 9],
    [8, 0, 1],
    [0, 4, 5],
    [9, 0, 0],
  ])("to %i from %i of %i bytes in 8 is refused", (to, from, bytes) => {
    expect(() => native.copy(new Uint8Array(8), to, new Uint8Array(8), from, bytes)).toThrow(
      RangeError,
    );
  });
});

/** Starts a worker with `fd` mapped as `words` and `view`; resolves when it is about to run `body`. */
async function startWorker(fd: number, body: string): Promise<{ ended: Promise<unknown> }> {
  const worker = new Worker(
    `const native = require(${JSON.stringify(addonPath)});
     const mapping = new native.Mapping(${fd}, 0, 4096, false);
     const view = new Uint8Array(mapping.window(0, 4096));
     const words = new native.RingWords(view);
     require("node:worker_threads").parentPort.postMessage("ready");
     ${body}`,
    { eval: true },
  );
  const ended = new Promise((resolve, reject) => worker.on("exit", resolve).on("error", reject));
  await new Promise((resolve) => worker.once("message", resolve));
  return { ended };
}

describe("between threads", { timeout: 120_000 }, () => {
  test("increments by compare-and-swap are not lost", async () => {
    const fd = native.memfdCreate("cas", 4096);
    const rounds = 20_000;
    const body = `
      for (let i = 0; i < ${rounds}; i++) {
        let old = words.load32(0);
        for (;;) { const seen = words.compareExchange32(0, old, old + 1); if (seen === old) break; old = seen; }
      }`;
    const workers = await Promise.all([startWorker(fd, body), startWorker(fd, body)]);
    await Promise.all(workers.map((worker) => worker.ended));
    const mapping = native.mapRegion(fd, 0, 4096);
    expect(native.loadAcquire32(mapping.window(0, 4), 0)).toBe(2 * rounds);
    mapping.unmap();
    native.close(fd);
  });

  test("what is written before a release is seen after the acquire", async () => {
    const fd = native.memfdCreate("publish", 4096);
    const mapping = native.mapRegion(fd, 0, 4096);
    const view = new Uint8Array(mapping.window(0, 4096));
    const data = new Uint32Array(view.buffer);
    const words = new native.RingWords(view);
    const worker = await startWorker(
      fd,
      `const data = new Uint32Array(view.buffer);
       for (let i = 1; i <= 5000; i++) {
         for (let k = 64; k < 96; k++) data[k] = i;
         words.store16(0, i);
         while (words.load16(64) !== i);
       }`,
    );
    let wrong = 0;
    for (let i = 1; i <= 5000; i += 1) {
      while (words.load16(0) !== i);
      for (let k = 64; k < 96; k += 1) if (data[k] !== i) wrong += 1;
      words.store16(64, i);
    }
    expect(wrong).toBe(0);
    await worker.ended;
    mapping.unmap();
    native.close(fd);
  });

  test("a spin ends when another thread changes the word", async () => {
    const fd = native.memfdCreate("spin", 4096);
    const mapping = native.mapRegion(fd, 0, 4096);
    const view = new Uint8Array(mapping.window(0, 4096));
    const worker = await startWorker(
      fd,
      `while (words.load16(128) !== 1); words.store16(6, 77); while (words.load16(128) !== 2); words.store16(10, 5);`,
    );
    native.storeRelease16(view, 128, 1);
    expect(native.spinUntilChanged16(view, 6, 0, 1e9)).toBe(true);
    expect(native.loadAcquire16(view, 6)).toBe(77);
    const waiter = new native.RingWaiter();
    waiter.watch(0, view, 6, 77);
    waiter.watch(3, view, 10, 0);
    native.storeRelease16(view, 128, 2);
    expect(waiter.spin(1e9)).toBe(3);
    await worker.ended;
    mapping.unmap();
    native.close(fd);
  });
});

describe("spinning", () => {
  test("returns at once when the word differs, and gives up in time when not", () => {
    const view = new Uint8Array(8);
    expect(native.spinUntilChanged16(view, 0, 1, 1e9)).toBe(true);
    const startNs = native.nowNs();
    expect(native.spinUntilChanged16(view, 0, 0, 300_000)).toBe(false);
    expect(native.nowNs() - startNs).toBeGreaterThanOrEqual(300_000);
    expect(native.spinUntilChanged16(view, 0, 0, 0)).toBe(false);
    expect(() => native.spinUntilChanged16(view, 0, 0, 2e9)).toThrow(RangeError);
    expect(() => native.spinUntilChanged16(view, 1, 0, 0)).toThrow(RangeError);
    expect(() => native.spinUntilChanged16(view, 7, 0, 0)).toThrow(RangeError);
  });

  test("RingWaiter names the least changed index and follows expect and unwatch", () => {
    const view = new Uint8Array(16);
    const waiter = new native.RingWaiter();
    expect(waiter.spin(1e9)).toBe(-1);
    waiter.watch(63, view, 8, 0);
    waiter.watch(2, view, 4, 0);
    expect(waiter.spin(0)).toBe(-1);
    native.storeRelease16(view, 8, 1);
    expect(waiter.spin(0)).toBe(63);
    native.storeRelease16(view, 4, 1);
    expect(waiter.spin(0)).toBe(2);
    waiter.expect(2, 1);
    expect(waiter.spin(0)).toBe(63);
    waiter.unwatch(63);
    expect(waiter.spin(0)).toBe(-1);
    expect(() => waiter.watch(64, view, 0, 0)).toThrow(RangeError);
    expect(() => waiter.watch(0, view, 15, 0)).toThrow(RangeError);
    expect(() => waiter.watch(0, view, 1, 0)).toThrow(RangeError);
    expect(() => waiter.watch(0, view, 0, 65536)).toThrow(RangeError);
  });

  test("RingWaiter ignores a word whose mapping was unmapped", () => {
    const fd = native.memfdCreate("gone", 4096);
    const mapping = native.mapRegion(fd, 0, 4096);
    const waiter = new native.RingWaiter();
    waiter.watch(0, new Uint8Array(mapping.window(0, 4096)), 0, 1);
    expect(waiter.spin(0)).toBe(0);
    mapping.unmap();
    expect(waiter.spin(0)).toBe(-1);
    native.close(fd);
  });
});
