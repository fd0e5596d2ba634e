// SPDX-License-Identifier: Apache-2.0
// The program itself, as a process, with the echo device behind it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { close, listen, socketpair } from "../../../src/io/native.js";
import { MockDriver } from "../../support/mock-driver.js";

const program = fileURLToPath(new URL("../../support/echo-instance.ts", import.meta.url));
const children: ChildProcess[] = [];
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vgpu-cli-"));
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

interface Run {
  readonly child: ChildProcess;
  readonly exit: Promise<{ code: number | null; signal: string | null }>;
  stderr: string;
  stdout: string;
  /** Resolves when stderr holds the text. */
  says(text: string): Promise<void>;
}

function run(args: readonly string[], fds: readonly number[] = []): Run {
  const child = spawn(process.execPath, ["--import", "tsx", program, ...args], {
    stdio: ["ignore", "pipe", "pipe", ...fds],
  });
  children.push(child);
  let wake = (): void => {};
  const result: Run = {
    child,
    stdout: "",
    stderr: "",
    exit: once(child, "close").then(([code, signal]) => {
      wake();
      return { code, signal };
    }),
    says: async (text) => {
      while (!result.stderr.includes(text)) {
        if (child.exitCode !== null) throw new Error(`ended early: ${result.stderr}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
  child.stdout?.on("data", (chunk) => {
    result.stdout += chunk;
  });
  child.stderr?.on("data", (chunk) => {
    result.stderr += chunk;
    wake();
  });
  return result;
}

async function echoes(driver: MockDriver): Promise<void> {
  const data = new Uint8Array([1, 2, 3, 4]);
  expect(await driver.request(0, data, 16)).toEqual(data);
}

describe("vgpu-instance", () => {
  it("serves one front end after another and ends on SIGTERM, removing its socket", async () => {
    const path = join(folder, "a.sock");
    const instance = run([`--socket-path=${path}`, "--id=t"]);
    await instance.says("listening at");
    for (let i = 0; i < 3; i++) {
      const driver = await MockDriver.connectPath(path).start();
      await echoes(driver);
      driver.close();
    }
    // A second front end waits until the first is gone.
    const first = await MockDriver.connectPath(path).start();
    const second = MockDriver.connectPath(path);
    const started = second.start();
    await echoes(first);
    expect(instance.stderr.match(/front end connected/g)).toHaveLength(4);
    first.close();
    await echoes(await started);
    instance.child.kill("SIGTERM");
    expect(await instance.exit).toEqual({ code: 0, signal: null });
    await second.frontend.disconnected;
    second.close();
    expect(existsSync(path)).toBe(false);
    expect(instance.stdout).toBe("");
  });

  it("replaces a stale socket, and refuses a live one or another file by name", async () => {
    const path = join(folder, "b.sock");
    const dead = run([`--socket-path=${path}`]);
    await dead.says("listening at");
    dead.child.kill("SIGKILL");
    await dead.exit;
    expect(existsSync(path)).toBe(true);
    const alive = run([`--socket-path=${path}`]);
    await alive.says("listening at");

    const third = run([`--socket-path=${path}`]);
    expect(await third.exit).toMatchObject({ code: 1 });
    expect(third.stderr).toContain(path);
    expect(third.stderr).toContain("another process listens there");
    // The refused one must not have removed the other's socket.
    await echoes(await MockDriver.connectPath(path).start());

    const file = join(folder, "file");
    writeFileSync(file, "precious");
    const fourth = run([`--socket-path=${file}`]);
    expect(await fourth.exit).toMatchObject({ code: 1 });
    expect(fourth.stderr).toContain("is no socket");
    expect(existsSync(file)).toBe(true);
  });

  it("serves an inherited connection and ends with it", async () => {
    const [ours, theirs] = socketpair();
    const instance = run(["--fd=3"], [theirs]);
    close(theirs);
    const driver = await new MockDriver(ours).start();
    await echoes(driver);
    driver.close();
    expect(await instance.exit).toEqual({ code: 0, signal: null });
  });

  it("serves an inherited listening socket and leaves its file alone", async () => {
    const path = join(folder, "c.sock");
    const fd = listen(path);
    const instance = run(["--fd=3"], [fd]);
    for (let i = 0; i < 2; i++) {
      const driver = await MockDriver.connectPath(path).start();
      await echoes(driver);
      driver.close();
    }
    instance.child.kill("SIGINT");
    expect(await instance.exit).toEqual({ code: 0, signal: null });
    close(fd);
    expect(existsSync(path)).toBe(true);
  });

  it("refuses a descriptor that is no socket", async () => {
    const instance = run(["--fd=99"]);
    expect(await instance.exit).toMatchObject({ code: 2 });
    expect(instance.stderr).toContain("99");
  });

  it("prints capabilities as JSON on stdout alone", async () => {
    const instance = run(["--print-capabilities"]);
    expect(await instance.exit).toEqual({ code: 0, signal: null });
    expect(JSON.parse(instance.stdout)).toMatchObject({ "virtio-id": 38 });
    expect(instance.stderr).toBe("");
  });
});
