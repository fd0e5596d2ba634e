// SPDX-License-Identifier: Apache-2.0
/**
 * The memory of a software GPU's buffers, for copies by the host itself.
 *
 * WebGPU has no buffer that both kernels and the host use, so Dawn copies from the device twice, once on
 * the GPU into memory that can be mapped, and to it by one thread or through staging memory. But a
 * software GPU's memory is this process's own, mapped under a name that its driver gives (Mesa's
 * lavapipe: one memory file for all that it allocates). So where a buffer lies is found out when it is
 * first used:
 *
 *   exactly one mapping of its size has appeared when it was made, or with its first `writeBuffer` →
 *   random bytes that this writes to its ends are there, too → and zeros that are written over them
 *
 * What is found so is the buffer's memory. Where anything of this does not hold (another driver, an
 * older one, a small buffer, which lies in a larger mapping), copies go the way that WebGPU has.
 *
 * The host may use that memory only while no work of the GPU that names the buffer is on its way: see
 * DawnSegment.hostWrites and BatchReads.takeByHost.
 */

/** What the operating system tells of this process's mappings: see io/native.ts. */
export interface Mappings {
  look(): boolean;
  appeared(bytes: number): ArrayBuffer | null;
  release(buffer: ArrayBuffer): void;
}

export interface HostMemoryOptions {
  readonly mappings: Mappings;
  /** Uniform in 0 … 2³² − 1. */
  readonly random: () => number;
  /** Copies by two threads, for what is large; the ranges do not overlap. */
  readonly copyByTwo: (to: Uint8Array, from: Uint8Array) => void;
}

/** The name of the mappings that lavapipe makes (Mesa 25.0). */
export const LAVAPIPE_MAPPINGS = "/memfd:allocation fd (deleted)";

/** Dawn puts smaller buffers into a mapping with others. */
const BYTES_MIN = 4 * 1024 * 1024;
/** From here on a second thread pays, though it has to wake. */
const TWO_THREADS_BYTES = 512 * 1024;
const PROBE_BYTES = 16;

export class HostMemory {
  /** Whether large copies may use another core. */
  twoThreads = true;
  readonly #queue: GPUQueue;
  readonly #options: HostMemoryOptions;
  readonly #held = new Set<ArrayBuffer>();

  constructor(queue: GPUQueue, options: HostMemoryOptions) {
    this.#queue = queue;
    this.#options = options;
  }

  /** Makes a buffer. A driver may map it at once, so that is looked for. */
  created(
    make: () => GPUBuffer,
    bytes: number,
  ): { buffer: GPUBuffer; mapping: ArrayBuffer | null } {
    const { mappings } = this.#options;
    const looked = bytes >= BYTES_MIN && mappings.look();
    const buffer = make();
    const mapping = looked ? mappings.appeared(bytes) : null;
    if (mapping !== null) this.#held.add(mapping);
    return { buffer, mapping };
  }

  /**
   * The memory of a buffer that nothing was done with yet; null if it is not found. `mapping` is what
   * appeared when it was made.
   */
  find(buffer: GPUBuffer, mapping: ArrayBuffer | null): Uint8Array | null {
    const { mappings } = this.#options;
    if (buffer.size < BYTES_MIN || (mapping === null && !mappings.look())) return null;
    const begin = this.#randomBytes();
    const end = this.#randomBytes();
    this.#probe(buffer, begin, end);
    const candidate = mapping ?? mappings.appeared(buffer.size);
    if (candidate !== null) this.#held.add(candidate);
    const memory = candidate === null ? new Uint8Array(0) : new Uint8Array(candidate);
    const shown = ends(memory, begin, end);
    // In any case: it reads as zero when new.
    const zeros = new Uint8Array(PROBE_BYTES);
    this.#probe(buffer, zeros, zeros);
    if (shown && ends(memory, zeros, zeros)) return memory;
    if (candidate !== null) this.release(candidate);
    return null;
  }

  /** Before the buffer is destroyed: its memory is out of reach then. */
  release(mapping: ArrayBuffer): void {
    if (this.#held.delete(mapping)) this.#options.mappings.release(mapping);
  }

  /** The same for all. */
  close(): void {
    for (const mapping of this.#held) this.#options.mappings.release(mapping);
    this.#held.clear();
  }

  /** Copies the concatenation of `sources` to `offset` of the memory. */
  write(memory: Uint8Array, offset: number, sources: readonly Uint8Array[]): void {
    let at = offset;
    for (const source of sources) {
      this.#copy(memory.subarray(at, at + source.length), source);
      at += source.length;
    }
  }

  /** Copies `bytes` from `offset` of the memory to the beginning of the concatenation of `targets`. */
  read(memory: Uint8Array, offset: number, bytes: number, targets: readonly Uint8Array[]): void {
    const end = offset + bytes;
    let at = offset;
    for (const target of targets) {
      if (at === end) return;
      const from = memory.subarray(at, Math.min(at + target.length, end));
      this.#copy(target, from);
      at += from.length;
    }
  }

  #copy(to: Uint8Array, from: Uint8Array): void {
    if (this.twoThreads && from.length >= TWO_THREADS_BYTES) this.#options.copyByTwo(to, from);
    else to.set(from);
  }

  #randomBytes(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(new Uint32Array(PROBE_BYTES / 4).map(this.#options.random).buffer);
  }

  #probe(buffer: GPUBuffer, begin: Uint8Array<ArrayBuffer>, end: Uint8Array<ArrayBuffer>): void {
    this.#queue.writeBuffer(buffer, 0, begin);
    this.#queue.writeBuffer(buffer, buffer.size - PROBE_BYTES, end);
  }
}

function ends(memory: Uint8Array, begin: Uint8Array, end: Uint8Array): boolean {
  if (memory.length < begin.length + end.length) return false;
  const same = (at: number, probe: Uint8Array): boolean =>
    probe.every((byte, index) => memory[at + index] === byte);
  return same(0, begin) && same(memory.length - PROBE_BYTES, end);
}
