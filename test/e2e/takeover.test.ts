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
import { guestEnvironment, testProgram, Watched } from "../support/e2e.js";

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
  broker = await startBroker({ vgpus: ["a", "b"], logPath, extraArgs: ["--answer", "2"] });
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
