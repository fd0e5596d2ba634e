// SPDX-License-Identifier: Apache-2.0
/**
 * The two pages that a context shares with its driver. The device writes the timeline page: status
 * before fence, the fence with release, so that whoever sees the fence sees what belongs to it. The
 * driver writes the arm page: the fence at which it wants an interrupt.
 *
 *   timeline: header(64) magic epoch context_status error_stream | slot(32)×64: fence status time
 *   arm:                                                          | slot(32)×64: fence ahead
 *
 * Pages are held as views and looked up again when guest memory changed; without a mapping, writes
 * are lost and the caller is told.
 */
import { ArmSlot, Status, TimelineHeader, TimelineSlot, VGPU } from "../protocol/generated/wire.js";
import type { GuestViews } from "./hostmem.js";

/** Ordered access to words that the driver reads or writes at the same time. */
export interface OrderedWords {
  /** Store-release of a u64 below 2^53. */
  storeU64(view: Uint8Array, byteOffset: number, value: number): void;
  storeU32(view: Uint8Array, byteOffset: number, value: number): void;
  loadU32(view: Uint8Array, byteOffset: number): number;
  /** Load-acquire of a u64; rounded above 2^53. */
  loadU64(view: Uint8Array, byteOffset: number): number;
  /** Full barrier. */
  fence(): void;
}

/** A stream's slot as the device knows it. Plain numbers; `status` not OK from the first failure. */
export interface SlotState {
  readonly index: number;
  doneFence: number;
  doneStatus: Status;
  doneNs: number;
  /** The fence that the driver has last been able to see. */
  shownFence: number;
}

const HEADER_AT = TimelineHeader.at;
const SLOT_AT = TimelineSlot.at;
const U32 = 2 ** 32;

export class Timeline {
  readonly #timelineAddress: number;
  readonly #armAddress: number;
  readonly #words: OrderedWords;
  #memory: GuestViews | null = null;
  #page: Uint8Array | null = null;
  #view: DataView | null = null;
  #arm: Uint8Array | null = null;

  constructor(timelineAddress: number, armAddress: number, words: OrderedWords) {
    this.#timelineAddress = timelineAddress;
    this.#armAddress = armAddress;
    this.#words = words;
  }

  /** Finds both pages; null, or the guest address of the page that is not mapped. */
  map(memory: GuestViews): number | null {
    this.unmap();
    const page = this.#onePage(memory, this.#timelineAddress);
    if (page === null) return this.#timelineAddress;
    const arm = this.#onePage(memory, this.#armAddress);
    if (arm === null) return this.#armAddress;
    this.#memory = memory;
    this.#page = page;
    this.#view = new DataView(page.buffer, page.byteOffset, page.byteLength);
    this.#arm = arm;
    return null;
  }

  unmap(): void {
    this.#memory = null;
    this.#page = null;
    this.#view = null;
    this.#arm = null;
  }

  get mapped(): boolean {
    return this.#page !== null;
  }

  /** A new page: no fence has completed. */
  reset(epoch: number): void {
    const page = this.#page;
    const view = this.#view;
    if (page === null || view === null) return;
    page.fill(0);
    view.setUint32(HEADER_AT.epoch, epoch, true);
    this.#words.storeU32(page, HEADER_AT.magic, VGPU.TIMELINE_MAGIC);
    this.#wrote(page);
  }

  /** Written before any fence that completes because of it. */
  writeHeader(epoch: number, status: Status, errorStream: number): void {
    const page = this.#page;
    const view = this.#view;
    if (page === null || view === null) return;
    view.setUint32(HEADER_AT.error_stream, errorStream, true);
    this.#words.storeU32(page, HEADER_AT.context_status, status);
    this.#words.storeU32(page, HEADER_AT.epoch, epoch);
    this.#wrote(page);
  }

  /** The context was lost with the process that had it. What it had failed of before stays. */
  tellLost(epoch: number): void {
    const status = this.#view?.getUint32(HEADER_AT.context_status, true) ?? Status.OK;
    const stream = this.#view?.getUint32(HEADER_AT.error_stream, true) ?? 0;
    if (status === Status.OK) this.writeHeader(epoch, Status.DEVICE_LOST, 0);
    else this.writeHeader(epoch, status as Status, stream);
  }

  writeSlot(slot: SlotState): void {
    const page = this.#page;
    const view = this.#view;
    if (page === null || view === null) return;
    const at = VGPU.TIMELINE_HEADER_BYTES + VGPU.TIMELINE_SLOT_BYTES * slot.index;
    const ns = Math.max(0, Math.floor(slot.doneNs));
    view.setUint32(at + SLOT_AT.time_ns, ns % U32, true);
    view.setUint32(at + SLOT_AT.time_ns + 4, Math.floor(ns / U32), true);
    view.setUint32(at + SLOT_AT.status, slot.doneStatus, true);
    this.#words.storeU64(page, at + SLOT_AT.fence, slot.doneFence);
    this.#wrote(page);
  }

  /** Call between the last {@link writeSlot} and the first {@link isArmed}. */
  barrier(): void {
    this.#words.fence();
  }

  /** Whether the driver asked for an interrupt between the shown fence and the done one. */
  isArmed(slot: SlotState): boolean {
    const arm = this.#arm;
    if (arm === null) return false;
    const at = VGPU.TIMELINE_HEADER_BYTES + VGPU.TIMELINE_SLOT_BYTES * slot.index;
    const armed = this.#words.loadU64(arm, at);
    return armed > slot.shownFence && armed <= slot.doneFence;
  }

  /** How long before `fence` completes the driver wants to be told, ns; 0 if it has not armed it, or never. */
  aheadNs(slot: SlotState, fence: number): number {
    const arm = this.#arm;
    if (arm === null) return 0;
    const at = VGPU.TIMELINE_HEADER_BYTES + VGPU.TIMELINE_SLOT_BYTES * slot.index;
    const armed = this.#words.loadU64(arm, at);
    if (armed <= slot.shownFence || armed > fence) return 0;
    return this.#words.loadU32(arm, at + ArmSlot.at.ahead_ns);
  }

  #wrote(page: Uint8Array): void {
    const log = this.#memory?.log ?? null;
    if (log !== null) log.written([page], page.length);
  }

  /** A page as one view in which a fence can be stored as one word, or null. */
  #onePage(memory: GuestViews, address: number): Uint8Array | null {
    const views = memory.translate(address, VGPU.TIMELINE_PAGE_BYTES);
    const view = views?.[0];
    if (views === null || view === undefined || views.length !== 1) return null;
    try {
      this.#words.loadU64(view, VGPU.TIMELINE_HEADER_BYTES);
      return view;
    } catch (error) {
      // A region may lie at any offset of its file, and its words then at any address.
      if (error instanceof RangeError) return null;
      throw error;
    }
  }
}
