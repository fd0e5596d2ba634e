// SPDX-License-Identifier: Apache-2.0
/**
 * The launch states of a vGPU and the transitions between them, as a table.
 *
 *            load            enter              bound
 *   CLEAR ─────────▶ READY ─────────▶ ENTERED ─────────▶ BOUNDED ── exit with a tail ──▶ DRAINING
 *     ▲               │  ▲              │                  │                              │
 *     │               │  └── exit ──────┴──────── exit ────┤               drained ──▶ READY
 *     │               │      (reason)                      │ exit SAVE
 *     │ clear         │                                    ▼
 *   ABORTED ◀─ abort ─┴── from any state ──────────────  SAVED ── load ──▶ READY
 *
 * The broker is the only one who moves a vGPU; what an instance writes is a claim that it judges
 * here. Whatever the table does not list is illegal and aborts that instance, no other.
 */
import { AbortIndicator, ExitReason, ExitReasonNames, LaunchState } from "./generated/layout.js";

export type LaunchEvent =
  /** An instance has filled its page. */
  | { readonly kind: "load" }
  /** The GPU is handed over; bounded at once if a deadline is set with it. */
  | { readonly kind: "enter"; readonly bounded: boolean }
  | { readonly kind: "bound" }
  /** `tail`: the last of its work is still on the GPU. */
  | { readonly kind: "exit"; readonly reason: number; readonly tail: boolean }
  /** The tail has ended. */
  | { readonly kind: "drained" }
  | { readonly kind: "abort" }
  /** The instance is gone, a new one may load. */
  | { readonly kind: "clear" };

export type Transition =
  | { readonly ok: true; readonly state: LaunchState }
  | { readonly ok: false; readonly indicator: AbortIndicator; readonly text: string };

const names = ["CLEAR", "READY", "ENTERED", "BOUNDED", "SAVED", "ABORTED", "DRAINING"] as const;

function to(state: LaunchState): Transition {
  return { ok: true, state };
}

function refuse(state: LaunchState, what: string): Transition {
  return {
    ok: false,
    indicator: AbortIndicator.TRANSITION,
    text: `${what} is no transition of the launch state ${names[state]}`,
  };
}

/** A tail is what is left when the time or the work has come to its end, with others waiting. */
function exitWithTail(state: LaunchState, reason: number): Transition {
  const allowed = reason === ExitReason.SLICE_USED || reason === ExitReason.IDLE;
  if (allowed && state === LaunchState.BOUNDED) return to(LaunchState.DRAINING);
  return refuse(state, `an exit with reason ${ExitReasonNames.get(reason) ?? reason} and a tail`);
}

function exitFrom(state: LaunchState, reason: number): Transition {
  const name = ExitReasonNames.get(reason);
  if (name === undefined) return refuse(state, `an exit with the unknown reason ${reason}`);
  if (state !== LaunchState.ENTERED && state !== LaunchState.BOUNDED) {
    return refuse(state, `an exit with reason ${name}`);
  }
  switch (reason) {
    case ExitReason.SLICE_USED:
      // Without a deadline there is no slice that could be used up.
      return state === LaunchState.BOUNDED
        ? to(LaunchState.READY)
        : refuse(state, `an exit with reason ${name}`);
    case ExitReason.SAVE:
      return to(LaunchState.SAVED);
    default:
      return to(LaunchState.READY);
  }
}

/** Where an event leads from a state, or why it leads nowhere. */
export function transition(state: LaunchState, event: LaunchEvent): Transition {
  switch (event.kind) {
    case "clear":
      return to(LaunchState.CLEAR);
    case "abort":
      return to(LaunchState.ABORTED);
    case "load":
      return state === LaunchState.CLEAR || state === LaunchState.SAVED
        ? to(LaunchState.READY)
        : refuse(state, "a load");
    case "enter":
      if (state !== LaunchState.READY) return refuse(state, "an entry");
      return to(event.bounded ? LaunchState.BOUNDED : LaunchState.ENTERED);
    case "bound":
      return state === LaunchState.ENTERED ? to(LaunchState.BOUNDED) : refuse(state, "a bound");
    case "exit":
      return event.tail ? exitWithTail(state, event.reason) : exitFrom(state, event.reason);
    case "drained":
      return state === LaunchState.DRAINING ? to(LaunchState.READY) : refuse(state, "a tail's end");
  }
}
