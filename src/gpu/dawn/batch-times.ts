// SPDX-License-Identifier: Apache-2.0
/** The timestamps of one batch: whether it has any, what they mean, and waiting for them. */
import type { DawnCore, InFlight } from "./core.js";
import type { TimingSlot } from "./timing.js";

export class BatchTimes {
  /** Something large is copied, before or after the passes, which timing the whole leaves out. */
  copies = false;
  /** Data is on its way to the host: marks no more say when what came before them is done. */
  reading = false;
  readonly #core: DawnCore;
  readonly #allowed: boolean;
  #slot: TimingSlot | null = null;
  #passes = 0;
  /** How many operations there were at the last mark. */
  #markedAt = -1;

  constructor(core: DawnCore, allowed: boolean) {
    this.#core = core;
    this.#allowed = allowed;
  }

  /** For the batch's next compute pass. */
  pass(): GPUComputePassDescriptor {
    const { timing } = this.#core;
    if (this.#passes++ === 0 && this.#allowed && timing?.pays === true) {
      this.#slot ??= timing.take();
      if (this.#slot !== null) this.#slot.whole = true;
    }
    return this.#slot?.whole === true ? { timestampWrites: this.#slot.writes() } : {};
  }

  /**
   * A mark behind so many operations: its index, or null if there can't be one. `emptyPass` is
   * called where nothing came since the last one.
   */
  mark(operations: number, emptyPass: (descriptor: GPUComputePassDescriptor) => void) {
    if (this.reading || !this.#allowed) return null;
    this.#slot ??= this.#core.timing?.take() ?? null;
    const slot = this.#slot;
    if (slot === null) return null;
    if (this.#markedAt !== operations || slot.marks === 0) {
      const timestampWrites = slot.mark();
      if (timestampWrites === null) return null;
      this.#markedAt = operations;
      emptyPass({ timestampWrites });
    }
    return slot.marks - 1;
  }

  get full(): boolean {
    return this.#slot?.full === true;
  }

  /** Work goes to the GPU. */
  sent(): void {
    if (this.#slot?.submittedNs === 0) this.#slot.submittedNs = this.#core.nowNs();
  }

  /** Behind all of the batch's work; false if there is nothing to wait for. */
  resolve(encoder: () => GPUCommandEncoder): boolean {
    const slot = this.#slot;
    if (slot === null) return false;
    if (this.copies) slot.whole = false;
    if (slot.whole || slot.marks > 0) {
      this.#core.timing?.resolve(slot, encoder());
      return true;
    }
    this.drop();
    return false;
  }

  /** `done` is called when they are there, which is when all that was submitted is done. */
  wait(entry: InFlight, done: () => void): void {
    const slot = this.#slot;
    if (slot === null) throw new Error("a batch without timestamps waits for them");
    const core = this.#core;
    const ready = (): void => {
      if (core.timing !== null && !core.closed) {
        const { timedNs, marksNs } = core.timing.read(slot, core.nowNs());
        entry.timedNs = timedNs;
        entry.marksNs = marksNs;
        core.timing.give(slot);
      }
      done();
    };
    core.ticker
      .call(() => slot.staging.mapAsync(GPUMapMode.READ, 0, slot.bytes))
      .then(ready, () => done());
  }

  /** The host's clock has to do. */
  drop(): void {
    if (this.#slot !== null) this.#core.timing?.give(this.#slot);
    this.#slot = null;
  }
}
