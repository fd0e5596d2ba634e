// SPDX-License-Identifier: Apache-2.0
/**
 * An instance's end of the link to the broker: its lease on the GPU, and the answers to status
 * questions. The broker decides; this side only ever asks, stops when told, and gives back.
 */
import { connect, type Socket } from "node:net";
import type { Lease } from "../instance/lease.js";
import { readLines, writeLine } from "./lines.js";
import { type FromInstance, type ToInstance, toInstance } from "./messages.js";

export interface BrokerLinkOptions {
  readonly path: string;
  readonly id: string;
  readonly adapter: string;
  readonly executor: string;
  /** The instance's report, JSON-able. */
  readonly status: () => Record<string, unknown>;
  /** The broker is gone: nobody schedules this instance any more. */
  readonly closed: (reason: string) => void;
}

/** Connects to the broker; rejects if it does not listen at `path`. */
export function connectBroker(options: BrokerLinkOptions): Promise<RemoteLease> {
  return new Promise((resolve, reject) => {
    const socket = connect(options.path);
    const failed = (error: Error): void => {
      reject(new Error(`the broker at ${options.path} can't be reached: ${error.message}`));
    };
    socket.once("error", failed);
    socket.once("connect", () => {
      socket.off("error", failed);
      resolve(new RemoteLease(socket, options));
    });
  });
}

export class RemoteLease implements Lease {
  onRevoke: (() => void) | null = null;
  readonly #socket: Socket;
  #state: "none" | "requested" | "held" | "revoked" = "none";
  /** A request made while the last turn was still being given back. */
  #requestAfterRelease = false;
  #granted: (() => void) | null = null;

  constructor(socket: Socket, options: BrokerLinkOptions) {
    this.#socket = socket;
    const { id, adapter, executor } = options;
    this.#send({ type: "hello", id, pid: process.pid, adapter, executor });
    readLines(socket, toInstance, {
      message: (message) => this.#receive(message, options),
      invalid: (reason) => options.closed(reason),
    });
    socket.on("error", () => {});
    socket.on("close", () => options.closed("the broker closed the connection"));
  }

  get held(): boolean {
    return this.#state === "held";
  }

  request(granted: () => void): void {
    switch (this.#state) {
      case "held":
        granted();
        return;
      case "none":
        this.#granted = granted;
        this.#state = "requested";
        this.#send({ type: "request" });
        return;
      case "requested":
        this.#granted = granted;
        return;
      case "revoked":
        this.#granted = granted;
        this.#requestAfterRelease = true;
        return;
    }
  }

  release(): void {
    if (this.#state !== "held" && this.#state !== "revoked") {
      return;
    }
    this.#state = "none";
    this.#send({ type: "release" });
    if (this.#requestAfterRelease) {
      this.#requestAfterRelease = false;
      this.#state = "requested";
      this.#send({ type: "request" });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(message: ToInstance, options: BrokerLinkOptions): void {
    switch (message.type) {
      case "grant": {
        this.#state = "held";
        const granted = this.#granted;
        this.#granted = null;
        granted?.();
        return;
      }
      case "revoke":
        if (this.#state === "held") {
          this.#state = "revoked";
          this.onRevoke?.();
          if (this.onRevoke === null) {
            this.release();
          }
        }
        return;
      case "status":
        this.#send({ type: "status", sequence: message.sequence, status: options.status() });
        return;
    }
  }

  #send(message: FromInstance): void {
    writeLine(this.#socket, message);
  }
}
