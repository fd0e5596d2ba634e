// SPDX-License-Identifier: Apache-2.0
/**
 * What a guest did wrong, as a value: it travels into a response header, or makes a context fail
 * and is then told by ERROR_QUERY. Never thrown: a guest's error is an ordinary result here.
 */
import { Status } from "../protocol/generated/wire.js";
import { type DevicePointer, pointerText, pointerToBigInt } from "../protocol/pointer.js";

export interface Failure {
  readonly kind: "error";
  readonly status: Exclude<Status, typeof Status.OK>;
  /** The offending value and the limit it was held against; 0 where there is none. */
  readonly value: bigint;
  readonly limit: bigint;
  /** The handle, argument index or byte offset concerned. */
  readonly subject: number;
  /** Present tense, with value, limit and name. */
  readonly text: string;
}

export function failure(
  status: Failure["status"],
  text: string,
  value: number | bigint = 0,
  limit: number | bigint = 0,
  subject = 0,
): Failure {
  return {
    kind: "error",
    status,
    text,
    value: toU64(value),
    limit: toU64(limit),
    subject: subject >>> 0,
  };
}

/** A failure about a device pointer, which the text names. */
export function pointerFailure(pointer: DevicePointer, what: string, subject = 0): Failure {
  const text = `device pointer ${pointerText(pointer)} ${what}`;
  return failure(Status.POINTER_INVALID, text, pointerToBigInt(pointer), 0, subject);
}

/** A failed look-up of a handle, always in the same words. */
export function unknownHandle(kind: string, handle: number): Failure {
  return failure(Status.HANDLE_UNKNOWN, `${kind} ${handle} does not exist`, handle, 0, handle);
}

function toU64(value: number | bigint): bigint {
  if (typeof value === "bigint") return BigInt.asUintN(64, value);
  if (!Number.isFinite(value) || value < 0) return 0n;
  return BigInt.asUintN(64, BigInt(Math.trunc(value)));
}
