// SPDX-License-Identifier: Apache-2.0
/** Valid commands, and the encoders that golden vectors of submit requests are made with. */
import { concat, type FieldValues, type Layout, pad8 } from "./bytes.js";

export const COUNT_MAX = 0x1f_ffff_ffff_ffffn;
export const NO_BYTES = new Uint8Array(0);

export type Argument = { readonly pointer: bigint } | { readonly value: Uint8Array };

export interface Sample {
  readonly name: string;
  readonly command: string;
  readonly fields: FieldValues;
  readonly data?: Uint8Array;
  readonly arguments?: readonly Argument[];
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const counting = (bytes: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => i + 1);
export const POINTER = 0x0400_0000_0000_1000n;
const OTHER = 0x0400_0001_ffff_ff00n;

/** An empty fat binary: bytes that are not UTF-8, which only this format may have. */
const FATBIN = Uint8Array.of(0x50, 0xed, 0x55, 0xba, 1, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0);

export function moduleLoad(name: string, data: Uint8Array, more: FieldValues = {}): Sample {
  const fields = { module: 1, format: 1, code_bytes: data.length, ...more };
  return { name, command: "MODULE_LOAD", fields, data };
}

export function functionCreate(name: string, data: Uint8Array): Sample {
  const fields = { function: 2, module: 1, name_bytes: data.length };
  return { name, command: "FUNCTION_CREATE", fields, data };
}

export function writeInline(bytes: number): Sample {
  const fields = { pointer: POINTER + 3n, bytes };
  return { name: `${bytes} bytes`, command: "WRITE_INLINE", fields, data: counting(bytes) };
}

export function launch(name: string, fields: FieldValues, list: readonly Argument[]): Sample {
  return {
    name,
    command: "LAUNCH",
    fields: {
      function: 2,
      argument_count: list.length,
      grid_x: 64,
      grid_y: 1,
      grid_z: 1,
      ...fields,
    },
    arguments: list,
  };
}

export const manyArguments = (count: number): Argument[] =>
  Array.from({ length: count }, (_, index) => ({ pointer: POINTER + BigInt(index * 256) }));

function launchSamples(layout: Layout): readonly Sample[] {
  const valueMax = layout.constant("LAUNCH_VALUE_BYTES_MAX");
  const argumentsMax = layout.constant("LAUNCH_ARGUMENTS_MAX");
  return [
    launch("no arguments, own block", {}, []),
    launch("pointers", { block_x: 256, block_y: 1, block_z: 1 }, [
      { pointer: POINTER },
      { pointer: OTHER },
      { pointer: 0n },
    ]),
    launch("pointer and values", { shared_bytes: 4096, grid_y: 0xffff_ffff }, [
      { value: counting(1) },
      { pointer: POINTER },
      { value: counting(8) },
      { value: counting(20) },
    ]),
    launch("most arguments", {}, manyArguments(argumentsMax)),
    launch("longest value", {}, [{ value: new Uint8Array(valueMax).fill(0xa5) }]),
  ];
}

/** Valid commands: each opcode at least once, and both sides of padding and of limits. */
export function commandSamples(layout: Layout): readonly Sample[] {
  const nameMax = layout.constant("NAME_BYTES_MAX");
  return [
    { name: "plain", command: "NOP", fields: {} },
    moduleLoad("short", utf8("@compute @workgroup_size(1) fn main() {}")),
    moduleLoad("padded, not ASCII", utf8("// über\n")),
    moduleLoad("empty", NO_BYTES),
    moduleLoad("PTX", utf8(".version 8.0\n.target sm_75\n.address_size 64\n\0"), { format: 2 }),
    moduleLoad("fat binary, checked", FATBIN, { format: 3, flags: 1 }),
    { name: "plain", command: "MODULE_UNLOAD", fields: { module: 1 } },
    functionCreate("padded", utf8("main")),
    functionCreate("longest", utf8("f".repeat(nameMax))),
    { name: "plain", command: "FUNCTION_DESTROY", fields: { function: 0xffff_ffff } },
    {
      name: "plain",
      command: "COPY_TO_DEVICE",
      fields: { pointer: POINTER, hostmem: 5, offset: 0x1_0000_0001n, bytes: 3n },
    },
    { name: "no bytes", command: "COPY_TO_DEVICE", fields: { pointer: POINTER, hostmem: 5 } },
    {
      name: "largest numbers",
      command: "COPY_FROM_DEVICE",
      fields: {
        pointer: 0xffff_ffff_ffff_ffffn,
        hostmem: 0xffff_ffff,
        offset: COUNT_MAX,
        bytes: COUNT_MAX,
      },
    },
    {
      name: "plain",
      command: "COPY_DEVICE",
      fields: { destination: POINTER, source: OTHER, bytes: 256n },
    },
    {
      name: "width 1",
      command: "FILL",
      fields: { pointer: POINTER + 1n, bytes: 5n, pattern: 0xff, width: 1 },
    },
    {
      name: "width 2",
      command: "FILL",
      fields: { pointer: POINTER + 2n, bytes: 6n, pattern: 0xbeef, width: 2 },
    },
    {
      name: "width 4",
      command: "FILL",
      fields: { pointer: POINTER + 4n, bytes: 0x1_0000_0000n, pattern: 0xdead_beef, width: 4 },
    },
    ...[0, 1, 7, 8, 9].map(writeInline),
    ...launchSamples(layout),
    { name: "plain", command: "EVENT_RECORD", fields: { event: 4, flags: 0, generation: 1n } },
    { name: "timed", command: "EVENT_RECORD", fields: { event: 4, flags: 1, generation: 1n } },
    {
      name: "largest generation",
      command: "EVENT_WAIT",
      fields: { event: 4, generation: COUNT_MAX },
    },
    { name: "plain", command: "EVENT_DESTROY", fields: { event: 4 } },
  ];
}

/** Encodes a command; `sizeMore` bytes of zeros are added, and counted in its header. */
export function encodeCommand(layout: Layout, sample: Sample, sizeMore = 0): Uint8Array {
  const command = layout.command(sample.command);
  const payload =
    command.payload === undefined ? NO_BYTES : layout.encode(command.payload, sample.fields);
  const list = (sample.arguments ?? []).map((each) => encodeArgument(layout, each));
  const body = pad8(concat(payload, sample.data ?? NO_BYTES, ...list));
  const bytes = layout.struct("command_header").bytes + body.length + sizeMore;
  const header = layout.encode("command_header", { opcode: command.value, bytes });
  return concat(header, body, new Uint8Array(sizeMore));
}

function encodeArgument(layout: Layout, argument: Argument): Uint8Array {
  if ("pointer" in argument) {
    const pointer = layout.encode("memory_free_request", { pointer: argument.pointer });
    return concat(layout.encode("launch_argument", { kind: 0, bytes: 8 }), pointer);
  }
  const header = layout.encode("launch_argument", { kind: 1, bytes: argument.value.length });
  return pad8(concat(header, argument.value));
}

/** A submit of encoded commands; `fields` override what would be right. */
export function submit(
  layout: Layout,
  commands: readonly Uint8Array[],
  fields: FieldValues = {},
): Uint8Array {
  const body = concat(...commands);
  return concat(
    layout.encode("request_header", { type: layout.request("SUBMIT").value, context: 3 }),
    layout.encode("submit_request", {
      stream: 63,
      command_count: commands.length,
      fence: 0x1_0000_0001n,
      command_bytes: body.length,
      ...fields,
    }),
    body,
  );
}
