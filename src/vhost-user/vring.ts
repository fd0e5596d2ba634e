// SPDX-License-Identifier: Apache-2.0
/**
 * What the front end told about one ring, and the ring itself while it is started. Started (from
 * SET_VRING_KICK to GET_VRING_BASE) and enabled are separate; a ring is active when both hold.
 */
import type { GuestMemory } from "../io/guest-memory.js";
import { close, drain, fence, RingWords, signal } from "../io/native.js";
import { ringWords, splitRingBytes } from "../virtqueue/ring-words.js";
import { SplitRing, type SplitRingParts } from "../virtqueue/split-ring.js";
import type { VringAddresses } from "./messages.js";
import { Feature } from "./protocol.js";

/** Alignment of descriptor table, available and used ring (VIRTIO 1.3, 2.7), bytes. */
const ALIGN = { descriptors: 16n, available: 2n, used: 4n } as const;

export interface VringOptions {
  readonly index: number;
  readonly sizeMax: number;
  readonly memory: GuestMemory;
  /** The ring has broken: called once per start. */
  readonly broken: (index: number, reason: string) => void;
  /** A descriptor of the front end is of no use; it is let go. */
  readonly warn: (index: number, text: string) => void;
}

export class Vring {
  readonly index: number;
  readonly #options: VringOptions;
  #size = 0;
  #addresses: VringAddresses | null = null;
  #base = 0;
  #enabled = false;
  #kickFd = -1;
  #callFd = -1;
  #errFd = -1;
  #ring: SplitRing | null = null;
  #parts: SplitRingParts | null = null;
  #eventIndex = false;
  /** Size, addresses or base changed since the ring started: the next kick restarts it. */
  #changed = false;
  #fromUsed = false;

  constructor(options: VringOptions) {
    this.index = options.index;
    this.#options = options;
  }

  /** The ring while it is started, whether enabled or not. */
  get ring(): SplitRing | null {
    return this.#ring;
  }

  get activeRing(): SplitRing | null {
    return this.#enabled ? this.#ring : null;
  }

  /** The started ring's available part, for native waiting. */
  get availableView(): Uint8Array | null {
    return this.#parts?.available ?? null;
  }

  get kickFd(): number {
    return this.#kickFd;
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  /** Returns the reason of a refusal, or null; so do the other setters. */
  setSize(size: number): string | null {
    if (this.activeRing !== null) return `ring ${this.index} is running`;
    if (size < 1 || size > this.#options.sizeMax || (size & (size - 1)) !== 0)
      return (
        `ring ${this.index} has size ${size}, ` +
        `not a power of two from 1 to ${this.#options.sizeMax}`
      );
    this.#size = size;
    this.#changed = true;
    return null;
  }

  setBase(base: number): string | null {
    if (this.activeRing !== null) return `ring ${this.index} is running`;
    if (base > 0xffff) return `ring ${this.index} has base ${base}, the limit is 65535`;
    this.#base = base;
    this.#changed = true;
    return null;
  }

  /** A running ring moves at once (front ends do that to change its log address). */
  setAddresses(addresses: VringAddresses, features: bigint): string | null {
    const problem = alignmentProblem(addresses);
    if (problem !== null) return problem;
    if (this.#ring !== null && !this.#changed) {
      const parts = this.#resolve(addresses, this.#size, this.#eventIndex);
      if (typeof parts === "string") return parts;
      this.#rebind(this.#ring, parts);
    } else if (this.#size > 0) {
      const eventIndex = (features & Feature.eventIndex) !== 0n;
      const parts = this.#resolve(addresses, this.#size, eventIndex);
      if (typeof parts === "string") return parts;
    }
    this.#addresses = addresses;
    return null;
  }

  setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
    this.#ring?.setActive(enabled);
  }

  /**
   * The next start goes on where a process that is gone left the ring. Chains are given back in the
   * order in which they were taken, so that is the used index: what it had taken and not given back
   * is taken again.
   */
  goOnFromUsed(): void {
    this.#fromUsed = true;
  }

  /** Interrupts the driver, whatever it asked for. */
  signalDriver(): void {
    this.#signalCall();
  }

  /** Takes the descriptor, or -1 for none, and starts the ring unless it runs already. */
  kick(fd: number, features: bigint): string | null {
    if (this.#ring === null || this.#changed) {
      const problem = this.#start(features);
      if (problem !== null) {
        if (fd >= 0) close(fd);
        return problem;
      }
    }
    this.#kickFd = replaceFd(this.#kickFd, fd);
    return null;
  }

  setCall(fd: number): void {
    this.#callFd = replaceFd(this.#callFd, fd);
  }

  setErr(fd: number): void {
    this.#errFd = replaceFd(this.#errFd, fd);
  }

  /** GET_VRING_BASE: ends the ring and returns the index of the next available entry. */
  stop(): number {
    const ring = this.#ring;
    if (ring !== null) {
      ring.flush();
      ring.stop();
      this.#base = ring.base;
    }
    this.#ring = null;
    this.#parts = null;
    this.#changed = false;
    this.#kickFd = replaceFd(this.#kickFd, -1);
    return this.#base;
  }

  /** The memory table changed: the ring's parts must be found again or the ring breaks. */
  memoryChanged(): void {
    if (this.#ring === null || this.#addresses === null) return;
    const parts = this.#resolve(this.#addresses, this.#ring.size, this.#eventIndex);
    if (typeof parts === "string") this.#ring.fail(parts);
    else this.#rebind(this.#ring, parts);
  }

  /** Tells the front end that the ring has an error. */
  signalError(): void {
    if (!this.#signal(this.#errFd, "error")) this.setErr(-1);
  }

  /** Reads a kick away. False when no other will come on this descriptor. */
  drainKick(): boolean {
    try {
      // A socket whose other end is gone stays readable for ever.
      return drain(this.#kickFd) >= 0;
    } catch (error) {
      this.#options.warn(this.index, `the kick descriptor can't be read: ${error}`);
      return false;
    }
  }

  /** The connection is over. */
  dispose(): void {
    this.stop();
    this.#enabled = false;
    this.#callFd = replaceFd(this.#callFd, -1);
    this.#errFd = replaceFd(this.#errFd, -1);
  }

  #start(features: bigint): string | null {
    if (this.#size === 0) return `ring ${this.index} is started without a size`;
    if (this.#addresses === null) return `ring ${this.index} is started without addresses`;
    const eventIndex = (features & Feature.eventIndex) !== 0n;
    const parts = this.#resolve(this.#addresses, this.#size, eventIndex);
    if (typeof parts === "string") return parts;
    this.#ring?.stop();
    this.#eventIndex = eventIndex;
    this.#parts = parts;
    if (this.#fromUsed) this.#base = parts.words.usedIndex();
    this.#fromUsed = false;
    this.#ring = new SplitRing({
      index: this.index,
      size: this.#size,
      parts,
      memory: this.#options.memory,
      indirect: (features & Feature.indirectDescriptors) !== 0n,
      eventIndex,
      base: this.#base,
      signal: () => this.#signalCall(),
      broken: (reason) => this.#options.broken(this.index, reason),
    });
    this.#ring.setActive(this.#enabled);
    this.#changed = false;
    return null;
  }

  #signalCall(): void {
    if (!this.#signal(this.#callFd, "call")) this.setCall(-1);
  }

  /** Without a descriptor nobody is to be told. False when it is of no use any more. */
  #signal(fd: number, what: string): boolean {
    if (fd < 0) return true;
    try {
      return signal(fd);
    } catch (error) {
      // The front end passed something that can't be written, which must not end this process.
      this.#options.warn(this.index, `the ${what} descriptor can't be written: ${error}`);
      return false;
    }
  }

  #rebind(ring: SplitRing, parts: SplitRingParts): void {
    this.#parts = parts;
    ring.rebind(parts);
  }

  #resolve(at: VringAddresses, size: number, eventIndex: boolean): SplitRingParts | string {
    const descriptors = this.#part(
      "descriptor table",
      at.descriptors,
      splitRingBytes.descriptors(size),
    );
    if (typeof descriptors === "string") return descriptors;
    const availableBytes = splitRingBytes.available(size, eventIndex);
    const available = this.#part("available ring", at.available, availableBytes);
    if (typeof available === "string") return available;
    const used = this.#part("used ring", at.used, splitRingBytes.used(size, eventIndex));
    if (typeof used === "string") return used;
    const words = ringWords(new RingWords(available), new RingWords(used), size, fence);
    return { descriptors, available, used, words };
  }

  #part(name: string, address: bigint, bytes: number): Uint8Array | string {
    const view = this.#options.memory.translateUser(address, bytes);
    return (
      view ??
      `the ${name} of ring ${this.index}, ${bytes} bytes at user address ` +
        `0x${address.toString(16)}, is not inside one memory region`
    );
  }
}

function alignmentProblem(at: VringAddresses): string | null {
  if (at.flags > 1) return `ring ${at.index} has unknown address flags ${at.flags}`;
  for (const part of ["descriptors", "available", "used"] as const) {
    if (at[part] % ALIGN[part] !== 0n)
      return (
        `ring ${at.index} has its ${part} at 0x${at[part].toString(16)}, ` +
        `not aligned to ${ALIGN[part]}`
      );
  }
  return null;
}

function replaceFd(old: number, fd: number): number {
  if (old >= 0) close(old);
  return fd;
}
