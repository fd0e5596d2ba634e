// SPDX-License-Identifier: Apache-2.0
/**
 * The broker's side of a G-VMCS: it writes the controls page, and reads the instance's state page,
 * where every value is a claim. A claim that is not valid aborts that instance; the broker itself
 * goes on. Pure but for the two pages: the clock is an argument.
 */
import {
  AbortIndicator,
  AbortIndicatorNames,
  AbortIndicatorTexts,
  ControlsWordsAt,
  Demand,
  EntryControls,
  EntryReason,
  ExecutionControls,
  ExitBitmap,
  ExitInformation,
  ExitReason,
  FaultCodeNames,
  GVMCS,
  HostState,
  InjectedEvent,
  LaunchState,
  RunState,
  StateWordsAt,
  TimelineState,
  type Violation,
} from "./generated/layout.js";
import { RecordPage, type SharedPage } from "./page.js";
import { type LaunchEvent, transition } from "./state-machine.js";

/** Exits that no bitmap can mask: without them the GPU would not come back. */
const EXITS_REQUIRED = ExitBitmap.ALL & ~(ExitBitmap.IDLE | ExitBitmap.YIELD);

export interface Abort {
  readonly indicator: AbortIndicator;
  readonly text: string;
}

/** What a look at the state page has brought. */
export type Report =
  | { readonly kind: "nothing" }
  | { readonly kind: "loaded" }
  | { readonly kind: "exit"; readonly exit: ExitInformation }
  /** The tail that the last exit left has ended: then, as the instance says it, whatever that is. */
  | { readonly kind: "drained"; readonly endedNs: number }
  | { readonly kind: "abort"; readonly abort: Abort };

export interface Entry {
  /** Null: until further notice. Monotonic clock. */
  readonly deadlineNs: number | null;
  readonly event?: InjectedEvent;
  readonly eventArgument?: number;
  /** The tail of another vGPU is on the GPU, and should end then: see {@link GvmcsBroker.alone}. */
  readonly tailEndNs?: number | null;
}

function violationText(what: string, { field, value, rule }: Violation): string {
  return `${what}.${field} is ${value}; valid is what ${rule}`;
}

/** The broker's side of one vGPU. A new instance of the same vGPU keeps it: see {@link clear}. */
export class GvmcsBroker {
  readonly #controls: RecordPage;
  readonly #state: RecordPage;
  #execution: ExecutionControls;
  #host: HostState;
  #launchState: LaunchState = LaunchState.CLEAR;
  #abort: Abort | null = null;
  #entrySequence = 0;
  #entryReason: EntryReason = EntryReason.START;
  #prepareSequence = 0;
  #controlsSequence = 1;
  /** The longest tail that was allowed at any time of the entry. */
  #tailNsMax = 0;

  /** Takes the controls page mapped writable, and the state page, which is only read. */
  constructor(
    pages: { readonly controls: SharedPage; readonly state: SharedPage },
    initial: { readonly host: HostState; readonly execution: ExecutionControls },
  ) {
    this.#controls = new RecordPage(pages.controls);
    this.#state = new RecordPage(pages.state);
    this.#execution = initial.execution;
    this.#host = initial.host;
    const { words } = pages.controls;
    words.store32(ControlsWordsAt.revision, GVMCS.REVISION);
    this.setHost(initial.host);
    this.setExecution(initial.execution);
    words.store32(ControlsWordsAt.magic, GVMCS.CONTROLS_MAGIC);
  }

  get launchState(): LaunchState {
    return this.#launchState;
  }

  get entered(): boolean {
    return this.#launchState === LaunchState.ENTERED || this.#launchState === LaunchState.BOUNDED;
  }

  /** Whether it has exited, and its tail is on the GPU. */
  get draining(): boolean {
    return this.#launchState === LaunchState.DRAINING;
  }

  /** Why the instance was aborted. */
  get abortion(): Abort | null {
    return this.#abort;
  }

  get entrySequence(): number {
    return this.#entrySequence;
  }

  get execution(): ExecutionControls {
    return this.#execution;
  }

  get host(): HostState {
    return this.#host;
  }

  /** Whether the instance says that it wants the GPU. */
  get demand(): boolean {
    return this.#state.page.words.load32(StateWordsAt.demand) === Demand.RUNNABLE;
  }

  /** Whether the instance says that its guest has contexts, and so may want the GPU at any moment. */
  get present(): boolean {
    return this.demand || this.#state.page.words.load32(StateWordsAt.contexts) !== 0;
  }

  /** Submits that are not done, as the instance says it; null if it says nothing sensible. */
  get queuedSubmits(): number | null {
    const state = this.#state.read(TimelineState);
    if (state === null || TimelineState.check(state) !== null) return null;
    let queued = 0;
    for (const { submitted, done } of state.timelines) queued += Math.max(0, submitted - done);
    return queued;
  }

  setHost(host: HostState): void {
    this.#host = host;
    this.#controls.write(HostState, host);
  }

  /** Throws RangeError naming the field, the value and the limit. */
  setExecution(execution: ExecutionControls): void {
    const violation = ExecutionControls.check(execution);
    if (violation !== null) throw new RangeError(violationText("execution_controls", violation));
    if ((execution.exit_bitmap & EXITS_REQUIRED) !== EXITS_REQUIRED) {
      throw new RangeError(`execution_controls.exit_bitmap ${execution.exit_bitmap} masks an exit`);
    }
    if (execution.min_share_ppm > execution.max_share_ppm) {
      const { min_share_ppm: min, max_share_ppm: max } = execution;
      throw new RangeError(`execution_controls.min_share_ppm ${min} is above the maximum ${max}`);
    }
    this.#execution = execution;
    this.#tailNsMax = Math.max(this.#tailNsMax, execution.tail_ns_max);
    this.#controls.write(ExecutionControls, execution);
    this.#controlsSequence = (this.#controlsSequence + 1) >>> 0;
    this.#store(ControlsWordsAt.controls_sequence, this.#controlsSequence);
  }

  /** Hands the GPU to the instance. Throws if it is not ready: the scheduler's mistake. */
  enter(entry: Entry, nowNs: number): void {
    const { deadlineNs } = entry;
    this.#move({ kind: "enter", bounded: deadlineNs !== null });
    this.#entrySequence = (this.#entrySequence + 1) >>> 0;
    this.#tailNsMax = this.#execution.tail_ns_max;
    this.#setDeadline(deadlineNs);
    const { tailEndNs = null } = entry;
    this.#setAlone(tailEndNs ?? nowNs, tailEndNs !== null);
    this.#controls.write(EntryControls, {
      sequence: this.#entrySequence,
      reason: this.#entryReason,
      event: entry.event ?? InjectedEvent.NONE,
      event_argument: entry.eventArgument ?? 0,
      time_ns: nowNs,
    });
    this.#store(ControlsWordsAt.entry_sequence, this.#entrySequence);
  }

  /** Sets the end of an entry that had none. */
  bound(deadlineNs: number): void {
    this.#move({ kind: "bound" });
    this.#setDeadline(deadlineNs);
  }

  /** The tail of another vGPU has ended, with which the instance had to share the GPU. */
  alone(nowNs: number): void {
    this.#setAlone(nowNs, false);
  }

  /** So many other vGPUs may want the GPU at any moment. The instance looks before each batch. */
  setOthers(count: number): void {
    this.#store(ControlsWordsAt.others, count);
  }

  /** Tells the instance that it will probably be entered next. */
  prepare(): void {
    this.#prepareSequence = (this.#prepareSequence + 1) >>> 0;
    this.#store(ControlsWordsAt.prepare_sequence, this.#prepareSequence);
  }

  /** Looks at the state page once. Call it when the instance has rung. */
  poll(): Report {
    if (this.#launchState === LaunchState.ABORTED) return { kind: "nothing" };
    const { words } = this.#state.page;
    const own = words.load32(StateWordsAt.abort_indicator);
    if (own !== AbortIndicator.NONE) {
      const name = AbortIndicatorNames.get(own) ?? own;
      return this.#refused(AbortIndicator.INSTANCE, `the instance aborts itself with ${name}`);
    }
    const demand = words.load32(StateWordsAt.demand);
    if (demand > Demand.RUNNABLE) {
      return this.#refused(AbortIndicator.WORD, `state_words.demand is ${demand}, at most 1`);
    }
    const { CLEAR, SAVED } = LaunchState;
    if (this.#launchState === CLEAR || this.#launchState === SAVED) return this.#pollLoad();
    const sequence = words.load32(StateWordsAt.exit_sequence);
    const ended = this.entered
      ? (this.#entrySequence - 1) >>> 0 === sequence
      : this.#entrySequence === sequence;
    if (!ended) return this.#pollExit(sequence);
    if (!this.draining) return { kind: "nothing" };
    const drained = words.load32(StateWordsAt.drained_sequence);
    if (drained !== this.#entrySequence) return { kind: "nothing" };
    this.#move({ kind: "drained" });
    return { kind: "drained", endedNs: words.load64(StateWordsAt.drained_ns) };
  }

  /** Records why the instance is ended. The first cause stays. */
  abort(indicator: AbortIndicator, text?: string): Abort {
    if (this.#abort === null) {
      const reason = text ?? AbortIndicatorTexts.get(indicator) ?? "";
      this.#abort = { indicator, text: reason };
      this.#store(ControlsWordsAt.abort_indicator, indicator);
      this.#move({ kind: "abort" });
    }
    return this.#abort;
  }

  /**
   * Makes the structure fit for a new instance, with the state page zeroed or a new one. The
   * entries go on counting, so that an exit of the old instance can't pass for one of the new.
   */
  clear(host: HostState): void {
    this.#abort = null;
    this.#entryReason = EntryReason.START;
    this.#move({ kind: "clear" });
    this.#store(ControlsWordsAt.abort_indicator, AbortIndicator.NONE);
    this.#setDeadline(null);
    this.setHost(host);
  }

  #pollLoad(): Report {
    const { words } = this.#state.page;
    const runState = words.load32(StateWordsAt.run_state);
    if (runState === RunState.NEW) return { kind: "nothing" };
    const magic = words.load32(StateWordsAt.magic);
    const revision = words.load32(StateWordsAt.revision);
    if (runState !== RunState.LOADED) {
      return this.#refused(AbortIndicator.WORD, `state_words.run_state is ${runState}, at most 1`);
    }
    if (magic !== GVMCS.STATE_MAGIC || revision !== GVMCS.REVISION) {
      const found = `0x${magic.toString(16)} with revision ${revision}`;
      const wanted = `0x${GVMCS.STATE_MAGIC.toString(16)} with revision ${GVMCS.REVISION}`;
      return this.#refused(AbortIndicator.REVISION, `the state page is ${found}, not ${wanted}`);
    }
    // An exit that is not due yet would otherwise be found at the first entry.
    const exitSequence = words.load32(StateWordsAt.exit_sequence);
    if (exitSequence !== this.#entrySequence) {
      const text = `the state page is loaded with exit ${exitSequence}, not ${this.#entrySequence}`;
      return this.#refused(AbortIndicator.EXIT_SEQUENCE, text);
    }
    if (this.#launchState === LaunchState.SAVED) this.#entryReason = EntryReason.RESTORE;
    this.#move({ kind: "load" });
    return { kind: "loaded" };
  }

  #pollExit(sequence: number): Report {
    const current = this.#entrySequence;
    if (!this.entered) {
      const text = `exit ${sequence} has no entry: entry ${current} has ended`;
      return this.#refused(AbortIndicator.TRANSITION, text);
    }
    if (sequence !== current) {
      const text = `exit ${sequence} is not the exit of entry ${current}`;
      return this.#refused(AbortIndicator.EXIT_SEQUENCE, text);
    }
    const exit = this.#state.read(ExitInformation);
    if (exit === null) {
      return this.#refused(AbortIndicator.TORN_RECORD, "exit_information is never whole");
    }
    const violation = ExitInformation.check(exit);
    if (violation !== null) {
      return this.#refused(
        AbortIndicator.EXIT_RECORD,
        violationText("exit_information", violation),
      );
    }
    if (exit.sequence !== current) {
      const text = `exit_information.sequence is ${exit.sequence}, not ${current}`;
      return this.#refused(AbortIndicator.EXIT_SEQUENCE, text);
    }
    if (exit.reason === ExitReason.FAULT && !FaultCodeNames.has(exit.qualification)) {
      const text = `exit_information.qualification ${exit.qualification} is no fault code`;
      return this.#refused(AbortIndicator.EXIT_RECORD, text);
    }
    if ((this.#execution.exit_bitmap & (1 << exit.reason)) === 0) {
      const text = `exit reason ${exit.reason} is masked by ${this.#execution.exit_bitmap}`;
      return this.#refused(AbortIndicator.EXIT_MASKED, text);
    }
    const { reason, tail_ns: tailNs } = exit;
    if (tailNs > this.#tailNsMax) {
      const text = `exit_information.tail_ns ${tailNs} is above ${this.#tailNsMax}`;
      return this.#refused(AbortIndicator.TAIL, text);
    }
    const next = transition(this.#launchState, { kind: "exit", reason, tail: tailNs > 0 });
    if (!next.ok) return this.#refused(next.indicator, next.text);
    this.#entryReason = entryReasonAfter(exit.reason);
    this.#setLaunchState(next.state);
    return { kind: "exit", exit };
  }

  #refused(indicator: AbortIndicator, text: string): Report {
    return { kind: "abort", abort: this.abort(indicator, text) };
  }

  /** A transition of the broker's own, which is legal or a mistake in this program. */
  #move(event: LaunchEvent): void {
    const next = transition(this.#launchState, event);
    if (!next.ok) throw new Error(`vGPU ${this.#host.vgpu}: ${next.text}`);
    this.#setLaunchState(next.state);
  }

  #setLaunchState(state: LaunchState): void {
    this.#launchState = state;
    this.#store(ControlsWordsAt.launch_state, state);
  }

  /** Zero in the word means that no deadline is set. */
  #setDeadline(deadlineNs: number | null): void {
    const value = deadlineNs === null ? 0 : Math.max(1, Math.ceil(deadlineNs));
    this.#controls.page.words.store64(ControlsWordsAt.deadline_ns, value);
  }

  #setAlone(sinceNs: number, behind: boolean): void {
    this.#controls.page.words.store64(ControlsWordsAt.alone_ns, Math.ceil(sinceNs));
    this.#store(ControlsWordsAt.behind, behind ? 1 : 0);
  }

  #store(byteOffset: number, value: number): void {
    this.#controls.page.words.store32(byteOffset, value);
  }
}

function entryReasonAfter(exitReason: number): EntryReason {
  switch (exitReason) {
    case ExitReason.SLICE_USED:
    case ExitReason.YIELD:
      return EntryReason.RESUME;
    case ExitReason.FAULT:
    case ExitReason.WATCHDOG:
      return EntryReason.RECOVER;
    case ExitReason.SAVE:
      return EntryReason.RESTORE;
    default:
      return EntryReason.WAKE;
  }
}
