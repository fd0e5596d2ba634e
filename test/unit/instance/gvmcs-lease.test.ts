// SPDX-License-Identifier: Apache-2.0
/**
 * The production lease and device under a real G-VMCS: every exit reason, injected events, and
 * controls that change while the vGPU runs. The broker's side judges each exit as it would live.
 */
import { describe, expect, it } from "vitest";
import {
  AbortIndicator,
  AdapterMode,
  decodeGvmcs,
  type Entry,
  ExitBitmap,
  ExitReason,
  FaultCode,
  Features,
  GVMCS,
  GvmcsBroker,
  GvmcsInstance,
  gvmcsToJson,
  InjectedEvent,
  LaunchState,
  plainPage,
  type Report,
  type SharedPage,
} from "../../../src/gvmcs/index.js";
import { GvmcsLease } from "../../../src/instance/gvmcs-lease.js";
import { VGPU } from "../../../src/protocol/generated/wire.js";
import { executionControls } from "../../../src/scheduler/index.js";
import { defaultSettings, tailNsOf } from "../../../src/scheduler/settings.js";
import { MemoryExecutor, type MemoryExecutorOptions } from "../../support/memory-executor.js";
import { Harness, ok } from "./harness.js";

const MIB = 2 ** 20;

class Rig {
  readonly pages: { readonly controls: SharedPage; readonly state: SharedPage };
  readonly broker: GvmcsBroker;
  readonly instance: GvmcsInstance;
  readonly lease: GvmcsLease;
  readonly harness: Harness;
  readonly next = new MemoryExecutor();
  expire: (() => void) | null = null;
  absence: (() => void) | null = null;
  /** When the run loop wants to look whether it can leave, and how. */
  look: { readonly atNs: number; readonly callback: () => void } | null = null;
  rings = 0;

  constructor(gpu: MemoryExecutorOptions = {}) {
    const pages = {
      controls: plainPage(new Uint8Array(GVMCS.PAGE_BYTES)),
      state: plainPage(new Uint8Array(GVMCS.PAGE_BYTES)),
    };
    const host = {
      owner_pid: 1,
      mode: AdapterMode.VIRTUAL,
      generation: 1,
      vendor_id: 0,
      adapter: "memory",
      vgpu: "a",
    };
    const execution = executionControls(defaultSettings, 64 * MIB);
    this.pages = pages;
    this.broker = new GvmcsBroker(pages, { host, execution });
    this.instance = new GvmcsInstance(pages);
    this.lease = new GvmcsLease({
      gvmcs: this.instance,
      ring: () => this.rings++,
      nowNs: () => this.harness.timeNs,
      timer: {
        arm: (_, callback) => {
          this.expire = callback;
        },
        disarm: () => {
          this.expire = null;
        },
      },
      lookTimer: {
        arm: (ns, callback) => {
          this.look = { atNs: this.harness.timeNs + ns, callback };
        },
        disarm: () => {
          this.look = null;
        },
      },
      absenceTimer: {
        arm: (_, callback) => {
          this.absence = callback;
        },
        disarm: () => {
          this.absence = null;
        },
      },
      busy: () => this.harness.device.runner.wantsGpu,
      waiting: () => this.harness.device.runner.wantsTurn,
      used: () => {
        const { usage, batchesDone } = this.harness.device.runner;
        return { gpuTimeNs: usage.gpuTimeNs, batches: batchesDone };
      },
      controls: (controls) => this.harness.device.applyControls(controls),
      drop: (reason) => this.harness.device.drop(reason),
      publish: () => this.harness.device.writeState(this.instance),
    });
    this.harness = new Harness({ lease: this.lease, gpu, reopen: async () => this.next });
    this.lease.load();
    expect(this.broker.poll()).toEqual({ kind: "loaded" });
    this.broker.setOthers(1);
    this.harness.ready(2);
  }

  enter(entry: Partial<Entry> = {}): void {
    this.broker.enter({ deadlineNs: null, ...entry }, this.harness.timeNs);
    this.lease.bell();
  }

  /** The time until the deadline passes. */
  deadline(): void {
    this.harness.timeNs += 1e9;
    this.expire?.();
  }

  /** The time passes until that. */
  looks(): void {
    const { look } = this;
    if (look === null) throw new Error("nothing is to be looked at");
    this.look = null;
    this.harness.timeNs = look.atNs;
    look.callback();
  }

  /** Has function 0 of context 0 take 1 ms for 100 workgroups, and be known for it. */
  async known(): Promise<void> {
    const source =
      "@group(0) @binding(0) var<storage, read_write> d: array<u32>;\n" +
      "@compute @workgroup_size(1) fn visit(@builtin(workgroup_id) id: vec3u) { d[id.x] += 1u; }\n";
    ok(this.harness.submit(0, 0, (w) => w.moduleLoad(0, source).functionCreate(0, 0, "visit")));
    this.launch();
    // Compilations give the GPU back while they run.
    for (let turn = 0; this.harness.gpu.history.length === 0 && turn < 10; turn++) {
      if (turn > 0) expect(this.exit().reason).toBe(ExitReason.IDLE);
      this.enter({ deadlineNs: this.harness.timeNs + 1e12 });
      await this.harness.settle();
    }
    this.harness.gpu.finishAll();
    expect(this.exit()).toMatchObject({ reason: ExitReason.IDLE, tail_ns: 0 });
  }

  launch(): void {
    const pointer = this.harness.alloc(0, 4096);
    ok(
      this.harness.submit(0, 0, (w) =>
        w.launch({ function: 0, grid: [100, 1, 1], arguments: [pointer] }),
      ),
    );
  }

  work(context = 0, stream = 0, commands = 1): void {
    const pointer = this.harness.alloc(context, 256);
    const fills = commands;
    ok(
      this.harness.submit(context, stream, (w) => {
        for (let index = 0; index < fills; index++) w.fill(pointer, 4, index, 4);
      }),
    );
  }

  /** The areas of the guest state, as `vgpuctl gvmcs --json` shows them. */
  state(): Record<string, Record<string, unknown>> {
    const json = gvmcsToJson(decodeGvmcs(this.pages.controls.bytes, this.pages.state.bytes));
    return json as Record<string, Record<string, unknown>>;
  }

  /** The tail has ended, some steps of the clock ago. */
  drained(): void {
    const report = this.broker.poll();
    if (report.kind !== "drained") throw new Error(`not drained: ${JSON.stringify(report)}`);
    expect(report.endedNs).toBeGreaterThan(this.harness.timeNs - 10);
    expect(report.endedNs).toBeLessThanOrEqual(this.harness.timeNs);
  }

  exit(): Extract<Report, { kind: "exit" }>["exit"] {
    const report = this.broker.poll();
    if (report.kind !== "exit") throw new Error(`no exit: ${JSON.stringify(report)}`);
    return report.exit;
  }
}

describe("ordinary exits", () => {
  it("say that the slice was used, what it took, and that there is more", () => {
    const rig = new Rig({ gpuTimeNs: 1000 });
    rig.work();
    expect(rig.broker.demand).toBe(true);
    rig.enter({ deadlineNs: rig.harness.timeNs + 1e6 });
    expect(rig.harness.gpu.inFlight).toBe(1);
    rig.deadline();
    // INS-11: not while work of its own is on the GPU.
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    rig.work(1);
    expect(rig.harness.gpu.inFlight).toBe(1);
    rig.harness.gpu.finishAll();
    expect(rig.exit()).toMatchObject({
      reason: ExitReason.SLICE_USED,
      batches: 1,
      gpu_time_ns: 1000,
    });
    expect(rig.broker.demand).toBe(true);
    rig.enter({ deadlineNs: rig.harness.timeNs + 1e9 });
    rig.harness.gpu.finishAll();
    expect(rig.exit()).toMatchObject({ reason: ExitReason.IDLE, batches: 1 });
    expect(rig.broker.demand).toBe(false);
  });
});

describe("a turn whose rest is too short for a part of a launch", () => {
  it("ends before its deadline, as if its slice was used, and the launch goes on in the next one", async () => {
    const rig = new Rig({ gpuTimeNs: 50_000, groupNs: () => 10_000 });
    await rig.known();
    rig.launch();
    rig.launch();
    // The second launch has 0.2 ms: a part of it would be shorter than a quarter of a batch of 1 ms.
    rig.enter({ deadlineNs: rig.harness.timeNs + 1.2e6, tailEndNs: 0 });
    rig.broker.alone(rig.harness.timeNs);
    expect(rig.harness.gpu.inFlight).toBe(1);
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    rig.harness.timeNs += 1e6;
    rig.harness.gpu.finishAll();
    expect(rig.exit()).toMatchObject({ reason: ExitReason.SLICE_USED, batches: 1, tail_ns: 0 });
    expect(rig.broker.demand).toBe(true);
    expect(rig.expire).toBeNull();
    rig.enter({ deadlineNs: rig.harness.timeNs + 10e6 });
    rig.harness.gpu.finishAll();
    expect(rig.exit()).toMatchObject({ reason: ExitReason.IDLE, batches: 1 });
  });
});

describe("an exit with a tail", () => {
  const KNOWN = { gpuTimeNs: 50_000, groupNs: () => 10_000 };

  /** A launch of 1 ms is on the GPU, in an entry that others wait for the end of. */
  async function busy(entry: Partial<Entry> = {}): Promise<Rig> {
    const rig = new Rig(KNOWN);
    await rig.known();
    rig.launch();
    rig.enter({ deadlineNs: rig.harness.timeNs + 10e6, ...entry });
    expect(rig.harness.gpu.inFlight).toBe(1);
    return rig;
  }

  it("comes when half of the work is done and there is no more; its end is told", async () => {
    const rig = await busy();
    rig.looks();
    const exit = rig.exit();
    expect(exit).toMatchObject({ reason: ExitReason.IDLE, batches: 0 });
    expect(Math.abs(exit.tail_ns - 500_000)).toBeLessThan(10);
    expect(rig.broker.launchState).toBe(LaunchState.DRAINING);
    expect(rig.broker.demand).toBe(false);
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    rig.harness.gpu.finishAll();
    rig.drained();
    expect(rig.broker.launchState).toBe(LaunchState.READY);
    // The tail's time is claimed with the next exit.
    rig.launch();
    rig.enter({ deadlineNs: rig.harness.timeNs + 10e6 });
    rig.harness.gpu.finishAll();
    expect(rig.exit()).toMatchObject({ batches: 2, gpu_time_ns: 2_100_000, tail_ns: 0 });
  });

  it("says that the slice was used when more does not fit, and asks for the next turn", async () => {
    const rig = await busy();
    rig.harness.gpu.finishAll();
    rig.exit();
    for (let index = 0; index < 4; index++) rig.launch();
    rig.enter({ deadlineNs: rig.harness.timeNs + 1e6 });
    expect(rig.harness.gpu.inFlight).toBe(1);
    rig.looks();
    const { tail_ns: tailNs, reason } = rig.exit();
    expect(reason).toBe(ExitReason.SLICE_USED);
    expect(Math.abs(tailNs - tailNsOf(defaultSettings))).toBeLessThan(10);
    expect(rig.broker.demand).toBe(true);
    // Nothing is handed over outside an entry.
    rig.launch();
    rig.harness.gpu.finishAll();
    expect(rig.harness.gpu.inFlight).toBe(0);
    rig.drained();
  });

  it("waits while the tail of another vGPU is on the GPU", async () => {
    const rig = await busy({ tailEndNs: 0 });
    rig.looks();
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    rig.looks();
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    // Its own work began when that had ended.
    rig.broker.alone(rig.harness.timeNs);
    rig.looks();
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    rig.looks();
    expect(rig.exit().tail_ns).toBeGreaterThan(0);
  });

  it("is none when the work ends before it was foreseen", async () => {
    const rig = await busy();
    rig.harness.gpu.finishAll();
    expect(rig.exit()).toMatchObject({ reason: ExitReason.IDLE, tail_ns: 0 });
    expect(rig.look).toBeNull();
  });

  it("is none where nobody waits, where it is forbidden, or where the work's time is not known", async () => {
    const alone = await busy({ deadlineNs: null });
    expect(alone.look).toBeNull();
    const strict = new Rig(KNOWN);
    await strict.known();
    const settings = { ...defaultSettings, tailNs: 0 };
    strict.broker.setExecution(executionControls(settings, 64 * MIB));
    strict.launch();
    strict.enter({ deadlineNs: strict.harness.timeNs + 10e6 });
    expect(strict.look).toBeNull();
    const unknown = new Rig(KNOWN);
    unknown.work();
    unknown.enter({ deadlineNs: unknown.harness.timeNs + 10e6 });
    expect(unknown.harness.gpu.inFlight).toBe(1);
    expect(unknown.look).toBeNull();
  });

  it("ends too if the context fails meanwhile", async () => {
    const rig = await busy();
    rig.looks();
    rig.exit();
    ok(rig.harness.submit(0, 0, (w) => w.fill({ segment: 1, offset: 0 }, 4, 1, 4)));
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    rig.harness.gpu.finishAll();
    rig.drained();
  });

  it("aborts an instance that leaves a longer one than it may, or with another reason", async () => {
    const rig = await busy();
    rig.instance.exit({ reason: ExitReason.IDLE, gpuTimeNs: 0, tailNs: 800_001 }, 1);
    expect(rig.broker.poll()).toMatchObject({ abort: { indicator: AbortIndicator.TAIL } });
    const other = await busy();
    other.instance.exit({ reason: ExitReason.YIELD, gpuTimeNs: 0, tailNs: 1 }, 1);
    expect(other.broker.poll()).toMatchObject({ abort: { indicator: AbortIndicator.TRANSITION } });
  });

  it("may be as long as was allowed when the entry began", async () => {
    const rig = await busy();
    rig.broker.setExecution(executionControls({ ...defaultSettings, tailNs: 0 }, 64 * MIB));
    rig.instance.exit({ reason: ExitReason.IDLE, gpuTimeNs: 0, tailNs: 800_000 }, 1);
    expect(rig.exit().tail_ns).toBe(800_000);
  });
});

describe("the watchdog behind another one's tail", () => {
  it("counts from its end", async () => {
    const rig = new Rig({ gpuTimeNs: 50_000, groupNs: () => 10_000 });
    await rig.known();
    rig.launch();
    rig.enter({ deadlineNs: rig.harness.timeNs + 10e6, tailEndNs: rig.harness.timeNs + 1e6 });
    rig.harness.timeNs += 5e9;
    rig.harness.watchdogCallback?.();
    expect(rig.harness.header(0).status).toBe("OK");
    rig.broker.alone(rig.harness.timeNs);
    rig.harness.timeNs += 1e9;
    rig.harness.watchdogCallback?.();
    expect(rig.harness.header(0).status).toBe("OK");
    rig.harness.timeNs += 1.1e9;
    rig.harness.watchdogCallback?.();
    expect(rig.harness.header(0).status).toBe("TIMEOUT");
  });
});

describe("an exit with FAULT", () => {
  it("follows when a context fails, after what is in flight, and the rest goes on", () => {
    const rig = new Rig();
    rig.work(1);
    rig.work(0);
    rig.enter();
    expect(rig.harness.gpu.inFlight).toBe(2);
    // Out of range: context 0 fails at once, context 1 has a batch on the GPU.
    ok(rig.harness.submit(0, 0, (w) => w.fill({ segment: 1, offset: 0 }, 4, 1, 4)));
    expect(rig.harness.header(0).status).not.toBe("OK");
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    rig.work(1);
    rig.harness.gpu.finishAll();
    expect(rig.exit()).toMatchObject({
      reason: ExitReason.FAULT,
      qualification: FaultCode.CONTEXT,
    });
    expect(rig.broker.demand).toBe(true);
    rig.enter();
    rig.harness.gpu.finishAll();
    expect(rig.harness.slot(1, 0)).toMatchObject({ fence: 2, status: "OK" });
    expect(rig.harness.header(1).status).toBe("OK");
  });

  it("tells a lost device, at once", async () => {
    const rig = new Rig();
    rig.work();
    rig.enter();
    rig.harness.gpu.lose("it is gone");
    expect(rig.exit()).toMatchObject({
      reason: ExitReason.FAULT,
      qualification: FaultCode.DEVICE_LOST,
    });
    expect(rig.broker.demand).toBe(false);
    await rig.harness.settle();
    ok(rig.harness.destroyContext(0));
    ok(rig.harness.createContext(0));
    rig.work();
    rig.enter();
    rig.next.finishAll();
    expect(rig.harness.slot(0, 0).status).toBe("OK");
  });

  it("is none outside of an entry", () => {
    const rig = new Rig();
    rig.harness.gpu.lose("it is gone");
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    expect(rig.broker.launchState).toBe(LaunchState.READY);
  });
});

describe("an exit with WATCHDOG", () => {
  it("names the context, and comes although the work never ends", async () => {
    const rig = new Rig();
    rig.work(1);
    rig.enter();
    rig.harness.timeNs += 2e9;
    rig.harness.watchdogCallback?.();
    expect(rig.exit()).toMatchObject({ reason: ExitReason.WATCHDOG, qualification: 1 });
    expect(rig.harness.header(1).status).toBe("TIMEOUT");
    await rig.harness.settle();
    rig.broker.enter({ deadlineNs: null }, rig.harness.timeNs);
    expect(rig.instance.takeEntry()?.reason).toBe(3);
  });
});

describe("an exit with RESET", () => {
  it("follows when the guest resets the device", () => {
    const rig = new Rig();
    rig.work();
    rig.enter();
    rig.harness.device.reset();
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    rig.harness.gpu.finishAll();
    expect(rig.exit()).toMatchObject({ reason: ExitReason.RESET });
    expect(rig.broker.demand).toBe(false);
  });
});

describe("injected events", () => {
  it.each([
    [InjectedEvent.RESET, ExitReason.RESET, 0],
    [InjectedEvent.EPOCH, ExitReason.FAULT, FaultCode.DEVICE_LOST],
  ])(
    "event %i drops all contexts and exits with reason %i",
    async (event, reason, qualification) => {
      const rig = new Rig();
      const before = rig.harness.header(0).epoch;
      rig.work();
      rig.enter({ event });
      expect(rig.exit()).toMatchObject({ reason, qualification });
      expect(rig.harness.gpu.inFlight).toBe(0);
      expect(rig.harness.header(0)).toMatchObject({ status: "DEVICE_LOST" });
      expect(rig.harness.header(0).epoch).not.toBe(before);
      await rig.harness.settle();
      ok(rig.harness.destroyContext(1));
      ok(rig.harness.createContext(1));
      rig.work(1);
      rig.enter();
      rig.next.finishAll();
      expect(rig.harness.slot(1, 0).status).toBe("OK");
    },
  );

  it("SAVE stops before any work, and a hint brings the instance back with it", () => {
    const rig = new Rig();
    rig.work();
    rig.enter({ event: InjectedEvent.SAVE });
    expect(rig.harness.gpu.inFlight).toBe(0);
    expect(rig.exit()).toMatchObject({ reason: ExitReason.SAVE });
    expect(rig.broker.launchState).toBe(LaunchState.SAVED);
    // Rings and new work do not bring it back by themselves.
    rig.work(1);
    rig.lease.bell();
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    expect(rig.broker.demand).toBe(false);
    rig.broker.prepare();
    rig.lease.bell();
    expect(rig.broker.poll()).toEqual({ kind: "loaded" });
    expect(rig.broker.demand).toBe(true);
    rig.enter();
    rig.harness.gpu.finishAll();
    expect(rig.harness.slot(0, 0)).toMatchObject({ fence: 1, status: "OK" });
    expect(rig.harness.slot(1, 0)).toMatchObject({ fence: 1, status: "OK" });
  });
});

describe("the abort indicator", () => {
  it("keeps the instance's own cause, and the broker aborts for it", () => {
    const rig = new Rig();
    rig.lease.abort();
    const report = rig.broker.poll();
    expect(report).toMatchObject({
      kind: "abort",
      abort: { indicator: AbortIndicator.INSTANCE },
    });
    expect(rig.broker.launchState).toBe(LaunchState.ABORTED);
  });
});

describe("the guest state", () => {
  it("tells how far a sliced launch has come, the fences, the queues and the memory", async () => {
    const rig = new Rig({ gpuTimeNs: 0, groupNs: () => 10_000 });
    const { harness } = rig;
    const source =
      "@group(0) @binding(0) var<storage, read_write> d: array<u32>;\n" +
      "@compute @workgroup_size(1) fn visit(@builtin(workgroup_id) id: vec3u) { d[id.x] += 1u; }\n";
    const pointer = harness.alloc(1, 4096);
    ok(harness.submit(1, 3, (w) => w.moduleLoad(0, source).functionCreate(0, 0, "visit")));
    ok(
      harness.submit(1, 3, (w) =>
        w.nop().launch({ function: 0, grid: [512, 2, 1], arguments: [pointer] }),
      ),
    );
    // Compilations give the GPU back while they run.
    for (let turn = 0; harness.gpu.history.length === 0 && turn < 10; turn++) {
      if (turn > 0) expect(rig.exit().reason).toBe(ExitReason.IDLE);
      rig.enter({ deadlineNs: harness.timeNs + 1e12 });
      await harness.settle();
    }
    harness.gpu.finish(2);
    rig.lease.bell();
    const { dispatch_cursor: cursor, timeline_state: timelines } = rig.state();
    expect(cursor).toMatchObject({ active: 1, context: 1, stream: 3, fence: 2, command: 1 });
    expect(cursor).toMatchObject({ grid_x: 512, grid_y: 2, workgroups_total: 1024 });
    expect(Number(cursor?.slices)).toBeGreaterThan(1);
    expect(Number(cursor?.workgroups_done)).toBeGreaterThan(0);
    expect(Number(cursor?.workgroups_done)).toBeLessThan(1024);
    expect(timelines).toMatchObject({ contexts: 2, streams: 1, count: 1 });
    expect(timelines?.timelines).toEqual([{ context: 1, stream: 3, submitted: 2, done: 1 }]);
    harness.gpu.finishAll();
    expect(rig.exit()).toMatchObject({ reason: ExitReason.IDLE });
    expect(rig.state().dispatch_cursor).toMatchObject({ active: 0, workgroups_total: 0 });
    expect(rig.state().timeline_state).toMatchObject({ streams: 0, count: 1 });
    expect(rig.state().memory_map).toMatchObject({ regions_total: 1, guest_bytes: 4 * MIB });
    expect(Number(rig.state().memory_map?.device_bytes)).toBeGreaterThanOrEqual(4096);
    const queues = rig.state().queue_state?.queues as { used: number; enabled: number }[];
    expect(queues.map(({ enabled }) => enabled)).toEqual([1, 1, 1]);
    expect(queues[VGPU.QUEUE_SUBMIT]?.used).toBe(2);
  });
});

describe("the number of contexts", () => {
  const told = (rig: Rig): unknown => rig.state().state_words?.contexts;

  it("is told when it changes, with no ring while there are others", () => {
    const rig = new Rig();
    expect(told(rig)).toBe(2);
    const { rings } = rig;
    ok(rig.harness.destroyContext(1));
    expect(told(rig)).toBe(1);
    expect(rig.rings).toBe(rings);
  });

  it("is zero only some time after the last one has gone, and not if another one came", () => {
    const rig = new Rig();
    ok(rig.harness.destroyContext(0));
    ok(rig.harness.destroyContext(1));
    expect(told(rig)).toBe(1);
    const { absence, rings } = rig;
    absence?.();
    expect(told(rig)).toBe(0);
    expect(rig.rings).toBe(rings + 1);
    ok(rig.harness.createContext(5));
    expect(told(rig)).toBe(1);
    expect(rig.rings).toBe(rings + 2);
    ok(rig.harness.destroyContext(5));
    expect(rig.absence).not.toBeNull();
    ok(rig.harness.createContext(6));
    expect(rig.absence).toBeNull();
    expect(told(rig)).toBe(1);
  });

  it("falls with the session", () => {
    const rig = new Rig();
    rig.harness.device.reset();
    rig.absence?.();
    expect(told(rig)).toBe(0);
  });
});

describe("live controls", () => {
  const set = (rig: Rig, changes: Partial<typeof defaultSettings>, memory = 64 * MIB): void => {
    rig.broker.setExecution(executionControls({ ...defaultSettings, ...changes }, memory));
    rig.lease.bell();
  };

  it("derive the length of batches from the slice", () => {
    const rig = new Rig();
    const batchNs = (): number => rig.harness.device.runner.scheduling.batchNsMax;
    set(rig, {});
    expect(batchNs()).toBe(1e6);
    set(rig, { sliceNs: 8e6 });
    expect(batchNs()).toBe(4e6);
    set(rig, { sliceNs: 1e6 });
    expect(batchNs()).toBe(1e6);
    set(rig, { sliceNs: 30e6 });
    expect(batchNs()).toBe(10e6);
  });

  it("hold batches far below a short watchdog's limit", () => {
    const rig = new Rig();
    rig.broker.setOthers(0);
    set(rig, { watchdogNs: 12e6 });
    expect(rig.harness.device.runner.scheduling.batchNsMax).toBe(3e6);
    set(rig, { watchdogNs: 2e6 });
    expect(rig.harness.device.runner.scheduling.batchNsMax).toBe(1e6);
  });

  it("allow longer batches while no other guest has a context, from one batch to the next", async () => {
    const rig = new Rig();
    const batchNs = (): number => rig.harness.device.runner.scheduling.batchNsMax;
    await rig.known();
    rig.broker.setOthers(0);
    rig.launch();
    expect(batchNs()).toBe(10e6);
    rig.broker.setOthers(2);
    rig.launch();
    expect(batchNs()).toBe(1e6);
  });

  it("tell the executor whether the GPU is shared, another one too", async () => {
    const rig = new Rig();
    const said: boolean[] = [];
    Object.assign(rig.harness.gpu, { share: (shared: boolean) => said.push(shared) });
    await rig.known();
    for (const others of [0, 0, 3, 3, 0]) {
      rig.broker.setOthers(others);
      rig.launch();
    }
    expect(said).toEqual([true, false, true, false]);
    rig.harness.device.runner.setExecutor(rig.harness.gpu);
    expect(said).toEqual([true, false, true, false, false]);
  });

  it("encode ahead for a shared GPU as soon as it is shared", () => {
    const rig = new Rig();
    rig.broker.setOthers(0);
    set(rig, {});
    expect(rig.harness.device.runner.scheduling.batchNsMax).toBe(10e6);
    rig.broker.setOthers(1);
    rig.broker.prepare();
    rig.lease.bell();
    expect(rig.harness.device.runner.scheduling.batchNsMax).toBe(1e6);
  });

  it("switch features off and on, for what is encoded from then on", () => {
    const rig = new Rig();
    const features = (bits: number) => {
      rig.broker.setExecution(executionControls(defaultSettings, 64 * MIB, bits));
      rig.lease.bell();
      const { slicing, timestamps, encodeAhead } = rig.harness.device.runner.scheduling;
      return { slicing, timestamps, encodeAhead };
    };
    const all = { slicing: true, timestamps: true, encodeAhead: true };
    expect(features(Features.ALL & ~Features.SLICING)).toEqual({ ...all, slicing: false });
    expect(features(Features.ALL & ~Features.TIMESTAMPS)).toEqual({ ...all, timestamps: false });
    expect(features(Features.ALL & ~Features.PREPARE)).toEqual({ ...all, encodeAhead: false });
    expect(features(Features.ALL)).toEqual(all);
  });

  it("keep the GPU of one without work until its deadline where its idle exit is masked", () => {
    const rig = new Rig();
    const execution = executionControls(defaultSettings, 64 * MIB);
    const mask = ExitBitmap.ALL & ~ExitBitmap.IDLE;
    rig.broker.setExecution({ ...execution, exit_bitmap: mask });
    rig.enter({ deadlineNs: rig.harness.timeNs + 1e9 });
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    rig.deadline();
    expect(rig.exit()).toMatchObject({ reason: ExitReason.SLICE_USED });
  });

  it("change the watchdog's limit for what is on the GPU already", () => {
    const rig = new Rig();
    rig.work();
    rig.enter();
    set(rig, { watchdogNs: 5e9 });
    rig.harness.timeNs += 3e9;
    rig.harness.watchdogCallback?.();
    expect(rig.broker.poll()).toEqual({ kind: "nothing" });
    rig.harness.timeNs += 2e9;
    rig.harness.watchdogCallback?.();
    expect(rig.exit()).toMatchObject({ reason: ExitReason.WATCHDOG });
  });

  it("set the memory limit of an idle vGPU; one below what is in use takes nothing away", () => {
    const rig = new Rig();
    const { harness } = rig;
    const pointer = harness.alloc(0, 32 * MIB);
    set(rig, {}, 16 * MIB);
    expect(harness.memoryInfo(0)).toMatchObject({
      total_bytes: BigInt(16 * MIB),
      free_bytes: 0n,
      context_bytes: BigInt(32 * MIB),
    });
    const refused = harness.tryAlloc(1, 16 * MIB);
    expect(refused).toMatchObject({ status: "OUT_OF_MEMORY", limit: BigInt(16 * MIB) });
    expect(harness.header(0).status).toBe("OK");
    ok(harness.free(0, pointer));
    ok(harness.tryAlloc(1, 16 * MIB));
    expect(harness.tryAlloc(1, 256).status).toBe("OUT_OF_MEMORY");
    set(rig, {}, 64 * MIB);
    ok(harness.tryAlloc(1, 32 * MIB));
  });
});
