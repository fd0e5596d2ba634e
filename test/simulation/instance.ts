// SPDX-License-Identifier: Apache-2.0
/**
 * A simulated instance: the production side of the G-VMCS with kernels instead of a device, and
 * with the faults that a scenario gives it.
 */
import {
  type Abort,
  AbortIndicator,
  ExitInformation,
  ExitReason,
  GVMCS,
  GvmcsInstance,
  plainPage,
  type SharedPage,
  StateWordsAt,
} from "../../src/gvmcs/index.js";
import type { World } from "./world.js";

export interface Kernel {
  readonly costNs: number;
  readonly sliceable: boolean;
}

/** Where work comes from. Times in ns. */
export interface Workload {
  /** The next kernel. */
  next(): Kernel;
  /** Launches that wait in the queue at most. */
  readonly depth: number;
  /** Pause of the guest between a kernel's end and its next launch; null: none, it saturates. */
  readonly pause: (() => number) | null;
}

export type Fault =
  | "crash"
  | "hang"
  | "deaf"
  | "double-exit"
  | "exit-unentered"
  | "bad-reason"
  | "bad-demand"
  | "torn-record"
  | "early-slice-used"
  | "endless-tail"
  | "long-tail"
  | "second-tail"
  | "wrong-sequence"
  | "self-abort"
  | "wrong-revision"
  | "lie"
  | "rogue";

/** What the broker has to find for each fault; null: nothing to abort for. */
export const expectedAborts: Readonly<Record<Fault, readonly AbortIndicator[] | null>> = {
  crash: null,
  hang: null,
  deaf: [AbortIndicator.OVERDUE],
  "double-exit": [AbortIndicator.TRANSITION, AbortIndicator.EXIT_SEQUENCE],
  "exit-unentered": [AbortIndicator.TRANSITION, AbortIndicator.EXIT_SEQUENCE],
  "bad-reason": [AbortIndicator.EXIT_RECORD],
  "bad-demand": [AbortIndicator.WORD],
  "torn-record": [AbortIndicator.TORN_RECORD],
  "early-slice-used": [AbortIndicator.TRANSITION],
  "endless-tail": [AbortIndicator.OVERDUE],
  "long-tail": [AbortIndicator.TAIL],
  "second-tail": [AbortIndicator.TAIL],
  "wrong-sequence": [AbortIndicator.EXIT_SEQUENCE],
  "self-abort": [AbortIndicator.INSTANCE],
  "wrong-revision": [AbortIndicator.REVISION],
  lie: [AbortIndicator.TIME_CLAIM],
  rogue: [AbortIndicator.AUDIT],
};
export const faults = Object.keys(expectedAborts) as readonly Fault[];

/** Longest part of a sliceable kernel while no deadline is set. */
const PART_MAX_NS = 2e6;
/** Shortest part. */
const PART_MIN_NS = 20_000;

export class SimInstance {
  readonly id: string;
  readonly workload: Workload;
  readonly watchdogNs: number;
  /** Until a replacement starts after its end. */
  readonly restartNs = 1e6;
  readonly aborts: Abort[] = [];
  alive = false;
  generation = 0;
  /** GPU time of the work that was finished: shares are counted from this. */
  workNs = 0;
  kernelsDone = 0;
  /** Time from launch to end of the kernels. */
  readonly latenciesNs: number[] = [];
  /** The fault that the next occasion brings out, once. */
  fault: Fault | null = null;
  /** Whether the fault has come out. */
  faulted = false;
  drained = false;
  /** Whether it keeps the GPU without work until its entry is bounded. */
  readonly keeps: boolean;
  /** Whether it leaves tails. They are of any length where a tail of another one comes before. */
  readonly tails: boolean;
  /** Part of the GPU time that its exits claim: one that says less is charged all the same. */
  claims = 1;
  readonly #world: World;
  readonly #queue: { kernel: Kernel; leftNs: number; launchedNs: number }[] = [];
  #gvmcs: GvmcsInstance | null = null;
  #state: SharedPage | null = null;
  #running = false;
  #gpuNs = 0;
  #batches = 0;
  #longestTailNs = 0;
  #lastTailNs = 0;
  #pausing = 0;
  /** It does nothing of its own any more, so that it does not mend what it broke. */
  #mute = false;
  /** What the GPU had worked for the vGPU when this process began. */
  busyBeforeNs = 0;

  constructor(world: World, id: string, workload: Workload, watchdogNs = 20e6) {
    this.#world = world;
    this.id = id;
    this.workload = workload;
    this.watchdogNs = watchdogNs;
    this.keeps = world.random.below(2) === 0;
    this.tails = world.random.below(3) > 0;
  }

  get queued(): number {
    return this.#queue.length;
  }

  start(): void {
    const controls = plainPage(new Uint8Array(GVMCS.PAGE_BYTES));
    const state = plainPage(new Uint8Array(GVMCS.PAGE_BYTES));
    const pages = { controls, state };
    this.alive = true;
    this.generation++;
    this.#running = false;
    this.#gpuNs = 0;
    this.#batches = 0;
    this.#mute = false;
    this.busyBeforeNs = this.#world.gpu.busyNs.get(this.id) ?? 0;
    this.#state = state;
    const host = { pid: 100 + this.generation, adapter: "simulated", vendorId: 0 };
    this.#world.touch(() => this.#world.arbiter.attach(this.id, pages, host));
    const { generation } = this;
    this.#world.after(this.#world.random.below(200_000), () => {
      if (this.generation !== generation || !this.alive) return;
      this.#gvmcs = new GvmcsInstance(pages);
      this.#gvmcs.load();
      if (this.#takeFault("wrong-revision")) state.words.store32(StateWordsAt.revision, 99);
      this.#world.bell(this);
      this.#launch();
    });
  }

  die(): void {
    this.alive = false;
    this.generation++;
    this.#gvmcs = null;
  }

  /** No more launches; what is queued is finished. */
  drain(): void {
    this.drained = true;
  }

  /** Fills the queue, and asks for the GPU if there is something in it. */
  #launch(): void {
    const { workload } = this;
    while (!this.drained && this.#queue.length + this.#pausing < workload.depth) {
      const kernel = workload.next();
      this.#queue.push({ kernel, leftNs: kernel.costNs, launchedNs: this.#world.nowNs });
    }
    const gvmcs = this.#gvmcs;
    if (gvmcs === null || this.#mute || this.#queue.length === 0) return;
    if (gvmcs.setDemand(true)) this.#world.bell(this);
    if (gvmcs.inside && !this.#running) this.#step(gvmcs);
  }

  rung(): void {
    const gvmcs = this.#gvmcs;
    if (gvmcs === null || !this.alive || this.#mute) return;
    this.#misbehaveOutside(gvmcs);
    if (this.#mute) return;
    gvmcs.takePrepare();
    const entered = gvmcs.takeEntry() !== null;
    this.#noteTail(gvmcs, entered);
    if (entered) {
      if (gvmcs.deadlineNs() === null && this.#takeFault("early-slice-used")) {
        this.#exit(gvmcs, ExitReason.SLICE_USED);
        return;
      }
    }
    if (gvmcs.inside && !this.#running) this.#step(gvmcs);
  }

  /** The longest tail that is allowed now, and that was at any time of the entry. */
  #noteTail(gvmcs: GvmcsInstance, entered: boolean): number {
    const tailNsMax = gvmcs.executionControls()?.tail_ns_max ?? 0;
    // It may have been changed between the entry and its being seen.
    const beforeNs = entered ? this.#lastTailNs : this.#longestTailNs;
    this.#longestTailNs = Math.max(beforeNs, tailNsMax);
    this.#lastTailNs = tailNsMax;
    return tailNsMax;
  }

  #misbehaveOutside(gvmcs: GvmcsInstance): void {
    const words = this.#state?.words;
    if (words === undefined) return;
    if (this.fault === "exit-unentered" && !gvmcs.inside && this.#takeFault("exit-unentered")) {
      words.store32(StateWordsAt.exit_sequence, 0x7777);
      this.#breakDown();
    }
    if (this.#takeFault("self-abort")) {
      gvmcs.fail(AbortIndicator.INSTANCE);
      this.#world.bell(this);
    }
    if (this.#takeFault("bad-demand")) {
      words.store32(StateWordsAt.demand, 7);
      this.#breakDown();
    }
  }

  #breakDown(): void {
    this.#mute = true;
    this.#world.bell(this);
  }

  /** Executes the next part of work, or gives the GPU back. */
  #step(gvmcs: GvmcsInstance): void {
    if (this.#mute || !gvmcs.inside) return;
    const world = this.#world;
    const deadlineNs = gvmcs.deadlineNs();
    const head = this.#queue[0];
    if (this.fault === "deaf" && this.#takeFault("deaf")) {
      // Its work stays on the GPU until its process is gone.
      this.#running = true;
      world.gpu.run(this.id, Number.POSITIVE_INFINITY, () => {});
      return;
    }
    if (deadlineNs !== null && world.nowNs >= deadlineNs) {
      this.#exit(gvmcs, ExitReason.SLICE_USED);
      return;
    }
    if (head === undefined) {
      if (!this.keeps || deadlineNs !== null) this.#exit(gvmcs, ExitReason.IDLE);
      return;
    }
    if (this.#takeFault("hang")) {
      this.#hang(gvmcs);
      return;
    }
    let partNs = head.leftNs;
    if (head.kernel.sliceable) {
      const roomNs = deadlineNs === null ? PART_MAX_NS : deadlineNs - world.nowNs;
      // The measured cost per workgroup is never quite right.
      const errorPercent = 95 + world.random.below(16);
      const planned = Math.max(PART_MIN_NS, (roomNs * errorPercent) / 100);
      partNs = Math.min(partNs, Math.round(planned));
    }
    this.#running = true;
    const { generation } = this;
    world.gpu.run(this.id, partNs, () => {
      if (this.generation !== generation) return;
      if (!gvmcs.inside && !gvmcs.draining) return;
      if (this.fault === "endless-tail" && gvmcs.draining && this.#takeFault("endless-tail")) {
        this.#mute = true;
        return;
      }
      this.#finished(partNs);
      this.#running = false;
      if (gvmcs.draining) {
        gvmcs.drained(world.nowNs);
        world.bell(this);
      }
      this.#step(gvmcs);
    });
    this.#leaveBefore(gvmcs, partNs);
  }

  /** Leaves the turn before the end of a part after which nothing more fits or is there. */
  #leaveBefore(gvmcs: GvmcsInstance, partNs: number): void {
    const world = this.#world;
    const { generation } = this;
    const tailNsMax = this.#noteTail(gvmcs, false);
    if (!this.tails || tailNsMax === 0) return;
    const tailNs = Math.min(tailNsMax, partNs / 2);
    const startNs = world.nowNs;
    const check = (): void => {
      const head = this.#queue[0];
      if (this.generation !== generation || this.#mute || head === undefined) return;
      const deadlineNs = gvmcs.deadlineNs();
      if (!this.#running || !gvmcs.inside || deadlineNs === null) return;
      // Behind another one's tail the part begins when that has ended.
      const endNs = Math.max(startNs, gvmcs.aloneNs) + partNs;
      const laterNs = endNs - tailNs - world.nowNs;
      if (laterNs > 0) {
        world.after(laterNs, check);
        return;
      }
      const more = this.#queue.length > 1 || head.leftNs > partNs;
      if (more && deadlineNs - endNs > PART_MIN_NS) return;
      if (gvmcs.behind && !this.#takeFault("second-tail")) return;
      const reason = more ? ExitReason.SLICE_USED : ExitReason.IDLE;
      const long = this.fault === "long-tail" && this.#takeFault("long-tail");
      this.#exit(
        gvmcs,
        reason,
        long ? this.#longestTailNs + 1 : Math.max(1, endNs - world.nowNs),
        more,
      );
    };
    check();
  }

  #finished(partNs: number): void {
    const head = this.#queue[0];
    if (head === undefined) return;
    this.#gpuNs += partNs;
    this.#batches++;
    this.workNs += partNs;
    head.leftNs -= partNs;
    if (head.leftNs > 0) return;
    this.#queue.shift();
    this.kernelsDone++;
    this.latenciesNs.push(this.#world.nowNs - head.launchedNs);
    const pauseNs = this.workload.pause?.() ?? 0;
    if (pauseNs === 0) {
      this.#launch();
      return;
    }
    this.#pausing++;
    this.#world.after(pauseNs, () => {
      this.#pausing--;
      this.#launch();
    });
  }

  /** A kernel that never ends, which the instance's own watchdog notices. */
  #hang(gvmcs: GvmcsInstance): void {
    const world = this.#world;
    this.#running = true;
    world.gpu.run(this.id, Number.POSITIVE_INFINITY, () => {});
    const { generation } = this;
    world.after(this.watchdogNs, () => {
      if (this.generation !== generation) return;
      world.gpu.drop(this.id);
      world.gpu.addBusy(this.id, this.watchdogNs);
      this.#gpuNs += this.watchdogNs;
      this.#running = false;
      this.#queue.shift();
      this.#exit(gvmcs, ExitReason.WATCHDOG);
    });
  }

  #exit(gvmcs: GvmcsInstance, reason: ExitReason, tailNs = 0, more = this.#queue.length > 0): void {
    const world = this.#world;
    const state = this.#state;
    if (state === null) return;
    gvmcs.setDemand(more);
    const lie = this.fault === "lie" && this.#takeFault("lie");
    const gpuTimeNs = lie ? this.#gpuNs * 10 + 1e9 : Math.round(this.#gpuNs * this.claims);
    gvmcs.exit({ reason, gpuTimeNs, batches: this.#batches, tailNs }, world.nowNs);
    this.#gpuNs = 0;
    this.#batches = 0;
    const { words } = state;
    if (this.#takeFault("bad-reason")) words.store32(ExitInformation.offset + 12, 99);
    if (this.#takeFault("torn-record")) words.store32(ExitInformation.offset, 1);
    if (this.#takeFault("wrong-sequence")) {
      words.store32(StateWordsAt.exit_sequence, words.load32(StateWordsAt.exit_sequence) + 3);
    }
    world.bell(this);
    if (this.#takeFault("double-exit")) {
      world.after(200_000, () => {
        words.store32(StateWordsAt.exit_sequence, words.load32(StateWordsAt.exit_sequence) + 1);
        this.#breakDown();
      });
    }
    if (this.#takeFault("rogue")) world.gpu.addBusy(this.id, 500e6);
  }

  /** Whether this fault is to come out here and now. */
  #takeFault(fault: Fault): boolean {
    if (this.fault !== fault) return false;
    this.fault = null;
    this.faulted = true;
    return true;
  }
}
