// SPDX-License-Identifier: Apache-2.0
/** The scheduler's decisions one by one, on a clock that the test moves. */
import { describe, expect, it } from "vitest";
import {
  defaultSettings,
  type ExitKind,
  Scheduler,
  type SchedulingSettings,
  tailNsOf,
} from "../../../src/scheduler/index.js";

const MS = 1e6;

function exit(kind: ExitKind, wants = kind === "slice-used") {
  return { kind, gpuNs: 0, wants };
}

function scheduler(...settings: Partial<SchedulingSettings>[]): Scheduler {
  const made = new Scheduler();
  settings.forEach((each, index) => {
    made.add("abcdefgh"[index] ?? "", { policy: "equal", ...each }, 0);
  });
  return made;
}

describe("one vGPU alone", () => {
  it("gets the GPU without an end", () => {
    const s = scheduler({});
    expect(s.runnable("a", 10)).toEqual([{ kind: "enter", id: "a", deadlineNs: null }]);
    expect(s.holder).toBe("a");
    expect(s.advance(500 * MS)).toEqual([]);
  });

  it("is bounded after a second, so that one that does not answer is noticed", () => {
    const s = scheduler({});
    s.runnable("a", 0);
    expect(s.nextNs()).toBe(998 * MS);
    expect(s.advance(998 * MS)).toEqual([{ kind: "bound", id: "a", deadlineNs: 1000 * MS }]);
    expect(s.nextNs()).toBe(3500 * MS);
    expect(s.advance(3500 * MS)).toEqual([{ kind: "kill", id: "a", reason: "overdue" }]);
    expect(s.holder).toBe("a");
  });

  it("owes nothing for the time in which nobody waited", () => {
    const s = scheduler({}, {});
    s.runnable("a", 0);
    s.runnable("b", 900 * MS);
    expect(s.standings("a").debtNs).toBeLessThanOrEqual(4 * MS);
  });
});

describe("contention", () => {
  it("bounds a holder that has had its slice at once", () => {
    const s = scheduler({}, {});
    s.runnable("a", 0);
    expect(s.runnable("b", 10 * MS)).toEqual([
      { kind: "bound", id: "a", deadlineNs: 10 * MS },
      { kind: "prepare", id: "b" },
    ]);
  });

  it("leaves a holder the rest of its slice, and hints at the next one once that has begun", () => {
    const s = scheduler({ sliceNs: 5 * MS }, {});
    s.runnable("a", 0);
    expect(s.runnable("b", 1 * MS)).toEqual([{ kind: "bound", id: "a", deadlineNs: 5 * MS }]);
    expect(s.nextNs()).toBe(1.5 * MS);
    expect(s.advance(1.5 * MS)).toEqual([{ kind: "prepare", id: "b" }]);
    expect(s.advance(4.5 * MS)).toEqual([]);
    expect(s.exit("a", exit("slice-used"), 5 * MS)).toEqual([
      { kind: "enter", id: "b", deadlineNs: 7 * MS },
    ]);
    // The other's slice is shorter: it goes on until it had as much.
    expect(s.exit("b", exit("slice-used"), 7 * MS)).toMatchObject([{ kind: "enter", id: "b" }]);
  });

  it("hints before the end of a slice that is shorter than that", () => {
    const s = scheduler({}, {});
    s.runnable("a", 0);
    s.runnable("b", 0);
    expect(s.nextNs()).toBe(1 * MS);
    expect(s.advance(1 * MS)).toEqual([{ kind: "prepare", id: "b" }]);
  });

  it("ends a holder within a slice even for one that is not due yet", () => {
    const s = scheduler({}, {});
    s.runnable("a", 0);
    s.runnable("b", 0);
    // The first turn overshoots by far, so that the debtor is not due for long.
    s.exit("a", exit("slice-used"), 500 * MS);
    expect(s.holder).toBe("b");
    expect(s.deadlineNs).toBe(502 * MS);
    s.exit("b", exit("idle"), 501 * MS);
    expect(s.holder).toBe("a");
  });

  it("kills a holder only after deadline, watchdog and grace, and keeps the GPU until it is gone", () => {
    const s = scheduler({ watchdogNs: 100 * MS }, {});
    s.runnable("a", 0);
    s.runnable("b", 0);
    s.advance(1 * MS);
    expect(s.nextNs()).toBe(602 * MS);
    expect(s.advance(602 * MS - 1)).toEqual([]);
    expect(s.advance(602 * MS)).toEqual([{ kind: "kill", id: "a", reason: "overdue" }]);
    expect(s.advance(700 * MS)).toEqual([]);
    expect(s.runnable("a", 710 * MS)).toEqual([]);
    expect(s.gone("a", 720 * MS)).toEqual([{ kind: "enter", id: "b", deadlineNs: null }]);
    expect(s.standings("a").account).toMatchObject({ heldNs: 720 * MS, condemned: 1 });
    expect(s.standings("a").debtNs).toBeGreaterThan(300 * MS);
  });

  it("takes turns, and lets an overshoot wait as long as it was", () => {
    const s = scheduler({}, {});
    s.runnable("a", 0);
    s.runnable("b", 0);
    const order: string[] = [];
    let nowNs = 0;
    for (let turn = 0; turn < 20; turn++) {
      const holder = s.holder ?? "";
      order.push(holder);
      nowNs += turn === 0 ? 10 * MS : 2 * MS;
      // Whoever is due alone keeps the GPU beyond one slice.
      while ((s.deadlineNs ?? 0) > nowNs) nowNs += MS;
      s.exit(holder, exit("slice-used"), nowNs);
    }
    expect(order[0]).toBe("a");
    const heldNs = ["a", "b"].map((id) => s.standings(id).account.heldNs);
    expect(Math.abs((heldNs[0] ?? 0) - (heldNs[1] ?? 0))).toBeLessThanOrEqual(4 * MS);
    expect(s.standings("a").account.overshootMaxNs).toBe(8 * MS);
  });

  it("lets a vGPU that yields wait for another one, even if it is further behind", () => {
    const s = scheduler({}, {});
    s.runnable("a", 0);
    s.runnable("b", 0);
    const actions = s.exit("a", exit("yield", true), 0.1 * MS);
    expect(actions[0]).toMatchObject({ kind: "enter", id: "b" });
    expect(s.exit("b", exit("idle"), 1 * MS)[0]).toMatchObject({ kind: "enter", id: "a" });
  });
});

describe("exits", () => {
  it("are charged by the clock, whatever they claim", () => {
    const s = scheduler({}, {});
    s.runnable("a", 0);
    s.runnable("b", 0);
    s.exit("a", { kind: "slice-used", gpuNs: 0, wants: true }, 3 * MS);
    expect(s.standings("a").account).toMatchObject({ heldNs: 3 * MS, gpuNs: 0 });
    expect(s.standings("a").debtNs).toBeGreaterThan(1 * MS);
  });

  it("that claim more time than has passed condemn", () => {
    const s = scheduler({}, {});
    s.runnable("a", 0);
    expect(s.exit("a", { kind: "idle", gpuNs: 11.5 * MS, wants: false }, 10 * MS)).toEqual([]);
    s.runnable("a", 10 * MS);
    expect(s.exit("a", { kind: "idle", gpuNs: 12 * MS, wants: false }, 20 * MS)).toEqual([
      { kind: "kill", id: "a", reason: "time-claim" },
    ]);
    s.runnable("b", 20 * MS);
    expect(s.holder).toBe("a");
    expect(s.gone("a", 21 * MS)).toEqual([{ kind: "enter", id: "b", deadlineNs: null }]);
  });

  it("of one that does not hold the GPU are a mistake of the caller", () => {
    const s = scheduler({}, {});
    s.runnable("a", 0);
    expect(() => s.exit("b", exit("idle"), 1)).toThrow(/b exits and does not hold/);
  });
});

it.each([
  [1, null, 0.8],
  [2, null, 0.8],
  [6, null, 1],
  [30, null, 5],
  [30, 0.25, 0.25],
  [30, 0, 0],
])("slices of %d ms, tails of %d: at most %d ms", (sliceMs, setMs, tailMs) => {
  const tailNs = setMs === null ? null : setMs * MS;
  expect(tailNsOf({ ...defaultSettings, sliceNs: sliceMs * MS, tailNs })).toBe(tailMs * MS);
});

describe("tails", () => {
  const LEFT = { kind: "slice-used", gpuNs: 0, wants: true, tailNs: 0.4 * MS } as const;

  /** `a` leaves a tail at 2 ms, and `b` is entered. */
  function behind(...settings: Partial<SchedulingSettings>[]): Scheduler {
    const s = scheduler(...(settings.length > 0 ? settings : [{}, {}]));
    s.runnable("a", 0);
    s.runnable("b", 0);
    const left = { kind: "slice-used", gpuNs: 0, wants: true, tailNs: 0.4 * MS } as const;
    expect(s.exit("a", left, 2 * MS)).toMatchObject([{ kind: "enter", id: "b" }]);
    expect([s.holder, s.tail, s.tailEndNs]).toEqual(["b", "a", 2.4 * MS]);
    return s;
  }

  it("that are too late are done without for fifty times the excess, by both", () => {
    for (const [lateMs, strict] of [
      [0.25, false],
      [0.65, true],
    ] as const) {
      const s = behind();
      s.drained("a", (2.4 + lateMs) * MS);
      expect(s.exit("b", LEFT, 10 * MS).length).toBe(strict ? 0 : 1);
      if (!strict) continue;
      // Nobody else suffers, and they do not for ever.
      s.drained("b", 10.4 * MS);
      expect(s.holder).toBe("a");
      s.exit("a", exit("slice-used"), 18.9 * MS);
      expect(s.holder).toBe("b");
      expect(s.exit("b", LEFT, 26 * MS)[0]).toMatchObject({ kind: "enter", id: "a" });
    }
  });

  /** Tails of both by turns, all on time; `a` leaves the last one. Returns when that should end, ms. */
  function onTime(s: Scheduler, turns: number): number {
    let endMs = 2.4;
    for (let turn = 0; turn < turns; turn++) {
      const [owner, next] = turn % 2 === 0 ? ["a", "b"] : ["b", "a"];
      s.drained(owner as string, endMs * MS);
      s.exit(next as string, LEFT, (endMs + 2.6) * MS);
      endMs += 3;
    }
    return endMs;
  }

  it.each([
    [2, 0.75, false],
    [2, 1, true],
    [40, 4.2, false],
    [40, 4.6, true],
  ])("may be later, if %i others were on time: by %f ms", (turns, lateMs, strict) => {
    const s = behind();
    const endMs = onTime(s, turns);
    expect([s.tail, s.holder]).toEqual(["a", "b"]);
    s.drained("a", (endMs + lateMs) * MS);
    expect(s.exit("b", LEFT, (endMs + 12) * MS).length).toBe(strict ? 0 : 1);
  });

  it("let the next one in, which is told when it has the GPU to itself", () => {
    const s = behind();
    expect(s.standings("a")).toMatchObject({ state: "draining", account: { tails: 1 } });
    expect(s.drained("a", 2.4 * MS)).toEqual([{ kind: "alone", id: "b", sinceNs: 2.4 * MS }]);
    expect([s.holder, s.tail, s.tailEndNs]).toEqual(["b", null, null]);
    expect(s.standings("a").state).toBe("waiting");
  });

  it("are charged to their owner; beyond the foreseen end, half of what is more than an eighth of a slice", () => {
    const s = behind();
    s.drained("a", 3 * MS);
    s.exit("b", exit("slice-used"), 4 * MS);
    const heldNs = ["a", "b"].map((id) => s.standings(id).account.heldNs);
    // Until 2.4 ms as foreseen, then 0.25 ms, and half of 0.35 ms.
    expect(heldNs).toEqual([2.825 * MS, 1.175 * MS]);
    expect(s.standings("a").account.waitNs).toBe(1 * MS);
  });

  it("end when their owner says, however late that is heard", () => {
    const s = behind();
    const [alone] = s.drained("a", 4 * MS, 2.5 * MS);
    expect(alone).toEqual({ kind: "alone", id: "b", sinceNs: 2.5 * MS });
    s.exit("b", exit("slice-used"), 5 * MS);
    const heldNs = ["a", "b"].map((id) => s.standings(id).account.heldNs);
    expect(heldNs).toEqual([2.5 * MS, 2.5 * MS]);
  });

  it.each([
    ["before the exit", 1.9 * MS, 2 * MS, 2.4 * MS],
    ["in the future", 5 * MS, 4 * MS, 3.325 * MS],
    ["at no time", Number.NaN, 4 * MS, 3.325 * MS],
  ])("do not end %s", (_what, toldNs, sinceNs, ownNs) => {
    const s = behind();
    expect(s.drained("a", 4 * MS, toldNs)[0]).toEqual({ kind: "alone", id: "b", sinceNs });
    expect(s.standings("a").account.heldNs).toBe(ownNs);
  });

  it("may be longer than was said: that is an overshoot", () => {
    const s = behind();
    s.drained("a", 7 * MS);
    expect(s.standings("a").account.overshootMaxNs).toBe(5 * MS);
  });

  it("keep their owner out until they end, though it is the only one with work", () => {
    const s = behind();
    expect(s.exit("b", exit("idle"), 2.2 * MS)).toEqual([]);
    expect(s.holder).toBeNull();
    expect(s.drained("a", 2.4 * MS)).toEqual([{ kind: "enter", id: "a", deadlineNs: null }]);
  });

  it("that take longer let others in, one after the other", () => {
    const s = behind({}, {}, {});
    s.runnable("c", 2.1 * MS);
    expect(s.exit("b", exit("idle"), 2.2 * MS)).toMatchObject([{ kind: "enter", id: "c" }]);
    expect(s.drained("a", 2.4 * MS)).toEqual([{ kind: "alone", id: "c", sinceNs: 2.4 * MS }]);
  });

  it("do not let anybody overtake their owner that is still the furthest behind", () => {
    const s = scheduler({}, {});
    s.runnable("b", 0);
    s.runnable("a", 0);
    s.exit("b", exit("slice-used"), 500 * MS);
    expect(s.holder).toBe("a");
    const left = { kind: "slice-used", gpuNs: 0, wants: true, tailNs: 0.4 * MS } as const;
    expect(s.exit("a", left, 502 * MS)).toEqual([]);
    expect(s.drained("a", 502.4 * MS)).toMatchObject([{ kind: "enter", id: "a" }]);
  });

  it("of one that has no work left end its part, unless it has some again by then", () => {
    for (const again of [false, true]) {
      const s = scheduler({}, {});
      s.runnable("a", 0);
      s.runnable("b", 0);
      const left = { kind: "idle", gpuNs: 0, wants: false, tailNs: 0.4 * MS } as const;
      s.exit("a", left, 1 * MS);
      if (again) s.runnable("a", 1.2 * MS);
      s.drained("a", 1.4 * MS);
      expect(s.standings("a").state).toBe(again ? "waiting" : "idle");
    }
  });

  it("are claimed with the next exit, and not twice", () => {
    const s = behind();
    s.drained("a", 2.4 * MS);
    s.exit("b", exit("slice-used"), 5 * MS);
    // 2.4 ms before, and 2 ms now.
    expect(s.holder).toBe("a");
    s.exit("a", { kind: "slice-used", gpuNs: 4.4 * MS, wants: true }, 7 * MS);
    s.exit("b", exit("slice-used"), 9 * MS);
    expect(s.standings("a").account).toMatchObject({ gpuNs: 4.4 * MS, condemned: 0 });
    expect(s.holder).toBe("a");
    s.exit("a", { kind: "slice-used", gpuNs: 4.4 * MS, wants: true }, 11 * MS);
    expect(s.standings("a").account.condemned).toBe(1);
  });

  it("that do not end condemn their owner, and nobody else", () => {
    const s = behind({ watchdogNs: 100 * MS }, {});
    s.exit("b", exit("idle"), 3 * MS);
    expect(s.nextNs()).toBe(602 * MS);
    expect(s.advance(602 * MS)).toEqual([{ kind: "kill", id: "a", reason: "overdue" }]);
    s.runnable("b", 603 * MS);
    expect(s.gone("a", 604 * MS)).toMatchObject([{ kind: "alone", id: "b" }]);
    expect(s.standings("a").account.condemned).toBe(1);
    expect(s.standings("b").account.condemned).toBe(0);
  });

  it("end with the process of their owner", () => {
    const s = behind();
    expect(s.gone("a", 2.2 * MS)).toMatchObject([{ kind: "alone", id: "b" }]);
    expect(s.tail).toBeNull();
  });

  it("are a mistake of the caller where one is there, and their end where none is", () => {
    const s = behind();
    const left = { kind: "slice-used", gpuNs: 0, wants: true, tailNs: 1 } as const;
    expect(() => s.exit("b", left, 3 * MS)).toThrow(/b leaves a tail behind another one/);
    expect(() => s.drained("b", 3 * MS)).toThrow(/b has no tail/);
  });

  it("count in an audit", () => {
    const s = behind();
    s.drained("a", 102 * MS);
    expect(s.audit("a", 150 * MS, 102 * MS)).toEqual([]);
    expect(s.audit("b", 140 * MS, 102 * MS)).toEqual([]);
    expect(s.audit("b", 300 * MS, 102 * MS)).toMatchObject([{ kind: "kill", id: "b" }]);
  });
});

describe("audits", () => {
  it("find work outside the entries", () => {
    const s = scheduler({});
    s.runnable("a", 0);
    s.exit("a", exit("idle"), 100 * MS);
    expect(s.audit("a", 100 * MS, 100 * MS)).toEqual([]);
    expect(s.audit("a", 149 * MS, 200 * MS)).toEqual([]);
    expect(s.audit("a", 200 * MS, 300 * MS)).toEqual([{ kind: "kill", id: "a", reason: "audit" }]);
    expect(s.runnable("a", 301 * MS)).toEqual([]);
  });
});

describe("settings", () => {
  it.each<[Partial<SchedulingSettings>, RegExp]>([
    [{ sliceNs: 0.999 * MS }, /slice 0.999 ms is outside 1 to 30 ms/],
    [{ sliceNs: 30 * MS + 1 }, /outside 1 to 30 ms/],
    [{ weight: 0 }, /weight 0/],
    [{ weight: 1.5 }, /weight 1.5/],
    [{ minShare: 0.5, maxShare: 0.4 }, /minimum 0.5 is above the maximum 0.4/],
    [{ maxShare: 0 }, /maximum 0 is outside/],
    [{ policy: "fixed", minShare: 0.1, maxShare: 0.2 }, /one value, not 0.1 to 0.2/],
    [{ minShare: 0.71 }, /0.71 does not fit: 0.3 of 1 is given/],
    [{ watchdogNs: 0 }, /watchdog 0 s/],
    [{ tailNs: -1 }, /tail -0.000001 ms is outside 0 to 5 ms/],
    [{ tailNs: 5 * MS + 1 }, /outside 0 to 5 ms/],
  ])("%j are refused and change nothing", (changes, message) => {
    const s = scheduler({ minShare: 0.3 }, {});
    const before = s.standings("b").settings;
    expect(() => s.set("b", changes, 1)).toThrow(message);
    expect(s.standings("b").settings).toBe(before);
  });

  it("that fill the GPU to the last are taken", () => {
    const s = scheduler({ minShare: 0.3 }, {});
    s.set("b", { minShare: 0.7 }, 1);
    expect(s.standings("b").settings.minShare).toBe(0.7);
    expect(() => s.add("c", { minShare: 0.01 }, 1)).toThrow(/does not fit/);
    s.remove("a", 1);
    s.add("c", { minShare: 0.3 }, 1);
  });

  it("leave a running deadline alone and count from the next entry on", () => {
    const s = scheduler({}, {});
    s.runnable("a", 0);
    s.runnable("b", 0);
    expect(s.deadlineNs).toBe(2 * MS);
    s.set("a", { sliceNs: 20 * MS }, 1 * MS);
    expect(s.deadlineNs).toBe(2 * MS);
    s.exit("a", exit("slice-used"), 2 * MS);
    s.exit("b", exit("slice-used"), 4 * MS);
    expect(s.deadlineNs).toBe(24 * MS);
  });
});

describe("a debtor", () => {
  it("waits for a vGPU that comes back at once as a rule, and not for one that does not", () => {
    for (const [pauseNs, waits] of [
      [0.3 * MS, true],
      [15 * MS, false],
    ] as const) {
      const s = scheduler({}, {});
      s.runnable("a", 0);
      s.exit("a", exit("idle"), 1 * MS);
      s.runnable("a", 1 * MS + pauseNs);
      let nowNs = 1 * MS + pauseNs + 1 * MS;
      s.exit("a", exit("idle"), nowNs);
      s.runnable("b", nowNs);
      s.runnable("a", nowNs);
      nowNs += 500 * MS;
      s.exit("b", exit("slice-used"), nowNs);
      expect(s.holder).toBe("a");
      nowNs += 1 * MS;
      s.exit("a", exit("idle"), nowNs);
      expect(s.holder).toBe(waits ? null : "b");
      if (!waits) continue;
      expect(s.nextNs()).toBe(nowNs + 2 * MS);
      expect(s.advance(nowNs + 2 * MS)).toMatchObject([{ kind: "enter", id: "b" }]);
    }
  });
});
