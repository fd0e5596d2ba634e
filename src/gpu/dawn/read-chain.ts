// SPDX-License-Identifier: Apache-2.0
/**
 * Long reads at the end of a batch, on a software GPU. Copies that are all submitted at once are ahead
 * of what is copied out by as much as there is, and what passes between GPU and host has left the
 * caches. Here two parts are on the way at a time: one is made while the one before is copied out, with
 * a few small staging buffers in turn.
 *
 *   GPU    part 0 │ part 1 │ part 2 │ …
 *   host          │ out 0  │ out 1  │ out 2
 *
 * Parts are submitted after the batch was, so nothing may come between: see Executor.exclusive.
 */
import { markStage } from "../../io/stage-marks.js";
import { scatter } from "./bytes.js";
import type { DawnCore, DawnSegment } from "./core.js";

/** As much as stays in a core's caches while the other core copies it out. */
export const CHAIN_PART_BYTES = 2 * 1024 * 1024;
/** With one part the GPU waits for the host to submit the next; a third one gains nothing more. */
const CHAIN_DEPTH = 2;

/** A part of a read: `bytes` from `offset` of the segment go to byte `partOffset` of its targets. */
export interface ReadPart {
  readonly segment: DawnSegment;
  readonly offset: number;
  readonly bytes: number;
  readonly partOffset: number;
  readonly targets: () => readonly Uint8Array[] | null;
}

/** A part in a staging buffer: whole words of it, from byte `at` on. */
interface StagedPart extends ReadPart {
  readonly at: number;
  /** Where the wanted bytes begin there. */
  readonly skipBytes: number;
}

/** Parts on their way: they are copied to one staging buffer, which is then mapped. */
export interface PendingMap {
  readonly parts: readonly StagedPart[];
  readonly staging: GPUBuffer;
  readonly mapBytes: number;
}

/** Bytes that a part takes in a staging buffer, where each begins at a multiple of 8. */
export function stagedBytes({ offset, bytes }: ReadPart): number {
  return Math.ceil(((offset % 4) + bytes) / 8) * 8;
}

/** Encodes the copies of parts, which are no more together than a staging buffer has. */
export function encodeReads(
  core: DawnCore,
  encoder: GPUCommandEncoder,
  reads: readonly ReadPart[],
): PendingMap {
  let mapBytes = 0;
  const parts = reads.map((part): StagedPart => {
    const at = mapBytes;
    mapBytes += stagedBytes(part);
    return { ...part, at, skipBytes: part.offset % 4 };
  });
  const staging = core.staging.take(mapBytes);
  for (const { segment, offset, bytes, at, skipBytes } of parts) {
    const copyBytes = Math.ceil((skipBytes + bytes) / 4) * 4;
    encoder.copyBufferToBuffer(segment.buffer, offset - skipBytes, staging, at, copyBytes);
  }
  return { parts, staging, mapBytes };
}

/** Copies mapped parts out, and gives their staging buffer back. */
export function deliverReads(core: DawnCore, { parts, staging, mapBytes }: PendingMap): void {
  const data = core.closed ? null : new Uint8Array(staging.getMappedRange(0, mapBytes));
  markStage("arrived");
  for (const { targets, at, skipBytes, bytes, partOffset } of parts) {
    const views = data === null ? null : targets();
    const begin = at + skipBytes;
    if (data !== null && views !== null)
      scatter(data.subarray(begin, begin + bytes), views, partOffset);
  }
  core.copiedBytes += 2 * mapBytes;
  markStage("delivered");
  staging.unmap();
  core.staging.give(staging);
}

/** Copies parts out that lie in this process's memory; the GPU is done with them. */
export function readInHost(core: DawnCore, reads: readonly ReadPart[]): void {
  markStage("arrived");
  for (const { segment, offset, bytes, targets } of reads) {
    const views = targets();
    if (views === null) continue;
    segment.hostReads(offset, bytes, views);
    core.copiedBytes += bytes;
  }
  markStage("delivered");
}

/** Cuts a read at multiples of `partMax` bytes. */
export function cutRead(read: ReadPart, partMax: number): ReadPart[] {
  const parts: ReadPart[] = [];
  for (let done = 0; done < read.bytes; ) {
    const offset = read.offset + done;
    const bytes = Math.min(read.bytes - done, partMax - (offset % 4));
    parts.push({ ...read, offset, bytes, partOffset: read.partOffset + done });
    done += bytes;
  }
  return parts;
}

export class ReadChain {
  readonly #core: DawnCore;
  /** Each is what one staging buffer takes. */
  readonly #steps: ReadPart[][] = [];
  readonly #done: () => void;
  #next = 0;
  #arrivals = 0;
  #ended = false;

  /** `done` is called once: when all was copied out, or as soon as the GPU fails. */
  constructor(core: DawnCore, reads: readonly ReadPart[], done: () => void) {
    this.#core = core;
    this.#done = done;
    let stepBytes = Number.POSITIVE_INFINITY;
    for (const part of reads.flatMap((read) => cutRead(read, CHAIN_PART_BYTES))) {
      if (stepBytes + stagedBytes(part) > CHAIN_PART_BYTES) {
        this.#steps.push([]);
        stepBytes = 0;
      }
      this.#steps.at(-1)?.push(part);
      stepBytes += stagedBytes(part);
    }
  }

  start(): void {
    for (let depth = 0; depth < CHAIN_DEPTH; depth++) this.#submitNext();
  }

  /** Submits the next parts; theirs are on the way while the ones before are copied out. */
  #submitNext(): void {
    const parts = this.#steps[this.#next];
    if (parts === undefined || this.#ended || this.#core.lost !== null) return;
    this.#next++;
    const { device, queue, ticker } = this.#core;
    const encoder = device.createCommandEncoder();
    const map = encodeReads(this.#core, encoder, parts);
    const commands = encoder.finish();
    const arrived = ticker.call(() => {
      markStage("encoded");
      queue.submit([commands]);
      markStage("submitted");
      ticker.activity(true);
      return map.staging.mapAsync(GPUMapMode.READ, 0, map.mapBytes);
    });
    arrived.then(
      () => this.#arrived(map),
      () => {
        map.staging.destroy();
        this.#end();
      },
    );
  }

  #arrived(map: PendingMap): void {
    if (this.#ended) {
      // Another part has failed, and the guest knows: its memory is its own again.
      map.staging.destroy();
      return;
    }
    this.#submitNext();
    deliverReads(this.#core, map);
    this.#arrivals++;
    if (this.#arrivals === this.#steps.length || this.#core.lost !== null) this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#done();
  }
}
