// SPDX-License-Identifier: Apache-2.0
/** What the device needs of the process around it, besides the GPU and the transport. */

/** The part of a logger that the device uses (pino's shape). */
export interface DeviceLog {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
}

/** A one-shot timer, as io/timers has it. Arming replaces what was armed. */
export interface OneShot {
  arm(ns: number, callback: () => void): void;
  disarm(): void;
}

/** Lines of one kind that are logged in a second; the rest is only counted. */
const LINES_PER_SECOND = 10;

/** Keeps a guest from flooding the log: what it can cause goes through here. */
export class LogLimiter {
  readonly #log: DeviceLog;
  readonly #nowNs: () => number;
  #windowNs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #dropped = 0;

  constructor(log: DeviceLog, nowNs: () => number) {
    this.#log = log;
    this.#nowNs = nowNs;
  }

  info(fields: object, text: string): void {
    const now = this.#nowNs();
    if (now - this.#windowNs >= 1e9) {
      if (this.#dropped > 0) this.#log.info({ lines: this.#dropped }, "log lines were left out");
      this.#windowNs = now;
      this.#lines = 0;
      this.#dropped = 0;
    }
    if (this.#lines >= LINES_PER_SECOND) {
      this.#dropped++;
      return;
    }
    this.#lines++;
    this.#log.info(fields, text);
  }
}
