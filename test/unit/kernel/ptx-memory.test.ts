// SPDX-License-Identifier: Apache-2.0
/** Memory operations that WGSL lacks: 64-bit atomics, generic addresses, faults, printf. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parsePtx } from "../../../src/kernel/ptx/index.js";
import {
  type PtxLaunch,
  PtxMemory,
  packParams,
  runPtx,
  SEGMENT_BASE,
} from "../../support/ptx-gpu.js";

const source = readFileSync(new URL("../../support/ptx/basic.ptx", import.meta.url), "utf8");
const module = parsePtx(source);
type Rest = Omit<PtxLaunch, "module">;
const run = (memory: PtxMemory, launch: Rest): Promise<Uint8Array> =>
  runPtx({ module, ...launch }, [memory.bytes]).then(([bytes]) => bytes ?? new Uint8Array());

describe("64-bit atomics", () => {
  it("loses no carry, and gives every old value once", async () => {
    const memory = new PtxMemory();
    const globals = memory.putGlobals(module);
    const old = memory.put(new BigUint64Array(129));
    const sum = memory.put(Float64Array.of(1));
    const low = memory.put(BigInt64Array.of(5n));
    const params = packParams([{ ptr: old }, { ptr: sum }, { ptr: low }]);
    const bytes = await run(memory, {
      kernel: "wide_atomics",
      grid: [2, 1, 1],
      block: [64, 1, 1],
      params,
      globals,
    });
    const values = [...new BigUint64Array(bytes.buffer, old, 129)];
    const step = 0x100000001n;
    const wanted = Array.from({ length: 128 }, (_, i) => 0xfffffff0n + BigInt(i) * step);
    const sorted = values.slice(0, 128).sort((a, b) => (a < b ? -1 : 1));
    expect(sorted).toEqual(wanted);
    expect(values[128]).toBe(64n * 0x80000000n + 1n);
    expect(new Float64Array(bytes.buffer, sum, 1)[0]).toBe(33);
    expect(new BigInt64Array(bytes.buffer, low, 1)[0]).toBe(-127n * 0x40000000n);
  });
});

describe("slicing", () => {
  const reason = (name: string): string | null | undefined =>
    module.kernels.find((kernel) => kernel.name === name)?.unsliceable;

  it("is refused for a loop that waits for another workgroup, with its line", () => {
    expect(reason("waits")).toMatch(/^line \d+ waits for another workgroup/);
  });

  it.each(["retries", "saxpy", "matmul", "wide_atomics"])("is possible for %s", (name) => {
    expect(reason(name)).toBeNull();
  });
});

describe("generic addresses", () => {
  const launch = async (segments: number): Promise<Int32Array> => {
    const memory = new PtxMemory();
    const x = memory.put(Int32Array.of(7, 8, 9, 10));
    const out = memory.put(new Int32Array(64));
    const params = packParams([{ ptr: x }, { ptr: out }, 500]);
    const memories = [memory.bytes, new Uint8Array(1024)].slice(0, segments);
    const [bytes] = await runPtx(
      { module, kernel: "generic", grid: [1, 1, 1], block: [32, 1, 1], params },
      memories,
    );
    return new Int32Array((bytes ?? new Uint8Array()).buffer, out, 64);
  };

  it.each([1, 2])("reach their space at run time, %i segments", async (segments) => {
    const out = await launch(segments);
    for (let t = 0; t < 32; t += 1) {
      const i = t & 3;
      const wanted = i === 0 ? 0 * 10 + 1000 : i === 1 ? 501 : 7 + i + 2000;
      expect(out[t]).toBe(wanted);
    }
    // Half of the threads added to shared memory, half to global memory.
    expect([...out.subarray(32, 36)]).toEqual([8, 0, 8, 0]);
    expect([...out.subarray(40, 44)]).toEqual([0, 18, 20, 38]);
  });
});

describe("faults", () => {
  it("records a trap: code, line, block, thread", async () => {
    const memory = new PtxMemory();
    const globals = memory.putGlobals(module);
    const x = memory.put(Int32Array.from({ length: 64 }, (_, i) => i));
    const params = packParams([{ ptr: x }, 41]);
    const bytes = await run(memory, {
      kernel: "traps",
      grid: [1, 1, 1],
      block: [64, 1, 1],
      params,
      globals,
    });
    const fault = new Uint32Array(bytes.buffer, globals.get("__vgpu_fault"), 4);
    const line = source.split("\n").findIndex((text) => /^\s*trap;/.test(text)) + 1;
    expect([...fault]).toEqual([1, line, 0, 41]);
    const after = new Int32Array(bytes.buffer, x, 64);
    expect(after[40]).toBe(41);
    expect(after[41]).toBe(41);
  });

  const checked = async (kernel: string, n: number, ptr: number): Promise<Uint8Array> => {
    const memory = new PtxMemory();
    const globals = memory.putGlobals(module);
    const x = memory.put(new Float32Array(64).fill(1));
    const params = packParams([{ f32: 2 }, { ptr: x }, { ptr: ptr === 0 ? x : ptr }, n]);
    const options = { checked: true };
    const [bytes = new Uint8Array()] = await runPtx(
      { module, kernel, grid: [1, 1, 1], block: [32, 1, 1], params, globals, options },
      [memory.bytes],
    );
    const at = globals.get("__vgpu_fault") ?? 0;
    return bytes.subarray(at, at + 16);
  };

  it("when checked finds what lies in none of many ranges, in either of two segments", async () => {
    const globals = new Map([["__vgpu_fault", 1 << 16]]);
    const even: [number, number][] = Array.from({ length: 500 }, (_, i) => [
      1024 + 64 * i,
      1024 + 64 * i + 40,
    ]);
    const inUse = [[[1 << 16, (1 << 16) + 16], ...[]] as [number, number][], even];
    const code = async (y: number): Promise<number | undefined> => {
      const params = packParams([{ f32: 2 }, { ptr: y, segment: 1 }, { ptr: y, segment: 1 }, 5]);
      const [bytes = new Uint8Array()] = await runPtx(
        {
          ...{ module, kernel: "saxpy", grid: [1, 1, 1], block: [32, 1, 1], params, globals },
          ...{ inUse, options: { checked: true } },
        },
        [new Uint8Array(1 << 17), new Uint8Array(1 << 16)],
      );
      return new Uint32Array(bytes.buffer, 1 << 16, 1)[0];
    };
    for (const range of [0, 1, 250, 498, 499]) {
      const start = 1024 + 64 * range;
      expect(await code(start)).toBe(0);
      expect(await code(start + 20)).toBe(0);
      expect(await code(start + 24)).toBe(3);
      expect(await code(start - 4)).toBe(3);
    }
  });

  it.each([
    ["nothing for good accesses", 64, 0, 0],
    ["an address beyond the segment", 32, 2 ** 21 - 64, 3],
    ["a null pointer", 1, 16, 3],
    ["a misaligned address", 4, 1026, 4],
  ])("when checked records %s", async (_, n, ptr, code) => {
    const fault = await checked("saxpy", n, ptr);
    expect(new Uint32Array(fault.slice().buffer)[0]).toBe(code);
  });
});

describe("printf", () => {
  it("writes records that name the format and hold the arguments", async () => {
    const memory = new PtxMemory();
    const globals = memory.putGlobals(module);
    const launch: Rest = {
      kernel: "prints",
      grid: [1, 1, 1],
      block: [32, 1, 1],
      params: packParams([3]),
      globals,
    };
    const bytes = await run(memory, launch);
    const at = globals.get("__vgpu_printf") ?? 0;
    const view = new DataView(bytes.buffer, at);
    const reserved = view.getUint32(0, true);
    expect(reserved).toBe(3 * (16 + 24));
    const seen = new Set<number>();
    for (let record = 16; record < 16 + reserved; record += 40) {
      expect(view.getUint32(record, true)).toBe(40);
      expect(view.getUint32(record + 8, true)).toBe(SEGMENT_BASE);
      expect(view.getUint32(record + 12, true)).toBe(24);
      const text = view.getUint32(record + 4, true);
      const format = new TextDecoder().decode(bytes.subarray(text, text + 24));
      expect(format).toBe("thread %d has %f, %s\n\0\0\0");
      const t = view.getInt32(record + 16, true);
      expect(view.getFloat64(record + 24, true)).toBe(t * 0.5);
      seen.add(t);
    }
    expect([...seen].sort()).toEqual([0, 1, 2]);
  });
});
