// SPDX-License-Identifier: Apache-2.0
/**
 * The G-VMCS of every vGPU with a process, and the arbiter that enters them. For each process there
 * are two memfds (controls: written here, sealed against any new writable mapping before the
 * process gets it; state: written by the process) and two eventfds as doorbells.
 */
import {
  decodeGvmcs,
  formatGvmcs,
  GVMCS,
  gvmcsToJson,
  InjectedEvent,
  LaunchState,
} from "../gvmcs/index.js";
import {
  addSeals,
  close,
  createPoller,
  drain,
  eventfd,
  memfdCreate,
  PollEvents,
  Seals,
  signal,
} from "../io/native.js";
import { type MappedPage, mapSharedPage } from "../io/shared-page.js";
import type { Timer } from "../io/timers.js";
import {
  Arbiter,
  type ArbiterEvent,
  type HostDetails,
  type Standings,
  type VgpuSettings,
} from "../scheduler/index.js";

export interface ScheduleOptions {
  readonly nowNs: () => number;
  readonly timer: Timer;
  /** Device memory that may be promised to all vGPUs together, bytes; null: not limited. */
  readonly gpuMemoryBytes: number | null;
  /** Ends the process of a vGPU whose G-VMCS was aborted; `gone` follows. */
  readonly kill: (id: string, reason: string) => void;
  readonly observe: ((event: ArbiterEvent) => void) | null;
}

interface Pages {
  readonly controls: MappedPage;
  readonly state: MappedPage;
  readonly ringInstance: number;
  readonly ringBroker: number;
  /** Ours only until the process has them. */
  readonly memfds: readonly [number, number];
}

export class GpuSchedule {
  readonly #options: ScheduleOptions;
  readonly #arbiter: Arbiter;
  readonly #pages = new Map<string, Pages>();
  readonly #poller = createPoller();

  constructor(options: ScheduleOptions) {
    this.#options = options;
    this.#poller.unref();
    options.timer.unref();
    const { gpuMemoryBytes } = options;
    this.#arbiter = new Arbiter(gpuMemoryBytes === null ? {} : { memoryBytes: gpuMemoryBytes }, {
      ring: (id) => this.refresh(id),
      kill: (id, abort) => options.kill(id, abort.text),
      observe: options.observe ?? undefined,
    });
  }

  /** Admits a vGPU. Throws SettingsError. */
  add(id: string, settings: Partial<VgpuSettings>): void {
    this.#arbiter.add(id, settings, this.#options.nowNs());
  }

  /** Throws SettingsError; what it changes is in effect at the next entry. */
  set(id: string, settings: Partial<VgpuSettings>): void {
    this.#arbiter.set(id, settings, this.#options.nowNs());
    this.#arm();
  }

  /** Has the instance bring its part of the G-VMCS up to date. */
  refresh(id: string): void {
    const pages = this.#pages.get(id);
    if (pages !== undefined) signal(pages.ringInstance);
  }

  /** Has the instance drop all contexts at its next entry, which comes soon even if it is idle. */
  reset(id: string): void {
    this.#arbiter.inject(id, InjectedEvent.RESET, this.#options.nowNs());
    this.#arm();
  }

  /** Has the instance stop between two batches, for good: see {@link saved}. */
  save(id: string): void {
    this.#arbiter.inject(id, InjectedEvent.SAVE, this.#options.nowNs());
    this.#arm();
  }

  /** Whether it has done so. */
  saved(id: string): boolean {
    return this.#arbiter.gvmcs(id)?.launchState === LaunchState.SAVED;
  }

  /** The GPU has worked for the process for so long since it started, by a meter of ours. */
  audit(id: string, busyNs: number): void {
    this.#arbiter.audit(id, busyNs, this.#options.nowNs());
    this.#arm();
  }

  /**
   * Fresh pages and doorbells for a process that is about to be started. The descriptors, in the
   * order controls, state, its doorbell, ours, are for that process, and stay open here until
   * {@link started}.
   */
  prepare(id: string): readonly number[] {
    const page = (name: string): number => memfdCreate(name, GVMCS.PAGE_BYTES, { seals: 0 });
    const controlsFd = page(`gvmcs-controls-${id}`);
    const stateFd = page(`gvmcs-state-${id}`);
    const controls = mapSharedPage(controlsFd, GVMCS.PAGE_BYTES, false);
    const state = mapSharedPage(stateFd, GVMCS.PAGE_BYTES, true);
    const size = Seals.seal | Seals.shrink | Seals.grow;
    addSeals(controlsFd, size | Seals.futureWrite);
    addSeals(stateFd, size);
    const [ringInstance, ringBroker] = [eventfd(), eventfd()];
    const memfds = [controlsFd, stateFd] as const;
    this.#pages.set(id, { controls, state, ringInstance, ringBroker, memfds });
    this.#poller.watch(ringBroker, PollEvents.readable, () => {
      drain(ringBroker);
      this.#arbiter.bell(id, this.#options.nowNs);
      this.#arm();
    });
    return [...memfds, ringInstance, ringBroker];
  }

  /** The process has its descriptors. */
  started(id: string): void {
    for (const fd of this.#pages.get(id)?.memfds ?? []) close(fd);
  }

  /** The process has opened its GPU and can be entered once it has loaded its state page. */
  attach(id: string, host: HostDetails): void {
    const pages = this.#pages.get(id);
    if (pages !== undefined) this.#arbiter.attach(id, pages, host);
  }

  /** The process has ended. */
  gone(id: string): void {
    const pages = this.#pages.get(id);
    if (pages === undefined) return;
    this.#arbiter.gone(id, this.#options.nowNs());
    this.#pages.delete(id);
    this.#poller.unwatch(pages.ringBroker);
    pages.controls.unmap();
    pages.state.unmap();
    close(pages.ringInstance);
    close(pages.ringBroker);
    this.#arm();
  }

  standings(id: string): Standings {
    return this.#arbiter.standings(id);
  }

  /** Device memory that is promised to the vGPU, bytes. */
  memoryBytesMax(id: string): number {
    return this.#arbiter.memoryBytesMax(id);
  }

  lastAbort(id: string): string | null {
    return this.#arbiter.lastAbort(id)?.text ?? null;
  }

  /** The G-VMCS field by field, from copies; null while the vGPU has no process. */
  decoded(id: string): { text: string; json: Record<string, unknown> } | null {
    const pages = this.#pages.get(id);
    if (pages === undefined) return null;
    const decoded = decodeGvmcs(pages.controls.bytes.slice(), pages.state.bytes.slice());
    return { text: formatGvmcs(decoded), json: gvmcsToJson(decoded) };
  }

  close(): void {
    for (const id of [...this.#pages.keys()]) this.gone(id);
    this.#options.timer.close();
    this.#poller.close();
  }

  #arm(): void {
    const { timer, nowNs } = this.#options;
    const nextNs = this.#arbiter.nextNs();
    if (nextNs === null) {
      timer.disarm();
      return;
    }
    timer.arm(Math.max(1, Math.ceil(nextNs - nowNs())), () => {
      this.#arbiter.advance(nowNs());
      this.#arm();
    });
  }
}
