// SPDX-License-Identifier: Apache-2.0
/**
 * Streams and what is queued on them. A job is one submit: its commands are executed in order, and
 * its fence completes when all of them have. A stream runs one job at a time; what can't go on
 * (an event not recorded yet, a compilation) blocks only its own stream.
 */
import type { DeviceCommand } from "../command/types.js";
import { Status } from "../protocol/generated/wire.js";
import type { BatchRecord } from "./batches.js";
import type { LaunchCursor } from "./cursor.js";
import type { SlotState } from "./timeline.js";

export class Job {
  readonly stream: Stream;
  readonly fence: number;
  /** Bytes of the submit, for the quota on queued bytes. */
  readonly bytes: number;
  /** Order of admission over all streams of the context. */
  readonly admission: number;
  commands: readonly DeviceCommand[];
  /** The command to execute next. */
  next = 0;
  /** Bytes of a copy, or workgroups of a launch, that are done: large ones go in parts. */
  progress = 0;
  /** Of a launch that is executed in slices. */
  cursor: LaunchCursor | null = null;
  status: Status = Status.OK;

  constructor(
    stream: Stream,
    fence: number,
    bytes: number,
    admission: number,
    commands: readonly DeviceCommand[],
  ) {
    this.stream = stream;
    this.fence = fence;
    this.bytes = bytes;
    this.admission = admission;
    this.commands = commands;
  }
}

/** Why a stream does not go on, or null if it can. */
export type Blocked = "event" | "object" | "compile" | "probe" | null;

export class Stream implements SlotState {
  readonly index: number;
  readonly jobs = new Fifo<Job>();
  /** The newest batch that holds work of this stream, or on which it depends. */
  lastBatch: BatchRecord | null = null;
  blocked: Blocked = null;
  /** Whether it is in the context's list of runnable streams. */
  listed = false;
  /** Highest fence that was admitted. */
  lastFence = 0;
  doneFence = 0;
  doneStatus: Status = Status.OK;
  doneNs = 0;
  shownFence = 0;
  /** Whether the slot has to be written. */
  dirty = false;
  #eventNs = 0;

  constructor(index: number) {
    this.index = index;
  }

  /** VGPU-DEV-143: the time of an event of this stream, never before that of an earlier one. */
  eventAt(timeNs: number): number {
    this.#eventNs = Math.max(this.#eventNs, timeNs);
    return this.#eventNs;
  }

  /** Later work of this stream must come after `batch`. */
  follow(batch: BatchRecord | null): void {
    if (batch === null || batch.done) return;
    const last = this.lastBatch;
    if (last === null || last.done || last.sequence < batch.sequence) this.lastBatch = batch;
  }
}

const COMPACT_LENGTH = 64;

/** A queue on an array: taking from the front does not move the rest each time. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head++;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head >= COMPACT_LENGTH && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Puts an item before all others. */
  unshift(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else this.#items.unshift(item);
  }

  /** All of them, in order; for rare cases. */
  items(): T[] {
    return this.#items.slice(this.#head).filter((each) => each !== undefined);
  }

  /** Takes out one item wherever it is; for rare cases. */
  remove(item: T): void {
    this.#items = this.#items.slice(this.#head).filter((each) => each !== item);
    this.#head = 0;
  }

  clear(): void {
    this.#items.length = 0;
    this.#head = 0;
  }
}
