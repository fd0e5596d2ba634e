// SPDX-License-Identifier: Apache-2.0
/** Answers to the queries about modules, their variables and their functions. */
import type {
  FunctionQueryRequest,
  ModuleQueryRequest,
  ModuleSymbolRequest,
} from "../command/types.js";
import {
  ArgumentAccess,
  ArgumentInfo,
  ArgumentKind,
  FunctionQueryResponse,
  ModuleQueryResponse,
  ModuleSymbolResponse,
  ObjectState,
  Status,
} from "../protocol/generated/wire.js";
import { pointerToBigInt } from "../protocol/pointer.js";
import { okResponse, PAYLOAD_AT } from "./chain-io.js";
import type { Context } from "./context.js";
import { type Failure, failure, unknownHandle } from "./failure.js";
import { type Entry, type PtxEntry, WgslEntry } from "./kernel-code.js";
import type { InstanceLimits } from "./limits.js";

const utf8 = new TextEncoder();

export function moduleQuery(
  { modulesMax }: InstanceLimits,
  context: Context,
  request: ModuleQueryRequest,
  capacity: number,
): Uint8Array | Failure {
  if (request.module >= modulesMax) return handleLimit("module", request.module, modulesMax);
  const module = context.kernels.module(request.module);
  const log = utf8.encode(module?.log ?? "");
  const room = Math.max(0, capacity - PAYLOAD_AT - ModuleQueryResponse.bytes);
  const part = log.subarray(request.logOffset, request.logOffset + room);
  const { bytes, view } = okResponse(ModuleQueryResponse.bytes + part.length);
  ModuleQueryResponse.encode(view, PAYLOAD_AT, {
    state: module?.state ?? context.kernels.absentState("module", request.module),
    status: module?.status ?? Status.OK,
    log_bytes: log.length,
    function_count: module?.code?.entryCount ?? 0,
  });
  bytes.set(part, PAYLOAD_AT + ModuleQueryResponse.bytes);
  return bytes;
}

export function moduleSymbol(
  { modulesMax }: InstanceLimits,
  context: Context,
  { module: handle, name }: ModuleSymbolRequest,
): Uint8Array | Failure {
  if (handle >= modulesMax) return handleLimit("module", handle, modulesMax);
  const module = context.kernels.module(handle);
  if (module === undefined) return unknownHandle("module", handle);
  const symbol = module.variables?.symbols.get(name);
  if (symbol === undefined) {
    const why = module.state === ObjectState.READY ? "has no variable" : "is not ready, nor has it";
    return failure(Status.SYMBOL_NOT_FOUND, `module ${handle} ${why} ${name}`, 0, 0, handle);
  }
  const { bytes, view } = okResponse(ModuleSymbolResponse.bytes);
  ModuleSymbolResponse.encode(view, PAYLOAD_AT, {
    pointer: pointerToBigInt(symbol),
    bytes: BigInt(symbol.bytes),
  });
  return bytes;
}

/** What FUNCTION_QUERY tells of an entry point, in either language. */
interface Description {
  readonly block: readonly number[];
  readonly sharedBytes: number;
  readonly threadsMax: number;
  readonly arguments: readonly ArgumentInfo[];
}

const NOTHING: Description = { block: [], sharedBytes: 0, threadsMax: 0, arguments: [] };

export function functionQuery(
  { functionsMax }: InstanceLimits,
  context: Context,
  request: FunctionQueryRequest,
  capacity: number,
): Uint8Array | Failure {
  const handle = request.function;
  if (handle >= functionsMax) return handleLimit("function", handle, functionsMax);
  const kernel = context.kernels.function(handle);
  const entry = kernel?.entry ?? null;
  const described = entry === null ? NOTHING : describe(entry);
  const fixedBytes = FunctionQueryResponse.bytes;
  const room = Math.floor((capacity - PAYLOAD_AT - fixedBytes) / ArgumentInfo.bytes);
  const shown = described.arguments.slice(0, Math.max(0, room));
  const { bytes, view } = okResponse(fixedBytes + shown.length * ArgumentInfo.bytes);
  FunctionQueryResponse.encode(view, PAYLOAD_AT, {
    state: kernel?.state ?? context.kernels.absentState("function", handle),
    status: kernel?.status ?? Status.OK,
    argument_count: described.arguments.length,
    block_x: described.block[0] ?? 0,
    block_y: described.block[1] ?? 0,
    block_z: described.block[2] ?? 0,
    shared_bytes: described.sharedBytes,
    block_threads_max: described.threadsMax,
  });
  shown.forEach((each, index) => {
    ArgumentInfo.encode(view, PAYLOAD_AT + fixedBytes + index * ArgumentInfo.bytes, each);
  });
  return bytes;
}

function describe(entry: Entry): Description {
  return entry instanceof WgslEntry ? describeWgsl(entry) : describePtx(entry);
}

function describeWgsl({ info }: WgslEntry): Description {
  return {
    block: info.block.map((each) => (each.kind === "fixed" ? each.value : 0)),
    sharedBytes: 0,
    threadsMax: 0,
    arguments: info.resources.map((resource) => {
      const storage = resource.kind === "storage";
      const written = resource.access === "read_write";
      const access = written ? ArgumentAccess.READ_WRITE : ArgumentAccess.READ;
      return {
        kind: storage ? ArgumentKind.POINTER : ArgumentKind.VALUE,
        access: storage ? access : ArgumentAccess.NONE,
        bytes_min: resource.minBytes,
        align: storage ? resource.alignBytes : 4,
        name: resource.name,
        offset: 0,
      };
    }),
  };
}

function describePtx({ info }: PtxEntry): Description {
  return {
    block: info.block ?? [],
    sharedBytes: info.sharedBytes,
    threadsMax: info.maxThreads,
    arguments: info.params.map(({ offset, bytes, align }, index) => ({
      kind: ArgumentKind.VALUE,
      access: ArgumentAccess.NONE,
      bytes_min: bytes,
      align,
      // The compiler's names are the kernel's, with this number.
      name: `param_${index}`,
      offset,
    })),
  };
}

function handleLimit(kind: string, handle: number, max: number): Failure {
  const text = `${kind} ${handle} is asked for, handles are below ${max}`;
  return failure(Status.HANDLE_LIMIT, text, handle, max, handle);
}
