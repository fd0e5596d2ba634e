// SPDX-License-Identifier: Apache-2.0
/**
 * Keeps a software GPU's threads off the core of the thread that waits for them.
 *
 * Where no core is idle, Linux wakes a thread where it ran last, or where it is woken from. A client that
 * polls and an instance that looks for the end of its launch are two cores' work, so on a machine with two
 * the GPU's threads must run where one of them is. On the client's core they take nothing from anybody: it
 * has nothing else to do meanwhile. On the instance's, each of them delays a submission or the look that
 * would see the end; and once there they stay, for thousands of launches. So where this thread loses
 * its core about once a launch, or often in a train of short launches, the GPU's threads may not run on
 * that core any more, until something takes long: that may want all cores.
 */

/** What the system tells and does about cores; 0 is the calling thread. */
export interface Cores {
  /** How often the calling thread has lost its core to another thread. */
  involuntarySwitches(): number;
  currentCpu(): number;
  getAffinity(thread: number): number[];
  /** Throws if the thread is gone, or may not run on any of these. */
  setAffinity(thread: number, cpus: readonly number[]): void;
}

/** After so many launches the switches are looked at. */
const LAUNCHES_MIN = 32;
/** The same where sending the threads away has not helped again and again. */
const LAUNCHES_MAX = 2048;
/** So many lost cores a launch are too many. */
const SWITCHES_MAX = 0.7;
/** A launch, and what may come with it. */
const LAUNCH_OPERATIONS = 2;
/** Launches that come less often are not held up by this. */
const PERIOD_NS_MAX = 1_000_000;
/** Operations that take so long each, beside what a batch takes, are divided among the cores. */
const LONG_NS = 50_000;
const BATCH_NS = 150_000;
/** A single batch that takes long was rather held up. */
const LONG_BATCHES = 2;
/** So many lost cores an operation of a train are too many. */
const TRAIN_SWITCHES_MAX = 1 / 64;
/** A batch of so many operations, which is bounded in time, is a train of short ones. */
export const TRAIN_OPERATIONS = 64;

export class Placement {
  readonly #threads: ReadonlySet<number>;
  readonly #cores: Cores;
  readonly #nowNs: () => number;
  #enabled = true;
  #launches = 0;
  #interval = LAUNCHES_MIN;
  #switches = 0;
  #sinceNs = 0;
  #longBatches = 0;
  #trainSwitches = 0;
  #trainCrowded = false;
  /** Where the threads might run before they were sent away. */
  readonly #before = new Map<number, readonly number[]>();

  constructor(threads: ReadonlySet<number>, cores: Cores, nowNs: () => number) {
    this.#threads = threads;
    this.#cores = cores;
    this.#nowNs = nowNs;
  }

  /** Not while the GPU is shared: its threads are scheduled as batch work then. */
  set enabled(enabled: boolean) {
    this.#enabled = enabled;
    if (!enabled) this.restore();
  }

  /** A batch is submitted next; `lone`: nothing else is in flight. */
  submits(operations: number, lone: boolean): void {
    if (!this.#enabled) return;
    if (operations >= TRAIN_OPERATIONS) this.#beginTrain();
    if (operations > LAUNCH_OPERATIONS || !lone || ++this.#launches < this.#interval) return;
    const crowded = this.#crowded();
    this.#begin();
    if (!crowded) {
      this.#interval = LAUNCHES_MIN;
      return;
    }
    this.#interval = Math.min(2 * this.#interval, LAUNCHES_MAX);
    this.restore();
    this.#sendAway();
  }

  /** A batch of so many operations has taken so long. */
  ended(operations: number, ns: number): void {
    const long = ns >= BATCH_NS + LONG_NS * operations;
    if (operations >= TRAIN_OPERATIONS && this.#enabled) {
      const switches = this.#cores.involuntarySwitches() - this.#trainSwitches;
      this.#trainCrowded = !long && switches >= TRAIN_SWITCHES_MAX * operations;
    }
    this.#longBatches = long ? this.#longBatches + 1 : 0;
    if (this.#longBatches >= LONG_BATCHES) this.restore();
  }

  /** The threads are sent away if the last train was held up, wherever they were then. */
  #beginTrain(): void {
    if (this.#trainCrowded) {
      this.restore();
      this.#sendAway();
    }
    this.#trainCrowded = false;
    this.#trainSwitches = this.#cores.involuntarySwitches();
  }

  /** The threads may run where they might before: what is on the GPU takes long, and may want all cores. */
  restore(): void {
    for (const [thread, cpus] of this.#before) this.#allow(thread, cpus);
    this.#before.clear();
  }

  #begin(): void {
    this.#launches = 0;
    this.#switches = this.#cores.involuntarySwitches();
    this.#sinceNs = this.#nowNs();
  }

  #crowded(): boolean {
    const switches = this.#cores.involuntarySwitches() - this.#switches;
    const ns = this.#nowNs() - this.#sinceNs;
    return switches >= SWITCHES_MAX * this.#launches && ns < PERIOD_NS_MAX * this.#launches;
  }

  #sendAway(): void {
    const here = this.#cores.currentCpu();
    for (const thread of this.#threads) {
      const cpus = this.#affinity(thread);
      const others = cpus.filter((cpu) => cpu !== here);
      if (others.length === 0 || others.length === cpus.length) continue;
      if (this.#allow(thread, others)) this.#before.set(thread, cpus);
    }
  }

  /** None for a thread that is gone. */
  #affinity(thread: number): number[] {
    try {
      return this.#cores.getAffinity(thread);
    } catch {
      return [];
    }
  }

  #allow(thread: number, cpus: readonly number[]): boolean {
    try {
      this.#cores.setAffinity(thread, cpus);
      return true;
    } catch {
      return false;
    }
  }
}
