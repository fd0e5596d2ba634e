// SPDX-License-Identifier: Apache-2.0
/** Finding a buffer's memory: only what proves to be it is used. */
import { describe, expect, it } from "vitest";
import { HostMemory } from "../../../src/gpu/dawn/host-memory.js";
import { SeededRandom } from "../../../src/io/random.js";

const BYTES = 4 * 1024 * 1024;

/** A driver that maps a buffer when it is `created` or first `written`; `shows` what is written. */
function rig(options: { mapsWhen?: "created" | "written"; shows?: boolean; looks?: boolean } = {}) {
  const { mapsWhen = "written", shows = true, looks = true } = options;
  const memory = new Uint8Array(BYTES);
  const released: ArrayBuffer[] = [];
  const seeded = new SeededRandom(7);
  const copies: number[] = [];
  let mapped = false;
  let known = false;
  let writes = 0;
  const queue = {
    writeBuffer: (_: GPUBuffer, offset: number, data: Uint8Array) => {
      if (shows && offset < BYTES) memory.set(data, offset);
      if (mapsWhen === "written") mapped = true;
      writes++;
    },
  };
  const host = new HostMemory(queue as unknown as GPUQueue, {
    mappings: {
      look: () => {
        known = mapped;
        return looks;
      },
      appeared: (bytes) => (mapped && !known && bytes === BYTES ? memory.buffer : null),
      release: (buffer) => void released.push(buffer),
    },
    random: () => seeded.u32(),
    copyByTwo: (to, from) => {
      copies.push(from.length);
      to.set(from);
    },
  });
  const make = (size: number) => (): GPUBuffer => {
    if (mapsWhen === "created") mapped = true;
    return { size } as GPUBuffer;
  };
  const find = (size = BYTES): Uint8Array | null => {
    const { buffer, mapping } = host.created(make(size), size);
    return host.find(buffer, mapping);
  };
  return { host, memory, released, copies, find, writes: () => writes };
}

describe("host memory", () => {
  it.each(["created", "written"] as const)("is found where it is mapped when %s", (mapsWhen) => {
    const { find, memory, released } = rig({ mapsWhen });
    const found = find();
    expect(found?.buffer).toBe(memory.buffer);
    expect(memory.every((byte) => byte === 0)).toBe(true);
    expect(released).toEqual([]);
  });

  it("is not what does not show what is written", () => {
    const { find, memory, released } = rig({ shows: false });
    expect(find()).toBeNull();
    expect(released).toEqual([memory.buffer]);
  });

  it("is not looked for where the system does not tell, or the buffer is small", () => {
    const blind = rig({ looks: false });
    expect(blind.find()).toBeNull();
    expect(blind.writes()).toBe(0);
    const small = rig();
    expect(small.find(BYTES / 2)).toBeNull();
    expect(small.writes()).toBe(0);
  });

  it("leaves a buffer of which nothing appears with zeros", () => {
    const { find, memory } = rig();
    expect(find(2 * BYTES)).toBeNull();
    expect(memory.every((byte) => byte === 0)).toBe(true);
  });

  it("is released once, one by one or all", () => {
    const { find, host, memory, released } = rig();
    const found = find() as Uint8Array<ArrayBuffer>;
    host.release(found.buffer);
    host.release(found.buffer);
    host.close();
    expect(released).toEqual([memory.buffer]);
    const other = rig({ mapsWhen: "created" });
    other.find();
    other.host.close();
    other.host.close();
    expect(other.released).toEqual([other.memory.buffer]);
  });

  it("is copied by one thread if it is little, or if the other cores are not ours", () => {
    const { find, host, copies } = rig();
    const found = find() as Uint8Array;
    const source = new Uint8Array(BYTES).fill(3);
    host.write(found, 0, [source]);
    expect(copies).toEqual([BYTES]);
    host.write(found, 1, [source.subarray(0, 9), source.subarray(0, 1000)]);
    host.twoThreads = false;
    host.write(found, 0, [source.fill(4)]);
    expect(copies).toEqual([BYTES]);
    // No more than was asked for, into no more than there is.
    const targets = [new Uint8Array(3), new Uint8Array(5)];
    host.read(found, 0, 4, targets);
    expect(targets.map((target) => [...target])).toEqual([
      [4, 4, 4],
      [4, 0, 0, 0, 0],
    ]);
  });
});
