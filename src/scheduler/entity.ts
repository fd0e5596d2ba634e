// SPDX-License-Identifier: Apache-2.0
/**
 * What the scheduler knows of one vGPU: its settings, its standing against the others, its caps,
 * and its account.
 *
 * `lagNs` is how much GPU time the vGPU is behind (positive) or ahead (negative: a debt) of what
 * its share gave it. While it has no work it is kept apart as `gapNs`, so that neither a debt nor a
 * claim is lost by a short pause.
 */
import type { SchedulingSettings } from "./settings.js";

/** Counters since the vGPU was added. Times in ns, by the broker's clock unless said otherwise. */
export interface Account {
  /** GPU held, overshoot and tails included, less the tails of others: what is charged. */
  heldNs: number;
  /** GPU held, or a tail there, whoever else was there too. */
  presentNs: number;
  /** GPU time as the instance's exits claim it, at most what it was there. */
  gpuNs: number;
  /** With work, and without the GPU. */
  waitNs: number;
  /** Part of the wait in which a maximum or a reservation forbade to enter it. */
  throttledNs: number;
  /** Held past deadlines, in all and at most in one entry. */
  overshootNs: number;
  overshootMaxNs: number;
  entries: number;
  /** Exits that left a tail. */
  tails: number;
  exits: Record<ExitKind, number>;
  /** How often it was condemned for its exits or for the want of one. */
  condemned: number;
}

export const exitKinds = [
  "slice-used",
  "idle",
  "yield",
  "fault",
  "watchdog",
  "reset",
  "save",
] as const;
export type ExitKind = (typeof exitKinds)[number];

/** A bucket of GPU time that fills at a rate; work is allowed while it is not empty. */
export class Allowance {
  rate: number;
  tokensNs: number;

  constructor(rate: number, tokensNs: number) {
    this.rate = rate;
    this.tokensNs = tokensNs;
  }

  get empty(): boolean {
    return this.tokensNs <= 0;
  }

  /** Time passes; `depthNs` bounds what is saved up, not what was saved before. */
  fill(elapsedNs: number, depthNs: number): void {
    const room = Math.max(0, depthNs - this.tokensNs);
    this.tokensNs += Math.min(room, elapsedNs * this.rate);
  }

  take(ns: number): void {
    this.tokensNs -= ns;
  }

  /** How long until it is not empty. */
  untilFilledNs(): number {
    return this.tokensNs > 0 ? 0 : Math.floor(-this.tokensNs / this.rate) + 1;
  }
}

export class Entity {
  readonly id: string;
  settings: SchedulingSettings;
  /** With work, or holding the GPU. */
  active = false;
  /** May not be entered any more: it is being ended. */
  condemned = false;
  /** Share of the GPU among those that are active now. */
  share = 0;
  lagNs = 0;
  /** While not active: the lag that it had when it stopped. */
  gapNs = 0;
  idleSinceNs = 0;
  /** Mean length of its last pauses. */
  pauseMeanNs = Number.POSITIVE_INFINITY;
  /** Whether it stopped by an ordinary exit with nothing left to do. */
  paused = false;
  /** Time in which it held the GPU or had its tail there, and that no exit has claimed yet, ns. */
  unclaimedNs = 0;
  /** Until then it is entered behind no tail, and nobody behind its own. */
  strictUntilNs = 0;
  /** By how much its tails, and those before it, were later than is tolerated, ns: 0, or a credit below. */
  lateNs = 0;
  /** Gave way at its last exit, until another one has been entered. */
  yielded = false;
  /** For ties: when its last entry ended, and the order of being added. */
  servedNs = -1;
  readonly order: number;
  allowance: Allowance | null = null;
  readonly account: Account = {
    heldNs: 0,
    presentNs: 0,
    gpuNs: 0,
    waitNs: 0,
    throttledNs: 0,
    overshootNs: 0,
    overshootMaxNs: 0,
    entries: 0,
    tails: 0,
    exits: {
      "slice-used": 0,
      idle: 0,
      yield: 0,
      fault: 0,
      watchdog: 0,
      reset: 0,
      save: 0,
    },
    condemned: 0,
  };

  constructor(id: string, settings: SchedulingSettings, order: number) {
    this.id = id;
    this.settings = settings;
    this.order = order;
  }

  get reserved(): boolean {
    return this.settings.policy === "fixed";
  }

  /** Lag in time of its own share: who is furthest behind goes first. */
  get key(): number {
    return this.lagNs / Math.max(this.share, 1e-9);
  }

  /** The most that it may be ahead after a pause, ns. */
  get creditMaxNs(): number {
    return this.settings.policy === "best-effort" ? 0 : 2 * this.settings.sliceNs;
  }

  applySettings(settings: SchedulingSettings): void {
    this.settings = settings;
    if (settings.maxShare >= 1) {
      this.allowance = null;
      return;
    }
    if (this.allowance === null) {
      this.allowance = new Allowance(settings.maxShare, settings.sliceNs);
    }
    this.allowance.rate = settings.maxShare;
  }
}
