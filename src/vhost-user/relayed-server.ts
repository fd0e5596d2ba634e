// SPDX-License-Identifier: Apache-2.0
/**
 * Serves the front ends that a broker hands on. The broker holds their connections and announces
 * each over a channel; if an earlier process served it, its state is told again first.
 */
import { MappedJournal } from "../io/context-journal.js";
import { crashPoint } from "../io/crash-points.js";
import { close, type Poller } from "../io/native.js";
import type { Logger } from "../telemetry/log.js";
import { Connection } from "./connection.js";
import type { VirtioDevice } from "./device.js";
import type { Message } from "./framing.js";
import { MessageSocket } from "./message-socket.js";
import { decodeConnect } from "./relay-protocol.js";
import type { PollingOptions } from "./ring-loop.js";

export interface RelayedServerOptions {
  /** The channel to the broker, owned from here on. */
  readonly fd: number;
  readonly device: VirtioDevice;
  readonly poller: Poller;
  readonly log: Logger;
  readonly polling?: PollingOptions;
  /** The broker is gone. */
  readonly finished: () => void;
}

export class RelayedServer {
  readonly #options: RelayedServerOptions;
  readonly #channel: MessageSocket;
  #connection: Connection | null = null;
  #journal: MappedJournal | null = null;

  constructor(options: RelayedServerOptions) {
    this.#options = options;
    this.#channel = new MessageSocket({
      fd: options.fd,
      poller: options.poller,
      message: (message) => this.#announced(message),
      ended: () => options.finished(),
    });
  }

  /** The process ends: the front end is left to the next one, if the broker starts one. */
  close(): void {
    this.#journal?.freeze();
    this.#channel.close();
    this.#connection?.leave("the process ends");
  }

  #announced(message: Message): void {
    const { device, poller, log, polling } = this.#options;
    const connect = decodeConnect(message);
    const [fd, journalFd] = message.fds;
    if (connect === null || fd === undefined || journalFd === undefined) {
      for (const each of message.fds) close(each);
      log.error({ request: message.request }, "the broker sent a frame that makes no sense");
      return;
    }
    // The end of the one before may not have been seen yet.
    this.#connection?.close("another front end takes its place");
    const journal = new MappedJournal(journalFd);
    close(journalFd);
    if (connect.resumed) log.info("a front end is taken over");
    else {
      journal.clearAll();
      log.info("front end connected");
    }
    const connection = new Connection({
      fd,
      device,
      poller,
      log,
      ...(polling === undefined ? {} : { polling }),
      relay: { journal },
      closed: () => {
        journal.unmap();
        if (this.#connection === connection) this.#connection = null;
      },
    });
    this.#connection = connection;
    this.#journal = journal;
    crashPoint("attached");
  }
}
