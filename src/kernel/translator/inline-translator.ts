// SPDX-License-Identifier: Apache-2.0
/**
 * The translator in place: what a thread does with each request, and all there is for tests and
 * tools, whose modules are not hostile and who have nobody else to serve meanwhile.
 */
import { choosePtx, FatbinError, loadZstd } from "../fatbin/index.js";
import { emitKernel, PTX_LIMITS, PtxError, type PtxModule, parsePtx } from "../ptx/index.js";
import {
  type EmitRequest,
  type EmittedText,
  type ModuleKernel,
  type TranslatedModule,
  TranslateError,
  type Translator,
} from "./types.js";

/** Below the compiler's own, for the memory of a process that serves one guest. */
const LIMITS = {
  ...PTX_LIMITS,
  sourceLengthMax: 16 * 1024 * 1024,
  instructionsMax: 1_000_000,
  initialBytesMax: 16 * 1024 * 1024,
  emittedLengthMax: 4 * 1024 * 1024,
};

interface Loaded {
  readonly module: PtxModule;
  /** First and last line of each kernel. */
  readonly lines: ReadonlyMap<string, readonly [number, number]>;
}

export class InlineTranslator implements Translator {
  readonly #modules = new Map<number, Loaded>();

  async load(id: number, source: string | Uint8Array): Promise<TranslatedModule> {
    if (typeof source !== "string") await loadZstd();
    return translated("invalid", () => {
      const text = withoutEnd(typeof source === "string" ? source : choosePtx(source));
      const module = parsePtx(text, LIMITS);
      this.#modules.set(id, { module, lines: kernelLines(text) });
      return {
        version: module.version,
        target: module.target,
        textLength: text.length,
        kernels: module.kernels.map((each) => each.name),
        variables: module.globals.map(({ name, bytes, align, init, relocations, managed }) => ({
          name,
          bytes,
          align,
          init,
          relocations: relocations.map((each) => ({ ...each })),
          managed,
        })),
      };
    });
  }

  async describe(id: number, kernel: string): Promise<ModuleKernel> {
    return translated("unsupported", () => {
      const { module, lines } = this.#module(id);
      const found = module.kernels.find((each) => each.name === kernel);
      if (found === undefined) throw new Error(`module ${id} has no kernel ${kernel}`);
      const [line, lastLine] = lines.get(kernel) ?? [0, 0];
      return {
        name: found.name,
        line,
        lastLine,
        params: found.params.map(({ offset, bytes, align }) => ({ offset, bytes, align })),
        paramBytes: found.paramBytes,
        sharedBytes: found.sharedBytes,
        maxThreads: found.maxThreads,
        block: found.block,
        unsupported: found.unsupported,
        unsliceable: found.unsliceable,
        mayFault: found.mayFault,
      };
    });
  }

  async emit(id: number, kernel: string, request: EmitRequest): Promise<EmittedText> {
    return translated("unsupported", () => {
      const emitted = emitKernel(this.#module(id).module, kernel, request);
      const { wgsl, entryPoint, globals, uniformBytes } = emitted;
      return { wgsl, entryPoint, globals: [...globals], uniformBytes };
    });
  }

  forget(id: number): void {
    this.#modules.delete(id);
  }

  close(): void {
    this.#modules.clear();
  }

  #module(id: number): Loaded {
    const found = this.#modules.get(id);
    if (found === undefined) throw new Error(`module ${id} was not loaded`);
    return found;
  }
}

/** Runs a translation; `reason` is what an error of the module means. */
function translated<T>(reason: "invalid" | "unsupported", work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof PtxError) throw new TranslateError(reason, error.message);
    if (error instanceof FatbinError) throw new TranslateError("invalid", error.message);
    // Nested too deeply for the stack, despite the compiler's limits.
    if (error instanceof RangeError)
      throw new TranslateError("limit", `the module is too large: ${error.message}`);
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new TranslateError("internal", `the compiler has failed: ${text.slice(0, 1000)}`);
  }
}

/** Without zeros at its end. No expression: from each zero of a text it would look for the end again. */
function withoutEnd(text: string): string {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === 0) end--;
  return text.slice(0, end);
}

/** How far into a line its head is looked for: that of nvcc's longest names is far shorter. */
const HEAD_LENGTH_MAX = 4096;
const HEAD = /^[^/]*?\.(entry|func)\b(?:.*?\s([\w$]+)\s*\()?/u;

/** A kernel ends where the next entry point or function begins. Each line is looked at once. */
function kernelLines(text: string): Map<string, readonly [number, number]> {
  const lines = new Map<string, readonly [number, number]>();
  let open: { name: string; line: number } | null = null;
  let line = 1;
  for (let at = 0; at < text.length; line++) {
    const end = text.indexOf("\n", at);
    const stop = end < 0 ? text.length : end;
    const head = HEAD.exec(text.slice(at, Math.min(stop, at + HEAD_LENGTH_MAX)));
    at = stop + 1;
    if (head === null) continue;
    if (open !== null) lines.set(open.name, [open.line, line - 1]);
    open = head[1] === "entry" ? { name: head[2] ?? "", line } : null;
  }
  if (open !== null) lines.set(open.name, [open.line, text.endsWith("\n") ? line : line - 1]);
  return lines;
}
