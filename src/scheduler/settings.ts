// SPDX-License-Identifier: Apache-2.0
/**
 * What an operator sets per vGPU, and what follows from it. Settings are checked here once, alone
 * and against the other vGPUs of the GPU, so that the scheduler can rely on shares that add up.
 */

export const policies = ["best-effort", "equal", "fixed", "weighted"] as const;

/**
 * - `best-effort`: takes turns of one slice with whoever has work; an unused rest of a turn is lost.
 * - `equal`: the same share of the time as every other one with work.
 * - `fixed`: exactly `minShare` (= `maxShare`), which nobody else gets even while it is idle.
 * - `weighted`: by `weight`, not under `minShare` nor over `maxShare`.
 */
export type Policy = (typeof policies)[number];

export interface SchedulingSettings {
  readonly policy: Policy;
  /** Length of a turn while others wait, ns. */
  readonly sliceNs: number;
  /** Counts for `weighted`; the other policies have 1. */
  readonly weight: number;
  /** Guaranteed share of the GPU's time, 0 to 1. */
  readonly minShare: number;
  /** Largest share, over 0 to 1. */
  readonly maxShare: number;
  /** Longest time of one dispatch, which a holder may need after its deadline, ns. */
  readonly watchdogNs: number;
  /**
   * Longest rest of its work that it may leave on the GPU when the next one is entered, ns; 0: none; null: by
   * its slice, see {@link tailNsOf}.
   */
  readonly tailNs: number | null;
}

/** Device memory of a vGPU where none is configured, bytes. */
export const defaultMemoryBytes = 2 ** 30;

export const settingLimits = {
  sliceMinNs: 1e6,
  sliceMaxNs: 30e6,
  weightMax: 10_000,
  watchdogMaxNs: 60e9,
  tailMaxNs: 5e6,
  memoryMinBytes: 2 ** 20,
} as const;

export const defaultSettings: SchedulingSettings = {
  policy: "best-effort",
  sliceNs: 2e6,
  weight: 1,
  minShare: 0,
  maxShare: 1,
  watchdogNs: 2e9,
  tailNs: null,
};

/** What a change of vGPU takes on a busy host, where it is a small part of a slice. */
const TAIL_SHARE = 1 / 6;
const TAIL_MIN_NS = 0.8e6;

/** The longest tail that is allowed, ns: what is set, else a sixth of a slice, and not below 0.8 ms. */
export function tailNsOf({ tailNs, sliceNs }: SchedulingSettings): number {
  const derivedNs = Math.round(Math.max(TAIL_MIN_NS, sliceNs * TAIL_SHARE));
  return tailNs ?? Math.min(settingLimits.tailMaxNs, derivedNs);
}

/** An operator's mistake: what is wrong and what would be right. */
export class SettingsError extends Error {
  override readonly name = "SettingsError";
}

/** Shares are compared with this much room for rounding. */
const SHARE_EPSILON = 1e-9;

function need(condition: boolean, text: string): void {
  if (!condition) throw new SettingsError(text);
}

/** Throws SettingsError naming the setting, its value and the limit. */
export function checkSettings(id: string, settings: SchedulingSettings): void {
  const { policy, sliceNs, weight, minShare, maxShare, watchdogNs, tailNs } = settings;
  const limits = settingLimits;
  const names = policies.join(", ");
  need(policies.includes(policy), `vGPU ${id}: policy "${policy}" is none of ${names}`);
  need(
    Number.isInteger(sliceNs) && sliceNs >= limits.sliceMinNs && sliceNs <= limits.sliceMaxNs,
    `vGPU ${id}: the slice ${sliceNs / 1e6} ms is outside 1 to 30 ms`,
  );
  need(
    Number.isInteger(weight) && weight >= 1 && weight <= limits.weightMax,
    `vGPU ${id}: the weight ${weight} is no integer from 1 to ${limits.weightMax}`,
  );
  need(minShare >= 0 && minShare <= 1, `vGPU ${id}: the minimum ${minShare} is outside 0 to 1`);
  need(
    maxShare >= 1e-6 && maxShare <= 1,
    `vGPU ${id}: the maximum ${maxShare} is outside 0.000001 to 1`,
  );
  need(
    minShare <= maxShare,
    `vGPU ${id}: the minimum ${minShare} is above the maximum ${maxShare}`,
  );
  need(
    policy !== "fixed" || minShare === maxShare,
    `vGPU ${id}: a fixed share has one value, not ${minShare} to ${maxShare}`,
  );
  need(
    Number.isInteger(watchdogNs) && watchdogNs > 0 && watchdogNs <= limits.watchdogMaxNs,
    `vGPU ${id}: the watchdog ${watchdogNs / 1e9} s is outside 0 to ${limits.watchdogMaxNs / 1e9} s`,
  );
  need(
    tailNs === null || (Number.isInteger(tailNs) && tailNs >= 0 && tailNs <= limits.tailMaxNs),
    `vGPU ${id}: the tail ${(tailNs ?? 0) / 1e6} ms is outside 0 to ${limits.tailMaxNs / 1e6} ms`,
  );
}

/** Throws SettingsError if the guaranteed shares of all vGPUs are more than the GPU. */
export function checkTogether(all: ReadonlyMap<string, SchedulingSettings>, changed: string): void {
  let guaranteed = 0;
  for (const settings of all.values()) guaranteed += settings.minShare;
  const others = guaranteed - (all.get(changed)?.minShare ?? 0);
  need(
    guaranteed <= 1 + SHARE_EPSILON,
    `vGPU ${changed}: a guaranteed share of ${all.get(changed)?.minShare} does not fit: ` +
      `${Number(others.toFixed(6))} of 1 is given to other vGPUs`,
  );
  // What is left must be worth a slice now and then, else those without a guarantee starve.
  const unreserved = [...all.values()].some((each) => each.policy !== "fixed");
  let reserved = 0;
  for (const each of all.values()) if (each.policy === "fixed") reserved += each.minShare;
  need(
    !unreserved || reserved <= 0.99,
    `vGPU ${changed}: fixed shares of ${Number(reserved.toFixed(6))} leave less than 0.01 ` +
      "to the vGPUs without one",
  );
}

/** How much of the GPU one of several may have, relative to the others. */
export interface Claim {
  readonly weight: number;
  readonly minShare: number;
  readonly maxShare: number;
}

export function claimOf(settings: SchedulingSettings): Claim {
  const weight = settings.policy === "weighted" ? settings.weight : 1;
  return { weight, minShare: settings.minShare, maxShare: settings.maxShare };
}

/**
 * Divides `capacity` (0 to 1) by weight, within each claim's limits: share = weight × level,
 * clamped, with the one level at which the shares add up. If all maxima together are less than the
 * capacity, every share is its maximum.
 */
export function divide(claims: readonly Claim[], capacity: number): number[] {
  const at = (level: number): number[] =>
    claims.map((each) => Math.min(each.maxShare, Math.max(each.minShare, each.weight * level)));
  const sum = (shares: readonly number[]): number => shares.reduce((a, b) => a + b, 0);
  let low = 0;
  // At this level every claim is at its maximum.
  let high = Math.max(0, ...claims.map((each) => each.maxShare / each.weight));
  if (sum(at(high)) <= capacity) return at(high);
  // The sum grows with the level: halving finds it to the last bit in a bounded number of steps.
  for (let step = 0; step < 60 && low < high; step++) {
    const middle = (low + high) / 2;
    if (sum(at(middle)) < capacity) low = middle;
    else high = middle;
  }
  return at(high);
}
