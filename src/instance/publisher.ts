// SPDX-License-Identifier: Apache-2.0
/**
 * Shows results to guests: data that was read, then timeline pages, then interrupts. While the
 * rings are stopped nothing of a guest's memory is written; everything is kept until they run again.
 */
import { crashPoint } from "../io/crash-points.js";
import { markStage } from "../io/stage-marks.js";
import { Status } from "../protocol/generated/wire.js";
import type { ReadGate, ReadTarget } from "./batches.js";
import type { Context } from "./context.js";
import type { GuestViews } from "./hostmem.js";
import type { InFlight } from "./in-flight.js";

export interface PublisherOptions {
  readonly epoch: () => number;
  /** Posts an event message for a context whose armed fence has completed, or will soon. */
  readonly notify: (context: Context, soon: boolean) => void;
}

export class Publisher implements ReadGate {
  /** Guest memory while a front end is attached. */
  memory: GuestViews | null = null;
  readonly #options: PublisherOptions;
  #held: ReadTarget[] = [];
  #dirty: Context[] = [];
  #suspended = true;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  get suspended(): boolean {
    return this.#suspended;
  }

  /** Rings stopped (true) or run again: then what was held back is delivered. */
  setSuspended(suspended: boolean): void {
    if (this.#suspended === suspended) return;
    this.#suspended = suspended;
    if (suspended) return;
    for (const target of this.#held.splice(0)) target.deliver();
    this.publish();
  }

  hold(target: ReadTarget): void {
    this.#held.push(target);
  }

  /** The context has something to show. */
  mark(context: Context): void {
    if (context.dirty || context.dead) return;
    context.dirty = true;
    this.#dirty.push(context);
  }

  /** The context goes: nothing of it is shown any more. */
  forget(context: Context): void {
    this.#held = this.#held.filter((target) => target.record.context !== context);
    if (context.dirty) this.#dirty = this.#dirty.filter((each) => each !== context);
    context.dirty = false;
  }

  /** The pages are mapped again: everything is shown anew. */
  republish(context: Context): void {
    context.headerDirty = true;
    for (const stream of context.streams) if (stream.doneFence > 0) stream.dirty = true;
    this.mark(context);
  }

  /**
   * A batch is submitted next: who sleeps until it is done is told, if that will be soon and it asks for
   * that. Told before, for its core wakes up meanwhile, and a software GPU's threads may run there.
   */
  expect(flight: InFlight, nowNs: number): void {
    const record = flight.oldest;
    if (record === undefined || flight.length > 1 || this.#suspended) return;
    const { context, jobs } = record;
    if (context.dead || jobs.length === 0 || !flight.foreseeable) return;
    const leftNs = flight.leftNs(nowNs);
    for (const { stream, fence } of jobs) {
      if (leftNs >= context.timeline.aheadNs(stream, fence)) continue;
      this.#options.notify(context, true);
      return;
    }
  }

  /** Writes what has completed into the timeline pages, and notifies where it is armed. */
  publish(): void {
    if (this.#suspended || this.#dirty.length === 0) return;
    const contexts = this.#dirty;
    this.#dirty = [];
    for (const context of contexts) {
      context.dirty = false;
      this.#show(context);
    }
  }

  #show(context: Context): void {
    crashPoint("completed");
    const { timeline } = context;
    // Nothing is lost: when the page is mapped again, everything is published again.
    if (!timeline.mapped) return;
    if (context.headerDirty) {
      context.headerDirty = false;
      const { error } = context;
      timeline.writeHeader(this.#options.epoch(), error?.status ?? Status.OK, error?.stream ?? 0);
    }
    let any = false;
    for (const stream of context.streams) {
      if (!stream.dirty) continue;
      timeline.writeSlot(stream);
      any = true;
    }
    if (!any) return;
    crashPoint("shown");
    markStage("shown");
    timeline.barrier();
    let armed = false;
    for (const stream of context.streams) {
      if (!stream.dirty) continue;
      stream.dirty = false;
      armed = timeline.isArmed(stream) || armed;
      stream.shownFence = stream.doneFence;
    }
    if (armed) {
      this.#options.notify(context, false);
      markStage("notified");
    }
    crashPoint("notified");
  }
}
