// SPDX-License-Identifier: Apache-2.0
/** What goes in and out of the scheduler. */
import type { Account, ExitKind } from "./entity.js";
import type { SchedulingSettings } from "./settings.js";

export type CondemnReason = "overdue" | "time-claim" | "audit";

export type SchedulerAction =
  /** Hand the GPU over; null: with no end for now. */
  | { readonly kind: "enter"; readonly id: string; readonly deadlineNs: number | null }
  /** Set the end of the entry. */
  | { readonly kind: "bound"; readonly id: string; readonly deadlineNs: number }
  /** A hint: it will probably be entered next, so its work may be encoded now. */
  | { readonly kind: "prepare"; readonly id: string }
  /** The holder has the GPU to itself since then: the tail has ended. */
  | { readonly kind: "alone"; readonly id: string; readonly sinceNs: number }
  /** End its process, then call `gone`. */
  | { readonly kind: "kill"; readonly id: string; readonly reason: CondemnReason };

export interface SchedulerOptions {
  /** How long after deadline and watchdog a holder is killed, ns. */
  readonly graceNs: number;
  /** How long before a deadline the next one is told to prepare, ns. */
  readonly prepareLeadNs: number;
  /** It is told so long after an entry already, which may end early: when that has begun, ns. */
  readonly prepareAfterNs: number;
  /** How long a debtor waits for a vGPU that usually comes back at once, ns. */
  readonly anticipationNs: number;
  /** The longest entry of one that is alone, ns: so one that does not answer is noticed. */
  readonly aloneMaxNs: number;
}

export const defaultOptions: SchedulerOptions = {
  graceNs: 500e6,
  prepareLeadNs: 1e6,
  prepareAfterNs: 1.5e6,
  anticipationNs: 2e6,
  aloneMaxNs: 1e9,
};

export interface ExitReport {
  readonly kind: ExitKind;
  /** GPU time as the instance measured it. */
  readonly gpuNs: number;
  /** Whether it has more work. */
  readonly wants: boolean;
  /** How long what is left on the GPU should take; Scheduler.drained tells its end. Absent, 0: none. */
  readonly tailNs?: number;
}

/** One vGPU's part, for status. */
export interface Standings {
  readonly state: "idle" | "waiting" | "holding" | "draining" | "condemned";
  readonly settings: SchedulingSettings;
  /** Share of the GPU among those with work now; 0 while idle. */
  readonly share: number;
  readonly debtNs: number;
  readonly account: Account;
}
