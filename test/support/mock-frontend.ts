// SPDX-License-Identifier: Apache-2.0
/**
 * The messages of a vhost-user front end: proper ones, and raw bytes and descriptors for tests that
 * break the rules. Replies come in order, so each waits for the next one.
 */
import {
  close,
  createPoller,
  PollEvents,
  type Poller,
  recvmsg,
  sendmsg,
} from "../../src/io/native.js";

const HEADER = 12;

export interface RawMessage {
  readonly request: number;
  readonly payload?: Uint8Array;
  /** Whole flags word; default version 1. */
  readonly flags?: number;
  /** Size field, if it is to differ from the payload's. */
  readonly size?: number;
  readonly fds?: readonly number[];
}

export interface Reply {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  /** Closed with the front end. */
  readonly fds: readonly number[];
}

/** The back end acknowledged a request as failed. */
export class NackError extends Error {
  override readonly name = "NackError";
}

/** The back end closed the connection. */
export class DisconnectedError extends Error {
  override readonly name = "DisconnectedError";
}

interface Waiter {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

export function encodeRaw(message: RawMessage): Uint8Array {
  const payload = message.payload ?? new Uint8Array(0);
  const bytes = new Uint8Array(HEADER + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, message.request, true);
  view.setUint32(4, message.flags ?? 1, true);
  view.setUint32(8, message.size ?? payload.length, true);
  bytes.set(payload, HEADER);
  return bytes;
}

export class MockFrontend {
  readonly fd: number;
  readonly poller: Poller = createPoller();
  /** Resolves when the back end has closed the connection. */
  readonly disconnected: Promise<void>;
  /** Acknowledge every request that has no reply (set once REPLY_ACK is negotiated). */
  acknowledge = false;
  readonly #replies: Reply[] = [];
  readonly #waiters: Waiter[] = [];
  readonly #noteDisconnected: () => void;
  #received = new Uint8Array(0);
  #receivedFds: number[] = [];
  /** Descriptors of all replies; open until the front end closes. */
  readonly #replyFds: number[] = [];
  #open = true;
  #over = false;

  /** Owns the connected, non-blocking socket. */
  constructor(fd: number) {
    this.fd = fd;
    let note = (): void => {};
    this.disconnected = new Promise((resolve) => {
      note = resolve;
    });
    this.#noteDisconnected = note;
    this.resume();
  }

  /** Reads no replies until `resume`. */
  pause(): void {
    this.poller.unwatch(this.fd);
  }

  resume(): void {
    this.poller.watch(this.fd, PollEvents.readable, () => this.#read());
  }

  get connected(): boolean {
    return !this.#over;
  }

  /** Sends bytes as they are; the descriptors go with the first one. */
  sendBytes(bytes: Uint8Array, fds: readonly number[] = []): void {
    let at = 0;
    while (at < bytes.length) {
      const sent = sendmsg(this.fd, bytes, at === 0 ? fds : [], at);
      if (sent < 0) throw new Error("the mock front end's socket is full");
      at += sent;
    }
  }

  send(message: RawMessage): void {
    this.sendBytes(encodeRaw(message), message.fds);
  }

  /** The next reply, whatever it answers. */
  reply(): Promise<Reply> {
    const reply = this.#replies.shift();
    if (reply !== undefined) return Promise.resolve(reply);
    if (this.#over) return Promise.reject(new DisconnectedError("the back end disconnected"));
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Sends a request that has a reply of its own. */
  async query(request: number, payload?: Uint8Array): Promise<Uint8Array> {
    this.send({ request, ...(payload ? { payload } : {}) });
    const reply = await this.reply();
    if (reply.request !== request || reply.flags !== 5)
      throw new Error(`request ${request} got reply ${reply.request} with flags ${reply.flags}`);
    return reply.payload;
  }

  /** Sends a request and asks for an acknowledgement; returns its value (0 is success). */
  async acknowledged(message: RawMessage): Promise<number> {
    this.send({ ...message, flags: 0x9 });
    const { request, flags, payload } = await this.reply();
    if (request !== message.request || flags !== 5 || payload.length !== 8)
      throw new Error(`request ${message.request} got a reply that is no acknowledgement`);
    return Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true));
  }

  /** Sends a request; with REPLY_ACK it is acknowledged, and a failure throws NackError. */
  async set(request: number, payload: Uint8Array, fds: readonly number[] = []): Promise<void> {
    if (!this.acknowledge) {
      this.send({ request, payload, fds });
      return;
    }
    const value = await this.acknowledged({ request, payload, fds });
    if (value !== 0) throw new NackError(`request ${request} failed with ${value}`);
  }

  async query64(request: number): Promise<bigint> {
    const payload = await this.query(request);
    return new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true);
  }

  /** Waits until the back end has handled everything sent so far. */
  async barrier(): Promise<void> {
    await this.query(1);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#end();
    this.poller.close();
    for (const fd of this.#replyFds.splice(0)) close(fd);
    close(this.fd);
  }

  #read(): void {
    const chunk = new Uint8Array(8192);
    try {
      for (;;) {
        const { bytes, fds } = recvmsg(this.fd, chunk, 0, chunk.length, 8);
        this.#receivedFds.push(...fds);
        this.#replyFds.push(...fds);
        if (bytes < 0) return;
        if (bytes === 0) break;
        this.#received = concat(this.#received, chunk.subarray(0, bytes));
        this.#parse();
      }
    } catch {
      // A reset: the back end closed with requests unread. The same as an end of stream.
    }
    this.poller.unwatch(this.fd);
    this.#end();
  }

  #parse(): void {
    for (;;) {
      if (this.#received.length < HEADER) return;
      const view = new DataView(this.#received.buffer, this.#received.byteOffset);
      const end = HEADER + view.getUint32(8, true);
      if (this.#received.length < end) return;
      const reply: Reply = {
        request: view.getUint32(0, true),
        flags: view.getUint32(4, true),
        payload: this.#received.slice(HEADER, end),
        fds: this.#receivedFds,
      };
      this.#receivedFds = [];
      this.#received = this.#received.slice(end);
      const waiter = this.#waiters.shift();
      if (waiter === undefined) this.#replies.push(reply);
      else waiter.resolve(reply);
    }
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#noteDisconnected();
    for (const waiter of this.#waiters.splice(0))
      waiter.reject(new DisconnectedError("the back end disconnected"));
  }
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Payload builders. */
export function u64(value: bigint | number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true);
  return bytes;
}

export function u32s(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, i) => {
    view.setUint32(4 * i, value, true);
  });
  return bytes;
}

export function u64s(...values: readonly (bigint | number)[]): Uint8Array {
  return concat(...values.map((value) => u64(value)));
}
