// SPDX-License-Identifier: Apache-2.0
/**
 * Checked code and compiled pipelines of an instance. Code is shared by its contents: the second
 * process that loads a module compiles nothing. Pipelines are kept per entry point and what they
 * were made for (block size, binding shape; with PTX the number of segments and dynamic workgroup
 * memory as well); above the limit the least recently used one goes.
 *
 * Compilations run beside everything else, a few at a time; who needs the result registers a
 * callback, so that a launch of a compiled pipeline involves no promise.
 */
import { createHash } from "node:crypto";
import type { ModuleLoadCommand } from "../command/types.js";
import { type Executor, ExecutorError } from "../gpu/executor.js";
import type { CacheCounts, EmitRequest, Translator } from "../kernel/translator/index.js";
import { TranslateError } from "../kernel/translator/index.js";
import { checkLength, reflectModule, rewriteKernel, SLICE_LAYOUT } from "../kernel/wgsl/index.js";
import { ModuleFormat, Status } from "../protocol/generated/wire.js";
import { CompileBudget } from "./compile-budget.js";
import { KernelCost } from "./cost.js";
import { type Failure, failure } from "./failure.js";
import {
  compileFailure,
  type Entry,
  type ModuleCode,
  PtxCode,
  type PtxEntry,
  SLICED,
  Variant,
  WgslCode,
  type WgslEntry,
} from "./kernel-code.js";
import type { InstanceLimits } from "./limits.js";

/** Modules that nobody uses any more are kept in case they are loaded again: count and text. */
const IDLE_CODES_MAX = 32;
const IDLE_LENGTH_MAX = 1024 * 1024;
/** Text up to this length is parsed in less than a tenth of a second. */
const SHORT_LENGTH = 32 * 1024;
/** What parsing takes on a slow and busy machine, ms per KiB; from a MiB on it grows faster. */
const PARSE_MS_PER_KIB = 4;

/** How long this thread may be busy with a text of so many characters, ms. */
function parseMs(length: number): number {
  const kib = length / 1024;
  return kib * PARSE_MS_PER_KIB * Math.max(1, kib / 1024);
}

export class KernelStore {
  readonly #limits: InstanceLimits;
  /** Null if modules in PTX are not offered. */
  readonly #translator: Translator | null;
  #translations = 0;
  readonly #nowNs: () => number;
  /** Is told before this thread parses a long text, ms. */
  readonly #busy: (ms: number) => void;
  /** Compiler time of the guest. */
  readonly compiler: CompileBudget;
  readonly #codes = new Map<string, ModuleCode>();
  /** Codes without references, the oldest first. */
  readonly #idle = new Set<ModuleCode>();
  readonly #pipelines = new Set<Variant>();
  readonly #waiting: (() => Promise<void>)[] = [];
  #running = 0;
  /** Codes that are checked or wait for it, also those that nobody wants any more; and their bytes. */
  #checks = 0;
  #checkBytes = 0;
  #uses = 0;
  #executor: Executor | null = null;
  /** Bytes of the code of all modules that are loaded, counted once per load. */
  codeBytes = 0;
  /** Modules that are loaded, over all contexts. */
  modules = 0;
  /** Functions that exist, over all contexts. */
  functions = 0;

  constructor(
    limits: InstanceLimits,
    translator: Translator | null,
    nowNs: () => number,
    busy: (ms: number) => void = () => {},
  ) {
    this.#busy = busy;
    this.#limits = limits;
    this.#translator = translator;
    this.#nowNs = nowNs;
    this.compiler = new CompileBudget(limits, nowNs);
  }

  /** Whether modules in PTX are offered. */
  get ptx(): boolean {
    return this.#translator !== null;
  }

  get translationCache(): CacheCounts | null {
    return this.#translator?.cache ?? null;
  }

  get pipelineCount(): number {
    return this.#pipelines.size;
  }

  /** Compilations running or waiting. */
  get compiling(): number {
    return this.#running + this.#waiting.length;
  }

  close(): void {
    this.#translator?.close();
  }

  /** A new GPU: pipelines of the old one are worthless. */
  setExecutor(executor: Executor | null): void {
    this.#executor = executor;
    for (const variant of this.#pipelines) variant.entry.variants.delete(variant.key);
    this.#pipelines.clear();
    // A check that still runs on the old GPU must not answer for a module loaded from now on.
    for (const code of this.#codes.values()) if (!code.checked) this.#codes.delete(code.key);
  }

  /**
   * The code of a module, checked or not. `ready` is called once later if it is not checked yet.
   * Give it back with {@link release}.
   */
  load(command: ModuleLoadCommand, label: string, ready: () => void): ModuleCode | Failure {
    const { codeBytesMax, codeBytesTotalMax, modulesTotalMax } = this.#limits;
    const bytes = command.codeBytes;
    if (command.format !== ModuleFormat.WGSL && this.#translator === null)
      return failure(Status.NOT_SUPPORTED, `${label} is in PTX, which is not offered`);
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
    const code = this.#code(command, label);
    if (code.kind === "error") return code;
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
    for (const each of this.#idle) length += each.length;
    for (const oldest of this.#idle) {
      if (this.#idle.size <= IDLE_CODES_MAX && length <= IDLE_LENGTH_MAX) break;
      length -= oldest.length;
      this.#forget(oldest);
    }
  }

  /** The code that a command brings: known, or new and about to be checked. */
  #code(command: ModuleLoadCommand, label: string): ModuleCode | Failure {
    const { format, checked } = command;
    const source = format === ModuleFormat.FATBIN ? command.image : command.code;
    const key = format === ModuleFormat.WGSL ? command.code : ptxKey(source, checked);
    const known = this.#codes.get(key);
    if (known !== undefined) return known;
    const refused = this.compiler.refuse(label) ?? this.#refuseCheck(command.codeBytes, label);
    if (refused !== null) return refused;
    const code =
      format === ModuleFormat.WGSL
        ? new WgslCode(command.code)
        : new PtxCode(key, command.codeBytes, ++this.#translations, checked);
    this.#codes.set(key, code);
    this.#checks++;
    this.#checkBytes += command.codeBytes;
    if (code instanceof WgslCode) this.#check(code, command.codeBytes, label);
    else {
      // The copy that the command has a view on is gone once it was executed.
      code.source = typeof source === "string" ? source : source.slice();
      this.#translate(code, command.codeBytes);
    }
    return code;
  }

  /** What is unloaded before it was checked stays until its turn: that is bounded like what is loaded. */
  #refuseCheck(bytes: number, label: string): Failure | null {
    const { codeBytesTotalMax, modulesTotalMax } = this.#limits;
    const total = this.#checkBytes + bytes;
    if (this.#checks < modulesTotalMax && total <= codeBytesTotalMax) return null;
    const text = `${label} would be one of ${this.#checks + 1} modules (${total} bytes) to be checked, the limit is ${modulesTotalMax} (${codeBytesTotalMax})`;
    return failure(Status.QUOTA, text, total, codeBytesTotalMax);
  }

  /** The pipeline of a launch of PTX. `key` names the request. Starts to compile it if it is new. */
  ptxVariant(entry: PtxEntry, key: string, costKey: string, request: () => EmitRequest): Variant {
    let variant = entry.variants.get(key);
    if (variant === undefined) {
      const refused = this.compiler.refuse(entry.name);
      if (refused !== null) return refusedVariant(entry, key, refused);
      let cost = entry.cost.get(costKey);
      if (cost === undefined) {
        cost = new KernelCost();
        entry.cost.set(costKey, cost);
      }
      variant = new Variant(entry, key, cost);
      entry.variants.set(key, variant);
      this.#pipelines.add(variant);
      this.#evict(variant);
      this.#compilePtx(variant, entry, request());
    }
    return this.used(variant);
  }

  /** The pipeline of a launch, whole or sliced. Starts to compile it if it is new. */
  variant(
    entry: WgslEntry,
    wholeKey: string,
    shape: string,
    constants: Readonly<Record<string, number>>,
    sliceEntry = false,
  ): Variant {
    const key = sliceEntry ? wholeKey + SLICED : wholeKey;
    let variant = entry.variants.get(key);
    if (variant === undefined) {
      const refused = this.compiler.refuse(entry.name);
      if (refused !== null) return refusedVariant(entry, key, refused);
      const other = sliceEntry ? wholeKey : wholeKey + SLICED;
      variant = new Variant(entry, key, entry.variants.get(other)?.cost);
      entry.variants.set(key, variant);
      this.#pipelines.add(variant);
      this.#evict(variant);
      this.#compile(variant, entry, shape, constants, sliceEntry);
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
    code.forgotten = true;
    if (code instanceof PtxCode) {
      code.source = null;
      // One that is being read is forgotten when that is over.
      if (code.checked) this.#translator?.forget(code.id);
    }
    this.#forgetSource(code);
    code.forEachVariant((variant) => this.#pipelines.delete(variant));
  }

  /** The next load of this text begins anew; another code of the same text stays. */
  #forgetSource(code: ModuleCode): void {
    if (this.#codes.get(code.key) === code) this.#codes.delete(code.key);
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

  #check(code: WgslCode, bytes: number, label: string): void {
    this.#runCheck(code, bytes, async () => {
      const executor = this.#executor;
      if (executor === null) throw new ExecutorError("lost", "the GPU is lost");
      checkLength(code.source);
      this.#announce(code.source);
      const { ok, log } = await executor.checkModule(code.source, label);
      code.log = cutText(log, this.#limits.logBytesMax);
      if (!ok) {
        code.status = Status.MODULE_INVALID;
        return;
      }
      this.#announce(code.source);
      code.info = reflectModule(code.source);
    });
  }

  #translate(code: PtxCode, bytes: number): void {
    this.#runCheck(code, bytes, async () => {
      const translator = this.#translator;
      const { source } = code;
      code.source = null;
      if (translator === null || source === null)
        throw new TranslateError("unsupported", "PTX is not offered");
      code.info = await translator.load(code.id, source);
    });
  }

  /** Before this thread parses a text: nobody should take it for hung meanwhile. */
  #announce(text: string): void {
    if (text.length > SHORT_LENGTH) this.#busy(parseMs(text.length));
  }

  /** Finds out what a kernel needs; `ready` is called once later. */
  describe(code: PtxCode, name: string, ready: () => void): void {
    this.#run(async () => {
      // Two functions of one name may be made at a time.
      if (!code.forgotten && code.isUndescribed(name)) {
        try {
          const translator = this.#translator;
          if (translator === null) throw new TranslateError("unsupported", "PTX is not offered");
          code.described(name, await translator.describe(code.id, name));
        } catch (error) {
          code.described(name, compileFailure(error));
        }
      }
      ready();
    });
  }

  #runCheck(code: ModuleCode, bytes: number, check: () => Promise<void>): void {
    this.#run(async () => {
      try {
        if (code.forgotten) code.status = Status.MODULE_INVALID;
        else await check();
      } catch (error) {
        const failed = compileFailure(error);
        code.status = failed.status;
        code.log = cutText(`${code.log}${failed.text}\n`, this.#limits.logBytesMax);
        // What went wrong with the GPU is not the code's fault: do not remember it.
        if (failed.status === Status.DEVICE_LOST) this.#forgetSource(code);
      }
      code.checked = true;
      this.#checks--;
      this.#checkBytes -= bytes;
      if (code.forgotten && code instanceof PtxCode) this.#translator?.forget(code.id);
      const waiters = code.waiters;
      code.waiters = [];
      for (const ready of waiters) ready();
    });
  }

  #compile(
    variant: Variant,
    entry: WgslEntry,
    shape: string,
    constants: Readonly<Record<string, number>>,
    sliceEntry: boolean,
  ): void {
    this.#runCompile(variant, async (executor) => {
      this.#announce(entry.code.source);
      const { wgsl, bindings, slice } = rewriteKernel(entry.info, shape, { sliceEntry });
      variant.pipeline = await executor.createPipeline({
        label: entry.info.name,
        wgsl,
        entryPoint: entry.info.name,
        bindings,
        constants,
        ...(slice === null ? {} : { immediateBytes: slice.bytes }),
      });
    });
  }

  /** Bindings: the context's segments in their order, then the uniform of launch-ptx.ts. */
  #compilePtx(variant: Variant, entry: PtxEntry, request: EmitRequest): void {
    this.#runCompile(variant, async (executor) => {
      const translator = this.#translator;
      if (translator === null) throw new TranslateError("unsupported", "PTX is not offered");
      const emitted = await translator.emit(entry.code.id, entry.name, request);
      const { emittedLengthMax } = this.#limits;
      const { length } = emitted.wgsl;
      if (length > emittedLengthMax) {
        const text = `${entry.name} is ${length} characters of WGSL, the limit is ${emittedLengthMax}`;
        throw new TranslateError("limit", text);
      }
      this.#announce(emitted.wgsl);
      variant.globals = emitted.globals;
      variant.uniformBytes = emitted.uniformBytes;
      const { segments } = request;
      variant.pipeline = await executor.createPipeline({
        label: entry.name,
        wgsl: emitted.wgsl,
        entryPoint: emitted.entryPoint,
        bindings: [
          ...Array.from({ length: segments }, (_, binding) => ({
            binding,
            kind: "storage" as const,
            bytes: 0,
          })),
          { binding: segments, kind: "uniform", bytes: emitted.uniformBytes },
        ],
        constants: {},
        immediateBytes: SLICE_LAYOUT.bytes,
      });
    });
  }

  #runCompile(variant: Variant, compile: (executor: Executor) => Promise<void>): void {
    const executor = this.#executor;
    this.#run(async () => {
      try {
        if (executor === null) throw new ExecutorError("lost", "the GPU is lost");
        await compile(executor);
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
function refusedVariant(entry: Entry, key: string, why: Failure): Variant {
  const variant = new Variant(entry, key);
  variant.failed = why;
  return variant;
}

/** Equal for equal modules in PTX: they are too long to be keys themselves. */
function ptxKey(source: string | Uint8Array, checked: boolean): string {
  const kind = typeof source === "string" ? "ptx" : "fatbin";
  return `${kind} ${checked ? 1 : 0} ${createHash("sha256").update(source).digest("base64")}`;
}

/** At most `bytesMax` bytes of UTF-8 (three bytes for each UTF-16 unit at most). */
function cutText(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax) return text;
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= bytesMax) return text;
  return new TextDecoder().decode(bytes.subarray(0, bytesMax)).replace(/\uFFFD$/u, "");
}
