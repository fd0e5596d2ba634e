// SPDX-License-Identifier: Apache-2.0
//
// Mappings: windows of large regions, lifetime in any order, and files that shrink.

import { randomFill } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as native from "../../src/io/native.js";
import { addonPath, openDescriptors, runScript } from "./support/children.js";

const GIB = 2 ** 30;

function memfd(bytes: number): number {
  return native.memfdCreate("mapping-test", bytes, { seals: 0 });
}

/** How many mappings of our memfds this process has. */
function mappedCount(): number {
  const lines = readFileSync("/proc/self/maps", "utf8").split("\n");
  return lines.filter((line) => line.includes("memfd:mapping-test")).length;
}

describe("windows", () => {
  test("are the same object for the same range while it is reachable", () => {
    const fd = memfd(65536);
    const mapping = native.mapRegion(fd, 0, 65536);
    const window = mapping.window(4096, 100);
    expect(mapping.window(4096, 100)).toBe(window);
    expect(mapping.window(4096, 101)).not.toBe(window);
    new Uint8Array(mapping.window(4096, 101))[99] = 9;
    expect(new Uint8Array(window)[99]).toBe(9);
    mapping.unmap();
    native.close(fd);
  });

  test("cover a region of more than 4 GiB, and see the same bytes where they cross", () => {
    const fd = memfd(5 * GIB);
    const mapping = native.mapRegion(fd, 0, 5 * GIB);
    expect(mapping.bytes).toBe(5 * GIB);
    const last = new Uint8Array(mapping.window(4 * GIB, GIB));
    const across = new Uint8Array(mapping.window(5 * GIB - 2 * 4096, 2 * 4096));
    last[GIB - 4097] = 1;
    last[GIB - 4096] = 2;
    last[GIB - 1] = 3;
    expect([across[4095], across[4096], across[8191]]).toEqual([1, 2, 3]);
    const second = native.mapRegion(fd, 5 * GIB - 1, 1);
    expect(new Uint8Array(second.window(0, 1))[0]).toBe(3);
    mapping.unmap();
    second.unmap();
    native.close(fd);
  });

  test.each([
    [0, 4096],
    [4096, 4096],
    [123, 5000],
    [4095, 2],
    [8191, 1],
  ])("of a region at file offset %i of %i bytes show just these", (offset, bytes) => {
    const fd = memfd(16384);
    const whole = new Uint8Array(native.mapRegion(fd, 0, 16384).window(0, 16384));
    for (let i = 0; i < whole.length; i += 1) whole[i] = i % 251;
    const mapping = native.mapRegion(fd, BigInt(offset), BigInt(bytes));
    const window = new Uint8Array(mapping.window(0, bytes));
    expect(window.length).toBe(bytes);
    expect(window).toEqual(whole.slice(offset, offset + bytes));
    mapping.unmap();
    native.close(fd);
  });

  test("out of the region, of 0 bytes or over 1 GiB are refused", () => {
    const fd = memfd(2 * GIB);
    const mapping = native.mapRegion(fd, 0, 2 * GIB);
    expect(mapping.window(0, GIB).byteLength).toBe(GIB);
    for (const [offset, length] of [
      [0, GIB + 1],
      [2 * GIB, 1],
      [2 * GIB - 1, 2],
      [0, 0],
      [-1, 1],
      [0.5, 1],
      [0, Number.NaN],
    ] as const) {
      expect(() => mapping.window(offset, length)).toThrow(RangeError);
    }
    expect(() => mapping.window("0" as unknown as number, 1)).toThrow(TypeError);
    mapping.unmap();
    native.close(fd);
  });
});

describe("mapRegion", () => {
  test.each([
    [0, 4097],
    [4096, 1],
    [1, 4096],
    [2n ** 62n, 1],
    [0, 0],
    [-1, 1],
    [0, 2 ** 47],
    [2n ** 64n, 1],
  ])("of a 4096-byte file refuses offset %s with %s bytes", (offset, bytes) => {
    const fd = memfd(4096);
    const before = openDescriptors();
    expect(() => native.mapRegion(fd, offset, bytes)).toThrow(RangeError);
    expect(openDescriptors()).toBe(before);
    native.close(fd);
  });

  test("keeps the mapping when the descriptor is closed, and no descriptor after unmap", () => {
    const before = openDescriptors();
    const fd = memfd(4096);
    const mapping = native.mapRegion(fd, 0, 4096);
    native.close(fd);
    const view = new Uint8Array(mapping.window(0, 4096));
    view[0] = 5;
    expect(view[0]).toBe(5);
    mapping.unmap();
    expect(openDescriptors()).toBe(before);
  });

  test("read-only maps what is sealed, and refuses native writes", () => {
    const fd = memfd(4096);
    native.addSeals(fd, native.Seals.write);
    expect(() => native.mapRegion(fd, 0, 4096)).toThrowError(
      expect.objectContaining({ code: "EPERM" }),
    );
    const mapping = native.mapRegion(fd, 0, 4096, { readonly: true });
    expect(mapping.readonly).toBe(true);
    const view = new Uint8Array(mapping.window(0, 4096));
    expect(view[0]).toBe(0);
    const words = new native.RingWords(view);
    expect(words.load32(0)).toBe(0);
    expect(() => words.store32(0, 1)).toThrow(TypeError);
    expect(() => native.storeRelease16(view, 0, 1)).toThrow(TypeError);
    expect(() => native.copy(view, 0, new Uint8Array(4), 0, 4)).toThrow(TypeError);
    mapping.unmap();
    native.close(fd);
  });
});

describe("unmap", () => {
  test("detaches every window and view, and can be called twice", () => {
    const fd = memfd(8192);
    const mapping = native.mapRegion(fd, 0, 8192);
    const windows = [mapping.window(0, 8192), mapping.window(4096, 4096)];
    const view = new Uint32Array(windows[0] ?? new ArrayBuffer(0), 4, 8);
    const words = new native.RingWords(view);
    const { load32 } = words;
    mapping.unmap();
    mapping.unmap();
    expect(windows.map((window) => window.byteLength)).toEqual([0, 0]);
    expect(view.length).toBe(0);
    expect(mapping.mapped).toBe(false);
    expect(() => words.load32(0)).toThrow(RangeError);
    expect(() => load32(0)).toThrow(RangeError);
    expect(() => native.loadAcquire32(view, 0)).toThrow(RangeError);
    expect(() => mapping.window(0, 1)).toThrow(Error);
    expect(() => new native.RingWords(view)).toThrow(RangeError);
    native.close(fd);
  });

  test("refuses when a window was transferred away, since its memory is still reachable", (context) => {
    const fd = memfd(4096);
    const mapping = native.mapRegion(fd, 0, 4096);
    native.close(fd);
    const window = mapping.window(0, 4096) as ArrayBuffer & { transfer?: () => ArrayBuffer };
    if (window.transfer === undefined) return context.skip("ArrayBuffer has no transfer");
    const moved = new Uint8Array(window.transfer());
    expect(() => mapping.unmap()).toThrow(Error);
    moved[0] = 1;
    expect(new Uint8Array(mapping.window(0, 4096))[0]).toBe(1);
    return undefined;
  });

  test("keeps guest memory out of core dumps", () => {
    const fd = memfd(4096);
    const mapping = native.mapRegion(fd, 0, 4096);
    const entry = readFileSync("/proc/self/smaps", "utf8").split(/\n(?=[0-9a-f]+-)/);
    const ours = entry.filter((text) => text.includes("memfd:mapping-test"));
    expect(ours.length).toBeGreaterThan(0);
    for (const text of ours) expect(text).toMatch(/^VmFlags:.* dd/m);
    mapping.unmap();
    native.close(fd);
  });

  test("frees the address range at once", () => {
    const fd = memfd(4096);
    const before = mappedCount();
    const mapping = native.mapRegion(fd, 0, 4096);
    mapping.window(0, 10);
    expect(mappedCount()).toBe(before + 1);
    mapping.unmap();
    expect(mappedCount()).toBe(before);
    native.close(fd);
  });

  test("collection in any order frees the mapping, and only then", async () => {
    const result = await runScript(
      `
      const fs = require("fs");
      const mapped = () => (fs.readFileSync("/proc/self/maps", "utf8").match(/memfd:gc-test/g) ?? []).length;
      const settle = async () => { for (let i = 0; i < 20; i++) { gc(); await new Promise((r) => setImmediate(r)); } };
      const fd = native.memfdCreate("gc-test", 65536, false);
      const make = (keep) => {
        const mapping = new native.Mapping(fd, 0, 65536, false);
        const window = mapping.window(0, 4096);
        new Uint8Array(window)[0] = 1;
        const words = new native.RingWords(new Uint8Array(window));
        return { mapping, window, words, none: null }[keep];
      };
      (async () => {
        const counts = [];
        for (const keep of ["mapping", "window", "words", "none"]) {
          let kept = make(keep);
          await settle();
          counts.push(mapped());
          if (keep === "window") counts.push(new Uint8Array(kept)[0]);
          if (keep === "words") counts.push(kept.load8(0));
          kept = null;
          await settle();
          counts.push(mapped());
        }
        console.log(counts.join(" "));
      })();`,
      ["--expose-gc"],
    );
    expect(result.stdout.trim()).toBe("1 0 1 1 0 1 1 0 0 0");
  });

  test("many windows that come and go do not accumulate", async () => {
    const result = await runScript(
      `
      const fd = native.memfdCreate("many", 1 << 20, false);
      const mapping = new native.Mapping(fd, 0, 1 << 20, false);
      (async () => {
        for (let i = 0; i < 200000; i++) {
          mapping.window(i % 1000, 1 + (i % 7919));
          if (i % 1000 === 0) await new Promise((r) => setImmediate(r));
        }
        gc(); await new Promise((r) => setImmediate(r)); gc();
        const before = mapping.window(5, 5);
        mapping.unmap();
        console.log("done", before.byteLength, process.memoryUsage().rss < 400e6);
      })();`,
      ["--expose-gc"],
    );
    expect(result.stdout.trim()).toBe("done 0 true");
  });

  test("the limit of mappings is an error, not a crash, and slots are used again", () => {
    const fd = memfd(4096);
    const mappings: native.Mapping[] = [];
    expect(() => {
      for (;;) mappings.push(native.mapRegion(fd, 0, 4096));
    }).toThrow(RangeError);
    expect(mappings.length).toBeGreaterThan(900);
    for (const mapping of mappings) mapping.unmap();
    native.mapRegion(fd, 0, 4096).unmap();
    native.close(fd);
  });
});

describe("a file that shrinks", () => {
  test("reads as zero beyond its end, keeps what is left, and is marked", () => {
    const fd = memfd(16384);
    const mapping = native.mapRegion(fd, 0, 16384);
    const view = new Uint8Array(mapping.window(0, 16384)).fill(7);
    native.ftruncate(fd, 4096);
    expect(mapping.poisoned).toBe(false);
    expect([view[4095], view[4096], view[16383]]).toEqual([7, 0, 0]);
    expect(mapping.poisoned).toBe(true);
    view[5000] = 3;
    expect(view[5000]).toBe(3);
    expect(mapping.faults).toBe(1);
    mapping.unmap();
    expect(mapping.poisoned).toBe(true);
    native.close(fd);
  });

  test("of 5 GiB costs one fault, not one for each page", () => {
    const fd = memfd(5 * GIB);
    const mapping = native.mapRegion(fd, 0, 5 * GIB);
    native.ftruncate(fd, 0);
    let sum = 0;
    for (let at = 0; at < 5 * GIB; at += 64 * 2 ** 20) {
      sum += new Uint8Array(mapping.window(at, 4096))[17] ?? 1;
    }
    expect(sum).toBe(0);
    expect(mapping.faults).toBe(1);
    mapping.unmap();
    native.close(fd);
  });

  test("in a region that starts inside a page and far into the file", () => {
    const fd = memfd(5 * GIB);
    const mapping = native.mapRegion(fd, 4 * GIB + 100, 20_000);
    const view = new Uint8Array(mapping.window(0, 20_000)).fill(1);
    native.ftruncate(fd, 4 * GIB + 4096);
    expect([view[0], view[3995], view[3996], view[19_999]]).toEqual([1, 1, 0, 0]);
    mapping.unmap();
    native.close(fd);
  });

  test("twice, with the first repair already in place", () => {
    const fd = memfd(16384);
    const mapping = native.mapRegion(fd, 0, 16384);
    const view = new Uint8Array(mapping.window(0, 16384)).fill(7);
    native.ftruncate(fd, 8192);
    expect(view[8192]).toBe(0);
    native.ftruncate(fd, 0);
    expect([view[0], view[4096], view[12_288]]).toEqual([0, 0, 0]);
    expect(mapping.faults).toBe(2);
    mapping.unmap();
    native.close(fd);
  });

  test("under native words, a native spin and a native copy", () => {
    const fd = memfd(8192);
    const mapping = native.mapRegion(fd, 0, 8192);
    const view = new Uint8Array(mapping.window(0, 8192)).fill(1);
    const words = new native.RingWords(view);
    native.ftruncate(fd, 0);
    expect(words.load32(4096)).toBe(0);
    expect(native.spinUntilChanged16(view, 0, 0, 1000)).toBe(false);
    native.copy(new Uint8Array(8192), 0, view, 0, 8192);
    expect(mapping.poisoned).toBe(true);
    mapping.unmap();
    native.close(fd);
  });

  test("under a write by another thread", async () => {
    const fd = memfd(8192);
    const mapping = native.mapRegion(fd, 0, 8192);
    const view = new Uint8Array(mapping.window(0, 8192));
    native.ftruncate(fd, 0);
    // randomFill writes on a thread of libuv's pool, as Dawn's threads would.
    await new Promise<void>((resolve, reject) => {
      randomFill(view, (error) => (error ? reject(error) : resolve()));
    });
    expect(mapping.poisoned).toBe(true);
    expect(view.some((byte) => byte !== 0)).toBe(true);
    mapping.unmap();
    native.close(fd);
  });

  test("concurrently on several threads, while mappings come and go", async () => {
    const result = await runScript(`
      const { Worker, isMainThread } = require("node:worker_threads");
      const source = \`
        const native = require(\${JSON.stringify(process.argv[1] ?? "")} || ${JSON.stringify(addonPath)});
        let faults = 0;
        for (let round = 0; round < 300; round++) {
          const fd = native.memfdCreate("race", 65536, false);
          const mapping = new native.Mapping(fd, 0, 65536, false);
          const view = new Uint8Array(mapping.window(0, 65536)).fill(1);
          native.ftruncate(fd, 0);
          for (let at = 0; at < 65536; at += 4096) if (view[at] !== 0) throw new Error("not zero");
          faults += mapping.faults;
          mapping.unmap();
          native.close(fd);
        }
        require("node:worker_threads").parentPort.postMessage(faults);\`;
      let total = 0;
      for (let i = 0; i < 3; i++) {
        new Worker(source, { eval: true }).on("message", (n) => { total += n; })
          .on("error", (error) => { console.error(error); process.exitCode = 1; });
      }
      process.on("exit", () => console.log(total));`);
    expect(result.stderr).toBe("");
    expect(result.stdout.trim()).toBe("900");
  });
});

describe("SIGBUS from elsewhere", () => {
  test("sent as a signal still ends the process", async () => {
    const result = await runScript(`
      const fd = native.memfdCreate("x", 4096, false);
      new native.Mapping(fd, 0, 4096, false);
      process.kill(process.pid, "SIGBUS");
      setTimeout(() => console.log("alive"), 2000);`);
    // Under the address sanitizer the handler before ours is its own, which exits with a report.
    const sanitized = result.stderr.includes("AddressSanitizer");
    expect(sanitized ? result.code : result.signal).toBe(sanitized ? 1 : "SIGBUS");
    expect(result.stdout).toBe("");
  });

  test("for another's mapping goes to the handler that was there before", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vgpu-sigbus-"));
    const second = join(folder, "second.node");
    copyFileSync(addonPath, second);
    // Two copies of the addon: the second one's handler must pass on the first one's fault.
    const result = await runScript(`
      const other = require(${JSON.stringify(second)});
      const make = (addon) => {
        const fd = addon.memfdCreate("x", 4096, false);
        const mapping = new addon.Mapping(fd, 0, 4096, false);
        const view = new Uint8Array(mapping.window(0, 4096)).fill(1);
        return { fd, mapping, view, addon };
      };
      const first = make(native);
      const later = make(other);
      for (const each of [first, later]) {
        each.addon.ftruncate(each.fd, 0);
        console.log(each.view[9], each.mapping.faults);
      }`);
    rmSync(folder, { recursive: true });
    expect(result.stdout.trim().split("\n")).toEqual(["0 1", "0 1"]);
  });
});

test("huge pages, where the host has any, are mapped and repaired in their own size", async (context) => {
  const folder = "/sys/kernel/mm/hugepages";
  const free =
    existsSync(folder) && readdirSync(folder).includes("hugepages-2048kB")
      ? Number(readFileSync(`${folder}/hugepages-2048kB/free_hugepages`, "utf8"))
      : 0;
  if (free < 2 || !existsSync("/dev/hugepages"))
    return context.skip("the host has no free huge pages");
  const result = await runScript(`
    const fs = require("fs");
    const path = "/dev/hugepages/vgpu-test-" + process.pid;
    const fd = fs.openSync(path, "w+");
    fs.unlinkSync(path);
    fs.ftruncateSync(fd, 4 << 20);
    const mapping = new native.Mapping(fd, 4096, 100, false);
    const view = new Uint8Array(mapping.window(0, 100)).fill(1);
    fs.ftruncateSync(fd, 0);
    console.log(view[0], mapping.poisoned);
    mapping.unmap();`);
  expect(result.stdout.trim()).toBe("0 true");
});
