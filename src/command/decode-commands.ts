// SPDX-License-Identifier: Apache-2.0
/**
 * Decodes every command but LAUNCH. Each function gets the command's bytes from `at` to `end`, with
 * a checked command header, and the command's index for messages.
 */
import {
  CommandCopyDevice,
  CommandCopyHost,
  CommandEventDestroy,
  CommandEventRecord,
  CommandEventWait,
  CommandFill,
  CommandFunctionCreate,
  CommandFunctionDestroy,
  CommandHeader,
  CommandModuleLoad,
  CommandModuleUnload,
  CommandWriteInline,
  commandName,
  ModuleFormat,
  Status,
  VGPU,
} from "../protocol/generated/wire.js";
import type { DevicePointer } from "../protocol/pointer.js";
import { countError, decodeError, readCount, reservedError } from "./errors.js";
import { paddingError } from "./padding.js";
import type * as Types from "./types.js";

type DecodeError = Types.DecodeError;
const PAYLOAD_AT = CommandHeader.bytes;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function where(view: DataView, at: number, index: number): string {
  return `command ${index} (${commandName(view.getUint16(at, true))})`;
}

/** The error if the command is not exactly its header and `payloadBytes` long, else null. */
export function fixedSize(
  view: DataView,
  at: number,
  end: number,
  index: number,
  payloadBytes: number,
): DecodeError | null {
  const expected = PAYLOAD_AT + payloadBytes;
  if (end - at === expected) return null;
  const text = `${where(view, at, index)}: its size is ${end - at}; it must be ${expected}`;
  return decodeError(Status.MALFORMED, at + CommandHeader.at.bytes, end - at, expected, text);
}

/** The error if the command does not hold `payloadBytes`, else null. */
function leastSize(
  view: DataView,
  at: number,
  end: number,
  index: number,
  payloadBytes: number,
): DecodeError | null {
  const least = PAYLOAD_AT + payloadBytes;
  if (end - at >= least) return null;
  const text = `${where(view, at, index)}: its size is ${end - at}; the least is ${least}`;
  return decodeError(Status.MALFORMED, at + CommandHeader.at.bytes, end - at, least, text);
}

/** The error if the u32 at `fieldAt` is not zero, else null. */
function reservedWord(
  view: DataView,
  fieldAt: number,
  at: number,
  index: number,
): DecodeError | null {
  const value = view.getUint32(fieldAt, true);
  if (value === 0) return null;
  return reservedError(fieldAt, value, `${where(view, at, index)}: reserved`);
}

/**
 * Checks that `dataBytes` bytes after the payload, padded with zeros to a multiple of 8, end where
 * the command ends. `sizeAt` is the field that holds `dataBytes`.
 */
function trailingError(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  index: number,
  payloadBytes: number,
  sizeAt: number,
): DecodeError | null {
  const dataBytes = view.getUint32(sizeAt, true);
  const dataAt = at + PAYLOAD_AT + payloadBytes;
  const expected = Math.ceil((dataAt - at + dataBytes) / 8) * 8;
  if (end - at !== expected) {
    const text =
      `${where(view, at, index)}: with ${dataBytes} bytes of data its size must be ${expected}, ` +
      `but it is ${end - at}`;
    return decodeError(Status.MALFORMED, sizeAt, dataBytes, end - dataAt, text);
  }
  return paddingError(bytes, dataAt + dataBytes, end, index, commandName(view.getUint16(at, true)));
}

function pointerAt(view: DataView, at: number): DevicePointer {
  return { segment: view.getUint32(at + 4, true), offset: view.getUint32(at, true) };
}

/** The text in a range of the request, or null if it is not UTF-8. */
function readUtf8(bytes: Uint8Array, start: number, end: number): string | null {
  try {
    return utf8.decode(bytes.subarray(start, end));
  } catch {
    return null;
  }
}

function utf8Error(view: DataView, at: number, index: number, textAt: number): DecodeError {
  const text = `${where(view, at, index)}: the text at byte ${textAt} is not UTF-8`;
  return decodeError(Status.MALFORMED, textAt, 0, 0, text);
}

export function decodeModuleLoad(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.ModuleLoadCommand | DecodeError {
  const wire = CommandModuleLoad;
  const base = at + PAYLOAD_AT;
  const error =
    leastSize(view, at, end, index, wire.bytes) ??
    trailingError(bytes, view, at, end, index, wire.bytes, base + wire.at.code_bytes);
  if (error !== null) return error;
  const format = view.getUint32(base + wire.at.format, true);
  if (
    format !== ModuleFormat.WGSL &&
    format !== ModuleFormat.PTX &&
    format !== ModuleFormat.FATBIN
  ) {
    const text = `${where(view, at, index)}: module format ${format} is unknown`;
    return decodeError(Status.FORMAT_UNKNOWN, base + wire.at.format, format, 0, text);
  }
  const flags = view.getUint32(base + wire.at.flags, true);
  const known = format === ModuleFormat.WGSL ? 0 : VGPU.MODULE_CHECKED;
  if ((flags & ~known) !== 0) {
    const text = `${where(view, at, index)}: flags of module format ${format}`;
    return reservedError(base + wire.at.flags, flags, text);
  }
  const codeAt = base + wire.bytes;
  const codeBytes = view.getUint32(base + wire.at.code_bytes, true);
  const binary = format === ModuleFormat.FATBIN;
  const code = binary ? "" : readUtf8(bytes, codeAt, codeAt + codeBytes);
  if (code === null) return utf8Error(view, at, index, codeAt);
  const module = view.getUint32(base + wire.at.module, true);
  const image = bytes.subarray(codeAt, codeAt + (binary ? codeBytes : 0));
  const checked = flags !== 0;
  return { kind: "moduleLoad", module, format, codeBytes, code, image, checked };
}

export function decodeModuleUnload(
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.ModuleUnloadCommand | DecodeError {
  const wire = CommandModuleUnload;
  const base = at + PAYLOAD_AT;
  const error =
    fixedSize(view, at, end, index, wire.bytes) ??
    reservedWord(view, base + wire.at.reserved, at, index);
  if (error !== null) return error;
  return { kind: "moduleUnload", module: view.getUint32(base + wire.at.module, true) };
}

export function decodeFunctionCreate(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.FunctionCreateCommand | DecodeError {
  const wire = CommandFunctionCreate;
  const base = at + PAYLOAD_AT;
  const nameBytesAt = base + wire.at.name_bytes;
  const short = leastSize(view, at, end, index, wire.bytes);
  if (short !== null) return short;
  const nameBytes = view.getUint32(nameBytesAt, true);
  if (nameBytes === 0) {
    const text = `${where(view, at, index)}: the function's name is empty`;
    return decodeError(Status.SIZE_ZERO, nameBytesAt, 0, 1, text);
  }
  if (nameBytes > VGPU.NAME_BYTES_MAX) {
    const text =
      `${where(view, at, index)}: the function's name is ${nameBytes} bytes; ` +
      `the limit is ${VGPU.NAME_BYTES_MAX}`;
    return decodeError(Status.OUT_OF_RANGE, nameBytesAt, nameBytes, VGPU.NAME_BYTES_MAX, text);
  }
  const error =
    reservedWord(view, base + wire.at.reserved, at, index) ??
    trailingError(bytes, view, at, end, index, wire.bytes, nameBytesAt);
  if (error !== null) return error;
  const nameAt = base + wire.bytes;
  const name = readUtf8(bytes, nameAt, nameAt + nameBytes);
  if (name === null) return utf8Error(view, at, index, nameAt);
  return {
    kind: "functionCreate",
    function: view.getUint32(base + wire.at.function, true),
    module: view.getUint32(base + wire.at.module, true),
    name,
  };
}

export function decodeFunctionDestroy(
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.FunctionDestroyCommand | DecodeError {
  const wire = CommandFunctionDestroy;
  const base = at + PAYLOAD_AT;
  const error =
    fixedSize(view, at, end, index, wire.bytes) ??
    reservedWord(view, base + wire.at.reserved, at, index);
  if (error !== null) return error;
  return { kind: "functionDestroy", function: view.getUint32(base + wire.at.function, true) };
}

export function decodeCopyHost(
  kind: Types.CopyHostCommand["kind"],
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.CopyHostCommand | DecodeError {
  const wire = CommandCopyHost;
  const base = at + PAYLOAD_AT;
  const error =
    fixedSize(view, at, end, index, wire.bytes) ??
    reservedWord(view, base + wire.at.reserved, at, index);
  if (error !== null) return error;
  const offset = readCount(view, base + wire.at.offset);
  if (offset < 0) {
    return countError(view, base + wire.at.offset, `${where(view, at, index)}: offset`);
  }
  const bytes = readCount(view, base + wire.at.bytes);
  if (bytes < 0) return countError(view, base + wire.at.bytes, `${where(view, at, index)}: bytes`);
  const hostmem = view.getUint32(base + wire.at.hostmem, true);
  return { kind, pointer: pointerAt(view, base + wire.at.pointer), hostmem, offset, bytes };
}

export function decodeCopyDevice(
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.CopyDeviceCommand | DecodeError {
  const wire = CommandCopyDevice;
  const base = at + PAYLOAD_AT;
  const error = fixedSize(view, at, end, index, wire.bytes);
  if (error !== null) return error;
  const bytes = readCount(view, base + wire.at.bytes);
  if (bytes < 0) return countError(view, base + wire.at.bytes, `${where(view, at, index)}: bytes`);
  return {
    kind: "copyDevice",
    destination: pointerAt(view, base + wire.at.destination),
    source: pointerAt(view, base + wire.at.source),
    bytes,
  };
}

export function decodeFill(
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.FillCommand | DecodeError {
  const wire = CommandFill;
  const base = at + PAYLOAD_AT;
  const error = fixedSize(view, at, end, index, wire.bytes);
  if (error !== null) return error;
  const width = view.getUint32(base + wire.at.width, true);
  if (width !== 1 && width !== 2 && width !== 4) {
    const text = `${where(view, at, index)}: width is ${width}; it must be 1, 2 or 4`;
    return decodeError(Status.MALFORMED, base + wire.at.width, width, 4, text);
  }
  const bytes = readCount(view, base + wire.at.bytes);
  if (bytes < 0) return countError(view, base + wire.at.bytes, `${where(view, at, index)}: bytes`);
  if (bytes % width !== 0) {
    const text = `${where(view, at, index)}: ${bytes} bytes are no multiple of width ${width}`;
    return decodeError(Status.MISALIGNED, base + wire.at.bytes, bytes, width, text);
  }
  const pointer = pointerAt(view, base + wire.at.pointer);
  if (pointer.offset % width !== 0) {
    const text = `${where(view, at, index)}: the pointer is not aligned to width ${width}`;
    const value = view.getBigUint64(base + wire.at.pointer, true);
    return decodeError(Status.MISALIGNED, base + wire.at.pointer, value, width, text);
  }
  const pattern = view.getUint32(base + wire.at.pattern, true);
  return { kind: "fill", pointer, bytes, pattern, width };
}

export function decodeWriteInline(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.WriteInlineCommand | DecodeError {
  const wire = CommandWriteInline;
  const base = at + PAYLOAD_AT;
  const error =
    leastSize(view, at, end, index, wire.bytes) ??
    reservedWord(view, base + wire.at.reserved, at, index) ??
    trailingError(bytes, view, at, end, index, wire.bytes, base + wire.at.bytes);
  if (error !== null) return error;
  const dataAt = base + wire.bytes;
  const data = bytes.subarray(dataAt, dataAt + view.getUint32(base + wire.at.bytes, true));
  return { kind: "writeInline", pointer: pointerAt(view, base + wire.at.pointer), data };
}

export function decodeEventRecord(
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.EventRecordCommand | DecodeError {
  const wire = CommandEventRecord;
  const base = at + PAYLOAD_AT;
  const error = fixedSize(view, at, end, index, wire.bytes);
  if (error !== null) return error;
  const flags = view.getUint32(base + wire.at.flags, true);
  if ((flags & ~VGPU.EVENT_TIMED) !== 0)
    return reservedError(base + wire.at.flags, flags, `${where(view, at, index)}: flags`);
  const generation = generationAt(view, base + wire.at.generation, at, index);
  if (typeof generation !== "number") return generation;
  const event = view.getUint32(base + wire.at.event, true);
  return { kind: "eventRecord", event, generation, timed: flags !== 0 };
}

export function decodeEventWait(
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.EventWaitCommand | DecodeError {
  const wire = CommandEventWait;
  const base = at + PAYLOAD_AT;
  const error =
    fixedSize(view, at, end, index, wire.bytes) ??
    reservedWord(view, base + wire.at.reserved, at, index);
  if (error !== null) return error;
  const generation = generationAt(view, base + wire.at.generation, at, index);
  if (typeof generation !== "number") return generation;
  return { kind: "eventWait", event: view.getUint32(base + wire.at.event, true), generation };
}

/** The generation of an event's record, `field` bytes into the request. */
function generationAt(
  view: DataView,
  field: number,
  at: number,
  index: number,
): number | DecodeError {
  const generation = readCount(view, field);
  if (generation < 0) return countError(view, field, `${where(view, at, index)}: generation`);
  if (generation > 0) return generation;
  const text = `${where(view, at, index)}: generation is 0; the first one is 1`;
  return decodeError(Status.OUT_OF_RANGE, field, 0, 1, text);
}

export function decodeEventDestroy(
  view: DataView,
  at: number,
  end: number,
  index: number,
): Types.EventDestroyCommand | DecodeError {
  const wire = CommandEventDestroy;
  const base = at + PAYLOAD_AT;
  const error =
    fixedSize(view, at, end, index, wire.bytes) ??
    reservedWord(view, base + wire.at.reserved, at, index);
  if (error !== null) return error;
  return { kind: "eventDestroy", event: view.getUint32(base + wire.at.event, true) };
}
