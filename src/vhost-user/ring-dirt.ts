// SPDX-License-Identifier: Apache-2.0
/**
 * Tells the front end's log of what a ring writes into guest memory: the chains' bytes where they
 * lie, and the ring's own words only if SET_VRING_ADDR asks for that. Those of the used ring (a
 * packed ring: of the device's event area) are logged at the log address of that message, which
 * need not be where they are mapped. For the descriptors of a packed ring no message has such an
 * address: they are logged where they lie.
 */
import { type GuestAddress, type GuestMemory, guestAddress } from "../io/guest-memory.js";
import type { RingLog, RingObserver } from "../virtqueue/types.js";
import type { VringAddresses } from "./messages.js";
import { VRING_FLAG_LOG } from "./protocol.js";

interface Range {
  readonly address: GuestAddress;
  readonly bytes: number;
}

export class RingDirt implements RingObserver, RingLog {
  readonly #memory: GuestMemory;
  #ranges: readonly Range[] = [];

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  get log(): RingLog | null {
    return this.#memory.log === null ? null : this;
  }

  /** The ring lies there: `usedBytes` at the log address, `descriptorBytes` that are written. */
  place(at: VringAddresses, usedBytes: number, descriptorBytes: number): void {
    this.#ranges = [];
    if ((at.flags & VRING_FLAG_LOG) === 0) return;
    const used = guestAddress(at.log);
    const descriptors = descriptorBytes > 0 ? this.#memory.userToGuest(at.descriptors) : null;
    // An address that no number holds exactly lies beyond any log.
    this.#ranges = [
      ...(used === null ? [] : [{ address: used, bytes: usedBytes }]),
      ...(descriptors === null ? [] : [{ address: descriptors, bytes: descriptorBytes }]),
    ];
  }

  written(views: readonly Uint8Array[], bytes: number): void {
    this.#memory.log?.written(views, bytes);
  }

  ringWritten(): void {
    for (const { address, bytes } of this.#ranges) this.#memory.log?.mark(address, bytes);
  }
}
