// SPDX-License-Identifier: Apache-2.0
/**
 * Decodes a submit request from a private copy of the guest's bytes.
 *
 *   0        16              40
 *   ├ header ┼ submit_request ┼ command ┼ command ┼ … ┤   each command: header(8) payload trailing,
 *                                                         padded with zeros to a multiple of 8
 *
 * The whole buffer is decoded before anything is executed, so that a bad submit is refused as a
 * whole. Launches are the hot path: fields are read at generated offsets, and nothing is allocated
 * but the command, its argument list and its arguments.
 */
import {
  Command,
  CommandHeader,
  commandName,
  RequestHeader,
  Status,
  SubmitRequest,
  VGPU,
} from "../protocol/generated/wire.js";
import {
  decodeCopyDevice,
  decodeCopyHost,
  decodeEventDestroy,
  decodeEventRecord,
  decodeEventWait,
  decodeFill,
  decodeFunctionCreate,
  decodeFunctionDestroy,
  decodeModuleLoad,
  decodeModuleUnload,
  decodeWriteInline,
  fixedSize,
} from "./decode-commands.js";
import { decodeLaunch } from "./decode-launch.js";
import {
  checkHeader,
  countError,
  decodeError,
  readCount,
  reservedError,
  viewOf,
} from "./errors.js";
import type { DecodedSubmit, DecodeError, DeviceCommand } from "./types.js";

/** Limits that an instance may set below the protocol's. */
export interface DecodeLimits {
  /** Largest submit request, header included, bytes. */
  readonly submitBytesMax: number;
  /** Streams of a context. */
  readonly streamsMax: number;
}

/** The protocol's own limits. */
export const protocolLimits: DecodeLimits = {
  submitBytesMax: VGPU.SUBMIT_BYTES_MAX,
  streamsMax: VGPU.STREAMS_MAX,
};

const COMMANDS_AT = RequestHeader.bytes + SubmitRequest.bytes;
const NOP: DeviceCommand = { kind: "nop" };

/**
 * Decodes one SUBMIT request, request header included. `bytes` must be a private copy; decoded
 * commands keep views on it.
 */
export function decodeSubmit(
  bytes: Uint8Array,
  limits: DecodeLimits = protocolLimits,
): DecodedSubmit | DecodeError {
  const view = viewOf(bytes);
  const type = checkHeader(view, "submit", limits.submitBytesMax);
  if (typeof type !== "number") return type;
  const error = checkSubmit(view, limits);
  if (error !== null) return error;
  const submitAt = RequestHeader.bytes;
  const fence = readCount(view, submitAt + SubmitRequest.at.fence);
  const commandCount = view.getUint32(submitAt + SubmitRequest.at.command_count, true);
  const commands: DeviceCommand[] = [];
  const end = bytes.length;
  let at = COMMANDS_AT;
  for (let index = 0; index < commandCount; index++) {
    const size = commandBytes(view, at, end, index);
    if (typeof size !== "number") return size;
    const command = decodeCommand(bytes, view, at, at + size, index);
    if (command.kind === "error") return command;
    commands.push(command);
    at += size;
  }
  if (at !== end) {
    const subject = submitAt + SubmitRequest.at.command_count;
    const text = `${commandCount} commands take ${at - COMMANDS_AT} bytes of ${end - COMMANDS_AT}`;
    return decodeError(Status.MALFORMED, subject, at - COMMANDS_AT, end - COMMANDS_AT, text);
  }
  return {
    kind: "submit",
    context: view.getUint32(RequestHeader.at.context, true),
    stream: view.getUint32(submitAt + SubmitRequest.at.stream, true),
    fence,
    commands,
  };
}

/**
 * Which fence a submit concerns, however bad the rest of it is: a refused submit still fails its
 * context and completes its fence. Null if the request is too short or the fence is unusable.
 */
export function submitTarget(
  bytes: Uint8Array,
): { readonly context: number; readonly stream: number; readonly fence: number } | null {
  if (bytes.length < COMMANDS_AT) return null;
  const view = viewOf(bytes);
  const base = RequestHeader.bytes;
  const fence = readCount(view, base + SubmitRequest.at.fence);
  if (fence <= 0) return null;
  return {
    context: view.getUint32(RequestHeader.at.context, true),
    stream: view.getUint32(base + SubmitRequest.at.stream, true),
    fence,
  };
}

/** Checks the submit_request structure against the request's length and the limits. */
function checkSubmit(view: DataView, limits: DecodeLimits): DecodeError | null {
  const length = view.byteLength;
  if (length < COMMANDS_AT) {
    const text = `SUBMIT is ${length} bytes; it needs ${COMMANDS_AT} before the commands`;
    return decodeError(Status.MALFORMED, 0, length, COMMANDS_AT, text);
  }
  const base = RequestHeader.bytes;
  const at = SubmitRequest.at;
  const reserved = view.getUint32(base + at.reserved, true);
  if (reserved !== 0) return reservedError(base + at.reserved, reserved, "SUBMIT: reserved");
  const commandBytesTotal = view.getUint32(base + at.command_bytes, true);
  if (commandBytesTotal % 8 !== 0) {
    const text = `SUBMIT: command_bytes is ${commandBytesTotal}, no multiple of 8`;
    return decodeError(Status.MISALIGNED, base + at.command_bytes, commandBytesTotal, 8, text);
  }
  const present = length - COMMANDS_AT;
  if (commandBytesTotal !== present) {
    const text = `SUBMIT: command_bytes is ${commandBytesTotal}, but ${present} bytes follow`;
    return decodeError(Status.MALFORMED, base + at.command_bytes, commandBytesTotal, present, text);
  }
  const count = view.getUint32(base + at.command_count, true);
  const countMax = present / CommandHeader.bytes;
  if (count > countMax) {
    const text = `SUBMIT: command_count is ${count}; ${present} bytes hold at most ${countMax}`;
    return decodeError(Status.MALFORMED, base + at.command_count, count, countMax, text);
  }
  const stream = view.getUint32(base + at.stream, true);
  if (stream >= limits.streamsMax) {
    const text = `SUBMIT: stream ${stream} does not exist; there are ${limits.streamsMax}`;
    return decodeError(Status.STREAM_UNKNOWN, base + at.stream, stream, limits.streamsMax, text);
  }
  const fence = readCount(view, base + at.fence);
  if (fence < 0) return countError(view, base + at.fence, "SUBMIT: fence");
  if (fence > 0) return null;
  return decodeError(Status.FENCE_ORDER, base + at.fence, 0, 0, "SUBMIT: fence is 0");
}

/** Checks a command's header; returns the size of the whole command or the error. */
function commandBytes(
  view: DataView,
  at: number,
  end: number,
  index: number,
): number | DecodeError {
  if (at + CommandHeader.bytes > end) {
    const text = `command ${index} begins at byte ${at}, but the request ends at ${end}`;
    return decodeError(Status.MALFORMED, at, at + CommandHeader.bytes, end, text);
  }
  const bytesAt = at + CommandHeader.at.bytes;
  const size = view.getUint32(bytesAt, true);
  const flags = view.getUint16(at + CommandHeader.at.flags, true);
  if (flags !== 0) {
    const name = commandName(view.getUint16(at, true));
    return reservedError(at + CommandHeader.at.flags, flags, `command ${index} (${name}): flags`);
  }
  if (size % 8 !== 0 || size < CommandHeader.bytes) {
    const text = `command ${index}: its size is ${size}, no positive multiple of 8`;
    return decodeError(Status.MISALIGNED, bytesAt, size, 8, text);
  }
  if (size > end - at) {
    const text = `command ${index}: its size is ${size}, but ${end - at} bytes are left`;
    return decodeError(Status.MALFORMED, bytesAt, size, end - at, text);
  }
  return size;
}

/** Decodes the command in `at` to `end`, whose header is checked. */
function decodeCommand(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  index: number,
): DeviceCommand | DecodeError {
  const opcode = view.getUint16(at + CommandHeader.at.opcode, true);
  switch (opcode) {
    case Command.LAUNCH:
      return decodeLaunch(bytes, view, at, end, index);
    case Command.NOP:
      return fixedSize(view, at, end, index, 0) ?? NOP;
    case Command.MODULE_LOAD:
      return decodeModuleLoad(bytes, view, at, end, index);
    case Command.MODULE_UNLOAD:
      return decodeModuleUnload(view, at, end, index);
    case Command.FUNCTION_CREATE:
      return decodeFunctionCreate(bytes, view, at, end, index);
    case Command.FUNCTION_DESTROY:
      return decodeFunctionDestroy(view, at, end, index);
    case Command.COPY_TO_DEVICE:
      return decodeCopyHost("copyToDevice", view, at, end, index);
    case Command.COPY_FROM_DEVICE:
      return decodeCopyHost("copyFromDevice", view, at, end, index);
    case Command.COPY_DEVICE:
      return decodeCopyDevice(view, at, end, index);
    case Command.FILL:
      return decodeFill(view, at, end, index);
    case Command.WRITE_INLINE:
      return decodeWriteInline(bytes, view, at, end, index);
    case Command.EVENT_RECORD:
      return decodeEventRecord(view, at, end, index);
    case Command.EVENT_WAIT:
      return decodeEventWait(view, at, end, index);
    case Command.EVENT_DESTROY:
      return decodeEventDestroy(view, at, end, index);
    default: {
      const text = `command ${index}: opcode ${opcode} is unknown`;
      return decodeError(Status.UNKNOWN_COMMAND, at, opcode, 0, text);
    }
  }
}
