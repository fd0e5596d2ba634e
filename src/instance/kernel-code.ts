// SPDX-License-Identifier: Apache-2.0
/**
 * What the kernel store keeps: code that was checked, its entry points, and their pipelines. WGSL is
 * reflected here; of PTX we keep what the translator tells, and the text stays with it.
 */
import { ExecutorError, type Pipeline } from "../gpu/executor.js";
import type {
  ModuleKernel,
  TranslatedModule,
  TranslateReason,
} from "../kernel/translator/index.js";
import { TranslateError } from "../kernel/translator/index.js";
import type { EntryInfo, ModuleInfo } from "../kernel/wgsl/index.js";
import { findEntry, WgslError, whyUnsliceable } from "../kernel/wgsl/index.js";
import { Status } from "../protocol/generated/wire.js";
import { KernelCost } from "./cost.js";
import { type Failure, failure } from "./failure.js";

/** One module's code, of either kind; shared by all who load the same. */
abstract class Code {
  readonly kind = "code";
  /** Equal for equal code. */
  readonly key: string;
  /** Size for the limit on what is kept unused. */
  readonly length: number;
  references = 0;
  checked = false;
  /** Nobody uses it, and it is not kept: what is still queued for it needs no answer. */
  forgotten = false;
  status: Status = Status.OK;
  log = "";
  waiters: (() => void)[] = [];

  constructor(key: string, length: number) {
    this.key = key;
    this.length = length;
  }

  /** Entry points, 0 unless it was checked and is valid. */
  abstract get entryCount(): number;
  abstract get valid(): boolean;
  /** The entry point of that name, or why it can't be launched. */
  abstract entry(name: string): Entry | Failure;
  abstract entries(): Iterable<Entry>;

  forEachVariant(visit: (variant: Variant) => void): void {
    for (const entry of this.entries())
      for (const variant of entry.variants.values()) visit(variant);
  }
}

/** WGSL, and what reflection found in it once it was checked. */
export class WgslCode extends Code {
  readonly source: string;
  info: ModuleInfo | null = null;
  readonly #entries = new Map<string, WgslEntry>();

  constructor(source: string) {
    super(source, source.length);
    this.source = source;
  }

  get valid(): boolean {
    return this.info !== null;
  }

  get entryCount(): number {
    return this.info?.entryNames.length ?? 0;
  }

  entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  entry(name: string): Entry | Failure {
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    if (this.info === null) return failure(Status.MODULE_INVALID, "the module does not compile");
    try {
      const made = new WgslEntry(this, findEntry(this.info, name));
      this.#entries.set(name, made);
      return made;
    } catch (error) {
      // Names come from the guest: only those that exist are remembered.
      return wgslFailure(error);
    }
  }
}

/** PTX, and what the translator told of it. */
export class PtxCode extends Code {
  /** Its number with the translator. */
  readonly id: number;
  /** Until the translator has it. */
  source: string | Uint8Array | null = null;
  /** Whether its kernels detect bad addresses. */
  readonly checkedAccess: boolean;
  info: TranslatedModule | null = null;
  readonly #entries = new Map<string, PtxEntry | Failure>();

  constructor(key: string, length: number, id: number, checkedAccess: boolean) {
    super(key, length);
    this.id = id;
    this.checkedAccess = checkedAccess;
  }

  /** Whether the kernel exists and the translator was not asked about it yet. */
  isUndescribed(name: string): boolean {
    return !this.#entries.has(name) && this.info?.kernels.includes(name) === true;
  }

  /** What the translator said of a kernel. */
  described(name: string, kernel: ModuleKernel | Failure): void {
    if ("kind" in kernel) this.#entries.set(name, kernel);
    else if (kernel.unsupported === null) this.#entries.set(name, new PtxEntry(this, kernel));
    else this.#entries.set(name, failure(Status.NOT_SUPPORTED, kernel.unsupported));
  }

  get valid(): boolean {
    return this.info !== null;
  }

  get entryCount(): number {
    return this.info?.kernels.length ?? 0;
  }

  *entries(): Iterable<Entry> {
    for (const entry of this.#entries.values()) if (entry instanceof PtxEntry) yield entry;
  }

  entry(name: string): Entry | Failure {
    const known = this.#entries.get(name);
    return known ?? failure(Status.FUNCTION_NOT_FOUND, `the module has no kernel ${name}`);
  }
}

export type ModuleCode = WgslCode | PtxCode;

/** An entry point and its pipelines, by key. */
abstract class EntryBase {
  abstract readonly name: string;
  readonly variants = new Map<string, Variant>();
  /** Whether the operator was told that it can't be sliced. */
  unsliceableNoted = false;
  /** Why launches of it can't be sliced; null if they can. */
  abstract unsliceable: string | null;
}

export class WgslEntry extends EntryBase {
  readonly code: WgslCode;
  readonly info: EntryInfo;
  /** Whether the launch gives a dimension of the block. */
  readonly hasBlockOverrides: boolean;
  #unsliceable: string | null | undefined;

  constructor(code: WgslCode, info: EntryInfo) {
    super();
    this.code = code;
    this.info = info;
    this.hasBlockOverrides = info.block.some((dimension) => dimension.kind === "override");
  }

  get name(): string {
    return this.info.name;
  }

  /** Found out when it is first asked. */
  get unsliceable(): string | null {
    if (this.#unsliceable === undefined) {
      try {
        this.#unsliceable = whyUnsliceable(this.info);
      } catch (error) {
        this.#unsliceable = wgslFailure(error).text;
      }
    }
    return this.#unsliceable;
  }

  /** Its sliced form can't be made into a pipeline. */
  set unsliceable(reason: string) {
    this.#unsliceable = reason;
  }

  /** Whether the override of that name has a default, so that the launch may leave it out. */
  defaultBlock(override: string): boolean {
    return this.info.module.overrides.some((each) => each.name === override && each.hasDefault);
  }
}

export class PtxEntry extends EntryBase {
  readonly code: PtxCode;
  readonly info: ModuleKernel;
  readonly unsliceable: string | null;
  /** All pipelines of it cost about the same: a context that grows measures nothing anew. */
  readonly cost = new Map<string, KernelCost>();

  constructor(code: PtxCode, info: ModuleKernel) {
    super();
    this.code = code;
    this.info = info;
    this.unsliceable = info.unsliceable;
  }

  get name(): string {
    return this.info.name;
  }
}

export type Entry = WgslEntry | PtxEntry;

/** Ends the keys of sliced pipelines; no other key has it. */
export const SLICED = "\nsliced";

/** One pipeline: compiling (both null), compiled, or failed. */
export class Variant {
  readonly entry: Entry;
  readonly key: string;
  pipeline: Pipeline | null = null;
  failed: Failure | null = null;
  /** Shared with other forms of the same pipeline: sliced, or for more segments. */
  readonly cost: KernelCost;
  /** PTX: variables whose addresses a launch gives, and bytes of its uniform. */
  globals: readonly string[] = [];
  uniformBytes = 0;
  lastUse = 0;
  waiters: (() => void)[] = [];

  constructor(entry: Entry, key: string, cost = new KernelCost()) {
    this.entry = entry;
    this.key = key;
    this.cost = cost;
  }
}

// ---- Failures -----------------------------------------------------------------------------------

export function wgslFailure(error: unknown): Failure {
  if (!(error instanceof WgslError)) throw error;
  return failure(notOk(error.status), error.message, 0, 0, Math.max(0, error.argument));
}

const TRANSLATE_STATUS: Readonly<Record<TranslateReason, Failure["status"]>> = {
  invalid: Status.MODULE_INVALID,
  unsupported: Status.NOT_SUPPORTED,
  limit: Status.QUOTA,
  internal: Status.INTERNAL,
};

/** A compilation's error as the guest gets it; an error of our own is passed on. */
export function compileFailure(error: unknown): Failure {
  if (error instanceof WgslError) return wgslFailure(error);
  if (error instanceof TranslateError)
    return failure(TRANSLATE_STATUS[error.reason], error.message);
  if (!(error instanceof ExecutorError)) throw error;
  if (error.reason === "lost") return failure(Status.DEVICE_LOST, error.message);
  if (error.reason === "out-of-memory") return failure(Status.OUT_OF_MEMORY, error.message);
  return failure(Status.LAUNCH_FAILED, error.message);
}

export function notOk(status: Status): Failure["status"] {
  return status === Status.OK ? Status.INTERNAL : status;
}
