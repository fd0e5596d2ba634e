// SPDX-License-Identifier: Apache-2.0
/**
 * Every limit of the device, in one place. What a guest can make the host hold (memory, objects,
 * queued work, text) is bounded by one of these; what a guest may ask is told to it in config space
 * and GET_CAPABILITIES. Counts are per context unless the name or comment says otherwise.
 */
import { Features } from "../gvmcs/index.js";
import { VGPU } from "../protocol/generated/wire.js";

export interface InstanceLimits {
  /** Contexts at a time, whole instance. */
  readonly contextsMax: number;
  readonly modulesMax: number;
  readonly functionsMax: number;
  readonly eventsMax: number;
  readonly hostmemsMax: number;
  /** Registered host memory, whole instance: bounds what a guest pins. */
  readonly hostmemBytesMax: number;
  /** Ranges of all registrations, whole instance: bounds our tables (16 bytes each). */
  readonly hostmemEntriesMax: number;
  /** Views that registrations keep ready for use, whole instance (some 200 bytes each). */
  readonly hostmemViewsMax: number;
  readonly queuedCommandsMax: number;
  /** Bytes of queued commands of one context, and of the whole instance. */
  readonly queuedBytesMax: number;
  readonly queuedBytesTotalMax: number;
  /** Device memory of the whole instance, bytes. */
  readonly memoryBytesMax: number;
  readonly allocationsMax: number;
  /** First segment of a context; the next ones grow. */
  readonly segmentBytesFirst: number;
  /** Allocations from here on get a segment of their own size. */
  readonly segmentBytesOwn: number;
  /** Code of one module, and of all modules of the instance. */
  readonly codeBytesMax: number;
  readonly codeBytesTotalMax: number;
  /** Objects of all contexts together: bounds our tables. */
  readonly modulesTotalMax: number;
  readonly functionsTotalMax: number;
  readonly eventsTotalMax: number;
  /** Compiler messages kept of one module. */
  readonly logBytesMax: number;
  /** Compiled pipelines that are kept, whole instance; the least recently used one goes. */
  readonly pipelinesMax: number;
  /** Compilations at a time, whole instance. */
  readonly compilesMax: number;
  /** Compiler time of the instance that may be used at once, ns. */
  readonly compileNsMax: number;
  /** Part of the time that passes by which it is given back. */
  readonly compileShare: number;
  /** WGSL that a kernel in PTX may become, UTF-16 code units. */
  readonly emittedLengthMax: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

export const DEFAULT_LIMITS: InstanceLimits = {
  contextsMax: 64,
  modulesMax: 1024,
  functionsMax: 4096,
  eventsMax: 65536,
  hostmemsMax: 4096,
  hostmemBytesMax: 64 * GIB,
  hostmemEntriesMax: 4 * MIB,
  hostmemViewsMax: 256 * KIB,
  queuedCommandsMax: 16384,
  queuedBytesMax: 16 * MIB,
  queuedBytesTotalMax: 256 * MIB,
  memoryBytesMax: GIB,
  allocationsMax: 256 * KIB,
  segmentBytesFirst: 8 * MIB,
  segmentBytesOwn: 16 * MIB,
  codeBytesMax: 4 * MIB,
  // A syntax tree takes a hundred times the memory of its text.
  codeBytesTotalMax: 16 * MIB,
  modulesTotalMax: 8192,
  functionsTotalMax: 65536,
  eventsTotalMax: 262144,
  logBytesMax: 16 * KIB,
  pipelinesMax: 1024,
  compilesMax: 2,
  compileNsMax: 120e9,
  compileShare: 0.5,
  emittedLengthMax: 4 * MIB,
};

/** How work is cut up; not seen by guests. */
export interface SchedulingLimits {
  /** Batches submitted and not done. Enough to keep the GPU fed while one is being finished. */
  readonly batchesInFlightMax: number;
  /** Operations and copied bytes of one batch: a lease can change hands between two batches. */
  readonly batchOperationsMax: number;
  /** The same of one that the GPU waits for: it begins with these while the rest is encoded. */
  readonly firstOperationsMax: number;
  readonly batchBytesMax: number;
  /**
   * Bytes that pass between host and device in all batches in flight: bounds staging memory. Copies
   * that do not fit wait for those before them, at no cost but time.
   */
  readonly stagingBytesMax: number;
  /** Expected GPU time of one batch. A single long launch may take longer. */
  readonly batchNsMax: number;
  /** Slices of a launch at least, 0 to cut by cost; for measuring what slicing costs. */
  readonly slicesMin: number;
  /**
   * A launch that is not done after this time has hung the GPU; 0 waits for ever. A batch of
   * several has so much for each, up to a few.
   */
  readonly watchdogNs: number;
  /** Whether a batch is encoded when a turn is near, before it has come. */
  readonly encodeAhead: boolean;
  /** Whether long launches are cut up; larger grids than the GPU's are in any case. */
  readonly slicing: boolean;
  /** Whether the GPU's own clock is used. */
  readonly timestamps: boolean;
  /** Commands of one stream before the next stream of the context has its turn. */
  readonly streamTurnCommands: number;
  /** Chains taken from one ring in one turn of the event loop. */
  readonly drainChainsMax: number;
}

export const DEFAULT_SCHEDULING: SchedulingLimits = {
  batchesInFlightMax: 3,
  batchOperationsMax: 512,
  firstOperationsMax: 128,
  batchBytesMax: 32 * MIB,
  stagingBytesMax: 96 * MIB,
  batchNsMax: 60e6,
  slicesMin: 0,
  watchdogNs: 2e9,
  encodeAhead: true,
  slicing: true,
  timestamps: true,
  streamTurnCommands: 64,
  drainChainsMax: 256,
};

/** A smaller part of a batch is worth neither one of its own nor a slice: each has costs beside its work. */
export const BATCH_PART_MIN = 1 / 4;

/** The shortest batch: below, what a batch costs beside its work counts. */
const BATCH_NS_MIN = 1e6;
/** Longest batch under a broker; an instance without one shares the GPU with no other guest. */
const BATCH_SHARED_NS_MAX = 10e6;
/** While no other guest has a context, or had one lately. */
const BATCH_ALONE_NS_MAX = 10e6;
/** A part that takes longer than it should must not seem to hang. */
const WATCHDOG_SHARE_MAX = 1 / 4;

/**
 * Expected GPU time of a batch of one that takes turns of `sliceNs` with others. Two are in flight, one of them
 * running: so an entry that had no end is over within a slice when another guest wants the GPU.
 */
function batchNsOf(sliceNs: number, batchNsMax: number): number {
  return Math.min(batchNsMax, BATCH_SHARED_NS_MAX, Math.max(BATCH_NS_MIN, sliceNs / 2));
}

/** Execution controls that concern the run loop. */
export interface SchedulingControls {
  readonly slice_ns: number;
  readonly watchdog_ns: number;
  /** Bits of Features. */
  readonly features: number;
}

/** Limits while other guests may want the GPU, and while none can. */
export interface SharedLimits {
  readonly shared: SchedulingLimits;
  readonly alone: SchedulingLimits;
}

/** Limits under what an operator has set: what is off at the start stays off. */
export function limitsUnder(own: SchedulingLimits, controls: SchedulingControls): SharedLimits {
  const has = (bit: number): boolean => (controls.features & bit) !== 0;
  const shared = {
    ...own,
    batchNsMax: batchNsOf(controls.slice_ns, own.batchNsMax),
    watchdogNs: controls.watchdog_ns,
    encodeAhead: own.encodeAhead && has(Features.PREPARE),
    slicing: own.slicing && has(Features.SLICING),
    timestamps: own.timestamps && has(Features.TIMESTAMPS),
  };
  const soundNs = controls.watchdog_ns * WATCHDOG_SHARE_MAX;
  const aloneNs = Math.min(own.batchNsMax, BATCH_ALONE_NS_MAX, soundNs);
  return { shared, alone: { ...shared, batchNsMax: Math.max(shared.batchNsMax, aloneNs) } };
}

/** Largest grid dimension: CUDA's for x. Larger than the GPU's own, for launches can be sliced. */
export const GRID_MAX = 2 ** 31 - 1;

/** Fences and generations are numbers here: exact below this. */
export const FENCE_MAX = Number.MAX_SAFE_INTEGER;

export const TIMELINE_SLOT = (stream: number): number =>
  VGPU.TIMELINE_HEADER_BYTES + VGPU.TIMELINE_SLOT_BYTES * stream;
