// SPDX-License-Identifier: Apache-2.0
/** Writes spec/tables.md: the reference tables that the written specification links to. */
import type { Definition, Struct } from "./definition.js";

const HEAD = `# virtio-vgpu: reference tables

Generated from [vgpu.json](vgpu.json) by \`npm run generate\`; do not edit. The rules are in
[virtio-vgpu.md](virtio-vgpu.md). All integers are little-endian; sizes and offsets are in bytes.`;

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const cells = (row: readonly string[]): string =>
    `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [cells(columns), cells(columns.map(() => "---")), ...rows.map(cells), ""];
}

function structLink(name: string | undefined): string {
  if (name === undefined) return "–";
  if (name === "bytes" || name === "commands") return name;
  return `[${name}](#struct-${name})`;
}

function shape(first: string | undefined, trailing: string | undefined): string {
  if (trailing === undefined) return structLink(first);
  return `${structLink(first)}, then ${structLink(trailing)}`;
}

function structure(struct: Struct): string[] {
  const rows = struct.fields.map((field) => {
    const type =
      field.type === "u8" || field.type === "char" ? `${field.type}[${field.count}]` : field.type;
    const doc =
      field.enumName === null
        ? field.doc
        : `${field.doc} See [${field.enumName}](#${field.enumName}).`;
    return [String(field.offset), type, `\`${field.name}\``, doc];
  });
  return [
    `### struct ${struct.name}`,
    "",
    `${struct.doc} ${struct.bytes} bytes.`,
    "",
    ...table(["Offset", "Type", "Field", "Meaning"], rows),
  ];
}

function constantRows(definition: Definition): string[][] {
  return definition.constants.map((each) => {
    const { value, hex } = each.value;
    return [`\`${each.name}\``, hex ? `0x${value.toString(16)}` : value.toString(), each.doc];
  });
}

/** The text of tables.md. */
export function writeTables(definition: Definition): string {
  const { major, minor } = definition.version;
  const enums = definition.enums.flatMap((each) => [
    `### ${each.name}`,
    "",
    each.doc,
    "",
    ...table(
      ["Value", "Name", "Meaning"],
      each.values.map((value) => [String(value.value), `\`${value.name}\``, value.text]),
    ),
  ]);
  const requests = definition.requests.map((each) => [
    String(each.value),
    `\`${each.name}\``,
    each.queue,
    each.scope,
    shape(each.request, each.trailing),
    shape(each.response, each.responseTrailing),
  ]);
  const commands = definition.commands.map((each) => [
    String(each.value),
    `\`${each.name}\``,
    each.payload === undefined ? "–" : shape(each.payload, each.trailing),
  ]);
  const capabilities = definition.capabilities.map((each) => [
    String(each.bit),
    `\`${each.name}\``,
    each.doc,
  ]);
  return [
    HEAD,
    "",
    `Version ${major}.${minor}.`,
    "",
    "## Constants and limits",
    "",
    ...table(["Name", "Value", "Meaning"], constantRows(definition)),
    "## Capabilities",
    "",
    ...table(["Bit", "Name", "Meaning"], capabilities),
    "## Requests",
    "",
    ...table(["Type", "Name", "Queue", "Scope", "Payload", "Response payload"], requests),
    "## Commands",
    "",
    ...table(["Opcode", "Name", "Payload"], commands),
    "## Enumerations",
    "",
    ...enums,
    "## Structures",
    "",
    ...definition.structs.flatMap(structure),
  ].join("\n");
}
