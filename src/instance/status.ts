// SPDX-License-Identifier: Apache-2.0
/** What `vgpuctl status` shows of an instance: plain JSON, snake_case, units in the names. */
import type { Executor } from "../gpu/executor.js";
import { Status, statusName } from "../protocol/generated/wire.js";
import type { Context, Usage } from "./context.js";
import { type CursorStatus, contextCursors } from "./cursor.js";
import type { GpuState } from "./gpu-keeper.js";
import type { TurnCounts } from "./turns.js";

export interface UsageStatus {
  readonly gpu_time_ns: number;
  readonly wait_ns: number;
  readonly launches: number;
  readonly copies: number;
  readonly bytes_to_device: number;
  readonly bytes_from_device: number;
  readonly rejections: number;
}

export interface ContextStatus {
  readonly id: number;
  readonly name: string;
  /** Name of the context's status, "OK" while it has not failed. */
  readonly status: string;
  readonly error: string | null;
  readonly memory_bytes: number;
  readonly reserved_bytes: number;
  readonly allocations: number;
  readonly host_memories: number;
  readonly modules: number;
  readonly functions: number;
  readonly events: number;
  readonly queued_commands: number;
  readonly queued_bytes: number;
  readonly batches_in_flight: number;
  /** Launches that are executed in part. */
  readonly cursor: readonly CursorStatus[];
  readonly usage: UsageStatus;
}

export interface UnsliceableStatus {
  readonly kernel: string;
  readonly reason: string;
}

export interface DeviceStatus {
  readonly executor: Executor["kind"];
  readonly adapter: string;
  readonly gpu: GpuState;
  readonly epoch: number;
  readonly attached: boolean;
  readonly session: boolean;
  readonly memory: {
    readonly limit_bytes: number;
    /** Bytes of all segments. */
    readonly reserved_bytes: number;
    readonly allocated_bytes: number;
  };
  readonly host_memory: { readonly bytes: number; readonly ranges: number };
  readonly queue: {
    readonly commands: number;
    readonly bytes: number;
    readonly batches_in_flight: number;
    readonly batches_done: number;
    readonly compiling: number;
    /** Time of the compiler, of all compilations. */
    readonly compile_ns: number;
    readonly staging_bytes: number;
    /** Bytes copied for writes and reads of the host, each as often as it was copied. */
    readonly copied_bytes: number;
  };
  /** How turns on the GPU began. */
  readonly turns: TurnCounts;
  readonly pipelines: number;
  readonly code_bytes: number;
  /** Answers of the PTX compiler that were kept on disk, and not; null without such a cache. */
  readonly translation_cache: { readonly hits: number; readonly misses: number } | null;
  /** Kernels whose launches run whole however long they are, the last ones noticed. */
  readonly unsliceable: readonly UnsliceableStatus[];
  /** Requests and commands that were refused, whole instance. */
  readonly requests_rejected: number;
  /** Over all contexts, those that exist no more included. */
  readonly usage: UsageStatus;
  readonly contexts: readonly ContextStatus[];
}

export function usageStatus(usage: Usage): UsageStatus {
  return {
    gpu_time_ns: Math.round(usage.gpuTimeNs),
    wait_ns: Math.round(usage.waitNs),
    launches: usage.launches,
    copies: usage.copies,
    bytes_to_device: usage.bytesToDevice,
    bytes_from_device: usage.bytesFromDevice,
    rejections: usage.rejections,
  };
}

export function contextStatus(context: Context): ContextStatus {
  return {
    id: context.id,
    name: context.name,
    status: statusName(context.error?.status ?? Status.OK),
    error: context.error?.text ?? null,
    memory_bytes: context.memory.allocatedBytes,
    reserved_bytes: context.memory.reservedBytes,
    allocations: context.memory.allocationCount,
    host_memories: context.hostmems.count,
    modules: context.kernels.moduleCount,
    functions: context.kernels.functionCount,
    events: context.events.count,
    queued_commands: context.queuedCommands,
    queued_bytes: context.queuedBytes,
    batches_in_flight: context.batchesInFlight,
    cursor: contextCursors(context),
    usage: usageStatus(context.usage),
  };
}
