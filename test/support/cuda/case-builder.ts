// SPDX-License-Identifier: Apache-2.0
/** A short way to write the many cases that launch one kernel once. */
import type { Arg, KernelCase, Launch } from "./lab.js";

export type Extent = number | readonly [number, number] | readonly [number, number, number];

const triple = (e: Extent): [number, number, number] =>
  typeof e === "number" ? [e, 1, 1] : [e[0], e[1], e[2] ?? 1];

export function launch(
  kernel: string,
  grid: Extent,
  block: Extent,
  args: readonly Arg[],
  shared = 0,
): Launch {
  return { kernel, grid: triple(grid), block: triple(block), args, shared };
}

type Rest = Omit<KernelCase, "name" | "module" | "launches" | "expect"> &
  Partial<Pick<KernelCase, "expect">>;

/** A case of one kernel; its name is the first launch's. */
export function caseOf(
  module: string,
  launches: Launch | readonly Launch[],
  rest: Rest,
): KernelCase {
  const list: readonly Launch[] = "kernel" in launches ? [launches] : launches;
  return { name: list[0]?.kernel ?? "", module, launches: list, expect: {}, ...rest };
}
