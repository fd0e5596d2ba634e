// SPDX-License-Identifier: Apache-2.0
/**
 * Keeps a GPU at hand: notices that it is lost, and opens another one. The first attempt is made at
 * once; after failures they become rarer. While there is none, contexts can't be created.
 *
 * A GPU that hangs holds threads of its driver, on some drivers for good, which another device in
 * the same process would need. Where another process can take this one's place, it does.
 */
import type { Executor, ExecutorInfo } from "../gpu/executor.js";
import type { DeviceLog, OneShot } from "./host.js";

/** `opening`: the first attempt after a loss runs; `lost`: it failed, others follow if possible. */
export type GpuState = "ready" | "opening" | "lost";

export interface GpuKeeperOptions {
  readonly executor: Executor;
  readonly reopen: (() => Promise<Executor>) | null;
  readonly nowNs: () => number;
  readonly timer: OneShot;
  readonly log: DeviceLog;
  /** Another executor, or null and why. */
  readonly changed: (executor: Executor | null, message: string) => void;
  /** The first attempt has ended, either way. */
  readonly settled: () => void;
  /** Ends this process for another one; null where nobody would start it. */
  readonly abandon: ((message: string) => void) | null;
}

const RETRY_FIRST_NS = 200e6;
const RETRY_MAX_NS = 30e9;
/** One that lived this long was good: the next attempt is made at once again. */
const STABLE_NS = 10e9;

export class GpuKeeper {
  readonly #options: GpuKeeperOptions;
  #executor: Executor;
  #state: GpuState = "ready";
  #openedNs: number;
  #retryNs = 0;
  #closed = false;

  constructor(options: GpuKeeperOptions) {
    this.#options = options;
    this.#executor = options.executor;
    this.#openedNs = options.nowNs();
    this.#watch(options.executor);
  }

  get state(): GpuState {
    return this.#state;
  }

  /** Properties of the GPU, or of the last one. */
  get info(): ExecutorInfo {
    return this.#executor.info;
  }

  get kind(): Executor["kind"] {
    return this.#executor.kind;
  }

  /** The GPU in use is gone; `hung`: a batch on it does not end. */
  lost(message: string, hung = false): void {
    if (this.#state !== "ready" || this.#closed) return;
    const { reopen, log, nowNs, changed, abandon } = this.#options;
    const old = this.#executor;
    old.onLost = null;
    log.warn({ adapter: old.info.adapter }, `the GPU is lost: ${message}`);
    const stable = nowNs() - this.#openedNs >= STABLE_NS;
    if (stable) this.#retryNs = 0;
    this.#state = reopen !== null && this.#retryNs === 0 ? "opening" : "lost";
    changed(null, message);
    if (hung && abandon !== null) {
      abandon(message);
      return;
    }
    void old.close().catch((error: unknown) => {
      log.warn({ error: String(error) }, "the lost GPU can't be closed");
    });
    this.#retry();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.timer.disarm();
    this.#executor.onLost = null;
    if (this.#state === "ready") await this.#executor.close();
  }

  #watch(executor: Executor): void {
    executor.onLost = (message) => {
      if (executor === this.#executor) this.lost(message);
    };
  }

  #retry(): void {
    const { reopen, timer } = this.#options;
    if (reopen === null || this.#closed) return;
    const delay = this.#retryNs;
    this.#retryNs = Math.min(RETRY_MAX_NS, Math.max(RETRY_FIRST_NS, delay * 2));
    if (delay === 0) this.#open(reopen);
    else timer.arm(delay, () => this.#open(reopen));
  }

  #open(reopen: () => Promise<Executor>): void {
    reopen().then(
      (executor) => this.#opened(executor),
      (error: unknown) => {
        const { log, settled, abandon } = this.#options;
        log.warn({ error: String(error) }, "no GPU can be opened, another attempt follows");
        if (!this.#closed) abandon?.(`no GPU can be opened: ${String(error)}`);
        const first = this.#state === "opening";
        this.#state = "lost";
        this.#retry();
        if (first && !this.#closed) settled();
      },
    );
  }

  #opened(executor: Executor): void {
    const { log, nowNs, changed, settled } = this.#options;
    if (this.#closed) {
      void executor.close();
      return;
    }
    this.#executor = executor;
    this.#openedNs = nowNs();
    this.#watch(executor);
    this.#state = "ready";
    log.info({ adapter: executor.info.adapter }, "a GPU is opened again");
    changed(executor, "");
    settled();
  }
}
