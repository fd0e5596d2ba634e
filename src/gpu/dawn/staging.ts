// SPDX-License-Identifier: Apache-2.0
/**
 * Mappable buffers for reads. Data that comes back from the GPU passes through one of them: WebGPU
 * can't map a storage buffer. There are three sizes only, so that reads of every size use the same
 * few buffers again: fresh ones cost page faults that take longer than the copy.
 */
const SMALL_BYTES = 64 * 1024;
const MIDDLE_BYTES = 2 * 1024 * 1024;
/** The largest buffer: longer reads are made in parts. */
export const STAGING_BYTES_MAX = 16 * 1024 * 1024;
/** Idle buffers beyond this are freed. */
const IDLE_BYTES_MAX = 128 * 1024 * 1024;

export class StagingPool {
  readonly #device: GPUDevice;
  readonly #idle = new Map<number, GPUBuffer[]>();
  #idleBytes = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  take(bytes: number): GPUBuffer {
    const size = classOf(bytes);
    const idle = this.#idle.get(size)?.pop();
    if (idle !== undefined) {
      this.#idleBytes -= size;
      return idle;
    }
    return this.#device.createBuffer({
      label: "vgpu staging",
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
  }

  /** The buffer must be unmapped. */
  give(buffer: GPUBuffer): void {
    if (this.#idleBytes + buffer.size > IDLE_BYTES_MAX) {
      buffer.destroy();
      return;
    }
    const list = this.#idle.get(buffer.size);
    if (list === undefined) {
      this.#idle.set(buffer.size, [buffer]);
    } else {
      list.push(buffer);
    }
    this.#idleBytes += buffer.size;
  }
}

function classOf(bytes: number): number {
  if (bytes <= SMALL_BYTES) {
    return SMALL_BYTES;
  }
  return bytes <= MIDDLE_BYTES ? MIDDLE_BYTES : STAGING_BYTES_MAX;
}
