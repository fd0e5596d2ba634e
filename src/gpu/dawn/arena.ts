// SPDX-License-Identifier: Apache-2.0
/**
 * The upload arena: small host data of a batch (uniforms, small writes) is gathered in host memory
 * and goes to the GPU with one `writeBuffer` before the batch's command buffer. A queue is ordered,
 * so one GPU buffer serves every batch: the next batch's data can't overtake this batch's reads.
 */
export const ARENA_BYTES = 2 * 1024 * 1024;

export class Arena {
  readonly buffer: GPUBuffer;
  readonly #bytes = new Uint8Array(ARENA_BYTES);
  #used = 0;

  constructor(device: GPUDevice) {
    this.buffer = device.createBuffer({
      label: "vgpu upload arena",
      size: ARENA_BYTES,
      usage:
        GPUBufferUsage.UNIFORM |
        GPUBufferUsage.STORAGE |
        GPUBufferUsage.COPY_SRC |
        GPUBufferUsage.COPY_DST,
    });
  }

  get used(): number {
    return this.#used;
  }

  /** Reserves `bytes` at a multiple of `align`; −1 when the batch must be flushed first. */
  reserve(bytes: number, align: number): number {
    const offset = Math.ceil(this.#used / align) * align;
    if (offset + bytes > ARENA_BYTES) {
      return -1;
    }
    this.#used = offset + bytes;
    return offset;
  }

  put(offset: number, data: Uint8Array): void {
    this.#bytes.set(data, offset);
  }

  putU32(offset: number, value: number): void {
    const b = this.#bytes;
    b[offset] = value & 0xff;
    b[offset + 1] = (value >>> 8) & 0xff;
    b[offset + 2] = (value >>> 16) & 0xff;
    b[offset + 3] = value >>> 24;
  }

  /** Drops what was gathered. */
  clear(): void {
    this.#used = 0;
  }

  /** Sends what was gathered; call right before the command buffer that uses it is submitted. */
  upload(queue: GPUQueue): void {
    if (this.#used > 0) {
      const bytes = Math.ceil(this.#used / 4) * 4;
      queue.writeBuffer(this.buffer, 0, this.#bytes, 0, bytes);
      this.#used = 0;
    }
  }
}
