// SPDX-License-Identifier: Apache-2.0
/** The translator's thread: one request at a time, answered with a result or what went wrong. */
import { parentPort } from "node:worker_threads";
import { InlineTranslator } from "./inline-translator.js";
import type { WorkerAnswer, WorkerRequest } from "./messages.js";
import { TranslateError } from "./types.js";

const translator = new InlineTranslator();

function perform(request: WorkerRequest): Promise<unknown> {
  switch (request.kind) {
    case "load":
      return translator.load(request.id, request.source);
    case "describe":
      return translator.describe(request.id, request.kernel);
    case "emit":
      return translator.emit(request.id, request.kernel, request.request);
    case "forget":
      translator.forget(request.id);
      return Promise.resolve(null);
  }
}

const answer = (message: WorkerAnswer): void => parentPort?.postMessage(message);

parentPort?.on("message", (request: WorkerRequest) => {
  perform(request).then(
    (result) => answer({ ok: true, result }),
    (error: unknown) => {
      if (error instanceof TranslateError)
        answer({ ok: false, reason: error.reason, message: error.message });
      else {
        const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
        answer({ ok: false, reason: null, message });
      }
    },
  );
});
