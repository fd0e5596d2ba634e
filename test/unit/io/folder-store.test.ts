// SPDX-License-Identifier: Apache-2.0
/** A store in a folder: what is kept, what is dropped, and what is not believed. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FOLDER_STORE_LIMITS, FolderStore } from "../../../src/io/folder-store.js";

let folder = "";
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), "vgpu-store-")), "kept");
});
afterEach(() => {
  rmSync(join(folder, ".."), { recursive: true, force: true });
});

const nameOf = (text: string): string => createHash("sha256").update(text).digest("hex");
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const A = nameOf("a");
const B = nameOf("b");

async function textOf(store: FolderStore, name: string): Promise<string | null> {
  const found = await store.get(name);
  return found === null ? null : new TextDecoder().decode(found);
}

describe("a folder store", () => {
  it("gives back what it was given, to the next process too", async () => {
    const store = new FolderStore(folder);
    expect(await store.get(A)).toBeNull();
    expect(await store.put(A, bytes("one"))).toBe(true);
    expect(await store.put(A, bytes("two"))).toBe(true);
    expect(await store.put(B, bytes(""))).toBe(true);
    expect(await textOf(store, A)).toBe("two");
    const next = new FolderStore(folder);
    expect([next.entries, next.bytes]).toEqual([store.entries, store.bytes]);
    expect([await textOf(next, A), await textOf(next, B)]).toEqual(["two", ""]);
    expect(next.corrupt + next.failures).toBe(0);
  });

  it("is for its user alone, and leaves nothing half written", async () => {
    const store = new FolderStore(folder);
    await Promise.all([store.put(A, bytes("x".repeat(1e6))), store.put(A, bytes("y"))]);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect([store.entries, store.bytes]).toEqual([1, new FolderStore(folder).bytes]);
    expect(readdirSync(folder)).toEqual([A]);
    expect(statSync(join(folder, A)).mode & 0o777).toBe(0o600);
  });

  it.each<[string, (path: string) => void]>([
    ["cut", (path) => truncateSync(path, statSync(path).size - 1)],
    ["empty", (path) => truncateSync(path, 0)],
    ["cut within its head", (path) => truncateSync(path, 20)],
    ["longer", (path) => writeFileSync(path, "x", { flag: "a" })],
    [
      "changed in one bit",
      (path) => {
        const all = readFileSync(path);
        all[all.length - 1] = (all.at(-1) ?? 0) ^ 1;
        writeFileSync(path, all);
      },
    ],
    ["another file", (path) => writeFileSync(path, "no such magic ".repeat(10))],
    ["that of another name", (path) => writeFileSync(path, readFileSync(join(folder, B)))],
  ])("does not believe a file that is %s, and replaces it", async (_, spoil) => {
    const store = new FolderStore(folder);
    await store.put(A, bytes("right"));
    await store.put(B, bytes("other"));
    spoil(join(folder, A));
    expect(await store.get(A)).toBeNull();
    expect(store.corrupt).toBe(1);
    expect(existsSync(join(folder, A))).toBe(false);
    await store.put(A, bytes("right"));
    expect([await textOf(store, A), await textOf(store, B)]).toEqual(["right", "other"]);
  });

  it("reads nothing through a link, from a pipe, or from a folder", async () => {
    const store = new FolderStore(folder);
    await store.put(B, bytes("secret"));
    const [link, pipe, inner] = ["l", "p", "i"].map(nameOf) as [string, string, string];
    symlinkSync(join(folder, B), join(folder, link));
    execFileSync("mkfifo", [join(folder, pipe)]);
    mkdirSync(join(folder, inner));
    for (const name of [link, pipe, inner]) expect(await store.get(name)).toBeNull();
    expect(new FolderStore(folder).entries).toBe(1);
  });

  it("reads no file that is longer than any it writes", async () => {
    const limits = { ...FOLDER_STORE_LIMITS, entryBytesMax: 100 };
    const store = new FolderStore(folder, limits);
    expect(await store.put(A, bytes("x".repeat(101)))).toBe(false);
    expect(await store.put(A, bytes("x".repeat(100)))).toBe(true);
    await new FolderStore(folder).put(B, bytes("x".repeat(101)));
    expect((await store.get(A))?.length).toBe(100);
    expect(await store.get(B)).toBeNull();
  });

  it("drops what was used longest ago, in this process and before", async () => {
    const names = ["1", "2", "3", "4"].map(nameOf) as [string, string, string, string];
    const limits = { bytesMax: 3 * 140, entriesMax: 100, entryBytesMax: 100 };
    const store = new FolderStore(folder, limits);
    for (const name of names.slice(0, 3)) await store.put(name, bytes("x".repeat(100)));
    await store.get(names[0]);
    await store.put(names[3], bytes("x".repeat(100)));
    expect(readdirSync(folder).sort()).toEqual([names[0], names[2], names[3]].sort());
    expect(store.bytes).toBe(3 * 140);
    for (const [index, name] of [names[3], names[0], names[2]].entries())
      utimesSync(join(folder, name), 1000 + index, 1000 + index);
    new FolderStore(folder, { ...limits, entriesMax: 1 });
    expect(readdirSync(folder)).toEqual([names[2]]);
  });

  it("removes what an earlier process left unfinished, and touches nothing else", async () => {
    mkdirSync(folder);
    for (const name of ["new-1-2-3", "new-1-2-4", "notes.txt"])
      writeFileSync(join(folder, name), "x");
    utimesSync(join(folder, "new-1-2-3"), 1000, 1000);
    new FolderStore(folder);
    expect(readdirSync(folder).sort()).toEqual(["new-1-2-4", "notes.txt"]);
  });

  it("serves several processes at once", async () => {
    const stores = [new FolderStore(folder), new FolderStore(folder)] as const;
    for (let round = 0; round < 20; round++) {
      const text = String(round);
      await Promise.all(stores.map((store) => store.put(A, bytes(text.repeat(1000)))));
      for (const store of stores) expect(await textOf(store, A)).toBe(text.repeat(1000));
    }
    expect(readdirSync(folder)).toEqual([A]);
    // One removes what the other knows of.
    await stores[0].remove(A);
    expect(await stores[1].get(A)).toBeNull();
    expect(stores[1].entries).toBe(0);
  });

  it("goes on without a folder that is gone, and says so once", async () => {
    const said: string[] = [];
    const store = new FolderStore(folder, FOLDER_STORE_LIMITS, (error) => said.push(error.message));
    await store.put(A, bytes("x"));
    rmSync(folder, { recursive: true });
    expect(await store.put(B, bytes("y"))).toBe(false);
    expect(await store.put(B, bytes("y"))).toBe(false);
    expect(await store.get(A)).toBeNull();
    expect(store.failures).toBe(2);
    expect(said).toHaveLength(1);
    expect(() => new FolderStore("/proc/nowhere")).toThrow(/ENOENT/);
  });

  it("goes on with a full disk, and leaves no part of a file there", async (context) => {
    mkdirSync(folder);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]);
    if (mounted.status !== 0) context.skip("no file system can be mounted here");
    try {
      chmodSync(folder, 0o700);
      const store = new FolderStore(folder);
      expect(await store.put(A, bytes("small"))).toBe(true);
      expect(await store.put(B, bytes("x".repeat(200_000)))).toBe(false);
      expect(store.failures).toBe(1);
      expect(readdirSync(folder)).toEqual([A]);
      expect(await textOf(store, A)).toBe("small");
    } finally {
      spawnSync("umount", [folder]);
    }
  });
});
