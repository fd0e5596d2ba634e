// SPDX-License-Identifier: Apache-2.0
/**
 * How much time a vGPU's guest may make the compiler work. A bucket of time that fills at a rate: a
 * program may compile a lot at its start, and no guest keeps the host's cores compiling for ever.
 * Time is the compiler's, measured from start to end of each compilation.
 */
import { Status } from "../protocol/generated/wire.js";
import { type Failure, failure } from "./failure.js";

export interface CompileLimits {
  /** Compiler time that may be used at once, ns. */
  readonly compileNsMax: number;
  /** Part of the time that passes by which it is given back. */
  readonly compileShare: number;
}

export class CompileBudget {
  readonly #limits: CompileLimits;
  readonly #nowNs: () => number;
  #usedNs = 0;
  #seenNs: number;
  /** Of all compilations, ns. */
  totalNs = 0;

  constructor(limits: CompileLimits, nowNs: () => number) {
    this.#limits = limits;
    this.#nowNs = nowNs;
    this.#seenNs = nowNs();
  }

  /** Compiler time that was used and not given back yet, ns. */
  get usedNs(): number {
    const now = this.#nowNs();
    const backNs = (now - this.#seenNs) * this.#limits.compileShare;
    this.#seenNs = now;
    this.#usedNs = Math.max(0, this.#usedNs - backNs);
    return this.#usedNs;
  }

  charge(ns: number): void {
    this.#usedNs = this.usedNs + ns;
    this.totalNs += ns;
  }

  /** Null if `what` may be compiled now. */
  refuse(what: string): Failure | null {
    const { compileNsMax, compileShare } = this.#limits;
    const { usedNs } = this;
    if (usedNs < compileNsMax) return null;
    const seconds = (ns: number): string => `${Number((ns / 1e9).toFixed(3))} s`;
    const text =
      `${what} is not compiled: compilations have used ${seconds(usedNs)}, the limit is ` +
      `${seconds(compileNsMax)}, of which ${compileShare} s come back in a second`;
    return failure(Status.QUOTA, text, Math.round(usedNs), compileNsMax);
  }
}
