// SPDX-License-Identifier: Apache-2.0
/**
 * The run loop's side of the lease: asks for it when there is work, gives it back when the turn is
 * over and nothing is in flight any more, and counts how long the GPU waited at the start of turns.
 * Work may be cut into larger parts while no other guest can want the GPU.
 */
import type { Executor } from "../gpu/executor.js";
import type { Lease, LeaseEnd } from "./lease.js";
import {
  BATCH_PART_MIN,
  limitsUnder,
  type SchedulingControls,
  type SchedulingLimits,
  type SharedLimits,
} from "./limits.js";

export interface TurnHost {
  readonly executor: Pick<Executor, "share"> | null;
  readonly inFlight: number;
  /** Whether there is work that could be submitted. */
  readonly waiting: boolean;
  /** Whether a batch is being made: it belongs to the turn. */
  readonly making: boolean;
  /** How long what is in flight takes in all, and from now on, ns; infinite if that is not known. */
  readonly expectedNs: number;
  readonly leftNs: number;
  /** The latter as well as one can guess. */
  readonly likelyLeftNs: number;
  /** How long the batch takes that is encoded and not submitted; 0: there is none, or that is not known. */
  readonly preparedNs: number;
  /** The turn is over, and what is in flight may share the GPU with another one's work. */
  left(): void;
  nowNs(): number;
  pump(): void;
  /** A turn is near: work may be encoded. */
  prepare(): void;
}

/** Turns that were asked for, and the time from each grant to the first work that was submitted. */
export interface TurnCounts {
  readonly turns: number;
  readonly start_ns: number;
  /** Turns that began with work which had been encoded before. */
  readonly prepared: number;
}

/** So much later than it came the end of another one's tail is told, mostly. */
const TOLD_LATE_NS = 500_000;
/** A turn that ends earlier than this is not worth another batch. */
const TURN_NS_MIN = 50_000;
/** Time between two looks whether another one's tail has ended. */
const LOOK_AGAIN_NS = 100_000;
/** Part of its time by which work may end earlier or later than was foreseen: it must be less than a tail. */
const FORESEEN_ERROR = 1 / 20;
/** Work that is longer by this factor than a batch should be can't be cut. */
const LONG_FACTOR = 2;

export class Turns {
  readonly #lease: Lease;
  readonly #host: TurnHost;
  readonly #ownLimits: SchedulingLimits;
  #alone: boolean;
  #sharedLimits: SharedLimits;
  /** How work is cut now. */
  limits: SchedulingLimits;
  #requested = false;
  /** The turn is over, and the lease was not given back yet. */
  #revoked = false;
  /** When the turn was granted, until its first submission; negative otherwise. */
  #grantedNs = -1;
  #turns = 0;
  #startNs = 0;
  #prepared = 0;

  constructor(lease: Lease, host: TurnHost, limits: SchedulingLimits) {
    this.#lease = lease;
    this.#host = host;
    this.#ownLimits = limits;
    this.limits = limits;
    this.#alone = lease.alone === true;
    this.#sharedLimits = { shared: limits, alone: limits };
    lease.onRevoke = () => {
      this.#revoked = true;
      this.giveBack();
    };
    lease.onPrepare = () => {
      this.#chooseLimits();
      host.prepare();
    };
  }

  /** What the operator set. */
  setControls(controls: SchedulingControls): void {
    this.#sharedLimits = limitsUnder(this.#ownLimits, controls);
    this.#chooseLimits();
  }

  /** Another GPU was opened. */
  executorChanged(): void {
    this.#host.executor?.share?.(!this.#alone);
  }

  /** Others may have come or gone since the last batch. */
  #chooseLimits(): void {
    const alone = this.#lease.alone === true;
    this.limits = alone ? this.#sharedLimits.alone : this.#sharedLimits.shared;
    if (alone === this.#alone) return;
    this.#alone = alone;
    this.executorChanged();
  }

  get deadlineNs(): number | null {
    return this.#lease.deadlineNs ?? null;
  }

  /**
   * GPU time that the next batch may take, ns: an even part of what is left of the turn after what is in
   * flight. 0: nothing more fits into it.
   */
  get batchNs(): number {
    const { batchNsMax } = this.limits;
    const { deadlineNs } = this;
    if (deadlineNs === null) return batchNsMax;
    const fromNs = Math.max(this.#host.nowNs(), this.likelyAloneNs);
    const freeNs = deadlineNs - fromNs - this.#host.likelyLeftNs;
    if (freeNs < TURN_NS_MIN) return 0;
    return freeNs / Math.max(1, Math.ceil(freeNs / batchNsMax - BATCH_PART_MIN));
  }

  /** Whether nothing was submitted in this turn yet. */
  get fresh(): boolean {
    return this.#grantedNs >= 0;
  }

  get counts(): TurnCounts {
    return { turns: this.#turns, start_ns: Math.round(this.#startNs), prepared: this.#prepared };
  }

  /** Whether work may be submitted now. If not, the lease is asked for. */
  held(): boolean {
    this.#chooseLimits();
    if (this.#lease.held) return !this.#givesWay();
    if (!this.#requested) {
      this.#requested = true;
      this.#lease.request(() => {
        this.#requested = false;
        this.#grantedNs = this.#host.nowNs();
        this.#host.pump();
      });
    }
    return this.#lease.held;
  }

  /** Long work that can't be cut could hold up another one's tail for as long: it waits for its end. */
  #givesWay(): boolean {
    if (!this.behind || this.#host.preparedNs <= LONG_FACTOR * this.limits.batchNsMax) return false;
    this.#lease.look?.(LOOK_AGAIN_NS, () => this.#host.pump());
    return true;
  }

  /** Whether another one's work is on the GPU, whose end may be told later than it comes. */
  get behind(): boolean {
    return this.#lease.behind === true;
  }

  /** Since when the GPU has no other one's work, for sure: as late as now if it has. */
  get aloneNs(): number {
    return this.behind ? this.#host.nowNs() : (this.#lease.aloneNs ?? 0);
  }

  /**
   * The same, as well as one can tell: while another one's work is there, as was foreseen, or as late
   * as it can have been told by now. Else each turn would hand its delay on to the next one, which
   * would leave as much too early.
   */
  get likelyAloneNs(): number {
    if (!this.behind) return this.aloneNs;
    return Math.max(this.#lease.foreseenAloneNs ?? 0, this.aloneNs - TOLD_LATE_NS);
  }

  /** Whether the lease is held; nothing is asked for. */
  get holding(): boolean {
    return this.#lease.held;
  }

  /** Work was submitted; `prepared`: it had been encoded before the turn. */
  submitted(nowNs: number, prepared: boolean): void {
    if (this.#grantedNs < 0) return;
    this.#turns++;
    this.#startNs += nowNs - this.#grantedNs;
    if (prepared) this.#prepared++;
    this.#grantedNs = -1;
  }

  /**
   * What can be submitted in this turn has been; `full`: no more fits into it. Leaves it once what is
   * in flight is near its end, so that the next one's work is on the GPU by then.
   */
  submittedAll(full: boolean): void {
    const { tailNsMax = 0 } = this.#lease;
    const { inFlight, waiting, leftNs, expectedNs } = this.#host;
    const over = full || this.#revoked;
    if (full && inFlight === 0 && !this.#revoked) this.#lease.finish?.();
    // One that is overdue already may as well be far from its end.
    if (tailNsMax === 0 || inFlight === 0 || leftNs <= 0 || (waiting && !over)) return;
    if (expectedNs * FORESEEN_ERROR > tailNsMax) return;
    // The guest may be about to launch more: half of the time is for that.
    const tailNs = over ? tailNsMax : Math.min(tailNsMax, expectedNs / 2);
    // There is one tail at a time: ours waits for the end of the one that was left for us.
    const laterNs = Math.max(leftNs - tailNs, this.behind ? LOOK_AGAIN_NS : 0);
    if (laterNs > 0) {
      if (Number.isFinite(laterNs)) this.#lease.look?.(laterNs, () => this.#host.pump());
      return;
    }
    if (this.#lease.leave?.(leftNs) !== true) return;
    this.#host.left();
    this.#revoked = false;
    this.#grantedNs = -1;
    if (waiting) this.held();
  }

  /** Releases a revoked lease when nothing is in flight, and asks for the next one. */
  giveBack(): void {
    const host = this.#host;
    if (host.inFlight === 0) this.#lease.drained?.(this.#host.nowNs());
    // A batch that is being made belongs to this turn: pump comes back here.
    if (!this.#revoked || host.making) return;
    if (host.inFlight === 0) {
      this.#revoked = false;
      this.#grantedNs = -1;
      this.#lease.release();
    }
    if (host.waiting) this.held();
  }

  end(why: LeaseEnd): void {
    this.#lease.end?.(why);
    if (this.#host.inFlight === 0) this.#lease.drained?.(this.#host.nowNs());
  }

  idle(): void {
    this.#lease.drained?.(this.#host.nowNs());
    this.#lease.idle?.();
  }
}
