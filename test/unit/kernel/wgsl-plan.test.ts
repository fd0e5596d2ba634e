// SPDX-License-Identifier: Apache-2.0
/** Launch plans: one rule of plan.ts each. */
import { describe, expect, test } from "vitest";
import type { LaunchArgument, LaunchPlan } from "../../../src/kernel/wgsl/index.js";
import {
  findEntry,
  planLaunch,
  reflectModule,
  shapeOfKey,
  WgslError,
} from "../../../src/kernel/wgsl/index.js";
import { Status } from "../../../src/protocol/generated/wire.js";

const LIMITS = {
  storageOffsetAlign: 256,
  storageBindingsMax: 4,
  uniformBindingsMax: 3,
  uniformBytesMax: 65536,
};

function kernel(types: readonly string[], uniforms: readonly string[] = []): string {
  const declare =
    (space: string) =>
    (type: string, i: number): string => {
      const name = `${space[0]}${i}`;
      const access = space === "storage" ? ", read_write" : "";
      const group = space === "storage" ? 0 : 1;
      return `@group(${group}) @binding(${i}) var<${space}${access}> ${name}: ${type};`;
    };
  const uses = [...types.map((_, i) => `_ = &s${i};`), ...uniforms.map((_, i) => `_ = &u${i};`)];
  return `enable f16; struct S { a: f32, b: f32, c: f32 } struct L { n: u32, items: array<vec2f> }
    ${types.map(declare("storage")).join("\n")} ${uniforms.map(declare("uniform")).join("\n")}
    @compute @workgroup_size(1) fn main() { ${uses.join(" ")} }`;
}

function entryOf(types: readonly string[], uniforms: readonly string[] = []) {
  return findEntry(reflectModule(kernel(types, uniforms)), "main");
}

/** A pointer `offset` bytes into an allocation. */
function pointer(start: number, bytes: number, offset = 0, segment = 1): LaunchArgument {
  return {
    kind: "pointer",
    segment,
    allocationStart: start,
    allocationBytes: bytes,
    offset: start + offset,
  };
}

function plan(types: readonly string[], ...pointers: LaunchArgument[]): LaunchPlan {
  return planLaunch(entryOf(types), pointers, LIMITS);
}

function modes(types: readonly string[], key: string): string[] {
  return shapeOfKey(entryOf(types), key).map((b) => `${b.mode}:${b.arguments.join()}`);
}

function failure(work: () => unknown): [number, number] {
  try {
    work();
  } catch (error) {
    if (error instanceof WgslError) return [error.status, error.argument];
    throw error;
  }
  throw new Error("no error was thrown");
}

const FLOATS = ["array<f32>", "array<f32>", "array<f32>"];

describe("distinct allocations", () => {
  test("aligned pointers get bindings of their own, no parameters and the empty key", () => {
    const made = plan(FLOATS, pointer(0, 256), pointer(256, 1024), pointer(0, 512, 0, 2));
    expect(made).toEqual({
      key: "",
      params: null,
      copies: [],
      storage: [
        { segment: 1, offset: 0, bytes: 256 },
        { segment: 1, offset: 256, bytes: 1024 },
        { segment: 2, offset: 0, bytes: 512 },
      ],
    });
    expect(modes(FLOATS, "")).toEqual(["plain:0", "plain:1", "plain:2"]);
  });

  test("an interior pointer that is aligned is plain too, to the allocation's end", () => {
    const made = plan(["array<f32>"], pointer(256, 2048, 512));
    expect(made.key).toBe("");
    expect(made.storage).toEqual([{ segment: 1, offset: 768, bytes: 1536 }]);
  });

  test("an unaligned pointer is a base on an aligned binding", () => {
    const made = plan(["array<f32>"], pointer(256, 1024, 260));
    expect(modes(["array<f32>"], made.key)).toEqual(["typed:0"]);
    expect(made.storage).toEqual([{ segment: 1, offset: 512, bytes: 768 }]);
    expect([...(made.params ?? [])]).toEqual([1, 191, 0, 0]);
  });

  test("one key serves all unaligned offsets", () => {
    const one = plan(["array<f32>"], pointer(0, 1024, 4));
    const two = plan(["array<f32>"], pointer(4096, 8192, 516));
    expect(one.key).toBe(two.key);
    expect(one.params).not.toEqual(two.params);
  });

  test("an element that does not divide 256 is bound from the allocation's start", () => {
    const made = plan(["array<S>"], pointer(512, 1200, 12 * 30));
    expect(modes(["array<S>"], made.key)).toEqual(["typed:0"]);
    expect(made.storage).toEqual([{ segment: 1, offset: 512, bytes: 1200 }]);
    expect([...(made.params ?? [])].slice(0, 2)).toEqual([30, 70]);
  });

  test("an offset that is no multiple of the element needs words, with a base in bytes", () => {
    const made = plan(["array<S>"], pointer(512, 1200, 260));
    expect(modes(["array<S>"], made.key)).toEqual(["words:0"]);
    expect(made.storage).toEqual([{ segment: 1, offset: 768, bytes: 944 }]);
    expect([...(made.params ?? [])].slice(0, 2)).toEqual([4, 78]);
  });

  test("a struct that ends in an array needs words when it is unaligned", () => {
    const made = plan(["L"], pointer(0, 1000, 8));
    expect(modes(["L"], made.key)).toEqual(["words:0"]);
    expect([...(made.params ?? [])].slice(0, 2)).toEqual([8, 123]);
  });
});

describe("one allocation", () => {
  test("the same pointer twice is one plain binding", () => {
    const made = plan(FLOATS, pointer(0, 512), pointer(0, 512), pointer(512, 256));
    expect(modes(FLOATS, made.key)).toEqual(["plain:0,1", "plain:2"]);
    expect(made.params).toBeNull();
    expect(made.storage.map((r) => r.bytes)).toEqual([512, 256]);
  });

  test("views into an arena share a binding from the lowest one on", () => {
    const arena = (offset: number): LaunchArgument => pointer(256, 4096, offset);
    const made = plan(FLOATS, arena(1024), arena(516), arena(2048));
    expect(modes(FLOATS, made.key)).toEqual(["typed:0,1,2"]);
    expect(made.storage).toEqual([{ segment: 1, offset: 768, bytes: 3584 }]);
    expect([...(made.params ?? [])]).toEqual([128, 768, 1, 895, 384, 512, 0, 0]);
  });

  test("a single value and an array of its type share a typed binding", () => {
    const types = ["array<f32>", "f32"];
    const made = plan(types, pointer(0, 512), pointer(0, 512, 8));
    expect(modes(types, made.key)).toEqual(["typed:0,1"]);
    expect([...(made.params ?? [])]).toEqual([0, 128, 2, 1]);
  });

  test.each([
    [["array<f32>", "array<u32>"]],
    [["array<u32>", "array<atomic<u32>>"]],
    [["array<vec4f>", "array<f32>"]],
    [["L", "array<f32>"]],
  ])("%j share words", (types) => {
    const made = plan(types, pointer(0, 512), pointer(0, 512));
    expect(modes(types, made.key)).toEqual(["words:0,1"]);
  });

  test("the last vector of three has no room for a whole element, so it needs words", () => {
    expect(modes(["vec3f"], plan(["vec3f"], pointer(0, 28, 16)).key)).toEqual(["words:0"]);
    expect(modes(["vec3f"], plan(["vec3f"], pointer(0, 32, 16)).key)).toEqual(["typed:0"]);
  });

  test("pointers in two segments at one offset are distinct", () => {
    const made = plan(["array<f32>", "array<f32>"], pointer(0, 256, 0, 1), pointer(0, 256, 0, 2));
    expect(made.key).toBe("");
  });

  test("functions that take storage pointers share words, as the compiler refuses aliases", () => {
    const source = `
      @group(0) @binding(0) var<storage, read_write> a: array<f32>;
      @group(0) @binding(1) var<storage, read_write> b: array<f32>;
      fn f(p: ptr<storage, array<f32>, read_write>, q: ptr<storage, array<f32>, read_write>) {
        p[0] = q[0];
      }
      @compute @workgroup_size(1) fn main() { f(&a, &b); }`;
    const entry = findEntry(reflectModule(source), "main");
    const both = [pointer(0, 256), pointer(0, 256)];
    expect(shapeOfKey(entry, planLaunch(entry, both, LIMITS).key)[0]?.mode).toBe("words");
    const apart = [pointer(0, 256), pointer(256, 256)];
    expect(planLaunch(entry, apart, LIMITS).key).toBe("");
  });
});

describe("array lengths are the allocation's", () => {
  test.each([
    ["array<f32>", 1000, 1000, ""],
    ["array<f32>", 1003, 1000, ""],
    ["array<vec4f>", 1002, 1000, ""],
    ["array<f16>", 1002, 1004, "1"],
    ["array<f16>", 1001, 1000, ""],
  ])("%s in %i bytes binds %i", (type, bytes, bound, key) => {
    const made = plan([type], pointer(0, bytes));
    expect([made.storage[0]?.bytes, made.key]).toEqual([bound, key]);
    if (key !== "") expect(made.params?.[1]).toBe(Math.floor(bytes / 2));
  });
});

describe("errors name the argument", () => {
  const run = (
    types: readonly string[],
    uniforms: readonly string[],
    launchArguments: LaunchArgument[],
  ): [number, number] =>
    failure(() => planLaunch(entryOf(types, uniforms), launchArguments, LIMITS));
  const value = (bytes: number): LaunchArgument => ({
    kind: "value",
    bytes: new Uint8Array(bytes),
  });

  test("wrong count", () => {
    expect(run(FLOATS, [], [pointer(0, 256)])).toEqual([Status.ARGUMENT_COUNT, -1]);
  });

  test("a value for a storage variable", () => {
    expect(run(["array<f32>"], [], [value(4)])).toEqual([Status.ARGUMENT_KIND, 0]);
  });

  test("a value of the wrong size, one byte to either side", () => {
    for (const bytes of [15, 17]) {
      expect(run([], ["vec4f"], [value(bytes)])).toEqual([Status.ARGUMENT_KIND, 0]);
    }
    expect(planLaunch(entryOf([], ["vec4f"]), [value(16)], LIMITS).key).toBe("");
  });

  test("a pointer for a uniform is checked for size and alignment", () => {
    const two = (p: LaunchArgument): LaunchArgument[] => [pointer(512, 256), p];
    expect(run(["f32"], ["vec4f"], two(pointer(0, 16, 2)))).toEqual([Status.MISALIGNED, 1]);
    expect(run(["f32"], ["vec4f"], two(pointer(0, 16, 4)))).toEqual([Status.OUT_OF_RANGE, 1]);
    expect(planLaunch(entryOf(["f32"], ["vec4f"]), two(pointer(0, 20, 4)), LIMITS).key).toBe("");
  });

  test("a pointer that is not aligned for its type", () => {
    const types = ["array<f32>", "array<vec4f>"];
    const pointers = [pointer(0, 256), pointer(256, 256, 8)];
    expect(run(types, [], pointers)).toEqual([Status.MISALIGNED, 1]);
  });

  test("less than one element behind the pointer", () => {
    expect(run(["array<vec4f>"], [], [pointer(0, 31, 16)])).toEqual([Status.OUT_OF_RANGE, 0]);
    expect(plan(["array<vec4f>"], pointer(0, 32, 16)).params?.[1]).toBe(1);
  });

  test("more bindings than the GPU has", () => {
    const types = Array.from({ length: 5 }, () => "array<f32>");
    const apart = types.map((_, i) => pointer(i * 256, 256));
    expect(run(types, [], apart)[0]).toBe(Status.NOT_SUPPORTED);
    const together = types.map((_, i) => pointer(0, 4096, i * 256));
    expect(plan(types, ...together).storage.length).toBe(1);
    expect(run([], ["u32", "u32", "u32"], [value(4), value(4), value(4)])[0]).toBe(
      Status.NOT_SUPPORTED,
    );
  });
});
