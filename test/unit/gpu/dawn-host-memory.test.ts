// SPDX-License-Identifier: Apache-2.0
/**
 * A software GPU's memory, read and written by the host itself: against a plain model of memory, with
 * batches on their way, and against kernels that take long.
 */
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  createDawnExecutor,
  type DawnExecutor,
  HostMemory,
  LAVAPIPE_MAPPINGS,
} from "../../../src/gpu/dawn/index.js";
import type { Batch, BatchOutcome, Pipeline, Segment } from "../../../src/gpu/executor.js";
import { copyByTwo, fileMappings } from "../../../src/io/native.js";
import { systemRandom } from "../../../src/io/random.js";
import { CoarseTimer, nowNs, readBack, submitted } from "../../support/dawn.js";
import { apply, operationIn, pseudoRandom } from "../../support/memory-model.js";

/** Smaller ones share a mapping with others. */
const SEGMENT_BYTES = 4 * 1024 * 1024;

const random = (): number => systemRandom.u32();

let executor: DawnExecutor;

function open(): Promise<DawnExecutor> {
  const mappings = fileMappings(LAVAPIPE_MAPPINGS);
  return createDawnExecutor({
    nowNs,
    timer: new CoarseTimer(),
    hostMemory: (queue) => new HostMemory(queue, { mappings, random, copyByTwo }),
  });
}

beforeAll(async () => {
  executor = await open();
  if (!/llvmpipe/.test(executor.info.adapter))
    throw new Error(`this is for lavapipe, which CI has, not ${executor.info.adapter}`);
});

afterAll(() => executor.close());

/** Kernels that add one to each word `rounds` times, in a loop of one invocation a word. */
function adder(on: DawnExecutor): Promise<Pipeline> {
  return on.createPipeline({
    label: "add",
    wgsl: `@group(0) @binding(0) var<storage, read_write> d: array<atomic<u32>>;
      @group(0) @binding(1) var<uniform> rounds: vec4u;
      @compute @workgroup_size(64) fn add(@builtin(global_invocation_id) id: vec3u) {
        for (var i = 0u; i < rounds.x; i++) { atomicAdd(&d[id.x], 1u); }
      }`,
    entryPoint: "add",
    bindings: [
      { binding: 0, kind: "storage", bytes: 0 },
      { binding: 1, kind: "uniform", bytes: 16 },
    ],
    constants: {},
  });
}

function launch(batch: Batch, pipeline: Pipeline, segment: Segment) {
  return (rounds: number): void =>
    batch.launch({
      pipeline,
      storage: [{ segment, offset: 0, bytes: SEGMENT_BYTES }],
      uniforms: [new Uint8Array(Uint32Array.of(rounds, 0, 0, 0).buffer)],
      grid: [64, 1, 1],
    });
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("memory that the host reaches itself", () => {
  it("is as a plain memory, with several batches on their way", async () => {
    const segments = ["a", "b"].map((name) => executor.createSegment(SEGMENT_BYTES, name));
    const model = segments.map(() => new Uint8Array(SEGMENT_BYTES));
    const batches = fc.array(fc.array(operationIn(SEGMENT_BYTES), { minLength: 1, maxLength: 6 }), {
      minLength: 1,
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(batches, async (work) => {
        const checks: ((() => void) | null)[] = [];
        const outcomes: Promise<BatchOutcome>[] = [];
        for (const operations of work) {
          while (executor.exclusive) await turn();
          const batch = executor.begin("property");
          checks.push(...operations.map((op) => apply(batch, segments, model, op)));
          outcomes.push(submitted(batch));
        }
        for (const outcome of await Promise.all(outcomes))
          expect(outcome).toMatchObject({ ok: true });
        for (const check of checks) check?.();
        for (const [index, segment] of segments.entries()) {
          const data = await readBack(executor, segment, 0, SEGMENT_BYTES);
          expect(Buffer.from(data).equals(model[index] as Uint8Array)).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
    for (const segment of segments) segment.destroy();
  });

  it("is copied once each way, whatever the alignment, by two threads if it is much", async () => {
    const bytes = 3 * SEGMENT_BYTES + 4;
    const segment = executor.createSegment(bytes + 252, "large");
    const data = pseudoRandom(bytes - 3, 5);
    const before = executor.copiedBytes;
    const batch = executor.begin("large");
    batch.write(segment, 1, [data.subarray(0, 100), data.subarray(100)]);
    expect(await submitted(batch)).toMatchObject({ ok: true });
    const got = await readBack(executor, segment, 1, data.length);
    expect(Buffer.from(got).equals(data)).toBe(true);
    expect(executor.copiedBytes - before).toBe(2 * data.length);
    segment.destroy();
  });

  it("reads as zero when new, and what kernels have written", async () => {
    const segment = executor.createSegment(SEGMENT_BYTES, "new");
    expect((await readBack(executor, segment, 0, SEGMENT_BYTES)).every((b) => b === 0)).toBe(true);
    const pipeline = await adder(executor);
    const batch = executor.begin("add");
    batch.write(segment, 0, [new Uint8Array(Uint32Array.of(40).buffer)]);
    launch(batch, pipeline, segment)(2);
    const into = new Uint8Array(8);
    batch.read(segment, 0, 8, () => [into]);
    expect(await submitted(batch)).toMatchObject({ ok: true });
    expect([...new Uint32Array(into.buffer)]).toEqual([42, 2]);
    segment.destroy();
  });

  it("is left alone while a kernel uses it: a write comes behind, a read has what it left", async () => {
    const segment = executor.createSegment(SEGMENT_BYTES, "busy");
    const other = executor.createSegment(SEGMENT_BYTES, "other");
    const pipeline = await adder(executor);
    // So that both were used before.
    for (const each of [segment, other]) await readBack(executor, each, 0, 4);
    const order: string[] = [];
    const long = executor.begin("long");
    launch(long, pipeline, segment)(200_000);
    const longDone = new Promise<void>((resolve) => {
      long.submit(() => {
        order.push("kernel");
        resolve();
      });
    });
    const read = executor.begin("read");
    const seen = new Uint8Array(4);
    read.read(segment, 0, 4, () => {
      order.push("read");
      return [seen];
    });
    const readDone = submitted(read);
    // Nothing may come between.
    expect(executor.exclusive).toBe(true);
    await Promise.all([longDone, readDone]);
    expect(order).toEqual(["kernel", "read"]);
    expect(new Uint32Array(seen.buffer)[0]).toBe(200_000);

    const again = executor.begin("again");
    launch(again, pipeline, segment)(200_000);
    const outcomes = [submitted(again)];
    const writes = executor.begin("writes");
    const before = executor.copiedBytes;
    writes.write(other, 0, [Uint8Array.of(1, 2, 3)]);
    // At once, since no kernel uses that one.
    expect(executor.copiedBytes - before).toBe(3);
    writes.write(segment, 0, [new Uint8Array(Uint32Array.of(7).buffer)]);
    outcomes.push(submitted(writes));
    await Promise.all(outcomes);
    expect(new Uint32Array((await readBack(executor, segment, 0, 8)).buffer)).toEqual(
      Uint32Array.of(7, 400_000),
    );
    segment.destroy();
    other.destroy();
  });

  describe("is used in its turn, with a kernel that takes long", () => {
    const LONG = 200_000;
    const word = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
    const first = (bytes: Uint8Array): number => new Uint32Array(bytes.slice(0, 4).buffer)[0] ?? -1;
    let add: Pipeline;
    let a: Segment;
    let b: Segment;

    beforeAll(async () => {
      add = await adder(executor);
    });
    beforeEach(async () => {
      a = executor.createSegment(SEGMENT_BYTES, "a");
      b = executor.createSegment(SEGMENT_BYTES, "b");
      for (const each of [a, b]) await readBack(executor, each, 0, 4);
    });
    afterEach(() => {
      a.destroy();
      b.destroy();
    });

    /** Submits what `make` encodes, when it may begin. */
    async function next(make: (batch: Batch) => void): Promise<Promise<BatchOutcome>[]> {
      while (executor.exclusive) await turn();
      const batch = executor.begin("next");
      make(batch);
      // In an array, so that it is not waited for.
      return [submitted(batch)];
    }

    it("behind a read that is mapped", async () => {
      const large = new Uint8Array(SEGMENT_BYTES);
      const small = new Uint8Array(16);
      const batch = executor.begin("read, launch, read");
      batch.read(a, 0, SEGMENT_BYTES, () => [large]);
      launch(batch, add, b)(LONG);
      batch.read(b, 0, 16, () => [small]);
      expect(await submitted(batch)).toMatchObject({ ok: true });
      expect(first(small)).toBe(LONG);
    });

    it("by the batch after one that ends with a launch", async () => {
      const one = await next((batch) => {
        batch.read(a, 0, SEGMENT_BYTES, () => [new Uint8Array(SEGMENT_BYTES)]);
        launch(batch, add, b)(LONG);
      });
      await one[0];
      expect(first(await readBack(executor, b, 0, 4))).toBe(LONG);
      const two = await next((batch) => {
        batch.read(a, 0, SEGMENT_BYTES, () => [new Uint8Array(SEGMENT_BYTES)]);
        launch(batch, add, b)(LONG);
      });
      await two[0];
      await (await next((batch) => batch.write(b, 0, [word(5)])))[0];
      expect(first(await readBack(executor, b, 0, 4))).toBe(5);
    });

    it("after a write that had to wait", async () => {
      const outcomes: Promise<BatchOutcome>[] = [];
      const large = new Uint8Array(SEGMENT_BYTES).fill(1);
      const small = new Uint8Array(SEGMENT_BYTES).fill(2);
      outcomes.push(...(await next((batch) => launch(batch, add, a)(LONG))));
      outcomes.push(...(await next((batch) => batch.write(a, 0, [large]))));
      await outcomes[0];
      outcomes.push(...(await next((batch) => batch.write(a, 0, [small]))));
      await Promise.all(outcomes);
      const got = await readBack(executor, a, 0, SEGMENT_BYTES);
      expect(got.every((byte) => byte === 2)).toBe(true);
    });

    it("where the GPU only reads: a read, a write, a read", async () => {
      const before = new Uint8Array(65536);
      const after = new Uint8Array(65536);
      const batch = executor.begin("read, write, read");
      batch.read(a, 0, 65536, () => [before]);
      batch.write(a, 0, [new Uint8Array(65536).fill(3)]);
      batch.read(a, 0, 65536, () => [after]);
      expect(await submitted(batch)).toMatchObject({ ok: true });
      expect(before.every((byte) => byte === 0)).toBe(true);
      expect(after.every((byte) => byte === 3)).toBe(true);
    });

    it("where a copy on the GPU reads what is then written, read and written again", async () => {
      const outcomes: Promise<BatchOutcome>[] = [];
      outcomes.push(...(await next((batch) => batch.write(a, 0, [word(1)]))));
      outcomes.push(
        ...(await next((batch) => {
          launch(batch, add, b)(LONG);
          batch.copy(b, 0, a, 0, SEGMENT_BYTES);
        })),
      );
      const seen = new Uint8Array(4);
      outcomes.push(
        ...(await next((batch) => {
          batch.write(a, 0, [word(2)]);
          batch.read(a, 0, 4, () => [seen]);
        })),
      );
      await outcomes[1];
      outcomes.push(...(await next((batch) => batch.write(a, 0, [word(3)]))));
      await Promise.all(outcomes);
      expect(first(seen)).toBe(2);
      expect(first(await readBack(executor, a, 0, 4))).toBe(3);
      expect(first(await readBack(executor, b, 0, 4))).toBe(1);
      // Nothing is left behind for the next submit.
      await (await next((batch) => launch(batch, add, b)(1)))[0];
      expect(first(await readBack(executor, a, 0, 4))).toBe(3);
    });
  });

  it("is out of reach once the segment is destroyed or the executor closed", async () => {
    const released: number[] = [];
    const real = fileMappings(LAVAPIPE_MAPPINGS);
    const mappings = {
      look: () => real.look(),
      appeared: (bytes: number) => real.appeared(bytes),
      release: (buffer: ArrayBuffer) => {
        released.push(buffer.byteLength);
        real.release(buffer);
        expect(buffer.byteLength).toBe(0);
      },
    };
    const own = await createDawnExecutor({
      nowNs,
      timer: new CoarseTimer(),
      hostMemory: (queue) => new HostMemory(queue, { mappings, random, copyByTwo }),
    });
    const first = own.createSegment(SEGMENT_BYTES, "first");
    const second = own.createSegment(2 * SEGMENT_BYTES, "second");
    await readBack(own, first, 0, 4);
    await readBack(own, second, 0, 4);
    first.destroy();
    expect(released).toEqual([SEGMENT_BYTES]);
    const batch = own.begin("read");
    let asked = 0;
    batch.read(second, 0, 4, () => {
      asked++;
      return null;
    });
    const done = submitted(batch);
    await own.close();
    expect(released).toEqual([SEGMENT_BYTES, 2 * SEGMENT_BYTES]);
    await done;
    expect(asked).toBe(0);
  });
});
