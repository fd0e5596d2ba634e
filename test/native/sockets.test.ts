// SPDX-License-Identifier: Apache-2.0
//
// Unix sockets of the addon: who may listen where, and that passed descriptors arrive in exact
// number and never leak.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import * as native from "../../src/io/native.js";
import { addonPath, openDescriptors } from "./support/children.js";

let folder = "";
let fds: number[] = [];

function own(fd: number): number {
  fds.push(fd);
  return fd;
}

function pair(): [number, number] {
  const [a, b] = native.socketpair();
  return [own(a), own(b)];
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vgpu-sockets-"));
  fds = [];
});

afterEach(() => {
  for (const fd of fds) native.close(fd);
  rmSync(folder, { recursive: true, force: true });
});

describe("listen", () => {
  test("accepts a connection and tells who made it", () => {
    const path = join(folder, "a.sock");
    const listener = own(native.listen(path));
    expect(native.accept(listener)).toBe(-1);
    const client = own(native.connect(path));
    const server = own(native.accept(listener));
    expect(server).toBeGreaterThan(2);
    expect(native.peerCredentials(server)).toEqual({
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
    expect(native.isListening(listener)).toBe(true);
    expect(native.isListening(server)).toBe(false);
    native.sendmsg(client, bytes("hi"));
    const buffer = new Uint8Array(8);
    expect(native.recvmsg(server, buffer, 1, 4, 0).bytes).toBe(2);
    expect(String.fromCharCode(...buffer)).toBe("\0hi\0\0\0\0\0");
  });

  test.each([0o600, 0o660, 0o777])("makes the socket file with mode %o", (mode) => {
    const path = join(folder, "mode.sock");
    own(native.listen(path, { mode }));
    expect(statSync(path).mode & 0o777).toBe(mode);
  });

  test("refuses a path where a process listens, and leaves that one working", () => {
    const path = join(folder, "live.sock");
    const listener = own(native.listen(path));
    expect(() => native.listen(path)).toThrowError(
      expect.objectContaining({ code: "EADDRINUSE", syscall: "listen" }),
    );
    own(native.connect(path));
    // The refused attempt made one connection to find out; ours is among the next.
    const accepted = [native.accept(listener), native.accept(listener)].filter((fd) => fd >= 0);
    for (const fd of accepted) own(fd);
    expect(accepted.length).toBe(2);
  });

  test("replaces a socket file that nobody listens on", () => {
    const path = join(folder, "stale.sock");
    native.close(native.listen(path));
    expect(existsSync(path)).toBe(true);
    const listener = own(native.listen(path));
    own(native.connect(path));
    expect(own(native.accept(listener))).toBeGreaterThan(2);
  });

  test("never removes a file that is no socket", () => {
    const path = join(folder, "precious");
    writeFileSync(path, "data");
    expect(() => native.listen(path)).toThrowError(expect.objectContaining({ code: "EADDRINUSE" }));
    expect(readFileSync(path, "utf8")).toBe("data");
  });

  test("takes a path of 107 bytes and refuses one of 108", () => {
    const longest = join(folder, "x".repeat(107 - folder.length - 1));
    own(native.listen(longest));
    expect(() => native.listen(`${longest}y`)).toThrow(RangeError);
  });

  test.each([
    ["a folder that does not exist", "missing/a.sock", "ENOENT"],
    ["a path with a zero byte", "a\0b", undefined],
  ])("refuses %s", (_what, name, code) => {
    const attempt = () => native.listen(join(folder, name));
    if (code === undefined) expect(attempt).toThrow(RangeError);
    else expect(attempt).toThrowError(expect.objectContaining({ code }));
  });

  test("of two starters on one stale socket exactly one wins, in every of many races", async () => {
    const rounds = 200;
    const paths = Array.from({ length: rounds }, (_, i) => join(folder, `race${i}`));
    for (const path of paths) native.close(native.listen(path));
    // Two threads meet at a barrier before each round, and one then waits a little, longer each
    // round (to 40 µs), so that they meet at each step of listen. What they won stays open.
    const source = `
      const { workerData, parentPort } = require("node:worker_threads");
      const native = require(workerData.addonPath);
      const arrivals = new Int32Array(workerData.barrier);
      const outcomes = workerData.paths.map((path, round) => {
        Atomics.add(arrivals, 0, 1);
        while (Atomics.load(arrivals, 0) < 2 * (round + 1));
        for (const untilNs = native.nowNs() + workerData.delayNs * round; native.nowNs() < untilNs; );
        try { return native.listen(path, 4, 0o600); } catch (error) { return error.code; }
      });
      parentPort.postMessage(outcomes);`;
    const barrier = new SharedArrayBuffer(4);
    const start = (delayNs: number): Promise<(number | string)[]> =>
      new Promise((resolve, reject) => {
        const workerData = { addonPath, paths, barrier, delayNs };
        new Worker(source, { eval: true, workerData }).on("message", resolve).on("error", reject);
      });
    const [left, right] = await Promise.all([start(0), start(200)]);
    for (let round = 0; round < rounds; round += 1) {
      const outcome = [left[round], right[round]];
      for (const each of outcome) if (typeof each === "number") own(each);
      expect(outcome.filter((each) => typeof each === "number")).toHaveLength(1);
      expect(outcome).toContain("EADDRINUSE");
    }
  });
});

describe("connect", () => {
  test.each([
    ["no socket there", (path: string) => path, "ENOENT"],
    [
      "nobody listening",
      (path: string) => {
        native.close(native.listen(path));
        return path;
      },
      "ECONNREFUSED",
    ],
  ])("with %s", (_what, prepare, code) => {
    const path = prepare(join(folder, "c.sock"));
    expect(() => native.connect(path)).toThrowError(expect.objectContaining({ code }));
  });
});

describe("recvmsg and sendmsg", () => {
  test("report nothing there, bytes, and the end of the stream", () => {
    const [a, b] = pair();
    const buffer = new Uint8Array(4);
    expect(native.recvmsg(b, buffer, 0, 4, 8)).toEqual({ bytes: -1, fds: [], truncated: false });
    native.sendmsg(a, bytes("abcdef"), [], 1, 3);
    expect(native.recvmsg(b, buffer, 0, 4, 8).bytes).toBe(3);
    expect(String.fromCharCode(...buffer.subarray(0, 3))).toBe("bcd");
    native.shutdown(a);
    expect(native.recvmsg(b, buffer, 0, 4, 8).bytes).toBe(0);
  });

  test("a full socket gives −1, a gone peer EPIPE, and no signal", () => {
    const [a, b] = native.socketpair();
    own(a);
    const chunk = new Uint8Array(65536);
    let sent = 0;
    while (native.sendmsg(a, chunk) > 0) sent += 1;
    expect(sent).toBeGreaterThan(0);
    expect(native.sendmsg(a, chunk)).toBe(-1);
    native.close(b);
    expect(() => native.sendmsg(a, chunk)).toThrowError(expect.objectContaining({ code: "EPIPE" }));
  });

  test.each([1, 2, 7, 8])("%i descriptors arrive, close-on-exec, none leaks", (count) => {
    const [a, b] = pair();
    const files = Array.from({ length: count }, (_, i) => native.memfdCreate(`f${i}`, 100 + i));
    const before = openDescriptors();
    native.sendmsg(a, bytes("m"), files);
    const got = native.recvmsg(b, new Uint8Array(1), 0, 1, 8);
    expect(got.fds.map((fd) => native.fstatSize(fd))).toEqual(files.map((_, i) => 100 + i));
    expect(got.truncated).toBe(false);
    for (const fd of got.fds) {
      expect(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")).toMatch(/flags:\s*02[0-7]*$/m);
      native.close(fd);
    }
    expect(openDescriptors()).toBe(before);
    for (const fd of files) native.close(fd);
  });

  test.each([
    [9, 8],
    [4, 3],
    [3, 0],
    [253, 8],
  ])("of %i descriptors at most %i are taken; the others are closed", (count, maxFds) => {
    const [a, b] = pair();
    const file = own(native.memfdCreate("many", 4096));
    native.sendmsg(a, bytes("m"), new Array<number>(count).fill(file));
    const before = openDescriptors();
    const got = native.recvmsg(b, new Uint8Array(1), 0, 1, maxFds);
    expect(got.fds).toHaveLength(maxFds);
    expect(got.truncated).toBe(true);
    expect(openDescriptors()).toBe(before + maxFds);
    for (const fd of got.fds) native.close(fd);
  });

  test("descriptors come with the first byte of their message, not later", () => {
    const [a, b] = pair();
    const file = own(native.memfdCreate("first", 4096));
    native.sendmsg(a, bytes("plain"));
    native.sendmsg(a, bytes("with"), [file]);
    const buffer = new Uint8Array(64);
    const first = native.recvmsg(b, buffer, 0, 5, 8);
    expect([first.bytes, first.fds.length]).toEqual([5, 0]);
    const second = native.recvmsg(b, buffer, 0, 2, 8);
    expect([second.bytes, second.fds.length]).toEqual([2, 1]);
    const third = native.recvmsg(b, buffer, 0, 2, 8);
    expect([third.bytes, third.fds.length]).toEqual([2, 0]);
    for (const fd of second.fds) native.close(fd);
  });

  test("peek leaves bytes and descriptors in place", () => {
    const [a, b] = pair();
    const file = own(native.memfdCreate("peek", 4096));
    native.sendmsg(a, bytes("xyz"), [file]);
    const buffer = new Uint8Array(3);
    const peeked = native.recvmsg(b, buffer, 0, 3, 8, { peek: true });
    const taken = native.recvmsg(b, buffer, 0, 3, 8);
    for (const message of [peeked, taken]) {
      expect([message.bytes, message.fds.length]).toEqual([3, 1]);
      for (const fd of message.fds) native.close(fd);
    }
    expect(native.recvmsg(b, buffer, 0, 3, 8).bytes).toBe(-1);
  });

  test("wrong arguments throw and do nothing", () => {
    const [a, b] = pair();
    const buffer = new Uint8Array(8);
    expect(() => native.recvmsg(b, buffer, 4, 5, 8)).toThrow(RangeError);
    expect(() => native.recvmsg(b, buffer, 9, 0, 8)).toThrow(RangeError);
    expect(() => native.recvmsg(b, buffer, 0, 8, 254)).toThrow(RangeError);
    expect(() => native.recvmsg(-1, buffer, 0, 8, 0)).toThrow(RangeError);
    expect(() => native.recvmsg(1e6, buffer, 0, 8, 0)).toThrowError(
      expect.objectContaining({ code: "EBADF" }),
    );
    expect(() => native.recvmsg(b, "no" as unknown as Uint8Array, 0, 1, 0)).toThrow(TypeError);
    expect(() => native.sendmsg(a, buffer, [-1])).toThrowError(
      expect.objectContaining({ code: "EBADF" }),
    );
    expect(() => native.sendmsg(a, buffer, ["1" as unknown as number])).toThrow(TypeError);
    expect(() => native.sendmsg(a, buffer, new Array<number>(254).fill(a))).toThrow(RangeError);
    expect(native.recvmsg(b, buffer, 0, 8, 0).bytes).toBe(-1);
  });
});
