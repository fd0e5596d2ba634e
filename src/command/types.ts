// SPDX-License-Identifier: Apache-2.0
/**
 * Typed commands and control requests: what is left of a guest's bytes once the decoder has
 * checked everything that can be checked without the context's state. Handles, pointers and ranges
 * are still the guest's word; the instance resolves them.
 *
 * u64 fields that count something are numbers below 2^53; the decoder refuses larger ones.
 */
import type { ModuleFormat, Status } from "../protocol/generated/wire.js";
import type { DevicePointer } from "../protocol/pointer.js";

/** Why the decoder refused a request. The fields go into the response header as they are. */
export interface DecodeError {
  readonly kind: "error";
  readonly status: Exclude<Status, typeof Status.OK>;
  /** The offending value, 0 where there is none. */
  readonly value: bigint;
  /** What it was held against, 0 where there is none. */
  readonly limit: bigint;
  /** Byte offset of the offending field from the start of the request. */
  readonly subject: number;
  readonly text: string;
}

export interface NopCommand {
  readonly kind: "nop";
}

export interface ModuleLoadCommand {
  readonly kind: "moduleLoad";
  readonly module: number;
  readonly format: ModuleFormat;
  /** Bytes of code as they were sent, which quotas count. */
  readonly codeBytes: number;
  /** Source text of the formats that are text; the decoder has checked that it is UTF-8. */
  readonly code: string;
  /** A fat binary: a view on the decoded copy. Empty for the other formats. */
  readonly image: Uint8Array;
  /** Whether its kernels detect bad addresses (MODULE_CHECKED). */
  readonly checked: boolean;
}

export interface ModuleUnloadCommand {
  readonly kind: "moduleUnload";
  readonly module: number;
}

export interface FunctionCreateCommand {
  readonly kind: "functionCreate";
  readonly function: number;
  readonly module: number;
  /** Name of the entry point, 1 to `VGPU.NAME_BYTES_MAX` bytes of UTF-8. */
  readonly name: string;
}

export interface FunctionDestroyCommand {
  readonly kind: "functionDestroy";
  readonly function: number;
}

/** `bytes` from or to `offset` in the registration `hostmem`; may be 0. */
export interface CopyHostCommand {
  readonly kind: "copyToDevice" | "copyFromDevice";
  readonly pointer: DevicePointer;
  readonly hostmem: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Ranges may overlap; `bytes` may be 0. */
export interface CopyDeviceCommand {
  readonly kind: "copyDevice";
  readonly destination: DevicePointer;
  readonly source: DevicePointer;
  readonly bytes: number;
}

/** `pointer` is aligned to `width`, and `bytes` is a multiple of it; may be 0. */
export interface FillCommand {
  readonly kind: "fill";
  readonly pointer: DevicePointer;
  readonly bytes: number;
  /** u32 of which the low `width` bytes are repeated. */
  readonly pattern: number;
  readonly width: 1 | 2 | 4;
}

export interface WriteInlineCommand {
  readonly kind: "writeInline";
  readonly pointer: DevicePointer;
  /** A view on the decoded copy, not on guest memory. May be empty. */
  readonly data: Uint8Array;
}

export interface PointerArgument {
  readonly kind: "pointer";
  readonly segment: number;
  readonly offset: number;
}

export interface ValueArgument {
  readonly kind: "value";
  /** 1 to `VGPU.LAUNCH_VALUE_BYTES_MAX` bytes: a view on the decoded copy. */
  readonly data: Uint8Array;
}

export type LaunchArgument = PointerArgument | ValueArgument;

export interface LaunchCommand {
  readonly kind: "launch";
  readonly function: number;
  /** Workgroups, each nonzero. */
  readonly gridX: number;
  readonly gridY: number;
  readonly gridZ: number;
  /** Invocations: all three nonzero, or all three zero for the declared ones. */
  readonly blockX: number;
  readonly blockY: number;
  readonly blockZ: number;
  /** Dynamic workgroup memory, bytes. The instance refuses it for WGSL. */
  readonly sharedBytes: number;
  readonly arguments: readonly LaunchArgument[];
}

export interface EventRecordCommand {
  readonly kind: "eventRecord";
  readonly event: number;
  readonly generation: number;
  /** Its time is asked for, as fine as the GPU can tell. */
  readonly timed: boolean;
}

export interface EventWaitCommand {
  readonly kind: "eventWait";
  readonly event: number;
  readonly generation: number;
}

export interface EventDestroyCommand {
  readonly kind: "eventDestroy";
  readonly event: number;
}

export type DeviceCommand =
  | NopCommand
  | ModuleLoadCommand
  | ModuleUnloadCommand
  | FunctionCreateCommand
  | FunctionDestroyCommand
  | CopyHostCommand
  | CopyDeviceCommand
  | FillCommand
  | WriteInlineCommand
  | LaunchCommand
  | EventRecordCommand
  | EventWaitCommand
  | EventDestroyCommand;

export interface DecodedSubmit {
  readonly kind: "submit";
  readonly context: number;
  /** Below the limit on streams. */
  readonly stream: number;
  /** Nonzero. */
  readonly fence: number;
  readonly commands: readonly DeviceCommand[];
}

export interface InitRequest {
  readonly kind: "init";
  /** Nonzero. */
  readonly session: bigint;
  readonly capabilities: bigint;
}

/** Requests whose payload is empty. */
export interface BareRequest {
  readonly kind: "getCapabilities" | "contextDestroy" | "memoryInfo" | "errorQuery" | "statistics";
  readonly context: number;
}

export interface ContextCreateRequest {
  readonly kind: "contextCreate";
  readonly context: number;
  /** Guest addresses, page-aligned and different. */
  readonly timelineAddress: number;
  readonly armAddress: number;
  readonly name: string;
}

export interface HostMemoryRange {
  /** Guest address; `address + bytes` is below 2^53. */
  readonly address: number;
  /** Nonzero. */
  readonly bytes: number;
}

export interface HostmemRegisterRequest {
  readonly kind: "hostmemRegister";
  readonly context: number;
  readonly hostmem: number;
  /** Sum of the ranges' bytes. */
  readonly bytes: number;
  /** At least one. */
  readonly ranges: readonly HostMemoryRange[];
}

export interface HostmemUnregisterRequest {
  readonly kind: "hostmemUnregister";
  readonly context: number;
  readonly hostmem: number;
}

export interface MemoryAllocRequest {
  readonly kind: "memoryAlloc";
  readonly context: number;
  /** Nonzero. */
  readonly bytes: number;
  /** The context is going to run kernels in PTX (MEMORY_DENSE). */
  readonly dense: boolean;
}

export interface MemoryFreeRequest {
  readonly kind: "memoryFree";
  readonly context: number;
  readonly pointer: DevicePointer;
}

export interface ModuleQueryRequest {
  readonly kind: "moduleQuery";
  readonly context: number;
  readonly module: number;
  readonly logOffset: number;
}

export interface ModuleSymbolRequest {
  readonly kind: "moduleSymbol";
  readonly context: number;
  readonly module: number;
  /** Name of a variable, 1 to `VGPU.NAME_BYTES_MAX` bytes of UTF-8. */
  readonly name: string;
}

export interface FunctionQueryRequest {
  readonly kind: "functionQuery";
  readonly context: number;
  readonly function: number;
}

export interface EventQueryRequest {
  readonly kind: "eventQuery";
  readonly context: number;
  readonly event: number;
}

export type ControlRequest =
  | InitRequest
  | BareRequest
  | ContextCreateRequest
  | HostmemRegisterRequest
  | HostmemUnregisterRequest
  | MemoryAllocRequest
  | MemoryFreeRequest
  | ModuleQueryRequest
  | ModuleSymbolRequest
  | FunctionQueryRequest
  | EventQueryRequest;
