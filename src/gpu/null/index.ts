// SPDX-License-Identifier: Apache-2.0
/**
 * The `null` executor: everything succeeds, nothing is computed. What a run costs with it is our
 * own overhead. Batches are done in the next turn of the event loop, in order; reads deliver zeros;
 * segments take no memory; every module is valid.
 */
import { setImmediate as nextTurn } from "node:timers";
import type {
  Batch,
  BatchOutcome,
  Executor,
  ExecutorInfo,
  ModuleCheck,
  Pipeline,
  PipelineDescriptor,
  Segment,
} from "../executor.js";

export interface NullOptions {
  readonly nowNs: () => number;
  /** Properties that differ from the usual ones. */
  readonly info?: Partial<ExecutorInfo>;
}

const NULL_INFO: ExecutorInfo = {
  adapter: "null (computes nothing)",
  vendorId: 0,
  backend: "null",
  segmentBytesMax: 1024 * 1024 * 1024,
  gridMax: 65535,
  blockMax: [1024, 1024, 64],
  blockThreadsMax: 1024,
  sharedBytesMax: 32768,
  storageBindingsMax: 16,
  uniformBindingsMax: 12,
  storageOffsetAlign: 256,
  uniformOffsetAlign: 256,
  uniformBytesMax: 65536,
  subgroupSize: 32,
  f16: false,
  subgroups: false,
  timestamps: false,
};

interface Read {
  readonly targets: () => readonly Uint8Array[] | null;
}

class NullBatch implements Batch {
  operations = 0;
  readonly #executor: NullExecutor;
  readonly #reads: Read[] = [];
  #submitted = false;

  constructor(executor: NullExecutor) {
    this.#executor = executor;
  }

  write(): void {
    this.operations++;
  }

  read(
    _source: Segment,
    _offset: number,
    _bytes: number,
    targets: () => readonly Uint8Array[] | null,
  ): void {
    this.operations++;
    this.#reads.push({ targets });
  }

  copy(): void {
    this.operations++;
  }

  fill(): void {
    this.operations++;
  }

  launch(): void {
    this.operations++;
  }

  discard(): void {
    this.#submitted = true;
  }

  submit(done: (outcome: BatchOutcome) => void): void {
    if (this.#submitted) throw new Error("a batch is submitted twice");
    this.#submitted = true;
    this.#executor.finishLater(() => {
      for (const read of this.#reads) for (const view of read.targets() ?? []) view.fill(0);
      done({ ok: true, gpuTimeNs: 0, doneNs: this.#executor.nowNs() });
    });
  }
}

export class NullExecutor implements Executor {
  readonly kind = "null";
  readonly info: ExecutorInfo;
  readonly nowNs: () => number;
  onLost: ((message: string) => void) | null = null;
  #finishing: (() => void)[] = [];
  #inFlight = 0;
  #scheduled = false;

  constructor(options: NullOptions) {
    this.nowNs = options.nowNs;
    this.info = { ...NULL_INFO, ...options.info };
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  createSegment(bytes: number): Segment {
    return { bytes, destroy: () => {} };
  }

  async checkModule(): Promise<ModuleCheck> {
    return { ok: true, log: "" };
  }

  async createPipeline(descriptor: PipelineDescriptor): Promise<Pipeline> {
    return { label: descriptor.label };
  }

  begin(): Batch {
    return new NullBatch(this);
  }

  async close(): Promise<void> {}

  /** Runs `finish` in the next turn, after those that were given before. */
  finishLater(finish: () => void): void {
    this.#finishing.push(finish);
    this.#inFlight++;
    if (this.#scheduled) return;
    this.#scheduled = true;
    nextTurn(() => this.#turn());
  }

  #turn(): void {
    this.#scheduled = false;
    const finishing = this.#finishing;
    this.#finishing = [];
    for (const finish of finishing) {
      this.#inFlight--;
      finish();
    }
  }
}

export async function createNullExecutor(options: NullOptions): Promise<NullExecutor> {
  return new NullExecutor(options);
}
