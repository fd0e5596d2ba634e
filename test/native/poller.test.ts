// SPDX-License-Identifier: Apache-2.0
//
// Poller and HrTimer: what they report, and that nothing a caller does wrong stops the event loop:
// descriptors closed while watched, callbacks that throw, unwatch or close, workers that end.

import { closeSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as native from "../../src/io/native.js";
import { addonPath, openDescriptors, runScript } from "./support/children.js";

const { readable, writable, hangup, edge } = native.PollEvents;

let poller: native.Poller;

beforeEach(() => {
  poller = native.createPoller();
});

afterEach(() => {
  poller.close();
});

/** Lets the event loop look at its descriptors some times. */
async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i += 1) await turn();
}

describe("Poller", () => {
  test("reports level-triggered until the descriptor is read", async () => {
    const fd = native.eventfd(1);
    let calls = 0;
    await new Promise<void>((resolve) => {
      poller.watch(fd, readable, (events) => {
        expect(events).toBe(readable);
        calls += 1;
        if (calls === 3) {
          native.eventfdRead(fd);
          resolve();
        }
      });
    });
    await turns();
    expect(calls).toBe(3);
    native.close(fd);
  });

  test("reports each signal once with edge, without a read", async () => {
    const fd = native.eventfd();
    let calls = 0;
    poller.watch(fd, readable | edge, () => {
      calls += 1;
    });
    native.signal(fd);
    await turns();
    expect(calls).toBe(1);
    native.signal(fd);
    await turns();
    expect(calls).toBe(2);
    native.close(fd);
  });

  test("reports writable, and hang-up without being asked", async () => {
    const [a, b] = native.socketpair();
    const seen: number[] = [];
    poller.watch(a, writable, (events) => {
      seen.push(events);
      poller.watch(a, readable, (later) => {
        seen.push(later);
        poller.unwatch(a);
      });
    });
    await turns();
    native.close(b);
    await turns();
    expect(seen).toEqual([writable, readable | hangup]);
    native.close(a);
  });

  test("watches many at once, each with its own callback", async () => {
    const count = 200;
    const seen: number[] = [];
    const fds = Array.from({ length: count }, () => native.eventfd(1));
    fds.forEach((fd, index) => {
      poller.watch(fd, readable, () => {
        native.eventfdRead(fd);
        seen.push(index);
      });
    });
    expect(poller.size).toBe(count);
    await turns(20);
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    for (const fd of fds) native.close(fd);
    expect(poller.size).toBe(0);
  });

  test("runs microtasks between callbacks", async () => {
    const fds = [native.eventfd(1), native.eventfd(1)];
    const order: string[] = [];
    for (const fd of fds) {
      poller.watch(fd, readable | edge, () => {
        order.push("callback");
        void Promise.resolve().then(() => order.push("microtask"));
      });
    }
    await turns();
    expect(order).toEqual(["callback", "microtask", "callback", "microtask"]);
    for (const fd of fds) native.close(fd);
  });

  test("a callback may unwatch another that is ready in the same round", async () => {
    const fds = [native.eventfd(1), native.eventfd(1)];
    const seen: number[] = [];
    for (const fd of fds) {
      poller.watch(fd, readable, () => {
        seen.push(fd);
        for (const each of fds) poller.unwatch(each);
      });
    }
    await turns();
    expect(seen).toHaveLength(1);
    for (const fd of fds) native.close(fd);
  });

  test("a callback may close the poller", async () => {
    const fds = [native.eventfd(1), native.eventfd(1)];
    let calls = 0;
    for (const fd of fds) {
      poller.watch(fd, readable, () => {
        calls += 1;
        poller.close();
      });
    }
    await turns();
    expect(calls).toBe(1);
    expect(() => poller.watch(fds[0] ?? -1, readable, () => {})).toThrow(Error);
    for (const fd of fds) native.close(fd);
  });

  test("close of the addon unwatches; the number can be watched anew", async () => {
    const old = native.eventfd(1);
    let oldCalls = 0;
    poller.watch(old, readable, () => {
      oldCalls += 1;
    });
    native.close(old);
    expect(poller.size).toBe(0);
    const fresh = native.eventfd(1);
    expect(fresh).toBe(old);
    const called = new Promise<void>((resolve) => {
      poller.watch(fresh, readable | edge, () => resolve());
    });
    await called;
    expect(oldCalls).toBe(0);
    native.close(fresh);
  });

  test("a descriptor closed elsewhere is silent, and its number can be watched anew", async () => {
    const old = native.eventfd();
    poller.watch(old, readable, () => expect.unreachable());
    closeSync(old);
    const fresh = native.eventfd(1);
    expect(fresh).toBe(old);
    await new Promise<void>((resolve) => {
      poller.watch(fresh, readable | edge, () => resolve());
    });
    native.close(fresh);
  });

  test("one closed elsewhere whose duplicate lives reports no more after unwatch", async () => {
    const old = native.eventfd();
    const copy = native.dup(old);
    const other = native.eventfd();
    let otherCalls = 0;
    poller.watch(old, readable, () => expect.unreachable());
    poller.watch(other, readable | edge, () => {
      otherCalls += 1;
    });
    closeSync(old);
    poller.unwatch(old);
    native.signal(copy);
    // Without a rebuilt set the loop would now wake for ever; so the poller's other watch must
    // still work, and the process must come to rest.
    await turns();
    // A loop that wakes for ever is never long at rest; one without a core may seem busy for once.
    for (let restMs = 0; restMs < 50; ) {
      const before = performance.eventLoopUtilization();
      await new Promise((resolve) => setTimeout(resolve, 100));
      restMs = performance.eventLoopUtilization(before).idle;
    }
    native.signal(other);
    await turns();
    expect(otherCalls).toBe(1);
    native.close(copy);
    native.close(other);
  });

  test("wrong arguments throw", () => {
    const fd = native.eventfd();
    expect(() => poller.watch(-1, readable, () => {})).toThrow(RangeError);
    expect(() => poller.watch(fd, 32, () => {})).toThrow(RangeError);
    expect(() => poller.watch(fd, readable, null as unknown as () => void)).toThrow(TypeError);
    expect(() => poller.watch(1e6, readable, () => {})).toThrowError(
      expect.objectContaining({ code: "EBADF" }),
    );
    const file = native.memfdCreate("x", 1);
    expect(() => poller.watch(file, readable, () => {})).toThrowError(
      expect.objectContaining({ code: "EPERM" }),
    );
    expect(poller.size).toBe(0);
    expect(() => poller.watch.call({} as native.Poller, fd, readable, () => {})).toThrow(TypeError);
    native.close(file);
    native.close(fd);
  });

  test("releases its descriptors when closed", async () => {
    await turns(); // until the pollers of the tests before are gone
    const before = openDescriptors();
    const another = native.createPoller();
    expect(openDescriptors()).toBe(before + 1);
    another.close();
    await turns();
    expect(openDescriptors()).toBe(before);
  });
});

describe("the event loop", () => {
  test("runs while something is watched, ends when nothing is, and with unref", async () => {
    const result = await runScript(`
      const poller = new native.Poller();
      const idle = new native.Poller();
      idle.watch(native.eventfd(0), 1, () => {});
      idle.unref();
      new native.HrTimer();
      const fd = native.eventfd(0);
      poller.watch(fd, 1, () => { poller.unwatch(fd); console.log("called"); });
      const timer = new native.HrTimer();
      timer.arm(20e6, () => { console.log("timer"); native.signal(fd); });`);
    expect(result).toMatchObject({ code: 0, stdout: "timer\ncalled\n" });
  });

  test("keeps a poller and a timer that nothing else refers to", async () => {
    const result = await runScript(
      `
      const fd = native.eventfd(0);
      (() => { new native.Poller().watch(fd, 17, function () { console.log("called"); this.unwatch(fd); }); })();
      (() => { new native.HrTimer().arm(30e6, () => { console.log("timer"); native.signal(fd); }); })();
      for (let i = 0; i < 5; i++) setTimeout(gc, 1);`,
      ["--expose-gc"],
    );
    expect(result).toMatchObject({ code: 0, stdout: "timer\ncalled\n" });
  });

  test("a callback that throws raises uncaughtException and the rest goes on", async () => {
    const result = await runScript(`
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      const poller = new native.Poller();
      const fds = [native.eventfd(1), native.eventfd(1)];
      for (const fd of fds) {
        poller.watch(fd, 1, () => {
          poller.unwatch(fd);
          console.log("callback");
          throw new Error("mine");
        });
      }
      const timer = new native.HrTimer();
      timer.arm(5e6, () => { throw new Error("timer"); });`);
    expect(result.stdout.trim().split("\n").sort()).toEqual([
      "callback",
      "callback",
      "uncaught mine",
      "uncaught mine",
      "uncaught timer",
    ]);
    expect(result.code).toBe(0);
  });

  test("without a handler, a callback that throws ends the process with its stack", async () => {
    const result = await runScript(`
      const poller = new native.Poller();
      poller.watch(native.eventfd(1), 1, () => { throw new Error("nobody catches"); });`);
    expect(result.code).toBe(1);
    expect(result.stderr).toContain("nobody catches");
  });
});

describe("HrTimer", () => {
  test("fires once, not before its time, and can be armed in its callback", async () => {
    const timer = native.createHrTimer();
    const startNs = native.nowNs();
    const spans: number[] = [];
    await new Promise<void>((resolve) => {
      const again = (): void => {
        spans.push(native.nowNs() - startNs);
        if (spans.length < 4) timer.arm(200_000, again);
        else resolve();
      };
      timer.arm(200_000, again);
    });
    expect(spans.map((span, index) => span >= 200_000 * (index + 1))).toEqual(Array(4).fill(true));
    expect(timer.armed).toBe(false);
    timer.close();
  });

  test("disarm and arming anew replace what was armed", async () => {
    const timer = native.createHrTimer();
    timer.arm(0, () => expect.unreachable());
    timer.disarm();
    await turns();
    timer.arm(1000, () => expect.unreachable());
    await new Promise<void>((resolve) => timer.arm(0, resolve));
    timer.close();
    expect(() => timer.arm(1, () => {})).toThrow(Error);
    expect(() => native.createHrTimer().arm(-1, () => {})).toThrow(RangeError);
  });
});

describe("a worker that ends", () => {
  const setup = `
    const native = require(${JSON.stringify(addonPath)});
    const { parentPort } = require("node:worker_threads");
    const poller = new native.Poller();
    const fd = native.eventfd(1);
    const memory = native.memfdCreate("worker", 65536, false);
    const mapping = new native.Mapping(memory, 0, 65536, false);
    globalThis.window = mapping.window(0, 65536);
    globalThis.words = new native.RingWords(new Uint8Array(window));
    const timer = new native.HrTimer();
    timer.arm(1e15, () => {});`;

  test.each([
    ["by itself", `timer.disarm(); poller.watch(fd, 17, () => poller.close());`, false],
    ["with watches left, by process.exit", `poller.watch(fd, 17, () => process.exit(0));`, false],
    ["by an error in a callback", `poller.watch(fd, 17, () => { throw new Error("x"); });`, false],
    ["terminated while idle", `poller.watch(fd, 17, () => parentPort.postMessage(1));`, true],
    [
      "terminated inside a callback",
      `poller.watch(fd, 17, () => { parentPort.postMessage(1); for (;;); });`,
      true,
    ],
    [
      "terminated while callbacks storm",
      `poller.watch(fd, 1, () => parentPort.postMessage(1));`,
      true,
    ],
  ])("%s leaves this thread and its memory in order", async (_how, body, terminate) => {
    for (let round = 0; round < 5; round += 1) {
      const worker = new Worker(setup + body, { eval: true });
      worker.on("error", () => {});
      const exited = new Promise((resolve) => worker.on("exit", resolve));
      if (terminate) {
        await new Promise((resolve) => worker.once("message", resolve));
        await worker.terminate();
      }
      await exited;
    }
    const fd = native.eventfd(1);
    await new Promise<void>((resolve) => poller.watch(fd, readable | edge, () => resolve()));
    native.close(fd);
  });
});
