// SPDX-License-Identifier: Apache-2.0
/**
 * The seam between the vhost-user session (transport) and a virtio device (behaviour).
 * The session owns the connection, the memory table and the rings; the device owns the meaning of
 * config space and of the chains. Neither knows the other's protocol.
 */
import type { GuestMemory } from "../io/guest-memory.js";
import type { Virtqueue } from "../virtqueue/types.js";

/** A context as the process that is gone had it: where its driver looks for results. */
export interface ContextPages {
  readonly timelineAddress: number;
  readonly armAddress: number;
}

/**
 * Which contexts there are, in memory that outlives the process, so that its successor can tell
 * their drivers that they are lost. Written before the driver learns of the change.
 */
export interface ContextJournal {
  set(context: number, pages: ContextPages): void;
  clear(context: number): void;
  clearAll(): void;
  entries(): readonly ContextPages[];
  /** Memory for a ring's own notes, zero at first; null where there is none for it. */
  ring(index: number): Uint8Array | null;
}

/** What a connected front end offers the device. Valid from attach until detach. */
export interface DeviceTransport {
  readonly memory: GuestMemory;
  /** The ring if it is started and enabled, else null. */
  queue(index: number): Virtqueue | null;
  /** Feature bits that the driver acknowledged. */
  readonly features: bigint;
  /** Null where nobody takes over after this process. */
  readonly journal: ContextJournal | null;
  /** Sends VHOST_USER_BACKEND_CONFIG_CHANGE_MSG if that was negotiated; false if it was not. */
  notifyConfigChange(): boolean;
  /** There is no work any more: the rings are polled for a while. */
  expectMore?(): void;
}

/** A virtio device as the vhost-user session drives it. Calls come from one thread. */
export interface VirtioDevice {
  /** VIRTIO device feature bits beyond the transport's own (for vGPU: none, 0n). */
  readonly deviceFeatures: bigint;
  readonly queueCount: number;
  readonly queueSizeMax: number;
  readonly configBytes: number;
  /** Fills `into` with config space from `offset`; the session checked the range. */
  readConfig(offset: number, into: Uint8Array): void;
  /** The driver wrote config space. False refuses. */
  writeConfig(offset: number, data: Uint8Array): boolean;
  /** A front end has connected. */
  attach(transport: DeviceTransport): void;
  /** The front end is gone: guest memory is unmapped when this returns, so let go of all views. */
  detach(): void;
  /** A kick, or chains left over after resume: drain the ring. */
  processQueue(index: number): void;
  /**
   * Rings started, stopped, enabled or disabled. `suspended` is true while no ring runs: then the
   * device must not write guest memory or notify, and holds results until it is false again.
   */
  ringsChanged(suspended: boolean): void;
  /** Memory regions were added, removed or replaced. */
  memoryChanged(): void;
  /** VHOST_USER_RESET_DEVICE: back to the state after attach. */
  reset(): void;
  /**
   * Called once after queues were drained: true if work is pending for which ring polling for some
   * microseconds pays (see the session's adaptive polling); "long" if it is known to take long, so that
   * it pays less.
   */
  readonly busy: boolean | "long";
}
