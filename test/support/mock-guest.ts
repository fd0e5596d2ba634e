// SPDX-License-Identifier: Apache-2.0
/**
 * A guest that speaks virtio-vgpu over the mock driver: sessions, contexts with their two pages,
 * requests and submits. Works against a device in this process and against a vgpu-instance.
 */
import {
  CommandWriter,
  decodeResponse,
  hostmemRegisterBytes,
  requestBytes,
  structBytes,
  submitBytes,
} from "../../src/protocol/encode.js";
import {
  ContextCreateRequest,
  InitRequest,
  MemoryAllocRequest,
  MemoryAllocResponse,
  Request,
  type ResponseHeader,
  Status,
  statusName,
  type TimelineSlot,
  VGPU,
} from "../../src/protocol/generated/wire.js";
import { type DevicePointer, pointerFromBigInt } from "../../src/protocol/pointer.js";
import type { MockDriver } from "./mock-driver.js";
import type { GuestBuffer } from "./mock-memory.js";

export interface GuestResponse {
  /** used.len. */
  readonly written: number;
  /** Null where not even a header came. */
  readonly header: ResponseHeader | null;
  /** Name of the status, "" without a header. */
  readonly status: string;
  readonly payload: Uint8Array;
}

/** A context and the pages that its driver gave it. */
export interface GuestContext {
  readonly id: number;
  readonly timeline: GuestBuffer;
  readonly arm: GuestBuffer;
}

/** Room for any response. */
const ROOM = 4096;
const PAGE = VGPU.TIMELINE_PAGE_BYTES;

export class MockGuest {
  readonly driver: MockDriver;
  /** Last fence used on each stream of each context. */
  readonly #fences = new Map<string, bigint>();

  constructor(driver: MockDriver) {
    this.driver = driver;
  }

  /** Sends request bytes as they are. */
  async send(queue: number, bytes: Uint8Array, room = ROOM): Promise<GuestResponse> {
    const answer = await this.driver.request(queue, bytes, room);
    const decoded = decodeResponse(answer);
    return {
      written: answer.length,
      header: decoded?.header ?? null,
      status: decoded ? statusName(decoded.header.status) : "",
      payload: decoded?.payload ?? new Uint8Array(0),
    };
  }

  /** A control request. */
  call(
    type: number,
    context = 0,
    payload: Uint8Array = new Uint8Array(0),
    room = ROOM,
  ): Promise<GuestResponse> {
    return this.send(VGPU.QUEUE_CONTROL, requestBytes(type, context, payload), room);
  }

  init(session = 1n, capabilities = (1n << 64n) - 1n): Promise<GuestResponse> {
    return this.call(Request.INIT, 0, structBytes(InitRequest, { session, capabilities }));
  }

  /** Two pages as a driver would give them to CONTEXT_CREATE, zeroed. */
  pages(): { readonly timeline: GuestBuffer; readonly arm: GuestBuffer } {
    const { memory } = this.driver;
    return { timeline: memory.allocate(PAGE, PAGE), arm: memory.allocate(PAGE, PAGE) };
  }

  tryCreateContext(
    id: number,
    pages: { readonly timeline: number | bigint; readonly arm: number | bigint },
  ): Promise<GuestResponse> {
    const payload = structBytes(ContextCreateRequest, {
      timeline_address: BigInt(pages.timeline),
      arm_address: BigInt(pages.arm),
      name: `process ${id}`,
    });
    return this.call(Request.CONTEXT_CREATE, id, payload);
  }

  async createContext(id: number): Promise<GuestContext> {
    const pages = this.pages();
    const { timeline, arm } = pages;
    ok(await this.tryCreateContext(id, { timeline: timeline.address, arm: arm.address }));
    return { id, ...pages };
  }

  async alloc(context: number, bytes: number): Promise<DevicePointer> {
    const payload = structBytes(MemoryAllocRequest, { bytes: BigInt(bytes), flags: 0n });
    const response = ok(await this.call(Request.MEMORY_ALLOC, context, payload));
    const view = new DataView(response.payload.buffer, response.payload.byteOffset);
    return pointerFromBigInt(MemoryAllocResponse.decode(view, 0).pointer);
  }

  async registerMemory(
    context: number,
    hostmem: number,
    ranges: readonly GuestBuffer[],
  ): Promise<void> {
    const bytes = hostmemRegisterBytes(context, hostmem, ranges);
    ok(await this.send(VGPU.QUEUE_CONTROL, bytes));
  }

  /** Submits with the stream's next fence; resolves with that fence once it is acknowledged. */
  async submit(context: number, stream: number, commands: CommandWriter): Promise<bigint> {
    const key = `${context}/${stream}`;
    const fence = (this.#fences.get(key) ?? 0n) + 1n;
    this.#fences.set(key, fence);
    const bytes = submitBytes(context, stream, fence, commands);
    ok(await this.send(VGPU.QUEUE_SUBMIT, bytes, 32));
    return fence;
  }

  /** Submits and waits for the completion. */
  async run(
    context: GuestContext,
    stream: number,
    fill: (commands: CommandWriter) => void,
  ): Promise<TimelineSlot> {
    const commands = new CommandWriter();
    fill(commands);
    const fence = await this.submit(context.id, stream, commands);
    return this.driver.waitFence(context, stream, fence);
  }
}

/** Throws unless the request succeeded. */
export function ok(response: GuestResponse): GuestResponse {
  if (response.header?.status !== Status.OK)
    throw new Error(`the request failed: ${response.status || "no response"}`);
  return response;
}
