// SPDX-License-Identifier: Apache-2.0
/**
 * PTX to WGSL: the only way into this folder. `parsePtx` reads a module and says what its kernels
 * need; `emitKernel` translates one kernel for one launch configuration. Pure: no I/O, no GPU.
 */
import { isLabel, type ParsedModule, type PtxFunction } from "./ast.js";
import {
  analyseKernel,
  type Compiled,
  compileKernel,
  ENTRY_POINT,
  FAULT_GLOBAL,
  hasFault,
  hasPrintf,
  LOCKS_GLOBAL,
  PRINTF_GLOBAL,
} from "./compile.js";
import type { EmitOptions } from "./emit-context.js";
import { PTX_LIMITS, PtxError, type PtxLimits } from "./error.js";
import type { FlatKernel, KernelParam } from "./ir.js";
import { lowerKernel } from "./lower.js";
import { LOCKS_BYTES } from "./memory-wide.js";
import { parseModule } from "./parse.js";
import { printKernel } from "./print.js";
import { PRINTF_BYTES, printfInitial } from "./printf.js";
import { typeNamed } from "./types.js";
import { whyUnsliceable } from "./waiting.js";

export type { EmitOptions } from "./emit-context.js";
export { PTX_LIMITS, PtxError, type PtxLimits } from "./error.js";

export interface PtxGlobal {
  readonly name: string;
  readonly bytes: number;
  readonly align: number;
  readonly space: "global" | "const";
  /** Initial bytes, zero-filled up to `bytes`; null for zeros. */
  readonly init: Uint8Array | null;
  /** Addresses of other globals to be stored at load: offset here, target, addend in bytes. */
  readonly relocations: readonly { at: number; target: string; addend: number }[];
  readonly exported: boolean;
  /** In managed memory: the host has it too. */
  readonly managed: boolean;
}

export type PtxParam = KernelParam;

export interface PtxKernel {
  readonly name: string;
  readonly params: readonly PtxParam[];
  readonly paramBytes: number;
  /** Static shared memory, bytes. */
  readonly sharedBytes: number;
  readonly usesDynamicShared: boolean;
  readonly localBytes: number;
  /** Most threads of a block: .maxntid, or 1024. */
  readonly maxThreads: number;
  /** The only block size it takes (.reqntid). */
  readonly block: readonly [number, number, number] | null;
  /** What it uses that is missing: such a kernel alone fails. Null if all is there. */
  readonly unsupported: string | null;
  /** Why its launches can't be sliced; null if they can. */
  readonly unsliceable: string | null;
  /** May record a fault (trap, assert) without being checked. */
  readonly mayFault: boolean;
  readonly usesPrintf: boolean;
}

export interface PtxModule {
  readonly version: string;
  readonly target: string;
  readonly kernels: readonly PtxKernel[];
  readonly globals: readonly PtxGlobal[];
}

export interface EmittedKernel {
  readonly wgsl: string;
  readonly entryPoint: string;
  /** Names of globals whose addresses follow the parameters, in order. */
  readonly globals: readonly string[];
  readonly uniformBytes: number;
  readonly immediateBytes: 32;
  readonly atomicHeap: boolean;
  readonly mode: "structured" | "state-machine";
}

/** For finding out what is missing: a plain launch. */
const TRIAL: EmitOptions = {
  segments: 1,
  block: [64, 1, 1],
  dynamicSharedBytes: 64,
  f16: false,
  subgroups: false,
  subgroupSize: 4,
  checked: false,
  blockThreadsMax: 1024,
  sharedBytesMax: Number.POSITIVE_INFINITY,
};

/** One kernel; what takes work is found out when it is asked for first. */
class Kernel implements PtxKernel {
  private flat: FlatKernel | PtxError | null = null;
  private missing: string | null | undefined = undefined;
  private waiting: string | null | undefined = undefined;

  constructor(
    private readonly parsed: ParsedModule,
    private readonly entry: PtxFunction,
    readonly limits: PtxLimits,
  ) {}

  get name(): string {
    return this.entry.name;
  }

  private lowered(): FlatKernel | PtxError {
    if (this.flat !== null) return this.flat;
    try {
      this.flat = lowerKernel(this.parsed, this.entry, this.limits);
    } catch (error) {
      if (!(error instanceof PtxError)) throw error;
      this.flat = error.of(this.name);
    }
    return this.flat;
  }

  private get known(): FlatKernel | null {
    const flat = this.lowered();
    return flat instanceof PtxError ? null : flat;
  }

  get params(): readonly PtxParam[] {
    return this.known?.params ?? [];
  }
  get paramBytes(): number {
    return this.known?.paramBytes ?? 0;
  }
  get sharedBytes(): number {
    return this.known?.sharedBytes ?? 0;
  }
  get usesDynamicShared(): boolean {
    return this.known?.usesDynamicShared ?? false;
  }
  get localBytes(): number {
    return this.known?.localBytes ?? 0;
  }
  get maxThreads(): number {
    return this.entry.maxThreads;
  }
  get block(): readonly [number, number, number] | null {
    return this.entry.requiredBlock;
  }
  get mayFault(): boolean {
    return this.known !== null && hasFault(this.known);
  }
  get usesPrintf(): boolean {
    return this.known !== null && hasPrintf(this.known);
  }
  get unsliceable(): string | null {
    if (this.waiting !== undefined) return this.waiting;
    this.waiting = null;
    const flat = this.known;
    if (flat === null) return null;
    try {
      const { graph, masks } = analyseKernel(flat, TRIAL, this.limits);
      this.waiting = whyUnsliceable(flat, graph, masks);
    } catch (error) {
      if (!(error instanceof PtxError)) throw error;
    }
    return this.waiting;
  }

  get unsupported(): string | null {
    if (this.missing !== undefined) return this.missing;
    this.missing = null;
    try {
      const [x, y, z] = this.entry.requiredBlock ?? TRIAL.block;
      this.compile({ ...TRIAL, block: [x, y, z] });
    } catch (error) {
      if (!(error instanceof PtxError)) throw error;
      this.missing = error.message;
    }
    return this.missing;
  }

  compile(options: EmitOptions): Compiled {
    const flat = this.lowered();
    if (flat instanceof PtxError) throw flat;
    try {
      return compileKernel(flat, options, this.limits);
    } catch (error) {
      throw error instanceof PtxError ? error.of(this.name) : error;
    }
  }

  /** For printing. */
  flatKernel(): FlatKernel {
    const flat = this.lowered();
    if (flat instanceof PtxError) throw flat;
    return flat;
  }
}

class Module implements PtxModule {
  readonly version: string;
  readonly target: string;
  readonly kernels: readonly Kernel[];
  readonly globals: readonly PtxGlobal[];

  constructor(
    parsed: ParsedModule,
    readonly limits: PtxLimits,
  ) {
    this.version = parsed.version;
    this.target = parsed.target;
    const entries = [...parsed.functions.values()].filter((fn) => fn.isEntry && fn.body !== null);
    this.kernels = entries.map((entry) => new Kernel(parsed, entry, limits));
    const globals: PtxGlobal[] = [];
    for (const variable of parsed.variables.values()) {
      const { space } = variable;
      if (space === "global" || space === "const") globals.push({ ...variable, space });
    }
    globals.push(hidden(FAULT_GLOBAL, 16, null));
    if (parsed.functions.has("vprintf")) {
      globals.push(hidden(PRINTF_GLOBAL, PRINTF_BYTES, printfInitial()));
    }
    if ([...parsed.functions.values()].some(hasWideAtomics)) {
      globals.push(hidden(LOCKS_GLOBAL, LOCKS_BYTES, null));
    }
    this.globals = globals;
  }
}

function hasWideAtomics(fn: PtxFunction): boolean {
  const isWide = (mod: string): boolean => (typeNamed(mod)?.bits ?? 0) === 64;
  return (fn.body ?? []).some(
    (item) => !isLabel(item) && (item.op === "atom" || item.op === "red") && item.mods.some(isWide),
  );
}

function hidden(name: string, bytes: number, init: Uint8Array | null): PtxGlobal {
  return {
    name,
    bytes,
    align: 16,
    space: "global",
    init,
    relocations: [],
    exported: false,
    managed: false,
  };
}

/**
 * Reads a PTX module, ISA 1 to 9.
 * @throws PtxError on bad syntax and beyond `limits`; what a kernel lacks is in the kernel.
 */
export function parsePtx(text: string, limits: PtxLimits = PTX_LIMITS): PtxModule {
  return new Module(parseModule(text, limits), limits);
}

function kernelOf(module: PtxModule, name: string): Kernel {
  const kernel = module.kernels.find((candidate) => candidate.name === name);
  if (kernel === undefined) throw new PtxError(`the module has no kernel '${name}'`);
  if (!(kernel instanceof Kernel)) throw new PtxError("the module was not made by parsePtx");
  return kernel;
}

/**
 * Translates one kernel for one shape of launch.
 * @throws PtxError if it uses what is missing, or the options exceed their limits.
 */
export function emitKernel(module: PtxModule, kernel: string, options: EmitOptions): EmittedKernel {
  const compiled = kernelOf(module, kernel).compile(options);
  return { ...compiled, entryPoint: ENTRY_POINT, immediateBytes: 32 };
}

/** The kernel's intermediate representation as text, with what the passes found. */
export function printIr(module: PtxModule, kernel: string, options: EmitOptions): string {
  const found = kernelOf(module, kernel);
  const flat = found.flatKernel();
  return printKernel(flat, analyseKernel(flat, options, found.limits));
}
