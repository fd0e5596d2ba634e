// SPDX-License-Identifier: Apache-2.0
/**
 * The written specification holds together: its statements are numbered without gaps, each binds
 * its own actor with one requirement; it speaks of every request and command, and of nothing that does not exist.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Command, Request, Status, structs, VGPU } from "../../../src/protocol/generated/wire.js";
import { root } from "../../support/vectors.js";

const text = readFileSync(join(root, "spec/virtio-vgpu.md"), "utf8");

interface Statement {
  readonly actor: string;
  readonly number: number;
  readonly body: string;
}

/** All statements: list items that begin with a number in bold, with their indented lines. */
function statements(): Statement[] {
  const found: Statement[] = [];
  for (const match of text.matchAll(/^- \*\*VGPU-(DEV|DRV)-(\d+)\*\* ((?:.*)(?:\n {2}\S.*)*)/gm)) {
    const [, actor = "", number = "", body = ""] = match;
    found.push({ actor, number: Number(number), body: body.replace(/\n\s+/g, " ") });
  }
  return found;
}

describe("statements", () => {
  it.each(["DEV", "DRV"])(
    "VGPU-%s-n are numbered from 1, each number once and none left out",
    (actor) => {
      const numbers = statements()
        .filter((each) => each.actor === actor)
        .map((each) => each.number)
        .sort((a, b) => a - b);
      expect(numbers.length).toBeGreaterThan(20);
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    },
  );

  it.each(statements().map((each) => [`VGPU-${each.actor}-${each.number}`, each] as const))(
    "%s binds one actor once",
    (_, { actor, body }) => {
      const subject = actor === "DEV" ? "The device" : "The driver";
      expect(body.startsWith(`${subject} MUST `) || body.startsWith(`${subject} SHOULD `)).toBe(
        true,
      );
      expect(body.match(/\b(MUST|SHOULD|MAY)\b/g)).toHaveLength(1);
    },
  );

  it("are all the statements there are", () => {
    const mentioned = text.match(/^- \*\*VGPU/gm) ?? [];
    expect(statements()).toHaveLength(mentioned.length);
  });
});

describe("the text", () => {
  const word = (name: string): RegExp => new RegExp(`\\b${name}\\b`);

  it.each([...Object.keys(Request), ...Object.keys(Command)])("speaks of %s", (name) => {
    expect(text).toMatch(word(name));
  });

  it("names only fields, limits and statuses that exist", () => {
    const known = new Set<string>([...Object.keys(VGPU), ...Object.keys(Status)]);
    for (const codec of Object.values(structs)) {
      known.add(codec.name);
      for (const field of Object.keys(codec.at)) {
        known.add(`${codec.name}.${field}`);
        known.add(field);
      }
      known.add(`struct ${codec.name}`);
    }
    known.add("name.field");
    for (const [, quoted = ""] of text.matchAll(/`([A-Za-z_. 0-9]+)`/g)) {
      expect(known, quoted).toContain(quoted);
    }
  });

  it("uses upper-case names only for what exists", () => {
    const known = new Set<string>([
      ...Object.keys(VGPU),
      ...Object.keys(Status),
      ...Object.keys(Request),
      ...Object.keys(Command),
      "VIRTIO_F_VERSION_1",
      "CONFIGURE_MEM_SLOTS",
      "GET_VRING_BASE",
      "REPLY_ACK",
      "RESET_DEVICE",
    ]);
    for (const [name] of text.matchAll(/\b[A-Z]+(?:_[A-Z0-9]+)+\b/g)) expect(known).toContain(name);
  });
});
