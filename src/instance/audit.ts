// SPDX-License-Identifier: Apache-2.0
/**
 * What a vGPU holds for its guest, as the totals say it and as its contexts say it. The two must
 * agree at any time, and all is zero when no context exists and nothing is in flight. Tests call it
 * after every step; VGPU_CHECK=1 makes an instance call it now and then.
 */
import type { BatchRecord } from "./batches.js";
import type { MemoryBudget } from "./budget.js";
import type { Context } from "./context.js";
import type { EventTotals } from "./events.js";
import type { HostmemTotals } from "./hostmem.js";
import type { KernelStore } from "./kernel-store.js";
import type { Runner } from "./runner.js";

export interface AuditSources {
  readonly contexts: readonly Context[];
  readonly budget: MemoryBudget;
  readonly runner: Runner;
  readonly store: KernelStore;
  readonly hostmems: HostmemTotals;
  readonly events: EventTotals;
}

/** Quantities that a quota limits; each returns to zero. */
export interface Holdings {
  readonly contexts: number;
  readonly reserved_bytes: number;
  readonly allocated_bytes: number;
  readonly staging_bytes: number;
  readonly hostmem_bytes: number;
  readonly hostmem_entries: number;
  readonly modules: number;
  readonly code_bytes: number;
  readonly functions: number;
  readonly events: number;
  readonly queued_commands: number;
  readonly queued_bytes: number;
  readonly batches: number;
}

export interface Audit {
  readonly holdings: Holdings;
  /** Where the totals and the contexts disagree; empty as long as all is well. */
  readonly problems: readonly string[];
}

export function audit(sources: AuditSources): Audit {
  const { contexts, budget, runner, store, hostmems, events } = sources;
  const records = runner.records();
  const holdings: Holdings = {
    contexts: contexts.length,
    reserved_bytes: budget.reservedBytes,
    allocated_bytes: budget.allocatedBytes,
    staging_bytes: runner.stagingBytes,
    hostmem_bytes: hostmems.bytes,
    hostmem_entries: hostmems.entries,
    modules: store.modules,
    code_bytes: store.codeBytes,
    functions: store.functions,
    events: events.count,
    queued_commands: runner.queuedCommands,
    queued_bytes: runner.queuedBytes,
    batches: records.length,
  };
  const problems: string[] = [];
  for (const [name, counted] of Object.entries(found(contexts, records))) {
    const total = holdings[name as keyof Holdings];
    if (total !== counted) problems.push(`${name}: ${total} in all, ${counted} by context`);
  }
  return { holdings, problems };
}

/** The same, counted from what each context has. */
function found(
  contexts: readonly Context[],
  records: readonly BatchRecord[],
): Omit<Holdings, "staging_bytes" | "hostmem_entries"> {
  const sum = <T>(items: readonly T[], of: (item: T) => number): number =>
    items.reduce((total, item) => total + of(item), 0);
  const of = (what: (context: Context) => number): number => sum(contexts, what);
  const living = new Set(contexts);
  const dead = records.filter((record) => !living.has(record.context)).length;
  const retired = sum(records, (record) => record.retiredBytes);
  return {
    contexts: contexts.length,
    reserved_bytes: of(({ memory }) => memory.reservedBytes) + retired,
    allocated_bytes: of(({ memory }) => memory.allocatedBytes),
    hostmem_bytes: of(({ hostmems }) => hostmems.bytes),
    modules: of(({ kernels }) => kernels.loadedModules),
    code_bytes: of(({ kernels }) => kernels.codeBytes),
    functions: of(({ kernels }) => kernels.functionCount),
    events: of((context) => context.events.kept),
    queued_commands: of(queuedCommands),
    queued_bytes: of(({ queuedBytes }) => queuedBytes),
    batches: of(({ batchesInFlight }) => batchesInFlight) + dead,
  };
}

function queuedCommands(context: Context): number {
  let commands = 0;
  for (const stream of context.streams)
    for (const job of stream.jobs.items()) commands += job.commands.length;
  return commands;
}
