// SPDX-License-Identifier: Apache-2.0
/**
 * A scenario from a seed: vGPUs of mixed policies, workloads and faults on one GPU, live changes in
 * between, and the checkers that must hold whatever happens. It throws ViolationError if not.
 */
import { AbortIndicatorNames } from "../../src/gvmcs/index.js";
import { SeededRandom } from "../../src/io/random.js";
import { policies, SettingsError, type VgpuSettings } from "../../src/scheduler/index.js";
import { expectedAborts, type Fault, faults, SimInstance, type Workload } from "./instance.js";
import { World } from "./world.js";

const GRACE_NS = 5e6;
const ALONE_MAX_NS = 25e6;
const WATCHDOG_NS = 20e6;
const MEMORY_BYTES = 6 * 2 ** 30;
/** How long a run goes on after its end: longer than a fault can stay undetected. */
const SETTLE_NS = 80e6;
/** The longest kernel of a scenario. */
const KERNEL_MAX_NS = 12e6;

export interface ScenarioResult {
  readonly fingerprint: number;
  readonly events: number;
  readonly faulted: readonly Fault[];
  readonly entries: number;
}

function randomWorkload(random: SeededRandom): Workload {
  const sliceable = random.below(5) !== 0;
  const scaleNs = 10 ** (4 + random.below(4));
  const next = () => {
    const costNs = Math.min(KERNEL_MAX_NS, Math.round(scaleNs * (0.1 + random.below(100) / 25)));
    return { costNs, sliceable };
  };
  switch (random.below(4)) {
    case 0:
      // A guest that launches, waits, and launches.
      return { next, depth: 1, pause: () => 50_000 + random.below(500_000) };
    case 1:
      // One that sleeps in between.
      return { next, depth: 1, pause: () => random.below(20_000_000) };
    case 2:
      return { next, depth: 100, pause: null };
    default:
      return { next, depth: 2, pause: null };
  }
}

function randomSettings(random: SeededRandom): Partial<VgpuSettings> {
  const policy = policies[random.below(policies.length)] ?? "equal";
  const sliceNs = (1 + random.below(6)) * 1e6;
  const memoryBytesMax = random.below(4) * 2 ** 30;
  const common = { policy, sliceNs, watchdogNs: WATCHDOG_NS, memoryBytesMax };
  switch (policy) {
    case "fixed": {
      const share = (5 + random.below(56)) / 100;
      return { ...common, minShare: share, maxShare: share };
    }
    case "weighted": {
      const minShare = random.below(3) === 0 ? random.below(20) / 100 : 0;
      const maxShare = random.below(3) === 0 ? minShare + 0.1 + random.below(60) / 100 : 1;
      return { ...common, weight: 1 + random.below(8), minShare, maxShare };
    }
    default:
      return { ...common, weight: 1, minShare: 0, maxShare: 1 };
  }
}

/** One run of a scenario. */
class Run {
  readonly #random: SeededRandom;
  readonly #world: World;
  readonly #planned = new Map<string, Fault>();
  /** Memory limits that were accepted. */
  readonly #memory = new Map<string, number>();

  constructor(seed: number) {
    this.#random = new SeededRandom(seed ^ 0x5eed);
    this.#world = new World(seed, {
      graceNs: GRACE_NS,
      aloneMaxNs: ALONE_MAX_NS,
      memoryBytes: MEMORY_BYTES,
    });
  }

  go(): ScenarioResult {
    const world = this.#world;
    const count = 1 + this.#random.below(6);
    for (let index = 0; index < count; index++) this.#addVgpu(`g${index}`);
    const horizonNs = world.nowNs + 40e6 + this.#random.below(60e6);
    this.#changeLater(horizonNs);
    // An audit books the time, and would hide a wake-up that the scheduler forgot.
    if ([...this.#planned.values()].includes("rogue")) this.#auditLater();
    world.runUntil(horizonNs);
    this.#checkStanding();
    for (const instance of world.instances.values()) instance.drain();
    const busy = (): boolean => [...world.instances.values()].some((each) => each.queued > 0);
    world.runUntil(horizonNs + this.#drainLimitNs(), () => !busy());
    this.#checkDrained();
    // What was done last is still to be rung, judged and audited.
    world.runUntil(world.nowNs + SETTLE_NS);
    this.#checkAborts();
    this.#checkStanding();
    const faulted = [...this.#planned]
      .filter(([id]) => world.instances.get(id)?.faulted)
      .map(([, fault]) => fault);
    let entries = 0;
    for (const id of world.instances.keys()) entries += world.arbiter.standings(id).account.entries;
    return { fingerprint: world.fingerprint, events: world.events, faulted, entries };
  }

  #addVgpu(id: string): void {
    const random = this.#random;
    const world = this.#world;
    const instance = new SimInstance(world, id, randomWorkload(random), WATCHDOG_NS);
    if (random.below(8) === 0) instance.claims = random.below(2) / 2;
    const settings = randomSettings(random);
    this.#memory.set(id, settings.memoryBytesMax ?? 0);
    try {
      world.add(instance, settings);
    } catch (error) {
      // Guarantees that do not fit are refused: then it is one without any.
      if (!(error instanceof SettingsError)) throw error;
      world.instances.delete(id);
      this.#memory.set(id, 0);
      try {
        world.add(instance, { policy: "best-effort", watchdogNs: WATCHDOG_NS });
      } catch (again) {
        if (!(again instanceof SettingsError)) throw again;
        world.instances.delete(id);
        this.#memory.delete(id);
        return;
      }
    }
    if (random.below(3) !== 0) return;
    const fault = faults[random.below(faults.length)] ?? "crash";
    this.#planned.set(id, fault);
    if (fault === "wrong-revision") instance.fault = fault;
    else world.after(random.below(50e6), () => this.#breakOut(instance, fault));
  }

  #breakOut(instance: SimInstance, fault: Fault): void {
    if (fault !== "crash") {
      instance.fault = fault;
      return;
    }
    instance.faulted = true;
    this.#world.end(instance, 1e6);
  }

  /** Live changes, now and then one that is refused. */
  #changeLater(horizonNs: number): void {
    const random = this.#random;
    const world = this.#world;
    if (random.below(2) === 0) return;
    world.after(random.below(40e6), () => {
      if (world.nowNs > horizonNs) return;
      const ids = [...world.instances.keys()];
      const id = ids[random.below(ids.length)];
      if (id === undefined) return;
      const before = world.arbiter.standings(id).settings;
      try {
        const settings = randomSettings(random);
        world.touch(() => world.arbiter.set(id, settings, world.nowNs));
        this.#memory.set(id, settings.memoryBytesMax ?? 0);
      } catch (error) {
        if (!(error instanceof SettingsError)) throw error;
        if (world.arbiter.standings(id).settings !== before) {
          world.violate(`the refused settings of ${id} are in effect`);
        }
      }
      this.#checkMemory();
      this.#changeLater(horizonNs);
    });
  }

  /** The broker's own meter of each process's GPU time, read every 10 ms. */
  #auditLater(): void {
    const world = this.#world;
    world.after(10e6, () => {
      for (const [id, instance] of world.instances) {
        if (!instance.alive) continue;
        const busyNs = (world.gpu.busyNs.get(id) ?? 0) - instance.busyBeforeNs;
        world.touch(() => world.arbiter.audit(id, busyNs, world.nowNs));
      }
      this.#auditLater();
    });
  }

  /** Enough for all that is queued at the least share, and for what faults cost. */
  #drainLimitNs(): number {
    const world = this.#world;
    let limitNs = 1e9;
    for (const [id, instance] of world.instances) {
      const { maxShare, minShare, policy } = world.arbiter.standings(id).settings;
      const rate = policy === "fixed" ? minShare : Math.min(maxShare, 0.01);
      limitNs += ((instance.queued + 2) * KERNEL_MAX_NS + WATCHDOG_NS + GRACE_NS) / rate;
    }
    return limitNs;
  }

  /** What is promised is what was accepted, and instances are told so. */
  #checkMemory(): void {
    const world = this.#world;
    let bytes = 0;
    for (const [id, acceptedBytes] of this.#memory) {
      bytes += acceptedBytes;
      const told = world.arbiter.gvmcs(id)?.execution.memory_bytes_max ?? acceptedBytes;
      if (told !== acceptedBytes) {
        world.violate(`${id} is told of ${told} bytes of memory, not ${acceptedBytes}`);
      }
    }
    const promised = world.arbiter.promisedBytes;
    if (promised > MEMORY_BYTES || bytes !== promised) {
      world.violate(
        `limits of ${bytes} bytes are accepted, ${promised} of ${MEMORY_BYTES} promised`,
      );
    }
  }

  /** Accounts add up, and nobody is deeper in debt than one overshoot can put it. */
  #checkStanding(): void {
    const world = this.#world;
    world.touch(() => world.arbiter.advance(world.nowNs));
    let heldNs = 0;
    for (const [id, instance] of world.instances) {
      const { account, debtNs, settings } = world.arbiter.standings(id);
      heldNs += account.heldNs;
      const rogue = this.#planned.get(id) === "rogue";
      const busyNs = world.gpu.busyNs.get(id) ?? 0;
      if (!rogue && world.gpu.owner !== id && busyNs > account.presentNs + 1) {
        world.violate(
          `${id} was there for ${account.presentNs} ns, and had the GPU for ${busyNs} ns`,
        );
      }
      if (account.gpuNs > account.presentNs + 1) {
        world.violate(`${id} has ${account.gpuNs} ns of GPU time in ${account.presentNs} ns there`);
      }
      if (account.heldNs > account.presentNs) {
        world.violate(`${id} is charged ${account.heldNs} ns of ${account.presentNs} ns there`);
      }
      // A holder may be late by its longest kernel, a hanging one until it is killed.
      const lateNs = Math.max(KERNEL_MAX_NS, WATCHDOG_NS + GRACE_NS);
      const debtMaxNs = 2 * (settings.sliceNs + lateNs) + world.instances.size * 12e6;
      if (debtNs > debtMaxNs) world.violate(`${id} owes ${debtNs} ns, at most ${debtMaxNs}`);
      // And it may have to wait for one whose tail does not end.
      const overshootMaxNs = lateNs + WATCHDOG_NS + GRACE_NS + KERNEL_MAX_NS + 2e6;
      if (account.overshootMaxNs > overshootMaxNs) {
        world.violate(`${id} overshot by ${account.overshootMaxNs} ns, at most ${overshootMaxNs}`);
      }
      this.#checkWork(instance);
    }
    if (heldNs > world.nowNs) world.violate(`${heldNs} ns are charged in ${world.nowNs} ns`);
    this.#checkMemory();
  }

  #checkWork(instance: SimInstance): void {
    const busyNs = this.#world.gpu.busyNs.get(instance.id) ?? 0;
    if (instance.workNs > busyNs + 1) {
      this.#world.violate(`${instance.id} did ${instance.workNs} ns of work in ${busyNs} ns`);
    }
  }

  /** No runnable instance waits for ever. */
  #checkDrained(): void {
    const world = this.#world;
    for (const [id, instance] of world.instances) {
      if (instance.queued === 0) continue;
      const { state } = world.arbiter.standings(id);
      const fault = this.#planned.get(id) ?? "no fault";
      world.violate(
        `${id} (${state}, ${fault}) has ${instance.queued} kernels left that nobody executes`,
      );
    }
  }

  /** The guilty are aborted for what they did; nobody else is. */
  #checkAborts(): void {
    const world = this.#world;
    for (const [id, instance] of world.instances) {
      const fault = this.#planned.get(id);
      const expected = fault === undefined ? null : expectedAborts[fault];
      for (const abort of instance.aborts) {
        if (expected?.includes(abort.indicator)) continue;
        const name = AbortIndicatorNames.get(abort.indicator);
        world.violate(`${id} (${fault ?? "innocent"}) is aborted with ${name}: ${abort.text}`);
      }
      // Without a deadline in between, and with one set at the same moment it is a legal exit; so is a
      // tail at the moment at which the one before ends.
      if (fault === "early-slice-used" || fault === "second-tail" || expected === null) continue;
      if (instance.faulted && instance.aborts.length === 0) {
        world.violate(`${id} is not caught: ${fault}`);
      }
    }
  }
}

export function runScenario(seed: number): ScenarioResult {
  return new Run(seed).go();
}
