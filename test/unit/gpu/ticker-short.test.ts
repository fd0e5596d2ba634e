// SPDX-License-Identifier: Apache-2.0
/** Short work is awaited in the microtask queue, for a bounded time and only when it is asked for. */
import { describe, expect, it } from "vitest";
import { Ticker } from "../../../src/gpu/dawn/ticker.js";

/** Dawn as the ticker sees it: asks for a tick on every tick until `wanted` have come. */
function ask(ticker: Ticker, wanted: number, done: () => void): void {
  let ticks = 0;
  const tick = (): void => {
    ticks++;
    if (ticks < wanted) setImmediate(tick);
    else done();
  };
  ticker.call(() => setImmediate(tick));
}

function make(nowNs: () => number): Ticker {
  return new Ticker({ nowNs, timer: { arm: () => {}, disarm: () => {} } });
}

describe("ticker, short work", () => {
  it("ticks without a turn of the event loop", async () => {
    const ticker = make(() => 1000);
    const order: string[] = [];
    const plain = new Promise<void>((resolve) => {
      setImmediate(() => {
        order.push("turn");
        resolve();
      });
    });
    ticker.activity(true);
    ask(ticker, 20, () => order.push("done"));
    await plain;
    ticker.restore();
    expect(order).toEqual(["done", "turn"]);
  });

  it("goes back to turns of the event loop after its time, and at once for other work", async () => {
    for (const short of [true, false]) {
      let now = 1000;
      const ticker = make(() => {
        now += 10_000;
        return now;
      });
      const order: string[] = [];
      const plain = new Promise<void>((resolve) => {
        setImmediate(() => {
          order.push("turn");
          resolve();
        });
      });
      ticker.activity(short);
      const finished = new Promise<void>((resolve) => {
        ask(ticker, 20, () => {
          order.push("done");
          resolve();
        });
      });
      await plain;
      await finished;
      ticker.restore();
      expect(order).toEqual(["turn", "done"]);
    }
  });
});
