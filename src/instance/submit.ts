// SPDX-License-Identifier: Apache-2.0
/**
 * Admits submits: copies, decodes, checks order and quotas, queues, and acknowledges at once. What
 * is refused is refused whole; it also makes its context fail and completes its fence, so that a
 * driver that does not read responses can't wait for ever.
 */
import { decodeSubmit, submitTarget } from "../command/decode.js";
import type { DecodedSubmit, DecodeError } from "../command/types.js";
import {
  Request,
  RequestHeader,
  ResponseHeader,
  Status,
  VGPU,
} from "../protocol/generated/wire.js";
import type { Chain } from "../virtqueue/types.js";
import { copyRequest, failureResponse, OK_RESPONSE, writeResponse } from "./chain-io.js";
import type { Context } from "./context.js";
import { contextUnknown } from "./control.js";
import { type Failure, failure } from "./failure.js";
import type { InstanceLimits } from "./limits.js";
import type { Runner } from "./runner.js";

export interface SubmitHost {
  readonly limits: InstanceLimits;
  readonly runner: Runner;
  readonly contexts: ReadonlyMap<number, Context>;
  /** Whether INIT was received. */
  readonly initialised: boolean;
  /** Counts a refused request, and logs it. */
  rejected(context: Context | null, why: Failure | DecodeError): void;
}

/** Takes one chain of the submit queue; returns the bytes written into it. */
export function handleSubmit(host: SubmitHost, chain: Chain): number {
  const bytes = copyRequest(chain, VGPU.SUBMIT_BYTES_MAX);
  const refused = admit(host, chain, bytes);
  if (refused === null) return writeResponse(chain, OK_RESPONSE);
  if (chain.writableBytes < ResponseHeader.bytes) return 0;
  return writeResponse(chain, failureResponse(refused));
}

function admit(host: SubmitHost, chain: Chain, bytes: Uint8Array): Failure | DecodeError | null {
  const broken = checkChain(chain);
  if (broken !== null) return refuse(host, bytes, broken);
  const submit = decodeSubmit(bytes);
  if (submit.kind === "error") return refuse(host, bytes, submit);
  const context = host.contexts.get(submit.context);
  if (context === undefined) return refuse(host, bytes, missingContext(host, submit.context));
  const why = checkAdmission(host, context, submit, bytes.length);
  if (why !== null) return refuse(host, bytes, why);
  const stream = context.stream(submit.stream);
  host.runner.admit(context, stream, submit.fence, bytes.length, submit.commands);
  return null;
}

function checkChain(chain: Chain): Failure | null {
  if (chain.fault !== null)
    return failure(Status.MALFORMED, `the descriptor chain is broken: ${chain.fault}`);
  if (chain.readableBytes > VGPU.SUBMIT_BYTES_MAX) {
    const text = `a submit of ${chain.readableBytes} bytes, the limit is ${VGPU.SUBMIT_BYTES_MAX}`;
    return failure(Status.REQUEST_TOO_LARGE, text, chain.readableBytes, VGPU.SUBMIT_BYTES_MAX);
  }
  if (chain.writableBytes < ResponseHeader.bytes) {
    const text = `a submit has ${chain.writableBytes} bytes for its response of ${ResponseHeader.bytes}`;
    return failure(Status.RESPONSE_TOO_SMALL, text, chain.writableBytes, ResponseHeader.bytes);
  }
  return null;
}

export function missingContext(host: { readonly initialised: boolean }, id: number): Failure {
  if (host.initialised) return contextUnknown(id);
  return failure(Status.NOT_INITIALISED, "INIT has not been received");
}

function checkAdmission(
  host: SubmitHost,
  context: Context,
  submit: DecodedSubmit,
  bytes: number,
): Failure | null {
  const { stream: index, fence, commands } = submit;
  const { lastFence } = context.stream(index);
  if (fence <= lastFence) {
    const text = `fence ${fence} is submitted to stream ${index}, its last one is ${lastFence}`;
    return failure(Status.FENCE_ORDER, text, fence, lastFence, index);
  }
  if (context.error !== null)
    return failure(
      Status.CONTEXT_FAILED,
      `context ${context.id} has failed: ${context.error.text}`,
      context.error.status,
      0,
      context.id,
    );
  return checkQuota(host, context, commands.length, bytes);
}

/**
 * A context that makes progress may go over its limits by one submit: no more are taken until it
 * has come down (see Admission.mustPause). One whose streams all wait for the guest never would.
 */
function checkQuota(
  host: SubmitHost,
  context: Context,
  commands: number,
  bytes: number,
): Failure | null {
  const { queuedCommandsMax, queuedBytesMax, queuedBytesTotalMax } = host.limits;
  const after = context.queuedCommands + commands;
  const tooMany = commands > queuedCommandsMax;
  if (tooMany || (after > queuedCommandsMax && !context.progressing)) {
    const text = `${after} commands would be queued, the limit is ${queuedCommandsMax}`;
    return failure(Status.QUEUE_FULL, text, after, queuedCommandsMax, context.id);
  }
  if (context.progressing) return null;
  const own = context.queuedBytes + bytes;
  if (own > queuedBytesMax) {
    const text = `${own} bytes of commands would be queued, the limit is ${queuedBytesMax}`;
    return failure(Status.QUEUE_FULL, text, own, queuedBytesMax, context.id);
  }
  const total = host.runner.queuedBytes + bytes;
  if (total <= queuedBytesTotalMax) return null;
  const text = `${total} bytes of commands would be queued in all, the limit is ${queuedBytesTotalMax}`;
  return failure(Status.QUEUE_FULL, text, total, queuedBytesTotalMax, context.id);
}

/** Whether submits have to wait in the ring until a context over its limits has come down. */
export function mustPause(host: SubmitHost): boolean {
  const { queuedCommandsMax, queuedBytesMax, queuedBytesTotalMax } = host.limits;
  const { runner } = host;
  if (runner.queuedCommands < queuedCommandsMax && runner.queuedBytes < queuedBytesMax)
    return false;
  const full = runner.queuedBytes >= queuedBytesTotalMax;
  for (const context of host.contexts.values()) {
    if (!context.progressing) continue;
    if (full && context.queuedCommands > 0) return true;
    if (context.queuedCommands >= queuedCommandsMax) return true;
    if (context.queuedBytes >= queuedBytesMax) return true;
  }
  return false;
}

/** Makes the context fail and completes the fence, as far as the request tells them. */
function refuse<F extends Failure | DecodeError>(host: SubmitHost, bytes: Uint8Array, why: F): F {
  const target = submitTarget(bytes);
  const context = host.contexts.get(target?.context ?? contextId(bytes)) ?? null;
  // A context that fails now is counted and logged with its failure.
  if (context === null || context.error !== null) host.rejected(context, why);
  if (context === null) return why;
  const stream = target === null ? undefined : context.streams[target.stream];
  const at = { stream: target?.stream ?? 0, fence: target?.fence ?? 0 };
  host.runner.failContext(context, why, at);
  if (stream !== undefined && target !== null && target.fence > stream.lastFence)
    host.runner.refuse(context, stream, target.fence);
  return why;
}

/** Context of a request that is too short for more; −1 if it does not even have that. */
function contextId(bytes: Uint8Array): number {
  if (bytes.length < RequestHeader.bytes) return -1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(RequestHeader.at.type, true) !== Request.SUBMIT) return -1;
  return view.getUint32(RequestHeader.at.context, true);
}
