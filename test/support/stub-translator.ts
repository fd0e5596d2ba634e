// SPDX-License-Identifier: Apache-2.0
/**
 * A translator for tests of the device: a module is JSON (of part of TranslatedModule), and a kernel
 * is emitted as its name, which MemoryExecutor knows how to execute. Answers come when the test lets
 * them.
 */
import { choosePtx, FatbinError, loadZstd } from "../../src/kernel/fatbin/index.js";
import {
  type EmitRequest,
  type EmittedText,
  type ModuleKernel,
  type ModuleVariable,
  type TranslatedModule,
  TranslateError,
  type Translator,
} from "../../src/kernel/translator/index.js";

/** Room for the ranges in use of a checked kernel: a hundred are enough here. */
export const CHECKED_RANGES_BYTES = 800;

export interface StubVariable extends Partial<Omit<ModuleVariable, "init">> {
  readonly name: string;
  readonly init?: readonly number[];
}

export interface StubKernel extends Partial<ModuleKernel> {
  readonly name: string;
  /** Variables that it uses. */
  readonly globals?: readonly string[];
  /** Why emission fails, or how long the WGSL is. */
  readonly fails?: string;
  readonly length?: number;
}

export interface StubModule {
  readonly kernels?: readonly StubKernel[];
  readonly variables?: readonly StubVariable[];
}

/** The text of a module. */
export const stubPtx = (module: StubModule): string => JSON.stringify(module);

export class StubTranslator implements Translator {
  readonly loaded = new Map<number, StubModule>();
  readonly loads: (string | Uint8Array)[] = [];
  readonly described: string[] = [];
  readonly emitted: { readonly kernel: string; readonly request: EmitRequest }[] = [];
  closed = false;
  /** While set, answers wait for {@link release}. */
  hold = false;
  #waiting: (() => void)[] = [];

  async load(id: number, source: string | Uint8Array): Promise<TranslatedModule> {
    this.loads.push(source);
    await this.#turn();
    const module = parse(source);
    this.loaded.set(id, module);
    return {
      version: "8.0",
      target: "sm_75",
      textLength: source.length,
      kernels: (module.kernels ?? []).map((each) => each.name),
      variables: (module.variables ?? []).map((each) => ({
        bytes: each.init?.length ?? 4,
        align: 4,
        relocations: [],
        managed: false,
        ...each,
        init: each.init === undefined ? null : Uint8Array.from(each.init),
      })),
    };
  }

  async describe(id: number, kernel: string): Promise<ModuleKernel> {
    this.described.push(kernel);
    await this.#turn();
    return {
      line: 1,
      lastLine: 1,
      params: [],
      paramBytes: 0,
      sharedBytes: 0,
      maxThreads: 1024,
      block: null,
      unsupported: null,
      unsliceable: null,
      mayFault: false,
      ...this.#kernel(id, kernel),
    };
  }

  #kernel(id: number, name: string): StubKernel {
    const found = this.loaded.get(id)?.kernels?.find((each) => each.name === name);
    if (found === undefined) throw new Error(`kernel ${name} of module ${id} is unknown`);
    return found;
  }

  async emit(id: number, kernel: string, request: EmitRequest): Promise<EmittedText> {
    this.emitted.push({ kernel, request });
    await this.#turn();
    const found = this.#kernel(id, kernel);
    if (found.fails !== undefined) throw new TranslateError("unsupported", found.fails);
    const globals = found.globals ?? [];
    const pad = (bytes: number): number => Math.ceil(bytes / 16) * 16;
    const segments = pad(request.segments * 8);
    const ranges = request.checked ? segments + CHECKED_RANGES_BYTES : 0;
    const uniformBytes = pad(found.paramBytes ?? 0) + pad(globals.length * 8) + segments + ranges;
    const wgsl = `// ${kernel}`.padEnd(found.length ?? 0);
    return { wgsl, entryPoint: kernel, globals, uniformBytes };
  }

  forget(id: number): void {
    this.loaded.delete(id);
  }

  close(): void {
    this.closed = true;
  }

  release(): void {
    this.hold = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const go of waiting) go();
  }

  async #turn(): Promise<void> {
    if (this.hold) await new Promise<void>((go) => this.#waiting.push(go));
  }
}

await loadZstd();

function parse(source: string | Uint8Array): StubModule {
  try {
    return JSON.parse(typeof source === "string" ? source : choosePtx(source)) as StubModule;
  } catch (error) {
    if (error instanceof FatbinError) throw new TranslateError("invalid", error.message);
    throw new TranslateError("invalid", `line 1: ${String(error)}`);
  }
}
