// SPDX-License-Identifier: Apache-2.0
/**
 * Makes decode errors, and the checks that the submit and the control decoder share.
 * A decoder returns an error as a value: a hostile guest must not be able to buy exceptions, which
 * cost far more than the request that causes them.
 */
import { RequestHeader, requestName, requestShapes, Status } from "../protocol/generated/wire.js";
import type { DecodeError } from "./types.js";

/** A u64 that counts something must be at most this, so that it is exact as a number. */
export const COUNT_MAX = Number.MAX_SAFE_INTEGER;
const HIGH_WORD_MAX = 0x1f_ffff;

/** An error about the field at byte `subject` of the request. */
export function decodeError(
  status: DecodeError["status"],
  subject: number,
  value: number | bigint,
  limit: number | bigint,
  text: string,
): DecodeError {
  return { kind: "error", status, value: BigInt(value), limit: BigInt(limit), subject, text };
}

/**
 * Reads a u64 as a number, or −1 if it is above {@link COUNT_MAX}; −1 needs no allocation, and the
 * caller makes the error.
 */
export function readCount(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  if (high > HIGH_WORD_MAX) return -1;
  return high * 0x1_0000_0000 + view.getUint32(at, true);
}

/** The error for a u64 that {@link readCount} refused. */
export function countError(
  view: DataView,
  at: number,
  what: string,
  status: DecodeError["status"] = Status.OUT_OF_RANGE,
): DecodeError {
  const value = view.getBigUint64(at, true);
  return decodeError(status, at, value, COUNT_MAX, `${what} is ${value}; the limit is 2^53 - 1`);
}

/** The error for a reserved field, flag or padding byte at `at` that is not zero. */
export function reservedError(at: number, value: number | bigint, what: string): DecodeError {
  return decodeError(Status.RESERVED_NONZERO, at, value, 0, `${what} is ${value}; it must be zero`);
}

/**
 * Checks the request header of a request that came on `queue`: its presence, type, flags and
 * reserved field. Returns the type, which is one of the queue's, or the error.
 */
export function checkHeader(
  view: DataView,
  queue: "control" | "submit",
  bytesMax: number,
): number | DecodeError {
  const length = view.byteLength;
  if (length > bytesMax) {
    const text = `the request is ${length} bytes; the limit on the ${queue} queue is ${bytesMax}`;
    return decodeError(Status.REQUEST_TOO_LARGE, 0, length, bytesMax, text);
  }
  if (length < RequestHeader.bytes) {
    const text = `the request is ${length} bytes; its header alone is ${RequestHeader.bytes}`;
    return decodeError(Status.MALFORMED, 0, length, RequestHeader.bytes, text);
  }
  const type = view.getUint32(RequestHeader.at.type, true);
  const shape = requestShapes.get(type);
  if (shape === undefined) {
    return decodeError(Status.UNKNOWN_COMMAND, 0, type, 0, `request type ${type} is unknown`);
  }
  if (shape.queue !== queue) {
    const text = `${shape.name} belongs on the ${shape.queue} queue, not on the ${queue} queue`;
    return decodeError(Status.UNKNOWN_COMMAND, 0, type, 0, text);
  }
  const flags = view.getUint32(RequestHeader.at.flags, true);
  if (flags !== 0) return reservedError(RequestHeader.at.flags, flags, `${shape.name}: flags`);
  const reserved = view.getUint32(RequestHeader.at.reserved, true);
  if (reserved === 0) return type;
  return reservedError(RequestHeader.at.reserved, reserved, `${requestName(type)}: reserved`);
}

/** A view on all of `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
