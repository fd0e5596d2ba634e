// SPDX-License-Identifier: Apache-2.0
/**
 * What goes wrong with guest PTX, as one typed error, and the limits that bound the work done on
 * it. The text comes from a hostile guest: every pass ends in a result or a `PtxError`, after time
 * and memory in proportion to these limits.
 */

export interface PtxLimits {
  /** Longest module, UTF-16 code units. */
  readonly sourceLengthMax: number;
  /** Most instructions of one module. */
  readonly instructionsMax: number;
  /** Most instructions of one kernel after its calls are expanded. */
  readonly kernelInstructionsMax: number;
  /** Most registers of one kernel after its calls are expanded. */
  readonly registersMax: number;
  /** Deepest chain of calls. */
  readonly callDepthMax: number;
  /** Deepest nesting of blocks in the source. */
  readonly scopeDepthMax: number;
  /** Deepest nesting of the structured program; deeper ones become state machines. */
  readonly nestingMax: number;
  /** Largest sum of the initial bytes of a module's variables. */
  readonly initialBytesMax: number;
  /** Most f64 functions called in one kernel: GPU compilers copy the software for each call. */
  readonly doublesMax: number;
  /** Longest emitted WGSL, UTF-16 code units. */
  readonly emittedLengthMax: number;
}

export const PTX_LIMITS: PtxLimits = {
  sourceLengthMax: 64 * 1024 * 1024,
  instructionsMax: 4_000_000,
  kernelInstructionsMax: 200_000,
  registersMax: 400_000,
  callDepthMax: 48,
  scopeDepthMax: 64,
  nestingMax: 100,
  initialBytesMax: 256 * 1024 * 1024,
  doublesMax: 256,
  emittedLengthMax: 32 * 1024 * 1024,
};

/** A mistake of the guest's PTX, or something in it that is not supported. */
export class PtxError extends Error {
  constructor(
    readonly text: string,
    /** Line of the PTX source, from 1; 0 is unknown. */
    readonly line = 0,
    /** The kernel or function concerned. */
    readonly kernel: string | null = null,
    /** The instruction's name, with its modifiers. */
    readonly instruction: string | null = null,
  ) {
    const where = line > 0 ? `line ${line}: ` : "";
    super(`${where}${kernel === null ? "" : `kernel ${kernel}: `}${text}`);
    this.name = "PtxError";
  }

  /** The same error, said of a kernel. */
  of(kernel: string): PtxError {
    return this.kernel === null
      ? new PtxError(this.text, this.line, kernel, this.instruction)
      : this;
  }
}
