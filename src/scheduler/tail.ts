// SPDX-License-Identifier: Apache-2.0
/**
 * Entries, and the tails that they leave: who pays for the time of two on the GPU, and who may come
 * behind whose tail.
 *
 * The owner of a tail pays until its end as it was foreseen. What it takes beyond that may be the fault
 * of either: the owner has foreseen badly, or the other one's kernel keeps the GPU from it; or its end
 * was noticed late, for want of a core. So they pay half each. A quarter of a slice is tolerated on average,
 * and who exceeds it has the GPU to itself only for a hundred times as long as the excess. A guest whose
 * kernels mislead gains no more by it than a hundredth, and an eighth of a slice a turn.
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
const LATE_SHARE_MAX = 1 / 4;
/** What tails that were less late save up for one that is later, as a multiple of that slice. */
const LATE_CREDIT_MAX = 2;
/** How long one does without tails, as a multiple of the time by which it exceeded this. */
const STRICT_FACTOR = 50;

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

  entered(entity: Entity): void {
    this.#behind.add(entity);
  }

  /** Of the time from `fromNs` on, what the other one on the GPU is charged. */
  othersNs(fromNs: number, nowNs: number): number {
    return Math.floor(Math.max(0, nowNs - Math.max(fromNs, this.endNs)) / 2);
  }

  /** It has ended: was it on time? */
  ended(nowNs: number): void {
    const lateNs = Math.max(0, nowNs - this.endNs);
    for (const each of this.#behind) {
      const { sliceNs } = each.settings;
      const excessNs = lateNs - sliceNs * LATE_SHARE_MAX;
      for (const one of [each, this.holding.entity]) {
        const balanceNs = Math.max(one.lateNs + excessNs, -sliceNs * LATE_CREDIT_MAX);
        one.lateNs = Math.min(0, balanceNs);
        if (balanceNs <= 0) continue;
        one.strictUntilNs = Math.max(one.strictUntilNs, nowNs + STRICT_FACTOR * balanceNs);
      }
    }
  }
}
