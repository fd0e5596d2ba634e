// SPDX-License-Identifier: Apache-2.0
/**
 * Executes LAUNCH, the hot path: look-ups, a plan of the bindings, one call of the executor. The
 * pipeline is looked up by block size and by which arguments share memory; only a new one makes the
 * stream wait for the compiler. Long launches go in slices: see launch-slices.ts.
 */
import type { LaunchCommand } from "../command/types.js";
import type { Dispatch, ExecutorInfo, StorageRange, UniformSource } from "../gpu/executor.js";
import type { LaunchArgument, LaunchPlan, PlanLimits } from "../kernel/wgsl/index.js";
import { planLaunch, WgslError } from "../kernel/wgsl/index.js";
import { Status } from "../protocol/generated/wire.js";
import type { BatchRecord } from "./batches.js";
import type { Context } from "./context.js";
import { type ExecuteHost, Step, waitForObject } from "./execute.js";
import { type Failure, failure, unknownHandle } from "./failure.js";
import { type Entry, notOk, PtxEntry, type Variant, type WgslEntry } from "./kernel-code.js";
import { launchPtx } from "./launch-ptx.js";
import { canSlice, launchSlice, wantsSlices, writesUniforms } from "./launch-slices.js";
import { GRID_MAX } from "./limits.js";
import type { Job, Stream } from "./streams.js";

/** A batch may be this much longer than it should be, rather than be cut short. */
const OVERSHOOT = 1.25;

export function launch(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: LaunchCommand,
): Step | Failure {
  const { kernels } = context;
  const kernel = job.cursor?.kernel ?? kernels.function(command.function);
  if (kernel === undefined) {
    if (kernels.isDeclared("function", command.function, job.admission))
      return waitForObject(stream);
    return unknownHandle("function", command.function);
  }
  const { entry } = kernel;
  const info = host.executor?.info;
  if (info === undefined) return failure(Status.DEVICE_LOST, "the GPU is lost");
  if (entry === null)
    return failure(
      notOk(kernel.status),
      `function ${kernel.handle} (${kernel.name}) has failed: ${kernel.text}`,
      0,
      0,
      kernel.handle,
    );
  if (entry instanceof PtxEntry)
    return launchPtx(host, context, stream, job, command, kernel, entry, info);
  const refused = checkSize(command, entry, info);
  if (refused !== null) return refused;
  const launchArguments = resolveArguments(context, command);
  if ("kind" in launchArguments) return launchArguments;
  const plan = makePlan(entry, launchArguments, info);
  if ("kind" in plan) return plan;
  const storage = storageRanges(context, plan);
  const uniforms = uniformSources(context, entry, launchArguments, plan);
  const mustSlice =
    job.cursor !== null || Math.max(command.gridX, command.gridY, command.gridZ) > info.gridMax;
  if (!mustSlice) {
    const variant = findVariant(host, entry, command, plan.key, false);
    if (variant.failed !== null) return launchFailure(entry, variant.failed);
    const groups = command.gridX * command.gridY * command.gridZ;
    const whole =
      !wantsSlices(host, variant.cost, groups) ||
      !canSlice(host, context, entry) ||
      writesUniforms(uniforms, storage);
    if (whole)
      return launchWhole(host, context, stream, job, { command, variant, storage, uniforms });
  }
  const variant = findVariant(host, entry, command, plan.key, true);
  if (variant.failed !== null) {
    const { failed } = variant;
    const passing = failed.status === Status.DEVICE_LOST || failed.status === Status.QUOTA;
    if (mustSlice || passing) return launchFailure(entry, failed);
    entry.unsliceable = failed.text;
    return launch(host, context, stream, job, command);
  }
  const { pipeline } = variant;
  if (pipeline === null) return waitForPipeline(host, context, stream, job, variant);
  const { gridMax } = info;
  const sliced = { command, kernel, variant, pipeline, storage, uniforms, gridMax };
  return launchSlice(host, context, stream, job, sliced);
}

export interface WholeLaunch {
  readonly command: LaunchCommand;
  readonly variant: Variant;
  readonly storage: readonly StorageRange[];
  readonly uniforms: readonly UniformSource[];
  /** The one dispatch, where the pipeline takes immediates. */
  readonly dispatches?: readonly Dispatch[];
  /** Is told the batch that it is in. */
  readonly opened?: (record: BatchRecord) => void;
}

/** One dispatch of the kernel as it is. */
export function launchWhole(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  { command, variant, storage, uniforms, dispatches, opened }: WholeLaunch,
): Step {
  const { pipeline, cost } = variant;
  if (pipeline === null) return waitForPipeline(host, context, stream, job, variant);
  const groups = command.gridX * command.gridY * command.gridZ;
  const afterNs = host.estimateNs + groups * cost.nsPerGroup;
  // What would make the batch much longer than it may be begins the next one.
  if (host.estimateNs > 0 && afterNs > host.budgetNs * OVERSHOOT) return Step.part;
  const record = host.open(context, stream, job);
  const grid = [command.gridX, command.gridY, command.gridZ] as const;
  if (dispatches === undefined) record.batch.launch({ pipeline, storage, uniforms, grid });
  else record.batch.launch({ pipeline, storage, uniforms, grid, dispatches });
  opened?.(record);
  record.launches++;
  record.kernels++;
  // Few launches of unknown cost share a batch.
  record.cost.add(variant, groups, host.scheduling.batchNsMax / 4);
  return Step.done;
}

function storageRanges(context: Context, plan: LaunchPlan): StorageRange[] {
  const storage: StorageRange[] = [];
  for (const range of plan.storage)
    storage.push({
      segment: context.memory.segment(range.segment),
      offset: range.offset,
      bytes: range.bytes,
    });
  return storage;
}

/** Pointers with the allocations they point into; values as they are. */
function resolveArguments(context: Context, command: LaunchCommand): LaunchArgument[] | Failure {
  const { memory } = context;
  const resolved: LaunchArgument[] = [];
  const given = command.arguments;
  for (let index = 0; index < given.length; index++) {
    const argument = given[index];
    if (argument === undefined) continue;
    if (argument.kind === "value") {
      resolved.push({ kind: "value", bytes: argument.data });
      continue;
    }
    const { segment, offset } = argument;
    if (memory.resolve(segment, offset, 1) === null) return memory.explain(argument, 1, index);
    resolved.push({
      kind: "pointer",
      segment,
      allocationStart: memory.foundOffset,
      allocationBytes: memory.foundEnd - memory.foundOffset,
      offset,
    });
  }
  return resolved;
}

function makePlan(
  entry: WgslEntry,
  launchArguments: readonly LaunchArgument[],
  limits: PlanLimits,
): LaunchPlan | Failure {
  try {
    return planLaunch(entry.info, launchArguments, limits);
  } catch (error) {
    if (!(error instanceof WgslError)) throw error;
    return failure(notOk(error.status), error.message, 0, 0, Math.max(0, error.argument));
  }
}

/** Data of the uniform bindings: arguments in order, the plan's copies, then its hidden one. */
function uniformSources(
  context: Context,
  entry: WgslEntry,
  launchArguments: readonly LaunchArgument[],
  plan: LaunchPlan,
): UniformSource[] {
  const sources: UniformSource[] = [];
  const { resources } = entry.info;
  for (let index = 0; index < resources.length; index++) {
    const resource = resources[index];
    const argument = launchArguments[index];
    if (resource?.kind !== "uniform" || argument === undefined) continue;
    if (argument.kind === "value") {
      sources.push(argument.bytes);
      continue;
    }
    const bytes = Math.ceil(resource.minBytes / 4) * 4;
    const segment = context.memory.segment(argument.segment);
    sources.push({ segment, offset: argument.offset, bytes });
  }
  for (const { segment, offset, bytes } of plan.copies)
    sources.push({ segment: context.memory.segment(segment), offset, bytes });
  if (plan.params !== null)
    sources.push(
      new Uint8Array(plan.params.buffer, plan.params.byteOffset, plan.params.byteLength),
    );
  return sources;
}

// ---- Sizes --------------------------------------------------------------------------------------

export function checkGrid(
  command: LaunchCommand,
  entry: Entry,
  info: ExecutorInfo,
): Failure | null {
  const grid = Math.max(command.gridX, command.gridY, command.gridZ);
  return grid > info.gridMax ? checkLargeGrid(command, grid, entry, info) : null;
}

function checkSize(command: LaunchCommand, entry: WgslEntry, info: ExecutorInfo): Failure | null {
  const refused = checkGrid(command, entry, info);
  if (refused !== null) return refused;
  if (command.sharedBytes !== 0) {
    const text = `${command.sharedBytes} bytes of dynamic workgroup memory are asked for, WGSL has none`;
    return failure(Status.NOT_SUPPORTED, text, command.sharedBytes);
  }
  return checkBlock(command, entry, info);
}

/** A grid over the GPU's own limit can only be run in slices. */
function checkLargeGrid(
  command: LaunchCommand,
  grid: number,
  entry: Entry,
  info: ExecutorInfo,
): Failure | null {
  const { gridX, gridY, gridZ } = command;
  const launched = `the grid ${gridX} x ${gridY} x ${gridZ} is launched`;
  if (grid > GRID_MAX)
    return failure(
      Status.LAUNCH_SIZE,
      `${launched}, a dimension is at most ${GRID_MAX}`,
      grid,
      GRID_MAX,
    );
  if (gridX * gridY * gridZ > Number.MAX_SAFE_INTEGER)
    return failure(
      Status.LAUNCH_SIZE,
      `${launched}, it has at most 2^53 - 1 workgroups`,
      grid,
      Number.MAX_SAFE_INTEGER,
    );
  const reason = entry.unsliceable;
  if (reason === null) return null;
  const text = `${launched}, a dimension is at most ${info.gridMax} for ${entry.name}: ${reason}`;
  return failure(Status.LAUNCH_SIZE, text, grid, info.gridMax);
}

function checkBlock(command: LaunchCommand, entry: WgslEntry, info: ExecutorInfo): Failure | null {
  const given = command.blockX !== 0;
  for (let axis = 0; axis < 3; axis++) {
    const value = axis === 0 ? command.blockX : axis === 1 ? command.blockY : command.blockZ;
    const declared = entry.info.block[axis];
    if (declared?.kind === "fixed") {
      if (given && value !== declared.value)
        return blockFailure(entry, axis, value, declared.value);
      continue;
    }
    if (!given) {
      if (declared === undefined || entry.defaultBlock(declared.name)) continue;
      return blockFailure(entry, axis, 0, 0);
    }
    const max = info.blockMax[axis] ?? 0;
    if (value > max) return blockTooLarge(value, max, "dimension");
    const other = sharedDimension(command, entry, axis, declared?.name);
    if (other !== null) return other;
  }
  if (!given) return null;
  const threads = command.blockX * command.blockY * command.blockZ;
  if (threads <= info.blockThreadsMax) return null;
  return blockTooLarge(threads, info.blockThreadsMax, "invocations");
}

/** One override that stands for two dimensions has one value: the launch can't give two. */
function sharedDimension(
  command: LaunchCommand,
  entry: WgslEntry,
  axis: number,
  override: string | undefined,
): Failure | null {
  const values = [command.blockX, command.blockY, command.blockZ];
  const value = values[axis] ?? 0;
  for (let before = 0; before < axis; before++) {
    const declared = entry.info.block[before];
    const given = values[before] ?? 0;
    if (declared?.kind !== "override" || declared.name !== override || given === value) continue;
    const text =
      `${entry.info.name} takes block ${"xyz"[before]} and ${"xyz"[axis]} from the override ` +
      `'${override}', the launch gives ${given} and ${value}`;
    return failure(Status.LAUNCH_BLOCK, text, value, given, axis);
  }
  return null;
}

function blockFailure(entry: WgslEntry, axis: number, value: number, declared: number): Failure {
  const name = "xyz"[axis] ?? "";
  const text =
    declared === 0
      ? `${entry.info.name} leaves block ${name} to the launch, which gives none`
      : `${entry.info.name} is launched with block ${name} of ${value}, it declares ${declared}`;
  return failure(Status.LAUNCH_BLOCK, text, value, declared, axis);
}

function blockTooLarge(value: number, max: number, what: string): Failure {
  const text = `a block with ${what} of ${value} is launched, the limit is ${max}`;
  return failure(Status.LAUNCH_SIZE, text, value, max);
}

// ---- Pipelines ----------------------------------------------------------------------------------

const NO_CONSTANTS: Readonly<Record<string, number>> = {};

function findVariant(
  host: ExecuteHost,
  entry: WgslEntry,
  command: LaunchCommand,
  shape: string,
  sliceEntry: boolean,
): Variant {
  if (!entry.hasBlockOverrides || command.blockX === 0)
    return host.store.variant(entry, shape, shape, NO_CONSTANTS, sliceEntry);
  const { blockX, blockY, blockZ } = command;
  const key = `${shape}|${blockX},${blockY},${blockZ}`;
  const known = sliceEntry ? undefined : entry.variants.get(key);
  if (known !== undefined) return host.store.used(known);
  const constants: Record<string, number> = {};
  [blockX, blockY, blockZ].forEach((value, axis) => {
    const declared = entry.info.block[axis];
    if (declared?.kind === "override") constants[declared.constant] = value;
  });
  return host.store.variant(entry, key, shape, constants, sliceEntry);
}

export function waitForPipeline(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  variant: Variant,
): Step {
  stream.blocked = "compile";
  context.compiling++;
  variant.waiters.push(() => {
    if (context.dead || stream.blocked !== "compile" || stream.jobs.peek() !== job) return;
    host.resume(context, stream, false);
    host.pump();
  });
  return Step.blocked;
}

export function launchFailure(entry: Entry, failed: Failure): Failure {
  const text = `${entry.name} can't be made into a pipeline: ${failed.text}`;
  return { ...failed, text };
}
