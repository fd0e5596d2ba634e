// SPDX-License-Identifier: Apache-2.0
/** Contexts with work that can go on, in the order of their turns; and their streams with it. */
import type { Context } from "./context.js";
import { Fifo, type Stream } from "./streams.js";

export class ReadyContexts {
  readonly #contexts = new Fifo<Context>();
  readonly #nowNs: () => number;

  constructor(nowNs: () => number) {
    this.#nowNs = nowNs;
  }

  get length(): number {
    return this.#contexts.length;
  }

  /** The next context; it is not listed any more. */
  shift(): Context | undefined {
    const context = this.#contexts.shift();
    if (context !== undefined) context.ready = false;
    return context;
  }

  /** Lists a stream with its context, unless it is blocked. */
  list(context: Context, stream: Stream): void {
    if (stream.blocked !== null) return;
    this.enlist(context, stream);
    this.add(context);
  }

  /** Lists a stream in its context; `first`: it has not had its turn. */
  enlist(context: Context, stream: Stream, first = false): void {
    if (stream.listed) return;
    stream.listed = true;
    if (first) context.runnable.unshift(stream);
    else context.runnable.push(stream);
  }

  add(context: Context, first = false): void {
    if (context.ready) return;
    context.ready = true;
    context.waitingSinceNs = this.#nowNs();
    if (first) this.#contexts.unshift(context);
    else this.#contexts.push(context);
  }

  /** Nothing of the context waits or is blocked any more. */
  drop(context: Context): void {
    context.unblock();
    if (context.ready) this.#contexts.remove(context);
    context.ready = false;
  }
}
