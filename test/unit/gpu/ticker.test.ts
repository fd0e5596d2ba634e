// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it } from "vitest";
import { Ticker } from "../../../src/gpu/dawn/ticker.js";

const MS = 1e6;
let now = 0;
let armed: { delayNs: number; callback: () => void } | null = null;
let ticker: Ticker;

beforeEach(() => {
  now = 100 * MS;
  armed = null;
  ticker = new Ticker({
    nowNs: () => now,
    timer: {
      arm: (delayNs, callback) => {
        armed = { delayNs, callback };
      },
      disarm: () => {
        armed = null;
      },
    },
  });
  ticker.activity();
});

afterEach(() => ticker.restore());

/** Dawn asks for a tick, and for another one in each tick. */
function pending(): void {
  const tick = (): void => {
    setImmediate(tick);
  };
  ticker.call(() => setImmediate(tick));
}

/** Lets the armed sleep pass; how long it was. */
function sleep(): number {
  if (armed === null) throw new Error("no sleep is armed");
  const { delayNs, callback } = armed;
  armed = null;
  now += delayNs;
  callback();
  return delayNs;
}

/** Looks until that time. */
function looksUntil(ns: number): number {
  let looks = 0;
  for (; now < ns; looks++) sleep();
  return looks;
}

it("sleeps for a sixteenth of what was waited, and at most four milliseconds", () => {
  now += 8 * MS;
  pending();
  expect(sleep()).toBe(0.5 * MS);
  now += 80 * MS;
  sleep();
  expect(sleep()).toBe(4 * MS);
});

it("leaves work that is expected to take long alone, but for an early end", () => {
  const startNs = now;
  ticker.expect(startNs + 40 * MS);
  pending();
  const sleeps: number[] = [];
  while (now < startNs + 40 * MS) sleeps.push(sleep());
  expect(sleeps[0]).toBe(1 * MS);
  expect(sleeps.length).toBeLessThan(28);
  expect(now).toBe(startNs + 40 * MS);
  // It overruns: its end is not awaited by spinning, and found within a hundredth.
  expect(sleep()).toBeLessThan(0.4 * MS);
  expect(sleep()).toBeGreaterThan(0.3 * MS);
});

it("does not spin for a millisecond's work where the GPU is cores of this machine", () => {
  const startNs = now;
  ticker.expect(startNs + 2 * MS);
  pending();
  expect(armed).toBeNull();
  ticker.restore();
  now = startNs;
  ticker = new Ticker({
    nowNs: () => now,
    timer: {
      arm: (delayNs, callback) => (armed = { delayNs, callback }),
      disarm: () => (armed = null),
    },
  });
  ticker.software = true;
  ticker.activity();
  ticker.expect(startNs + 2 * MS);
  pending();
  const sleeps: number[] = [];
  while (now < startNs + 2 * MS) sleeps.push(sleep());
  expect(sleeps[0]).toBe(0.25 * MS);
  expect(sleeps.length).toBeLessThan(20);
  expect(now).toBe(startNs + 2 * MS);
});

// Else what was measured would be what had been expected, and a wrong cost would never be mended.
it.each([5, 6, 20, 40])("finds an end that comes somewhat before the expected %i ms", (ms) => {
  const startNs = now;
  ticker.expect(startNs + ms * MS);
  pending();
  let longestNs = 0;
  while (now < startNs + ms * MS) {
    const sleptNs = sleep();
    if (now > startNs + ms * MS * 0.89) longestNs = Math.max(longestNs, sleptNs);
  }
  expect(longestNs).toBeLessThanOrEqual((ms * MS) / 60);
});

it("looks on every turn around the expected end where another process waits for it", async () => {
  const startNs = now;
  ticker.expect(startNs + 4.8 * MS, "process");
  pending();
  while (armed !== null) sleep();
  // A 48th before; it says so by no sleep.
  expect(now).toBeGreaterThanOrEqual(startNs + 4.69 * MS);
  expect(now).toBeLessThanOrEqual(startNs + 4.75 * MS);
  // A 48th after, it sleeps again.
  now = startNs + 4.95 * MS;
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(armed).not.toBeNull();
});

it("looks a few times for the end of a tail, and then at intervals of a 32nd", () => {
  const startNs = now;
  ticker.expect(startNs + 8 * MS);
  pending();
  while (now < startNs + 6.4 * MS) sleep();
  ticker.expect(startNs + 8 * MS, "tail");
  const looks = looksUntil(startNs + 8 * MS);
  expect(looks).toBeGreaterThan(1);
  expect(looks).toBeLessThan(6);
  expect(now).toBe(startNs + 8 * MS);
  expect(sleep()).toBeCloseTo(0.25 * MS, -3);
  // However long the work is.
  now = startNs + 100 * MS;
  sleep();
  expect(sleep()).toBe(0.3 * MS);
});

it("looks on every turn for work of a millisecond", () => {
  ticker.expect(now + 1 * MS);
  pending();
  expect(armed).toBeNull();
});

it("looks a few times for it where a look takes a core from the GPU", () => {
  const startNs = now;
  ticker.frugal = true;
  ticker.expect(startNs + 1 * MS);
  pending();
  const looks = looksUntil(startNs + 1 * MS);
  expect(looks).toBeGreaterThan(1);
  expect(looks).toBeLessThan(16);
});

it("looks seldom while nobody waits for the end and the GPU has more to do", () => {
  const startNs = now;
  ticker.expect(startNs + 60 * MS, "none");
  pending();
  const looks = looksUntil(startNs + 60 * MS);
  expect(looks).toBeLessThan(10);
  expect(now).toBe(startNs + 60 * MS);
});

it("ends a sleep when the work is expected to end, and spins from then on", () => {
  now += 2 * MS;
  const expectedNs = now + 0.1 * MS;
  ticker.expect(expectedNs);
  pending();
  sleep();
  expect(now).toBe(expectedNs);
  // From here it spins: no sleep is armed.
  expect(armed).toBeNull();
});

it("shortens a sleep that has begun when an earlier end is told", () => {
  now += 16 * MS;
  pending();
  expect(armed?.delayNs).toBe(1 * MS);
  ticker.expect(now + 0.1 * MS);
  expect(sleep()).toBeCloseTo(0.1 * MS);
});

it("is not kept awake by an expectation that was wrong", () => {
  now += 2 * MS;
  ticker.expect(now);
  now += 4.8 * MS;
  pending();
  expect(sleep()).toBe(0.3 * MS);
});

it("stays awake for many short pieces of work", () => {
  ticker.manyShort();
  now += 19 * MS;
  pending();
  expect(armed).toBeNull();
});

it("sleeps again once the time for many short pieces is over", () => {
  ticker.manyShort();
  now += 21 * MS;
  pending();
  expect(sleep()).toBe(1.3125 * MS);
});
