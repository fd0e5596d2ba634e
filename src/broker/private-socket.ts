// SPDX-License-Identifier: Apache-2.0
/**
 * A unix socket whose peers are judged before a byte of theirs is read. Node's own servers hide the
 * connection's descriptor, and so who is at its other end; connections are therefore accepted by
 * the addon and handed to Node once the peer is admitted.
 */
import { chownSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { accept, close, createPoller, listen, PollEvents, peerCredentials } from "../io/native.js";
import type { Logger } from "../telemetry/log.js";

/** As the kernel knows it, from the time of connect(2). */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface PrivateSocketOptions {
  readonly path: string;
  /** Whose the socket file is, if not ours; only that user (and root) can connect. */
  readonly owner: { readonly uid: number; readonly gid: number } | null;
  /** Why a peer is refused, or null to admit it. */
  readonly refuse: (peer: Peer) => string | null;
  readonly connected: (socket: Socket, peer: Peer) => void;
  readonly log: Logger;
}

/** Connections taken in one turn of the event loop. */
const ACCEPTS_PER_TURN = 16;
/** How long accepting rests when it fails, for want of descriptors, say. */
const REST_MS = 100;

export class PrivateSocket {
  readonly #options: PrivateSocketOptions;
  readonly #fd: number;
  readonly #poller = createPoller();
  #rest: NodeJS.Timeout | null = null;

  /** Listens. Throws an error with code EADDRINUSE if someone listens there. */
  constructor(options: PrivateSocketOptions) {
    this.#options = options;
    this.#fd = listen(options.path, { mode: 0o600, backlog: 128 });
    if (options.owner !== null) {
      chownSync(options.path, options.owner.uid, options.owner.gid);
    }
    this.#watch();
  }

  close(): void {
    if (this.#rest !== null) clearTimeout(this.#rest);
    this.#poller.close();
    close(this.#fd);
    rmSync(this.#options.path, { force: true });
  }

  #watch(): void {
    this.#rest = null;
    this.#poller.watch(this.#fd, PollEvents.readable, () => this.#accept());
  }

  #accept(): void {
    const { log, path } = this.#options;
    try {
      for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
        const fd = accept(this.#fd);
        if (fd < 0) return;
        this.#judge(fd);
      }
    } catch (error) {
      log.error({ path, error: String(error) }, "connections can't be accepted at present");
      this.#poller.unwatch(this.#fd);
      this.#rest = setTimeout(() => this.#watch(), REST_MS);
    }
  }

  #judge(fd: number): void {
    const { log, path, refuse, connected } = this.#options;
    let peer: Peer;
    try {
      peer = peerCredentials(fd);
    } catch (error) {
      close(fd);
      throw error;
    }
    const reason = refuse(peer);
    if (reason !== null) {
      log.warn({ path, ...peer }, `a connection is refused: ${reason}`);
      close(fd);
      return;
    }
    const socket = new Socket({ fd, readable: true, writable: true });
    socket.on("error", () => {});
    connected(socket, peer);
  }
}
