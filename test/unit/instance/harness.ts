// SPDX-License-Identifier: Apache-2.0
/**
 * Drives a VgpuDevice without sockets, rings or the addon: guest memory is one array, queues are
 * lists of chains, the GPU is the memory executor, and time moves only when told to.
 */
import { afterEach, expect } from "vitest";
import type { Executor } from "../../../src/gpu/executor.js";
import { VgpuDevice } from "../../../src/instance/device.js";
import { type Lease, localLease } from "../../../src/instance/lease.js";
import {
  DEFAULT_LIMITS,
  DEFAULT_SCHEDULING,
  type InstanceLimits,
  type SchedulingLimits,
} from "../../../src/instance/limits.js";
import type { GuestMemory } from "../../../src/io/guest-memory.js";
import type { Translator } from "../../../src/kernel/translator/index.js";
import {
  CommandWriter,
  hostmemRegisterBytes,
  moduleSymbolBytes,
  requestBytes,
  structBytes,
  submitBytes,
} from "../../../src/protocol/encode.js";
import {
  ArmSlot,
  ContextCreateRequest,
  ErrorQueryResponse,
  EventMessage,
  EventQueryRequest,
  EventQueryResponse,
  FunctionQueryRequest,
  HostmemUnregisterRequest,
  InitRequest,
  MemoryAllocRequest,
  MemoryAllocResponse,
  MemoryFreeRequest,
  MemoryInfoResponse,
  ModuleQueryRequest,
  ModuleQueryResponse,
  Request,
  ResponseHeader,
  StatisticsResponse,
  Status,
  statusName,
  TimelineHeader,
  TimelineSlot,
  VGPU,
} from "../../../src/protocol/generated/wire.js";
import { type DevicePointer, pointerFromBigInt } from "../../../src/protocol/pointer.js";
import type { ContextJournal, DeviceTransport } from "../../../src/vhost-user/device.js";
import { FakeMemory, FakeQueue, FakeWords } from "../../support/fake-guest.js";
import { MemoryExecutor, type MemoryExecutorOptions } from "../../support/memory-executor.js";

/** Guest addresses of context pages: timeline and arm page of each context id. */
const PAGES_AT = 0x10_0000;
/** From here on tests use guest memory as they like. */
export const DATA_AT = 0x20_0000;

const view = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export interface Response {
  readonly status: string;
  readonly written: number;
  readonly value: bigint;
  readonly limit: bigint;
  readonly subject: number;
  readonly payload: Uint8Array;
}

export interface HarnessOptions {
  readonly limits?: Partial<InstanceLimits>;
  readonly scheduling?: Partial<SchedulingLimits>;
  readonly gpu?: MemoryExecutorOptions;
  readonly executor?: Executor;
  readonly translator?: Translator;
  readonly reopen?: () => Promise<Executor>;
  readonly abandon?: (message: string) => void;
  readonly lease?: Lease;
}

/** Devices of the test that runs: their books must agree whatever it did. */
const devices: VgpuDevice[] = [];

afterEach(() => {
  for (const device of devices.splice(0)) expect(device.audit().problems).toEqual([]);
});

export class Harness {
  readonly memory = new FakeMemory();
  readonly words = new FakeWords(this.memory);
  readonly queues = [new FakeQueue(0), new FakeQueue(1), new FakeQueue(2)];
  readonly gpu: MemoryExecutor;
  readonly device: VgpuDevice;
  readonly log: string[] = [];
  /** How long the device said that its thread would be busy, ms. */
  readonly announced: number[] = [];
  timeNs = 1000;
  timerCallback: (() => void) | null = null;
  timerNs = 0;
  watchdogCallback: (() => void) | null = null;
  watchdogNs = 0;
  #random = 0x1234;
  readonly #fences = new Map<string, number>();

  constructor(options: HarnessOptions = {}) {
    this.gpu = new MemoryExecutor(options.gpu);
    const note = (fields: object, text: string): void => {
      this.log.push(`${text} ${JSON.stringify(fields)}`);
    };
    this.device = new VgpuDevice({
      executor: options.executor ?? this.gpu,
      reopen: options.reopen ?? null,
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      translator: options.translator ?? null,
      scheduling: { ...DEFAULT_SCHEDULING, ...options.scheduling },
      nowNs: () => this.timeNs++,
      randomU32: () => {
        this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
        return this.#random;
      },
      timer: {
        arm: (ns, callback) => {
          this.timerNs = ns;
          this.timerCallback = callback;
        },
        disarm: () => {
          this.timerCallback = null;
        },
      },
      watchdog: {
        arm: (ns, callback) => {
          this.watchdogNs = ns;
          this.watchdogCallback = callback;
        },
        disarm: () => {
          this.watchdogCallback = null;
        },
      },
      words: this.words,
      lease: options.lease ?? localLease(),
      log: { debug: note, info: note, warn: note },
      abandon: options.abandon ?? null,
      busy: (ms) => this.announced.push(ms),
    });
    devices.push(this.device);
    this.attach();
  }

  /** How often the device has said that the driver is about to send more. */
  expectedMore = 0;
  /** What outlives the device, if the test gave one. */
  journal: ContextJournal | null = null;

  attach(options: { suspended?: boolean } = {}): void {
    const transport: DeviceTransport = {
      memory: this.memory as unknown as GuestMemory,
      queue: (index) => this.queues[index] ?? null,
      features: 0n,
      journal: this.journal,
      notifyConfigChange: () => false,
      expectMore: () => {
        this.expectedMore++;
      },
    };
    this.device.attach(transport);
    this.device.ringsChanged(options.suspended ?? false);
  }

  queue(index: number): FakeQueue {
    const queue = this.queues[index];
    if (queue === undefined) throw new Error(`there is no queue ${index}`);
    return queue;
  }

  /** Sends one request on a queue and gives the answer. */
  send(index: number, bytes: Uint8Array, room = 4096, fault: string | null = null): Response {
    const queue = this.queue(index);
    const before = queue.used.length;
    queue.add(bytes.length > 0 ? [bytes.subarray(0, 5), bytes.subarray(5)] : [], room, fault);
    this.device.processQueue(index);
    const answer = queue.used[before];
    if (answer === undefined || queue.used.length !== before + 1)
      throw new Error("the device does not answer");
    return parse(answer.chain.room, answer.written);
  }

  control(bytes: Uint8Array, room?: number): Response {
    return this.send(VGPU.QUEUE_CONTROL, bytes, room);
  }

  init(session = 1n): Response {
    const payload = structBytes(InitRequest, { session, capabilities: 0xffn });
    return this.control(requestBytes(Request.INIT, 0, payload));
  }

  createContext(id: number, name = `p${id}`): Response {
    const payload = structBytes(ContextCreateRequest, {
      timeline_address: BigInt(this.timelineAt(id)),
      arm_address: BigInt(this.timelineAt(id) + 4096),
      name,
    });
    return this.control(requestBytes(Request.CONTEXT_CREATE, id, payload));
  }

  destroyContext(id: number): Response {
    return this.control(requestBytes(Request.CONTEXT_DESTROY, id));
  }

  /** INIT and one context, and event buffers. */
  ready(contexts = 1): this {
    ok(this.init());
    for (let id = 0; id < contexts; id++) ok(this.createContext(id));
    this.postEventBuffers(16);
    return this;
  }

  alloc(context: number, bytes: number): DevicePointer {
    const response = ok(this.tryAlloc(context, bytes));
    return pointerFromBigInt(MemoryAllocResponse.decode(view(response.payload), 0).pointer);
  }

  tryAlloc(context: number, bytes: number, flags = 0n): Response {
    const payload = structBytes(MemoryAllocRequest, { bytes: BigInt(bytes), flags });
    return this.control(requestBytes(Request.MEMORY_ALLOC, context, payload));
  }

  free(context: number, pointer: DevicePointer): Response {
    const value = (BigInt(pointer.segment) << 32n) | BigInt(pointer.offset);
    const payload = structBytes(MemoryFreeRequest, { pointer: value });
    return this.control(requestBytes(Request.MEMORY_FREE, context, payload));
  }

  memoryInfo(context: number): ReturnType<typeof MemoryInfoResponse.decode> {
    const response = ok(this.control(requestBytes(Request.MEMORY_INFO, context)));
    return MemoryInfoResponse.decode(view(response.payload), 0);
  }

  register(
    context: number,
    handle: number,
    ranges: { address: number; bytes: number }[],
  ): Response {
    return this.control(hostmemRegisterBytes(context, handle, ranges));
  }

  unregister(context: number, handle: number): Response {
    const payload = structBytes(HostmemUnregisterRequest, { hostmem: handle });
    return this.control(requestBytes(Request.HOSTMEM_UNREGISTER, context, payload));
  }

  moduleQuery(
    context: number,
    module: number,
    room?: number,
    logOffset = 0,
  ): ReturnType<typeof ModuleQueryResponse.decode> & { log: string } {
    const payload = structBytes(ModuleQueryRequest, { module, log_offset: logOffset });
    const response = ok(this.control(requestBytes(Request.MODULE_QUERY, context, payload), room));
    const log = new TextDecoder().decode(response.payload.subarray(ModuleQueryResponse.bytes));
    return { ...ModuleQueryResponse.decode(view(response.payload), 0), log };
  }

  symbol(context: number, module: number, name: string): Response {
    return this.control(moduleSymbolBytes(context, module, name));
  }

  functionQuery(context: number, id: number, room?: number): Response {
    const payload = structBytes(FunctionQueryRequest, { function: id });
    return this.control(requestBytes(Request.FUNCTION_QUERY, context, payload), room);
  }

  eventQuery(context: number, event: number): ReturnType<typeof EventQueryResponse.decode> {
    const payload = structBytes(EventQueryRequest, { event });
    const response = ok(this.control(requestBytes(Request.EVENT_QUERY, context, payload)));
    return EventQueryResponse.decode(view(response.payload), 0);
  }

  error(context: number): ReturnType<typeof ErrorQueryResponse.decode> & { name: string } {
    const response = ok(this.control(requestBytes(Request.ERROR_QUERY, context)));
    const error = ErrorQueryResponse.decode(view(response.payload), 0);
    return { ...error, name: statusName(error.status) };
  }

  statistics(context: number): ReturnType<typeof StatisticsResponse.decode> {
    const response = ok(this.control(requestBytes(Request.STATISTICS, context)));
    return StatisticsResponse.decode(view(response.payload), 0);
  }

  /** Submits commands with the stream's next fence. */
  submit(
    context: number,
    stream: number,
    build: (writer: CommandWriter) => void = () => {},
    fence?: number,
  ): Response {
    const key = `${context}.${stream}`;
    const next = fence ?? (this.#fences.get(key) ?? 0) + 1;
    this.#fences.set(key, next);
    const writer = new CommandWriter();
    build(writer);
    return this.send(VGPU.QUEUE_SUBMIT, submitBytes(context, stream, next, writer));
  }

  postEventBuffers(count: number, bytes: number = EventMessage.bytes): void {
    for (let index = 0; index < count; index++) this.queue(VGPU.QUEUE_EVENT).add([], bytes);
    this.device.processQueue(VGPU.QUEUE_EVENT);
  }

  /** Messages on the event queue so far. */
  events(): ReturnType<typeof EventMessage.decode>[] {
    return this.queue(VGPU.QUEUE_EVENT)
      .used.filter(({ written }) => written > 0)
      .map(({ chain }) => EventMessage.decode(view(chain.room), 0));
  }

  timelineAt(context: number): number {
    return PAGES_AT + context * 8192;
  }

  /** What an earlier device wrote there. */
  writeHeader(context: number, header: { epoch: number; status: Status }): void {
    TimelineHeader.encode(view(this.memory.bytes), this.timelineAt(context), {
      magic: VGPU.TIMELINE_MAGIC,
      epoch: header.epoch,
      context_status: header.status,
      error_stream: 0,
    });
  }

  header(context: number): ReturnType<typeof TimelineHeader.decode> & { status: string } {
    const header = TimelineHeader.decode(view(this.memory.bytes), this.timelineAt(context));
    return { ...header, status: statusName(header.context_status) };
  }

  slot(context: number, stream: number): { fence: number; status: string; timeNs: number } {
    const at = this.timelineAt(context) + 64 + 32 * stream;
    const slot = TimelineSlot.decode(view(this.memory.bytes), at);
    return {
      fence: Number(slot.fence),
      status: statusName(slot.status),
      timeNs: Number(slot.time_ns),
    };
  }

  /** Asks for an interrupt at a fence, and so long before. */
  arm(context: number, stream: number, fence: number, aheadNs = 0): void {
    const at = this.timelineAt(context) + 4096 + 64 + 32 * stream;
    ArmSlot.encode(view(this.memory.bytes), at, { fence: BigInt(fence), ahead_ns: aheadNs });
  }

  /** Lets pending promises go on. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  }
}

function parse(room: Uint8Array, written: number): Response {
  if (written === 0)
    return {
      status: "NONE",
      written,
      value: 0n,
      limit: 0n,
      subject: 0,
      payload: new Uint8Array(0),
    };
  const header = ResponseHeader.decode(view(room), 0);
  if (written !== ResponseHeader.bytes + header.payload_bytes)
    throw new Error(`${written} bytes are written, the header says ${header.payload_bytes}`);
  return {
    status: statusName(header.status),
    written,
    value: header.value,
    limit: header.limit,
    subject: header.subject,
    payload: room.slice(ResponseHeader.bytes, written),
  };
}

export function ok(response: Response): Response {
  if (response.status !== statusName(Status.OK))
    throw new Error(
      `the device answers ${response.status} (value ${response.value}, limit ${response.limit})`,
    );
  return response;
}

export function at(pointer: DevicePointer, bytes: number): DevicePointer {
  return { segment: pointer.segment, offset: pointer.offset + bytes };
}
