// SPDX-License-Identifier: Apache-2.0
/**
 * Executes LAUNCH of a kernel in PTX. It sees all memory of its context: every segment is bound as a
 * whole, and everything else comes in one uniform, so that a pipeline serves any addresses:
 *
 *   [parameters, as the guest packed them] [addresses of variables: u64 each]
 *   [segments: number u32, bytes u32 each], each part padded to 16 bytes
 *
 * and for checked kernels which memory is in use (ranges.ts).
 *
 * The block, the dynamic workgroup memory and the number of segments are compiled in. Slices need no
 * other pipeline: the kernel always takes its workgroup offset and grid from immediates.
 */
import type { LaunchCommand } from "../command/types.js";
import type { Dispatch, ExecutorInfo } from "../gpu/executor.js";
import type { EmitRequest } from "../kernel/translator/index.js";
import { Status } from "../protocol/generated/wire.js";
import type { BatchRecord } from "./batches.js";
import type { Context } from "./context.js";
import type { ExecuteHost, Step } from "./execute.js";
import { type Failure, failure } from "./failure.js";
import { watchFaults } from "./faults.js";
import type { PtxEntry, Variant } from "./kernel-code.js";
import type { KernelFunction } from "./kernels.js";
import { checkGrid, launchFailure, launchWhole, waitForPipeline } from "./launch.js";
import { canSlice, launchSlice, wantsSlices } from "./launch-slices.js";
import { writeRanges } from "./ranges.js";
import type { Job, Stream } from "./streams.js";

type Block = readonly [number, number, number];

export function launchPtx(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: LaunchCommand,
  kernel: KernelFunction,
  entry: PtxEntry,
  info: ExecutorInfo,
): Step | Failure {
  const block = blockOf(command, entry);
  const refused =
    checkGrid(command, entry, info) ??
    checkBlock(command, entry, info, block) ??
    checkShared(command, entry, info) ??
    checkParameters(command, entry) ??
    checkSegments(context, info);
  if (refused !== null) return refused;
  const variant = findVariant(host, context, command, entry, info, block);
  if (variant.failed !== null) return launchFailure(entry, variant.failed);
  const { pipeline } = variant;
  if (pipeline === null) return waitForPipeline(host, context, stream, job, variant);
  const uniform = packUniform(context, command, kernel, entry, variant);
  if (!(uniform instanceof Uint8Array)) return uniform;
  const storage = context.memory.bindings();
  const uniforms = [uniform];
  const { gridX, gridY, gridZ } = command;
  const opened = (record: BatchRecord): void => {
    if (kernel.module !== null) watchFaults(record, kernel.module, entry);
  };
  const mustSlice = job.cursor !== null || Math.max(gridX, gridY, gridZ) > info.gridMax;
  const groups = gridX * gridY * gridZ;
  if (!mustSlice && (!wantsSlices(host, variant.cost, groups) || !canSlice(host, context, entry))) {
    const immediates = Uint32Array.of(0, 0, 0, 0, gridX, gridY, gridZ, 0);
    const dispatches: Dispatch[] = [{ grid: [gridX, gridY, gridZ], immediates }];
    const whole = { command, variant, storage, uniforms, dispatches, opened };
    return launchWhole(host, context, stream, job, whole);
  }
  const { gridMax } = info;
  const sliced = { command, kernel, variant, pipeline, storage, uniforms, gridMax, opened };
  return launchSlice(host, context, stream, job, sliced);
}

// ---- Checks -------------------------------------------------------------------------------------

/** The block that is launched; zeros if neither side gives one. */
function blockOf(command: LaunchCommand, entry: PtxEntry): Block {
  const { blockX, blockY, blockZ } = command;
  return blockX === 0 && entry.info.block !== null ? entry.info.block : [blockX, blockY, blockZ];
}

function checkBlock(
  command: LaunchCommand,
  entry: PtxEntry,
  info: ExecutorInfo,
  block: Block,
): Failure | null {
  const [x, y, z] = block;
  const launched = `${entry.name} is launched with a block of ${x} x ${y} x ${z}`;
  const declared = entry.info.block;
  if (x === 0) {
    const text = `${entry.name} leaves the block to the launch, which gives none`;
    return failure(Status.LAUNCH_BLOCK, text);
  }
  if (declared !== null && (declared[0] !== x || declared[1] !== y || declared[2] !== z)) {
    const text = `${launched}, it declares ${declared.join(" x ")}`;
    return failure(Status.LAUNCH_BLOCK, text, command.blockX, declared[0]);
  }
  for (let axis = 0; axis < 3; axis++) {
    const value = block[axis] ?? 0;
    const max = info.blockMax[axis] ?? 0;
    if (value > max)
      return failure(Status.LAUNCH_SIZE, `${launched}, the limit is ${max}`, value, max, axis);
  }
  const threads = x * y * z;
  const max = Math.min(info.blockThreadsMax, entry.info.maxThreads);
  if (threads <= max) return null;
  const text = `${launched}, ${threads} invocations, the limit is ${max}`;
  return failure(Status.LAUNCH_SIZE, text, threads, max);
}

function checkShared(command: LaunchCommand, entry: PtxEntry, info: ExecutorInfo): Failure | null {
  const bytes = entry.info.sharedBytes + command.sharedBytes;
  if (bytes <= info.sharedBytesMax) return null;
  const text =
    `${entry.name} has ${entry.info.sharedBytes} bytes of workgroup memory and is launched with ` +
    `${command.sharedBytes} more, the limit is ${info.sharedBytesMax}`;
  return failure(Status.LAUNCH_SIZE, text, bytes, info.sharedBytesMax);
}

function checkParameters(command: LaunchCommand, entry: PtxEntry): Failure | null {
  const { paramBytes } = entry.info;
  const given = command.arguments;
  const wanted = paramBytes === 0 ? 0 : 1;
  if (given.length !== wanted) {
    const text =
      `${entry.name} is launched with ${given.length} arguments, its parameter buffer of ` +
      `${paramBytes} bytes makes ${wanted}`;
    return failure(Status.ARGUMENT_COUNT, text, given.length, wanted);
  }
  const [buffer] = given;
  if (buffer === undefined) return null;
  if (buffer.kind === "value" && buffer.data.length === paramBytes) return null;
  const bytes = buffer.kind === "value" ? buffer.data.length : 0;
  const what = buffer.kind === "value" ? `a value of ${bytes} bytes` : "a pointer";
  const text = `${entry.name} is launched with ${what}, its parameter buffer has ${paramBytes} bytes`;
  return failure(Status.ARGUMENT_KIND, text, bytes, paramBytes);
}

/** There must be something to bind, and not more than can be bound. */
function checkSegments(context: Context, info: ExecutorInfo): Failure | null {
  const { memory } = context;
  if (memory.segmentCount === 0) return memory.addEmptySegment();
  if (memory.segmentCount <= info.storageBindingsMax) return null;
  const text =
    `the memory of context ${context.id} is in ${memory.segmentCount} segments, a kernel of PTX ` +
    `can see ${info.storageBindingsMax}: load modules before memory is allocated`;
  return failure(Status.LAUNCH_FAILED, text, memory.segmentCount, info.storageBindingsMax);
}

// ---- Pipeline and data --------------------------------------------------------------------------

function findVariant(
  host: ExecuteHost,
  context: Context,
  command: LaunchCommand,
  entry: PtxEntry,
  info: ExecutorInfo,
  block: Block,
): Variant {
  const segments = context.memory.segmentCount;
  const shape = `${block[0]},${block[1]},${block[2]}|${command.sharedBytes}`;
  const key = `${segments}|${shape}`;
  const known = entry.variants.get(key);
  if (known !== undefined) return host.store.used(known);
  return host.store.ptxVariant(entry, key, shape, (): EmitRequest => {
    const { f16, subgroups, subgroupSize, blockThreadsMax, sharedBytesMax } = info;
    const { checkedAccess: checked } = entry.code;
    const gpu = { f16, subgroups, subgroupSize, blockThreadsMax, sharedBytesMax };
    return { ...gpu, segments, block, dynamicSharedBytes: command.sharedBytes, checked };
  });
}

const padded = (bytes: number): number => Math.ceil(bytes / 16) * 16;

function packUniform(
  context: Context,
  command: LaunchCommand,
  kernel: KernelFunction,
  entry: PtxEntry,
  variant: Variant,
): Uint8Array | Failure {
  const bytes = new Uint8Array(variant.uniformBytes);
  const view = new DataView(bytes.buffer);
  const [buffer] = command.arguments;
  if (buffer?.kind === "value") bytes.set(buffer.data);
  let at = padded(entry.info.paramBytes);
  for (const name of variant.globals) {
    const symbol = kernel.module?.variables?.symbols.get(name);
    if (symbol === undefined)
      return failure(
        Status.INTERNAL,
        `${entry.name} uses the variable ${name}, which has no place`,
      );
    view.setUint32(at, symbol.offset, true);
    view.setUint32(at + 4, symbol.segment, true);
    at += 8;
  }
  at = padded(at);
  for (const { number, segment } of context.memory.segments()) {
    view.setUint32(at, number, true);
    view.setUint32(at + 4, segment.bytes, true);
    at += 8;
  }
  if (entry.code.checkedAccess) {
    const allocators = [...context.memory.segments()].map(({ allocator }) => allocator);
    writeRanges(view, padded(at), allocators);
  }
  return bytes;
}
