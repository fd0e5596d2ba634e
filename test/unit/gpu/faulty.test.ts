// SPDX-License-Identifier: Apache-2.0
/** The null and the faulty executor. */
import { describe, expect, it } from "vitest";
import type { BatchOutcome, Executor } from "../../../src/gpu/executor.js";
import {
  FaultPlan,
  type Faults,
  FaultyExecutor,
  faultyOpener,
  parseFaults,
} from "../../../src/gpu/faulty/index.js";
import { NullExecutor } from "../../../src/gpu/null/index.js";
import { MemoryExecutor } from "../../support/memory-executor.js";

const PIPELINE = { label: "p", wgsl: "", entryPoint: "increment", bindings: [], constants: {} };

function submit(executor: Executor, outcomes: BatchOutcome[]): void {
  executor.begin("b").submit((outcome) => outcomes.push(outcome));
}

describe("null executor", () => {
  it("finishes batches in order in the next turn, and delivers zeros", async () => {
    const executor = new NullExecutor({ nowNs: () => 5 });
    const segment = executor.createSegment(256);
    const order: string[] = [];
    const into = new Uint8Array(8).fill(9);
    const first = executor.begin();
    first.write(segment, 0, [into]);
    first.read(segment, 0, 8, () => {
      order.push("read");
      return [into.subarray(0, 3), into.subarray(3)];
    });
    const dropped = executor.begin();
    dropped.read(segment, 0, 8, () => null);
    expect(first.operations).toBe(2);
    first.submit((outcome) => order.push(`first ${outcome.ok}`));
    dropped.submit((outcome) => order.push(`second ${outcome.ok}`));
    expect(() => first.submit(() => {})).toThrow("twice");
    expect(order).toEqual([]);
    expect(executor.inFlight).toBe(2);
    await new Promise((resolve) => setTimeout(resolve, 0));
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(order).toEqual(["read", "first true", "second true"]);
    expect(executor.inFlight).toBe(0);
    expect([...into]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe("faults", () => {
  it("reads lists, and says what is wrong with them", () => {
    expect(parseFaults("")).toEqual({});
    expect(parseFaults("lost-at-batch=3, fail-reopens=2,")).toEqual({
      lostAtBatch: 3,
      failReopens: 2,
    });
    expect(() => parseFaults("lose=1")).toThrow(/"lose" is unknown; there are: lost-at-batch, /);
    expect(() => parseFaults("hang-at-batch=0")).toThrow(/count "0"/);
    expect(() => parseFaults("hang-at-batch")).toThrow(/needs a number/);
  });

  const make = (faults: Faults): { inner: MemoryExecutor; executor: FaultyExecutor } => {
    const inner = new MemoryExecutor();
    return { inner, executor: new FaultyExecutor(inner, new FaultPlan(faults)) };
  };

  it("loses the device: everything in flight ends, then the loss is told, once", async () => {
    const { inner, executor } = make({ lostAtBatch: 2 });
    const outcomes: BatchOutcome[] = [];
    const lost: string[] = [];
    executor.onLost = (message) => {
      expect(outcomes.length).toBe(2);
      lost.push(message);
    };
    submit(executor, outcomes);
    submit(executor, outcomes);
    expect(outcomes).toEqual([]);
    await Promise.resolve();
    expect(outcomes.map((each) => (each.ok ? "ok" : each.reason))).toEqual(["lost", "lost"]);
    expect(lost).toEqual(["batch 2 loses the device on purpose"]);
    inner.finishAll();
    expect(outcomes.length).toBe(2);
    expect(executor.inFlight).toBe(0);
    expect(() => executor.createSegment(256, "s")).toThrow(/on purpose/);
    expect(() => executor.begin("b")).toThrow(/on purpose/);
    await expect(executor.createPipeline(PIPELINE)).rejects.toMatchObject({ reason: "lost" });
  });

  it("passes a real loss on", () => {
    const { inner, executor } = make({});
    const lost: string[] = [];
    executor.onLost = (message) => lost.push(message);
    const outcomes: BatchOutcome[] = [];
    submit(executor, outcomes);
    inner.lose("really");
    expect(lost).toEqual(["really"]);
    expect(outcomes).toMatchObject([{ ok: false, reason: "lost" }]);
  });

  it("refuses one segment, fails one batch, one pipeline and one module", async () => {
    const { inner, executor } = make({
      outOfMemoryAtSegment: 2,
      failAtBatch: 1,
      failAtPipeline: 1,
      failAtModule: 2,
    });
    executor.createSegment(256, "a");
    expect(() => executor.createSegment(256, "b")).toThrow(/segment 2 \(b\)/);
    executor.createSegment(256, "c");
    const outcomes: BatchOutcome[] = [];
    submit(executor, outcomes);
    submit(executor, outcomes);
    inner.finishAll();
    expect(outcomes.map((each) => each.ok)).toEqual([false, true]);
    await expect(executor.createPipeline(PIPELINE)).rejects.toMatchObject({ reason: "failed" });
    expect((await executor.createPipeline(PIPELINE)).label).toBe("p");
    expect((await executor.checkModule("", "m")).ok).toBe(true);
    expect(await executor.checkModule("", "m")).toMatchObject({ ok: false });
  });

  it("hangs from one batch on", () => {
    const { inner, executor } = make({ hangAtBatch: 2 });
    const outcomes: BatchOutcome[] = [];
    submit(executor, outcomes);
    inner.finishAll();
    submit(executor, outcomes);
    submit(executor, outcomes);
    inner.finishAll();
    expect(outcomes.length).toBe(1);
    expect(executor.inFlight).toBe(2);
  });

  it("crashes at a pipeline", async () => {
    let crashes = 0;
    const inner = new MemoryExecutor();
    const plan = new FaultPlan({ crashAtPipeline: 2 });
    const executor = new FaultyExecutor(inner, plan, () => {
      crashes++;
    });
    await executor.createPipeline(PIPELINE);
    expect(crashes).toBe(0);
    await executor.createPipeline(PIPELINE);
    expect(crashes).toBe(1);
  });

  it("shares its plan with the executors that are opened after it", async () => {
    const inner: MemoryExecutor[] = [];
    const open = faultyOpener(
      async () => {
        const executor = new MemoryExecutor();
        inner.push(executor);
        return executor;
      },
      { lostAtBatch: 1, failReopens: 1 },
    );
    const first = await open();
    submit(first, []);
    await Promise.resolve();
    expect(() => first.begin("b")).toThrow(/on purpose/);
    await expect(open()).rejects.toMatchObject({ reason: "no-adapter" });
    const second = await open();
    const outcomes: BatchOutcome[] = [];
    submit(second, outcomes);
    await Promise.resolve();
    inner[1]?.finishAll();
    expect(outcomes).toMatchObject([{ ok: true }]);
  });
});

describe("faults of one instance", () => {
  it("are for the instance of that name, the others for all", () => {
    const text = "a/crash-at-pipeline=1, fail-at-batch=2";
    expect(parseFaults(text, "a")).toEqual({ crashAtPipeline: 1, failAtBatch: 2 });
    expect(parseFaults(text, "b")).toEqual({ failAtBatch: 2 });
    expect(() => parseFaults("a/explode=1", "b")).toThrow('the fault "explode" is unknown');
  });
});
