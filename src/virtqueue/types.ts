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

/** A running ring. All calls come from one thread and do not block. */
export interface Virtqueue {
  /** Queue number, as in VIRTIO. */
  readonly index: number;
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
