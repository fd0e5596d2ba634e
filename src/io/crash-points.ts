// SPDX-License-Identifier: Apache-2.0
/**
 * Places where a process can be made to die, for the tests of what survives it: kill -9 of itself
 * at the n-th passing of a named point, or a loop without an end there. Without {@link armCrash} a
 * point costs one comparison.
 */

/** Each is passed right after what its name says, and before the next step. */
export const CRASH_POINTS = [
  // A message of a front end.
  "attached",
  "received",
  "decoded",
  "applied",
  "answered",
  // GET_VRING_BASE.
  "ring-flushed",
  "ring-stopped",
  // Taking over; the points of a message are not passed by those that are told again.
  "resuming",
  "retold",
  "replayed",
  "resumed",
  // A chain of a ring.
  "popped",
  "pushed",
  "published",
  "signalled",
  // The end of a batch: known, in the timeline, told.
  "completed",
  "shown",
  "notified",
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

let point: CrashPoint | null = null;
let left = 0;
let spins = false;

/** Takes `POINT[:COUNT][:spin]`; false if it is none. */
export function armCrash(text: string): boolean {
  const match = /^([a-z-]+)(?::([1-9]\d{0,8}))?(:spin)?$/.exec(text);
  const named = CRASH_POINTS.find((name) => name === match?.[1]);
  if (named === undefined) return false;
  point = named;
  left = Number(match?.[2] ?? 1);
  spins = match?.[3] !== undefined;
  return true;
}

export function crashPoint(passed: CrashPoint): void {
  if (passed !== point) return;
  left--;
  if (left !== 0) return;
  while (spins);
  // The signal is delivered before the call returns.
  process.kill(process.pid, "SIGKILL");
}
