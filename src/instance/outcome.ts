// SPDX-License-Identifier: Apache-2.0
/** What the end of a batch means for its context. */
import type { BatchOutcome, ExecutorError } from "../gpu/executor.js";
import { Status } from "../protocol/generated/wire.js";
import type { BatchRecord } from "./batches.js";
import { type Failure, failure } from "./failure.js";
import { foundFault } from "./faults.js";

/** The submit that made a context fail. */
export interface FailedAt {
  readonly stream: number;
  readonly fence: number;
}

/** Where a batch's failure is reported: the first job with work in it. */
export function blamed(record: BatchRecord): FailedAt | null {
  const { blame } = record;
  return blame === null ? null : { stream: blame.stream.index, fence: blame.fence };
}

export function executorStatus(reason: ExecutorError["reason"]): Failure["status"] {
  if (reason === "lost" || reason === "no-adapter") return Status.DEVICE_LOST;
  return reason === "out-of-memory" ? Status.OUT_OF_MEMORY : Status.LAUNCH_FAILED;
}

/** What a finished batch means for its context, or null if all is well. */
export function batchFailure(record: BatchRecord, outcome: BatchOutcome): Failure | null {
  if (outcome.ok) {
    const { readLost } = record;
    if (readLost === null) return foundFault(record);
    const text = `the target of a copy from the device is not mapped: ${readLost.description}`;
    return failure(Status.GUEST_ADDRESS, text);
  }
  const text = cutMessage(outcome.message);
  switch (outcome.reason) {
    case "lost":
      return failure(Status.DEVICE_LOST, text);
    case "out-of-memory":
      return failure(Status.OUT_OF_MEMORY, text);
    case "timeout":
      return failure(Status.TIMEOUT, text);
    case "failed":
      return failure(Status.LAUNCH_FAILED, text);
  }
}

const MESSAGE_LENGTH_MAX = 2000;

export function cutMessage(text: string): string {
  return text.length <= MESSAGE_LENGTH_MAX ? text : text.slice(0, MESSAGE_LENGTH_MAX);
}
