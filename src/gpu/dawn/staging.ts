// SPDX-License-Identifier: Apache-2.0
/**
 * Mappable buffers for reads, kept by size class. Data that comes back from the GPU passes through
 * one of them: WebGPU can't map a storage buffer.
 */
const CLASS_BYTES_MIN = 64 * 1024;
/** Idle buffers beyond this are freed. */
const IDLE_BYTES_MAX = 64 * 1024 * 1024;

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
  let size = CLASS_BYTES_MIN;
  while (size < bytes) {
    size *= 2;
  }
  return size;
}
