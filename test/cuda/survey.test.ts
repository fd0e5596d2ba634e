// SPDX-License-Identifier: Apache-2.0
/** The survey of a collection of kernels: what it counts, and that it goes on behind what fails. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { featuresOf } from "../support/survey/features.js";
import { report, type Surveyed, survey } from "../support/survey/main.js";

const kernel = (name: string, body: string): string =>
  `.visible .entry ${name}(.param .u64 ${name}_0)\n{\n${body}\n\tret;\n}\n`;

const TEXT = `.version 8.0
.target sm_75
.address_size 64
.func (.param .b32 out) inner(.param .b32 in)
{
	.reg .f64 %d<2>;
	add.f64 %d1, %d1, %d1;
	ret;
}
${kernel("plain", "\t.reg .b32 %r<2>;\n\tmov.u32 %r1, 3;")}
${kernel("calls", "\t.param .b32 a; .param .b32 b;\n\tcall (b), inner, (a);")}
${kernel("large", "\t.shared .align 4 .b8 all[90000];\n\t.reg .b32 %r<2>;\n\tmov.u32 %r1, all;\n\tst.shared.u32 [%r1], %r1;")}
${kernel("matrices", "\t.reg .b32 %r<9>;\n\tldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r1}, [%r2];")}
${kernel("unknown", "\tfrobnicate.b32;")}
// tex.2d in a comment is none
`;

const folder = mkdtempSync(join(tmpdir(), "vgpu-survey-test-"));
let found: Surveyed[] = [];

beforeAll(async () => {
  writeFileSync(join(folder, "some.ptx"), TEXT);
  found = await survey([folder], 60);
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("the survey of kernels", () => {
  it("says what a kernel and the functions that it calls use", () => {
    const features = Object.fromEntries(
      [...featuresOf(TEXT)].map(([name, used]) => [name, [...used]]),
    );
    expect(features).toEqual({
      plain: [],
      calls: ["f64"],
      large: [],
      matrices: ["tensor cores"],
      unknown: [],
    });
  });

  it("says how far each kernel comes", () => {
    const stages = found.map(({ kernel: name, result }) => [name, result.stage, result.isCut]);
    expect(stages).toEqual([
      ["plain", "ok", false],
      ["calls", "ok", false],
      ["large", "ok", true],
      ["matrices", "translate", undefined],
      ["unknown", "translate", undefined],
    ]);
  });

  it("counts them", () => {
    const lines = report(found).split("\n");
    expect(lines[2]).toBe("| all | 5 | 3 | 3 | 1 | 60.0 % |");
    expect(lines[3]).toMatch(/^\| without textures, .* \| 3 \| 2 \| 2 \| 1 \| 66.7 % \|$/);
    expect(lines.at(-2)).toMatch(/^in scope: some: unknown: translate: .*frobnicate/);
  });
});
