// SPDX-License-Identifier: Apache-2.0
/**
 * Encoders for requests and commands: the driver's side of the wire, for tests, the mock driver
 * and benchmarks. They write what they are told without checking it against the device's limits,
 * so that tests can send what a bad driver would; lengths and padding always agree.
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
  CommandHeader,
  CommandLaunch,
  CommandModuleLoad,
  CommandModuleUnload,
  CommandWriteInline,
  HostmemEntry,
  HostmemRegisterRequest,
  LaunchArgument,
  ModuleFormat,
  ModuleSymbolRequest,
  Request,
  RequestHeader,
  ResponseHeader,
  SubmitRequest,
} from "./generated/wire.js";
import type { DevicePointer } from "./pointer.js";
import { pointerToBigInt } from "./pointer.js";

const utf8 = new TextEncoder();
const NO_BYTES = new Uint8Array(0);

/** A launch argument: a device pointer, or bytes passed by value. */
export type EncodedArgument = DevicePointer | Uint8Array;

/** A launch to encode. Block dimensions left out are 0: the function's own. */
export interface LaunchOptions {
  readonly function: number;
  /** Workgroups in x, y, z. */
  readonly grid: readonly [number, number, number];
  readonly block?: readonly [number, number, number];
  readonly sharedBytes?: number;
  readonly arguments: readonly EncodedArgument[];
}

/** One structure as bytes. */
export function structBytes<T>(codec: Codec<T>, value: T): Uint8Array {
  const bytes = new Uint8Array(codec.bytes);
  codec.encode(new DataView(bytes.buffer), 0, value);
  return bytes;
}

/** A request: header, then `payload` as it is. */
export function requestBytes(
  type: number,
  context: number,
  payload: Uint8Array = NO_BYTES,
): Uint8Array {
  const bytes = new Uint8Array(RequestHeader.bytes + payload.length);
  RequestHeader.encode(new DataView(bytes.buffer), 0, { type, flags: 0, context });
  bytes.set(payload, RequestHeader.bytes);
  return bytes;
}

/** A HOSTMEM_REGISTER request; its `bytes` is the ranges' sum. */
export function hostmemRegisterBytes(
  context: number,
  hostmem: number,
  ranges: readonly { readonly address: number; readonly bytes: number }[],
): Uint8Array {
  const payload = new Uint8Array(HostmemRegisterRequest.bytes + ranges.length * HostmemEntry.bytes);
  const view = new DataView(payload.buffer);
  let sum = 0n;
  let at = HostmemRegisterRequest.bytes;
  for (const range of ranges) {
    const bytes = BigInt(range.bytes);
    HostmemEntry.encode(view, at, { address: BigInt(range.address), bytes });
    sum += bytes;
    at += HostmemEntry.bytes;
  }
  HostmemRegisterRequest.encode(view, 0, { hostmem, entry_count: ranges.length, bytes: sum });
  return requestBytes(Request.HOSTMEM_REGISTER, context, payload);
}

/** A MODULE_SYMBOL request. */
export function moduleSymbolBytes(
  context: number,
  module: number,
  name: string | Uint8Array,
): Uint8Array {
  const data = typeof name === "string" ? utf8.encode(name) : name;
  const payload = new Uint8Array(ModuleSymbolRequest.bytes + data.length);
  ModuleSymbolRequest.encode(new DataView(payload.buffer), 0, { module, name_bytes: data.length });
  payload.set(data, ModuleSymbolRequest.bytes);
  return requestBytes(Request.MODULE_SYMBOL, context, payload);
}

/** A SUBMIT request of the commands in `writer`, which stays usable. */
export function submitBytes(
  context: number,
  stream: number,
  fence: number | bigint,
  writer: CommandWriter,
): Uint8Array {
  const commands = writer.bytes();
  const payload = new Uint8Array(SubmitRequest.bytes + commands.length);
  SubmitRequest.encode(new DataView(payload.buffer), 0, {
    stream,
    command_count: writer.commandCount,
    fence: BigInt(fence),
    command_bytes: commands.length,
  });
  payload.set(commands, SubmitRequest.bytes);
  return requestBytes(Request.SUBMIT, context, payload);
}

/** What a response says, for drivers. Null if `bytes` are too few for what they claim. */
export function decodeResponse(
  bytes: Uint8Array,
): { readonly header: ResponseHeader; readonly payload: Uint8Array } | null {
  if (bytes.length < ResponseHeader.bytes) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = ResponseHeader.decode(view, 0);
  const end = ResponseHeader.bytes + header.payload_bytes;
  if (bytes.length < end) return null;
  return { header, payload: bytes.subarray(ResponseHeader.bytes, end) };
}

/** A growing buffer of commands. Each method appends one command. */
export class CommandWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;
  #count = 0;

  /** @param capacity Bytes to begin with; the buffer doubles as needed. */
  constructor(capacity = 4096) {
    this.#bytes = new Uint8Array(Math.max(capacity, 64));
    this.#view = new DataView(this.#bytes.buffer);
  }

  get commandCount(): number {
    return this.#count;
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** The commands so far: a view that the next command may make stale. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Forgets all commands and keeps the buffer. */
  clear(): void {
    this.#length = 0;
    this.#count = 0;
  }

  nop(): this {
    this.#open(Command.NOP, 0);
    return this;
  }

  moduleLoad(
    module: number,
    code: string | Uint8Array,
    format: number = ModuleFormat.WGSL,
    flags = 0,
  ): this {
    const data = typeof code === "string" ? utf8.encode(code) : code;
    const at = this.#open(Command.MODULE_LOAD, CommandModuleLoad.bytes + data.length);
    CommandModuleLoad.encode(this.#view, at, { module, format, code_bytes: data.length, flags });
    this.#bytes.set(data, at + CommandModuleLoad.bytes);
    return this;
  }

  moduleUnload(module: number): this {
    const at = this.#open(Command.MODULE_UNLOAD, CommandModuleUnload.bytes);
    CommandModuleUnload.encode(this.#view, at, { module });
    return this;
  }

  functionCreate(id: number, module: number, name: string | Uint8Array): this {
    const data = typeof name === "string" ? utf8.encode(name) : name;
    const at = this.#open(Command.FUNCTION_CREATE, CommandFunctionCreate.bytes + data.length);
    const payload = { function: id, module, name_bytes: data.length };
    CommandFunctionCreate.encode(this.#view, at, payload);
    this.#bytes.set(data, at + CommandFunctionCreate.bytes);
    return this;
  }

  functionDestroy(id: number): this {
    const at = this.#open(Command.FUNCTION_DESTROY, CommandFunctionDestroy.bytes);
    CommandFunctionDestroy.encode(this.#view, at, { function: id });
    return this;
  }

  copyToDevice(pointer: DevicePointer, hostmem: number, offset: number, bytes: number): this {
    return this.#copyHost(Command.COPY_TO_DEVICE, pointer, hostmem, offset, bytes);
  }

  copyFromDevice(pointer: DevicePointer, hostmem: number, offset: number, bytes: number): this {
    return this.#copyHost(Command.COPY_FROM_DEVICE, pointer, hostmem, offset, bytes);
  }

  copyDevice(destination: DevicePointer, source: DevicePointer, bytes: number): this {
    const at = this.#open(Command.COPY_DEVICE, CommandCopyDevice.bytes);
    CommandCopyDevice.encode(this.#view, at, {
      destination: pointerToBigInt(destination),
      source: pointerToBigInt(source),
      bytes: BigInt(bytes),
    });
    return this;
  }

  fill(pointer: DevicePointer, bytes: number, pattern: number, width: number): this {
    const at = this.#open(Command.FILL, CommandFill.bytes);
    CommandFill.encode(this.#view, at, {
      pointer: pointerToBigInt(pointer),
      bytes: BigInt(bytes),
      pattern,
      width,
    });
    return this;
  }

  writeInline(pointer: DevicePointer, data: Uint8Array): this {
    const at = this.#open(Command.WRITE_INLINE, CommandWriteInline.bytes + data.length);
    const payload = { pointer: pointerToBigInt(pointer), bytes: data.length };
    CommandWriteInline.encode(this.#view, at, payload);
    this.#bytes.set(data, at + CommandWriteInline.bytes);
    return this;
  }

  launch(options: LaunchOptions): this {
    let size: number = CommandLaunch.bytes;
    for (const each of options.arguments) {
      size += LaunchArgument.bytes + (each instanceof Uint8Array ? padded(each.length) : 8);
    }
    const base = this.#open(Command.LAUNCH, size);
    const [grid_x, grid_y, grid_z] = options.grid;
    const [block_x, block_y, block_z] = options.block ?? [0, 0, 0];
    CommandLaunch.encode(this.#view, base, {
      function: options.function,
      argument_count: options.arguments.length,
      grid_x,
      grid_y,
      grid_z,
      block_x,
      block_y,
      block_z,
      shared_bytes: options.sharedBytes ?? 0,
    });
    let at = base + CommandLaunch.bytes;
    for (const each of options.arguments) at = this.#argument(at, each);
    return this;
  }

  eventRecord(event: number, generation: number, flags = 0): this {
    const at = this.#open(Command.EVENT_RECORD, CommandEventRecord.bytes);
    CommandEventRecord.encode(this.#view, at, { event, flags, generation: BigInt(generation) });
    return this;
  }

  eventWait(event: number, generation: number): this {
    const at = this.#open(Command.EVENT_WAIT, CommandEventWait.bytes);
    CommandEventWait.encode(this.#view, at, { event, generation: BigInt(generation) });
    return this;
  }

  eventDestroy(event: number): this {
    const at = this.#open(Command.EVENT_DESTROY, CommandEventDestroy.bytes);
    CommandEventDestroy.encode(this.#view, at, { event });
    return this;
  }

  /** Appends any command, for tests of what the other methods can't make. */
  raw(opcode: number, payload: Uint8Array = NO_BYTES): this {
    const at = this.#open(opcode, payload.length);
    this.#bytes.set(payload, at);
    return this;
  }

  #copyHost(
    opcode: number,
    pointer: DevicePointer,
    hostmem: number,
    offset: number,
    bytes: number,
  ): this {
    const at = this.#open(opcode, CommandCopyHost.bytes);
    CommandCopyHost.encode(this.#view, at, {
      pointer: pointerToBigInt(pointer),
      hostmem,
      offset: BigInt(offset),
      bytes: BigInt(bytes),
    });
    return this;
  }

  /** Writes one argument at `at`; returns where the next one begins. */
  #argument(at: number, argument: EncodedArgument): number {
    const dataAt = at + LaunchArgument.bytes;
    if (argument instanceof Uint8Array) {
      const header = { kind: ArgumentKind.VALUE, bytes: argument.length };
      LaunchArgument.encode(this.#view, at, header);
      this.#bytes.set(argument, dataAt);
      return dataAt + padded(argument.length);
    }
    LaunchArgument.encode(this.#view, at, { kind: ArgumentKind.POINTER, bytes: 8 });
    this.#view.setUint32(dataAt, argument.offset, true);
    this.#view.setUint32(dataAt + 4, argument.segment, true);
    return dataAt + 8;
  }

  /**
   * Appends a header and room for `payloadBytes`, padded with zeros to a multiple of 8. Returns
   * where the payload begins.
   */
  #open(opcode: number, payloadBytes: number): number {
    const at = this.#length;
    const size = padded(CommandHeader.bytes + payloadBytes);
    if (at + size > this.#bytes.length) this.#grow(at + size);
    this.#bytes.fill(0, at + CommandHeader.bytes, at + size);
    CommandHeader.encode(this.#view, at, { opcode, flags: 0, bytes: size });
    this.#length = at + size;
    this.#count++;
    return at + CommandHeader.bytes;
  }

  #grow(least: number): void {
    const grown = new Uint8Array(Math.max(least, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
