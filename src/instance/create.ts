// SPDX-License-Identifier: Apache-2.0
/**
 * Makes a device with the real clock, randomness and ordered memory accesses. The only file of this
 * folder that loads the addon, so that all others run without it.
 */
import type { Executor } from "../gpu/executor.js";
import { type Clock, realClock } from "../io/clock.js";
import {
  fence,
  loadAcquire32,
  loadAcquireU64,
  storeRelease32,
  storeReleaseU64,
} from "../io/native.js";
import { type Random, systemRandom } from "../io/random.js";
import { realTimers, type Timers } from "../io/timers.js";
import { createTranslator, type Translator } from "../kernel/translator/index.js";
import { VgpuDevice } from "./device.js";
import type { DeviceLog } from "./host.js";
import { type Lease, localLease } from "./lease.js";
import {
  DEFAULT_LIMITS,
  DEFAULT_SCHEDULING,
  type InstanceLimits,
  type SchedulingLimits,
} from "./limits.js";
import type { OrderedWords } from "./timeline.js";

export interface DeviceOptions {
  /**
   * The GPU, or what opens it. With a function the device goes on with another GPU after a lost
   * one; with an executor it does not.
   */
  readonly executor: Executor | (() => Promise<Executor>);
  /** Limits that differ from the defaults, for example `memoryBytesMax`. */
  /** The compiler of PTX; default: a thread. With null, modules in PTX are not offered. */
  readonly translator?: Translator | null;
  readonly limits?: Partial<InstanceLimits>;
  readonly scheduling?: Partial<SchedulingLimits>;
  /** The right to use the GPU; default: always held. */
  readonly lease?: Lease;
  readonly log?: DeviceLog;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly timers?: Timers;
  readonly words?: OrderedWords;
  /** Ends this process for another one, after a GPU that hangs or can't be opened again. */
  readonly abandon?: (message: string) => void;
  /** Is told right before this thread is busy for long, with how long at most. */
  readonly busy?: (ms: number) => void;
}

/** Release and acquire through the addon. */
export const nativeWords: OrderedWords = {
  storeU64: storeReleaseU64,
  storeU32: storeRelease32,
  loadU32: loadAcquire32,
  loadU64: loadAcquireU64,
  fence,
};

const silent: DeviceLog = { debug: () => {}, info: () => {}, warn: () => {} };

/** Rejects with ExecutorError if the GPU can't be opened. */
export async function createDevice(options: DeviceOptions): Promise<VgpuDevice> {
  const reopen = typeof options.executor === "function" ? options.executor : null;
  const executor =
    typeof options.executor === "function" ? await options.executor() : options.executor;
  const clock = options.clock ?? realClock;
  const random = options.random ?? systemRandom;
  const timers = options.timers ?? realTimers;
  const timer = timers.create();
  const watchdog = timers.create();
  timer.unref();
  watchdog.unref();
  return new VgpuDevice({
    executor,
    reopen,
    translator: options.translator === undefined ? createTranslator() : options.translator,
    limits: { ...DEFAULT_LIMITS, ...options.limits },
    scheduling: { ...DEFAULT_SCHEDULING, ...options.scheduling },
    nowNs: () => clock.nowNs(),
    randomU32: () => random.u32(),
    timer,
    watchdog,
    words: options.words ?? nativeWords,
    lease: options.lease ?? localLease(),
    log: options.log ?? silent,
    abandon: options.abandon ?? null,
    busy: options.busy ?? (() => {}),
  });
}
