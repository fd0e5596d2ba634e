// SPDX-License-Identifier: Apache-2.0
//
// The typed face of the native addon, and the only place that loads it, but for a start (cli/start.ts).
// The addon offers mechanism that Node lacks: sockets with descriptor passing, memory maps, ordered
// access to shared words, watching of plain descriptors, fine timers. Functions throw Node-style errors
// (`code`, `errno`, `syscall`) when a system call fails, TypeError or RangeError for wrong arguments.
// All descriptors are created close-on-exec, and belong to the caller, who closes them with `close`.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import type * as types from "./native-types.js";
import { addonPath } from "./package-root.js";

type FileMappings = types.FileMappings;
type HrTimer = types.HrTimer;
type Mapping = types.Mapping;
type Poller = types.Poller;
type ReceivedMessage = types.ReceivedMessage;

export type {
  FileMappings,
  HrTimer,
  Mapping,
  Poller,
  ReceivedMessage,
  WordView,
} from "./native-types.js";

/** Largest window of a mapping, in bytes: Node 20 has no ArrayBuffer over 4 GiB. */
export const WINDOW_BYTES_MAX = 2 ** 30;

/** Bits of the `events` of a Poller; `hangup` and `error` are only ever reported. */
export const PollEvents = {
  readable: 1,
  writable: 2,
  hangup: 4,
  error: 8,
  /** Report each new event once, so that an eventfd need not be read. */
  edge: 16,
} as const;

/** Seals of a memfd, as fcntl(F_ADD_SEALS) takes them. */
export const Seals = { seal: 1, shrink: 2, grow: 4, write: 8, futureWrite: 16 } as const;

/** Thrown when the addon is not built or does not load. */
export class AddonMissingError extends Error {
  override readonly name = "AddonMissingError";
  readonly code = "VGPU_ADDON_MISSING";
}

function load(): types.NativeAddon {
  const path = addonPath();
  if (!existsSync(path)) {
    throw new AddonMissingError(
      `The native addon is not built: ${path} does not exist. Run: npm run setup`,
    );
  }
  try {
    return createRequire(import.meta.url)(path) as types.NativeAddon;
  } catch (cause) {
    throw new AddonMissingError(
      `The native addon ${path} does not load in Node ${process.version}. Run: npm run setup`,
      { cause },
    );
  }
}

const addon = load();

// ---- Sockets ----------------------------------------------------------------------------------

/**
 * Listens at a path. A socket file that nobody listens on is replaced; EADDRINUSE is thrown when a
 * process listens there, or when the path is something else than a socket.
 */
export function listen(
  path: string,
  options: { backlog?: number /** Permission bits of the socket file. */; mode?: number } = {},
): number {
  return addon.listen(path, options.backlog ?? 16, options.mode ?? 0o600);
}

/** Accepts one connection: a non-blocking descriptor, or −1 when none waits. */
export const accept = addon.accept;
/** Connects to a listener; throws ENOENT, ECONNREFUSED, or EAGAIN when its backlog is full. */
export const connect = addon.connect;
/** A connected pair of non-blocking stream sockets. */
export const socketpair = addon.socketpair;
/** Whether a socket listens, rather than being a connection. */
export const isListening = addon.isListening;
/** Ends both directions of a connection; the descriptor stays open. */
export const shutdown = addon.shutdown;
/** Who made the connection. */
export const peerCredentials = addon.peerCredentials;

/**
 * Receives into `buffer` without waiting. `bytes` is −1 when nothing is there, 0 at the end of the
 * stream. At most `maxFds` (≤ 253) descriptors are taken; the kernel closes any others and
 * `truncated` is then true. With `peek` the bytes stay; each peek duplicates the descriptors.
 */
export function recvmsg(
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  maxFds: number,
  options: { peek?: boolean } = {},
): ReceivedMessage {
  return addon.recvmsg(fd, buffer, offset, length, maxFds, options.peek ?? false);
}

/**
 * Sends bytes without waiting, with descriptors on the first of them. Returns the bytes sent, which
 * may be fewer than asked (the descriptors have then been sent), or −1 when the socket is full.
 */
export function sendmsg(
  fd: number,
  buffer: Uint8Array,
  fds: readonly number[] = [],
  offset = 0,
  length = buffer.byteLength - offset,
): number {
  return addon.sendmsg(fd, buffer, offset, length, fds);
}

// ---- Descriptors ------------------------------------------------------------------------------

/** Closes a descriptor; pollers of this thread drop it first. */
export const close = addon.close;
/** A second descriptor for the same open file. */
export const dup = addon.dup;
/** Sets or clears close-on-exec. */
export const setCloexec = addon.setCloexec;
/** Sets or clears non-blocking mode, which all duplicates share, in other processes too. */
export const setNonblocking = addon.setNonblocking;
/** Size in bytes and kind of what a descriptor refers to. */
export const fstat = addon.fstat;
/** Size in bytes of the file. */
export const fstatSize = addon.fstatSize;

/** A non-blocking eventfd with the given count. */
export function eventfd(initial = 0): number {
  return addon.eventfd(initial);
}

/** Reads and resets an eventfd's count; −1 when it is zero. Counts over 2⁵³ are rounded. */
export const eventfdRead = addon.eventfdRead;
/**
 * Wakes whoever waits on a kick or call descriptor: adds one to an eventfd, sends eight bytes on a
 * socket or pipe. False when the other side is gone; a full one is true (a wake-up is pending).
 */
export const signal = addon.signal;
/** Reads away what is pending: bytes read, 0 if nothing, −1 when the other side is gone. */
export const drain = addon.drain;

/** A memory file of `bytes` zero bytes, optionally sealed at once (bits of `Seals`). */
export function memfdCreate(
  name: string,
  bytes: number | bigint,
  options: { /** Seals to add now; 0 only allows later ones. */ seals?: number } = {},
): number {
  const fd = addon.memfdCreate(name, bytes, options.seals !== undefined);
  if (options.seals !== undefined && options.seals !== 0) addon.addSeals(fd, options.seals);
  return fd;
}

export const ftruncate = addon.ftruncate;
export const addSeals = addon.addSeals;
export const getSeals = addon.getSeals;

// ---- Memory -----------------------------------------------------------------------------------

/**
 * Maps `bytes` of a file from `offset`, both of any alignment. RangeError when the file is shorter.
 * A file that shrinks later does not end the process: see `Mapping.poisoned`. Writing through a
 * window of a read-only mapping is a programmer's error and ends the process.
 */
export function mapRegion(
  fd: number,
  offset: number | bigint,
  bytes: number | bigint,
  options: { readonly?: boolean } = {},
): Mapping {
  return new addon.Mapping(fd, offset, bytes, options.readonly ?? false);
}

/** Words that another process shares, bound once to a view: for ring loops. */
export const RingWords = addon.RingWords;
export type RingWords = types.RingWords;
/** Spins natively on up to 64 words of 16 bits. */
export const RingWaiter = addon.RingWaiter;
export type RingWaiter = types.RingWaiter;

export const loadAcquire8 = addon.loadAcquire8;
export const loadAcquire16 = addon.loadAcquire16;
export const loadAcquire32 = addon.loadAcquire32;
/** Exact below 2⁵³, else rounded. */
export const loadAcquireU64 = addon.loadAcquire64;
export const loadAcquireBigU64 = addon.loadAcquireBig64;
export const storeRelease8 = addon.storeRelease8;
export const storeRelease16 = addon.storeRelease16;
export const storeRelease32 = addon.storeRelease32;
/** Takes a safe integer or a BigInt. */
export const storeReleaseU64 = addon.storeRelease64;
export const exchange32 = addon.exchange32;
/** Stores `value` if the word is `expected`; returns what was there. */
export const compareExchange32 = addon.compareExchange32;
/** Sets bits; returns what was there. */
export const fetchOr8 = addon.fetchOr8;
export const fetchOr32 = addon.fetchOr32;
/** A full (sequentially consistent) memory fence. */
export const fence = addon.fence;
/** memmove between two views or buffers. */
export const copy = addon.copy;
/** Spins until a 16-bit word differs from `expected`, at most `maxNs` (≤ 1e9). */
export const spinUntilChanged16 = addon.spinUntilChanged16;

/** See FileMappings: `name` is the file's as in /proc/self/maps. */
export function fileMappings(name: string): FileMappings {
  return new addon.FileMappings(name);
}
/** Copies all of `from` to the beginning of `to`, by two threads; they must not overlap. */
export const copyByTwo = addon.copyByTwo;

// ---- Event loop -------------------------------------------------------------------------------

/** Watches descriptors in this thread's event loop. */
export function createPoller(): Poller {
  return new addon.Poller();
}

/** A one-shot timer of nanosecond resolution. */
export function createHrTimer(): HrTimer {
  return new addon.HrTimer();
}

// ---- Process ----------------------------------------------------------------------------------

/** CLOCK_MONOTONIC in nanoseconds. */
export const nowNs = addon.nowNs;
/** The signal that this process gets when the thread that started it ends; 0 for none. */
export const setPdeathsig = addon.setPdeathsig;
/** Names this thread, at most 15 bytes. */
export const prctlName = addon.prctlName;
/** A descriptor that becomes readable when the process ends. */
export const pidfdOpen = addon.pidfdOpen;
/** Signals the very process of a pidfd; false when it has ended. */
export const pidfdSendSignal = addon.pidfdSendSignal;
/** Binds a process or thread (0: this one) to CPUs. */
export const setAffinity = addon.setAffinity;
export const getAffinity = addon.getAffinity;
/** How often the calling thread has lost its core to another one since it began. */
export const involuntarySwitches = addon.involuntarySwitches;
/** The core that the calling thread runs on. */
export const currentCpu = addon.currentCpu;
/**
 * Has this thread run in turns of so many ns (0.1 to 100 ms) on a core that others want too, and soon
 * after it wakes: on Linux 6.12 and newer. False where the system does not let it choose.
 */
export const setSliceNs = addon.setSliceNs;
/**
 * Makes a thread of this process (0: the calling one) one of batch work, which takes no core from another by
 * waking, and keeps one for long; or an ordinary one again. False where the thread is neither, is
 * gone, or the system refuses.
 */
export const setBatch = addon.setBatch;
/** Raises the limit of open descriptors to the hard one; returns it. */
export const raiseNofile = addon.raiseNofile;

/**
 * Loads libraries on a thread, in order, for who opens them later; once in a process. What does not load
 * is passed over. Call {@link preloaded} before the process ends.
 */
export const preload = addon.preload;
/** Waits until they are loaded. */
export const preloaded = addon.preloaded;
