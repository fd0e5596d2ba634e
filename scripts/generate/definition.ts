// SPDX-License-Identifier: Apache-2.0
/**
 * Reads and checks spec/vgpu.json, the one source of the wire format.
 * Every rule that the outputs rely on is checked here once (natural alignment, sizes that add up,
 * unique names and values, references that resolve), so that the writers need no error paths.
 */
import { z } from "zod";

const snake = z.string().regex(/^[a-z][a-z0-9_]*$/, "a lower-case name with underscores");
const upper = z.string().regex(/^[A-Z][A-Z0-9_]*$/, "an upper-case name with underscores");
const doc = z.string().min(1);
const wireNumber = z
  .union([z.number().int().nonnegative(), z.string().regex(/^0x[0-9a-f]{1,16}$/)])
  .transform((value) => ({ value: BigInt(value), hex: typeof value === "string" }));
const smallNumber = z.number().int().nonnegative().max(0xffff_ffff);

const fieldSchema = z.strictObject({
  name: snake,
  type: z.enum(["u8", "u16", "u32", "u64", "char"]),
  count: z.number().int().positive().optional(),
  enum: snake.optional(),
  doc,
});

const definitionSchema = z.strictObject({
  title: z.string(),
  byteOrder: z.literal("little"),
  version: z.strictObject({ major: smallNumber, minor: smallNumber }),
  constants: z.array(z.strictObject({ name: upper, value: wireNumber, doc })),
  enums: z.array(
    z.strictObject({
      name: snake,
      doc,
      values: z.array(z.strictObject({ name: upper, value: smallNumber, text: doc })).min(1),
    }),
  ),
  capabilities: z.array(z.strictObject({ name: upper, bit: z.number().int().min(0).max(63), doc })),
  structs: z.array(
    z.strictObject({
      name: snake,
      bytes: z.number().int().positive(),
      doc,
      fields: z.array(fieldSchema).min(1),
    }),
  ),
  requests: z.array(
    z.strictObject({
      name: upper,
      value: z.number().int().min(1).max(63),
      queue: z.enum(["control", "submit"]),
      scope: z.enum(["any", "context", "driver"]),
      doc: doc.optional(),
      request: snake.optional(),
      trailing: snake.optional(),
      response: snake.optional(),
      responseTrailing: snake.optional(),
    }),
  ),
  commands: z.array(
    z.strictObject({
      name: upper,
      value: z.number().int().min(1).max(0xffff),
      doc: doc.optional(),
      payload: snake.optional(),
      trailing: snake.optional(),
    }),
  ),
});

type ParsedDefinition = z.infer<typeof definitionSchema>;

/** One field with its place in the structure. */
export interface Field {
  readonly name: string;
  readonly type: "u8" | "u16" | "u32" | "u64" | "char";
  /** Elements; 1 for a scalar. */
  readonly count: number;
  /** From the start of the structure. */
  readonly offset: number;
  readonly bytes: number;
  readonly enumName: string | null;
  /** Zero on the wire, and absent from decoded objects. */
  readonly reserved: boolean;
  readonly doc: string;
}

export interface Struct {
  readonly name: string;
  readonly bytes: number;
  readonly doc: string;
  readonly fields: readonly Field[];
}

/** The checked definition. */
export interface Definition extends Omit<ParsedDefinition, "structs"> {
  readonly structs: readonly Struct[];
}

/** Kinds of trailing data that are not an array of structures. */
const RAW_TRAILING: ReadonlySet<string> = new Set(["bytes", "commands"]);
const ELEMENT_BYTES = { u8: 1, char: 1, u16: 2, u32: 4, u64: 8 } as const;

function placeFields(parsed: ParsedDefinition["structs"][number], problems: string[]): Struct {
  const fields: Field[] = [];
  let offset = 0;
  for (const field of parsed.fields) {
    const elementBytes = ELEMENT_BYTES[field.type];
    const count = field.count ?? 1;
    const where = `struct ${parsed.name}, field ${field.name}`;
    const reserved = field.name.startsWith("reserved");
    if (offset % elementBytes !== 0) problems.push(`${where}: offset ${offset} is not aligned`);
    if (elementBytes !== 1 && count !== 1) problems.push(`${where}: only bytes may have a count`);
    if (field.type === "u8" && !reserved) problems.push(`${where}: u8 is for reserved bytes only`);
    if (field.type === "char" && count < 2) problems.push(`${where}: char needs a count`);
    const bytes = elementBytes * count;
    const enumName = field.enum ?? null;
    fields.push({
      name: field.name,
      type: field.type,
      count,
      offset,
      bytes,
      enumName,
      reserved,
      doc: field.doc,
    });
    offset += bytes;
  }
  if (offset !== parsed.bytes) {
    problems.push(`struct ${parsed.name}: fields take ${offset} bytes, not ${parsed.bytes}`);
  }
  const widest = Math.max(...parsed.fields.map((field) => ELEMENT_BYTES[field.type]));
  if (parsed.bytes % widest !== 0) {
    problems.push(`struct ${parsed.name}: ${parsed.bytes} bytes is no multiple of ${widest}`);
  }
  return { name: parsed.name, bytes: parsed.bytes, doc: parsed.doc, fields };
}

function requireUnique(what: string, keys: readonly (string | number)[], problems: string[]): void {
  const seen = new Set<string | number>();
  for (const key of keys) {
    if (seen.has(key)) problems.push(`${what}: ${key} appears twice`);
    seen.add(key);
  }
}

function checkNames(parsed: ParsedDefinition, problems: string[]): void {
  const { constants, enums, structs, capabilities, requests, commands } = parsed;
  const tables = { constants, enums, structs, capabilities, requests, commands };
  for (const [what, table] of Object.entries(tables)) {
    const names = table.map((each: { readonly name: string }) => each.name);
    requireUnique(what, names, problems);
  }
  const bits = capabilities.map((each) => each.bit);
  requireUnique("capability bits", bits, problems);
  const types = requests.map((each) => each.value);
  requireUnique("request values", types, problems);
  const opcodes = commands.map((each) => each.value);
  requireUnique("command values", opcodes, problems);
  for (const each of enums) {
    const names = each.values.map((value) => value.name);
    requireUnique(`enum ${each.name}`, names, problems);
    const values = each.values.map((value) => value.value);
    requireUnique(`enum ${each.name}`, values, problems);
  }
  for (const each of structs) {
    const names = each.fields.map((field) => field.name);
    requireUnique(`struct ${each.name}`, names, problems);
  }
  const typescriptNames = [...structs, ...enums].map((each) => pascalCase(each.name));
  const fixed = ["VGPU", "Request", "Command", "Capability"];
  requireUnique("TypeScript names", [...typescriptNames, ...fixed], problems);
}

function checkReferences(parsed: ParsedDefinition, problems: string[]): void {
  const structs = new Set(parsed.structs.map((each) => each.name));
  const enums = new Set(parsed.enums.map((each) => each.name));
  const needStruct = (where: string, name: string | undefined): void => {
    if (name !== undefined && !structs.has(name)) problems.push(`${where}: no struct ${name}`);
  };
  const needTrailing = (where: string, name: string | undefined): void => {
    if (name !== undefined && !RAW_TRAILING.has(name)) needStruct(where, name);
  };
  for (const each of parsed.structs) {
    for (const field of each.fields) {
      if (field.enum !== undefined && !enums.has(field.enum)) {
        problems.push(`struct ${each.name}, field ${field.name}: no enum ${field.enum}`);
      }
    }
  }
  for (const each of parsed.requests) {
    needStruct(`request ${each.name}`, each.request);
    needStruct(`request ${each.name}`, each.response);
    needTrailing(`request ${each.name}`, each.trailing);
    needTrailing(`request ${each.name}`, each.responseTrailing);
  }
  for (const each of parsed.commands) {
    needStruct(`command ${each.name}`, each.payload);
    needTrailing(`command ${each.name}`, each.trailing);
  }
  const version = parsed.constants.find((each) => each.name === "VERSION");
  const expected = BigInt(parsed.version.major * 0x1_0000 + parsed.version.minor);
  if (version?.value.value !== expected) problems.push(`constant VERSION is not ${expected}`);
}

/**
 * Parses the text of spec/vgpu.json.
 * @throws Error that lists every problem found, one per line.
 */
export function parseDefinition(text: string): Definition {
  const result = definitionSchema.safeParse(JSON.parse(text));
  if (!result.success) throw new Error(z.prettifyError(result.error));
  const problems: string[] = [];
  checkNames(result.data, problems);
  checkReferences(result.data, problems);
  const structs = result.data.structs.map((each) => placeFields(each, problems));
  if (problems.length > 0) throw new Error(problems.join("\n"));
  return { ...result.data, structs };
}

/** `command_copy_host` → `CommandCopyHost`. */
export function pascalCase(name: string): string {
  return name.replace(/(?:^|_)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Breaks a sentence into lines of at most `columns`, each with `prefix` before it. */
export function wrap(text: string, prefix: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && prefix.length + line.length + 1 + word.length > columns) {
      lines.push(prefix + line);
      line = "";
    }
    line = line === "" ? word : `${line} ${word}`;
  }
  lines.push(prefix + line);
  return lines;
}
