// SPDX-License-Identifier: Apache-2.0
/**
 * Decodes control requests from a private copy of the guest's bytes. The length of a request must
 * be exactly what its type and counts say.
 */
import {
  ContextCreateRequest,
  EventQueryRequest,
  FunctionQueryRequest,
  HostmemEntry,
  HostmemRegisterRequest,
  HostmemUnregisterRequest,
  InitRequest,
  MemoryAllocRequest,
  MemoryFreeRequest,
  ModuleQueryRequest,
  ModuleSymbolRequest,
  Request,
  RequestHeader,
  requestName,
  requestShapes,
  Status,
  VGPU,
} from "../protocol/generated/wire.js";
import { pointerFromBigInt } from "../protocol/pointer.js";
import {
  COUNT_MAX,
  checkHeader,
  countError,
  decodeError,
  readCount,
  reservedError,
  viewOf,
} from "./errors.js";
import type { BareRequest, ControlRequest, DecodeError, HostMemoryRange } from "./types.js";

const PAYLOAD_AT = RequestHeader.bytes;
const MEMORY_FLAGS = BigInt(VGPU.MEMORY_DENSE);

/** Decodes one request of the control queue, request header included. */
export function decodeControl(
  bytes: Uint8Array,
  requestBytesMax: number = VGPU.CONTROL_REQUEST_BYTES_MAX,
): ControlRequest | DecodeError {
  const view = viewOf(bytes);
  const type = checkHeader(view, "control", requestBytesMax);
  if (typeof type !== "number") return type;
  const error = checkLength(view, type);
  if (error !== null) return error;
  return decodePayload(view, type);
}

/** Checks the length up to the trailing entries, whose count the payload gives. */
function checkLength(view: DataView, type: number): DecodeError | null {
  const shape = requestShapes.get(type);
  const expected = PAYLOAD_AT + (shape?.requestBytes ?? 0);
  const length = view.byteLength;
  if (length === expected || (length > expected && shape?.trailing)) return null;
  const text = `${requestName(type)} is ${length} bytes; it must be ${expected}`;
  return decodeError(Status.MALFORMED, 0, length, expected, text);
}

function decodePayload(view: DataView, type: number): ControlRequest | DecodeError {
  switch (type) {
    case Request.INIT:
      return decodeInit(view);
    case Request.GET_CAPABILITIES:
      return bare("getCapabilities", view);
    case Request.CONTEXT_CREATE:
      return decodeContextCreate(view);
    case Request.CONTEXT_DESTROY:
      return bare("contextDestroy", view);
    case Request.HOSTMEM_REGISTER:
      return decodeHostmemRegister(view);
    case Request.HOSTMEM_UNREGISTER:
      return decodeHostmemUnregister(view);
    case Request.MEMORY_ALLOC:
      return decodeMemoryAlloc(view);
    case Request.MEMORY_FREE:
      return decodeMemoryFree(view);
    case Request.MEMORY_INFO:
      return bare("memoryInfo", view);
    case Request.MODULE_QUERY:
      return decodeModuleQuery(view);
    case Request.MODULE_SYMBOL:
      return decodeModuleSymbol(view);
    case Request.FUNCTION_QUERY:
      return decodeFunctionQuery(view);
    case Request.EVENT_QUERY:
      return decodeEventQuery(view);
    case Request.ERROR_QUERY:
      return bare("errorQuery", view);
    case Request.STATISTICS:
      return bare("statistics", view);
    default:
      return decodeError(Status.UNKNOWN_COMMAND, 0, type, 0, `request type ${type} is unknown`);
  }
}

function contextOf(view: DataView): number {
  return view.getUint32(RequestHeader.at.context, true);
}

function bare(kind: BareRequest["kind"], view: DataView): BareRequest {
  return { kind, context: contextOf(view) };
}

/** The error if the reserved u32 at `at` is not zero, else null. */
function reservedWord(view: DataView, at: number, name: string): DecodeError | null {
  const value = view.getUint32(at, true);
  return value === 0 ? null : reservedError(at, value, `${name}: reserved`);
}

function decodeInit(view: DataView): ControlRequest | DecodeError {
  const context = contextOf(view);
  if (context !== 0) return reservedError(RequestHeader.at.context, context, "INIT: context");
  const { session, capabilities } = InitRequest.decode(view, PAYLOAD_AT);
  if (session === 0n) {
    const at = PAYLOAD_AT + InitRequest.at.session;
    return decodeError(Status.MALFORMED, at, 0, 1, "INIT: session is 0; it must be nonzero");
  }
  return { kind: "init", session, capabilities };
}

/** Reads the guest address of a page, or the error. */
function pageAddress(view: DataView, at: number, what: string): number | DecodeError {
  const address = readCount(view, at);
  if (address < 0) return countError(view, at, what, Status.GUEST_ADDRESS);
  if (address % VGPU.TIMELINE_PAGE_BYTES === 0) return address;
  const text = `${what} is 0x${address.toString(16)}, not aligned to ${VGPU.TIMELINE_PAGE_BYTES}`;
  return decodeError(Status.MISALIGNED, at, address, VGPU.TIMELINE_PAGE_BYTES, text);
}

function decodeContextCreate(view: DataView): ControlRequest | DecodeError {
  const { at } = ContextCreateRequest;
  const timelineAt = PAYLOAD_AT + at.timeline_address;
  const timelineAddress = pageAddress(view, timelineAt, "CONTEXT_CREATE: timeline_address");
  if (typeof timelineAddress !== "number") return timelineAddress;
  const armAt = PAYLOAD_AT + at.arm_address;
  const armAddress = pageAddress(view, armAt, "CONTEXT_CREATE: arm_address");
  if (typeof armAddress !== "number") return armAddress;
  if (timelineAddress === armAddress) {
    const text = "CONTEXT_CREATE: the timeline page and the arm page are the same page";
    return decodeError(Status.MALFORMED, armAt, armAddress, 0, text);
  }
  const { name } = ContextCreateRequest.decode(view, PAYLOAD_AT);
  return { kind: "contextCreate", context: contextOf(view), timelineAddress, armAddress, name };
}

function decodeHostmemRegister(view: DataView): ControlRequest | DecodeError {
  const { at } = HostmemRegisterRequest;
  const countAt = PAYLOAD_AT + at.entry_count;
  const count = view.getUint32(countAt, true);
  if (count > VGPU.HOSTMEM_ENTRIES_MAX) {
    const limit = VGPU.HOSTMEM_ENTRIES_MAX;
    const text = `HOSTMEM_REGISTER: it has ${count} entries; the limit is ${limit}`;
    return decodeError(Status.REQUEST_TOO_LARGE, countAt, count, limit, text);
  }
  if (count === 0) {
    return decodeError(Status.SIZE_ZERO, countAt, 0, 1, "HOSTMEM_REGISTER: it has no entries");
  }
  const entriesAt = PAYLOAD_AT + HostmemRegisterRequest.bytes;
  const expected = entriesAt + count * HostmemEntry.bytes;
  if (view.byteLength !== expected) {
    const text =
      `HOSTMEM_REGISTER: with ${count} entries it must be ${expected} bytes, ` +
      `but it is ${view.byteLength}`;
    return decodeError(Status.MALFORMED, countAt, view.byteLength, expected, text);
  }
  const bytesAt = PAYLOAD_AT + at.bytes;
  const bytes = readCount(view, bytesAt);
  if (bytes < 0) return countError(view, bytesAt, "HOSTMEM_REGISTER: bytes");
  const ranges: HostMemoryRange[] = [];
  const sum = readRanges(view, entriesAt, count, ranges);
  if (typeof sum !== "number") return sum;
  if (sum !== bytes) {
    const text = `HOSTMEM_REGISTER: bytes is ${bytes}, but the entries have ${sum}`;
    return decodeError(Status.MALFORMED, bytesAt, bytes, sum, text);
  }
  const hostmem = view.getUint32(PAYLOAD_AT + at.hostmem, true);
  return { kind: "hostmemRegister", context: contextOf(view), hostmem, bytes, ranges };
}

/** Reads `count` entries into `ranges`; returns the sum of their bytes or the error. */
function readRanges(
  view: DataView,
  entriesAt: number,
  count: number,
  ranges: HostMemoryRange[],
): number | DecodeError {
  let sum = 0;
  for (let index = 0; index < count; index++) {
    const base = entriesAt + index * HostmemEntry.bytes;
    const what = `HOSTMEM_REGISTER: entry ${index}`;
    const addressAt = base + HostmemEntry.at.address;
    const bytesAt = base + HostmemEntry.at.bytes;
    const address = readCount(view, addressAt);
    if (address < 0) return countError(view, addressAt, `${what}: address`, Status.GUEST_ADDRESS);
    const bytes = readCount(view, bytesAt);
    if (bytes < 0) return countError(view, bytesAt, `${what}: bytes`);
    if (bytes === 0) return decodeError(Status.SIZE_ZERO, bytesAt, 0, 1, `${what}: bytes is 0`);
    if (bytes > COUNT_MAX - address) {
      const text = `${what}: ${bytes} bytes at 0x${address.toString(16)} reach above 2^53 - 1`;
      return decodeError(Status.GUEST_ADDRESS, addressAt, address, COUNT_MAX, text);
    }
    if (bytes > COUNT_MAX - sum) {
      const text = `HOSTMEM_REGISTER: the entries have more than 2^53 - 1 bytes`;
      return decodeError(Status.OUT_OF_RANGE, bytesAt, bytes, COUNT_MAX, text);
    }
    sum += bytes;
    ranges.push({ address, bytes });
  }
  return sum;
}

function decodeHostmemUnregister(view: DataView): ControlRequest | DecodeError {
  const { at } = HostmemUnregisterRequest;
  const error = reservedWord(view, PAYLOAD_AT + at.reserved, "HOSTMEM_UNREGISTER");
  if (error !== null) return error;
  const hostmem = view.getUint32(PAYLOAD_AT + at.hostmem, true);
  return { kind: "hostmemUnregister", context: contextOf(view), hostmem };
}

function decodeMemoryAlloc(view: DataView): ControlRequest | DecodeError {
  const { at } = MemoryAllocRequest;
  const { flags } = MemoryAllocRequest.decode(view, PAYLOAD_AT);
  if ((flags & ~MEMORY_FLAGS) !== 0n)
    return reservedError(PAYLOAD_AT + at.flags, flags, "MEMORY_ALLOC: flags");
  const bytesAt = PAYLOAD_AT + at.bytes;
  const bytes = readCount(view, bytesAt);
  if (bytes < 0) {
    return countError(view, bytesAt, "MEMORY_ALLOC: bytes", Status.ALLOCATION_TOO_LARGE);
  }
  if (bytes === 0) {
    return decodeError(Status.SIZE_ZERO, bytesAt, 0, 1, "MEMORY_ALLOC: bytes is 0");
  }
  return { kind: "memoryAlloc", context: contextOf(view), bytes, dense: flags !== 0n };
}

function decodeMemoryFree(view: DataView): ControlRequest | DecodeError {
  const { pointer } = MemoryFreeRequest.decode(view, PAYLOAD_AT);
  return { kind: "memoryFree", context: contextOf(view), pointer: pointerFromBigInt(pointer) };
}

function decodeModuleQuery(view: DataView): ControlRequest | DecodeError {
  const payload = ModuleQueryRequest.decode(view, PAYLOAD_AT);
  return {
    kind: "moduleQuery",
    context: contextOf(view),
    module: payload.module,
    logOffset: payload.log_offset,
  };
}

function decodeModuleSymbol(view: DataView): ControlRequest | DecodeError {
  const { at } = ModuleSymbolRequest;
  const sizeAt = PAYLOAD_AT + at.name_bytes;
  const nameBytes = view.getUint32(sizeAt, true);
  if (nameBytes === 0)
    return decodeError(Status.SIZE_ZERO, sizeAt, 0, 1, "MODULE_SYMBOL: the name is empty");
  if (nameBytes > VGPU.NAME_BYTES_MAX) {
    const limit = VGPU.NAME_BYTES_MAX;
    const text = `MODULE_SYMBOL: the name is ${nameBytes} bytes; the limit is ${limit}`;
    return decodeError(Status.OUT_OF_RANGE, sizeAt, nameBytes, limit, text);
  }
  const nameAt = PAYLOAD_AT + ModuleSymbolRequest.bytes;
  const expected = nameAt + nameBytes;
  if (view.byteLength !== expected) {
    const text =
      `MODULE_SYMBOL: with a name of ${nameBytes} bytes it must be ${expected} bytes, ` +
      `but it is ${view.byteLength}`;
    return decodeError(Status.MALFORMED, sizeAt, view.byteLength, expected, text);
  }
  const name = readUtf8(new Uint8Array(view.buffer, view.byteOffset + nameAt, nameBytes));
  if (name === null)
    return decodeError(Status.MALFORMED, nameAt, 0, 0, "MODULE_SYMBOL: the name is not UTF-8");
  const module = view.getUint32(PAYLOAD_AT + at.module, true);
  return { kind: "moduleSymbol", context: contextOf(view), module, name };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function readUtf8(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

function decodeFunctionQuery(view: DataView): ControlRequest | DecodeError {
  const { at } = FunctionQueryRequest;
  const error = reservedWord(view, PAYLOAD_AT + at.reserved, "FUNCTION_QUERY");
  if (error !== null) return error;
  const id = view.getUint32(PAYLOAD_AT + at.function, true);
  return { kind: "functionQuery", context: contextOf(view), function: id };
}

function decodeEventQuery(view: DataView): ControlRequest | DecodeError {
  const { at } = EventQueryRequest;
  const error = reservedWord(view, PAYLOAD_AT + at.reserved, "EVENT_QUERY");
  if (error !== null) return error;
  const event = view.getUint32(PAYLOAD_AT + at.event, true);
  return { kind: "eventQuery", context: contextOf(view), event };
}
