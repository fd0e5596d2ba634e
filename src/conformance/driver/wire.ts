// SPDX-License-Identifier: Apache-2.0
/**
 * The vhost-user socket, from the front end's side: messages whole, in fragments or wrong, with any
 * descriptors, and whatever comes back. It checks the frame of each reply and nothing else.
 */
import {
  close,
  connect,
  createPoller,
  PollEvents,
  type Poller,
  recvmsg,
  sendmsg,
} from "../../io/native.js";
import { Violation } from "../framework/check.js";

/** Front-end requests of the vhost-user protocol. */
export const Vhost = {
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
  SET_STATUS: 39,
  GET_STATUS: 40,
} as const;

export const HEADER_BYTES = 12;
const VERSION = 1;
const REPLY = 4;
export const NEED_REPLY = 8;
/** Nothing that a back end answers is larger. */
const PAYLOAD_BYTES_MAX = 65536;

export interface Message {
  readonly request: number;
  readonly payload?: Uint8Array;
  readonly fds?: readonly number[];
  readonly needReply?: boolean;
}

export interface Reply {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  /** Owned by whoever takes the reply. */
  readonly fds: number[];
}

export function frame(
  request: number,
  payload: Uint8Array,
  options: { readonly flags?: number; readonly size?: number } = {},
): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, request, true);
  view.setUint32(4, options.flags ?? VERSION, true);
  view.setUint32(8, options.size ?? payload.length, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}

export class Wire {
  readonly poller: Poller = createPoller();
  readonly #fd: number;
  readonly #replies: Reply[] = [];
  #received: Uint8Array = new Uint8Array(0);
  #fds: number[] = [];
  #closed = false;
  #broken: Error | null = null;
  #wake: (() => void)[] = [];

  constructor(path: string) {
    this.#fd = connect(path);
    this.poller.watch(this.#fd, PollEvents.readable, () => this.#readable());
  }

  /** Whether the back end closed the connection. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Replies that nobody took. */
  get pending(): number {
    return this.#replies.length;
  }

  send(message: Message): void {
    const payload = message.payload ?? new Uint8Array(0);
    const flags = VERSION | (message.needReply === true ? NEED_REPLY : 0);
    this.sendBytes(frame(message.request, payload, { flags }), message.fds ?? []);
  }

  /** Sends bytes as they are. A connection that the back end closed swallows them. */
  sendBytes(bytes: Uint8Array, fds: readonly number[] = []): void {
    try {
      const sent = sendmsg(this.#fd, bytes, fds);
      if (sent !== bytes.length) throw new Violation("the back end does not read its socket");
    } catch (error) {
      if (error instanceof Violation) throw error;
      this.#end();
    }
  }

  /** The next reply. Throws a Violation when the connection ends first. */
  async reply(what: string): Promise<Reply> {
    await this.until(() => this.#replies.length > 0 || this.#closed);
    const reply = this.#replies.shift();
    if (this.#broken !== null) throw this.#broken;
    if (reply === undefined)
      throw new Violation(`the back end closes the connection in place of a reply to ${what}`);
    return reply;
  }

  /** Resolves when the back end has closed, or when a reply came: which of both. */
  async replyOrClosed(): Promise<Reply | null> {
    await this.until(() => this.#replies.length > 0 || this.#closed);
    return this.#replies.shift() ?? null;
  }

  /** Waits until a condition holds that a watched descriptor can make true. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }

  /** Something has happened: those who wait look again. */
  wake(): void {
    const waiting = this.#wake;
    this.#wake = [];
    for (const resolve of waiting) resolve();
  }

  /** Ends the connection from this side. */
  close(): void {
    if (!this.#closed) this.#end();
    this.poller.close();
    for (const reply of this.#replies.splice(0)) for (const fd of reply.fds) close(fd);
    for (const fd of this.#fds.splice(0)) close(fd);
  }

  #end(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.poller.unwatch(this.#fd);
    close(this.#fd);
    this.wake();
  }

  #readable(): void {
    const chunk = new Uint8Array(PAYLOAD_BYTES_MAX);
    for (;;) {
      let got: ReturnType<typeof recvmsg>;
      try {
        got = recvmsg(this.#fd, chunk, 0, chunk.length, 8);
      } catch {
        this.#end();
        return;
      }
      this.#fds.push(...got.fds);
      if (got.bytes < 0) break;
      if (got.bytes === 0) {
        this.#end();
        return;
      }
      this.#received = joined(this.#received, chunk.subarray(0, got.bytes));
      this.#take();
    }
    this.wake();
  }

  #take(): void {
    for (;;) {
      const bytes = this.#received;
      if (bytes.length < HEADER_BYTES) return;
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const [request, flags, size] = [0, 4, 8].map((at) => view.getUint32(at, true));
      if (request === undefined || flags === undefined || size === undefined) return;
      if (flags !== (VERSION | REPLY) || size > PAYLOAD_BYTES_MAX) {
        const text = `the reply to request ${request} has flags 0x${flags.toString(16)}`;
        this.#broken = new Violation(`${text} and ${size} bytes; the flags have to be 0x5`);
        this.#end();
        return;
      }
      if (bytes.length < HEADER_BYTES + size) return;
      const payload = bytes.slice(HEADER_BYTES, HEADER_BYTES + size);
      this.#replies.push({ request, flags, payload, fds: this.#fds.splice(0) });
      this.#received = bytes.slice(HEADER_BYTES + size);
    }
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

/** Little-endian words one after the other. */
export function words(...list: readonly (number | bigint)[]): Uint8Array {
  const bytes = new Uint8Array(
    list.reduce<number>((sum, v) => sum + (typeof v === "bigint" ? 8 : 4), 0),
  );
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const value of list) {
    if (typeof value === "bigint") {
      view.setBigUint64(at, BigInt.asUintN(64, value), true);
      at += 8;
    } else {
      view.setUint32(at, value, true);
      at += 4;
    }
  }
  return bytes;
}

export function u64Of(payload: Uint8Array): bigint {
  return new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
