// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { barsSvg } from "../../../bench/plot-bars.js";

const part = (name: string, value: number) => ({ name, colour: "#000000", value });

describe("bars made of parts", () => {
  const svg = barsSvg("A <title>", [
    { label: "launch", parts: [part("encode", 10), part("wait", 30)] },
    { label: "Dawn alone", parts: [part("encode", 20), part("wait", 0)] },
    { label: "copy", parts: [part("encode", 0), part("wait", 4000)] },
  ]);

  it("shows each bar's sum, and leaves out parts of no length", () => {
    for (const sum of ["40", "20", "4000"]) expect(svg).toContain(`font-weight="bold">${sum}<`);
    // The legend has two squares; the bars have four parts.
    expect(svg.match(/<rect /g)).toHaveLength(1 + 2 + 4);
  });

  it("gives a group one scale, and each group its own", () => {
    const of = (top: number) =>
      [...svg.matchAll(new RegExp(`<rect x="[\\d.]+" y="${top}" width="([\\d.]+)"`, "g"))].reduce(
        (all, match) => all + Number(match[1]),
        0,
      );
    expect(of(84)).toBeCloseTo(2 * of(104), 0);
    expect(of(140)).toBeCloseTo(of(84), 0);
  });

  it("escapes text", () => {
    expect(svg).toContain("A &lt;title&gt;");
  });
});
