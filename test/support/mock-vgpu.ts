// SPDX-License-Identifier: Apache-2.0
/**
 * A virtio-vgpu device that does nothing but obey and misbehave: it knows contexts, registrations,
 * fences and events, no GPU. Commands above 0x8000 tell it, from inside the guest, to break the
 * rules in one way each, so that the guest driver's answers can be tested. Never for real use.
 */
import type { GuestAddress } from "../../src/io/guest-memory.js";
import { guestAddress } from "../../src/io/guest-memory.js";
import {
  CapabilitiesResponse,
  Config,
  ContextCreateRequest,
  EventMessage,
  EventType,
  HostmemEntry,
  HostmemRegisterRequest,
  HostmemUnregisterRequest,
  InitResponse,
  Request,
  RequestHeader,
  ResponseHeader,
  Status,
  SubmitRequest,
  TimelineHeader,
  VGPU,
} from "../../src/protocol/generated/wire.js";
import type { DeviceTransport, VirtioDevice } from "../../src/vhost-user/device.js";
import type { Chain } from "../../src/virtqueue/types.js";

/** Opcodes with one u64 argument after the command header; the guest program has the same list. */
export const Mischief = {
  /** Completes this and the stream's later submissions after so many milliseconds. */
  delay: 0x8001,
  /** Writes a fence that was never submitted. */
  futureFence: 0x8002,
  /** Loses all state and says so by an event. */
  epochEvent: 0x8003,
  /** Shows a new epoch on the timeline page alone. */
  epochTimeline: 0x8004,
  /** Loses all state and says nothing. */
  amnesia: 0x8005,
  /** Refuses this submission and forgets its fence. */
  refuse: 0x8006,
  /** Claims to have written so many bytes (fewer than there are) of the next control response. */
  usedLength: 0x8007,
  /** Answers the next control request after so many milliseconds. */
  slowControl: 0x8008,
  /** Answers no control request for so many milliseconds; what comes in them is lost. */
  mute: 0x8009,
  /** Sends event messages that make no sense. */
  badEvents: 0x800a,
  /** Adds 1 to every byte of the registration. */
  increment: 0x800b,
  /** Never interrupts for fences any more. */
  silent: 0x800c,
  /** Leaves the submit queue alone for so many milliseconds. */
  stall: 0x800d,
} as const;

interface Slot {
  fence: bigint;
  readyAt: number;
}

interface MockContext {
  readonly timeline: GuestAddress;
  readonly arm: GuestAddress;
  readonly hostmems: Map<number, { address: GuestAddress; bytes: number }[]>;
  readonly streams: Map<number, Slot>;
}

const CONTEXTS_MAX = 8;
const HOSTMEMS_MAX = 64;

/** The views' bytes in one private array. */
function gather(views: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(views.reduce((sum, view) => sum + view.length, 0));
  let at = 0;
  for (const view of views) {
    all.set(view, at);
    at += view.length;
  }
  return all;
}

function scatter(views: readonly Uint8Array[], bytes: Uint8Array): number {
  let at = 0;
  for (const view of views) {
    const part = bytes.subarray(at, at + view.length);
    view.set(part);
    at += part.length;
  }
  return at;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function response(status: number, payload = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(ResponseHeader.bytes + payload.length);
  const header = { status, payload_bytes: payload.length, value: 0n, limit: 0n, subject: 0 };
  ResponseHeader.encode(viewOf(bytes), 0, header);
  bytes.set(payload, ResponseHeader.bytes);
  return bytes;
}

export class MockVgpu implements VirtioDevice {
  readonly deviceFeatures = 0n;
  readonly queueCount = VGPU.QUEUE_COUNT;
  readonly queueSizeMax = 256;
  readonly configBytes = VGPU.CONFIG_SPACE_BYTES;
  readonly busy = false;
  #transport: DeviceTransport | null = null;
  #session = 0n;
  #epoch = 1000;
  #contexts = new Map<number, MockContext>();
  #usedLength: number | null = null;
  #slowMs = 0;
  #mute = false;
  #silent = false;
  #stalled = false;

  readConfig(offset: number, into: Uint8Array): void {
    const bytes = new Uint8Array(VGPU.CONFIG_SPACE_BYTES);
    Config.encode(viewOf(bytes), 0, {
      magic: VGPU.MAGIC,
      version: VGPU.VERSION,
      queue_count: VGPU.QUEUE_COUNT,
      contexts_max: CONTEXTS_MAX,
      streams_max: VGPU.STREAMS_MAX,
      control_request_bytes_max: VGPU.CONTROL_REQUEST_BYTES_MAX,
      submit_bytes_max: VGPU.SUBMIT_BYTES_MAX,
      hostmem_entries_max: VGPU.HOSTMEM_ENTRIES_MAX,
      capabilities: 1n,
    });
    into.set(bytes.subarray(offset, offset + into.length));
  }

  writeConfig(): boolean {
    return false;
  }

  attach(transport: DeviceTransport): void {
    this.#transport = transport;
  }

  detach(): void {
    this.#transport = null;
    this.reset();
  }

  ringsChanged(): void {}

  memoryChanged(): void {}

  reset(): void {
    this.#contexts.clear();
    this.#session = 0n;
    this.#mute = false;
    this.#silent = false;
  }

  processQueue(index: number): void {
    const queue = this.#transport?.queue(index);
    if (!queue || index === VGPU.QUEUE_EVENT) return;
    if (index === VGPU.QUEUE_SUBMIT && this.#stalled) return;
    for (let chain = queue.pop(); chain !== null; chain = queue.pop()) {
      if (index === VGPU.QUEUE_CONTROL) this.#control(chain);
      else queue.push(chain, scatter(chain.writable, response(this.#submit(chain))));
      if (index === VGPU.QUEUE_SUBMIT && this.#stalled) break;
    }
    queue.flush();
  }

  // -- control queue ----------------------------------------------------------------------------

  #control(chain: Chain): void {
    if (this.#mute) return;
    const bytes = gather(chain.readable);
    const answer = this.#answer(viewOf(bytes), RequestHeader.decode(viewOf(bytes), 0));
    const used = this.#usedLength;
    const delay = this.#slowMs;
    this.#usedLength = null;
    this.#slowMs = 0;
    const give = (): void => {
      const queue = this.#transport?.queue(VGPU.QUEUE_CONTROL);
      if (!queue) return;
      const written = scatter(chain.writable, answer.subarray(0, chain.writableBytes));
      queue.push(chain, used ?? written);
      queue.flush();
    };
    if (delay > 0) setTimeout(give, delay);
    else give();
  }

  #answer(view: DataView, header: RequestHeader): Uint8Array {
    if (header.type === Request.INIT) return this.#init(view);
    if (this.#session === 0n) return response(Status.NOT_INITIALISED);
    if (header.type === Request.GET_CAPABILITIES) return this.#capabilities();
    if (header.type === Request.CONTEXT_CREATE) return response(this.#create(view, header.context));
    const context = this.#contexts.get(header.context);
    if (context === undefined) return response(Status.CONTEXT_UNKNOWN);
    switch (header.type) {
      case Request.CONTEXT_DESTROY:
        this.#contexts.delete(header.context);
        return response(Status.OK);
      case Request.HOSTMEM_REGISTER:
        return response(this.#register(view, context));
      case Request.HOSTMEM_UNREGISTER: {
        const { hostmem } = HostmemUnregisterRequest.decode(view, RequestHeader.bytes);
        return response(context.hostmems.delete(hostmem) ? Status.OK : Status.HANDLE_UNKNOWN);
      }
      case Request.MEMORY_INFO: {
        // Anything recognisable: how many registrations there are.
        const payload = new Uint8Array(32);
        viewOf(payload).setBigUint64(0, BigInt(context.hostmems.size), true);
        viewOf(payload).setBigUint64(8, BigInt(this.#contexts.size), true);
        return response(Status.OK, payload);
      }
      default:
        return response(Status.NOT_SUPPORTED);
    }
  }

  #init(view: DataView): Uint8Array {
    this.#session = view.getBigUint64(RequestHeader.bytes, true);
    this.#contexts.clear();
    const payload = new Uint8Array(InitResponse.bytes);
    const answer = { epoch: this.#epoch, version: VGPU.VERSION, capabilities: 1n };
    InitResponse.encode(viewOf(payload), 0, answer);
    return response(Status.OK, payload);
  }

  #capabilities(): Uint8Array {
    const payload = new Uint8Array(CapabilitiesResponse.bytes);
    const at = CapabilitiesResponse.at.hostmems_max;
    viewOf(payload).setUint32(at, HOSTMEMS_MAX, true);
    return response(Status.OK, payload);
  }

  #create(view: DataView, id: number): number {
    if (id >= CONTEXTS_MAX) return Status.CONTEXT_LIMIT;
    if (this.#contexts.has(id)) return Status.CONTEXT_EXISTS;
    const request = ContextCreateRequest.decode(view, RequestHeader.bytes);
    const timeline = guestAddress(request.timeline_address);
    const arm = guestAddress(request.arm_address);
    if (timeline === null || arm === null) return Status.GUEST_ADDRESS;
    const context = { timeline, arm, hostmems: new Map(), streams: new Map() };
    const page = this.#page(timeline);
    if (page === null || this.#page(arm) === null) return Status.GUEST_ADDRESS;
    const header = { magic: VGPU.TIMELINE_MAGIC, epoch: this.#epoch };
    TimelineHeader.encode(page, 0, { ...header, context_status: Status.OK, error_stream: 0 });
    this.#contexts.set(id, context);
    return Status.OK;
  }

  #register(view: DataView, context: MockContext): number {
    const request = HostmemRegisterRequest.decode(view, RequestHeader.bytes);
    const first = RequestHeader.bytes + HostmemRegisterRequest.bytes;
    const entries: { address: GuestAddress; bytes: number }[] = [];
    let sum = 0n;
    for (let i = 0; i < request.entry_count; i++) {
      const entry = HostmemEntry.decode(view, first + i * HostmemEntry.bytes);
      const address = guestAddress(entry.address);
      const bytes = Number(entry.bytes);
      if (address === null || bytes === 0) return Status.GUEST_ADDRESS;
      if (this.#transport?.memory.translate(address, bytes) == null) return Status.GUEST_ADDRESS;
      entries.push({ address, bytes });
      sum += entry.bytes;
    }
    if (sum !== request.bytes) return Status.MALFORMED;
    if (request.hostmem >= HOSTMEMS_MAX) return Status.HANDLE_LIMIT;
    if (context.hostmems.has(request.hostmem)) return Status.HANDLE_EXISTS;
    context.hostmems.set(request.hostmem, entries);
    return Status.OK;
  }

  // -- submit queue -----------------------------------------------------------------------------

  #submit(chain: Chain): number {
    const view = viewOf(gather(chain.readable));
    if (this.#session === 0n) return Status.NOT_INITIALISED;
    const { context: id } = RequestHeader.decode(view, 0);
    const context = this.#contexts.get(id);
    if (context === undefined) return Status.CONTEXT_UNKNOWN;
    const request = SubmitRequest.decode(view, RequestHeader.bytes);
    let at: number = RequestHeader.bytes + SubmitRequest.bytes;
    let delay = 0;
    for (let i = 0; i < request.command_count; i++) {
      const opcode = view.getUint16(at, true);
      const bytes = view.getUint32(at + 4, true);
      const argument = bytes >= 16 ? Number(view.getBigUint64(at + 8, true)) : 0;
      if (opcode === Mischief.refuse) return Status.MALFORMED;
      if (opcode === Mischief.delay) delay = argument;
      else this.#misbehave(opcode, argument, context, request.stream);
      at += bytes;
    }
    this.#complete(context, id, request.stream, request.fence, delay);
    return Status.OK;
  }

  #complete(context: MockContext, id: number, stream: number, fence: bigint, delay: number): void {
    const now = performance.now();
    const slot = context.streams.get(stream) ?? { fence: 0n, readyAt: 0 };
    slot.readyAt = Math.max(slot.readyAt, now + delay);
    context.streams.set(stream, slot);
    const done = (): void => {
      // The context may have gone, or the session with it.
      if (this.#contexts.get(id) !== context) return;
      if (fence > slot.fence) slot.fence = fence;
      this.#show(context, id, stream, slot.fence);
    };
    if (slot.readyAt <= now) done();
    else setTimeout(done, slot.readyAt - now);
  }

  /** Writes the fence, then looks at the arm slot: the order that the specification asks for. */
  #show(context: MockContext, id: number, stream: number, fence: bigint): void {
    const timeline = this.#page(context.timeline);
    const arm = this.#page(context.arm);
    if (timeline === null || arm === null) return;
    const at = VGPU.TIMELINE_HEADER_BYTES + VGPU.TIMELINE_SLOT_BYTES * stream;
    const slot = new BigUint64Array(timeline.buffer, timeline.byteOffset + at, 1);
    const armed = new BigUint64Array(arm.buffer, arm.byteOffset + at, 1);
    const before = Atomics.load(slot, 0);
    Atomics.store(slot, 0, fence);
    const wanted = Atomics.load(armed, 0);
    if (before < wanted && wanted <= fence && !this.#silent) this.#event(EventType.FENCE, id);
  }

  // -- what a device must not do ----------------------------------------------------------------

  #misbehave(opcode: number, argument: number, context: MockContext, stream: number): void {
    switch (opcode) {
      case Mischief.futureFence:
        context.streams.set(stream, { fence: BigInt(argument), readyAt: 0 });
        break;
      case Mischief.epochEvent:
        this.#forget();
        this.#event(EventType.EPOCH, 0);
        break;
      case Mischief.epochTimeline: {
        this.#epoch++;
        this.#page(context.timeline)?.setUint32(TimelineHeader.at.epoch, this.#epoch, true);
        break;
      }
      case Mischief.amnesia:
        this.#forget();
        break;
      case Mischief.usedLength:
        this.#usedLength = argument;
        break;
      case Mischief.slowControl:
        this.#slowMs = argument;
        break;
      case Mischief.mute:
        this.#mute = true;
        setTimeout(() => {
          this.#mute = false;
        }, argument);
        break;
      case Mischief.silent:
        this.#silent = true;
        break;
      case Mischief.stall:
        this.#stalled = true;
        setTimeout(() => {
          this.#stalled = false;
          this.processQueue(VGPU.QUEUE_SUBMIT);
        }, argument);
        break;
      case Mischief.badEvents:
        this.#event(EventType.FENCE, 0xffffffff);
        this.#event(77, 0);
        this.#event(EventType.FENCE, 0, 4);
        break;
      case Mischief.increment:
        this.#increment(context, argument);
        break;
    }
  }

  #forget(): void {
    this.#epoch++;
    this.#session = 0n;
    this.#contexts.clear();
  }

  #increment(context: MockContext, hostmem: number): void {
    for (const { address, bytes } of context.hostmems.get(hostmem) ?? []) {
      for (const piece of this.#transport?.memory.translate(address, bytes) ?? []) {
        for (let i = 0; i < piece.length; i++) piece[i] = ((piece[i] ?? 0) + 1) & 0xff;
      }
    }
  }

  #event(type: number, context: number, written: number = EventMessage.bytes): void {
    const queue = this.#transport?.queue(VGPU.QUEUE_EVENT);
    const chain = queue?.pop();
    if (!queue || !chain) return;
    const bytes = new Uint8Array(EventMessage.bytes);
    EventMessage.encode(viewOf(bytes), 0, { type, context, epoch: this.#epoch, value: 0n });
    scatter(chain.writable, bytes);
    queue.push(chain, written);
    queue.flush();
  }

  #page(address: GuestAddress): DataView | null {
    const pieces = this.#transport?.memory.translate(address, VGPU.TIMELINE_PAGE_BYTES) ?? null;
    const piece = pieces?.[0];
    return piece?.length === VGPU.TIMELINE_PAGE_BYTES ? viewOf(piece) : null;
  }
}
