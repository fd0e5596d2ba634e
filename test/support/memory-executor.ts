// SPDX-License-Identifier: Apache-2.0
/**
 * A GPU for tests: bytes in memory, a few kernels known by name, and batches that are done when the
 * test says so. Operations take effect when their batch is finished, in order; what a batch writes
 * is copied when it is encoded, as the interface demands.
 *
 * Kernels by entry point; storage in the order of the bindings, u32 elements:
 *   increment   storage[0][i] += 1
 *   addTo       storage[1][i] += storage[0][i]
 *   setValue    storage[0][i] = uniform[0] as u32; square is the same
 *   setParams   storage[0][i] = uniform[0][i], as many as there are
 *   visit       storage[0][g] += 1 for each workgroup g of the dispatch, in x, y, z order
 *   explode     the batch fails
 *   ptxStore    PTX, parameters (pointer, value, count): count words from the pointer = value
 *   ptxVisit    PTX, parameters (pointer): word g += 1 for each workgroup g
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
  UniformSource,
} from "../../src/gpu/executor.js";
import { ExecutorError } from "../../src/gpu/executor.js";
import { SLICE_LAYOUT } from "../../src/kernel/wgsl/index.js";
import { CHECKED_RANGES_BYTES } from "./stub-translator.js";

export class MemorySegment implements Segment {
  readonly data: Uint8Array;
  destroyed = false;

  constructor(
    readonly bytes: number,
    readonly label: string,
  ) {
    this.data = new Uint8Array(bytes);
  }

  destroy(): void {
    if (this.destroyed) throw new Error(`${this.label} is destroyed twice`);
    this.destroyed = true;
  }
}

class MemoryPipeline implements Pipeline {
  readonly label: string;
  constructor(readonly descriptor: PipelineDescriptor) {
    this.label = descriptor.label;
  }
}

const MEMORY_INFO: ExecutorInfo = {
  adapter: "memory",
  vendorId: 0x1234,
  backend: "memory",
  segmentBytesMax: 64 * 1024 * 1024,
  gridMax: 65535,
  blockMax: [256, 256, 64],
  blockThreadsMax: 256,
  sharedBytesMax: 16384,
  storageBindingsMax: 8,
  uniformBindingsMax: 12,
  storageOffsetAlign: 256,
  uniformOffsetAlign: 256,
  uniformBytesMax: 65536,
  subgroupSize: 4,
  f16: true,
  subgroups: false,
  timestamps: false,
};

export interface MemoryExecutorOptions {
  readonly info?: Partial<ExecutorInfo>;
  /** Bytes that all segments together may have. */
  readonly memoryBytes?: number;
  /** GPU time that each batch reports, ns. */
  readonly gpuTimeNs?: number;
  /** Marks that a batch can have. */
  readonly marksMax?: number;
  /** GPU time of a workgroup, by its number in the grid; added to that. */
  readonly groupNs?: (group: number) => number;
}

type Operation = () => BatchOutcome | null;

class MemoryBatch implements Batch {
  operations = 0;
  readonly log: string[] = [];
  readonly steps: Operation[] = [];
  /** GPU time of its launches. */
  launchNs = 0;
  marks = 0;
  done: ((outcome: BatchOutcome) => void) | null = null;
  readonly #executor: MemoryExecutor;

  constructor(
    executor: MemoryExecutor,
    readonly label: string,
  ) {
    this.#executor = executor;
  }

  write(target: Segment, offset: number, sources: readonly Uint8Array[]): void {
    const bytes = sources.reduce((sum, source) => sum + source.length, 0);
    const copy = new Uint8Array(bytes);
    let at = 0;
    for (const source of sources) {
      copy.set(source, at);
      at += source.length;
    }
    this.#step(`write ${offset} ${bytes}`, () => {
      part(target, offset, bytes).set(copy);
      return null;
    });
  }

  read(
    source: Segment,
    offset: number,
    bytes: number,
    targets: () => readonly Uint8Array[] | null,
  ): void {
    this.#step(`read ${offset} ${bytes}`, () => {
      const data = part(source, offset, bytes);
      const views = targets();
      if (views === null) return null;
      const total = views.reduce((sum, view) => sum + view.length, 0);
      if (total !== bytes) throw new Error(`a read of ${bytes} bytes has ${total} bytes to fill`);
      let at = 0;
      for (const view of views) {
        view.set(data.subarray(at, at + view.length));
        at += view.length;
      }
      return null;
    });
  }

  copy(target: Segment, to: number, source: Segment, from: number, bytes: number): void {
    this.#step(`copy ${from} ${to} ${bytes}`, () => {
      part(target, to, bytes).set(part(source, from, bytes).slice());
      return null;
    });
  }

  fill(target: Segment, offset: number, bytes: number, pattern: number, width: 1 | 2 | 4): void {
    if (offset % width !== 0 || bytes % width !== 0)
      throw new Error(`a fill of width ${width} at ${offset}, ${bytes} bytes`);
    this.#step(`fill ${offset} ${bytes} ${pattern}`, () => {
      const data = part(target, offset, bytes);
      for (let at = 0; at < bytes; at++) data[at] = (pattern >>> (8 * (at % width))) & 0xff;
      return null;
    });
  }

  launch(operation: LaunchOperation): void {
    const { pipeline, grid } = operation;
    if (!(pipeline instanceof MemoryPipeline)) throw new Error("a pipeline of another executor");
    const uniforms = operation.uniforms.map(snapshot);
    const boxes = boxesOf(operation, pipeline.descriptor.immediateBytes ?? 0);
    const text = `launch ${pipeline.descriptor.entryPoint} ${grid.join("x")}`;
    const parts = boxes.map(({ offset, size }) => ` [${offset}+${size}]`).join("");
    this.#step(operation.dispatches === undefined ? text : text + parts, () => {
      const { groupNs } = this.#executor.options;
      if (groupNs !== undefined)
        for (const box of boxes) for (const g of groupsOf(box, grid)) this.launchNs += groupNs(g);
      return runKernel(pipeline.descriptor.entryPoint, operation, uniforms, boxes);
    });
  }

  /** As many as {@link MemoryExecutorOptions.marksMax}. */
  mark(): number | null {
    if (!this.#executor.info.timestamps || this.marksFull) return null;
    this.#step("mark", () => null);
    return this.marks++;
  }

  get marksFull(): boolean {
    return this.marks === (this.#executor.options.marksMax ?? 4);
  }

  discard(): void {
    if (this.done !== null) throw new Error("a batch is discarded after its submission");
    this.#executor.discarded++;
  }

  submit(done: (outcome: BatchOutcome) => void): void {
    if (this.done !== null) throw new Error("a batch is submitted twice");
    this.done = done;
    this.#executor.take(this);
  }

  #step(text: string, run: Operation): void {
    this.operations++;
    this.log.push(text);
    this.steps.push(run);
  }
}

export class MemoryExecutor implements Executor {
  readonly kind = "null";
  readonly info: ExecutorInfo;
  onLost: ((message: string) => void) | null = null;
  readonly segments: MemorySegment[] = [];
  /** Submitted and not done, in order. */
  readonly pending: MemoryBatch[] = [];
  /** Operations of all submitted batches, a list for each. */
  readonly history: string[][] = [];
  readonly pipelines: PipelineDescriptor[] = [];
  readonly modules: string[] = [];
  /** While set, modules and pipelines wait for {@link releaseCompilers}. */
  holdCompilers = false;
  /** Which pipelines can't be made, besides those of the kernel `refused`. */
  refuse: (descriptor: PipelineDescriptor) => boolean = () => false;
  closed = false;
  /** Batches that were encoded and not submitted. */
  discarded = 0;
  lostMessage: string | null = null;
  /** Times of marks to come, in order; those that are missing have none. */
  markTimesNs: number[] = [];
  readonly options: MemoryExecutorOptions;
  #waiting: (() => void)[] = [];

  constructor(options: MemoryExecutorOptions = {}) {
    this.options = options;
    this.info = { ...MEMORY_INFO, ...options.info };
  }

  /** Set by tests: see Executor. */
  exclusive = false;

  get inFlight(): number {
    return this.pending.length;
  }

  /** Bytes of segments that exist. */
  get liveBytes(): number {
    return this.segments.reduce((sum, each) => sum + (each.destroyed ? 0 : each.bytes), 0);
  }

  createSegment(bytes: number, label: string): Segment {
    this.#checkLost();
    if (bytes > this.info.segmentBytesMax) throw new Error(`a segment of ${bytes} bytes`);
    if (this.liveBytes + bytes > (this.options.memoryBytes ?? Number.POSITIVE_INFINITY))
      throw new ExecutorError("out-of-memory", `no ${bytes} bytes are left`);
    const segment = new MemorySegment(bytes, label);
    this.segments.push(segment);
    return segment;
  }

  async checkModule(source: string): Promise<ModuleCheck> {
    this.modules.push(source);
    await this.#compilerTurn();
    this.#checkLost();
    const bad = source.split("\n").findIndex((line) => line.includes("!syntax"));
    if (bad < 0) return { ok: true, log: "" };
    return { ok: false, log: `${bad + 1}:1: error: bad syntax` };
  }

  async createPipeline(descriptor: PipelineDescriptor): Promise<Pipeline> {
    this.pipelines.push(descriptor);
    await this.#compilerTurn();
    this.#checkLost();
    if (descriptor.entryPoint === "refused" || this.refuse(descriptor))
      throw new ExecutorError("failed", "the driver refuses this kernel");
    return new MemoryPipeline(descriptor);
  }

  begin(label: string): Batch {
    this.#checkLost();
    return new MemoryBatch(this, label);
  }

  take(batch: MemoryBatch): void {
    this.pending.push(batch);
    this.history.push(batch.log);
  }

  /** Executes and reports the oldest batches; returns how many there were. */
  finish(count = 1): number {
    let finished = 0;
    for (; finished < count; finished++) {
      const batch = this.pending.shift();
      if (batch === undefined) break;
      let outcome: BatchOutcome | null = null;
      for (const step of batch.steps) {
        outcome = step();
        if (outcome !== null) break;
      }
      const gpuTimeNs = (this.options.gpuTimeNs ?? 1000) + batch.launchNs;
      const marksNs = this.markTimesNs.splice(0, batch.marks);
      batch.done?.(outcome ?? { ok: true, gpuTimeNs, doneNs: 0, marksNs });
    }
    return finished;
  }

  /** Finishes all batches, those that follow from them included. */
  finishAll(): void {
    for (let turn = 0; this.finish() > 0; turn++)
      if (turn > 100_000) throw new Error("batches never end");
  }

  /** Ends the oldest batch without executing it. */
  failBatch(reason: "out-of-memory" | "failed" | "timeout", message: string): void {
    this.pending.shift()?.done?.({ ok: false, reason, message });
  }

  lose(message: string): void {
    this.lostMessage = message;
    for (const batch of this.pending.splice(0))
      batch.done?.({ ok: false, reason: "lost", message });
    this.onLost?.(message);
  }

  releaseCompilers(): void {
    this.holdCompilers = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  async #compilerTurn(): Promise<void> {
    if (this.holdCompilers) await new Promise<void>((go) => this.#waiting.push(go));
  }

  #checkLost(): void {
    if (this.lostMessage !== null) throw new ExecutorError("lost", this.lostMessage);
  }
}

function part(segment: Segment, offset: number, bytes: number): Uint8Array {
  if (!(segment instanceof MemorySegment)) throw new Error("a segment of another executor");
  if (offset < 0 || offset + bytes > segment.bytes)
    throw new Error(`${bytes} bytes at ${offset} of ${segment.label} with ${segment.bytes}`);
  return segment.data.subarray(offset, offset + bytes);
}

function snapshot(source: UniformSource): () => Uint8Array {
  if (!(source instanceof Uint8Array))
    return () => part(source.segment, source.offset, source.bytes);
  const copy = source.slice();
  return () => copy;
}

function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
}

type Triple = readonly [number, number, number];

interface Box {
  readonly offset: Triple;
  readonly size: Triple;
}

/** What a launch covers; dispatches and immediates are checked as a GPU would do it. */
function boxesOf(operation: LaunchOperation, immediateBytes: number): Box[] {
  const { grid, dispatches } = operation;
  const gridMax = MEMORY_INFO.gridMax;
  if (dispatches === undefined) {
    if (immediateBytes !== 0) throw new Error("a sliced pipeline is launched whole");
    if (Math.max(...grid) > gridMax) throw new Error(`a dispatch of ${grid}`);
    return [{ offset: [0, 0, 0], size: grid }];
  }
  return dispatches.map(({ grid: size, immediates }) => {
    const [x = 0, y = 0, z = 0, , ...whole] = immediates;
    if (immediates.byteLength !== immediateBytes || immediateBytes !== SLICE_LAYOUT.bytes)
      throw new Error(`${immediates.byteLength} bytes of immediates of ${immediateBytes}`);
    if (whole.slice(0, 3).join() !== grid.join()) throw new Error(`the grid is ${whole}`);
    if (Math.min(...size) < 1 || Math.max(...size) > gridMax) throw new Error(`a box of ${size}`);
    return { offset: [x, y, z], size };
  });
}

/** Numbers of the workgroups of a box in its grid. */
function* groupsOf({ offset, size }: Box, grid: Triple): Generator<number> {
  for (let z = offset[2]; z < offset[2] + size[2]; z++)
    for (let y = offset[1]; y < offset[1] + size[1]; y++)
      for (let x = offset[0]; x < offset[0] + size[0]; x++) yield x + grid[0] * (y + grid[1] * z);
}

/** As PTX kernels have it: a uniform with parameters, pointers and segments, and all memory. */
function runPtx(
  name: string,
  uniform: Uint32Array,
  segments: readonly Uint32Array[],
  boxes: readonly Box[],
  grid: Triple,
): void {
  const tableWords = Math.ceil((segments.length * 2) / 4) * 4;
  const isChecked = uniform.byteLength > CHECKED_RANGES_BYTES;
  const behind = isChecked ? tableWords + CHECKED_RANGES_BYTES / 4 : 0;
  const table = uniform.subarray(uniform.length - behind - tableWords);
  const [offset = 0, number = 0, value = 0, count = 0] = uniform;
  const at = segments.findIndex((_, index) => table[2 * index] === number);
  const target = segments[at];
  if (target === undefined) throw new Error(`no segment has the number ${number}`);
  if ((table[2 * at + 1] ?? 0) > target.byteLength) throw new Error("a segment is shorter");
  if (name === "ptxStore") target.fill(value, offset / 4, offset / 4 + count);
  else
    for (const box of boxes)
      for (const group of groupsOf(box, grid)) {
        const word = offset / 4 + group;
        target[word] = (target[word] ?? 0) + 1;
      }
}

function runKernel(
  name: string,
  { storage, grid }: LaunchOperation,
  uniforms: readonly (() => Uint8Array)[],
  boxes: readonly Box[],
): BatchOutcome | null {
  const arrays = storage.map((range) => words(part(range.segment, range.offset, range.bytes)));
  const [first = new Uint32Array(0), second = new Uint32Array(0)] = arrays;
  const value = uniforms[0]?.().slice() ?? new Uint8Array(4);
  switch (name) {
    case "increment":
      for (let i = 0; i < first.length; i++) first[i] = (first[i] ?? 0) + 1;
      return null;
    case "addTo":
      for (let i = 0; i < second.length; i++) second[i] = (second[i] ?? 0) + (first[i] ?? 0);
      return null;
    case "setValue":
    case "square":
      first.fill(words(value)[0] ?? 0);
      return null;
    case "setParams":
      first.set(words(value).subarray(0, first.length));
      return null;
    case "visit":
      for (const box of boxes)
        for (const group of groupsOf(box, grid)) first[group] = (first[group] ?? 0) + 1;
      return null;
    case "ptxStore":
    case "ptxVisit":
      runPtx(name, words(value), arrays, boxes, grid);
      return null;
    case "explode":
      return { ok: false, reason: "failed", message: "the kernel explodes" };
    default:
      throw new Error(`the kernel ${name} is unknown`);
  }
}
