// SPDX-License-Identifier: Apache-2.0
/**
 * Keeps byte strings under names in a folder, bounded, for another process to find. What is found is
 * never trusted to be whole: each file has a checksum of its name and contents,
 *
 *   8 bytes  magic        32 bytes  SHA-256 of name and contents        contents
 *
 * and is ignored and removed if that does not fit: torn by a crash or a full disk, renamed, cut. A
 * checksum says nothing about who wrote it: that is the reader's concern.
 *
 * Files are written beside their place and renamed, so that nobody sees half of one; without fsync,
 * for the checksum finds what a crash leaves. Above its limits the store drops what was used longest
 * ago. Several processes may use one folder: each bounds what it knows of.
 */
import { createHash, randomUUID } from "node:crypto";
import { constants, lstatSync, mkdirSync, opendirSync, rmSync } from "node:fs";
import { open, rename, unlink, utimes } from "node:fs/promises";
import { join } from "node:path";

export interface FolderStoreLimits {
  /** All files together, and how many. */
  readonly bytesMax: number;
  readonly entriesMax: number;
  /** Contents of one file. */
  readonly entryBytesMax: number;
}

export const FOLDER_STORE_LIMITS: FolderStoreLimits = {
  bytesMax: 256 * 1024 * 1024,
  entriesMax: 4096,
  entryBytesMax: 8 * 1024 * 1024,
};

const MAGIC = Buffer.from("VGPUTC1\n", "latin1");
const DIGEST_BYTES = 32;
const HEAD_BYTES = MAGIC.length + DIGEST_BYTES;
const NAME = /^[0-9a-f]{64}$/;
const TEMPORARY = /^new-[0-9a-z-]{1,64}$/;
/** A file that nobody has finished for so long is not being written any more, ms. */
const ABANDONED_MS = 60_000;
/** More than this in a folder was not put there by us. */
const LISTED_MAX = 65_536;

export class FolderStore {
  readonly #folder: string;
  readonly #limits: FolderStoreLimits;
  readonly #failed: (error: Error) => void;
  /** Bytes of each file, the one used longest ago first. */
  readonly #entries = new Map<string, number>();
  #bytes = 0;
  /** Files that were there and of no use, and writes that failed. */
  corrupt = 0;
  failures = 0;

  /**
   * Makes the folder, for this user alone, if only that is missing. Throws where it can't be used.
   * `failed` is told of the first write that fails: the store goes on without.
   */
  constructor(
    folder: string,
    limits: FolderStoreLimits = FOLDER_STORE_LIMITS,
    failed: (error: Error) => void = () => {},
  ) {
    this.#folder = folder;
    this.#limits = limits;
    this.#failed = failed;
    makeFolder(folder);
    this.#list();
    this.#makeRoom(0);
  }

  get entries(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The contents kept under a name (64 hexadecimal digits), or null. */
  async get(name: string): Promise<Uint8Array | null> {
    const bytes = await this.#read(this.#path(name));
    if (bytes === null) {
      this.#forget(name);
      return null;
    }
    const contents = bytes.subarray(HEAD_BYTES);
    const whole =
      bytes.length >= HEAD_BYTES &&
      bytes.subarray(0, MAGIC.length).equals(MAGIC) &&
      bytes.subarray(MAGIC.length, HEAD_BYTES).equals(digest(name, contents));
    if (!whole) {
      await this.remove(name);
      return null;
    }
    this.#forget(name);
    this.#note(name, bytes.length);
    const now = Date.now() / 1000;
    await utimes(this.#path(name), now, now).catch(() => {});
    return contents;
  }

  /** Keeps contents, if they are not too long; false if they are not kept. */
  async put(name: string, contents: Uint8Array): Promise<boolean> {
    if (contents.length > this.#limits.entryBytesMax) return false;
    const bytes = HEAD_BYTES + contents.length;
    this.#forget(name);
    this.#makeRoom(bytes);
    const temporary = join(this.#folder, `new-${randomUUID()}`);
    try {
      const file = await open(temporary, "wx", 0o600);
      try {
        await file.writeFile(Buffer.concat([MAGIC, digest(name, contents), contents]));
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path(name));
    } catch (error) {
      await unlink(temporary).catch(() => {});
      if (this.failures++ === 0) this.#failed(error as Error);
      return false;
    }
    this.#note(name, bytes);
    return true;
  }

  /** A file that is of no use, whole or not. */
  async remove(name: string): Promise<void> {
    this.corrupt++;
    this.#forget(name);
    await unlink(this.#path(name)).catch(() => {});
  }

  /** Null if there is no plain file of at most the longest length. */
  async #read(path: string): Promise<Buffer | null> {
    // Whatever stands there: no link is followed, and no pipe waited for.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const file = await open(path, flags).catch(() => null);
    if (file === null) return null;
    try {
      const status = await file.stat();
      const bytesMax = HEAD_BYTES + this.#limits.entryBytesMax;
      if (!status.isFile() || status.size > bytesMax) return null;
      const bytes = Buffer.alloc(status.size);
      const { bytesRead } = await file.read(bytes, 0, bytes.length, 0);
      return bytes.subarray(0, bytesRead);
    } catch {
      return null;
    } finally {
      await file.close().catch(() => {});
    }
  }

  #list(): void {
    const found: { name: string; bytes: number; usedMs: number }[] = [];
    const folder = opendirSync(this.#folder);
    try {
      for (let listed = 0; listed < LISTED_MAX; listed++) {
        const name = folder.readSync()?.name;
        if (name === undefined) break;
        const path = join(this.#folder, name);
        const status = lstatSync(path, { throwIfNoEntry: false });
        if (status?.isFile() !== true) continue;
        const { size: bytes, mtimeMs: usedMs } = status;
        if (NAME.test(name)) found.push({ name, bytes, usedMs });
        else if (TEMPORARY.test(name) && Date.now() - usedMs > ABANDONED_MS) erase(path);
      }
    } finally {
      folder.closeSync();
    }
    found.sort((a, b) => a.usedMs - b.usedMs);
    for (const { name, bytes } of found) this.#note(name, bytes);
  }

  /** Drops what was used longest ago, until there is room. */
  #makeRoom(bytes: number): void {
    const { bytesMax, entriesMax } = this.#limits;
    const entriesLeft = bytes > 0 ? entriesMax - 1 : entriesMax;
    for (const [name] of this.#entries) {
      if (this.#bytes + bytes <= bytesMax && this.#entries.size <= entriesLeft) return;
      this.#forget(name);
      erase(this.#path(name));
    }
  }

  #note(name: string, bytes: number): void {
    // Another one may have kept the same meanwhile.
    this.#forget(name);
    this.#entries.set(name, bytes);
    this.#bytes += bytes;
  }

  #forget(name: string): void {
    this.#bytes -= this.#entries.get(name) ?? 0;
    this.#entries.delete(name);
  }

  #path(name: string): string {
    if (!NAME.test(name)) throw new Error(`"${name}" is no name of an entry`);
    return join(this.#folder, name);
  }
}

/** Not with its parents: Node tries for ever where a file system has no folder made. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function digest(name: string, contents: Uint8Array): Buffer {
  return createHash("sha256").update(name).update(contents).digest();
}

function erase(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // Somebody else's folder, or a folder of that name: it stays, and is not counted.
  }
}
