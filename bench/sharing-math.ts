// SPDX-License-Identifier: Apache-2.0
/** The figures of the suites about sharing, from completed work. Pure. */

/** Jain's index of fairness: 1 if all have the same, 1/n if one has all. */
export function jain(values: readonly number[]): number {
  const sum = values.reduce((a, b) => a + b, 0);
  const squares = values.reduce((a, b) => a + b * b, 0);
  return squares > 0 ? (sum * sum) / (values.length * squares) : 0;
}

export function minOverMax(values: readonly number[]): number {
  const most = Math.max(...values);
  return most > 0 ? Math.min(...values) / most : 0;
}

/** Largest deviation of a part of the sum from its target's part, relative to the target. */
export function shareError(values: readonly number[], targets: readonly number[]): number {
  const sum = values.reduce((a, b) => a + b, 0);
  const targetSum = targets.reduce((a, b) => a + b, 0);
  if (values.length !== targets.length || sum <= 0) return Number.POSITIVE_INFINITY;
  const errors = values.map((value, index) => {
    const target = (targets[index] ?? 0) / targetSum;
    return Math.abs(value / sum / target - 1);
  });
  return Math.max(...errors);
}

/** Slope of the least-squares line through the points: y per x. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const n = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n;
  let above = 0;
  let below = 0;
  for (const [x, y] of points) {
    above += (x - meanX) * (y - meanY);
    below += (x - meanX) ** 2;
  }
  return below > 0 ? above / below : 0;
}

/** Completed work: launches of each kernel times what one costs. */
export function worth(counts: readonly number[], costs: readonly number[]): number {
  return counts.reduce((sum, count, kind) => sum + count * (costs[kind] ?? 0), 0);
}
