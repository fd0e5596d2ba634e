// SPDX-License-Identifier: Apache-2.0
/**
 * A translator that keeps its answers, for this process and the next. The key of an answer is the
 * hash of all that it depends on: the module's bytes, the kernel, what it is emitted for, and which
 * compiler it is.
 *
 * A module whose answers are all there is never read at all: the translator behind is given it when
 * it is first asked something new. Only answers are kept, no errors: what a limit of time or memory
 * refused may pass another day.
 *
 * What comes from the store may have been written by a process that a guest had taken over. It is
 * checked for its form, and for the bounds that the device relies on; what it says, a guest could
 * have said as well, in a module of its own.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import {
  type CacheCounts,
  type EmitRequest,
  type EmittedText,
  type ModuleKernel,
  type TranslatedModule,
  TranslateError,
  type Translator,
} from "./types.js";

/** Where answers are kept, under names of 64 hexadecimal digits. */
export interface TranslationStore {
  get(name: string): Promise<Uint8Array | null>;
  put(name: string, contents: Uint8Array): Promise<boolean>;
  /** What was kept under this name is of no use. */
  remove(name: string): Promise<void>;
}

interface Module {
  readonly source: string | Uint8Array;
  readonly hash: string;
  /** Being read, or read, by the translator behind. */
  loading: Promise<TranslatedModule> | null;
  variables: ReadonlySet<string>;
  /** Of the kernels that were described. */
  readonly paramBytes: Map<string, number>;
}

const NAME_LENGTH_MAX = 4096;
const LIST_MAX = 65_536;
/** Of a uniform binding, which the parameters are in: launch-ptx.ts. */
const UNIFORM_BYTES_MAX = 65_536;

const count = z.int().min(0);
const name = z.string().max(NAME_LENGTH_MAX);
const text = z.string();
const align = count.refine((value) => value > 0 && value <= 65_536 && (value & (value - 1)) === 0);

const variable = z
  .strictObject({
    name,
    bytes: count,
    align,
    init: z.base64().nullable(),
    relocations: z
      .array(z.strictObject({ at: count, target: name, addend: z.int() }))
      .max(LIST_MAX),
    managed: z.boolean(),
  })
  .transform(({ init, ...rest }) => ({
    ...rest,
    init: init === null ? null : new Uint8Array(Buffer.from(init, "base64")),
  }))
  .refine(({ init, bytes }) => init === null || init.length <= bytes);

const moduleAnswer = z.strictObject({
  version: name,
  target: name,
  kernels: z.array(name).max(LIST_MAX),
  variables: z.array(variable).max(LIST_MAX),
  textLength: count,
});

const kernelAnswer = z
  .strictObject({
    name,
    line: count,
    lastLine: count,
    params: z.array(z.strictObject({ offset: count, bytes: count, align })).max(LIST_MAX),
    paramBytes: count.max(UNIFORM_BYTES_MAX),
    sharedBytes: count,
    maxThreads: count,
    block: z.tuple([count.min(1), count.min(1), count.min(1)]).nullable(),
    unsupported: text.nullable(),
    unsliceable: text.nullable(),
    mayFault: z.boolean(),
  })
  .refine(({ params, paramBytes }) =>
    params.every(({ offset, bytes }) => offset + bytes <= paramBytes),
  );

const emitAnswer = z.strictObject({
  wgsl: text,
  entryPoint: name,
  globals: z.array(name).max(LIST_MAX),
  uniformBytes: count.max(UNIFORM_BYTES_MAX),
});

/** What a launch writes at least: launch-ptx.ts, and ranges.ts for checked modules. */
function uniformBytesMin(paramBytes: number, globals: number, request: EmitRequest): number {
  const padded = (bytes: number): number => Math.ceil(bytes / 16) * 16;
  const segmentsAt = padded(padded(paramBytes) + 8 * globals);
  const end = segmentsAt + 8 * request.segments;
  return request.checked ? padded(end) + padded(8 * request.segments) : end;
}

export class CachedTranslator implements Translator {
  readonly #inner: Translator;
  readonly #store: TranslationStore;
  readonly #version: string;
  readonly #modules = new Map<number, Module>();
  readonly #counts = { hits: 0, misses: 0 };

  /** `version` differs wherever `inner` would answer otherwise. */
  constructor(inner: Translator, store: TranslationStore, version: string) {
    this.#inner = inner;
    this.#store = store;
    this.#version = version;
  }

  get cache(): CacheCounts {
    return this.#counts;
  }

  async load(id: number, source: string | Uint8Array): Promise<TranslatedModule> {
    // A text and the same bytes as a fat binary are two modules.
    const kind = typeof source === "string" ? "text" : "bytes";
    const hash = createHash("sha256").update(kind).update(source).digest("hex");
    const paramBytes = new Map<string, number>();
    const module: Module = { source, hash, loading: null, variables: new Set(), paramBytes };
    this.#modules.set(id, module);
    const info = await this.#answer(
      ["load", hash],
      (found) => moduleAnswer.parse(found),
      () => this.#behind(id, module),
    ).catch((error: unknown) => {
      this.#modules.delete(id);
      throw error;
    });
    module.variables = new Set(info.variables.map((each) => each.name));
    return info;
  }

  async describe(id: number, kernel: string): Promise<ModuleKernel> {
    const module = this.#module(id);
    const info = await this.#answer(
      ["describe", module.hash, kernel],
      (found) => {
        const kept = kernelAnswer.parse(found);
        if (kept.name !== kernel) throw new Error(`the answer is about ${kept.name}`);
        return kept;
      },
      async () => {
        await this.#behind(id, module);
        return this.#inner.describe(id, kernel);
      },
    );
    module.paramBytes.set(kernel, info.paramBytes);
    return info;
  }

  async emit(id: number, kernel: string, request: EmitRequest): Promise<EmittedText> {
    const module = this.#module(id);
    const sorted = Object.entries(request).sort(([a], [b]) => (a < b ? -1 : 1));
    return this.#answer(
      ["emit", module.hash, kernel, JSON.stringify(sorted)],
      (found) => {
        const emitted = emitAnswer.parse(found);
        const unknown = emitted.globals.find((each) => !module.variables.has(each));
        if (unknown !== undefined) throw new Error(`the module has no variable ${unknown}`);
        const paramBytes = module.paramBytes.get(kernel) ?? UNIFORM_BYTES_MAX;
        if (emitted.uniformBytes < uniformBytesMin(paramBytes, emitted.globals.length, request))
          throw new Error(`a uniform of ${emitted.uniformBytes} bytes is too small`);
        return emitted;
      },
      async () => {
        await this.#behind(id, module);
        return this.#inner.emit(id, kernel, request);
      },
    );
  }

  forget(id: number): void {
    const module = this.#modules.get(id);
    this.#modules.delete(id);
    if (module !== undefined && module.loading !== null) this.#inner.forget(id);
  }

  close(): void {
    this.#modules.clear();
    this.#inner.close();
  }

  #module(id: number): Module {
    const found = this.#modules.get(id);
    if (found === undefined) throw new Error(`module ${id} was not loaded`);
    return found;
  }

  /** The translator behind has the module then; it is given it once. */
  #behind(id: number, module: Module): Promise<TranslatedModule> {
    if (this.#modules.get(id) !== module)
      return Promise.reject(new TranslateError("limit", `module ${id} is forgotten`));
    module.loading ??= this.#inner.load(id, module.source).catch((error: unknown) => {
      // What a limit refused may pass another time.
      module.loading = null;
      throw error;
    });
    return module.loading;
  }

  async #answer<T>(
    parts: readonly string[],
    check: (found: unknown) => T,
    ask: () => Promise<T>,
  ): Promise<T> {
    const key = createHash("sha256")
      .update(JSON.stringify([this.#version, ...parts]))
      .digest("hex");
    const contents = await this.#store.get(key);
    if (contents !== null) {
      try {
        const found = check(JSON.parse(Buffer.from(contents).toString("utf8")));
        this.#counts.hits++;
        return found;
      } catch {
        await this.#store.remove(key);
      }
    }
    this.#counts.misses++;
    const answer = await ask();
    const json = JSON.stringify(answer, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value,
    );
    // Whoever waits for the translation does not wait for the disk.
    void this.#store.put(key, Buffer.from(json));
    return answer;
  }
}
