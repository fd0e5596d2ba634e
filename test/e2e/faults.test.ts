// SPDX-License-Identifier: Apache-2.0
/**
 * Real processes: vgpud, its instances on the real executor, and programs over `unix:`. One of them
 * is killed, and the others must not notice.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { eventually, guestEnvironment, testProgram, Watched } from "../support/e2e.js";

let broker: Broker;
const programs: Watched[] = [];

function worker(vgpu: string, rounds: number, megabytes: number, inner: number): Watched {
  const args = [rounds, megabytes, inner].map(String);
  const started = new Watched(testProgram("worker"), args, guestEnvironment(broker.socketOf(vgpu)));
  programs.push(started);
  return started;
}

/** Device memory and contexts of a vGPU, as an operator sees them. */
async function held(vgpu: string): Promise<{ bytes: unknown; contexts: number }> {
  const { device } = await broker.statusOf(vgpu);
  const memory = device?.memory as Record<string, unknown> | undefined;
  const contexts = device?.contexts;
  return {
    bytes: memory?.allocated_bytes,
    contexts: Array.isArray(contexts) ? contexts.length : -1,
  };
}

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-e2e-"));
  broker = await startBroker({ vgpus: ["a", "b"], logPath: join(folder, "vgpud.log") });
});

afterAll(async () => {
  for (const program of programs) {
    program.kill();
  }
  await broker.stop();
});

describe("faults among real processes", () => {
  it("frees all memory of a program that is killed in the middle of a launch", async () => {
    const victim = worker("a", 1000, 8, 2000);
    await victim.line(/^round 1$/);
    expect(await held("a")).toEqual({ bytes: 8 * 2 ** 20, contexts: 1 });
    victim.kill();
    await victim.exit;
    await eventually(
      () => held("a"),
      (now) => now.bytes === 0 && now.contexts === 0,
    );
    const next = worker("a", 2, 8, 1);
    expect(await next.exit).toEqual({ code: 0, signal: null });
  });

  it("goes on computing for one vGPU while the other's process is killed, and replaces it", async () => {
    const neighbour = worker("b", 60, 1, 50);
    const victim = worker("a", 100_000, 1, 50);
    await neighbour.line(/^round 3$/);
    await victim.line(/^round 3$/);
    const { pid } = await broker.statusOf("a");
    expect(pid).not.toBeNull();
    process.kill(pid ?? 0, "SIGKILL");
    const end = await victim.exit;
    expect(end.code).toBe(4);
    expect(victim.stderr).toMatch(/DEVICE_LOST/);
    expect(await neighbour.exit).toEqual({ code: 0, signal: null });
    expect(neighbour.lines.at(-1)).toBe("done");
    const after = await eventually(
      () => broker.statusOf("a"),
      (status) => status.state === "running",
    );
    expect(after.restarts).toBe(1);
    expect(after.pid).not.toBe(pid);
    expect(await worker("a", 2, 1, 1).exit).toEqual({ code: 0, signal: null });
  });

  it("takes turns when both vGPUs have work", async () => {
    const both = [worker("a", 15, 1, 500), worker("b", 15, 1, 500)];
    for (const each of both) {
      expect(await each.exit).toEqual({ code: 0, signal: null });
    }
    expect(both.map(({ lines }) => lines.at(-1))).toEqual(["done", "done"]);
    for (const vgpu of ["a", "b"]) {
      const { schedule } = (await broker.statusOf(vgpu)) as unknown as {
        schedule: { entries: number; held_ms: number };
      };
      expect(schedule.entries).toBeGreaterThan(2);
      expect(schedule.held_ms).toBeGreaterThan(0);
    }
  });
});
