// SPDX-License-Identifier: Apache-2.0
/**
 * vgpud with confined instances, as real processes: they still compute, they end with vgpud however
 * it ends, and vgpud's own sockets take no strangers.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it, type TestContext } from "vitest";
import { eventually, guestEnvironment, testProgram, Watched } from "../support/e2e.js";

const root = new URL("../..", import.meta.url).pathname;
const vgpud = join(root, "dist/cli/vgpud.js");
const vgpuctl = join(root, "dist/cli/vgpuctl.js");
const brokers: Watched[] = [];
const folders: string[] = [];

interface Status {
  readonly pid: number;
  readonly state: string;
  readonly restarts: number;
  readonly confinement: { readonly applied: string[]; readonly missing: string[] } | null;
}

interface Running {
  readonly folder: string;
  readonly daemon: Watched;
  readonly status: () => Status[];
}

async function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), "vgpu-confined-"));
  // Instances of another user have to reach the broker's socket in it.
  chmodSync(folder, 0o755);
  folders.push(folder);
  const all = [vgpud, "--runtime-dir", folder, ...args];
  const daemon = new Watched(process.execPath, all, { ...process.env, ...env });
  brokers.push(daemon);
  await daemon.line(/^vgpud ready/);
  const status = (): Status[] => {
    const ctl = [vgpuctl, "status", "--json", "--control", join(folder, "control.sock")];
    const { stdout } = spawnSync(process.execPath, ctl, { encoding: "utf8" });
    return (JSON.parse(stdout) as { vgpus: Status[] }).vgpus;
  };
  return { folder, daemon, status };
}

const proc = (pid: number, file: string): string => readFileSync(`/proc/${pid}/${file}`, "utf8");

/** A process that nobody has reaped has ended too. */
function ended(pid: number): boolean {
  return !existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(proc(pid, "status"));
}

function needsRoot(context: TestContext): void {
  if (process.getuid?.() !== 0) context.skip("only root can change its user");
}

/** What it logs arrives when this process's event loop turns. */
async function says(daemon: Watched, text: string): Promise<void> {
  await eventually(
    async () => daemon.stderr,
    (log) => log.includes(text),
  );
}

/** Whether a connection is closed without an answer, whatever is sent. */
function refused(path: string, message: object): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(path, () => socket.write(`${JSON.stringify(message)}\n`));
    socket.on("data", (chunk) => {
      answer += String(chunk);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE" && error.code !== "ECONNRESET") reject(error);
    });
    socket.on("close", () => resolve(answer === ""));
  });
}

afterEach(async () => {
  for (const broker of brokers.splice(0)) {
    broker.child.kill("SIGTERM");
    await broker.exit;
  }
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

describe("confined instances", () => {
  it("run a guest's program, with no secrets about, and write nothing", async () => {
    const { folder, status } = await start(["--vgpu", "a"], { OPERATORS_SECRET: "hush" });
    const [a] = status();
    expect(a?.confinement?.applied).toEqual(
      expect.arrayContaining(["limit core=0", "no capabilities", "ends with its parent"]),
    );
    expect(proc(a?.pid ?? 0, "status")).toMatch(/^NoNewPrivs:\s+1$/m);
    const variables = proc(a?.pid ?? 0, "environ").split("\0");
    expect(variables.filter((text) => text.startsWith("OPERATORS_SECRET"))).toEqual([]);
    expect(variables).toContain(`HOME=${join(folder, "private", "a")}`);
    expect(variables).toContain("MESA_SHADER_CACHE_DISABLE=true");

    const program = new Watched(
      join(root, "guest-driver/build/bin/vecadd"),
      [],
      guestEnvironment(join(folder, "a.sock")),
    );
    expect({ ...(await program.exit), stderr: program.stderr }).toEqual({
      code: 0,
      signal: null,
      stderr: "",
    });
    expect(readdirSync(join(folder, "private", "a"))).toEqual([]);
  });

  it("translate a fat binary, in a thread that starts behind the confinement", async () => {
    const { folder, status } = await start(["--vgpu", "a"]);
    const image = join(root, "test/unit/kernel/fatbin/zstd.fatbin");
    const environment = guestEnvironment(join(folder, "a.sock"));
    const program = new Watched(testProgram("fatbin"), [image], environment);
    expect({ ...(await program.exit), stderr: program.stderr, lines: program.lines }).toEqual({
      code: 0,
      signal: null,
      stderr: "",
      lines: ["right"],
    });
    expect(status()[0]?.restarts).toBe(0);
  });

  it("end when vgpud is killed, and leave what the next one takes over", async () => {
    const { daemon, folder, status } = await start([
      ...["--vgpu", "a", "--vgpu", "b", "--executor", "null"],
    ]);
    const pids = status().map(({ pid }) => pid);
    expect(pids.map(ended)).toEqual([false, false]);
    daemon.kill();
    await daemon.exit;
    await eventually(
      async () => pids.every(ended),
      (all) => all,
    );
    const args = [vgpud, "--runtime-dir", folder, "--vgpu", "a", "--executor", "null"];
    const next = new Watched(process.execPath, args, process.env);
    brokers.push(next);
    await next.line(/^vgpud ready/);
  });

  it("are replaced, confined again, when they are killed", async () => {
    const { status } = await start(["--vgpu", "a", "--executor", "null"]);
    const before = status()[0];
    process.kill(before?.pid ?? 0, "SIGKILL");
    const after = await eventually(
      async () => status()[0],
      (now) => now?.state === "running" && now.restarts === 1 && now.confinement !== null,
    );
    expect(after?.confinement).toEqual(before?.confinement);
    expect(after?.pid).not.toBe(before?.pid);
  });

  it("run as --user, whom the broker knows again", async (context) => {
    needsRoot(context);
    const args = ["--vgpu", "a", "--executor", "null", "--user", "65534:65534"];
    const { folder, status, daemon } = await start(args);
    const [a] = status();
    expect(a?.state).toBe("running");
    expect(proc(a?.pid ?? 0, "status")).toMatch(/^Uid:\s+65534\s+65534\s+65534\s+65534$/m);
    expect(proc(a?.pid ?? 0, "status")).toMatch(/^Groups:\s*$/m);
    expect(a?.confinement?.missing.join()).not.toMatch(/a user of its own/);
    daemon.child.kill("SIGTERM");
    await daemon.exit;
    expect(readdirSync(folder)).toEqual([]);
  });

  it("are not confined with --no-confine, which is said", async () => {
    const { status, daemon } = await start(["--vgpu", "a", "--executor", "null", "--no-confine"]);
    const [a] = status();
    expect(a?.confinement).toBeNull();
    expect(proc(a?.pid ?? 0, "status")).toMatch(/^Seccomp:\s+0$/m);
    await says(daemon, "instances are not confined: --no-confine");
  });
});

describe("vgpud's sockets", () => {
  it("take no process of the same user for an instance", async () => {
    const { folder, status, daemon } = await start(["--vgpu", "a", "--executor", "null"]);
    const [a] = status();
    // All that it could say about itself is true of the real instance.
    const hello = { type: "hello", id: "a", pid: a?.pid, adapter: "x", vendorId: 0, executor: "x" };
    expect(await refused(join(folder, "broker.sock"), hello)).toBe(true);
    await says(daemon, `process ${process.pid} is no instance of ours`);
    expect(status()[0]).toMatchObject({ state: "running", pid: a?.pid, restarts: 0 });
  });

  it("take no orders from another user, even if the file's mode would let it", async (context) => {
    needsRoot(context);
    const { folder, daemon } = await start(["--vgpu", "a", "--executor", "null"]);
    const control = join(folder, "control.sock");
    chmodSync(control, 0o666);
    const ask = `const s = require("node:net").connect(${JSON.stringify(control)});
      s.write('{"command":"status"}\\n'); s.on("error", () => {});
      s.on("data", () => { console.log("answered"); s.destroy(); });
      s.on("close", () => console.log("closed"));`;
    const run = (uid: number) =>
      spawnSync(process.execPath, ["-e", ask], { uid, gid: uid, env: {}, encoding: "utf8" });
    expect(run(0).stdout).toMatch(/^answered/);
    expect(run(65534).stdout).toBe("closed\n");
    await says(daemon, "user 65534 is neither ours (0) nor root");
  });
});
