// SPDX-License-Identifier: Apache-2.0
/**
 * The translator in a thread of its own: modules come from hostile guests, and neither a long
 * translation may hold up the device's rings, nor one without end go on. What takes longer than its
 * limit, or more memory, ends with its thread; a new one begins with the next request, and gets the
 * modules again that it is asked about.
 *
 * One request is with the thread at a time, so that its limit is its own.
 */
import { Worker } from "node:worker_threads";
import type { WorkerAnswer, WorkerRequest } from "./messages.js";
import {
  type EmitRequest,
  type EmittedText,
  type ModuleKernel,
  type TranslatedModule,
  TranslateError,
  type Translator,
} from "./types.js";

export interface WorkerLimits {
  /** Time of one request, ms: reading a module, and translating a kernel. */
  readonly loadMs: number;
  readonly kernelMs: number;
  /** Memory of the thread's objects, MiB. */
  readonly heapMib: number;
}

export const WORKER_LIMITS: WorkerLimits = { loadMs: 20_000, kernelMs: 10_000, heapMib: 1024 };

interface Task {
  readonly request: WorkerRequest;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class WorkerTranslator implements Translator {
  readonly #limits: WorkerLimits;
  readonly #program: URL;
  /** Modules, as they were given: for a thread that does not know them. */
  readonly #sources = new Map<number, string | Uint8Array>();
  /** Modules that are being read and were not forgotten meanwhile. */
  readonly #loading = new Set<number>();
  /** Those that the thread that runs now has read. */
  readonly #known = new Set<number>();
  readonly #queue: Task[] = [];
  #worker: Worker | null = null;
  #current: Task | null = null;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  /** `program` is the thread's; it differs in tests only. */
  constructor(
    limits: WorkerLimits = WORKER_LIMITS,
    program = new URL("./worker.js", import.meta.url),
  ) {
    this.#limits = limits;
    this.#program = program;
  }

  async load(id: number, source: string | Uint8Array): Promise<TranslatedModule> {
    this.#loading.add(id);
    const asked = this.#ask({ kind: "load", id, source });
    const module = (await asked.finally(() => {
      if (this.#loading.delete(id)) return;
      this.forget(id);
      throw new TranslateError("limit", `module ${id} is forgotten`);
    })) as TranslatedModule;
    this.#sources.set(id, source);
    return module;
  }

  async describe(id: number, kernel: string): Promise<ModuleKernel> {
    return (await this.#askOf(id, { kind: "describe", id, kernel })) as ModuleKernel;
  }

  async emit(id: number, kernel: string, request: EmitRequest): Promise<EmittedText> {
    return (await this.#askOf(id, { kind: "emit", id, kernel, request })) as EmittedText;
  }

  forget(id: number): void {
    this.#loading.delete(id);
    this.#sources.delete(id);
    if (this.#known.delete(id)) this.#ask({ kind: "forget", id }).catch(() => {});
  }

  close(): void {
    this.#closed = true;
    const waiting = this.#queue.splice(0);
    for (const task of waiting) task.reject(new TranslateError("limit", "the device ends"));
    this.#end(new TranslateError("limit", "the device ends"));
  }

  /** About a module that was loaded. */
  async #askOf(id: number, request: WorkerRequest): Promise<unknown> {
    if (!this.#sources.has(id)) throw new Error(`module ${id} was not loaded`);
    return this.#ask(request);
  }

  #ask(request: WorkerRequest): Promise<unknown> {
    if (this.#closed) return Promise.reject(new TranslateError("limit", "the device ends"));
    return new Promise((resolve, reject) => {
      this.#queue.push({ request, resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#current !== null) return;
    const task = this.#queue.shift();
    if (task === undefined) return;
    this.#perform(this.#reloading(task) ?? task);
  }

  /** What has to be done before a request about a module that an earlier thread had read. */
  #reloading(task: Task): Task | null {
    const { kind, id } = task.request;
    const source = this.#sources.get(id);
    if (kind === "load" || kind === "forget" || this.#known.has(id) || source === undefined)
      return null;
    this.#queue.unshift(task);
    const reject = (error: Error): void => {
      if (this.#queue[0] === task) this.#queue.shift();
      task.reject(error);
    };
    return { request: { kind: "load", id, source }, resolve: () => {}, reject };
  }

  #perform(task: Task): void {
    const { request } = task;
    this.#current = task;
    const worker = this.#worker ?? this.#start();
    const ms = request.kind === "load" ? this.#limits.loadMs : this.#limits.kernelMs;
    this.#timer = setTimeout(() => {
      this.#end(new TranslateError("limit", `the translation takes longer than ${ms / 1000} s`));
    }, ms);
    worker.postMessage(request);
  }

  #start(): Worker {
    const { heapMib } = this.#limits;
    const worker = new Worker(this.#program, {
      name: "translator",
      // What is not for the guest's eyes is not for this thread either.
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: heapMib, stackSizeMb: 4 },
    });
    this.#worker = worker;
    worker.unref();
    const gone = (message: string): void => {
      if (this.#worker === worker) this.#end(new TranslateError("limit", message));
    };
    worker.on("message", (answer: WorkerAnswer) => {
      if (this.#worker === worker) this.#answered(answer);
    });
    worker.on("error", (error: Error & { code?: string }) => {
      const memory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      if (memory) gone(`the translation needs more than ${heapMib} MiB`);
      else gone(`the translator has failed: ${error.message}`);
    });
    worker.on("exit", () => gone("the translator has ended"));
    return worker;
  }

  #answered(answer: WorkerAnswer): void {
    const task = this.#current;
    if (task === null) return;
    this.#settled();
    if (answer.ok) {
      if (task.request.kind === "load") this.#known.add(task.request.id);
      task.resolve(answer.result);
    } else if (answer.reason === null) {
      task.reject(new TranslateError("internal", answer.message));
    } else {
      task.reject(new TranslateError(answer.reason, answer.message));
    }
    this.#next();
  }

  /** The thread is no use any more. */
  #end(error: Error): void {
    const worker = this.#worker;
    this.#worker = null;
    this.#known.clear();
    void worker?.terminate();
    const task = this.#current;
    this.#settled();
    task?.reject(error);
    if (!this.#closed) this.#next();
  }

  #settled(): void {
    this.#current = null;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
