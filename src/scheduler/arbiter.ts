// SPDX-License-Identifier: Apache-2.0
/**
 * The scheduler and the G-VMCS of each vGPU, joined: decisions become entries and bounds in the
 * controls pages, and what instances write becomes events, once it is judged. The broker and the
 * simulation drive this same code; they only ring, kill, and tell the time.
 *
 * A ring carries nothing: whoever is rung looks at its pages. Rings may be lost by merging, never
 * wholly, and may come for nothing.
 */
import {
  type Abort,
  AbortIndicator,
  AdapterMode,
  type ExecutionControls,
  ExitBitmap,
  type ExitInformation,
  ExitReason,
  Features,
  GVMCS,
  GvmcsBroker,
  type HostState,
  InjectedEvent,
  LaunchState,
  Policy,
  type Report,
  type SharedPage,
} from "../gvmcs/index.js";
import { MemoryLedger } from "./admission.js";
import type { ExitKind } from "./entity.js";
import { Scheduler } from "./scheduler.js";
import { type Policy as PolicyName, type SchedulingSettings, tailNsOf } from "./settings.js";
import type { CondemnReason, SchedulerAction, SchedulerOptions, Standings } from "./types.js";

/** What a trace shows; `timeNs` is the time of the event that caused it. */
export type ArbiterEvent = { readonly timeNs: number; readonly id: string } & (
  | { readonly kind: "loaded" | "waiting" | "idle" | "prepare" | "drained" | "gone" }
  | { readonly kind: "entry" | "bound"; readonly deadlineNs: number | null }
  | {
      readonly kind: "exit";
      readonly exit: ExitInformation;
      readonly reason: ExitKind;
      /** Submits that its guest waits for, as the instance says it. */
      readonly queued: number | null;
      /** Whether it has more work. */
      readonly wants: boolean;
    }
  | { readonly kind: "abort"; readonly abort: Abort }
);

export interface ArbiterPorts {
  /** Makes the instance look at its controls page. Must not call the arbiter from within. */
  ring(id: string): void;
  /** Ends the instance's process; `gone` follows when it has ended. Must not call from within. */
  kill(id: string, abort: Abort): void;
  readonly observe?: ((event: ArbiterEvent) => void) | undefined;
}

export interface VgpuSettings extends SchedulingSettings {
  /** Device memory; 0: not limited. */
  readonly memoryBytesMax: number;
  /** What it may do: bits of the G-VMCS's features. */
  readonly features: number;
}

export interface GvmcsPages {
  readonly controls: SharedPage;
  readonly state: SharedPage;
}

/** What an instance runs on, as its broker knows it. */
export interface HostDetails {
  readonly pid: number;
  readonly adapter: string;
  readonly vendorId: number;
}

interface Vgpu {
  gvmcs: GvmcsBroker | null;
  memoryBytesMax: number;
  features: number;
  generation: number;
  pendingEvent: InjectedEvent;
  lastAbort: Abort | null;
  wasWaiting: boolean;
  /** Whether it wants the GPU, or its guest has contexts. */
  present: boolean;
}

const POLICY_VALUES: Readonly<Record<PolicyName, Policy>> = {
  "best-effort": Policy.BEST_EFFORT,
  equal: Policy.EQUAL,
  fixed: Policy.FIXED,
  weighted: Policy.WEIGHTED,
};
const EXIT_KINDS: ReadonlyMap<number, ExitKind> = new Map([
  [ExitReason.SLICE_USED, "slice-used"],
  [ExitReason.IDLE, "idle"],
  [ExitReason.YIELD, "yield"],
  [ExitReason.FAULT, "fault"],
  [ExitReason.WATCHDOG, "watchdog"],
  [ExitReason.RESET, "reset"],
  [ExitReason.SAVE, "save"],
]);
const CONDEMN_INDICATORS: Readonly<Record<CondemnReason, AbortIndicator>> = {
  overdue: AbortIndicator.OVERDUE,
  "time-claim": AbortIndicator.TIME_CLAIM,
  audit: AbortIndicator.AUDIT,
};

/** Settings as the controls page holds them. */
export function executionControls(
  settings: SchedulingSettings,
  memoryBytesMax: number,
  features: number = Features.ALL,
): ExecutionControls {
  return {
    policy: POLICY_VALUES[settings.policy],
    weight: settings.weight,
    slice_ns: settings.sliceNs,
    min_share_ppm: Math.round(settings.minShare * GVMCS.SHARE_ONE_PPM),
    max_share_ppm: Math.round(settings.maxShare * GVMCS.SHARE_ONE_PPM),
    memory_bytes_max: memoryBytesMax,
    watchdog_ns: settings.watchdogNs,
    features,
    exit_bitmap: ExitBitmap.ALL,
    tail_ns_max: tailNsOf(settings),
  };
}

export class Arbiter {
  readonly #ports: ArbiterPorts;
  readonly #scheduler: Scheduler;
  readonly #memory: MemoryLedger;
  readonly #vgpus = new Map<string, Vgpu>();

  constructor(
    options: Partial<SchedulerOptions> & { readonly memoryBytes?: number },
    ports: ArbiterPorts,
  ) {
    const { memoryBytes, ...scheduling } = options;
    this.#scheduler = new Scheduler(scheduling);
    this.#memory = new MemoryLedger(memoryBytes ?? null);
    this.#ports = ports;
  }

  get holder(): string | null {
    return this.#scheduler.holder;
  }

  /** Whose tail is on the GPU. */
  get tail(): string | null {
    return this.#scheduler.tail;
  }

  get promisedBytes(): number {
    return this.#memory.promisedBytes;
  }

  /** When to call {@link advance} next; null: only an event can change anything. */
  nextNs(): number | null {
    return this.#scheduler.nextNs();
  }

  advance(nowNs: number): void {
    this.#act(this.#scheduler.advance(nowNs), nowNs);
  }

  /** Admits a vGPU, with no instance yet. Throws SettingsError, which says what does not fit. */
  add(id: string, settings: Partial<VgpuSettings>, nowNs: number): void {
    const { memoryBytesMax = 0, features = Features.ALL, ...scheduling } = settings;
    if (this.#vgpus.has(id)) throw new Error(`vGPU ${id} is added already`);
    this.#memory.promise(id, memoryBytesMax);
    let actions: SchedulerAction[];
    try {
      actions = this.#scheduler.add(id, scheduling, nowNs);
    } catch (error) {
      this.#memory.release(id);
      throw error;
    }
    this.#vgpus.set(id, {
      gvmcs: null,
      memoryBytesMax,
      features,
      generation: 0,
      pendingEvent: InjectedEvent.NONE,
      lastAbort: null,
      wasWaiting: false,
      present: false,
    });
    this.#act(actions, nowNs);
  }

  /** The vGPU exists no more, and its process is gone. */
  remove(id: string, nowNs: number): void {
    this.#setPresent(this.#need(id), false);
    const actions = this.#scheduler.remove(id, nowNs);
    this.#vgpus.delete(id);
    this.#memory.release(id);
    this.#act(actions, nowNs);
  }

  /** Changes settings live; they are in effect at the next entry. Throws SettingsError. */
  set(id: string, changes: Partial<VgpuSettings>, nowNs: number): void {
    const vgpu = this.#need(id);
    const { memoryBytesMax = vgpu.memoryBytesMax, features, ...scheduling } = changes;
    const before = vgpu.memoryBytesMax;
    this.#memory.promise(id, memoryBytesMax);
    let actions: SchedulerAction[];
    try {
      actions = this.#scheduler.set(id, scheduling, nowNs);
    } catch (error) {
      this.#memory.promise(id, before);
      throw error;
    }
    vgpu.memoryBytesMax = memoryBytesMax;
    vgpu.features = features ?? vgpu.features;
    if (vgpu.gvmcs !== null) {
      vgpu.gvmcs.setExecution(this.#execution(id, vgpu));
      // Idle ones too: their guests allocate memory without an entry.
      this.#ports.ring(id);
    }
    this.#act(actions, nowNs);
  }

  /** A process for the vGPU has been started on these pages, both zeroed, which it maps too. */
  attach(id: string, pages: GvmcsPages, host: HostDetails): void {
    const vgpu = this.#need(id);
    if (vgpu.gvmcs !== null) throw new Error(`vGPU ${id} has a process already`);
    vgpu.generation++;
    const state: HostState = {
      owner_pid: host.pid,
      mode: AdapterMode.VIRTUAL,
      generation: vgpu.generation,
      vendor_id: host.vendorId,
      adapter: host.adapter,
      vgpu: id,
    };
    const execution = this.#execution(id, vgpu);
    vgpu.gvmcs = new GvmcsBroker(pages, { host: state, execution });
    vgpu.pendingEvent = InjectedEvent.NONE;
    this.#tellOthers();
  }

  /** The instance's process has ended, whatever the cause. */
  gone(id: string, nowNs: number): void {
    const vgpu = this.#need(id);
    vgpu.gvmcs = null;
    vgpu.wasWaiting = false;
    this.#setPresent(vgpu, false);
    this.#observe({ timeNs: nowNs, id, kind: "gone" });
    this.#act(this.#scheduler.gone(id, nowNs), nowNs);
  }

  /**
   * The instance has rung: look at its state page. The time is taken after each look: what is found there may
   * have come while this process had no core, and is charged until it was found.
   */
  bell(id: string, clock: () => number): void {
    const vgpu = this.#need(id);
    const { gvmcs } = vgpu;
    if (gvmcs === null) return;
    const report = gvmcs.poll();
    this.#setPresent(vgpu, gvmcs.present);
    this.#judge(id, vgpu, gvmcs, report, clock());
    // A tail may have ended by the time that its exit is seen.
    if (report.kind === "exit" && gvmcs.draining) this.bell(id, clock);
  }

  #judge(id: string, vgpu: Vgpu, gvmcs: GvmcsBroker, report: Report, nowNs: number): void {
    switch (report.kind) {
      case "abort":
        this.#abort(id, vgpu, report.abort, nowNs);
        return;
      case "exit":
        this.#exit(id, vgpu, gvmcs, report.exit, nowNs);
        return;
      case "drained":
        this.#observe({ timeNs: nowNs, id, kind: "drained" });
        // Whether it has more work, before it is looked for whom to enter.
        this.#demand(id, vgpu, gvmcs, nowNs);
        this.#act(this.#scheduler.drained(id, nowNs, report.endedNs), nowNs);
        return;
      case "loaded":
        this.#observe({ timeNs: nowNs, id, kind: "loaded" });
        this.#demand(id, vgpu, gvmcs, nowNs);
        return;
      case "nothing":
        this.#demand(id, vgpu, gvmcs, nowNs);
        return;
    }
  }

  #setPresent(vgpu: Vgpu, present: boolean): void {
    if (vgpu.present === present) return;
    vgpu.present = present;
    this.#tellOthers();
  }

  /** Before a guest's first work comes, the others hear that they are not alone any more. */
  #tellOthers(): void {
    let present = 0;
    for (const each of this.#vgpus.values()) if (each.present) present++;
    for (const each of this.#vgpus.values())
      each.gvmcs?.setOthers(each.present ? present - 1 : present);
  }

  /** Has the instance do something at its next entry, for which it is entered even if idle. */
  inject(id: string, event: InjectedEvent, nowNs: number): void {
    const vgpu = this.#need(id);
    vgpu.pendingEvent = event;
    if (vgpu.gvmcs !== null) this.#demand(id, vgpu, vgpu.gvmcs, nowNs);
  }

  /** See {@link Scheduler.audit}. */
  audit(id: string, busyNs: number, nowNs: number): void {
    this.#need(id);
    this.#act(this.#scheduler.audit(id, busyNs, nowNs), nowNs);
  }

  /** Device memory that is promised to the vGPU, bytes; 0: not limited. */
  memoryBytesMax(id: string): number {
    return this.#need(id).memoryBytesMax;
  }

  gvmcs(id: string): GvmcsBroker | null {
    return this.#need(id).gvmcs;
  }

  /** Why the last instance that was aborted was. */
  lastAbort(id: string): Abort | null {
    return this.#need(id).lastAbort;
  }

  standings(id: string): Standings {
    return this.#scheduler.standings(id);
  }

  #need(id: string): Vgpu {
    const vgpu = this.#vgpus.get(id);
    if (vgpu === undefined) throw new Error(`there is no vGPU ${id}`);
    return vgpu;
  }

  #execution(id: string, vgpu: Vgpu): ExecutionControls {
    const { settings } = this.#scheduler.standings(id);
    return executionControls(settings, vgpu.memoryBytesMax, vgpu.features);
  }

  #wants(vgpu: Vgpu, gvmcs: GvmcsBroker): boolean {
    if (gvmcs.launchState === LaunchState.READY || gvmcs.entered || gvmcs.draining) {
      return gvmcs.demand || vgpu.pendingEvent !== InjectedEvent.NONE;
    }
    return false;
  }

  #demand(id: string, vgpu: Vgpu, gvmcs: GvmcsBroker, nowNs: number): void {
    if (gvmcs.launchState === LaunchState.ABORTED) return;
    const wants = this.#wants(vgpu, gvmcs);
    if (wants !== vgpu.wasWaiting && !gvmcs.entered) {
      this.#observe({ timeNs: nowNs, id, kind: wants ? "waiting" : "idle" });
      vgpu.wasWaiting = wants;
    }
    const scheduler = this.#scheduler;
    this.#act(wants ? scheduler.runnable(id, nowNs) : scheduler.idle(id, nowNs), nowNs);
  }

  #exit(id: string, vgpu: Vgpu, gvmcs: GvmcsBroker, exit: ExitInformation, nowNs: number): void {
    const reason = EXIT_KINDS.get(exit.reason);
    if (reason === undefined) throw new Error(`exit reason ${exit.reason} was not validated`);
    const queued = this.#ports.observe === undefined ? null : gvmcs.queuedSubmits;
    const wants = this.#wants(vgpu, gvmcs);
    this.#observe({ timeNs: nowNs, id, kind: "exit", exit, reason, queued, wants });
    vgpu.wasWaiting = wants;
    const { tail } = this.#scheduler;
    if (exit.tail_ns > 0 && tail !== null) {
      const text = `the exit leaves a tail behind that of vGPU ${tail}`;
      this.#abort(id, vgpu, gvmcs.abort(AbortIndicator.TAIL, text), nowNs);
      return;
    }
    const report = { kind: reason, gpuNs: exit.gpu_time_ns, wants, tailNs: exit.tail_ns };
    this.#act(this.#scheduler.exit(id, report, nowNs), nowNs);
  }

  #abort(id: string, vgpu: Vgpu, abort: Abort, nowNs: number): void {
    vgpu.lastAbort = abort;
    this.#observe({ timeNs: nowNs, id, kind: "abort", abort });
    const actions = this.#scheduler.condemn(id, nowNs);
    this.#ports.kill(id, abort);
    this.#act(actions, nowNs);
  }

  #act(actions: readonly SchedulerAction[], nowNs: number): void {
    for (const action of actions) {
      const { id } = action;
      const vgpu = this.#need(id);
      const { gvmcs } = vgpu;
      if (gvmcs === null) throw new Error(`vGPU ${id} has no instance for ${action.kind}`);
      switch (action.kind) {
        case "enter": {
          const { deadlineNs } = action;
          const { tailEndNs } = this.#scheduler;
          gvmcs.enter({ deadlineNs, event: vgpu.pendingEvent, tailEndNs }, nowNs);
          vgpu.pendingEvent = InjectedEvent.NONE;
          vgpu.wasWaiting = false;
          this.#observe({ timeNs: nowNs, id, kind: "entry", deadlineNs });
          this.#ports.ring(id);
          break;
        }
        case "bound":
          gvmcs.bound(action.deadlineNs);
          this.#observe({ timeNs: nowNs, id, kind: "bound", deadlineNs: action.deadlineNs });
          this.#ports.ring(id);
          break;
        case "alone":
          gvmcs.alone(action.sinceNs);
          break;
        case "prepare":
          gvmcs.prepare();
          this.#observe({ timeNs: nowNs, id, kind: "prepare" });
          this.#ports.ring(id);
          break;
        case "kill": {
          const abort = gvmcs.abort(CONDEMN_INDICATORS[action.reason]);
          vgpu.lastAbort = abort;
          this.#observe({ timeNs: nowNs, id, kind: "abort", abort });
          this.#ports.kill(id, abort);
          break;
        }
      }
    }
  }

  #observe(event: ArbiterEvent): void {
    this.#ports.observe?.(event);
  }
}
