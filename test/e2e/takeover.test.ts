// SPDX-License-Identifier: Apache-2.0
/**
 * Real processes: an instance is killed under a program that stays connected. The program's context
 * is lost, and its next one, over the same connection, works.
 */
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { eventually, guestEnvironment, testProgram, Watched } from "../support/e2e.js";
import { type RealBroker, startRealBroker } from "../support/real-broker.js";

/** Named in a failure's output by the log of kills; another one with SEED=n. */
const SEED = Number(process.env.SEED ?? 1);

function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

let broker: Broker;
let logPath = "";
const programs: Watched[] = [];

function survivor(
  vgpu: string,
  contexts: number,
  rounds: number,
  inner: number,
  how = "",
): Watched {
  const args = [...[contexts, rounds, inner].map(String), how];
  const env = guestEnvironment(broker.socketOf(vgpu));
  const started = new Watched(testProgram("survivor"), args, env);
  programs.push(started);
  return started;
}

async function kill(vgpu: string, signal: NodeJS.Signals): Promise<bigint> {
  const { pid } = await broker.statusOf(vgpu);
  expect(pid).not.toBeNull();
  const now = process.hrtime.bigint();
  process.kill(pid ?? 0, signal);
  return now;
}

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-takeover-"));
  logPath = join(folder, "vgpud.log");
  broker = await startBroker({ vgpus: ["a", "b"], logPath });
});

afterAll(async () => {
  for (const program of programs) program.kill();
  await broker.stop();
});

describe("an instance under a connected program", () => {
  it("that is killed is replaced: the next context works on the same connection", async () => {
    const program = survivor("a", 4, 3, 50);
    const times: number[] = [];
    for (let context = 1; context < 4; context++) {
      await program.line(new RegExp(`^context ${context} works`));
      const killed = await kill("a", "SIGKILL");
      const line = await program.line(new RegExp(`^context ${context + 1} works`));
      times.push(Number(BigInt(/at (\d+)/.exec(line)?.[1] ?? 0) - killed) / 1e6);
    }
    expect(await program.exit).toEqual({ code: 0, signal: null });
    process.stderr.write(`kill to working context: ${times.map((ms) => ms.toFixed(0))} ms\n`);
    for (const lost of program.lines.filter((line) => line.startsWith("lost")))
      expect(lost).toMatch(/: DEVICE_LOST, again: DEVICE_LOST$/);
    expect(await broker.statusOf("a")).toMatchObject({ restarts: 3, takeovers: 3 });
  });

  it.each(["SIGTERM", "SIGABRT"] as const)("that ends by %s is replaced too", async (signal) => {
    const { takeovers } = await broker.statusOf("a");
    const program = survivor("a", 2, 3, 50);
    await program.line(/^round 2$/);
    await kill("a", signal);
    await program.line(/^context 2 works/);
    expect(await program.exit).toEqual({ code: 0, signal: null });
    expect((await broker.statusOf("a")).takeovers).toBe(Number(takeovers) + 1);
  });

  it("that is stopped is ended and replaced", async () => {
    const program = survivor("b", 2, 3, 50);
    await program.line(/^round 2$/);
    const stopped = await kill("b", "SIGSTOP");
    const line = await program.line(/^context 2 works/);
    const ns = BigInt(/at (\d+)/.exec(line)?.[1] ?? 0) - stopped;
    process.stderr.write(`stop to working context: ${(Number(ns) / 1e6).toFixed(0)} ms\n`);
    expect(await program.exit).toEqual({ code: 0, signal: null });
    expect(await broker.statusOf("b")).toMatchObject({ restarts: 1, takeovers: 1 });
    expect(readFileSync(logPath, "utf8")).toMatch(/is ended: it is stopped/);
  });

  it("that an operator replaces comes to an end first, and is not blamed", async () => {
    const { restarts } = await broker.statusOf("a");
    const program = survivor("a", 2, 3, 50);
    await program.line(/^round 2$/);
    const { pid } = await broker.statusOf("a");
    const { stderr } = await broker.control("restart", "a");
    expect(stderr).toContain('vGPU "a" stopped between two batches');
    await program.line(/^context 2 works/);
    expect(program.lines.find((line) => line.startsWith("lost 1"))).toMatch(/: DEVICE_LOST/);
    expect(await program.exit).toEqual({ code: 0, signal: null });
    const after = await broker.statusOf("a");
    expect(after).toMatchObject({ restarts: restarts + 1, state: "running" });
    expect(after.pid).not.toBe(pid);
    const { schedule } = after as unknown as { schedule: { exits: Record<string, number> } };
    expect(schedule.exits.save).toBe(1);
    // Unasked, with nobody connected, and again: it is no fault that counts.
    for (let again = 0; again < 3; again++) await broker.control("restart", "a");
    const log = readFileSync(logPath, "utf8");
    expect(log.match(/"the instance is replaced"/g)).toHaveLength(4);
    expect(log).not.toMatch(/"id":"a".*is given up/);
    await expect(broker.control("restart", "z")).rejects.toThrow(/there is no vGPU \\?"z/);
  });

  it("that loops without an end is ended and replaced; one that compiles long is not", async () => {
    const crashAt = ["completed:3:spin"];
    const real = await startRealBroker(["c"], { executor: "dawn", crashAt, answerMs: 10_000 });
    const args = ["2", "3", "50"];
    const program = new Watched(
      testProgram("survivor"),
      args,
      guestEnvironment(real.socketOf("c")),
    );
    programs.push(program);
    try {
      await program.line(/^context 2 works/);
      expect(await program.exit).toEqual({ code: 0, signal: null });
      process.stderr.write(`${real.log.find((line) => LOOPED.test(line))}\n`);
      expect(real.log.join("\n")).toMatch(LOOPED);
      expect(instancesOf(real, "c")).toHaveLength(2);
      // As much text as a module may have keeps the thread that answers for a second.
      const long = new Watched(testProgram("bigmodule"), ["500"], {
        ...guestEnvironment(real.socketOf("c")),
      });
      programs.push(long);
      expect(await long.exit).toEqual({ code: 0, signal: null });
      expect(instancesOf(real, "c")).toHaveLength(2);
    } finally {
      program.kill();
      await real.stop();
    }
  });

  it("that has a kernel without an end is replaced, and the context has failed of that", async () => {
    const { restarts } = await broker.statusOf("b");
    const program = survivor("b", 2, 3, 50, "hang");
    expect(await program.exit).toEqual({ code: 0, signal: null });
    const ns = (line: string): number => Number(/at (\d+)/.exec(line)?.[1]) / 1e6;
    const lost = await program.line(/^lost 1/);
    const works = await program.line(/^context 2 works/);
    expect(lost).toMatch(/: TIMEOUT, again: TIMEOUT$/);
    process.stderr.write(`error to working context: ${(ns(works) - ns(lost)).toFixed(0)} ms\n`);
    expect((await broker.statusOf("b")).restarts).toBe(restarts + 1);
  });
});

/** On a machine where it gets little of a core, its entry is over before it has computed enough. */
const LOOPED = /is ended: it has computed for \d\.\d s|no exit at the deadline/;

/** Process ids of a vGPU's instances so far, as the broker logged them. */
function instancesOf({ log }: RealBroker, vgpu: string): number[] {
  return log
    .map((line) => JSON.parse(line) as { msg: string; id?: string; pid: number })
    .filter(({ msg, id }) => msg === "the vGPU is ready" && id === vgpu)
    .map(({ pid }) => pid);
}

describe("an instance that dies again and again", () => {
  it("costs its neighbour nothing but time", { timeout: 120_000 }, async ({ onTestFailed }) => {
    const kills = 8;
    // Restarts are not held back here.
    const real = await startRealBroker(["a", "b"], { executor: "dawn" });
    onTestFailed(() => {
      const said = programs.map(({ child, lines, stderr }) => ({
        program: child.spawnargs.slice(1).join(" "),
        ended: child.exitCode ?? child.signalCode,
        lines: lines.length,
        last: lines.slice(-8),
        stderr,
      }));
      const log = real.log.slice(-60).join("");
      process.stderr.write(`${JSON.stringify(said, null, 1)}\n${log}\n`);
    });
    const start = (vgpu: string, program: string, ...args: string[]): Watched => {
      const env = guestEnvironment(real.socketOf(vgpu));
      const started = new Watched(testProgram(program), args, env);
      programs.push(started);
      return started;
    };
    try {
      const neighbour = start("b", "worker", "1000000", "1", "500");
      const victim = start("a", "survivor", "1000", "1", "50");
      await Promise.all([neighbour, victim].map((program) => program.line(/^round 1$/)));
      const random = randomFrom(SEED);
      for (let i = 0; i < kills; i++) {
        await new Promise((resolve) => setTimeout(resolve, random() * 400));
        process.kill(instancesOf(real, "a").at(-1) ?? 0, "SIGKILL");
        await eventually(
          () => Promise.resolve(instancesOf(real, "a").length),
          (count) => count === i + 2,
        );
      }
      const rounds = neighbour.lines.length;
      const said = victim.lines.length;
      // The victim computes again, in another context.
      await victim.count(said + 3);
      // The worker checks each word of each round, and ends at once when one is wrong.
      await neighbour.line(new RegExp(`^round ${Math.max(200, rounds)}$`));
      process.stderr.write(`a neighbour of ${kills} kills: ${neighbour.pauses(2)}\n`);
      expect([neighbour.child.exitCode, victim.child.exitCode]).toEqual([null, null]);
      expect(instancesOf(real, "b")).toHaveLength(1);
    } finally {
      for (const program of programs) program.kill();
      await real.stop();
    }
  });
});
