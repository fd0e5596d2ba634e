// SPDX-License-Identifier: Apache-2.0
/**
 * When a process that has ended is started again. The first times at once, since a guest waits; if
 * it keeps ending, at growing intervals; and not at all once it has ended too often in a while: what
 * makes it end is then still there, and each start costs the host time that others pay for.
 */

export interface RestartLimits {
  /** Restarts within the window; the next one is refused. */
  readonly max: number;
  readonly windowMs: number;
}

export const DEFAULT_RESTARTS: RestartLimits = { max: 10, windowMs: 60_000 };

/** Restarts within the window that are not held back. */
const AT_ONCE = 3;
const DELAY_MS_MIN = 100;
const DELAY_MS_MAX = 10_000;

export class RestartPolicy {
  readonly #limits: RestartLimits;
  #times: number[] = [];

  constructor(limits: RestartLimits) {
    this.#limits = limits;
  }

  /** The process has ended: how long to wait, ms, or null if it is not to be started again. */
  next(nowMs: number): number | null {
    const recent = this.#recent(nowMs);
    if (recent >= this.#limits.max) return null;
    this.#times.push(nowMs);
    if (recent < AT_ONCE) return 0;
    return Math.min(DELAY_MS_MAX, DELAY_MS_MIN * 2 ** (recent - AT_ONCE));
  }

  /** Whether there is room for a restart now. */
  allows(nowMs: number): boolean {
    return this.#recent(nowMs) < this.#limits.max;
  }

  #recent(nowMs: number): number {
    this.#times = this.#times.filter((time) => nowMs - time < this.#limits.windowMs);
    return this.#times.length;
  }
}
