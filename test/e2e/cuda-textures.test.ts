// SPDX-License-Identifier: Apache-2.0
/**
 * Arrays, textures and surfaces on the real device: the program computes what must come out. From PTX of
 * two targets, and once with checked kernels, whose addresses have a segment.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, startBroker } from "../../scripts/lib/broker.js";
import { guestEnvironment, testProgram, Watched } from "../support/e2e.js";

const CASES = [
  "lines",
  "formats",
  "spaces",
  "layers",
  "cubes",
  "elements",
  "gathers",
  "arrays",
  "surfaces",
];

let broker: Broker;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-textures-"));
  // A software GPU on a busy machine needs more time than the watchdog gives by itself.
  broker = await startBroker({ vgpus: ["a,watchdog=30s"], logPath: join(folder, "vgpud.log") });
});

afterAll(async () => {
  await broker.stop();
});

const ptxOf = (module: string, target: number): string =>
  new URL(`../cuda/ptx/${module}.${target}.ptx`, import.meta.url).pathname;

async function runs(name: string, args: string[], extra: NodeJS.ProcessEnv = {}): Promise<void> {
  const env = { ...guestEnvironment(broker.socketOf("a")), ...extra };
  const program = new Watched(testProgram(name), args, env);
  expect(await program.exit, program.lines.join("\n")).toEqual({ code: 0, signal: null });
  expect(program.lines).toEqual(["ok"]);
}

const run = (name: string, target: number, extra?: NodeJS.ProcessEnv): Promise<void> =>
  runs("cuda-textures", [name, ptxOf("texture", target)], extra);

describe("textures and surfaces, from PTX of", () => {
  it.each(CASES)("compute_75: %s", (name) => run(name, 75), 120_000);
  it.each(CASES)("compute_121: %s", (name) => run(name, 121), 120_000);
  it.each(["spaces", "elements", "surfaces"])(
    "compute_75, checked: %s",
    (name) => run(name, 75, { VGPU_CHECKED: "1" }),
    120_000,
  );
});

describe("levels of detail, sRGB and formatted surfaces, from PTX of", () => {
  it.each([75, 121])(
    "compute_%i",
    (target) => runs("cuda-mipmaps", [ptxOf("mipmap", target)]),
    120_000,
  );
  it("compute_75, checked", async () => {
    await runs("cuda-mipmaps", [ptxOf("mipmap", 75)], { VGPU_CHECKED: "1" });
  }, 120_000);
});
