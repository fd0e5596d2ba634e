// SPDX-License-Identifier: Apache-2.0
//
// Mappings that other code of the process makes, and copies by two threads.

import { randomFillSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import * as native from "../../src/io/native.js";

const MIB = 2 ** 20;

/** Maps a memfd of this name: as a driver would. */
function mapped(name: string, bytes: number, readonly = false) {
  const fd = native.memfdCreate(name, bytes);
  const mapping = native.mapRegion(fd, 0, bytes, { readonly });
  native.close(fd);
  return mapping;
}

describe("mappings of a name", () => {
  const watch = () => native.fileMappings("/memfd:a driver's (deleted)");

  test("that appear are seen as the bytes that they are", () => {
    const mappings = watch();
    const before = mapped("a driver's", MIB);
    expect(mappings.look()).toBe(true);
    const mapping = mapped("a driver's", 2 * MIB);
    const buffer = mappings.appeared(2 * MIB - 100) as ArrayBuffer;
    expect(buffer.byteLength).toBe(2 * MIB - 100);
    new Uint8Array(mapping.window(0, 2 * MIB))[77] = 5;
    expect(new Uint8Array(buffer)[77]).toBe(5);
    mappings.release(buffer);
    expect(buffer.byteLength).toBe(0);
    mapping.unmap();
    before.unmap();
  });

  test("are none where it is not one, of the size and the name, to be written", () => {
    const mappings = watch();
    expect(mappings.appeared(MIB)).toBeNull();
    mappings.look();
    expect(mappings.appeared(MIB)).toBeNull();
    const others = [mapped("a drivers", MIB), mapped("not a driver's", MIB)];
    expect(mappings.appeared(MIB)).toBeNull();
    others.push(mapped("a driver's", MIB, true));
    expect(mappings.appeared(MIB)).toBeNull();
    others.push(mapped("a driver's", MIB));
    expect(mappings.appeared(MIB + 1)).toBeNull();
    expect(mappings.appeared(MIB - 65536)).toBeNull();
    const one = mappings.appeared(MIB) as ArrayBuffer;
    expect(one.byteLength).toBe(MIB);
    mappings.release(one);
    // Far from the other one, or next to it: not one of that size.
    others.push(mapped("a driver's", MIB));
    expect(mappings.appeared(MIB)).toBeNull();
    for (const other of others) other.unmap();
  });

  test("take only what is a name, a size, a buffer", () => {
    expect(() => native.fileMappings("x".repeat(256))).toThrow(RangeError);
    expect(() => watch().appeared(0)).toThrow(RangeError);
    expect(() => watch().release({} as ArrayBuffer)).toThrow(TypeError);
  });
});

describe("copies by two threads", () => {
  test("copy all of it, of any size and alignment, many times", () => {
    const from = randomFillSync(new Uint8Array(9 * MIB + 13));
    const to = new Uint8Array(from.length + 7);
    for (const [at, begin, bytes] of [
      [0, 0, from.length],
      [7, 0, from.length],
      [1, 3, 9 * MIB],
      [5, 1, 262144],
      [5, 2, 262145],
      [0, 0, 1],
      [0, 0, 0],
    ] as const) {
      to.fill(0);
      native.copyByTwo(to.subarray(at), from.subarray(begin, begin + bytes));
      expect(Buffer.compare(to.subarray(at, at + bytes), from.subarray(begin, begin + bytes))).toBe(
        0,
      );
      expect(to.subarray(0, at).every((byte) => byte === 0)).toBe(true);
      expect(to.subarray(at + bytes).every((byte) => byte === 0)).toBe(true);
    }
    for (let i = 0; i < 2000; i++) {
      const bytes = 262144 + ((i * 7919) % (512 * 1024));
      const source = from.subarray(i, i + bytes);
      native.copyByTwo(to, source);
      if (Buffer.compare(to.subarray(0, bytes), source) !== 0) throw new Error(`copy ${i} differs`);
    }
  });

  test("are refused where they do not fit or overlap", () => {
    const bytes = new Uint8Array(1000);
    expect(() => native.copyByTwo(bytes.subarray(0, 9), bytes.subarray(20, 30))).toThrow(
      RangeError,
    );
    expect(() => native.copyByTwo(bytes.subarray(10), bytes.subarray(0, 11))).toThrow(RangeError);
    native.copyByTwo(bytes.subarray(10), bytes.subarray(0, 10));
    expect(() => native.copyByTwo(bytes, 3 as unknown as Uint8Array)).toThrow(TypeError);
  });

  test("survive memory whose file shrinks: it reads as zero, on either thread", () => {
    const bytes = 8 * MIB;
    const fd = native.memfdCreate("shrinking", bytes);
    const mapping = native.mapRegion(fd, 0, bytes);
    const window = new Uint8Array(mapping.window(0, bytes)).fill(9);
    const to = new Uint8Array(bytes).fill(1);
    native.ftruncate(fd, 4096);
    native.copyByTwo(to, window);
    expect(to.subarray(0, 4096).every((byte) => byte === 9)).toBe(true);
    expect(to.subarray(4096).every((byte) => byte === 0)).toBe(true);
    expect(mapping.poisoned).toBe(true);
    mapping.unmap();
    native.close(fd);
  });
});
