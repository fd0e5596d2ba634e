// SPDX-License-Identifier: Apache-2.0
/**
 * The layout of the G-VMCS: constants, enumerations, and one codec per area.
 * Generated from spec/gvmcs.json by "npm run generate"; do not edit.
 * Fields of 64 bits are numbers of at most 2^53 - 1, but for addresses, which are bigint.
 */

const decoder = new TextDecoder("utf-8");
const encoder = new TextEncoder();

function readText(view: DataView, base: number, count: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + base, count);
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function writeText(view: DataView, base: number, count: number, text: string): void {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + base, count);
  bytes.fill(0);
  encoder.encodeInto(text, bytes.subarray(0, count - 1));
}

function readNumber(view: DataView, base: number): number {
  return view.getUint32(base + 4, true) * 0x1_0000_0000 + view.getUint32(base, true);
}

function writeNumber(view: DataView, base: number, value: number): void {
  view.setUint32(base, value % 0x1_0000_0000, true);
  view.setUint32(base + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** A value that a validator refuses. */
export interface Violation {
  readonly field: string;
  readonly value: number | bigint;
  /** What holds for a valid value, for messages. */
  readonly rule: string;
}

/** One field of an area or of a row, for printing. */
export interface FieldLayout {
  readonly name: string;
  readonly type: "u32" | "u64" | "n64" | "text";
  /** From the area's start, or from the row's start. */
  readonly offset: number;
  readonly bytes: number;
  readonly unit: "ns" | "ps" | "bytes" | "ppm" | "address" | null;
  /** Names by value, for enumerations; by mask, for flags. */
  readonly names: ReadonlyMap<number, string> | null;
  readonly flags: boolean;
  readonly doc: string;
}

export interface AreaLayout {
  readonly name: string;
  readonly page: "controls" | "state";
  readonly kind: "words" | "record";
  /** From the page's start. */
  readonly offset: number;
  readonly bytes: number;
  readonly doc: string;
  readonly fields: readonly FieldLayout[];
  readonly table: {
    readonly name: string;
    readonly length: string;
    readonly offset: number;
    readonly rowBytes: number;
    readonly count: number;
    readonly fields: readonly FieldLayout[];
  } | null;
}

/** Reads, writes and validates one area at byte `base` of a view. */
export interface AreaCodec<T> extends AreaLayout {
  decode(view: DataView, base: number): T;
  /** Writes every field but the lock; reserved fields become zero. */
  encode(view: DataView, base: number, value: T): void;
  /** The first field that is not valid. */
  check(value: T): Violation | null;
}

/** Bytes at the start of a record, for its sequence lock. */
export const LOCK_BYTES = 8;

/** Sizes, limits and magic numbers. */
export const GVMCS = {
  /** Revision of this layout; both pages carry it. */
  REVISION: 4,
  /** 'GVCT', first word of the controls page. */
  CONTROLS_MAGIC: 0x54435647,
  /** 'GVST', first word of the state page. */
  STATE_MAGIC: 0x54535647,
  /** Size of each of the two pages. */
  PAGE_BYTES: 4096,
  /** A whole GPU in parts per million, the unit of shares. */
  SHARE_ONE_PPM: 1000000,
  /** Shortest time slice. */
  SLICE_MIN_NS: 1000000,
  /** Longest time slice. */
  SLICE_MAX_NS: 30000000,
  /** Time slice where none is configured. */
  SLICE_DEFAULT_NS: 2000000,
  /** Largest weight; the least is 1. */
  WEIGHT_MAX: 10000,
  /** Longest time of one dispatch where none is configured. */
  WATCHDOG_DEFAULT_NS: 2000000000,
  /** Largest configurable watchdog. */
  WATCHDOG_MAX_NS: 60000000000,
  /** Longest tail where none is configured, for slices of up to six times as long; else a sixth of the slice. */
  TAIL_DEFAULT_NS: 800000,
  /** Largest configurable tail. */
  TAIL_MAX_NS: 5000000,
} as const;

/** Where a vGPU stands; the broker alone writes it. */
export const LaunchState = {
  /** no instance has loaded the structure */
  CLEAR: 0,
  /** an instance has loaded it and may be entered */
  READY: 1,
  /** the instance has the GPU, with no end set */
  ENTERED: 2,
  /** the instance has the GPU until the deadline */
  BOUNDED: 3,
  /** the instance has stopped with its state saved */
  SAVED: 4,
  /** the instance broke a rule and is being ended */
  ABORTED: 5,
  /** the instance has exited, and its tail is on the GPU */
  DRAINING: 6,
} as const;
export type LaunchState = (typeof LaunchState)[keyof typeof LaunchState];
export const LaunchStateNames: ReadonlyMap<number, string> = new Map([
  [0, "CLEAR"],
  [1, "READY"],
  [2, "ENTERED"],
  [3, "BOUNDED"],
  [4, "SAVED"],
  [5, "ABORTED"],
  [6, "DRAINING"],
]);
export const LaunchStateTexts: ReadonlyMap<number, string> = new Map([
  [0, "no instance has loaded the structure"],
  [1, "an instance has loaded it and may be entered"],
  [2, "the instance has the GPU, with no end set"],
  [3, "the instance has the GPU until the deadline"],
  [4, "the instance has stopped with its state saved"],
  [5, "the instance broke a rule and is being ended"],
  [6, "the instance has exited, and its tail is on the GPU"],
]);

/** Why the broker aborted an instance. */
export const AbortIndicator = {
  /** not aborted */
  NONE: 0,
  /** the state page has another magic or revision */
  REVISION: 1,
  /** the transition is not one of the launch state */
  TRANSITION: 2,
  /** the exit is not the exit of the current entry */
  EXIT_SEQUENCE: 3,
  /** the exit information holds an invalid value */
  EXIT_RECORD: 4,
  /** the exit reason is masked by the exit bitmap */
  EXIT_MASKED: 5,
  /** a record is not written completely in time */
  TORN_RECORD: 6,
  /** the exit claims more GPU time than has passed */
  TIME_CLAIM: 7,
  /** there is no exit at the deadline plus the grace */
  OVERDUE: 8,
  /** a word of the state page holds an invalid value */
  WORD: 9,
  /** the instance has set its own abort indicator */
  INSTANCE: 10,
  /** the GPU works for the instance outside its entries */
  AUDIT: 11,
  /** the exit leaves a tail that is not allowed */
  TAIL: 12,
} as const;
export type AbortIndicator = (typeof AbortIndicator)[keyof typeof AbortIndicator];
export const AbortIndicatorNames: ReadonlyMap<number, string> = new Map([
  [0, "NONE"],
  [1, "REVISION"],
  [2, "TRANSITION"],
  [3, "EXIT_SEQUENCE"],
  [4, "EXIT_RECORD"],
  [5, "EXIT_MASKED"],
  [6, "TORN_RECORD"],
  [7, "TIME_CLAIM"],
  [8, "OVERDUE"],
  [9, "WORD"],
  [10, "INSTANCE"],
  [11, "AUDIT"],
  [12, "TAIL"],
]);
export const AbortIndicatorTexts: ReadonlyMap<number, string> = new Map([
  [0, "not aborted"],
  [1, "the state page has another magic or revision"],
  [2, "the transition is not one of the launch state"],
  [3, "the exit is not the exit of the current entry"],
  [4, "the exit information holds an invalid value"],
  [5, "the exit reason is masked by the exit bitmap"],
  [6, "a record is not written completely in time"],
  [7, "the exit claims more GPU time than has passed"],
  [8, "there is no exit at the deadline plus the grace"],
  [9, "a word of the state page holds an invalid value"],
  [10, "the instance has set its own abort indicator"],
  [11, "the GPU works for the instance outside its entries"],
  [12, "the exit leaves a tail that is not allowed"],
]);

/** Why an instance is entered. */
export const EntryReason = {
  /** the first entry since the structure was loaded */
  START: 0,
  /** it was idle and has work */
  WAKE: 1,
  /** its last slice was used or yielded */
  RESUME: 2,
  /** its last exit was a fault or the watchdog's */
  RECOVER: 3,
  /** it was saved */
  RESTORE: 4,
} as const;
export type EntryReason = (typeof EntryReason)[keyof typeof EntryReason];
export const EntryReasonNames: ReadonlyMap<number, string> = new Map([
  [0, "START"],
  [1, "WAKE"],
  [2, "RESUME"],
  [3, "RECOVER"],
  [4, "RESTORE"],
]);
export const EntryReasonTexts: ReadonlyMap<number, string> = new Map([
  [0, "the first entry since the structure was loaded"],
  [1, "it was idle and has work"],
  [2, "its last slice was used or yielded"],
  [3, "its last exit was a fault or the watchdog's"],
  [4, "it was saved"],
]);

/** What the instance has to do first when it is entered. */
export const InjectedEvent = {
  /** nothing */
  NONE: 0,
  /** read the execution controls again */
  CONTROLS_CHANGED: 1,
  /** stop, save the state and exit with reason SAVE */
  SAVE: 2,
  /** drop all contexts and exit with reason RESET */
  RESET: 3,
  /** fail all contexts: the GPU was replaced */
  EPOCH: 4,
} as const;
export type InjectedEvent = (typeof InjectedEvent)[keyof typeof InjectedEvent];
export const InjectedEventNames: ReadonlyMap<number, string> = new Map([
  [0, "NONE"],
  [1, "CONTROLS_CHANGED"],
  [2, "SAVE"],
  [3, "RESET"],
  [4, "EPOCH"],
]);
export const InjectedEventTexts: ReadonlyMap<number, string> = new Map([
  [0, "nothing"],
  [1, "read the execution controls again"],
  [2, "stop, save the state and exit with reason SAVE"],
  [3, "drop all contexts and exit with reason RESET"],
  [4, "fail all contexts: the GPU was replaced"],
]);

/** Why an instance gave the GPU back. */
export const ExitReason = {
  /** the deadline has come, or what is due does not fit before it */
  SLICE_USED: 1,
  /** there is no work */
  IDLE: 2,
  /** others may go first */
  YIELD: 3,
  /** a context or the device failed */
  FAULT: 4,
  /** a dispatch exceeded its limit */
  WATCHDOG: 5,
  /** the guest or an event reset the device */
  RESET: 6,
  /** the state is saved */
  SAVE: 7,
} as const;
export type ExitReason = (typeof ExitReason)[keyof typeof ExitReason];
export const ExitReasonNames: ReadonlyMap<number, string> = new Map([
  [1, "SLICE_USED"],
  [2, "IDLE"],
  [3, "YIELD"],
  [4, "FAULT"],
  [5, "WATCHDOG"],
  [6, "RESET"],
  [7, "SAVE"],
]);
export const ExitReasonTexts: ReadonlyMap<number, string> = new Map([
  [1, "the deadline has come, or what is due does not fit before it"],
  [2, "there is no work"],
  [3, "others may go first"],
  [4, "a context or the device failed"],
  [5, "a dispatch exceeded its limit"],
  [6, "the guest or an event reset the device"],
  [7, "the state is saved"],
]);

/** Qualification of the exit reason FAULT. */
export const FaultCode = {
  /** a context failed; the rest goes on */
  CONTEXT: 0,
  /** the device is lost with all contexts */
  DEVICE_LOST: 1,
  /** the GPU has no memory left */
  OUT_OF_MEMORY: 2,
  /** the instance failed by itself */
  INTERNAL: 3,
} as const;
export type FaultCode = (typeof FaultCode)[keyof typeof FaultCode];
export const FaultCodeNames: ReadonlyMap<number, string> = new Map([
  [0, "CONTEXT"],
  [1, "DEVICE_LOST"],
  [2, "OUT_OF_MEMORY"],
  [3, "INTERNAL"],
]);
export const FaultCodeTexts: ReadonlyMap<number, string> = new Map([
  [0, "a context failed; the rest goes on"],
  [1, "the device is lost with all contexts"],
  [2, "the GPU has no memory left"],
  [3, "the instance failed by itself"],
]);

/** Whether an instance wants the GPU. */
export const Demand = {
  /** it has no work */
  IDLE: 0,
  /** it has work */
  RUNNABLE: 1,
} as const;
export type Demand = (typeof Demand)[keyof typeof Demand];
export const DemandNames: ReadonlyMap<number, string> = new Map([
  [0, "IDLE"],
  [1, "RUNNABLE"],
]);
export const DemandTexts: ReadonlyMap<number, string> = new Map([
  [0, "it has no work"],
  [1, "it has work"],
]);

/** What an instance says of itself. */
export const RunState = {
  /** it has not filled its page */
  NEW: 0,
  /** its page is filled */
  LOADED: 1,
} as const;
export type RunState = (typeof RunState)[keyof typeof RunState];
export const RunStateNames: ReadonlyMap<number, string> = new Map([
  [0, "NEW"],
  [1, "LOADED"],
]);
export const RunStateTexts: ReadonlyMap<number, string> = new Map([
  [0, "it has not filled its page"],
  [1, "its page is filled"],
]);

/** Scheduling policy of a vGPU. */
export const Policy = {
  /** takes turns with whoever has work */
  BEST_EFFORT: 0,
  /** an equal share of the time */
  EQUAL: 1,
  /** a share that is reserved even when idle */
  FIXED: 2,
  /** by weight, with a minimum and a maximum */
  WEIGHTED: 3,
} as const;
export type Policy = (typeof Policy)[keyof typeof Policy];
export const PolicyNames: ReadonlyMap<number, string> = new Map([
  [0, "BEST_EFFORT"],
  [1, "EQUAL"],
  [2, "FIXED"],
  [3, "WEIGHTED"],
]);
export const PolicyTexts: ReadonlyMap<number, string> = new Map([
  [0, "takes turns with whoever has work"],
  [1, "an equal share of the time"],
  [2, "a share that is reserved even when idle"],
  [3, "by weight, with a minimum and a maximum"],
]);

/** What stands behind the adapter. */
export const AdapterMode = {
  /** the adapter is shared in time */
  VIRTUAL: 0,
  /** the adapter belongs to this vGPU alone */
  PHYSICAL: 1,
} as const;
export type AdapterMode = (typeof AdapterMode)[keyof typeof AdapterMode];
export const AdapterModeNames: ReadonlyMap<number, string> = new Map([
  [0, "VIRTUAL"],
  [1, "PHYSICAL"],
]);
export const AdapterModeTexts: ReadonlyMap<number, string> = new Map([
  [0, "the adapter is shared in time"],
  [1, "the adapter belongs to this vGPU alone"],
]);

/** Conditions that make an instance exit; the bit number is the exit reason. */
export const ExitBitmap = {
  /** must be set */
  SLICE_USED: 0x2,
  /** clear: keep the GPU while idle, until the deadline */
  IDLE: 0x4,
  /** clear: a guest's yield has no effect */
  YIELD: 0x8,
  /** must be set */
  FAULT: 0x10,
  /** must be set */
  WATCHDOG: 0x20,
  /** must be set */
  RESET: 0x40,
  /** must be set */
  SAVE: 0x80,
  ALL: 0xfe,
} as const;
export const ExitBitmapNames: ReadonlyMap<number, string> = new Map([
  [0x2, "SLICE_USED"],
  [0x4, "IDLE"],
  [0x8, "YIELD"],
  [0x10, "FAULT"],
  [0x20, "WATCHDOG"],
  [0x40, "RESET"],
  [0x80, "SAVE"],
]);

/** What the vGPU may do. */
export const Features = {
  /** large dispatches are executed in parts */
  SLICING: 0x1,
  /** GPU time comes from timestamps of the GPU */
  TIMESTAMPS: 0x2,
  /** work may be encoded before the entry */
  PREPARE: 0x4,
  ALL: 0x7,
} as const;
export const FeaturesNames: ReadonlyMap<number, string> = new Map([
  [0x1, "SLICING"],
  [0x2, "TIMESTAMPS"],
  [0x4, "PREPARE"],
]);

/** Header of the controls page and the words that change at each entry. */
export interface ControlsWords {
  /** CONTROLS_MAGIC. */
  readonly magic: number;
  /** REVISION. */
  readonly revision: number;
  /** Where the vGPU stands. */
  readonly launch_state: number;
  /** Why it was aborted. */
  readonly abort_indicator: number;
  /** Number of the last entry; stored last of all that belongs to it. */
  readonly entry_sequence: number;
  /** Rises when the instance is likely to be entered next. */
  readonly prepare_sequence: number;
  /** When the entry ends, monotonic clock; 0: not set. Unit: ns. */
  readonly deadline_ns: number;
  /** Rises when the execution controls changed. */
  readonly controls_sequence: number;
  /** 1 while the tail of another vGPU is on the GPU. */
  readonly behind: number;
  /** When that tail ended, as its owner tells, or should end while it has not; else the time of the entry; monotonic clock. Unit: ns. */
  readonly alone_ns: number;
  /** Other vGPUs of the GPU that want it, or whose guests have contexts and may at any moment. */
  readonly others: number;
}

/** Offsets of the words of controls_words in the controls page. */
export const ControlsWordsAt = {
  magic: 0,
  revision: 4,
  launch_state: 8,
  abort_indicator: 12,
  entry_sequence: 16,
  prepare_sequence: 20,
  deadline_ns: 24,
  controls_sequence: 32,
  behind: 36,
  alone_ns: 40,
  others: 48,
} as const;
export const ControlsWords: AreaCodec<ControlsWords> = {
  name: "controls_words",
  page: "controls",
  kind: "words",
  offset: 0,
  bytes: 52,
  doc: "Header of the controls page and the words that change at each entry.",
  fields: [
    { name: "magic", type: "u32", offset: 0, bytes: 4, unit: null, names: null, flags: false, doc: "CONTROLS_MAGIC." },
    { name: "revision", type: "u32", offset: 4, bytes: 4, unit: null, names: null, flags: false, doc: "REVISION." },
    { name: "launch_state", type: "u32", offset: 8, bytes: 4, unit: null, names: LaunchStateNames, flags: false, doc: "Where the vGPU stands." },
    { name: "abort_indicator", type: "u32", offset: 12, bytes: 4, unit: null, names: AbortIndicatorNames, flags: false, doc: "Why it was aborted." },
    { name: "entry_sequence", type: "u32", offset: 16, bytes: 4, unit: null, names: null, flags: false, doc: "Number of the last entry; stored last of all that belongs to it." },
    { name: "prepare_sequence", type: "u32", offset: 20, bytes: 4, unit: null, names: null, flags: false, doc: "Rises when the instance is likely to be entered next." },
    { name: "deadline_ns", type: "n64", offset: 24, bytes: 8, unit: "ns", names: null, flags: false, doc: "When the entry ends, monotonic clock; 0: not set." },
    { name: "controls_sequence", type: "u32", offset: 32, bytes: 4, unit: null, names: null, flags: false, doc: "Rises when the execution controls changed." },
    { name: "behind", type: "u32", offset: 36, bytes: 4, unit: null, names: null, flags: false, doc: "1 while the tail of another vGPU is on the GPU." },
    { name: "alone_ns", type: "n64", offset: 40, bytes: 8, unit: "ns", names: null, flags: false, doc: "When that tail ended, as its owner tells, or should end while it has not; else the time of the entry; monotonic clock." },
    { name: "others", type: "u32", offset: 48, bytes: 4, unit: null, names: null, flags: false, doc: "Other vGPUs of the GPU that want it, or whose guests have contexts and may at any moment." },
  ],
  table: null,
  decode(view: DataView, base: number): ControlsWords {
    return {
      magic: view.getUint32(base, true),
      revision: view.getUint32(base + 4, true),
      launch_state: view.getUint32(base + 8, true),
      abort_indicator: view.getUint32(base + 12, true),
      entry_sequence: view.getUint32(base + 16, true),
      prepare_sequence: view.getUint32(base + 20, true),
      deadline_ns: readNumber(view, base + 24),
      controls_sequence: view.getUint32(base + 32, true),
      behind: view.getUint32(base + 36, true),
      alone_ns: readNumber(view, base + 40),
      others: view.getUint32(base + 48, true),
    };
  },
  encode(view: DataView, base: number, value: ControlsWords): void {
    view.setUint32(base, value.magic, true);
    view.setUint32(base + 4, value.revision, true);
    view.setUint32(base + 8, value.launch_state, true);
    view.setUint32(base + 12, value.abort_indicator, true);
    view.setUint32(base + 16, value.entry_sequence, true);
    view.setUint32(base + 20, value.prepare_sequence, true);
    writeNumber(view, base + 24, value.deadline_ns);
    view.setUint32(base + 32, value.controls_sequence, true);
    view.setUint32(base + 36, value.behind, true);
    writeNumber(view, base + 40, value.alone_ns);
    view.setUint32(base + 48, value.others, true);
  },
  check(value: ControlsWords): Violation | null {
    if (value.magic !== GVMCS.CONTROLS_MAGIC) return { field: "magic", value: value.magic, rule: "is CONTROLS_MAGIC" };
    if (value.revision !== GVMCS.REVISION) return { field: "revision", value: value.revision, rule: "is REVISION" };
    if (!LaunchStateNames.has(value.launch_state)) return { field: "launch_state", value: value.launch_state, rule: "is one of launch_state" };
    if (!AbortIndicatorNames.has(value.abort_indicator)) return { field: "abort_indicator", value: value.abort_indicator, rule: "is one of abort_indicator" };
    if (value.deadline_ns > Number.MAX_SAFE_INTEGER) return { field: "deadline_ns", value: value.deadline_ns, rule: "is at most 2^53 - 1" };
    if (value.behind > 1) return { field: "behind", value: value.behind, rule: "is at most 1" };
    if (value.alone_ns > Number.MAX_SAFE_INTEGER) return { field: "alone_ns", value: value.alone_ns, rule: "is at most 2^53 - 1" };
    return null;
  },
};

/** What the vGPU runs on and who owns it. */
export interface HostState {
  /** Process of the instance; 0: none. */
  readonly owner_pid: number;
  /** Whether the adapter is shared. */
  readonly mode: number;
  /** Counts the instances that this vGPU has had. */
  readonly generation: number;
  /** PCI vendor of the adapter; 0: unknown. */
  readonly vendor_id: number;
  /** Name of the adapter. */
  readonly adapter: string;
  /** Name of the vGPU. */
  readonly vgpu: string;
}
export const HostState: AreaCodec<HostState> = {
  name: "host_state",
  page: "controls",
  kind: "record",
  offset: 64,
  bytes: 184,
  doc: "What the vGPU runs on and who owns it.",
  fields: [
    { name: "owner_pid", type: "u32", offset: 8, bytes: 4, unit: null, names: null, flags: false, doc: "Process of the instance; 0: none." },
    { name: "mode", type: "u32", offset: 12, bytes: 4, unit: null, names: AdapterModeNames, flags: false, doc: "Whether the adapter is shared." },
    { name: "generation", type: "u32", offset: 16, bytes: 4, unit: null, names: null, flags: false, doc: "Counts the instances that this vGPU has had." },
    { name: "vendor_id", type: "u32", offset: 20, bytes: 4, unit: null, names: null, flags: false, doc: "PCI vendor of the adapter; 0: unknown." },
    { name: "adapter", type: "text", offset: 24, bytes: 96, unit: null, names: null, flags: false, doc: "Name of the adapter." },
    { name: "vgpu", type: "text", offset: 120, bytes: 64, unit: null, names: null, flags: false, doc: "Name of the vGPU." },
  ],
  table: null,
  decode(view: DataView, base: number): HostState {
    return {
      owner_pid: view.getUint32(base + 8, true),
      mode: view.getUint32(base + 12, true),
      generation: view.getUint32(base + 16, true),
      vendor_id: view.getUint32(base + 20, true),
      adapter: readText(view, base + 24, 96),
      vgpu: readText(view, base + 120, 64),
    };
  },
  encode(view: DataView, base: number, value: HostState): void {
    view.setUint32(base + 8, value.owner_pid, true);
    view.setUint32(base + 12, value.mode, true);
    view.setUint32(base + 16, value.generation, true);
    view.setUint32(base + 20, value.vendor_id, true);
    writeText(view, base + 24, 96, value.adapter);
    writeText(view, base + 120, 64, value.vgpu);
  },
  check(value: HostState): Violation | null {
    if (!AdapterModeNames.has(value.mode)) return { field: "mode", value: value.mode, rule: "is one of adapter_mode" };
    return null;
  },
};

/** What the vGPU may use. Changes take effect at the next entry. */
export interface ExecutionControls {
  /** How the GPU's time is given out. */
  readonly policy: number;
  /** Part of the time against the others' weights. */
  readonly weight: number;
  /** Length of a turn while others wait. Unit: ns. */
  readonly slice_ns: number;
  /** Guaranteed share. Unit: ppm. */
  readonly min_share_ppm: number;
  /** Largest share, even of an idle GPU. Unit: ppm. */
  readonly max_share_ppm: number;
  /** Device memory; 0: not limited. Unit: bytes. */
  readonly memory_bytes_max: number;
  /** Longest time of one dispatch. Unit: ns. */
  readonly watchdog_ns: number;
  /** What it may do. */
  readonly features: number;
  /** What makes it exit. */
  readonly exit_bitmap: number;
  /** Longest tail that an exit may leave; 0: none. Unit: ns. */
  readonly tail_ns_max: number;
}
export const ExecutionControls: AreaCodec<ExecutionControls> = {
  name: "execution_controls",
  page: "controls",
  kind: "record",
  offset: 320,
  bytes: 64,
  doc: "What the vGPU may use. Changes take effect at the next entry.",
  fields: [
    { name: "policy", type: "u32", offset: 8, bytes: 4, unit: null, names: PolicyNames, flags: false, doc: "How the GPU's time is given out." },
    { name: "weight", type: "u32", offset: 12, bytes: 4, unit: null, names: null, flags: false, doc: "Part of the time against the others' weights." },
    { name: "slice_ns", type: "n64", offset: 16, bytes: 8, unit: "ns", names: null, flags: false, doc: "Length of a turn while others wait." },
    { name: "min_share_ppm", type: "u32", offset: 24, bytes: 4, unit: "ppm", names: null, flags: false, doc: "Guaranteed share." },
    { name: "max_share_ppm", type: "u32", offset: 28, bytes: 4, unit: "ppm", names: null, flags: false, doc: "Largest share, even of an idle GPU." },
    { name: "memory_bytes_max", type: "n64", offset: 32, bytes: 8, unit: "bytes", names: null, flags: false, doc: "Device memory; 0: not limited." },
    { name: "watchdog_ns", type: "n64", offset: 40, bytes: 8, unit: "ns", names: null, flags: false, doc: "Longest time of one dispatch." },
    { name: "features", type: "u32", offset: 48, bytes: 4, unit: null, names: FeaturesNames, flags: true, doc: "What it may do." },
    { name: "exit_bitmap", type: "u32", offset: 52, bytes: 4, unit: null, names: ExitBitmapNames, flags: true, doc: "What makes it exit." },
    { name: "tail_ns_max", type: "n64", offset: 56, bytes: 8, unit: "ns", names: null, flags: false, doc: "Longest tail that an exit may leave; 0: none." },
  ],
  table: null,
  decode(view: DataView, base: number): ExecutionControls {
    return {
      policy: view.getUint32(base + 8, true),
      weight: view.getUint32(base + 12, true),
      slice_ns: readNumber(view, base + 16),
      min_share_ppm: view.getUint32(base + 24, true),
      max_share_ppm: view.getUint32(base + 28, true),
      memory_bytes_max: readNumber(view, base + 32),
      watchdog_ns: readNumber(view, base + 40),
      features: view.getUint32(base + 48, true),
      exit_bitmap: view.getUint32(base + 52, true),
      tail_ns_max: readNumber(view, base + 56),
    };
  },
  encode(view: DataView, base: number, value: ExecutionControls): void {
    view.setUint32(base + 8, value.policy, true);
    view.setUint32(base + 12, value.weight, true);
    writeNumber(view, base + 16, value.slice_ns);
    view.setUint32(base + 24, value.min_share_ppm, true);
    view.setUint32(base + 28, value.max_share_ppm, true);
    writeNumber(view, base + 32, value.memory_bytes_max);
    writeNumber(view, base + 40, value.watchdog_ns);
    view.setUint32(base + 48, value.features, true);
    view.setUint32(base + 52, value.exit_bitmap, true);
    writeNumber(view, base + 56, value.tail_ns_max);
  },
  check(value: ExecutionControls): Violation | null {
    if (!PolicyNames.has(value.policy)) return { field: "policy", value: value.policy, rule: "is one of policy" };
    if (value.weight < 1) return { field: "weight", value: value.weight, rule: "is at least 1" };
    if (value.weight > 10000) return { field: "weight", value: value.weight, rule: "is at most 10000" };
    if (value.slice_ns < 1000000) return { field: "slice_ns", value: value.slice_ns, rule: "is at least 1000000" };
    if (value.slice_ns > 30000000) return { field: "slice_ns", value: value.slice_ns, rule: "is at most 30000000" };
    if (value.min_share_ppm > 1000000) return { field: "min_share_ppm", value: value.min_share_ppm, rule: "is at most 1000000" };
    if (value.max_share_ppm < 1) return { field: "max_share_ppm", value: value.max_share_ppm, rule: "is at least 1" };
    if (value.max_share_ppm > 1000000) return { field: "max_share_ppm", value: value.max_share_ppm, rule: "is at most 1000000" };
    if (value.memory_bytes_max > Number.MAX_SAFE_INTEGER) return { field: "memory_bytes_max", value: value.memory_bytes_max, rule: "is at most 2^53 - 1" };
    if (value.watchdog_ns < 1) return { field: "watchdog_ns", value: value.watchdog_ns, rule: "is at least 1" };
    if (value.watchdog_ns > 60000000000) return { field: "watchdog_ns", value: value.watchdog_ns, rule: "is at most 60000000000" };
    if ((value.features & ~Features.ALL) !== 0) return { field: "features", value: value.features, rule: "has bits of features only" };
    if ((value.exit_bitmap & ~ExitBitmap.ALL) !== 0) return { field: "exit_bitmap", value: value.exit_bitmap, rule: "has bits of exit_bitmap only" };
    if (value.tail_ns_max > 5000000) return { field: "tail_ns_max", value: value.tail_ns_max, rule: "is at most 5000000" };
    return null;
  },
};

/** What belongs to one entry. */
export interface EntryControls {
  /** The entry's number. */
  readonly sequence: number;
  /** Why the instance is entered. */
  readonly reason: number;
  /** What it has to do first. */
  readonly event: number;
  /** Detail of the event. */
  readonly event_argument: number;
  /** When it was entered, monotonic clock. Unit: ns. */
  readonly time_ns: number;
}
export const EntryControls: AreaCodec<EntryControls> = {
  name: "entry_controls",
  page: "controls",
  kind: "record",
  offset: 448,
  bytes: 32,
  doc: "What belongs to one entry.",
  fields: [
    { name: "sequence", type: "u32", offset: 8, bytes: 4, unit: null, names: null, flags: false, doc: "The entry's number." },
    { name: "reason", type: "u32", offset: 12, bytes: 4, unit: null, names: EntryReasonNames, flags: false, doc: "Why the instance is entered." },
    { name: "event", type: "u32", offset: 16, bytes: 4, unit: null, names: InjectedEventNames, flags: false, doc: "What it has to do first." },
    { name: "event_argument", type: "u32", offset: 20, bytes: 4, unit: null, names: null, flags: false, doc: "Detail of the event." },
    { name: "time_ns", type: "n64", offset: 24, bytes: 8, unit: "ns", names: null, flags: false, doc: "When it was entered, monotonic clock." },
  ],
  table: null,
  decode(view: DataView, base: number): EntryControls {
    return {
      sequence: view.getUint32(base + 8, true),
      reason: view.getUint32(base + 12, true),
      event: view.getUint32(base + 16, true),
      event_argument: view.getUint32(base + 20, true),
      time_ns: readNumber(view, base + 24),
    };
  },
  encode(view: DataView, base: number, value: EntryControls): void {
    view.setUint32(base + 8, value.sequence, true);
    view.setUint32(base + 12, value.reason, true);
    view.setUint32(base + 16, value.event, true);
    view.setUint32(base + 20, value.event_argument, true);
    writeNumber(view, base + 24, value.time_ns);
  },
  check(value: EntryControls): Violation | null {
    if (!EntryReasonNames.has(value.reason)) return { field: "reason", value: value.reason, rule: "is one of entry_reason" };
    if (!InjectedEventNames.has(value.event)) return { field: "event", value: value.event, rule: "is one of injected_event" };
    if (value.time_ns > Number.MAX_SAFE_INTEGER) return { field: "time_ns", value: value.time_ns, rule: "is at most 2^53 - 1" };
    return null;
  },
};

/** Header of the state page and the words that change at each exit. */
export interface StateWords {
  /** STATE_MAGIC. */
  readonly magic: number;
  /** REVISION. */
  readonly revision: number;
  /** Whether the page is filled; stored last. */
  readonly run_state: number;
  /** The instance gives up, and why; the first cause stays. */
  readonly abort_indicator: number;
  /** Number of the entry that has ended; stored last of all that belongs to the exit. */
  readonly exit_sequence: number;
  /** Whether the instance wants the GPU. */
  readonly demand: number;
  /** The prepare sequence that has been answered by encoded work. */
  readonly prepared_sequence: number;
  /** The controls sequence that is in effect. */
  readonly controls_sequence: number;
  /** Number of the last entry of whose work nothing is left on the GPU. */
  readonly drained_sequence: number;
  /** Contexts that the guest has. */
  readonly contexts: number;
  /** When the last tail ended, as the instance found it; stored before drained_sequence. Unit: ns. */
  readonly drained_ns: number;
}

/** Offsets of the words of state_words in the state page. */
export const StateWordsAt = {
  magic: 0,
  revision: 4,
  run_state: 8,
  abort_indicator: 12,
  exit_sequence: 16,
  demand: 20,
  prepared_sequence: 24,
  controls_sequence: 28,
  drained_sequence: 32,
  contexts: 36,
  drained_ns: 40,
} as const;
export const StateWords: AreaCodec<StateWords> = {
  name: "state_words",
  page: "state",
  kind: "words",
  offset: 0,
  bytes: 48,
  doc: "Header of the state page and the words that change at each exit.",
  fields: [
    { name: "magic", type: "u32", offset: 0, bytes: 4, unit: null, names: null, flags: false, doc: "STATE_MAGIC." },
    { name: "revision", type: "u32", offset: 4, bytes: 4, unit: null, names: null, flags: false, doc: "REVISION." },
    { name: "run_state", type: "u32", offset: 8, bytes: 4, unit: null, names: RunStateNames, flags: false, doc: "Whether the page is filled; stored last." },
    { name: "abort_indicator", type: "u32", offset: 12, bytes: 4, unit: null, names: AbortIndicatorNames, flags: false, doc: "The instance gives up, and why; the first cause stays." },
    { name: "exit_sequence", type: "u32", offset: 16, bytes: 4, unit: null, names: null, flags: false, doc: "Number of the entry that has ended; stored last of all that belongs to the exit." },
    { name: "demand", type: "u32", offset: 20, bytes: 4, unit: null, names: DemandNames, flags: false, doc: "Whether the instance wants the GPU." },
    { name: "prepared_sequence", type: "u32", offset: 24, bytes: 4, unit: null, names: null, flags: false, doc: "The prepare sequence that has been answered by encoded work." },
    { name: "controls_sequence", type: "u32", offset: 28, bytes: 4, unit: null, names: null, flags: false, doc: "The controls sequence that is in effect." },
    { name: "drained_sequence", type: "u32", offset: 32, bytes: 4, unit: null, names: null, flags: false, doc: "Number of the last entry of whose work nothing is left on the GPU." },
    { name: "contexts", type: "u32", offset: 36, bytes: 4, unit: null, names: null, flags: false, doc: "Contexts that the guest has." },
    { name: "drained_ns", type: "n64", offset: 40, bytes: 8, unit: "ns", names: null, flags: false, doc: "When the last tail ended, as the instance found it; stored before drained_sequence." },
  ],
  table: null,
  decode(view: DataView, base: number): StateWords {
    return {
      magic: view.getUint32(base, true),
      revision: view.getUint32(base + 4, true),
      run_state: view.getUint32(base + 8, true),
      abort_indicator: view.getUint32(base + 12, true),
      exit_sequence: view.getUint32(base + 16, true),
      demand: view.getUint32(base + 20, true),
      prepared_sequence: view.getUint32(base + 24, true),
      controls_sequence: view.getUint32(base + 28, true),
      drained_sequence: view.getUint32(base + 32, true),
      contexts: view.getUint32(base + 36, true),
      drained_ns: readNumber(view, base + 40),
    };
  },
  encode(view: DataView, base: number, value: StateWords): void {
    view.setUint32(base, value.magic, true);
    view.setUint32(base + 4, value.revision, true);
    view.setUint32(base + 8, value.run_state, true);
    view.setUint32(base + 12, value.abort_indicator, true);
    view.setUint32(base + 16, value.exit_sequence, true);
    view.setUint32(base + 20, value.demand, true);
    view.setUint32(base + 24, value.prepared_sequence, true);
    view.setUint32(base + 28, value.controls_sequence, true);
    view.setUint32(base + 32, value.drained_sequence, true);
    view.setUint32(base + 36, value.contexts, true);
    writeNumber(view, base + 40, value.drained_ns);
  },
  check(value: StateWords): Violation | null {
    if (value.magic !== GVMCS.STATE_MAGIC) return { field: "magic", value: value.magic, rule: "is STATE_MAGIC" };
    if (value.revision !== GVMCS.REVISION) return { field: "revision", value: value.revision, rule: "is REVISION" };
    if (!RunStateNames.has(value.run_state)) return { field: "run_state", value: value.run_state, rule: "is one of run_state" };
    if (!AbortIndicatorNames.has(value.abort_indicator)) return { field: "abort_indicator", value: value.abort_indicator, rule: "is one of abort_indicator" };
    if (!DemandNames.has(value.demand)) return { field: "demand", value: value.demand, rule: "is one of demand" };
    if (value.drained_ns > Number.MAX_SAFE_INTEGER) return { field: "drained_ns", value: value.drained_ns, rule: "is at most 2^53 - 1" };
    return null;
  },
};

/** The last exit. */
export interface ExitInformation {
  /** The number of the entry that it ends. */
  readonly sequence: number;
  /** Why the GPU is given back. */
  readonly reason: number;
  /** For FAULT a fault code; for WATCHDOG the context; else 0. */
  readonly qualification: number;
  /** Batches finished since the exit before. */
  readonly batches: number;
  /** Time that the GPU worked since the exit before, as the instance measured it. Unit: ns. */
  readonly gpu_time_ns: number;
  /** When the GPU was given back, by the instance's clock. Unit: ns. */
  readonly time_ns: number;
  /** How long what is left on the GPU should take; 0: nothing is left. Unit: ns. */
  readonly tail_ns: number;
}
export const ExitInformation: AreaCodec<ExitInformation> = {
  name: "exit_information",
  page: "state",
  kind: "record",
  offset: 64,
  bytes: 48,
  doc: "The last exit.",
  fields: [
    { name: "sequence", type: "u32", offset: 8, bytes: 4, unit: null, names: null, flags: false, doc: "The number of the entry that it ends." },
    { name: "reason", type: "u32", offset: 12, bytes: 4, unit: null, names: ExitReasonNames, flags: false, doc: "Why the GPU is given back." },
    { name: "qualification", type: "u32", offset: 16, bytes: 4, unit: null, names: null, flags: false, doc: "For FAULT a fault code; for WATCHDOG the context; else 0." },
    { name: "batches", type: "u32", offset: 20, bytes: 4, unit: null, names: null, flags: false, doc: "Batches finished since the exit before." },
    { name: "gpu_time_ns", type: "n64", offset: 24, bytes: 8, unit: "ns", names: null, flags: false, doc: "Time that the GPU worked since the exit before, as the instance measured it." },
    { name: "time_ns", type: "n64", offset: 32, bytes: 8, unit: "ns", names: null, flags: false, doc: "When the GPU was given back, by the instance's clock." },
    { name: "tail_ns", type: "n64", offset: 40, bytes: 8, unit: "ns", names: null, flags: false, doc: "How long what is left on the GPU should take; 0: nothing is left." },
  ],
  table: null,
  decode(view: DataView, base: number): ExitInformation {
    return {
      sequence: view.getUint32(base + 8, true),
      reason: view.getUint32(base + 12, true),
      qualification: view.getUint32(base + 16, true),
      batches: view.getUint32(base + 20, true),
      gpu_time_ns: readNumber(view, base + 24),
      time_ns: readNumber(view, base + 32),
      tail_ns: readNumber(view, base + 40),
    };
  },
  encode(view: DataView, base: number, value: ExitInformation): void {
    view.setUint32(base + 8, value.sequence, true);
    view.setUint32(base + 12, value.reason, true);
    view.setUint32(base + 16, value.qualification, true);
    view.setUint32(base + 20, value.batches, true);
    writeNumber(view, base + 24, value.gpu_time_ns);
    writeNumber(view, base + 32, value.time_ns);
    writeNumber(view, base + 40, value.tail_ns);
  },
  check(value: ExitInformation): Violation | null {
    if (!ExitReasonNames.has(value.reason)) return { field: "reason", value: value.reason, rule: "is one of exit_reason" };
    if (value.gpu_time_ns > Number.MAX_SAFE_INTEGER) return { field: "gpu_time_ns", value: value.gpu_time_ns, rule: "is at most 2^53 - 1" };
    if (value.time_ns > Number.MAX_SAFE_INTEGER) return { field: "time_ns", value: value.time_ns, rule: "is at most 2^53 - 1" };
    if (value.tail_ns > 5000000) return { field: "tail_ns", value: value.tail_ns, rule: "is at most 5000000" };
    return null;
  },
};

export interface QueueRow {
  /** Entries of the ring. */
  readonly size: number;
  /** Next entry of the available ring. */
  readonly available: number;
  /** Next entry of the used ring. */
  readonly used: number;
  /** 1 while the ring runs. */
  readonly enabled: number;
}

/** Positions of the virtqueues: where a replacement goes on. */
export interface QueueState {
  /** Queues in use. */
  readonly count: number;
  /** As many as count says. */
  readonly queues: readonly QueueRow[];
}
export const QueueState: AreaCodec<QueueState> = {
  name: "queue_state",
  page: "state",
  kind: "record",
  offset: 128,
  bytes: 64,
  doc: "Positions of the virtqueues: where a replacement goes on.",
  fields: [
    { name: "count", type: "u32", offset: 8, bytes: 4, unit: null, names: null, flags: false, doc: "Queues in use." },
  ],
  table: {
    name: "queues",
    length: "count",
    offset: 16,
    rowBytes: 16,
    count: 3,
    fields: [
      { name: "size", type: "u32", offset: 0, bytes: 4, unit: null, names: null, flags: false, doc: "Entries of the ring." },
      { name: "available", type: "u32", offset: 4, bytes: 4, unit: null, names: null, flags: false, doc: "Next entry of the available ring." },
      { name: "used", type: "u32", offset: 8, bytes: 4, unit: null, names: null, flags: false, doc: "Next entry of the used ring." },
      { name: "enabled", type: "u32", offset: 12, bytes: 4, unit: null, names: null, flags: false, doc: "1 while the ring runs." },
    ],
  },
  decode(view: DataView, base: number): QueueState {
    const queues: QueueRow[] = [];
    const rows = Math.min(view.getUint32(base + 8, true), 3);
    for (let index = 0; index < rows; index++) {
      const row = base + 16 + index * 16;
      queues.push({
        size: view.getUint32(row, true),
        available: view.getUint32(row + 4, true),
        used: view.getUint32(row + 8, true),
        enabled: view.getUint32(row + 12, true),
      });
    }
    return {
      count: view.getUint32(base + 8, true),
      queues,
    };
  },
  encode(view: DataView, base: number, value: QueueState): void {
    view.setUint32(base + 8, value.count, true);
    view.setUint32(base + 12, 0, true);
    for (let index = 0; index < 3; index++) {
      const each = value.queues[index];
      if (each === undefined) break;
      const row = base + 16 + index * 16;
      view.setUint32(row, each.size, true);
      view.setUint32(row + 4, each.available, true);
      view.setUint32(row + 8, each.used, true);
      view.setUint32(row + 12, each.enabled, true);
    }
  },
  check(value: QueueState): Violation | null {
    if (value.count > 3) return { field: "count", value: value.count, rule: "is at most 3" };
    for (const each of value.queues) {
      if (each.size > 32768) return { field: "size", value: each.size, rule: "is at most 32768" };
      if (each.available > 65535) return { field: "available", value: each.available, rule: "is at most 65535" };
      if (each.used > 65535) return { field: "used", value: each.used, rule: "is at most 65535" };
      if (each.enabled > 1) return { field: "enabled", value: each.enabled, rule: "is at most 1" };
    }
    return null;
  },
};

/** How far a sliced dispatch has come. */
export interface DispatchCursor {
  /** 1 while a dispatch is done in part. */
  readonly active: number;
  /** Its context. */
  readonly context: number;
  /** Its stream. */
  readonly stream: number;
  /** Parts executed so far. */
  readonly slices: number;
  /** Fence of its submit. */
  readonly fence: number;
  /** Index of its command in the submit. */
  readonly command: number;
  /** 0 if its workgroups wait for each other. */
  readonly sliceable: number;
  /** Workgroups in x. */
  readonly grid_x: number;
  /** Workgroups in y. */
  readonly grid_y: number;
  /** Workgroups in z. */
  readonly grid_z: number;
  /** Workgroups executed, in x, y, z order. */
  readonly workgroups_done: number;
  /** Workgroups of the dispatch. */
  readonly workgroups_total: number;
  /** Measured cost of a workgroup. Unit: ps. */
  readonly workgroup_ps: number;
}
export const DispatchCursor: AreaCodec<DispatchCursor> = {
  name: "dispatch_cursor",
  page: "state",
  kind: "record",
  offset: 256,
  bytes: 80,
  doc: "How far a sliced dispatch has come.",
  fields: [
    { name: "active", type: "u32", offset: 8, bytes: 4, unit: null, names: null, flags: false, doc: "1 while a dispatch is done in part." },
    { name: "context", type: "u32", offset: 12, bytes: 4, unit: null, names: null, flags: false, doc: "Its context." },
    { name: "stream", type: "u32", offset: 16, bytes: 4, unit: null, names: null, flags: false, doc: "Its stream." },
    { name: "slices", type: "u32", offset: 20, bytes: 4, unit: null, names: null, flags: false, doc: "Parts executed so far." },
    { name: "fence", type: "n64", offset: 24, bytes: 8, unit: null, names: null, flags: false, doc: "Fence of its submit." },
    { name: "command", type: "u32", offset: 32, bytes: 4, unit: null, names: null, flags: false, doc: "Index of its command in the submit." },
    { name: "sliceable", type: "u32", offset: 36, bytes: 4, unit: null, names: null, flags: false, doc: "0 if its workgroups wait for each other." },
    { name: "grid_x", type: "u32", offset: 40, bytes: 4, unit: null, names: null, flags: false, doc: "Workgroups in x." },
    { name: "grid_y", type: "u32", offset: 44, bytes: 4, unit: null, names: null, flags: false, doc: "Workgroups in y." },
    { name: "grid_z", type: "u32", offset: 48, bytes: 4, unit: null, names: null, flags: false, doc: "Workgroups in z." },
    { name: "workgroups_done", type: "n64", offset: 56, bytes: 8, unit: null, names: null, flags: false, doc: "Workgroups executed, in x, y, z order." },
    { name: "workgroups_total", type: "n64", offset: 64, bytes: 8, unit: null, names: null, flags: false, doc: "Workgroups of the dispatch." },
    { name: "workgroup_ps", type: "n64", offset: 72, bytes: 8, unit: "ps", names: null, flags: false, doc: "Measured cost of a workgroup." },
  ],
  table: null,
  decode(view: DataView, base: number): DispatchCursor {
    return {
      active: view.getUint32(base + 8, true),
      context: view.getUint32(base + 12, true),
      stream: view.getUint32(base + 16, true),
      slices: view.getUint32(base + 20, true),
      fence: readNumber(view, base + 24),
      command: view.getUint32(base + 32, true),
      sliceable: view.getUint32(base + 36, true),
      grid_x: view.getUint32(base + 40, true),
      grid_y: view.getUint32(base + 44, true),
      grid_z: view.getUint32(base + 48, true),
      workgroups_done: readNumber(view, base + 56),
      workgroups_total: readNumber(view, base + 64),
      workgroup_ps: readNumber(view, base + 72),
    };
  },
  encode(view: DataView, base: number, value: DispatchCursor): void {
    view.setUint32(base + 8, value.active, true);
    view.setUint32(base + 12, value.context, true);
    view.setUint32(base + 16, value.stream, true);
    view.setUint32(base + 20, value.slices, true);
    writeNumber(view, base + 24, value.fence);
    view.setUint32(base + 32, value.command, true);
    view.setUint32(base + 36, value.sliceable, true);
    view.setUint32(base + 40, value.grid_x, true);
    view.setUint32(base + 44, value.grid_y, true);
    view.setUint32(base + 48, value.grid_z, true);
    view.setUint32(base + 52, 0, true);
    writeNumber(view, base + 56, value.workgroups_done);
    writeNumber(view, base + 64, value.workgroups_total);
    writeNumber(view, base + 72, value.workgroup_ps);
  },
  check(value: DispatchCursor): Violation | null {
    if (value.active > 1) return { field: "active", value: value.active, rule: "is at most 1" };
    if (value.stream > 63) return { field: "stream", value: value.stream, rule: "is at most 63" };
    if (value.fence > Number.MAX_SAFE_INTEGER) return { field: "fence", value: value.fence, rule: "is at most 2^53 - 1" };
    if (value.sliceable > 1) return { field: "sliceable", value: value.sliceable, rule: "is at most 1" };
    if (value.workgroups_done > Number.MAX_SAFE_INTEGER) return { field: "workgroups_done", value: value.workgroups_done, rule: "is at most 2^53 - 1" };
    if (value.workgroups_total > Number.MAX_SAFE_INTEGER) return { field: "workgroups_total", value: value.workgroups_total, rule: "is at most 2^53 - 1" };
    if (value.workgroup_ps > Number.MAX_SAFE_INTEGER) return { field: "workgroup_ps", value: value.workgroup_ps, rule: "is at most 2^53 - 1" };
    return null;
  },
};

export interface TimelineRow {
  /** Its context. */
  readonly context: number;
  /** Its number. */
  readonly stream: number;
  /** Last fence submitted. */
  readonly submitted: number;
  /** Last fence finished. */
  readonly done: number;
}

/** Fences of the streams that were used last. */
export interface TimelineState {
  /** The device's epoch. */
  readonly epoch: number;
  /** Contexts that exist. */
  readonly contexts: number;
  /** Streams with work, listed below or not. */
  readonly streams: number;
  /** Streams listed. */
  readonly count: number;
  /** As many as count says. */
  readonly timelines: readonly TimelineRow[];
}
export const TimelineState: AreaCodec<TimelineState> = {
  name: "timeline_state",
  page: "state",
  kind: "record",
  offset: 384,
  bytes: 792,
  doc: "Fences of the streams that were used last.",
  fields: [
    { name: "epoch", type: "u32", offset: 8, bytes: 4, unit: null, names: null, flags: false, doc: "The device's epoch." },
    { name: "contexts", type: "u32", offset: 12, bytes: 4, unit: null, names: null, flags: false, doc: "Contexts that exist." },
    { name: "streams", type: "u32", offset: 16, bytes: 4, unit: null, names: null, flags: false, doc: "Streams with work, listed below or not." },
    { name: "count", type: "u32", offset: 20, bytes: 4, unit: null, names: null, flags: false, doc: "Streams listed." },
  ],
  table: {
    name: "timelines",
    length: "count",
    offset: 24,
    rowBytes: 24,
    count: 32,
    fields: [
      { name: "context", type: "u32", offset: 0, bytes: 4, unit: null, names: null, flags: false, doc: "Its context." },
      { name: "stream", type: "u32", offset: 4, bytes: 4, unit: null, names: null, flags: false, doc: "Its number." },
      { name: "submitted", type: "n64", offset: 8, bytes: 8, unit: null, names: null, flags: false, doc: "Last fence submitted." },
      { name: "done", type: "n64", offset: 16, bytes: 8, unit: null, names: null, flags: false, doc: "Last fence finished." },
    ],
  },
  decode(view: DataView, base: number): TimelineState {
    const timelines: TimelineRow[] = [];
    const rows = Math.min(view.getUint32(base + 20, true), 32);
    for (let index = 0; index < rows; index++) {
      const row = base + 24 + index * 24;
      timelines.push({
        context: view.getUint32(row, true),
        stream: view.getUint32(row + 4, true),
        submitted: readNumber(view, row + 8),
        done: readNumber(view, row + 16),
      });
    }
    return {
      epoch: view.getUint32(base + 8, true),
      contexts: view.getUint32(base + 12, true),
      streams: view.getUint32(base + 16, true),
      count: view.getUint32(base + 20, true),
      timelines,
    };
  },
  encode(view: DataView, base: number, value: TimelineState): void {
    view.setUint32(base + 8, value.epoch, true);
    view.setUint32(base + 12, value.contexts, true);
    view.setUint32(base + 16, value.streams, true);
    view.setUint32(base + 20, value.count, true);
    for (let index = 0; index < 32; index++) {
      const each = value.timelines[index];
      if (each === undefined) break;
      const row = base + 24 + index * 24;
      view.setUint32(row, each.context, true);
      view.setUint32(row + 4, each.stream, true);
      writeNumber(view, row + 8, each.submitted);
      writeNumber(view, row + 16, each.done);
    }
  },
  check(value: TimelineState): Violation | null {
    if (value.count > 32) return { field: "count", value: value.count, rule: "is at most 32" };
    for (const each of value.timelines) {
      if (each.stream > 63) return { field: "stream", value: each.stream, rule: "is at most 63" };
      if (each.submitted > Number.MAX_SAFE_INTEGER) return { field: "submitted", value: each.submitted, rule: "is at most 2^53 - 1" };
      if (each.done > Number.MAX_SAFE_INTEGER) return { field: "done", value: each.done, rule: "is at most 2^53 - 1" };
    }
    return null;
  },
};

export interface RegionRow {
  /** First guest address. Unit: address. */
  readonly guest_address: bigint;
  /** Size. Unit: bytes. */
  readonly bytes: number;
}

/** Guest memory as mapped, and device memory in use. */
export interface MemoryMap {
  /** Regions of guest memory. */
  readonly regions_total: number;
  /** Regions listed. */
  readonly count: number;
  /** Counts changes of the map. */
  readonly generation: number;
  /** Guest memory in all. Unit: bytes. */
  readonly guest_bytes: number;
  /** Device memory allocated. Unit: bytes. */
  readonly device_bytes: number;
  /** Staging memory in use. Unit: bytes. */
  readonly staging_bytes: number;
  /** As many as count says. */
  readonly regions: readonly RegionRow[];
}
export const MemoryMap: AreaCodec<MemoryMap> = {
  name: "memory_map",
  page: "state",
  kind: "record",
  offset: 1216,
  bytes: 176,
  doc: "Guest memory as mapped, and device memory in use.",
  fields: [
    { name: "regions_total", type: "u32", offset: 8, bytes: 4, unit: null, names: null, flags: false, doc: "Regions of guest memory." },
    { name: "count", type: "u32", offset: 12, bytes: 4, unit: null, names: null, flags: false, doc: "Regions listed." },
    { name: "generation", type: "n64", offset: 16, bytes: 8, unit: null, names: null, flags: false, doc: "Counts changes of the map." },
    { name: "guest_bytes", type: "n64", offset: 24, bytes: 8, unit: "bytes", names: null, flags: false, doc: "Guest memory in all." },
    { name: "device_bytes", type: "n64", offset: 32, bytes: 8, unit: "bytes", names: null, flags: false, doc: "Device memory allocated." },
    { name: "staging_bytes", type: "n64", offset: 40, bytes: 8, unit: "bytes", names: null, flags: false, doc: "Staging memory in use." },
  ],
  table: {
    name: "regions",
    length: "count",
    offset: 48,
    rowBytes: 16,
    count: 8,
    fields: [
      { name: "guest_address", type: "u64", offset: 0, bytes: 8, unit: "address", names: null, flags: false, doc: "First guest address." },
      { name: "bytes", type: "n64", offset: 8, bytes: 8, unit: "bytes", names: null, flags: false, doc: "Size." },
    ],
  },
  decode(view: DataView, base: number): MemoryMap {
    const regions: RegionRow[] = [];
    const rows = Math.min(view.getUint32(base + 12, true), 8);
    for (let index = 0; index < rows; index++) {
      const row = base + 48 + index * 16;
      regions.push({
        guest_address: view.getBigUint64(row, true),
        bytes: readNumber(view, row + 8),
      });
    }
    return {
      regions_total: view.getUint32(base + 8, true),
      count: view.getUint32(base + 12, true),
      generation: readNumber(view, base + 16),
      guest_bytes: readNumber(view, base + 24),
      device_bytes: readNumber(view, base + 32),
      staging_bytes: readNumber(view, base + 40),
      regions,
    };
  },
  encode(view: DataView, base: number, value: MemoryMap): void {
    view.setUint32(base + 8, value.regions_total, true);
    view.setUint32(base + 12, value.count, true);
    writeNumber(view, base + 16, value.generation);
    writeNumber(view, base + 24, value.guest_bytes);
    writeNumber(view, base + 32, value.device_bytes);
    writeNumber(view, base + 40, value.staging_bytes);
    for (let index = 0; index < 8; index++) {
      const each = value.regions[index];
      if (each === undefined) break;
      const row = base + 48 + index * 16;
      view.setBigUint64(row, each.guest_address, true);
      writeNumber(view, row + 8, each.bytes);
    }
  },
  check(value: MemoryMap): Violation | null {
    if (value.count > 8) return { field: "count", value: value.count, rule: "is at most 8" };
    if (value.generation > Number.MAX_SAFE_INTEGER) return { field: "generation", value: value.generation, rule: "is at most 2^53 - 1" };
    if (value.guest_bytes > Number.MAX_SAFE_INTEGER) return { field: "guest_bytes", value: value.guest_bytes, rule: "is at most 2^53 - 1" };
    if (value.device_bytes > Number.MAX_SAFE_INTEGER) return { field: "device_bytes", value: value.device_bytes, rule: "is at most 2^53 - 1" };
    if (value.staging_bytes > Number.MAX_SAFE_INTEGER) return { field: "staging_bytes", value: value.staging_bytes, rule: "is at most 2^53 - 1" };
    for (const each of value.regions) {
      if (each.bytes > Number.MAX_SAFE_INTEGER) return { field: "bytes", value: each.bytes, rule: "is at most 2^53 - 1" };
    }
    return null;
  },
};

/** Every area, in the order of its page. */
export const areas: readonly AreaLayout[] = [
  ControlsWords,
  HostState,
  ExecutionControls,
  EntryControls,
  StateWords,
  ExitInformation,
  QueueState,
  DispatchCursor,
  TimelineState,
  MemoryMap,
];
