// SPDX-License-Identifier: Apache-2.0
//
// The addon's shape. native.ts re-exports what the rest of the project uses, with options objects
// where the addon takes plain positions; no other file imports this one for more than types.

/** What word functions accept: byte offsets count from the view's first byte. */
export type WordView = ArrayBuffer | ArrayBufferView;

export interface ReceivedMessage {
  /** Bytes received; −1 when nothing is there, 0 at the end of the stream. */
  bytes: number;
  /** Received descriptors, close-on-exec, owned by the caller. */
  fds: number[];
  /** Whether descriptors were left out for want of room. */
  truncated: boolean;
}

/** A mapped region of a memory file. */
export interface Mapping {
  readonly bytes: number;
  readonly readonly: boolean;
  readonly mapped: boolean;
  /** Whether the file lost pages under the mapping: what is read there now is zero. */
  readonly poisoned: boolean;
  /** How many lost pages or ranges were replaced. */
  readonly faults: number;
  /**
   * An ArrayBuffer over [offset, offset + length), length ≤ 1 GiB; the same object for the same
   * arguments while it is reachable. It holds the mapping alive.
   */
  window(offset: number, length: number): ArrayBuffer;
  /** Detaches all windows (their length becomes 0), then unmaps. Idempotent. */
  unmap(): void;
}

/**
 * Ordered access to words of one view. Offsets are bytes from the view's start, aligned to the
 * word; wrong ones, and unmapped memory, throw RangeError. Loads acquire, stores release, the rest
 * is sequentially consistent.
 */
export interface RingWords {
  load8(byteOffset: number): number;
  load16(byteOffset: number): number;
  load32(byteOffset: number): number;
  /** Exact below 2⁵³, else rounded. */
  load64(byteOffset: number): number;
  loadBig64(byteOffset: number): bigint;
  store8(byteOffset: number, value: number): void;
  store16(byteOffset: number, value: number): void;
  store32(byteOffset: number, value: number): void;
  store64(byteOffset: number, value: number | bigint): void;
  exchange32(byteOffset: number, value: number): number;
  compareExchange32(byteOffset: number, expected: number, value: number): number;
  fetchOr8(byteOffset: number, bits: number): number;
  fetchOr32(byteOffset: number, bits: number): number;
}

/** Spins on words of 16 bits, each compared with what it is expected to be. */
export interface RingWaiter {
  /** Watches a word under an index (0–63), replacing what was there. */
  watch(index: number, view: WordView, byteOffset: number, expected: number): void;
  /** Changes what the word of an index is compared with, and which word of the view it is. */
  expect(index: number, value: number, byteOffset?: number): void;
  unwatch(index: number): void;
  /** Spins at most `maxNs`: the least index whose word differs, or −1. Unmapped words never do. */
  spin(maxNs: number): number;
}

/**
 * Watches descriptors in the event loop. A poller with watches keeps the loop running unless
 * `unref` was called. Callbacks run with the poller as `this`; an exception becomes an
 * uncaughtException.
 */
export interface Poller {
  /** How many descriptors are watched. */
  readonly size: number;
  /** Watches a descriptor, replacing its earlier watch; `events` are bits of PollEvents. */
  watch(fd: number, events: number, callback: (events: number) => void): void;
  unwatch(fd: number): void;
  ref(): void;
  unref(): void;
  /** Drops all watches for good. */
  close(): void;
}

/** Mappings that other code of this process makes of files of one name. */
export interface FileMappings {
  /** Notes which there are. False where the system does not tell. */
  look(): boolean;
  /** The one for `bytes` that was not there at the last look; null if it is not exactly one. */
  appeared(bytes: number): ArrayBuffer | null;
  /** To be called before the mapping goes: the buffer has no bytes then. */
  release(buffer: ArrayBuffer): void;
}

export interface HrTimer {
  readonly armed: boolean;
  /** Calls back once after `ns` nanoseconds; replaces what was armed. */
  arm(ns: number, callback: () => void): void;
  disarm(): void;
  ref(): void;
  unref(): void;
  /** Frees the timer's descriptor; it cannot be armed again. */
  close(): void;
}

export interface NativeAddon {
  listen(path: string, backlog: number, mode: number): number;
  accept(fd: number): number;
  connect(path: string): number;
  socketpair(): [number, number];
  isListening(fd: number): boolean;
  shutdown(fd: number): void;
  recvmsg(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    maxFds: number,
    peek: boolean,
  ): ReceivedMessage;
  sendmsg(
    fd: number,
    buffer: Uint8Array,
    offset: number,
    length: number,
    fds: readonly number[],
  ): number;
  peerCredentials(fd: number): { pid: number; uid: number; gid: number };

  close(fd: number): void;
  dup(fd: number): number;
  setCloexec(fd: number, on: boolean): void;
  setNonblocking(fd: number, on: boolean): void;
  fstat(fd: number): {
    size: number;
    kind: "file" | "socket" | "pipe" | "char" | "directory" | "anonymous" | "other";
  };
  fstatSize(fd: number): number;
  eventfd(initial: number): number;
  eventfdRead(fd: number): number;
  signal(fd: number): boolean;
  drain(fd: number): number;
  memfdCreate(name: string, bytes: number | bigint, sealable: boolean): number;
  ftruncate(fd: number, bytes: number | bigint): void;
  addSeals(fd: number, seals: number): void;
  getSeals(fd: number): number;

  Mapping: new (
    fd: number,
    offset: number | bigint,
    bytes: number | bigint,
    readonly: boolean,
  ) => Mapping;
  FileMappings: new (name: string) => FileMappings;
  copyByTwo(to: WordView, from: WordView): void;
  RingWords: new (view: WordView) => RingWords;
  RingWaiter: new () => RingWaiter;
  loadAcquire8(view: WordView, byteOffset: number): number;
  loadAcquire16(view: WordView, byteOffset: number): number;
  loadAcquire32(view: WordView, byteOffset: number): number;
  loadAcquire64(view: WordView, byteOffset: number): number;
  loadAcquireBig64(view: WordView, byteOffset: number): bigint;
  storeRelease8(view: WordView, byteOffset: number, value: number): void;
  storeRelease16(view: WordView, byteOffset: number, value: number): void;
  storeRelease32(view: WordView, byteOffset: number, value: number): void;
  storeRelease64(view: WordView, byteOffset: number, value: number | bigint): void;
  exchange32(view: WordView, byteOffset: number, value: number): number;
  compareExchange32(view: WordView, byteOffset: number, expected: number, value: number): number;
  fetchOr8(view: WordView, byteOffset: number, bits: number): number;
  fetchOr32(view: WordView, byteOffset: number, bits: number): number;
  fence(): void;
  copy(to: WordView, toOffset: number, from: WordView, fromOffset: number, bytes: number): void;
  spinUntilChanged16(view: WordView, byteOffset: number, expected: number, maxNs: number): boolean;

  Poller: new () => Poller;
  HrTimer: new () => HrTimer;

  nowNs(): number;
  setPdeathsig(signal: number): void;
  prctlName(name: string): void;
  pidfdOpen(pid: number): number;
  pidfdSendSignal(pidfd: number, signal: number): boolean;
  setAffinity(pid: number, cpus: readonly number[]): void;
  getAffinity(pid: number): number[];
  involuntarySwitches(): number;
  currentCpu(): number;
  setSliceNs(sliceNs: number): boolean;
  setBatch(thread: number, batch: boolean): boolean;
  raiseNofile(): number;
  preload(paths: readonly string[]): void;
  preloaded(): void;
}
