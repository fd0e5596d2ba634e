// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it, vi } from "vitest";
import { parseSize, UsageError } from "../../../src/cli/common.js";
import { capabilities, parseInstanceOptions } from "../../../src/cli/instance-options.js";

const parse = (...args: string[]): ReturnType<typeof parseInstanceOptions> =>
  parseInstanceOptions(["node", "vgpu-instance", ...args]);

/** Runs with commander's own output swallowed; returns it. */
function printed(...args: string[]): { code: number; out: string } {
  let out = "";
  const take = (chunk: unknown): boolean => {
    out += String(chunk);
    return true;
  };
  const spies = [
    vi.spyOn(process.stdout, "write").mockImplementation(take),
    vi.spyOn(process.stderr, "write").mockImplementation(take),
  ];
  try {
    const parsed = parse(...args);
    return { code: parsed.kind === "exit" ? parsed.code : -1, out };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

describe("options of vgpu-instance", () => {
  it("takes a path with defaults", () => {
    expect(parse("--socket-path=/run/x.sock", "--id=a")).toEqual({
      kind: "run",
      options: {
        socket: { path: "/run/x.sock" },
        executor: "dawn",
        brokerPath: null,
        gvmcsFds: null,
        id: "a",
        memoryLimitBytes: null,
        translationCache: null,
        logLevel: "info",
        polling: null,
        crashAt: null,
      },
    });
  });

  it("takes a descriptor and everything else", () => {
    const args = ["--fd=3", "--executor=null", "--broker=/b", "--memory-limit=4GiB", "--id=g.1"];
    const cache = "--translation-cache=/var/../cache/t";
    expect(parse(...args, "--log-level=debug", cache)).toMatchObject({
      options: {
        socket: { fd: 3 },
        executor: "null",
        brokerPath: "/b",
        id: "g.1",
        memoryLimitBytes: 4 * 2 ** 30,
        translationCache: "/cache/t",
        logLevel: "debug",
      },
    });
  });

  it("needs exactly one of --socket-path and --fd", () => {
    expect(() => parse()).toThrow(/neither --socket-path nor --fd/);
    expect(() => parse("--fd=3", "--socket-path=/x")).toThrow(/both given/);
  });

  it.each([["--executor=cuda"], ["--fd=two"], ["--fd=1"], ["--log-level=loud"], ["--unknown"]])(
    "refuses %s with code 2 and names it",
    (arg) => {
      const { code, out } = printed("--socket-path=/x", arg);
      expect(code).toBe(2);
      expect(out).toContain(arg.replace(/=.*/, ""));
    },
  );

  it("refuses a bad size, name and path, and arguments that are no options", () => {
    expect(() => parse("--fd=3", "stray")).toThrow(/'stray'/);
    expect(() => parse("--fd=3", "--memory-limit=lots")).toThrow(UsageError);
    expect(() => parse("--fd=3", "--id=a/b")).toThrow(/--id/);
    expect(() => parse(`--socket-path=/${"x".repeat(107)}`)).toThrow(/108 bytes/);
  });

  it("takes polling windows in microseconds", () => {
    const polling = (text: string): unknown => {
      const parsed = parse("--fd=3", `--polling=${text}`);
      return parsed.kind === "run" ? parsed.options.polling : null;
    };
    expect(polling("0")).toEqual({ windowNs: 0, busyWindowNs: 0, spinNs: 0 });
    expect(polling("50")).toEqual({ windowNs: 50_000, busyWindowNs: 50_000, spinNs: 2000 });
    expect(polling("50,200,5")).toEqual({ windowNs: 50_000, busyWindowNs: 200_000, spinNs: 5000 });
    for (const wrong of ["", "x", "-1", "1,2,3,4", "1000001"])
      expect(printed("--fd=3", `--polling=${wrong}`).code).toBe(2);
  });

  it("exits with 0 for help and version", () => {
    expect(printed("--help")).toMatchObject({ code: 0, out: expect.stringContaining("--fd") });
    expect(printed("--version")).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\./) });
  });

  it("prints capabilities without a socket", () => {
    expect(parse("--print-capabilities")).toEqual({ kind: "print-capabilities" });
    expect(capabilities()).toMatchObject({ "virtio-id": 38, "num-vqs": 3 });
    expect(capabilities()).not.toHaveProperty("type");
  });
});

describe("sizes", () => {
  it.each([
    ["1", 1],
    ["512M", 512 * 2 ** 20],
    ["2g", 2 * 2 ** 30],
    ["3KiB", 3072],
    ["1TB", 2 ** 40],
  ])("%s is %d bytes", (text, bytes) => {
    expect(parseSize(text, "--x")).toBe(bytes);
  });
  it.each(["0", "-1", "1.5G", "G", "", "1P", "9007199254740993", "9000000T"])(
    "'%s' is refused",
    (text) => {
      expect(() => parseSize(text, "--x")).toThrow(/--x/);
    },
  );
});
