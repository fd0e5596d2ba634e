// SPDX-License-Identifier: Apache-2.0
/** The vGPU driver of the tests: requests, contexts, memory and fences, over a front end. */
import { setTimeout as sleep } from "node:timers/promises";
import { fence as fullBarrier, RingWords } from "../../io/native.js";
import {
  ArmSlot,
  CapabilitiesResponse,
  Config,
  ContextCreateRequest,
  HostmemRegisterRequest,
  HostmemUnregisterRequest,
  InitRequest,
  InitResponse,
  MemoryAllocRequest,
  MemoryAllocResponse,
  Request,
  RequestHeader,
  ResponseHeader,
  SubmitRequest,
  statusName,
  TimelineHeader,
  TimelineSlot,
  VGPU,
} from "../../protocol/generated/wire.js";
import { check, equal, Violation } from "../framework/check.js";
import { Commands, struct } from "./commands.js";
import type { FrontEnd } from "./front-end.js";
import type { Buffer } from "./memory.js";
import { concat, Vhost, words } from "./wire.js";

export interface Response {
  /** Name of the status; "" if no header came. */
  readonly status: string;
  /** The used length. */
  readonly written: number;
  readonly header: ResponseHeader | null;
  readonly payload: Uint8Array;
}

export interface CallOptions {
  /** Writable bytes of the chain. */
  readonly room?: number;
  readonly queue?: number;
  readonly indirect?: boolean;
}

/** Nonzero, and other than that of a test that ran before. */
let sessions = 0x5e55_0000n;

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A request: header, then payload. */
export function request(
  type: number,
  context: number,
  payload: Uint8Array = new Uint8Array(0),
): Uint8Array {
  return concat(struct(RequestHeader, { type, flags: 0, context }), payload);
}

export class Device {
  readonly frontEnd: FrontEnd;

  constructor(frontEnd: FrontEnd) {
    this.frontEnd = frontEnd;
  }

  /** Sends a request's bytes and takes its response apart. */
  async send(
    bytes: Uint8Array | readonly Uint8Array[],
    options: CallOptions = {},
  ): Promise<Response> {
    const { memory } = this.frontEnd;
    const release = memory.main.mark();
    const parts = bytes instanceof Uint8Array ? [bytes] : bytes;
    const pieces = parts
      .filter((part) => part.length > 0)
      .map((part) => ({ address: memory.place(part, 8).address, length: part.length }));
    const { room = 4096, queue = VGPU.QUEUE_CONTROL, indirect = false } = options;
    const into = memory.allocate(room, 8);
    into.bytes.fill(0xee);
    const written = await this.frontEnd.complete(
      queue,
      room > 0 ? [...pieces, { address: into.address, length: room, write: true }] : pieces,
      indirect,
    );
    release();
    return responseOf(into.bytes, written);
  }

  call(
    type: number,
    context = 0,
    payload: Uint8Array = new Uint8Array(0),
    options: CallOptions = {},
  ): Promise<Response> {
    return this.send(request(type, context, payload), options);
  }

  /** A call that has to succeed; its payload. */
  async ask(type: number, context = 0, payload?: Uint8Array): Promise<DataView> {
    const response = await this.call(type, context, payload);
    succeeded(response, `request ${type}`);
    return viewOf(response.payload);
  }

  async init(
    session: bigint = ++sessions,
    capabilities = 0xffff_ffff_ffff_ffffn,
  ): Promise<InitResponse> {
    const payload = struct(InitRequest, { session, capabilities });
    return InitResponse.decode(await this.ask(Request.INIT, 0, payload), 0);
  }

  async capabilities(): Promise<CapabilitiesResponse> {
    return CapabilitiesResponse.decode(await this.ask(Request.GET_CAPABILITIES), 0);
  }

  /** All of config space, over GET_CONFIG. */
  async configSpace(): Promise<Uint8Array> {
    const bytes = VGPU.CONFIG_SPACE_BYTES;
    const asked = concat(words(0, bytes, 0), new Uint8Array(bytes));
    const payload = await this.frontEnd.get(Vhost.GET_CONFIG, asked);
    equal(payload.length, 12 + bytes, "the length of the reply to GET_CONFIG");
    return payload.slice(12);
  }

  async config(): Promise<Config> {
    return Config.decode(viewOf(await this.configSpace()), 0);
  }

  /** CONTEXT_CREATE with any addresses. */
  createContextAt(id: number, timeline: number | bigint, arm: number | bigint): Promise<Response> {
    const fields = { timeline_address: BigInt(timeline), arm_address: BigInt(arm), name: "test" };
    return this.call(Request.CONTEXT_CREATE, id, struct(ContextCreateRequest, fields));
  }

  async createContext(id = 1): Promise<Context> {
    const context = new Context(this, id);
    const { timeline, arm } = context;
    const response = await this.createContextAt(id, timeline.address, arm.address);
    succeeded(response, "CONTEXT_CREATE");
    return context;
  }
}

export function responseOf(bytes: Uint8Array, written: number): Response {
  if (written < ResponseHeader.bytes)
    return { status: "", written, header: null, payload: new Uint8Array(0) };
  const header = ResponseHeader.decode(viewOf(bytes), 0);
  // A driver must not believe a response that is longer than what was written (VGPU-DRV-11).
  const end = ResponseHeader.bytes + header.payload_bytes;
  if (end > written || written > bytes.length)
    throw new Violation(
      `a response says ${header.payload_bytes} bytes of payload, ${written} bytes are written ` +
        `into ${bytes.length}`,
    );
  const payload = bytes.slice(ResponseHeader.bytes, end);
  return { status: statusName(header.status), written, header, payload };
}

export function succeeded(response: Response, what: string): void {
  equal(response.status, "OK", `the status of ${what}`);
}

/** One context with its pages, its fences and what is registered for it. */
export class Context {
  readonly device: Device;
  readonly id: number;
  readonly timeline: Buffer;
  readonly arm: Buffer;
  readonly #timeline: RingWords;
  readonly #arm: RingWords;
  readonly #fences = new Map<number, bigint>();
  #hostmem = 0;

  constructor(device: Device, id: number) {
    this.device = device;
    this.id = id;
    this.timeline = device.frontEnd.memory.page();
    this.arm = device.frontEnd.memory.page();
    this.timeline.bytes.fill(0xa5);
    this.arm.bytes.fill(0);
    this.#timeline = new RingWords(this.timeline.bytes);
    this.#arm = new RingWords(this.arm.bytes);
  }

  /** A request of this context. */
  call(type: number, payload?: Uint8Array, options?: CallOptions): Promise<Response> {
    return this.device.call(type, this.id, payload, options);
  }

  async ask(type: number, payload?: Uint8Array): Promise<DataView> {
    return this.device.ask(type, this.id, payload);
  }

  async destroy(): Promise<void> {
    succeeded(await this.call(Request.CONTEXT_DESTROY), "CONTEXT_DESTROY");
  }

  /** The least fence that a stream has not used. */
  nextFence(stream: number): bigint {
    const fence = (this.#fences.get(stream) ?? 0n) + 1n;
    this.#fences.set(stream, fence);
    return fence;
  }

  /** A SUBMIT's bytes; every field can be another one than is right. */
  submitBytes(
    stream: number,
    fence: bigint,
    commands: Commands | Uint8Array,
    change: Partial<SubmitRequest> = {},
  ): Uint8Array {
    const bytes = commands instanceof Commands ? commands.bytes : commands;
    const fields = {
      stream,
      command_count: commands instanceof Commands ? commands.count : 1,
      fence,
      command_bytes: bytes.length,
      ...change,
    };
    return request(Request.SUBMIT, this.id, concat(struct(SubmitRequest, fields), bytes));
  }

  /** Sends commands under the stream's next fence. */
  async submit(
    stream: number,
    commands: Commands,
  ): Promise<{ readonly response: Response; readonly fence: bigint }> {
    const fence = this.nextFence(stream);
    const bytes = this.submitBytes(stream, fence, commands);
    const response = await this.device.send(bytes, { queue: VGPU.QUEUE_SUBMIT, room: 32 });
    return { response, fence };
  }

  /** As `submit`, where the submit has to be accepted. */
  async queue(stream: number, commands: Commands): Promise<bigint> {
    const { response, fence } = await this.submit(stream, commands);
    succeeded(response, "SUBMIT");
    return fence;
  }

  /** Submits and waits: the status in the stream's slot. */
  async run(commands: Commands, stream = 0): Promise<string> {
    const fence = await this.queue(stream, commands);
    return this.wait(stream, fence);
  }

  /** As `run`, where nothing may fail. */
  async succeed(commands: Commands, stream = 0): Promise<void> {
    const status = await this.run(commands, stream);
    if (status === "OK") return;
    const text = await this.errorText();
    throw new Violation(`commands of stream ${stream} end with ${status}: ${text}`);
  }

  /** The last completed fence, as one load. */
  done(stream: number): bigint {
    return this.#timeline.loadBig64(slotAt(stream));
  }

  /** The slot as a driver reads it: the fence first, then the rest. */
  slot(stream: number): TimelineSlot {
    const fence = this.done(stream);
    return { ...TimelineSlot.decode(this.timeline.view, slotAt(stream)), fence };
  }

  head(): TimelineHeader {
    return TimelineHeader.decode(this.timeline.view, 0);
  }

  /** Looks at the timeline until the fence is there; the slot's status. */
  async wait(stream: number, fence: bigint): Promise<string> {
    const { wire } = this.device.frontEnd;
    for (let turns = 0; this.done(stream) < fence; turns++) {
      if (wire.closed) throw new Violation(`the back end closes the connection before a fence`);
      if (turns < 50) await new Promise((resolve) => setImmediate(resolve));
      else await sleep(1);
    }
    return statusName(this.slot(stream).status);
  }

  /** Asks for an event message at a fence; true if that is completed already. */
  armFence(stream: number, fence: bigint, aheadNs = 0): boolean {
    this.#arm.store32(slotAt(stream) + ArmSlot.at.ahead_ns, aheadNs);
    this.#arm.store64(slotAt(stream) + ArmSlot.at.fence, fence);
    fullBarrier();
    return this.done(stream) >= fence;
  }

  async errorText(): Promise<string> {
    const view = await this.ask(Request.ERROR_QUERY);
    return new TextDecoder()
      .decode(new Uint8Array(view.buffer, view.byteOffset + 32, 224))
      .replace(/\0.*$/s, "");
  }

  /** The context has to have failed with a status; nothing else is looked at. */
  async failed(status: string): Promise<void> {
    const view = await this.ask(Request.ERROR_QUERY);
    equal(statusName(view.getUint32(0, true)), status, "the status of the context's error");
  }

  allocRaw(bytes: number | bigint): Promise<Response> {
    const payload = struct(MemoryAllocRequest, { bytes: BigInt(bytes), flags: 0n });
    return this.call(Request.MEMORY_ALLOC, payload);
  }

  /** Device memory; its pointer. */
  async alloc(bytes: number | bigint): Promise<bigint> {
    const response = await this.allocRaw(bytes);
    succeeded(response, "MEMORY_ALLOC");
    const { pointer } = MemoryAllocResponse.decode(viewOf(response.payload), 0);
    check(pointer !== 0n, "an allocation's pointer is not null");
    return pointer;
  }

  /** HOSTMEM_REGISTER with any ranges. */
  registerRaw(
    hostmem: number,
    ranges: readonly { readonly address: number | bigint; readonly bytes: number | bigint }[],
    change: Partial<HostmemRegisterRequest> = {},
  ): Promise<Response> {
    const bytes = ranges.reduce((sum, range) => sum + BigInt(range.bytes), 0n);
    const fields = { hostmem, entry_count: ranges.length, bytes, ...change };
    const entries = ranges.map((range) => words(BigInt(range.address), BigInt(range.bytes)));
    const payload = concat(struct(HostmemRegisterRequest, fields), ...entries);
    return this.call(Request.HOSTMEM_REGISTER, payload);
  }

  /** Registers buffers as one range of host memory; its handle. */
  async register(...buffers: readonly Buffer[]): Promise<number> {
    const hostmem = this.#hostmem++;
    const ranges = buffers.map(({ address, bytes }) => ({ address, bytes: bytes.length }));
    succeeded(await this.registerRaw(hostmem, ranges), "HOSTMEM_REGISTER");
    return hostmem;
  }

  unregister(hostmem: number): Promise<Response> {
    return this.call(Request.HOSTMEM_UNREGISTER, struct(HostmemUnregisterRequest, { hostmem }));
  }

  /** What device memory holds. */
  async read(pointer: bigint, bytes: number): Promise<Uint8Array> {
    const { memory } = this.device.frontEnd;
    const release = memory.main.mark();
    const buffer = memory.allocate(bytes, 8);
    const hostmem = await this.register(buffer);
    await this.succeed(new Commands().copyFromDevice(pointer, hostmem, 0, bytes), READ_STREAM);
    const data = buffer.bytes.slice();
    succeeded(await this.unregister(hostmem), "HOSTMEM_UNREGISTER");
    release();
    return data;
  }

  /** Writes device memory through a registration. */
  async write(pointer: bigint, data: Uint8Array): Promise<void> {
    const buffer = this.device.frontEnd.memory.place(data);
    const hostmem = await this.register(buffer);
    const commands = new Commands().copyToDevice(pointer, hostmem, 0, data.length);
    await this.succeed(commands, READ_STREAM);
    succeeded(await this.unregister(hostmem), "HOSTMEM_UNREGISTER");
  }
}

/** The stream that `read` and `write` use, out of the way of tests that hold others. */
const READ_STREAM = 63;

export function slotAt(stream: number): number {
  return VGPU.TIMELINE_HEADER_BYTES + VGPU.TIMELINE_SLOT_BYTES * stream;
}
