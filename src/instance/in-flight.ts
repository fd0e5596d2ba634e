// SPDX-License-Identifier: Apache-2.0
/** The batches that the GPU has, in order, and how long it will be busy with them. */
import type { Executor } from "../gpu/executor.js";
import { VGPU } from "../protocol/generated/wire.js";
import type { BatchRecord } from "./batches.js";
import type { SchedulingLimits } from "./limits.js";

/** Parts of copies end at the granularity of allocations, wherever they begin. */
const STAGING_BYTES_MIN = 2 * VGPU.ALLOCATION_ALIGN;

/** A batch that copies more takes longer than its kernels. */
const FORESEEN_BYTES_MAX = 64 * 1024;
/** Work of this length is worth no polling for more, ns. */
const LONG_NS = 1e6;
/** Part of the next batch's time by which an end that nobody waits for may be noticed late. */
const UNHURRIED_SHARE = 1 / 2;
/** Part of the watchdog's limit: what has ended must not seem to hang. */
const LATE_SHARE_MAX = 1 / 16;

export class InFlight {
  readonly #records: BatchRecord[] = [];
  /** When the last batch was done: the GPU began with the next one then. */
  lastDoneNs = 0;
  readonly #aloneNs: () => number;

  /** `aloneNs`: from when on the GPU has no other one's work, as far as one can foresee. */
  constructor(aloneNs: () => number = () => 0) {
    this.#aloneNs = aloneNs;
  }

  get length(): number {
    return this.#records.length;
  }

  get oldest(): BatchRecord | undefined {
    return this.#records[0];
  }

  add(record: BatchRecord): void {
    this.#records.push(record);
  }

  /** `tookNs`: its time by the GPU's clock, where that is known; its end may be noticed later. */
  remove(record: BatchRecord, nowNs: number, tookNs: number | null): void {
    const index = this.#records.indexOf(record);
    if (index < 0) return;
    const endedNs = tookNs === null ? nowNs : this.beganNs(record) + tookNs;
    this.#records.splice(index, 1);
    this.lastDoneNs = Math.min(nowNs, endedNs);
  }

  /** From now on another one's work may be on the GPU too. */
  left(nowNs: number): void {
    for (const record of this.#records) record.leftNs = nowNs;
  }

  /** Bytes of copies between host and device. */
  get stagingBytes(): number {
    let bytes = 0;
    for (const record of this.#records) bytes += record.bytes;
    return bytes;
  }

  all(): BatchRecord[] {
    return [...this.#records];
  }

  /** What is in flight is expected to take this long, ns. */
  get expectedNs(): number {
    let expectedNs = 0;
    for (const record of this.#records) expectedNs += record.cost.estimateNs;
    return expectedNs;
  }

  /** Tells the executor when to look for the end of the oldest batch; `awaited`: by other processes. */
  expect(executor: Executor | null, awaited: boolean, limits: SchedulingLimits): void {
    const { oldest } = this;
    if (oldest === undefined) return;
    const doneNs = this.beganNs(oldest) + oldest.cost.estimateNs;
    const left = oldest.leftNs > 0;
    const lateNs = awaited || left ? 0 : this.#unhurriedNs(oldest, executor, limits);
    const interest = awaited ? "process" : left ? "tail" : lateNs > 0 ? "none" : "guest";
    executor?.expectDone?.(doneNs + lateNs, interest);
  }

  /**
   * How late the end of the oldest batch may be noticed: half of what the GPU does next if nobody waits
   * for it, as for a slice amid a launch, and its time is told by the GPU's own clock; else 0.
   */
  #unhurriedNs(oldest: BatchRecord, executor: Executor | null, limits: SchedulingLimits): number {
    const { timestamps, watchdogNs } = limits;
    const next = this.#records[1];
    if (next === undefined || !oldest.silent || !timestamps) return 0;
    if (executor?.info.timestamps !== true) return 0;
    const lateNs = next.cost.estimateNs * UNHURRIED_SHARE;
    return watchdogNs > 0 ? Math.min(lateNs, watchdogNs * LATE_SHARE_MAX) : lateNs;
  }

  /** When the GPU began with the oldest batch. */
  beganNs(oldest: BatchRecord): number {
    return Math.max(oldest.submittedNs, this.lastDoneNs, this.#aloneNs());
  }

  /** What is left of it, ns. */
  leftNs(nowNs: number): number {
    const { oldest } = this;
    const ranNs = oldest === undefined ? 0 : nowNs - this.beganNs(oldest);
    return Math.max(0, this.expectedNs - Math.max(0, ranNs));
  }

  /** Whether {@link leftNs} is more than a guess: it is made of kernels whose cost is known. */
  get foreseeable(): boolean {
    return this.#records.every(({ cost, bytes }) => cost.known && bytes <= FORESEEN_BYTES_MAX);
  }

  /** Whether it is known that the GPU will be busy for long. */
  long(nowNs: number): boolean {
    return this.length > 0 && this.foreseeable && this.leftNs(nowNs) >= LONG_NS;
  }

  /** Whether another batch may be made, by how many there are and what they copy. */
  hasRoom(limits: SchedulingLimits, executor: Pick<Executor, "exclusive">): boolean {
    const { batchesInFlightMax, batchNsMax, stagingBytesMax } = limits;
    if (this.length >= batchesInFlightMax || executor.exclusive === true) return false;
    const { stagingBytes } = this;
    // A rest that holds no part of a copy is no room.
    if (stagingBytes > 0 && stagingBytesMax - stagingBytes < STAGING_BYTES_MIN) return false;
    // One long batch running and one waiting keep the GPU busy; more would only delay others.
    return this.length < 2 || this.expectedNs < 1.5 * batchNsMax;
  }
}
