// SPDX-License-Identifier: Apache-2.0
/**
 * Entries, and the tails that they leave: who pays for the time of two on the GPU, and who may come
 * behind whose tail.
 *
 * The owner of a tail pays until its end as it was foreseen. Who pays for the time between that and
 * the moment at which its end is told is settled then: telling takes a while on a busy host, and the
 * owner says when the end came. What the tail took beyond the foreseen end may be the fault of either:
 * the owner has foreseen badly, or the other one's kernel kept the GPU from it. The owner pays for an
 * eighth of a slice, and half of the rest. A tail may be late by that eighth on average, and who exceeds
 * it, as owner or behind, has the GPU to itself only for fifty times the excess. A guest whose kernels
 * mislead gains no more by it than a hundredth, and an eighth of a slice a turn; once, its credit.
 */
import type { Entity, ExitKind } from "./entity.js";

export interface Holding {
  readonly entity: Entity;
  readonly enteredNs: number;
  /** What it was charged, ns. */
  chargedNs: number;
  /** Since when no other one's tail is on the GPU, or from when on, as it was foreseen. */
  aloneNs: number;
  deadlineNs: number | null;
  prepared: Entity | null;
}

/** Part of the slice of one that comes behind a tail by which that may be late on average. */
const LATE_SHARE_MAX = 1 / 8;
/** What tails that were less late save up for one that is later, as a multiple of a slice. */
const LATE_CREDIT_MAX = 2;
/** How long one does without tails, as a multiple of the time by which it exceeded this. */
const STRICT_FACTOR = 50;
/** Telling an end takes no longer than that: what is beyond counts as late, whatever the owner says, ns. */
const TELLING_NS_MAX = 5e6;

/** The tail of an entry that has ended. */
export class Tail {
  readonly holding: Holding;
  readonly exitedNs: number;
  /** When it should end. */
  readonly endNs: number;
  readonly kind: ExitKind;
  /** Whether its owner has more work. */
  wants: boolean;
  readonly #behind = new Set<Entity>();
  /** Since when somebody is behind it; infinite before. */
  #sinceNs = Number.POSITIVE_INFINITY;
  /** Time of those behind it after the foreseen end, that nobody has paid yet. */
  readonly #unpaidNs = new Map<Entity, number>();

  constructor(holding: Holding, exitedNs: number, tailNs: number, kind: ExitKind, wants: boolean) {
    this.holding = holding;
    this.exitedNs = exitedNs;
    this.endNs = exitedNs + tailNs;
    this.kind = kind;
    this.wants = wants;
  }

  /** Whether `entity` may be entered before the end. */
  admits(entity: Entity, nowNs: number): boolean {
    return nowNs >= Math.max(entity.strictUntilNs, this.holding.entity.strictUntilNs);
  }

  entered(entity: Entity, nowNs: number): void {
    this.#behind.add(entity);
    this.#sinceNs = Math.min(this.#sinceNs, nowNs);
  }

  /** Of the time from `fromNs` on, in which `other` is entered: what its owner pays now. */
  ownerNs(other: Entity, fromNs: number, nowNs: number): number {
    const beyondNs = Math.max(0, nowNs - Math.max(fromNs, this.endNs));
    this.#unpaidNs.set(other, (this.#unpaidNs.get(other) ?? 0) + beyondNs);
    return nowNs - fromNs - beyondNs;
  }

  /**
   * It has ended: at `toldNs`, says its owner now. Judges by how much it was late, and says what each one has
   * to pay for the time since the foreseen end. Returns when it ended.
   */
  ended(toldNs: number, nowNs: number, pay: (entity: Entity, ns: number) => void): number {
    const endedNs = toldNs <= nowNs ? Math.max(this.exitedNs, toldNs) : nowNs;
    const lateNs = Math.max(0, Math.max(endedNs, nowNs - TELLING_NS_MAX) - this.endNs);
    let excessMaxNs = Number.NEGATIVE_INFINITY;
    let toleratedNs = 0;
    for (const each of this.#behind) {
      toleratedNs = each.settings.sliceNs * LATE_SHARE_MAX;
      excessMaxNs = Math.max(excessMaxNs, lateNs - toleratedNs);
      settle(each, lateNs - toleratedNs, nowNs);
    }
    if (this.#behind.size > 0) settle(this.holding.entity, excessMaxNs, nowNs);
    this.#settleUnpaid(Math.min(lateNs, toleratedNs) + Math.max(0, lateNs - toleratedNs) / 2, pay);
    return endedNs;
  }

  /** The owner pays for `ownerNs` after the foreseen end, as far as somebody was behind it by then. */
  #settleUnpaid(ownerNs: number, pay: (entity: Entity, ns: number) => void): void {
    let unpaidNs = 0;
    for (const ns of this.#unpaidNs.values()) unpaidNs += ns;
    if (unpaidNs === 0) return;
    const beganNs = Math.max(this.endNs, this.#sinceNs);
    const ownNs = Math.min(unpaidNs, Math.max(0, Math.floor(this.endNs + ownerNs - beganNs)));
    pay(this.holding.entity, ownNs);
    for (const [each, ns] of this.#unpaidNs) pay(each, (ns / unpaidNs) * (unpaidNs - ownNs));
    this.#unpaidNs.clear();
  }
}

/** Books by how much a tail of one, or before one, was later than is tolerated; below 0: less late. */
function settle(entity: Entity, excessNs: number, nowNs: number): void {
  const creditMaxNs = entity.settings.sliceNs * LATE_CREDIT_MAX;
  const balanceNs = Math.max(entity.lateNs, -creditMaxNs) + excessNs;
  entity.lateNs = Math.max(-creditMaxNs, Math.min(0, balanceNs));
  if (balanceNs <= 0) return;
  entity.strictUntilNs = Math.max(entity.strictUntilNs, nowNs + STRICT_FACTOR * balanceNs);
}
