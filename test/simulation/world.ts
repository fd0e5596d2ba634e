// SPDX-License-Identifier: Apache-2.0
/**
 * Simulated time, a simulated GPU, and the production arbiter between simulated instances.
 * Nothing here reads a clock or chance of its own: a seed gives the same run every time.
 */

import type { Abort } from "../../src/gvmcs/index.js";
import { SeededRandom } from "../../src/io/random.js";
import {
  Arbiter,
  type ArbiterEvent,
  type SchedulerOptions,
  type VgpuSettings,
} from "../../src/scheduler/index.js";
import type { SimInstance } from "./instance.js";

/** A checker found that something does not hold. */
export class ViolationError extends Error {
  override readonly name = "ViolationError";
}

interface Due {
  readonly timeNs: number;
  readonly order: number;
  readonly action: () => void;
}

/** Events by time, and in the order of being added where times are equal: a binary heap. */
class Agenda {
  readonly #heap: Due[] = [];
  #order = 0;

  get nextNs(): number | null {
    return this.#heap[0]?.timeNs ?? null;
  }

  add(timeNs: number, action: () => void): void {
    const heap = this.#heap;
    const due = { timeNs, order: this.#order++, action };
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(due, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = due;
  }

  take(): Due | null {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined) return null;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      let below = heap[child];
      if (below === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && before(right, below)) {
        child++;
        below = right;
      }
      if (!before(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: Due, b: Due): boolean {
  return a.timeNs < b.timeNs || (a.timeNs === b.timeNs && a.order < b.order);
}

interface GpuRun {
  readonly id: string;
  readonly ns: number;
  readonly done: () => void;
}

/**
 * Executes one dispatch at a time. A second one may wait behind a tail; any other use of the GPU by two
 * is a violation unless its owner is a rogue.
 */
export class SimGpu {
  readonly #world: World;
  #running: GpuRun | null = null;
  #waiting: GpuRun | null = null;
  readonly busyNs = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Runs work of `id` for a time, or for ever if the time is infinite. */
  run(id: string, ns: number, done: () => void): void {
    const world = this.#world;
    if (world.arbiter.holder !== id) {
      world.violate(`${id} uses the GPU, which ${world.arbiter.holder ?? "nobody"} holds`);
    }
    const run = { id, ns, done };
    if (this.#running === null) {
      this.#start(run);
      return;
    }
    const owner = this.#running.id;
    if (owner === id || world.arbiter.tail !== owner || this.#waiting !== null) {
      world.violate(
        `${id} uses the GPU while ${owner} does, and ${this.#waiting?.id ?? "no other"}`,
      );
    }
    this.#waiting = run;
  }

  #start(run: GpuRun): void {
    const world = this.#world;
    this.#running = run;
    const startNs = world.nowNs;
    if (!Number.isFinite(run.ns)) return;
    world.after(run.ns, () => {
      if (this.#running !== run) return;
      this.addBusy(run.id, world.nowNs - startNs);
      this.#next();
      run.done();
    });
  }

  #next(): void {
    const next = this.#waiting;
    this.#running = null;
    this.#waiting = null;
    if (next !== null) this.#start(next);
  }

  addBusy(id: string, ns: number): void {
    this.busyNs.set(id, (this.busyNs.get(id) ?? 0) + ns);
  }

  /** The owner's process has ended, and its work with it. */
  drop(id: string): void {
    if (this.#waiting?.id === id) this.#waiting = null;
    if (this.#running?.id === id) this.#next();
  }

  get owner(): string | null {
    return this.#running?.id ?? null;
  }
}

export class World {
  readonly random: SeededRandom;
  readonly gpu: SimGpu;
  readonly arbiter: Arbiter;
  readonly instances = new Map<string, SimInstance>();
  /** What happened, for reproducing: equal for equal seeds. */
  fingerprint = 0;
  nowNs = 1e6;
  events = 0;
  /** The longest time for which each waited with work, ns. */
  readonly longestWaitNs = new Map<string, number>();
  readonly #waitingSinceNs = new Map<string, number>();
  readonly #agenda = new Agenda();
  #timerNs: number | null = null;

  constructor(seed: number, options: Partial<SchedulerOptions> & { memoryBytes?: number } = {}) {
    this.random = new SeededRandom(seed);
    this.gpu = new SimGpu(this);
    this.arbiter = new Arbiter(options, {
      ring: (id) => this.after(this.latencyNs(), () => this.instances.get(id)?.rung()),
      kill: (id, abort) => this.#killed(id, abort),
      observe: (event) => this.#observe(event),
    });
  }

  /** Time that a ring takes. */
  latencyNs(): number {
    return 2_000 + this.random.below(30_000);
  }

  after(ns: number, action: () => void): void {
    this.#agenda.add(this.nowNs + Math.max(0, Math.round(ns)), action);
  }

  violate(text: string): never {
    throw new ViolationError(`at ${(this.nowNs / 1e6).toFixed(3)} ms: ${text}`);
  }

  add(instance: SimInstance, settings: Partial<VgpuSettings>): void {
    this.instances.set(instance.id, instance);
    this.arbiter.add(instance.id, settings, this.nowNs);
    instance.start();
  }

  /** The instance rings the broker. */
  bell(instance: SimInstance): void {
    const { generation } = instance;
    this.after(this.latencyNs(), () => {
      if (instance.generation !== generation || !instance.alive) return;
      this.arbiter.bell(instance.id, () => this.nowNs);
      this.#arm();
    });
  }

  /** The process of an instance ends; the broker hears of it a little later. */
  end(instance: SimInstance, restartNs: number | null): void {
    if (!instance.alive) return;
    instance.die();
    this.after(50_000 + this.random.below(100_000), () => {
      this.gpu.drop(instance.id);
      this.arbiter.gone(instance.id, this.nowNs);
      this.#arm();
      if (restartNs !== null) this.after(restartNs, () => instance.start());
    });
  }

  /** Runs until a time, or until nothing is left to happen. */
  runUntil(endNs: number, stop: () => boolean = () => false): void {
    for (;;) {
      const nextNs = this.#agenda.nextNs;
      if (nextNs === null || nextNs > endNs || stop()) break;
      const due = this.#agenda.take();
      if (due === null) break;
      this.nowNs = due.timeNs;
      this.events++;
      due.action();
    }
  }

  /** Any call into the arbiter may change when it has to be called next. */
  touch(change: () => void): void {
    change();
    this.#arm();
  }

  #arm(): void {
    const nextNs = this.arbiter.nextNs();
    if (nextNs === null || nextNs === this.#timerNs) return;
    this.#timerNs = nextNs;
    // A timer is late by some microseconds, as real ones are.
    const lateNs = this.random.below(20_000);
    this.after(nextNs - this.nowNs + lateNs, () => {
      if (this.#timerNs === nextNs) this.#timerNs = null;
      this.arbiter.advance(this.nowNs);
      this.#arm();
    });
  }

  #killed(id: string, abort: Abort): void {
    const instance = this.instances.get(id);
    if (instance === undefined) return;
    instance.aborts.push(abort);
    this.end(instance, instance.restartNs);
  }

  /** An exit may be for want of work: then the wait begins with the next event. */
  #noteWait({ id, kind, timeNs }: ArbiterEvent): void {
    if (kind === "waiting" || kind === "exit") this.#waitingSinceNs.set(id, timeNs);
    if (kind === "idle" || kind === "gone") this.#waitingSinceNs.delete(id);
    const sinceNs = this.#waitingSinceNs.get(id);
    if (kind !== "entry" || sinceNs === undefined) return;
    this.#waitingSinceNs.delete(id);
    this.longestWaitNs.set(id, Math.max(this.longestWaitNs.get(id) ?? 0, timeNs - sinceNs));
  }

  #observe(event: ArbiterEvent): void {
    this.#noteWait(event);
    let text = `${event.timeNs} ${event.id} ${event.kind}`;
    if (event.kind === "exit") text += ` ${event.reason}`;
    for (let index = 0; index < text.length; index++) {
      this.fingerprint = (Math.imul(this.fingerprint, 31) + text.charCodeAt(index)) >>> 0;
    }
  }
}
