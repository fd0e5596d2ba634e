// SPDX-License-Identifier: Apache-2.0
/**
 * The executor: what the device needs from a GPU, and no more. The instance has validated every
 * handle, range and size before it calls; an executor still never trusts a byte count to be
 * aligned: copies and fills take any size and alignment, and neighbouring bytes survive.
 *
 * Work is handed over in batches. A batch belongs to one context; its operations take effect in
 * order, and batches execute in the order of their submission. Nothing here blocks.
 *
 * Implementations: `dawn` (WebGPU), `null` (does nothing: measures our own overhead), `faulty`
 * (wraps another and injects lost devices, out-of-memory, hangs and crashes).
 */

/** What the GPU is and can do. Sizes in bytes. */
export interface ExecutorInfo {
  /** Adapter name for people, for example "llvmpipe (LLVM 15.0.6, 256 bits)". */
  readonly adapter: string;
  readonly vendorId: number;
  readonly backend: string;
  /** Largest segment: what one storage binding may cover, a multiple of 256. */
  readonly segmentBytesMax: number;
  readonly gridMax: number;
  readonly blockMax: readonly [number, number, number];
  readonly blockThreadsMax: number;
  readonly sharedBytesMax: number;
  readonly storageBindingsMax: number;
  readonly uniformBindingsMax: number;
  readonly storageOffsetAlign: number;
  readonly uniformOffsetAlign: number;
  readonly uniformBytesMax: number;
  readonly subgroupSize: number;
  /** Workgroups that run at the same time, where that is known: a slice of fewer leaves it idle. */
  readonly groupsAtOnce?: number;
  readonly f16: boolean;
  readonly subgroups: boolean;
  readonly timestamps: boolean;
}

/** One GPU buffer from which a context's memory is carved. Reads as zero when new. */
export interface Segment {
  readonly bytes: number;
  /** Frees it after the work submitted so far. */
  destroy(): void;
}

export interface PipelineBinding {
  /** @binding number in group 0. */
  readonly binding: number;
  readonly kind: "storage" | "uniform";
  /** Size of a uniform's data; 0 for storage. */
  readonly bytes: number;
}

export interface PipelineDescriptor {
  readonly label: string;
  readonly wgsl: string;
  readonly entryPoint: string;
  /** All in group 0; storage is read_write, uniforms have dynamic offsets. */
  readonly bindings: readonly PipelineBinding[];
  readonly constants: Readonly<Record<string, number>>;
  /** Bytes of immediates, a multiple of 4; absent or 0 for none. */
  readonly immediateBytes?: number;
}

/** A compiled compute pipeline. */
export interface Pipeline {
  readonly label: string;
}

export interface ModuleCheck {
  readonly ok: boolean;
  /** The compiler's messages, one a line: `line:column: severity: text`. */
  readonly log: string;
}

export interface StorageRange {
  readonly segment: Segment;
  /** Aligned to storageOffsetAlign; bytes is a multiple of 4. */
  readonly offset: number;
  readonly bytes: number;
}

/** Data of a uniform binding: bytes by value, or 4-byte aligned device memory to copy from. */
export type UniformSource = Uint8Array | StorageRange;

/** One of the dispatches that a launch is made of. */
export interface Dispatch {
  /** Workgroups, each at most gridMax. */
  readonly grid: readonly [number, number, number];
  /** As many bytes as the pipeline has immediates; copied before launch() returns. */
  readonly immediates: Uint32Array;
}

export interface LaunchOperation {
  readonly pipeline: Pipeline;
  /** In the order of the descriptor's storage bindings. */
  readonly storage: readonly StorageRange[];
  /** In the order of the descriptor's uniform bindings; copied before launch() returns. */
  readonly uniforms: readonly UniformSource[];
  readonly grid: readonly [number, number, number];
  /**
   * In place of one dispatch of `grid`: several, in order. They all see the same uniforms, those
   * that are copied from device memory included.
   */
  readonly dispatches?: readonly Dispatch[];
}

export type BatchOutcome =
  | {
      readonly ok: true;
      readonly gpuTimeNs: number;
      /** Whether that is by the GPU's own clock; else it is from submission to completion. */
      readonly timed?: boolean;
      readonly doneNs: number;
      /** The times of {@link Batch.mark}, on the device's clock; absent or shorter: as `doneNs`. */
      readonly marksNs?: readonly number[];
    }
  | {
      readonly ok: false;
      readonly reason: "lost" | "out-of-memory" | "failed" | "timeout";
      readonly message: string;
    };

export interface Batch {
  /** Host to device. The sources are read before submit() returns. */
  write(target: Segment, offset: number, sources: readonly Uint8Array[]): void;
  /**
   * Device to host, in one part or several. `targets` is called right before each part is copied,
   * before the batch is done, and gives the views of the whole read to fill, or null to drop the
   * data (the guest memory went away).
   */
  read(
    source: Segment,
    offset: number,
    bytes: number,
    targets: () => readonly Uint8Array[] | null,
  ): void;
  /** As memmove, within one segment too. */
  copy(
    target: Segment,
    targetOffset: number,
    source: Segment,
    sourceOffset: number,
    bytes: number,
  ): void;
  /** Repeats the low `width` (1, 2, 4) bytes of `pattern`; offset and bytes are multiples of width. */
  fill(target: Segment, offset: number, bytes: number, pattern: number, width: 1 | 2 | 4): void;
  launch(operation: LaunchOperation): void;
  /**
   * Notes when the GPU has done what came so far: the index of that time in the outcome. Null where
   * only the end of the whole batch can tell: the GPU has no timestamps, or data is on its way to
   * the host. Refused (null, too) once {@link marksFull}.
   */
  mark?(): number | null;
  /** Marks that are asked for now need another batch. */
  readonly marksFull?: boolean;
  /** Count of operations so far, for the caller's batch limit. */
  readonly operations: number;
  /** Bytes of writes that were in place when write() returned: no part of the batch's time. */
  readonly writtenBytes?: number;
  /**
   * Whether another operation might not be held back until {@link submit}: what is encoded has
   * filled the executor's buffers. Launches, fills and copies on the GPU are, up to here.
   */
  readonly full?: boolean;
  /** Nothing more comes: does what can be done before {@link submit}. */
  seal?(): void;
  /** In place of submit: nothing that was held back happens. */
  discard(): void;
  /** Hands the batch to the GPU. `done` is called exactly once, later, never from within. */
  submit(done: (outcome: BatchOutcome) => void): void;
}

export interface Executor {
  readonly kind: "dawn" | "null" | "faulty";
  readonly info: ExecutorInfo;
  /** Throws ExecutorError (out-of-memory, lost). */
  createSegment(bytes: number, label: string): Segment;
  /** Compiles guest source only for its messages. */
  checkModule(source: string, label: string): Promise<ModuleCheck>;
  /** Rejects with ExecutorError; never blocks other work longer than the compiler does. */
  createPipeline(descriptor: PipelineDescriptor): Promise<Pipeline>;
  /** `timed`: the GPU's own clock may be used to time it; default: yes. */
  begin(label: string, timed?: boolean): Batch;
  /** Batches submitted and not done. */
  readonly inFlight: number;
  /** Bytes copied so far for writes and reads, each as often as it was copied. */
  readonly copiedBytes?: number;
  /** A batch in flight has parts that are submitted later: none may be begun until it is done. */
  readonly exclusive?: boolean;
  /** A hint: when to look for the end of the oldest batch in flight, on the device's clock. */
  expectDone?(timeNs: number, interest: Interest): void;
  /** Whether other processes may want the GPU; not until it is said. */
  share?(shared: boolean): void;
  /** Called once when the device is lost; every batch in flight is then done with reason "lost". */
  onLost: ((message: string) => void) | null;
  close(): Promise<void>;
}

/**
 * Who waits for the end of a batch: nobody, since the GPU has enough to do behind it; its guest, and
 * that is all since it is a tail, with another process's work behind it already; its guest; or
 * another process, for the GPU.
 */
export type Interest = "none" | "tail" | "guest" | "process";

export class ExecutorError extends Error {
  constructor(
    readonly reason: "lost" | "out-of-memory" | "failed" | "no-adapter",
    message: string,
  ) {
    super(message);
    this.name = "ExecutorError";
  }
}
