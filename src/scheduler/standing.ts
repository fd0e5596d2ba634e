// SPDX-License-Identifier: Apache-2.0
/**
 * Who is behind and who is ahead: the lags of the vGPUs with work, and their shares.
 *
 * While the GPU is held, every active vGPU gains its share of the time that passes, and the holder
 * loses all of it: the sum stays zero. Whoever has the greatest lag, in time of its own share, goes
 * next. So shares converge to the policy whatever the lengths of turns; a turn that overshoots is a
 * debt which the others are served before it is the debtor's turn again.
 *
 * A vGPU that stops keeps its lag. A debt is worked off at the rate of its
 * share, and goes on into a small credit, so that one who wakes now and then is served soon; a
 * claim above that credit fades as fast as time passes.
 */
import type { Entity } from "./entity.js";
import { claimOf, divide } from "./settings.js";

/** No debt and no claim grows beyond this: a kernel that hangs until it is killed, a few times. */
export const LAG_MAX_NS = 10e9;

function clampLag(ns: number): number {
  return Math.min(LAG_MAX_NS, Math.max(-LAG_MAX_NS, ns));
}

export class Standing {
  readonly #active: Entity[] = [];
  /** Part of the GPU that no fixed share reserves. */
  #unreserved = 1;

  get active(): readonly Entity[] {
    return this.#active;
  }

  setUnreserved(share: number): void {
    this.#recentre();
    this.#unreserved = share;
    this.reshare();
  }

  /** Call it after a change of settings. */
  reshare(): void {
    for (const each of this.#active) if (each.reserved) each.share = each.settings.minShare;
    const others = this.#active.filter((each) => !each.reserved);
    const shares = divide(
      others.map((each) => claimOf(each.settings)),
      this.#unreserved,
    );
    others.forEach((each, index) => {
      each.share = shares[index] ?? 0;
    });
  }

  join(entity: Entity, nowNs: number): void {
    this.#recentre();
    this.#active.push(entity);
    entity.active = true;
    this.reshare();
    const restNs = nowNs - entity.idleSinceNs;
    const { creditMaxNs, gapNs } = entity;
    const kept =
      gapNs < creditMaxNs
        ? Math.min(creditMaxNs, gapNs + restNs * entity.share)
        : Math.max(creditMaxNs, gapNs - restNs);
    this.#settle(entity, clampLag(kept));
  }

  leave(entity: Entity, nowNs: number): void {
    const index = this.#active.indexOf(entity);
    if (index < 0) return;
    this.#recentre();
    entity.gapNs = entity.lagNs;
    entity.idleSinceNs = nowNs;
    entity.active = false;
    entity.lagNs = 0;
    this.#active.splice(index, 1);
    this.#recentre();
    this.reshare();
  }

  /**
   * The holder has had the GPU for a while. A throttled one only makes up for what it had before
   * its turn: it could not be entered, so it has no claim.
   */
  charge(holder: Entity, elapsedNs: number, throttled: (entity: Entity) => boolean): void {
    const gains = (each: Entity): boolean => each === holder || !throttled(each) || each.lagNs < 0;
    let shares = 0;
    for (const each of this.#active) if (gains(each)) shares += each.share;
    if (shares <= 0) return;
    for (const each of this.#active) {
      if (!gains(each)) continue;
      const gainNs = (each.share / shares) * elapsedNs;
      each.lagNs = clampLag(each.lagNs + gainNs - (each === holder ? elapsedNs : 0));
    }
  }

  /**
   * How long the holder may go on until `other` is as far behind as it. The keys approach at the
   * rate 1 / (the holder's part of all active shares).
   */
  untilDueNs(holder: Entity, other: Entity): number {
    let shares = 0;
    for (const each of this.#active) shares += each.share;
    const ahead = holder.key - other.key;
    return ahead <= 0 ? 0 : ahead * (holder.share / Math.max(shares, 1e-9));
  }

  /** Gives one that joins its lag, which the others owe by their shares: the sum stays zero. */
  #settle(entity: Entity, lagNs: number): void {
    let shares = 0;
    for (const each of this.#active) if (each !== entity) shares += each.share;
    // Alone there is nobody to be ahead of or behind.
    entity.lagNs = shares > 0 ? lagNs : 0;
    if (shares <= 0) return;
    for (const each of this.#active) {
      if (each !== entity) each.lagNs = clampLag(each.lagNs - (each.share / shares) * lagNs);
    }
  }

  /** Moves all keys alike, so that the lags add up to zero: only their differences mean anything. */
  #recentre(): void {
    let lag = 0;
    let shares = 0;
    for (const each of this.#active) {
      lag += each.lagNs;
      shares += each.share;
    }
    if (shares <= 0) return;
    for (const each of this.#active) each.lagNs -= each.share * (lag / shares);
  }
}
