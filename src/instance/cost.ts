// SPDX-License-Identifier: Apache-2.0
/**
 * Learns what launches cost, so that a batch ends near its time: others wait for it (contexts, and
 * through the lease other guests). Cost is kept per pipeline as nanoseconds per workgroup, learned
 * from the measured time of whole batches; a new pipeline is taken for expensive until it is known.
 *
 * What was learned from few workgroups says little of many, for the batch's own cost hides it: a
 * cost is trusted for launches up to some times the size that was measured.
 */
import type { Variant } from "./kernel-code.js";

/** What is known of the cost of a kernel, whole or sliced. */
export class KernelCost {
  /** Cost of a workgroup, 0 while it is unknown. */
  nsPerGroup = 0;
  /** Most workgroups that were measured at once. */
  groupsMax = 0;

  /** Whether the cost is known for a launch of this size. */
  covers(groups: number): boolean {
    return this.nsPerGroup > 0 && groups <= this.groupsMax * TRUST;
  }
}

/** A launch can be this much larger than what was measured. */
export const TRUST = 16;

/** Is told what a slice has cost. */
export interface SliceMeter {
  measured(groups: number, nsPerGroup: number): void;
}

/** Launches of one pipeline in a batch. */
export interface CostPart {
  readonly variant: Variant;
  groups: number;
  estimateNs: number;
  readonly slice: SliceMeter | null;
}

/** A new measurement's weight against what was known. */
const LEARNING_RATE = 0.25;
/** Least cost that is learned: workgroups are not free. */
const NS_PER_GROUP_MIN = 0.01;
/** Part of a batch's time that is not its launches: submission, waiting, copies per byte. */
const BATCH_OVERHEAD_NS = 50_000;
const COPY_NS_PER_BYTE = 0.3;

export class CostMeter {
  readonly #parts: CostPart[] = [];
  #estimateNs = 0;

  /** What the batch is expected to take, ns. */
  get estimateNs(): number {
    return this.#estimateNs;
  }

  /**
   * Counts a launch, or a slice of one, which is told its cost later; `unknownNs` is what a launch
   * of a new pipeline is taken for.
   */
  add(variant: Variant, groups: number, unknownNs: number, slice: SliceMeter | null = null): void {
    const { nsPerGroup } = variant.cost;
    const estimateNs = nsPerGroup > 0 ? groups * nsPerGroup : unknownNs;
    this.#estimateNs += estimateNs;
    const last = this.#parts[this.#parts.length - 1];
    if (last !== undefined && last.variant === variant && last.slice === slice) {
      last.groups += groups;
      last.estimateNs += estimateNs;
    } else {
      this.#parts.push({ variant, groups, estimateNs, slice });
    }
  }

  /** The batch took this long and copied this much; `timed`: the time is its kernels' alone. */
  learn(gpuTimeNs: number, copiedBytes: number, timed = false): void {
    if (this.#parts.length === 0 || this.#estimateNs <= 0) return;
    const otherNs = timed ? 0 : BATCH_OVERHEAD_NS + copiedBytes * COPY_NS_PER_BYTE;
    const tookNs = Math.max(0, gpuTimeNs - otherNs);
    const scale = tookNs / this.#estimateNs;
    for (const { variant, groups, estimateNs, slice } of this.#parts) {
      const measured = Math.max(NS_PER_GROUP_MIN, (estimateNs * scale) / groups);
      const { cost } = variant;
      const known = cost.nsPerGroup;
      cost.nsPerGroup = known > 0 ? known + LEARNING_RATE * (measured - known) : measured;
      cost.groupsMax = Math.max(cost.groupsMax, groups);
      slice?.measured(groups, measured);
    }
  }
}
