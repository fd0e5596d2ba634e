// SPDX-License-Identifier: Apache-2.0
/**
 * The shared driver-side mock: a whole guest without a virtual machine. It is the vhost-user front
 * end, the guest's memory and the guest's driver in one, connected to a device in this process or
 * to a vgpu-instance by path. High-level calls serve device tests, conformance tests and benches;
 * `frontend`, `memory` and `queues` are open for tests and fuzzers that break rules.
 */
import {
  close,
  connect,
  createPoller,
  drain,
  eventfd,
  loadAcquireBigU64,
  fence as memoryFence,
  nowNs,
  PollEvents,
  recvmsg,
  signal,
  socketpair,
  storeReleaseU64,
} from "../../src/io/native.js";
import { ArmSlot, TimelineSlot, VGPU } from "../../src/protocol/generated/wire.js";
import { createLogger } from "../../src/telemetry/log.js";
import { Connection } from "../../src/vhost-user/connection.js";
import type { VirtioDevice } from "../../src/vhost-user/device.js";
import type { PollingOptions } from "../../src/vhost-user/ring-loop.js";
import { concat, DisconnectedError, MockFrontend, u32s, u64, u64s } from "./mock-frontend.js";
import { type GuestBuffer, MockMemory, type MockRegion } from "./mock-memory.js";
import { MockPackedQueue } from "./mock-packed-queue.js";
import { type DriverQueue, MockQueue } from "./mock-queue.js";

/** Request ids, written down again here so that a wrong number on the device's side shows. */
export const VU = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  RESET_OWNER: 4,
  SET_MEM_TABLE: 5,
  SET_LOG_BASE: 6,
  SET_LOG_FD: 7,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  SET_BACKEND_REQ_FD: 21,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
  GET_INFLIGHT_FD: 31,
  SET_INFLIGHT_FD: 32,
  RESET_DEVICE: 34,
  GET_MAX_MEM_SLOTS: 36,
  ADD_MEM_REG: 37,
  REM_MEM_REG: 38,
} as const;

export const F_LOG_ALL = 1n << 26n;
export const F_INDIRECT_DESC = 1n << 28n;
export const F_EVENT_IDX = 1n << 29n;
export const F_PROTOCOL = 1n << 30n;
export const F_VERSION_1 = 1n << 32n;
export const F_RING_PACKED = 1n << 34n;
export const F_IN_ORDER = 1n << 35n;
export const P_REPLY_ACK = 1n << 3n;
export const P_BACKEND_REQ = 1n << 5n;
export const P_CONFIGURE_MEM_SLOTS = 1n << 15n;
const DRIVER_FEATURES = F_INDIRECT_DESC | F_EVENT_IDX | F_VERSION_1;
const ALL = (1n << 64n) - 1n;
/** How often a wait looks again without a wake-up: a lost interrupt must not look like a hang. */
const WAKE_MS = 1000;

export interface MockDriverOptions {
  /** Driver features to ask for, of those offered; default all but the two below. */
  readonly features?: bigint;
  /** Asks for packed rings, or to have buffers used in order. */
  readonly packed?: boolean;
  readonly inOrder?: boolean;
  /** Protocol features to ask for, of those offered; default all. */
  readonly protocolFeatures?: bigint;
  /** Guest memory; default one region of 16 MiB at 0. */
  readonly regions?: readonly { readonly guestAddress: number; readonly bytes: number }[];
  readonly queueCount?: number;
  readonly queueSize?: number;
  /** Milliseconds after which a wait fails. */
  readonly timeoutMs?: number;
}

export interface InProcessOptions extends MockDriverOptions {
  readonly polling?: PollingOptions;
  /** Gets the device's log lines. */
  readonly log?: (line: string) => void;
}

/** Descriptors and counts of one queue's notifications. */
interface QueueIo {
  readonly queue: DriverQueue;
  readonly kickFd: number;
  readonly callFd: number;
  readonly errFd: number;
  kicks: number;
  calls: number;
  errors: number;
  readonly completions: Map<number, (written: number) => void>;
}

export interface RequestOptions {
  /** Put the descriptors into an indirect table. */
  readonly indirect?: boolean;
}

export class MockDriver {
  frontend: MockFrontend;
  readonly memory = new MockMemory();
  features = 0n;
  protocolFeatures = 0n;
  /** CONFIG_CHANGE messages that came on the back-end channel. */
  configChanges = 0;
  /** The device's side, when it lives in this process. */
  connection: Connection | null = null;
  readonly #options: MockDriverOptions;
  readonly #io: QueueIo[] = [];
  readonly #eventBuffers = new Map<number, GuestBuffer>();
  readonly #events: Uint8Array[] = [];
  readonly #closers: (() => void)[] = [];
  #wakers: (() => void)[] = [];

  /** Owns the connected, non-blocking socket. Nothing is sent before `start` or `negotiate`. */
  constructor(fd: number, options: MockDriverOptions = {}) {
    this.frontend = new MockFrontend(fd);
    this.#options = options;
    void this.frontend.disconnected.then(() => this.#wake());
    for (const region of options.regions ?? [{ guestAddress: 0, bytes: 16 << 20 }])
      this.memory.addRegion(region);
  }

  /** A driver on a device in this process: the session runs in this event loop. */
  static inProcess(device: VirtioDevice, options: InProcessOptions = {}): MockDriver {
    const [ours, theirs] = socketpair();
    const driver = new MockDriver(ours, options);
    driver.#serve(theirs, device, options);
    return driver;
  }

  /**
   * The connection ends without a word, and another device takes its place; memory and rings stay
   * as they are. What the front end has to say is said by the caller, as at first.
   */
  reconnectInProcess(device: VirtioDevice, options: InProcessOptions = {}): void {
    this.frontend.close();
    for (const closer of this.#closers.splice(0)) closer();
    const [ours, theirs] = socketpair();
    this.frontend = new MockFrontend(ours);
    for (const io of this.#io) this.#watch(io);
    this.#serve(theirs, device, options);
  }

  #serve(fd: number, device: VirtioDevice, options: InProcessOptions): void {
    const poller = createPoller();
    this.connection = new Connection({
      fd,
      device,
      poller,
      log: createLogger({ name: "mock", level: "debug", write: options.log ?? (() => {}) }),
      ...(options.polling ? { polling: options.polling } : {}),
    });
    this.#closers.push(() => {
      this.connection?.close("the mock driver ends");
      poller.close();
    });
  }

  /** A driver on a vgpu-instance that listens at `path`. */
  static connectPath(path: string, options: MockDriverOptions = {}): MockDriver {
    return new MockDriver(connect(path), options);
  }

  /** Everything up to running rings. */
  async start(): Promise<this> {
    await this.negotiate();
    await this.shareMemory();
    await this.startQueues();
    return this;
  }

  /** Features and protocol features: what is offered and asked for. */
  async negotiate(): Promise<void> {
    const { frontend } = this;
    const offered = await frontend.query64(VU.GET_FEATURES);
    const { packed, inOrder } = this.#options;
    const asked = DRIVER_FEATURES | (packed ? F_RING_PACKED : 0n) | (inOrder ? F_IN_ORDER : 0n);
    this.features = offered & (this.#options.features ?? ALL) & asked;
    if ((offered & F_PROTOCOL) !== 0n) {
      this.features |= offered & F_PROTOCOL & (this.#options.features ?? ALL);
      const protocol = await frontend.query64(VU.GET_PROTOCOL_FEATURES);
      this.protocolFeatures = protocol & (this.#options.protocolFeatures ?? ALL);
      await frontend.set(VU.SET_PROTOCOL_FEATURES, u64(this.protocolFeatures));
      frontend.acknowledge = (this.protocolFeatures & P_REPLY_ACK) !== 0n;
    }
    await frontend.set(VU.SET_OWNER, new Uint8Array(0));
    if ((this.protocolFeatures & P_BACKEND_REQ) !== 0n) await this.openBackendChannel();
    await frontend.set(VU.SET_FEATURES, u64(this.features));
  }

  /** Tells the device all regions: one by one with memory slots, else in a table. */
  async shareMemory(): Promise<void> {
    if ((this.protocolFeatures & P_CONFIGURE_MEM_SLOTS) === 0n) return this.shareTable();
    for (const region of this.memory.regions) await this.shareRegion(region);
  }

  async shareTable(regions: readonly MockRegion[] = this.memory.regions): Promise<void> {
    const payload = concat(u32s(regions.length, 0), ...regions.map(regionPayload));
    await this.frontend.set(
      VU.SET_MEM_TABLE,
      payload,
      regions.map((region) => region.fd),
    );
  }

  async shareRegion(region: MockRegion): Promise<void> {
    await this.frontend.set(VU.ADD_MEM_REG, slotPayload(region), [region.fd]);
  }

  async unshareRegion(region: MockRegion): Promise<void> {
    await this.frontend.set(VU.REM_MEM_REG, slotPayload(region));
  }

  /** Creates and starts all rings; enables them if the protocol has that. */
  async startQueues(): Promise<void> {
    const count = this.#options.queueCount ?? 3;
    for (let index = 0; index < count; index++) {
      this.addQueue(index);
      await this.startQueue(index);
    }
    if ((this.features & F_PROTOCOL) === 0n) return;
    for (let index = 0; index < count; index++) await this.enableQueue(index, true);
  }

  /** Lays a ring out in guest memory. */
  addQueue(index: number, size = this.#options.queueSize ?? 64): DriverQueue {
    const eventIndex = (this.features & F_EVENT_IDX) !== 0n;
    const packed = (this.features & F_RING_PACKED) !== 0n;
    const queue = packed
      ? new MockPackedQueue(index, this.memory, { size, eventIndex })
      : new MockQueue(index, this.memory, { size, eventIndex });
    const io: QueueIo = {
      queue,
      kickFd: eventfd(),
      callFd: eventfd(),
      errFd: eventfd(),
      kicks: 0,
      calls: 0,
      errors: 0,
      completions: new Map(),
    };
    this.#io[index] = io;
    this.#watch(io);
    return queue;
  }

  /** Hears interrupts and errors of a queue. */
  #watch(io: QueueIo): void {
    const { poller } = this.frontend;
    poller.watch(io.callFd, PollEvents.readable, () => {
      drain(io.callFd);
      io.calls++;
      this.#collect(io);
      this.#wake();
    });
    poller.watch(io.errFd, PollEvents.readable, () => {
      drain(io.errFd);
      io.errors++;
      this.#wake();
    });
  }

  /** The messages that start a laid-out ring, in the order that QEMU sends them. */
  async startQueue(index: number, at?: number): Promise<void> {
    const { frontend } = this;
    const io = this.#queueIo(index);
    const base = at ?? (io.queue.packed ? io.queue.base : 0);
    await frontend.set(VU.SET_VRING_NUM, u32s(index, io.queue.size));
    await frontend.set(VU.SET_VRING_BASE, u32s(index, base));
    await frontend.set(VU.SET_VRING_ADDR, this.vringAddress(index));
    await frontend.set(VU.SET_VRING_ERR, u64(index), [io.errFd]);
    await frontend.set(VU.SET_VRING_KICK, u64(index), [io.kickFd]);
    await frontend.set(VU.SET_VRING_CALL, u64(index), [io.callFd]);
  }

  /** Single messages of the start, without waiting: for recorded scenarios. */
  sendKick(index: number): void {
    const fds = [this.#queueIo(index).kickFd];
    this.frontend.send({ request: VU.SET_VRING_KICK, payload: u64(index), fds });
  }

  sendCallAndErr(index: number): void {
    const { callFd, errFd } = this.#queueIo(index);
    this.frontend.send({ request: VU.SET_VRING_CALL, payload: u64(index), fds: [callFd] });
    this.frontend.send({ request: VU.SET_VRING_ERR, payload: u64(index), fds: [errFd] });
  }

  async enableQueue(index: number, on: boolean): Promise<void> {
    await this.frontend.set(VU.SET_VRING_ENABLE, u32s(index, on ? 1 : 0));
  }

  /** Stops a ring; returns its base. */
  async stopQueue(index: number): Promise<number> {
    const payload = await this.frontend.query(VU.GET_VRING_BASE, u32s(index, 0));
    return new DataView(payload.buffer, payload.byteOffset).getUint32(4, true);
  }

  /** Payload of SET_VRING_ADDR for a laid-out ring. */
  vringAddress(index: number, change: Partial<VringAddressFields> = {}): Uint8Array {
    const { queue } = this.#queueIo(index);
    const user = (buffer: GuestBuffer): bigint => this.memory.userAddress(buffer.address);
    const fields: VringAddressFields = {
      flags: 0,
      descriptors: user(queue.descriptors),
      used: user(queue.used),
      available: user(queue.available),
      log: 0,
      ...change,
    };
    return concat(
      u32s(index, fields.flags),
      u64s(fields.descriptors, fields.used, fields.available, fields.log),
    );
  }

  queue(index: number): MockQueue {
    const { queue } = this.#queueIo(index);
    if (!(queue instanceof MockQueue)) throw new Error(`queue ${index} is not a split one`);
    return queue;
  }

  packedQueue(index: number): MockPackedQueue {
    const { queue } = this.#queueIo(index);
    if (!(queue instanceof MockPackedQueue)) throw new Error(`queue ${index} is not a packed one`);
    return queue;
  }

  /** A queue of either format. */
  anyQueue(index: number): DriverQueue {
    return this.#queueIo(index).queue;
  }

  /** How often a ring was kicked, called, and reported broken. */
  counts(index: number): { kicks: number; calls: number; errors: number } {
    const { kicks, calls, errors } = this.#queueIo(index);
    return { kicks, calls, errors };
  }

  /** Makes added chains visible, and kicks if the device asks for it (or always, with force). */
  kick(index: number, force = false): void {
    const io = this.#queueIo(index);
    if (!io.queue.publish() && !force) return;
    io.kicks++;
    signal(io.kickFd);
  }

  /**
   * Puts one chain on a queue and waits until it comes back. `readable` is copied into guest
   * memory, `writableBytes` of guest memory follow. Resolves with the bytes that were written.
   */
  async request(
    index: number,
    readable: Uint8Array | readonly Uint8Array[],
    writableBytes: number,
    options: RequestOptions = {},
  ): Promise<Uint8Array> {
    const parts = readable instanceof Uint8Array ? [readable] : readable;
    const buffers = parts.filter((part) => part.length > 0).map((part) => this.#lease(part));
    const into = writableBytes > 0 ? [this.memory.lease(writableBytes)] : [];
    try {
      const written = await this.complete(index, buffers, into, options);
      const [room] = into;
      return room ? this.memory.read(room.address, written) : new Uint8Array(0);
    } finally {
      for (const buffer of [...buffers, ...into]) this.memory.giveBack(buffer);
    }
  }

  /** As `request`, with buffers of guest memory; resolves with used.len. */
  async complete(
    index: number,
    readable: readonly GuestBuffer[],
    writable: readonly GuestBuffer[],
    options: RequestOptions = {},
  ): Promise<number> {
    const io = this.#queueIo(index);
    let head = io.queue.add(readable, writable, options);
    while (head < 0) {
      await this.#progress(io, () => io.queue.free >= readable.length + writable.length);
      head = io.queue.add(readable, writable, options);
    }
    return this.completion(index, head);
  }

  /** Publishes and kicks, and waits until the chain with this head comes back. */
  async completion(index: number, head: number): Promise<number> {
    const io = this.#queueIo(index);
    let written: number | null = null;
    io.completions.set(head, (bytes) => {
      written = bytes;
    });
    this.kick(index);
    await this.#progress(io, () => written !== null);
    return written ?? 0;
  }

  /** A control request: request bytes, header included, to response bytes. */
  control(request: Uint8Array, responseBytes = 4096): Promise<Uint8Array> {
    return this.request(VGPU.QUEUE_CONTROL, request, responseBytes);
  }

  /** A submit request: header, submit_request and commands, to the response. */
  submit(request: Uint8Array, responseBytes = 32): Promise<Uint8Array> {
    return this.request(VGPU.QUEUE_SUBMIT, request, responseBytes);
  }

  /** Offers `count` buffers for events. */
  postEvents(count: number, bytes = 32): void {
    const io = this.#queueIo(VGPU.QUEUE_EVENT);
    for (let i = 0; i < count; i++) this.#postEvent(io, this.memory.lease(bytes));
    this.kick(VGPU.QUEUE_EVENT);
  }

  /** The next event's bytes; its buffer is offered again. */
  async nextEvent(): Promise<Uint8Array> {
    const io = this.#queueIo(VGPU.QUEUE_EVENT);
    await this.#progress(io, () => this.#events.length > 0);
    const event = this.#events.shift();
    if (event === undefined) throw new Error("the mock driver lost an event");
    return event;
  }

  /** Events that came and were not taken. */
  get pendingEvents(): number {
    for (const io of this.#io) if (io) this.#collect(io);
    return this.#events.length;
  }

  /** Waits for a fence as a driver does: timeline, arm, timeline again, interrupt. */
  async waitFence(
    pages: { readonly timeline: GuestBuffer; readonly arm: GuestBuffer },
    stream: number,
    fence: bigint,
  ): Promise<TimelineSlot> {
    const at = VGPU.TIMELINE_HEADER_BYTES + VGPU.TIMELINE_SLOT_BYTES * stream;
    const timeline = this.memory.viewOf(pages.timeline);
    const arm = this.memory.viewOf(pages.arm);
    const done = (): boolean => loadAcquireBigU64(timeline, at + TimelineSlot.at.fence) >= fence;
    const io = this.#queueIo(VGPU.QUEUE_EVENT);
    await this.#progress(io, () => {
      if (done()) return true;
      storeReleaseU64(arm, at + ArmSlot.at.fence, fence);
      memoryFence();
      return done();
    });
    return TimelineSlot.decode(new DataView(timeline.buffer, timeline.byteOffset), at);
  }

  /** Waits until `ready`, looking again after each interrupt, error or disconnect. */
  async until(ready: () => boolean, what: string): Promise<void> {
    const deadlineNs = nowNs() + (this.#options.timeoutMs ?? 20_000) * 1e6;
    while (!ready()) {
      if (!this.frontend.connected) throw new DisconnectedError(`disconnected while ${what}`);
      const leftMs = (deadlineNs - nowNs()) / 1e6;
      if (leftMs <= 0) throw new Error(`timed out while ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(leftMs, WAKE_MS));
        this.#wakers.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  /** Opens the channel for the device's own messages. */
  async openBackendChannel(): Promise<void> {
    const [ours, theirs] = socketpair();
    await this.frontend.set(VU.SET_BACKEND_REQ_FD, new Uint8Array(0), [theirs]);
    close(theirs);
    const bytes = new Uint8Array(12);
    this.frontend.poller.watch(ours, PollEvents.readable, () => {
      const received = recvmsg(ours, bytes, 0, bytes.length, 0).bytes;
      if (received <= 0) this.frontend.poller.unwatch(ours);
      if (received === 12 && bytes[0] === 2) this.configChanges++;
      this.#wake();
    });
    this.#closers.push(() => close(ours));
  }

  /** Ends both sides and frees everything. */
  close(): void {
    for (const closer of this.#closers.splice(0)) closer();
    for (const io of this.#io.splice(0)) {
      if (io) for (const fd of [io.kickFd, io.callFd, io.errFd]) close(fd);
    }
    this.frontend.close();
    this.memory.close();
  }

  #queueIo(index: number): QueueIo {
    const io = this.#io[index];
    if (io === undefined) throw new Error(`the mock driver has no queue ${index}`);
    return io;
  }

  #lease(data: Uint8Array): GuestBuffer {
    const buffer = this.memory.lease(data.length);
    this.memory.write(buffer.address, data);
    return buffer;
  }

  #postEvent(io: QueueIo, buffer: GuestBuffer): void {
    const head = io.queue.add([], [buffer]);
    if (head < 0) throw new Error("the event queue is full");
    this.#eventBuffers.set(head, buffer);
  }

  #collect(io: QueueIo): void {
    let reposted = false;
    for (const { head, written } of io.queue.takeUsed()) {
      const buffer = io.queue.index === VGPU.QUEUE_EVENT ? this.#eventBuffers.get(head) : undefined;
      if (buffer !== undefined) {
        this.#eventBuffers.delete(head);
        this.#events.push(this.memory.read(buffer.address, written));
        this.#postEvent(io, buffer);
        reposted = true;
      }
      io.completions.get(head)?.(written);
      io.completions.delete(head);
    }
    if (reposted) this.kick(io.queue.index);
  }

  /** As `until`, taking what came back on a ring and asking for interrupts before sleeping. */
  #progress(io: QueueIo, ready: () => boolean): Promise<void> {
    return this.until(() => {
      do this.#collect(io);
      while (!ready() && io.queue.enableInterrupts(true));
      return ready();
    }, `waiting on queue ${io.queue.index}`);
  }

  #wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }
}

interface VringAddressFields {
  readonly flags: number;
  readonly descriptors: bigint;
  readonly used: bigint;
  readonly available: bigint;
  readonly log: number | bigint;
}

/** Payload of one region, as in SET_MEM_TABLE. */
export function regionPayload(region: Omit<MockRegion, "fd" | "mapping">): Uint8Array {
  return u64s(region.guestAddress, region.bytes, region.userAddress, region.mmapOffset);
}

/** Payload of ADD_MEM_REG and REM_MEM_REG. */
export function slotPayload(region: Omit<MockRegion, "fd" | "mapping">): Uint8Array {
  return concat(u64(0), regionPayload(region));
}
