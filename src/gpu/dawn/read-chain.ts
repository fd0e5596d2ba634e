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

/** A part on its way: whole words of it are copied to a staging buffer, which is then mapped. */
export interface PendingMap extends ReadPart {
  readonly staging: GPUBuffer;
  readonly mapBytes: number;
  /** Where the wanted bytes begin in the staging buffer. */
  readonly skipBytes: number;
}

export function encodeRead(core: DawnCore, encoder: GPUCommandEncoder, part: ReadPart): PendingMap {
  const skipBytes = part.offset % 4;
  const mapBytes = Math.ceil((skipBytes + part.bytes) / 4) * 4;
  const staging = core.staging.take(mapBytes);
  const start = part.offset - skipBytes;
  encoder.copyBufferToBuffer(part.segment.buffer, start, staging, 0, mapBytes);
  return { ...part, staging, mapBytes, skipBytes };
}

/** Copies a mapped part out, and gives its staging buffer back. */
export function deliverRead(core: DawnCore, map: PendingMap): void {
  const views = core.closed ? null : map.targets();
  markStage("arrived");
  if (views !== null) {
    const data = new Uint8Array(map.staging.getMappedRange(0, map.mapBytes));
    scatter(data.subarray(map.skipBytes, map.skipBytes + map.bytes), views, map.partOffset);
  }
  core.copiedBytes += 2 * map.mapBytes;
  markStage("delivered");
  map.staging.unmap();
  core.staging.give(map.staging);
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
      if (stepBytes + part.bytes > CHAIN_PART_BYTES) {
        this.#steps.push([]);
        stepBytes = 0;
      }
      this.#steps.at(-1)?.push(part);
      stepBytes += part.bytes;
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
    const maps = parts.map((part) => encodeRead(this.#core, encoder, part));
    const commands = encoder.finish();
    const arrived = ticker.call(() => {
      markStage("encoded");
      queue.submit([commands]);
      markStage("submitted");
      ticker.activity(true);
      return Promise.all(
        maps.map(({ staging, mapBytes }) => staging.mapAsync(GPUMapMode.READ, 0, mapBytes)),
      );
    });
    arrived.then(
      () => this.#arrived(maps),
      () => {
        for (const { staging } of maps) staging.destroy();
        this.#end();
      },
    );
  }

  #arrived(maps: readonly PendingMap[]): void {
    if (this.#ended) {
      // Another part has failed, and the guest knows: its memory is its own again.
      for (const { staging } of maps) staging.destroy();
      return;
    }
    this.#submitNext();
    for (const map of maps) deliverRead(this.#core, map);
    this.#arrivals++;
    if (this.#arrivals === this.#steps.length || this.#core.lost !== null) this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#done();
  }
}
