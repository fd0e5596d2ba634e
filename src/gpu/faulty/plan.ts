// SPDX-License-Identifier: Apache-2.0
/**
 * Which faults happen when. A plan is shared by an executor and its successors after a loss, so
 * that each fault happens once and not again in every GPU that is opened after it. Counts begin
 * at 1.
 */

export interface Faults {
  /** The device is lost when this many batches were submitted: that one is not done any more. */
  readonly lostAtBatch?: number;
  /** This segment can't be created for want of memory. */
  readonly outOfMemoryAtSegment?: number;
  /** This batch is never done, nor are those after it until the device is closed. */
  readonly hangAtBatch?: number;
  /** This batch fails. */
  readonly failAtBatch?: number;
  /** The process ends while it makes this pipeline, as a crashing driver would do. */
  readonly crashAtPipeline?: number;
  /** This pipeline can't be made. */
  readonly failAtPipeline?: number;
  /** This module does not compile. */
  readonly failAtModule?: number;
  /** Opening the GPU again after a loss fails this often. */
  readonly failReopens?: number;
}

type FaultName = keyof Faults;

/** Names in VGPU_FAULTS, for example `lost-at-batch=3,fail-reopens=2`. */
const FAULT_NAMES: Readonly<Record<string, FaultName>> = {
  "lost-at-batch": "lostAtBatch",
  "out-of-memory-at-segment": "outOfMemoryAtSegment",
  "hang-at-batch": "hangAtBatch",
  "fail-at-batch": "failAtBatch",
  "crash-at-pipeline": "crashAtPipeline",
  "fail-at-pipeline": "failAtPipeline",
  "fail-at-module": "failAtModule",
  "fail-reopens": "failReopens",
};

/**
 * Reads a list of faults; throws with what is wrong and what there is. One of the form `ID/NAME=COUNT`
 * is for the instance of that name only.
 */
export function parseFaults(text: string, id = ""): Faults {
  const faults: { -readonly [name in FaultName]?: number } = {};
  for (const part of text.split(",")) {
    if (part.trim() === "") continue;
    const [path = "", count = ""] = part.split("=").map((each) => each.trim());
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    const known = FAULT_NAMES[name];
    if (known === undefined)
      throw new Error(
        `the fault "${name}" is unknown; there are: ${Object.keys(FAULT_NAMES).join(", ")}`,
      );
    if (!/^[1-9][0-9]{0,8}$/.test(count))
      throw new Error(`the fault "${name}" has the count "${count}", it needs a number from 1`);
    if (slash < 0 || path.slice(0, slash) === id) faults[known] = Number(count);
  }
  return faults;
}

export class FaultPlan {
  readonly faults: Faults;
  readonly #counts = { batch: 0, segment: 0, pipeline: 0, module: 0, reopen: 0 };

  constructor(faults: Faults) {
    this.faults = faults;
  }

  /** Counts one more of its kind and returns its number. */
  count(kind: "batch" | "segment" | "pipeline" | "module" | "reopen"): number {
    this.#counts[kind]++;
    return this.#counts[kind];
  }
}
