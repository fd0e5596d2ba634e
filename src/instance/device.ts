// SPDX-License-Identifier: Apache-2.0
/**
 * The vGPU device: sessions, contexts, queues and the GPU behind them. The vhost-user session calls
 * it (see VirtioDevice), the run loop works for it. Everything happens in one thread, and nothing
 * that a guest sends can throw: each request is answered, with an error where it is wrong.
 */
import { decodeControl } from "../command/decode-control.js";
import type { ContextCreateRequest, DecodeError } from "../command/types.js";
import type { Executor, ExecutorInfo } from "../gpu/executor.js";
import type { GuestAddress } from "../io/guest-memory.js";
import { markStage } from "../io/stage-marks.js";
import type { Translator } from "../kernel/translator/index.js";
import {
  Config,
  RequestHeader,
  ResponseHeader,
  requestShapes,
  Status,
  statusName,
  VGPU,
} from "../protocol/generated/wire.js";
import type { ContextPages, DeviceTransport, VirtioDevice } from "../vhost-user/device.js";
import type { Chain } from "../virtqueue/types.js";
import { type Audit, audit } from "./audit.js";
import { MemoryBudget } from "./budget.js";
import { copyRequest, failureResponse, isFailure, writeResponse } from "./chain-io.js";
import { Context, type ContextError } from "./context.js";
import { type ControlHost, capabilityBits, handleControl } from "./control.js";
import { EventQueue } from "./event-queue.js";
import { EventTotals } from "./events.js";
import { type Failure, failure } from "./failure.js";
import { GpuKeeper, type GpuState } from "./gpu-keeper.js";
import { GuestState, type GuestStateWriter } from "./guest-state.js";
import { type DeviceLog, LogLimiter, type OneShot } from "./host.js";
import { type GuestViews, HostmemTotals } from "./hostmem.js";
import { KernelStore } from "./kernel-store.js";
import { KernelTable } from "./kernels.js";
import type { Lease } from "./lease.js";
import type { InstanceLimits, SchedulingControls, SchedulingLimits } from "./limits.js";
import { ContextMemory } from "./memory.js";
import { Runner } from "./runner.js";
import { contextStatus, type DeviceStatus, type UnsliceableStatus, usageStatus } from "./status.js";
import { handleSubmit, mustPause, type SubmitHost } from "./submit.js";
import { type OrderedWords, Timeline } from "./timeline.js";

export interface DeviceParts {
  readonly executor: Executor;
  /** Makes another GPU after a lost one; null if that is not possible. */
  readonly reopen: (() => Promise<Executor>) | null;
  readonly limits: InstanceLimits;
  /** The compiler of PTX; null if that is not offered. */
  readonly translator: Translator | null;
  readonly scheduling: SchedulingLimits;
  readonly nowNs: () => number;
  /** Uniform u32, not known to guests. */
  readonly randomU32: () => number;
  /** For opening the GPU again, and against hung ones. */
  readonly timer: OneShot;
  readonly watchdog: OneShot;
  readonly words: OrderedWords;
  readonly lease: Lease;
  readonly log: DeviceLog;
  /** Ends this process for another one; null where nobody would start it. */
  readonly abandon: ((message: string) => void) | null;
  /** Is told that this thread will be busy for so long. */
  readonly busy: (ms: number) => void;
}

/** Execution controls that concern the device. */
export interface OperatorControls extends SchedulingControls {
  /** 0: not limited. */
  readonly memory_bytes_max: number;
}

export class VgpuDevice implements VirtioDevice, ControlHost, SubmitHost {
  readonly deviceFeatures = 0n;
  readonly queueCount = VGPU.QUEUE_COUNT;
  readonly queueSizeMax = VGPU.QUEUE_SIZE_MAX;
  readonly configBytes = VGPU.CONFIG_SPACE_BYTES;
  readonly limits: InstanceLimits;
  readonly budget: MemoryBudget;
  readonly runner: Runner;
  readonly contexts = new Map<number, Context>();
  readonly #parts: DeviceParts;
  readonly #log: DeviceLog;
  /** For what guests can cause as often as they like. */
  readonly #limited: LogLimiter;
  readonly #store: KernelStore;
  readonly #events: EventQueue;
  readonly #gpu: GpuKeeper;
  readonly #guestState = new GuestState();
  readonly #hostmemTotals = new HostmemTotals();
  readonly #eventTotals = new EventTotals();
  #transport: DeviceTransport | null = null;
  #views: GuestViews | null = null;
  #session: bigint | null = null;
  #epoch: number;
  /** Kernels that can't be sliced, the last ones noticed. */
  readonly #unsliceable: UnsliceableStatus[] = [];
  #submitPaused = false;
  #draining = false;
  /** Contexts of a process whose place we took, until their driver begins a session with us. */
  #orphans: readonly ContextPages[] = [];

  constructor(parts: DeviceParts) {
    this.#parts = parts;
    this.#log = parts.log;
    this.#limited = new LogLimiter(parts.log, parts.nowNs);
    this.limits = parts.limits;
    this.budget = new MemoryBudget(parts.limits.memoryBytesMax);
    this.#store = new KernelStore(parts.limits, parts.translator, parts.nowNs, parts.busy);
    this.#epoch = this.#randomEpoch();
    this.#events = new EventQueue(() => this.#epoch);
    this.runner = new Runner({
      nowNs: parts.nowNs,
      lease: parts.lease,
      scheduling: parts.scheduling,
      budget: this.budget,
      store: this.#store,
      watchdog: parts.watchdog,
      notify: (context, soon) => this.#events.fence(context, soon),
      lost: (message) => this.#gpu.lost(message),
      hung: (message) => this.#gpu.lost(message, true),
      unsliceable: (context, kernel, reason) => this.#noteUnsliceable(context, kernel, reason),
      failed: (context, error) => this.#contextFailed(context, error),
      drained: () => this.#drained(),
      epoch: () => this.#epoch,
    });
    this.#gpu = new GpuKeeper({
      executor: parts.executor,
      reopen: parts.reopen,
      nowNs: parts.nowNs,
      timer: parts.timer,
      log: parts.log,
      changed: (executor, message) => this.#gpuChanged(executor, message),
      settled: () => this.processQueue(VGPU.QUEUE_CONTROL),
      abandon: parts.abandon,
    });
    this.runner.setExecutor(parts.executor);
  }

  // ---- VirtioDevice ---------------------------------------------------------------------------

  get ptx(): boolean {
    return this.#store.ptx;
  }

  get busy(): boolean | "long" {
    return this.runner.busyLong ? "long" : this.runner.busy;
  }

  readConfig(offset: number, into: Uint8Array): void {
    const bytes = new Uint8Array(VGPU.CONFIG_SPACE_BYTES);
    Config.encode(new DataView(bytes.buffer), 0, {
      magic: VGPU.MAGIC,
      version: VGPU.VERSION,
      queue_count: VGPU.QUEUE_COUNT,
      contexts_max: this.limits.contextsMax,
      streams_max: VGPU.STREAMS_MAX,
      control_request_bytes_max: VGPU.CONTROL_REQUEST_BYTES_MAX,
      submit_bytes_max: VGPU.SUBMIT_BYTES_MAX,
      hostmem_entries_max: VGPU.HOSTMEM_ENTRIES_MAX,
      capabilities: capabilityBits(this.info, this.ptx),
    });
    into.set(bytes.subarray(offset, offset + into.length));
  }

  /** Config space has nothing to write. */
  writeConfig(): boolean {
    return false;
  }

  attach(transport: DeviceTransport): void {
    this.#transport = transport;
    this.#events.transport = transport;
    this.#orphans = transport.journal?.entries() ?? [];
    const { memory } = transport;
    this.#views = {
      get generation() {
        return memory.generation;
      },
      get log() {
        return memory.log;
      },
      // The decoder has made sure that addresses are below 2^53, which is what the brand says.
      translate: (address, bytes) => memory.translate(address as GuestAddress, bytes),
    };
    this.runner.publisher.memory = this.#views;
    this.runner.publisher.setSuspended(true);
  }

  detach(): void {
    this.#events.suspended = true;
    this.runner.publisher.setSuspended(true);
    this.#dropSession();
    this.runner.publisher.memory = null;
    this.#views = null;
    this.#orphans = [];
    this.#transport = null;
    this.#events.transport = null;
  }

  reset(): void {
    this.#dropSession();
    this.#dropOrphans();
  }

  processQueue(index: number): void {
    if (index === VGPU.QUEUE_CONTROL) this.#processControl();
    else if (index === VGPU.QUEUE_SUBMIT) this.#processSubmits();
    else if (index === VGPU.QUEUE_EVENT) this.#events.deliver();
  }

  ringsChanged(suspended: boolean): void {
    this.#events.suspended = suspended;
    this.runner.publisher.setSuspended(suspended);
    this.#tellOrphans(suspended);
    if (suspended) return;
    this.runner.pump();
    this.#events.deliver();
  }

  memoryChanged(): void {
    for (const context of this.contexts.values()) {
      context.hostmems.dropViews();
      const missing = context.timeline.map(this.memory);
      if (missing === null) this.runner.publisher.republish(context);
      else
        this.#log.warn(
          { context: context.id, address: missing },
          "a timeline or arm page is not mapped any more",
        );
    }
    this.runner.publisher.publish();
  }

  // ---- ControlHost and SubmitHost -------------------------------------------------------------

  get epoch(): number {
    return this.#epoch;
  }

  get info(): ExecutorInfo {
    return this.#gpu.info;
  }

  get gpuReady(): boolean {
    return this.runner.executor !== null;
  }

  get memory(): GuestViews {
    if (this.#views === null) throw new Error("no front end is attached");
    return this.#views;
  }

  get initialised(): boolean {
    return this.#session !== null;
  }

  beginSession(session: bigint): void {
    if (this.#session === session) return;
    if (this.#session !== null) this.#dropSession();
    this.#dropOrphans();
    this.#session = session;
    this.#limited.info({ epoch: this.#epoch }, "a session begins");
  }

  createContext(request: ContextCreateRequest): Failure | null {
    const { executor } = this.runner;
    if (executor === null) return failure(Status.DEVICE_LOST, "there is no GPU now");
    const { timelineAddress, armAddress, name, context: id } = request;
    const timeline = new Timeline(timelineAddress, armAddress, this.#parts.words);
    const missing = timeline.map(this.memory);
    if (missing !== null) {
      const text = `the page at guest address 0x${missing.toString(16)} is not mapped`;
      return failure(Status.GUEST_ADDRESS, text, missing, 0, id);
    }
    const memory = new ContextMemory({
      executor,
      budget: this.budget,
      limits: this.limits,
      label: `context ${id}`,
      seed: this.#parts.randomU32(),
      retire: (bytes) => context.retire(bytes, this.budget),
      reclaim: () => this.#reclaim(),
    });
    const context = new Context({
      id,
      name,
      timeline,
      memory,
      kernels: new KernelTable(this.#store, this.limits),
      hostmemTotals: this.#hostmemTotals,
      eventTotals: this.#eventTotals,
      limits: this.limits,
    });
    this.contexts.set(id, context);
    this.#parts.lease.contexts?.(this.contexts.size);
    this.#transport?.journal?.set(id, { timelineAddress, armAddress });
    timeline.reset(this.#epoch);
    this.#log.debug({ context: id, name }, "a context is created");
    return null;
  }

  destroyContext(context: Context): void {
    this.contexts.delete(context.id);
    this.#parts.lease.contexts?.(this.contexts.size);
    this.#transport?.journal?.clear(context.id);
    this.#events.forget(context);
    this.runner.dropContext(context);
    this.#log.debug({ context: context.id, name: context.name }, "a context is destroyed");
  }

  rejected(context: Context | null, why: Failure | DecodeError): void {
    this.runner.usage.rejections++;
    if (context !== null) context.usage.rejections++;
    this.#log.debug(
      { context: context?.id, status: statusName(why.status), subject: why.subject },
      `a request is refused: ${why.text}`,
    );
  }

  // ---- Queues ---------------------------------------------------------------------------------

  #processControl(): void {
    const queue = this.#transport?.queue(VGPU.QUEUE_CONTROL) ?? null;
    if (queue === null) return;
    for (let taken = 0; taken < this.#parts.scheduling.drainChainsMax; taken++) {
      // While another GPU is being opened, requests wait for it: that takes a moment only.
      if (this.#gpu.state === "opening") break;
      const chain = queue.pop();
      if (chain === null) break;
      queue.push(chain, this.#answer(chain));
    }
    queue.flush();
    this.runner.pump();
  }

  /** Answers one control request; returns the bytes written. */
  #answer(chain: Chain): number {
    const { readableBytes, writableBytes } = chain;
    if (writableBytes < ResponseHeader.bytes) {
      const text = `a request has ${writableBytes} bytes for its response header`;
      this.rejected(null, failure(Status.RESPONSE_TOO_SMALL, text, writableBytes));
      return 0;
    }
    if (chain.fault !== null)
      return this.#refuse(
        chain,
        failure(Status.MALFORMED, `the descriptor chain is broken: ${chain.fault}`),
      );
    if (readableBytes > VGPU.CONTROL_REQUEST_BYTES_MAX) {
      const text = `a request of ${readableBytes} bytes, the limit is ${VGPU.CONTROL_REQUEST_BYTES_MAX}`;
      const limit = VGPU.CONTROL_REQUEST_BYTES_MAX;
      return this.#refuse(chain, failure(Status.REQUEST_TOO_LARGE, text, readableBytes, limit));
    }
    const bytes = copyRequest(chain, VGPU.CONTROL_REQUEST_BYTES_MAX);
    const request = decodeControl(bytes);
    if (request.kind === "error") return this.#refuse(chain, request);
    const needed = ResponseHeader.bytes + responseBytes(bytes);
    if (writableBytes < needed) {
      const text = `${request.kind} has ${writableBytes} bytes for its response of ${needed}`;
      return this.#refuse(chain, failure(Status.RESPONSE_TOO_SMALL, text, writableBytes, needed));
    }
    if (this.#session === null && request.kind !== "init")
      return this.#refuse(
        chain,
        failure(Status.NOT_INITIALISED, `${request.kind} comes before INIT`),
      );
    const context = "context" in request ? (this.contexts.get(request.context) ?? null) : null;
    const result = handleControl(this, request, writableBytes);
    if (isFailure(result)) return this.#refuse(chain, result, context);
    return writeResponse(chain, result);
  }

  #refuse(chain: Chain, why: Failure | DecodeError, context: Context | null = null): number {
    this.rejected(context, why);
    return writeResponse(chain, failureResponse(why));
  }

  #processSubmits(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      for (let rounds = 0; rounds < SUBMIT_ROUNDS_MAX; rounds++) if (!this.#drainSubmits()) break;
    } finally {
      this.#draining = false;
    }
  }

  /** One round; true if it paused and the pause is over already. */
  #drainSubmits(): boolean {
    const queue = this.#transport?.queue(VGPU.QUEUE_SUBMIT) ?? null;
    if (queue === null) return false;
    this.#submitPaused = false;
    for (let taken = 0; taken < this.#parts.scheduling.drainChainsMax; taken++) {
      if (mustPause(this)) {
        this.#submitPaused = true;
        break;
      }
      const chain = queue.pop();
      if (chain === null) break;
      markStage("taken");
      queue.push(chain, handleSubmit(this, chain));
      markStage("decoded");
    }
    // The GPU first: the driver waits for the fence, not for the acknowledgement.
    this.runner.pump();
    queue.flush();
    return this.#submitPaused && !mustPause(this);
  }

  #drained(): void {
    if (!this.busy && this.#parts.lease.alone === true) this.#transport?.expectMore?.();
    if (this.#submitPaused && !this.#draining && !mustPause(this)) this.#processSubmits();
  }

  // ---- Sessions, errors, the GPU --------------------------------------------------------------

  #dropSession(): void {
    for (const context of [...this.contexts.values()]) this.destroyContext(context);
    this.#events.clear();
    if (this.#session !== null) this.#limited.info({}, "the session ends");
    this.#parts.lease.end?.({ kind: "reset" });
    this.#session = null;
    this.#submitPaused = false;
  }

  /**
   * Tells drivers that their contexts were lost with the process that had them: without it, who
   * waits for one of their fences would wait for long. While the rings stand still the guest may be
   * starting anew, and use the pages for something else: then only the event tells it.
   */
  #tellOrphans(suspended: boolean): void {
    if (this.#orphans.length === 0) return;
    this.#log.info({ contexts: this.#orphans.length }, "contexts of an earlier process are lost");
    if (suspended) this.#dropOrphans();
    for (const { timelineAddress, armAddress } of this.#orphans) {
      const timeline = new Timeline(timelineAddress, armAddress, this.#parts.words);
      if (timeline.map(this.memory) === null) timeline.tellLost(this.#epoch);
    }
    this.#orphans = [];
    this.#events.epochChanged();
  }

  /** Their driver knows, and may use the pages for something else. */
  #dropOrphans(): void {
    this.#orphans = [];
    this.#transport?.journal?.clearAll();
  }

  #reclaim(): void {
    for (const context of this.contexts.values()) context.memory.trim();
  }

  #contextFailed(context: Context, error: ContextError): void {
    context.usage.rejections++;
    this.runner.usage.rejections++;
    this.#limited.info(
      {
        context: context.id,
        name: context.name,
        status: statusName(error.status),
        stream: error.stream,
        fence: error.fence,
      },
      `a context fails: ${error.text}`,
    );
  }

  #noteUnsliceable(context: Context, kernel: string, reason: string): void {
    const text = reason.slice(0, UNSLICEABLE_TEXT_MAX);
    this.#unsliceable.push({ kernel: kernel.slice(0, UNSLICEABLE_TEXT_MAX), reason: text });
    if (this.#unsliceable.length > UNSLICEABLE_MAX) this.#unsliceable.shift();
    this.#limited.info(
      { context: context.id, name: context.name, kernel },
      `launches of a kernel run whole: ${text}`,
    );
  }

  #gpuChanged(executor: Executor | null, message: string): void {
    this.runner.setExecutor(executor);
    if (executor !== null) return;
    this.#epoch = this.#randomEpoch();
    this.runner.deviceLost(this.contexts.values(), message);
    this.runner.publisher.publish();
    if (this.initialised) this.#events.epochChanged();
  }

  #randomEpoch(): number {
    for (;;) {
      const epoch = this.#parts.randomU32();
      if (epoch !== 0 && epoch !== this.#epoch) return epoch;
    }
  }

  // ---- For vgpuctl and the process ------------------------------------------------------------

  /**
   * What the operator set. A memory limit below what is reserved takes nothing away: nothing more is
   * given until enough came back.
   */
  applyControls(controls: OperatorControls): void {
    const { memory_bytes_max: bytes } = controls;
    this.budget.limitBytes = bytes === 0 ? this.limits.memoryBytesMax : bytes;
    this.runner.setControls(controls);
  }

  /** All contexts fail, as after a lost GPU, and another one is opened. */
  drop(reason: string): void {
    this.#gpu.lost(reason);
  }

  /** Brings the guest state in the G-VMCS up to date. */
  writeState(writer: GuestStateWriter): void {
    const transport = this.#transport;
    const queues = Array.from({ length: VGPU.QUEUE_COUNT }, (_, index) => {
      return transport?.queue(index)?.position ?? null;
    });
    this.#guestState.write(writer, {
      epoch: this.#epoch,
      contexts: this.contexts.values(),
      queues,
      memory: transport?.memory ?? { generation: 0, regions: [] },
      deviceBytes: this.budget.reservedBytes,
      stagingBytes: this.runner.stagingBytes,
    });
  }

  /** What is held for the guest, and whether all counts agree. */
  audit(): Audit {
    return audit({
      contexts: [...this.contexts.values()],
      budget: this.budget,
      runner: this.runner,
      store: this.#store,
      hostmems: this.#hostmemTotals,
      events: this.#eventTotals,
    });
  }

  /** What the device does and holds, as plain JSON. */
  status(): DeviceStatus {
    const gpu: GpuState = this.#gpu.state;
    return {
      executor: this.#gpu.kind,
      adapter: this.info.adapter,
      gpu,
      epoch: this.#epoch,
      attached: this.#transport !== null,
      session: this.initialised,
      memory: {
        limit_bytes: this.budget.limitBytes,
        reserved_bytes: this.budget.reservedBytes,
        allocated_bytes: this.budget.allocatedBytes,
      },
      host_memory: { bytes: this.#hostmemTotals.bytes, ranges: this.#hostmemTotals.entries },
      queue: {
        commands: this.runner.queuedCommands,
        bytes: this.runner.queuedBytes,
        batches_in_flight: this.runner.inFlight,
        batches_done: this.runner.batchesDone,
        compiling: this.#store.compiling,
        compile_ns: Math.round(this.#store.compiler.totalNs),
        staging_bytes: this.runner.stagingBytes,
        copied_bytes: this.runner.executor?.copiedBytes ?? 0,
      },
      turns: this.runner.turnCounts,
      pipelines: this.#store.pipelineCount,
      code_bytes: this.#store.codeBytes,
      translation_cache: this.#store.translationCache,
      unsliceable: [...this.#unsliceable],
      requests_rejected: this.runner.usage.rejections,
      usage: usageStatus(this.runner.usage),
      contexts: [...this.contexts.values()].map(contextStatus),
    };
  }

  /** Ends everything; the device can't be used any more. */
  async close(): Promise<void> {
    this.detach();
    this.#parts.watchdog.disarm();
    this.#store.close();
    await this.#gpu.close();
  }
}

/** Kernels that can't be sliced that status shows, and characters of their texts. */
const UNSLICEABLE_MAX = 16;
const UNSLICEABLE_TEXT_MAX = 200;

/** Bounds how often one call begins anew after a pause. */
const SUBMIT_ROUNDS_MAX = 16;

/** Bytes of the response's fixed payload. */
function responseBytes(request: Uint8Array): number {
  const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
  return requestShapes.get(view.getUint32(RequestHeader.at.type, true))?.responseBytes ?? 0;
}
