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
  // Many deaths in a minute are part of the test, and so is what holds restarts back.
  const extraArgs = ["--answer", "2", "--restarts", "1000"];
  broker = await startBroker({ vgpus: ["a", "b"], logPath, extraArgs });
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

  it("that does not answer is ended and replaced", async () => {
    const program = survivor("b", 2, 3, 50);
    await program.line(/^round 2$/);
    await kill("b", "SIGSTOP");
    await program.line(/^context 2 works/);
    expect(await program.exit).toEqual({ code: 0, signal: null });
    expect(await broker.statusOf("b")).toMatchObject({ restarts: 1, takeovers: 1 });
    expect(readFileSync(logPath, "utf8")).toMatch(/is ended: it has not answered for 2 s/);
  });

  it("that dies again and again costs its neighbour nothing but time", async () => {
    const launches = 200;
    const worker = ["worker", String(launches), "4", "4000"] as const;
    const env = guestEnvironment(broker.socketOf("b"));
    const neighbour = new Watched(testProgram(worker[0]), worker.slice(1), env);
    const victim = survivor("a", 1000, 1, 50);
    programs.push(neighbour);
    const before = { a: await broker.statusOf("a"), b: await broker.statusOf("b") };
    await neighbour.line(/^round 1$/);
    const random = randomFrom(SEED);
    let kills = 0;
    let over = false;
    void neighbour.exit.then(() => {
      over = true;
    });
    while (!over) {
      await new Promise((resolve) => setTimeout(resolve, random() * 400));
      const { pid } = await broker.statusOf("a");
      if (over || pid === null) continue;
      process.kill(pid, "SIGKILL");
      kills++;
    }
    // The worker checks each word of each round.
    expect(await neighbour.exit).toEqual({ code: 0, signal: null });
    expect(neighbour.lines.at(-1)).toBe("done");
    expect(neighbour.lines.filter((line) => line.startsWith("round"))).toHaveLength(launches);
    expect(kills).toBeGreaterThan(3);
    const after = await eventually(
      () => broker.statusOf("a"),
      (status) => status.state === "running" && status.restarts >= before.a.restarts + kills,
    );
    expect(after.restarts).toBe(before.a.restarts + kills);
    expect((await broker.statusOf("b")).restarts).toBe(before.b.restarts);
    // And the victim computes again, in another context.
    const contexts = victim.lines.filter((line) => line.startsWith("context")).length;
    await kill("a", "SIGKILL");
    await eventually(
      () => Promise.resolve(victim.lines.filter((line) => line.startsWith("context")).length),
      (count) => count > contexts,
    );
    expect(victim.child.exitCode).toBeNull();
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
