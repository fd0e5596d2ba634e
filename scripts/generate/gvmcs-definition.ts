// SPDX-License-Identifier: Apache-2.0
/**
 * Reads and checks spec/gvmcs.json, the one source of the G-VMCS layout.
 * What the outputs rely on is checked here once: natural alignment, areas that lie apart on cache
 * lines of their own, unique names, references that resolve.
 */
import { z } from "zod";

const snake = z.string().regex(/^[a-z][a-z0-9_]*$/, "a lower-case name with underscores");
const upper = z.string().regex(/^[A-Z][A-Z0-9_]*$/, "an upper-case name with underscores");
const doc = z.string().min(1);
const limit = z.union([z.number().int().nonnegative(), upper]);

const fieldSchema = z.strictObject({
  name: snake,
  /** n64: 64 bits that hold a number of at most 2^53 − 1. */
  type: z.enum(["u32", "u64", "n64", "text"]),
  count: z.number().int().positive().optional(),
  unit: z.enum(["ns", "ps", "bytes", "ppm", "address"]).optional(),
  enum: snake.optional(),
  flags: snake.optional(),
  equals: upper.optional(),
  min: limit.optional(),
  max: limit.optional(),
  doc,
});

const definitionSchema = z.strictObject({
  title: z.string(),
  revision: z.number().int().positive(),
  constants: z.array(
    z.strictObject({
      name: upper,
      value: z.union([z.number().int().nonnegative(), z.string().regex(/^0x[0-9a-f]{1,8}$/)]),
      doc,
    }),
  ),
  enums: z.array(
    z.strictObject({
      name: snake,
      doc,
      values: z.array(z.strictObject({ name: upper, value: z.number().int().min(0), text: doc })),
    }),
  ),
  flags: z.array(
    z.strictObject({
      name: snake,
      doc,
      values: z.array(
        z.strictObject({ name: upper, bit: z.number().int().min(0).max(30), text: doc }),
      ),
    }),
  ),
  areas: z.array(
    z.strictObject({
      name: snake,
      page: z.enum(["controls", "state"]),
      kind: z.enum(["words", "record"]),
      offset: z.number().int().min(0),
      doc,
      fields: z.array(fieldSchema).min(1),
      table: z
        .strictObject({
          name: snake,
          length: snake,
          count: z.number().int().positive(),
          fields: z.array(fieldSchema).min(1),
        })
        .optional(),
    }),
  ),
});

type Parsed = z.infer<typeof definitionSchema>;
type ParsedField = Parsed["areas"][number]["fields"][number];

export interface GvmcsField {
  readonly name: string;
  readonly type: "u32" | "u64" | "n64" | "text";
  readonly unit: string | null;
  readonly enumName: string | null;
  readonly flagsName: string | null;
  readonly equals: string | null;
  readonly min: number;
  /** Null: what the type can hold. */
  readonly max: number | null;
  /** From the area's start, or from the row's start in a table. */
  readonly offset: number;
  readonly bytes: number;
  readonly reserved: boolean;
  readonly doc: string;
}

export interface GvmcsArea {
  readonly name: string;
  readonly page: "controls" | "state";
  readonly kind: "words" | "record";
  readonly offset: number;
  readonly bytes: number;
  readonly doc: string;
  readonly fields: readonly GvmcsField[];
  readonly table: {
    readonly name: string;
    readonly length: string;
    readonly count: number;
    readonly offset: number;
    readonly rowBytes: number;
    readonly fields: readonly GvmcsField[];
  } | null;
}

export interface GvmcsDefinition extends Omit<Parsed, "areas" | "constants"> {
  readonly constants: readonly {
    readonly name: string;
    readonly value: number;
    readonly hex: boolean;
    readonly doc: string;
  }[];
  readonly areas: readonly GvmcsArea[];
}

/** Bytes at the start of a record: the word of its sequence lock, and padding. */
export const LOCK_BYTES = 8;
const LINE_BYTES = 64;
const FIELD_BYTES = { u32: 4, u64: 8, n64: 8, text: 1 } as const;

class Placer {
  readonly problems: string[] = [];
  readonly #constants: ReadonlyMap<string, number>;
  readonly #enums: ReadonlySet<string>;
  readonly #flags: ReadonlySet<string>;

  constructor(parsed: Parsed) {
    this.#constants = new Map(parsed.constants.map((each) => [each.name, Number(each.value)]));
    this.#enums = new Set(parsed.enums.map((each) => each.name));
    this.#flags = new Set(parsed.flags.map((each) => each.name));
  }

  #limit(where: string, value: number | string | undefined): number | null {
    if (typeof value !== "string") return value ?? null;
    const constant = this.#constants.get(value);
    if (constant === undefined) this.problems.push(`${where}: no constant ${value}`);
    return constant ?? null;
  }

  fields(area: string, parsed: readonly ParsedField[], start: number): GvmcsField[] {
    let offset = start;
    return parsed.map((field) => {
      const where = `area ${area}, field ${field.name}`;
      const bytes = FIELD_BYTES[field.type] * (field.count ?? 1);
      if (offset % (field.type === "text" ? 4 : bytes) !== 0) {
        this.problems.push(`${where}: offset ${offset} is not aligned`);
      }
      if ((field.type === "text") !== (field.count !== undefined)) {
        this.problems.push(`${where}: text has a count, and nothing else has`);
      }
      if (field.enum !== undefined && !this.#enums.has(field.enum)) {
        this.problems.push(`${where}: no enum ${field.enum}`);
      }
      if (field.flags !== undefined && !this.#flags.has(field.flags)) {
        this.problems.push(`${where}: no flags ${field.flags}`);
      }
      this.#limit(where, field.equals);
      const placed: GvmcsField = {
        name: field.name,
        type: field.type,
        unit: field.unit ?? null,
        enumName: field.enum ?? null,
        flagsName: field.flags ?? null,
        equals: field.equals ?? null,
        min: this.#limit(where, field.min) ?? 0,
        max: this.#limit(where, field.max),
        offset,
        bytes,
        reserved: field.name.startsWith("reserved"),
        doc: field.doc,
      };
      offset += bytes;
      return placed;
    });
  }

  area(parsed: Parsed["areas"][number]): GvmcsArea {
    const end = (fields: readonly GvmcsField[], start: number): number =>
      fields.reduce((_, field) => field.offset + field.bytes, start);
    const start = parsed.kind === "record" ? LOCK_BYTES : 0;
    const fields = this.fields(parsed.name, parsed.fields, start);
    const headEnd = end(fields, start);
    const { name, page, kind, offset, doc } = parsed;
    if (offset % LINE_BYTES !== 0) this.problems.push(`area ${name}: ${offset} opens no line`);
    if (parsed.table === undefined) {
      return { name, page, kind, offset, bytes: headEnd, doc, fields, table: null };
    }
    const rows = this.fields(`${name}.${parsed.table.name}`, parsed.table.fields, 0);
    const rowBytes = end(rows, 0);
    if (headEnd % 8 !== 0) this.problems.push(`area ${name}: its table is at ${headEnd}`);
    if (!fields.some((field) => field.name === parsed.table?.length)) {
      this.problems.push(`area ${name}: no field ${parsed.table.length}`);
    }
    const table = {
      name: parsed.table.name,
      length: parsed.table.length,
      count: parsed.table.count,
      offset: headEnd,
      rowBytes,
      fields: rows,
    };
    const bytes = headEnd + rowBytes * table.count;
    return { name, page, kind, offset, bytes, doc, fields, table };
  }
}

function checkApart(areas: readonly GvmcsArea[], pageBytes: number, problems: string[]): void {
  for (const page of ["controls", "state"] as const) {
    let end = 0;
    for (const area of areas.filter((each) => each.page === page)) {
      if (area.offset < end) problems.push(`area ${area.name}: ${area.offset} is before ${end}`);
      end = area.offset + area.bytes;
      end += (LINE_BYTES - (end % LINE_BYTES)) % LINE_BYTES;
    }
    if (end > pageBytes) problems.push(`page ${page}: ${end} bytes are over ${pageBytes}`);
  }
}

function checkNames(parsed: Parsed, problems: string[]): void {
  const unique = (what: string, keys: readonly (string | number)[]): void => {
    keys.forEach((key, index) => {
      if (keys.indexOf(key) !== index) problems.push(`${what}: ${key} appears twice`);
    });
  };
  const tops = [...parsed.enums, ...parsed.flags, ...parsed.areas].map((each) => each.name);
  const rows = parsed.areas.flatMap((each) => (each.table ? [each.table.name] : []));
  unique("names", [...tops, ...rows]);
  for (const each of parsed.enums) {
    const values = each.values.map((value) => value.value);
    unique(`enum ${each.name}`, values);
  }
  for (const each of parsed.areas) {
    const names = each.fields.map((field) => field.name);
    unique(`area ${each.name}`, names);
  }
}

/**
 * Parses the text of spec/gvmcs.json.
 * @throws Error that lists every problem found, one per line.
 */
export function parseGvmcsDefinition(text: string): GvmcsDefinition {
  const result = definitionSchema.safeParse(JSON.parse(text));
  if (!result.success) throw new Error(z.prettifyError(result.error));
  const placer = new Placer(result.data);
  const areas = result.data.areas.map((each) => placer.area(each));
  const constants = result.data.constants.map((each) => ({
    name: each.name,
    value: Number(each.value),
    hex: typeof each.value === "string",
    doc: each.doc,
  }));
  const constantOf = (name: string): number =>
    constants.find((each) => each.name === name)?.value ?? 0;
  checkApart(areas, constantOf("PAGE_BYTES"), placer.problems);
  checkNames(result.data, placer.problems);
  if (constantOf("REVISION") !== result.data.revision) {
    placer.problems.push(`constant REVISION is not ${result.data.revision}`);
  }
  if (placer.problems.length > 0) throw new Error(placer.problems.join("\n"));
  return { ...result.data, constants, areas };
}
