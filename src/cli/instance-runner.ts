// SPDX-License-Identifier: Apache-2.0
/**
 * The life of a `vgpu-instance` process: takes the socket first, so that a taken path is reported
 * at once, then makes the device, then serves front ends until a signal or until a connection that
 * was handed in is over.
 */
import { lstatSync, unlinkSync } from "node:fs";
import { armCrash } from "../io/crash-points.js";
import {
  close,
  createPoller,
  fstat,
  isListening,
  listen,
  raiseNofile,
  setCloexec,
  setNonblocking,
} from "../io/native.js";
import { createLogger, type Logger } from "../telemetry/log.js";
import type { VirtioDevice } from "../vhost-user/device.js";
import { RelayedServer } from "../vhost-user/relayed-server.js";
import { Server } from "../vhost-user/server.js";
import { ExitCode, UsageError } from "./common.js";
import type { InstanceOptions } from "./instance-options.js";

/** A device that has something to end with the process. */
export interface InstanceDevice extends VirtioDevice {
  close?(): void | Promise<void>;
}

export class InstanceRunner {
  readonly #options: InstanceOptions;
  readonly #log: Logger;
  readonly #poller = createPoller();
  #fd = -1;
  /** Inode of the socket file that this process made, to remove no other's. */
  #inode: number | null = null;
  #server: Server | RelayedServer | null = null;
  #device: InstanceDevice | null = null;
  #finish: (code: number) => void = () => {};

  constructor(options: InstanceOptions) {
    this.#options = options;
    this.#log = createLogger({ name: options.id, level: options.logLevel });
  }

  /** Serves until the end; resolves with the exit code. */
  async run(factory: (options: InstanceOptions) => Promise<InstanceDevice>): Promise<number> {
    const over = new Promise<number>((resolve) => {
      this.#finish = resolve;
    });
    const stop = (signal: NodeJS.Signals): void => {
      this.#log.info(`${signal} received`);
      this.#finish(ExitCode.ok);
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
    raiseNofile();
    const { crashAt } = this.#options;
    if (crashAt !== null && !armCrash(crashAt))
      throw new UsageError(`--crash-at: '${crashAt}' is no POINT[:COUNT]`);
    this.#takeSocket();
    // A signal ends the wait for the device too: compiling or a missing GPU can take seconds.
    const device = await Promise.race([factory(this.#options), over]);
    if (typeof device !== "number") this.#serve(device);
    const code = typeof device === "number" ? device : await over;
    this.stop();
    return code;
  }

  /** Ends everything at once. Idempotent. */
  stop(): void {
    if (this.#server === null && this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
    this.#server?.close();
    this.#server = null;
    this.#removeSocket();
    void this.#device?.close?.();
    this.#device = null;
    this.#poller.close();
  }

  #takeSocket(): void {
    const { socket } = this.#options;
    if ("path" in socket) {
      this.#fd = listen(socket.path);
      this.#inode = lstatSync(socket.path).ino;
      return;
    }
    const [option, fd] = "fd" in socket ? ["--fd", socket.fd] : ["--relay", socket.relay];
    const kind = inheritedKind(fd);
    if (kind !== "socket")
      throw new UsageError(`${option}: descriptor ${fd} is ${kind}, not a socket`);
    setCloexec(fd, true);
    setNonblocking(fd, true);
    this.#fd = fd;
  }

  #serve(device: InstanceDevice): void {
    const { socket, polling } = this.#options;
    this.#device = device;
    const common = {
      device,
      poller: this.#poller,
      log: this.#log,
      ...(polling === null ? {} : { polling }),
      finished: () => this.#finish(ExitCode.ok),
    };
    if ("relay" in socket) {
      this.#server = new RelayedServer({ fd: this.#fd, ...common });
      return;
    }
    this.#server = new Server({ socket: { fd: this.#fd }, ...common });
    const where = "path" in socket ? socket.path : `descriptor ${socket.fd}`;
    this.#log.info(isListening(this.#fd) ? `listening at ${where}` : `connected at ${where}`);
  }

  #removeSocket(): void {
    const { socket } = this.#options;
    if (this.#inode === null || !("path" in socket)) return;
    try {
      if (lstatSync(socket.path).ino === this.#inode) unlinkSync(socket.path);
    } catch (error) {
      this.#log.debug({ error: String(error) }, "the socket file is gone already");
    }
    this.#inode = null;
  }
}

function inheritedKind(fd: number): string {
  try {
    const { kind } = fstat(fd);
    return kind === "socket" ? kind : `of kind '${kind}'`;
  } catch {
    return "not open";
  }
}
