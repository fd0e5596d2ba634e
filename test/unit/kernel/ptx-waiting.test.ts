// SPDX-License-Identifier: Apache-2.0
/** Which PTX kernels wait for another workgroup: those can't be sliced. Needs no GPU. */
import { describe, expect, it } from "vitest";
import { parsePtx } from "../../../src/kernel/ptx/index.js";
import { CASES, ptxOf, TARGETS } from "../../cuda/cases/index.js";

const HEAD = `.version 8.0
.target sm_75
.address_size 64
.visible .entry k(.param .u64 p, .param .u32 n)
{
  .reg .pred %p<9>; .reg .b32 %r<20>; .reg .b64 %rd<9>; .reg .f32 %f<9>;
  .local .align 4 .b8 stack[16]; .shared .align 4 .b8 block[256];
  ld.param.u64 %rd0, [p];
  cvta.to.global.u64 %rd1, %rd0;
  ld.param.u32 %r0, [n];
  mov.u32 %r1, %ctaid.x;
`;

/** The line of the body, from 1, at which the kernel waits; null if it does not. */
function waitsAt(body: string): number | null {
  const [kernel] = parsePtx(`${HEAD}${body}\n  ret;\n}\n`).kernels;
  expect(kernel?.unsupported).toBeNull();
  const reason = kernel?.unsliceable ?? null;
  if (reason === null) return null;
  const line = /^line (\d+) waits for another workgroup/.exec(reason)?.[1];
  return Number(line) - HEAD.split("\n").length + 1;
}

describe("a kernel waits for another workgroup if it", () => {
  it.each([
    [
      "spins on a word",
      2,
      "L:\nld.volatile.global.u32 %r2, [%rd1];\nsetp.eq.s32 %p1, %r2, 0;\n@%p1 bra L;",
    ],
    [
      "spins by an acquiring load, asleep between",
      2,
      "L:\nld.acquire.gpu.global.u32 %r2, [%rd1+4];\nnanosleep.u32 100;\nsetp.lt.u32 %p1, %r2, %r0;\n@%p1 bra L;",
    ],
    [
      "spins by adding zero",
      2,
      "L:\natom.global.add.u32 %r2, [%rd1], 0;\nsetp.lt.u32 %p1, %r2, %r0;\n@%p1 bra L;",
    ],
    [
      "spins by adding a register that is zero",
      3,
      "mov.b32 %r9, 0;\nL:\natom.global.add.u32 %r2, [%rd1], %r9;\nsetp.lt.u32 %p1, %r2, %r0;\n@%p1 bra L;",
    ],
    [
      "waits for a signal by a compare-and-swap",
      2,
      "L:\natom.global.cas.b32 %r2, [%rd1], 1, 2;\nsetp.ne.s32 %p1, %r2, 1;\n@%p1 bra L;",
    ],
    [
      "counts how long it waits",
      2,
      "L:\nld.volatile.global.u32 %r2, [%rd1];\nst.global.u32 [%rd1+64], %r1;\nadd.s32 %r5, %r5, 1;\nsetp.eq.s32 %p1, %r2, 0;\n@%p1 bra L;",
    ],
    [
      "computes the address anew each time",
      3,
      "L:\nadd.s64 %rd2, %rd1, 128;\nld.volatile.global.u32 %r2, [%rd2];\nsetp.eq.s32 %p1, %r2, 0;\n@%p1 bra L;",
    ],
    [
      "votes on what it polls",
      2,
      "L:\nld.volatile.global.u32 %r2, [%rd1];\nsetp.eq.s32 %p1, %r2, 0;\nvote.sync.any.pred %p2, %p1, -1;\n@%p2 bra L;",
    ],
    [
      "keeps what it polled on its stack",
      3,
      "mov.u32 %r3, 0;\nL:\nld.volatile.global.u32 %r2, [%rd1];\nst.local.u32 [stack], %r2;\nld.local.u32 %r3, [stack];\nsetp.eq.s32 %p1, %r3, 0;\n@%p1 bra L;",
    ],
    [
      "tells its block what one thread polled",
      4,
      "mov.u32 %r4, %tid.x; setp.ne.u32 %p3, %r4, 0;\nL:\n@%p3 bra M;\nld.volatile.global.u32 %r2, [%rd1];\nst.shared.u32 [block], %r2;\nM:\nbar.sync 0;\nld.shared.u32 %r3, [block];\nbar.sync 0;\nsetp.eq.s32 %p1, %r3, 0;\n@%p1 bra L;",
    ],
    [
      "sets a variable when it is over",
      4,
      "mov.u32 %r3, 0;\nL:\nsetp.ne.s32 %p2, %r3, 0; @%p2 bra D;\nld.volatile.global.u32 %r2, [%rd1];\nsetp.eq.s32 %p1, %r2, 0;\n@%p1 bra L;\nmov.u32 %r3, 1;\nbra L;\nD:",
    ],
    [
      "waits inside of a loop that makes progress",
      4,
      "mov.u32 %r5, 0;\nO:\nL:\nld.volatile.global.u32 %r2, [%rd1];\nsetp.lt.u32 %p1, %r2, %r5;\n@%p1 bra L;\nst.global.u32 [%rd1+64], %r5;\nadd.s32 %r5, %r5, 1;\nsetp.lt.u32 %p2, %r5, %r0;\n@%p2 bra O;",
    ],
  ])("%s", (_, line, body) => {
    expect(waitsAt(body)).toBe(line);
  });
});

describe("a kernel waits for nobody if it", () => {
  it.each([
    [
      "retries a compare-and-swap with what it found",
      "ld.global.u32 %r2, [%rd1];\nL:\nmov.u32 %r3, %r2;\nadd.s32 %r4, %r3, 7;\natom.global.cas.b32 %r2, [%rd1], %r3, %r4;\nsetp.ne.s32 %p1, %r2, %r3;\n@%p1 bra L;",
    ],
    [
      "reads anew before each compare-and-swap",
      "L:\nld.volatile.global.u32 %r3, [%rd1];\nadd.s32 %r4, %r3, 7;\natom.global.cas.b32 %r2, [%rd1], %r3, %r4;\nsetp.ne.s32 %p1, %r2, %r3;\n@%p1 bra L;",
    ],
    [
      "adds floats by a compare-and-swap",
      "ld.global.f32 %f1, [%rd1];\nmov.b32 %r2, %f1;\nL:\nmov.b32 %f1, %r2;\nadd.f32 %f2, %f1, 0f3F800000;\nmov.b32 %r4, %f2;\nmov.u32 %r3, %r2;\natom.global.cas.b32 %r2, [%rd1], %r3, %r4;\nsetp.ne.s32 %p1, %r2, %r3;\n@%p1 bra L;",
    ],
    [
      "takes numbers from a queue",
      "L:\natom.global.add.u32 %r2, [%rd1], 1;\nsetp.lt.u32 %p1, %r2, %r0;\n@%p1 bra L;",
    ],
    [
      "counts up to what it reads",
      "mov.u32 %r5, 0;\nL:\nst.global.u32 [%rd1+64], %r5;\nadd.s32 %r5, %r5, 1;\nld.volatile.global.u32 %r2, [%rd1];\nsetp.lt.u32 %p1, %r5, %r2;\n@%p1 bra L;",
    ],
    [
      "stops early where others say so",
      "mov.u32 %r5, 0;\nL:\nld.volatile.global.u32 %r2, [%rd1];\nsetp.ne.s32 %p2, %r2, 0; @%p2 bra D;\nadd.s32 %r5, %r5, 1;\nsetp.lt.u32 %p1, %r5, %r0;\n@%p1 bra L;\nD:",
    ],
    [
      "follows a list",
      "mov.u64 %rd2, %rd1;\nL:\nld.global.u64 %rd2, [%rd2];\nsetp.ne.s64 %p1, %rd2, 0;\n@%p1 bra L;",
    ],
    [
      "looks for the end of a text",
      "mov.u64 %rd2, %rd1;\nL:\nld.global.u32 %r2, [%rd2];\nadd.s64 %rd2, %rd2, 4;\nsetp.ne.s32 %p1, %r2, 0;\n@%p1 bra L;",
    ],
    [
      "changes what it reads itself",
      "L:\nld.global.u32 %r2, [%rd1];\nshr.u32 %r3, %r2, 1;\nst.global.u32 [%rd1], %r3;\nsetp.ne.s32 %p1, %r3, 0;\n@%p1 bra L;",
    ],
    [
      "reads what can't change",
      "mov.u32 %r5, 0;\nL:\nld.global.nc.u32 %r2, [%rd1];\nadd.s32 %r5, %r5, %r2;\nsetp.lt.u32 %p1, %r5, %r0;\n@%p1 bra L;",
    ],
    [
      "waits for its own block",
      "L:\nld.volatile.shared.u32 %r2, [block];\nsetp.eq.s32 %p1, %r2, 0;\n@%p1 bra L;",
    ],
    [
      "waits for a time",
      "mov.u32 %r3, %clock;\nL:\nmov.u32 %r2, %clock;\nsub.s32 %r4, %r2, %r3;\nsetp.lt.u32 %p1, %r4, %r0;\n@%p1 bra L;",
    ],
  ])("%s", (_, body) => {
    expect(waitsAt(body)).toBeNull();
  });

  it("is one of the project's own, but for those that are meant to", () => {
    const waiting = TARGETS.flatMap((target) =>
      [...new Set(CASES.map((each) => each.module))].flatMap((module) =>
        parsePtx(ptxOf(module, target))
          .kernels.filter((kernel) => kernel.unsliceable !== null)
          .map((kernel) => `${kernel.name} ${target}`),
      ),
    );
    // A lock is a wait as well: the loop can't know who holds it.
    const meant = TARGETS.flatMap((target) => [`locked ${target}`, `scan_chained ${target}`]);
    expect(waiting.sort()).toEqual(meant.sort());
  });
});
