// SPDX-License-Identifier: Apache-2.0
/**
 * An instance's end of the link to the broker. The schedule itself runs over the G-VMCS pages and
 * two doorbells; over this socket only go the greeting and the answers to status questions.
 */
import { connect } from "node:net";
import { BUSY_MS_MAX, toInstance } from "./instance-messages.js";
import { readLines, writeLine } from "./lines.js";

export interface InstanceLink {
  /** Says that this thread will not look at the link for so long. Call it right before. */
  busy(ms: number): void;
}

export interface InstanceLinkOptions {
  readonly path: string;
  readonly id: string;
  readonly adapter: string;
  readonly vendorId: number;
  readonly executor: string;
  /** The instance's report, JSON-able. */
  readonly status: () => Record<string, unknown>;
  /** The broker is gone: nobody schedules this instance any more. */
  readonly closed: (reason: string) => void;
}

/**
 * Greets the broker and waits until it has taken the instance on: then its G-VMCS is filled in.
 * Rejects if nobody listens at the path.
 */
export function connectBroker(options: InstanceLinkOptions): Promise<InstanceLink> {
  return new Promise((resolve, reject) => {
    const socket = connect(options.path);
    let attached = false;
    socket.on("error", (error) => {
      reject(new Error(`the broker at ${options.path} can't be reached: ${error.message}`));
    });
    socket.on("close", () => {
      if (attached) {
        options.closed("the broker closed the connection");
      } else {
        reject(new Error(`the broker at ${options.path} refuses instance "${options.id}"`));
      }
    });
    socket.on("connect", () => {
      const { id, adapter, vendorId, executor } = options;
      writeLine(socket, { type: "hello", id, pid: process.pid, adapter, vendorId, executor });
    });
    readLines(socket, toInstance, {
      message: (message) => {
        switch (message.type) {
          case "attached":
            attached = true;
            resolve({
              // Written at once, as far as the socket has room for a line.
              busy: (ms) =>
                writeLine(socket, { type: "busy", ms: Math.min(BUSY_MS_MAX, Math.ceil(ms)) }),
            });
            return;
          case "ping":
            writeLine(socket, { type: "pong" });
            return;
          case "status": {
            const { sequence } = message;
            writeLine(socket, { type: "status", sequence, status: options.status() });
            return;
          }
        }
      },
      invalid: (reason) => options.closed(reason),
    });
  });
}
