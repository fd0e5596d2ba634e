// SPDX-License-Identifier: Apache-2.0
/**
 * Submit requests that break exactly one rule each. Command errors sit in a submit that holds a
 * NOP before the bad command, so that offsets are tested away from the start.
 */
import { concat, type FieldValues, hex, type Layout, patched } from "./bytes.js";
import {
  type Argument,
  COUNT_MAX,
  commandSamples,
  counting,
  encodeCommand,
  functionCreate,
  launch,
  manyArguments,
  moduleLoad,
  NO_BYTES,
  POINTER,
  type Sample,
  submit,
  utf8,
  writeInline,
} from "./submit-samples.js";

const OVER = COUNT_MAX + 1n;
const BAD_UTF8 = Uint8Array.of(0x61, 0xc3, 0x28);

function invalid(name: string, bytes: Uint8Array, status: string, subject?: number): object {
  return { name, hex: hex(bytes), status, ...(subject === undefined ? {} : { subject }) };
}

/** Collects submits with one bad command. */
class BadCommands {
  readonly vectors: object[] = [];
  readonly layout: Layout;
  readonly nop: Uint8Array;
  /** Where the bad command and its payload begin, from the start of the request. */
  readonly commandAt: number;
  readonly payloadAt: number;

  constructor(layout: Layout) {
    this.layout = layout;
    this.nop = encodeCommand(layout, { name: "", command: "NOP", fields: {} });
    const sizes = ["request_header", "submit_request"].map((name) => layout.struct(name).bytes);
    this.commandAt = sizes.reduce((sum, bytes) => sum + bytes, 0) + this.nop.length;
    this.payloadAt = this.commandAt + layout.struct("command_header").bytes;
  }

  /** Offset of a payload's field from the start of the request. */
  at(structName: string, field: string): number {
    return this.payloadAt + this.layout.offset(structName, field);
  }

  raw(name: string, command: Uint8Array, status: string, subject?: number): void {
    const bytes = submit(this.layout, [this.nop, command]);
    this.vectors.push(invalid(name, bytes, status, subject));
  }

  /** `field` of the command's structure is the one at fault. */
  field(name: string, sample: Sample, status: string, field: string): void {
    const { payload } = this.layout.command(sample.command);
    const subject = this.at(payload ?? "command_header", field);
    this.raw(`${sample.command}: ${name}`, encodeCommand(this.layout, sample), status, subject);
  }

  /** The last byte of the command, which must be padding, is not zero. */
  dirty(sample: Sample): void {
    const bytes = encodeCommand(this.layout, sample);
    const last = bytes.length - 1;
    const name = `${sample.command}: dirty padding`;
    this.raw(name, patched(bytes, last, 0xff), "RESERVED_NONZERO", this.commandAt + last);
  }
}

function withFields(sample: Sample, fields: FieldValues): Sample {
  return { ...sample, fields: { ...sample.fields, ...fields } };
}

function simple(command: string, fields: FieldValues): Sample {
  return { name: "", command, fields };
}

/** Rules of the request header and of the length as a whole. */
function envelopeViolations(layout: Layout): object[] {
  const nop = encodeCommand(layout, simple("NOP", {}));
  const good = submit(layout, [nop]);
  const header = (field: string): number => layout.offset("request_header", field);
  const reservedAt =
    layout.struct("request_header").bytes + layout.offset("submit_request", "reserved");
  const alloc = concat(
    layout.encode("request_header", { type: layout.request("MEMORY_ALLOC").value }),
    layout.encode("memory_alloc_request", { bytes: 1 }),
  );
  const flags = patched(good, header("flags") + 3, 0x80);
  const reserved = patched(good, header("reserved"), 1);
  return [
    invalid("empty request", NO_BYTES, "MALFORMED"),
    invalid("SUBMIT: header only", good.subarray(0, 16), "MALFORMED"),
    invalid("SUBMIT: a byte short of the structure", good.subarray(0, 39), "MALFORMED"),
    invalid("SUBMIT: type 0", patched(good, 0, 0), "UNKNOWN_COMMAND", 0),
    invalid("MEMORY_ALLOC on the submit queue", alloc, "UNKNOWN_COMMAND", 0),
    invalid("SUBMIT: flags", flags, "RESERVED_NONZERO", header("flags")),
    invalid("SUBMIT: header reserved", reserved, "RESERVED_NONZERO", header("reserved")),
    invalid("SUBMIT: reserved", patched(good, reservedAt + 3, 1), "RESERVED_NONZERO", reservedAt),
  ];
}

/** Rules of the submit_request structure. */
function structureViolations(layout: Layout): object[] {
  const nop = encodeCommand(layout, simple("NOP", {}));
  const base = layout.struct("request_header").bytes;
  const vectors: object[] = [];
  const bad = (name: string, fields: FieldValues, status: string, field: string): void => {
    const subject = base + layout.offset("submit_request", field);
    vectors.push(invalid(`SUBMIT: ${name}`, submit(layout, [nop], fields), status, subject));
  };
  bad("stream 64", { stream: 64 }, "STREAM_UNKNOWN", "stream");
  bad("stream 2^32 - 1", { stream: 0xffff_ffff }, "STREAM_UNKNOWN", "stream");
  bad("fence 0", { fence: 0 }, "FENCE_ORDER", "fence");
  bad("fence 2^53", { fence: OVER }, "OUT_OF_RANGE", "fence");
  bad(
    "command_bytes too small",
    { command_bytes: 0, command_count: 0 },
    "MALFORMED",
    "command_bytes",
  );
  bad("command_bytes too large", { command_bytes: 16 }, "MALFORMED", "command_bytes");
  bad("command_bytes odd", { command_bytes: 9 }, "MISALIGNED", "command_bytes");
  bad("no commands counted", { command_count: 0 }, "MALFORMED", "command_count");
  bad("more commands counted", { command_count: 2 }, "MALFORMED", "command_count");
  bad("count 2^32 - 1", { command_count: 0xffff_ffff }, "MALFORMED", "command_count");
  const cut = concat(submit(layout, [nop], { command_bytes: 12 }), new Uint8Array(4));
  const bytesAt = base + layout.offset("submit_request", "command_bytes");
  vectors.push(invalid("SUBMIT: length no multiple of 8", cut, "MISALIGNED", bytesAt));
  const destroy = encodeCommand(layout, simple("EVENT_DESTROY", {}));
  const missing = submit(layout, [destroy, destroy], { command_count: 3 });
  vectors.push(invalid("SUBMIT: third command missing", missing, "MALFORMED"));
  return vectors;
}

/** Rules that every command obeys, broken one by one for one command of each opcode. */
function commonViolations(cases: BadCommands, sample: Sample): void {
  const { layout, commandAt } = cases;
  const headerBytes = layout.struct("command_header").bytes;
  const flagsAt = layout.offset("command_header", "flags");
  const bytesAt = layout.offset("command_header", "bytes");
  const good = encodeCommand(layout, sample);
  const bad = (what: string, bytes: Uint8Array, status: string, subject?: number): void =>
    cases.raw(`${sample.command}: ${what}`, bytes, status, subject);
  const resized = (size: number): Uint8Array => {
    const bytes = good.slice();
    new DataView(bytes.buffer).setUint32(bytesAt, size, true);
    return bytes;
  };
  bad("flags", patched(good, flagsAt + 1, 0x80), "RESERVED_NONZERO", commandAt + flagsAt);
  bad("8 bytes too long", encodeCommand(layout, sample, 8), "MALFORMED");
  bad("size 0", resized(0), "MISALIGNED", commandAt + bytesAt);
  bad("size no multiple of 8", resized(good.length - 4), "MISALIGNED", commandAt + bytesAt);
  bad("size past the end", resized(good.length + 8), "MALFORMED", commandAt + bytesAt);
  bad("size 2^32 - 8", resized(0xffff_fff8), "MALFORMED", commandAt + bytesAt);
  if (good.length > headerBytes) {
    bad("8 bytes too short", resized(good.length - 8).subarray(0, -8), "MALFORMED");
  }
  const { payload } = layout.command(sample.command);
  for (const field of payload === undefined ? [] : layout.struct(payload).fields) {
    if (!field.reserved) continue;
    const at = headerBytes + field.offset;
    const bytes = patched(good, at + field.bytes - 1, 1);
    bad(field.name, bytes, "RESERVED_NONZERO", commandAt + at);
  }
}

function moduleViolations(cases: BadCommands): void {
  const { layout } = cases;
  const load = moduleLoad("", utf8("fn"));
  cases.field("format 0", withFields(load, { format: 0 }), "FORMAT_UNKNOWN", "format");
  cases.field("format 4", withFields(load, { format: 4 }), "FORMAT_UNKNOWN", "format");
  const checkedWgsl = withFields(load, { flags: 1 });
  cases.field("CHECKED for WGSL", checkedWgsl, "RESERVED_NONZERO", "flags");
  const flags = withFields(load, { format: 2, flags: 2 });
  cases.field("flags 2", flags, "RESERVED_NONZERO", "flags");
  const topFlag = withFields(load, { format: 3, flags: 0x8000_0001 });
  cases.field("flags 2^31 + 1", topFlag, "RESERVED_NONZERO", "flags");
  const format = withFields(load, { format: 0xffff_ffff });
  cases.field("format 2^32 - 1", format, "FORMAT_UNKNOWN", "format");
  const long = withFields(load, { code_bytes: 9 });
  cases.field("code_bytes too large", long, "MALFORMED", "code_bytes");
  const longest = withFields(load, { code_bytes: 0xffff_ffff });
  cases.field("code_bytes 2^32 - 1", longest, "MALFORMED", "code_bytes");
  cases.dirty(load);
  const badLoad = encodeCommand(layout, moduleLoad("", BAD_UTF8));
  const codeAt = cases.payloadAt + layout.struct("command_module_load").bytes;
  cases.raw("MODULE_LOAD: not UTF-8", badLoad, "MALFORMED", codeAt);
  const badPtx = encodeCommand(layout, moduleLoad("", BAD_UTF8, { format: 2 }));
  cases.raw("MODULE_LOAD: PTX that is not UTF-8", badPtx, "MALFORMED", codeAt);
  const longName = utf8("f".repeat(layout.constant("NAME_BYTES_MAX") + 1));
  cases.field("empty name", functionCreate("", NO_BYTES), "SIZE_ZERO", "name_bytes");
  cases.field("name too long", functionCreate("", longName), "OUT_OF_RANGE", "name_bytes");
  cases.dirty(functionCreate("", utf8("main")));
  const badName = encodeCommand(layout, functionCreate("", BAD_UTF8));
  const nameAt = cases.payloadAt + layout.struct("command_function_create").bytes;
  cases.raw("FUNCTION_CREATE: not UTF-8", badName, "MALFORMED", nameAt);
}

function copyViolations(cases: BadCommands): void {
  const bad = (command: string, name: string, fields: FieldValues, field: string): void =>
    cases.field(name, simple(command, fields), "OUT_OF_RANGE", field);
  bad("COPY_TO_DEVICE", "offset 2^53", { offset: OVER }, "offset");
  bad("COPY_TO_DEVICE", "2^64 - 1 bytes", { bytes: 0xffff_ffff_ffff_ffffn }, "bytes");
  bad("COPY_FROM_DEVICE", "2^53 bytes", { bytes: OVER }, "bytes");
  bad("COPY_DEVICE", "2^53 bytes", { bytes: OVER }, "bytes");
  bad("FILL", "2^53 bytes", { bytes: OVER, width: 4 }, "bytes");
  for (const flags of [2, 0x8000_0001]) {
    const record = simple("EVENT_RECORD", { generation: 1n, flags });
    cases.field(`flags ${flags}`, record, "RESERVED_NONZERO", "flags");
  }
  bad("EVENT_RECORD", "generation 0", {}, "generation");
  bad("EVENT_RECORD", "generation 2^53", { generation: OVER }, "generation");
  bad("EVENT_WAIT", "generation 0", {}, "generation");
  bad("EVENT_WAIT", "generation 2^53", { generation: OVER }, "generation");
  const fill = simple("FILL", { pointer: POINTER, width: 4, bytes: 4n });
  cases.field("width 0", withFields(fill, { width: 0 }), "MALFORMED", "width");
  cases.field("width 3", withFields(fill, { width: 3, bytes: 3n }), "MALFORMED", "width");
  cases.field("width 8", withFields(fill, { width: 8, bytes: 8n }), "MALFORMED", "width");
  cases.field("6 bytes of width 4", withFields(fill, { bytes: 6n }), "MISALIGNED", "bytes");
  const odd = withFields(fill, { pointer: POINTER + 2n });
  cases.field("pointer not aligned to the width", odd, "MISALIGNED", "pointer");
  const write = writeInline(7);
  cases.field("bytes past the end", withFields(write, { bytes: 9 }), "MALFORMED", "bytes");
  cases.dirty(write);
}

function launchViolations(cases: BadCommands): void {
  const { layout } = cases;
  const max = layout.constant("LAUNCH_ARGUMENTS_MAX");
  const pointer: Argument = { pointer: POINTER };
  const plain = launch("", {}, []);
  for (const grid of ["grid_x", "grid_y", "grid_z"]) {
    cases.field(`${grid} 0`, withFields(plain, { [grid]: 0 }), "SIZE_ZERO", grid);
  }
  const flat = withFields(plain, { block_x: 64 });
  cases.field("block 64 x 0 x 0", flat, "LAUNCH_BLOCK", "block_x");
  const thin = withFields(plain, { block_y: 1, block_z: 1 });
  cases.field("block 0 x 1 x 1", thin, "LAUNCH_BLOCK", "block_x");
  const many = launch("", {}, manyArguments(max + 1));
  cases.field("too many arguments", many, "ARGUMENT_COUNT", "argument_count");
  const countless = withFields(plain, { argument_count: 0xffff_ffff });
  cases.field("argument_count 2^32 - 1", countless, "ARGUMENT_COUNT", "argument_count");
  const missing = launch("", { argument_count: 2 }, [pointer]);
  cases.field("more arguments counted", missing, "MALFORMED", "argument_count");
  const surplus = launch("", { argument_count: 0 }, [pointer]);
  cases.field("fewer arguments counted", surplus, "MALFORMED", "argument_count");
}

function argumentViolations(cases: BadCommands): void {
  const { layout } = cases;
  const argumentAt = cases.payloadAt + layout.struct("command_launch").bytes;
  const kindAt = argumentAt + layout.offset("launch_argument", "kind");
  const bytesAt = argumentAt + layout.offset("launch_argument", "bytes");
  const countAt = cases.at("command_launch", "argument_count");
  const pointer = encodeCommand(layout, launch("", {}, [{ pointer: POINTER }]));
  const value = encodeCommand(layout, launch("", {}, [{ value: counting(5) }]));
  const patch = (bytes: Uint8Array, at: number, byte: number): Uint8Array =>
    patched(bytes, at - cases.commandAt, byte);
  const bad = (name: string, bytes: Uint8Array, status: string, subject: number): void =>
    cases.raw(`LAUNCH: ${name}`, bytes, status, subject);
  bad("argument kind 2", patch(pointer, kindAt, 2), "ARGUMENT_KIND", kindAt);
  bad("argument kind 2^31", patch(pointer, kindAt + 3, 0x80), "ARGUMENT_KIND", kindAt);
  bad("pointer of 4 bytes", patch(pointer, bytesAt, 4), "ARGUMENT_KIND", bytesAt);
  bad("pointer of 16 bytes", patch(pointer, bytesAt, 16), "ARGUMENT_KIND", bytesAt);
  bad("value of no bytes", patch(value, bytesAt, 0), "ARGUMENT_KIND", bytesAt);
  bad("value of 2^31 bytes", patch(value, bytesAt + 3, 0x80), "ARGUMENT_KIND", bytesAt);
  bad("value past the end", patch(value, bytesAt, 9), "MALFORMED", countAt);
  const long = new Uint8Array(layout.constant("LAUNCH_VALUE_BYTES_MAX") + 1);
  const longValue = encodeCommand(layout, launch("", {}, [{ value: long }]));
  bad("value above the limit", longValue, "ARGUMENT_KIND", bytesAt);
  const dirtyAt = cases.commandAt + value.length - 3;
  bad("dirty padding", patch(value, dirtyAt, 1), "RESERVED_NONZERO", dirtyAt);
}

/** All bad submits. */
export function submitViolations(layout: Layout): object[] {
  const cases = new BadCommands(layout);
  const header = (opcode: number): Uint8Array =>
    layout.encode("command_header", { opcode, bytes: 8 });
  for (const opcode of [0, layout.definition.commands.length + 1, 0xffff]) {
    cases.raw(`opcode ${opcode}`, header(opcode), "UNKNOWN_COMMAND", cases.commandAt);
  }
  const seen = new Set<string>();
  for (const sample of commandSamples(layout)) {
    if (!seen.has(sample.command)) commonViolations(cases, sample);
    seen.add(sample.command);
  }
  moduleViolations(cases);
  copyViolations(cases);
  launchViolations(cases);
  argumentViolations(cases);
  return [...envelopeViolations(layout), ...structureViolations(layout), ...cases.vectors];
}
