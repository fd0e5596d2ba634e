// SPDX-License-Identifier: Apache-2.0
/**
 * Makes the device of a `vgpu-instance` from the program's options: which GPU, how much of it, and
 * whose lease. Dawn is loaded only if it is asked for, so that the other executors need no driver.
 */
import type { InstanceOptions } from "../cli/instance-options.js";
import type { Executor } from "../gpu/executor.js";
import { faultyOpener, parseFaults } from "../gpu/faulty/index.js";
import { createNullExecutor } from "../gpu/null/index.js";
import { realClock } from "../io/clock.js";
import { realTimers } from "../io/timers.js";
import { createLogger } from "../telemetry/log.js";
import { createDevice as create } from "./create.js";
import type { VgpuDevice } from "./device.js";

export interface CreateDeviceOptions
  extends Pick<InstanceOptions, "executor" | "id" | "memoryLimitBytes" | "logLevel"> {
  /** Faults of the faulty executor, e.g. "lost-at-batch=3"; see gpu/faulty. */
  readonly faults?: string;
  /** The executor that the faulty one wraps. */
  readonly faultyOver?: "null" | "dawn";
}

/**
 * Rejects with ExecutorError if there is no usable GPU driver.
 * Environment: VGPU_FAULTS and VGPU_FAULTY_OVER for `--executor=faulty`, VGPU_ADAPTER to choose
 * among adapters by a part of the name.
 */
export async function createDevice(options: CreateDeviceOptions): Promise<VgpuDevice> {
  const limits =
    options.memoryLimitBytes === null ? {} : { memoryBytesMax: options.memoryLimitBytes };
  return create({
    executor: opener(options),
    limits,
    log: createLogger({ name: options.id, level: options.logLevel }),
  });
}

function opener(options: CreateDeviceOptions): () => Promise<Executor> {
  switch (options.executor) {
    case "dawn":
      return openDawn;
    case "null":
      return openNull;
    case "faulty": {
      const over = options.faultyOver ?? process.env.VGPU_FAULTY_OVER ?? "null";
      if (over !== "null" && over !== "dawn")
        throw new Error(`VGPU_FAULTY_OVER is "${over}", it must be null or dawn`);
      const faults = parseFaults(options.faults ?? process.env.VGPU_FAULTS ?? "");
      return faultyOpener(over === "dawn" ? openDawn : openNull, faults);
    }
  }
}

function openNull(): Promise<Executor> {
  return createNullExecutor({ nowNs: realClock.nowNs });
}

async function openDawn(): Promise<Executor> {
  const { createDawnExecutor } = await import("../gpu/dawn/index.js");
  const adapter = process.env.VGPU_ADAPTER;
  return createDawnExecutor({
    nowNs: realClock.nowNs,
    timer: realTimers.create(),
    ...(adapter === undefined ? {} : { adapter }),
  });
}
