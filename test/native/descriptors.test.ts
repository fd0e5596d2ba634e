// SPDX-License-Identifier: Apache-2.0
//
// Eventfds, memfds, signalling on foreign descriptors, and process-level calls.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { describe, expect, test } from "vitest";
import * as native from "../../src/io/native.js";
import { runScript } from "./support/children.js";

describe("eventfds", () => {
  test("count what is signalled and reset when read", () => {
    const fd = native.eventfd(5);
    expect(native.signal(fd)).toBe(true);
    expect(native.eventfdRead(fd)).toBe(6);
    expect(native.eventfdRead(fd)).toBe(-1);
    native.close(fd);
  });

  test("drain empties one and says how many bytes it took", () => {
    const fd = native.eventfd(3);
    expect(native.drain(fd)).toBe(8);
    expect(native.drain(fd)).toBe(0);
    native.close(fd);
  });

  test("a blocking descriptor never blocks: neither read, nor drained, nor signalled when full", () => {
    const fd = native.eventfd();
    native.setNonblocking(fd, false);
    expect(native.eventfdRead(fd)).toBe(-1);
    expect(native.drain(fd)).toBe(0);
    const [a, b] = native.socketpair();
    native.setNonblocking(a, false);
    native.setNonblocking(b, false);
    expect(native.drain(b)).toBe(0);
    while (native.sendmsg(a, new Uint8Array(4096)) > 0);
    expect(native.signal(a)).toBe(true);
    for (const each of [fd, a, b]) native.close(each);
  });
});

describe("signal on a socket", () => {
  test("sends eight bytes and reports a gone peer", () => {
    const [a, b] = native.socketpair();
    expect(native.signal(a)).toBe(true);
    expect(native.signal(a)).toBe(true);
    expect(native.drain(b)).toBe(16);
    native.close(b);
    expect(native.signal(a)).toBe(false);
    expect(native.drain(a)).toBe(-1);
    native.close(a);
  });

  test("a closed descriptor is an error, not silence", () => {
    const fd = native.eventfd();
    native.close(fd);
    for (const call of [native.signal, native.drain, native.eventfdRead]) {
      expect(() => call(fd)).toThrowError(expect.objectContaining({ code: "EBADF" }));
    }
    expect(() => native.close(fd)).toThrowError(expect.objectContaining({ code: "EBADF" }));
  });
});

describe("memfds", () => {
  test("have the asked size, of more than 4 GiB too", () => {
    const fd = native.memfdCreate("big", 6n * 2n ** 30n);
    expect(native.fstatSize(fd)).toBe(6 * 2 ** 30);
    expect(native.fstat(fd)).toEqual({ size: 6 * 2 ** 30, kind: "file" });
    native.ftruncate(fd, 12);
    expect(native.fstatSize(fd)).toBe(12);
    native.close(fd);
  });

  test("seals hold", () => {
    const fd = native.memfdCreate("sealed", 4096, { seals: native.Seals.shrink });
    expect(native.getSeals(fd)).toBe(native.Seals.shrink);
    expect(() => native.ftruncate(fd, 0)).toThrowError(expect.objectContaining({ code: "EPERM" }));
    native.ftruncate(fd, 8192);
    native.addSeals(fd, native.Seals.grow | native.Seals.seal);
    expect(() => native.ftruncate(fd, 9000)).toThrowError(
      expect.objectContaining({ code: "EPERM" }),
    );
    expect(() => native.addSeals(fd, native.Seals.write)).toThrowError(
      expect.objectContaining({ code: "EPERM" }),
    );
    native.close(fd);
  });

  test("without the option no seal can be added", () => {
    const fd = native.memfdCreate("plain", 4096);
    expect(() => native.addSeals(fd, native.Seals.grow)).toThrowError(
      expect.objectContaining({ code: "EPERM" }),
    );
    native.close(fd);
  });
});

describe("descriptors in general", () => {
  test("dup gives a second one to the same file", () => {
    const fd = native.memfdCreate("twice", 4096);
    const copy = native.dup(fd);
    native.close(fd);
    expect(native.fstatSize(copy)).toBe(4096);
    native.close(copy);
  });

  test("close-on-exec can be taken away, so that a child inherits", async () => {
    const fd = native.memfdCreate("inherited", 4096);
    native.setCloexec(fd, false);
    expect(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")).not.toMatch(/flags:\s*02[0-7]{6}$/m);
    native.setCloexec(fd, true);
    expect(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")).toMatch(/flags:\s*02[0-7]*$/m);
    native.close(fd);
  });

  test("fstat tells what a descriptor is", () => {
    const [a, b] = native.socketpair();
    const event = native.eventfd();
    const folder = openSync("/", "r");
    expect(native.fstat(a).kind).toBe("socket");
    expect(native.fstat(event).kind).toBe("anonymous");
    expect(native.fstat(folder).kind).toBe("directory");
    for (const fd of [a, b, event]) native.close(fd);
    closeSync(folder);
  });
});

describe("the process", () => {
  test("a pidfd signals exactly its process, and becomes readable when that ends", async () => {
    const child = spawn("sleep", ["60"]);
    const pidfd = native.pidfdOpen(child.pid ?? -1);
    const poller = native.createPoller();
    const ended = new Promise<number>((resolve) => {
      poller.watch(pidfd, native.PollEvents.readable, resolve);
    });
    expect(native.pidfdSendSignal(pidfd, 15)).toBe(true);
    expect((await ended) & native.PollEvents.readable).toBe(native.PollEvents.readable);
    await new Promise((resolve) => child.once("exit", resolve));
    expect(native.pidfdSendSignal(pidfd, 15)).toBe(false);
    native.close(pidfd);
    poller.close();
  });

  test("a death signal ends the child with its parent", async () => {
    // The grandchild reports its process id; when its parent is gone it must be gone too.
    const grandchild = `native.setPdeathsig(9); console.log(process.pid); setTimeout(() => {}, 60000);`;
    const result = await runScript(`
      const { spawn } = require("node:child_process");
      const prelude = "const native = require(" + JSON.stringify(require.resolve(${JSON.stringify(
        process.env.VGPU_ADDON ?? "./build/Release/vgpu_native.node",
      )}, { paths: [process.cwd()] })) + ");";
      const child = spawn(process.execPath, ["-e", prelude + ${JSON.stringify(grandchild)}]);
      child.stdout.once("data", (text) => { console.log(String(text).trim()); process.exit(0); });`);
    const pid = Number(result.stdout.trim());
    expect(pid).toBeGreaterThan(1);
    const gone = () => {
      try {
        return /^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
      } catch {
        return true;
      }
    };
    while (!gone()) await new Promise((resolve) => setTimeout(resolve, 5));
  });

  test("affinity is set and read back", () => {
    const before = native.getAffinity(0);
    const first = before[0] ?? 0;
    native.setAffinity(0, [first]);
    expect(native.getAffinity(0)).toEqual([first]);
    native.setAffinity(0, before);
    expect(native.getAffinity(0)).toEqual(before);
    expect(() => native.setAffinity(0, [1024])).toThrow(RangeError);
    expect(() => native.setAffinity(0, [])).toThrowError(
      expect.objectContaining({ code: "EINVAL" }),
    );
  });

  test("a thread knows its core, and how often it has lost it", async () => {
    const before = native.getAffinity(0);
    expect(before).toContain(native.currentCpu());
    const first = before[0] ?? 0;
    native.setAffinity(0, [first]);
    expect(native.currentCpu()).toBe(first);
    // Another process on the same core, which both want.
    const rival = spawn(process.execPath, ["-e", "for (;;);"]);
    const ended = once(rival, "exit");
    try {
      expect(rival.pid).toBeDefined();
      native.setAffinity(rival.pid ?? 0, [first]);
      const count = native.involuntarySwitches();
      const deadlineNs = native.nowNs() + 10e9;
      while (native.involuntarySwitches() === count)
        expect(native.nowNs()).toBeLessThan(deadlineNs);
    } finally {
      native.setAffinity(0, before);
      rival.kill("SIGKILL");
    }
    await ended;
  });

  test("threads are ones of batch work while they are told to be", async () => {
    // The policy is field 41, the 39th behind the name in parentheses.
    const policy = (): string | undefined =>
      readFileSync("/proc/thread-self/stat", "utf8").split(") ")[1]?.split(" ")[38];
    expect(policy()).toBe("0");
    expect(native.setBatch(0, true)).toBe(true);
    expect(policy()).toBe("3");
    expect(native.setBatch(0, false)).toBe(true);
    expect(policy()).toBe("0");
    const own = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
    const other =
      readdirSync("/proc/self/task")
        .map(Number)
        .find((thread) => thread !== own) ?? 0;
    const policyOf = (thread: number): string | undefined =>
      readFileSync(`/proc/self/task/${thread}/stat`, "utf8").split(") ")[1]?.split(" ")[38];
    expect(native.setBatch(other, true)).toBe(true);
    expect([policyOf(other), policy()]).toEqual(["3", "0"]);
    expect(native.setBatch(other, false)).toBe(true);
    expect(policyOf(other)).toBe("0");
    expect(native.setBatch(0x7fffffff, true)).toBe(false);
    expect(native.setBatch(0, false)).toBe(false);
    expect(() => native.setBatch(0, "yes" as unknown as boolean)).toThrow(TypeError);
  });

  test("the limit of descriptors is raised to the hard one", async () => {
    const result = await runScript(
      `console.log(native.raiseNofile());
       console.log(/Max open files +(\\d+) +(\\d+)/.exec(
         require("fs").readFileSync("/proc/self/limits", "utf8")).slice(1).join(" "));`,
    );
    const [limit, both] = result.stdout.trim().split("\n");
    expect(both).toBe(`${limit} ${limit}`);
  });

  test("the name shows in /proc", async () => {
    const result = await runScript(
      `native.prctlName("vgpu-test"); console.log(require("fs").readFileSync("/proc/self/comm", "utf8"));`,
    );
    expect(result.stdout.trim()).toBe("vgpu-test");
    expect(() => native.prctlName("x".repeat(16))).toThrow(RangeError);
  });

  test("time goes forward in nanoseconds", () => {
    const before = process.hrtime.bigint();
    const now = native.nowNs();
    const after = process.hrtime.bigint();
    expect(BigInt(now)).toBeGreaterThanOrEqual(before);
    expect(BigInt(now)).toBeLessThanOrEqual(after);
  });

  test("descriptors made here do not survive exec", async () => {
    const result = await runScript(
      `const fds = [native.eventfd(0), native.memfdCreate("x", 1, false), ...native.socketpair()];
       console.log(require("child_process").execFileSync("ls", ["-l", "/proc/self/fd"]).toString());`,
    );
    expect(result.stdout).not.toMatch(/memfd:x|eventfd/);
    expect(readlinkSync("/proc/self/exe")).toContain("node");
  });
});
