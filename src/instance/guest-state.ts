// SPDX-License-Identifier: Apache-2.0
/**
 * The guest-state area of the G-VMCS: where the vGPU's work stands, so that it can be looked at and
 * gone on with. Queue positions, how far a sliced launch has come, fences, and the memory map.
 */
import type { DispatchCursor, MemoryMap, QueueState, TimelineState } from "../gvmcs/index.js";
import type { RingPosition } from "../virtqueue/types.js";
import type { Context } from "./context.js";
import { contextCursors } from "./cursor.js";

/** Rows of the tables in the state page. */
const TIMELINES_MAX = 32;
const REGIONS_MAX = 8;

export interface GuestStateWriter {
  writeQueues(queues: QueueState): void;
  writeCursor(cursor: DispatchCursor): void;
  writeTimelines(timelines: TimelineState): void;
  writeMemoryMap(map: MemoryMap): void;
}

export interface GuestStateSources {
  readonly epoch: number;
  readonly contexts: Iterable<Context>;
  /** By queue number; null for one that does not run. */
  readonly queues: readonly (RingPosition | null)[];
  readonly memory: {
    readonly generation: number;
    readonly regions: readonly { readonly address: number; readonly bytes: number }[];
  };
  readonly deviceBytes: number;
  readonly stagingBytes: number;
}

/** Writes what has changed: at an exit, the next vGPU waits for this. */
export class GuestState {
  #writer: GuestStateWriter | null = null;
  #cursor: DispatchCursor | null = null;
  #memory: GuestStateSources["memory"] | null = null;
  #sizes = "";

  write(writer: GuestStateWriter, sources: GuestStateSources): void {
    const contexts = [...sources.contexts];
    const cursor = dispatchCursor(contexts);
    const { memory, deviceBytes, stagingBytes } = sources;
    const sizes = `${memory.generation} ${deviceBytes} ${stagingBytes}`;
    const known = writer === this.#writer;
    writer.writeQueues(queueState(sources.queues));
    writer.writeTimelines(timelineState(sources.epoch, contexts));
    if (!known || cursor !== NO_CURSOR || this.#cursor !== NO_CURSOR) writer.writeCursor(cursor);
    if (!known || memory !== this.#memory || sizes !== this.#sizes)
      writer.writeMemoryMap(memoryMap(sources));
    this.#writer = writer;
    this.#cursor = cursor;
    this.#memory = memory;
    this.#sizes = sizes;
  }
}

function queueState(queues: GuestStateSources["queues"]): QueueState {
  return {
    count: queues.length,
    queues: queues.map((position) => ({
      size: position?.size ?? 0,
      available: position?.available ?? 0,
      used: position?.used ?? 0,
      enabled: position === null ? 0 : 1,
    })),
  };
}

const NO_CURSOR: DispatchCursor = {
  active: 0,
  context: 0,
  stream: 0,
  slices: 0,
  fence: 0,
  command: 0,
  sliceable: 0,
  grid_x: 0,
  grid_y: 0,
  grid_z: 0,
  workgroups_done: 0,
  workgroups_total: 0,
  workgroup_ps: 0,
};

/** Of the first launch that is executed in part. */
function dispatchCursor(contexts: readonly Context[]): DispatchCursor {
  for (const context of contexts) {
    const [cursor] = contextCursors(context);
    if (cursor === undefined) continue;
    const [x, y, z] = cursor.grid;
    return {
      active: 1,
      context: context.id,
      stream: cursor.stream,
      slices: cursor.slices,
      fence: cursor.fence,
      command: cursor.command,
      sliceable: 1,
      grid_x: x,
      grid_y: y,
      grid_z: z,
      workgroups_done: cursor.groups_done,
      workgroups_total: cursor.groups_total,
      workgroup_ps: Math.round(cursor.ns_per_group * 1000),
    };
  }
  return NO_CURSOR;
}

/** Streams with work first, then those that had some. */
function timelineState(epoch: number, contexts: readonly Context[]): TimelineState {
  const working: TimelineState["timelines"][number][] = [];
  const idle: TimelineState["timelines"][number][] = [];
  for (const context of contexts) {
    for (const { index, lastFence, doneFence } of context.streams) {
      if (lastFence === 0) continue;
      const row = { context: context.id, stream: index, submitted: lastFence, done: doneFence };
      (lastFence > doneFence ? working : idle).push(row);
    }
  }
  const timelines = [...working, ...idle].slice(0, TIMELINES_MAX);
  return {
    epoch,
    contexts: contexts.length,
    streams: working.length,
    count: timelines.length,
    timelines,
  };
}

function memoryMap({ memory, deviceBytes, stagingBytes }: GuestStateSources): MemoryMap {
  const { regions } = memory;
  const shown = regions.slice(0, REGIONS_MAX);
  return {
    regions_total: regions.length,
    count: shown.length,
    generation: memory.generation,
    guest_bytes: regions.reduce((sum, region) => sum + region.bytes, 0),
    device_bytes: deviceBytes,
    staging_bytes: stagingBytes,
    regions: shown.map(({ address, bytes }) => ({ guest_address: BigInt(address), bytes })),
  };
}
