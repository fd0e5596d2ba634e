// SPDX-License-Identifier: Apache-2.0
/**
 * A small virtio device for tests of the transport: queues 0 and 2 give back what they were sent,
 * queue 1 holds event buffers that the test fills. It records what the session told it.
 */
import type { DeviceTransport, VirtioDevice } from "../../src/vhost-user/device.js";
import type { Chain, Virtqueue } from "../../src/virtqueue/types.js";

export class EchoDevice implements VirtioDevice {
  readonly deviceFeatures: bigint = 0n;
  readonly queueCount: number = 3;
  readonly queueSizeMax: number = 256;
  readonly configBytes: number = 256;
  busy: boolean | "long" = false;
  /** Most chains of one call, to try bounded batches. */
  batch = Number.POSITIVE_INFINITY;
  readonly config = new Uint8Array(256).map((_, i) => i);
  /** What happened, in order. */
  readonly calls: string[] = [];
  readonly faults: string[] = [];
  transport: DeviceTransport | null = null;
  processed = 0;
  resets = 0;

  readConfig(offset: number, into: Uint8Array): void {
    into.set(this.config.subarray(offset, offset + into.length));
  }

  writeConfig(offset: number, data: Uint8Array): boolean {
    if (data[0] === 0xee) return false;
    this.config.set(data, offset);
    return true;
  }

  attach(transport: DeviceTransport): void {
    this.transport = transport;
    this.calls.push("attach");
  }

  detach(): void {
    this.transport = null;
    this.calls.push("detach");
  }

  processQueue(index: number): void {
    this.processed++;
    const queue = this.transport?.queue(index);
    if (!queue || index === 1) return;
    for (let count = 0; count < this.batch; count++) {
      const chain = queue.pop();
      if (chain === null) break;
      if (chain.fault !== null) this.faults.push(chain.fault);
      queue.push(chain, echo(chain));
    }
    queue.flush();
  }

  /** Fills one event buffer; false when the driver has posted none. */
  event(bytes: Uint8Array): boolean {
    const queue: Virtqueue | null = this.transport?.queue(1) ?? null;
    const chain = queue?.pop() ?? null;
    if (queue === null || chain === null) return false;
    queue.push(chain, scatter(chain, bytes));
    queue.flush();
    return true;
  }

  ringsChanged(suspended: boolean): void {
    this.calls.push(suspended ? "suspended" : "running");
  }

  memoryChanged(): void {
    this.calls.push("memory");
  }

  reset(): void {
    this.resets++;
    this.calls.push("reset");
  }
}

/** Copies the readable part into the writable one; a fault is answered with its text. */
function echo(chain: Chain): number {
  if (chain.fault !== null) return scatter(chain, new TextEncoder().encode(chain.fault));
  const all = new Uint8Array(Math.min(chain.readableBytes, chain.writableBytes));
  let at = 0;
  for (const view of chain.readable) {
    const part = view.subarray(0, all.length - at);
    all.set(part, at);
    at += part.length;
  }
  return scatter(chain, all);
}

function scatter(chain: Chain, bytes: Uint8Array): number {
  let at = 0;
  for (const view of chain.writable) {
    const part = bytes.subarray(at, at + view.length);
    view.set(part);
    at += part.length;
  }
  return Math.min(at, chain.writableBytes);
}
