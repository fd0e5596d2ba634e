// SPDX-License-Identifier: Apache-2.0
/** vgpud --translation-cache, with confined instances: what one process translated the next finds. */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { eventually, guestEnvironment, testProgram, Watched } from "../support/e2e.js";

const ptx = new URL("programs/cuda-kernels.ptx", import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), "vgpu-translations-"));
const cache = join(folder, "cache");
/** The module, its kernel's needs, and the kernel for two numbers of segments. */
const ANSWERS = 4;
let broker: Broker;

const start = (...extraArgs: string[]): Promise<Broker> =>
  startBroker({
    vgpus: ["a,watchdog=30s", "b,watchdog=30s"],
    logPath: join(folder, "vgpud.log"),
    extraArgs,
  });

beforeAll(async () => {
  broker = await start("--translation-cache", cache);
});

afterAll(async () => {
  await broker.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function reduce(vgpu: string): Promise<void> {
  const program = new Watched(
    testProgram("cuda"),
    ["reduce", ptx],
    guestEnvironment(broker.socketOf(vgpu)),
  );
  const end = await program.exit;
  expect(end, program.lines.join("\n")).toEqual({ code: 0, signal: null });
}

const counts = async (vgpu: string): Promise<unknown> =>
  (await broker.statusOf(vgpu)).device?.translation_cache;

/** Puts another process in the place of the vGPU's. */
async function restart(vgpu: string): Promise<void> {
  const { pid } = await broker.statusOf(vgpu);
  await broker.control("restart", vgpu);
  await eventually(
    () => broker.statusOf(vgpu),
    (status) => status.pid !== pid && status.state === "running" && status.device !== null,
  );
}

const filesOf = (vgpu: string): string[] => readdirSync(join(cache, vgpu)).sort();

describe("translations on disk", () => {
  it("are found by the next process, in each vGPU's own folder", async () => {
    await reduce("a");
    expect(await counts("a")).toEqual({ hits: 0, misses: ANSWERS });
    await eventually(
      async () => filesOf("a").length,
      (files) => files === ANSWERS,
    );
    expect(statSync(join(cache, "a")).mode & 0o777).toBe(0o700);
    expect(filesOf("b")).toEqual([]);
    await restart("a");
    await reduce("a");
    expect(await counts("a")).toEqual({ hits: ANSWERS, misses: 0 });
    // Nothing of one guest reaches another.
    await reduce("b");
    expect(await counts("b")).toEqual({ hits: 0, misses: ANSWERS });
    const { stdout } = await broker.control("metrics");
    expect(stdout).toContain(`vgpu_translation_cache_hits_total{vgpu="a"} ${ANSWERS}`);
    expect(stdout).toContain(`vgpu_translation_cache_misses_total{vgpu="b"} ${ANSWERS}`);
  }, 120_000);

  it("that are corrupt are made anew, and a folder that is lost costs nothing else", async () => {
    const files = filesOf("a").map((name) => join(cache, "a", name));
    const whole = files.map((path) => readFileSync(path));
    for (const path of files) writeFileSync(path, "spoilt");
    await restart("a");
    await reduce("a");
    expect(await counts("a")).toEqual({ hits: 0, misses: ANSWERS });
    await eventually(
      async () =>
        files.every(
          (path, index) =>
            existsSync(path) && readFileSync(path).equals(whole[index] ?? Buffer.alloc(0)),
        ),
      (same) => same,
    );
    await restart("a");
    rmSync(join(cache, "a"), { recursive: true });
    await reduce("a");
    expect(await counts("a")).toEqual({ hits: 0, misses: ANSWERS });
    // The next process has a folder again.
    await restart("a");
    await reduce("a");
    await eventually(
      async () => filesOf("a").length,
      (made) => made === ANSWERS,
    );
  }, 120_000);

  it("are not kept unless that is asked for", async () => {
    await broker.stop();
    rmSync(cache, { recursive: true });
    broker = await start();
    await reduce("a");
    expect(await counts("a")).toBeNull();
    expect(existsSync(cache)).toBe(false);
  }, 60_000);
});
