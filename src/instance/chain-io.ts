// SPDX-License-Identifier: Apache-2.0
/**
 * Reads requests from chains and writes responses into them. A request is copied once, as a whole,
 * into memory of our own; nothing of the guest's is looked at twice.
 */
import { ResponseHeader, type Status } from "../protocol/generated/wire.js";
import type { Chain } from "../virtqueue/types.js";
import type { Failure } from "./failure.js";

/** A private copy of the readable part, at most `bytesMax` and one more byte. */
export function copyRequest(chain: Chain, bytesMax: number): Uint8Array {
  const bytes = Math.min(chain.readableBytes, bytesMax + 1);
  const copy = Buffer.allocUnsafe(bytes);
  let at = 0;
  for (const view of chain.readable) {
    if (at >= bytes) break;
    const part = view.length > bytes - at ? view.subarray(0, bytes - at) : view;
    copy.set(part, at);
    at += part.length;
  }
  // Fewer bytes than announced can only be a broken chain; what is left must not be old memory.
  if (at < bytes) copy.fill(0, at);
  return copy;
}

/** Writes `bytes` at the start of the writable part; returns how many fitted. */
export function writeResponse(chain: Chain, bytes: Uint8Array): number {
  let at = 0;
  for (const view of chain.writable) {
    if (at >= bytes.length) break;
    const count = Math.min(view.length, bytes.length - at);
    view.set(count === bytes.length ? bytes : bytes.subarray(at, at + count));
    at += count;
  }
  return at;
}

const HEADER_BYTES = ResponseHeader.bytes;

/** A response with room for a payload, to be filled by the caller from byte 32 on. */
export function okResponse(payloadBytes: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(HEADER_BYTES + payloadBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(ResponseHeader.at.payload_bytes, payloadBytes, true);
  return { bytes, view };
}

export const PAYLOAD_AT = HEADER_BYTES;

export function failureResponse(error: {
  readonly status: Status;
  readonly value: bigint;
  readonly limit: bigint;
  readonly subject: number;
}): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  ResponseHeader.encode(new DataView(bytes.buffer), 0, {
    status: error.status,
    payload_bytes: 0,
    value: error.value,
    limit: error.limit,
    subject: error.subject,
  });
  return bytes;
}

/** The answer that costs nothing: success without a payload. Never written to. */
export const OK_RESPONSE: Uint8Array = okResponse(0).bytes;

export function isFailure(result: unknown): result is Failure {
  return (
    typeof result === "object" && result !== null && "kind" in result && result.kind === "error"
  );
}
