// SPDX-License-Identifier: Apache-2.0
/** The upload arena: whatever is gathered is in the GPU's buffer when its commands run. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { globals } from "webgpu";
import { ARENA_BYTES, Arena } from "../../../src/gpu/dawn/arena.js";

Object.assign(globalThis, globals);

interface Write {
  readonly offset: number;
  readonly bytes: number;
}

/** A GPU whose buffer is plain memory, and that tells what was written. */
function rig(): { arena: Arena; gpu: Uint8Array; writes: Write[]; upload: () => void } {
  const gpu = new Uint8Array(ARENA_BYTES);
  const writes: Write[] = [];
  const device = { createBuffer: () => gpu } as unknown as GPUDevice;
  const writeBuffer = (
    buffer: Uint8Array,
    offset: number,
    data: Uint8Array,
    from: number,
    bytes: number,
  ): void => {
    expect([offset % 4, bytes % 4]).toEqual([0, 0]);
    writes.push({ offset, bytes });
    buffer.set(data.subarray(from, from + bytes), offset);
  };
  const arena = new Arena(device);
  const queue = { writeBuffer } as unknown as GPUQueue;
  return { arena, gpu, writes, upload: () => arena.upload(queue) };
}

function gather(arena: Arena, ...parts: readonly (readonly number[])[]): void {
  for (const part of parts) arena.put(arena.reserve(part.length, 16), Uint8Array.from(part));
}

describe("arena", () => {
  it("gathers, gives out room until there is none, and starts again after an upload", () => {
    const { arena, upload } = rig();
    expect(arena.reserve(10, 16)).toBe(0);
    expect(arena.reserve(ARENA_BYTES - 16, 16)).toBe(16);
    expect(arena.reserve(1, 16)).toBe(-1);
    upload();
    expect(arena.used).toBe(0);
    arena.reserve(8, 16);
    arena.clear();
    expect(arena.used).toBe(0);
  });

  it("writes what differs from what the buffer has, and nothing if nothing does", () => {
    const { arena, gpu, writes, upload } = rig();
    gather(arena, [1, 2, 3, 4], [5, 6, 7, 8]);
    upload();
    gather(arena, [1, 2, 3, 4], [5, 6, 7, 8]);
    upload();
    gather(arena, [1, 2, 3, 4]);
    upload();
    expect(writes).toEqual([{ offset: 0, bytes: 20 }]);
    gather(arena, [1, 2, 3, 4], [5, 6, 7, 9], [10, 11, 12, 13]);
    upload();
    expect(writes.slice(1)).toEqual([{ offset: 16, bytes: 20 }]);
    gather(arena, [0, 2, 3, 4], [5, 6, 7, 9], [10, 11, 12, 13]);
    upload();
    expect(writes.slice(2)).toEqual([{ offset: 0, bytes: 4 }]);
    expect([...gpu.subarray(0, 4)]).toEqual([0, 2, 3, 4]);
    upload();
    expect(writes.length).toBe(3);
  });

  it("writes again what the GPU has overwritten", () => {
    const { arena, gpu, writes, upload } = rig();
    gather(arena, [1, 2, 3, 4], [5, 6, 7, 8]);
    upload();
    gather(arena, [1, 2, 3, 4]);
    arena.overwrites(arena.reserve(4, 16));
    upload();
    gpu.fill(0xff, 16, 20);
    gather(arena, [1, 2, 3, 4], [5, 6, 7, 8]);
    upload();
    expect([...gpu.subarray(16, 20)]).toEqual([5, 6, 7, 8]);
    expect(writes.at(-1)).toEqual({ offset: 16, bytes: 4 });
  });

  it("forgets an overwriting that was dropped with its commands", () => {
    const { arena, writes, upload } = rig();
    gather(arena, [1, 2, 3, 4]);
    upload();
    arena.overwrites(arena.reserve(4, 16));
    arena.clear();
    gather(arena, [1, 2, 3, 4]);
    upload();
    expect(writes.length).toBe(1);
  });

  it("has all that was gathered in the buffer, whatever came before", () => {
    const part = fc.record({
      bytes: fc.oneof(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 20_000 })),
      value: fc.integer({ min: 0, max: 2 }),
      byGpu: fc.boolean(),
    });
    const batch = fc.record({
      parts: fc.array(part, { minLength: 1, maxLength: 6 }),
      dropped: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(batch, { maxLength: 12 }), (batches) => {
        const { arena, gpu, upload } = rig();
        for (const { parts, dropped } of batches) {
          const places = parts.map(({ bytes, value, byGpu }) => {
            const at = arena.reserve(bytes, 16);
            if (byGpu) arena.overwrites(at);
            else arena.put(at, new Uint8Array(bytes).fill(value));
            return { at, bytes, value, byGpu };
          });
          if (dropped) arena.clear();
          else upload();
          for (const { at, bytes, value, byGpu } of dropped ? [] : places) {
            if (byGpu) gpu.fill(0xee, at, at + bytes);
            else expect(gpu.subarray(at, at + bytes).every((byte) => byte === value)).toBe(true);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
