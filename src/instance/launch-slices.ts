// SPDX-License-Identifier: Apache-2.0
/**
 * Executes a long launch in slices, each about as long as a batch may be, so that others wait for
 * a slice and not for the launch. Slices of one launch go into batches of their own turn by turn;
 * how far it has come is in the job: job.progress, and job.cursor for the rest.
 *
 *   cost unknown    a probe of a 64th of the grid; the stream waits until it is measured
 *   cost known      as many workgroups as hardly take longer than the batch's time; at most four times
 *                   as many as in any slice before, because costs differ over a grid
 */
import type { LaunchCommand } from "../command/types.js";
import type { Pipeline, StorageRange, UniformSource } from "../gpu/executor.js";
import { Status } from "../protocol/generated/wire.js";
import type { BatchRecord } from "./batches.js";
import type { Context } from "./context.js";
import { type KernelCost, TRUST } from "./cost.js";
import { LaunchCursor } from "./cursor.js";
import { type ExecuteHost, Step } from "./execute.js";
import { type Failure, failure } from "./failure.js";
import type { Entry, Variant } from "./kernel-code.js";
import type { KernelFunction } from "./kernels.js";
import { BATCH_PART_MIN } from "./limits.js";
import { cutSlice, type Grid } from "./slices.js";
import type { Job, Stream } from "./streams.js";

/** A grid of so few workgroups runs whole while its cost is unknown. */
const PROBE_GROUPS = 64;
/** The first slice of a launch of unknown cost is this part of it. */
const PROBE_PARTS = 64;
/** The next slice can be this much larger than the largest before it. */
const GROWTH = 4;
/** Near a deadline, what takes no longer than this is not worth cutting. */
const WHOLE_NS = 500_000;
/** A slice that took longer, and so many times what was expected, did so for its kernel, not by chance. */
const CHANCE_NS = 1_000_000;
const CHANCE_FACTOR = 2;
/** Dispatches of one slice. */
const DISPATCHES_MAX = 64;
/** Dispatches of a launch that can't be spread over batches. */
const DISPATCHES_AT_ONCE_MAX = 4096;

/** Whether a launch of `groups` workgroups is to be sliced if it can be. */
export function wantsSlices(host: ExecuteHost, cost: KernelCost, groups: number): boolean {
  if (groups === 1) return false;
  const { slicesMin, batchNsMax, slicing } = host.scheduling;
  if (!slicing) return false;
  if (slicesMin > 0) return true;
  const longNs = Math.max(host.budgetNs, Math.min(batchNsMax, WHOLE_NS));
  if (groups * cost.nsPerGroup > longNs) return true;
  return groups > PROBE_GROUPS && !cost.covers(groups);
}

/** Whether a kernel can be sliced; if not, the operator is told once. */
export function canSlice(host: ExecuteHost, context: Context, entry: Entry): boolean {
  const reason = entry.unsliceable;
  if (reason === null) return true;
  if (!entry.unsliceableNoted) {
    entry.unsliceableNoted = true;
    host.unsliceable(context, entry.name, reason);
  }
  return false;
}

/**
 * Whether a uniform's data lies where the kernel may write. It is copied once for each slice, so
 * later slices would see what earlier ones wrote.
 */
export function writesUniforms(
  uniforms: readonly UniformSource[],
  storage: readonly StorageRange[],
): boolean {
  return uniforms.some(
    (source) =>
      !(source instanceof Uint8Array) &&
      storage.some(
        (range) =>
          range.segment === source.segment &&
          range.offset < source.offset + source.bytes &&
          source.offset < range.offset + range.bytes,
      ),
  );
}

export interface SlicedLaunch {
  readonly command: LaunchCommand;
  readonly kernel: KernelFunction;
  readonly variant: Variant;
  readonly pipeline: Pipeline;
  readonly storage: readonly StorageRange[];
  readonly uniforms: readonly UniformSource[];
  readonly gridMax: number;
  /** Is told each batch that a slice of it is in. */
  readonly opened?: (record: BatchRecord) => void;
}

/** Encodes the launch's next slice. */
export function launchSlice(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  launch: SlicedLaunch,
): Step | Failure {
  const { command, kernel, variant, pipeline, storage, uniforms, gridMax } = launch;
  const { batchNsMax, slicesMin } = host.scheduling;
  const grid: Grid = [command.gridX, command.gridY, command.gridZ];
  job.cursor ??= new LaunchCursor(kernel, grid);
  const cursor = job.cursor;
  const atOnce = writesUniforms(uniforms, storage);
  const unknown = variant.cost.nsPerGroup === 0 && slicesMin === 0;
  if (unknown && cursor.slices > 0 && waitForProbe(host, context, stream, job)) return Step.blocked;
  // What is unknown is measured alone, and what is known begins in a batch with room for it.
  if (host.estimateNs > (unknown ? 0 : host.budgetNs * 0.75)) return Step.part;
  const left = cursor.total - job.progress;
  const wanted = atOnce ? left : sliceGroups(host, variant.cost, cursor, left);
  if (wanted < left && !unknown && tooShort(host))
    return host.estimateNs > 0 ? Step.part : Step.late;
  const dispatchesMax = atOnce ? DISPATCHES_AT_ONCE_MAX : DISPATCHES_MAX;
  const { dispatches, groups } = cutSlice(grid, job.progress, wanted, gridMax, dispatchesMax);
  if (atOnce && groups < left) return tooManyDispatches(kernel, grid);
  const record = host.open(context, stream, job);
  record.batch.launch({ pipeline, storage, uniforms, grid, dispatches });
  launch.opened?.(record);
  record.kernels++;
  record.cost.add(variant, groups, batchNsMax, cursor);
  cursor.slices++;
  cursor.groupsMax = Math.max(cursor.groupsMax, groups);
  job.progress += groups;
  if (job.progress < cursor.total) return Step.part;
  job.cursor = null;
  record.launches++;
  return Step.done;
}

/** Whether what is left of the batch or turn is too little for a part of a launch. */
function tooShort(host: ExecuteHost): boolean {
  const { batchNsMax, slicesMin } = host.scheduling;
  if (slicesMin > 0 || (host.fresh && host.estimateNs === 0)) return false;
  return host.budgetNs - host.estimateNs < batchNsMax * BATCH_PART_MIN;
}

/** Workgroups of the next slice; `left` are still to do. */
function sliceGroups(
  host: ExecuteHost,
  cost: KernelCost,
  cursor: LaunchCursor,
  left: number,
): number {
  const { slicesMin } = host.scheduling;
  if (slicesMin > 0) return Math.ceil(cursor.total / slicesMin);
  if (cost.nsPerGroup === 0)
    return wholeWaves(host, Math.max(1, Math.floor(cursor.total / PROBE_PARTS)));
  // The last one, if it was dear, tells as much of the next one as the mean; if it can't be chance, all.
  const dearNs = Math.max(cost.nsPerGroup, cursor.nsPerGroup);
  const sure = cursor.lastNs > CHANCE_NS && dearNs > cost.nsPerGroup * CHANCE_FACTOR;
  const meanNs = sure ? dearNs : (cost.nsPerGroup + dearNs) / 2;
  const fitting = cost.groupsWithin(host.budgetNs - host.estimateNs, meanNs);
  const trusted = cursor.groupsMax > 0 ? cursor.groupsMax * GROWTH : cost.groupsMax * TRUST;
  const groups = wholeWaves(host, Math.floor(Math.min(fitting, trusted)));
  return left <= groups * (1 + BATCH_PART_MIN) ? left : groups;
}

/** As many as run at once, or a multiple of it: what is left over would idle the rest of the GPU. */
function wholeWaves(host: ExecuteHost, groups: number): number {
  const wave = host.executor?.info.groupsAtOnce ?? 1;
  return Math.max(wave, groups - (groups % wave));
}

/** Lets the stream go on when its newest batch is done; false if it is already. */
function waitForProbe(host: ExecuteHost, context: Context, stream: Stream, job: Job): boolean {
  const record = stream.lastBatch;
  if (record === null || record.done) return false;
  stream.blocked = "probe";
  record.waiters.push(() => {
    if (context.dead || stream.blocked !== "probe" || stream.jobs.peek() !== job) return;
    host.resume(context, stream, false);
  });
  return true;
}

function tooManyDispatches(kernel: KernelFunction, grid: Grid): Failure {
  const text =
    `${kernel.name} is launched with a grid of ${grid.join(" x ")} and with a uniform in memory ` +
    `that it writes: that takes more than ${DISPATCHES_AT_ONCE_MAX} dispatches at once`;
  return failure(Status.LAUNCH_SIZE, text, Math.max(...grid), DISPATCHES_AT_ONCE_MAX);
}
