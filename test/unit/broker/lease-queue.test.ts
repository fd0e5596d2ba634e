// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type LeaseAction, LeaseQueue } from "../../../src/broker/lease-queue.js";

const TIMES = { sliceNs: 100, graceNs: 1000 };

describe("lease queue", () => {
  it("grants a lone instance at once, and for as long as nobody else asks", () => {
    const queue = new LeaseQueue(TIMES);
    expect(queue.request("a", 0)).toEqual([{ kind: "grant", id: "a" }]);
    expect(queue.nextNs()).toBeNull();
    expect(queue.advance(1e12)).toEqual([]);
  });

  it("revokes one slice after the grant when another waits, at once if that is past", () => {
    const queue = new LeaseQueue(TIMES);
    queue.request("a", 0);
    expect(queue.request("b", 40)).toEqual([]);
    expect(queue.nextNs()).toBe(100);
    expect(queue.advance(99)).toEqual([]);
    expect(queue.advance(100)).toEqual([{ kind: "revoke", id: "a" }]);
    expect(queue.release("a", 130)).toEqual([{ kind: "grant", id: "b" }]);
    expect(queue.request("a", 500)).toEqual([{ kind: "revoke", id: "b" }]);
  });

  it("lets waiting instances have their turns in the order in which they asked", () => {
    const queue = new LeaseQueue(TIMES);
    queue.request("a", 0);
    queue.request("b", 1);
    queue.request("c", 2);
    queue.request("b", 3);
    expect(queue.waiting).toEqual(["b", "c"]);
    queue.advance(100);
    queue.release("a", 101);
    queue.request("a", 101);
    expect(queue.holder).toBe("b");
    queue.advance(201);
    expect(queue.release("b", 202)).toEqual([{ kind: "grant", id: "c" }]);
  });

  it("says once that a holder is stuck when it does not release within the grace", () => {
    const queue = new LeaseQueue(TIMES);
    queue.request("a", 0);
    queue.request("b", 0);
    queue.advance(100);
    expect(queue.nextNs()).toBe(1100);
    expect(queue.advance(1100)).toEqual([{ kind: "expire", id: "a" }]);
    expect(queue.advance(5000)).toEqual([]);
    expect(queue.remove("a", 5001)).toEqual([{ kind: "grant", id: "b" }]);
  });

  it("passes the lease on when its holder, or somebody who waits, goes away", () => {
    const queue = new LeaseQueue(TIMES);
    queue.request("a", 0);
    queue.request("b", 0);
    queue.request("c", 0);
    expect(queue.remove("b", 1)).toEqual([]);
    expect(queue.remove("a", 2)).toEqual([{ kind: "grant", id: "c" }]);
    expect(queue.remove("c", 3)).toEqual([]);
    expect(queue.holder).toBeNull();
  });

  it("never has two holders, and nobody who asks waits for ever", () => {
    const step = fc.record({
      id: fc.constantFrom("a", "b", "c", "d"),
      what: fc.constantFrom("request", "release", "remove", "time"),
      ns: fc.integer({ min: 0, max: 300 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new LeaseQueue(TIMES);
        const granted: string[] = [];
        let nowNs = 0;
        let holder: string | null = null;
        for (const { id, what, ns } of steps) {
          nowNs += ns;
          if (what !== "time" && what !== "request" && holder === id) {
            holder = null;
          }
          const actions: LeaseAction[] =
            what === "request"
              ? queue.request(id, nowNs)
              : what === "release"
                ? queue.release(id, nowNs)
                : what === "remove"
                  ? queue.remove(id, nowNs)
                  : queue.advance(nowNs);
          for (const action of actions) {
            if (action.kind === "grant") {
              expect(holder === null || holder === action.id).toBe(true);
              holder = action.id;
              granted.push(action.id);
            }
          }
        }
        // Whoever still waits gets its turn once the holders do as they are told.
        const waiting = [...queue.waiting];
        for (let turn = 0; turn < 10 && queue.waiting.length > 0; turn++) {
          nowNs += 2000;
          queue.advance(nowNs);
          const actions: LeaseAction[] = queue.release(queue.holder ?? "", nowNs);
          granted.push(...actions.filter((a) => a.kind === "grant").map((a) => a.id));
        }
        expect(queue.waiting).toEqual([]);
        expect(granted).toEqual(expect.arrayContaining(waiting));
      }),
      { numRuns: 500 },
    );
  });
});
