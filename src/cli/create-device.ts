// SPDX-License-Identifier: Apache-2.0
/**
 * Puts an instance together: the executor that was asked for, the lease (the broker's, or none),
 * and the device. The only place that knows all of them.
 */
import { connectBroker, type RemoteLease } from "../broker/lease-client.js";
import type { Executor } from "../gpu/executor.js";
import type { FaultPlan } from "../gpu/faulty/index.js";
import { createDevice as createVgpu, DEFAULT_LIMITS, type VgpuDevice } from "../instance/index.js";
import { nowNs } from "../io/native.js";
import { realTimers } from "../io/timers.js";
import { createLogger } from "../telemetry/log.js";
import type { ExecutorKind, InstanceOptions } from "./instance-options.js";

/** Opens the executor; its module is loaded only then. Rejects with ExecutorError. */
export async function openExecutor(kind: ExecutorKind): Promise<Executor> {
  switch (kind) {
    case "dawn": {
      const { createDawnExecutor } = await import("../gpu/dawn/index.js");
      const adapter = process.env.VGPU_ADAPTER;
      const timer = realTimers.create();
      return createDawnExecutor({ nowNs, timer, ...(adapter === undefined ? {} : { adapter }) });
    }
    case "null": {
      const { createNullExecutor } = await import("../gpu/null/index.js");
      return createNullExecutor({ nowNs });
    }
    case "faulty": {
      const { FaultyExecutor } = await import("../gpu/faulty/index.js");
      const { createNullExecutor } = await import("../gpu/null/index.js");
      return new FaultyExecutor(await createNullExecutor({ nowNs }), await faultPlan());
    }
  }
}

/** One plan for the life of the process, so that a fault does not strike its successor again. */
let plan: FaultPlan | null = null;

async function faultPlan(): Promise<FaultPlan> {
  const { FaultPlan: Plan, parseFaults } = await import("../gpu/faulty/index.js");
  plan ??= new Plan(parseFaults(process.env.VGPU_FAULTS ?? ""));
  return plan;
}

export async function createDevice(options: InstanceOptions): Promise<VgpuDevice> {
  const log = createLogger({ name: options.id, level: options.logLevel });
  const first = await openExecutor(options.executor);
  let device: VgpuDevice | null = null;
  let lease: RemoteLease | null = null;
  if (options.brokerPath !== null) {
    lease = await connectBroker({
      path: options.brokerPath,
      id: options.id,
      adapter: first.info.adapter,
      executor: first.kind,
      status: () => ({ ...device?.status() }),
      closed: (reason) => {
        log.error({ reason }, "the broker is gone, and nobody else lends the GPU");
        process.exit(1);
      },
    });
  }
  let opened: Executor | null = first;
  device = await createVgpu({
    executor: () => {
      const executor = opened;
      opened = null;
      return executor === null ? openExecutor(options.executor) : Promise.resolve(executor);
    },
    limits: { memoryBytesMax: options.memoryLimitBytes ?? DEFAULT_LIMITS.memoryBytesMax },
    log,
    ...(lease === null ? {} : { lease }),
  });
  log.info({ adapter: first.info.adapter, executor: first.kind }, "the GPU is open");
  return device;
}
