// SPDX-License-Identifier: Apache-2.0
/**
 * Decides when Dawn looks for finished work.
 *
 * Dawn's Node binding has no thread of its own: while anything is pending it calls
 * `globalThis.setImmediate` with a native function (the tick) on every turn of the event loop, and
 * so burns a whole core during a long kernel. It looks the function up at each call, which lets us
 * take the tick away from it: the ticker keeps the function and calls it when an answer is likely.
 * For a short while after a submission on every turn of the loop (latency), then at growing
 * intervals, a small fraction of the time already waited (CPU). Work that is expected to take long is
 * left alone for longer: it is looked for when it should end, and a few times before, in case it ends
 * early; how closely then depends on how long it took.
 *
 * Only calls made while {@link Ticker.call} is on the stack are Dawn's; all others pass through.
 */

import type { Interest } from "../executor.js";

/** One-shot timer with sub-millisecond resolution. */
export interface TickTimer {
  /** Calls `callback` once after `delayNs`; replaces an earlier call. */
  arm(delayNs: number, callback: () => void): void;
  disarm(): void;
}

export interface TickerOptions {
  readonly nowNs: () => number;
  readonly timer: TickTimer;
  /** How long after the last activity every turn of the loop ticks. */
  readonly spinNs?: number;
  /** Longest sleep between two ticks. */
  readonly sleepNsMax?: number;
}

const SPIN_NS = 300_000;
/** How long a short piece of work is awaited without a turn of the event loop. */
const SHORT_SPIN_NS = 60_000;
/** How long a thread stays awake for many short pieces of work. */
const AWAKE_NS = 20_000_000;
const SLEEP_NS_MIN = 30_000;
const SLEEP_NS_MAX = 4_000_000;
/** A wait is lengthened by at most a sixteenth by sleeping. */
const SLEEP_SHARE = 1 / 16;
/** Work that is expected to take so long from its submission on costs no spinning. */
const LONG_NS = 4_000_000;
/** The same where the GPU is cores of this machine, from which each look takes one. */
const SOFTWARE_LONG_NS = 1_000_000;
/** The same, and how long every turn ticks, where other processes want those cores too. */
const FRUGAL_LONG_NS = 500_000;
const FRUGAL_SPIN_NS = 30_000;
/** Before its expected end, a wait that ends early is lengthened by at most a quarter. */
const SLEEP_SHARE_EXPECTED = 1 / 4;
/** The same where nobody waits for it, and the GPU has as much to do after it. */
const SLEEP_SHARE_UNHURRIED = 1;
/** The last part of the expected time, in which a wait is lengthened by a 64th at most. */
const DUE_SHARE = 1 / 8;
const SLEEP_SHARE_NEAR = 1 / 64;
/** Where others wait for the end: this share before and after the expected time every turn looks. */
const AWAITED_SHARE = 1 / 48;
/** After its expected end, by this share. */
const SLEEP_SHARE_DUE = 1 / 128;
/** The same for a tail: each look takes the core from those who have the GPU now. */
const SLEEP_SHARE_TAIL = 1 / 32;
const SLEEP_NS_MAX_TAIL = 300_000;

export class Ticker {
  readonly #nowNs: () => number;
  readonly #timer: TickTimer;
  readonly #spinNs: number;
  readonly #sleepNsMax: number;
  readonly #originalSetImmediate: typeof setImmediate;
  #depth = 0;
  #tick: (() => void) | null = null;
  #scheduled: "no" | "turn" | "timer" = "no";
  #activeNs = 0;
  /** Until then ticks follow one another in the microtask queue. */
  #shortUntilNs = 0;
  /** Until then every turn of the loop ticks. */
  #awakeUntilNs = 0;
  #expectedNs = 0;
  #interest: Interest = "guest";
  #wakeNs = 0;
  /** Whether the GPU is cores of this machine. */
  software = false;
  /** Whether it is, and other processes want too: looks are few. */
  frugal = false;
  /** Called when what is awaited takes long, or is expected to. */
  onLong: (() => void) | null = null;
  /** Ticks so far, for tests and benchmarks. */
  ticks = 0;
  readonly #run = (): void => {
    this.#scheduled = "no";
    this.tickNow();
  };

  constructor(options: TickerOptions) {
    this.#nowNs = options.nowNs;
    this.#timer = options.timer;
    this.#spinNs = options.spinNs ?? SPIN_NS;
    this.#sleepNsMax = options.sleepNsMax ?? SLEEP_NS_MAX;
    this.#originalSetImmediate = globalThis.setImmediate;
    const original = this.#originalSetImmediate;
    const replaced = (callback: (...args: unknown[]) => void, ...args: unknown[]): unknown => {
      if (this.#depth > 0) {
        this.#tick = callback as () => void;
        this.#schedule();
        return undefined;
      }
      return original(callback, ...args);
    };
    globalThis.setImmediate = Object.assign(replaced, {
      __promisify__: original.__promisify__,
    }) as unknown as typeof setImmediate;
  }

  /** Gives `setImmediate` back. Dawn must have nothing pending. */
  restore(): void {
    this.#timer.disarm();
    globalThis.setImmediate = this.#originalSetImmediate;
  }

  /** Runs a call into Dawn; ticks that it asks for are ours to schedule. */
  call<T>(body: () => T): T {
    this.#depth++;
    try {
      return body();
    } finally {
      this.#depth--;
    }
  }

  /**
   * Work was submitted or an answer is expected soon: tick on every turn for a while. Where the work
   * is short and the only one, not even a turn of the event loop passes between two ticks at first.
   */
  activity(short = false): void {
    this.#activeNs = this.#nowNs();
    if (short) this.#shortUntilNs = this.#activeNs + SHORT_SPIN_NS;
    if (this.#scheduled === "timer") {
      this.#timer.disarm();
      this.#scheduled = "no";
      this.#schedule();
    }
  }

  /**
   * Many short pieces of work were submitted to a GPU that is threads of this machine. They wake
   * each other for every piece, which costs several times more on cores that sleep; as long as this
   * thread keeps one awake, they share the other and the work ends in half the time.
   */
  manyShort(): void {
    this.#awakeUntilNs = this.#nowNs() + AWAKE_NS;
    this.activity();
  }

  /**
   * The oldest work is expected to end then: a sleep ends there, and what follows is as after an
   * activity, for the GPU may be idle from then on. A new time replaces the last one. `interest`: who
   * waits for that end.
   */
  expect(timeNs: number, interest: Interest = "guest"): void {
    this.#expectedNs = timeNs;
    this.#interest = interest;
    if (this.#long) this.onLong?.();
    if (this.#scheduled === "timer" && timeNs < this.#wakeNs) {
      this.#timer.disarm();
      this.#scheduled = "no";
      this.#schedule();
    }
  }

  /** Lets Dawn process its events at once, if it has any pending. */
  tickNow(): boolean {
    const tick = this.#tick;
    if (tick === null) {
      return false;
    }
    this.#tick = null;
    this.ticks++;
    this.call(tick);
    return true;
  }

  #schedule(): void {
    if (this.#scheduled !== "no") {
      return;
    }
    const now = this.#nowNs();
    if (now < this.#shortUntilNs && !this.#long) {
      this.#scheduled = "turn";
      queueMicrotask(this.#run);
      return;
    }
    const sleepNs = this.#sleepNs(now);
    if (sleepNs === 0 || now < this.#awakeUntilNs) {
      this.#scheduled = "turn";
      this.#originalSetImmediate(this.#run);
      return;
    }
    this.onLong?.();
    this.#scheduled = "timer";
    this.#wakeNs = now + sleepNs;
    this.#timer.arm(Math.ceil(sleepNs), this.#run);
  }

  /** Whether what was submitted last is expected to end long after. */
  get #long(): boolean {
    return this.#expectedNs - this.#activeNs >= this.#longNs;
  }

  get #longNs(): number {
    if (this.frugal) return FRUGAL_LONG_NS;
    return this.software ? SOFTWARE_LONG_NS : LONG_NS;
  }

  /** How long nobody needs to look; 0 to look again at once. */
  #sleepNs(now: number): number {
    const aheadNs = this.#expectedNs - now;
    const ranNs = now - this.#activeNs;
    const long = this.#long;
    const totalNs = ranNs + aheadNs;
    const closeNs = this.#interest === "process" && long ? totalNs * AWAITED_SHARE : 0;
    if (Math.abs(aheadNs) < closeNs) return 0;
    if (this.#interest === "tail" && long) {
      const tailNs = Math.min(ranNs * SLEEP_SHARE_TAIL, SLEEP_NS_MAX_TAIL);
      return aheadNs > 0 ? Math.min(aheadNs, Math.max(tailNs, aheadNs / 2)) : tailNs;
    }
    if (aheadNs > 0 && long) {
      if (this.#interest === "none")
        return Math.min(aheadNs, Math.max(LONG_NS, ranNs) * SLEEP_SHARE_UNHURRIED);
      const dueInNs = aheadNs - totalNs * DUE_SHARE;
      // An end that is only looked for when it is expected is never seen to come before.
      const nearNs = Math.max(this.frugal ? SLEEP_NS_MIN : 0, totalNs * SLEEP_SHARE_NEAR);
      if (dueInNs <= 0) return Math.min(aheadNs - closeNs, nearNs);
      const leastNs = this.frugal ? LONG_NS : this.#longNs;
      return Math.min(dueInNs, Math.max(leastNs, ranNs) * SLEEP_SHARE_EXPECTED);
    }
    const waitedNs = aheadNs > 0 ? ranNs : now - Math.max(this.#activeNs, this.#expectedNs);
    // What took long is not looked for on every turn when it should end: its end is never exact.
    const dueNs = long ? ranNs * SLEEP_SHARE_DUE : 0;
    const spinNs = this.frugal ? FRUGAL_SPIN_NS : this.#spinNs;
    if (!long && waitedNs < spinNs) return 0;
    const sleepNs = Math.max(SLEEP_NS_MIN, dueNs, waitedNs * SLEEP_SHARE);
    const sleepNsMax = Math.min(this.#sleepNsMax, aheadNs > 0 ? aheadNs : this.#sleepNsMax);
    return Math.min(sleepNs, sleepNsMax);
  }
}
