// SPDX-License-Identifier: Apache-2.0
/** Writes decoded requests in the language-neutral form of spec/vectors, to compare them. */
import type { ControlRequest, DecodedSubmit, DeviceCommand } from "../../../src/command/types.js";
import { ModuleFormat } from "../../../src/protocol/generated/wire.js";
import { type DevicePointer, pointerToBigInt } from "../../../src/protocol/pointer.js";

const utf8Bytes = (text: string): number => Buffer.byteLength(text, "utf8");
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const wide = (value: number | bigint): string => `0x${value.toString(16)}`;
const pointerHex = (pointer: DevicePointer): string => wide(pointerToBigInt(pointer));

interface NeutralCommand {
  readonly command: string;
  readonly fields: object;
  readonly data?: string;
  readonly arguments?: readonly object[];
}

/** A command as spec/vectors/submit.json writes it. */
export function neutralCommand(command: DeviceCommand): NeutralCommand {
  switch (command.kind) {
    case "nop":
      return { command: "NOP", fields: {} };
    case "moduleLoad": {
      const { module, format, code, image } = command;
      const data = format === ModuleFormat.FATBIN ? hex(image) : hex(Buffer.from(code, "utf8"));
      const flags = command.checked ? 1 : 0;
      const fields = { module, format, code_bytes: command.codeBytes, flags };
      return { command: "MODULE_LOAD", fields, data };
    }
    case "moduleUnload":
      return { command: "MODULE_UNLOAD", fields: { module: command.module } };
    case "functionCreate": {
      const { module, name } = command;
      const data = Buffer.from(name, "utf8").toString("hex");
      const fields = { function: command.function, module, name_bytes: utf8Bytes(name) };
      return { command: "FUNCTION_CREATE", fields, data };
    }
    case "functionDestroy":
      return { command: "FUNCTION_DESTROY", fields: { function: command.function } };
    case "copyToDevice":
    case "copyFromDevice": {
      const name = command.kind === "copyToDevice" ? "COPY_TO_DEVICE" : "COPY_FROM_DEVICE";
      const { pointer, hostmem, offset, bytes } = command;
      const fields = { pointer: pointerHex(pointer), hostmem, offset: wide(offset) };
      return { command: name, fields: { ...fields, bytes: wide(bytes) } };
    }
    case "copyDevice": {
      const destination = pointerHex(command.destination);
      const source = pointerHex(command.source);
      return {
        command: "COPY_DEVICE",
        fields: { destination, source, bytes: wide(command.bytes) },
      };
    }
    case "fill": {
      const { pointer, bytes, pattern, width } = command;
      const fields = { pointer: pointerHex(pointer), bytes: wide(bytes), pattern, width };
      return { command: "FILL", fields };
    }
    case "writeInline": {
      const { pointer, data } = command;
      const fields = { pointer: pointerHex(pointer), bytes: data.length };
      return { command: "WRITE_INLINE", fields, data: hex(data) };
    }
    case "launch":
      return neutralLaunch(command);
    case "eventRecord": {
      const { event, generation, timed } = command;
      const fields = { event, flags: timed ? 1 : 0, generation: wide(generation) };
      return { command: "EVENT_RECORD", fields };
    }
    case "eventWait": {
      const { event, generation } = command;
      return { command: "EVENT_WAIT", fields: { event, generation: wide(generation) } };
    }
    case "eventDestroy":
      return { command: "EVENT_DESTROY", fields: { event: command.event } };
  }
}

function neutralLaunch(command: DeviceCommand & { kind: "launch" }): NeutralCommand {
  return {
    command: "LAUNCH",
    fields: {
      function: command.function,
      argument_count: command.arguments.length,
      grid_x: command.gridX,
      grid_y: command.gridY,
      grid_z: command.gridZ,
      block_x: command.blockX,
      block_y: command.blockY,
      block_z: command.blockZ,
      shared_bytes: command.sharedBytes,
    },
    arguments: command.arguments.map((each) =>
      each.kind === "pointer" ? { pointer: pointerHex(each) } : { value: hex(each.data) },
    ),
  };
}

/** A submit as spec/vectors/submit.json writes it, without name and hex. */
export function neutralSubmit(submit: DecodedSubmit): object {
  const { context, stream, fence, commands } = submit;
  return { context, stream, fence: wide(fence), commands: commands.map(neutralCommand) };
}

const BARE_NAMES = {
  getCapabilities: "GET_CAPABILITIES",
  contextDestroy: "CONTEXT_DESTROY",
  memoryInfo: "MEMORY_INFO",
  errorQuery: "ERROR_QUERY",
  statistics: "STATISTICS",
} as const;

/** A control request as spec/vectors/control.json writes it, without name and hex. */
export function neutralControl(request: ControlRequest): object {
  if (request.kind === "init") {
    const fields = { session: wide(request.session), capabilities: wide(request.capabilities) };
    return { request: "INIT", context: 0, fields };
  }
  const { context } = request;
  switch (request.kind) {
    case "getCapabilities":
    case "contextDestroy":
    case "memoryInfo":
    case "errorQuery":
    case "statistics":
      return { request: BARE_NAMES[request.kind], context, fields: {} };
    case "contextCreate": {
      const timeline_address = wide(request.timelineAddress);
      const arm_address = wide(request.armAddress);
      const fields = { timeline_address, arm_address, name: request.name };
      return { request: "CONTEXT_CREATE", context, fields };
    }
    case "hostmemRegister": {
      const { hostmem, ranges } = request;
      const fields = { hostmem, entry_count: ranges.length, bytes: wide(request.bytes) };
      const entries = ranges.map((each) => ({
        address: wide(each.address),
        bytes: wide(each.bytes),
      }));
      return { request: "HOSTMEM_REGISTER", context, fields, entries };
    }
    case "hostmemUnregister":
      return { request: "HOSTMEM_UNREGISTER", context, fields: { hostmem: request.hostmem } };
    case "memoryAlloc": {
      const fields = { bytes: wide(request.bytes), flags: request.dense ? "0x1" : "0x0" };
      return { request: "MEMORY_ALLOC", context, fields };
    }
    case "memoryFree":
      return {
        request: "MEMORY_FREE",
        context,
        fields: { pointer: pointerHex(request.pointer) },
      };
    case "moduleQuery": {
      const fields = { module: request.module, log_offset: request.logOffset };
      return { request: "MODULE_QUERY", context, fields };
    }
    case "moduleSymbol": {
      const { module, name } = request;
      const fields = { module, name_bytes: utf8Bytes(name) };
      const data = Buffer.from(name, "utf8").toString("hex");
      return { request: "MODULE_SYMBOL", context, fields, data };
    }
    case "functionQuery":
      return { request: "FUNCTION_QUERY", context, fields: { function: request.function } };
    case "eventQuery":
      return { request: "EVENT_QUERY", context, fields: { event: request.event } };
  }
}
