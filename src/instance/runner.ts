// SPDX-License-Identifier: Apache-2.0
/**
 * The run loop: takes work from contexts in turn, makes batches of it, and publishes what has
 * completed. Nothing here blocks, and a launch of a compiled pipeline costs no promise.
 *
 *   admit → stream.jobs → (turns of contexts and streams) → batch → executor
 *                                                            ↓ done
 *           timeline page ← publish ← fences, events, errors ┘
 *
 * One batch belongs to one context and is bounded, so that the GPU can change hands between two.
 * A fence completes with the newest batch that holds work of its stream; work that needs no GPU
 * completes with what came before it.
 */
import type { DeviceCommand } from "../command/types.js";
import { type BatchOutcome, type Executor, ExecutorError } from "../gpu/executor.js";
import { Status } from "../protocol/generated/wire.js";
import { BatchRecord, type ReadGate, type ReadTarget } from "./batches.js";
import type { MemoryBudget } from "./budget.js";
import { type Context, type ContextError, Usage } from "./context.js";
import { type ExecuteHost, encodesAhead, executeCommand, Step } from "./execute.js";
import { type Failure, failure } from "./failure.js";
import { readFaults, readFaultsOf } from "./faults.js";
import type { OneShot } from "./host.js";
import type { GuestViews } from "./hostmem.js";
import { InFlight } from "./in-flight.js";
import type { KernelStore } from "./kernel-store.js";
import type { Module } from "./kernels.js";
import type { Lease } from "./lease.js";
import type { SchedulingControls, SchedulingLimits } from "./limits.js";
import { batchFailure, blamed, cutMessage, executorStatus, type FailedAt } from "./outcome.js";
import { Publisher, type PublisherOptions } from "./publisher.js";
import { ReadyContexts } from "./ready.js";
import { Job, type Stream } from "./streams.js";
import { type TurnCounts, type TurnHost, Turns } from "./turns.js";
import { Watchdog } from "./watchdog.js";

export interface RunnerOptions extends PublisherOptions {
  readonly nowNs: () => number;
  readonly lease: Lease;
  readonly scheduling: SchedulingLimits;
  readonly budget: MemoryBudget;
  readonly store: KernelStore;
  /** A timer of the runner's own, against hung GPUs. */
  readonly watchdog: OneShot;
  /** The GPU is gone, as a batch tells it. */
  readonly lost: (message: string) => void;
  /** A batch does not end: the GPU is of no use any more. */
  readonly hung: (message: string) => void;
  /** A kernel's launches can't be sliced. Called once for a kernel. */
  readonly unsliceable: (context: Context, kernel: string, reason: string) => void;
  /** A context has failed, for the log and the counters. */
  readonly failed: (context: Context, error: ContextError) => void;
  /** Queued work became less, or stopped making progress. */
  readonly drained: () => void;
}

const NO_COMMANDS: readonly DeviceCommand[] = [];

export class Runner implements ReadGate, ExecuteHost, TurnHost {
  readonly store: KernelStore;
  readonly publisher: Publisher;
  /** Of all contexts, those that exist no more included. */
  readonly usage = new Usage();
  queuedBytes = 0;
  queuedCommands = 0;
  batchesDone = 0;
  readonly #options: RunnerOptions;
  readonly #turns: Turns;
  readonly #watchdog: Watchdog;
  readonly #ready: ReadyContexts;
  readonly #inFlight = new InFlight(() => this.#turns.likelyAloneNs);
  #executor: Executor | null = null;
  #record: BatchRecord | null = null;
  #sequence = 0;
  /** Encoded while it was not our turn: submitted before all else when it is. */
  #prepared: BatchRecord | null = null;
  /** The batch being made is for a turn that has not come. */
  #ahead = false;
  #pumping = false;
  /** What is due next does not fit into the turn: it comes first in the next one. */
  #late = false;
  /** GPU time that the batch being made may take. */
  budgetNs: number;

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.budgetNs = options.scheduling.batchNsMax;
    this.store = options.store;
    this.publisher = new Publisher(options);
    this.#ready = new ReadyContexts(options.nowNs);
    this.#watchdog = new Watchdog({
      limitNs: () => this.scheduling.watchdogNs,
      nowNs: options.nowNs,
      timer: options.watchdog,
      flight: this.#inFlight,
      aloneNs: () => this.#turns.aloneNs,
      hung: (record, ageNs, text) => this.#hung(record, ageNs, text),
    });
    this.#turns = new Turns(options.lease, this, options.scheduling);
  }

  get executor(): Executor | null {
    return this.#executor;
  }
  get memory(): GuestViews | null {
    return this.publisher.memory;
  }
  get suspended(): boolean {
    return this.publisher.suspended;
  }

  hold(target: ReadTarget): void {
    this.publisher.hold(target);
  }

  get inFlight(): number {
    return this.#inFlight.length;
  }

  get busy(): boolean {
    return this.inFlight > 0 || this.waiting;
  }
  get busyLong(): boolean {
    return this.#inFlight.long(this.nowNs());
  }

  /** Whether it could use the GPU now: not while nothing may be shown, or there is no GPU. */
  get wantsGpu(): boolean {
    return this.#inFlight.length > 0 || this.wantsTurn;
  }

  /** The same, but for what is on the GPU already. */
  get wantsTurn(): boolean {
    return this.waiting && !this.publisher.suspended && this.#executor !== null;
  }

  left(): void {
    this.#inFlight.left(this.nowNs());
  }

  get expectedNs(): number {
    return this.#inFlight.expectedNs;
  }

  /** Until the GPU has done all that is in flight, ns; infinite if that can't be told. */
  get leftNs(): number {
    return this.#inFlight.foreseeable ? this.likelyLeftNs : Infinity;
  }
  get likelyLeftNs(): number {
    return this.#inFlight.leftNs(this.nowNs());
  }

  get waiting(): boolean {
    return this.#ready.length > 0 || this.#prepared !== null;
  }

  get preparedNs(): number {
    return this.#prepared?.cost.estimateNs ?? 0;
  }
  get making(): boolean {
    return this.#pumping;
  }
  /** Bytes of copies between host and device that are in flight. */
  get stagingBytes(): number {
    return this.#inFlight.stagingBytes;
  }

  /** Batches in flight, and the one that is encoded ahead. */
  records(): BatchRecord[] {
    const ahead = this.#prepared;
    return ahead === null ? this.#inFlight.all() : [...this.#inFlight.all(), ahead];
  }

  get turnCounts(): TurnCounts {
    return this.#turns.counts;
  }

  nowNs(): number {
    return this.#options.nowNs();
  }

  get scheduling(): SchedulingLimits {
    return this.#turns.limits;
  }

  /** What an operator may change live; it holds for what is encoded from now on. */
  setControls(controls: SchedulingControls): void {
    this.#turns.setControls(controls);
  }

  setExecutor(executor: Executor | null): void {
    this.#executor = executor;
    this.#turns.executorChanged();
    this.store.setExecutor(executor);
  }

  // ---- Admission ------------------------------------------------------------------------------

  /** Queues a submit. The stream exists, and the fence is above its last one. */
  admit(
    context: Context,
    stream: Stream,
    fence: number,
    bytes: number,
    commands: readonly DeviceCommand[],
  ): void {
    const job = new Job(stream, fence, bytes, context.admissions++, commands);
    stream.lastFence = fence;
    context.kernels.declareAll(commands, job.admission);
    context.queuedCommands += commands.length;
    context.queuedBytes += bytes;
    this.queuedBytes += bytes;
    this.queuedCommands += commands.length;
    stream.jobs.push(job);
    this.#ready.list(context, stream);
  }

  /** Completes a fence of a submit that is refused, after what is before it in its stream. */
  refuse(context: Context, stream: Stream, fence: number): void {
    if (context.error === null) throw new Error("a fence is refused in a context without error");
    stream.lastFence = fence;
    const job = new Job(stream, fence, 0, context.admissions++, NO_COMMANDS);
    job.status = context.error.status;
    this.#settle(context, stream, job);
  }

  // ---- The loop -------------------------------------------------------------------------------

  /** Submits what can be submitted, and publishes what has completed. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    this.#late = false;
    try {
      while (!this.#late && !this.publisher.suspended && this.#executor !== null) {
        if (!this.waiting || !this.#inFlight.hasRoom(this.scheduling, this.#executor)) break;
        if (!this.#turns.held()) break;
        this.budgetNs = this.#turns.batchNs;
        this.#late = this.budgetNs === 0;
        if (!this.#late) this.#turn(this.#executor);
      }
    } finally {
      this.#pumping = false;
    }
    this.#turns.submittedAll(this.#late);
    this.#turns.giveBack();
    this.#expect();
    this.publisher.publish();
    this.#options.drained();
  }

  /**
   * A turn is near: encodes its first batch, so that the GPU does not idle meanwhile. Nothing
   * reaches the GPU before the turn, hence only what is held back as a whole: see encodesAhead.
   */
  prepare(): void {
    if (!this.scheduling.encodeAhead || this.#pumping || this.#turns.holding) return;
    if (this.#prepared !== null || this.publisher.suspended || this.#executor === null) return;
    this.#pumping = true;
    this.#ahead = true;
    this.budgetNs = this.scheduling.batchNsMax;
    try {
      this.#prepared = this.#encodeNext();
      this.#prepared?.batch.seal?.();
    } finally {
      this.#ahead = false;
      this.#pumping = false;
    }
  }

  /** Lets a stream go on that was blocked; `advance` skips the command that blocked it. */
  resume(context: Context, stream: Stream, advance: boolean): void {
    if (stream.blocked === "compile") context.compiling--;
    stream.blocked = null;
    const job = stream.jobs.peek();
    if (advance && job !== undefined) {
      job.next++;
      job.progress = 0;
    }
    if (job !== undefined) this.#ready.list(context, stream);
  }

  /** Streams that wait for a module or function look again. */
  wakeObjectWaiters(context: Context): void {
    for (const stream of context.streams)
      if (stream.blocked === "object") this.resume(context, stream, false);
  }

  /** Near its end the oldest batch is looked at more often: the GPU may idle from then on. */
  #expect(): void {
    this.#inFlight.expect(this.#executor, this.#turns.deadlineNs !== null, this.scheduling);
  }

  /** Submits one batch, if there is work for one. */
  #turn(executor: Executor): void {
    const ahead = this.#prepared;
    this.#prepared = null;
    const record = ahead ?? this.#encodeNext();
    if (record === null) return;
    record.submittedNs = this.nowNs();
    this.#inFlight.add(record);
    this.#watchdog.started();
    this.publisher.expect(this.#inFlight, record.submittedNs);
    try {
      record.batch.submit((outcome) => this.#batchDone(record, outcome, executor));
    } catch (error) {
      if (!(error instanceof ExecutorError)) throw error;
      const reason = error.reason === "no-adapter" ? "lost" : error.reason;
      this.#batchDone(record, { ok: false, reason, message: error.message }, executor);
    }
    this.#turns.submitted(this.nowNs(), ahead !== null);
  }

  /** One turn of the next context: at most one batch, which counts as its own from now on. */
  #encodeNext(): BatchRecord | null {
    this.#late = false;
    const context = this.#ready.shift();
    if (context === undefined) return null;
    this.#encodeTurn(context);
    const record = this.#record;
    this.#record = null;
    if (context.waitingSinceNs >= 0 && !this.#ahead) {
      const waitedNs = Math.max(0, this.nowNs() - context.waitingSinceNs);
      context.usage.waitNs += waitedNs;
      this.usage.waitNs += waitedNs;
      context.waitingSinceNs = -1;
    }
    if (context.runnable.length > 0 && !context.dead)
      this.#ready.add(context, this.#late && record === null);
    if (record === null) return null;
    readFaults(record);
    context.batchesInFlight++;
    context.lastRecord = record;
    return record;
  }

  #encodeTurn(context: Context): void {
    if (context.runnable.length > 0) this.settleMemory(context);
    while (!this.#full()) {
      const stream = context.runnable.shift();
      if (stream === undefined) return;
      stream.listed = false;
      const more = this.#encodeStream(context, stream);
      if (stream.jobs.length > 0 && stream.blocked === null)
        this.#ready.enlist(context, stream, this.#late);
      if (!more) return;
    }
  }

  /** Executes commands of one stream for its turn. False when the batch is full. */
  #encodeStream(context: Context, stream: Stream): boolean {
    const turn = this.scheduling.streamTurnCommands;
    for (let executed = 0; executed < turn; ) {
      const job = stream.jobs.peek();
      if (job === undefined) return true;
      const command = job.commands[job.next];
      if (command === undefined) {
        this.#retire(context, stream, job);
        continue;
      }
      if (this.#full() || (this.#ahead && !encodesAhead(command))) return false;
      const step = this.#execute(context, stream, job, command);
      if (step === Step.blocked) return true;
      this.#late = step === Step.late;
      if (step === Step.part || step === Step.late) return false;
      if (step !== Step.done) {
        this.failContext(context, step, { stream: stream.index, fence: job.fence });
        return true;
      }
      job.next++;
      job.progress = 0;
      executed++;
    }
    const last = stream.jobs.peek();
    // The fence of a job whose last command was just executed need not wait for the next turn.
    if (last !== undefined && last.next === last.commands.length)
      this.#retire(context, stream, last);
    return true;
  }

  #execute(context: Context, stream: Stream, job: Job, command: DeviceCommand): Step | Failure {
    try {
      return executeCommand(this, context, stream, job, command);
    } catch (error) {
      if (!(error instanceof ExecutorError)) throw error;
      return failure(executorStatus(error.reason), `${command.kind}: ${error.message}`);
    }
  }

  get roomBytes(): number {
    const { batchBytesMax, stagingBytesMax } = this.scheduling;
    const roomBytes = Math.min(batchBytesMax, stagingBytesMax - this.stagingBytes);
    return roomBytes - (this.#record?.bytes ?? 0);
  }

  #full(): boolean {
    const record = this.#record;
    if (record === null) return false;
    if (this.#ahead && record.batch.full === true) return true;
    const first = this.inFlight === 0 && !this.#ahead;
    return record.full(this.scheduling, this.budgetNs, first);
  }

  get fresh(): boolean {
    return this.#turns.fresh || this.#ahead;
  }
  get estimateNs(): number {
    return this.#record?.cost.estimateNs ?? 0;
  }

  unsliceable(context: Context, kernel: string, reason: string): void {
    this.#options.unsliceable(context, kernel, reason);
  }

  /** The batch that is being made, for an operation of this stream. */
  open(context: Context, stream: Stream, job: Job): BatchRecord {
    const record = this.#openRecord(context);
    record.blame ??= job;
    stream.lastBatch = record;
    return record;
  }

  #openRecord(context: Context): BatchRecord {
    let record = this.#record;
    if (record === null) {
      const executor = this.#executor;
      if (executor === null) throw new ExecutorError("lost", "the GPU is lost");
      const batch = executor.begin(context.name, this.scheduling.timestamps);
      record = new BatchRecord(++this.#sequence, context, batch);
      this.#record = record;
    }
    return record;
  }

  readFaults(module: Module): void {
    if (this.#record !== null) readFaultsOf(this.#record, module);
  }

  /**
   * Moves segments that have grown, and zeroes reused memory, ahead of the context's next commands;
   * many fills take several batches.
   */
  settleMemory(context: Context): void {
    if (!context.memory.unsettled) return;
    this.#openRecord(context).settleMemory(this.scheduling.batchOperationsMax);
  }

  // ---- Completion -----------------------------------------------------------------------------

  #batchDone(record: BatchRecord, outcome: BatchOutcome, executor: Executor): void {
    if (record.done) return;
    if (!outcome.ok && outcome.reason === "lost" && executor === this.#executor) {
      this.#options.lost(outcome.message);
      return;
    }
    const context = record.context;
    this.#finish(record, outcome.ok && outcome.timed ? outcome.gpuTimeNs : null);
    if (outcome.ok) {
      for (const usage of [context.usage, this.usage]) record.charge(usage, outcome.gpuTimeNs);
      const { gpuTimeNs, timed } = outcome;
      const sharedNs = record.sharedNs(gpuTimeNs, this.nowNs(), this.#turns.aloneNs);
      record.cost.learn(gpuTimeNs, record.copiedBytes, timed, sharedNs);
    }
    if (!context.dead) {
      const now = this.nowNs();
      const failed = batchFailure(record, outcome);
      const status = failed === null ? Status.OK : (context.error?.status ?? failed.status);
      if (failed === null) record.completeEvents(outcome, now);
      for (const job of record.jobs) {
        if (status !== Status.OK) job.status = status;
        this.#complete(context, job, now);
      }
      // Fences of what is still queued come after those of the batch.
      if (failed !== null) this.failContext(context, failed, blamed(record));
    }
    for (const wake of record.waiters) wake();
    // The GPU idles until the next instance has it: who has nothing left exits before all else.
    if (!this.busy) this.#turns.idle();
    this.publisher.publish();
    this.pump();
    if (!this.busy) this.#turns.idle();
  }

  /** Takes the record off all lists. */
  #finish(record: BatchRecord, tookNs: number | null = null): void {
    record.done = true;
    this.#inFlight.remove(record, this.nowNs(), tookNs);
    record.context.batchesInFlight--;
    if (record.context.lastRecord === record) record.context.lastRecord = null;
    this.#options.budget.release(record.retiredBytes);
    record.retiredBytes = 0;
    record.dropRetired();
    this.batchesDone++;
  }

  /** A job was executed or dropped: its fence completes with its stream's newest batch. */
  #retire(context: Context, stream: Stream, job: Job): void {
    stream.jobs.shift();
    context.queuedCommands -= job.commands.length;
    context.queuedBytes -= job.bytes;
    this.queuedBytes -= job.bytes;
    this.queuedCommands -= job.commands.length;
    job.commands = NO_COMMANDS;
    this.#settle(context, stream, job);
  }

  #settle(context: Context, stream: Stream, job: Job): void {
    const last = stream.lastBatch;
    if (last !== null && !last.done) last.jobs.push(job);
    else this.#complete(context, job, this.nowNs());
  }

  #complete(context: Context, job: Job, nowNs: number): void {
    const { stream } = job;
    stream.doneFence = job.fence;
    stream.doneNs = nowNs;
    if (stream.doneStatus === Status.OK) stream.doneStatus = job.status;
    stream.dirty = true;
    this.publisher.mark(context);
  }

  // ---- Failure --------------------------------------------------------------------------------

  /** Makes a context fail for good: what is queued is skipped, its fences complete. */
  failContext(context: Context, why: Failure, where: FailedAt | null): void {
    if (context.error !== null || context.dead) return;
    context.error = { ...why, stream: where?.stream ?? 0, fence: where?.fence ?? 0 };
    const outOfMemory = why.status === Status.OUT_OF_MEMORY;
    // A lost device ends the turn when all its contexts have failed.
    if (why.status !== Status.DEVICE_LOST)
      this.#turns.end({ kind: outOfMemory ? "out-of-memory" : "context-failed" });
    this.#options.failed(context, context.error);
    context.headerDirty = true;
    this.publisher.mark(context);
    for (const stream of context.streams) {
      for (let next = stream.jobs.peek(); next !== undefined; next = stream.jobs.peek()) {
        next.status = why.status;
        this.#retire(context, stream, next);
      }
    }
    this.#ready.drop(context);
  }

  /** Drops all that is queued; what is in flight finishes into nothing. */
  dropContext(context: Context): void {
    context.dead = true;
    for (const stream of context.streams) stream.jobs.clear();
    this.queuedBytes -= context.queuedBytes;
    this.queuedCommands -= context.queuedCommands;
    context.queuedBytes = 0;
    context.queuedCommands = 0;
    this.#ready.drop(context);
    context.memory.clear(false);
    context.kernels.clear();
    context.events.clear();
    context.hostmems.clear();
    context.timeline.unmap();
    if (this.#prepared?.context === context) this.#discard(this.#prepared);
    this.publisher.forget(context);
  }

  /** What was encoded ahead is of no use any more. */
  #discard(record: BatchRecord): void {
    this.#prepared = null;
    record.batch.discard();
    this.#finish(record);
  }

  /** The GPU lost its state: everything in flight ends, and every context fails. */
  deviceLost(contexts: Iterable<Context>, message: string): void {
    const flight = this.records();
    this.#prepared = null;
    for (const record of flight) this.#finish(record);
    const now = this.nowNs();
    for (const record of flight) {
      if (record.context.dead) continue;
      for (const job of record.jobs) {
        job.status = record.context.error?.status ?? Status.DEVICE_LOST;
        this.#complete(record.context, job, now);
      }
    }
    for (const context of contexts) {
      const text = cutMessage(`the device lost its state: ${message}`);
      this.failContext(context, failure(Status.DEVICE_LOST, text), null);
      context.memory.clear(true);
      context.headerDirty = true;
      this.publisher.mark(context);
    }
    this.#turns.end({ kind: "device-lost" });
  }

  #hung(record: BatchRecord, ageNs: number, text: string): void {
    this.#turns.end({ kind: "watchdog", context: record.context.id });
    const why = failure(Status.TIMEOUT, text, ageNs, this.scheduling.watchdogNs);
    if (!record.context.dead) this.failContext(record.context, why, blamed(record));
    this.#options.hung(text);
  }
}
