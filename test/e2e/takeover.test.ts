// SPDX-License-Identifier: Apache-2.0
/**
 * Real processes: an instance is killed under a program that stays connected. The program's context
 * is lost, and its next one, over the same connection, works.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { guestEnvironment, testProgram, Watched } from "../support/e2e.js";

let broker: Broker;
const programs: Watched[] = [];

function survivor(vgpu: string, contexts: number, rounds: number, inner: number): Watched {
  const args = [contexts, rounds, inner].map(String);
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
  broker = await startBroker({ vgpus: ["a", "b"], logPath: join(folder, "vgpud.log") });
});

afterAll(async () => {
  for (const program of programs) program.kill();
  await broker.stop();
});

describe("an instance that is killed under a connected program", () => {
  it("is replaced: the context is lost, the next one works on the same connection", async () => {
    const program = survivor("a", 2, 3, 50);
    await program.line(/^round 3$/);
    const killed = await kill("a", "SIGKILL");
    await program.line(/^context 2 works/);
    expect(await program.exit).toEqual({ code: 0, signal: null });
    const works = BigInt(/at (\d+)/.exec(await program.line(/^context 2 works/))?.[1] ?? 0);
    process.stderr.write(`kill to working context: ${Number(works - killed) / 1e6} ms\n`);
    const lost = await program.line(/^lost 1/);
    expect(lost).toMatch(/: DEVICE_LOST, again: DEVICE_LOST$/);
    expect(await broker.statusOf("a")).toMatchObject({ restarts: 1, takeovers: 1 });
  });
});
