// SPDX-License-Identifier: Apache-2.0
/**
 * The suites about sharing one GPU, and of what a device costs besides: what they are given, what
 * they return, and their names.
 */
import { footprint } from "./footprint.js";
import { growth } from "./growth.js";
import { fairness } from "./sharing-fairness.js";
import { interference } from "./sharing-interference.js";
import { programs } from "./sharing-programs.js";
import { scale } from "./sharing-scale.js";
import { switching } from "./sharing-switch.js";
import { utilisation } from "./sharing-utilisation.js";
import { stages } from "./stages.js";
import { vm } from "./vm.js";

export interface SharingOptions {
  /** Windows of seconds, for a first look: too short for the figures to mean much. */
  readonly quick: boolean;
  readonly executor: string;
}

export interface SharingResult {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  /** Of the reference, where there is one. */
  readonly native_median?: number;
  readonly ratio?: number;
  /** What the figure was made of. */
  readonly detail?: unknown;
}

export interface SharingReport {
  readonly adapter: string;
  readonly results: readonly SharingResult[];
}

export type SharingSuite = (options: SharingOptions) => Promise<SharingReport>;

export const SHARING: Readonly<Record<string, SharingSuite>> = {
  fairness,
  interference,
  utilisation,
  programs,
  switch: switching,
  scale,
  startup: footprint,
  vm,
  stages,
  growth,
};
