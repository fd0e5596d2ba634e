// SPDX-License-Identifier: Apache-2.0
/**
 * Whether a process still does its work: it answers pings, and it gets done with the message that it
 * was handed. Time is counted in turns of the broker's own timer, not by a clock: a broker that was
 * held up itself (by a busy or suspended host) must not blame its instances for it.
 *
 * A ping that is not answered has one of these causes, and what the kernel tells of the process's
 * threads tells them apart:
 *
 *   it is stopped, or all its threads sleep           ended after half a second of evidence (asleep:
 *                                                     unless it said before that it would be busy)
 *   its first thread computes without an end          ended after 0.75 s on a core, and what it said
 *                                                     that it would need (a large module)
 *   it waits for a core, a disk, or for other         ended after `answerMs`
 *   threads of its own that compute
 */
import type { Activity } from "./process-activity.js";

/** A turn, ms. */
export const HEALTH_TURN_MS = 250;
/** A ping is sent at every so many turns, if the last one was answered. */
const PING_TURNS = 2;
/** So many turns in which a process does nothing at all, with a ping to answer, are evidence. */
const QUIET_TURNS = 2;
/** What threads that wake now and then (timers of a driver) may take in such a turn, ns. */
const QUIET_NS_MAX = 12e6;
/** Longest time on a core without a look at the socket, ns: all that is longer is announced. */
const SPIN_NS_MAX = 0.75e9;
/** A process that has not greeted by then is stuck in its start: a driver that hangs, say. */
const START_MS = 60_000;
/** A message maps memory at most. */
const MESSAGE_MS = 10_000;

export interface HealthOptions {
  /** How long a ping may stay unanswered whatever the cause, ms; 0 waits for ever. */
  readonly answerMs: number;
}

/** What is seen of a process at a turn. */
export interface Vitals {
  readonly running: boolean;
  /** It has greeted the broker. */
  readonly greeted: boolean;
  /** Number of the message that it works on; null while it has none. */
  readonly message: number | null;
  /** What it is doing; asked only while an answer is missing. Null: not known. */
  readonly activity: () => Activity | null;
}

export type Verdict = { readonly kind: "ping" | "wait" } | { readonly kind: "end"; why: string };

const WAIT: Verdict = { kind: "wait" };

export class Health {
  readonly #answerMs: number;
  #startTurns = 0;
  /** Turns since the ping that is not answered; 0: there is none. */
  #pingTurns = 0;
  #restTurns = 0;
  #message: number | null = null;
  #messageTurns = 0;
  #first: Activity | null = null;
  #last: Activity | null = null;
  #quietTurns = 0;
  #announcedMs = 0;

  constructor(options: HealthOptions) {
    this.#answerMs = options.answerMs;
  }

  /** The last ping is answered. */
  answered(): void {
    this.#forget();
    this.#restTurns = PING_TURNS - 1;
  }

  /** It says that it will not look at its socket for so long. */
  announced(ms: number): void {
    this.#announcedMs += ms;
  }

  /** Another process takes its place. */
  reset(): void {
    this.#forget();
    this.#startTurns = 0;
    this.#restTurns = 0;
    this.#messageTurns = 0;
  }

  /** Called once a turn. A ping is to be sent only when the verdict asks for it. */
  turn({ running, greeted, message, activity }: Vitals): Verdict {
    if (!running || this.#answerMs === 0) return WAIT;
    if (!greeted) {
      this.#startTurns++;
      if (this.#startTurns * HEALTH_TURN_MS <= START_MS) return WAIT;
      return { kind: "end", why: `it has not started after ${START_MS / 1000} s` };
    }
    this.#messageTurns = message !== null && message === this.#message ? this.#messageTurns + 1 : 0;
    this.#message = message;
    if (this.#messageTurns * HEALTH_TURN_MS > MESSAGE_MS)
      return { kind: "end", why: `a message is not done after ${MESSAGE_MS / 1000} s` };
    if (this.#pingTurns === 0) {
      if (this.#restTurns-- > 0) return WAIT;
      this.#pingTurns = 1;
      return { kind: "ping" };
    }
    this.#pingTurns++;
    const hangs = this.#hangs(activity());
    if (hangs !== null) return { kind: "end", why: hangs };
    const limitMs = this.#answerMs + this.#announcedMs;
    if ((this.#pingTurns - 1) * HEALTH_TURN_MS < limitMs) return WAIT;
    return { kind: "end", why: `it has not answered for ${limitMs / 1000} s` };
  }

  #forget(): void {
    this.#pingTurns = 0;
    this.#first = null;
    this.#last = null;
    this.#quietTurns = 0;
    this.#announcedMs = 0;
  }

  /** Why a process that owes an answer will not give it; null if it may. */
  #hangs(activity: Activity | null): string | null {
    const last = this.#last;
    this.#last = activity;
    if (activity === null) {
      this.#quietTurns = 0;
      return null;
    }
    this.#first ??= activity;
    // Less than before: a thread has ended, so something goes on.
    const tookNs = last === null ? Number.NaN : activity.allNs - last.allNs;
    const quiet = activity.asleep && tookNs >= 0 && tookNs <= QUIET_NS_MAX;
    this.#quietTurns = quiet ? this.#quietTurns + 1 : 0;
    if (this.#quietTurns >= QUIET_TURNS) {
      if (activity.stopped) return "it is stopped";
      // It may have said so because it waits for a driver.
      const askedMs = (this.#pingTurns - 1) * HEALTH_TURN_MS;
      if (askedMs > this.#announcedMs) return "it sleeps and does not answer";
    }
    const spunNs = activity.mainNs - this.#first.mainNs;
    if (this.#message !== null || spunNs <= SPIN_NS_MAX + this.#announcedMs * 1e6) return null;
    return `it has computed for ${(spunNs / 1e9).toFixed(1)} s and does not answer`;
  }
}
