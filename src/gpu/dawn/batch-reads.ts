// SPDX-License-Identifier: Apache-2.0
/**
 * The reads of one batch. What follows a read makes it take its place: it is encoded. Those that nothing
 * follows are done when the rest is, in one of three ways: by the host itself (host-memory.ts), in a
 * chain (read-chain.ts), or encoded as well.
 */
import type { DawnCore } from "./core.js";
import {
  cutRead,
  encodeReads,
  type PendingMap,
  ReadChain,
  type ReadPart,
  readInHost,
  stagedBytes,
} from "./read-chain.js";

/**
 * A read is mapped and copied out in parts of this size, so that copy and GPU overlap; on a software
 * GPU see read-chain.ts.
 */
const READ_PART_BYTES = 2 * 1024 * 1024;
/** Reads of less are not worth a chain. */
const CHAIN_BYTES_MIN = 1536 * 1024;

/** What a batch does for its reads. */
export interface ReadEncoder {
  /** For copies, which come behind what is encoded. */
  encoder(): GPUCommandEncoder;
  /** Submits what is encoded. */
  flush(): void;
}

export class BatchReads {
  readonly #core: DawnCore;
  readonly #into: ReadEncoder;
  /** Encoded; to be mapped when it is submitted. */
  #maps: PendingMap[] = [];
  /** Nothing has followed these yet. */
  #last: ReadPart[] = [];
  #byHost: readonly ReadPart[] = [];

  constructor(core: DawnCore, into: ReadEncoder) {
    this.#core = core;
    this.#into = into;
  }

  add(read: ReadPart): void {
    if (this.#core.uploads === null) this.#encode(read);
    else if (read.bytes > 0) this.#last.push(read);
  }

  /** Whether some wait for what follows. */
  get open(): boolean {
    return this.#last.length > 0;
  }

  get encoded(): boolean {
    return this.#maps.length > 0;
  }

  /** Whether the host has reads to do at the end. */
  get byHost(): boolean {
    return this.#byHost.length > 0;
  }

  /** Something else follows: the reads take their place before it. */
  encode(): void {
    const reads = this.#last;
    if (reads.length === 0) return;
    this.#last = [];
    const bytes = reads.reduce((sum, read) => sum + stagedBytes(read), 0);
    if (bytes > READ_PART_BYTES) for (const read of reads) this.#encode(read);
    else this.#maps.push(encodeReads(this.#core, this.#into.encoder(), reads));
  }

  #encode(read: ReadPart): void {
    for (const part of cutRead(read, READ_PART_BYTES)) {
      this.#maps.push(encodeReads(this.#core, this.#into.encoder(), [part]));
      if (part.bytes >= READ_PART_BYTES / 2) this.#into.flush();
    }
  }

  /** Those that are submitted now. */
  takeMaps(): readonly PendingMap[] {
    const maps = this.#maps;
    this.#maps = [];
    return maps;
  }

  /**
   * The batch ends: the last reads are the host's where it reaches the memory itself, unless they are
   * short and the GPU is to go on with the next batch meanwhile (`behind` others, after work of this
   * one).
   */
  takeByHost(behind: boolean): void {
    const reads = this.#last;
    if (reads.length === 0 || !reads.every((read) => read.segment.inHostMemory)) return;
    if (behind && bytesOf(reads) < CHAIN_BYTES_MIN) return;
    this.#byHost = reads;
    this.#last = [];
    this.#core.chainBegins();
  }

  /** The GPU has done all before them. */
  readByHost(): void {
    const core = this.#core;
    if (this.#byHost.length === 0 || core.lost !== null) return;
    if (!core.closed) readInHost(core, this.#byHost);
    core.chainEnds();
  }

  /** The last reads, if they are long; short ones are encoded. `done` as for ReadChain. */
  chain(done: () => void): ReadChain | null {
    const core = this.#core;
    if (bytesOf(this.#last) < CHAIN_BYTES_MIN) {
      this.encode();
      return null;
    }
    core.chainBegins();
    return new ReadChain(core, this.#last, () => {
      core.chainEnds();
      done();
    });
  }
}

function bytesOf(reads: readonly ReadPart[]): number {
  return reads.reduce((sum, read) => sum + read.bytes, 0);
}
