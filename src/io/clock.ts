// SPDX-License-Identifier: Apache-2.0
//
// The clock seam. Everything that measures or waits takes a Clock and Timers, so that a simulation
// can run the production code on simulated time and reproduce a run from its seed.

import { nowNs } from "./native.js";

export interface Clock {
  /** Monotonic time in nanoseconds; its origin has no meaning. */
  nowNs(): number;
  /** Wall-clock time in milliseconds since 1970, for records only. */
  wallMs(): number;
}

export const realClock: Clock = { nowNs, wallMs: () => Date.now() };

/** Time that moves only when told to. */
export class SimulatedClock implements Clock {
  #nowNs: number;
  readonly #wallOriginMs: number;

  constructor(options: { startNs?: number; wallOriginMs?: number } = {}) {
    this.#nowNs = options.startNs ?? 0;
    this.#wallOriginMs = options.wallOriginMs ?? 0;
  }

  nowNs(): number {
    return this.#nowNs;
  }

  wallMs(): number {
    return this.#wallOriginMs + Math.floor(this.#nowNs / 1e6);
  }

  /** Moves to a later time; RangeError for an earlier one, since time is monotonic. */
  advanceTo(timeNs: number): void {
    if (!(timeNs >= this.#nowNs)) {
      throw new RangeError(`the time ${timeNs} ns lies before the clock's ${this.#nowNs} ns`);
    }
    this.#nowNs = timeNs;
  }

  advanceBy(ns: number): void {
    this.advanceTo(this.#nowNs + ns);
  }
}
