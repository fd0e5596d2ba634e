// SPDX-License-Identifier: Apache-2.0
/** spec/g-vmcs.md holds together, and speaks of areas, fields and values that exist. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  areas,
  ExitReasonNames,
  FaultCodeNames,
  GVMCS,
  InjectedEventNames,
  LaunchStateNames,
  RunStateNames,
} from "../../../src/gvmcs/index.js";
import { root } from "../../support/vectors.js";

const text = readFileSync(join(root, "spec/g-vmcs.md"), "utf8");
const statements = [
  ...text.matchAll(/^- \*\*GVMCS-(BRK|INS)-(\d+)\*\* ((?:.*)(?:\n {2}\S.*)*)/gm),
].map(([, actor = "", number = "", body = ""]) => ({
  actor,
  number: Number(number),
  body: body.replace(/\n\s+/g, " "),
}));

describe("statements", () => {
  it.each(["BRK", "INS"])("GVMCS-%s-n are numbered without gaps", (actor) => {
    const numbers = statements
      .filter((each) => each.actor === actor)
      .map((each) => each.number)
      .sort((a, b) => a - b);
    expect(numbers.length).toBeGreaterThan(10);
    expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  });

  it.each(statements.map((each) => [`GVMCS-${each.actor}-${each.number}`, each] as const))(
    "%s binds one actor once",
    (_, { actor, body }) => {
      const subject = actor === "BRK" ? "The broker " : "The instance ";
      expect(body.startsWith(subject)).toBe(true);
      expect(body.match(/\b(MUST|SHOULD|MAY)\b/g)).toHaveLength(1);
    },
  );
});

describe("the text", () => {
  it("names fields that exist", () => {
    const named = [...text.matchAll(/`([a-z_]+)\.([a-z_0-9]+)`/g)];
    expect(named.length).toBeGreaterThan(10);
    for (const [whole, areaName, field] of named) {
      const area = areas.find((each) => each.name === areaName);
      const found = area?.fields.some((each) => each.name === field);
      expect(found, `${whole} does not exist`).toBe(true);
    }
  });

  it("names constants and values that exist", () => {
    const known = new Set([
      ...Object.keys(GVMCS),
      ...ExitReasonNames.values(),
      ...LaunchStateNames.values(),
      ...InjectedEventNames.values(),
      ...FaultCodeNames.values(),
      ...RunStateNames.values(),
      "NONE",
    ]);
    for (const [, name = ""] of text.matchAll(/`([A-Z][A-Z_]+)`/g)) {
      expect(known.has(name), `${name} does not exist`).toBe(true);
    }
  });
});
