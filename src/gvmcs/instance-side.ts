// SPDX-License-Identifier: Apache-2.0
/**
 * The instance's side of a G-VMCS: it reads the controls page, which it can't change, and writes
 * its state page. An instance runs batches only between an entry and its exit; while it does, one
 * load of the deadline tells whether it may go on, with no message to the broker.
 */
import {
  AbortIndicator,
  ControlsWordsAt,
  Demand,
  DispatchCursor,
  EntryControls,
  ExecutionControls,
  ExitInformation,
  ExitReason,
  GVMCS,
  MemoryMap,
  QueueState,
  RunState,
  StateWordsAt,
  TimelineState,
} from "./generated/layout.js";
import { RecordPage, type SharedPage } from "./page.js";

export interface ExitDetails {
  readonly reason: ExitReason;
  readonly qualification?: number;
  readonly batches?: number;
  readonly gpuTimeNs: number;
  /** How long what is left on the GPU should take, ns; 0: nothing is left. */
  readonly tailNs?: number;
}

export class GvmcsInstance {
  readonly #controls: RecordPage;
  readonly #state: RecordPage;
  #sequence = 0;
  #inside = false;
  /** Exited with a tail, which has not ended. */
  #draining = false;

  /** Takes the controls page mapped read-only and the state page mapped writable. */
  constructor(pages: { readonly controls: SharedPage; readonly state: SharedPage }) {
    this.#controls = new RecordPage(pages.controls);
    this.#state = new RecordPage(pages.state);
    const { words } = pages.controls;
    const magic = words.load32(ControlsWordsAt.magic);
    const revision = words.load32(ControlsWordsAt.revision);
    if (magic !== GVMCS.CONTROLS_MAGIC || revision !== GVMCS.REVISION) {
      const found = `0x${magic.toString(16)} with revision ${revision}`;
      throw new Error(`the controls page is ${found}, not revision ${GVMCS.REVISION} of a G-VMCS`);
    }
  }

  /** Whether the GPU is this instance's now. */
  get inside(): boolean {
    return this.#inside;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Whether the tail of another vGPU is on the GPU. */
  get behind(): boolean {
    return this.#controls.page.words.load32(ControlsWordsAt.behind) !== 0;
  }

  /** When that tail ended, or should end while it has not. */
  get aloneNs(): number {
    return this.#controls.page.words.load64(ControlsWordsAt.alone_ns);
  }

  /** Other vGPUs that may want the GPU at any moment. Cheap: ask before every batch. */
  get others(): number {
    return this.#controls.page.words.load32(ControlsWordsAt.others);
  }

  /** Fills the header of the state page: from now on the instance can be entered. Then ring. */
  load(): void {
    const { words } = this.#state.page;
    this.#sequence = this.#controls.page.words.load32(ControlsWordsAt.entry_sequence);
    words.store32(StateWordsAt.magic, GVMCS.STATE_MAGIC);
    words.store32(StateWordsAt.revision, GVMCS.REVISION);
    words.store32(StateWordsAt.exit_sequence, this.#sequence);
    words.store32(StateWordsAt.drained_sequence, this.#sequence);
    words.store32(StateWordsAt.run_state, RunState.LOADED);
  }

  /** Says whether there is work. True if the word changed: then ring. */
  setDemand(wanted: boolean): boolean {
    const { words } = this.#state.page;
    const value = wanted ? Demand.RUNNABLE : Demand.IDLE;
    if (words.load32(StateWordsAt.demand) === value) return false;
    words.store32(StateWordsAt.demand, value);
    return true;
  }

  /** Says how many contexts the guest has. True if there were none or are none now: then ring. */
  setContexts(count: number): boolean {
    const { words } = this.#state.page;
    const before = words.load32(StateWordsAt.contexts);
    words.store32(StateWordsAt.contexts, count);
    return (before === 0) !== (count === 0);
  }

  /** A new entry, once. Call it when the broker has rung. Null if there is none. */
  takeEntry(): EntryControls | null {
    const sequence = this.#controls.page.words.load32(ControlsWordsAt.entry_sequence);
    if (this.#inside || sequence === this.#sequence) return null;
    const entry = this.#controls.read(EntryControls);
    // The broker writes the record before the word, and the next entry only after our exit.
    if (entry === null || entry.sequence !== sequence) {
      this.fail(AbortIndicator.TORN_RECORD);
      return null;
    }
    this.#sequence = sequence;
    this.#inside = true;
    return entry;
  }

  /** When this entry ends, or null while no end is set. Cheap: ask before every batch. */
  deadlineNs(): number | null {
    const deadlineNs = this.#controls.page.words.load64(ControlsWordsAt.deadline_ns);
    return deadlineNs === 0 ? null : deadlineNs;
  }

  /**
   * Gives the GPU back: nothing of this instance is in flight on it any more, but for a tail, whose
   * end {@link drained} tells. Then ring.
   */
  exit(details: ExitDetails, nowNs: number): void {
    if (!this.#inside) throw new Error(`there is no entry after ${this.#sequence} to exit from`);
    this.#inside = false;
    const tailNs = Math.ceil(details.tailNs ?? 0);
    this.#draining = tailNs > 0;
    this.#state.write(ExitInformation, {
      sequence: this.#sequence,
      reason: details.reason,
      qualification: details.qualification ?? 0,
      batches: details.batches ?? 0,
      gpu_time_ns: Math.round(details.gpuTimeNs),
      time_ns: nowNs,
      tail_ns: tailNs,
    });
    const { words } = this.#state.page;
    if (!this.#draining) words.store32(StateWordsAt.drained_sequence, this.#sequence);
    // Only a load of its own brings a saved instance back.
    if (details.reason === ExitReason.SAVE) words.store32(StateWordsAt.run_state, RunState.NEW);
    words.store32(StateWordsAt.exit_sequence, this.#sequence);
  }

  /** The tail has ended, at that time. Then ring. */
  drained(endedNs: number): void {
    if (!this.#draining) throw new Error(`the exit from entry ${this.#sequence} left no tail`);
    this.#draining = false;
    const { words } = this.#state.page;
    words.store64(StateWordsAt.drained_ns, Math.max(0, Math.floor(endedNs)));
    words.store32(StateWordsAt.drained_sequence, this.#sequence);
  }

  /** Whether the execution controls have changed since they were read: ask at each entry. */
  controlsChanged(): boolean {
    const sequence = this.#controls.page.words.load32(ControlsWordsAt.controls_sequence);
    return sequence !== this.#state.page.words.load32(StateWordsAt.controls_sequence);
  }

  /** What the vGPU may use; null if the broker was ended while it wrote. */
  executionControls(): ExecutionControls | null {
    const { words } = this.#controls.page;
    const sequence = words.load32(ControlsWordsAt.controls_sequence);
    const execution = this.#controls.read(ExecutionControls);
    if (execution !== null) {
      this.#state.page.words.store32(StateWordsAt.controls_sequence, sequence);
    }
    return execution;
  }

  /** The last hint that an entry is near, if it was not answered: encode work, then call this. */
  takePrepare(): boolean {
    const sequence = this.#controls.page.words.load32(ControlsWordsAt.prepare_sequence);
    const { words } = this.#state.page;
    if (words.load32(StateWordsAt.prepared_sequence) === sequence) return false;
    words.store32(StateWordsAt.prepared_sequence, sequence);
    return true;
  }

  /** Gives up. The first cause stays, whichever thread has it. Then ring. */
  fail(indicator: AbortIndicator): void {
    const { words } = this.#state.page;
    words.compareExchange32(StateWordsAt.abort_indicator, AbortIndicator.NONE, indicator);
  }

  writeQueues(queues: QueueState): void {
    this.#state.write(QueueState, queues);
  }

  writeCursor(cursor: DispatchCursor): void {
    this.#state.write(DispatchCursor, cursor);
  }

  writeTimelines(timelines: TimelineState): void {
    this.#state.write(TimelineState, timelines);
  }

  writeMemoryMap(map: MemoryMap): void {
    this.#state.write(MemoryMap, map);
  }
}
