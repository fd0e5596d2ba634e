// SPDX-License-Identifier: Apache-2.0
/** A software GPU's threads and the core of the thread that waits for them. */
import { beforeEach, describe, expect, it } from "vitest";
import { type Cores, Placement } from "../../../src/gpu/dawn/placement.js";

const THREADS = [11, 12];
/** A thread of the set that has ended. */
const GONE = 13;

class FakeCores implements Cores {
  cpu = 1;
  switches = 0;
  readonly masks = new Map(THREADS.map((thread) => [thread, [0, 1]]));

  involuntarySwitches(): number {
    return this.switches;
  }
  currentCpu(): number {
    return this.cpu;
  }
  getAffinity(thread: number): number[] {
    const mask = this.masks.get(thread);
    if (mask === undefined) throw new Error("ESRCH");
    return mask;
  }
  setAffinity(thread: number, cpus: readonly number[]): void {
    if (!this.masks.has(thread)) throw new Error("ESRCH");
    this.masks.set(thread, [...cpus]);
  }
  get all(): number[][] {
    return THREADS.map((thread) => this.getAffinity(thread));
  }
}

const FREE = [
  [0, 1],
  [0, 1],
];
const AWAY = [[0], [0]];
let cores: FakeCores;
let timeNs: number;
let placement: Placement;

beforeEach(() => {
  cores = new FakeCores();
  timeNs = 1e9;
  placement = new Placement(new Set([...THREADS, GONE]), cores, () => timeNs);
});

/** Launches of 100 µs in each of which the core is lost so often. */
function launches(count: number, switches: number, ns = 100_000): void {
  for (let i = 0; i < count; i++) {
    placement.submits(1, true);
    cores.switches += switches;
    timeNs += ns;
    placement.ended(1, Math.min(ns, 50_000));
  }
}

/** Until the threads have been sent away, at most so many launches. */
function launchesUntilAway(most: number): number {
  for (let i = 1; i <= most; i++) {
    placement.submits(1, true);
    if (cores.masks.get(11)?.length === 1) return i;
    cores.switches++;
    timeNs += 100_000;
    placement.ended(1, 50_000);
  }
  return Infinity;
}

describe("placement", () => {
  it("sends the threads away when this one has lost its core in most of 32 launches", () => {
    launches(40, 0);
    expect(launchesUntilAway(64)).toBeGreaterThan(20);
    expect(cores.all).toEqual(AWAY);
    launches(1000, 0);
    expect(cores.all).toEqual(AWAY);
  });

  it("sends them elsewhere when it is moved to where they are", () => {
    launches(40, 0);
    launchesUntilAway(64);
    launches(100, 0);
    cores.cpu = 0;
    launches(100, 2);
    expect(cores.all).toEqual([[1], [1]]);
    placement.restore();
    expect(cores.all).toEqual(FREE);
  });

  it("leaves them alone while the core is lost seldom, and where launches come seldom", () => {
    for (let i = 0; i < 1000; i++) {
      launches(1, i % 2);
      expect(cores.all).toEqual(FREE);
    }
    launches(500, 5, 2_000_000);
    expect(cores.all).toEqual(FREE);
  });

  it("tries less and less often what does not help, and as before once it was well", () => {
    const counts = Array.from({ length: 9 }, () => {
      const count = launchesUntilAway(10_000);
      placement.restore();
      return count;
    });
    expect(counts.slice(1)).toEqual([64, 128, 256, 512, 1024, 2048, 2048, 2048]);
    launches(2048, 0);
    expect(launchesUntilAway(64)).toBeLessThanOrEqual(33);
  });

  it("sends them away for a train after one that was held up, as long as trains are short", () => {
    const train = (switches: number, ns: number): void => {
      placement.submits(500, true);
      cores.switches += switches;
      placement.ended(500, 500 * ns);
    };
    for (let i = 0; i < 3; i++) train(5, 30_000);
    expect(cores.all).toEqual(FREE);
    train(20, 30_000);
    expect(cores.all).toEqual(FREE);
    train(2, 30_000);
    expect(cores.all).toEqual(AWAY);
    train(2, 200_000);
    expect(cores.all).toEqual(AWAY);
    train(20, 200_000);
    expect(cores.all).toEqual(FREE);
    train(2, 30_000);
    expect(cores.all).toEqual(FREE);
  });

  it("gives all cores back after a long batch, for one that takes long, and while the GPU is shared", () => {
    const giveBack = [
      () => {
        placement.ended(1, 200_000);
        expect(cores.all).toEqual(AWAY);
        placement.ended(3, 300_000);
      },
      () => placement.restore(),
      () => {
        placement.enabled = false;
      },
    ];
    for (const act of giveBack) {
      expect(launchesUntilAway(300)).toBeLessThanOrEqual(300);
      act();
      expect(cores.all).toEqual(FREE);
    }
    launches(1000, 1);
    expect(cores.all).toEqual(FREE);
    placement.enabled = true;
    expect(launchesUntilAway(5000)).toBeLessThanOrEqual(5000);
  });

  it("does nothing where there is no other core, or a thread may not run on this one", () => {
    cores.masks.set(11, [1]);
    cores.masks.set(12, [0]);
    launches(500, 1);
    expect(cores.masks.get(11)).toEqual([1]);
    expect(cores.masks.get(12)).toEqual([0]);
  });
});
