// SPDX-License-Identifier: Apache-2.0
/**
 * What the front end told about one ring, and the ring itself while it is started. Started (from
 * SET_VRING_KICK to GET_VRING_BASE) and enabled are separate; a ring is active when both hold.
 */
import type { GuestMemory } from "../io/guest-memory.js";
import { close, drain, signal } from "../io/native.js";
import type { DeviceRing } from "../virtqueue/types.js";
import type { VringAddresses } from "./messages.js";
import {
  addressProblem,
  baseProblem,
  PlacedRing,
  placeProblem,
  type RingPlan,
} from "./placed-ring.js";

export interface VringOptions {
  readonly index: number;
  readonly sizeMax: number;
  readonly memory: GuestMemory;
  /** Where a ring of this format notes chains in flight, null for nowhere; at each start. */
  readonly inflight: (plan: RingPlan, resuming: boolean) => Uint8Array | null;
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
  /** Null until the front end or a stop said where to go on. */
  #base: number | null = null;
  #enabled = false;
  #kickFd = -1;
  #callFd = -1;
  #errFd = -1;
  #placed: PlacedRing | null = null;
  /** Size, addresses or base changed since the ring started: the next kick restarts it. */
  #changed = false;
  #fromUsed = false;

  constructor(options: VringOptions) {
    this.index = options.index;
    this.#options = options;
  }

  /** The ring while it is started, whether enabled or not. */
  get ring(): DeviceRing | null {
    return this.#placed?.ring ?? null;
  }

  get activeRing(): DeviceRing | null {
    return this.#enabled ? this.ring : null;
  }

  /** The part of the started ring in which the driver's additions show, for native waiting. */
  get watchedView(): Uint8Array | null {
    // A broken ring is not looked at: the memory that it lay in may be gone.
    if (this.#placed === null || this.#placed.ring.brokenReason !== null) return null;
    return this.#placed.watched;
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

  /** Its limits depend on the format, for a packed ring on its size: then seen at the start. */
  setBase(base: number, features: bigint): string | null {
    if (this.activeRing !== null) return `ring ${this.index} is running`;
    const problem = baseProblem(this.index, base, features);
    if (problem !== null) return problem;
    this.#base = base;
    this.#changed = true;
    return null;
  }

  /** A running ring moves at once (front ends do that to change its log address). */
  setAddresses(addresses: VringAddresses, features: bigint): string | null {
    let problem = addressProblem(addresses, features);
    if (problem !== null) return problem;
    if (this.#placed !== null && !this.#changed) problem = this.#placed.move(addresses);
    else if (this.#size > 0) problem = placeProblem(this.#plan(features), addresses);
    if (problem === null) this.#addresses = addresses;
    return problem;
  }

  setEnabled(enabled: boolean): void {
    this.#enabled = enabled;
    this.ring?.setActive(enabled);
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
    if (this.#placed === null || this.#changed) {
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
    const { ring } = this;
    if (ring !== null) {
      ring.flush();
      ring.stop();
      this.#base = ring.base;
    }
    this.#placed = null;
    this.#changed = false;
    this.#kickFd = replaceFd(this.#kickFd, -1);
    return this.#base ?? 0;
  }

  /** The memory table changed: the ring's parts must be found again or the ring breaks. */
  memoryChanged(): void {
    if (this.#placed === null || this.#addresses === null) return;
    const problem = this.#placed.move(this.#addresses);
    if (problem !== null) this.#placed.ring.fail(problem);
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
    const base = this.#fromUsed ? "used" : this.#base;
    this.#fromUsed = false;
    const plan = this.#plan(features);
    const placed = PlacedRing.start(plan, this.#addresses, base, {
      inflight: this.#options.inflight(plan, base === "used"),
      signal: () => this.#signalCall(),
      broken: (reason) => this.#options.broken(this.index, reason),
    });
    if (typeof placed === "string") return placed;
    this.ring?.stop();
    this.#placed = placed;
    placed.ring.setActive(this.#enabled);
    this.#changed = false;
    return null;
  }

  #plan(features: bigint): RingPlan {
    return { index: this.index, size: this.#size, features, memory: this.#options.memory };
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
}

function replaceFd(old: number, fd: number): number {
  if (old >= 0) close(old);
  return fd;
}
