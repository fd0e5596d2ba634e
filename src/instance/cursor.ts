// SPDX-License-Identifier: Apache-2.0
/** How far a launch has come that is executed in slices; lives in its job (job.cursor). */
import type { Context } from "./context.js";
import type { SliceMeter } from "./cost.js";
import type { KernelFunction } from "./kernels.js";
import { type Grid, gridGroups } from "./slices.js";
import type { Stream } from "./streams.js";

export class LaunchCursor implements SliceMeter {
  /** Kept: the guest may destroy the function while its launch goes on. */
  readonly kernel: KernelFunction;
  readonly grid: Grid;
  readonly total: number;
  /** Slices handed to the GPU; the workgroups in them are job.progress. */
  slices = 0;
  /** Workgroups executed. */
  done = 0;
  /** Workgroups of the largest slice so far. */
  groupsMax = 0;
  /** What a workgroup of the newest slice that is done has cost: costs differ over a grid. */
  nsPerGroup = 0;
  /** How long that slice took. */
  lastNs = 0;

  constructor(kernel: KernelFunction, grid: Grid) {
    this.kernel = kernel;
    this.grid = grid;
    this.total = gridGroups(grid);
  }

  measured(groups: number, nsPerGroup: number): void {
    this.done += groups;
    this.nsPerGroup = nsPerGroup;
    this.lastNs = groups * nsPerGroup;
  }
}

/** As `vgpuctl status` shows it, and as the G-VMCS has it. */
export interface CursorStatus {
  readonly stream: number;
  readonly fence: number;
  /** Index of the command in its submit. */
  readonly command: number;
  readonly kernel: string;
  readonly slices: number;
  readonly grid: Grid;
  readonly groups_submitted: number;
  readonly groups_done: number;
  readonly groups_total: number;
  readonly ns_per_group: number;
}

function cursorStatus(stream: Stream): CursorStatus | null {
  const job = stream.jobs.peek();
  const cursor = job?.cursor ?? null;
  if (job === undefined || cursor === null) return null;
  return {
    stream: stream.index,
    fence: job.fence,
    command: job.next,
    kernel: cursor.kernel.name,
    slices: cursor.slices,
    grid: cursor.grid,
    groups_submitted: job.progress,
    groups_done: cursor.done,
    groups_total: cursor.total,
    ns_per_group: cursor.nsPerGroup,
  };
}

/** Launches of a context that are executed in part, at most one of each stream. */
export function contextCursors(context: Context): CursorStatus[] {
  const found: CursorStatus[] = [];
  for (const stream of context.streams) {
    const status = cursorStatus(stream);
    if (status !== null) found.push(status);
  }
  return found;
}
