// SPDX-License-Identifier: Apache-2.0
/**
 * Decodes LAUNCH, the command that has to be fast: one pass, no closure, and the error texts are
 * made only once something is wrong.
 */
import {
  ArgumentKind,
  CommandHeader,
  CommandLaunch,
  Status,
  VGPU,
  LaunchArgument as Wire,
} from "../protocol/generated/wire.js";
import { decodeError, reservedError } from "./errors.js";
import { paddingError } from "./padding.js";
import type { DecodeError, LaunchArgument, LaunchCommand } from "./types.js";

const PAYLOAD_AT = CommandHeader.bytes;
const ARGUMENTS_AT = PAYLOAD_AT + CommandLaunch.bytes;
const AT = CommandLaunch.at;
const POINTER_BYTES = 8;

/** Decodes the LAUNCH in `at` to `end` of the request. */
export function decodeLaunch(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  index: number,
): LaunchCommand | DecodeError {
  if (end - at < ARGUMENTS_AT) {
    const text = `command ${index} (LAUNCH): it is ${end - at} bytes; the least is ${ARGUMENTS_AT}`;
    return decodeError(Status.MALFORMED, at, end - at, ARGUMENTS_AT, text);
  }
  const base = at + PAYLOAD_AT;
  const command = readLaunch(view, base, []);
  const reserved = view.getUint32(base + AT.reserved, true);
  if (reserved !== 0) {
    return reservedError(base + AT.reserved, reserved, `command ${index} (LAUNCH): reserved`);
  }
  if (command.gridX === 0 || command.gridY === 0 || command.gridZ === 0) {
    return gridError(command, base, index);
  }
  const blockless = command.blockX === 0 && command.blockY === 0 && command.blockZ === 0;
  if (!blockless && (command.blockX === 0 || command.blockY === 0 || command.blockZ === 0)) {
    const block = `${command.blockX} x ${command.blockY} x ${command.blockZ}`;
    const text = `command ${index} (LAUNCH): block ${block} is zero in some dimensions only`;
    return decodeError(Status.LAUNCH_BLOCK, base + AT.block_x, 0, 0, text);
  }
  const error = readArguments(bytes, view, at + ARGUMENTS_AT, end, index, command);
  return error ?? command;
}

/** A launch whose argument list is still being filled. */
interface OpenLaunch extends LaunchCommand {
  readonly arguments: LaunchArgument[];
}

function readLaunch(view: DataView, base: number, list: LaunchArgument[]): OpenLaunch {
  return {
    kind: "launch",
    function: view.getUint32(base + AT.function, true),
    gridX: view.getUint32(base + AT.grid_x, true),
    gridY: view.getUint32(base + AT.grid_y, true),
    gridZ: view.getUint32(base + AT.grid_z, true),
    blockX: view.getUint32(base + AT.block_x, true),
    blockY: view.getUint32(base + AT.block_y, true),
    blockZ: view.getUint32(base + AT.block_z, true),
    sharedBytes: view.getUint32(base + AT.shared_bytes, true),
    arguments: list,
  };
}

/** Reads the arguments into `command`; they must end exactly where the command ends. */
function readArguments(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  end: number,
  index: number,
  command: OpenLaunch,
): DecodeError | null {
  const countAt = start - CommandLaunch.bytes + AT.argument_count;
  const count = view.getUint32(countAt, true);
  if (count > VGPU.LAUNCH_ARGUMENTS_MAX) {
    const limit = VGPU.LAUNCH_ARGUMENTS_MAX;
    const text = `command ${index} (LAUNCH): it has ${count} arguments; the limit is ${limit}`;
    return decodeError(Status.ARGUMENT_COUNT, countAt, count, limit, text);
  }
  let at = start;
  for (let argument = 0; argument < count; argument++) {
    if (at + Wire.bytes > end) return sizeError(countAt, count, at, end, index);
    const kind = view.getUint32(at + Wire.at.kind, true);
    const size = view.getUint32(at + Wire.at.bytes, true);
    const dataAt = at + Wire.bytes;
    if (kind === ArgumentKind.POINTER) {
      if (size !== POINTER_BYTES) return argumentError(view, at, index, argument);
      if (dataAt + POINTER_BYTES > end) return sizeError(countAt, count, dataAt, end, index);
      const offset = view.getUint32(dataAt, true);
      const segment = view.getUint32(dataAt + 4, true);
      command.arguments.push({ kind: "pointer", segment, offset });
      at = dataAt + POINTER_BYTES;
      continue;
    }
    if (kind !== ArgumentKind.VALUE || size === 0 || size > VGPU.LAUNCH_VALUE_BYTES_MAX) {
      return argumentError(view, at, index, argument);
    }
    at = dataAt + ((size + 7) & ~7);
    if (at > end) return sizeError(countAt, count, at, end, index);
    const padding = paddingError(bytes, dataAt + size, at, index, "LAUNCH");
    if (padding !== null) return padding;
    command.arguments.push({ kind: "value", data: bytes.subarray(dataAt, dataAt + size) });
  }
  return at === end ? null : sizeError(countAt, count, at, end, index);
}

function gridError(command: LaunchCommand, base: number, index: number): DecodeError {
  const grid = `${command.gridX} x ${command.gridY} x ${command.gridZ}`;
  const text = `command ${index} (LAUNCH): grid ${grid} has a zero dimension`;
  const at = command.gridX === 0 ? AT.grid_x : command.gridY === 0 ? AT.grid_y : AT.grid_z;
  return decodeError(Status.SIZE_ZERO, base + at, 0, 1, text);
}

function sizeError(
  countAt: number,
  count: number,
  at: number,
  end: number,
  index: number,
): DecodeError {
  const text =
    `command ${index} (LAUNCH): ${count} arguments reach byte ${at} of the request, ` +
    `but the command ends at ${end}`;
  return decodeError(Status.MALFORMED, countAt, at, end, text);
}

/** Says what is wrong with the kind or the size of the argument at `at`. */
function argumentError(view: DataView, at: number, index: number, argument: number): DecodeError {
  const kind = view.getUint32(at + Wire.at.kind, true);
  const size = view.getUint32(at + Wire.at.bytes, true);
  const where = `command ${index} (LAUNCH), argument ${argument}`;
  const sizeAt = at + Wire.at.bytes;
  if (kind === ArgumentKind.POINTER) {
    const text = `${where}: a pointer of ${size} bytes; it must be ${POINTER_BYTES}`;
    return decodeError(Status.ARGUMENT_KIND, sizeAt, size, POINTER_BYTES, text);
  }
  if (kind === ArgumentKind.VALUE) {
    const limit = VGPU.LAUNCH_VALUE_BYTES_MAX;
    const text = `${where}: a value of ${size} bytes; it must be 1 to ${limit}`;
    return decodeError(Status.ARGUMENT_KIND, sizeAt, size, limit, text);
  }
  const text = `${where}: kind ${kind} is unknown`;
  return decodeError(Status.ARGUMENT_KIND, at + Wire.at.kind, kind, 0, text);
}
