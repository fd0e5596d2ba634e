// SPDX-License-Identifier: Apache-2.0
/** Slicing: the new entry point, and which loops wait for another workgroup. */
import { describe, expect, test } from "vitest";
import {
  findEntry,
  reflectModule,
  rewriteKernel,
  WgslError,
  whyUnsliceable,
} from "../../../src/kernel/wgsl/index.js";
import { Status } from "../../../src/protocol/generated/wire.js";
import { compileErrors } from "../../support/wgsl-gpu.js";

const HEAD = `
  @group(0) @binding(0) var<storage, read_write> flag: array<atomic<u32>, 8>;
  @group(0) @binding(1) var<storage, read_write> data: array<u32>;
  @group(0) @binding(2) var<storage, read> input: array<u32>;
  var<workgroup> shared_: array<atomic<u32>, 4>;`;

function why(body: string, functions = ""): string | null {
  const source = `${HEAD} ${functions}
    @compute @workgroup_size(1) fn main(
      @builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) groups: vec3u) { ${body} }`;
  return whyUnsliceable(findEntry(reflectModule(source), "main"));
}

describe("loops that wait for another workgroup", () => {
  test.each([
    ["a spin on a flag", "while (atomicLoad(&flag[0]) == 0u) {}"],
    [
      "a grid barrier",
      "atomicAdd(&flag[0], 1u); loop { if (atomicLoad(&flag[0]) >= groups.x) { break; } }",
    ],
    [
      "through a variable",
      "var v = 0u; loop { v = atomicLoad(&flag[1]); if (v != 0u) { break; } }",
    ],
    [
      "through two",
      "loop { let v = atomicLoad(&flag[1]); let done = v > 2u; if (done) { return; } }",
    ],
    ["in a for", "for (var v = 0u; v == 0u; v = atomicLoad(&flag[0])) {}"],
    ["with continue", "loop { if (atomicLoad(&flag[0]) == 0u) { continue; } break; }"],
    ["break if", "loop { continuing { break if atomicLoad(&flag[0]) == 1u; } }"],
    ["on plain storage", "while (data[wid.x] == 0u) {}"],
    ["by adding nothing", "while (atomicAdd(&flag[0], 0u) == 0u) {}"],
    ["by or", "while (atomicOr(&flag[0], 0u) == 0u) {}"],
    ["a lock by exchange", "while (atomicExchange(&flag[0], 1u) == 1u) {}"],
    [
      "a swap that expects a fixed value",
      "while (!atomicCompareExchangeWeak(&flag[0], 0u, 1u).exchanged) {}",
    ],
    ["through a pointer", "let p = &flag[2]; while (atomicLoad(p) == 0u) {}"],
    [
      "nested in another loop",
      "for (var i = 0u; i < 4u; i++) { while (atomicLoad(&flag[i]) == 0u) {} }",
    ],
    [
      "looking back while writing elsewhere",
      "while (atomicLoad(&flag[0]) == 0u) { atomicAdd(&flag[1], 1u); }",
    ],
  ])("%s", (_, body) => {
    expect(why(body)).toMatch(/waits for another workgroup to change/);
  });

  test("in a function, by a pointer parameter", () => {
    const spin =
      "fn spin(p: ptr<storage, atomic<u32>, read_write>) { while (atomicLoad(p) == 0u) {} }";
    expect(why("spin(&flag[0]);", spin)).toMatch(/waits for another workgroup/);
  });

  test("by a function that reads storage", () => {
    const ready = "fn ready() -> bool { return atomicLoad(&flag[0]) != 0u; }";
    expect(why("while (!ready()) {}", ready)).toMatch(/'ready\(\)'/);
  });
});

describe("loops that do not wait", () => {
  test.each([
    ["a counter", "for (var i = 0u; i < input[0]; i++) { data[i] = i; }"],
    ["a bounded poll", "for (var i = 0u; i < 9u && atomicLoad(&flag[0]) == 0u; i++) {}"],
    [
      "a poll with a counter beside it",
      "var n = 0u; loop { n++; if (n > 99u) { break; } if (atomicLoad(&flag[0]) == 1u) { break; } }",
    ],
    [
      "a float add by swap",
      "var old = atomicLoad(&flag[0]); loop { let r = atomicCompareExchangeWeak(&flag[0], old, old + 1u); if (r.exchanged) { break; } old = r.old_value; }",
    ],
    [
      "a swap of what was just read",
      "loop { let old = atomicLoad(&flag[0]); if (atomicCompareExchangeWeak(&flag[0], old, old ^ 5u).exchanged) { break; } }",
    ],
    [
      "a maximum by swap",
      "loop { let old = atomicLoad(&flag[0]); if (old >= wid.x) { break; } if (atomicCompareExchangeWeak(&flag[0], old, wid.x).exchanged) { break; } }",
    ],
    [
      "a queue of work",
      "loop { let i = atomicAdd(&flag[0], 1u); if (i >= groups.x) { break; } data[i] = i; }",
    ],
    [
      "a probe over addresses",
      "var i = wid.x; while (atomicLoad(&flag[i]) != 0u) { i = (i + 1u) % 8u; }",
    ],
    ["a linked list", "var i = wid.x; while (i != 0u) { i = data[i]; }"],
    ["its own progress in storage", "while (data[0] > 1u) { data[0] /= 2u; }"],
    [
      "its own stores to the flag",
      "while (atomicLoad(&flag[0]) < 9u) { atomicAdd(&flag[0], 1u); }",
    ],
    ["read-only storage", "var i = 0u; while (input[i] != 0u) { i++; }"],
    ["workgroup memory", "while (atomicLoad(&shared_[0]) == 0u) { atomicStore(&shared_[0], 1u); }"],
    ["a body that ends", "loop { data[0] = atomicLoad(&flag[0]); break; }"],
    [
      "insertion by shifting",
      "var j = 5u; while (j > 0u && data[j - 1u] > 3u) { data[j] = data[j - 1u]; j--; }",
    ],
  ])("%s", (_, body) => {
    expect(why(body)).toBeNull();
  });

  test("a function that makes progress", () => {
    const step = "fn step() -> bool { data[0] += 1u; return data[0] > 9u; }";
    expect(why("while (!step()) {}", step)).toBeNull();
  });

  test("an endless search is bounded and counts as waiting", () => {
    const chain = Array.from({ length: 3000 }, (_, i) => `v${i + 1} = v${i} + v${i};`).join(" ");
    const names = Array.from({ length: 3001 }, (_, i) => `var v${i} = 0u;`).join(" ");
    expect(why(`${names} while (v3000 < 4u) { v0 = data[0]; ${chain} }`)).toMatch(/too much/);
  });
});

describe("the new entry point", () => {
  test("built-in values that cannot be adjusted are refused by name", () => {
    const source = `@compute @workgroup_size(1) fn main(@builtin(workgroup_index) i: u32) {}`;
    const entry = findEntry(reflectModule(source), "main");
    try {
      rewriteKernel(entry, "", { sliceEntry: true });
      throw new Error("no error was thrown");
    } catch (error) {
      if (!(error instanceof WgslError)) throw error;
      expect(error.status).toBe(Status.NOT_SUPPORTED);
      expect(error.text).toContain("workgroup_index");
    }
  });

  test("attributes move, diagnostics stay, and values are adjusted", async () => {
    const source = `
      alias Id = vec3<u32>;
      override w: u32 = 8;
      struct In { @builtin(workgroup_id) wid: Id, @builtin(local_invocation_id) lid: Id }
      alias Input = In;
      @group(0) @binding(0) var<storage, read_write> out: array<u32>;
      @diagnostic(off, derivative_uniformity) @compute @workgroup_size(w, 2)
      fn main(in: Input, @builtin(num_workgroups) n: Id, @builtin(global_invocation_id) g: Id) {
        out[in.wid.x] = in.lid.x + n.y + g.z;
      }`;
    const entry = findEntry(reflectModule(source), "main");
    const { wgsl, slice, entryPoint, blockConstants } = rewriteKernel(entry, "", {
      sliceEntry: true,
    });
    expect(await compileErrors(wgsl)).toBe("");
    expect(slice).toEqual({ bytes: 32, offsetAt: 0, gridAt: 16 });
    expect([entryPoint, blockConstants]).toEqual(["main", ["w", null, null]]);
    expect(wgsl.match(/@compute/g)).toHaveLength(1);
    expect(wgsl).toContain("@diagnostic(off, derivative_uniformity)");
    expect(wgsl).toContain("vgpu_v0.wid = vgpu_v0.wid + vgpu_slice.offset;");
    expect(wgsl).toContain("vgpu_a2 + vgpu_slice.offset * vec3<u32>(u32(w), u32(2), u32(1))");
    expect(wgsl).toContain("vgpu_slice.grid");
  });
});
