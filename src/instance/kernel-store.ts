// SPDX-License-Identifier: Apache-2.0
/**
 * Checked code and compiled pipelines of an instance. Code is shared by its text: the second
 * process that loads a module compiles nothing. Pipelines are kept per entry point, block size and
 * binding shape; above the limit the least recently used one goes.
 *
 * Compilations run beside everything else, a few at a time; who needs the result registers a
 * callback, so that a launch of a compiled pipeline involves no promise.
 */
import { type Executor, ExecutorError, type Pipeline } from "../gpu/executor.js";
import type { EntryInfo, ModuleInfo } from "../kernel/wgsl/index.js";
import {
  findEntry,
  reflectModule,
  rewriteKernel,
  WgslError,
  whyUnsliceable,
} from "../kernel/wgsl/index.js";
import { Status } from "../protocol/generated/wire.js";
import { CompileBudget } from "./compile-budget.js";
import { KernelCost } from "./cost.js";
import { type Failure, failure } from "./failure.js";
import type { InstanceLimits } from "./limits.js";

/** Modules that nobody uses any more are kept in case they are loaded again: count and text. */
const IDLE_CODES_MAX = 32;
const IDLE_LENGTH_MAX = 1024 * 1024;

/** One source text. */
export class ModuleCode {
  readonly kind = "code";
  readonly source: string;
  references = 0;
  /** Set when it was checked: what the module is, or null if it is invalid. */
  info: ModuleInfo | null = null;
  checked = false;
  status: Status = Status.OK;
  log = "";
  waiters: (() => void)[] = [];
  readonly #entries = new Map<string, KernelEntry | Failure>();

  constructor(source: string) {
    this.source = source;
  }

  /** The entry point of that name, or why it can't be launched. */
  entry(name: string): KernelEntry | Failure {
    const known = this.#entries.get(name);
    if (known !== undefined) return known;
    if (this.info === null) return failure(Status.MODULE_INVALID, "the module does not compile");
    let made: KernelEntry | Failure;
    try {
      made = new KernelEntry(this, findEntry(this.info, name));
    } catch (error) {
      made = wgslFailure(error);
      // Names come from the guest: only those that exist are remembered.
      return made;
    }
    this.#entries.set(name, made);
    return made;
  }

  forEachVariant(visit: (variant: Variant) => void): void {
    for (const entry of this.#entries.values()) {
      if (!(entry instanceof KernelEntry)) continue;
      for (const variant of entry.variants.values()) visit(variant);
    }
  }
}

/** An entry point and its pipelines, by key. */
export class KernelEntry {
  readonly code: ModuleCode;
  readonly info: EntryInfo;
  readonly variants = new Map<string, Variant>();
  /** Whether the launch gives a dimension of the block. */
  readonly hasBlockOverrides: boolean;

  constructor(code: ModuleCode, info: EntryInfo) {
    this.code = code;
    this.info = info;
    this.hasBlockOverrides = info.block.some((dimension) => dimension.kind === "override");
  }

  #unsliceable: string | null | undefined;

  /** Why launches of it can't be sliced; null if they can. Found out when it is first asked. */
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

  /** Whether the operator was told that it can't be sliced. */
  unsliceableNoted = false;

  /** Whether the override of that name has a default, so that the launch may leave it out. */
  defaultBlock(override: string): boolean {
    return this.info.module.overrides.some((each) => each.name === override && each.hasDefault);
  }
}

/** Ends the keys of sliced pipelines; no other key has it. */
const SLICED = "\nsliced";

/** One pipeline: compiling (both null), compiled, or failed. */
export class Variant {
  readonly entry: KernelEntry;
  readonly key: string;
  pipeline: Pipeline | null = null;
  failed: Failure | null = null;
  /** Shared with the sliced form of the same pipeline. */
  readonly cost: KernelCost;
  lastUse = 0;
  waiters: (() => void)[] = [];

  constructor(entry: KernelEntry, key: string, cost = new KernelCost()) {
    this.entry = entry;
    this.key = key;
    this.cost = cost;
  }
}

export class KernelStore {
  readonly #limits: InstanceLimits;
  readonly #nowNs: () => number;
  /** Compiler time of the guest. */
  readonly compiler: CompileBudget;
  readonly #codes = new Map<string, ModuleCode>();
  /** Codes without references, the oldest first. */
  readonly #idle = new Set<ModuleCode>();
  readonly #pipelines = new Set<Variant>();
  readonly #waiting: (() => Promise<void>)[] = [];
  #running = 0;
  #uses = 0;
  #executor: Executor | null = null;
  /** Bytes of the code of all modules that are loaded, counted once per load. */
  codeBytes = 0;
  /** Modules that are loaded, over all contexts. */
  modules = 0;
  /** Functions that exist, over all contexts. */
  functions = 0;

  constructor(limits: InstanceLimits, nowNs: () => number) {
    this.#limits = limits;
    this.#nowNs = nowNs;
    this.compiler = new CompileBudget(limits, nowNs);
  }

  get pipelineCount(): number {
    return this.#pipelines.size;
  }

  /** Compilations running or waiting. */
  get compiling(): number {
    return this.#running + this.#waiting.length;
  }

  /** A new GPU: pipelines of the old one are worthless. */
  setExecutor(executor: Executor | null): void {
    this.#executor = executor;
    for (const variant of this.#pipelines) variant.entry.variants.delete(variant.key);
    this.#pipelines.clear();
    // A check that still runs on the old GPU must not answer for a module loaded from now on.
    for (const code of this.#codes.values()) if (!code.checked) this.#codes.delete(code.source);
  }

  /**
   * The code of a module, checked or not. `ready` is called once later if it is not checked yet.
   * Give it back with {@link release}.
   */
  load(source: string, bytes: number, label: string, ready: () => void): ModuleCode | Failure {
    const { codeBytesMax, codeBytesTotalMax, modulesTotalMax } = this.#limits;
    if (this.modules >= modulesTotalMax) {
      const text = `${label} would be one of ${this.modules + 1} modules, the limit is ${modulesTotalMax}`;
      return failure(Status.QUOTA, text, this.modules + 1, modulesTotalMax);
    }
    if (bytes > codeBytesMax) {
      const text = `${label} has ${bytes} bytes of code, the limit is ${codeBytesMax}`;
      return failure(Status.QUOTA, text, bytes, codeBytesMax);
    }
    const total = this.codeBytes + bytes;
    if (total > codeBytesTotalMax) {
      const text = `${label} would make ${total} bytes of code, the limit is ${codeBytesTotalMax}`;
      return failure(Status.QUOTA, text, total, codeBytesTotalMax);
    }
    let code = this.#codes.get(source);
    if (code === undefined) {
      const refused = this.compiler.refuse(label);
      if (refused !== null) return refused;
      code = new ModuleCode(source);
      this.#codes.set(source, code);
      this.#check(code, label);
    }
    code.references++;
    this.#idle.delete(code);
    this.codeBytes += bytes;
    this.modules++;
    if (!code.checked) code.waiters.push(ready);
    return code;
  }

  /** `bytes` as given to {@link load}. */
  release(code: ModuleCode, bytes: number): void {
    this.codeBytes -= bytes;
    this.modules--;
    code.references--;
    if (code.references > 0) return;
    this.#idle.add(code);
    let length = 0;
    for (const each of this.#idle) length += each.source.length;
    for (const oldest of this.#idle) {
      if (this.#idle.size <= IDLE_CODES_MAX && length <= IDLE_LENGTH_MAX) break;
      length -= oldest.source.length;
      this.#forget(oldest);
    }
  }

  /** The pipeline of a launch, whole or sliced. Starts to compile it if it is new. */
  variant(
    entry: KernelEntry,
    wholeKey: string,
    shape: string,
    constants: Readonly<Record<string, number>>,
    sliceEntry = false,
  ): Variant {
    const key = sliceEntry ? wholeKey + SLICED : wholeKey;
    let variant = entry.variants.get(key);
    if (variant === undefined) {
      const refused = this.compiler.refuse(entry.info.name);
      if (refused !== null) return refusedVariant(entry, key, refused);
      const other = sliceEntry ? wholeKey : wholeKey + SLICED;
      variant = new Variant(entry, key, entry.variants.get(other)?.cost);
      entry.variants.set(key, variant);
      this.#pipelines.add(variant);
      this.#evict(variant);
      this.#compile(variant, shape, constants, sliceEntry);
    }
    return this.used(variant);
  }

  /** Notes a use, for eviction. */
  used(variant: Variant): Variant {
    variant.lastUse = ++this.#uses;
    return variant;
  }

  #forget(code: ModuleCode): void {
    this.#idle.delete(code);
    this.#forgetSource(code);
    code.forEachVariant((variant) => this.#pipelines.delete(variant));
  }

  /** The next load of this text begins anew; another code of the same text stays. */
  #forgetSource(code: ModuleCode): void {
    if (this.#codes.get(code.source) === code) this.#codes.delete(code.source);
  }

  #evict(keep: Variant): void {
    while (this.#pipelines.size > this.#limits.pipelinesMax) {
      let oldest: Variant | null = null;
      for (const each of this.#pipelines)
        if (each !== keep && (oldest === null || each.lastUse < oldest.lastUse)) oldest = each;
      if (oldest === null) return;
      this.#pipelines.delete(oldest);
      oldest.entry.variants.delete(oldest.key);
    }
  }

  #check(code: ModuleCode, label: string): void {
    this.#run(async () => {
      try {
        const executor = this.#executor;
        if (executor === null) throw new ExecutorError("lost", "the GPU is lost");
        const { ok, log } = await executor.checkModule(code.source, label);
        code.log = cutText(log, this.#limits.logBytesMax);
        if (ok) code.info = reflectModule(code.source);
        else code.status = Status.MODULE_INVALID;
      } catch (error) {
        const failed = compileFailure(error);
        code.status = failed.status;
        code.log = cutText(`${code.log}${failed.text}\n`, this.#limits.logBytesMax);
        // What went wrong with the GPU is not the code's fault: do not remember it.
        if (failed.status === Status.DEVICE_LOST) this.#forgetSource(code);
      }
      code.checked = true;
      const waiters = code.waiters;
      code.waiters = [];
      for (const ready of waiters) ready();
    });
  }

  #compile(
    variant: Variant,
    shape: string,
    constants: Readonly<Record<string, number>>,
    sliceEntry: boolean,
  ): void {
    const { entry } = variant;
    const executor = this.#executor;
    this.#run(async () => {
      try {
        if (executor === null) throw new ExecutorError("lost", "the GPU is lost");
        const { wgsl, bindings, slice } = rewriteKernel(entry.info, shape, { sliceEntry });
        variant.pipeline = await executor.createPipeline({
          label: entry.info.name,
          wgsl,
          entryPoint: entry.info.name,
          bindings,
          constants,
          ...(slice === null ? {} : { immediateBytes: slice.bytes }),
        });
      } catch (error) {
        variant.failed = compileFailure(error);
      }
      const waiters = variant.waiters;
      variant.waiters = [];
      for (const ready of waiters) ready();
    });
  }

  /** Runs a compilation when its turn has come. */
  #run(compile: () => Promise<void>): void {
    if (this.#running >= this.#limits.compilesMax) {
      this.#waiting.push(compile);
      return;
    }
    this.#running++;
    const beganNs = this.#nowNs();
    void compile().finally(() => {
      this.compiler.charge(Math.max(0, this.#nowNs() - beganNs));
      this.#running--;
      const next = this.#waiting.shift();
      if (next !== undefined) this.#run(next);
    });
  }
}

/** One that is not kept: the next launch asks again. */
function refusedVariant(entry: KernelEntry, key: string, why: Failure): Variant {
  const variant = new Variant(entry, key);
  variant.failed = why;
  return variant;
}

function wgslFailure(error: unknown): Failure {
  if (!(error instanceof WgslError)) throw error;
  return failure(notOk(error.status), error.message, 0, 0, Math.max(0, error.argument));
}

/** A compilation's error as the guest gets it; an error of our own is passed on. */
function compileFailure(error: unknown): Failure {
  if (error instanceof WgslError) return wgslFailure(error);
  if (!(error instanceof ExecutorError)) throw error;
  if (error.reason === "lost") return failure(Status.DEVICE_LOST, error.message);
  if (error.reason === "out-of-memory") return failure(Status.OUT_OF_MEMORY, error.message);
  return failure(Status.LAUNCH_FAILED, error.message);
}

export function notOk(status: Status): Failure["status"] {
  return status === Status.OK ? Status.INTERNAL : status;
}

/** At most `bytesMax` bytes of UTF-8 (three bytes for each UTF-16 unit at most). */
function cutText(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text;
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= bytesMax) return text;
  return new TextDecoder().decode(bytes.subarray(0, bytesMax)).replace(/\uFFFD$/u, "");
}
