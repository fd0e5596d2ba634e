// SPDX-License-Identifier: Apache-2.0
/**
 * The wire format of virtio-vgpu.
 * Generated from spec/vgpu.json by "npm run generate"; do not edit.
 * Decoded objects leave out reserved fields; u64 fields are bigint; char arrays are strings.
 */

const decoder = new TextDecoder("utf-8");
const encoder = new TextEncoder();

/** Text up to the first NUL or `count` bytes; wrong UTF-8 becomes U+FFFD. */
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

/** Whether `count` bytes are all zero. */
function zeroBytes(view: DataView, base: number, count: number): boolean {
  let bits = 0;
  for (let index = 0; index < count; index++) bits |= view.getUint8(base + index);
  return bits === 0;
}

/** Reads and writes one structure in a view, from byte `base` on; both throw past the end. */
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

/** Sizes, limits and magic numbers. */
export const VGPU = {
  /** Experimental virtio device id (configurable on both sides). */
  VIRTIO_ID: 38,
  /** 'VGPU', first word of config space. */
  MAGIC: 0x55504756,
  /** 'VTLN', first word of a timeline page. */
  TIMELINE_MAGIC: 0x4e4c5456,
  /** major << 16 | minor. */
  VERSION: 0x10001,
  /** Requests that are answered at once. */
  QUEUE_CONTROL: 0,
  /** Device-to-driver notifications. */
  QUEUE_EVENT: 1,
  /** Command buffers. */
  QUEUE_SUBMIT: 2,
  /** Number of virtqueues. */
  QUEUE_COUNT: 3,
  /** Largest ring size the device accepts. */
  QUEUE_SIZE_MAX: 1024,
  /** Config space; bytes after the structure read as zero. */
  CONFIG_SPACE_BYTES: 256,
  /** Timeline and arm pages, page-aligned. */
  TIMELINE_PAGE_BYTES: 4096,
  /** Header before the slots of a timeline or arm page. */
  TIMELINE_HEADER_BYTES: 64,
  /** One slot per stream. */
  TIMELINE_SLOT_BYTES: 32,
  /** Streams 0 to 63 exist in every context. */
  STREAMS_MAX: 64,
  /** First segment number (upper half of a device pointer): above every user address. */
  SEGMENT_FIRST: 0x4000000,
  /** Alignment and granularity of device memory allocations, bytes. */
  ALLOCATION_ALIGN: 256,
  /** Largest control request. */
  CONTROL_REQUEST_BYTES_MAX: 1048576,
  /** Largest submit request, header included. */
  SUBMIT_BYTES_MAX: 4194304,
  /** Most ranges of one host-memory registration: as many as fit in the largest control request. */
  HOSTMEM_ENTRIES_MAX: 65534,
  /** Most arguments of one launch. */
  LAUNCH_ARGUMENTS_MAX: 64,
  /** Most bytes of one by-value argument. */
  LAUNCH_VALUE_BYTES_MAX: 32768,
  /** Longest function name, bytes of UTF-8. */
  NAME_BYTES_MAX: 1024,
  /** Error text in an error record, NUL-padded UTF-8. */
  ERROR_TEXT_BYTES: 224,
  /** MODULE_LOAD flag: kernels of this module detect accesses outside of the memory of their context. PTX and FATBIN only. */
  MODULE_CHECKED: 1,
  /** MEMORY_ALLOC flag: the context is going to run kernels in PTX, which are fastest if its memory is in few segments. Holds from then on. */
  MEMORY_DENSE: 1,
  /** EVENT_RECORD flag: the time of this record is going to be asked for, as fine as the device can tell it. */
  EVENT_TIMED: 1,
  /** No time limit. */
  WAIT_FOREVER: 0xffffffffffffffffn,
} as const;

/** Capability bits as masks. */
export const Capability = {
  /** Modules in WGSL. */
  WGSL: 0x1n,
  /** The adapter has shader-f16. */
  F16: 0x2n,
  /** The adapter has subgroups. */
  SUBGROUPS: 0x4n,
  /** GPU time is measured by GPU timestamps. */
  TIMESTAMPS: 0x8n,
  /** Modules in PTX and fat binaries; MODULE_SYMBOL. */
  PTX: 0x10n,
} as const;

/** Result of a request, a command or a context. Stable for good. */
export const Status = {
  /** success */
  OK: 0,
  /** the request is malformed */
  MALFORMED: 1,
  /** the command is unknown */
  UNKNOWN_COMMAND: 2,
  /** a reserved field or an unknown flag is not zero */
  RESERVED_NONZERO: 3,
  /** the response buffer is too small */
  RESPONSE_TOO_SMALL: 4,
  /** the request is larger than the limit */
  REQUEST_TOO_LARGE: 5,
  /** INIT has not been received */
  NOT_INITIALISED: 6,
  /** the device does not support this */
  NOT_SUPPORTED: 7,
  /** the context does not exist */
  CONTEXT_UNKNOWN: 16,
  /** the context exists already */
  CONTEXT_EXISTS: 17,
  /** too many contexts */
  CONTEXT_LIMIT: 18,
  /** the context has failed earlier */
  CONTEXT_FAILED: 19,
  /** the handle does not exist */
  HANDLE_UNKNOWN: 20,
  /** the handle exists already */
  HANDLE_EXISTS: 21,
  /** the handle is above the limit or too many exist */
  HANDLE_LIMIT: 22,
  /** the stream number is above the limit */
  STREAM_UNKNOWN: 23,
  /** the fence is not above the stream's last one */
  FENCE_ORDER: 24,
  /** the context has too many commands queued */
  QUEUE_FULL: 25,
  /** a guest address is not mapped as a whole */
  GUEST_ADDRESS: 32,
  /** the range lies outside the allocation or registration */
  OUT_OF_RANGE: 33,
  /** the device pointer belongs to no allocation */
  POINTER_INVALID: 34,
  /** the value is not aligned as required */
  MISALIGNED: 35,
  /** the device memory limit is reached */
  OUT_OF_MEMORY: 36,
  /** the allocation is larger than a segment */
  ALLOCATION_TOO_LARGE: 37,
  /** a quota is reached */
  QUOTA: 38,
  /** a size is zero */
  SIZE_ZERO: 39,
  /** the module does not compile */
  MODULE_INVALID: 48,
  /** the module format is unknown */
  FORMAT_UNKNOWN: 49,
  /** the module has no such entry point */
  FUNCTION_NOT_FOUND: 50,
  /** the number of launch arguments is wrong */
  ARGUMENT_COUNT: 51,
  /** a launch argument is of the wrong kind or size */
  ARGUMENT_KIND: 52,
  /** launch arguments overlap in a way that can't be bound */
  ARGUMENT_ALIAS: 53,
  /** the launch is larger than the limit */
  LAUNCH_SIZE: 54,
  /** the block size is not the function's */
  LAUNCH_BLOCK: 55,
  /** the launch failed */
  LAUNCH_FAILED: 56,
  /** a kernel accessed an address outside of its memory */
  ILLEGAL_ADDRESS: 57,
  /** a kernel executed a trap */
  TRAP: 58,
  /** an assertion failed in a kernel */
  ASSERT: 59,
  /** a kernel accessed an address that is not aligned to the access */
  MISALIGNED_ADDRESS: 60,
  /** the module has no such variable */
  SYMBOL_NOT_FOUND: 61,
  /** the watchdog stopped the command */
  TIMEOUT: 64,
  /** the device lost its state */
  DEVICE_LOST: 65,
  /** the device has an internal error */
  INTERNAL: 66,
} as const;
export type Status = (typeof Status)[keyof typeof Status];

/** Format of a module's code. */
export const ModuleFormat = {
  /** WGSL source, UTF-8 */
  WGSL: 1,
  /** PTX source, UTF-8; NUL bytes at its end are ignored */
  PTX: 2,
  /** fat binary container, magic 0xba55ed50, with PTX in it */
  FATBIN: 3,
} as const;
export type ModuleFormat = (typeof ModuleFormat)[keyof typeof ModuleFormat];

/** Kind of a launch argument. */
export const ArgumentKind = {
  /** device pointer, 8 bytes */
  POINTER: 0,
  /** bytes passed by value */
  VALUE: 1,
} as const;
export type ArgumentKind = (typeof ArgumentKind)[keyof typeof ArgumentKind];

/** How a function uses a pointer argument. */
export const ArgumentAccess = {
  /** by value */
  NONE: 0,
  /** reads */
  READ: 1,
  /** reads and writes */
  READ_WRITE: 2,
} as const;
export type ArgumentAccess = (typeof ArgumentAccess)[keyof typeof ArgumentAccess];

/** State of a module, function or event. */
export const ObjectState = {
  /** does not exist */
  ABSENT: 0,
  /** not ready yet */
  PENDING: 1,
  /** ready, or recorded */
  READY: 2,
  /** failed */
  FAILED: 3,
} as const;
export type ObjectState = (typeof ObjectState)[keyof typeof ObjectState];

/** Type of an event-queue message. */
export const EventType = {
  /** an armed fence has completed in this context */
  FENCE: 1,
  /** the device lost its state */
  EPOCH: 2,
  /** an armed fence of this context is expected to complete soon */
  SOON: 3,
} as const;
export type EventType = (typeof EventType)[keyof typeof EventType];

/** Types of requests. */
export const Request = {
  /** control queue, scope driver */
  INIT: 1,
  /** control queue, scope any */
  GET_CAPABILITIES: 2,
  /** control queue, scope driver */
  CONTEXT_CREATE: 3,
  /** control queue, scope driver */
  CONTEXT_DESTROY: 4,
  /** control queue, scope driver */
  HOSTMEM_REGISTER: 5,
  /** control queue, scope driver */
  HOSTMEM_UNREGISTER: 6,
  /** control queue, scope context */
  MEMORY_ALLOC: 16,
  /** control queue, scope context */
  MEMORY_FREE: 17,
  /** control queue, scope context */
  MEMORY_INFO: 18,
  /** control queue, scope context */
  MODULE_QUERY: 19,
  /** control queue, scope context */
  FUNCTION_QUERY: 20,
  /** control queue, scope context */
  EVENT_QUERY: 21,
  /** control queue, scope context */
  ERROR_QUERY: 22,
  /** control queue, scope context */
  STATISTICS: 23,
  /** control queue, scope context */
  MODULE_SYMBOL: 24,
  /** submit queue, scope context */
  SUBMIT: 32,
} as const;
export type Request = (typeof Request)[keyof typeof Request];

/** Opcodes of commands. */
export const Command = {
  /** no payload */
  NOP: 1,
  /** command_module_load */
  MODULE_LOAD: 2,
  /** command_module_unload */
  MODULE_UNLOAD: 3,
  /** command_function_create */
  FUNCTION_CREATE: 4,
  /** command_function_destroy */
  FUNCTION_DESTROY: 5,
  /** command_copy_host */
  COPY_TO_DEVICE: 6,
  /** command_copy_host */
  COPY_FROM_DEVICE: 7,
  /** command_copy_device */
  COPY_DEVICE: 8,
  /** command_fill */
  FILL: 9,
  /** command_write_inline */
  WRITE_INLINE: 10,
  /** command_launch */
  LAUNCH: 11,
  /** command_event_record */
  EVENT_RECORD: 12,
  /** command_event_wait */
  EVENT_WAIT: 13,
  /** command_event_destroy */
  EVENT_DESTROY: 14,
} as const;
export type Command = (typeof Command)[keyof typeof Command];

/** Shape of a request: payload sizes in bytes, and what follows the payloads. */
export interface RequestShape {
  readonly name: string;
  readonly queue: "control" | "submit";
  readonly scope: "any" | "context" | "driver";
  readonly requestBytes: number;
  readonly trailing: string | null;
  readonly responseBytes: number;
  readonly responseTrailing: string | null;
}

/** Shapes by request type. */
export const requestShapes: ReadonlyMap<number, RequestShape> = new Map<
  number,
  RequestShape
>([
  [1, { name: "INIT", queue: "control", scope: "driver", requestBytes: 16, trailing: null, responseBytes: 16, responseTrailing: null }],
  [2, { name: "GET_CAPABILITIES", queue: "control", scope: "any", requestBytes: 0, trailing: null, responseBytes: 256, responseTrailing: null }],
  [3, { name: "CONTEXT_CREATE", queue: "control", scope: "driver", requestBytes: 48, trailing: null, responseBytes: 0, responseTrailing: null }],
  [4, { name: "CONTEXT_DESTROY", queue: "control", scope: "driver", requestBytes: 0, trailing: null, responseBytes: 0, responseTrailing: null }],
  [5, { name: "HOSTMEM_REGISTER", queue: "control", scope: "driver", requestBytes: 16, trailing: "hostmem_entry", responseBytes: 0, responseTrailing: null }],
  [6, { name: "HOSTMEM_UNREGISTER", queue: "control", scope: "driver", requestBytes: 8, trailing: null, responseBytes: 0, responseTrailing: null }],
  [16, { name: "MEMORY_ALLOC", queue: "control", scope: "context", requestBytes: 16, trailing: null, responseBytes: 16, responseTrailing: null }],
  [17, { name: "MEMORY_FREE", queue: "control", scope: "context", requestBytes: 8, trailing: null, responseBytes: 0, responseTrailing: null }],
  [18, { name: "MEMORY_INFO", queue: "control", scope: "context", requestBytes: 0, trailing: null, responseBytes: 32, responseTrailing: null }],
  [19, { name: "MODULE_QUERY", queue: "control", scope: "context", requestBytes: 8, trailing: null, responseBytes: 16, responseTrailing: "bytes" }],
  [20, { name: "FUNCTION_QUERY", queue: "control", scope: "context", requestBytes: 8, trailing: null, responseBytes: 32, responseTrailing: "argument_info" }],
  [21, { name: "EVENT_QUERY", queue: "control", scope: "context", requestBytes: 8, trailing: null, responseBytes: 24, responseTrailing: null }],
  [22, { name: "ERROR_QUERY", queue: "control", scope: "context", requestBytes: 0, trailing: null, responseBytes: 256, responseTrailing: null }],
  [23, { name: "STATISTICS", queue: "control", scope: "context", requestBytes: 0, trailing: null, responseBytes: 64, responseTrailing: null }],
  [24, { name: "MODULE_SYMBOL", queue: "control", scope: "context", requestBytes: 8, trailing: "bytes", responseBytes: 16, responseTrailing: null }],
  [32, { name: "SUBMIT", queue: "submit", scope: "context", requestBytes: 24, trailing: "commands", responseBytes: 0, responseTrailing: null }],
]);

const statusStrings = new Map<number, readonly [string, string]>([
  [0, ["OK", "success"]],
  [1, ["MALFORMED", "the request is malformed"]],
  [2, ["UNKNOWN_COMMAND", "the command is unknown"]],
  [3, ["RESERVED_NONZERO", "a reserved field or an unknown flag is not zero"]],
  [4, ["RESPONSE_TOO_SMALL", "the response buffer is too small"]],
  [5, ["REQUEST_TOO_LARGE", "the request is larger than the limit"]],
  [6, ["NOT_INITIALISED", "INIT has not been received"]],
  [7, ["NOT_SUPPORTED", "the device does not support this"]],
  [16, ["CONTEXT_UNKNOWN", "the context does not exist"]],
  [17, ["CONTEXT_EXISTS", "the context exists already"]],
  [18, ["CONTEXT_LIMIT", "too many contexts"]],
  [19, ["CONTEXT_FAILED", "the context has failed earlier"]],
  [20, ["HANDLE_UNKNOWN", "the handle does not exist"]],
  [21, ["HANDLE_EXISTS", "the handle exists already"]],
  [22, ["HANDLE_LIMIT", "the handle is above the limit or too many exist"]],
  [23, ["STREAM_UNKNOWN", "the stream number is above the limit"]],
  [24, ["FENCE_ORDER", "the fence is not above the stream's last one"]],
  [25, ["QUEUE_FULL", "the context has too many commands queued"]],
  [32, ["GUEST_ADDRESS", "a guest address is not mapped as a whole"]],
  [33, ["OUT_OF_RANGE", "the range lies outside the allocation or registration"]],
  [34, ["POINTER_INVALID", "the device pointer belongs to no allocation"]],
  [35, ["MISALIGNED", "the value is not aligned as required"]],
  [36, ["OUT_OF_MEMORY", "the device memory limit is reached"]],
  [37, ["ALLOCATION_TOO_LARGE", "the allocation is larger than a segment"]],
  [38, ["QUOTA", "a quota is reached"]],
  [39, ["SIZE_ZERO", "a size is zero"]],
  [48, ["MODULE_INVALID", "the module does not compile"]],
  [49, ["FORMAT_UNKNOWN", "the module format is unknown"]],
  [50, ["FUNCTION_NOT_FOUND", "the module has no such entry point"]],
  [51, ["ARGUMENT_COUNT", "the number of launch arguments is wrong"]],
  [52, ["ARGUMENT_KIND", "a launch argument is of the wrong kind or size"]],
  [53, ["ARGUMENT_ALIAS", "launch arguments overlap in a way that can't be bound"]],
  [54, ["LAUNCH_SIZE", "the launch is larger than the limit"]],
  [55, ["LAUNCH_BLOCK", "the block size is not the function's"]],
  [56, ["LAUNCH_FAILED", "the launch failed"]],
  [57, ["ILLEGAL_ADDRESS", "a kernel accessed an address outside of its memory"]],
  [58, ["TRAP", "a kernel executed a trap"]],
  [59, ["ASSERT", "an assertion failed in a kernel"]],
  [60, ["MISALIGNED_ADDRESS", "a kernel accessed an address that is not aligned to the access"]],
  [61, ["SYMBOL_NOT_FOUND", "the module has no such variable"]],
  [64, ["TIMEOUT", "the watchdog stopped the command"]],
  [65, ["DEVICE_LOST", "the device lost its state"]],
  [66, ["INTERNAL", "the device has an internal error"]],
]);

/** Text of a status, for people. */
export function statusText(status: number): string {
  return statusStrings.get(status)?.[1] ?? `unknown status ${status}`;
}

/** Name of a status, as in this file. */
export function statusName(status: number): string {
  return statusStrings.get(status)?.[0] ?? `STATUS_${status}`;
}

const requestNames = new Map<number, string>([
  [1, "INIT"],
  [2, "GET_CAPABILITIES"],
  [3, "CONTEXT_CREATE"],
  [4, "CONTEXT_DESTROY"],
  [5, "HOSTMEM_REGISTER"],
  [6, "HOSTMEM_UNREGISTER"],
  [16, "MEMORY_ALLOC"],
  [17, "MEMORY_FREE"],
  [18, "MEMORY_INFO"],
  [19, "MODULE_QUERY"],
  [20, "FUNCTION_QUERY"],
  [21, "EVENT_QUERY"],
  [22, "ERROR_QUERY"],
  [23, "STATISTICS"],
  [24, "MODULE_SYMBOL"],
  [32, "SUBMIT"],
]);

/** Name of a request type, for messages. */
export function requestName(type: number): string {
  return requestNames.get(type) ?? `request ${type}`;
}

const commandNames = new Map<number, string>([
  [1, "NOP"],
  [2, "MODULE_LOAD"],
  [3, "MODULE_UNLOAD"],
  [4, "FUNCTION_CREATE"],
  [5, "FUNCTION_DESTROY"],
  [6, "COPY_TO_DEVICE"],
  [7, "COPY_FROM_DEVICE"],
  [8, "COPY_DEVICE"],
  [9, "FILL"],
  [10, "WRITE_INLINE"],
  [11, "LAUNCH"],
  [12, "EVENT_RECORD"],
  [13, "EVENT_WAIT"],
  [14, "EVENT_DESTROY"],
]);

/** Name of a command type, for messages. */
export function commandName(type: number): string {
  return commandNames.get(type) ?? `command ${type}`;
}

/** Config space; read at initialisation only. */
export interface Config {
  /** VGPU_MAGIC. */
  readonly magic: number;
  /** VGPU_VERSION. */
  readonly version: number;
  /** 3. */
  readonly queue_count: number;
  /** Most contexts at a time; context ids are below it. */
  readonly contexts_max: number;
  /** Streams of a context. */
  readonly streams_max: number;
  /** Largest control request. */
  readonly control_request_bytes_max: number;
  /** Largest submit request, header included. */
  readonly submit_bytes_max: number;
  /** Most ranges of one registration. */
  readonly hostmem_entries_max: number;
  /** Capability bits. */
  readonly capabilities: bigint;
}
export const Config = {
  name: "config",
  bytes: 64,
  at: { magic: 0, version: 4, queue_count: 8, contexts_max: 12, streams_max: 16, control_request_bytes_max: 20, submit_bytes_max: 24, hostmem_entries_max: 28, capabilities: 32, reserved: 40 },
  decode(view: DataView, base: number): Config {
    return {
      magic: view.getUint32(base, true),
      version: view.getUint32(base + 4, true),
      queue_count: view.getUint32(base + 8, true),
      contexts_max: view.getUint32(base + 12, true),
      streams_max: view.getUint32(base + 16, true),
      control_request_bytes_max: view.getUint32(base + 20, true),
      submit_bytes_max: view.getUint32(base + 24, true),
      hostmem_entries_max: view.getUint32(base + 28, true),
      capabilities: view.getBigUint64(base + 32, true),
    };
  },
  encode(view: DataView, base: number, value: Config): void {
    view.setUint32(base, value.magic, true);
    view.setUint32(base + 4, value.version, true);
    view.setUint32(base + 8, value.queue_count, true);
    view.setUint32(base + 12, value.contexts_max, true);
    view.setUint32(base + 16, value.streams_max, true);
    view.setUint32(base + 20, value.control_request_bytes_max, true);
    view.setUint32(base + 24, value.submit_bytes_max, true);
    view.setUint32(base + 28, value.hostmem_entries_max, true);
    view.setBigUint64(base + 32, value.capabilities, true);
    for (let index = 0; index < 24; index++) view.setUint8(base + 40 + index, 0);
  },
  reservedZero(view: DataView, base: number): boolean {
    return zeroBytes(view, base + 40, 24);
  },
} as const satisfies Codec<Config>;

/** Opens every control and submit request. */
export interface RequestHeader {
  /** Request type. */
  readonly type: number;
  /** Zero. */
  readonly flags: number;
  /** Context id, 0 for requests without one. */
  readonly context: number;
}
export const RequestHeader = {
  name: "request_header",
  bytes: 16,
  at: { type: 0, flags: 4, context: 8, reserved: 12 },
  decode(view: DataView, base: number): RequestHeader {
    return {
      type: view.getUint32(base, true),
      flags: view.getUint32(base + 4, true),
      context: view.getUint32(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: RequestHeader): void {
    view.setUint32(base, value.type, true);
    view.setUint32(base + 4, value.flags, true);
    view.setUint32(base + 8, value.context, true);
    view.setUint32(base + 12, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 12, true) === 0;
  },
} as const satisfies Codec<RequestHeader>;

/** Opens every response. */
export interface ResponseHeader {
  /** Result. */
  readonly status: number;
  /** Bytes that follow this header. */
  readonly payload_bytes: number;
  /** The offending value, where there is one. */
  readonly value: bigint;
  /** The limit it was held against, where there is one. */
  readonly limit: bigint;
  /** The handle, argument index or byte offset concerned. */
  readonly subject: number;
}
export const ResponseHeader = {
  name: "response_header",
  bytes: 32,
  at: { status: 0, payload_bytes: 4, value: 8, limit: 16, subject: 24, reserved: 28 },
  decode(view: DataView, base: number): ResponseHeader {
    return {
      status: view.getUint32(base, true),
      payload_bytes: view.getUint32(base + 4, true),
      value: view.getBigUint64(base + 8, true),
      limit: view.getBigUint64(base + 16, true),
      subject: view.getUint32(base + 24, true),
    };
  },
  encode(view: DataView, base: number, value: ResponseHeader): void {
    view.setUint32(base, value.status, true);
    view.setUint32(base + 4, value.payload_bytes, true);
    view.setBigUint64(base + 8, value.value, true);
    view.setBigUint64(base + 16, value.limit, true);
    view.setUint32(base + 24, value.subject, true);
    view.setUint32(base + 28, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 28, true) === 0;
  },
} as const satisfies Codec<ResponseHeader>;

/** INIT payload. */
export interface InitRequest {
  /** Random, nonzero; a new one drops all that the old one held. */
  readonly session: bigint;
  /** Capabilities that the driver knows. */
  readonly capabilities: bigint;
}
export const InitRequest = {
  name: "init_request",
  bytes: 16,
  at: { session: 0, capabilities: 8 },
  decode(view: DataView, base: number): InitRequest {
    return {
      session: view.getBigUint64(base, true),
      capabilities: view.getBigUint64(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: InitRequest): void {
    view.setBigUint64(base, value.session, true);
    view.setBigUint64(base + 8, value.capabilities, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<InitRequest>;

/** INIT result. */
export interface InitResponse {
  /** Device epoch, nonzero. */
  readonly epoch: number;
  /** Device version. */
  readonly version: number;
  /** Capabilities in force. */
  readonly capabilities: bigint;
}
export const InitResponse = {
  name: "init_response",
  bytes: 16,
  at: { epoch: 0, version: 4, capabilities: 8 },
  decode(view: DataView, base: number): InitResponse {
    return {
      epoch: view.getUint32(base, true),
      version: view.getUint32(base + 4, true),
      capabilities: view.getBigUint64(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: InitResponse): void {
    view.setUint32(base, value.epoch, true);
    view.setUint32(base + 4, value.version, true);
    view.setBigUint64(base + 8, value.capabilities, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<InitResponse>;

/** GET_CAPABILITIES result: limits and the adapter. */
export interface CapabilitiesResponse {
  /** Capability bits. */
  readonly capabilities: bigint;
  /** Device memory of this vGPU. */
  readonly memory_bytes: bigint;
  /** Largest single allocation. */
  readonly segment_bytes_max: bigint;
  /** Most registered host memory. */
  readonly hostmem_bytes_max: bigint;
  /** Most contexts. */
  readonly contexts_max: number;
  /** Streams per context. */
  readonly streams_max: number;
  /** Module handles are below it. */
  readonly modules_max: number;
  /** Function handles are below it. */
  readonly functions_max: number;
  /** Event handles are below it. */
  readonly events_max: number;
  /** Host-memory handles are below it. */
  readonly hostmems_max: number;
  /** Most commands queued per context. */
  readonly queued_commands_max: number;
  /** Largest grid dimension, workgroups. */
  readonly grid_max: number;
  /** Largest block x. */
  readonly block_max_x: number;
  /** Largest block y. */
  readonly block_max_y: number;
  /** Largest block z. */
  readonly block_max_z: number;
  /** Most invocations per workgroup. */
  readonly block_threads_max: number;
  /** Workgroup memory. */
  readonly shared_bytes_max: number;
  /** 0 if unknown. */
  readonly subgroup_size: number;
  /** Device epoch. */
  readonly epoch: number;
  /** Adapter's PCI vendor id, 0 if unknown. */
  readonly vendor_id: number;
  /** Adapter name, NUL-padded UTF-8. */
  readonly adapter: string;
}
export const CapabilitiesResponse = {
  name: "capabilities_response",
  bytes: 256,
  at: { capabilities: 0, memory_bytes: 8, segment_bytes_max: 16, hostmem_bytes_max: 24, contexts_max: 32, streams_max: 36, modules_max: 40, functions_max: 44, events_max: 48, hostmems_max: 52, queued_commands_max: 56, grid_max: 60, block_max_x: 64, block_max_y: 68, block_max_z: 72, block_threads_max: 76, shared_bytes_max: 80, subgroup_size: 84, epoch: 88, vendor_id: 92, reserved: 96, adapter: 128 },
  decode(view: DataView, base: number): CapabilitiesResponse {
    return {
      capabilities: view.getBigUint64(base, true),
      memory_bytes: view.getBigUint64(base + 8, true),
      segment_bytes_max: view.getBigUint64(base + 16, true),
      hostmem_bytes_max: view.getBigUint64(base + 24, true),
      contexts_max: view.getUint32(base + 32, true),
      streams_max: view.getUint32(base + 36, true),
      modules_max: view.getUint32(base + 40, true),
      functions_max: view.getUint32(base + 44, true),
      events_max: view.getUint32(base + 48, true),
      hostmems_max: view.getUint32(base + 52, true),
      queued_commands_max: view.getUint32(base + 56, true),
      grid_max: view.getUint32(base + 60, true),
      block_max_x: view.getUint32(base + 64, true),
      block_max_y: view.getUint32(base + 68, true),
      block_max_z: view.getUint32(base + 72, true),
      block_threads_max: view.getUint32(base + 76, true),
      shared_bytes_max: view.getUint32(base + 80, true),
      subgroup_size: view.getUint32(base + 84, true),
      epoch: view.getUint32(base + 88, true),
      vendor_id: view.getUint32(base + 92, true),
      adapter: readText(view, base + 128, 128),
    };
  },
  encode(view: DataView, base: number, value: CapabilitiesResponse): void {
    view.setBigUint64(base, value.capabilities, true);
    view.setBigUint64(base + 8, value.memory_bytes, true);
    view.setBigUint64(base + 16, value.segment_bytes_max, true);
    view.setBigUint64(base + 24, value.hostmem_bytes_max, true);
    view.setUint32(base + 32, value.contexts_max, true);
    view.setUint32(base + 36, value.streams_max, true);
    view.setUint32(base + 40, value.modules_max, true);
    view.setUint32(base + 44, value.functions_max, true);
    view.setUint32(base + 48, value.events_max, true);
    view.setUint32(base + 52, value.hostmems_max, true);
    view.setUint32(base + 56, value.queued_commands_max, true);
    view.setUint32(base + 60, value.grid_max, true);
    view.setUint32(base + 64, value.block_max_x, true);
    view.setUint32(base + 68, value.block_max_y, true);
    view.setUint32(base + 72, value.block_max_z, true);
    view.setUint32(base + 76, value.block_threads_max, true);
    view.setUint32(base + 80, value.shared_bytes_max, true);
    view.setUint32(base + 84, value.subgroup_size, true);
    view.setUint32(base + 88, value.epoch, true);
    view.setUint32(base + 92, value.vendor_id, true);
    for (let index = 0; index < 32; index++) view.setUint8(base + 96 + index, 0);
    writeText(view, base + 128, 128, value.adapter);
  },
  reservedZero(view: DataView, base: number): boolean {
    return zeroBytes(view, base + 96, 32);
  },
} as const satisfies Codec<CapabilitiesResponse>;

/** CONTEXT_CREATE payload; the id is in the header. */
export interface ContextCreateRequest {
  /** Guest address of the timeline page: written by the device. */
  readonly timeline_address: bigint;
  /** Guest address of the arm page: written by the driver. */
  readonly arm_address: bigint;
  /** Process name, NUL-padded. */
  readonly name: string;
}
export const ContextCreateRequest = {
  name: "context_create_request",
  bytes: 48,
  at: { timeline_address: 0, arm_address: 8, name: 16 },
  decode(view: DataView, base: number): ContextCreateRequest {
    return {
      timeline_address: view.getBigUint64(base, true),
      arm_address: view.getBigUint64(base + 8, true),
      name: readText(view, base + 16, 32),
    };
  },
  encode(view: DataView, base: number, value: ContextCreateRequest): void {
    view.setBigUint64(base, value.timeline_address, true);
    view.setBigUint64(base + 8, value.arm_address, true);
    writeText(view, base + 16, 32, value.name);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<ContextCreateRequest>;

/** HOSTMEM_REGISTER payload, followed by entries. Offsets into the registration run over the entries in order. */
export interface HostmemRegisterRequest {
  /** Handle chosen by the driver. */
  readonly hostmem: number;
  /** Entries that follow. */
  readonly entry_count: number;
  /** Sum of the entries' bytes. */
  readonly bytes: bigint;
}
export const HostmemRegisterRequest = {
  name: "hostmem_register_request",
  bytes: 16,
  at: { hostmem: 0, entry_count: 4, bytes: 8 },
  decode(view: DataView, base: number): HostmemRegisterRequest {
    return {
      hostmem: view.getUint32(base, true),
      entry_count: view.getUint32(base + 4, true),
      bytes: view.getBigUint64(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: HostmemRegisterRequest): void {
    view.setUint32(base, value.hostmem, true);
    view.setUint32(base + 4, value.entry_count, true);
    view.setBigUint64(base + 8, value.bytes, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<HostmemRegisterRequest>;

/** One range of guest memory. */
export interface HostmemEntry {
  /** Guest physical address, any alignment. */
  readonly address: bigint;
  /** Nonzero. */
  readonly bytes: bigint;
}
export const HostmemEntry = {
  name: "hostmem_entry",
  bytes: 16,
  at: { address: 0, bytes: 8 },
  decode(view: DataView, base: number): HostmemEntry {
    return {
      address: view.getBigUint64(base, true),
      bytes: view.getBigUint64(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: HostmemEntry): void {
    view.setBigUint64(base, value.address, true);
    view.setBigUint64(base + 8, value.bytes, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<HostmemEntry>;

/** HOSTMEM_UNREGISTER payload. After the reply the device does not touch the memory. */
export interface HostmemUnregisterRequest {
  /** Handle. */
  readonly hostmem: number;
}
export const HostmemUnregisterRequest = {
  name: "hostmem_unregister_request",
  bytes: 8,
  at: { hostmem: 0, reserved: 4 },
  decode(view: DataView, base: number): HostmemUnregisterRequest {
    return {
      hostmem: view.getUint32(base, true),
    };
  },
  encode(view: DataView, base: number, value: HostmemUnregisterRequest): void {
    view.setUint32(base, value.hostmem, true);
    view.setUint32(base + 4, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 4, true) === 0;
  },
} as const satisfies Codec<HostmemUnregisterRequest>;

/** MEMORY_ALLOC payload. */
export interface MemoryAllocRequest {
  /** Nonzero. */
  readonly bytes: bigint;
  /** VGPU_MEMORY_DENSE, or zero. */
  readonly flags: bigint;
}
export const MemoryAllocRequest = {
  name: "memory_alloc_request",
  bytes: 16,
  at: { bytes: 0, flags: 8 },
  decode(view: DataView, base: number): MemoryAllocRequest {
    return {
      bytes: view.getBigUint64(base, true),
      flags: view.getBigUint64(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: MemoryAllocRequest): void {
    view.setBigUint64(base, value.bytes, true);
    view.setBigUint64(base + 8, value.flags, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<MemoryAllocRequest>;

/** MEMORY_ALLOC result; the memory reads as zero. */
export interface MemoryAllocResponse {
  /** Device pointer, 256-byte aligned. */
  readonly pointer: bigint;
  /** Bytes it takes of the vGPU's memory. */
  readonly bytes: bigint;
}
export const MemoryAllocResponse = {
  name: "memory_alloc_response",
  bytes: 16,
  at: { pointer: 0, bytes: 8 },
  decode(view: DataView, base: number): MemoryAllocResponse {
    return {
      pointer: view.getBigUint64(base, true),
      bytes: view.getBigUint64(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: MemoryAllocResponse): void {
    view.setBigUint64(base, value.pointer, true);
    view.setBigUint64(base + 8, value.bytes, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<MemoryAllocResponse>;

/** MEMORY_FREE payload. */
export interface MemoryFreeRequest {
  /** As MEMORY_ALLOC gave it. */
  readonly pointer: bigint;
}
export const MemoryFreeRequest = {
  name: "memory_free_request",
  bytes: 8,
  at: { pointer: 0 },
  decode(view: DataView, base: number): MemoryFreeRequest {
    return {
      pointer: view.getBigUint64(base, true),
    };
  },
  encode(view: DataView, base: number, value: MemoryFreeRequest): void {
    view.setBigUint64(base, value.pointer, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<MemoryFreeRequest>;

/** MEMORY_INFO result. */
export interface MemoryInfoResponse {
  /** Limit of this vGPU. */
  readonly total_bytes: bigint;
  /** Not allocated, over all contexts. */
  readonly free_bytes: bigint;
  /** Allocated by this context. */
  readonly context_bytes: bigint;
  /** Allocations of this context. */
  readonly allocation_count: bigint;
}
export const MemoryInfoResponse = {
  name: "memory_info_response",
  bytes: 32,
  at: { total_bytes: 0, free_bytes: 8, context_bytes: 16, allocation_count: 24 },
  decode(view: DataView, base: number): MemoryInfoResponse {
    return {
      total_bytes: view.getBigUint64(base, true),
      free_bytes: view.getBigUint64(base + 8, true),
      context_bytes: view.getBigUint64(base + 16, true),
      allocation_count: view.getBigUint64(base + 24, true),
    };
  },
  encode(view: DataView, base: number, value: MemoryInfoResponse): void {
    view.setBigUint64(base, value.total_bytes, true);
    view.setBigUint64(base + 8, value.free_bytes, true);
    view.setBigUint64(base + 16, value.context_bytes, true);
    view.setBigUint64(base + 24, value.allocation_count, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<MemoryInfoResponse>;

/** MODULE_QUERY payload. */
export interface ModuleQueryRequest {
  /** Handle. */
  readonly module: number;
  /** Where in the log to begin. */
  readonly log_offset: number;
}
export const ModuleQueryRequest = {
  name: "module_query_request",
  bytes: 8,
  at: { module: 0, log_offset: 4 },
  decode(view: DataView, base: number): ModuleQueryRequest {
    return {
      module: view.getUint32(base, true),
      log_offset: view.getUint32(base + 4, true),
    };
  },
  encode(view: DataView, base: number, value: ModuleQueryRequest): void {
    view.setUint32(base, value.module, true);
    view.setUint32(base + 4, value.log_offset, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<ModuleQueryRequest>;

/** MODULE_QUERY result, followed by as much of the log as fits. */
export interface ModuleQueryResponse {
  /** State. */
  readonly state: number;
  /** Why it failed. */
  readonly status: number;
  /** Length of the whole log. */
  readonly log_bytes: number;
  /** Entry points. */
  readonly function_count: number;
}
export const ModuleQueryResponse = {
  name: "module_query_response",
  bytes: 16,
  at: { state: 0, status: 4, log_bytes: 8, function_count: 12 },
  decode(view: DataView, base: number): ModuleQueryResponse {
    return {
      state: view.getUint32(base, true),
      status: view.getUint32(base + 4, true),
      log_bytes: view.getUint32(base + 8, true),
      function_count: view.getUint32(base + 12, true),
    };
  },
  encode(view: DataView, base: number, value: ModuleQueryResponse): void {
    view.setUint32(base, value.state, true);
    view.setUint32(base + 4, value.status, true);
    view.setUint32(base + 8, value.log_bytes, true);
    view.setUint32(base + 12, value.function_count, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<ModuleQueryResponse>;

/** FUNCTION_QUERY payload. */
export interface FunctionQueryRequest {
  /** Handle. */
  readonly function: number;
}
export const FunctionQueryRequest = {
  name: "function_query_request",
  bytes: 8,
  at: { function: 0, reserved: 4 },
  decode(view: DataView, base: number): FunctionQueryRequest {
    return {
      function: view.getUint32(base, true),
    };
  },
  encode(view: DataView, base: number, value: FunctionQueryRequest): void {
    view.setUint32(base, value.function, true);
    view.setUint32(base + 4, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 4, true) === 0;
  },
} as const satisfies Codec<FunctionQueryRequest>;

/** FUNCTION_QUERY result, followed by argument_info entries. */
export interface FunctionQueryResponse {
  /** State. */
  readonly state: number;
  /** Why it failed. */
  readonly status: number;
  /** Arguments, in order of (group, binding). */
  readonly argument_count: number;
  /** Declared block, 0 = given by the launch. */
  readonly block_x: number;
  /** See block_x. */
  readonly block_y: number;
  /** See block_x. */
  readonly block_z: number;
  /** Static workgroup memory, 0 if unknown. */
  readonly shared_bytes: number;
  /** Most invocations of a block of this function, 0 if only the device's limit holds. */
  readonly block_threads_max: number;
}
export const FunctionQueryResponse = {
  name: "function_query_response",
  bytes: 32,
  at: { state: 0, status: 4, argument_count: 8, block_x: 12, block_y: 16, block_z: 20, shared_bytes: 24, block_threads_max: 28 },
  decode(view: DataView, base: number): FunctionQueryResponse {
    return {
      state: view.getUint32(base, true),
      status: view.getUint32(base + 4, true),
      argument_count: view.getUint32(base + 8, true),
      block_x: view.getUint32(base + 12, true),
      block_y: view.getUint32(base + 16, true),
      block_z: view.getUint32(base + 20, true),
      shared_bytes: view.getUint32(base + 24, true),
      block_threads_max: view.getUint32(base + 28, true),
    };
  },
  encode(view: DataView, base: number, value: FunctionQueryResponse): void {
    view.setUint32(base, value.state, true);
    view.setUint32(base + 4, value.status, true);
    view.setUint32(base + 8, value.argument_count, true);
    view.setUint32(base + 12, value.block_x, true);
    view.setUint32(base + 16, value.block_y, true);
    view.setUint32(base + 20, value.block_z, true);
    view.setUint32(base + 24, value.shared_bytes, true);
    view.setUint32(base + 28, value.block_threads_max, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<FunctionQueryResponse>;

/** MODULE_SYMBOL payload, followed by the name. */
export interface ModuleSymbolRequest {
  /** Handle. */
  readonly module: number;
  /** Bytes of the name. */
  readonly name_bytes: number;
}
export const ModuleSymbolRequest = {
  name: "module_symbol_request",
  bytes: 8,
  at: { module: 0, name_bytes: 4 },
  decode(view: DataView, base: number): ModuleSymbolRequest {
    return {
      module: view.getUint32(base, true),
      name_bytes: view.getUint32(base + 4, true),
    };
  },
  encode(view: DataView, base: number, value: ModuleSymbolRequest): void {
    view.setUint32(base, value.module, true);
    view.setUint32(base + 4, value.name_bytes, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<ModuleSymbolRequest>;

/** MODULE_SYMBOL result: a variable of a module, in the context's memory from load to unload. */
export interface ModuleSymbolResponse {
  /** Device pointer. */
  readonly pointer: bigint;
  /** Its size. */
  readonly bytes: bigint;
}
export const ModuleSymbolResponse = {
  name: "module_symbol_response",
  bytes: 16,
  at: { pointer: 0, bytes: 8 },
  decode(view: DataView, base: number): ModuleSymbolResponse {
    return {
      pointer: view.getBigUint64(base, true),
      bytes: view.getBigUint64(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: ModuleSymbolResponse): void {
    view.setBigUint64(base, value.pointer, true);
    view.setBigUint64(base + 8, value.bytes, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<ModuleSymbolResponse>;

/** One argument of a function. */
export interface ArgumentInfo {
  /** Kind. */
  readonly kind: number;
  /** Access. */
  readonly access: number;
  /** Least bytes behind a pointer; exact bytes of a value. */
  readonly bytes_min: number;
  /** Required alignment of the pointer, or of the value in the parameter buffer, bytes. */
  readonly align: number;
  /** Name, cut, NUL-padded. */
  readonly name: string;
  /** PTX: offset in the parameter buffer. WGSL: zero. */
  readonly offset: number;
}
export const ArgumentInfo = {
  name: "argument_info",
  bytes: 64,
  at: { kind: 0, access: 4, bytes_min: 8, align: 12, name: 16, offset: 60 },
  decode(view: DataView, base: number): ArgumentInfo {
    return {
      kind: view.getUint32(base, true),
      access: view.getUint32(base + 4, true),
      bytes_min: view.getUint32(base + 8, true),
      align: view.getUint32(base + 12, true),
      name: readText(view, base + 16, 44),
      offset: view.getUint32(base + 60, true),
    };
  },
  encode(view: DataView, base: number, value: ArgumentInfo): void {
    view.setUint32(base, value.kind, true);
    view.setUint32(base + 4, value.access, true);
    view.setUint32(base + 8, value.bytes_min, true);
    view.setUint32(base + 12, value.align, true);
    writeText(view, base + 16, 44, value.name);
    view.setUint32(base + 60, value.offset, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<ArgumentInfo>;

/** EVENT_QUERY payload. */
export interface EventQueryRequest {
  /** Handle. */
  readonly event: number;
}
export const EventQueryRequest = {
  name: "event_query_request",
  bytes: 8,
  at: { event: 0, reserved: 4 },
  decode(view: DataView, base: number): EventQueryRequest {
    return {
      event: view.getUint32(base, true),
    };
  },
  encode(view: DataView, base: number, value: EventQueryRequest): void {
    view.setUint32(base, value.event, true);
    view.setUint32(base + 4, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 4, true) === 0;
  },
} as const satisfies Codec<EventQueryRequest>;

/** EVENT_QUERY result. */
export interface EventQueryResponse {
  /** READY once the last queued record has completed. */
  readonly state: number;
  /** Last completed record. */
  readonly generation: bigint;
  /** When what was before it was done, device clock; only differences mean something. */
  readonly time_ns: bigint;
}
export const EventQueryResponse = {
  name: "event_query_response",
  bytes: 24,
  at: { state: 0, reserved: 4, generation: 8, time_ns: 16 },
  decode(view: DataView, base: number): EventQueryResponse {
    return {
      state: view.getUint32(base, true),
      generation: view.getBigUint64(base + 8, true),
      time_ns: view.getBigUint64(base + 16, true),
    };
  },
  encode(view: DataView, base: number, value: EventQueryResponse): void {
    view.setUint32(base, value.state, true);
    view.setUint32(base + 4, 0, true);
    view.setBigUint64(base + 8, value.generation, true);
    view.setBigUint64(base + 16, value.time_ns, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 4, true) === 0;
  },
} as const satisfies Codec<EventQueryResponse>;

/** ERROR_QUERY result: the error that made the context fail. */
export interface ErrorQueryResponse {
  /** OK if there is none. */
  readonly status: number;
  /** Where it happened. */
  readonly stream: number;
  /** Fence of the submit in which it happened. */
  readonly fence: bigint;
  /** Offending value. */
  readonly value: bigint;
  /** Limit. */
  readonly limit: bigint;
  /** What happened, NUL-padded UTF-8. */
  readonly text: string;
}
export const ErrorQueryResponse = {
  name: "error_query_response",
  bytes: 256,
  at: { status: 0, stream: 4, fence: 8, value: 16, limit: 24, text: 32 },
  decode(view: DataView, base: number): ErrorQueryResponse {
    return {
      status: view.getUint32(base, true),
      stream: view.getUint32(base + 4, true),
      fence: view.getBigUint64(base + 8, true),
      value: view.getBigUint64(base + 16, true),
      limit: view.getBigUint64(base + 24, true),
      text: readText(view, base + 32, 224),
    };
  },
  encode(view: DataView, base: number, value: ErrorQueryResponse): void {
    view.setUint32(base, value.status, true);
    view.setUint32(base + 4, value.stream, true);
    view.setBigUint64(base + 8, value.fence, true);
    view.setBigUint64(base + 16, value.value, true);
    view.setBigUint64(base + 24, value.limit, true);
    writeText(view, base + 32, 224, value.text);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<ErrorQueryResponse>;

/** STATISTICS result, of this context since its creation. */
export interface StatisticsResponse {
  /** GPU time used. */
  readonly gpu_time_ns: bigint;
  /** Launches completed. */
  readonly launches: bigint;
  /** Copies and fills completed. */
  readonly copies: bigint;
  /** Bytes copied to the device. */
  readonly bytes_to_device: bigint;
  /** Bytes copied from the device. */
  readonly bytes_from_device: bigint;
  /** Requests and commands that failed. */
  readonly commands_rejected: bigint;
  /** Time runnable work waited for the GPU. */
  readonly wait_ns: bigint;
}
export const StatisticsResponse = {
  name: "statistics_response",
  bytes: 64,
  at: { gpu_time_ns: 0, launches: 8, copies: 16, bytes_to_device: 24, bytes_from_device: 32, commands_rejected: 40, wait_ns: 48, reserved: 56 },
  decode(view: DataView, base: number): StatisticsResponse {
    return {
      gpu_time_ns: view.getBigUint64(base, true),
      launches: view.getBigUint64(base + 8, true),
      copies: view.getBigUint64(base + 16, true),
      bytes_to_device: view.getBigUint64(base + 24, true),
      bytes_from_device: view.getBigUint64(base + 32, true),
      commands_rejected: view.getBigUint64(base + 40, true),
      wait_ns: view.getBigUint64(base + 48, true),
    };
  },
  encode(view: DataView, base: number, value: StatisticsResponse): void {
    view.setBigUint64(base, value.gpu_time_ns, true);
    view.setBigUint64(base + 8, value.launches, true);
    view.setBigUint64(base + 16, value.copies, true);
    view.setBigUint64(base + 24, value.bytes_to_device, true);
    view.setBigUint64(base + 32, value.bytes_from_device, true);
    view.setBigUint64(base + 40, value.commands_rejected, true);
    view.setBigUint64(base + 48, value.wait_ns, true);
    view.setBigUint64(base + 56, 0n, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return zeroBytes(view, base + 56, 8);
  },
} as const satisfies Codec<StatisticsResponse>;

/** SUBMIT payload, followed by commands. */
export interface SubmitRequest {
  /** Stream number. */
  readonly stream: number;
  /** Commands that follow; may be 0. */
  readonly command_count: number;
  /** Above the stream's last one; written to the timeline when all have completed. */
  readonly fence: bigint;
  /** Bytes of the commands, a multiple of 8. */
  readonly command_bytes: number;
}
export const SubmitRequest = {
  name: "submit_request",
  bytes: 24,
  at: { stream: 0, command_count: 4, fence: 8, command_bytes: 16, reserved: 20 },
  decode(view: DataView, base: number): SubmitRequest {
    return {
      stream: view.getUint32(base, true),
      command_count: view.getUint32(base + 4, true),
      fence: view.getBigUint64(base + 8, true),
      command_bytes: view.getUint32(base + 16, true),
    };
  },
  encode(view: DataView, base: number, value: SubmitRequest): void {
    view.setUint32(base, value.stream, true);
    view.setUint32(base + 4, value.command_count, true);
    view.setBigUint64(base + 8, value.fence, true);
    view.setUint32(base + 16, value.command_bytes, true);
    view.setUint32(base + 20, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 20, true) === 0;
  },
} as const satisfies Codec<SubmitRequest>;

/** Opens every command; commands are 8-byte aligned in the buffer. */
export interface CommandHeader {
  /** Command. */
  readonly opcode: number;
  /** Zero. */
  readonly flags: number;
  /** Whole command, header and padding included; a multiple of 8. */
  readonly bytes: number;
}
export const CommandHeader = {
  name: "command_header",
  bytes: 8,
  at: { opcode: 0, flags: 2, bytes: 4 },
  decode(view: DataView, base: number): CommandHeader {
    return {
      opcode: view.getUint16(base, true),
      flags: view.getUint16(base + 2, true),
      bytes: view.getUint32(base + 4, true),
    };
  },
  encode(view: DataView, base: number, value: CommandHeader): void {
    view.setUint16(base, value.opcode, true);
    view.setUint16(base + 2, value.flags, true);
    view.setUint32(base + 4, value.bytes, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<CommandHeader>;

/** MODULE_LOAD, followed by the code. A compile error does not fail the context: MODULE_QUERY tells. */
export interface CommandModuleLoad {
  /** Handle chosen by the guest. */
  readonly module: number;
  /** Format. */
  readonly format: number;
  /** Bytes of code. */
  readonly code_bytes: number;
  /** VGPU_MODULE_CHECKED, or zero. */
  readonly flags: number;
}
export const CommandModuleLoad = {
  name: "command_module_load",
  bytes: 16,
  at: { module: 0, format: 4, code_bytes: 8, flags: 12 },
  decode(view: DataView, base: number): CommandModuleLoad {
    return {
      module: view.getUint32(base, true),
      format: view.getUint32(base + 4, true),
      code_bytes: view.getUint32(base + 8, true),
      flags: view.getUint32(base + 12, true),
    };
  },
  encode(view: DataView, base: number, value: CommandModuleLoad): void {
    view.setUint32(base, value.module, true);
    view.setUint32(base + 4, value.format, true);
    view.setUint32(base + 8, value.code_bytes, true);
    view.setUint32(base + 12, value.flags, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<CommandModuleLoad>;

/** MODULE_UNLOAD: its functions go with it. */
export interface CommandModuleUnload {
  /** Handle. */
  readonly module: number;
}
export const CommandModuleUnload = {
  name: "command_module_unload",
  bytes: 8,
  at: { module: 0, reserved: 4 },
  decode(view: DataView, base: number): CommandModuleUnload {
    return {
      module: view.getUint32(base, true),
    };
  },
  encode(view: DataView, base: number, value: CommandModuleUnload): void {
    view.setUint32(base, value.module, true);
    view.setUint32(base + 4, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 4, true) === 0;
  },
} as const satisfies Codec<CommandModuleUnload>;

/** FUNCTION_CREATE, followed by the name. A failed look-up does not fail the context: FUNCTION_QUERY tells. */
export interface CommandFunctionCreate {
  /** Handle chosen by the guest. */
  readonly function: number;
  /** Module. */
  readonly module: number;
  /** Bytes of the name. */
  readonly name_bytes: number;
}
export const CommandFunctionCreate = {
  name: "command_function_create",
  bytes: 16,
  at: { function: 0, module: 4, name_bytes: 8, reserved: 12 },
  decode(view: DataView, base: number): CommandFunctionCreate {
    return {
      function: view.getUint32(base, true),
      module: view.getUint32(base + 4, true),
      name_bytes: view.getUint32(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: CommandFunctionCreate): void {
    view.setUint32(base, value.function, true);
    view.setUint32(base + 4, value.module, true);
    view.setUint32(base + 8, value.name_bytes, true);
    view.setUint32(base + 12, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 12, true) === 0;
  },
} as const satisfies Codec<CommandFunctionCreate>;

/** FUNCTION_DESTROY. */
export interface CommandFunctionDestroy {
  /** Handle. */
  readonly function: number;
}
export const CommandFunctionDestroy = {
  name: "command_function_destroy",
  bytes: 8,
  at: { function: 0, reserved: 4 },
  decode(view: DataView, base: number): CommandFunctionDestroy {
    return {
      function: view.getUint32(base, true),
    };
  },
  encode(view: DataView, base: number, value: CommandFunctionDestroy): void {
    view.setUint32(base, value.function, true);
    view.setUint32(base + 4, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 4, true) === 0;
  },
} as const satisfies Codec<CommandFunctionDestroy>;

/** COPY_TO_DEVICE and COPY_FROM_DEVICE; any alignment and size. */
export interface CommandCopyHost {
  /** Device pointer. */
  readonly pointer: bigint;
  /** Host-memory handle. */
  readonly hostmem: number;
  /** Offset into the registration. */
  readonly offset: bigint;
  /** May be 0. */
  readonly bytes: bigint;
}
export const CommandCopyHost = {
  name: "command_copy_host",
  bytes: 32,
  at: { pointer: 0, hostmem: 8, reserved: 12, offset: 16, bytes: 24 },
  decode(view: DataView, base: number): CommandCopyHost {
    return {
      pointer: view.getBigUint64(base, true),
      hostmem: view.getUint32(base + 8, true),
      offset: view.getBigUint64(base + 16, true),
      bytes: view.getBigUint64(base + 24, true),
    };
  },
  encode(view: DataView, base: number, value: CommandCopyHost): void {
    view.setBigUint64(base, value.pointer, true);
    view.setUint32(base + 8, value.hostmem, true);
    view.setUint32(base + 12, 0, true);
    view.setBigUint64(base + 16, value.offset, true);
    view.setBigUint64(base + 24, value.bytes, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 12, true) === 0;
  },
} as const satisfies Codec<CommandCopyHost>;

/** COPY_DEVICE; ranges may overlap, as memmove. */
export interface CommandCopyDevice {
  /** Device pointer. */
  readonly destination: bigint;
  /** Device pointer. */
  readonly source: bigint;
  /** May be 0. */
  readonly bytes: bigint;
}
export const CommandCopyDevice = {
  name: "command_copy_device",
  bytes: 24,
  at: { destination: 0, source: 8, bytes: 16 },
  decode(view: DataView, base: number): CommandCopyDevice {
    return {
      destination: view.getBigUint64(base, true),
      source: view.getBigUint64(base + 8, true),
      bytes: view.getBigUint64(base + 16, true),
    };
  },
  encode(view: DataView, base: number, value: CommandCopyDevice): void {
    view.setBigUint64(base, value.destination, true);
    view.setBigUint64(base + 8, value.source, true);
    view.setBigUint64(base + 16, value.bytes, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<CommandCopyDevice>;

/** FILL. */
export interface CommandFill {
  /** Device pointer, aligned to width. */
  readonly pointer: bigint;
  /** A multiple of width; may be 0. */
  readonly bytes: bigint;
  /** Low width bytes are repeated. */
  readonly pattern: number;
  /** 1, 2 or 4. */
  readonly width: number;
}
export const CommandFill = {
  name: "command_fill",
  bytes: 24,
  at: { pointer: 0, bytes: 8, pattern: 16, width: 20 },
  decode(view: DataView, base: number): CommandFill {
    return {
      pointer: view.getBigUint64(base, true),
      bytes: view.getBigUint64(base + 8, true),
      pattern: view.getUint32(base + 16, true),
      width: view.getUint32(base + 20, true),
    };
  },
  encode(view: DataView, base: number, value: CommandFill): void {
    view.setBigUint64(base, value.pointer, true);
    view.setBigUint64(base + 8, value.bytes, true);
    view.setUint32(base + 16, value.pattern, true);
    view.setUint32(base + 20, value.width, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<CommandFill>;

/** WRITE_INLINE, followed by the bytes. */
export interface CommandWriteInline {
  /** Device pointer. */
  readonly pointer: bigint;
  /** Bytes that follow. */
  readonly bytes: number;
}
export const CommandWriteInline = {
  name: "command_write_inline",
  bytes: 16,
  at: { pointer: 0, bytes: 8, reserved: 12 },
  decode(view: DataView, base: number): CommandWriteInline {
    return {
      pointer: view.getBigUint64(base, true),
      bytes: view.getUint32(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: CommandWriteInline): void {
    view.setBigUint64(base, value.pointer, true);
    view.setUint32(base + 8, value.bytes, true);
    view.setUint32(base + 12, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 12, true) === 0;
  },
} as const satisfies Codec<CommandWriteInline>;

/** LAUNCH, followed by arguments. */
export interface CommandLaunch {
  /** Handle. */
  readonly function: number;
  /** Arguments that follow. */
  readonly argument_count: number;
  /** Workgroups, nonzero. */
  readonly grid_x: number;
  /** See grid_x. */
  readonly grid_y: number;
  /** See grid_x. */
  readonly grid_z: number;
  /** Invocations; the declared ones, or all three 0 to take those. */
  readonly block_x: number;
  /** See block_x. */
  readonly block_y: number;
  /** See block_x. */
  readonly block_z: number;
  /** Dynamic workgroup memory, bytes; 0 for WGSL. */
  readonly shared_bytes: number;
}
export const CommandLaunch = {
  name: "command_launch",
  bytes: 40,
  at: { function: 0, argument_count: 4, grid_x: 8, grid_y: 12, grid_z: 16, block_x: 20, block_y: 24, block_z: 28, shared_bytes: 32, reserved: 36 },
  decode(view: DataView, base: number): CommandLaunch {
    return {
      function: view.getUint32(base, true),
      argument_count: view.getUint32(base + 4, true),
      grid_x: view.getUint32(base + 8, true),
      grid_y: view.getUint32(base + 12, true),
      grid_z: view.getUint32(base + 16, true),
      block_x: view.getUint32(base + 20, true),
      block_y: view.getUint32(base + 24, true),
      block_z: view.getUint32(base + 28, true),
      shared_bytes: view.getUint32(base + 32, true),
    };
  },
  encode(view: DataView, base: number, value: CommandLaunch): void {
    view.setUint32(base, value.function, true);
    view.setUint32(base + 4, value.argument_count, true);
    view.setUint32(base + 8, value.grid_x, true);
    view.setUint32(base + 12, value.grid_y, true);
    view.setUint32(base + 16, value.grid_z, true);
    view.setUint32(base + 20, value.block_x, true);
    view.setUint32(base + 24, value.block_y, true);
    view.setUint32(base + 28, value.block_z, true);
    view.setUint32(base + 32, value.shared_bytes, true);
    view.setUint32(base + 36, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 36, true) === 0;
  },
} as const satisfies Codec<CommandLaunch>;

/** Opens one argument; the payload follows, padded to 8 bytes. */
export interface LaunchArgument {
  /** Kind. */
  readonly kind: number;
  /** Payload bytes before padding: 8 for a pointer. */
  readonly bytes: number;
}
export const LaunchArgument = {
  name: "launch_argument",
  bytes: 8,
  at: { kind: 0, bytes: 4 },
  decode(view: DataView, base: number): LaunchArgument {
    return {
      kind: view.getUint32(base, true),
      bytes: view.getUint32(base + 4, true),
    };
  },
  encode(view: DataView, base: number, value: LaunchArgument): void {
    view.setUint32(base, value.kind, true);
    view.setUint32(base + 4, value.bytes, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<LaunchArgument>;

/** EVENT_RECORD; the event exists from its first record on. */
export interface CommandEventRecord {
  /** Handle chosen by the guest. */
  readonly event: number;
  /** VGPU_EVENT_TIMED, or zero. */
  readonly flags: number;
  /** Above the event's last one. */
  readonly generation: bigint;
}
export const CommandEventRecord = {
  name: "command_event_record",
  bytes: 16,
  at: { event: 0, flags: 4, generation: 8 },
  decode(view: DataView, base: number): CommandEventRecord {
    return {
      event: view.getUint32(base, true),
      flags: view.getUint32(base + 4, true),
      generation: view.getBigUint64(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: CommandEventRecord): void {
    view.setUint32(base, value.event, true);
    view.setUint32(base + 4, value.flags, true);
    view.setBigUint64(base + 8, value.generation, true);
  },
  reservedZero(_view: DataView, _base: number): boolean {
    return true;
  },
} as const satisfies Codec<CommandEventRecord>;

/** EVENT_WAIT: the stream goes on once the event has completed this generation. */
export interface CommandEventWait {
  /** Handle. */
  readonly event: number;
  /** Generation to wait for. */
  readonly generation: bigint;
}
export const CommandEventWait = {
  name: "command_event_wait",
  bytes: 16,
  at: { event: 0, reserved: 4, generation: 8 },
  decode(view: DataView, base: number): CommandEventWait {
    return {
      event: view.getUint32(base, true),
      generation: view.getBigUint64(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: CommandEventWait): void {
    view.setUint32(base, value.event, true);
    view.setUint32(base + 4, 0, true);
    view.setBigUint64(base + 8, value.generation, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 4, true) === 0;
  },
} as const satisfies Codec<CommandEventWait>;

/** EVENT_DESTROY. */
export interface CommandEventDestroy {
  /** Handle. */
  readonly event: number;
}
export const CommandEventDestroy = {
  name: "command_event_destroy",
  bytes: 8,
  at: { event: 0, reserved: 4 },
  decode(view: DataView, base: number): CommandEventDestroy {
    return {
      event: view.getUint32(base, true),
    };
  },
  encode(view: DataView, base: number, value: CommandEventDestroy): void {
    view.setUint32(base, value.event, true);
    view.setUint32(base + 4, 0, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 4, true) === 0;
  },
} as const satisfies Codec<CommandEventDestroy>;

/** Event-queue message. */
export interface EventMessage {
  /** Type. */
  readonly type: number;
  /** Context. */
  readonly context: number;
  /** Device epoch. */
  readonly epoch: number;
  /** Zero. */
  readonly value: bigint;
}
export const EventMessage = {
  name: "event_message",
  bytes: 32,
  at: { type: 0, context: 4, epoch: 8, reserved: 12, value: 16, reserved2: 24 },
  decode(view: DataView, base: number): EventMessage {
    return {
      type: view.getUint32(base, true),
      context: view.getUint32(base + 4, true),
      epoch: view.getUint32(base + 8, true),
      value: view.getBigUint64(base + 16, true),
    };
  },
  encode(view: DataView, base: number, value: EventMessage): void {
    view.setUint32(base, value.type, true);
    view.setUint32(base + 4, value.context, true);
    view.setUint32(base + 8, value.epoch, true);
    view.setUint32(base + 12, 0, true);
    view.setBigUint64(base + 16, value.value, true);
    view.setBigUint64(base + 24, 0n, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 12, true) === 0 && zeroBytes(view, base + 24, 8);
  },
} as const satisfies Codec<EventMessage>;

/** Head of a timeline page, written by the device. */
export interface TimelineHeader {
  /** VGPU_TIMELINE_MAGIC. */
  readonly magic: number;
  /** Changes when the device lost its state. */
  readonly epoch: number;
  /** Not OK once the context has failed. */
  readonly context_status: number;
  /** Where. */
  readonly error_stream: number;
}
export const TimelineHeader = {
  name: "timeline_header",
  bytes: 64,
  at: { magic: 0, epoch: 4, context_status: 8, error_stream: 12, reserved: 16 },
  decode(view: DataView, base: number): TimelineHeader {
    return {
      magic: view.getUint32(base, true),
      epoch: view.getUint32(base + 4, true),
      context_status: view.getUint32(base + 8, true),
      error_stream: view.getUint32(base + 12, true),
    };
  },
  encode(view: DataView, base: number, value: TimelineHeader): void {
    view.setUint32(base, value.magic, true);
    view.setUint32(base + 4, value.epoch, true);
    view.setUint32(base + 8, value.context_status, true);
    view.setUint32(base + 12, value.error_stream, true);
    for (let index = 0; index < 48; index++) view.setUint8(base + 16 + index, 0);
  },
  reservedZero(view: DataView, base: number): boolean {
    return zeroBytes(view, base + 16, 48);
  },
} as const satisfies Codec<TimelineHeader>;

/** Slot of a stream, written by the device: status before fence. */
export interface TimelineSlot {
  /** Last completed fence. */
  readonly fence: bigint;
  /** Not OK from the first failed fence on. */
  readonly status: number;
  /** When it completed, device clock. */
  readonly time_ns: bigint;
}
export const TimelineSlot = {
  name: "timeline_slot",
  bytes: 32,
  at: { fence: 0, status: 8, reserved: 12, time_ns: 16, reserved2: 24 },
  decode(view: DataView, base: number): TimelineSlot {
    return {
      fence: view.getBigUint64(base, true),
      status: view.getUint32(base + 8, true),
      time_ns: view.getBigUint64(base + 16, true),
    };
  },
  encode(view: DataView, base: number, value: TimelineSlot): void {
    view.setBigUint64(base, value.fence, true);
    view.setUint32(base + 8, value.status, true);
    view.setUint32(base + 12, 0, true);
    view.setBigUint64(base + 16, value.time_ns, true);
    view.setBigUint64(base + 24, 0n, true);
  },
  reservedZero(view: DataView, base: number): boolean {
    return view.getUint32(base + 12, true) === 0 && zeroBytes(view, base + 24, 8);
  },
} as const satisfies Codec<TimelineSlot>;

/** Slot of a stream in the arm page, written by the driver. */
export interface ArmSlot {
  /** Interrupt once when the completed fence reaches this; 0 = never. Written, then a full barrier, then the timeline is read again. */
  readonly fence: bigint;
  /** How long before the fence is expected to complete the driver would like a message SOON; 0 = never. Written before the fence. */
  readonly ahead_ns: number;
}
export const ArmSlot = {
  name: "arm_slot",
  bytes: 32,
  at: { fence: 0, ahead_ns: 8, reserved: 12 },
  decode(view: DataView, base: number): ArmSlot {
    return {
      fence: view.getBigUint64(base, true),
      ahead_ns: view.getUint32(base + 8, true),
    };
  },
  encode(view: DataView, base: number, value: ArmSlot): void {
    view.setBigUint64(base, value.fence, true);
    view.setUint32(base + 8, value.ahead_ns, true);
    for (let index = 0; index < 20; index++) view.setUint8(base + 12 + index, 0);
  },
  reservedZero(view: DataView, base: number): boolean {
    return zeroBytes(view, base + 12, 20);
  },
} as const satisfies Codec<ArmSlot>;

/** Every codec by the structure's name in spec/vgpu.json. */
export const structs = {
  config: Config,
  request_header: RequestHeader,
  response_header: ResponseHeader,
  init_request: InitRequest,
  init_response: InitResponse,
  capabilities_response: CapabilitiesResponse,
  context_create_request: ContextCreateRequest,
  hostmem_register_request: HostmemRegisterRequest,
  hostmem_entry: HostmemEntry,
  hostmem_unregister_request: HostmemUnregisterRequest,
  memory_alloc_request: MemoryAllocRequest,
  memory_alloc_response: MemoryAllocResponse,
  memory_free_request: MemoryFreeRequest,
  memory_info_response: MemoryInfoResponse,
  module_query_request: ModuleQueryRequest,
  module_query_response: ModuleQueryResponse,
  function_query_request: FunctionQueryRequest,
  function_query_response: FunctionQueryResponse,
  module_symbol_request: ModuleSymbolRequest,
  module_symbol_response: ModuleSymbolResponse,
  argument_info: ArgumentInfo,
  event_query_request: EventQueryRequest,
  event_query_response: EventQueryResponse,
  error_query_response: ErrorQueryResponse,
  statistics_response: StatisticsResponse,
  submit_request: SubmitRequest,
  command_header: CommandHeader,
  command_module_load: CommandModuleLoad,
  command_module_unload: CommandModuleUnload,
  command_function_create: CommandFunctionCreate,
  command_function_destroy: CommandFunctionDestroy,
  command_copy_host: CommandCopyHost,
  command_copy_device: CommandCopyDevice,
  command_fill: CommandFill,
  command_write_inline: CommandWriteInline,
  command_launch: CommandLaunch,
  launch_argument: LaunchArgument,
  command_event_record: CommandEventRecord,
  command_event_wait: CommandEventWait,
  command_event_destroy: CommandEventDestroy,
  event_message: EventMessage,
  timeline_header: TimelineHeader,
  timeline_slot: TimelineSlot,
  arm_slot: ArmSlot,
} as const;
