// SPDX-License-Identifier: Apache-2.0
/** Fat binaries: those that nvcc makes, and those that only an attacker does. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  choosePtx,
  FATBIN_MAGIC,
  FatbinError,
  ptxOf,
  rankPtx,
  readFatbin,
} from "../../../src/kernel/fatbin/index.js";
import { decompressLz4 } from "../../../src/kernel/fatbin/lz4.js";
import { decompressZstd, loadZstd } from "../../../src/kernel/fatbin/zstd.js";

const file = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`./fatbin/${name}.fatbin`, import.meta.url)));
/** Frames of zstd 1.5.4, each with what it makes of: by its size and hash. */
const FRAMES: { name: string; bytes: number; sha256: string; frame: string }[] = JSON.parse(
  readFileSync(new URL("./fatbin/zstd-frames.json", import.meta.url), "utf8"),
);
const names = ["none", "lz4", "zstd"] as const;

interface EntryOptions {
  readonly kind?: number;
  readonly architecture?: number;
  readonly flags?: number;
  readonly bytes?: bigint;
  readonly packedBytes?: number;
  readonly unpackedBytes?: bigint;
  readonly headerBytes?: number;
}

/** An entry around `data`; what is not given is right. */
function entry(data: Uint8Array, options: EntryOptions = {}): Uint8Array {
  const bytes = new Uint8Array(64 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, options.kind ?? 1, true);
  view.setUint32(4, options.headerBytes ?? 64, true);
  view.setBigUint64(8, options.bytes ?? BigInt(data.length), true);
  view.setUint32(16, options.packedBytes ?? data.length, true);
  view.setUint32(28, options.architecture ?? 75, true);
  view.setUint32(40, options.flags ?? 0, true);
  view.setBigUint64(56, options.unpackedBytes ?? 0n, true);
  bytes.set(data, 64);
  return bytes;
}

function container(entries: readonly Uint8Array[], declared?: bigint): Uint8Array {
  const body = Buffer.concat(entries);
  const bytes = new Uint8Array(16 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, FATBIN_MAGIC, true);
  view.setUint16(4, 1, true);
  view.setUint16(6, 16, true);
  view.setBigUint64(8, declared ?? BigInt(body.length), true);
  bytes.set(body, 16);
  return bytes;
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

describe("fat binaries of nvcc", () => {
  it.each(names)("reads the entries of %s", (name) => {
    const found = readFatbin(file(name));
    expect(found.map(({ kind, architecture }) => `${kind} ${architecture}`).sort()).toEqual([
      "other 75",
      "ptx 75",
      "ptx 90",
    ]);
    expect(found.every((each) => each.kind !== "ptx" || each.compression === name)).toBe(true);
  });

  it.each(names)("takes the PTX for 7.5 out of %s", (name) => {
    const ptx = choosePtx(file(name));
    expect(ptx).toContain(".target sm_75");
    expect(ptx).toContain(".visible .entry scale(");
    expect(ptx.trimEnd().endsWith("}")).toBe(true);
    expect(ptx).toBe(choosePtx(file("none")));
  });

  it("falls back to the lowest architecture above", () => {
    const of = (list: readonly number[]): number[] =>
      rankPtx(
        readFatbin(container(list.map((architecture) => entry(text("x"), { architecture })))),
      ).map((each) => each.architecture);
    expect(of([120, 80, 90])).toEqual([80, 90, 120]);
    expect(of([90, 52, 75, 70, 80])).toEqual([75, 70, 52, 80, 90]);
  });

  it("ends the text at its first NUL", () => {
    const [first] = readFatbin(container([entry(text(".version 8.0\n\0\0\0"))]));
    expect(first === undefined ? "" : ptxOf(first)).toBe(".version 8.0\n");
  });
});

describe("hostile fat binaries", () => {
  const refused = (image: Uint8Array): string => {
    try {
      choosePtx(image);
    } catch (error) {
      if (error instanceof FatbinError) return error.message;
      throw error;
    }
    return "accepted";
  };

  it("names what is missing", () => {
    expect(refused(container([]))).toContain("is empty");
    expect(refused(container([entry(text("x"), { kind: 2, architecture: 90 })]))).toMatch(
      /no PTX, only machine code \(sm_90\)/,
    );
  });

  it.each([
    ["no bytes", new Uint8Array(0), /0 bytes, its header alone has 16/],
    ["another magic", text("not a fat binary"), /begins with 0x/],
    ["a container past its end", container([], 1n), /claims 16 \+ 1 bytes/],
    ["a container of 2^64 - 1 bytes", container([], 2n ** 64n - 1n), /is 18446744073709551615/],
    ["half an entry", container([new Uint8Array(63)]), /cut off in its header/],
    ["an entry past its end", container([entry(text("x"), { bytes: 2n })]), /2 bytes of code, 1/],
    ["an entry of 2^63 bytes", container([entry(text("x"), { bytes: 2n ** 63n })]), /922337203/],
    ["an entry's header of 0", container([entry(text("x"), { headerBytes: 0 })]), /header of 0/],
    ["a huge header", container([entry(text("x"), { headerBytes: 66 })]), /header of 66 bytes, 65/],
    ["many entries", container(Array(257).fill(entry(new Uint8Array(0)))), /more than 256/],
    ["text that is not UTF-8", container([entry(Uint8Array.of(0xff))]), /not UTF-8/],
    [
      "compressed bytes past the entry",
      container([entry(text("x"), { flags: 0x2000, packedBytes: 2, unpackedBytes: 4n })]),
      /2 compressed bytes in 1 bytes/,
    ],
    [
      "an LZ4 bomb",
      container([entry(text("x"), { flags: 0x2000, unpackedBytes: 2n ** 40n })]),
      /has 1099511627776 bytes, the limit is 16777216/,
    ],
    [
      "a Zstandard bomb",
      container([entry(text("x"), { flags: 0x8000, unpackedBytes: 0x100_0001n })]),
      /has 16777217 bytes, the limit is 16777216/,
    ],
  ])("refuses %s", (_, image, message) => {
    expect(refused(image)).toMatch(message);
  });

  it.each(names)("refuses %s cut off anywhere", (name) => {
    const image = file(name);
    for (let length = 0; length < image.length; length += 7) {
      expect(refused(image.subarray(0, length)), `${length} bytes`).toMatch(/fat binary/);
    }
  });

  it.each(names)("ends in a result or a FatbinError with bytes of %s changed", (name) => {
    const good = file(name);
    const change = fc.record({ at: fc.nat({ max: good.length - 1 }), value: fc.nat({ max: 255 }) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const image = good.slice();
        for (const { at, value } of changes) image[at] = value;
        refused(image);
      }),
      { numRuns: 300 },
    );
  });
});

describe("LZ4", () => {
  it("repeats overlapping matches", () => {
    // One literal, then 19 + 1 bytes from one byte before, then the last literals.
    const block = Uint8Array.of(0x1f, 0x61, 1, 0, 1, 0x20, 0x62, 0x63);
    expect(Buffer.from(decompressLz4(block, 23)).toString()).toBe(`${"a".repeat(21)}bc`);
  });

  it.each([
    ["no token", []],
    ["literals past the input", [0x50, 1]],
    ["a distance of 0", [0x10, 0x61, 0, 0, 0]],
    ["a distance before the output", [0x10, 0x61, 2, 0, 0]],
    ["more output than declared", [0x1f, 0x61, 1, 0, 255, 255, 0, 0]],
    ["endless lengths", [0xf0, ...Array<number>(1000).fill(255)]],
    ["less output than declared", [0x10, 0x61]],
  ])("refuses %s", (_, bytes) => {
    expect(() => decompressLz4(Uint8Array.from(bytes), 23)).toThrow(FatbinError);
  });

  it("ends in bounded output for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 4096 }), (bytes, size) => {
        try {
          expect(decompressLz4(bytes, size).length).toBe(size);
        } catch (error) {
          expect(error).toBeInstanceOf(FatbinError);
        }
      }),
    );
  });
});

await loadZstd();

describe("Zstandard", () => {
  // "hello " and an RLE block of 12 times '!', in a frame of 18 bytes.
  const frame = (size: number): Uint8Array =>
    Uint8Array.of(
      0x28,
      0xb5,
      0x2f,
      0xfd,
      0x20,
      size,
      0x30,
      0,
      0,
      ...text("hello "),
      0x63,
      0,
      0,
      33,
    );

  it("takes raw and repeated blocks", () => {
    expect(Buffer.from(decompressZstd(frame(18), 18)).toString()).toBe(`hello ${"!".repeat(12)}`);
  });

  it.each(FRAMES)("takes what its reference compressor makes: $name", (each) => {
    const source = new Uint8Array(Buffer.from(each.frame, "base64"));
    const bytes = decompressZstd(source, each.bytes);
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(each.sha256);
    // Cut anywhere, it is refused.
    for (let cut = 0; cut < Math.min(source.length, 200); cut++)
      expect(() => decompressZstd(source.subarray(0, cut), each.bytes)).toThrow(FatbinError);
  });

  it("takes no longer than its output: a block that copies its whole size again and again", () => {
    // Each of 65,535 sequences copies 65,538 bytes; a decoder that follows them past the output takes minutes.
    const single = Uint8Array.of(0xff, 0xff, 0x80, 0x54, 0, 0, 52, ...Array(1000).fill(0xff));
    const literals = Uint8Array.of(8, 65);
    const size = literals.length + single.length;
    const block = Uint8Array.of(((size << 3) & 0xff) | 5, (size >> 5) & 0xff, size >> 13);
    const head = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 1, 0);
    const bomb = Uint8Array.of(...head, ...block, ...literals, ...single);
    const start = process.cpuUsage();
    expect(() => decompressZstd(bomb, 65536)).toThrow(FatbinError);
    const { user, system } = process.cpuUsage(start);
    expect((user + system) / 1000).toBeLessThan(500);
  });

  it.each([
    ["another size than the fat binary's", frame(18), 17],
    ["a frame without a size", Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, ...Array(20).fill(0)), 8],
    ["a skippable frame", Uint8Array.of(0x50, 0x2a, 0x4d, 0x18, 8, ...Array(20).fill(0)), 8],
    ["a dictionary", Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x21, ...Array(20).fill(0)), 8],
    ["two frames", Uint8Array.of(...frame(18), ...frame(18)), 18],
    ["raw bytes past the output", frame(3), 3],
    ["nothing behind the header", frame(18).subarray(0, 16).fill(0, 6), 18],
  ])("refuses %s", (_, bytes, size) => {
    expect(() => decompressZstd(bytes, size)).toThrow(FatbinError);
  });
});
