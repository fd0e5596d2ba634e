// SPDX-License-Identifier: Apache-2.0
/** Slicing on a real compiler and GPU, through the device: the results are those of one dispatch. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import type { DawnExecutor } from "../../../src/gpu/dawn/index.js";
import { findEntry } from "../../../src/kernel/wgsl/index.js";
import type { CommandWriter } from "../../../src/protocol/encode.js";
import type { DevicePointer } from "../../../src/protocol/pointer.js";
import { testExecutor } from "../../support/dawn.js";
import { loadShaders, sampleBytes } from "../../support/wgsl-cases.js";
import { DATA_AT, Harness, type HarnessOptions, ok } from "./harness.js";

let executor: DawnExecutor;

beforeAll(async () => {
  executor = await testExecutor();
});

type Grid = readonly [number, number, number];

/** A context on Dawn with one module, whose entry point is function 0. */
class Guest {
  readonly harness: Harness;
  #fence = 0;
  #at = DATA_AT;

  constructor(source: string, name: string, options: HarnessOptions = {}) {
    this.harness = new Harness({ ...options, executor }).ready();
    ok(this.harness.register(0, 0, [{ address: DATA_AT, bytes: 2 << 20 }]));
    this.submit((w) => w.moduleLoad(0, source).functionCreate(0, 0, name));
  }

  submit(build: (w: CommandWriter) => void): void {
    this.#fence++;
    ok(this.harness.submit(0, 0, build));
  }

  /** Memory with these bytes in it. */
  upload(bytes: Uint8Array): DevicePointer {
    const pointer = this.harness.alloc(0, bytes.length);
    this.harness.memory.bytes.set(bytes, this.#at);
    this.submit((w) => w.copyToDevice(pointer, 0, this.#at - DATA_AT, bytes.length));
    this.#at += Math.ceil(bytes.length / 256) * 256;
    return pointer;
  }

  async download(pointer: DevicePointer, bytes: number): Promise<Uint8Array> {
    this.submit((w) => w.copyFromDevice(pointer, 0, this.#at - DATA_AT, bytes));
    await this.finish();
    return this.harness.memory.bytes.slice(this.#at, this.#at + bytes);
  }

  /** Waits for all that was submitted. */
  async finish(): Promise<void> {
    while (this.harness.slot(0, 0).fence < this.#fence) await nextTurn();
    expect(this.harness.error(0).text).toBe("");
    expect(this.harness.slot(0, 0).status).toBe("OK");
  }

  get batches(): number {
    return this.harness.device.status().queue.batches_done;
  }

  end(): void {
    ok(this.harness.destroyContext(0));
  }
}

const u32 = (...values: number[]): Uint8Array => new Uint8Array(new Uint32Array(values).buffer);

/** Shaders of test/support with 64 workgroups, and values for their uniforms. */
const CASES: {
  readonly name: string;
  readonly grid: Grid;
  readonly block?: Grid;
  readonly elements: number;
  readonly uniforms?: readonly Uint8Array[];
}[] = [
  { name: "vector-add", grid: [64, 1, 1], elements: 4000 },
  { name: "saxpy-uniform", grid: [64, 1, 1], elements: 4000 },
  { name: "sgemm-tiled", grid: [8, 8, 1], elements: 4096, uniforms: [u32(64, 64, 64, 0)] },
  { name: "transpose", grid: [8, 8, 1], elements: 4096, uniforms: [u32(64, 61)] },
  { name: "histogram", grid: [64, 1, 1], elements: 10_000 },
  { name: "histogram-shared", grid: [64, 1, 1], elements: 10_000 },
  { name: "block-3d", grid: [4, 4, 4], block: [4, 2, 2], elements: 1024 },
  { name: "particles", grid: [64, 1, 1], elements: 2000 },
  { name: "reduce-sum", grid: [64, 1, 1], elements: 4096 },
  { name: "layer-norm", grid: [64, 1, 1], elements: 4096 },
];

describe("a launch in slices computes the same as one dispatch", () => {
  const shaders = new Map(loadShaders().map((shader) => [shader.name, shader]));

  it.each(CASES)("$name", async ({ name, grid, block, elements, uniforms = [] }) => {
    const shader = shaders.get(name);
    if (shader === undefined) throw new Error(`there is no shader ${name}`);
    const [entryName = ""] = shader.module.entryNames;
    const entry = findEntry(shader.module, entryName);
    const compute = async (slicesMin: number): Promise<{ data: Uint8Array[]; batches: number }> => {
      const guest = new Guest(shader.source, entryName, { scheduling: { slicesMin } });
      const left = [...uniforms];
      const pointers: { pointer: DevicePointer; bytes: number }[] = [];
      const given = entry.resources.map((resource) => {
        if (resource.kind === "uniform") return left.shift() ?? sampleBytes(resource, 1);
        const data = sampleBytes(resource, elements);
        const pointer = guest.upload(data);
        pointers.push({ pointer, bytes: data.length });
        return pointer;
      });
      const shape = block === undefined ? {} : { block: [block[0], block[1], block[2]] as const };
      await guest.finish();
      const before = guest.batches;
      guest.submit((w) => w.launch({ function: 0, grid, arguments: given, ...shape }));
      await guest.finish();
      const batches = guest.batches - before;
      const data: Uint8Array[] = [];
      for (const each of pointers) data.push(await guest.download(each.pointer, each.bytes));
      guest.end();
      return { data, batches };
    };
    const whole = await compute(0);
    expect(whole.batches).toBe(1);
    for (const slices of [1, 4, 16, 64]) {
      const sliced = await compute(slices);
      expect(sliced.batches).toBe(slices);
      expect(sliced.data).toEqual(whole.data);
    }
  });
});

const COUNT = `
@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@compute @workgroup_size(1)
fn count(@builtin(workgroup_id) w: vec3u, @builtin(global_invocation_id) g: vec3u,
         @builtin(num_workgroups) n: vec3u) {
  let i = w.x + n.x * (w.y + n.y * w.z);
  data[i] += i + 7u * (g.x + g.y + g.z);
}`;

describe("grids over the GPU's limit of a dimension", () => {
  it.each([[[70_000, 2, 1] as Grid], [[1, 1, 70_000] as Grid], [[2, 66_000, 1] as Grid]])(
    "%s",
    async (grid) => {
      const guest = new Guest(COUNT, "count");
      const groups = grid[0] * grid[1] * grid[2];
      const pointer = guest.upload(new Uint8Array(groups * 4));
      for (let i = 0; i < 2; i++)
        guest.submit((w) => w.launch({ function: 0, grid, arguments: [pointer] }));
      const data = await guest.download(pointer, groups * 4);
      const expected = new Uint32Array(groups);
      for (let i = 0; i < groups; i++) {
        const [x, y] = [i % grid[0], Math.floor(i / grid[0]) % grid[1]];
        const z = Math.floor(i / (grid[0] * grid[1]));
        expected[i] = 2 * (i + 7 * (x + y + z));
      }
      expect(Buffer.compare(data, new Uint8Array(expected.buffer))).toBe(0);
      guest.end();
    },
  );
});

const SKEWED = `
@group(0) @binding(0) var<storage, read_write> data: array<u32>;
@compute @workgroup_size(16)
fn work(@builtin(workgroup_id) w: vec3u, @builtin(local_invocation_index) l: u32) {
  var x = w.x + l;
  for (var i = 0u; i < w.x * 8u; i++) { x = x * 1664525u + 1013904223u; }
  data[w.x * 16u + l] += x;
}`;

describe("a long launch of skewed and unknown cost", () => {
  it("goes in several batches, shows its cursor, and is right", async () => {
    const run = async (options: HarnessOptions): Promise<[Uint8Array, number, number]> => {
      const guest = new Guest(SKEWED, "work", options);
      const pointer = guest.upload(new Uint8Array(2048 * 64));
      await guest.finish();
      const before = guest.batches;
      guest.submit((w) => w.launch({ function: 0, grid: [2048, 1, 1], arguments: [pointer] }));
      let shown = 0;
      const { device } = guest.harness;
      while (guest.harness.slot(0, 0).fence < 3) {
        const [cursor] = device.status().contexts[0]?.cursor ?? [];
        if (cursor !== undefined && cursor.groups_done > shown) shown = cursor.groups_done;
        await nextTurn();
      }
      await guest.finish();
      const batches = guest.batches - before;
      const data = await guest.download(pointer, 2048 * 64);
      guest.end();
      return [data, batches, shown];
    };
    const [sliced, batches, shown] = await run({ scheduling: { batchNsMax: 1e6 } });
    expect(batches).toBeGreaterThanOrEqual(4);
    expect(shown).toBeGreaterThanOrEqual(32);
    const [whole] = await run({ scheduling: { slicesMin: 1 } });
    expect(Buffer.compare(sliced, whole)).toBe(0);
  });
});
