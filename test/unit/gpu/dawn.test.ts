// SPDX-License-Identifier: Apache-2.0
/** The Dawn executor against a plain model of memory, on whatever Vulkan driver there is. */
import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDawnExecutor, type DawnExecutor } from "../../../src/gpu/dawn/index.js";
import type { Batch, BatchOutcome, Segment } from "../../../src/gpu/executor.js";
import { setBatch } from "../../../src/io/native.js";
import { CoarseTimer, nowNs, readBack, submitted, testExecutor } from "../../support/dawn.js";
import { apply, operationIn, pseudoRandom } from "../../support/memory-model.js";

const SEGMENT_BYTES = 64 * 1024;
let executor: DawnExecutor;
let segments: Segment[];

beforeAll(async () => {
  executor = await testExecutor();
  segments = [
    executor.createSegment(SEGMENT_BYTES, "a"),
    executor.createSegment(SEGMENT_BYTES, "b"),
  ];
});

afterAll(async () => {
  for (const segment of segments) {
    segment.destroy();
  }
});

describe("dawn executor", () => {
  it("does copies, fills, writes and reads of any alignment as a plain memory does", async () => {
    const model = [new Uint8Array(SEGMENT_BYTES), new Uint8Array(SEGMENT_BYTES)];
    await fc.assert(
      fc.asyncProperty(
        fc.array(operationIn(SEGMENT_BYTES), { minLength: 1, maxLength: 12 }),
        async (operations) => {
          const batch = executor.begin("property");
          const checks = operations.map((op) => apply(batch, segments, model, op));
          const outcome = await submitted(batch);
          expect(outcome).toMatchObject({ ok: true });
          for (const check of checks) {
            check?.();
          }
          for (const [index, segment] of segments.entries()) {
            const data = await readBack(executor, segment, 0, SEGMENT_BYTES);
            expect(Buffer.from(data).equals(model[index] as Uint8Array)).toBe(true);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("copies large unaligned ranges within one segment as memmove, through several parts", async () => {
    const bytes = 40 * 1024 * 1024;
    const big = executor.createSegment(bytes + 1024, "big");
    const data = pseudoRandom(bytes, 7);
    for (const [source, target] of [
      [1, 515],
      [515, 2],
      [4, 1020],
    ] as const) {
      const batch = executor.begin("big");
      batch.write(big, source, [data]);
      batch.copy(big, target, big, source, bytes);
      expect(await submitted(batch)).toMatchObject({ ok: true });
      const result = await readBack(executor, big, target, bytes);
      expect(Buffer.from(result).equals(data)).toBe(true);
    }
    big.destroy();
  });

  it("writes from many short parts and long ones between them", async () => {
    const lengths = Array.from({ length: 1500 }, (_, i) =>
      i % 100 === 7 ? 200_000 : 4096 - 4 * (i % 3),
    );
    const bytes = lengths.reduce((a, b) => a + b, 0);
    const big = executor.createSegment(bytes, "scattered");
    const data = pseudoRandom(bytes, 13);
    for (const round of [1, 2]) {
      // The second time the GPU has written the segment.
      let at = 0;
      const sources = lengths.map((length) => {
        at += length;
        return data.subarray(at - length, at);
      });
      const batch = executor.begin("scattered");
      batch.write(big, 0, sources);
      expect(await submitted(batch)).toMatchObject({ ok: true });
      const result = await readBack(executor, big, 0, bytes);
      expect(Buffer.from(result).equals(data), `round ${round}`).toBe(true);
      const erase = executor.begin("erase");
      erase.fill(big, 0, bytes, 0, 4);
      expect(await submitted(erase)).toMatchObject({ ok: true });
    }
    big.destroy();
  });

  it("reads much at the end of a batch, of any alignment, and what follows other reads", async () => {
    const bytes = 7 * 1024 * 1024;
    const big = executor.createSegment(bytes + 1024, "big");
    const data = pseudoRandom(bytes, 11);
    const batch = executor.begin("many reads");
    batch.write(big, 0, [data]);
    const targets: { readonly offset: number; readonly into: Uint8Array[] }[] = [];
    const read = (offset: number, ...lengths: number[]): void => {
      const into = lengths.map((length) => new Uint8Array(length));
      const sum = lengths.reduce((a, b) => a + b, 0);
      batch.read(big, offset, sum, () => into);
      targets.push({ offset, into });
    };
    read(3, 1000);
    read(0, 5, 4 * 1024 * 1024, 2);
    // What was read before is as it was before.
    batch.copy(big, 100, big, 1100, 64);
    read(1, 3 * 1024 * 1024, 1024 * 1024 + 1);
    for (let i = 0; i < 9; i++) read(1 + i * 1001, 512 * 1024 + i);
    const outcome = submitted(batch);
    // Only a software GPU gets its reads one by one.
    expect(executor.exclusive).toBe(/llvmpipe|SwiftShader/.test(executor.info.adapter));
    expect(await outcome).toMatchObject({ ok: true });
    expect(executor.exclusive).toBe(false);
    const after = data.slice();
    after.copyWithin(100, 1100, 1164);
    for (const [index, { offset, into }] of targets.entries()) {
      const got = Buffer.concat(into);
      const model = index < 2 ? data : after;
      expect(got.equals(model.subarray(offset, offset + got.length)), `read ${index}`).toBe(true);
    }
    big.destroy();
  });

  it("keeps a segment as long as reads of it are still to be submitted", async () => {
    const bytes = 6 * 1024 * 1024;
    const segment = executor.createSegment(bytes, "short-lived");
    const batch = executor.begin("last reads");
    batch.fill(segment, 0, bytes, 0x5a, 1);
    const into = new Uint8Array(bytes);
    batch.read(segment, 0, bytes, () => [into]);
    const outcome = submitted(batch);
    segment.destroy();
    expect(await outcome).toMatchObject({ ok: true });
    expect(into.every((byte) => byte === 0x5a)).toBe(true);
  });

  it("runs a kernel with uniforms by value and from device memory, in order with writes", async () => {
    const segment = executor.createSegment(4096, "kernel");
    const pipeline = await executor.createPipeline({
      label: "scale",
      wgsl: `
        @group(0) @binding(0) var<storage, read_write> data: array<f32>;
        @group(0) @binding(1) var<uniform> factor: vec4f;
        @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
          if (id.x < arrayLength(&data)) { data[id.x] = data[id.x] * factor.x + factor.y; }
        }`,
      entryPoint: "main",
      bindings: [
        { binding: 0, kind: "storage", bytes: 0 },
        { binding: 1, kind: "uniform", bytes: 16 },
      ],
      constants: {},
    });
    const values = Float32Array.from({ length: 64 }, (_, i) => i);
    const bytesOf = (v: Float32Array): Uint8Array => new Uint8Array(v.buffer);
    const range = { segment, offset: 0, bytes: 256 };
    const batch = executor.begin("kernel");
    batch.write(segment, 0, [bytesOf(values)]);
    batch.write(segment, 512, [bytesOf(Float32Array.of(3, 1, 0, 0))]);
    batch.launch({
      pipeline,
      storage: [range],
      uniforms: [bytesOf(Float32Array.of(2, 10, 0, 0))],
      grid: [1, 1, 1],
    });
    batch.launch({
      pipeline,
      storage: [range],
      uniforms: [{ segment, offset: 512, bytes: 16 }],
      grid: [1, 1, 1],
    });
    batch.write(segment, 0, [bytesOf(Float32Array.of(-1))]);
    expect(await submitted(batch)).toMatchObject({ ok: true });
    const result = new Float32Array((await readBack(executor, segment, 0, 256)).buffer);
    expect(result[0]).toBe(-1);
    for (let i = 1; i < 64; i++) {
      expect(result[i]).toBe((i * 2 + 10) * 3 + 1);
    }
    segment.destroy();
  });

  it("keeps 20,000 launches in one batch apart, beyond the arena's size", async () => {
    const segment = executor.createSegment(65536 * 4, "many");
    const pipeline = await executor.createPipeline({
      label: "put",
      wgsl: `
        @group(0) @binding(0) var<storage, read_write> data: array<u32>;
        @group(0) @binding(1) var<uniform> where_to: vec2u;
        @compute @workgroup_size(1) fn main() { data[where_to.x] = where_to.y; }`,
      entryPoint: "main",
      bindings: [
        { binding: 0, kind: "storage", bytes: 0 },
        { binding: 1, kind: "uniform", bytes: 8 },
      ],
      constants: {},
    });
    const batch = executor.begin("many");
    for (let i = 0; i < 20_000; i++) {
      const value = new Uint8Array(Uint32Array.of(i, i * 3 + 1).buffer);
      const storage = [{ segment, offset: 0, bytes: 65536 * 4 }];
      batch.launch({ pipeline, storage, uniforms: [value], grid: [1, 1, 1] });
    }
    expect(await submitted(batch)).toMatchObject({ ok: true });
    const words = new Uint32Array((await readBack(executor, segment, 0, 80_000)).buffer);
    expect(words.every((word, i) => word === i * 3 + 1)).toBe(true);
    segment.destroy();
  });

  it("does nothing of a batch that is discarded, even if it was full", async () => {
    const segment = executor.createSegment(65536 * 4, "discarded");
    const pipeline = await executor.createPipeline({
      label: "put",
      wgsl: `
        @group(0) @binding(0) var<storage, read_write> data: array<u32>;
        @group(0) @binding(1) var<uniform> where_to: vec2u;
        @compute @workgroup_size(1) fn main() { data[where_to.x] = where_to.y; }`,
      entryPoint: "main",
      bindings: [
        { binding: 0, kind: "storage", bytes: 0 },
        { binding: 1, kind: "uniform", bytes: 8 },
      ],
      constants: {},
    });
    const storage = [{ segment, offset: 0, bytes: 65536 * 4 }];
    const put = (batch: Batch, at: number, value: number): void => {
      const words = new Uint8Array(Uint32Array.of(at, value).buffer);
      batch.launch({ pipeline, storage, uniforms: [words], grid: [1, 1, 1] });
    };
    const dropped = executor.begin("dropped");
    dropped.fill(segment, 0, 65536, 1, 4);
    let launches = 0;
    while (dropped.full !== true) put(dropped, launches++, 7);
    expect(launches).toBeGreaterThan(1000);
    dropped.discard();
    const next = executor.begin("next");
    put(next, 1, 5);
    expect(await submitted(next)).toMatchObject({ ok: true });
    const words = new Uint32Array((await readBack(executor, segment, 0, 16)).buffer);
    expect([...words]).toEqual([0, 5, 0, 0]);
    segment.destroy();
  });

  it("goes on with an encoder that was made ahead, whatever its batch begins with", async () => {
    const [from, to] = [0, 1].map((i) => executor.createSegment(4096, `ahead ${i}`));
    if (from === undefined || to === undefined) throw new Error("no segments");
    let value = 0;
    const begins: Readonly<Record<string, (batch: Batch) => void>> = {
      copy: (batch) => batch.copy(to, 0, from, 0, 4096),
      mark: (batch) => void batch.mark?.(),
      read: (batch) => batch.read(from, 0, 16, () => [new Uint8Array(16)]),
      write: (batch) => batch.write(to, 64, [new Uint8Array(4096 - 64)]),
      pass: (batch) => batch.fill(to, 128, 64, 0x55, 1),
    };
    for (const [name, begin] of Object.entries(begins)) {
      for (const how of ["submit", "discard"]) {
        // A pattern, which a kernel fills in: the next encoder is made with a pass.
        value += 0x01010101;
        const first = executor.begin("first");
        first.fill(from, 0, 4096, value, 4);
        expect(await submitted(first)).toMatchObject({ ok: true });
        const batch = executor.begin(name, true);
        begin(batch);
        if (how === "discard") batch.discard();
        else expect(await submitted(batch), name).toMatchObject({ ok: true });
        const last = executor.begin("last");
        last.copy(to, 0, from, 0, 4096);
        last.fill(to, 4, 4, ~value >>> 0, 4);
        expect(await submitted(last), `${name}, ${how}`).toMatchObject({ ok: true });
        const words = new Uint32Array((await readBack(executor, to, 0, 4096)).buffer);
        const expected = new Uint32Array(1024).fill(value).fill(~value >>> 0, 1, 2);
        expect(words, `${name}, ${how}`).toEqual(expected);
      }
    }
    from.destroy();
    to.destroy();
  });

  it("reports a compile error with the compiler's position and words", async () => {
    const bad = await executor.checkModule("fn f() -> u32 {\n  return nothing;\n}", "bad");
    expect(bad.ok).toBe(false);
    expect(bad.log).toMatch(/2:10: error: .*nothing/);
    const good = await executor.checkModule("fn f() -> u32 { return 1u; }", "good");
    expect(good).toEqual({ ok: true, log: "" });
  });

  it("rejects a pipeline that does not compile, and goes on working", async () => {
    const descriptor = { label: "x", entryPoint: "main", bindings: [], constants: {} };
    await expect(
      executor.createPipeline({ ...descriptor, wgsl: "not a shader" }),
    ).rejects.toMatchObject({ name: "ExecutorError", reason: "failed" });
    const pipeline = await executor.createPipeline({
      ...descriptor,
      wgsl: "@compute @workgroup_size(1) fn main() {}",
    });
    const batch = executor.begin("after");
    batch.launch({ pipeline, storage: [], uniforms: [], grid: [1, 1, 1] });
    expect(await submitted(batch)).toMatchObject({ ok: true });
  });

  it("reports batches in order and counts those in flight", async () => {
    const order: number[] = [];
    const outcomes: Promise<void>[] = [];
    for (let i = 0; i < 5; i++) {
      const batch = executor.begin(`${i}`);
      batch.fill(segments[0] as Segment, 0, 1024, i, 4);
      outcomes.push(
        submitted(batch).then(() => {
          order.push(i);
        }),
      );
    }
    expect(executor.inFlight).toBe(5);
    await Promise.all(outcomes);
    expect(order).toEqual([0, 1, 2, 3, 4]);
    expect(executor.inFlight).toBe(0);
  });

  it("frees a segment that an open batch names only after that batch", async () => {
    const segment = executor.createSegment(4096, "short-lived");
    const batch = executor.begin("last use");
    batch.fill(segment, 0, 4096, 5, 1);
    segment.destroy();
    expect(await submitted(batch)).toMatchObject({ ok: true });
  });
});

const LOOP = `@group(0) @binding(0) var<storage, read_write> d: array<atomic<u32>>;
  @group(0) @binding(1) var<uniform> n: u32;
  @compute @workgroup_size(1) fn loop_() {
    for (var i = 0u; i < n; i++) { atomicAdd(&d[0], i); }
  }`;

describe("GPU time", () => {
  it("is the GPU's own for long batches that follow one, and grows with their work", async () => {
    if (!executor.info.timestamps) throw new Error("this driver has no timestamps: CI's have");
    const [segment] = segments;
    if (segment === undefined) throw new Error("no segment");
    const pipeline = await executor.createPipeline({
      label: "loop",
      wgsl: LOOP,
      entryPoint: "loop_",
      bindings: [
        { binding: 0, kind: "storage", bytes: 0 },
        { binding: 1, kind: "uniform", bytes: 4 },
      ],
      constants: {},
    });
    const run = async (count: number, launches = 1, copies = false) => {
      const batch = executor.begin("loop");
      const uniforms = [new Uint8Array(new Uint32Array([count]).buffer)];
      const storage = [{ segment, offset: 0, bytes: 4096 }];
      for (let i = 0; i < launches; i++)
        batch.launch({ pipeline, storage, uniforms, grid: [1, 1, 1] });
      if (copies) batch.read(segment, 0, 4, () => null);
      const outcome = await submitted(batch);
      if (!outcome.ok) throw new Error(outcome.message);
      return outcome;
    };
    let count = 1000;
    // Twice: whatever else the machine does can make one run seem long.
    const shortest = async (): Promise<number> =>
      Math.min((await run(count)).gpuTimeNs, (await run(count)).gpuTimeNs);
    while ((await shortest()) < 20e6) count *= 2;
    const once = await run(count);
    const often = await run(count, 8);
    expect([once.timed, often.timed]).toEqual([true, true]);
    expect(once.gpuTimeNs).toBeGreaterThan(0);
    expect(often.gpuTimeNs).toBeGreaterThan(2 * once.gpuTimeNs);
    // One with copies before or after its kernels is timed by the host, which sees all of it.
    expect((await run(count, 1, true)).timed).toBe(false);
    // Short ones are not timed, once one was short by the host's clock: a busy machine takes longer.
    const short: (boolean | undefined)[] = [];
    for (let i = 0; i < 50; i++) short.push((await run(1)).timed);
    expect(short).toContain(false);
  });
});

describe("marks", () => {
  const count = (n: number) => [new Uint8Array(new Uint32Array([n]).buffer)];

  const loop = () =>
    executor.createPipeline({
      label: "loop",
      wgsl: LOOP,
      entryPoint: "loop_",
      bindings: [
        { binding: 0, kind: "storage", bytes: 0 },
        { binding: 1, kind: "uniform", bytes: 4 },
      ],
      constants: {},
    });

  async function outcomeOf(batch: Batch) {
    const outcome = await submitted(batch);
    if (!outcome.ok) throw new Error(outcome.message);
    return outcome;
  }

  it("tell a batch's parts apart by the GPU's clock, and add up", async () => {
    const [segment] = segments;
    if (segment === undefined) throw new Error("no segment");
    const pipeline = await loop();
    const storage = [{ segment, offset: 0, bytes: 4096 }];
    const run = (batch: Batch, n: number) =>
      batch.launch({ pipeline, storage, uniforms: count(n), grid: [1, 1, 1] });
    let last = 0;
    for (let turn = 0; ; turn++) {
      // Threads of a software GPU may have to wait for a core, in the light part too.
      expect(turn).toBeLessThan(20);
      const begun = nowNs();
      const batch = executor.begin("marked");
      const marks = [batch.mark?.()];
      run(batch, 2_000_000);
      marks.push(batch.mark?.(), batch.mark?.());
      run(batch, 10);
      batch.fill(segment, 0, 64, 7, 1);
      marks.push(batch.mark?.());
      expect(marks).toEqual([0, 1, 1, 2]);
      const { marksNs = [], doneNs } = await outcomeOf(batch);
      const [start = 0, middle = 0, end = 0] = marksNs;
      expect(marksNs.length).toBe(3);
      expect(start).toBeGreaterThanOrEqual(Math.max(begun, last));
      expect(middle).toBeGreaterThan(start);
      expect(end).toBeGreaterThanOrEqual(middle);
      expect(doneNs).toBeGreaterThanOrEqual(end);
      last = end;
      if (middle - start > 2 * (end - middle)) break;
    }
  });

  it("are all there is in a batch, come between writes, and leave data alone", async () => {
    const [segment] = segments;
    if (segment === undefined) throw new Error("no segment");
    const alone = executor.begin("alone");
    expect(alone.mark?.()).toBe(0);
    expect((await outcomeOf(alone)).marksNs?.length).toBe(1);
    const batch = executor.begin("between");
    const parts = [1, 30_000, 5, 20_000].map((bytes, index) => pseudoRandom(bytes, index + 1));
    let offset = 0;
    for (const part of parts) {
      batch.write(segment, offset, [part]);
      expect(batch.mark?.()).not.toBeNull();
      offset += part.length;
    }
    const { marksNs = [] } = await outcomeOf(batch);
    expect(marksNs).toEqual([...marksNs].sort((a, b) => a - b));
    expect(marksNs.length).toBe(4);
    expect(await readBack(executor, segment, 0, offset)).toEqual(
      Uint8Array.from(parts.flatMap((part) => [...part])),
    );
  });

  it("end where data goes to the host, where there are too many, and without timestamps", async () => {
    const [segment] = segments;
    if (segment === undefined) throw new Error("no segment");
    const into = new Uint8Array(2 * 1024 * 1024);
    const large = executor.createSegment(into.length, "large");
    const batch = executor.begin("reads");
    expect(batch.mark?.()).toBe(0);
    batch.read(large, 0, into.length, () => [into]);
    expect(batch.mark?.()).toBeNull();
    batch.fill(segment, 0, 64, 7, 1);
    expect(batch.mark?.()).toBeNull();
    expect((await outcomeOf(batch)).marksNs?.length).toBe(1);
    large.destroy();
    const many = executor.begin("many");
    let marks = 0;
    while (many.marksFull !== true) {
      many.fill(segment, 0, 64, 7, 1);
      expect(many.mark?.()).toBe(marks++);
    }
    many.fill(segment, 0, 64, 7, 1);
    expect(many.mark?.()).toBeNull();
    expect((await outcomeOf(many)).marksNs?.length).toBe(marks);
    const untimed = executor.begin("untimed", false);
    expect(untimed.mark?.()).toBeNull();
    untimed.discard();
    const discarded = executor.begin("discarded");
    for (let i = 0; i < 3; i++) discarded.mark?.();
    discarded.discard();
    // More than there are slots: each is given back.
    for (let turn = 0; turn < 20; turn++) {
      const next = executor.begin("again");
      expect(next.mark?.()).toBe(0);
      expect((await outcomeOf(next)).marksNs?.length).toBe(1);
    }
  });
});

describe("the threads of a software GPU", () => {
  const batchThreads = (): number =>
    readdirSync("/proc/self/task").filter((thread) => {
      const [name, fields] = readFileSync(`/proc/self/task/${thread}/stat`, "utf8").split(") ");
      // The policy is field 41, the 39th behind the name in parentheses; 3 is SCHED_BATCH. That of
      // Mesa's cache on disk has it always.
      return !name?.includes("disk$") && fields?.split(" ")[38] === "3";
    }).length;

  it("are batch work while the GPU is shared, also those that outlive a device", async () => {
    if (!/llvmpipe|swiftshader/i.test(executor.info.adapter))
      throw new Error("this driver is no software GPU: CI's is");
    const open = () => createDawnExecutor({ nowNs, timer: new CoarseTimer(), setBatch });
    expect(batchThreads()).toBe(0);
    const first = await open();
    expect(batchThreads()).toBe(0);
    first.share(true);
    const count = batchThreads();
    expect(count).toBeGreaterThan(0);
    expect(first.ticker.frugal).toBe(true);
    first.share(false);
    expect(batchThreads()).toBe(0);
    expect(first.ticker.frugal).toBe(false);
    await first.close();
    const second = await open();
    second.share(true);
    expect(batchThreads()).toBeGreaterThanOrEqual(count);
    second.share(false);
    expect(batchThreads()).toBe(0);
    await second.close();
  });
});

describe("the core of the thread that waits for a software GPU", () => {
  it("is left by its threads where short launches lose it, and theirs again at the end", async () => {
    const moves = new Map<number, (readonly number[])[]>();
    let switches = 0;
    const cores = {
      // As if this thread lost its core several times between two looks.
      involuntarySwitches: () => {
        switches += 100;
        return switches;
      },
      currentCpu: () => 0,
      getAffinity: () => [0, 1],
      setAffinity: (thread: number, cpus: readonly number[]) => {
        moves.set(thread, [...(moves.get(thread) ?? []), cpus]);
      },
    };
    // Launches of the test may take longer than a client's that does nothing else.
    let timeNs = 1e9;
    const clock = (): number => {
      timeNs += 1000;
      return timeNs;
    };
    const own = await createDawnExecutor({ nowNs: clock, timer: new CoarseTimer(), cores });
    const segment = own.createSegment(4096, "short");
    const pipeline = await own.createPipeline({
      label: "short",
      wgsl: `@group(0) @binding(0) var<storage, read_write> d: array<u32>;
        @compute @workgroup_size(1) fn short() { d[0] += 1u; }`,
      entryPoint: "short",
      bindings: [{ binding: 0, kind: "storage", bytes: 0 }],
      constants: {},
    });
    const run = (launches: number): Promise<BatchOutcome> =>
      new Promise((done) => {
        const batch = own.begin("short");
        const storage = [{ segment, offset: 0, bytes: 4096 }];
        for (let i = 0; i < launches; i++)
          batch.launch({ pipeline, uniforms: [], storage, grid: [1, 1, 1] });
        batch.submit(done);
      });
    for (let i = 0; i < 63; i++) expect((await run(1)).ok).toBe(true);
    expect(moves.size).toBe(0);
    const last = run(1);
    expect(moves.size).toBeGreaterThan(0);
    for (const each of moves.values()) expect(each).toEqual([[1]]);
    expect((await last).ok).toBe(true);
    await own.close();
    for (const each of moves.values()) expect(each.at(-1)).toEqual([0, 1]);
  });
});

describe("closing while the GPU is at work", () => {
  it("destroys the device when the work is done, and delivers nothing", async () => {
    const own = await createDawnExecutor({ nowNs, timer: new CoarseTimer() });
    const events: string[] = [];
    own.device.lost.then(() => events.push("destroyed"));
    const segment = own.createSegment(4096, "long");
    const pipeline = await own.createPipeline({
      label: "long",
      wgsl: `@group(0) @binding(0) var<storage, read_write> d: array<atomic<u32>>;
        @compute @workgroup_size(1) fn long() {
          for (var i = 0u; i < 3000000u; i++) { atomicAdd(&d[0], i); }
        }`,
      entryPoint: "long",
      bindings: [{ binding: 0, kind: "storage", bytes: 0 }],
      constants: {},
    });
    const batch = own.begin("long");
    const storage = [{ segment, offset: 0, bytes: 4096 }];
    batch.launch({ pipeline, storage, uniforms: [], grid: [2, 1, 1] });
    batch.read(segment, 0, 4, () => {
      events.push("read");
      return null;
    });
    const done = submitted(batch).then(() => events.push("done"));
    await own.close();
    await done;
    await own.device.lost;
    expect(events).toEqual(["done", "destroyed"]);
  });
});
