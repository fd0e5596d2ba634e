// SPDX-License-Identifier: Apache-2.0
/**
 * The `faulty` executor: wraps another one and makes happen what real GPUs do on bad days, at a
 * chosen moment: lost devices, out-of-memory, hangs, failing compilers, crashes. For tests, and for
 * trying out a set-up by hand.
 */
import type {
  Batch,
  BatchOutcome,
  Executor,
  ExecutorInfo,
  LaunchOperation,
  ModuleCheck,
  Pipeline,
  PipelineDescriptor,
  Segment,
} from "../executor.js";
import { ExecutorError } from "../executor.js";
import { FaultPlan, type Faults } from "./plan.js";

export { FaultPlan, type Faults, parseFaults } from "./plan.js";

type Done = (outcome: BatchOutcome) => void;

export class FaultyExecutor implements Executor {
  readonly kind = "faulty";
  onLost: ((message: string) => void) | null = null;
  readonly #inner: Executor;
  readonly #plan: FaultPlan;
  readonly #crash: () => void;
  /** Batches that were submitted and not reported, in order. */
  readonly #pending: Done[] = [];
  #lost: string | null = null;
  #hung = false;

  /** `crash` ends the process; tests pass their own. */
  constructor(inner: Executor, plan: FaultPlan, crash: () => void = () => process.abort()) {
    this.#inner = inner;
    this.#plan = plan;
    this.#crash = crash;
    inner.onLost = (message) => this.#lose(message);
  }

  get info(): ExecutorInfo {
    return this.#inner.info;
  }

  get exclusive(): boolean {
    return this.#inner.exclusive === true;
  }

  get copiedBytes(): number {
    return this.#inner.copiedBytes ?? 0;
  }

  get inFlight(): number {
    return this.#pending.length;
  }

  share(shared: boolean): void {
    this.#inner.share?.(shared);
  }

  createSegment(bytes: number, label: string): Segment {
    this.#checkLost();
    const number = this.#plan.count("segment");
    if (number === this.#plan.faults.outOfMemoryAtSegment)
      throw new ExecutorError(
        "out-of-memory",
        `segment ${number} (${label}) is refused on purpose`,
      );
    return this.#inner.createSegment(bytes, label);
  }

  async checkModule(source: string, label: string): Promise<ModuleCheck> {
    this.#checkLost();
    if (this.#plan.count("module") === this.#plan.faults.failAtModule)
      return { ok: false, log: `1:1: error: ${label} is refused on purpose` };
    return this.#inner.checkModule(source, label);
  }

  async createPipeline(descriptor: PipelineDescriptor): Promise<Pipeline> {
    this.#checkLost();
    const number = this.#plan.count("pipeline");
    if (number === this.#plan.faults.crashAtPipeline) this.#crash();
    if (number === this.#plan.faults.failAtPipeline)
      throw new ExecutorError("failed", `pipeline ${descriptor.label} is refused on purpose`);
    return this.#inner.createPipeline(descriptor);
  }

  begin(label: string, timed?: boolean): Batch {
    this.#checkLost();
    const inner = this.#inner.begin(label, timed);
    return new FaultyBatch(inner, (batch, done) => this.#submit(batch, done));
  }

  async close(): Promise<void> {
    this.onLost = null;
    this.#lost ??= "the device is closed";
    this.#pending.length = 0;
    await this.#inner.close();
  }

  #submit(batch: Batch, done: Done): void {
    const number = this.#plan.count("batch");
    const { lostAtBatch, hangAtBatch, failAtBatch } = this.#plan.faults;
    this.#pending.push(done);
    if (number === hangAtBatch) this.#hung = true;
    batch.submit((outcome) => {
      if (this.#lost !== null || this.#hung) return;
      this.#take(done);
      if (number !== failAtBatch) return done(outcome);
      done({ ok: false, reason: "failed", message: `batch ${number} fails on purpose` });
    });
    if (number === lostAtBatch)
      queueMicrotask(() => this.#lose(`batch ${number} loses the device on purpose`));
  }

  #take(done: Done): void {
    const index = this.#pending.indexOf(done);
    if (index >= 0) this.#pending.splice(index, 1);
  }

  #lose(message: string): void {
    if (this.#lost !== null) return;
    this.#lost = message;
    for (const done of this.#pending.splice(0)) done({ ok: false, reason: "lost", message });
    this.onLost?.(message);
  }

  #checkLost(): void {
    if (this.#lost !== null) throw new ExecutorError("lost", this.#lost);
  }
}

/** Passes operations on; only the submission is someone else's. */
class FaultyBatch implements Batch {
  readonly #inner: Batch;
  readonly #submit: (inner: Batch, done: Done) => void;

  constructor(inner: Batch, submit: (inner: Batch, done: Done) => void) {
    this.#inner = inner;
    this.#submit = submit;
  }

  get operations(): number {
    return this.#inner.operations;
  }

  get marksFull(): boolean {
    return this.#inner.marksFull === true;
  }

  mark(): number | null {
    return this.#inner.mark?.() ?? null;
  }

  seal(): void {
    this.#inner.seal?.();
  }

  write(target: Segment, offset: number, sources: readonly Uint8Array[]): void {
    this.#inner.write(target, offset, sources);
  }

  read(
    source: Segment,
    offset: number,
    bytes: number,
    targets: () => readonly Uint8Array[] | null,
  ): void {
    this.#inner.read(source, offset, bytes, targets);
  }

  copy(target: Segment, to: number, source: Segment, from: number, bytes: number): void {
    this.#inner.copy(target, to, source, from, bytes);
  }

  fill(target: Segment, offset: number, bytes: number, pattern: number, width: 1 | 2 | 4): void {
    this.#inner.fill(target, offset, bytes, pattern, width);
  }

  launch(operation: LaunchOperation): void {
    this.#inner.launch(operation);
  }

  get full(): boolean {
    return this.#inner.full === true;
  }

  get writtenBytes(): number {
    return this.#inner.writtenBytes ?? 0;
  }

  discard(): void {
    this.#inner.discard();
  }

  submit(done: Done): void {
    this.#submit(this.#inner, done);
  }
}

/**
 * A function that opens faulty executors, for `createDevice`: the first call opens the GPU, later
 * ones open it again after a loss.
 */
export function faultyOpener(
  open: () => Promise<Executor>,
  faults: Faults,
): () => Promise<FaultyExecutor> {
  const plan = new FaultPlan(faults);
  let opened = 0;
  return async () => {
    opened++;
    if (opened > 1 && plan.count("reopen") <= (faults.failReopens ?? 0))
      throw new ExecutorError("no-adapter", "the GPU is refused on purpose");
    return new FaultyExecutor(await open(), plan);
  };
}
