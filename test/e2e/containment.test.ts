// SPDX-License-Identifier: Apache-2.0
/**
 * One guest does its worst, in real processes on the real GPU; its neighbour computes, and every one
 * of its results is right. Counts and order only: machines that run tests are slow now and then.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { eventually, guestEnvironment, testProgram, Watched } from "../support/e2e.js";

let broker: Broker | null = null;
const programs: Watched[] = [];

async function start(
  args: readonly string[],
  env: Record<string, string> = {},
  watchdog = "1",
): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-containment-"));
  broker = await startBroker({
    vgpus: [`a,memory=64M,watchdog=${watchdog}`, "b"],
    logPath: join(folder, "vgpud.log"),
    extraArgs: args,
    env: { VGPU_CHECK: "1", ...env },
  });
  return broker;
}

afterEach(async () => {
  for (const program of programs.splice(0)) program.kill();
  await broker?.stop();
  broker = null;
});

function run(vgpu: string, program: string, ...args: string[]): Watched {
  if (broker === null) throw new Error("no vgpud runs");
  const environment = guestEnvironment(broker.socketOf(vgpu));
  const started = new Watched(testProgram(program), args, environment);
  programs.push(started);
  return started;
}

/** The neighbour has done all its rounds, each of which it checks. */
async function expectRight(neighbour: Watched, rounds: number, beside: string): Promise<void> {
  expect(await neighbour.exit).toEqual({ code: 0, signal: null });
  process.stderr.write(`a neighbour of ${beside}: ${neighbour.pauses(2)}\n`);
  expect(neighbour.lines).toEqual([
    "ready",
    ...Array.from({ length: rounds }, (_, index) => `round ${index + 1}`),
    "done",
  ]);
}

const isZero =
  (name: string) =>
  ([key, value]: readonly [string, unknown]): boolean =>
    key === name && value === 0;

describe("a guest with a kernel that never ends", () => {
  it("loses its context to the watchdog; its neighbour and its next program go on", async () => {
    // Its neighbour waits for as long, for no GPU takes a kernel back before: it prints for how long.
    const { statusOf } = await start([], {}, "0.5");
    const neighbour = run("b", "worker", "40", "1", "50");
    await neighbour.line(/^round 2$/);
    const hung = run("a", "hang");
    await hung.line(/^launched$/);
    expect((await hung.exit).code).toBe(4);
    expect(hung.stderr).toMatch(/TIMEOUT|DEVICE_LOST/);
    expect(await run("a", "worker", "3", "1", "1").exit).toEqual({ code: 0, signal: null });
    await expectRight(neighbour, 40, "a kernel that never ends");
    expect((await statusOf("b")).restarts).toBe(0);
    const { schedule } = (await statusOf("a")) as unknown as {
      schedule: { exits: Record<string, number>; last_abort: string | null };
    };
    // Either the instance noticed it, or the broker did and replaced the instance.
    const noticed = (schedule.exits.watchdog ?? 0) > 0 || schedule.last_abort !== null;
    expect(noticed).toBe(true);
  });
});

describe("a guest whose kernel crashes the compiler", () => {
  it("loses its instance, which is replaced; its neighbour goes on", async () => {
    const faults = { VGPU_FAULTS: "a/crash-at-pipeline=1", VGPU_FAULTY_OVER: "dawn" };
    const { statusOf } = await start(["--executor", "faulty"], faults);
    const neighbour = run("b", "worker", "40", "1", "50");
    await neighbour.line(/^round 2$/);
    const victim = run("a", "worker", "5", "1", "1");
    expect((await victim.exit).code).toBe(4);
    const after = await eventually(
      () => statusOf("a"),
      (status) => status.restarts === 1 && status.state === "running",
    );
    expect(after.restarts).toBe(1);
    // What does not compile works, in a new context.
    expect(await run("a", "exhaust", "1").exit).toEqual({ code: 0, signal: null });
    await expectRight(neighbour, 40, "a compiler that crashes");
    expect((await statusOf("b")).restarts).toBe(0);
  });
});

describe("a guest that takes all memory it can get", () => {
  it("gets its limit and no more, again and again; its neighbour goes on", async () => {
    const { statusOf } = await start([]);
    const neighbour = run("b", "worker", "40", "8", "5");
    await neighbour.line(/^round 2$/);
    const greedy = run("a", "exhaust", "5");
    expect(await greedy.exit).toEqual({ code: 0, signal: null });
    const amounts = greedy.lines.map((line) => Number(/: (\d+) MiB$/.exec(line)?.[1] ?? 0));
    // Segments are not filled to the last chunk, but always alike: the program checks that.
    expect(amounts[0]).toBeGreaterThan(48);
    expect(amounts[0]).toBeLessThanOrEqual(64);
    expect(greedy.lines.length).toBe(6);
    await expectRight(neighbour, 40, "one that takes all memory");
    const after = await eventually(
      () => statusOf("a"),
      ({ device }) => Object.entries(device?.memory ?? {}).some(isZero("reserved_bytes")),
    );
    expect(after.restarts).toBe(0);
    expect((await statusOf("b")).restarts).toBe(0);
  });
});
