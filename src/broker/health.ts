// SPDX-License-Identifier: Apache-2.0
/**
 * Whether a process still does its work: it answers pings, and it gets done with the message that it
 * was handed. Time is counted in turns of the broker's own timer, not by a clock: a broker that was
 * held up itself (by a busy or suspended host) must not blame its instances for it.
 */

/** A turn, ms. */
export const HEALTH_TURN_MS = 500;
/** A process that has not greeted by then is stuck in its start: a driver that hangs, say. */
const START_MS = 60_000;
/** A message maps memory at most. */
const MESSAGE_MS = 10_000;

export interface HealthOptions {
  /** How long a ping may stay unanswered, ms; 0 waits for ever. */
  readonly answerMs: number;
}

/** What is seen of a process at a turn. */
export interface Vitals {
  readonly running: boolean;
  /** It has greeted the broker. */
  readonly greeted: boolean;
  /** Number of the message that it works on; null while it has none. */
  readonly message: number | null;
}

export type Verdict = { readonly kind: "ping" | "wait" } | { readonly kind: "end"; why: string };

const WAIT: Verdict = { kind: "wait" };

export class Health {
  readonly #answerTurns: number;
  #startTurns = 0;
  #pingTurns = 0;
  #message: number | null = null;
  #messageTurns = 0;

  constructor(options: HealthOptions) {
    this.#answerTurns = Math.ceil(options.answerMs / HEALTH_TURN_MS);
  }

  /** The last ping is answered. */
  answered(): void {
    this.#pingTurns = 0;
  }

  /** Another process takes its place. */
  reset(): void {
    this.#startTurns = 0;
    this.#pingTurns = 0;
    this.#messageTurns = 0;
  }

  /** Called once a turn. A ping is to be sent only when the verdict asks for it. */
  turn({ running, greeted, message }: Vitals): Verdict {
    if (!running || this.#answerTurns === 0) return WAIT;
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
      this.#pingTurns = 1;
      return { kind: "ping" };
    }
    this.#pingTurns++;
    if (this.#pingTurns <= this.#answerTurns) return WAIT;
    const seconds = (this.#answerTurns * HEALTH_TURN_MS) / 1000;
    return { kind: "end", why: `it has not answered for ${seconds} s` };
  }
}
