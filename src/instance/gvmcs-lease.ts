// SPDX-License-Identifier: Apache-2.0
/**
 * The lease of an instance that a broker schedules: VM entries and VM exits of its G-VMCS.
 *
 *   request → demand word, ring       the broker enters us: entry record, ring → granted
 *   entry without a deadline          ours until further notice, no message per launch
 *   the broker bounds it (ring)       at the deadline: stop submitting, finish, exit "slice used"
 *   nothing due fits before it        exit "slice used" before the deadline
 *   no work left in a bounded entry   exit "idle" at once, so that the GPU does not idle
 *   only a short rest on the GPU      exit with a tail, whose end is told when it has come
 *   a failure, a reset                stop submitting, finish, exit with that reason
 *   an event in the entry             is done before all else: see #inject
 *
 * A ring carries nothing: whoever is rung looks at the pages.
 */
import {
  AbortIndicator,
  type EntryControls,
  type ExecutionControls,
  ExitBitmap,
  type ExitDetails,
  ExitReason,
  FaultCode,
  InjectedEvent,
} from "../gvmcs/index.js";
import type { OneShot } from "./host.js";
import type { Lease, LeaseEnd } from "./lease.js";

/** What the lease needs of the instance's side of a G-VMCS. */
export interface LeaseGvmcs {
  readonly inside: boolean;
  readonly draining: boolean;
  readonly behind: boolean;
  readonly aloneNs: number;
  readonly others: number;
  load(): void;
  setContexts(count: number): boolean;
  setDemand(wanted: boolean): boolean;
  takeEntry(): EntryControls | null;
  deadlineNs(): number | null;
  exit(details: ExitDetails, nowNs: number): void;
  drained(endedNs: number): void;
  controlsChanged(): boolean;
  executionControls(): ExecutionControls | null;
  takePrepare(): boolean;
  fail(indicator: AbortIndicator): void;
}

export interface GvmcsLeaseOptions {
  readonly gvmcs: LeaseGvmcs;
  /** Makes the broker look at our state page. */
  readonly ring: () => void;
  readonly nowNs: () => number;
  /** For deadlines, and for leaving before the end of the work. */
  readonly timer: OneShot;
  readonly lookTimer: OneShot;
  /** For saying some time later that the guest has no context any more. */
  readonly absenceTimer: OneShot;
  /** Whether the run loop has work queued or in flight. */
  readonly busy: () => boolean;
  /** Whether it has work queued. */
  readonly waiting: () => boolean;
  /** GPU time used and batches finished so far, all contexts, ns. */
  readonly used: () => { readonly gpuTimeNs: number; readonly batches: number };
  /** Called whenever what the operator set has changed, and once at the beginning. */
  readonly controls?: (controls: ExecutionControls) => void;
  /** Drops all contexts: their guest is told that the device lost its state. */
  readonly drop?: (reason: string) => void;
  /** Brings the guest state in our page up to date. */
  readonly publish?: () => void;
}

interface Cause {
  readonly reason: ExitReason;
  readonly qualification: number;
}

const FAULT_CODES = {
  "context-failed": FaultCode.CONTEXT,
  "device-lost": FaultCode.DEVICE_LOST,
  "out-of-memory": FaultCode.OUT_OF_MEMORY,
} as const;

function causeOf(why: LeaseEnd): Cause {
  switch (why.kind) {
    case "watchdog":
      return { reason: ExitReason.WATCHDOG, qualification: why.context };
    case "reset":
      return { reason: ExitReason.RESET, qualification: 0 };
    default:
      return { reason: ExitReason.FAULT, qualification: FAULT_CODES[why.kind] };
  }
}

/** So long after its last context a guest counts as one that may want the GPU at any moment. */
const ABSENCE_NS = 2e9;

export class GvmcsLease implements Lease {
  onRevoke: (() => void) | null = null;
  onPrepare: (() => void) | null = null;
  foreseenAloneNs = 0;
  readonly #o: GvmcsLeaseOptions;
  #granted: (() => void) | null = null;
  /** No more may be submitted in this entry. */
  #ended = false;
  /** Why, if not for its time being over or for want of work. */
  #cause: Cause | null = null;
  /** Exited with SAVE: nothing is asked for until the broker wants the instance back. */
  #saved = false;
  /** Conditions that end an entry. */
  #exitBitmap: number = ExitBitmap.ALL;
  /** Longest tail that an exit may leave, ns. */
  #tailNsMax = 0;
  /** What the last exit told of. */
  #toldGpuNs = 0;
  #toldBatches = 0;
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

  get behind(): boolean {
    return this.#o.gvmcs.behind;
  }

  get aloneNs(): number {
    return this.#o.gvmcs.aloneNs;
  }

  get alone(): boolean {
    return this.#o.gvmcs.others === 0;
  }

  /** One program after the other comes and goes: the next one's first work should not wait for long parts. */
  contexts(count: number): void {
    const { absenceTimer } = this.#o;
    absenceTimer.disarm();
    if (count > 0) this.#setContexts(count);
    else absenceTimer.arm(ABSENCE_NS, () => this.#setContexts(0));
  }

  #setContexts(count: number): void {
    if (this.#o.gvmcs.setContexts(count)) this.#o.ring();
  }

  /** Longest rest that may be left on the GPU by an exit, ns; 0: none, or nobody waits for it. */
  get tailNsMax(): number {
    const { gvmcs } = this.#o;
    if (!gvmcs.inside || this.#cause !== null || gvmcs.deadlineNs() === null) return 0;
    return this.#tailNsMax;
  }

  /** Fills our page, from when on we can be entered, and takes over what the operator set. */
  load(): void {
    this.#saved = false;
    this.#readControls(true);
    this.#o.gvmcs.load();
    this.#told();
    this.#o.gvmcs.setDemand(this.#granted !== null || this.#o.busy());
    this.#o.ring();
  }

  request(granted: () => void): void {
    if (this.held) {
      granted();
      return;
    }
    this.#granted = granted;
    if (!this.#saved && this.#o.gvmcs.setDemand(true)) {
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
    if (!this.#o.gvmcs.inside) return;
    const exits = (this.#exitBitmap & ExitBitmap.IDLE) !== 0;
    // Without that bit the GPU is kept until the deadline, which is then used up.
    if (!exits) this.release();
    else if (this.#ended || this.#o.gvmcs.deadlineNs() !== null) this.#exit(ExitReason.IDLE);
  }

  /**
   * Nothing more is submitted in this turn, and what is in flight takes `tailNs` at most, as far as
   * one can tell: gives the GPU back before its end. False where the turn is kept for more work.
   */
  leave(tailNs: number): boolean {
    const used = this.#ended || this.#o.waiting();
    if (!used && (this.#exitBitmap & ExitBitmap.IDLE) === 0) return false;
    this.#exit(used ? ExitReason.SLICE_USED : ExitReason.IDLE, Math.max(1, tailNs));
    return true;
  }

  look(afterNs: number, callback: () => void): void {
    this.#o.lookTimer.arm(Math.ceil(afterNs), callback);
  }

  /** Nothing is in flight: a tail that was left has ended. */
  drained(endedNs: number): void {
    if (!this.#o.gvmcs.draining) return;
    this.#o.gvmcs.drained(endedNs);
    this.#o.ring();
  }

  finish(): void {
    this.#end();
  }

  end(why: LeaseEnd): void {
    if (!this.#o.gvmcs.inside) return;
    this.#cause ??= causeOf(why);
    this.#stop();
  }

  /** This process can't go on: the broker ends it, and knows why. */
  abort(): void {
    this.#o.gvmcs.fail(AbortIndicator.INSTANCE);
    this.#o.ring();
  }

  /** The broker has rung. */
  bell(): void {
    const { gvmcs, nowNs } = this.#o;
    const prepare = gvmcs.takePrepare();
    this.#readControls(false);
    if (this.#saved) {
      if (prepare) this.load();
      return;
    }
    if (!gvmcs.inside) {
      const entry = gvmcs.takeEntry();
      if (entry === null) {
        // Perhaps somebody wants to look at the page.
        if (prepare) this.onPrepare?.();
        else this.#o.publish?.();
        return;
      }
      this.#entered(entry);
      if (!gvmcs.inside) return;
    } else {
      this.#o.publish?.();
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

  #entered(entry: EntryControls): void {
    this.#ended = false;
    this.#cause = null;
    this.foreseenAloneNs = this.#o.gvmcs.aloneNs;
    this.#inject(entry.event);
  }

  /** Nothing of ours is in flight at an entry, so that these end it at once. */
  #inject(event: number): void {
    switch (event) {
      case InjectedEvent.CONTROLS_CHANGED:
        this.#readControls(true);
        return;
      case InjectedEvent.SAVE:
        this.#cause = { reason: ExitReason.SAVE, qualification: 0 };
        this.#saved = true;
        break;
      case InjectedEvent.RESET:
        this.#cause = { reason: ExitReason.RESET, qualification: 0 };
        this.#o.drop?.("the operator has reset the vGPU");
        break;
      case InjectedEvent.EPOCH:
        this.#cause = { reason: ExitReason.FAULT, qualification: FaultCode.DEVICE_LOST };
        this.#o.drop?.("the GPU was replaced");
        break;
      default:
        return;
    }
    // Dropping the contexts may have ended the entry already.
    if (this.#o.gvmcs.inside) this.#stop();
  }

  #end(): void {
    if (this.#o.gvmcs.inside && !this.#ended) this.#stop();
  }

  /** The run loop answers with `release` as soon as nothing is in flight. */
  #stop(): void {
    this.#ended = true;
    if (this.onRevoke === null) {
      this.release();
    } else {
      this.onRevoke();
    }
  }

  #exit(natural: ExitReason, tailNs = 0): void {
    const { gvmcs, ring, nowNs, timer, lookTimer, busy, waiting, used } = this.#o;
    const { reason, qualification } = this.#cause ?? { reason: natural, qualification: 0 };
    timer.disarm();
    lookTimer.disarm();
    this.#o.publish?.();
    // The exit says through the demand word whether there is more.
    const more = tailNs > 0 ? waiting() : busy();
    gvmcs.setDemand(!this.#saved && (this.#granted !== null || more));
    const { gpuTimeNs, batches } = used();
    const details = {
      reason,
      qualification,
      batches: batches - this.#toldBatches,
      gpuTimeNs: Math.max(0, gpuTimeNs - this.#toldGpuNs),
      tailNs,
    };
    this.#told();
    gvmcs.exit(details, nowNs());
    ring();
  }

  #told(): void {
    const { gpuTimeNs, batches } = this.#o.used();
    this.#toldGpuNs = gpuTimeNs;
    this.#toldBatches = batches;
  }

  #readControls(always: boolean): void {
    const { gvmcs, controls } = this.#o;
    if (!always && !gvmcs.controlsChanged()) return;
    const read = gvmcs.executionControls();
    if (read === null) return;
    this.#exitBitmap = read.exit_bitmap;
    this.#tailNsMax = read.tail_ns_max;
    controls?.(read);
  }
}
