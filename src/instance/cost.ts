// SPDX-License-Identifier: Apache-2.0
/**
 * Learns what launches cost, so that a batch ends near its time: others wait for it (contexts, and
 * through the lease other guests). Cost is kept per pipeline as nanoseconds per workgroup, learned
 * from the measured time of whole batches; a new pipeline is taken for expensive until it is known.
 *
 * What was learned from few workgroups says little of many, for the batch's own cost hides it: a
 * cost is trusted for launches up to some times the size that was measured. And workgroups differ: how
 * far times exceed the mean is kept too, so that a slice of few, of which one may have the work of many,
 * is cut with that in mind.
 */
import type { Variant } from "./kernel-code.js";

/** What is known of the cost of a kernel, whole or sliced. */
export class KernelCost {
  /** Cost of a workgroup, 0 while it is unknown. */
  nsPerGroup = 0;
  /** Most workgroups that were measured at once. */
  groupsMax = 0;
  /** Upwards, of the cost of one workgroup, if each is as it is whatever its neighbours are: ns². */
  #variance = 0;
  /** Workgroups that the mean is made of, older ones counted less. */
  #weight = 0;
  /** Whether the last time was far above the mean. */
  #far = false;

  /** Workgroups that will hardly take longer than `ns`, if one takes `meanNs`; a fraction too. */
  groupsWithin(ns: number, meanNs: number): number {
    // meanNs · n + spread · √n = ns
    const spread = DEVIATIONS * Math.sqrt(this.#variance);
    const root = (Math.sqrt(spread * spread + 4 * meanNs * ns) - spread) / (2 * meanNs);
    return root * root;
  }

  /** A launch of `total` workgroups, or so many of it in a slice, took `groups` times `ns`. */
  learn(groups: number, ns: number, total = groups): void {
    const known = this.nsPerGroup;
    this.groupsMax = Math.max(this.groupsMax, groups);
    const few = Math.min(WINDOW_GROUPS, WINDOW * Math.max(total, this.groupsMax));
    this.#weight = Math.min(this.#weight, Math.max(few, WINDOW * groups)) + groups;
    if (known === 0) {
      this.nsPerGroup = ns;
      return;
    }
    // A time that is far off is rather a disturbance than the kernel's; two are not.
    const far = ns - known > ABOVE_MAX * known;
    const aboveMax = far && this.#far ? ns - known : ABOVE_MAX * known;
    this.#far = far;
    this.nsPerGroup = known + (groups / this.#weight) * Math.min(ns - known, aboveMax);
    const excess = Math.max(0, ns - known - DISTURBANCE_NS / groups);
    const above = Math.min(excess, ABOVE_MAX * known);
    const seen = above * above * groups;
    this.#variance += SPREAD_RATE * (seen - this.#variance);
  }

  /** Whether the cost is known for a launch of this size. */
  covers(groups: number): boolean {
    return this.nsPerGroup > 0 && groups <= this.groupsMax * TRUST;
  }
}

/** A launch can be this much larger than what was measured. */
export const TRUST = 16;

/** Is told what a slice has cost. */
export interface SliceMeter {
  /** Workgroups of the whole launch. */
  readonly total: number;
  measured(groups: number, nsPerGroup: number): void;
}

/** Launches of one pipeline in a batch. */
export interface CostPart {
  readonly variant: Variant;
  groups: number;
  estimateNs: number;
  readonly slice: SliceMeter | null;
}

/**
 * What was measured before weighs in the mean as twice the workgroups of a new measurement, and where
 * that are few of many, as so many.
 */
const WINDOW = 2;
const WINDOW_GROUPS = 32;
/** So many standard deviations above its mean a slice is reckoned with. */
const DEVIATIONS = 1;
/** A batch may take this much longer than others for reasons that are not its kernels'. */
const DISTURBANCE_NS = 300_000;
/** Greatest excess that counts, as a multiple of the mean. */
const ABOVE_MAX = 4;
/** Weight of a new deviation against the known one. */
const SPREAD_RATE = 0.2;
/** Least cost that is learned: workgroups are not free. */
const NS_PER_GROUP_MIN = 0.01;
/** Part of a batch's time that is not its launches: submission, waiting, copies per byte. */
const BATCH_OVERHEAD_NS = 50_000;
const COPY_NS_PER_BYTE = 0.3;
/** Least part of a batch's time that its launches are taken to have had. */
const OWN_SHARE_MIN = 1 / 8;

export class CostMeter {
  readonly #parts: CostPart[] = [];
  #estimateNs = 0;
  #known = true;

  /** Whether there are launches, each of a kernel that was measured for as many workgroups. */
  get known(): boolean {
    return this.#known && this.#parts.length > 0;
  }

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
    if (!variant.cost.covers(groups)) this.#known = false;
    const last = this.#parts[this.#parts.length - 1];
    if (last !== undefined && last.variant === variant && last.slice === slice) {
      last.groups += groups;
      last.estimateNs += estimateNs;
    } else {
      this.#parts.push({ variant, groups, estimateNs, slice });
    }
  }

  /**
   * The batch took this long and copied this much; `timed`: the time is its kernels' alone. For
   * `sharedNs` of it the GPU had other work too, which had at least half of that time.
   */
  learn(gpuTimeNs: number, copiedBytes: number, timed = false, sharedNs = 0): void {
    if (this.#parts.length === 0 || this.#estimateNs <= 0) return;
    const otherNs = timed ? 0 : BATCH_OVERHEAD_NS + copiedBytes * COPY_NS_PER_BYTE;
    const longestNs = Math.max(gpuTimeNs * OWN_SHARE_MIN, gpuTimeNs - otherNs);
    const leastNs = Math.max(0, longestNs - sharedNs);
    const mostNs = Math.max(0, longestNs - sharedNs / 2);
    const tookNs = Math.min(mostNs, Math.max(this.#estimateNs, leastNs));
    const scale = tookNs / this.#estimateNs;
    for (const { variant, groups, estimateNs, slice } of this.#parts) {
      const measured = Math.max(NS_PER_GROUP_MIN, (estimateNs * scale) / groups);
      variant.cost.learn(groups, measured, slice?.total);
      slice?.measured(groups, measured);
    }
  }
}
