// SPDX-License-Identifier: Apache-2.0
/**
 * What the device needs of the PTX compiler. Translating takes milliseconds, and with a hostile
 * module seconds, so it is asked for and answered later: by a thread (worker-translator.ts), or in
 * place (inline-translator.ts) where nobody else waits. What is passed is plain data.
 */

/** A variable of a module. */
export interface ModuleVariable {
  readonly name: string;
  readonly bytes: number;
  readonly align: number;
  /** First bytes, the rest is zero; null if all is. */
  readonly init: Uint8Array | null;
  /** Addresses of other variables to be stored: at this offset, of that one, plus so many bytes. */
  readonly relocations: readonly {
    readonly at: number;
    readonly target: string;
    readonly addend: number;
  }[];
  /** In managed memory: the host maps its pages. */
  readonly managed: boolean;
}

/** An entry point of a module. Sizes in bytes. */
export interface ModuleKernel {
  readonly name: string;
  /** Lines of the PTX that it is on. */
  readonly line: number;
  readonly lastLine: number;
  readonly params: readonly {
    readonly offset: number;
    readonly bytes: number;
    readonly align: number;
  }[];
  readonly paramBytes: number;
  readonly sharedBytes: number;
  readonly maxThreads: number;
  /** The block that it declares, or null. */
  readonly block: readonly [number, number, number] | null;
  /** Why it can't be launched at all, and why not in slices; null if it can. */
  readonly unsupported: string | null;
  readonly unsliceable: string | null;
  /** Whether it may write the fault words. */
  readonly mayFault: boolean;
}

/** What a module is; its code stays with the translator. */
export interface TranslatedModule {
  readonly version: string;
  readonly target: string;
  /** Names of its entry points. What they need is found out when it is asked: describe(). */
  readonly kernels: readonly string[];
  readonly variables: readonly ModuleVariable[];
  /** Length of the PTX. */
  readonly textLength: number;
}

/** What a kernel is emitted for: its pipeline differs with each of these. */
export interface EmitRequest {
  readonly segments: number;
  readonly block: readonly [number, number, number];
  readonly dynamicSharedBytes: number;
  readonly checked: boolean;
  /** Of the GPU. */
  readonly f16: boolean;
  readonly subgroups: boolean;
  readonly subgroupSize: number;
  readonly blockThreadsMax: number;
  readonly sharedBytesMax: number;
}

/** A kernel in WGSL. Its bindings: the segments, then one uniform: see launch-ptx.ts. */
export interface EmittedText {
  readonly wgsl: string;
  readonly entryPoint: string;
  /** Variables whose addresses follow the parameters, in order. */
  readonly globals: readonly string[];
  readonly uniformBytes: number;
}

/** Why there is no translation. */
export type TranslateReason =
  /** The text or the fat binary is wrong, or uses what we don't translate. */
  | "invalid"
  | "unsupported"
  /** It takes longer, or more memory, than it may. */
  | "limit"
  /** A mistake of ours, which costs the module and not the device. */
  | "internal";

export class TranslateError extends Error {
  constructor(
    readonly reason: TranslateReason,
    message: string,
  ) {
    super(message);
    this.name = "TranslateError";
  }
}

/** Answers that were kept, and those that were not. */
export interface CacheCounts {
  readonly hits: number;
  readonly misses: number;
}

/** Rejects with TranslateError; other errors are ours. Calls may overlap. */
export interface Translator {
  /** Reads PTX text, or a fat binary, under a number that the caller chose. */
  load(id: number, source: string | Uint8Array): Promise<TranslatedModule>;
  /** What a kernel of a module needs. A kernel that can't be translated is an answer, no error. */
  describe(id: number, kernel: string): Promise<ModuleKernel>;
  emit(id: number, kernel: string, request: EmitRequest): Promise<EmittedText>;
  /** The module is not needed any more. */
  forget(id: number): void;
  close(): void;
  /** What was kept of earlier answers; absent if nothing is. */
  readonly cache?: CacheCounts;
}
