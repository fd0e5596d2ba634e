// SPDX-License-Identifier: Apache-2.0
/** Long launches: when and how they are cut, where they are cut no further, how they go on. */
import { describe, expect, it } from "vitest";
import type { Lease } from "../../../src/instance/lease.js";
import type { DeviceStatus } from "../../../src/instance/status.js";
import type { CommandWriter } from "../../../src/protocol/encode.js";
import type { DevicePointer } from "../../../src/protocol/pointer.js";
import { MemoryExecutor } from "../../support/memory-executor.js";
import { DATA_AT, Harness, type HarnessOptions, ok } from "./harness.js";

const SOURCE = `
@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@group(0) @binding(1) var<uniform> value: u32;
@group(0) @binding(2) var<storage, read_write> flag: array<atomic<u32>>;

@compute @workgroup_size(1)
fn visit(@builtin(workgroup_id) id: vec3u, @builtin(num_workgroups) n: vec3u) {
  data[id.x + n.x * (id.y + n.y * id.z)] += 1u;
}

@compute @workgroup_size(1)
fn increment(@builtin(workgroup_id) id: vec3u) { while (atomicLoad(&flag[0]) < id.x) {} }

@compute @workgroup_size(1)
fn setValue(@builtin(workgroup_id) id: vec3u) { data[id.x] = value; }
`;
const [VISIT, WAITS, SET_VALUE] = [0, 1, 2];
const MS = 1e6;
/** What a batch costs besides its launches, as cost.ts takes it. */
const OVERHEAD_NS = 50_000;

interface Rig {
  readonly harness: Harness;
  readonly gpu: MemoryExecutor;
  readonly pointer: DevicePointer;
}

/** A context with the kernels, and memory for a word for each of `groups` workgroups. */
async function rig(groups: number, options: HarnessOptions = {}): Promise<Rig> {
  const gpu = new MemoryExecutor({ gpuTimeNs: OVERHEAD_NS, ...options.gpu });
  const harness = new Harness({ ...options, executor: gpu }).ready(2);
  const pointer = harness.alloc(0, groups * 4);
  ok(harness.submit(0, 0, (w) => loadAll(w)));
  await harness.settle();
  return { harness, gpu, pointer };
}

function loadAll(w: CommandWriter): void {
  w.moduleLoad(0, SOURCE).functionCreate(VISIT, 0, "visit");
  w.functionCreate(WAITS, 0, "increment").functionCreate(SET_VALUE, 0, "setValue");
}

type Grid = [number, number, number];

function visit(rig: Rig, grid: Grid, context = 0, stream = 1): void {
  const { harness, pointer } = rig;
  const launch = { function: VISIT, grid, arguments: [pointer] };
  ok(harness.submit(context, stream, (w) => w.launch(launch)));
}

/** Lets compilers and the GPU do what they have. */
async function run({ harness, gpu }: Rig): Promise<void> {
  for (let turn = 0; turn < 8; turn++) {
    await harness.settle();
    gpu.finishAll();
  }
}

/** Words of the first segment from the pointer on. */
function words({ gpu, pointer }: Rig, count: number): Uint32Array {
  const data = gpu.segments[0]?.data ?? new Uint8Array(0);
  return new Uint32Array(data.buffer, pointer.offset, count);
}

const cursor = (harness: Harness): DeviceStatus["contexts"][number]["cursor"] =>
  harness.device.status().contexts[0]?.cursor ?? [];

/** Workgroups of a batch's slices, from the executor's log. */
function groupsOf(lines: readonly string[] | undefined): number {
  let groups = 0;
  for (const line of lines ?? [])
    for (const [, size] of line.matchAll(/\+([0-9,]+)\]/g))
      groups += (size ?? "").split(",").reduce((product, each) => product * Number(each), 1);
  return groups;
}

const slices = (gpu: MemoryExecutor): number[] =>
  gpu.history.map(groupsOf).filter((groups) => groups > 0);

describe("a launch of unknown cost", () => {
  it("begins with a probe, waits for it, and grows", async () => {
    const scheduling = { batchNsMax: 10 * MS };
    const made = await rig(65536, { gpu: { groupNs: () => 1000 }, scheduling });
    const { harness, gpu } = made;
    const other = harness.alloc(0, 256);
    visit(made, [65536, 1, 1]);
    await harness.settle();
    // Nothing else is known before the probe is done: the stream waits for it.
    expect(slices(gpu)).toEqual([1024]);
    expect(gpu.pending.length).toBe(1);
    expect(cursor(harness)).toMatchObject([
      { stream: 1, fence: 1, command: 0, kernel: "visit", slices: 1, groups_submitted: 1024 },
    ]);
    // Another stream does not wait.
    ok(harness.submit(0, 2, (w) => w.fill(other, 4, 0, 4)));
    expect(gpu.pending.length).toBe(2);
    gpu.finish();
    expect(cursor(harness)).toMatchObject([{ groups_done: 1024, ns_per_group: 1000 }]);
    await run(made);
    const cut = slices(gpu);
    expect(cut.slice(0, 3)).toEqual([1024, 4096, 10_000]);
    expect(cut.reduce((sum, each) => sum + each, 0)).toBe(65536);
    // A batch of 10 ms holds 10,000 workgroups of 1 µs; the rest may be a little more.
    expect(Math.max(...cut)).toBeLessThanOrEqual(12_500);
    expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "OK" });
    expect(words(made, 65536).every((each) => each === 1)).toBe(true);
    expect(harness.statistics(0).launches).toBe(1n);
    expect(cursor(harness)).toEqual([]);
  });

  it("runs whole if it is small, and if it turns out to be cheap it stays whole", async () => {
    const made = await rig(4096, { gpu: { groupNs: () => 100 } });
    const { harness, gpu } = made;
    visit(made, [64, 1, 1]);
    await run(made);
    expect(slices(gpu)).toEqual([]);
    expect(gpu.pipelines.map((each) => each.immediateBytes ?? 0)).toEqual([0]);
    visit(made, [1024, 1, 1]);
    await run(made);
    expect(slices(gpu)).toEqual([]);
    expect(gpu.pipelines.length).toBe(1);
    // 4,096 is within 16 times of what was measured by now.
    visit(made, [4096, 1, 1]);
    await run(made);
    expect(slices(gpu)).toEqual([]);
    expect(gpu.history.at(-1)).toEqual(["launch visit 4096x1x1"]);
    expect(harness.slot(0, 1)).toMatchObject({ fence: 3, status: "OK" });
    expect([...words(made, 4096)].map(Number).reduce((sum, each) => sum + each, 0)).toBe(5184);
  });

  it("runs whole where slicing is switched off, but for a grid that is too large for the GPU", async () => {
    const scheduling = { batchNsMax: 10 * MS, slicing: false };
    const made = await rig(65536, { gpu: { groupNs: () => 1000 }, scheduling });
    visit(made, [65536, 1, 1]);
    await run(made);
    expect(slices(made.gpu).reduce((sum, each) => sum + each, 0)).toBe(65536);
    const small = await rig(32768, { gpu: { groupNs: () => 1 * MS }, scheduling });
    for (const _ of [1, 2]) visit(small, [32768, 1, 1]);
    await run(small);
    expect(slices(small.gpu)).toEqual([]);
    const whole = "launch visit 32768x1x1";
    expect(small.gpu.history.flat().filter((line) => line.includes("visit"))).toEqual([
      whole,
      whole,
    ]);
  });

  it("is cut into multiples of what the GPU runs at once, and never into less", async () => {
    for (const groupNs of [1 * MS, 20 * MS]) {
      const scheduling = { batchNsMax: 10 * MS };
      const gpu = { groupNs: () => groupNs, info: { groupsAtOnce: 8 } };
      const made = await rig(512, { gpu, scheduling });
      visit(made, [512, 1, 1]);
      await run(made);
      const cut = slices(made.gpu);
      expect(Math.min(...cut)).toBeGreaterThanOrEqual(8);
      expect(cut.slice(0, -1).filter((groups) => groups % 8 !== 0)).toEqual([]);
      expect(cut.reduce((sum, each) => sum + each, 0)).toBe(512);
    }
  });

  it("does not trust what few workgroups have told about very many", async () => {
    const groupNs = (group: number): number => (group < 64 ? 1 : 5000);
    const made = await rig(65536, { gpu: { groupNs }, scheduling: { batchNsMax: 10 * MS } });
    visit(made, [4, 1, 1]);
    await run(made);
    visit(made, [65536, 1, 1]);
    await run(made);
    const cut = slices(made.gpu);
    expect(cut[0]).toBe(4 * 16);
    // Once the dear part is met, slices are of 10 ms: 2,000 workgroups.
    expect(Math.max(...cut.slice(4))).toBeLessThanOrEqual(2500);
    expect(made.harness.slot(0, 1)).toMatchObject({ fence: 2, status: "OK" });
  });
});

describe("a launch of known cost", () => {
  it("is cut into batches of the time that a batch may take, skewed costs included", async () => {
    // The second half costs twenty times as much.
    const groupNs = (group: number): number => (group < 8192 ? 2000 : 40_000);
    const made = await rig(16384, { gpu: { groupNs }, scheduling: { batchNsMax: 4 * MS } });
    visit(made, [16384, 1, 1]);
    await run(made);
    const { gpu } = made;
    const before = gpu.history.length;
    visit(made, [16384, 1, 1]);
    await run(made);
    const cut = gpu.history.slice(before).map(groupsOf);
    expect(cut.reduce((sum, each) => sum + each, 0)).toBe(16384);
    // Some are under way or wait when the first dear one is measured; after them all keep the time.
    let group = 0;
    const times = cut.map((groups) => {
      let ns = 0;
      for (let i = 0; i < groups; i++) ns += groupNs(group++);
      return ns;
    });
    const dear = times.findIndex((ns) => ns > 5 * MS);
    expect(times.slice(dear + 4).length).toBeGreaterThan(50);
    expect(Math.max(...times.slice(dear + 4))).toBeLessThanOrEqual(5 * MS);
    // Before it, slices soon were about as long as they may be.
    expect(Math.max(...times.slice(0, dear))).toBeGreaterThan(2.5 * MS);
    expect(words(made, 16384).every((each) => each === 2)).toBe(true);
  });

  it("is cut finer where one workgroup of a few may have the work of many", async () => {
    // The mean is 0.98 ms: five of them are the batch's time, but not if two of the long are among them.
    const groupNs = (group: number): number => (group % 8 === 5 ? 6_100_000 : 244_000);
    const made = await rig(1024, { gpu: { groupNs }, scheduling: { batchNsMax: 5 * MS } });
    visit(made, [1024, 1, 1]);
    await run(made);
    const { gpu } = made;
    const before = gpu.history.length;
    visit(made, [1024, 1, 1]);
    await run(made);
    const cut = gpu.history.slice(before).map(groupsOf);
    expect(cut.reduce((sum, each) => sum + each, 0)).toBe(1024);
    expect(Math.max(...cut)).toBeLessThanOrEqual(8);
    expect(1024 / cut.length).toBeGreaterThan(1.5);
    expect(words(made, 1024).every((each) => each === 2)).toBe(true);
  });

  it("shares the GPU with other contexts slice by slice", async () => {
    const made = await rig(16384, { gpu: { groupNs: () => 20_000 } });
    const { harness, gpu } = made;
    visit(made, [16384, 1, 1]);
    await run(made);
    visit(made, [16384, 1, 1]);
    await harness.settle();
    const other = harness.alloc(1, 256);
    ok(harness.submit(1, 0, (w) => w.fill(other, 4, 1, 4)));
    // Two slices are in flight, and the turn after them was the first context's already.
    gpu.finish(4);
    expect(harness.slot(1, 0)).toMatchObject({ fence: 1, status: "OK" });
    expect(harness.slot(0, 1).fence).toBe(1);
  });

  it("keeps at most two long batches in flight", async () => {
    const made = await rig(16384, { gpu: { groupNs: () => 20_000 } });
    visit(made, [16384, 1, 1]);
    await run(made);
    visit(made, [16384, 1, 1]);
    await made.harness.settle();
    expect(made.gpu.pending.length).toBe(2);
    await run(made);
  });

  it("goes on with the function it began with, and stops when its memory is freed", async () => {
    const made = await rig(16384, { gpu: { groupNs: () => 20_000 } });
    const { harness, gpu } = made;
    visit(made, [16384, 1, 1]);
    await harness.settle();
    gpu.finish();
    ok(harness.submit(0, 2, (w) => w.functionDestroy(VISIT)));
    await run(made);
    expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "OK" });
    ok(harness.submit(0, 2, (w) => w.functionCreate(VISIT, 0, "visit")));
    visit(made, [16384, 1, 1]);
    await harness.settle();
    ok(harness.free(0, made.pointer));
    await run(made);
    expect(harness.error(0)).toMatchObject({ name: "POINTER_INVALID", stream: 1, fence: 2n });
    expect(cursor(harness)).toEqual([]);
  });

  it("is dropped with its context, and what is left of it touches nothing", async () => {
    const made = await rig(16384, { gpu: { groupNs: () => 20_000 } });
    const { harness, gpu } = made;
    visit(made, [16384, 1, 1]);
    await harness.settle();
    gpu.finish();
    expect(cursor(harness).length).toBe(1);
    const submitted = gpu.history.length;
    ok(harness.destroyContext(0));
    await run(made);
    expect(gpu.history.length).toBe(submitted);
    expect(harness.device.runner.busy).toBe(false);
    expect(harness.device.status().memory.reserved_bytes).toBe(0);
    // A probe that is under way when its context goes wakes nobody.
    ok(harness.createContext(0));
    const again = { ...made, pointer: harness.alloc(0, 65536) };
    ok(harness.submit(0, 0, (w) => loadAll(w), 1));
    await harness.settle();
    visit(again, [16384, 1, 1]);
    await harness.settle();
    ok(harness.destroyContext(0));
    await run(again);
    expect(harness.device.runner.busy).toBe(false);
  });
});

describe("the lease's deadline", () => {
  class TurnLease implements Lease {
    held = true;
    deadlineNs: number | null = null;
    onRevoke: (() => void) | null = null;
    released = 0;
    finished = 0;
    #granted: (() => void) | null = null;
    request(granted: () => void): void {
      if (this.held) granted();
      else this.#granted = granted;
    }
    release(): void {
      this.released++;
    }
    finish(): void {
      this.finished++;
      this.revoke();
    }
    revoke(): void {
      this.held = false;
      this.onRevoke?.();
    }
    grant(deadlineNs: number | null): void {
      this.held = true;
      this.deadlineNs = deadlineNs;
      this.#granted?.();
    }
  }

  /** Batches of so many ms, and a kernel with workgroups of 10 µs that was run with so many. */
  async function turnRig(batchMs: number, groups: number) {
    const lease = new TurnLease();
    const scheduling = { batchNsMax: batchMs * MS };
    const made = await rig(16384, { lease, scheduling, gpu: { groupNs: () => 10_000 } });
    visit(made, [groups, 1, 1]);
    await run(made);
    return { lease, made, ...made };
  }

  it("bounds a slice, and the launch goes on in the next turn", async () => {
    const { lease, made, harness, gpu } = await turnRig(5, 16384);
    const before = gpu.history.length;
    lease.deadlineNs = harness.timeNs + 3 * MS;
    visit(made, [16384, 1, 1]);
    await harness.settle();
    // 3 ms of workgroups of 10 µs: 300; then nothing more fits.
    const cut = gpu.history.slice(before).map(groupsOf);
    expect(cut.length).toBe(1);
    expect(cut[0]).toBeGreaterThan(290);
    expect(cut[0]).toBeLessThanOrEqual(300);
    harness.timeNs += 3 * MS;
    lease.revoke();
    gpu.finishAll();
    expect(gpu.history.length).toBe(before + 1);
    expect(lease.released).toBeGreaterThan(0);
    const [part] = cursor(harness);
    expect(part).toMatchObject({ groups_done: cut[0], groups_submitted: cut[0], fence: 2 });
    lease.grant(harness.timeNs + 5 * MS);
    expect(groupsOf(gpu.history.at(-1))).toBeGreaterThan(490);
    lease.deadlineNs = null;
    await run(made);
    expect(harness.slot(0, 1)).toMatchObject({ fence: 2, status: "OK" });
    expect(words(made, 16384).every((each) => each === 2)).toBe(true);
  });

  it.each([
    // In even parts, what is in flight counted; none of them longer than a batch by more than a quarter.
    [3, [150, 150]],
    [2.4, [240]],
  ])("is kept in a turn of %s ms, %j workgroups at a time", async (turnMs, parts) => {
    const { lease, made, harness, gpu } = await turnRig(2, 16384);
    const before = gpu.history.length;
    lease.deadlineNs = harness.timeNs + turnMs * MS;
    visit(made, [16384, 1, 1]);
    await harness.settle();
    const cut = gpu.history.slice(before).map(groupsOf);
    expect(cut.length).toBe(parts.length);
    for (const [index, groups] of parts.entries()) expect(cut[index]).toBeCloseTo(groups, -1);
    lease.deadlineNs = null;
    await run(made);
  });

  it("gives each stream its turn, also one whose turn did not fit into what was left", async () => {
    const { lease, made, harness, gpu } = await turnRig(2, 2000);
    for (const stream of [1, 2, 3, 4]) visit(made, [2000, 1, 1], 0, stream);
    const submitted = (): number[] => {
      const parts = [0, 0, 0, 0];
      for (const { stream, groups_submitted: groups } of cursor(harness))
        parts[stream - 1] = groups;
      return parts;
    };
    lease.deadlineNs = harness.timeNs;
    for (let turn = 0; turn < 10; turn++) {
      lease.revoke();
      gpu.finishAll();
      // Two parts fit, and for 0.4 ms more none is cut.
      lease.grant(harness.timeNs + 4.4 * MS);
      await harness.settle();
      harness.timeNs += 2 * MS;
      gpu.finish();
      harness.timeNs += 2 * MS;
      gpu.finish();
    }
    expect(Math.min(...submitted())).toBeGreaterThan(0.5 * Math.max(...submitted()));
    lease.grant(null);
    await run(made);
  });

  it("is given up early where its rest is too short for a part of a launch", async () => {
    const { lease, made, harness, gpu } = await turnRig(2, 2000);
    const before = gpu.history.length;
    // A turn that has just begun is used in any case, however short it is.
    lease.revoke();
    visit(made, [2000, 1, 1]);
    await harness.settle();
    lease.grant(harness.timeNs + 0.4 * MS);
    await harness.settle();
    expect(gpu.history.length).toBe(before + 1);
    expect(groupsOf(gpu.history.at(-1))).toBeCloseTo(40, -1);
    expect(lease.finished).toBe(0);
    // The same rest of one that goes on is not.
    gpu.finishAll();
    expect(gpu.history.length).toBe(before + 1);
    expect(lease.finished).toBe(1);
    // It is for the rest of a launch that fits into it.
    lease.grant(null);
    await run(made);
    lease.revoke();
    visit(made, [205, 1, 1]);
    lease.grant(harness.timeNs + 1.6 * MS);
    await harness.settle();
    expect(cursor(harness)[0]?.groups_submitted).toBeGreaterThan(150);
    const rest = gpu.history.length;
    lease.deadlineNs = harness.timeNs + 0.4 * MS;
    gpu.finishAll();
    expect(gpu.history.length).toBe(rest + 1);
    expect(cursor(harness)).toEqual([]);
    expect(lease.finished).toBe(1);
    lease.deadlineNs = null;
    await run(made);
  });
});

describe("large grids", () => {
  it.each([[[70_000, 2, 1] as Grid], [[1, 1, 70_000] as Grid], [[3, 70_001, 1] as Grid]])(
    "%s: each workgroup runs once",
    async (grid) => {
      const groups = grid[0] * grid[1] * grid[2];
      const made = await rig(groups);
      visit(made, grid);
      await run(made);
      expect(made.harness.slot(0, 1)).toMatchObject({ fence: 1, status: "OK" });
      expect(words(made, groups).every((each) => each === 1)).toBe(true);
      // Cheap and known: one batch, with the sliced pipeline alone.
      const before = made.gpu.history.length;
      visit(made, grid);
      await run(made);
      expect(made.gpu.history.length).toBe(before + 1);
      expect(made.gpu.pipelines.map((each) => each.immediateBytes)).toEqual([32]);
      expect(words(made, groups).every((each) => each === 2)).toBe(true);
    },
  );

  it("are refused for a kernel that can't be sliced, and above 2^53 workgroups", async () => {
    for (const [id, grid, text] of [
      [WAITS, [65536, 1, 1], /at most 65535 for increment: line 12 waits for another workgroup/],
      [VISIT, [2 ** 31 - 1, 2 ** 20, 2 ** 20], /at most 2\^53 - 1 workgroups/],
    ] as const) {
      const { harness, pointer } = await rig(64);
      ok(harness.submit(0, 0, (w) => w.launch({ function: id, grid, arguments: [pointer] })));
      await harness.settle();
      expect(harness.error(0)).toMatchObject({ name: "LAUNCH_SIZE" });
      expect(harness.error(0).text).toMatch(text);
    }
  });
});

describe("a kernel that can't be sliced", () => {
  it("runs whole, and is marked once with the reason", async () => {
    const made = await rig(1024, { gpu: { groupNs: () => 100_000 } });
    const { harness, gpu, pointer } = made;
    const launch = { function: WAITS, grid: [1000, 1, 1] as Grid, arguments: [pointer] };
    for (let i = 0; i < 3; i++) ok(harness.submit(0, 1, (w) => w.launch(launch)));
    await run(made);
    expect(harness.slot(0, 1)).toMatchObject({ fence: 3, status: "OK" });
    expect(gpu.history.flat().filter((line) => line === "launch increment 1000x1x1").length).toBe(
      3,
    );
    expect(harness.device.status().unsliceable).toEqual([
      { kernel: "increment", reason: "line 12 waits for another workgroup to change 'flag[0]'" },
    ]);
    const lines = harness.log.filter((line) => line.includes("launches of a kernel run whole"));
    expect(lines.length).toBe(1);
  });

  it("is one whose sliced form the driver refuses", async () => {
    const made = await rig(1024);
    const { gpu, harness } = made;
    gpu.refuse = (descriptor) => (descriptor.immediateBytes ?? 0) > 0;
    visit(made, [1024, 1, 1]);
    await run(made);
    expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "OK" });
    expect(harness.device.status().unsliceable).toMatchObject([{ kernel: "visit" }]);
    expect(words(made, 1024).every((each) => each === 1)).toBe(true);
  });

  it("also is a launch that writes the memory of its own uniform", async () => {
    const made = await rig(70_000);
    const { harness, gpu, pointer } = made;
    const launch = (grid: Grid) => ({ function: SET_VALUE, grid, arguments: [pointer, pointer] });
    ok(harness.submit(0, 1, (w) => w.launch(launch([1000, 1, 1]))));
    await run(made);
    expect(gpu.history.at(-1)).toEqual(["launch setValue 1000x1x1"]);
    // More than one dispatch can take: all in one batch, with one copy of the uniform.
    ok(harness.submit(0, 1, (w) => w.launch(launch([70_000, 1, 1]))));
    await run(made);
    expect(gpu.history.at(-1)).toEqual([
      "launch setValue 70000x1x1 [0,0,0+65535,1,1] [65535,0,0+4465,1,1]",
    ]);
    expect(harness.slot(0, 1)).toMatchObject({ fence: 2, status: "OK" });
  });
});

describe("the watchdog", () => {
  it("is set to two seconds, and blames a launch that hangs", async () => {
    const made = await rig(64, { reopen: async () => new MemoryExecutor() });
    const { harness } = made;
    visit(made, [1, 1, 1]);
    await harness.settle();
    expect(harness.watchdogNs).toBeLessThanOrEqual(2e9);
    harness.timeNs += 2e9;
    harness.watchdogCallback?.();
    expect(harness.header(0).status).toBe("TIMEOUT");
    expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "TIMEOUT" });
  });

  it("bears a long queue of legal batches, and of launches that became dearer", async () => {
    const made = await rig(64, { scheduling: { batchesInFlightMax: 3 } });
    const { harness, gpu, pointer } = made;
    visit(made, [64, 1, 1]);
    await run(made);
    const launch = { function: VISIT, grid: [64, 1, 1] as Grid, arguments: [pointer] };
    ok(
      harness.submit(0, 1, (w) => {
        for (let i = 0; i < 2000; i++) w.launch(launch);
      }),
    );
    await harness.settle();
    // Each batch takes 1.9 s: eight seconds in all, and never two for one of them.
    for (let batch = 0; batch < 4; batch++) {
      harness.timeNs += 1.9e9;
      harness.watchdogCallback?.();
      expect(harness.header(0).status).toBe("OK");
      gpu.finish();
    }
    // One of several launches has the time of four.
    harness.timeNs += 3.9e9;
    harness.watchdogCallback?.();
    harness.watchdogCallback?.();
    expect(harness.header(0).status).toBe("OK");
    gpu.finishAll();
    expect(harness.slot(0, 1)).toMatchObject({ fence: 2, status: "OK" });
  });

  it("does not take a host that was late for a GPU that hangs", async () => {
    const made = await rig(64);
    const { harness, gpu } = made;
    visit(made, [64, 1, 1]);
    await harness.settle();
    harness.timeNs += 20e9;
    harness.watchdogCallback?.();
    expect(harness.header(0).status).toBe("OK");
    // But only once.
    harness.timeNs += 20e9;
    harness.watchdogCallback?.();
    expect(harness.header(0).status).toBe("TIMEOUT");
    expect(gpu.pending.length).toBe(1);
  });

  it("does not mind a launch of a minute that goes in slices", async () => {
    const made = await rig(4096, { gpu: { groupNs: () => 15 * MS } });
    const { harness, gpu } = made;
    visit(made, [4096, 1, 1]);
    await harness.settle();
    let turns = 0;
    for (; gpu.pending.length > 0; turns++) {
      const groups = groupsOf(gpu.history[gpu.history.length - gpu.pending.length]);
      harness.timeNs += groups * 15 * MS;
      harness.watchdogCallback?.();
      expect(harness.header(0).status).toBe("OK");
      gpu.finish();
      await harness.settle();
    }
    expect(turns).toBeGreaterThan(100);
    expect(harness.slot(0, 1)).toMatchObject({ fence: 1, status: "OK" });
  });
});

describe("slices by number", () => {
  it.each([1, 4, 16, 64])("%i of them", async (slicesMin) => {
    const made = await rig(4096, { scheduling: { slicesMin } });
    ok(made.harness.register(0, 0, [{ address: DATA_AT, bytes: 4096 }]));
    visit(made, [64, 64, 1]);
    await run(made);
    expect(slices(made.gpu)).toEqual(new Array(slicesMin).fill(4096 / slicesMin));
    expect(words(made, 4096).every((each) => each === 1)).toBe(true);
  });
});
