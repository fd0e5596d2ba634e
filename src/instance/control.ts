// SPDX-License-Identifier: Apache-2.0
/**
 * Answers control requests. Each handler gets a decoded request and gives a whole response, or the
 * failure that goes into the response header; nothing of a failed request is kept.
 */
import type {
  ContextCreateRequest,
  ControlRequest,
  HostmemRegisterRequest,
  InitRequest,
  MemoryAllocRequest,
} from "../command/types.js";
import type { ExecutorInfo } from "../gpu/executor.js";
import {
  CapabilitiesResponse,
  Capability,
  ErrorQueryResponse,
  EventQueryResponse,
  InitResponse,
  MemoryAllocResponse,
  MemoryInfoResponse,
  StatisticsResponse,
  Status,
  VGPU,
} from "../protocol/generated/wire.js";
import { pointerToBigInt } from "../protocol/pointer.js";
import type { MemoryBudget } from "./budget.js";
import { OK_RESPONSE, okResponse, PAYLOAD_AT } from "./chain-io.js";
import type { Context } from "./context.js";
import { type Failure, failure } from "./failure.js";
import type { GuestViews } from "./hostmem.js";
import { functionQuery, moduleQuery, moduleSymbol } from "./kernel-queries.js";
import { GRID_MAX, type InstanceLimits } from "./limits.js";

/** What the requests act on. */
export interface ControlHost {
  readonly limits: InstanceLimits;
  readonly budget: MemoryBudget;
  readonly epoch: number;
  /** The GPU's properties; those of the last one while there is none. */
  readonly info: ExecutorInfo;
  /** Whether modules in PTX are offered. */
  readonly ptx: boolean;
  /** Whether there is a GPU now. */
  readonly gpuReady: boolean;
  readonly memory: GuestViews;
  readonly contexts: ReadonlyMap<number, Context>;
  /** Begins a session; a new one drops everything of the old one. */
  beginSession(session: bigint): void;
  createContext(request: ContextCreateRequest): Failure | null;
  destroyContext(context: Context): void;
}

export type ControlResult = Uint8Array | Failure;

/** Answers a request whose response, payload included, has room in `capacity` bytes. */
export function handleControl(
  host: ControlHost,
  request: ControlRequest,
  capacity: number,
): ControlResult {
  if (request.kind === "init") return init(host, request);
  if (request.kind === "getCapabilities") return getCapabilities(host);
  if (request.kind === "contextCreate") return contextCreate(host, request);
  const context = host.contexts.get(request.context);
  if (context === undefined) return contextUnknown(request.context);
  switch (request.kind) {
    case "contextDestroy":
      host.destroyContext(context);
      return OK_RESPONSE;
    case "hostmemRegister":
      return hostmemRegister(host, context, request);
    case "hostmemUnregister":
      return context.hostmems.unregister(request.hostmem) ?? OK_RESPONSE;
    case "memoryAlloc":
      return memoryAlloc(host, context, request);
    case "memoryFree":
      return context.memory.free(request.pointer) ?? OK_RESPONSE;
    case "memoryInfo":
      return memoryInfo(host, context);
    case "moduleQuery":
      return moduleQuery(host.limits, context, request, capacity);
    case "moduleSymbol":
      return moduleSymbol(host.limits, context, request);
    case "functionQuery":
      return functionQuery(host.limits, context, request, capacity);
    case "eventQuery":
      return eventQuery(context, request.event);
    case "errorQuery":
      return errorQuery(context);
    case "statistics":
      return statistics(context);
  }
}

export function contextUnknown(id: number): Failure {
  return failure(Status.CONTEXT_UNKNOWN, `context ${id} does not exist`, id, 0, id);
}

export function capabilityBits(info: ExecutorInfo, ptx: boolean): bigint {
  let bits: bigint = Capability.WGSL;
  if (info.f16) bits |= Capability.F16;
  if (info.subgroups) bits |= Capability.SUBGROUPS;
  if (info.timestamps) bits |= Capability.TIMESTAMPS;
  if (ptx) bits |= Capability.PTX;
  return bits;
}

function init(host: ControlHost, request: InitRequest): ControlResult {
  host.beginSession(request.session);
  const { bytes, view } = okResponse(InitResponse.bytes);
  InitResponse.encode(view, PAYLOAD_AT, {
    epoch: host.epoch,
    version: VGPU.VERSION,
    capabilities: capabilityBits(host.info, host.ptx) & request.capabilities,
  });
  return bytes;
}

function getCapabilities(host: ControlHost): ControlResult {
  const { limits, info } = host;
  const { bytes, view } = okResponse(CapabilitiesResponse.bytes);
  CapabilitiesResponse.encode(view, PAYLOAD_AT, {
    capabilities: capabilityBits(info, host.ptx),
    memory_bytes: BigInt(host.budget.limitBytes),
    segment_bytes_max: BigInt(Math.min(info.segmentBytesMax, host.budget.limitBytes)),
    hostmem_bytes_max: BigInt(limits.hostmemBytesMax),
    contexts_max: limits.contextsMax,
    streams_max: VGPU.STREAMS_MAX,
    modules_max: limits.modulesMax,
    functions_max: limits.functionsMax,
    events_max: limits.eventsMax,
    hostmems_max: limits.hostmemsMax,
    queued_commands_max: limits.queuedCommandsMax,
    grid_max: Math.max(GRID_MAX, info.gridMax),
    block_max_x: info.blockMax[0],
    block_max_y: info.blockMax[1],
    block_max_z: info.blockMax[2],
    block_threads_max: info.blockThreadsMax,
    shared_bytes_max: info.sharedBytesMax,
    subgroup_size: info.subgroupSize,
    epoch: host.epoch,
    vendor_id: info.vendorId,
    adapter: info.adapter,
  });
  return bytes;
}

function contextCreate(host: ControlHost, request: ContextCreateRequest): ControlResult {
  const { contextsMax } = host.limits;
  const id = request.context;
  if (id >= contextsMax) {
    const text = `context ${id} is asked for, ids are below ${contextsMax}`;
    return failure(Status.CONTEXT_LIMIT, text, id, contextsMax, id);
  }
  if (host.contexts.has(id))
    return failure(Status.CONTEXT_EXISTS, `context ${id} exists already`, id, 0, id);
  if (!host.gpuReady) return failure(Status.DEVICE_LOST, "there is no GPU now");
  return host.createContext(request) ?? OK_RESPONSE;
}

function hostmemRegister(
  host: ControlHost,
  context: Context,
  request: HostmemRegisterRequest,
): ControlResult {
  const { hostmem, ranges, bytes } = request;
  return context.hostmems.register(hostmem, ranges, bytes, host.memory) ?? OK_RESPONSE;
}

function memoryAlloc(
  host: ControlHost,
  context: Context,
  request: MemoryAllocRequest,
): ControlResult {
  const { error } = context;
  if (error !== null)
    return failure(Status.CONTEXT_FAILED, `context ${context.id} has failed`, error.status);
  if (!host.gpuReady) return failure(Status.DEVICE_LOST, "there is no GPU now");
  if (request.dense) context.memory.dense = true;
  const grant = context.memory.allocate(request.bytes);
  if ("kind" in grant) return grant;
  const { bytes, view } = okResponse(MemoryAllocResponse.bytes);
  MemoryAllocResponse.encode(view, PAYLOAD_AT, {
    pointer: pointerToBigInt(grant),
    bytes: BigInt(grant.bytes),
  });
  return bytes;
}

function memoryInfo(host: ControlHost, context: Context): ControlResult {
  const { budget } = host;
  const { bytes, view } = okResponse(MemoryInfoResponse.bytes);
  MemoryInfoResponse.encode(view, PAYLOAD_AT, {
    total_bytes: BigInt(budget.limitBytes),
    // The limit may have been set below what is allocated.
    free_bytes: BigInt(Math.max(0, budget.limitBytes - budget.allocatedBytes)),
    context_bytes: BigInt(context.memory.allocatedBytes),
    allocation_count: BigInt(context.memory.allocationCount),
  });
  return bytes;
}

function eventQuery(context: Context, handle: number): ControlResult {
  const answer = context.events.query(handle, context.error !== null);
  if ("kind" in answer) return answer;
  const { bytes, view } = okResponse(EventQueryResponse.bytes);
  EventQueryResponse.encode(view, PAYLOAD_AT, {
    state: answer.state,
    generation: BigInt(answer.generation),
    time_ns: BigInt(Math.max(0, Math.floor(answer.timeNs))),
  });
  return bytes;
}

function errorQuery(context: Context): ControlResult {
  const { error } = context;
  const { bytes, view } = okResponse(ErrorQueryResponse.bytes);
  ErrorQueryResponse.encode(view, PAYLOAD_AT, {
    status: error?.status ?? Status.OK,
    stream: error?.stream ?? 0,
    fence: BigInt(error?.fence ?? 0),
    value: error?.value ?? 0n,
    limit: error?.limit ?? 0n,
    text: error?.text ?? "",
  });
  return bytes;
}

function statistics(context: Context): ControlResult {
  const { usage } = context;
  const count = (value: number): bigint => BigInt(Math.max(0, Math.round(value)));
  const { bytes, view } = okResponse(StatisticsResponse.bytes);
  StatisticsResponse.encode(view, PAYLOAD_AT, {
    gpu_time_ns: count(usage.gpuTimeNs),
    launches: count(usage.launches),
    copies: count(usage.copies),
    bytes_to_device: count(usage.bytesToDevice),
    bytes_from_device: count(usage.bytesFromDevice),
    commands_rejected: count(usage.rejections),
    wait_ns: count(usage.waitNs),
  });
  return bytes;
}
