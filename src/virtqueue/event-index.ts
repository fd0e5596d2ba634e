// SPDX-License-Identifier: Apache-2.0
/** Arithmetic of free-running 16-bit ring indices (VIRTIO 1.3, 2.7.7 and 2.7.10). */

/** How far `to` is ahead of `from`, 0 to 65535. */
export function indexDistance(from: number, to: number): number {
  return (to - from) & 0xffff;
}

/**
 * Whether moving the index from `before` to `after` passes the entry that the other side asked to
 * hear of: `event` is the last index before the notification, as in the specification's
 * `vring_need_event`.
 */
export function passesEvent(event: number, before: number, after: number): boolean {
  return indexDistance(event + 1, after) < indexDistance(before, after);
}
