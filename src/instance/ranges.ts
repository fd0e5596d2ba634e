// SPDX-License-Identifier: Apache-2.0
/**
 * Which memory of a context is in use, for checked kernels: they bisect a table in their uniform, and
 * an access that lies in no live allocation is a fault, even where the segment goes on.
 *
 *   [for each segment: its first range u32, number of ranges u32, padded to 16 bytes]
 *   [ranges: start u32, end u32 each, by segment and start, to the uniform's end]
 *
 * Ends are as allocations were asked for, to the byte. A context with more allocations than fit has
 * the closest ones taken together.
 */
import type { SubAllocator } from "./suballocator.js";

interface Range {
  readonly part: number;
  readonly start: number;
  end: number;
}

type Source = Pick<SubAllocator, "forEach" | "changes">;

interface Known {
  readonly rangesMax: number;
  readonly sources: readonly { readonly allocator: Source; readonly changes: number }[];
  readonly ranges: readonly Range[];
}

/** Of each context, by its first segment: a launch costs the table only after an allocation. */
const known = new WeakMap<Source, Known>();

/** Ranges of all allocations in order; at most `rangesMax`. */
export function rangesInUse(allocators: readonly Source[], rangesMax: number): readonly Range[] {
  const [first] = allocators;
  if (first === undefined) return [];
  const before = known.get(first);
  const same =
    before?.rangesMax === rangesMax &&
    before.sources.length === allocators.length &&
    before.sources.every(
      ({ allocator, changes }, i) =>
        allocator === allocators[i] && changes === allocators[i].changes,
    );
  if (before !== undefined && same) return before.ranges;
  const ranges = findRanges(allocators, rangesMax);
  const sources = allocators.map((allocator) => ({ allocator, changes: allocator.changes }));
  known.set(first, { rangesMax, sources, ranges });
  return ranges;
}

function findRanges(allocators: readonly Source[], rangesMax: number): readonly Range[] {
  const all: Range[] = [];
  allocators.forEach((allocator, part) => {
    allocator.forEach(({ offset, requestedBytes }) => {
      all.push({ part, start: offset, end: offset + requestedBytes });
    });
  });
  const excess = all.length - rangesMax;
  if (excess <= 0) return all;
  const gaps = all.map((range, i) => {
    const next = all[i + 1];
    return next?.part === range.part ? next.start - range.end : Number.POSITIVE_INFINITY;
  });
  const order = gaps.map((_, i) => i).sort((a, b) => (gaps[a] ?? 0) - (gaps[b] ?? 0));
  const joined = new Set(order.slice(0, excess));
  const found: Range[] = [];
  all.forEach((range, i) => {
    const last = found.at(-1);
    if (last !== undefined && joined.has(i - 1) && last.part === range.part) last.end = range.end;
    else found.push({ ...range });
  });
  return found;
}

/** Writes both tables from byte `at` on to the end. */
export function writeRanges(view: DataView, at: number, allocators: readonly Source[]): void {
  const rangesAt = at + Math.ceil((allocators.length * 8) / 16) * 16;
  const ranges = rangesInUse(allocators, Math.floor((view.byteLength - rangesAt) / 8));
  const counts = allocators.map(() => 0);
  ranges.forEach(({ part, start, end }, i) => {
    counts[part] = (counts[part] ?? 0) + 1;
    view.setUint32(rangesAt + 8 * i, start, true);
    view.setUint32(rangesAt + 8 * i + 4, end, true);
  });
  let first = 0;
  counts.forEach((count, part) => {
    view.setUint32(at + 8 * part, first, true);
    view.setUint32(at + 8 * part + 4, count, true);
    first += count;
  });
}
