// SPDX-License-Identifier: Apache-2.0
/** What work may share the GPU with another vGPU's tail, and what may be left there as one. */
import { beforeEach, expect, it } from "vitest";
import type { Lease } from "../../../src/instance/lease.js";
import { DEFAULT_SCHEDULING } from "../../../src/instance/limits.js";
import { type TurnHost, Turns } from "../../../src/instance/turns.js";

const MS = 1e6;
const LIMITS = { ...DEFAULT_SCHEDULING, batchNsMax: 5 * MS };

type Writable<T> = { -readonly [K in keyof T]: T[K] };

let lease: Writable<Lease>;
let host: Writable<TurnHost>;
let turns: Turns;
let looks: number[];
let left: number[];
let pumps: number;

beforeEach(() => {
  looks = [];
  left = [];
  pumps = 0;
  lease = {
    held: true,
    behind: false,
    aloneNs: 0,
    foreseenAloneNs: 0,
    tailNsMax: 1.6 * MS,
    request: () => {},
    release: () => {},
    leave: (tailNs) => {
      left.push(tailNs);
      return true;
    },
    look: (afterNs, callback) => {
      looks.push(afterNs);
      callback();
    },
    onRevoke: null,
  };
  host = {
    executor: null,
    inFlight: 1,
    waiting: false,
    making: false,
    expectedNs: 20 * MS,
    leftNs: 1 * MS,
    likelyLeftNs: 1 * MS,
    preparedNs: 0,
    left: () => {},
    nowNs: () => 3 * MS,
    pump: () => {
      pumps++;
    },
    prepare: () => {},
  };
  turns = new Turns(lease, host, LIMITS);
});

it.each([
  ["long work behind a tail", true, 10.1 * MS, false],
  ["work of a batch's length behind a tail", true, 10 * MS, true],
  ["work that is not encoded yet", true, 0, true],
  ["long work without one", false, 500 * MS, true],
])("%s: whether it may be submitted", (_what, behind, preparedNs, may) => {
  lease.behind = behind;
  host.preparedNs = preparedNs;
  expect(turns.held()).toBe(may);
  // It looks again soon, and is not told.
  expect({ looks, pumps }).toEqual(may ? { looks: [], pumps: 0 } : { looks: [0.1 * MS], pumps: 1 });
});

it.each([
  [32, true],
  [33, false],
])(
  "what takes %i ms in all is left before its end only if a 20th of it is no more than a tail",
  (ms, leaves) => {
    host.expectedNs = ms * MS;
    turns.submittedAll(true);
    expect(left).toEqual(leaves ? [1 * MS] : []);
  },
);

it.each([
  // Batches of 5 ms, 10 ms left of the turn.
  ["all of it", 0, false, 5],
  ["what is in flight leaves, in one", 4, false, 6],
  ["what is in flight leaves, in even parts", 3, false, 3.5],
  ["what another one's tail of 2.5 ms leaves", 0, true, 3.75],
  ["less than is worth a batch", 9.96, false, 0],
  ["nothing, for it is late", 12, false, 0],
])("gives a batch a part of the turn: %s", (_what, inFlightMs, behind, batchMs) => {
  lease.deadlineNs = 13 * MS;
  lease.behind = behind;
  lease.foreseenAloneNs = 5.5 * MS;
  host.likelyLeftNs = inFlightMs * MS;
  expect(turns.batchNs).toBe(batchMs * MS);
  lease.deadlineNs = null;
  expect(turns.batchNs).toBe(5 * MS);
});

it.each([
  ["nothing more fits and nothing is in flight", true, 0, 1],
  ["something is in flight", true, 1, 0],
  ["more would fit", false, 0, 0],
])("is over early if %s", (_what, full, inFlight, times) => {
  let finished = 0;
  lease.finish = () => finished++;
  lease.deadlineNs = 4 * MS;
  host.inFlight = inFlight;
  host.waiting = true;
  turns.submittedAll(full);
  expect(finished).toBe(times);
});

it("counts its work from when it was told that it is alone", () => {
  lease.foreseenAloneNs = 2 * MS;
  lease.aloneNs = 2.2 * MS;
  expect(turns.likelyAloneNs).toBe(2.2 * MS);
  lease.aloneNs = 1.5 * MS;
  expect(turns.likelyAloneNs).toBe(1.5 * MS);
});

it("counts it from the foreseen end before that, or from what can't have been told yet", () => {
  lease.behind = true;
  lease.foreseenAloneNs = 2.9 * MS;
  expect(turns.likelyAloneNs).toBe(2.9 * MS);
  lease.foreseenAloneNs = 1 * MS;
  expect(turns.likelyAloneNs).toBe(2.5 * MS);
});
