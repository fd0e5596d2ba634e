// SPDX-License-Identifier: Apache-2.0
//
// What the demo and the VM tests read from a guest and from the example programs. A result that
// is missing, malformed or another program's must never count as a pass.

import { describe, expect, test } from "vitest";
import { parseGuestLine } from "../../../scripts/lib/guest.js";
import { parseReport, programResult } from "../../../scripts/lib/programs.js";

describe("parseGuestLine", () => {
  test("reads an event", () => {
    expect(parseGuestLine('VGPU-DEMO {"event":"modules","ok":true}')).toEqual({
      event: "modules",
      ok: true,
    });
  });

  test.each([
    ["a program's output", "loss 0.25"],
    ["an event without the prefix", '{"event":"done"}'],
    ["broken JSON", 'VGPU-DEMO {"event":"done"'],
    ["an unknown event", 'VGPU-DEMO {"event":"finished"}'],
    ["an end without exit status", 'VGPU-DEMO {"event":"end","program":"x","ms":1,"result":null}'],
  ])("gives null for %s", (_, line) => {
    expect(parseGuestLine(line)).toBeNull();
  });
});

describe("programResult", () => {
  const report = parseReport('{"program":"sgemm","ok":true,"ms":12.5,"gpu_ms":4.5}');

  test("passes what exits with 0 and reports ok", () => {
    expect(programResult("sgemm", 0, report)).toEqual({
      name: "sgemm",
      ok: true,
      ms: 12.5,
      gpu_ms: 4.5,
    });
  });

  test("fails a nonzero exit status", () => {
    expect(programResult("sgemm", 1, report).ok).toBe(false);
  });

  test("fails a program killed by a signal", () => {
    expect(programResult("sgemm", null, report).ok).toBe(false);
  });

  test("fails a missing report, with no times", () => {
    expect(programResult("sgemm", 0, null)).toEqual({
      name: "sgemm",
      ok: false,
      ms: null,
      gpu_ms: null,
    });
  });

  test("fails another program's report", () => {
    expect(programResult("vecadd", 0, report).ok).toBe(false);
  });

  test("fails a report that is not ok", () => {
    const bad = parseReport('{"program":"sgemm","ok":false}');
    expect(bad).not.toBeNull();
    expect(programResult("sgemm", 0, bad).ok).toBe(false);
  });
});

test("parseReport ignores lines that are no report", () => {
  expect(parseReport("epoch 1")).toBeNull();
  expect(parseReport('{"ok":true}')).toBeNull();
});
