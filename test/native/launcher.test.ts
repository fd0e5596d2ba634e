// SPDX-License-Identifier: Apache-2.0
//
// vgpu-launch: each restriction is shown by a child that tries what it must not be able to do, and,
// where that is cheap, by a control case that can.

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { addonPath } from "./support/children.js";

const launcher = fileURLToPath(new URL("../../build/Release/vgpu-launch", import.meta.url));
const root = process.getuid?.() === 0;
const system = ["/usr", "/lib", "/lib64", "/proc/self", "/etc/ssl/openssl.cnf"];
let landlockAbi = 0;
let folder = "";

interface Result {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `before` is what the launcher is started through, and has to undo. */
async function launch(
  args: readonly string[],
  fds: readonly number[] = [],
  before: readonly string[] = [],
): Promise<Result> {
  const [program = launcher, ...all] = [...before, launcher, ...args];
  const child = spawn(program, all, { env: {}, stdio: ["ignore", "pipe", "pipe", ...fds] });
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (chunk) => {
    stdout += String(chunk);
  });
  child.stderr?.on("data", (chunk) => {
    stderr += String(chunk);
  });
  const [code, signal] = await once(child, "close");
  return { code, signal, stdout, stderr };
}

/** What Node needs to start at all. */
function nodeOptions(): string[] {
  const read = [...system, dirname(process.execPath), addonPath].filter((path) => existsSync(path));
  return [...read.map((path) => `--read=${path}`), "--device=/dev/null", "--device=/dev/urandom"];
}

const prelude = `
  const fs = require("node:fs");
  const tried = (f) => { try { f(); return "ok"; } catch (e) { return e.code ?? String(e); } };
  const show = (value) => fs.writeSync(1, JSON.stringify(value));
`;

/** Runs a script in a confined Node; what it gives to show() is the answer. */
async function confined(
  script: string,
  options: readonly string[] = [],
  fds: readonly number[] = [],
  before: readonly string[] = [],
): Promise<unknown> {
  const node = ["--", process.execPath, "-e", prelude + script];
  const { code, stdout, stderr } = await launch(
    [...nodeOptions(), ...options, ...node],
    fds,
    before,
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/applied: /) });
  return JSON.parse(stdout);
}

function needsLandlock(context: TestContext, abi = 1): void {
  if (landlockAbi < abi) {
    context.skip(`this kernel's Landlock ABI is ${landlockAbi}; the test needs ${abi}`);
  }
}

function needsRoot(context: TestContext): void {
  if (!root) context.skip("only root can change its user");
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vgpu-launch-"));
  const { code, stdout } = await launch(["--probe"]);
  expect(code).toBe(0);
  landlockAbi = (JSON.parse(stdout) as { landlockAbi: number }).landlockAbi;
});

afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe("options", () => {
  it.each([
    [["--colour=red", "--", "/bin/true"], /'--colour=red' is no option/],
    [["--user", "nobody", "--", "/bin/true"], /'--user' is no option/],
    [["extra", "--", "/bin/true"], /'extra' is no option/],
    [["--parent=12x", "--", "/bin/true"], /--parent: '12x' is no number from 0 to 2147483647/],
    [["--parent=1", "--parent=1", "--", "/bin/true"], /--parent is given twice/],
    [["--limit=colour=1", "--", "/bin/true"], /'colour=1' is no limit of the form NAME=N/],
    [["--limit=core=-1", "--", "/bin/true"], /--limit=core: '-1' is no number/],
    [["--read=usr", "--", "/bin/true"], /--read: 'usr' is no absolute path/],
    [["--last-fd=3", "--report-fd=4", "--", "/bin/true"], /--report-fd lies above --last-fd/],
    [["--", "true"], /the program: 'true' is no absolute path/],
    [["--"], /no program is given/],
    [[], /no program is given/],
    [["--probe", "--user=nobody-of-that-name"], /there is no user 'nobody-of-that-name'/],
    [["--probe", "--user=1000"], /'1000' needs a group: UID:GID/],
    [["--probe", "--user=1000:no-such-group"], /there is no group 'no-such-group'/],
    [["--probe", "--user=root"], /'root' is root, which would confine nothing/],
    [["--probe", "--user=0:5"], /'0:5' is root/],
    [["--probe", "--user=4294967296:1"], /4294967296 is no user id/],
  ])("refuses %j", async (args, words) => {
    const { code, stdout, stderr } = await launch(args);
    expect(stderr).toMatch(words);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });

  it("explains itself", async () => {
    const { code, stdout } = await launch(["--help"]);
    expect(stdout).toMatch(/--report-fd=N/);
    expect(code).toBe(0);
  });

  it("ends with 1 if a path can't be allowed, naming it", async (context) => {
    needsLandlock(context);
    const { code, stderr } = await launch(["--read=/nonexistent/x", "--", process.execPath]);
    expect(stderr).toMatch(/'\/nonexistent\/x' can't be allowed: No such file/);
    expect(code).toBe(1);
  });

  it("takes only programs that it can read the needs of", async () => {
    const script = join(folder, "script.sh");
    writeFileSync(script, "#!/bin/sh\n", { mode: 0o755 });
    const { code, stderr } = await launch(["--", script]);
    expect(stderr).toMatch(/script\.sh' is no 64-bit ELF file/);
    expect(code).toBe(1);
  });
});

describe("files", () => {
  it("can be written in the private folder only", async (context) => {
    needsLandlock(context);
    const [inside, outside] = [join(folder, "private"), join(folder, "outside")];
    const script = `show([${JSON.stringify(inside)}, ${JSON.stringify(folder)}].map((at) =>
      [tried(() => fs.writeFileSync(at + "/outside", "x")), tried(() => fs.mkdirSync(at + "/d"))]))`;
    const tries = await confined(script, [`--private=${inside}`]);
    expect(tries).toEqual([
      ["ok", "ok"],
      ["EACCES", "EACCES"],
    ]);
    expect(existsSync(outside)).toBe(false);
    expect(readdirSync(inside).sort()).toEqual(["d", "outside"]);
  });

  it("can be kept in further private folders, by renaming too, and in none beside", async (context) => {
    needsLandlock(context);
    const [first, second, other] = ["one", "two", "three"].map((each) => join(folder, each));
    mkdirSync(String(other));
    const script = `show([${[first, second, other].map((each) => JSON.stringify(each))}].map((at) =>
      tried(() => { fs.writeFileSync(at + "/new", "x"); fs.renameSync(at + "/new", at + "/kept"); })))`;
    const tries = await confined(script, [`--private=${first}`, `--private=${second}`]);
    expect(tries).toEqual(["ok", "ok", "EACCES"]);
    expect(readdirSync(String(second))).toEqual(["kept"]);
    expect(statSync(String(second)).mode & 0o777).toBe(0o700);
  });

  it("can't be read elsewhere: passwords, another process, a folder's names", async (context) => {
    needsLandlock(context);
    const secret = join(folder, "secret");
    writeFileSync(secret, "s");
    const read = (path: string) => `tried(() => fs.readFileSync(${JSON.stringify(path)}))`;
    const script = `show([${["/etc/shadow", secret, `/proc/${process.pid}/environ`].map(read)},
      tried(() => fs.readdirSync(${JSON.stringify(folder)}))])`;
    expect(await confined(script)).toEqual(["EACCES", "EACCES", "EACCES", "EACCES"]);
    expect(await confined(`show(${read(secret)})`, [`--read=${secret}`])).toBe("ok");
  });

  it("that are allowed for reading can't be written or truncated", async (context) => {
    needsLandlock(context, 3);
    const file = join(folder, "readonly");
    writeFileSync(file, "text");
    const path = JSON.stringify(file);
    const script = `show([tried(() => fs.appendFileSync(${path}, "x")),
      tried(() => fs.openSync(${path}, fs.constants.O_RDONLY | fs.constants.O_TRUNC)), fs.readFileSync(${path}, "utf8")])`;
    expect(await confined(script, [`--read=${file}`])).toEqual(["EACCES", "EACCES", "text"]);
  });

  it("can be listed without being read", async (context) => {
    needsLandlock(context);
    const listed = mkdtempSync(join(folder, "listed-"));
    writeFileSync(join(listed, "a"), "");
    const script = `show([fs.readdirSync(${JSON.stringify(listed)}),
      tried(() => fs.readFileSync(${JSON.stringify(join(listed, "a"))}))])`;
    expect(await confined(script, [`--list=${listed}`])).toEqual([["a"], "EACCES"]);
  });

  it("gets no links out of the private folder", async (context) => {
    needsLandlock(context);
    const at = join(folder, "links");
    const script = `show(tried(() => fs.symlinkSync("/etc", ${JSON.stringify(join(at, "l"))})))`;
    expect(await confined(script, [`--private=${at}`])).toBe("EACCES");
  });
});

describe("privileges", () => {
  it("are gone: no capabilities, none to be gained, filtered calls", async () => {
    const status = String(await confined(`show(fs.readFileSync("/proc/self/status", "utf8"))`));
    const value = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1];
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) {
      expect([set, value(set)]).toEqual([set, "0".repeat(16)]);
    }
    if (root) expect(value("CapBnd")).toBe("0".repeat(16));
    expect(value("NoNewPrivs")).toBe("1");
    expect(value("Seccomp")).toBe("2");
  });

  it("that its parent would pass on are gone too", async (context) => {
    needsRoot(context);
    const given = ["/usr/bin/setpriv", "--inh-caps=+net_raw", "--ambient-caps=+net_raw", "--"];
    const script = `show(fs.readFileSync("/proc/self/status", "utf8").match(/Cap.*/g).map((line) => line.slice(7)).join())`;
    expect(await confined(script, [], [], given)).toMatch(/^[\s0,]+$/);
  });

  it("of root don't reach past file modes", async (context) => {
    needsRoot(context);
    const closed = join(folder, "closed");
    writeFileSync(closed, "x", { mode: 0o000 });
    const script = `show(tried(() => fs.readFileSync(${JSON.stringify(closed)})))`;
    expect(await confined(script, [`--read=${closed}`])).toBe("EACCES");
  });

  it("of another user: no way back, no groups, its own folder", async (context) => {
    needsRoot(context);
    const home = mkdtempSync(join(tmpdir(), "vgpu-launch-user-"));
    chmodSync(home, 0o755);
    const script = `show([process.getuid(), process.geteuid(), process.getgid(),
      process.getgroups(), tried(() => process.setuid(0)), tried(() => process.setgid(0)),
      tried(() => fs.writeFileSync(${JSON.stringify(join(home, "p", "f"))}, ""))])`;
    const options = ["--user=65534:65533", `--private=${join(home, "p")}`];
    const groups = ["/usr/bin/setpriv", "--groups=7,8", "--"];
    expect(await confined(script, options, [], groups)).toEqual([
      ...[65534, 65534, 65533, [65533]],
      ...["EPERM", "EPERM", "ok"],
    ]);
    const { uid, mode } = statSync(join(home, "p"));
    expect({ uid, mode: mode & 0o777 }).toEqual({ uid: 65534, mode: 0o700 });
    rmSync(home, { recursive: true });
  });

  it("--user is refused to others than root", async (context) => {
    if (root) context.skip("this is root");
    const { code, stderr } = await launch(["--user=65534:65534", "--", process.execPath]);
    expect(stderr).toMatch(/--user needs root/);
    expect(code).toBe(2);
  });
});

describe("resources", () => {
  it("are limited; a limit is never raised", async () => {
    const script = `show(fs.readFileSync("/proc/self/limits", "utf8").split("\\n"))`;
    const options = ["--limit=core=0", "--limit=nofile=77", "--limit=memlock=9007199254740991"];
    const lines = (await confined(script, options)) as string[];
    const of = (name: string, from: readonly string[]) =>
      from.find((line) => line.startsWith(name))?.replace(/\s+/g, " ");
    expect(of("Max core file size", lines)).toBe("Max core file size 0 0 bytes ");
    expect(of("Max open files", lines)).toBe("Max open files 77 77 files ");
    const unlimited = (await confined(script)) as string[];
    expect(of("Max open files", unlimited)).not.toBe("Max open files 77 77 files ");
    expect(of("Max locked memory", lines)).not.toMatch(/unlimited|undefined/);
  });

  it("that were open are closed above the last that is passed on", async () => {
    const [kept, leaked] = [openSync("/dev/null", "r"), openSync("/dev/null", "r")];
    // Node's own descriptors take the free numbers: 4 may be one of them, but no /dev/null.
    const script = `const target = (fd) => fs.readlinkSync("/proc/self/fd/" + fd);
      show([3, 4].map((fd) => tried(() => target(fd)) === "ok" && target(fd) === "/dev/null"))`;
    expect(await confined(script, ["--last-fd=3"], [kept, leaked])).toEqual([true, false]);
    expect(await confined(script, ["--last-fd=4"], [kept, leaked])).toEqual([true, true]);
  });
});

describe("other processes", () => {
  it("are not started", async () => {
    const script = `const { status, error } =
      require("node:child_process").spawnSync(process.execPath, ["-v"]);
      show([status, error?.code])`;
    expect(await confined(script)).toEqual([null, "EPERM"]);
  });

  it("get no signals; threads and signals of its own work", async () => {
    const script = `const { Worker } = require("node:worker_threads");
      const other = tried(() => process.kill(${process.pid}, 0));
      process.on("SIGUSR2", () => { show([other, "own"]); clearInterval(wait); });
      new Worker("1", { eval: true }).on("exit", () => process.kill(process.pid, "SIGUSR2"));
      const wait = setInterval(() => {}, 1000);`;
    expect(await confined(script)).toEqual(["EPERM", "own"]);
  });

  it("take it with them: it ends with its parent, and can't change that", async () => {
    const off = `show(tried(() => require(${JSON.stringify(addonPath)}).setPdeathsig(0)))`;
    expect(await confined(off)).toBe("EPERM");
    const user = root ? ["--user=65534:65534"] : [];
    const args = [...nodeOptions(), ...user, "--", process.execPath, "-e", "setInterval(()=>{},9)"];
    const parent = spawn(process.execPath, [
      "-e",
      `const args = ["--parent=" + process.pid, ...${JSON.stringify(args)}];
       const child = require("node:child_process").spawn(${JSON.stringify(launcher)}, args,
         { env: {}, stdio: ["ignore", "ignore", "pipe"] });
       child.stderr.once("data", () => console.log(child.pid));
       setInterval(() => {}, 1000);`,
    ]);
    const [line] = await once(parent.stdout, "data");
    const pid = Number(String(line));
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    parent.kill("SIGKILL");
    while (alive(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
  });

  it("that are not its parent are no parent", async () => {
    const { code, stderr } = await launch(["--parent=1", "--", process.execPath, "-v"]);
    expect(stderr).toMatch(/the parent is process \d+, not 1/);
    expect(code).toBe(1);
  });
});

/** A zombie that nobody reaps (there may be no init) has ended too. */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

describe("networks", () => {
  let server: Server;
  let port = 0;

  beforeAll(async () => {
    server = createServer((socket) => socket.end("hello"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    port = typeof address === "object" && address !== null ? address.port : 0;
  });

  afterAll(() => {
    server.close();
  });

  it("are out of reach: TCP and UDP", async () => {
    const script = `const results = {};
      const done = (name, what) => { results[name] = what;
        if (Object.keys(results).length === 3) show(results); };
      const net = require("node:net");
      const tcp = net.connect(${port}, "127.0.0.1");
      tcp.on("error", (e) => done("connect", e.code)).on("data", () => done("connect", "data"));
      const server = net.createServer().on("error", (e) => done("listen", e.code));
      server.listen(0, "127.0.0.1", () => { done("listen", "ok"); server.close(); });
      const udp = require("node:dgram").createSocket("udp4");
      udp.on("error", (e) => done("udp", e.code));
      udp.bind(0, () => { done("udp", "ok"); udp.close(); });`;
    const refused = "EAFNOSUPPORT";
    expect(await confined(script)).toEqual({ connect: refused, listen: refused, udp: refused });
  });

  it("leave unix sockets, which lead to the broker", async () => {
    const path = join(folder, "s");
    const local = createServer((socket) => socket.end("hello"));
    local.listen(path);
    await once(local, "listening");
    const script = `require("node:net").connect(${JSON.stringify(path)})
      .on("data", (d) => show(String(d))).on("error", (e) => show(e.code));`;
    expect(await confined(script)).toBe("hello");
    local.close();
  });
});

describe("the report", () => {
  it("names what was applied and what is missing, as JSON where asked", async () => {
    const report = join(folder, "report");
    const { stderr } = await launch(
      [...nodeOptions(), "--report-fd=3", "--", process.execPath, "-e", ""],
      [openSync(report, "w")],
    );
    expect(stderr).toBe("");
    const { applied, missing } = JSON.parse(readFileSync(report, "utf8")) as {
      applied: string[];
      missing: string[];
    };
    expect(applied).toContain("no new privileges");
    const files = [...applied, ...missing].filter((text) => text.startsWith("files by Landlock"));
    expect(files).toHaveLength(1);
    expect(applied.includes(files[0] ?? "")).toBe(landlockAbi > 0);
    expect(missing.join()).toMatch(/a user of its own/);
  });
});
