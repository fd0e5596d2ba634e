// SPDX-License-Identifier: Apache-2.0
/**
 * When a launch or a copy passed from one stage to the next, for `bench stages`. Where the
 * environment names no file (VGPU_STAGES), a mark costs one comparison. Otherwise the newest marks are
 * kept in memory, and written when the process ends: a line with the names, then pairs of stage and
 * time (CLOCK_MONOTONIC, ns) as 64-bit floats.
 */
import { writeFileSync } from "node:fs";

/** What has just happened when the mark is made. */
export const STAGES = [
  // The ring's entry was seen, and its chain read.
  "taken",
  // Its bytes are copied, decoded, checked and queued.
  "decoded",
  // Host data is in the GPU's buffer, or on its way.
  "written",
  // Dawn has the commands: `finish` has returned.
  "encoded",
  // Dawn's `submit` has returned.
  "submitted",
  // A staging buffer is mapped; its bytes are in guest memory.
  "arrived",
  "delivered",
  // Dawn says that the batch is done.
  "done",
  // The fence is in the timeline page; the driver is told.
  "shown",
  "notified",
] as const;
export type Stage = (typeof STAGES)[number];

/** A power of two. */
const MARKS_MAX = 2 ** 20;

class StageLog {
  readonly #numbers = new Float64Array(2 * MARKS_MAX);
  readonly #indices = new Map<Stage, number>(STAGES.map((stage, index) => [stage, index]));
  #count = 0;

  constructor(path: string) {
    process.on("exit", () => this.#write(path));
  }

  mark(stage: Stage): void {
    const at = 2 * (this.#count++ % MARKS_MAX);
    this.#numbers[at] = this.#indices.get(stage) ?? -1;
    this.#numbers[at + 1] = Number(process.hrtime.bigint());
  }

  #write(path: string): void {
    const first = 2 * (this.#count % MARKS_MAX);
    const wrapped = this.#count > MARKS_MAX;
    const numbers = wrapped
      ? [this.#numbers.subarray(first), this.#numbers.subarray(0, first)]
      : [this.#numbers.subarray(0, first)];
    writeFileSync(path, `${STAGES.join(" ")}\n`);
    for (const part of numbers)
      writeFileSync(path, Buffer.from(part.buffer, part.byteOffset, part.byteLength), {
        flag: "a",
      });
  }
}

const path = process.env.VGPU_STAGES;
const log = path === undefined || path === "" ? null : new StageLog(path);

export function markStage(stage: Stage): void {
  if (log !== null) log.mark(stage);
}
