// SPDX-License-Identifier: Apache-2.0
/**
 * Notices a launch that is never done. The timer is armed once and looks at the oldest batch when
 * it fires, so that a launch costs no timer of its own. A batch's time begins when the GPU is done
 * with those before it, and with another one's tail; one of several launches has the limit for each,
 * up to a few: they are short as far as is known, but what they cost may have changed.
 */
import type { BatchRecord } from "./batches.js";
import type { OneShot } from "./host.js";
import type { InFlight } from "./in-flight.js";

export interface WatchdogOptions {
  /** Longest time of a launch; 0 waits for ever. */
  readonly limitNs: () => number;
  readonly nowNs: () => number;
  readonly timer: OneShot;
  readonly flight: InFlight;
  /** Since when the GPU has no other one's work, which may hang just as well. */
  readonly aloneNs: () => number;
  /** The oldest batch has hung the GPU. */
  readonly hung: (record: BatchRecord, ageNs: number, text: string) => void;
}

/** A batch's time is at most this many times the limit. */
const LAUNCHES_MAX = 4;
/** Where the timer is this much late, the host was busy: completions get a moment to come in. */
const LATE_SHARE = 1 / 8;

export class Watchdog {
  readonly #options: WatchdogOptions;
  #armed = false;
  #dueNs = 0;
  #waitedFor: BatchRecord | null = null;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  /** A batch was submitted. */
  started(): void {
    const limitNs = this.#options.limitNs();
    if (!this.#armed && limitNs > 0) this.#arm(limitNs);
  }

  #arm(afterNs: number): void {
    this.#armed = true;
    const ns = Math.max(1, Math.ceil(afterNs));
    this.#dueNs = this.#options.nowNs() + ns;
    this.#options.timer.arm(ns, () => this.#look());
  }

  #look(): void {
    this.#armed = false;
    const { nowNs, flight, hung } = this.#options;
    const limitNs = this.#options.limitNs();
    const record = flight.oldest;
    if (record === undefined || limitNs === 0) return;
    const now = nowNs();
    const ageNs = now - Math.max(flight.beganNs(record), this.#options.aloneNs());
    const batchNs = limitNs * Math.min(LAUNCHES_MAX, Math.max(1, record.kernels));
    const lateNs = limitNs * LATE_SHARE;
    if (ageNs < batchNs) {
      this.#arm(batchNs - ageNs);
      return;
    }
    if (now - this.#dueNs > lateNs && this.#waitedFor !== record) {
      this.#waitedFor = record;
      this.#arm(lateNs);
      return;
    }
    const age = (ageNs / 1e9).toFixed(1);
    const text = `a batch is not done after ${age} s, the watchdog's limit is ${batchNs / 1e9} s`;
    hung(record, ageNs, text);
  }
}
