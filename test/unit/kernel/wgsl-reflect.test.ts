// SPDX-License-Identifier: Apache-2.0
/** Reflection: entry points, argument order, memory layout, and the errors of bad modules. */
import { describe, expect, test } from "vitest";
import {
  findEntry,
  reflectModule,
  WGSL_SOURCE_LENGTH_MAX,
  WgslError,
} from "../../../src/kernel/wgsl/index.js";
import { Status } from "../../../src/protocol/generated/wire.js";

function errorOf(work: () => unknown): WgslError {
  try {
    work();
  } catch (error) {
    if (error instanceof WgslError) return error;
    throw error;
  }
  throw new Error("no error was thrown");
}

/** The layout of one storage variable of the given type. */
function layout(type: string, declarations = ""): readonly number[] {
  const source = `enable f16; ${declarations}
    @group(0) @binding(0) var<storage, read_write> v: ${type};
    @compute @workgroup_size(1) fn main() { _ = &v; }`;
  const [v] = findEntry(reflectModule(source), "main").resources;
  if (v === undefined) throw new Error("no variable");
  return [v.minBytes, v.alignBytes, v.elementStrideBytes, v.elementsOffsetBytes];
}

describe("entry points", () => {
  const source = `
    @group(1) @binding(0) var<storage, read> d: array<f32>;
    @group(0) @binding(5) var<uniform> c: vec4<u32>;
    @group(0) @binding(2) var<storage, read_write> b: array<u32>;
    @group(0) @binding(1) var<storage, read> unused: array<u32>;
    var<workgroup> w: u32;
    fn leaf() -> f32 { return d[0]; }
    fn helper(unused: f32) -> f32 { return leaf() + unused; }
    @compute @workgroup_size(4) fn first(@builtin(workgroup_id) id: vec3u) {
      w = 1; b[0] = u32(helper(1.0)) + c.x;
    }
    @compute @workgroup_size(8) fn second() { b[1] = 1; }
    @fragment fn colour() -> @location(0) vec4f { return vec4f(); }`;
  const module = reflectModule(source);

  test("only compute entry points are listed", () => {
    expect(module.entryNames).toEqual(["first", "second"]);
  });

  test("arguments are what is used, through calls too, by group and binding", () => {
    const names = findEntry(module, "first").resources.map((r) => r.name);
    expect(names).toEqual(["b", "c", "d"]);
    expect(findEntry(module, "second").resources.map((r) => r.name)).toEqual(["b"]);
  });

  test("access, kind and builtins are reported", () => {
    const entry = findEntry(module, "first");
    expect(entry.resources.map((r) => [r.kind, r.access])).toEqual([
      ["storage", "read_write"],
      ["uniform", "read"],
      ["storage", "read"],
    ]);
    expect([...entry.builtins]).toEqual(["workgroup_id"]);
  });

  test("an unknown entry point is FUNCTION_NOT_FOUND and names the known ones", () => {
    const error = errorOf(() => findEntry(module, "third"));
    expect(error.status).toBe(Status.FUNCTION_NOT_FOUND);
    expect(error.text).toContain("'first', 'second'");
  });
});

describe("workgroup sizes", () => {
  const block = (size: string, declarations = ""): unknown =>
    findEntry(reflectModule(`${declarations} @compute @workgroup_size(${size}) fn f() {}`), "f")
      .block;
  const fixed = (value: number): object => ({ kind: "fixed", value });

  test("missing dimensions are 1, constants are evaluated", () => {
    expect(block("64")).toEqual([fixed(64), fixed(1), fixed(1)]);
    expect(block("N / 2u, 1 << 3", "const N = M * 4; const M = 8;")).toEqual([
      fixed(16),
      fixed(8),
      fixed(1),
    ]);
  });

  test("an override is named by its id where it has one", () => {
    const declarations = "override a: u32 = 4; @id(12) override b: u32;";
    expect(block("a, (b), 2", declarations)).toMatchObject([
      { kind: "override", name: "a", constant: "a", hasDefault: true },
      { kind: "override", name: "b", constant: "12", hasDefault: false },
      fixed(2),
    ]);
  });

  test.each(["", "0", "missing", "2.5"])("'%s' is MODULE_INVALID", (size) => {
    expect(errorOf(() => block(size)).status).toBe(Status.MODULE_INVALID);
  });
});

describe("memory layout", () => {
  test.each([
    ["f32", [4, 4, 0, 0]],
    ["vec3<f32>", [12, 16, 0, 0]],
    ["vec2h", [4, 4, 0, 0]],
    ["mat3x3<f32>", [48, 16, 0, 0]],
    ["mat2x3<f16>", [16, 8, 0, 0]],
    ["mat4x2f", [32, 8, 0, 0]],
    ["atomic<i32>", [4, 4, 0, 0]],
    ["array<vec3f, 3>", [48, 16, 0, 0]],
    ["array<f32>", [4, 4, 4, 0]],
    ["array<vec3<u32>>", [16, 16, 16, 0]],
    ["array<array<f16, 3>>", [6, 2, 6, 0]],
  ])("%s", (type, expected) => {
    expect(layout(type)).toEqual(expected);
  });

  test.each([
    ["a: f32, b: vec3f, c: f32", [32, 16, 0, 0]],
    ["a: f32, b: array<vec2f>", [16, 8, 8, 8]],
    ["a: vec3f, b: array<f32>", [16, 16, 4, 12]],
    ["a: vec4f, b: array<f32>", [32, 16, 4, 16]],
    ["@size(20) a: f32, @align(16) b: u32", [48, 16, 0, 0]],
    ["a: T, b: f16", [12, 4, 0, 0]],
    ["a: array<T, N>", [24, 4, 0, 0]],
  ])("struct { %s }", (members, expected) => {
    const declarations = `const N = 3; struct T { x: u32, y: f16 } struct S { ${members} }`;
    expect(layout("S", declarations)).toEqual(expected);
  });

  test("aliases and declared names win over predeclared ones", () => {
    expect(layout("A", "alias A = array<B>; alias B = vec4<f32>;")).toEqual([16, 16, 16, 0]);
    expect(layout("vec2u", "struct vec2u { a: f32, b: f32, c: f32 }")).toEqual([12, 4, 0, 0]);
  });
});

describe("what cannot be launched", () => {
  test.each([
    ["@group(0) @binding(0) var t: texture_2d<f32>;", "'t' (texture_2d<f32>)"],
    ["@group(0) @binding(0) var t: sampler;", "'t' (sampler)"],
    ["var<immediate> t: u32;", "'t' (address space immediate)"],
    ["@group(0) @binding(0) var<storage> t: array<bool>;", "array<bool>"],
  ])("VGPU-DEV-141: %s is NOT_SUPPORTED", (declaration, named) => {
    const source = `${declaration} @compute @workgroup_size(1) fn f() { _ = &t; }`;
    const error = errorOf(() => findEntry(reflectModule(source), "f"));
    expect(error.status).toBe(Status.NOT_SUPPORTED);
    expect(error.text).toContain(named);
  });

  test("two variables in one slot are refused for an entry point that uses both", () => {
    const source = `
      @group(0) @binding(0) var<storage> a: u32;
      @group(0) @binding(0) var<storage> b: u32;
      @compute @workgroup_size(1) fn f() { _ = a + b; }`;
    const error = errorOf(() => findEntry(reflectModule(source), "f"));
    expect(error.text).toContain("'a' and 'b'");
  });
});

describe("bad modules are MODULE_INVALID", () => {
  test("a syntax error has its line", () => {
    const error = errorOf(() => reflectModule("const a = 1;\n\nfn f( {}\n"));
    expect([error.status, error.line]).toEqual([Status.MODULE_INVALID, 3]);
  });

  test.each([
    ["extensions of WGSL", "import package::a; fn f() {}"],
    ["conditions", "@if(a) fn f() {}"],
    ["a name twice", "fn f() {} const f = 1;"],
    ["a struct that contains itself", "struct S { s: S } @group(0) @binding(0) var<storage> v: S;"],
    ["an alias of itself", "alias A = A; @group(0) @binding(0) var<storage> v: A;"],
    ["a type too large", "@group(0) @binding(0) var<storage> v: array<array<u32, 65536>, 65536>;"],
    ["a bad @size", "struct S { @size(2) v: u32 } @group(0) @binding(0) var<storage> v: S;"],
  ])("%s", (_, source) => {
    const entry = "@compute @workgroup_size(1) fn main_() { _ = &v; }";
    const error = errorOf(() => findEntry(reflectModule(`${source}\n${entry}`), "main_"));
    expect(error.status).toBe(Status.MODULE_INVALID);
  });

  test("a module at the length limit is read, a longer one is not", () => {
    const pad = (length: number): string => `const a = 1;${" ".repeat(length - 12)}`;
    expect(reflectModule(pad(WGSL_SOURCE_LENGTH_MAX)).entryNames).toEqual([]);
    const error = errorOf(() => reflectModule(pad(WGSL_SOURCE_LENGTH_MAX + 1)));
    expect(error.text).toContain(String(WGSL_SOURCE_LENGTH_MAX));
  });

  test("deep nesting of every kind ends in an error, soon", () => {
    const deep = [
      `const a = ${"(".repeat(5000)}1${")".repeat(5000)};`,
      `const a = ${"1+".repeat(5000)}1;`,
      `const a = ${"-".repeat(5000)}1;`,
      `fn f() { a${"[0]".repeat(5000)} = 1; }`,
      `fn f() ${"{".repeat(5000)}${"}".repeat(5000)}`,
      `var<private> a: ${"array<".repeat(5000)}u32${", 1>".repeat(5000)};`,
      `fn f() { if a {} ${"else if a {}".repeat(5000)} }`,
      "/*".repeat(50_000),
      `fn f() { let x = ${"a<(".repeat(5000)}1; }`,
    ];
    for (const source of deep) {
      expect(errorOf(() => reflectModule(source)).status, source.slice(0, 40)).toBe(
        Status.MODULE_INVALID,
      );
    }
  });

  test("chains of constants and types end", () => {
    const links = Array.from({ length: 2000 }, (_, i) => `const c${i} = c${i + 1} + c${i + 1};`);
    const types = Array.from({ length: 2000 }, (_, i) => `alias t${i} = array<t${i + 1}, 1>;`);
    const source = `${links.join("")} const c2000 = 1; ${types.join("")} alias t2000 = u32;
      @group(0) @binding(0) var<storage> v: t0;
      @compute @workgroup_size(c0) fn f() { _ = &v; }`;
    expect(errorOf(() => findEntry(reflectModule(source), "f")).status).toBe(Status.MODULE_INVALID);
  });
});
