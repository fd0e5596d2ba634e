// SPDX-License-Identifier: Apache-2.0
/** The compiler's passes one by one, and hostile input. Needs no GPU. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  type EmitOptions,
  emitKernel,
  PTX_LIMITS,
  PtxError,
  parsePtx,
  printIr,
} from "../../../src/kernel/ptx/index.js";

const OPTIONS: EmitOptions = {
  segments: 1,
  block: [64, 1, 1],
  dynamicSharedBytes: 0,
  f16: false,
  subgroups: false,
  subgroupSize: 4,
  checked: false,
  blockThreadsMax: 1024,
  sharedBytesMax: 16384,
};

const HEAD = ".version 8.0\n.target sm_75\n.address_size 64\n";
const PARAMS = ".param .u64 p, .param .u32 n";
const kernel = (body: string, params = PARAMS): string =>
  `${HEAD}.visible .entry k(${params})\n{\n.reg .pred %p<9>;\n.reg .b32 %r<99>;\n` +
  `.reg .f32 %f<9>;\n.reg .b64 %rd<9>;\n${body}\nret;\n}\n`;

const emit = (body: string, options: Partial<EmitOptions> = {}): string =>
  emitKernel(parsePtx(kernel(body)), "k", { ...OPTIONS, ...options }).wgsl;

function failure(work: () => unknown): PtxError {
  try {
    work();
  } catch (error) {
    if (error instanceof PtxError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("parsing", () => {
  it("lays parameters out by their own alignment, not their target's", () => {
    const text = kernel(
      "",
      ".param .u32 a, .param .u64 .ptr .align 1 b, .param .align 4 .b8 c[12]",
    );
    const [found] = parsePtx(text).kernels;
    expect(found?.params).toEqual([
      { offset: 0, bytes: 4, align: 4 },
      { offset: 8, bytes: 8, align: 8 },
      { offset: 16, bytes: 12, align: 4 },
    ]);
    expect(found?.paramBytes).toBe(28);
  });

  it("reads initial values and addresses of other variables", () => {
    const text =
      `${HEAD}.global .align 4 .u32 x[3] = {1, 0xff, -1};\n` +
      `.const .align 8 .u64 y[2] = {generic(x), x+4};\n.global .f32 z = 0f3F800000;\n`;
    const [x, y, z] = parsePtx(text).globals;
    expect([...(x?.init ?? [])]).toEqual([1, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]);
    expect(y?.space).toBe("const");
    expect(y?.relocations).toEqual([
      { at: 0, target: "x", addend: 0 },
      { at: 8, target: "x", addend: 4 },
    ]);
    expect([...(z?.init ?? [])]).toEqual([0, 0, 128, 63]);
  });

  it("gives scopes names of their own", () => {
    const wgsl = emit(
      "mov.u32 %r1, 1;\n{ .reg .b32 %r<3>;\nmov.u32 %r1, 2;\nL: setp.eq.u32 %p1, %r1, 3;\n" +
        "@%p1 bra L; }\nld.param.u64 %rd1, [p];\nst.global.u32 [%rd1], %r1;",
    );
    const [, outer] = /(r\d+) = 1u;/.exec(wgsl) ?? [];
    const [, inner] = /(r\d+) = 2u;/.exec(wgsl) ?? [];
    expect(outer).not.toBe(inner);
    expect(wgsl).toMatch(new RegExp(`m0\\[r\\d+ >> 2u\\] = ${outer};`));
  });

  it.each([
    ["no version", "mov.u32 %r1, 2;", /line 1: '.version' is expected/],
    ["an unknown register", kernel("mov.u32 %x, 2;"), /has a result that is no register/],
    ["an unknown label", kernel("bra NOWHERE;"), /label 'NOWHERE' is not declared/],
    ["a label twice", kernel("L: L: ret;"), /label 'L' is declared twice/],
    ["a name that is nothing", kernel("mov.u32 %r1, blob;"), /'blob' is not declared/],
    ["an open comment", `${HEAD}/* `, /comment is not closed/],
    ["32-bit addresses", ".version 8.0\n.target sm_75\n.address_size 32\n", /32 is not 64/],
    ["an alignment of 3", `${HEAD}.global .align 3 .u32 x;`, /alignment 3/],
    ["too many initial values", `${HEAD}.global .u32 x[1] = {1, 2};`, /exceeds 4 bytes/],
  ])("refuses %s", (_, text, message) => {
    expect(failure(() => emitKernel(parsePtx(text), "k", OPTIONS)).message).toMatch(message);
  });
});

describe("what is missing", () => {
  it("fails one kernel, with its name, line and instruction", () => {
    const bad = kernel("wmma.load.a.sync.aligned.row.m16n16k16.f16 {%r1}, [%rd1], %r2;");
    const good = ".visible .entry fine() { ret; }\n";
    const module = parsePtx(bad + good);
    expect(module.kernels.map((k) => k.unsupported)).toEqual([
      "line 10: kernel k: wmma.load.a.sync.aligned.row.m16n16k16.f16 is not supported",
      null,
    ]);
    expect(failure(() => emitKernel(module, "k", OPTIONS))).toMatchObject({
      line: 10,
      kernel: "k",
      instruction: "wmma.load.a.sync.aligned.row.m16n16k16.f16",
    });
  });

  it.each([
    ["recursion", "call f;", /calls itself/],
    ["a function without body", "call g;", /'g' has no body/],
  ])("refuses %s", (_, body, message) => {
    const functions = `.func f() { call f; ret; }\n.extern .func g();\n`;
    const text = kernel(body).replace(".visible", `${functions}.visible`);
    expect(parsePtx(text).kernels[0]?.unsupported).toMatch(message);
  });

  it("checks block and shared memory against the device", () => {
    expect(failure(() => emit("", { block: [64, 64, 1] })).message).toMatch(/4096 threads/);
    const shared = ".shared .b8 s[20000];\nst.shared.u32 [s], 1;";
    expect(failure(() => emit(shared)).message).toMatch(
      /20000 bytes of shared memory exceed 16384/,
    );
  });
});

const LOAD = "ld.param.u64 %rd1, [p];\nld.param.u32 %r1, [n];\nmov.u32 %r2, %tid.x;\n";

describe("demanded bits", () => {
  it("keep addresses as u32", () => {
    const body = `${LOAD}mul.wide.u32 %rd2, %r2, 4;\nadd.s64 %rd3, %rd1, %rd2;\nst.global.u32 [%rd3], 1;`;
    expect(emit(body)).not.toContain("vec2u(");
    expect(emit(body, { segments: 2 })).toContain("g_st(");
  });

  it("keep the high word of what is stored, compared or shifted down", () => {
    const body = `${LOAD}mul.wide.u32 %rd2, %r2, 4;\nst.global.u64 [%rd1], %rd2;`;
    expect(emit(body)).toContain("mulw_u(");
  });
});

describe("structure", () => {
  const loop = (exit: string): string =>
    `${LOAD}mov.u32 %r3, 0;\nL: add.u32 %r3, %r3, 1;\n${exit}\nsetp.lt.u32 %p1, %r3, %r1;\n` +
    "@%p1 bra L;\nX: st.global.u32 [%rd1], %r3;";

  it("makes loops and conditions", () => {
    const wgsl = emit(loop("setp.eq.u32 %p2, %r3, 7;\n@%p2 bra X;"));
    expect(wgsl.match(/loop \{/g)).toHaveLength(1);
    expect(wgsl).not.toContain("switch");
  });

  it("prints blocks, spaces and structure", () => {
    const text = printIr(parsePtx(kernel(loop(""))), "k", OPTIONS);
    expect(text).toMatch(/block 1: {2}; idom 0, loop header/);
    expect(text).toMatch(/\[r\d+\.u\], r\d+\.u ; global/);
    expect(text).toMatch(/structure:\n {2}block 0\n {2}loop/);
  });

  it("makes a state machine of what has no structure", () => {
    const body = `${LOAD}setp.eq.u32 %p1, %r2, 0;\n@%p1 bra B;\nA: add.u32 %r1, %r1, 1;\nB: add.u32 %r1, %r1, 2;\nsetp.lt.u32 %p2, %r1, 90;\n@%p2 bra A;`;
    expect(emitKernel(parsePtx(kernel(body)), "k", OPTIONS).mode).toBe("state-machine");
  });

  it("keeps barriers of threads that are apart in uniform control flow", () => {
    const body = `${LOAD}setp.ge.u32 %p1, %r2, %r1;\n@%p1 bra X;\nbar.sync 0;\nX:`;
    const emitted = emitKernel(parsePtx(kernel(body)), "k", OPTIONS);
    expect(emitted.mode).toBe("structured");
    expect(emitted.wgsl).toMatch(/^ {2}workgroupBarrier\(\);$/m);
  });
});

describe("numerics", () => {
  it("keeps (x + M) - M", () => {
    const body = `ld.param.u64 %rd1, [p];\nld.global.f32 %f1, [%rd1];\nadd.f32 %f2, %f1, 0f4B400000;\nadd.f32 %f3, %f2, 0fCB400000;\nst.global.f32 [%rd1], %f3;`;
    expect(emit(body)).toMatch(/\+ 12582912f\) \^ rz\)/);
  });

  it("hides constants that are not finite", () => {
    const body = "ld.param.u64 %rd1, [p];\nmov.f32 %f1, 0f7F800000;\nst.global.f32 [%rd1], %f1;";
    expect(emit(body)).toContain("0x7f800000u | rz");
  });
});

describe("hostile text", () => {
  const source = readFileSync(new URL("../../support/ptx/basic.ptx", import.meta.url), "utf8");

  it("is a PtxError or a result wherever it ends", () => {
    for (let end = 0; end < source.length; end += 97) {
      try {
        parsePtx(source.slice(0, end));
      } catch (error) {
        expect(error).toBeInstanceOf(PtxError);
      }
    }
  });

  it("is a PtxError or a result whatever character is changed", () => {
    let seed = 7;
    const random = (n: number): number => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed % n;
    };
    const small = source.slice(0, source.indexOf(".visible .entry early_return"));
    for (let i = 0; i < 150; i += 1) {
      const at = random(small.length);
      const text = `${small.slice(0, at)}${"{}[]();,.%@!|0x-$ \n"[random(19)]}${small.slice(at + 1)}`;
      try {
        for (const found of parsePtx(text).kernels) found.unsupported;
      } catch (error) {
        expect(error).toBeInstanceOf(PtxError);
      }
    }
  });

  it("is bounded in nesting, calls, registers and instructions", () => {
    const limits = { ...PTX_LIMITS, kernelInstructionsMax: 5000 };
    expect(failure(() => parsePtx(kernel("{".repeat(1000)))).message).toMatch(/nest deeper/);
    const braces = `${HEAD}.global .u32 x[1] = ${"{".repeat(1000)}`;
    expect(failure(() => parsePtx(braces)).message).toMatch(/nests deeper/);
    const registers = kernel(".reg .b32 %q<99999999>;");
    expect(failure(() => parsePtx(registers)).message).toMatch(/exceed/);
    // Each function calls the one before twice: 2^30 instructions once expanded.
    let functions = ".func f0() { ret; }\n";
    for (let i = 1; i < 31; i += 1)
      functions += `.func f${i}() { call f${i - 1}; call f${i - 1}; ret; }\n`;
    const bomb = kernel("call f30;").replace(".visible", `${functions}.visible`);
    expect(parsePtx(bomb, limits).kernels[0]?.unsupported).toMatch(
      /5000 instructions are exceeded/,
    );
  });

  it("is bounded where the work grows faster than the text", () => {
    const number = kernel(`mov.u32 %r1, ${"9".repeat(100000)};`);
    expect(failure(() => parsePtx(number)).message).toMatch(/number is longer than 128/);
    const digits = kernel(`mov.u32 %r1, %${"1".repeat(16000)}a;\n`.repeat(200));
    expect(parsePtx(digits).kernels[0]?.unsupported).toMatch(/is not supported/);
    // Each register depends on the next one: facts travel backwards, one a round.
    const chain = Array.from({ length: 3000 }, (_, i) => `mov.u32 %c${i}, %c${i + 1};`);
    const body = `.reg .b32 %c<3001>;\n${LOAD}L: ${chain.join("\n")}\nmov.u32 %c3000, %tid.x;
setp.lt.u32 %p1, %c0, 9;\nbar.sync 0;\n@%p1 bra L;`;
    expect(parsePtx(kernel(body)).kernels[0]?.unsupported).toBeNull();
  });

  it("may be wide: a thousand conditions in a row, one inside the other, and loops", () => {
    const flat = Array.from(
      { length: 1000 },
      (_, i) => `setp.eq.u32 %p1, %r2, ${i};\n@%p1 bra X;\nadd.u32 %r1, %r1, %r2;\n`,
    ).join("");
    const nested = Array.from({ length: 300 }, (_, i) => `L${i}: add.u32 %r1, %r1, ${i};\n`).join(
      "",
    );
    const back = Array.from(
      { length: 300 },
      (_, i) => `setp.lt.u32 %p1, %r1, ${i};\n@%p1 bra L${299 - i};\n`,
    ).join("");
    const wide = parsePtx(kernel(`${LOAD}${flat}X: st.global.u32 [%rd1], %r1;`));
    expect(wide.kernels[0]?.unsupported).toBeNull();
    expect(parsePtx(kernel(`${LOAD}${nested}${back}`)).kernels[0]?.unsupported).toBeNull();
  });
});
