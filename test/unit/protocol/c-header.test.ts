// SPDX-License-Identifier: Apache-2.0
/**
 * Compiles the UAPI header as C and as C++, and lets a C program compare its structures with the
 * golden vectors: sizes, offsets, and each field's value read through the structure. The compiled
 * programs are kept in build/, named by the hash of all that went into them.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Status, statusText } from "../../../src/protocol/generated/wire.js";
import { root, type StructVector, structVectors } from "../../support/vectors.js";

const FOLDER = join(root, "build/test-c-header");
const INCLUDES = ["guest-driver/include", "guest-driver/libvgpu"].map((each) => join(root, each));
const INPUTS = [
  "guest-driver/include/uapi/virtio_vgpu.h",
  "guest-driver/libvgpu/status_strings.inc",
];

const HEAD = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "uapi/virtio_vgpu.h"

static int failures;

static void expect_u64(const char *what, unsigned long long got, unsigned long long want)
{
	if (got == want)
		return;
	printf("%s: got %llu, want %llu\\n", what, got, want);
	failures++;
}

static void expect_text(const char *what, const char *got, const char *want)
{
	if (strcmp(got, want) == 0)
		return;
	printf("%s: got \\"%s\\", want \\"%s\\"\\n", what, got, want);
	failures++;
}

static const char *status_text(unsigned int status)
{
	switch (status) {
#define VGPU_STATUS_STRING(value, name, text) case value: return text;
#include "status_strings.inc"
	}
	return "";
}
`;

function quoted(text: string): string {
  return `"${[...Buffer.from(text)].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("")}"`;
}

/** C statements that check one vector. */
function checks(vector: StructVector): string {
  const type = `struct vgpu_${vector.struct}`;
  if ("layout" in vector) {
    const lines = vector.layout.map(
      (field) =>
        `expect_u64("${vector.name}: ${field.name}", offsetof(${type}, ${field.name}), ${field.offset});`,
    );
    return [`expect_u64("${vector.name}", sizeof(${type}), ${vector.bytes});`, ...lines].join("\n");
  }
  const bytes = [...Buffer.from(vector.hex, "hex")].join(",");
  const lines = Object.entries(vector.fields).map(([field, value]) => {
    const what = `"${vector.name}: ${field}"`;
    if (typeof value === "number") return `expect_u64(${what}, v.${field}, ${value}u);`;
    if (value.startsWith("0x")) return `expect_u64(${what}, v.${field}, ${value}ull);`;
    return `expect_text(${what}, v.${field}, ${quoted(value)});`;
  });
  const load = `static const unsigned char b[] = {${bytes}}; ${type} v; memcpy(&v, b, sizeof(v));`;
  return `{ ${load}\n${lines.join("\n")} }`;
}

function program(vectors: readonly StructVector[]): string {
  const statuses = Object.values(Status).map(
    (status) =>
      `expect_text("status ${status}", status_text(${status}), ${quoted(statusText(status))});`,
  );
  const body = [...vectors.map(checks), ...statuses].join("\n");
  return `${HEAD}\nint main(void)\n{\n${body}\nreturn failures ? EXIT_FAILURE : EXIT_SUCCESS;\n}\n`;
}

/** Compiles `source` unless this very program has been compiled before; returns its path. */
function compile(
  compiler: string,
  args: readonly string[],
  extension: string,
  source: string,
): string {
  const hash = createHash("sha256").update(compiler).update(args.join(" ")).update(source);
  for (const each of INPUTS) hash.update(readFileSync(join(root, each)));
  const path = join(FOLDER, `header-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(path)) return path;
  mkdirSync(FOLDER, { recursive: true });
  const temporary = `${path}-${process.pid}`;
  writeFileSync(`${path}.${extension}`, source);
  const includes = INCLUDES.map((each) => `-I${each}`);
  const all = [...args, "-Wall", "-Wextra", "-Werror", ...includes];
  execFileSync(compiler, [...all, `${path}.${extension}`, "-o", temporary], { stdio: "pipe" });
  renameSync(temporary, path);
  return path;
}

/** What the program printed; empty if it found nothing wrong. */
function run(path: string): string {
  try {
    return execFileSync(path, { encoding: "utf8" });
  } catch (error) {
    const output = (error as { stdout?: unknown }).stdout;
    if (typeof output === "string" && output !== "") return output;
    throw error;
  }
}

// The vectors are little-endian, and so is every machine that the device runs on.
describe("the UAPI header", () => {
  it("agrees with the vectors, as C11", () => {
    expect(run(compile("cc", ["-std=c11"], "c", program(structVectors())))).toBe("");
  });

  it("agrees with the vectors, as C++17", () => {
    expect(run(compile("c++", ["-std=c++17"], "cc", program(structVectors())))).toBe("");
  });

  it("is held against the vectors' values: a wrong vector is told", () => {
    const wrong = structVectors().map((each) =>
      each.name === "request_header distinct" && "fields" in each
        ? { ...each, fields: { ...each.fields, context: 1 } }
        : each,
    );
    const output = run(compile("cc", ["-std=c11"], "c", program(wrong)));
    expect(output).toMatch(/^request_header distinct: context: got \d+, want 1\n$/);
  });
});
