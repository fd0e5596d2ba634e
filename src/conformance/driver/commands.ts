// SPDX-License-Identifier: Apache-2.0
/**
 * Writes command buffers: commands as they should be, and raw ones. Pointers are numbers as on the
 * wire, so that wrong ones are as easy to write as right ones.
 */
import {
  ArgumentKind,
  type Codec,
  Command,
  CommandCopyDevice,
  CommandCopyHost,
  CommandEventDestroy,
  CommandEventRecord,
  CommandEventWait,
  CommandFill,
  CommandFunctionCreate,
  CommandFunctionDestroy,
  CommandLaunch,
  CommandModuleLoad,
  CommandModuleUnload,
  CommandWriteInline,
  ModuleFormat,
} from "../../protocol/generated/wire.js";
import { concat, words } from "./wire.js";

const utf8 = new TextEncoder();

/** A launch argument: a pointer, bytes by value, or whatever a kind and bytes say. */
export type Argument =
  | bigint
  | Uint8Array
  | { readonly kind: number; readonly bytes: number; readonly data: Uint8Array };

export type Triple = readonly [number, number, number];

export interface Launch {
  readonly function: number;
  readonly grid?: Triple;
  readonly block?: Triple;
  readonly sharedBytes?: number;
  readonly args?: readonly Argument[];
  /** Instead of the number of `args`. */
  readonly count?: number;
}

/** A structure of the wire as bytes. */
export function struct<T>(codec: Codec<T>, value: T): Uint8Array {
  const bytes = new Uint8Array(codec.bytes);
  codec.encode(new DataView(bytes.buffer), 0, value);
  return bytes;
}

export class Commands {
  count = 0;
  readonly #parts: Uint8Array[] = [];

  get bytes(): Uint8Array {
    return concat(...this.#parts);
  }

  /** Appends a command with any payload, padded as it has to be. */
  raw(opcode: number, payload: Uint8Array = new Uint8Array(0), flags = 0): this {
    const length = 8 + Math.ceil(payload.length / 8) * 8;
    const command = new Uint8Array(length);
    const view = new DataView(command.buffer);
    view.setUint16(0, opcode, true);
    view.setUint16(2, flags, true);
    view.setUint32(4, length, true);
    command.set(payload, 8);
    return this.bytesAsTheyAre(command);
  }

  /** Appends bytes that count as one command. */
  bytesAsTheyAre(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.count++;
    return this;
  }

  nop(): this {
    return this.raw(Command.NOP);
  }

  moduleLoad(
    module: number,
    code: string | Uint8Array,
    format: number = ModuleFormat.WGSL,
    flags = 0,
  ): this {
    const data = typeof code === "string" ? utf8.encode(code) : code;
    const head = struct(CommandModuleLoad, { module, format, code_bytes: data.length, flags });
    return this.raw(Command.MODULE_LOAD, concat(head, data));
  }

  moduleUnload(module: number): this {
    return this.raw(Command.MODULE_UNLOAD, struct(CommandModuleUnload, { module }));
  }

  functionCreate(id: number, module: number, name: string | Uint8Array): this {
    const data = typeof name === "string" ? utf8.encode(name) : name;
    const fields = { function: id, module, name_bytes: data.length };
    return this.raw(Command.FUNCTION_CREATE, concat(struct(CommandFunctionCreate, fields), data));
  }

  functionDestroy(id: number): this {
    return this.raw(Command.FUNCTION_DESTROY, struct(CommandFunctionDestroy, { function: id }));
  }

  copyToDevice(
    pointer: bigint,
    hostmem: number,
    offset: bigint | number,
    bytes: bigint | number,
  ): this {
    const fields = { pointer, hostmem, offset: BigInt(offset), bytes: BigInt(bytes) };
    return this.raw(Command.COPY_TO_DEVICE, struct(CommandCopyHost, fields));
  }

  copyFromDevice(
    pointer: bigint,
    hostmem: number,
    offset: bigint | number,
    bytes: bigint | number,
  ): this {
    const fields = { pointer, hostmem, offset: BigInt(offset), bytes: BigInt(bytes) };
    return this.raw(Command.COPY_FROM_DEVICE, struct(CommandCopyHost, fields));
  }

  copyDevice(destination: bigint, source: bigint, bytes: bigint | number): this {
    const fields = { destination, source, bytes: BigInt(bytes) };
    return this.raw(Command.COPY_DEVICE, struct(CommandCopyDevice, fields));
  }

  fill(pointer: bigint, bytes: bigint | number, value: number, width = 1): this {
    const fields = { pointer, bytes: BigInt(bytes), pattern: value, width };
    return this.raw(Command.FILL, struct(CommandFill, fields));
  }

  writeInline(pointer: bigint, data: Uint8Array): this {
    const head = struct(CommandWriteInline, { pointer, bytes: data.length });
    return this.raw(Command.WRITE_INLINE, concat(head, data));
  }

  launch(launch: Launch): this {
    const { args = [], grid = [1, 1, 1], block = [0, 0, 0] } = launch;
    const head = struct(CommandLaunch, {
      function: launch.function,
      argument_count: launch.count ?? args.length,
      grid_x: grid[0],
      grid_y: grid[1],
      grid_z: grid[2],
      block_x: block[0],
      block_y: block[1],
      block_z: block[2],
      shared_bytes: launch.sharedBytes ?? 0,
    });
    return this.raw(Command.LAUNCH, concat(head, ...args.map(argumentBytes)));
  }

  record(event: number, generation: bigint | number, flags = 0): this {
    const fields = { event, flags, generation: BigInt(generation) };
    return this.raw(Command.EVENT_RECORD, struct(CommandEventRecord, fields));
  }

  wait(event: number, generation: bigint | number): this {
    const fields = { event, generation: BigInt(generation) };
    return this.raw(Command.EVENT_WAIT, struct(CommandEventWait, fields));
  }

  eventDestroy(event: number): this {
    return this.raw(Command.EVENT_DESTROY, struct(CommandEventDestroy, { event }));
  }
}

function argumentBytes(argument: Argument): Uint8Array {
  if (typeof argument === "bigint") return words(ArgumentKind.POINTER, 8, argument);
  const { kind, bytes, data } =
    argument instanceof Uint8Array
      ? { kind: ArgumentKind.VALUE, bytes: argument.length, data: argument }
      : argument;
  const padding = new Uint8Array((8 - (data.length % 8)) % 8);
  return concat(words(kind, bytes), data, padding);
}
