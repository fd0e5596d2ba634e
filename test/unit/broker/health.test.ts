// SPDX-License-Identifier: Apache-2.0
// When a process is taken for one that does not do its work, and when another one is started.
import { describe, expect, it } from "vitest";
import { Health, type Vitals } from "../../../src/broker/health.js";
import { RestartPolicy } from "../../../src/broker/restart-policy.js";

const FINE: Vitals = { running: true, greeted: true, message: null };

function turns(health: Health, count: number, vitals: Vitals): string[] {
  return Array.from({ length: count }, () => health.turn(vitals).kind);
}

describe("the health of a process", () => {
  it("is asked for once, and again when it has answered", () => {
    const health = new Health({ answerMs: 2000 });
    expect(turns(health, 4, FINE)).toEqual(["ping", "wait", "wait", "wait"]);
    health.answered();
    expect(turns(health, 2, FINE)).toEqual(["ping", "wait"]);
  });

  it("is bad when a ping is not answered in time", () => {
    const health = new Health({ answerMs: 2000 });
    expect(turns(health, 5, FINE)).toEqual(["ping", "wait", "wait", "wait", "end"]);
    expect(health.turn(FINE)).toEqual({ kind: "end", why: "it has not answered for 2 s" });
    health.reset();
    expect(health.turn(FINE).kind).toBe("ping");
  });

  it("is bad when one message takes for ever, not when there are many", () => {
    const health = new Health({ answerMs: 60_000 });
    for (let message = 0; message < 100; message++)
      expect(health.turn({ ...FINE, message }).kind).not.toBe("end");
    health.answered();
    const stuck = turns(health, 22, { ...FINE, message: 7 });
    expect(stuck.slice(0, 21)).not.toContain("end");
    expect(stuck[21]).toBe("end");
  });

  it("is not judged by answers before it has greeted, but by how long that takes", () => {
    const health = new Health({ answerMs: 2000 });
    const starting = { ...FINE, greeted: false };
    expect(new Set(turns(health, 120, starting))).toEqual(new Set(["wait"]));
    expect(health.turn(starting).kind).toBe("end");
  });

  it("is not looked at where there is no process, or where that is switched off", () => {
    const none = { ...FINE, running: false };
    expect(new Set(turns(new Health({ answerMs: 2000 }), 99, none))).toEqual(new Set(["wait"]));
    expect(new Set(turns(new Health({ answerMs: 0 }), 99, FINE))).toEqual(new Set(["wait"]));
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
