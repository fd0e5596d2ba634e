// SPDX-License-Identifier: Apache-2.0
/**
 * What the device's side of both ring formats has in common: chains that are taken and given back
 * once, a ring that breaks, stops or pauses, and whom to tell of it. The formats differ in where
 * the next chain is found and how a used one is shown; each is a subclass.
 *
 * A ring whose words make no sense is broken: it stops for good until the front end starts it
 * again, which the session is told once. It never throws for what the guest wrote.
 */
import { crashPoint } from "../io/crash-points.js";
import { type ChainMemory, RingChain } from "./chain-walker.js";
import type { Chain, DeviceRing, RingCounters, RingObserver, RingPosition } from "./types.js";

export interface RingOptions {
  readonly index: number;
  /** Entries, a power of two. */
  readonly size: number;
  readonly memory: ChainMemory;
  readonly indirect: boolean;
  readonly eventIndex: boolean;
  /** IN_ORDER: chains must be given back in the order in which they were made available. */
  readonly inOrder: boolean;
  /** Where to go on, as SET_VRING_BASE gave it. */
  readonly base: number;
  readonly observer?: RingObserver;
  /** Interrupts the driver. */
  readonly signal: () => void;
  /** Called once when the ring breaks. */
  readonly broken: (reason: string) => void;
}

const NO_OBSERVER: RingObserver = { log: null };

export abstract class RingBase implements DeviceRing {
  readonly index: number;
  readonly size: number;
  readonly counters: RingCounters = { popped: 0, pushed: 0, signals: 0, faults: 0 };
  protected readonly eventIndex: boolean;
  protected readonly observer: RingObserver;
  protected stopped = false;
  protected broken: string | null = null;
  protected unpublished = 0;
  readonly #inOrder: boolean;
  readonly #signal: () => void;
  readonly #reportBroken: (reason: string) => void;
  readonly #free: RingChain[] = [];
  #spare: RingChain | null = null;
  #outstanding = 0;
  #active = false;
  #taken = 0;
  #returned = 0;

  constructor(options: RingOptions) {
    this.index = options.index;
    this.size = options.size;
    this.eventIndex = options.eventIndex;
    this.observer = options.observer ?? NO_OBSERVER;
    this.#inOrder = options.inOrder;
    this.#signal = options.signal;
    this.#reportBroken = options.broken;
  }

  abstract get availableIndex(): number;
  abstract isBehind(availableIndex: number): boolean;
  abstract get watchOffset(): number;
  abstract watchValue(availableIndex: number): number;
  abstract get base(): number;
  abstract get position(): RingPosition;
  abstract enableKick(on: boolean): boolean;
  /** Finds the next chain and fills it in; false when there is none, or the ring breaks. */
  protected abstract next(chain: RingChain): boolean;
  /** Writes the used entry of a chain; the driver may not see it before {@link publish}. */
  protected abstract use(chain: RingChain, writtenBytes: number): void;
  /** Shows all entries since the last time; returns whether the driver wants a signal. */
  protected abstract publish(): boolean;

  get brokenReason(): string | null {
    return this.broken;
  }

  get outstanding(): number {
    return this.#outstanding;
  }

  setActive(active: boolean): void {
    this.#active = active;
  }

  stop(): void {
    this.stopped = true;
    this.#active = false;
  }

  fail(reason: string): void {
    if (this.broken !== null || this.stopped) return;
    this.broken = reason;
    this.#reportBroken(reason);
  }

  pop(): Chain | null {
    if (!this.#active || this.broken !== null) return null;
    const chain = this.#spare ?? this.#free.pop() ?? new RingChain();
    // Mostly the last call of a drain finds nothing: its object is kept at hand.
    if (!this.next(chain)) {
      this.#spare = chain;
      return null;
    }
    this.#spare = null;
    chain.outstanding = true;
    chain.sequence = this.#taken++;
    this.#outstanding++;
    this.counters.popped++;
    if (chain.fault !== null) this.counters.faults++;
    crashPoint("popped");
    return chain;
  }

  push(chain: Chain, writtenBytes: number): void {
    if (!(chain instanceof RingChain) || !chain.outstanding)
      throw new Error(`ring ${this.index}: a chain is given back that was not taken`);
    if (!(writtenBytes >= 0 && writtenBytes <= chain.writableBytes))
      throw new RangeError(
        `ring ${this.index}: ${writtenBytes} bytes written, the chain has ${chain.writableBytes}`,
      );
    if (this.#inOrder && chain.sequence !== this.#returned)
      throw new Error(
        `ring ${this.index}: chain ${chain.sequence} is given back before ${this.#returned}, ` +
          "with IN_ORDER",
      );
    this.#returned++;
    chain.outstanding = false;
    this.#outstanding--;
    if (!this.stopped && this.broken === null) {
      const { log } = this.observer;
      if (log !== null && writtenBytes > 0) log.written(chain.writable, writtenBytes);
      this.use(chain, writtenBytes);
      this.unpublished++;
      this.counters.pushed++;
    }
    chain.clear(0);
    if (this.#free.length < this.size) this.#free.push(chain);
    crashPoint("pushed");
  }

  flush(): void {
    if (this.unpublished === 0 || this.stopped || this.broken !== null) return;
    const wanted = this.publish();
    this.unpublished = 0;
    this.observer.log?.ringWritten();
    crashPoint("published");
    if (wanted) {
      this.counters.signals++;
      this.#signal();
    }
    crashPoint("signalled");
  }
}
