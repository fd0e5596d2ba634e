// SPDX-License-Identifier: Apache-2.0
/**
 * An instance that uses the GPU while it is not its turn. What a kernel driver would tell of it is
 * written to a folder, from where the broker reads it as from /proc: software GPUs have no such
 * count, and instances of ours don't do it.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { eventually, guestEnvironment, testProgram, Watched } from "../support/e2e.js";
import { type RealBroker, startRealBroker } from "../support/real-broker.js";

let proc = "";
let real: RealBroker | null = null;
const programs: Watched[] = [];

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), "vgpu-proc-"));
});
afterEach(async () => {
  for (const program of programs.splice(0)) program.kill();
  await real?.stop();
  rmSync(proc, { recursive: true });
});

interface Entry {
  readonly msg: string;
  readonly id?: string;
  readonly pid?: number;
  readonly reason?: string;
}

const entries = (): Entry[] => real?.log.map((line) => JSON.parse(line) as Entry) ?? [];
const readyPids = (id: string): number[] =>
  entries()
    .filter((entry) => entry.msg === "the vGPU is ready" && entry.id === id)
    .map(({ pid = 0 }) => pid);

/** The driver's count of a process from now on, ms. */
function counts(pid: number, ms: number): void {
  const folder = join(proc, String(pid), "fdinfo");
  mkdirSync(folder, { recursive: true });
  const text = `drm-driver:\ti915\ndrm-client-id:\t1\ndrm-engine-render:\t${ms * 1e6} ns\n`;
  writeFileSync(join(folder, "9"), text);
}

it("is ended for it and replaced, and its neighbour is not", async () => {
  real = await startRealBroker(["a", "b"], { meterProc: proc, executor: "dawn" });
  await real.broker.ready(60_000);
  const [a = 0, b = 0] = [readyPids("a")[0], readyPids("b")[0]];
  // A neighbour that works within its entries: the driver counts what it held at most.
  const worker = new Watched(testProgram("worker"), ["1000000", "1", "50"], {
    ...guestEnvironment(real.socketOf("b")),
  });
  programs.push(worker);
  await worker.line(/^round 5$/);
  counts(b, 20);
  counts(a, 40);
  // What it says in its exits says nothing of this: it has none.
  const aborted = () =>
    Promise.resolve(entries().filter(({ msg }) => msg === "the instance is aborted"));
  await new Promise((resolve) => setTimeout(resolve, 3000));
  expect(await aborted()).toEqual([]);
  counts(a, 240);
  const [first] = await eventually(aborted, (found) => found.length > 0);
  expect(first?.id).toBe("a");
  expect(first?.reason).toMatch(/GPU/);
  await eventually(
    () => Promise.resolve(readyPids("a")),
    (pids) => pids.length === 2,
  );
  expect(readyPids("b")).toEqual([b]);
  expect((await aborted()).length).toBe(1);
  expect(worker.child.exitCode).toBeNull();
});
