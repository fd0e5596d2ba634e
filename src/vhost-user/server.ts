// SPDX-License-Identifier: Apache-2.0
/**
 * Serves front ends one after another: on a listening socket, or on a connection that was handed
 * in. While one is connected, others wait in the listener's backlog; after any disconnect the next
 * is accepted.
 */
import { accept, close, isListening, listen, PollEvents, type Poller } from "../io/native.js";
import type { Logger } from "../telemetry/log.js";
import { Connection } from "./connection.js";
import type { VirtioDevice } from "./device.js";
import type { PollingOptions } from "./ring-loop.js";

export interface ServerOptions {
  /** A path to listen at, or a descriptor: a listening socket, or a connected one. */
  readonly socket: { readonly path: string } | { readonly fd: number };
  readonly device: VirtioDevice;
  readonly poller: Poller;
  readonly log: Logger;
  readonly polling?: PollingOptions;
  /** A connection that was handed in has ended: there will be no other. */
  readonly finished?: () => void;
}

export class Server {
  readonly #options: ServerOptions;
  readonly #listenFd: number;
  #connection: Connection | null = null;
  #closed = false;

  /** Throws a system error when the path can't be listened on, e.g. since another process does. */
  constructor(options: ServerOptions) {
    this.#options = options;
    const { socket } = options;
    if ("path" in socket) this.#listenFd = listen(socket.path);
    else this.#listenFd = isListening(socket.fd) ? socket.fd : -1;
    if (this.#listenFd >= 0) this.#awaitNext();
    else if ("fd" in socket) this.#connect(socket.fd);
  }

  get connection(): Connection | null {
    return this.#connection;
  }

  /** Disconnects the front end and stops listening. The socket file is the caller's to remove. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#listenFd >= 0) close(this.#listenFd);
    this.#connection?.close("the device ends");
  }

  #awaitNext(): void {
    this.#options.poller.watch(this.#listenFd, PollEvents.readable, () => {
      const fd = accept(this.#listenFd);
      if (fd < 0) return;
      this.#options.poller.unwatch(this.#listenFd);
      this.#connect(fd);
    });
  }

  #connect(fd: number): void {
    const { device, poller, log, polling, finished } = this.#options;
    log.info("front end connected");
    this.#connection = new Connection({
      fd,
      device,
      poller,
      log,
      ...(polling === undefined ? {} : { polling }),
      closed: () => {
        this.#connection = null;
        if (this.#closed) return;
        if (this.#listenFd >= 0) this.#awaitNext();
        else finished?.();
      },
    });
  }
}
