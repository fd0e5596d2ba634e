// SPDX-License-Identifier: Apache-2.0
/**
 * Puts an instance together: the executor that was asked for, the lease (a G-VMCS that the broker
 * enters, or none), and the device. The only place that knows all of them.
 */
import { createHash } from "node:crypto";
import { accessSync, readFileSync } from "node:fs";
import type { InstanceLink } from "../broker/instance-link.js";
import type { Executor } from "../gpu/executor.js";
import type { Faults } from "../gpu/faulty/index.js";
import { GVMCS, GvmcsInstance } from "../gvmcs/index.js";
import { GvmcsLease } from "../instance/gvmcs-lease.js";
import { createDevice as createVgpu, DEFAULT_LIMITS, type VgpuDevice } from "../instance/index.js";
import { FOLDER_STORE_LIMITS, FolderStore } from "../io/folder-store.js";
import {
  close,
  copyByTwo,
  createPoller,
  currentCpu,
  drain,
  fileMappings,
  getAffinity,
  involuntarySwitches,
  nowNs,
  PollEvents,
  setAffinity,
  setBatch,
  setCloexec,
  setNonblocking,
  signal,
} from "../io/native.js";
import { systemRandom } from "../io/random.js";
import { mapSharedPage } from "../io/shared-page.js";
import { realTimers, type Timer } from "../io/timers.js";
import {
  CachedTranslator,
  createTranslator,
  type Translator,
  translatorProgram,
} from "../kernel/translator/index.js";
import { createLogger, type Logger } from "../telemetry/log.js";
import { UsageError } from "./common.js";
import type { ExecutorKind, InstanceOptions } from "./instance-options.js";

/** Time between two checks of the books. */
const CHECK_NS = 50e6;
/** How long a driver may take to open the GPU again, ms: this thread waits for it. */
const REOPEN_MS = 10_000;

/** A thread that has ended may be another process's by now: that throws. */
const ownThread = (thread: number): number => {
  accessSync(`/proc/self/task/${thread}`);
  return thread;
};
const cores = {
  involuntarySwitches,
  currentCpu,
  getAffinity: (thread: number): number[] => getAffinity(ownThread(thread)),
  setAffinity: (thread: number, cpus: readonly number[]): void =>
    setAffinity(ownThread(thread), cpus),
};

/** Opens the executor; its module is loaded only then. Rejects with ExecutorError. */
export async function openExecutor(kind: ExecutorKind, id = ""): Promise<Executor> {
  switch (kind) {
    case "dawn": {
      const { createDawnExecutor, HostMemory, LAVAPIPE_MAPPINGS } = await import(
        "../gpu/dawn/index.js"
      );
      const adapter = process.env.VGPU_ADAPTER;
      const timer = realTimers.create();
      const timestamps = process.env.VGPU_TIMESTAMPS !== "0";
      const named = adapter === undefined ? {} : { adapter };
      const random = () => systemRandom.u32();
      const mappings = fileMappings(LAVAPIPE_MAPPINGS);
      const hostMemory = (queue: GPUQueue) =>
        new HostMemory(queue, { mappings, random, copyByTwo });
      const options = { nowNs, timer, timestamps, setBatch, cores, hostMemory, ...named };
      return createDawnExecutor(options);
    }
    case "null": {
      const { createNullExecutor } = await import("../gpu/null/index.js");
      return createNullExecutor({ nowNs });
    }
    case "faulty": {
      faulty ??= await openFaulty(id);
      return faulty();
    }
  }
}

/** One plan for the life of the process, so that a fault does not strike its successor again. */
let faulty: (() => Promise<Executor>) | null = null;

async function openFaulty(id: string): Promise<() => Promise<Executor>> {
  const { faultyOpener, parseFaults } = await import("../gpu/faulty/index.js");
  // Over the real GPU, what is computed can be checked too.
  const inner: ExecutorKind = process.env.VGPU_FAULTY_OVER === "dawn" ? "dawn" : "null";
  let faults: Faults;
  try {
    faults = parseFaults(process.env.VGPU_FAULTS ?? "", id);
  } catch (error) {
    throw new UsageError(`VGPU_FAULTS: ${error instanceof Error ? error.message : String(error)}`);
  }
  return faultyOpener(() => openExecutor(inner), faults);
}

export async function createDevice(options: InstanceOptions): Promise<VgpuDevice> {
  const log = createLogger({ name: options.id, level: options.logLevel });
  const first = await openExecutor(options.executor, options.id);
  let device: VgpuDevice | null = null;
  let lease: GvmcsLease | null = null;
  let link: InstanceLink | null = null;
  if (options.brokerPath !== null) {
    // Its messages are checked by a library that takes some ms to load.
    const { connectBroker } = await import("../broker/instance-link.js");
    link = await connectBroker({
      path: options.brokerPath,
      id: options.id,
      adapter: first.info.adapter,
      vendorId: first.info.vendorId,
      executor: first.kind,
      status: () => ({ ...device?.status() }),
      closed: (reason) => {
        log.error({ reason }, "the broker is gone, and nobody else lends the GPU");
        process.exit(1);
      },
    });
    lease = openLease(options, () => device);
  }
  let opened: Executor | null = first;
  const translator = cachedTranslator(options, log);
  device = await createVgpu({
    ...(translator === null ? {} : { translator }),
    executor: () => {
      const executor = opened;
      opened = null;
      if (executor !== null) return Promise.resolve(executor);
      link?.busy(REOPEN_MS);
      return openExecutor(options.executor, options.id);
    },
    limits: { memoryBytesMax: options.memoryLimitBytes ?? DEFAULT_LIMITS.memoryBytesMax },
    log,
    scheduling: {
      slicesMin: slicesFromEnvironment(),
      encodeAhead: process.env.VGPU_PREPARE !== "0",
    },
    ...(lease === null ? {} : { lease, abandon: (why) => abandon(log, why) }),
    busy: (ms) => link?.busy(ms),
  });
  if (process.env.VGPU_CHECK === "1") checkNowAndThen(device);
  // From here on the broker may enter us.
  lease?.load();
  process.on("uncaughtExceptionMonitor", () => lease?.abort());
  log.info({ adapter: first.info.adapter, executor: first.kind }, "the GPU is open");
  return device;
}

/** The compiler of PTX with a cache on disk; null for the usual one. */
function cachedTranslator(options: InstanceOptions, log: Logger): Translator | null {
  const folder = options.translationCache;
  const program = translatorProgram();
  if (folder === null || program === null) return null;
  try {
    const store = new FolderStore(folder, FOLDER_STORE_LIMITS, (error) =>
      log.warn({ folder }, `a translation can't be kept: ${error.message}`),
    );
    const version = createHash("sha256").update(readFileSync(program)).digest("hex");
    log.debug({ folder, entries: store.entries, bytes: store.bytes }, "translations are kept");
    return new CachedTranslator(createTranslator(), store, version);
  } catch (error) {
    // A vGPU without its cache is slower to start a kernel, and nothing else.
    const reason = error instanceof Error ? error.message : String(error);
    log.warn({ folder }, `--translation-cache can't be used: ${reason}`);
    return null;
  }
}

/**
 * The broker starts another process in our place. What hangs may hang our own end too (exit handlers
 * of a driver), so we end as a crash does.
 */
function abandon(log: Logger, why: string): void {
  log.error(`this process ends for a fresh one: ${why}`);
  process.kill(process.pid, "SIGKILL");
}

/** VGPU_CHECK: ends the process when its books do not agree; for tests and for finding mistakes. */
function checkNowAndThen(device: VgpuDevice): void {
  const timer = realTimers.create();
  timer.unref();
  const check = (): void => {
    const { problems } = device.audit();
    if (problems.length > 0) throw new Error(`the books do not agree: ${problems.join("; ")}`);
    timer.arm(CHECK_NS, check);
  };
  timer.arm(CHECK_NS, check);
}

/** VGPU_SLICES: every launch in at least so many slices, so that their cost can be measured. */
function slicesFromEnvironment(): number {
  const slices = Number(process.env.VGPU_SLICES ?? 0);
  if (Number.isInteger(slices) && slices >= 0) return slices;
  throw new UsageError(`VGPU_SLICES: '${process.env.VGPU_SLICES}' is no number of slices`);
}

/** The lease of a scheduled instance: its G-VMCS, on the descriptors that the broker handed in. */
function openLease(options: InstanceOptions, device: () => VgpuDevice | null): GvmcsLease {
  if (options.gvmcsFds === null) {
    throw new UsageError("--broker needs --gvmcs, the descriptors of the G-VMCS: vgpud gives both");
  }
  const [controlsFd, stateFd, ownBell, brokerBell] = options.gvmcsFds;
  const gvmcs = new GvmcsInstance({
    controls: mapSharedPage(controlsFd, GVMCS.PAGE_BYTES, true),
    state: mapSharedPage(stateFd, GVMCS.PAGE_BYTES, false),
  });
  close(controlsFd);
  close(stateFd);
  const ring = (): void => {
    signal(brokerBell);
  };
  const [timer, lookTimer, absenceTimer] = [0, 1, 2].map(() => realTimers.create()) as [
    Timer,
    Timer,
    Timer,
  ];
  for (const each of [timer, lookTimer, absenceTimer]) each.unref();
  const lease = new GvmcsLease({
    gvmcs,
    ring,
    nowNs,
    timer,
    lookTimer,
    absenceTimer,
    busy: () => device()?.runner.wantsGpu ?? false,
    waiting: () => device()?.runner.wantsTurn ?? false,
    used: () => {
      const runner = device()?.runner;
      return { gpuTimeNs: runner?.usage.gpuTimeNs ?? 0, batches: runner?.batchesDone ?? 0 };
    },
    controls: (controls) => device()?.applyControls(controls),
    drop: (reason) => device()?.drop(reason),
    publish: () => device()?.writeState(gvmcs),
  });
  const poller = createPoller();
  poller.unref();
  for (const fd of [ownBell, brokerBell]) {
    setCloexec(fd, true);
    setNonblocking(fd, true);
  }
  poller.watch(ownBell, PollEvents.readable, () => {
    drain(ownBell);
    lease.bell();
  });
  return lease;
}
