// SPDX-License-Identifier: Apache-2.0
/**
 * Whose turn on the GPU it is: a round-robin of open-ended leases. Pure: the clock is an argument,
 * and decisions come out as actions for the caller to carry out.
 *
 * An instance that is alone keeps the lease without asking again. As soon as another one waits, the
 * holder's turn ends one slice after it began; it lets its work in flight finish and releases.
 */

export type LeaseAction =
  | { readonly kind: "grant"; readonly id: string }
  | { readonly kind: "revoke"; readonly id: string }
  /** The holder did not release in time: it is stuck and must be ended. */
  | { readonly kind: "expire"; readonly id: string };

export interface LeaseTimes {
  /** Length of a turn when others wait, ns. */
  readonly sliceNs: number;
  /** How long a holder may take to release after a revocation, ns. */
  readonly graceNs: number;
}

export class LeaseQueue {
  readonly #times: LeaseTimes;
  readonly #waiting: string[] = [];
  #holder: string | null = null;
  #grantedNs = 0;
  #revokedNs: number | null = null;
  #expired = false;

  constructor(times: LeaseTimes) {
    this.#times = times;
  }

  get holder(): string | null {
    return this.#holder;
  }

  get waiting(): readonly string[] {
    return this.#waiting;
  }

  request(id: string, nowNs: number): LeaseAction[] {
    if (this.#holder === id) {
      if (this.#revokedNs === null) {
        return [{ kind: "grant", id }];
      }
    }
    if (!this.#waiting.includes(id)) {
      this.#waiting.push(id);
    }
    return this.advance(nowNs);
  }

  release(id: string, nowNs: number): LeaseAction[] {
    if (this.#holder === id) {
      this.#holder = null;
      this.#revokedNs = null;
    }
    return this.advance(nowNs);
  }

  /** The instance is gone, with whatever it held. */
  remove(id: string, nowNs: number): LeaseAction[] {
    const index = this.#waiting.indexOf(id);
    if (index >= 0) {
      this.#waiting.splice(index, 1);
    }
    return this.release(id, nowNs);
  }

  /** What time has brought about. Call it when {@link nextNs} has come, and after every event. */
  advance(nowNs: number): LeaseAction[] {
    if (this.#holder === null) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        return [];
      }
      this.#holder = next;
      this.#grantedNs = nowNs;
      this.#revokedNs = null;
      this.#expired = false;
      return [{ kind: "grant", id: next }, ...this.advance(nowNs)];
    }
    const id = this.#holder;
    if (this.#revokedNs === null) {
      if (this.#waiting.length > 0 && nowNs - this.#grantedNs >= this.#times.sliceNs) {
        this.#revokedNs = nowNs;
        return [{ kind: "revoke", id }];
      }
    } else if (!this.#expired && nowNs - this.#revokedNs >= this.#times.graceNs) {
      this.#expired = true;
      return [{ kind: "expire", id }];
    }
    return [];
  }

  /** When to call {@link advance} next, or null when only an event can change anything. */
  nextNs(): number | null {
    if (this.#holder === null) {
      return null;
    }
    if (this.#revokedNs !== null) {
      return this.#expired ? null : this.#revokedNs + this.#times.graceNs;
    }
    return this.#waiting.length > 0 ? this.#grantedNs + this.#times.sliceNs : null;
  }
}
