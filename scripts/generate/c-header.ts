// SPDX-License-Identifier: Apache-2.0
/**
 * Writes the C UAPI header (kernel and user space, C11 and C++11) and the C table of status texts.
 * The header asserts every structure's size and every field's offset at compile time, so that a
 * compiler which lays them out differently refuses it.
 */
import { type Definition, type Field, type Struct, wrap } from "./definition.js";

const COLUMNS = 80;
const C_TYPES = { u8: "__u8", char: "char", u16: "__le16", u32: "__le32", u64: "__le64" } as const;

const HEAD = `/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio-vgpu: the wire format between the guest driver and the device.
 * Generated from spec/vgpu.json by "npm run generate"; do not edit.
 * All integers are little-endian; all structures are naturally aligned.
 */
#ifndef _UAPI_LINUX_VIRTIO_VGPU_H
#define _UAPI_LINUX_VIRTIO_VGPU_H

#include <linux/types.h>
#ifdef __KERNEL__
#include <linux/stddef.h>
#else
#include <stddef.h>
#endif

#ifdef __cplusplus
#define VGPU_STATIC_ASSERT(condition) static_assert(condition, #condition)
#else
#define VGPU_STATIC_ASSERT(condition) _Static_assert(condition, #condition)
#endif
`;

function comment(text: string): string[] {
  if (text.length + 6 <= COLUMNS) return [`/* ${text} */`];
  return ["/*", ...wrap(text, " * ", COLUMNS), " */"];
}

function literal(constant: Definition["constants"][number]["value"]): string {
  const digits = constant.hex ? `0x${constant.value.toString(16)}` : constant.value.toString();
  if (constant.value > 0xffff_ffffn) return `${digits}ULL`;
  return constant.value > 0x7fff_ffffn ? `${digits}U` : digits;
}

function constants(definition: Definition): string[] {
  const lines: string[] = [];
  for (const each of definition.constants) {
    lines.push(...comment(each.doc), `#define VGPU_${each.name} ${literal(each.value)}`);
  }
  lines.push("", "/* Capability bits. */");
  for (const each of definition.capabilities) {
    lines.push(...comment(each.doc), `#define VGPU_CAP_${each.name} (1ULL << ${each.bit})`);
  }
  return lines;
}

function enumeration(
  name: string,
  prefix: string,
  doc: string,
  values: readonly EnumLine[],
): string[] {
  const lines = ["", "/**", ...wrap(`enum vgpu_${name} - ${doc}`, " * ", COLUMNS)];
  for (const each of values) {
    lines.push(...wrap(`@VGPU_${prefix}_${each.name}: ${each.text}`, " * ", COLUMNS));
  }
  lines.push(" */", `enum vgpu_${name} {`);
  for (const each of values) lines.push(`\tVGPU_${prefix}_${each.name} = ${each.value},`);
  lines.push("};");
  return lines;
}

interface EnumLine {
  readonly name: string;
  readonly value: number;
  readonly text: string;
}

function enumerations(definition: Definition): string[] {
  const lines: string[] = [];
  for (const each of definition.enums) {
    lines.push(...enumeration(each.name, each.name.toUpperCase(), each.doc, each.values));
  }
  const requests = definition.requests.map((each) => ({
    name: each.name,
    value: each.value,
    text: `${each.queue} queue, scope ${each.scope}`,
  }));
  const commands = definition.commands.map((each) => ({
    name: each.name,
    value: each.value,
    text: each.payload === undefined ? "no payload" : `struct vgpu_${each.payload}`,
  }));
  lines.push(...enumeration("request", "REQ", "Types of requests.", requests));
  lines.push(...enumeration("command", "CMD", "Opcodes of commands.", commands));
  return lines;
}

/** Requests a process may send through the driver, as a mask, so that no driver keeps a list. */
function userRequestMask(definition: Definition): string[] {
  let mask = 0n;
  for (const each of definition.requests) {
    if (each.queue === "control" && each.scope !== "driver") mask |= 1n << BigInt(each.value);
  }
  return [
    "",
    "/* Bit n is set if control request type n may come from a user process. */",
    `#define VGPU_REQ_USER_MASK 0x${mask.toString(16)}ULL`,
  ];
}

function fieldLine(field: Field): string {
  const suffix = field.type === "u8" || field.type === "char" ? `[${field.count}]` : "";
  return `\t${C_TYPES[field.type]} ${field.name}${suffix};`;
}

function structure(struct: Struct): string[] {
  const name = `struct vgpu_${struct.name}`;
  const lines = ["", "/**", ...wrap(`${name} - ${struct.doc}`, " * ", COLUMNS)];
  for (const field of struct.fields) {
    lines.push(...wrap(`@${field.name}: ${field.doc}`, " * ", COLUMNS));
  }
  lines.push(" */", `${name} {`, ...struct.fields.map(fieldLine), "};", "");
  lines.push(`VGPU_STATIC_ASSERT(sizeof(${name}) == ${struct.bytes});`);
  for (const field of struct.fields) {
    lines.push(`VGPU_STATIC_ASSERT(offsetof(${name}, ${field.name}) == ${field.offset});`);
  }
  return lines;
}

/** The text of virtio_vgpu.h. */
export function writeCHeader(definition: Definition): string {
  const lines = [
    HEAD,
    ...constants(definition),
    ...enumerations(definition),
    ...userRequestMask(definition),
    ...definition.structs.flatMap(structure),
    "",
    "#endif /* _UAPI_LINUX_VIRTIO_VGPU_H */",
    "",
  ];
  return lines.join("\n");
}

/** The text of status_strings.inc: an X-macro list, so that each user makes the table it needs. */
export function writeStatusStrings(definition: Definition): string {
  const status = definition.enums.find((each) => each.name === "status");
  const lines = [
    "/* SPDX-License-Identifier: Apache-2.0 */",
    "/*",
    ' * Generated from spec/vgpu.json by "npm run generate"; do not edit.',
    " * Define VGPU_STATUS_STRING(value, name, text) before including this file.",
    " */",
  ];
  for (const each of status?.values ?? []) {
    const value = `VGPU_STATUS_${each.name}`;
    lines.push(`VGPU_STATUS_STRING(${value}, "${each.name}", ${JSON.stringify(each.text)})`);
  }
  lines.push("#undef VGPU_STATUS_STRING", "");
  return lines.join("\n");
}
