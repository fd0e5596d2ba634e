// SPDX-License-Identifier: Apache-2.0
/**
 * The run loop's side of the lease: asks for it when there is work, gives it back when the turn is
 * over and nothing is in flight any more, and counts how long the GPU waited at the start of turns.
 */
import type { Lease, LeaseEnd } from "./lease.js";

export interface TurnHost {
  readonly inFlight: number;
  /** Whether there is work that could be submitted. */
  readonly waiting: boolean;
  /** Whether a batch is being made: it belongs to the turn. */
  readonly making: boolean;
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

export class Turns {
  readonly #lease: Lease;
  readonly #host: TurnHost;
  #requested = false;
  /** The turn is over, and the lease was not given back yet. */
  #revoked = false;
  /** When the turn was granted, until its first submission; negative otherwise. */
  #grantedNs = -1;
  #turns = 0;
  #startNs = 0;
  #prepared = 0;

  constructor(lease: Lease, host: TurnHost) {
    this.#lease = lease;
    this.#host = host;
    lease.onRevoke = () => {
      this.#revoked = true;
      this.giveBack();
    };
    lease.onPrepare = () => host.prepare();
  }

  get deadlineNs(): number | null {
    return this.#lease.deadlineNs ?? null;
  }

  get counts(): TurnCounts {
    return { turns: this.#turns, start_ns: Math.round(this.#startNs), prepared: this.#prepared };
  }

  /** Whether work may be submitted now. If not, the lease is asked for. */
  held(): boolean {
    if (this.#lease.held) return true;
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

  /** Releases a revoked lease when nothing is in flight, and asks for the next one. */
  giveBack(): void {
    const host = this.#host;
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
  }

  idle(): void {
    this.#lease.idle?.();
  }
}
