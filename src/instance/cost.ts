// SPDX-License-Identifier: Apache-2.0
/**
 * Learns what launches cost, so that a batch ends near its time: others wait for it (contexts, and
 * through the lease other guests). Cost is kept per pipeline as nanoseconds per workgroup, learned
 * from the measured time of whole batches; a new pipeline is taken for expensive until it is known.
 */
import type { Variant } from "./kernel-store.js";

/** Launches of one pipeline in a batch. */
export interface CostPart {
  readonly variant: Variant;
  groups: number;
  estimateNs: number;
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

  /** Counts a launch; `unknownNs` is what a launch of a new pipeline is taken for. */
  add(variant: Variant, groups: number, unknownNs: number): void {
    const { nsPerGroup } = variant;
    const estimateNs = nsPerGroup > 0 ? groups * nsPerGroup : unknownNs;
    this.#estimateNs += estimateNs;
    const last = this.#parts[this.#parts.length - 1];
    if (last !== undefined && last.variant === variant) {
      last.groups += groups;
      last.estimateNs += estimateNs;
    } else {
      this.#parts.push({ variant, groups, estimateNs });
    }
  }

  /** The batch took this long and copied this much. */
  learn(gpuTimeNs: number, copiedBytes: number): void {
    if (this.#parts.length === 0 || this.#estimateNs <= 0) return;
    const tookNs = Math.max(0, gpuTimeNs - BATCH_OVERHEAD_NS - copiedBytes * COPY_NS_PER_BYTE);
    const scale = tookNs / this.#estimateNs;
    for (const { variant, groups, estimateNs } of this.#parts) {
      const measured = Math.max(NS_PER_GROUP_MIN, (estimateNs * scale) / groups);
      const { nsPerGroup } = variant;
      variant.nsPerGroup =
        nsPerGroup > 0 ? nsPerGroup + LEARNING_RATE * (measured - nsPerGroup) : measured;
    }
  }
}
