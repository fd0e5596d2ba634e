// SPDX-License-Identifier: Apache-2.0
//
// The timer seam: one-shot timers in nanoseconds, real (timerfd, finer than setTimeout's
// millisecond) or simulated. A timer is an object that is armed again and again, so that a hot path
// allocates none.

import type { SimulatedClock } from "./clock.js";
import { createHrTimer, type HrTimer } from "./native.js";

/** A one-shot timer; arming replaces what was armed. */
export type Timer = HrTimer;

export interface Timers {
  create(): Timer;
}

export const realTimers: Timers = { create: createHrTimer };

interface Armed {
  readonly deadlineNs: number;
  readonly order: number;
  readonly callback: () => void;
}

/** Timers on a simulated clock: they fire, in order of deadline, while `runUntil` moves it. */
export class SimulatedTimers implements Timers {
  readonly #clock: SimulatedClock;
  readonly #armed = new Map<SimulatedTimer, Armed>();
  #order = 0;

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  create(): Timer {
    return new SimulatedTimer(this);
  }

  /** The earliest deadline, or null when nothing is armed. */
  get nextDeadlineNs(): number | null {
    return this.#next()?.[1].deadlineNs ?? null;
  }

  /** Moves the clock to `timeNs`, firing what falls due on the way at its own time. */
  runUntil(timeNs: number): void {
    for (let next = this.#next(); next !== null; next = this.#next()) {
      const [timer, armed] = next;
      if (armed.deadlineNs > timeNs) break;
      this.#clock.advanceTo(Math.max(armed.deadlineNs, this.#clock.nowNs()));
      this.#armed.delete(timer);
      armed.callback();
    }
    this.#clock.advanceTo(timeNs);
  }

  /** For SimulatedTimer. */
  set(timer: SimulatedTimer, ns: number, callback: () => void): void {
    this.#order += 1;
    const deadlineNs = this.#clock.nowNs() + ns;
    this.#armed.set(timer, { deadlineNs, order: this.#order, callback });
  }

  /** For SimulatedTimer. */
  unset(timer: SimulatedTimer): void {
    this.#armed.delete(timer);
  }

  /** For SimulatedTimer. */
  isSet(timer: SimulatedTimer): boolean {
    return this.#armed.has(timer);
  }

  #next(): [SimulatedTimer, Armed] | null {
    let best: [SimulatedTimer, Armed] | null = null;
    for (const entry of this.#armed) {
      const sooner =
        best === null ||
        entry[1].deadlineNs < best[1].deadlineNs ||
        (entry[1].deadlineNs === best[1].deadlineNs && entry[1].order < best[1].order);
      if (sooner) best = entry;
    }
    return best;
  }
}

class SimulatedTimer implements Timer {
  readonly #timers: SimulatedTimers;
  #closed = false;

  constructor(timers: SimulatedTimers) {
    this.#timers = timers;
  }

  get armed(): boolean {
    return this.#timers.isSet(this);
  }

  arm(ns: number, callback: () => void): void {
    if (this.#closed) throw new Error("the timer is closed");
    if (!Number.isSafeInteger(ns) || ns < 0) {
      throw new RangeError(`argument 'ns' is ${ns}; it must be an integer from 0`);
    }
    this.#timers.set(this, ns, callback);
  }

  disarm(): void {
    this.#timers.unset(this);
  }

  ref(): void {}
  unref(): void {}

  close(): void {
    this.disarm();
    this.#closed = true;
  }
}
