// SPDX-License-Identifier: Apache-2.0
/** PTX modules for the device: see types.ts. */
import { InlineTranslator } from "./inline-translator.js";
import type { Translator } from "./types.js";
import { WorkerTranslator } from "./worker-translator.js";

export { CachedTranslator, type TranslationStore } from "./cached-translator.js";
export { InlineTranslator } from "./inline-translator.js";
export * from "./types.js";
export { TranslateError } from "./types.js";
export { WORKER_LIMITS, WorkerTranslator } from "./worker-translator.js";

/**
 * The compiler that {@link createTranslator} uses: its bundle is all that an answer depends on but
 * the question. Null where the sources are run as they are.
 */
export function translatorProgram(): URL | null {
  return import.meta.url.endsWith(".js") ? new URL("./worker.js", import.meta.url) : null;
}

/** A thread; in place where the sources are run as they are, which threads can't load. */
export function createTranslator(): Translator {
  return import.meta.url.endsWith(".js") ? new WorkerTranslator() : new InlineTranslator();
}
