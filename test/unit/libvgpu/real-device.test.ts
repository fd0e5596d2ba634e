// SPDX-License-Identifier: Apache-2.0
/**
 * libvgpu and the examples, built with sanitizers, against the real vgpu-instance on Dawn, over
 * unix: as plain processes use it.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exampleBuild, makeExamples, makeTests, testBuild } from "./build.js";

const instanceProgram = fileURLToPath(
  new URL("../../../src/cli/vgpu-instance.ts", import.meta.url),
);
const program = join(testBuild, "libvgpu-real");
const folder = mkdtempSync(join(tmpdir(), "libvgpu-real-"));
const children: ChildProcess[] = [];

makeTests();
const names = execFileSync(program, ["--list"], { encoding: "utf8" }).trim().split("\n");
/** Tests that need more than to be run. */
const special = ["dies-in-the-middle", "nothing-is-left", "outlives-the-device"];

/** Starts an instance and resolves when it listens; the log is in what it rejects with. */
async function startInstance(socket: string, executor: string): Promise<ChildProcess> {
  const args = ["--import", "tsx", instanceProgram, `--socket-path=${socket}`];
  const child = spawn(process.execPath, [...args, `--executor=${executor}`], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  let log = "";
  await new Promise<void>((resolve, reject) => {
    const hear = (chunk: Buffer): void => {
      log += chunk.toString();
      if (log.includes("listening")) resolve();
    };
    child.stdout?.on("data", hear);
    child.stderr?.on("data", hear);
    child.on("exit", () => reject(new Error(`vgpu-instance ended: ${log}`)));
  });
  return child;
}

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

describe("libvgpu with vgpu-instance on Dawn", () => {
  const socket = join(folder, "dawn.sock");
  // The programs under the address sanitizer must not see the Vulkan driver's libraries.
  const env = { PATH: process.env.PATH, VGPU_DEVICE: `unix:${socket}` };

  beforeAll(async () => {
    makeExamples();
    await startInstance(socket, "dawn");
  }, 120_000);

  it.each(names.filter((name) => !special.includes(name)))(
    "%s",
    (name) => {
      const run = spawnSync(program, [name], { encoding: "utf8", timeout: 60_000, env });
      expect(run.stderr).toBe("");
      expect(run.status).toBe(0);
    },
    60_000,
  );

  it("a process that is killed in the middle of work leaves nothing behind", () => {
    const killed = spawnSync(program, ["dies-in-the-middle"], { timeout: 60_000, env });
    expect(killed.signal).toBe("SIGKILL");
    const next = spawnSync(program, ["nothing-is-left"], { encoding: "utf8", env });
    expect(next.stderr).toBe("");
    expect(next.status).toBe(0);
  }, 60_000);

  it.each([
    ["vecadd", "100001"],
    ["sgemm", "150"],
    ["histogram", "2"],
    ["digits", "30"],
  ])(
    "example %s %s",
    (name, argument) => {
      const run = spawnSync(join(exampleBuild, name), [argument], {
        encoding: "utf8",
        timeout: 60_000,
        env,
      });
      expect(run.stderr).toBe("");
      expect(run.status).toBe(0);
      const last = run.stdout.trim().split("\n").pop() ?? "";
      expect(JSON.parse(last)).toMatchObject({ program: name, ok: true });
    },
    60_000,
  );

  it("vgpu-bench answers requests line by line", () => {
    const run = spawnSync(join(exampleBuild, "vgpu-bench"), ["--serve"], {
      encoding: "utf8",
      timeout: 60_000,
      input: "run launch_sync mode=polled n=3\nrun d2h bytes=5000 memory=pageable n=2\nrun x\nhm\n",
      env,
    });
    const answers = run.stdout.trim().split("\n");
    expect(answers.map((line) => JSON.parse(line))).toEqual([
      {
        name: "launch_sync",
        samples: [expect.any(Number), expect.any(Number), expect.any(Number)],
      },
      { name: "d2h", samples: [expect.any(Number), expect.any(Number)] },
      { error: 'there is no benchmark "x"' },
      { error: "expected: run NAME KEY=VALUE..." },
    ]);
  }, 60_000);

  it("examples refuse arguments that make no sense", () => {
    for (const argument of ["0", "x", "99999999999"]) {
      const run = spawnSync(join(exampleBuild, "vecadd"), [argument], { encoding: "utf8", env });
      expect(run.status).toBe(2);
      expect(run.stderr).toContain("from 1 to 16777216");
    }
    expect(spawnSync(join(exampleBuild, "digits"), ["--help"], { env }).status).toBe(0);
  });
});

it("a program outlives its device", async () => {
  const socket = join(folder, "null.sock");
  const instance = await startInstance(socket, "null");
  const client = spawn(program, ["outlives-the-device"], {
    env: { VGPU_DEVICE: `unix:${socket}` },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(client);
  let stderr = "";
  client.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const closed = once(client, "close");
  await Promise.race([once(client.stdout, "data"), closed]);
  instance.kill("SIGKILL");
  const [status] = await closed;
  expect(stderr).toBe("");
  expect(status).toBe(0);
}, 60_000);
