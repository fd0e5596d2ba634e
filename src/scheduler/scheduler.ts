// SPDX-License-Identifier: Apache-2.0
/**
 * Whose turn on one GPU it is. Pure: events come in with the time, actions come out, and the same
 * code runs in the broker and in the simulation.
 *
 * A holder that nobody waits for keeps the GPU for long, with no end set. As soon as another one is due, its
 * entry is bounded: the deadline is told at most one slice ahead, so that the holder can size its
 * work to end there. Time is charged by the caller's clock from entry to exit, whatever an exit
 * claims. A holder that has not come back at its deadline plus its watchdog plus the grace is to be
 * killed, and holds the GPU until its process is gone: two never own it at once.
 *
 * An exit may leave a tail: work that is on the GPU already and is about to end. The next one is
 * entered then, so that its first work is there when the tail ends, and the GPU does not idle while
 * processes talk. There is one tail at a time, and who leaves one is not entered before it has ended.
 */
import { Allowance, Entity, type ExitKind } from "./entity.js";
import {
  checkSettings,
  checkTogether,
  defaultSettings,
  type SchedulingSettings,
} from "./settings.js";
import { Standing } from "./standing.js";
import { type Holding, Tail } from "./tail.js";
import {
  type CondemnReason,
  defaultOptions,
  type ExitReport,
  type SchedulerAction,
  type SchedulerOptions,
  type Standings,
} from "./types.js";

/** Keys this close are alike, and the one that was served longest ago goes first. */
const KEY_EPSILON_NS = 1000;
/** A claim of GPU time this far over the time that passed can't be an error of measurement. */
const CLAIM_FACTOR_MAX = 1.05;
const CLAIM_SLACK_NS = 1e6;
/** How much the GPU may work for an instance outside its entries between two audits. */
const AUDIT_FACTOR_MAX = 1.1;
const AUDIT_SLACK_NS = 50e6;

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #entities = new Map<string, Entity>();
  readonly #standing = new Standing();
  readonly #audits = new Map<string, { busyNs: number; presentNs: number }>();
  #holding: Holding | null = null;
  #tail: Tail | null = null;
  /** Time for all that have no fixed share, while there are fixed shares. */
  #commons: Allowance | null = null;
  #lastNs = 0;
  #nextNs: number | null = null;
  #added = 0;

  constructor(options: Partial<SchedulerOptions> = {}) {
    this.#options = { ...defaultOptions, ...options };
  }

  get holder(): string | null {
    return this.#holding?.entity.id ?? null;
  }

  /** Whose tail is on the GPU. */
  get tail(): string | null {
    return this.#tail?.holding.entity.id ?? null;
  }

  /** When that tail should end. */
  get tailEndNs(): number | null {
    return this.#tail?.endNs ?? null;
  }

  /** End of the holder's entry; null while it has none. */
  get deadlineNs(): number | null {
    return this.#holding?.deadlineNs ?? null;
  }

  get ids(): readonly string[] {
    return [...this.#entities.keys()];
  }

  /** When to call {@link advance} next, or null when only an event can change anything. */
  nextNs(): number | null {
    return this.#nextNs;
  }

  /** Throws SettingsError if the settings are wrong or do not fit beside the others'. */
  add(id: string, settings: Partial<SchedulingSettings>, nowNs: number): SchedulerAction[] {
    if (this.#entities.has(id)) throw new Error(`vGPU ${id} is added already`);
    const checked = this.#checked(id, { ...defaultSettings, ...settings });
    this.#accrue(nowNs);
    const entity = new Entity(id, checked, this.#added++);
    entity.idleSinceNs = nowNs;
    entity.applySettings(checked);
    this.#entities.set(id, entity);
    this.#reserve();
    return this.advance(nowNs);
  }

  /** Changes settings; a running entry keeps its deadline. Throws SettingsError. */
  set(id: string, changes: Partial<SchedulingSettings>, nowNs: number): SchedulerAction[] {
    const entity = this.#need(id);
    const settings = this.#checked(id, { ...entity.settings, ...changes });
    this.#accrue(nowNs);
    entity.applySettings(settings);
    this.#reserve();
    return this.advance(nowNs);
  }

  /** It has work. */
  runnable(id: string, nowNs: number): SchedulerAction[] {
    const entity = this.#need(id);
    const tail = this.#tailOf(entity);
    if (tail !== null) tail.wants = true;
    if (!entity.active && !entity.condemned) {
      this.#accrue(nowNs);
      this.#notePause(entity, nowNs);
      this.#standing.join(entity, nowNs);
    }
    return this.advance(nowNs);
  }

  /** It has no work any more. While it holds the GPU, its exit will say so. */
  idle(id: string, nowNs: number): SchedulerAction[] {
    const entity = this.#need(id);
    this.#accrue(nowNs);
    const tail = this.#tailOf(entity);
    if (tail !== null) tail.wants = false;
    else if (this.#holding?.entity !== entity) this.#stop(entity, nowNs);
    return this.advance(nowNs);
  }

  /** It gave the GPU back. Throws if it did not hold it: the caller judges exits before. */
  exit(id: string, report: ExitReport, nowNs: number): SchedulerAction[] {
    const entity = this.#need(id);
    const holding = this.#holding;
    if (holding?.entity !== entity) throw new Error(`vGPU ${id} exits and does not hold the GPU`);
    this.#accrue(nowNs);
    const { account, unclaimedNs } = entity;
    const { kind, wants, tailNs = 0 } = report;
    // A tail's time is claimed with the next exit, whole.
    entity.unclaimedNs = tailNs > 0 ? Math.max(0, unclaimedNs - report.gpuNs) : 0;
    account.exits[report.kind]++;
    account.gpuNs += Math.min(report.gpuNs, unclaimedNs);
    if (report.gpuNs > unclaimedNs * CLAIM_FACTOR_MAX + CLAIM_SLACK_NS) {
      return this.#condemn(entity, "time-claim");
    }
    this.#holding = null;
    if (tailNs > 0) {
      if (this.#tail !== null) throw new Error(`vGPU ${id} leaves a tail behind another one`);
      account.tails++;
      this.#tail = new Tail(holding, nowNs, tailNs, kind, wants);
    } else {
      this.#finish(holding, kind, wants, nowNs);
    }
    return this.advance(nowNs);
  }

  /** Its tail has ended, at `endedNs` as its instance says. Throws if it has none. */
  drained(id: string, nowNs: number, endedNs = nowNs): SchedulerAction[] {
    const entity = this.#need(id);
    const tail = this.#tailOf(entity);
    if (tail === null) throw new Error(`vGPU ${id} has no tail on the GPU`);
    this.#accrue(nowNs);
    const sinceNs = this.#endTail(tail, endedNs, nowNs);
    this.#finish(tail.holding, tail.kind, tail.wants, nowNs);
    return [...this.#alone(sinceNs), ...this.advance(nowNs)];
  }

  /** It broke a rule: it is entered no more, and keeps what it holds until it is gone. */
  condemn(id: string, nowNs: number): SchedulerAction[] {
    const entity = this.#need(id);
    this.#accrue(nowNs);
    this.#markCondemned(entity);
    this.#stopUnlessOnGpu(entity, nowNs);
    return this.advance(nowNs);
  }

  /** Its process is gone, and the GPU no longer works for it. Its debt stays. */
  gone(id: string, nowNs: number): SchedulerAction[] {
    const entity = this.#need(id);
    this.#accrue(nowNs);
    const actions: SchedulerAction[] = [];
    const holding = this.#holding;
    if (holding?.entity === entity) {
      this.#holding = null;
      this.#release(holding, nowNs);
    }
    const tail = this.#tailOf(entity);
    if (tail !== null) {
      actions.push(...this.#alone(this.#endTail(tail, nowNs, nowNs)));
      this.#release(tail.holding, nowNs);
    }
    this.#stop(entity, nowNs);
    entity.condemned = false;
    entity.paused = false;
    entity.unclaimedNs = 0;
    this.#audits.set(id, { busyNs: 0, presentNs: entity.account.presentNs });
    return [...actions, ...this.advance(nowNs)];
  }

  /** The vGPU exists no more; its process is gone. */
  remove(id: string, nowNs: number): SchedulerAction[] {
    const actions = this.gone(id, nowNs);
    this.#entities.delete(id);
    this.#audits.delete(id);
    this.#reserve();
    return [...actions, ...this.advance(nowNs)];
  }

  /**
   * Compares the time that the GPU worked for a process, by a meter that the process can't reach,
   * with the time that it held the GPU or had its tail there. `busyNs` counts from the process's start.
   */
  audit(id: string, busyNs: number, nowNs: number): SchedulerAction[] {
    const entity = this.#need(id);
    this.#accrue(nowNs);
    const { presentNs } = entity.account;
    const last = this.#audits.get(id) ?? { busyNs: 0, presentNs: 0 };
    this.#audits.set(id, { busyNs, presentNs });
    if (entity.condemned) return this.advance(nowNs);
    const allowedNs = (presentNs - last.presentNs) * AUDIT_FACTOR_MAX + AUDIT_SLACK_NS;
    if (busyNs - last.busyNs <= allowedNs) return this.advance(nowNs);
    this.#stopUnlessOnGpu(entity, nowNs);
    return this.#condemn(entity, "audit");
  }

  /** What time has brought about. Call it when {@link nextNs} has come; each event does it too. */
  advance(nowNs: number): SchedulerAction[] {
    this.#accrue(nowNs);
    this.#nextNs = null;
    const actions: SchedulerAction[] = [];
    if (this.#holding === null) this.#enterNext(nowNs, actions);
    if (this.#holding !== null) this.#watch(this.#holding, nowNs, actions);
    if (this.#tail !== null) this.#watchTail(this.#tail, nowNs, actions);
    return actions;
  }

  standings(id: string): Standings {
    const entity = this.#need(id);
    const waiting = entity.active ? "waiting" : "idle";
    const draining = this.#tailOf(entity) !== null ? "draining" : waiting;
    const holding = this.#holding?.entity === entity ? "holding" : draining;
    return {
      state: entity.condemned ? "condemned" : holding,
      settings: entity.settings,
      share: entity.active ? entity.share : 0,
      debtNs: Math.max(0, -(entity.active ? entity.lagNs : entity.gapNs)),
      account: entity.account,
    };
  }

  #need(id: string): Entity {
    const entity = this.#entities.get(id);
    if (entity === undefined) throw new Error(`there is no vGPU ${id}`);
    return entity;
  }

  #tailOf(entity: Entity): Tail | null {
    return this.#tail?.holding.entity === entity ? this.#tail : null;
  }

  /** Whether nothing of it is on the GPU, and nothing is asked for. */
  #leaves(entity: Entity): boolean {
    return this.#tailOf(entity)?.wants === false;
  }

  /** Returns when it ended. */
  #endTail(tail: Tail, toldNs: number, nowNs: number): number {
    this.#tail = null;
    return tail.ended(toldNs, nowNs, (entity, ns) => {
      if (entity === tail.holding.entity) this.#pay(tail.holding, ns);
      else if (this.#holding?.entity === entity) this.#pay(this.#holding, ns);
      else this.#book(entity, ns);
    });
  }

  /** The holder has the GPU to itself. */
  #alone(sinceNs: number): SchedulerAction[] {
    const holding = this.#holding;
    if (holding === null) return [];
    holding.aloneNs = sinceNs;
    return [{ kind: "alone", id: holding.entity.id, sinceNs }];
  }

  #checked(id: string, settings: SchedulingSettings): SchedulingSettings {
    checkSettings(id, settings);
    const all = new Map([...this.#entities].map(([name, each]) => [name, each.settings]));
    checkTogether(all.set(id, settings), id);
    return settings;
  }

  /** After a change of who is there or of settings: what fixed shares leave to the others. */
  #reserve(): void {
    let reserved = 0;
    for (const each of this.#entities.values())
      if (each.reserved) reserved += each.settings.minShare;
    const rate = Math.max(0, 1 - reserved);
    this.#standing.setUnreserved(rate);
    if (reserved === 0) this.#commons = null;
    else if (this.#commons === null) this.#commons = new Allowance(rate, defaultSettings.sliceNs);
    else this.#commons.rate = rate;
  }

  #throttled(entity: Entity): boolean {
    if (entity.allowance?.empty === true) return true;
    return !entity.reserved && this.#commons?.empty === true;
  }

  /** Whether its entries have to end even if nobody waits. */
  #metered(entity: Entity): boolean {
    return entity.allowance !== null || (this.#commons !== null && !entity.reserved);
  }

  /** Books the time since the last event. */
  #accrue(nowNs: number): void {
    const elapsedNs = nowNs - this.#lastNs;
    if (elapsedNs <= 0) return;
    this.#lastNs = nowNs;
    const entered = this.#holding;
    const draining = this.#tail?.holding ?? null;
    for (const each of this.#standing.active) {
      if (each === entered?.entity || each === draining?.entity) continue;
      each.account.waitNs += elapsedNs;
      if (this.#throttled(each)) each.account.throttledNs += elapsedNs;
    }
    const tail = this.#tail;
    if (tail !== null) {
      const ownNs =
        entered === null ? elapsedNs : tail.ownerNs(entered.entity, nowNs - elapsedNs, nowNs);
      this.#present(tail.holding, elapsedNs);
      this.#pay(tail.holding, ownNs);
    }
    if (entered !== null) {
      this.#present(entered, elapsedNs);
      if (tail === null) this.#pay(entered, elapsedNs);
    }
    this.#fillAllowances(elapsedNs);
  }

  #present({ entity }: Holding, elapsedNs: number): void {
    entity.unclaimedNs += elapsedNs;
    entity.account.presentNs += elapsedNs;
  }

  #pay(holding: Holding, ns: number): void {
    holding.chargedNs += ns;
    this.#book(holding.entity, ns);
  }

  #book(entity: Entity, ns: number): void {
    if (ns === 0) return;
    entity.account.heldNs += ns;
    if (entity.active) this.#standing.charge(entity, ns, (each) => this.#throttled(each));
    else entity.gapNs -= ns;
    entity.allowance?.take(ns);
    if (!entity.reserved) this.#commons?.take(ns);
  }

  /** A vGPU may save up two slices, and what it is behind its share because others overshot. */
  #fillAllowances(elapsedNs: number): void {
    let commonsDepthNs = 0;
    for (const each of this.#entities.values()) {
      const depthNs = 2 * each.settings.sliceNs + Math.max(0, each.lagNs);
      if (!each.reserved) commonsDepthNs += depthNs;
      each.allowance?.fill(elapsedNs, depthNs);
    }
    this.#commons?.fill(elapsedNs, commonsDepthNs);
  }

  /**
   * A best-effort turn costs a whole slice, of its own or of the others if those are shorter: that
   * is what makes it a round robin. A lost rest is no overshoot, and never more debt than a turn.
   */
  #chargeTurn(entity: Entity, heldNs: number): void {
    if (entity.settings.policy !== "best-effort") return;
    let othersNs = 0;
    for (const each of this.#standing.active) {
      if (each !== entity) othersNs = Math.max(othersNs, each.settings.sliceNs);
    }
    const turnNs = Math.min(entity.settings.sliceNs, othersNs);
    const unusedNs = Math.min(turnNs - heldNs, turnNs + entity.lagNs);
    if (unusedNs > 0) {
      this.#standing.charge(entity, unusedNs, (each) => this.#throttled(each));
    }
  }

  /** The GPU works no more for an entry that has ended. */
  #finish(holding: Holding, kind: ExitKind, wants: boolean, nowNs: number): void {
    const { entity } = holding;
    this.#chargeTurn(entity, holding.chargedNs);
    this.#release(holding, nowNs);
    entity.yielded = kind === "yield";
    // Whoever has nothing left may as well have used up its slice at the same moment.
    entity.paused = !wants && (kind === "idle" || kind === "slice-used");
    if (!wants) this.#stop(entity, nowNs);
  }

  #release(holding: Holding, nowNs: number): void {
    const { account } = holding.entity;
    if (holding.deadlineNs !== null && nowNs > holding.deadlineNs) {
      const overshootNs = nowNs - holding.deadlineNs;
      account.overshootNs += overshootNs;
      account.overshootMaxNs = Math.max(account.overshootMaxNs, overshootNs);
    }
    holding.entity.servedNs = nowNs;
  }

  #stopUnlessOnGpu(entity: Entity, nowNs: number): void {
    if (this.#holding?.entity === entity || this.#tailOf(entity) !== null) return;
    this.#stop(entity, nowNs);
  }

  #stop(entity: Entity, nowNs: number): void {
    this.#standing.leave(entity, nowNs);
  }

  #notePause(entity: Entity, nowNs: number): void {
    if (!entity.paused) return;
    const pauseNs = nowNs - entity.idleSinceNs;
    const mean = entity.pauseMeanNs;
    entity.pauseMeanNs = Number.isFinite(mean) ? 0.75 * mean + 0.25 * pauseNs : pauseNs;
    entity.paused = false;
  }

  #markCondemned(entity: Entity): void {
    if (entity.condemned) return;
    entity.condemned = true;
    entity.account.condemned++;
  }

  #condemn(entity: Entity, reason: CondemnReason): SchedulerAction[] {
    this.#markCondemned(entity);
    return [{ kind: "kill", id: entity.id, reason }, ...this.advance(this.#lastNs)];
  }

  #eligible(entity: Entity): boolean {
    return !entity.condemned && !this.#throttled(entity);
  }

  /** Who is due next: allowed, furthest behind, and of several the one served longest ago. */
  #next(except: Entity | null): Entity | null {
    const allowed = this.#standing.active.filter(
      (each) => each !== except && !this.#leaves(each) && this.#eligible(each),
    );
    const willing = allowed.filter((each) => !each.yielded);
    let best: Entity | null = null;
    for (const each of willing.length > 0 ? willing : allowed) {
      if (best === null || each.key > best.key + KEY_EPSILON_NS) {
        best = each;
      } else if (each.key > best.key - KEY_EPSILON_NS && servedBefore(each, best)) {
        best = each;
      }
    }
    return best;
  }

  /**
   * Until when the GPU should rather idle than be given to `candidate`: a vGPU that is far behind
   * has just run out of work and usually has more at once (it launches, waits, launches). Without
   * this, kernels that can't be sliced would slip into each such pause and never pay their debt.
   */
  #waitFor(candidate: Entity, nowNs: number): number | null {
    if (candidate.lagNs > candidate.settings.sliceNs) return null;
    const { anticipationNs } = this.#options;
    let untilNs: number | null = null;
    const tail = this.#tail;
    if (tail?.wants === false) {
      // It will pause when its tail has ended, and may be one to wait for.
      const { lagNs, pauseMeanNs, settings } = tail.holding.entity;
      const comesBack = pauseMeanNs <= anticipationNs && lagNs > 4 * settings.sliceNs;
      if (comesBack) return Number.POSITIVE_INFINITY;
    }
    for (const each of this.#entities.values()) {
      if (each.active || !each.paused || each.pauseMeanNs > anticipationNs) continue;
      const endNs = each.idleSinceNs + anticipationNs;
      if (endNs <= nowNs || each.gapNs <= 4 * each.settings.sliceNs) continue;
      untilNs = Math.max(untilNs ?? 0, endNs);
    }
    return untilNs;
  }

  #enterNext(nowNs: number, actions: SchedulerAction[]): void {
    const entity = this.#next(null);
    this.#wakeAtRefill(nowNs);
    // Who is due next and has left a tail is entered when that has ended; so is who must have no other.
    if (entity === null || this.#tailOf(entity) !== null) return;
    if (this.#tail?.admits(entity, nowNs) === false) return;
    const waitNs = this.#waitFor(entity, nowNs);
    if (waitNs !== null) {
      if (Number.isFinite(waitNs)) this.#wakeAt(waitNs);
      return;
    }
    for (const each of this.#entities.values()) if (each !== entity) each.yielded = false;
    entity.account.entries++;
    const holding: Holding = {
      entity,
      enteredNs: nowNs,
      chargedNs: 0,
      aloneNs: this.tailEndNs ?? nowNs,
      deadlineNs: null,
      prepared: null,
    };
    this.#holding = holding;
    this.#tail?.entered(entity, nowNs);
    const endNs = this.#endOf(holding, nowNs);
    if (endNs - holding.aloneNs <= entity.settings.sliceNs) holding.deadlineNs = endNs;
    actions.push({ kind: "enter", id: entity.id, deadlineNs: holding.deadlineNs });
  }

  /**
   * When the entry should end as things are: after a slice at least, when another one is due. While
   * one waits at all it is at most a slice ahead: the holder may have run out of work unnoticed.
   */
  #endOf({ entity, aloneNs }: Holding, nowNs: number): number {
    const sliceEndNs = aloneNs + entity.settings.sliceNs;
    let endNs = this.#metered(entity) ? sliceEndNs : aloneNs + this.#options.aloneMaxNs;
    for (const each of this.#standing.active) {
      if (each === entity || this.#leaves(each) || !this.#eligible(each)) continue;
      const dueNs = Math.ceil(nowNs + this.#standing.untilDueNs(entity, each));
      const aheadNs = Math.max(sliceEndNs, nowNs + entity.settings.sliceNs);
      endNs = Math.min(endNs, aheadNs, Math.max(sliceEndNs, dueNs));
    }
    return Math.max(nowNs, endNs);
  }

  /** Bounds the holder, hints at its successor, and condemns it when it is overdue. */
  #watch(holding: Holding, nowNs: number, actions: SchedulerAction[]): void {
    const { entity } = holding;
    if (entity.condemned) return;
    const { sliceNs, watchdogNs } = entity.settings;
    if (holding.deadlineNs === null) {
      const endNs = this.#endOf(holding, nowNs);
      this.#wakeAtRefill(nowNs);
      if (endNs - nowNs > sliceNs) {
        this.#wakeAt(endNs - sliceNs);
        return;
      }
      holding.deadlineNs = endNs;
      actions.push({ kind: "bound", id: entity.id, deadlineNs: endNs });
    }
    // A tail that does not end can hold up whoever comes behind it.
    if (this.#tail === null) {
      const sinceNs = Math.max(holding.deadlineNs, holding.aloneNs);
      const overdueNs = sinceNs + watchdogNs + this.#options.graceNs;
      if (nowNs >= overdueNs) {
        this.#markCondemned(entity);
        actions.push({ kind: "kill", id: entity.id, reason: "overdue" });
        return;
      }
      this.#wakeAt(overdueNs);
    }
    const { prepareLeadNs, prepareAfterNs } = this.#options;
    const hintNs = Math.min(holding.deadlineNs - prepareLeadNs, holding.enteredNs + prepareAfterNs);
    if (nowNs < hintNs) {
      this.#wakeAt(hintNs);
      return;
    }
    const next = this.#next(entity);
    if (next !== null && next !== holding.prepared) {
      holding.prepared = next;
      actions.push({ kind: "prepare", id: next.id });
    }
  }

  /** Condemns the owner of a tail that does not end. */
  #watchTail(tail: Tail, nowNs: number, actions: SchedulerAction[]): void {
    const { entity, deadlineNs } = tail.holding;
    if (entity.condemned) return;
    const endNs = Math.max(tail.exitedNs, deadlineNs ?? 0);
    const overdueNs = endNs + entity.settings.watchdogNs + this.#options.graceNs;
    if (nowNs < overdueNs) {
      this.#wakeAt(overdueNs);
      return;
    }
    this.#markCondemned(entity);
    actions.push({ kind: "kill", id: entity.id, reason: "overdue" });
  }

  #wakeAt(timeNs: number): void {
    this.#nextNs = Math.min(this.#nextNs ?? Number.POSITIVE_INFINITY, timeNs);
  }

  /** Wakes when one that is throttled now may be entered. */
  #wakeAtRefill(nowNs: number): void {
    for (const each of this.#standing.active) {
      if (each === this.#holding?.entity || each.condemned || !this.#throttled(each)) continue;
      if (this.#leaves(each)) continue;
      const ownNs = each.allowance?.untilFilledNs() ?? 0;
      const commonsNs = each.reserved ? 0 : (this.#commons?.untilFilledNs() ?? 0);
      this.#wakeAt(nowNs + Math.max(ownNs, commonsNs, 1));
    }
  }
}

function servedBefore(a: Entity, b: Entity): boolean {
  return a.servedNs === b.servedNs ? a.order < b.order : a.servedNs < b.servedNs;
}
