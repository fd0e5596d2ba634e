// SPDX-License-Identifier: Apache-2.0
/**
 * Decides when the device looks at its rings. A kick costs the driver a system call or a VM exit,
 * and us a wake-up of some ten microseconds, so after activity the rings are polled for a short
 * window with kicks switched off: short native spins, each followed by a turn of the event loop so
 * that completions and messages are not held up. The window ends soon: an idle device, or one with
 * a long kernel running, costs nothing.
 */
import { setImmediate as nextTurn } from "node:timers";
import { nowNs, RingWaiter } from "../io/native.js";
import type { DeviceRing } from "../virtqueue/types.js";
import type { Vring } from "./vring.js";

export interface PollingOptions {
  /** Poll this long after the last chain came, nanoseconds; 0 never polls. */
  readonly windowNs: number;
  /** The same while the device says that it is busy. */
  readonly busyWindowNs: number;
  /** Longest native spin between two turns of the event loop, nanoseconds. */
  readonly spinNs: number;
}

/**
 * Measured with the null and the Dawn executor on two busy cores: of the windows from 0 to 500 µs
 * these gave the shortest synchronous launches (with an idle device still at no cost). Longer spins
 * hold up completions and compete with a software GPU for its cores.
 */
export const DEFAULT_POLLING: PollingOptions = {
  windowNs: 100_000,
  busyWindowNs: 200_000,
  spinNs: 2_000,
};

/** The window while work is known to take long: each turn takes a core from a software GPU. */
const LONG_WINDOW_NS = 20_000;

export interface RingLoopOptions {
  readonly vrings: readonly Vring[];
  readonly polling: PollingOptions;
  /** Lets the device drain a ring. */
  readonly process: (index: number) => void;
  /** See VirtioDevice.busy. */
  readonly busy: () => boolean | "long";
  /** Called when a burst of activity is over; may close the loop. */
  readonly settled: () => void;
}

interface Slot {
  readonly vring: Vring;
  /** Available index when the device was last asked to drain the ring. */
  served: number;
  /** The device stopped with chains left but took some: it wants to be asked again. */
  more: boolean;
  /** View that the waiter watches. */
  watched: Uint8Array | null;
}

export class RingLoop {
  readonly #options: RingLoopOptions;
  readonly #slots: readonly Slot[];
  readonly #waiter = new RingWaiter();
  readonly #turn = (): void => this.#poll();
  #lastActivityNs = 0;
  #wasBusy = false;
  #scheduled = false;
  #polling = false;
  #closed = false;
  /** Turns of polling, for measurements. */
  turns = 0;

  constructor(options: RingLoopOptions) {
    this.#options = options;
    this.#slots = options.vrings.map((vring) => ({
      vring,
      served: -1,
      more: false,
      watched: null,
    }));
  }

  get polling(): boolean {
    return this.#polling;
  }

  /** A kick came, or the ring has just become active. */
  kicked(index: number): void {
    const slot = this.#slots[index];
    const ring = slot?.vring.activeRing;
    if (slot === undefined || !ring || this.#closed) return;
    // A driver that kicks is active even if nothing is there yet.
    this.#lastActivityNs = nowNs();
    const { windowNs } = this.#options.polling;
    if (windowNs > 0) this.#suppressKicks(ring);
    this.#serve(slot, ring);
    // Scheduled after the device's own next turn, which may be a completion.
    if (this.#polling) this.#schedule();
    else this.#settleAll();
  }

  /** There is no work any more, however long it took: who waited for it is about to send more. */
  expectMore(): void {
    const { windowNs } = this.#options.polling;
    if (this.#closed || windowNs === 0) return;
    this.#lastActivityNs = nowNs();
    if (!this.#polling) this.#beginPolling();
    this.#schedule();
  }

  /** Rings were started, stopped, moved, enabled or disabled. */
  ringsChanged(): void {
    for (const [index, slot] of this.#slots.entries()) {
      const ring = slot.vring.activeRing;
      const view = ring === null ? null : slot.vring.watchedView;
      if (view === slot.watched) continue;
      slot.watched = view;
      slot.served = -1;
      slot.more = false;
      if (view === null) this.#waiter.unwatch(index);
      else this.#waiter.watch(index, view, ring?.watchOffset ?? 0, 0);
    }
  }

  close(): void {
    this.#closed = true;
    for (const [index, slot] of this.#slots.entries()) {
      slot.watched = null;
      this.#waiter.unwatch(index);
    }
  }

  #suppressKicks(kicked: DeviceRing): void {
    // The ring may have become active only after polling began.
    if (this.#polling) kicked.enableKick(false);
    else this.#beginPolling();
  }

  #beginPolling(): void {
    this.#polling = true;
    for (const slot of this.#slots) slot.vring.activeRing?.enableKick(false);
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    nextTurn(this.#turn);
  }

  /** One round over all rings. Returns whether the device took anything. */
  #round(): boolean {
    let progress = false;
    for (const slot of this.#slots) {
      const ring = slot.vring.activeRing;
      if (ring === null) continue;
      if (slot.more || ring.availableIndex !== slot.served)
        progress = this.#serve(slot, ring) || progress;
    }
    return progress;
  }

  #serve(slot: Slot, ring: DeviceRing): boolean {
    const before = ring.counters.popped;
    slot.served = ring.availableIndex;
    this.#options.process(slot.vring.index);
    const progress = ring.counters.popped !== before;
    slot.more = progress && ring.isBehind(slot.served);
    return progress;
  }

  #poll(): void {
    this.#scheduled = false;
    if (this.#closed) return;
    this.turns++;
    const { polling, busy } = this.#options;
    // While work is in flight its end is awaited too: then only look, and let others run.
    if (this.#round()) this.#lastActivityNs = nowNs();
    else if (this.#polling && this.#spin(busy() ? 0 : polling.spinNs)) {
      if (this.#round()) this.#lastActivityNs = nowNs();
    }
    const how = busy();
    const isBusy = how !== false;
    // Work has ended: who waited for it is about to send more.
    if (this.#wasBusy && !isBusy) this.#lastActivityNs = nowNs();
    this.#wasBusy = isBusy;
    const busyWindow =
      how === "long" ? Math.min(LONG_WINDOW_NS, polling.busyWindowNs) : polling.busyWindowNs;
    const window = isBusy ? busyWindow : polling.windowNs;
    if (this.#polling && nowNs() - this.#lastActivityNs < window) this.#schedule();
    else this.#settleAll();
  }

  #spin(ns: number): boolean {
    let any = false;
    for (const [index, slot] of this.#slots.entries()) {
      const ring = slot.vring.activeRing;
      if (slot.watched === null || ring === null) continue;
      any = true;
      this.#waiter.expect(index, ring.watchValue(slot.served), ring.watchOffset);
    }
    return any && this.#waiter.spin(ns) >= 0;
  }

  /** Asks for kicks again, and looks once more at what came in between. */
  #settleAll(): void {
    this.#polling = false;
    let again = false;
    for (const slot of this.#slots) {
      const ring = slot.vring.activeRing;
      if (ring === null || !ring.enableKick(true)) continue;
      // Chains that the device has seen and left are its own decision.
      if (slot.more || ring.availableIndex !== slot.served) again = true;
    }
    if (again) this.#schedule();
    else this.#options.settled();
  }
}
