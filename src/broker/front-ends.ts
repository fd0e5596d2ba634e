// SPDX-License-Identifier: Apache-2.0
/**
 * Who may use one vGPU: accepts front ends one after another (others wait in the listening socket's
 * backlog) and hands the connected one to whichever process serves the vGPU at the time.
 */
import { accept, close, PollEvents, type Poller, setCloexec, socketpair } from "../io/native.js";
import type { Logger } from "../telemetry/log.js";
import { MessageSocket } from "../vhost-user/message-socket.js";
import { FrontEnd } from "./front-end.js";

/** How long accepting rests when it fails, for want of descriptors, say. */
const REST_MS = 100;

export interface FrontEndsOptions {
  readonly id: string;
  readonly listenFd: number;
  readonly poller: Poller;
  readonly log: Logger;
  /** The process broke the rules of the relay: end it. */
  readonly misbehaved: (reason: string) => void;
  /** The process has ended, or has left its front end without a word: then it is to be ended. */
  readonly left: () => void;
  /** A front end has connected. False refuses it: there will be no process. */
  readonly wanted: () => boolean;
}

export class FrontEnds {
  readonly #options: FrontEndsOptions;
  #current: FrontEnd | null = null;
  #channel: MessageSocket | null = null;
  #theirs = -1;
  #rest: NodeJS.Timeout | null = null;
  #closed = false;
  takeovers = 0;

  constructor(options: FrontEndsOptions) {
    this.#options = options;
    this.#awaitNext();
  }

  get connected(): boolean {
    return this.#current !== null;
  }

  /** Number of the message that the process works on; null while it has none. */
  get message(): number | null {
    return this.#current?.message ?? null;
  }

  /** A channel for a process that is about to be started: its end, to be given to {@link started}. */
  openChannel(): number {
    const [ours, theirs] = socketpair();
    setCloexec(theirs, true);
    this.#theirs = theirs;
    this.#channel = new MessageSocket({
      fd: ours,
      poller: this.#options.poller,
      message: ({ fds }) => {
        for (const fd of fds) close(fd);
        this.#options.misbehaved("it sent a frame over the channel");
      },
      // The process's end is seen by who started it.
      ended: () => {},
    });
    this.#attach();
    return theirs;
  }

  /** The process has its end of the channel, or could not be started. */
  started(): void {
    if (this.#theirs >= 0) close(this.#theirs);
    this.#theirs = -1;
  }

  /** The process has ended. The front end waits for the next one. */
  processGone(): void {
    this.#current?.detach();
    this.#channel?.close();
    this.#channel = null;
  }

  /** There will be no other process: the front end is disconnected. */
  giveUp(): void {
    this.#current?.close();
    this.#gone("its process is not started again");
  }

  close(): void {
    this.#closed = true;
    if (this.#rest !== null) clearTimeout(this.#rest);
    this.#options.poller.unwatch(this.#options.listenFd);
    this.processGone();
    this.#current?.close();
    this.#current = null;
  }

  #awaitNext(): void {
    this.#rest = null;
    if (this.#closed) return;
    const { poller, listenFd } = this.#options;
    poller.watch(listenFd, PollEvents.readable, () => this.#accept());
  }

  #accept(): void {
    const { listenFd, poller, log, id } = this.#options;
    let fd = -1;
    try {
      fd = accept(listenFd);
    } catch (error) {
      log.error({ id, error: String(error) }, "front ends can't be accepted at present");
      poller.unwatch(listenFd);
      this.#rest = setTimeout(() => this.#awaitNext(), REST_MS);
    }
    if (fd < 0) return;
    if (!this.#options.wanted()) {
      log.warn({ id }, "a front end is refused: the vGPU's process failed too often");
      close(fd);
      return;
    }
    poller.unwatch(listenFd);
    const { misbehaved, left } = this.#options;
    const ended = (reason: string): void => this.#gone(reason);
    this.#current = new FrontEnd({ id, fd, poller, log, misbehaved, left, ended });
    log.info({ id }, "a front end has connected");
    this.#attach();
  }

  #attach(): void {
    if (this.#channel === null || this.#current === null) return;
    const before = this.#current.takeovers;
    this.#current.attach(this.#channel);
    this.takeovers += this.#current.takeovers - before;
  }

  #gone(reason: string): void {
    if (this.#current === null) return;
    this.#current = null;
    this.#options.log.info({ id: this.#options.id }, `the front end is gone: ${reason}`);
    this.#awaitNext();
  }
}
