// SPDX-License-Identifier: Apache-2.0
/**
 * Posts messages into the buffers that the driver keeps on the event queue. A message carries no
 * data of its own (the driver looks at the timeline), so that one that finds no buffer is only
 * remembered as a flag and posted when a buffer comes.
 */
import { EventMessage, EventType, VGPU } from "../protocol/generated/wire.js";
import type { DeviceTransport } from "../vhost-user/device.js";
import { writeResponse } from "./chain-io.js";
import type { Context } from "./context.js";

export class EventQueue {
  transport: DeviceTransport | null = null;
  /** While true, nothing is posted. */
  suspended = true;
  /** Buffers that can't hold a message; they are given back unused. */
  badBuffers = 0;
  posted = 0;
  readonly #epoch: () => number;
  readonly #pending = new Set<Context>();
  #epochPending = false;
  readonly #message = new Uint8Array(EventMessage.bytes);
  readonly #view = new DataView(this.#message.buffer);

  constructor(epoch: () => number) {
    this.#epoch = epoch;
  }

  /** An armed fence of the context has completed, or will soon: that is worth no more than a buffer. */
  fence(context: Context, soon: boolean): void {
    if (context.eventPending) return;
    if (this.#post(soon ? EventType.SOON : EventType.FENCE, context.id) || soon) return;
    context.eventPending = true;
    this.#pending.add(context);
  }

  /** The device lost its state. */
  epochChanged(): void {
    this.#epochPending = !this.#post(EventType.EPOCH, 0);
  }

  /** Buffers came, or the rings run again: posts what could not be posted before. */
  deliver(): void {
    if (this.#epochPending) this.epochChanged();
    for (const context of this.#pending) {
      if (!this.#post(EventType.FENCE, context.id)) return;
      this.#pending.delete(context);
      context.eventPending = false;
    }
  }

  forget(context: Context): void {
    this.#pending.delete(context);
  }

  clear(): void {
    this.#pending.clear();
    this.#epochPending = false;
  }

  #post(type: EventType, context: number): boolean {
    const queue = this.transport?.queue(VGPU.QUEUE_EVENT) ?? null;
    if (queue === null || this.suspended) return false;
    for (let tried = 0; tried < VGPU.QUEUE_SIZE_MAX; tried++) {
      const chain = queue.pop();
      if (chain === null) break;
      if (chain.fault !== null || chain.writableBytes < EventMessage.bytes) {
        this.badBuffers++;
        queue.push(chain, 0);
        continue;
      }
      EventMessage.encode(this.#view, 0, { type, context, epoch: this.#epoch(), value: 0n });
      queue.push(chain, writeResponse(chain, this.#message));
      queue.flush();
      this.posted++;
      return true;
    }
    queue.flush();
    return false;
  }
}
