// SPDX-License-Identifier: Apache-2.0
/**
 * Hostile modules: whatever the bytes, there is a result or a WgslError, and neither takes long.
 * Mutants are of real shaders, so that many get past the parser.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LaunchArgument } from "../../../src/kernel/wgsl/index.js";
import {
  planLaunch,
  reflectModule,
  rewriteKernel,
  WGSL_REWRITTEN_LENGTH_MAX,
  WgslError,
} from "../../../src/kernel/wgsl/index.js";
import { Status } from "../../../src/protocol/generated/wire.js";
import { loadShaders } from "../../support/wgsl-cases.js";

const LIMITS = {
  storageOffsetAlign: 256,
  storageBindingsMax: 8,
  uniformBindingsMax: 8,
  uniformBytesMax: 65536,
};
const RUNS = 400;

/** Runs `work`; a WgslError is a fine end, anything else is not. */
function ends<T>(work: () => T): T | WgslError {
  try {
    return work();
  } catch (error) {
    if (error instanceof WgslError) return error;
    throw error;
  }
}

/** Everything that a guest can make us do with a module. Gives how many rewrites came out. */
function exercise(source: string): number {
  const module = ends(() => reflectModule(source));
  if (module instanceof WgslError) return 0;
  let rewrites = 0;
  for (const entry of module.entries.values()) {
    if (entry instanceof WgslError) continue;
    const storage = entry.resources.filter((r) => r.kind === "storage").length;
    const shared = "2".repeat(storage);
    const typed = entry.resources.some((r) => r.element === null) ? "" : "1".repeat(storage);
    for (const key of ["", shared, typed]) {
      for (const sliceEntry of [false, true]) {
        const kernel = ends(() => rewriteKernel(entry, key, { sliceEntry }));
        if (kernel instanceof WgslError) continue;
        rewrites += 1;
        expect(kernel.wgsl.length).toBeLessThan(2 * WGSL_REWRITTEN_LENGTH_MAX);
      }
    }
  }
  return rewrites;
}

describe("modules", () => {
  test("random text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (source) => {
        exercise(source);
      }),
      { numRuns: RUNS },
    );
  });

  test("random tokens", () => {
    const tokens = (
      "fn var let const struct alias override enable @group(0) @binding(0) @compute " +
      "@workgroup_size(1) <storage,read_write> array < > ( ) { } [ ] ; : , . & * + - = += ++ -> " +
      "u32 f32 vec4 ptr atomic x y main 0 1u 2.5 if else for while loop switch case return"
    ).split(" ");
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...tokens), { maxLength: 80 }), (parts) => {
        exercise(parts.join(" "));
      }),
      { numRuns: RUNS },
    );
  });

  test("mutants of real shaders, of which many are still rewritten", () => {
    const sources = loadShaders().map((shader) => shader.source);
    const pieces = sources.flatMap((source) => source.split(/(?<=[;{}])/)).slice(0, 400);
    const edit = fc.record({
      at: fc.nat(10_000),
      remove: fc.nat(12),
      insert: fc.oneof(
        fc.constantFrom("", "", "*", "&", "[0]", ".x", "(", ")", "x", "u32", "++", "ptr<"),
        fc.constantFrom(...pieces),
      ),
    });
    let rewrites = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...sources),
        fc.array(edit, { minLength: 1, maxLength: 3 }),
        (original, edits) => {
          let source = original;
          for (const { at, remove, insert } of edits) {
            const start = at % (source.length + 1);
            source = source.slice(0, start) + insert + source.slice(start + remove);
          }
          rewrites += exercise(source);
        },
      ),
      { numRuns: RUNS },
    );
    expect(rewrites).toBeGreaterThan(RUNS / 10);
  });
});

describe("growth", () => {
  const head = `
    @group(0) @binding(0) var<storage, read_write> x: array<u32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;`;

  function wide(body: string, functions = ""): string {
    return `${head} ${functions} @compute @workgroup_size(1) fn main() { y[0] = 1; ${body} }`;
  }

  function words(source: string): unknown {
    const module = reflectModule(source);
    const entry = module.entries.get("main");
    if (entry === undefined || entry instanceof WgslError) throw new Error("no entry point");
    return ends(() => rewriteKernel(entry, "22"));
  }

  test("indices nested in indices stay linear", () => {
    const depth = 120;
    const nested = `${"x[".repeat(depth)}0${"]".repeat(depth)}`;
    const kernel = words(wide(`x[0] = ${nested};`));
    expect(kernel).toMatchObject({ hasParams: true });
    const swizzled = `${"y[x[".repeat(depth)}0${"]].xy.x".repeat(depth)}`;
    const vectors = wide(`x[0] = ${swizzled};`).replace("array<f32>", "array<vec4u>");
    expect(words(vectors.replace("y[0] = 1;", ""))).toMatchObject({ hasParams: true });
  });

  test("copies of functions are bounded", () => {
    const count = 12;
    const params = Array.from({ length: count }, (_, i) => `p${i}: ptr<storage, u32, read_write>`);
    const names = Array.from({ length: count }, (_, i) => `p${i}`);
    const body = names
      .map((_, i) => {
        const swapped = [...names];
        swapped[i] = "&z[0]";
        return `f${i + 1}(${swapped.join()});`;
      })
      .join(" ");
    const functions = Array.from({ length: count }, (_, i) => {
      return `fn f${i}(${params.join()}) { ${body.replaceAll(/f\d+\(/g, `f${i + 1}(`)} }`;
    });
    const last = `fn f${count}(${params.join()}) { *p0 = 1; }`;
    const z = "@group(0) @binding(2) var<storage, read_write> z: array<u32>;";
    const call = `f0(${names.map(() => "&x[0]").join()});`;
    const source = wide(call, `${z} ${functions.join("\n")} ${last}`);
    const entry = reflectModule(source).entries.get("main");
    if (entry === undefined || entry instanceof WgslError) throw new Error("no entry point");
    const result = ends(() => rewriteKernel(entry, "222"));
    expect(result).toBeInstanceOf(WgslError);
    expect(result instanceof WgslError && result.status).toBe(Status.ARGUMENT_ALIAS);
  });

  test("a source full of our prefixes is no trouble", () => {
    const names = Array.from({ length: 20_000 }, (_, i) => `vgpu${i}_`).join(" ");
    const kernel = words(wide(`/* vgpu_ ${names} */`));
    expect(kernel).toMatchObject({ hasParams: true });
  });
});

describe("plans", () => {
  test("any pointers give ranges inside their allocations, or an error", () => {
    const source = `enable f16; struct S { a: vec3f, b: u32, c: array<f32, 3> }
      @group(0) @binding(0) var<storage, read_write> a: array<f32>;
      @group(0) @binding(1) var<storage, read_write> b: array<S>;
      @group(0) @binding(2) var<storage, read_write> c: array<f16>;
      @group(0) @binding(3) var<storage, read_write> d: vec3f;
      @compute @workgroup_size(1) fn main() { _ = &a; _ = &b; _ = &c; _ = &d; }`;
    const entry = reflectModule(source).entries.get("main");
    if (entry === undefined || entry instanceof WgslError) throw new Error("no entry point");
    const pointer = fc
      .record({
        slot: fc.nat(3),
        bytes: fc.nat(3),
        n: fc.nat(60),
        unit: fc.constantFrom(2, 16, 48),
      })
      .map(({ slot, bytes, n, unit }): LaunchArgument => {
        const offset = n * unit;
        const start = slot * 4096;
        const common = { kind: "pointer", segment: 1, allocationStart: start } as const;
        return {
          ...common,
          allocationBytes: 1000 + slot * 777 + bytes,
          offset: start + offset,
        };
      });
    let planned = 0;
    fc.assert(
      fc.property(fc.array(pointer, { minLength: 4, maxLength: 4 }), (pointers) => {
        const plan = ends(() => planLaunch(entry, pointers, LIMITS));
        if (plan instanceof WgslError) return;
        planned += 1;
        for (const range of plan.storage) {
          const slot = Math.floor(range.offset / 4096);
          const bytes = 1000 + slot * 777 + 3;
          expect(range.offset % 256).toBe(0);
          expect(range.bytes % 4).toBe(0);
          expect(range.bytes).toBeGreaterThan(0);
          expect(range.offset + range.bytes).toBeLessThanOrEqual(slot * 4096 + bytes + 3);
        }
        for (const [i, range] of plan.storage.entries()) {
          for (const other of plan.storage.slice(i + 1)) {
            const apart =
              range.offset + range.bytes <= other.offset ||
              other.offset + other.bytes <= range.offset;
            expect(apart).toBe(true);
          }
        }
      }),
      { numRuns: 3000 },
    );
    expect(planned).toBeGreaterThan(100);
  });
});
