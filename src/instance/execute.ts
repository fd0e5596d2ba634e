// SPDX-License-Identifier: Apache-2.0
/**
 * Executes one command: resolves its handles and pointers against the context as it is now, and
 * encodes it into the batch that is being made. A failure is a value and makes the context fail.
 */
import type {
  CopyDeviceCommand,
  CopyHostCommand,
  DeviceCommand,
  EventRecordCommand,
  EventWaitCommand,
  FillCommand,
  FunctionCreateCommand,
  FunctionDestroyCommand,
  ModuleLoadCommand,
  ModuleUnloadCommand,
  WriteInlineCommand,
} from "../command/types.js";
import type { Executor } from "../gpu/executor.js";
import { ModuleFormat, ObjectState, Status, VGPU } from "../protocol/generated/wire.js";
import { type BatchRecord, type ReadGate, ReadTarget } from "./batches.js";
import type { Context } from "./context.js";
import { type Failure, failure, unknownHandle } from "./failure.js";
import type { Hostmem } from "./hostmem.js";
import { PtxCode } from "./kernel-code.js";
import type { KernelStore } from "./kernel-store.js";
import type { Module } from "./kernels.js";
import { launch } from "./launch.js";
import type { SchedulingLimits } from "./limits.js";
import type { Job, Stream } from "./streams.js";
import { type InitialBytes, placeVariables } from "./variables.js";

/** What became of a command. */
export const Step = {
  done: 0,
  /** It needs another batch for the rest. */
  part: 1,
  /** Its stream waits; the command is executed again when it goes on. */
  blocked: 2,
  /** What is left of the turn is too short for a part of it: nothing of it was encoded. */
  late: 3,
} as const;
export type Step = (typeof Step)[keyof typeof Step];

/** What commands need of the run loop. */
export interface ExecuteHost extends ReadGate {
  readonly executor: Executor | null;
  readonly store: KernelStore;
  readonly scheduling: SchedulingLimits;
  /** Bytes that may still be copied in this batch. */
  readonly roomBytes: number;
  /** GPU time that this batch may take, and what it is expected to take so far, ns. */
  readonly budgetNs: number;
  readonly estimateNs: number;
  /** Whether nothing was submitted in this turn yet: a part of a launch is then as short as need be. */
  readonly fresh: boolean;
  nowNs(): number;
  /** The batch for an operation of this stream. */
  open(context: Context, stream: Stream, job: Job): BatchRecord;
  resume(context: Context, stream: Stream, advance: boolean): void;
  wakeObjectWaiters(context: Context): void;
  /** Moves and zeroes memory that was just allocated, ahead of what comes next. */
  settleMemory(context: Context): void;
  /** The module goes: looks for faults of its kernels in the batch that is being made. */
  readFaults(module: Module): void;
  pump(): void;
  /** A kernel would be sliced if it could be: tells the operator. */
  unsliceable(context: Context, kernel: string, reason: string): void;
}

export function executeCommand(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: DeviceCommand,
): Step | Failure {
  switch (command.kind) {
    case "launch":
      return launch(host, context, stream, job, command);
    case "copyToDevice":
    case "copyFromDevice":
      return copyHost(host, context, stream, job, command);
    case "copyDevice":
      return copyDevice(host, context, stream, job, command);
    case "fill":
      return fill(host, context, stream, job, command);
    case "writeInline":
      return writeInline(host, context, stream, job, command);
    case "eventRecord":
      return eventRecord(host, context, stream, job, command);
    case "eventWait":
      return eventWait(context, stream, command);
    case "eventDestroy":
      return context.events.destroy(command.event) ?? Step.done;
    case "moduleLoad":
      return moduleLoad(host, context, stream, job, command);
    case "moduleUnload":
      return moduleUnload(host, context, stream, job, command);
    case "functionCreate":
      return functionCreate(host, context, stream, job, command);
    case "functionDestroy":
      return functionDestroy(context, stream, job, command);
    case "nop":
      return Step.done;
  }
}

/**
 * Whether a command may be encoded before the GPU is ours: all that it does waits for the submission
 * of its batch. Copies between host and device do not: they go in parts, and straight to the queue.
 */
export function encodesAhead(command: DeviceCommand): boolean {
  switch (command.kind) {
    case "launch":
    case "fill":
    case "copyDevice":
    case "eventRecord":
    case "eventWait":
    case "nop":
      return true;
    default:
      return false;
  }
}

function copyHost(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: CopyHostCommand,
): Step | Failure {
  const hostmem = context.hostmems.get(command.hostmem);
  if (hostmem === undefined) return unknownHandle("host memory", command.hostmem);
  if (command.offset + command.bytes > hostmem.bytes) return hostRange(hostmem, command);
  if (command.bytes === 0) return Step.done;
  const { segment, offset } = command.pointer;
  const entry = context.memory.resolve(segment, offset, command.bytes);
  if (entry === null) return context.memory.explain(command.pointer, command.bytes);
  const at = offset + job.progress;
  const count = partBytes(at, command.bytes - job.progress, host.roomBytes);
  if (count === 0) return Step.part;
  const { memory } = host;
  const hostOffset = command.offset + job.progress;
  const views = memory === null ? null : hostmem.views(memory, hostOffset, count);
  if (views === null) return unmapped(hostmem, hostOffset, count);
  const record = host.open(context, stream, job);
  if (command.kind === "copyToDevice") {
    record.batch.write(entry.segment, at, views);
    record.bytesToDevice += count;
  } else {
    const target = new ReadTarget(record, host, hostmem, hostOffset, count);
    record.batch.read(entry.segment, at, count, () => target.targets());
    record.bytesFromDevice += count;
  }
  job.progress += count;
  if (job.progress < command.bytes) return Step.part;
  record.copies++;
  return Step.done;
}

/** How much of a copy goes into this batch; parts end at the granularity of allocations. */
function partBytes(offset: number, left: number, room: number): number {
  if (left <= room) return left;
  const end = Math.floor((offset + room) / VGPU.ALLOCATION_ALIGN) * VGPU.ALLOCATION_ALIGN;
  return Math.max(0, end - offset);
}

function hostRange(hostmem: Hostmem, command: CopyHostCommand): Failure {
  const end = command.offset + command.bytes;
  const text =
    `${command.bytes} bytes at offset ${command.offset} of host memory ${hostmem.handle} are ` +
    `copied, it has ${hostmem.bytes}`;
  return failure(Status.OUT_OF_RANGE, text, end, hostmem.bytes, hostmem.handle);
}

function unmapped(hostmem: Hostmem, offset: number, bytes: number): Failure {
  const text = `${bytes} bytes at offset ${offset} of host memory ${hostmem.handle} are not mapped`;
  return failure(Status.GUEST_ADDRESS, text, offset, hostmem.bytes, hostmem.handle);
}

function copyDevice(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: CopyDeviceCommand,
): Step | Failure {
  const { source, destination, bytes } = command;
  if (bytes === 0) return Step.done;
  const from = context.memory.resolve(source.segment, source.offset, bytes);
  if (from === null) return context.memory.explain(source, bytes);
  const to = context.memory.resolve(destination.segment, destination.offset, bytes);
  if (to === null) return context.memory.explain(destination, bytes);
  const record = host.open(context, stream, job);
  record.batch.copy(to.segment, destination.offset, from.segment, source.offset, bytes);
  record.copies++;
  return Step.done;
}

function fill(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: FillCommand,
): Step | Failure {
  const { pointer, bytes, pattern, width } = command;
  if (bytes === 0) return Step.done;
  const entry = context.memory.resolve(pointer.segment, pointer.offset, bytes);
  if (entry === null) return context.memory.explain(pointer, bytes);
  const record = host.open(context, stream, job);
  record.batch.fill(entry.segment, pointer.offset, bytes, pattern, width);
  record.copies++;
  return Step.done;
}

function writeInline(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: WriteInlineCommand,
): Step | Failure {
  const { pointer, data } = command;
  if (data.length === 0) return Step.done;
  const entry = context.memory.resolve(pointer.segment, pointer.offset, data.length);
  if (entry === null) return context.memory.explain(pointer, data.length);
  const record = host.open(context, stream, job);
  record.batch.write(entry.segment, pointer.offset, [data]);
  record.bytesToDevice += data.length;
  record.copies++;
  return Step.done;
}

function eventRecord(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: EventRecordCommand,
): Step | Failure {
  let mark: number | null = null;
  if (command.timed && host.scheduling.timestamps && host.executor?.info.timestamps === true) {
    const { batch } = host.open(context, stream, job);
    if (batch.marksFull === true) return Step.part;
    mark = batch.mark?.() ?? null;
  }
  const last = stream.lastBatch;
  const at = { batch: last === null || last.done ? null : last, mark };
  const wake = (waiting: Stream): void => host.resume(context, waiting, false);
  return context.events.record(command, stream, at, host.nowNs(), wake) ?? Step.done;
}

function eventWait(context: Context, stream: Stream, command: EventWaitCommand): Step | Failure {
  const goOn = context.events.wait(command.event, command.generation, stream);
  if (typeof goOn !== "boolean") return goOn;
  if (goOn) return Step.done;
  stream.blocked = "event";
  return Step.blocked;
}

function moduleLoad(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: ModuleLoadCommand,
): Step | Failure {
  const { kernels } = context;
  // The code is checked, and this is its second time here: see below.
  const loading = kernels.module(command.module);
  if (loading !== undefined && loading.loader === job)
    return finishLoad(host, context, stream, job, loading);
  const refused = kernels.checkNew("module", command.module);
  if (refused !== null) return refused;
  if (command.format !== ModuleFormat.WGSL) context.memory.dense = true;
  const bytes = command.codeBytes;
  const label = `module ${command.module}`;
  const ready = (): void => {
    if (context.dead) return;
    if (stream.blocked === "compile" && stream.jobs.peek() === job) {
      host.resume(context, stream, false);
    } else {
      // The context has failed in between, and the job is gone.
      kernels.undeclare("module", command.module, job.admission);
      kernels.moduleChecked(module);
    }
    host.pump();
  };
  const code = host.store.load(command, label, ready);
  const failed = code.kind === "error" ? code : null;
  const module = kernels.addModule(
    command.module,
    bytes,
    code.kind === "error" ? null : code,
    failed,
  );
  if (code.kind !== "error" && !code.checked) {
    module.loader = job;
    stream.blocked = "compile";
    context.compiling++;
    return Step.blocked;
  }
  return finishLoad(host, context, stream, job, module);
}

/** The module's code is checked, or was refused: gives its variables their place. */
function finishLoad(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  module: Module,
): Step {
  const { kernels, memory } = context;
  const { code } = module;
  module.loader = null;
  kernels.undeclare("module", module.handle, job.admission);
  kernels.moduleChecked(module);
  if (code instanceof PtxCode && code.info !== null) {
    const label = `module ${module.handle}`;
    const placed = placeVariables(memory, code.info, code.checkedAccess, label);
    if ("kind" in placed) {
      kernels.moduleRefused(module, placed);
    } else {
      module.variables = placed.variables;
      host.settleMemory(context);
      if (placed.initial !== null) writeInitial(host, context, stream, job, placed.initial);
    }
  }
  host.wakeObjectWaiters(context);
  return Step.done;
}

function writeInitial(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  { pointer, bytes }: InitialBytes,
): void {
  const entry = context.memory.resolve(pointer.segment, pointer.offset, bytes.length);
  if (entry === null) throw new Error("the variables of a module have no memory");
  const record = host.open(context, stream, job);
  record.batch.write(entry.segment, pointer.offset, [bytes]);
  record.bytesToDevice += bytes.length;
}

function moduleUnload(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: ModuleUnloadCommand,
): Step | Failure {
  if (isComing(context, command.module, job)) return waitForObject(stream);
  const module = context.kernels.module(command.module);
  if (module !== undefined) host.readFaults(module);
  return context.kernels.unloadModule(command.module) ?? Step.done;
}

function functionCreate(
  host: ExecuteHost,
  context: Context,
  stream: Stream,
  job: Job,
  command: FunctionCreateCommand,
): Step | Failure {
  const { kernels } = context;
  const refused = kernels.checkNew("function", command.function);
  if (refused !== null) return refused;
  if (isComing(context, command.module, job)) return waitForObject(stream);
  const module = kernels.module(command.module);
  // VGPU-DEV-88: only names are looked up leniently, handles are not.
  if (module === undefined) return unknownHandle("module", command.module);
  const { code } = module;
  if (code instanceof PtxCode && code.isUndescribed(command.name)) {
    stream.blocked = "compile";
    context.compiling++;
    host.store.describe(code, command.name, () => {
      if (context.dead || stream.blocked !== "compile" || stream.jobs.peek() !== job) return;
      host.resume(context, stream, false);
      host.pump();
    });
    return Step.blocked;
  }
  kernels.addFunction(command.function, command.module, command.name);
  kernels.undeclare("function", command.function, job.admission);
  host.wakeObjectWaiters(context);
  return Step.done;
}

function functionDestroy(
  context: Context,
  stream: Stream,
  job: Job,
  command: FunctionDestroyCommand,
): Step | Failure {
  const { kernels } = context;
  const known = kernels.function(command.function) !== undefined;
  if (!known && kernels.isDeclared("function", command.function, job.admission))
    return waitForObject(stream);
  return kernels.destroyFunction(command.function) ?? Step.done;
}

/** Whether a module is being loaded, or will be by a command that was admitted before. */
function isComing(context: Context, handle: number, job: Job): boolean {
  const module = context.kernels.module(handle);
  if (module === undefined) return context.kernels.isDeclared("module", handle, job.admission);
  return module.state === ObjectState.PENDING;
}

export function waitForObject(stream: Stream): Step {
  stream.blocked = "object";
  return Step.blocked;
}
