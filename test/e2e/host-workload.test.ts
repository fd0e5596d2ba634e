// SPDX-License-Identifier: Apache-2.0
/**
 * A workload of the host as an instance of its own, as docs/OPERATING.md has it: a plain process with
 * a vGPU, its weight and its limits, beside another guest. Shares are judged by the simulation and the
 * benchmarks; here, that it is scheduled, accounted and limited like any other.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { guestEnvironment, testProgram, Watched } from "../support/e2e.js";

let broker: Broker;
const programs: Watched[] = [];

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-host-"));
  broker = await startBroker({
    vgpus: ["guest,policy=weighted,weight=3", "host,policy=weighted,weight=1,max=40%,memory=64M"],
    logPath: join(folder, "vgpud.log"),
  });
});

afterAll(async () => {
  for (const program of programs) program.kill();
  await broker.stop();
});

function worker(vgpu: string, ...args: string[]): Watched {
  const started = new Watched(testProgram("worker"), args, guestEnvironment(broker.socketOf(vgpu)));
  programs.push(started);
  return started;
}

interface Scheduled {
  readonly schedule: {
    readonly weight: number;
    readonly max_share: number;
    readonly entries: number;
    readonly held_ms: number;
    readonly exits: Readonly<Record<string, number>>;
  };
}

it("takes turns with guests by its weight, and is held to its limits", async () => {
  const guest = worker("guest", "100000", "1", "200");
  await guest.line(/^round 2$/);
  const host = worker("host", "10", "1", "200");
  expect(await host.exit).toEqual({ code: 0, signal: null });
  expect(host.lines.at(-1)).toBe("done");
  const during = guest.lines.length;
  await guest.line(new RegExp(`^round ${during}$`));
  const { schedule } = (await broker.statusOf("host")) as unknown as Scheduled;
  expect(schedule).toMatchObject({ weight: 1, max_share: 0.4 });
  expect(schedule.entries).toBeGreaterThan(1);
  expect(schedule.held_ms).toBeGreaterThan(0);
  const greedy = worker("host", "1", "65", "1");
  expect((await greedy.exit).code).toBe(4);
  expect(greedy.stderr).toMatch(/limit is 67108864|OUT_OF_MEMORY/);
});
