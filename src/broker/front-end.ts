// SPDX-License-Identifier: Apache-2.0
/**
 * The connection of one front end, held by the broker while processes that serve it come and go
 * (docs/decisions/0006). A message is taken here, handed to the process, and answered from here
 * when the process says that it is done: what a process that died had not reported is handed to its
 * successor, after the state that the connection had. So each message takes effect once and is
 * answered once, wherever a process dies.
 *
 * Bytes of a front end are not interpreted beyond their framing, and those of an instance not
 * beyond what {@link RetainedSession} keeps.
 */
import { createJournal } from "../io/context-journal.js";
import { close, dup, type Poller, socketpair } from "../io/native.js";
import type { Logger } from "../telemetry/log.js";
import { encodeMessage, type Message } from "../vhost-user/framing.js";
import { MessageSocket } from "../vhost-user/message-socket.js";
import { HEADER_BYTES, HeaderFlag } from "../vhost-user/protocol.js";
import {
  decodeClose,
  decodeDone,
  encodeConnect,
  encodeFrame,
  isRelayFrame,
  RelayFrame,
} from "../vhost-user/relay-protocol.js";
import { type KeptMessage, RetainedSession } from "../vhost-user/retained-session.js";

export interface FrontEndOptions {
  readonly id: string;
  /** The connection, owned from here on. */
  readonly fd: number;
  readonly poller: Poller;
  readonly log: Logger;
  /** The process broke the rules of the relay: end it. */
  readonly misbehaved: (reason: string) => void;
  /** It has ended, or has closed its end without a word: then it is to be ended. */
  readonly left: () => void;
  /** The connection is over; called once, not after {@link FrontEnd.close}. */
  readonly ended: (reason: string) => void;
}

interface Pending extends KeptMessage {
  readonly flags: number;
}

/** What the process is working on. */
type Awaited = "nothing" | "replayed" | "pending";

export class FrontEnd {
  readonly #options: FrontEndOptions;
  readonly #socket: MessageSocket;
  readonly #journalFd: number;
  readonly #retained = new RetainedSession(close);
  /** The message that is owed its effect, and perhaps a reply. */
  #pending: Pending | null = null;
  /** To the process that serves the connection. */
  #link: MessageSocket | null = null;
  #steps: Iterator<KeptMessage> | null = null;
  #awaited: Awaited = "nothing";
  #handed = 0;
  #served = false;
  #open = true;
  /** How often a process took the connection over from another one. */
  takeovers = 0;

  constructor(options: FrontEndOptions) {
    this.#options = options;
    this.#journalFd = createJournal(`vgpu-journal-${options.id}`);
    this.#socket = new MessageSocket({
      fd: options.fd,
      poller: options.poller,
      message: (message) => this.#fromFrontEnd(message),
      ended: (reason) => this.#end(reason),
    });
  }

  /** Number of the message that the process works on; null while it has none. */
  get message(): number | null {
    return this.#awaited === "nothing" ? null : this.#handed;
  }

  /** A process is there: hands the connection on over its channel. */
  attach(channel: MessageSocket): void {
    const { poller, log, id } = this.#options;
    const [ours, theirs] = socketpair();
    const resumed = this.#served;
    this.#served = true;
    this.#link = new MessageSocket({
      fd: ours,
      poller,
      message: (message) => this.#fromInstance(message),
      // Nobody serves the connection until the process has ended and another one is there.
      ended: () => {
        this.#link = null;
        this.#options.left();
      },
    });
    channel.send(encodeConnect(resumed), [theirs, dup(this.#journalFd)]);
    if (resumed) {
      this.takeovers++;
      log.info({ id, descriptors: this.#retained.fdCount }, "the front end is handed on");
      this.#link.send(encodeFrame(RelayFrame.RESUME));
      this.#steps = this.#retained.replay();
    }
    this.#next();
  }

  /** The process has ended: what it reported still counts, what it did not is to be done again. */
  detach(): void {
    const link = this.#link;
    link?.drain();
    this.#link?.close();
    this.#link = null;
    this.#steps = null;
    this.#awaited = "nothing";
  }

  /** Ends the connection. Idempotent. */
  close(): void {
    this.#link?.close();
    this.#link = null;
    this.#socket.close();
    for (const fd of this.#pending?.fds ?? []) close(fd);
    this.#pending = null;
    this.#retained.dispose();
    if (this.#open) close(this.#journalFd);
    this.#open = false;
  }

  #end(reason: string): void {
    if (!this.#open) return;
    this.close();
    this.#options.ended(reason);
  }

  #fromFrontEnd({ request, flags, payload, fds }: Message): void {
    if (isRelayFrame(request)) {
      for (const fd of fds) close(fd);
      this.#end(`it sent the request ${request}, which is the broker's own`);
      return;
    }
    this.#pending = { request, flags, payload: payload.slice(), fds };
    this.#socket.paused = true;
    this.#next();
  }

  /** Hands the process its next message, one at a time. */
  #next(): void {
    const link = this.#link;
    if (link === null || this.#awaited !== "nothing") return;
    const step = this.#steps?.next();
    if (step !== undefined && step.done !== true) {
      this.#hand(link, "replayed", { flags: HeaderFlag.version, ...step.value });
      return;
    }
    if (step !== undefined) {
      this.#steps = null;
      link.send(encodeFrame(RelayFrame.RESUMED));
    }
    if (this.#pending !== null) this.#hand(link, "pending", this.#pending);
  }

  #hand(link: MessageSocket, awaited: Awaited, message: Pending): void {
    this.#awaited = awaited;
    this.#handed++;
    const { request, flags, payload, fds } = message;
    link.send(encodeMessage(request, flags, payload), fds.map(dup));
  }

  #fromInstance({ request, payload, fds }: Message): void {
    const done = request === RelayFrame.DONE ? decodeDone(payload) : null;
    if (request === RelayFrame.CLOSE) {
      for (const fd of fds) close(fd);
      this.#end(decodeClose(payload));
      return;
    }
    const awaited = this.#awaited;
    if (done === null || awaited === "nothing" || (awaited === "replayed" && fds.length > 0)) {
      for (const fd of fds) close(fd);
      this.#options.misbehaved(`it sent frame ${request} where none was asked for`);
      return;
    }
    this.#awaited = "nothing";
    if (awaited === "pending") {
      if (!this.#done(done.accepted, done.reply, fds)) return;
    } else if (!done.accepted) {
      this.#end("a process can't take it over: a message that was accepted once is refused");
      return;
    }
    this.#next();
  }

  /** The pending message has taken effect: keeps what is in force of it, and answers. */
  #done(accepted: boolean, reply: Uint8Array | null, replyFds: readonly number[]): boolean {
    const pending = this.#pending;
    if (pending === null) return false;
    if (reply !== null && !isReplyTo(pending.request, reply)) {
      for (const fd of replyFds) close(fd);
      this.#options.misbehaved(`its reply to request ${pending.request} is none`);
      return false;
    }
    this.#pending = null;
    if (accepted) this.#retained.accept(pending, reply);
    else for (const fd of pending.fds) close(fd);
    if (reply !== null) this.#socket.send(reply, replyFds);
    else for (const fd of replyFds) close(fd);
    this.#socket.paused = false;
    return true;
  }
}

function isReplyTo(request: number, reply: Uint8Array): boolean {
  if (reply.length < HEADER_BYTES) return false;
  const view = new DataView(reply.buffer, reply.byteOffset, reply.byteLength);
  return (
    view.getUint32(0, true) === request &&
    view.getUint32(4, true) === (HeaderFlag.version | HeaderFlag.reply) &&
    view.getUint32(8, true) === reply.length - HEADER_BYTES
  );
}
