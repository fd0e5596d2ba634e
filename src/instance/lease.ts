// SPDX-License-Identifier: Apache-2.0
/**
 * The right to use the GPU. One vGPU alone holds it open-ended; several take turns, and the broker
 * decides whose turn it is. The run loop submits batches only while the lease is held; when it is
 * revoked it submits no more, lets the batches in flight finish, and then releases it.
 */

/** Why the GPU is given back before the holder's time is over and its work is done. */
export type LeaseEnd =
  | { readonly kind: "context-failed" | "device-lost" | "out-of-memory" | "reset" }
  /** A launch of this context exceeded its limit. */
  | { readonly kind: "watchdog"; readonly context: number };

export interface Lease {
  /** Whether batches may be submitted now. False from the revocation on. */
  readonly held: boolean;
  /**
   * Asks for the lease; `granted` is called once when it is held (at once if it is already).
   * Further requests before the grant replace the callback.
   */
  request(granted: () => void): void;
  /** Gives it back: nothing is in flight. No effect while it is not held and not revoked. */
  release(): void;
  /** Nothing is in flight, and what is due does not fit into the turn: it is over before its deadline. */
  finish?(): void;
  /** Nothing is in flight, and there is nothing to do: others may have the GPU. */
  idle?(): void;
  /**
   * Longest rest of work that may be on the GPU when it is given back with {@link leave}, which must not
   * be called {@link behind} another one's, ns; 0 or absent: none.
   */
  readonly tailNsMax?: number;
  /**
   * Nothing more is submitted in this turn, and what is in flight should take `tailNs` at most: gives
   * the GPU back, so that the next one's work is there when it ends. False if it has to be kept.
   */
  leave?(tailNs: number): boolean;
  /** Calls back after a time, once; a second call replaces the first. */
  look?(afterNs: number, callback: () => void): void;
  /**
   * Nothing is in flight any more since then, on the device's clock: for a turn that ended with
   * {@link leave}.
   */
  drained?(endedNs: number): void;
  /** Whether another one's work is still on the GPU: then ours takes longer than it would. */
  readonly behind?: boolean;
  /** When it ended in the last turn, or should end, on the device's clock. */
  readonly aloneNs?: number;
  /** When it should end, as was foreseen at the turn's beginning. */
  readonly foreseenAloneNs?: number;
  /**
   * Something went wrong or was reset: no more work is submitted in this turn, and the GPU is given
   * back, with the reason, as soon as nothing is in flight. The first reason of a turn counts.
   */
  end?(why: LeaseEnd): void;
  /**
   * When the holder has to stop, on the device's clock; null or absent: no end is set. Work is cut
   * so that it ends near it. The lease is revoked at that time, without the run loop's doing.
   */
  readonly deadlineNs?: number | null;
  /** Whether no other vGPU can want the GPU now: work may be cut into larger parts. Absent: others can. */
  readonly alone?: boolean;
  /** The guest has so many contexts. */
  contexts?(count: number): void;
  /** Set by the run loop; called when the holder has to stop soon. */
  onRevoke: (() => void) | null;
  /** Set by the run loop; called when a turn is near: work may be encoded, and not submitted. */
  onPrepare?: (() => void) | null;
}

/** The lease of an instance without a broker: always held. */
export function localLease(): Lease {
  return {
    held: true,
    alone: true,
    request: (granted) => granted(),
    release: () => {},
    onRevoke: null,
  };
}
