// SPDX-License-Identifier: Apache-2.0
/**
 * What a virtqueue offers to the device behind it, whatever the ring format is.
 * The device sees chains of byte views on guest memory: nothing is copied here, and everything
 * that is read through a view is hostile and may change between two reads: copy once, validate.
 */

/** One request: the driver's readable bytes, then the bytes that the device may write. */
export interface Chain {
  /** Identifies the chain when it is given back (descriptor head or buffer id). */
  readonly head: number;
  /** Views on guest memory, in order; empty for a write-only chain. */
  readonly readable: readonly Uint8Array[];
  readonly writable: readonly Uint8Array[];
  /** Sums of the views' lengths, bytes. */
  readonly readableBytes: number;
  readonly writableBytes: number;
  /**
   * Set when the chain breaks a rule (loop, unmapped range, bad indirect table, …). The views are
   * then those parts that could still be resolved (maybe none); the device answers with an error
   * where a response header fits and gives the chain back in any case.
   */
  readonly fault: string | null;
}

/** How far device and driver have come, each index as the format counts (16 bits). */
export interface RingPosition {
  readonly size: number;
  /** Where the device goes on to take chains; those not given back are taken again. */
  readonly available: number;
  /** Where it gives the next one back. */
  readonly used: number;
}

/** A running ring. All calls come from one thread and do not block. */
export interface Virtqueue {
  /** Queue number, as in VIRTIO. */
  readonly index: number;
  readonly position: RingPosition;
  /** Takes the next available chain, or null when there is none (or the ring is broken). */
  pop(): Chain | null;
  /** Gives a popped chain back with the count of bytes written; visible after {@link flush}. */
  push(chain: Chain, writtenBytes: number): void;
  /** Publishes pushed chains and signals the driver if it asked for that; cheap without any. */
  flush(): void;
  /**
   * Asks for a kick when chains are added (true) or says that the device polls (false).
   * Returns true when chains are already available, so that the caller must drain again.
   */
  enableKick(on: boolean): boolean;
}

/** Counters of one ring since it started. */
export interface RingCounters {
  popped: number;
  pushed: number;
  signals: number;
  faults: number;
}

/** The ring as the transport drives it; the device sees the {@link Virtqueue} in it. */
export interface DeviceRing extends Virtqueue {
  readonly size: number;
  readonly counters: RingCounters;
  /** The reason why the ring is broken, or null. */
  readonly brokenReason: string | null;
  /** How far the driver has got, read now (load-acquire); a mark to compare, for polling. */
  readonly availableIndex: number;
  /** Whether chains wait that were not taken, as of that mark. */
  isBehind(availableIndex: number): boolean;
  /**
   * Where the driver's next addition shows: a 16-bit word of the driver's part (the available
   * ring, or the descriptor ring of a packed one), by its offset in bytes there, and the value
   * that it has as long as nothing was added since the mark.
   */
  readonly watchOffset: number;
  watchValue(availableIndex: number): number;
  /** Chains that were taken and not given back. */
  readonly outstanding: number;
  /** For GET_VRING_BASE: chains that were taken but not given back are offered again. */
  readonly base: number;
  /** Chains are only taken while the ring is active (started and enabled). */
  setActive(active: boolean): void;
  /** Ends the ring: nothing is taken and nothing is written into guest memory any more. */
  stop(): void;
  /** Breaks the ring from outside, e.g. when its memory goes away. */
  fail(reason: string): void;
}

/** Where a ring looks whether to tell of what it writes: a log may come and go while it runs. */
export interface RingObserver {
  readonly log: RingLog | null;
}

/** Notes which guest memory was written. Called after the write, before the driver is told. */
export interface RingLog {
  /** The first `bytes` bytes of these views, in order. */
  written(views: readonly Uint8Array[], bytes: number): void;
  /** Words of the ring that the driver reads: the used ring, or descriptors and event area. */
  ringWritten(): void;
}
