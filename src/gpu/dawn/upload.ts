// SPDX-License-Identifier: Apache-2.0
/**
 * Large writes into a segment that the GPU has written before.
 *
 * Dawn writes host data straight into a buffer only where the buffer is host-visible and no work of
 * the GPU ever wrote it. Otherwise it allocates a staging buffer of the write's size, and the page
 * faults of that fresh memory cost five to ten times the copy. So on a GPU that shares the host's
 * memory the data goes through a few buffers of our own which the GPU only reads: each part is one
 * direct write and one copy on the GPU, and the two overlap.
 */
import type { Ticker } from "./ticker.js";

const PART_BYTES = 2 * 1024 * 1024;
const PARTS = 8;

export class UploadRing {
  readonly #device: GPUDevice;
  readonly #ticker: Ticker;
  readonly #buffers: GPUBuffer[] = [];
  #next = 0;

  constructor(device: GPUDevice, ticker: Ticker) {
    this.#device = device;
    this.#ticker = ticker;
  }

  /** Writes `source` (whole words) to `offset` of `target`; everything encoded was submitted. */
  write(target: GPUBuffer, offset: number, source: Uint8Array): void {
    const { queue } = this.#device;
    for (let done = 0; done < source.length; done += PART_BYTES) {
      const bytes = Math.min(PART_BYTES, source.length - done);
      const buffer = this.#take();
      queue.writeBuffer(buffer, 0, source, done, bytes);
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, target, offset + done, bytes);
      queue.submit([encoder.finish()]);
      // The promise is of no interest, but Dawn looks for finished work only while one is open.
      void this.#ticker.call(() => queue.onSubmittedWorkDone()).catch(() => {});
    }
  }

  #take(): GPUBuffer {
    if (this.#buffers.length < PARTS) {
      const buffer = this.#device.createBuffer({
        label: "vgpu upload",
        size: PART_BYTES,
        usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
      });
      this.#buffers.push(buffer);
      return buffer;
    }
    // Dawn has to notice that the buffer is free again, or it would stage the write.
    this.#ticker.tickNow();
    const buffer = this.#buffers[this.#next] as GPUBuffer;
    this.#next = (this.#next + 1) % PARTS;
    return buffer;
  }
}
