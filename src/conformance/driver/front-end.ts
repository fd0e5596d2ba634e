// SPDX-License-Identifier: Apache-2.0
/**
 * A virtio driver over vhost-user: negotiation, memory, rings, and chains that come back. Waiting
 * is for call descriptors, as in a guest: a notification that is missing shows as a test that does
 * not end.
 */
import { close, drain, eventfd, PollEvents, signal } from "../../io/native.js";
import { Violation } from "../framework/check.js";
import { type Buffer, GuestMemory, type Region } from "./memory.js";
import { PackedDriverRing } from "./packed.js";
import type { DriverRing, Piece, RingMaker } from "./ring.js";
import { SplitDriverRing } from "./split.js";
import { concat, u64Of, Vhost, Wire, words } from "./wire.js";

export const Feature = {
  logAll: 1n << 26n,
  indirect: 1n << 28n,
  eventIndex: 1n << 29n,
  protocol: 1n << 30n,
  version1: 1n << 32n,
  packed: 1n << 34n,
  inOrder: 1n << 35n,
} as const;

export const Protocol = {
  multiQueue: 1n << 0n,
  log: 1n << 1n,
  replyAck: 1n << 3n,
  backendRequests: 1n << 5n,
  config: 1n << 9n,
  inflight: 1n << 12n,
  resetDevice: 1n << 13n,
  memorySlots: 1n << 15n,
} as const;

/** What a driver takes unless a test says otherwise. */
export const USUAL_FEATURES =
  Feature.indirect | Feature.eventIndex | Feature.protocol | Feature.version1;
export const USUAL_PROTOCOL =
  Protocol.multiQueue |
  Protocol.replyAck |
  Protocol.backendRequests |
  Protocol.config |
  Protocol.resetDevice |
  Protocol.memorySlots;

export interface FrontEndOptions {
  /** Feature bits to take, of those that are offered. */
  readonly features?: bigint;
  readonly protocol?: bigint;
  readonly queueSize?: number;
  /** Bytes of the region that tests allocate from. */
  readonly memoryBytes?: number;
  readonly packed?: boolean;
  /** SET_VRING_BASE of new rings. */
  readonly base?: number;
}

export const QUEUES = [0, 1, 2] as const;
/** Where guest memory begins: not at 0, and elsewhere in its file. */
const MEMORY_ADDRESS = 0x10_0000;
const FILE_OFFSET = 0x3000;

interface Queue {
  readonly ring: DriverRing;
  readonly kickFd: number;
  readonly callFd: number;
  readonly errFd: number;
  calls: number;
  errors: number;
  readonly returned: Map<number, number>;
}

export class FrontEnd {
  readonly wire: Wire;
  readonly memory = new GuestMemory();
  features = 0n;
  protocol = 0n;
  readonly #options: FrontEndOptions;
  readonly #queues = new Map<number, Queue>();

  constructor(path: string, options: FrontEndOptions = {}) {
    this.wire = new Wire(path);
    this.#options = options;
    const bytes = options.memoryBytes ?? 4 << 20;
    this.memory.add({ address: MEMORY_ADDRESS, bytes, fileOffset: FILE_OFFSET });
  }

  /** Everything up to rings that run. */
  async start(): Promise<this> {
    await this.negotiate();
    await this.shareMemory();
    for (const index of QUEUES) {
      this.addQueue(index);
      await this.startQueue(index);
    }
    if (this.has(Feature.protocol)) for (const index of QUEUES) await this.enable(index, true);
    return this;
  }

  has(feature: bigint): boolean {
    return (this.features & feature) !== 0n;
  }

  async negotiate(): Promise<void> {
    const offered = await this.get64(Vhost.GET_FEATURES);
    const usual = USUAL_FEATURES | (this.#options.packed === true ? Feature.packed : 0n);
    this.features = offered & (this.#options.features ?? usual);
    if (this.has(Feature.protocol)) {
      const protocol = await this.get64(Vhost.GET_PROTOCOL_FEATURES);
      this.protocol = protocol & (this.#options.protocol ?? USUAL_PROTOCOL);
      this.wire.send({ request: Vhost.SET_PROTOCOL_FEATURES, payload: words(this.protocol) });
    }
    await this.set(Vhost.SET_OWNER);
    await this.set(Vhost.SET_FEATURES, words(this.features));
  }

  /** A request without a reply of its own: acknowledged where that was negotiated. */
  async set(request: number, payload?: Uint8Array, fds: readonly number[] = []): Promise<void> {
    const result = await this.trySet(request, payload, fds);
    if (result !== 0n) throw new Violation(`request ${request} is refused (${result})`);
  }

  /** As `set`; the acknowledgement's value, or 0 where there is none. */
  async trySet(
    request: number,
    payload: Uint8Array = new Uint8Array(0),
    fds: readonly number[] = [],
  ): Promise<bigint> {
    const needReply = (this.protocol & Protocol.replyAck) !== 0n;
    this.wire.send({ request, payload, fds, needReply });
    if (!needReply) return 0n;
    const reply = await this.wire.reply(`request ${request}`);
    if (reply.request !== request || reply.payload.length !== 8)
      throw new Violation(`the acknowledgement of request ${request} is none`);
    return u64Of(reply.payload);
  }

  async get(request: number, payload?: Uint8Array): Promise<Uint8Array> {
    this.wire.send(payload === undefined ? { request } : { request, payload });
    const reply = await this.wire.reply(`request ${request}`);
    for (const fd of reply.fds) close(fd);
    if (reply.request !== request)
      throw new Violation(`the reply to request ${request} says ${reply.request}`);
    return reply.payload;
  }

  async get64(request: number): Promise<bigint> {
    const payload = await this.get(request);
    if (payload.length !== 8)
      throw new Violation(`the reply to request ${request} has ${payload.length} bytes, not 8`);
    return u64Of(payload);
  }

  async shareMemory(): Promise<void> {
    if ((this.protocol & Protocol.memorySlots) !== 0n) {
      for (const region of this.memory.regions) await this.addRegion(region);
      return;
    }
    await this.setTable(this.memory.regions);
  }

  async setTable(regions: readonly Region[]): Promise<void> {
    const payload = concat(
      words(regions.length, 0),
      ...regions.map((each) => words(...each.fields)),
    );
    const fds = regions.map(({ fd }) => fd);
    await this.set(Vhost.SET_MEM_TABLE, payload, fds);
  }

  async addRegion(region: Region): Promise<void> {
    await this.set(Vhost.ADD_MEM_REG, words(0n, ...region.fields), [region.fd]);
  }

  async removeRegion(region: Region): Promise<void> {
    await this.set(Vhost.REM_MEM_REG, words(0n, ...region.fields));
  }

  /** Lays a ring out. */
  addQueue(index: number, size = this.#options.queueSize ?? 64): DriverRing {
    const eventIndex = this.has(Feature.eventIndex);
    const { base } = this.#options;
    const make: RingMaker = (memory, options) =>
      this.has(Feature.packed)
        ? new PackedDriverRing(memory, options)
        : new SplitDriverRing(memory, options);
    const ring = make(this.memory, { size, eventIndex, ...(base === undefined ? {} : { base }) });
    this.#closeFds(index);
    const queue: Queue = {
      ring,
      kickFd: eventfd(),
      callFd: eventfd(),
      errFd: eventfd(),
      calls: 0,
      errors: 0,
      returned: new Map(),
    };
    this.#queues.set(index, queue);
    const { poller } = this.wire;
    poller.watch(queue.callFd, PollEvents.readable, () => {
      drain(queue.callFd);
      queue.calls++;
      this.wire.wake();
    });
    poller.watch(queue.errFd, PollEvents.readable, () => {
      drain(queue.errFd);
      queue.errors++;
      this.wire.wake();
    });
    return ring;
  }

  async startQueue(index: number, base = this.ring(index).base): Promise<void> {
    const { ring, kickFd, callFd, errFd } = this.#queue(index);
    await this.set(Vhost.SET_VRING_NUM, words(index, ring.size));
    await this.set(Vhost.SET_VRING_BASE, words(index, base));
    await this.set(Vhost.SET_VRING_ADDR, this.addresses(index));
    await this.set(Vhost.SET_VRING_ERR, words(BigInt(index)), [errFd]);
    await this.set(Vhost.SET_VRING_CALL, words(BigInt(index)), [callFd]);
    await this.set(Vhost.SET_VRING_KICK, words(BigInt(index)), [kickFd]);
  }

  /** Payload of SET_VRING_ADDR, with parts moved by some bytes. */
  addresses(index: number, move: readonly [number, number, number] = [0, 0, 0]): Uint8Array {
    const [table, driver, device] = this.ring(index).areas;
    const at = (buffer: Buffer, by: number): bigint => buffer.userAddress + BigInt(by);
    return words(index, 0, at(table, move[0]), at(device, move[2]), at(driver, move[1]), 0n);
  }

  async enable(index: number, on: boolean): Promise<void> {
    await this.set(Vhost.SET_VRING_ENABLE, words(index, on ? 1 : 0));
  }

  /** GET_VRING_BASE: stops the ring; its base. */
  async stopQueue(index: number): Promise<number> {
    const payload = await this.get(Vhost.GET_VRING_BASE, words(index, 0));
    if (payload.length !== 8) throw new Violation("the reply to GET_VRING_BASE has not 8 bytes");
    return new DataView(payload.buffer, payload.byteOffset).getUint32(4, true);
  }

  ring(index: number): DriverRing {
    return this.#queue(index).ring;
  }

  fds(index: number): { kickFd: number; callFd: number; errFd: number } {
    return this.#queue(index);
  }

  /** How often a ring's call and error descriptors were signalled. */
  counts(index: number): { readonly calls: number; readonly errors: number } {
    const { calls, errors } = this.#queue(index);
    return { calls, errors };
  }

  /** Makes added chains visible, and kicks if the device asks for it. */
  publish(index: number, force = false): void {
    const { ring, kickFd } = this.#queue(index);
    if (ring.publish() || force) signal(kickFd);
  }

  kick(index: number): void {
    signal(this.#queue(index).kickFd);
  }

  /** Takes back what the device returned; ids with the bytes written. */
  collect(index: number): ReadonlyMap<number, number> {
    const queue = this.#queue(index);
    for (let used = queue.ring.take(); used !== null; used = queue.ring.take())
      queue.returned.set(used.id, used.written);
    return queue.returned;
  }

  /** Waits, by calls alone, until a chain has come back; the bytes written. */
  async returned(index: number, id: number): Promise<number> {
    const queue = this.#queue(index);
    for (;;) {
      const written = this.collect(index).get(id);
      if (written !== undefined) {
        queue.returned.delete(id);
        return written;
      }
      if (this.wire.closed)
        throw new Violation("the back end closes the connection while a chain is with it");
      if (queue.ring.wantCall()) continue;
      const { calls } = queue;
      await this.wire.until(() => queue.calls !== calls || this.wire.closed);
    }
  }

  /** Sends one chain and waits until it is back. */
  async complete(index: number, pieces: readonly Piece[], indirect = false): Promise<number> {
    const id = this.ring(index).add(pieces, indirect);
    this.publish(index);
    return this.returned(index, id);
  }

  close(): void {
    for (const index of this.#queues.keys()) this.#closeFds(index);
    this.wire.close();
    this.memory.free();
  }

  #queue(index: number): Queue {
    const queue = this.#queues.get(index);
    if (queue === undefined) throw new Error(`queue ${index} is not laid out`);
    return queue;
  }

  #closeFds(index: number): void {
    const queue = this.#queues.get(index);
    if (queue === undefined) return;
    for (const fd of [queue.callFd, queue.errFd]) this.wire.poller.unwatch(fd);
    for (const fd of [queue.kickFd, queue.callFd, queue.errFd]) close(fd);
    this.#queues.delete(index);
  }
}
