// SPDX-License-Identifier: Apache-2.0
/**
 * Notices a batch that is never done. The timer is armed once and looks at the oldest batch when it
 * fires, so that a launch costs no timer of its own.
 */
import type { BatchRecord } from "./batches.js";
import type { OneShot } from "./host.js";

export interface WatchdogOptions {
  /** Longest time of a batch; 0 waits for ever. */
  readonly limitNs: number;
  readonly nowNs: () => number;
  readonly timer: OneShot;
  readonly oldest: () => BatchRecord | undefined;
  /** The oldest batch has hung the GPU. */
  readonly hung: (record: BatchRecord, ageNs: number, text: string) => void;
}

export class Watchdog {
  readonly #options: WatchdogOptions;
  #armed = false;
  #lastDoneNs = 0;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  /** A batch was submitted. */
  started(): void {
    if (!this.#armed && this.#options.limitNs > 0) this.#arm(this.#options.limitNs);
  }

  /** A batch is done: the next one's time begins. */
  finished(): void {
    this.#lastDoneNs = this.#options.nowNs();
  }

  #arm(afterNs: number): void {
    this.#armed = true;
    this.#options.timer.arm(Math.max(1, Math.ceil(afterNs)), () => this.#look());
  }

  #look(): void {
    this.#armed = false;
    const { limitNs, nowNs, oldest, hung } = this.#options;
    const record = oldest();
    if (record === undefined) return;
    const ageNs = nowNs() - Math.max(record.submittedNs, this.#lastDoneNs);
    if (ageNs < limitNs) {
      this.#arm(limitNs - ageNs);
      return;
    }
    const age = (ageNs / 1e9).toFixed(1);
    const text = `a batch is not done after ${age} s, the watchdog's limit is ${limitNs / 1e9} s`;
    hung(record, ageNs, text);
  }
}
