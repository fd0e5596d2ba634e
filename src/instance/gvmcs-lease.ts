// SPDX-License-Identifier: Apache-2.0
/**
 * The lease of an instance that a broker schedules: VM entries and VM exits of its G-VMCS.
 *
 *   request → demand word, ring       the broker enters us: entry record, ring → granted
 *   entry without a deadline          ours until further notice, no message per launch
 *   the broker bounds it (ring)       at the deadline: stop submitting, finish, exit "slice used"
 *   no work left in a bounded entry   exit "idle" at once, so that the GPU does not idle
 *
 * A ring carries nothing: whoever is rung looks at the pages.
 */
import {
  type EntryControls,
  type ExecutionControls,
  type ExitDetails,
  ExitReason,
} from "../gvmcs/index.js";
import type { Lease } from "./lease.js";

/** What the lease needs of the instance's side of a G-VMCS. */
export interface LeaseGvmcs {
  readonly inside: boolean;
  setDemand(wanted: boolean): boolean;
  takeEntry(): EntryControls | null;
  deadlineNs(): number | null;
  exit(details: ExitDetails, nowNs: number): void;
  executionControls(): ExecutionControls | null;
  takePrepare(): boolean;
}

export interface GvmcsLeaseOptions {
  readonly gvmcs: LeaseGvmcs;
  /** Makes the broker look at our state page. */
  readonly ring: () => void;
  readonly nowNs: () => number;
  readonly timer: { arm(ns: number, callback: () => void): void; disarm(): void };
  /** Whether the run loop has work queued or in flight. */
  readonly busy: () => boolean;
  /** GPU time used so far, all contexts, ns. */
  readonly gpuTimeNs: () => number;
  /** Called at each entry with what the operator set. */
  readonly controls?: (controls: ExecutionControls) => void;
}

export class GvmcsLease implements Lease {
  onRevoke: (() => void) | null = null;
  readonly #o: GvmcsLeaseOptions;
  #granted: (() => void) | null = null;
  #ended = false;
  #enteredGpuNs = 0;
  #controlsSeen: ExecutionControls | null = null;
  readonly #expired = (): void => this.#end();

  constructor(options: GvmcsLeaseOptions) {
    this.#o = options;
  }

  get held(): boolean {
    return this.#o.gvmcs.inside && !this.#ended;
  }

  /** When the holder has to stop; null while no end is set. */
  get deadlineNs(): number | null {
    return this.#o.gvmcs.inside ? this.#o.gvmcs.deadlineNs() : null;
  }

  request(granted: () => void): void {
    if (this.held) {
      granted();
      return;
    }
    this.#granted = granted;
    if (this.#o.gvmcs.setDemand(true)) {
      this.#o.ring();
    }
  }

  /** The run loop has nothing in flight: gives the GPU back if our turn is over. */
  release(): void {
    if (this.#o.gvmcs.inside && this.#ended) {
      this.#exit(ExitReason.SLICE_USED);
    }
  }

  /** The run loop has nothing in flight and nothing to do. */
  idle(): void {
    if (this.#o.gvmcs.inside && (this.#ended || this.#o.gvmcs.deadlineNs() !== null)) {
      this.#exit(ExitReason.IDLE);
    }
  }

  /** The broker has rung. */
  bell(): void {
    const { gvmcs, nowNs } = this.#o;
    gvmcs.takePrepare();
    if (!gvmcs.inside) {
      if (gvmcs.takeEntry() === null) {
        return;
      }
      this.#ended = false;
      this.#enteredGpuNs = this.#o.gpuTimeNs();
      this.#readControls();
    }
    const deadlineNs = gvmcs.deadlineNs();
    if (deadlineNs !== null) {
      const leftNs = deadlineNs - nowNs();
      if (leftNs <= 0) {
        this.#end();
      } else {
        this.#o.timer.arm(Math.ceil(leftNs), this.#expired);
      }
    }
    const granted = this.#granted;
    if (granted !== null && this.held) {
      this.#granted = null;
      granted();
    }
    if (!this.#o.busy()) {
      this.idle();
    }
  }

  #end(): void {
    if (!this.#o.gvmcs.inside || this.#ended) {
      return;
    }
    this.#ended = true;
    if (this.onRevoke === null) {
      this.release();
    } else {
      this.onRevoke();
    }
  }

  #exit(reason: ExitReason): void {
    const { gvmcs, ring, nowNs, timer, busy, gpuTimeNs } = this.#o;
    timer.disarm();
    // The exit says through the demand word whether there is more.
    gvmcs.setDemand(this.#granted !== null || busy());
    gvmcs.exit({ reason, gpuTimeNs: Math.max(0, gpuTimeNs() - this.#enteredGpuNs) }, nowNs());
    ring();
  }

  #readControls(): void {
    const controls = this.#o.gvmcs.executionControls();
    if (controls !== null && controls !== this.#controlsSeen) {
      this.#controlsSeen = controls;
      this.#o.controls?.(controls);
    }
  }
}
