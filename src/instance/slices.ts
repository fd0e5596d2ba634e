// SPDX-License-Identifier: Apache-2.0
/**
 * Cuts a grid of workgroups into dispatches. Workgroups are counted in x, y, z order, so that one
 * number tells how far a launch has come. A dispatch is a box: part of a row, whole rows of a
 * plane, or whole planes, whichever is the largest that begins here and is not more than asked for.
 *
 *   done ──▶ ▒▒▒▒▒▒▒▒▒▒      ▒ done before
 *            ▒▒▒▒▓▓▓▓▓▓      ▓ rest of a row
 *            ████████████    █ whole rows
 */
import type { Dispatch } from "../gpu/executor.js";
import { SLICE_LAYOUT } from "../kernel/wgsl/index.js";

/** From so many rows or planes on, a part of one is left to the next slice. */
const WHOLE_MIN = 4;

export type Grid = readonly [number, number, number];

/** Workgroups of a grid: exact below 2^53, which launches are checked for. */
export function gridGroups(grid: Grid): number {
  return grid[0] * grid[1] * grid[2];
}

/** The largest box that begins at workgroup `done`, of at most `groups` and `sideMax` a side. */
function boxAt(grid: Grid, done: number, groups: number, sideMax: number): [Grid, Grid] {
  const [gx, gy, gz] = grid;
  const x = done % gx;
  const row = Math.floor(done / gx);
  const y = row % gy;
  const z = Math.floor(row / gy);
  const offset: Grid = [x, y, z];
  if (x > 0 || groups < gx || gx > sideMax) {
    return [offset, [Math.min(groups, gx - x, sideMax), 1, 1]];
  }
  const plane = gx * gy;
  if (y > 0 || groups < plane || gy > sideMax) {
    return [offset, [gx, Math.min(Math.floor(groups / gx), gy - y, sideMax), 1]];
  }
  return [offset, [gx, gy, Math.min(Math.floor(groups / plane), gz - z, sideMax)]];
}

/** A slice of many rows or planes ends with one, so that the next one needs fewer dispatches. */
function wholeRows(grid: Grid, done: number, groups: number): number {
  const row = grid[0];
  const plane = row * grid[1];
  const unit = groups >= plane * WHOLE_MIN ? plane : groups >= row * WHOLE_MIN ? row : 1;
  return groups - ((done + groups) % unit);
}

function immediatesOf(offset: Grid, grid: Grid): Uint32Array {
  const words = new Uint32Array(SLICE_LAYOUT.bytes / 4);
  words.set(offset, SLICE_LAYOUT.offsetAt / 4);
  words.set(grid, SLICE_LAYOUT.gridAt / 4);
  return words;
}

/** Dispatches for at most `groups` workgroups from `done` on, and at most `countMax` of them. */
export function cutSlice(
  grid: Grid,
  done: number,
  groups: number,
  sideMax: number,
  countMax: number,
): { readonly dispatches: Dispatch[]; readonly groups: number } {
  const dispatches: Dispatch[] = [];
  const end = Math.min(gridGroups(grid), done + wholeRows(grid, done, groups));
  let at = done;
  while (at < end && dispatches.length < countMax) {
    const [offset, size] = boxAt(grid, at, end - at, sideMax);
    dispatches.push({ grid: size, immediates: immediatesOf(offset, grid) });
    at += gridGroups(size);
  }
  return { dispatches, groups: at - done };
}
