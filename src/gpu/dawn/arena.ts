// SPDX-License-Identifier: Apache-2.0
/**
 * The upload arena: small host data of a batch (uniforms, small writes) is gathered in host memory
 * and goes to the GPU with one `writeBuffer` before the batch's command buffer. A queue is ordered,
 * so one GPU buffer serves every batch: the next batch's data can't overtake this batch's reads.
 *
 * A program that launches the same kernels with the same arguments again, as a training step does,
 * gathers the same bytes at the same places: what the GPU's buffer has at its beginning is remembered,
 * and only what differs is written.
 */
export const ARENA_BYTES = 2 * 1024 * 1024;
/** How many bytes at the beginning are remembered: comparing is no faster than writing large data. */
const REMEMBERED_BYTES = 16 * 1024;

export class Arena {
  readonly buffer: GPUBuffer;
  readonly #bytes = new Uint8Array(ARENA_BYTES);
  readonly #words = new Uint32Array(this.#bytes.buffer, 0, REMEMBERED_BYTES / 4);
  /** What the GPU's buffer has, `#sentWords` words of it. */
  readonly #sent = new Uint32Array(REMEMBERED_BYTES / 4);
  #sentWords = 0;
  /** From where on the GPU itself writes what is gathered now. */
  #overwritten = Infinity;
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

  /** The GPU's commands write the buffer from `offset` on, after the next upload. */
  overwrites(offset: number): void {
    this.#overwritten = Math.min(this.#overwritten, offset);
  }

  /** Drops what was gathered. */
  clear(): void {
    this.#used = 0;
    this.#overwritten = Infinity;
  }

  /** Sends what was gathered; call right before the command buffer that uses it is submitted. */
  upload(queue: GPUQueue): void {
    if (this.#used === 0) return;
    const count = Math.ceil(this.#used / 4);
    const comparable = Math.min(count, this.#sentWords);
    const first = this.#differs(comparable);
    let end = count;
    if (count <= this.#sentWords) while (end > first && this.#same(end - 1)) end--;
    if (end > first) {
      queue.writeBuffer(this.buffer, 4 * first, this.#bytes, 4 * first, 4 * (end - first));
      this.#remember(first, end);
    }
    this.#sentWords = Math.min(this.#sentWords, Math.floor(this.#overwritten / 4));
    this.clear();
  }

  #same(index: number): boolean {
    return this.#words[index] === this.#sent[index];
  }

  /** The first of so many words that the GPU's buffer has not; their number, if it has all. */
  #differs(words: number): number {
    let first = 0;
    while (first < words && this.#same(first)) first++;
    return first;
  }

  #remember(first: number, end: number): void {
    const known = Math.min(end, this.#words.length);
    if (first < known) this.#sent.set(this.#words.subarray(first, known), first);
    this.#sentWords = Math.max(this.#sentWords, known);
  }
}
