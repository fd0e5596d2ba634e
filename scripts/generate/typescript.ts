// SPDX-License-Identifier: Apache-2.0
/**
 * Writes src/protocol/generated/wire.ts: constants, enumerations and one codec per structure.
 * Codecs are straight-line DataView code at fixed offsets: the hot path reads with the offsets of
 * `at` and makes no object; everything else uses `decode`.
 */
import { type Definition, type Field, pascalCase, type Struct } from "./definition.js";

const HEAD = `// SPDX-License-Identifier: Apache-2.0
/**
 * The wire format of virtio-vgpu.
 * Generated from spec/vgpu.json by "npm run generate"; do not edit.
 * Decoded objects leave out reserved fields; u64 fields are bigint; char arrays are strings.
 */

const decoder = new TextDecoder("utf-8");
const encoder = new TextEncoder();

/** Text up to the first NUL or \`count\` bytes; wrong UTF-8 becomes U+FFFD. */
function readText(view: DataView, base: number, count: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + base, count);
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Writes as many whole characters as leave room for a NUL, and pads with NUL. */
function writeText(view: DataView, base: number, count: number, text: string): void {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + base, count);
  bytes.fill(0);
  encoder.encodeInto(text, bytes.subarray(0, count - 1));
}

/** Whether \`count\` bytes are all zero. */
function zeroBytes(view: DataView, base: number, count: number): boolean {
  let bits = 0;
  for (let index = 0; index < count; index++) bits |= view.getUint8(base + index);
  return bits === 0;
}

/** Reads and writes one structure in a view, from byte \`base\` on; both throw past the end. */
export interface Codec<T> {
  readonly name: string;
  readonly bytes: number;
  /** Offsets of the fields, reserved ones included. */
  readonly at: Readonly<Record<string, number>>;
  decode(view: DataView, base: number): T;
  /** Writes every byte of the structure; reserved fields become zero. */
  encode(view: DataView, base: number, value: T): void;
  /** Whether every reserved field is zero. */
  reservedZero(view: DataView, base: number): boolean;
}
`;

function numberLiteral(value: bigint, hex: boolean): string {
  const digits = hex ? `0x${value.toString(16)}` : value.toString();
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? `${digits}n` : digits;
}

function constants(definition: Definition): string[] {
  const lines = ["/** Sizes, limits and magic numbers. */", "export const VGPU = {"];
  for (const each of definition.constants) {
    lines.push(`  /** ${each.doc} */`);
    lines.push(`  ${each.name}: ${numberLiteral(each.value.value, each.value.hex)},`);
  }
  lines.push("} as const;", "", "/** Capability bits as masks. */", "export const Capability = {");
  for (const each of definition.capabilities) {
    lines.push(
      `  /** ${each.doc} */`,
      `  ${each.name}: 0x${(1n << BigInt(each.bit)).toString(16)}n,`,
    );
  }
  lines.push("} as const;");
  return lines;
}

interface EnumLine {
  readonly name: string;
  readonly value: number;
  readonly text: string;
}

function enumeration(name: string, doc: string, values: readonly EnumLine[]): string[] {
  const lines = ["", `/** ${doc} */`, `export const ${name} = {`];
  for (const each of values) lines.push(`  /** ${each.text} */`, `  ${each.name}: ${each.value},`);
  lines.push("} as const;", `export type ${name} = (typeof ${name})[keyof typeof ${name}];`);
  return lines;
}

function enumerations(definition: Definition): string[] {
  const lines: string[] = [];
  for (const each of definition.enums) {
    lines.push(...enumeration(pascalCase(each.name), each.doc, each.values));
  }
  const requests = definition.requests.map((each) => ({
    name: each.name,
    value: each.value,
    text: `${each.queue} queue, scope ${each.scope}`,
  }));
  const commands = definition.commands.map((each) => ({
    name: each.name,
    value: each.value,
    text: each.payload === undefined ? "no payload" : each.payload,
  }));
  lines.push(...enumeration("Request", "Types of requests.", requests));
  lines.push(...enumeration("Command", "Opcodes of commands.", commands));
  return lines;
}

function requestTable(definition: Definition): string[] {
  const sizes = new Map(definition.structs.map((each) => [each.name, each.bytes]));
  const size = (name: string | undefined): number => (name ? (sizes.get(name) ?? 0) : 0);
  const quoted = (name: string | undefined): string => (name ? `"${name}"` : "null");
  const lines = [
    "",
    "/** Shape of a request: payload sizes in bytes, and what follows the payloads. */",
    "export interface RequestShape {",
    "  readonly name: string;",
    '  readonly queue: "control" | "submit";',
    '  readonly scope: "any" | "context" | "driver";',
    "  readonly requestBytes: number;",
    "  readonly trailing: string | null;",
    "  readonly responseBytes: number;",
    "  readonly responseTrailing: string | null;",
    "}",
    "",
    "/** Shapes by request type. */",
    "export const requestShapes: ReadonlyMap<number, RequestShape> = new Map<",
    "  number,",
    "  RequestShape",
    ">([",
  ];
  for (const each of definition.requests) {
    lines.push(
      `  [${each.value}, { name: "${each.name}", queue: "${each.queue}", scope: "${each.scope}", ` +
        `requestBytes: ${size(each.request)}, trailing: ${quoted(each.trailing)}, ` +
        `responseBytes: ${size(each.response)}, ` +
        `responseTrailing: ${quoted(each.responseTrailing)} }],`,
    );
  }
  lines.push("]);");
  return lines;
}

function nameFunctions(definition: Definition): string[] {
  const status = definition.enums.find((each) => each.name === "status");
  const lines = ["", "const statusStrings = new Map<number, readonly [string, string]>(["];
  for (const each of status?.values ?? []) {
    lines.push(`  [${each.value}, ["${each.name}", ${JSON.stringify(each.text)}]],`);
  }
  lines.push(
    "]);",
    "",
    "/** Text of a status, for people. */",
    "export function statusText(status: number): string {",
    `  return statusStrings.get(status)?.[1] ?? \`unknown status \${status}\`;`,
    "}",
    "",
    "/** Name of a status, as in this file. */",
    "export function statusName(status: number): string {",
    `  return statusStrings.get(status)?.[0] ?? \`STATUS_\${status}\`;`,
    "}",
  );
  for (const [kind, table] of [
    ["request", definition.requests],
    ["command", definition.commands],
  ] as const) {
    lines.push("", `const ${kind}Names = new Map<number, string>([`);
    for (const each of table) lines.push(`  [${each.value}, "${each.name}"],`);
    lines.push(
      "]);",
      "",
      `/** Name of a ${kind} type, for messages. */`,
      `export function ${kind}Name(type: number): string {`,
      `  return ${kind}Names.get(type) ?? \`${kind} \${type}\`;`,
      "}",
    );
  }
  return lines;
}

function place(offset: number): string {
  return offset === 0 ? "base" : `base + ${offset}`;
}

function decodeExpression(field: Field): string {
  const at = place(field.offset);
  switch (field.type) {
    case "char":
      return `readText(view, ${at}, ${field.count})`;
    case "u8":
      return `view.getUint8(${at})`;
    case "u16":
      return `view.getUint16(${at}, true)`;
    case "u32":
      return `view.getUint32(${at}, true)`;
    case "u64":
      return `view.getBigUint64(${at}, true)`;
  }
}

function encodeLines(field: Field): string[] {
  const at = place(field.offset);
  const value = field.reserved ? (field.type === "u64" ? "0n" : "0") : `value.${field.name}`;
  switch (field.type) {
    case "char":
      return [`writeText(view, ${at}, ${field.count}, ${field.reserved ? '""' : value});`];
    case "u8":
      return [
        `for (let index = 0; index < ${field.count}; index++) view.setUint8(${at} + index, 0);`,
      ];
    case "u16":
      return [`view.setUint16(${at}, ${value}, true);`];
    case "u32":
      return [`view.setUint32(${at}, ${value}, true);`];
    case "u64":
      return [`view.setBigUint64(${at}, ${value}, true);`];
  }
}

function reservedExpression(struct: Struct): string {
  const terms = struct.fields
    .filter((field) => field.reserved)
    .map((field) => {
      if (field.type === "u8" || field.type === "char" || field.type === "u64") {
        return `zeroBytes(view, ${place(field.offset)}, ${field.bytes})`;
      }
      return `${decodeExpression(field)} === 0`;
    });
  return terms.length === 0 ? "true" : terms.join(" && ");
}

function structure(struct: Struct): string[] {
  const name = pascalCase(struct.name);
  const kept = struct.fields.filter((field) => !field.reserved);
  const typeOf = (field: Field): string =>
    field.type === "char" ? "string" : field.type === "u64" ? "bigint" : "number";
  const unused = struct.fields.some((field) => field.reserved) ? "" : "_";
  return [
    "",
    `/** ${struct.doc} */`,
    `export interface ${name} {`,
    ...kept.flatMap((field) => [
      `  /** ${field.doc} */`,
      `  readonly ${field.name}: ${typeOf(field)};`,
    ]),
    "}",
    `export const ${name} = {`,
    `  name: "${struct.name}",`,
    `  bytes: ${struct.bytes},`,
    `  at: { ${struct.fields.map((field) => `${field.name}: ${field.offset}`).join(", ")} },`,
    `  decode(view: DataView, base: number): ${name} {`,
    "    return {",
    ...kept.map((field) => `      ${field.name}: ${decodeExpression(field)},`),
    "    };",
    "  },",
    `  encode(view: DataView, base: number, value: ${name}): void {`,
    ...struct.fields.flatMap((field) => encodeLines(field).map((line) => `    ${line}`)),
    "  },",
    `  reservedZero(${unused}view: DataView, ${unused}base: number): boolean {`,
    `    return ${reservedExpression(struct)};`,
    "  },",
    `} as const satisfies Codec<${name}>;`,
  ];
}

/** The text of wire.ts. */
export function writeTypeScript(definition: Definition): string {
  const lines = [
    HEAD,
    ...constants(definition),
    ...enumerations(definition),
    ...requestTable(definition),
    ...nameFunctions(definition),
    ...definition.structs.flatMap(structure),
    "",
    "/** Every codec by the structure's name in spec/vgpu.json. */",
    "export const structs = {",
    ...definition.structs.map((each) => `  ${each.name}: ${pascalCase(each.name)},`),
    "} as const;",
    "",
  ];
  return lines.join("\n");
}
