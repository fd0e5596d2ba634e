// SPDX-License-Identifier: Apache-2.0
/**
 * A G-VMCS in a form for people and for JSON, field by field. It reads copies of the two pages and
 * trusts nothing in them: a value that no rule allows is shown as it is and marked.
 */
import { type AreaLayout, areas, type FieldLayout } from "./generated/layout.js";

export interface DecodedField {
  readonly name: string;
  /** The number as it stands; bigint where it may be over 2^53. */
  readonly value: number | bigint | string;
  /** With names, units and marks. */
  readonly text: string;
  readonly doc: string;
}

export interface DecodedArea {
  readonly name: string;
  readonly page: "controls" | "state";
  readonly doc: string;
  /** Whether the record was being written when it was copied. */
  readonly torn: boolean;
  readonly fields: readonly DecodedField[];
  readonly table: {
    readonly name: string;
    readonly rows: readonly (readonly DecodedField[])[];
  } | null;
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** `1500000` ns → `1.5 ms`: three decimals at most, in the largest unit that fits. */
function scaled(value: number, steps: readonly (readonly [number, string])[]): string {
  for (const [size, unit] of steps) {
    if (value >= size || size === 1) return `${Number((value / size).toFixed(3))} ${unit}`;
  }
  return String(value);
}

const TIME = [
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "us"],
  [1, "ns"],
] as const;
const TIME_PS = [
  [1e12, "s"],
  [1e9, "ms"],
  [1e6, "us"],
  [1e3, "ns"],
  [1, "ps"],
] as const;
const SIZE = [
  [2 ** 40, "TiB"],
  [2 ** 30, "GiB"],
  [2 ** 20, "MiB"],
  [2 ** 10, "KiB"],
  [1, "B"],
] as const;

function withUnit(value: number, unit: FieldLayout["unit"]): string {
  switch (unit) {
    case "ns":
      return value === 0 ? "0" : scaled(value, TIME);
    case "ps":
      return value === 0 ? "0" : scaled(value, TIME_PS);
    case "bytes":
      return value === 0 ? "0" : scaled(value, SIZE);
    case "ppm":
      return `${Number((value / 1e4).toFixed(4))} %`;
    default:
      return String(value);
  }
}

function flagText(value: number, names: ReadonlyMap<number, string>): string {
  const known = [...names].filter(([mask]) => (value & mask) !== 0);
  const rest = known.reduce((bits, [mask]) => bits & ~mask, value) >>> 0;
  const parts = known.map(([, name]) => name);
  if (rest !== 0) parts.push(`0x${rest.toString(16)}?`);
  return parts.length === 0 ? "none" : parts.join(" ");
}

/** Control characters of a hostile instance must not reach the operator's terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, "?");
}

function decodeField(view: DataView, base: number, field: FieldLayout): DecodedField {
  const { name, doc } = field;
  const at = base + field.offset;
  switch (field.type) {
    case "text": {
      const bytes = new Uint8Array(view.buffer, view.byteOffset + at, field.bytes);
      const end = bytes.indexOf(0);
      const raw = new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
      const text = printable(raw);
      return { name, value: text, text: `"${text}"`, doc };
    }
    case "u64": {
      const value = view.getBigUint64(at, true);
      return { name, value, text: `0x${value.toString(16)}`, doc };
    }
    case "n64": {
      const exact = view.getBigUint64(at, true);
      if (exact > MAX_SAFE) return { name, value: exact, text: `${exact} (over 2^53)`, doc };
      const value = Number(exact);
      return { name, value, text: withUnit(value, field.unit), doc };
    }
    case "u32": {
      const value = view.getUint32(at, true);
      if (field.names === null) {
        const text = name === "magic" ? `0x${value.toString(16)}` : withUnit(value, field.unit);
        return { name, value, text, doc };
      }
      const text = field.flags
        ? flagText(value, field.names)
        : (field.names.get(value) ?? `${value} (unknown)`);
      return { name, value, text, doc };
    }
  }
}

function decodeTable(view: DataView, area: AreaLayout): DecodedArea["table"] {
  const { table } = area;
  if (table === null) return null;
  const lengthField = area.fields.find((field) => field.name === table.length);
  const length = view.getUint32(area.offset + (lengthField?.offset ?? 0), true);
  const rows = Array.from({ length: Math.min(length, table.count) }, (_, index) => {
    const base = area.offset + table.offset + index * table.rowBytes;
    return table.fields.map((field) => decodeField(view, base, field));
  });
  return { name: table.name, rows };
}

/** Decodes copies of the two pages, each of PAGE_BYTES. */
export function decodeGvmcs(controls: Uint8Array, state: Uint8Array): DecodedArea[] {
  const views = {
    controls: new DataView(controls.buffer, controls.byteOffset, controls.byteLength),
    state: new DataView(state.buffer, state.byteOffset, state.byteLength),
  };
  return areas.map((area) => {
    const view = views[area.page];
    return {
      name: area.name,
      page: area.page,
      doc: area.doc,
      torn: area.kind === "record" && view.getUint32(area.offset, true) % 2 === 1,
      fields: area.fields.map((field) => decodeField(view, area.offset, field)),
      table: decodeTable(view, area),
    };
  });
}

/** The decoded form as text, one field a line, for `vgpuctl gvmcs ID`. */
export function formatGvmcs(decoded: readonly DecodedArea[]): string {
  const lines: string[] = [];
  for (const area of decoded) {
    lines.push(`${area.name} (${area.page} page)${area.torn ? " being written" : ""}`);
    const width = Math.max(...area.fields.map((field) => field.name.length));
    for (const field of area.fields) {
      lines.push(`  ${field.name.padEnd(width)}  ${field.text}`);
    }
    area.table?.rows.forEach((row, index) => {
      const cells = row.map((field) => `${field.name} ${field.text}`);
      lines.push(`  ${area.table?.name}[${index}]  ${cells.join(", ")}`);
    });
  }
  return `${lines.join("\n")}\n`;
}

/** The decoded form for JSON: area → field → value; a bigint becomes a decimal string. */
export function gvmcsToJson(decoded: readonly DecodedArea[]): Record<string, unknown> {
  const plain = (fields: readonly DecodedField[]): Record<string, unknown> =>
    Object.fromEntries(
      fields.map(({ name, value }) => [name, typeof value === "bigint" ? String(value) : value]),
    );
  return Object.fromEntries(
    decoded.map((area) => [
      area.name,
      area.table === null
        ? plain(area.fields)
        : { ...plain(area.fields), [area.table.name]: area.table.rows.map(plain) },
    ]),
  );
}
