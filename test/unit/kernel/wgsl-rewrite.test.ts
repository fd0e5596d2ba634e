// SPDX-License-Identifier: Apache-2.0
/**
 * The rewrite: real launches whose arguments alias, overlap or are unaligned, against the same on
 * the CPU; and the text, where only that shows what happened.
 */
import { describe, expect, test } from "vitest";
import type { LaunchArgument, RewrittenKernel } from "../../../src/kernel/wgsl/index.js";
import {
  findEntry,
  planLaunch,
  reflectModule,
  rewriteKernel,
  shapeOfKey,
  WgslError,
} from "../../../src/kernel/wgsl/index.js";
import { Status } from "../../../src/protocol/generated/wire.js";
import { compileErrors, LIMITS, runLaunch } from "../../support/wgsl-gpu.js";

const WORDS = 1024;
const ADD = `
  @group(0) @binding(0) var<storage, read> a: array<u32>;
  @group(0) @binding(1) var<storage, read> b: array<u32>;
  @group(0) @binding(2) var<storage, read_write> c: array<u32>;
  @compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x < COUNT) { c[id.x] = a[id.x] + b[id.x] * 3u; }
  }
  const COUNT = 16u;`;

function view(start: number, bytes: number, offset: number): LaunchArgument {
  return {
    kind: "pointer",
    segment: 0,
    allocationStart: start,
    allocationBytes: bytes,
    offset: start + offset,
  };
}

function memory(): Uint32Array {
  return Uint32Array.from({ length: WORDS }, (_, i) => i * 7 + 1);
}

/** Runs `source` on sample memory; gives the memory's words and the modes of its bindings. */
async function run(
  source: string,
  launchArguments: readonly LaunchArgument[],
): Promise<{ words: Uint32Array; modes: string[] }> {
  const entry = findEntry(reflectModule(source), "main");
  const { key } = planLaunch(entry, launchArguments, LIMITS);
  const bytes = new Uint8Array(memory().buffer);
  const launch = { entry, arguments: launchArguments, grid: [1, 1, 1] as const };
  const result = (await runLaunch(bytes, launch)).slice();
  const modes = shapeOfKey(entry, key).map((b) => `${b.mode}:${b.arguments.join()}`);
  return { words: new Uint32Array(result.buffer), modes };
}

function rewritten(source: string, key: string): RewrittenKernel {
  return rewriteKernel(findEntry(reflectModule(source), "main"), key);
}

function failure(work: () => unknown): WgslError {
  try {
    work();
  } catch (error) {
    if (error instanceof WgslError) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}

describe("aliasing launches give what they give on the CPU", () => {
  /** c[i] = a[i] + b[i] * 3, each a word offset. No element is read after another writes it. */
  function expectedAdd(a: number, b: number, c: number): Uint32Array {
    const before = memory();
    const after = memory();
    for (let i = 0; i < 16; i += 1) {
      after[c + i] = (before[a + i] ?? 0) + (before[b + i] ?? 0) * 3;
    }
    return after;
  }

  test.each([
    ["add(x, x, y)", [0, 0, 256], ["plain:0,1", "plain:2"]],
    ["add(x, y, x), in place", [0, 256, 0], ["plain:0,2", "plain:1"]],
    ["add(x, x, x)", [0, 0, 0], ["plain:0,1,2"]],
    ["views into one allocation", [16, 32, 64], ["typed:0,1,2"]],
    ["unaligned pointers into three", [3, 256 + 5, 512 + 1], ["typed:0", "typed:1", "typed:2"]],
    ["overlapping inputs", [4, 12, 64], ["typed:0,1,2"]],
    ["in place at an unaligned address", [9, 256, 9], ["typed:0,2", "plain:1"]],
  ])("%s", async (_, [a = 0, b = 0, c = 0], modes) => {
    const at = (word: number): LaunchArgument => {
      const start = Math.floor(word / 256) * 1024;
      return view(start, 1024, word * 4 - start);
    };
    const result = await run(ADD, [at(a), at(b), at(c)]);
    expect(result.modes).toEqual(modes);
    expect(result.words).toEqual(expectedAdd(a, b, c));
  });

  test("floats and words in one arena", async () => {
    const source = `
      @group(0) @binding(0) var<storage, read> a: array<u32>;
      @group(0) @binding(1) var<storage, read_write> b: array<f32>;
      @group(0) @binding(2) var<storage, read_write> c: array<vec2<i32>>;
      @compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
        b[id.x] = f32(a[id.x]) * 0.5;
        c[id.x].y = -i32(a[id.x]);
      }`;
    const arena = (word: number): LaunchArgument => view(1024, 3072, word * 4);
    const { words, modes } = await run(source, [arena(1), arena(20), arena(40)]);
    expect(modes).toEqual(["words:0,1,2"]);
    const expected = memory();
    const floats = new Float32Array(expected.buffer);
    for (let i = 0; i < 16; i += 1) {
      const value = memory()[256 + 1 + i] ?? 0;
      floats[256 + 20 + i] = value * 0.5;
      expected[256 + 40 + i * 2 + 1] = -value;
    }
    expect(words).toEqual(expected);
  });

  test("half-words written by neighbours in one word both arrive", async () => {
    const source = `enable f16;
      @group(0) @binding(0) var<storage, read_write> h: array<f16>;
      @group(0) @binding(1) var<storage, read> u: array<u32>;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        h[id.x] = f16(id.x) + f16(u[0]);
      }`;
    const { words, modes } = await run(source, [view(0, 4096, 1026), view(0, 4096, 0)]);
    expect(modes).toEqual(["words:0,1"]);
    const expected = memory();
    const halves = new Uint16Array(expected.buffer);
    // f16 of the integers 1 to 64.
    for (let i = 1; i <= 64; i += 1) {
      const exponent = Math.floor(Math.log2(i));
      halves[513 + i - 1] = ((exponent + 15) << 10) | ((i / 2 ** exponent - 1) * 1024);
    }
    expect(words).toEqual(expected);
  });

  test("atomics and plain values of one allocation", async () => {
    const source = `
      @group(0) @binding(0) var<storage, read_write> low: atomic<i32>;
      @group(0) @binding(1) var<storage, read_write> sum: array<atomic<u32>>;
      @group(0) @binding(2) var<storage, read> values: array<i32>;
      @compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
        let v = values[id.x] - 40;
        atomicMin(&low, v);
        atomicAdd(&sum[1], u32(values[id.x]));
      }`;
    const arena = (word: number): LaunchArgument => view(0, 4096, word * 4);
    const { words } = await run(source, [arena(100), arena(200), arena(0)]);
    const expected = memory();
    expected[100] = 1 - 40;
    for (let i = 0; i < 16; i += 1) expected[201] = (expected[201] ?? 0) + i * 7 + 1;
    expect(words).toEqual(expected);
  });

  test("two pointers into one allocation, in one call", async () => {
    const source = `
      @group(0) @binding(0) var<storage, read_write> a: array<u32>;
      @group(0) @binding(1) var<storage, read_write> b: array<u32>;
      fn carry(dst: ptr<storage, u32, read_write>, src: ptr<storage, array<u32>, read_write>) {
        *dst = (*src)[1] + arrayLength(src);
        (*src)[0] = 5;
      }
      @compute @workgroup_size(1) fn main() { carry(&a[3], &b); carry(&b[4], &a); }`;
    const { words, modes } = await run(source, [view(0, 4096, 0), view(0, 4096, 40)]);
    expect(modes).toEqual(["words:0,1"]);
    const expected = memory();
    expected[3] = 11 * 7 + 1 + (WORDS - 10);
    expected[10] = 5;
    expected[14] = 7 + 1 + WORDS;
    expected[0] = 5;
    expect(words).toEqual(expected);
  });

  test("arrayLength runs from the pointer to the end of its allocation", async () => {
    const source = `
      struct Tail { head: vec2u, items: array<vec2u> }
      @group(0) @binding(0) var<storage, read> a: array<u32>;
      @group(0) @binding(1) var<storage, read> t: Tail;
      @group(0) @binding(2) var<storage, read_write> c: array<u32>;
      @compute @workgroup_size(1) fn main() {
        let p = &t.items;
        c[0] = arrayLength(&a); c[1] = arrayLength(p); c[2] = arrayLength(&c);
      }`;
    const { words } = await run(source, [
      view(0, 1000, 12),
      view(1024, 500, 8),
      view(2048, 512, 4),
    ]);
    expect([...words.subarray(513, 516)]).toEqual([247, 60, 127]);
  });

  test("nothing outside a view is written by an index that is out of range", async () => {
    const source = `
      @group(0) @binding(0) var<storage, read_write> a: array<u32>;
      @group(0) @binding(1) var<storage, read_write> b: array<vec4<i32>>;
      @compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
        a[i32(id.x) - 16] = 1;
        b[id.x * 0x10000000u + 0x10000u].z = 2;
      }`;
    for (const [a, b] of [
      [view(1024, 1024, 0), view(2048, 1024, 0)],
      [view(1024, 1024, 4), view(2048, 1024, 16)],
      [view(1024, 2048, 4), view(1024, 2048, 16)],
    ]) {
      const { words } = await run(
        source,
        [a, b].flatMap((x) => x ?? []),
      );
      // The last element of the allocation may be hit: the compiler may clamp.
      const changed = [...words].flatMap((w, i) => (w === i * 7 + 1 ? [] : [i]));
      expect(changed.filter((i) => i < 508 || i >= 768)).toEqual([]);
      expect(changed.filter((i) => i >= 512 && i < 764)).toEqual([]);
    }
  });
});

describe("what is left alone", () => {
  const source = `// head
enable f16; /* one /* two */ */
diagnostic(off, derivative_uniformity);
const_assert 1 < 2; // why
@group(3) @binding(7)
  var<storage> x: array<u32>;
fn unused() -> u32 { return x[1]; }
@compute @workgroup_size(1, 1)
@diagnostic(warning, derivative_uniformity)
fn main() { /* here */ _ = x[0]; } // tail`;

  test("comments, directives, attributes and line numbers", async () => {
    const { wgsl } = rewritten(source, "");
    const lines = wgsl.split("\n");
    const original = source.split("\n");
    for (const i of [0, 1, 2, 3, 7, 8, 9]) expect(lines[i]).toBe(original[i]);
    expect(lines[4]).toBe("@group(0) @binding(0) var<storage, read_write> x: array<u32>;");
    expect(wgsl).not.toContain("unused");
    expect(await compileErrors(wgsl)).toBe("");
  });

  test("generated names avoid the guest's", async () => {
    const taken = `const vgpu_b0 = 1; const vgpu1_p = 2; ${ADD}`;
    const { wgsl } = rewritten(taken, "111");
    expect(wgsl).toContain("vgpu2_b0");
    expect(await compileErrors(wgsl)).toBe("");
  });

  test("bindings are storage, uniforms by argument, then the hidden uniform", () => {
    const uniforms = `
      @group(0) @binding(0) var<uniform> first: vec4u;
      @group(0) @binding(1) var<storage, read_write> out: array<u32>;
      @group(0) @binding(2) var<uniform> second: f32;
      @compute @workgroup_size(1) fn main() { out[0] = first.x + u32(second); }`;
    const { bindings, hasParams } = rewritten(uniforms, "1");
    expect(hasParams).toBe(true);
    expect(bindings).toEqual([
      { binding: 0, kind: "storage", bytes: 0, minBytes: 4, arguments: [1] },
      { binding: 1, kind: "uniform", bytes: 16, minBytes: 16, arguments: [0] },
      { binding: 2, kind: "uniform", bytes: 4, minBytes: 4, arguments: [2] },
      { binding: 3, kind: "uniform", bytes: 16, minBytes: 16, arguments: [] },
    ]);
  });

  test("block dimensions name their pipeline constants", () => {
    const blocks = `override x: u32; @id(3) override z: u32;
      @compute @workgroup_size(x, 2, z) fn main() {}`;
    expect(rewritten(blocks, "").blockConstants).toEqual(["x", null, "3"]);
  });
});

describe("VGPU-DEV-142: what cannot be expressed is ARGUMENT_ALIAS and says why", () => {
  const two = (body: string, declarations = "", type = "array<vec4f>"): string => `${declarations}
    @group(0) @binding(0) var<storage, read_write> left: ${type};
    @group(0) @binding(1) var<storage, read_write> right: array<f32>;
    @compute @workgroup_size(1) fn main() { right[0] = 1; ${body} }`;

  test.each([
    ["a swizzle is assigned", two("left[0].xy = vec2f();"), "'.xy' is assigned"],
    [
      "a for header calls the guest's function in an index",
      two("for (; right[0] < 1; left[f()].x += 1) {}", "fn f() -> u32 { return 0; }"),
      "'for' header",
    ],
    ["the module redeclares what generated code uses", two("", "fn min() {}"), "redeclares 'min'"],
    ["a local does", two("let u32 = 1; left[0].x = f32(u32);"), "redeclares 'u32'"],
  ])("%s", (_, source, reason) => {
    const error = failure(() => rewritten(source, "22"));
    expect(error.status).toBe(Status.ARGUMENT_ALIAS);
    expect(error.text).toContain(reason);
  });

  test("the arguments and the line are named", () => {
    const error = failure(() => rewritten(two("\n left[0].xy = vec2f();"), "22"));
    expect(error.text).toContain("'left', 'right'");
    expect(error.line).toBe(5);
  });

  test("the same module is fine where nothing is shared", () => {
    expect(rewritten(two("let u32 = 1; left[0].xy = vec2f(f32(u32));"), "").wgsl).toContain(".xy");
  });
});
