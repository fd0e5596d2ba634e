// SPDX-License-Identifier: Apache-2.0
/**
 * What must be kept of a connection so that another process can take it over: of each message that
 * was accepted, what is still in force, with its descriptors. Told again in the order of
 * {@link RetainedSession.replay}, it makes a fresh session what the old one was. Bounded: a later
 * message replaces the earlier one of its kind, and there are only so many rings and regions.
 *
 * Bytes are read here that a front end sent and an instance accepted; neither is trusted further
 * than that a wrong one costs that connection.
 */
import { Feature, HEADER_BYTES, MEM_SLOTS_MAX, FrontendRequest as R } from "./protocol.js";

/** A message to be told again. Its descriptors stay the session's. */
export interface KeptMessage {
  readonly request: number;
  readonly payload: Uint8Array;
  readonly fds: readonly number[];
}

interface Region {
  readonly payload: Uint8Array;
  readonly fd: number;
}

/** More than any device has; indices of some messages have eight bits. */
const RINGS_MAX = 256;
const REGION_BYTES = 32;
/** Guest address, bytes and user address identify a region; the offset does not. */
const REGION_KEY_BYTES = 24;
const NO_FD = 0x100;

/** Told again before the regions, in this order: later ones depend on what was negotiated. */
const SESSION_FIRST: readonly number[] = [
  R.SET_OWNER,
  R.SET_PROTOCOL_FEATURES,
  R.SET_FEATURES,
  R.SET_BACKEND_REQ_FD,
];
/** And after them. */
const SESSION_NEXT: readonly number[] = [R.SET_LOG_BASE, R.SET_LOG_FD, R.SET_INFLIGHT_FD];
/** Of each ring, in this order: the kick starts it, so everything else comes first. */
const RING: readonly number[] = [
  R.SET_VRING_NUM,
  R.SET_VRING_BASE,
  R.SET_VRING_ADDR,
  R.SET_VRING_CALL,
  R.SET_VRING_ERR,
  R.SET_VRING_ENABLE,
  R.SET_VRING_KICK,
];
const EIGHT_BITS: readonly number[] = [R.SET_VRING_CALL, R.SET_VRING_ERR, R.SET_VRING_KICK];

export class RetainedSession {
  readonly #close: (fd: number) => void;
  readonly #session = new Map<number, KeptMessage>();
  readonly #rings = new Map<number, Map<number, KeptMessage>>();
  #regions: Region[] = [];

  constructor(close: (fd: number) => void) {
    this.#close = close;
  }

  /** Descriptors that are kept. */
  get fdCount(): number {
    let count = this.#regions.length;
    for (const { fds } of this.#messages()) count += fds.length;
    return count;
  }

  /** A message was accepted; its descriptors are taken. `reply` is its whole reply, if any. */
  accept(message: KeptMessage, reply: Uint8Array | null): void {
    const { request, payload, fds } = message;
    if (request === R.SET_MEM_TABLE) this.#replaceTable(payload, fds);
    else if (request === R.ADD_MEM_REG) this.#addRegion(payload.subarray(8), fds);
    else if (request === R.REM_MEM_REG) this.#removeRegion(payload.subarray(8), fds);
    else if (request === R.GET_VRING_BASE) this.#stopRing(payload, reply);
    else if (request === R.RESET_OWNER || request === R.RESET_DEVICE) this.#disableAll();
    else if (SESSION_FIRST.includes(request) || SESSION_NEXT.includes(request)) {
      this.#keep(this.#session, message);
      if (request === R.SET_FEATURES) this.#featuresChanged(payload);
    } else if (RING.includes(request)) this.#keepRing(message);
    else this.#closeAll(fds);
  }

  /** The messages that make a fresh session what this one was. */
  *replay(): Generator<KeptMessage> {
    yield* this.#of(this.#session, SESSION_FIRST);
    for (const { payload, fd } of this.#regions) {
      const message = new Uint8Array(8 + REGION_BYTES);
      message.set(payload, 8);
      yield { request: R.ADD_MEM_REG, payload: message, fds: [fd] };
    }
    yield* this.#of(this.#session, SESSION_NEXT);
    const rings = [...this.#rings].sort(([a], [b]) => a - b);
    for (const [, ring] of rings) yield* this.#of(ring, RING);
  }

  /** Closes all descriptors. */
  dispose(): void {
    for (const { fds } of this.#messages()) this.#closeAll(fds);
    for (const { fd } of this.#regions) this.#close(fd);
    this.#session.clear();
    this.#rings.clear();
    this.#regions = [];
  }

  *#messages(): Generator<KeptMessage> {
    yield* this.#session.values();
    for (const ring of this.#rings.values()) yield* ring.values();
  }

  *#of(kept: ReadonlyMap<number, KeptMessage>, order: readonly number[]): Generator<KeptMessage> {
    for (const request of order) {
      const message = kept.get(request);
      if (message !== undefined) yield message;
    }
  }

  #keep(into: Map<number, KeptMessage>, message: KeptMessage): void {
    this.#forget(into, message.request);
    into.set(message.request, message);
  }

  #forget(from: Map<number, KeptMessage>, request: number): void {
    this.#closeAll(from.get(request)?.fds ?? []);
    from.delete(request);
  }

  #keepRing(message: KeptMessage): void {
    const ring = this.#ring(message.request, message.payload);
    if (ring === null) this.#closeAll(message.fds);
    else this.#keep(ring, message);
  }

  #ring(request: number, payload: Uint8Array): Map<number, KeptMessage> | null {
    if (payload.length < 8) return null;
    const word = view(payload).getUint32(0, true);
    const index = EIGHT_BITS.includes(request) ? word & (NO_FD - 1) : word;
    if (index >= RINGS_MAX) return null;
    let ring = this.#rings.get(index);
    if (ring === undefined) {
      ring = new Map();
      this.#rings.set(index, ring);
    }
    return ring;
  }

  /** The ring stands still; when it is started again, it goes on from what the reply says. */
  #stopRing(payload: Uint8Array, reply: Uint8Array | null): void {
    const ring = this.#ring(R.GET_VRING_BASE, payload);
    if (ring === null) return;
    this.#forget(ring, R.SET_VRING_KICK);
    if (reply === null || reply.length !== HEADER_BYTES + 8) return;
    this.#keep(ring, { request: R.SET_VRING_BASE, payload: reply.slice(HEADER_BYTES), fds: [] });
  }

  /** Without PROTOCOL_FEATURES the message itself enables all rings. */
  #featuresChanged(payload: Uint8Array): void {
    if (payload.length !== 8) return;
    if ((view(payload).getBigUint64(0, true) & Feature.protocolFeatures) !== 0n) return;
    for (const ring of this.#rings.values()) this.#forget(ring, R.SET_VRING_ENABLE);
  }

  #disableAll(): void {
    for (const [index, ring] of this.#rings) {
      const payload = new Uint8Array(8);
      view(payload).setUint32(0, index, true);
      this.#keep(ring, { request: R.SET_VRING_ENABLE, payload, fds: [] });
    }
  }

  #replaceTable(payload: Uint8Array, fds: readonly number[]): void {
    for (const { fd } of this.#regions) this.#close(fd);
    this.#regions = [];
    fds.forEach((fd, i) => {
      const at = 8 + REGION_BYTES * i;
      this.#addRegion(payload.subarray(at, at + REGION_BYTES), [fd]);
    });
  }

  #addRegion(payload: Uint8Array, fds: readonly number[]): void {
    const [fd, ...more] = fds;
    this.#closeAll(more);
    if (fd === undefined) return;
    if (payload.length !== REGION_BYTES || this.#regions.length >= MEM_SLOTS_MAX) this.#close(fd);
    else this.#regions.push({ payload: payload.slice(), fd });
  }

  #removeRegion(payload: Uint8Array, fds: readonly number[]): void {
    this.#closeAll(fds);
    const key = Buffer.from(payload.subarray(0, REGION_KEY_BYTES));
    const same = (region: Region): boolean =>
      key.equals(region.payload.subarray(0, REGION_KEY_BYTES));
    const found = this.#regions.find(same);
    if (found === undefined) return;
    this.#close(found.fd);
    this.#regions = this.#regions.filter((region) => region !== found);
  }

  #closeAll(fds: readonly number[]): void {
    for (const fd of fds) this.#close(fd);
  }
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
