// SPDX-License-Identifier: Apache-2.0
/**
 * Writes src/gvmcs/generated/layout.ts and spec/gvmcs-tables.md from the G-VMCS definition.
 * Each area becomes an interface and a codec with a validator, and a description of its fields for
 * the printed form: what is valid is written once, in spec/gvmcs.json.
 */
import { pascalCase } from "./definition.js";
import type { GvmcsArea, GvmcsDefinition, GvmcsField } from "./gvmcs-definition.js";
import { LOCK_BYTES } from "./gvmcs-definition.js";

const HEAD = `// SPDX-License-Identifier: Apache-2.0
/**
 * The layout of the G-VMCS: constants, enumerations, and one codec per area.
 * Generated from spec/gvmcs.json by "npm run generate"; do not edit.
 * Fields of 64 bits are numbers of at most 2^53 - 1, but for addresses, which are bigint.
 */

const decoder = new TextDecoder("utf-8");
const encoder = new TextEncoder();

function readText(view: DataView, base: number, count: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + base, count);
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function writeText(view: DataView, base: number, count: number, text: string): void {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + base, count);
  bytes.fill(0);
  encoder.encodeInto(text, bytes.subarray(0, count - 1));
}

function readNumber(view: DataView, base: number): number {
  return view.getUint32(base + 4, true) * 0x1_0000_0000 + view.getUint32(base, true);
}

function writeNumber(view: DataView, base: number, value: number): void {
  view.setUint32(base, value % 0x1_0000_0000, true);
  view.setUint32(base + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** A value that a validator refuses. */
export interface Violation {
  readonly field: string;
  readonly value: number | bigint;
  /** What holds for a valid value, for messages. */
  readonly rule: string;
}

/** One field of an area or of a row, for printing. */
export interface FieldLayout {
  readonly name: string;
  readonly type: "u32" | "u64" | "n64" | "text";
  /** From the area's start, or from the row's start. */
  readonly offset: number;
  readonly bytes: number;
  readonly unit: "ns" | "ps" | "bytes" | "ppm" | "address" | null;
  /** Names by value, for enumerations; by mask, for flags. */
  readonly names: ReadonlyMap<number, string> | null;
  readonly flags: boolean;
  readonly doc: string;
}

export interface AreaLayout {
  readonly name: string;
  readonly page: "controls" | "state";
  readonly kind: "words" | "record";
  /** From the page's start. */
  readonly offset: number;
  readonly bytes: number;
  readonly doc: string;
  readonly fields: readonly FieldLayout[];
  readonly table: {
    readonly name: string;
    readonly length: string;
    readonly offset: number;
    readonly rowBytes: number;
    readonly count: number;
    readonly fields: readonly FieldLayout[];
  } | null;
}

/** Reads, writes and validates one area at byte \`base\` of a view. */
export interface AreaCodec<T> extends AreaLayout {
  decode(view: DataView, base: number): T;
  /** Writes every field but the lock; reserved fields become zero. */
  encode(view: DataView, base: number, value: T): void;
  /** The first field that is not valid. */
  check(value: T): Violation | null;
}
`;

function literal(value: number, hex: boolean): string {
  return hex ? `0x${value.toString(16)}` : value.toString();
}

function constants(definition: GvmcsDefinition): string[] {
  const lines = ["", "/** Sizes, limits and magic numbers. */", "export const GVMCS = {"];
  for (const each of definition.constants) {
    lines.push(`  /** ${each.doc} */`, `  ${each.name}: ${literal(each.value, each.hex)},`);
  }
  lines.push("} as const;");
  return lines;
}

function enumerations(definition: GvmcsDefinition): string[] {
  const lines: string[] = [];
  for (const each of definition.enums) {
    const name = pascalCase(each.name);
    lines.push("", `/** ${each.doc} */`, `export const ${name} = {`);
    for (const value of each.values) {
      lines.push(`  /** ${value.text} */`, `  ${value.name}: ${value.value},`);
    }
    lines.push("} as const;", `export type ${name} = (typeof ${name})[keyof typeof ${name}];`);
    lines.push(`export const ${name}Names: ReadonlyMap<number, string> = new Map([`);
    for (const value of each.values) lines.push(`  [${value.value}, "${value.name}"],`);
    lines.push("]);");
    lines.push(`export const ${name}Texts: ReadonlyMap<number, string> = new Map([`);
    for (const value of each.values) {
      lines.push(`  [${value.value}, ${JSON.stringify(value.text)}],`);
    }
    lines.push("]);");
  }
  for (const each of definition.flags) {
    const name = pascalCase(each.name);
    const all = each.values.reduce((mask, value) => mask | (1 << value.bit), 0);
    lines.push("", `/** ${each.doc} */`, `export const ${name} = {`);
    for (const value of each.values) {
      lines.push(`  /** ${value.text} */`, `  ${value.name}: 0x${(1 << value.bit).toString(16)},`);
    }
    lines.push(`  ALL: 0x${all.toString(16)},`, "} as const;");
    lines.push(`export const ${name}Names: ReadonlyMap<number, string> = new Map([`);
    for (const value of each.values)
      lines.push(`  [0x${(1 << value.bit).toString(16)}, "${value.name}"],`);
    lines.push("]);");
  }
  return lines;
}

function at(base: string, offset: number): string {
  return offset === 0 ? base : `${base} + ${offset}`;
}

function decodeField(field: GvmcsField, base: string): string {
  const where = at(base, field.offset);
  switch (field.type) {
    case "text":
      return `readText(view, ${where}, ${field.bytes})`;
    case "u32":
      return `view.getUint32(${where}, true)`;
    case "u64":
      return `view.getBigUint64(${where}, true)`;
    case "n64":
      return `readNumber(view, ${where})`;
  }
}

function encodeField(field: GvmcsField, base: string, object: string): string {
  const where = at(base, field.offset);
  const value = field.reserved ? "0" : `${object}.${field.name}`;
  switch (field.type) {
    case "text":
      return `writeText(view, ${where}, ${field.bytes}, ${value});`;
    case "u32":
      return `view.setUint32(${where}, ${value}, true);`;
    case "u64":
      return `view.setBigUint64(${where}, ${value}, true);`;
    case "n64":
      return `writeNumber(view, ${where}, ${value});`;
  }
}

/** Lines that return a violation if a field is not valid. */
function checkField(field: GvmcsField, object: string): string[] {
  if (field.reserved || field.type === "text" || field.type === "u64") return [];
  const value = `${object}.${field.name}`;
  const refuse = (condition: string, rule: string): string =>
    `if (${condition}) return { field: "${field.name}", value: ${value}, rule: "${rule}" };`;
  if (field.equals !== null) {
    return [refuse(`${value} !== GVMCS.${field.equals}`, `is ${field.equals}`)];
  }
  if (field.enumName !== null) {
    const name = pascalCase(field.enumName);
    return [refuse(`!${name}Names.has(${value})`, `is one of ${field.enumName}`)];
  }
  if (field.flagsName !== null) {
    const name = pascalCase(field.flagsName);
    return [refuse(`(${value} & ~${name}.ALL) !== 0`, `has bits of ${field.flagsName} only`)];
  }
  const lines: string[] = [];
  if (field.min > 0) lines.push(refuse(`${value} < ${field.min}`, `is at least ${field.min}`));
  if (field.max !== null) {
    lines.push(refuse(`${value} > ${field.max}`, `is at most ${field.max}`));
  } else if (field.type === "n64") {
    lines.push(refuse(`${value} > Number.MAX_SAFE_INTEGER`, "is at most 2^53 - 1"));
  }
  return lines;
}

function layoutLines(fields: readonly GvmcsField[], indent: string): string[] {
  return fields
    .filter((field) => !field.reserved)
    .map((field) => {
      const names = field.enumName ?? field.flagsName;
      const parts = [
        `name: "${field.name}"`,
        `type: "${field.type}"`,
        `offset: ${field.offset}`,
        `bytes: ${field.bytes}`,
        `unit: ${field.unit === null ? "null" : `"${field.unit}"`}`,
        `names: ${names === null ? "null" : `${pascalCase(names)}Names`}`,
        `flags: ${field.flagsName !== null}`,
        `doc: ${JSON.stringify(field.doc)}`,
      ];
      return `${indent}{ ${parts.join(", ")} },`;
    });
}

function interfaceLines(fields: readonly GvmcsField[]): string[] {
  return fields
    .filter((field) => !field.reserved)
    .flatMap((field) => [
      `  /** ${field.doc}${field.unit === null ? "" : ` Unit: ${field.unit}.`} */`,
      `  readonly ${field.name}: ${
        field.type === "text" ? "string" : field.type === "u64" ? "bigint" : "number"
      };`,
    ]);
}

/** `queues` → `Queue`: the interface of one row. */
function rowName(table: NonNullable<GvmcsArea["table"]>): string {
  return `${pascalCase(table.name).replace(/s$/, "")}Row`;
}

function decodeMethod(area: GvmcsArea, name: string): string[] {
  const kept = area.fields.filter((field) => !field.reserved);
  const lines = [`  decode(view: DataView, base: number): ${name} {`];
  if (area.table !== null) {
    const { table } = area;
    lines.push(
      `    const ${table.name}: ${rowName(table)}[] = [];`,
      `    const rows = Math.min(view.getUint32(${at("base", lengthOffset(area))}, true), ${table.count});`,
      "    for (let index = 0; index < rows; index++) {",
      `      const row = base + ${table.offset} + index * ${table.rowBytes};`,
      `      ${table.name}.push({`,
      ...table.fields.map((field) => `        ${field.name}: ${decodeField(field, "row")},`),
      "      });",
      "    }",
    );
  }
  lines.push("    return {");
  lines.push(...kept.map((field) => `      ${field.name}: ${decodeField(field, "base")},`));
  if (area.table !== null) lines.push(`      ${area.table.name},`);
  lines.push("    };", "  },");
  return lines;
}

function lengthOffset(area: GvmcsArea): number {
  return area.fields.find((field) => field.name === area.table?.length)?.offset ?? 0;
}

function encodeMethod(area: GvmcsArea, name: string): string[] {
  const lines = [`  encode(view: DataView, base: number, value: ${name}): void {`];
  lines.push(...area.fields.map((field) => `    ${encodeField(field, "base", "value")}`));
  if (area.table !== null) {
    const { table } = area;
    lines.push(
      `    for (let index = 0; index < ${table.count}; index++) {`,
      `      const each = value.${table.name}[index];`,
      "      if (each === undefined) break;",
      `      const row = base + ${table.offset} + index * ${table.rowBytes};`,
      ...table.fields.map((field) => `      ${encodeField(field, "row", "each")}`),
      "    }",
    );
  }
  lines.push("  },");
  return lines;
}

function checkMethod(area: GvmcsArea, name: string): string[] {
  const checks = area.fields.flatMap((field) => checkField(field, "value"));
  const rowChecks = area.table?.fields.flatMap((field) => checkField(field, "each")) ?? [];
  const unused = checks.length + rowChecks.length === 0 ? "_" : "";
  const lines = [`  check(${unused}value: ${name}): Violation | null {`];
  lines.push(...checks.map((line) => `    ${line}`));
  if (area.table !== null && rowChecks.length > 0) {
    lines.push(`    for (const each of value.${area.table.name}) {`);
    lines.push(...rowChecks.map((line) => `      ${line}`), "    }");
  }
  lines.push("    return null;", "  },");
  return lines;
}

function codec(area: GvmcsArea): string[] {
  const name = pascalCase(area.name);
  const lines: string[] = [];
  if (area.table !== null) {
    lines.push("", `export interface ${rowName(area.table)} {`);
    lines.push(...interfaceLines(area.table.fields), "}");
  }
  lines.push("", `/** ${area.doc} */`, `export interface ${name} {`);
  lines.push(...interfaceLines(area.fields));
  if (area.table !== null) {
    lines.push(`  /** As many as ${area.table.length} says. */`);
    lines.push(`  readonly ${area.table.name}: readonly ${rowName(area.table)}[];`);
  }
  lines.push("}");
  if (area.kind === "words") {
    lines.push("", `/** Offsets of the words of ${area.name} in the ${area.page} page. */`);
    lines.push(`export const ${name}At = {`);
    for (const field of area.fields) lines.push(`  ${field.name}: ${area.offset + field.offset},`);
    lines.push("} as const;");
  }
  lines.push(
    `export const ${name}: AreaCodec<${name}> = {`,
    `  name: "${area.name}",`,
    `  page: "${area.page}",`,
    `  kind: "${area.kind}",`,
    `  offset: ${area.offset},`,
    `  bytes: ${area.bytes},`,
    `  doc: ${JSON.stringify(area.doc)},`,
    "  fields: [",
    ...layoutLines(area.fields, "    "),
    "  ],",
  );
  if (area.table === null) {
    lines.push("  table: null,");
  } else {
    const { table } = area;
    lines.push(
      "  table: {",
      `    name: "${table.name}",`,
      `    length: "${table.length}",`,
      `    offset: ${table.offset},`,
      `    rowBytes: ${table.rowBytes},`,
      `    count: ${table.count},`,
      "    fields: [",
      ...layoutLines(table.fields, "      "),
      "    ],",
      "  },",
    );
  }
  lines.push(...decodeMethod(area, name), ...encodeMethod(area, name), ...checkMethod(area, name));
  lines.push("};");
  return lines;
}

/** The text of layout.ts. */
export function writeGvmcsTypeScript(definition: GvmcsDefinition): string {
  return [
    HEAD,
    `/** Bytes at the start of a record, for its sequence lock. */`,
    `export const LOCK_BYTES = ${LOCK_BYTES};`,
    ...constants(definition),
    ...enumerations(definition),
    ...definition.areas.flatMap(codec),
    "",
    "/** Every area, in the order of its page. */",
    "export const areas: readonly AreaLayout[] = [",
    ...definition.areas.map((each) => `  ${pascalCase(each.name)},`),
    "];",
    "",
  ].join("\n");
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const cells = (row: readonly string[]): string => `| ${row.join(" | ")} |`;
  return [cells(columns), cells(columns.map(() => "---")), ...rows.map(cells), ""];
}

function rangeOf(field: GvmcsField): string {
  if (field.reserved) return "0";
  if (field.equals !== null) return `\`${field.equals}\``;
  const named = field.enumName ?? field.flagsName;
  if (named !== null) return `[${named}](#${named})`;
  if (field.max !== null || field.min > 0) {
    return `${field.min} to ${field.max ?? "the type's largest"}`;
  }
  return "any";
}

function fieldRows(fields: readonly GvmcsField[], base: number): string[][] {
  return fields.map((field) => [
    String(base + field.offset),
    field.type === "text" ? `text[${field.bytes}]` : field.type,
    `\`${field.name}\``,
    field.unit ?? "–",
    rangeOf(field),
    field.doc,
  ]);
}

function areaTable(area: GvmcsArea): string[] {
  const columns = ["Offset", "Type", "Field", "Unit", "Valid", "Meaning"];
  const lock =
    area.kind === "words"
      ? []
      : [
          [
            String(area.offset),
            "u32",
            "`lock`",
            "–",
            "any",
            "Sequence lock; 4 bytes of zero follow.",
          ],
        ];
  const lines = [
    `### ${area.name}`,
    "",
    `${area.doc} ${area.page === "controls" ? "Controls" : "State"} page, ${area.kind}, ` +
      `${area.bytes} bytes at ${area.offset}.`,
    "",
    ...table(columns, [...lock, ...fieldRows(area.fields, area.offset)]),
  ];
  if (area.table !== null) {
    const { name, count, offset, rowBytes, length, fields } = area.table;
    lines.push(
      `\`${name}\`: ${count} rows of ${rowBytes} bytes at ${area.offset + offset}, of which ` +
        `\`${length}\` are valid. Offsets are the row's.`,
      "",
      ...table(columns, fieldRows(fields, 0)),
    );
  }
  return lines;
}

/** The text of gvmcs-tables.md. */
export function writeGvmcsTables(definition: GvmcsDefinition): string {
  const rows = definition.constants.map((each) => [
    `\`${each.name}\``,
    literal(each.value, each.hex),
    each.doc,
  ]);
  return [
    "# G-VMCS: reference tables",
    "",
    "Generated from [gvmcs.json](gvmcs.json) by `npm run generate`; do not edit. The rules are in",
    "[g-vmcs.md](g-vmcs.md). All integers are little-endian; offsets and sizes are in bytes. An",
    "`n64` is 64 bits wide and holds at most 2^53 − 1.",
    "",
    `Revision ${definition.revision}.`,
    "",
    "## Constants",
    "",
    ...table(["Name", "Value", "Meaning"], rows),
    "## Areas",
    "",
    ...definition.areas.flatMap(areaTable),
    "## Enumerations",
    "",
    ...definition.enums.flatMap((each) => [
      `### ${each.name}`,
      "",
      each.doc,
      "",
      ...table(
        ["Value", "Name", "Meaning"],
        each.values.map((value) => [String(value.value), `\`${value.name}\``, value.text]),
      ),
    ]),
    "## Flags",
    "",
    ...definition.flags.flatMap((each) => [
      `### ${each.name}`,
      "",
      each.doc,
      "",
      ...table(
        ["Bit", "Name", "Meaning"],
        each.values.map((value) => [String(value.bit), `\`${value.name}\``, value.text]),
      ),
    ]),
  ].join("\n");
}
