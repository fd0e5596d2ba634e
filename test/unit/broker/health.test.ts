// SPDX-License-Identifier: Apache-2.0
// When a process is taken for one that does not do its work, and when another one is started.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Health, type Vitals } from "../../../src/broker/health.js";
import { type Activity, readActivity } from "../../../src/broker/process-activity.js";
import { RestartPolicy } from "../../../src/broker/restart-policy.js";

const FINE: Vitals = { running: true, greeted: true, message: null, activity: () => null };

function turns(health: Health, count: number, vitals: Vitals): string[] {
  return Array.from({ length: count }, () => health.turn(vitals).kind);
}

/** What the kernel tells in consecutive turns; the last one goes on. */
function doing(...seen: Partial<Activity>[]): () => Activity {
  let at = 0;
  const nothing: Activity = { stopped: false, asleep: false, mainNs: 0, allNs: 1 };
  return () => ({ ...nothing, ...seen[Math.min(at++, seen.length - 1)] });
}

/** The reason for which a process that owes an answer is ended, and after how many turns. */
function ended(activity: () => Activity, change: Partial<Vitals> = {}, announcedMs = 0): string {
  const health = new Health({ answerMs: 10_000 });
  expect(health.turn(FINE).kind).toBe("ping");
  if (announcedMs > 0) health.announced(announcedMs);
  for (let turn = 1; turn < 1000; turn++) {
    const verdict = health.turn({ ...FINE, ...change, activity });
    if (verdict.kind === "end") return `${turn}: ${verdict.why}`;
  }
  return "never";
}

describe("the health of a process", () => {
  it("is asked for once, and again some time after it has answered", () => {
    const health = new Health({ answerMs: 2000 });
    expect(turns(health, 4, FINE)).toEqual(["ping", "wait", "wait", "wait"]);
    health.answered();
    expect(turns(health, 4, FINE)).toEqual(["wait", "ping", "wait", "wait"]);
  });

  it("is bad when a ping is not answered in time", () => {
    const health = new Health({ answerMs: 1000 });
    expect(turns(health, 4, FINE)).toEqual(["ping", "wait", "wait", "wait"]);
    expect(health.turn(FINE)).toEqual({ kind: "end", why: "it has not answered for 1 s" });
    health.reset();
    expect(health.turn(FINE).kind).toBe("ping");
  });

  it("is bad when one message takes for ever, not when there are many", () => {
    const health = new Health({ answerMs: 60_000 });
    for (let message = 0; message < 100; message++)
      expect(health.turn({ ...FINE, message }).kind).not.toBe("end");
    health.answered();
    const stuck = turns(health, 43, { ...FINE, message: 7 });
    expect(stuck.slice(0, 41)).not.toContain("end");
    expect(stuck[41]).toBe("end");
  });

  it("is not judged by answers before it has greeted, but by how long that takes", () => {
    const health = new Health({ answerMs: 2000 });
    const starting = { ...FINE, greeted: false };
    expect(new Set(turns(health, 240, starting))).toEqual(new Set(["wait"]));
    expect(health.turn(starting).kind).toBe("end");
  });

  it("is not looked at where there is no process, or where that is switched off", () => {
    const none = { ...FINE, running: false };
    expect(new Set(turns(new Health({ answerMs: 2000 }), 99, none))).toEqual(new Set(["wait"]));
    expect(new Set(turns(new Health({ answerMs: 0 }), 99, FINE))).toEqual(new Set(["wait"]));
  });
});

describe("a process that owes an answer", () => {
  const S = 1e9;

  it("is ended soon when it is stopped, and when all of it sleeps", () => {
    expect(ended(doing({ stopped: true, asleep: true }))).toBe("3: it is stopped");
    expect(ended(doing({ asleep: true }))).toBe("3: it sleeps and does not answer");
  });

  it("may sleep as long as it said, and be stopped for no longer", () => {
    expect(ended(doing({ asleep: true }), {}, 3000)).toBe("13: it sleeps and does not answer");
    expect(ended(doing({ stopped: true, asleep: true }), {}, 3000)).toBe("3: it is stopped");
  });

  it("is not ended for a pause between two looks at it", () => {
    // It was frozen with all the machine, say, and goes on at once when that does.
    const at = (allNs: number, asleep = true): Partial<Activity> => ({ asleep, allNs });
    const seen = [at(1), at(1), at(50e6), at(99e6), at(99e6), at(99e6, false)];
    expect(ended(doing(...seen))).toBe("40: it has not answered for 10 s");
  });

  it("has time as long as it waits for a core or a disk, or its threads work", () => {
    const late = "40: it has not answered for 10 s";
    expect(ended(doing({ asleep: false }))).toBe(late);
    let allNs = 0;
    const working = (): Activity => {
      allNs += 13e6;
      return { stopped: false, asleep: true, mainNs: 0, allNs };
    };
    expect(ended(working)).toBe(late);
    expect(ended(() => null as unknown as Activity)).toBe(late);
  });

  it("is ended when it has computed for long, by the time that it really had", () => {
    const spinning = (share: number) => {
      let mainNs = 0;
      return (): Activity => {
        mainNs += 0.25 * S * share;
        return { stopped: false, asleep: false, mainNs, allNs: mainNs };
      };
    };
    expect(ended(spinning(1))).toBe("5: it has computed for 1.0 s and does not answer");
    expect(ended(spinning(0.25))).toMatch(/^14: it has computed for 0.8 s/);
    // A message may take longer, and what was announced does not count.
    expect(ended(spinning(1), { message: 1 })).toBe("40: it has not answered for 10 s");
    expect(ended(spinning(1), {}, 3000)).toMatch(/^17: it has computed for 4.0 s/);
    expect(ended(spinning(0.1), {}, 3000)).toBe("52: it has not answered for 13 s");
  });

  it("has announced only what is before its next answer", () => {
    const health = new Health({ answerMs: 1000 });
    turns(health, 1, FINE);
    health.announced(60_000);
    health.answered();
    expect(turns(health, 6, FINE).at(-1)).toBe("end");
  });
});

describe("what a process is doing", () => {
  it("is found for a process that runs, and not for one that does not", () => {
    const own = readActivity(process.pid);
    expect(own).toMatchObject({ stopped: false, asleep: false });
    expect(own?.mainNs).toBeGreaterThan(0);
    expect(own?.allNs).toBeGreaterThan(own?.mainNs ?? 0);
    expect(readActivity(2 ** 30)).toBeNull();
  });

  it("is read from all its threads", () => {
    const proc = mkdtempSync(join(tmpdir(), "vgpu-proc-"));
    const thread = (tid: number, state: string, schedstat: string): void => {
      const folder = join(proc, "7", "task", String(tid));
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "stat"), `${tid} (a) R (b)) ${state} 1 7 7\n`);
      writeFileSync(join(folder, "schedstat"), `${schedstat}\n`);
    };
    thread(7, "S", "100 20 3");
    thread(8, "T", "1000 5 9");
    expect(readActivity(7, proc)).toEqual({
      ...{ stopped: false, asleep: true },
      ...{ mainNs: 100, allNs: 1125 },
    });
    thread(7, "T", "100 20 3");
    expect(readActivity(7, proc)).toMatchObject({ stopped: true, asleep: true });
    for (const state of ["R", "D", "t"]) {
      thread(8, state, "1000 5 9");
      expect(readActivity(7, proc)).toMatchObject({ stopped: false, asleep: false });
    }
    thread(8, "S", "nothing");
    expect(readActivity(7, proc)).toBeNull();
    rmSync(proc, { recursive: true });
  });
});

describe("the restart of a process", () => {
  it("comes at once, then later and later, then not at all", () => {
    const policy = new RestartPolicy({ max: 10, windowMs: 60_000 });
    const delays = Array.from({ length: 11 }, () => policy.next(1000));
    expect(delays).toEqual([0, 0, 0, 100, 200, 400, 800, 1600, 3200, 6400, null]);
    expect(policy.allows(1000)).toBe(false);
  });

  it("comes at once again when the earlier ones are long past", () => {
    const policy = new RestartPolicy({ max: 4, windowMs: 60_000 });
    for (let i = 0; i < 5; i++) policy.next(i * 1000);
    expect(policy.next(59_000)).toBeNull();
    expect(policy.allows(60_000)).toBe(true);
    expect(policy.next(64_000)).toBe(0);
  });
});
