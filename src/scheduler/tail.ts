// SPDX-License-Identifier: Apache-2.0
/**
 * Entries, and the tails that they leave: who pays for the time of two on the GPU, and who may come
 * behind whose tail.
 *
 * The owner of a tail pays until its end as it was foreseen. What it takes beyond that may be the fault
 * of either: the owner has foreseen badly, or the other one's kernel keeps the GPU from it. So they
 * pay half each; and if it is long, both have the GPU to themselves only for a hundred times as long. A
 * guest whose kernels mislead gains no more by it than a hundredth, and an eighth of a slice a turn.
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

/** Part of the slice of one that comes behind a tail by which that may be late. */
const LATE_SHARE_MAX = 1 / 4;
/** How long two do without tails between them, as a multiple of the time by which one was late. */
const STRICT_FACTOR = 100;

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
    const lateNs = nowNs - this.endNs;
    for (const each of this.#behind) {
      if (lateNs <= each.settings.sliceNs * LATE_SHARE_MAX) continue;
      const untilNs = nowNs + STRICT_FACTOR * lateNs;
      for (const one of [each, this.holding.entity]) {
        one.strictUntilNs = Math.max(one.strictUntilNs, untilNs);
      }
    }
  }
}
