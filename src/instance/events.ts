// SPDX-License-Identifier: Apache-2.0
/**
 * Events order streams and are asked for by the host program. The guest numbers the records of an
 * event ascending. A wait is satisfied as soon as its record is *encoded*, since batches execute in
 * the order of their submission; a query sees it when it has *completed*.
 *
 * A destroyed event is kept as a tombstone with its last generation: another stream may still have
 * a wait for it queued, which must not block for ever. Handles are bounded, so tombstones are too.
 */
import { ObjectState, Status } from "../protocol/generated/wire.js";
import type { BatchRecord } from "./batches.js";
import { type Failure, failure, unknownHandle } from "./failure.js";
import type { InstanceLimits } from "./limits.js";
import type { Stream } from "./streams.js";

export interface DeviceEvent {
  readonly handle: number;
  live: boolean;
  /** Highest generation whose record was encoded, and the batch it completes with. */
  recorded: number;
  batch: BatchRecord | null;
  /** Highest generation that has completed, and when. */
  completed: number;
  completedNs: number;
  /** Streams that wait for a later generation. */
  waiters: EventWaiter[] | null;
}

interface EventWaiter {
  readonly stream: Stream;
  readonly generation: number;
}

export interface EventAnswer {
  readonly state: ObjectState;
  readonly generation: number;
  readonly timeNs: number;
}

/** Events of all contexts, those that are kept as tombstones included. */
export class EventTotals {
  count = 0;
}

export class EventTable {
  readonly #events = new Map<number, DeviceEvent>();
  readonly #max: number;
  readonly #totalMax: number;
  readonly #totals: EventTotals;
  #live = 0;

  constructor(limits: InstanceLimits, totals: EventTotals) {
    this.#max = limits.eventsMax;
    this.#totalMax = limits.eventsTotalMax;
    this.#totals = totals;
  }

  /** Events that exist. */
  get count(): number {
    return this.#live;
  }

  /** Entries of the table: those that somebody waits for exist before they are recorded. */
  get kept(): number {
    return this.#events.size;
  }

  /**
   * Records a generation that completes with `batch`, at the time of its mark (null: at once, at
   * `nowNs`). `wake` is called for each stream that this lets go on.
   */
  record(
    { event: handle, generation }: { readonly event: number; readonly generation: number },
    stream: Stream,
    at: { readonly batch: BatchRecord | null; readonly mark: number | null },
    nowNs: number,
    wake: (stream: Stream) => void,
  ): Failure | null {
    const refused = this.#checkHandle(handle);
    if (refused !== null) return refused;
    const event = this.#make(handle);
    if (event === null) return this.#tooMany(handle);
    if (!event.live) {
      event.live = true;
      event.recorded = 0;
      event.completed = 0;
      this.#live++;
    }
    if (generation <= event.recorded) {
      const text =
        `event ${handle} is recorded with generation ${generation}, ` +
        `its last one is ${event.recorded}`;
      return failure(Status.FENCE_ORDER, text, generation, event.recorded, handle);
    }
    event.recorded = generation;
    event.batch = at.batch;
    if (at.batch === null) this.complete(event, generation, stream.eventAt(nowNs));
    else at.batch.events.push({ event, generation, stream, mark: at.mark });
    this.#wakeReached(event, wake);
    return null;
  }

  /** True if the stream can go on; else it is among the waiters until it is woken. */
  wait(handle: number, generation: number, stream: Stream): boolean | Failure {
    const refused = this.#checkHandle(handle);
    if (refused !== null) return refused;
    const event = this.#make(handle);
    if (event === null) return this.#tooMany(handle);
    if (event.recorded >= generation) {
      stream.follow(event.batch);
      return true;
    }
    event.waiters ??= [];
    event.waiters.push({ stream, generation });
    return false;
  }

  destroy(handle: number): Failure | null {
    const refused = this.#checkHandle(handle);
    if (refused !== null) return refused;
    const event = this.#events.get(handle);
    if (event?.live !== true) return unknownHandle("event", handle);
    event.live = false;
    this.#live--;
    return null;
  }

  complete(event: DeviceEvent, generation: number, nowNs: number): void {
    if (generation <= event.completed || generation > event.recorded) return;
    event.completed = generation;
    event.completedNs = nowNs;
  }

  query(handle: number, contextFailed: boolean): EventAnswer | Failure {
    const refused = this.#checkHandle(handle);
    if (refused !== null) return refused;
    const event = this.#events.get(handle);
    if (event?.live !== true) return { state: ObjectState.ABSENT, generation: 0, timeNs: 0 };
    const answer = { generation: event.completed, timeNs: event.completedNs };
    if (event.completed === event.recorded) return { state: ObjectState.READY, ...answer };
    return { state: contextFailed ? ObjectState.FAILED : ObjectState.PENDING, ...answer };
  }

  /** Nobody waits any more: the context has failed or goes away. */
  dropWaiters(): void {
    for (const event of this.#events.values()) event.waiters = null;
  }

  clear(): void {
    this.#totals.count -= this.#events.size;
    this.#events.clear();
    this.#live = 0;
  }

  /** Null if there are too many. */
  #make(handle: number): DeviceEvent | null {
    let event = this.#events.get(handle);
    if (event === undefined) {
      if (this.#totals.count >= this.#totalMax) return null;
      this.#totals.count++;
      event = {
        handle,
        live: false,
        recorded: 0,
        batch: null,
        completed: 0,
        completedNs: 0,
        waiters: null,
      };
      this.#events.set(handle, event);
    }
    return event;
  }

  #tooMany(handle: number): Failure {
    const text = `${this.#totalMax} events exist, the limit of all contexts`;
    return failure(Status.QUOTA, text, this.#totals.count, this.#totalMax, handle);
  }

  #wakeReached(event: DeviceEvent, wake: (stream: Stream) => void): void {
    const waiters = event.waiters;
    if (waiters === null) return;
    const rest = waiters.filter((waiter) => waiter.generation > event.recorded);
    event.waiters = rest.length > 0 ? rest : null;
    for (const waiter of waiters) if (waiter.generation <= event.recorded) wake(waiter.stream);
  }

  #checkHandle(handle: number): Failure | null {
    if (handle < this.#max) return null;
    const text = `event handle ${handle} is asked for, handles are below ${this.#max}`;
    return failure(Status.HANDLE_LIMIT, text, handle, this.#max, handle);
  }
}
