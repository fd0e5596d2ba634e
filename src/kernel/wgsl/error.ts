// SPDX-License-Identifier: Apache-2.0
/**
 * What goes wrong with guest WGSL, as a typed error, and the limits that bound the work done on
 * it. The code comes from a hostile guest: everything here ends in a `WgslError` or a result,
 * after time and memory in proportion to the limits below.
 */
import { Status } from "../../protocol/generated/wire.js";

/** Longest WGSL module, UTF-16 code units. Real kernels stay under a tenth of it. */
export const WGSL_SOURCE_LENGTH_MAX = 512 * 1024;
/** Deepest syntax tree; the compiler refuses expressions deeper than 512 itself. */
export const WGSL_DEPTH_MAX = 768;
/** Most syntax nodes of one module. */
export const WGSL_NODES_MAX = 400_000;
/** Most nested types (arrays of arrays, structs in structs). */
export const WGSL_TYPE_DEPTH_MAX = 64;
/** Largest fixed-size type or member offset, bytes: what a 32-bit offset can hold with room. */
export const WGSL_TYPE_BYTES_MAX = 0x7fff_ffff;
/** Most chained const declarations that are evaluated for a size. */
export const WGSL_CONST_DEPTH_MAX = 64;
/** Most compute entry points of one module. */
export const WGSL_ENTRIES_MAX = 256;
/** Most copies of functions that a rewrite makes for different pointer arguments. */
export const WGSL_INSTANCES_MAX = 512;
/** Longest rewritten module, UTF-16 code units. */
export const WGSL_REWRITTEN_LENGTH_MAX = 4 * WGSL_SOURCE_LENGTH_MAX;

/** A guest's mistake, or something that cannot be expressed. `line` counts from 1; 0 is unknown. */
export class WgslError extends Error {
  /** Index of the launch argument concerned, or -1. */
  argument = -1;
  constructor(
    readonly status: Status,
    readonly text: string,
    readonly line = 0,
  ) {
    super(line > 0 ? `line ${line}: ${text}` : text);
    this.name = "WgslError";
  }

  /** Names the launch argument concerned. */
  forArgument(index: number): this {
    this.argument = index;
    return this;
  }
}

/** Runs `work`; what is nested too deeply for the stack despite the limits is an error too. */
export function withinStack<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new WgslError(Status.MODULE_INVALID, "the module is nested too deeply");
  }
}
