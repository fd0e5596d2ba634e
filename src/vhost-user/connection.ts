// SPDX-License-Identifier: Apache-2.0
/**
 * The connection of one front end: checks its messages against the message table, lets the session
 * act, and answers. Whatever a front end sends costs it at most its own connection.
 *
 * A relayed connection is one whose other end is the broker: it hands on the front end's messages
 * one at a time, and gets one DONE for each, so that it can tell what a process that died had done.
 */
import { type CrashPoint, crashPoint } from "../io/crash-points.js";
import { close, type Poller } from "../io/native.js";
import type { Logger } from "../telemetry/log.js";
import type { ContextJournal, VirtioDevice } from "./device.js";
import { encodeReply, type Message } from "./framing.js";
import { MessageSocket } from "./message-socket.js";
import { decodeRequest, MESSAGE_RULES, type MessageRule } from "./messages.js";
import { HeaderFlag } from "./protocol.js";
import { encodeClose, encodeDone, RelayFrame } from "./relay-protocol.js";
import { DEFAULT_POLLING, type PollingOptions } from "./ring-loop.js";
import { Session } from "./session.js";

export interface ConnectionOptions {
  /** A connected, non-blocking stream socket, owned by the connection from here on. */
  readonly fd: number;
  readonly device: VirtioDevice;
  readonly poller: Poller;
  readonly log: Logger;
  readonly polling?: PollingOptions;
  /** The broker is at the other end; the journal outlives this process. */
  readonly relay?: { readonly journal: ContextJournal };
  /** Called once, after everything that the front end brought was given back. */
  readonly closed?: (reason: string) => void;
}

/** Counts of one connection, for reports and tests. */
export interface ConnectionCounters {
  messages: number;
  refused: number;
}

/** What a message led to: a whole reply, or none. */
interface Answer {
  readonly accepted: boolean;
  readonly reply: Uint8Array | null;
  /** Go along with the reply. */
  readonly fds?: readonly number[];
}

export class Connection {
  readonly session: Session;
  readonly counters: ConnectionCounters = { messages: 0, refused: 0 };
  readonly #socket: MessageSocket;
  readonly #relayed: boolean;
  readonly #log: Logger;
  readonly #onClosed: (reason: string) => void;
  #open = true;

  constructor(options: ConnectionOptions) {
    this.#log = options.log;
    this.#onClosed = options.closed ?? (() => {});
    this.#relayed = options.relay !== undefined;
    this.session = new Session({
      device: options.device,
      poller: options.poller,
      log: options.log,
      polling: options.polling ?? DEFAULT_POLLING,
      journal: options.relay?.journal ?? null,
      failed: (reason) => this.close(reason),
    });
    this.#socket = new MessageSocket({
      fd: options.fd,
      poller: options.poller,
      message: (message) => this.#message(message),
      ended: (reason, broken) => {
        if (broken) this.#log.warn(`the message stream is broken: ${reason}`);
        this.close(reason);
      },
    });
  }

  get open(): boolean {
    return this.#open;
  }

  /** Ends the connection and gives everything back. Idempotent. */
  close(reason: string): void {
    // An end without a word is that of a process that died.
    if (this.#open && this.#relayed) this.#socket.send(encodeClose(reason));
    this.leave(reason);
  }

  /** The same for a process that ends: another one may take the front end over. */
  leave(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.session.dispose();
    this.#socket.close();
    this.#log.info({ messages: this.counters.messages }, `front end disconnected: ${reason}`);
    this.#onClosed(reason);
  }

  #message(message: Message): void {
    if (this.#relayed && this.#fromBroker(message)) return;
    this.#passed("received");
    const answer = this.#dispatch(message);
    if (!this.#open) {
      for (const fd of answer.fds ?? []) close(fd);
      return;
    }
    this.#passed("applied");
    if (this.#relayed) this.#socket.send(encodeDone(answer), answer.fds);
    else if (answer.reply !== null) this.#socket.send(answer.reply, answer.fds);
    this.#passed("answered");
  }

  #passed(point: CrashPoint): void {
    if (!this.session.resuming) crashPoint(point);
    else if (point === "answered") crashPoint("retold");
  }

  /** Frames of the broker's own. */
  #fromBroker(message: Message): boolean {
    if (message.request === RelayFrame.RESUME) {
      crashPoint("resuming");
      this.session.resume();
      return true;
    }
    if (message.request !== RelayFrame.RESUMED) return false;
    crashPoint("replayed");
    this.session.resumed();
    crashPoint("resumed");
    return true;
  }

  #dispatch(message: Message): Answer {
    this.counters.messages++;
    const rule = MESSAGE_RULES.get(message.request);
    if (rule === undefined) {
      for (const fd of message.fds) close(fd);
      return this.#refuse(message, null, `request ${message.request} is unknown`);
    }
    this.#log.trace({ request: rule.name, bytes: message.payload.length }, "request");
    const problem = this.#negotiated(rule);
    const request =
      problem === null
        ? decodeRequest(rule, message.payload, message.fds.length)
        : ({ kind: "refused", text: problem } as const);
    if (request.kind === "refused") {
      for (const fd of message.fds) close(fd);
      return this.#refuse(message, rule, request.text);
    }
    this.#passed("decoded");
    // Whether an acknowledgement is owed is decided by what was negotiated before the message.
    const acknowledge = this.#wantsAck(message);
    const outcome = this.session.handle(request, message.fds);
    if (outcome.kind === "refused") return this.#refuse(message, rule, outcome.text);
    if (outcome.kind === "reply")
      return {
        accepted: true,
        reply: encodeReply(message.request, outcome.payload),
        fds: outcome.fds ?? [],
      };
    return { accepted: true, reply: acknowledge ? acknowledgement(message.request, 0) : null };
  }

  #negotiated(rule: MessageRule): string | null {
    if (rule.decode === null) return "the request is not offered";
    // What is told again was accepted once, in an order in which it was negotiated.
    if (this.session.resuming) return null;
    if ((this.session.protocolFeatures & rule.needs) !== rule.needs)
      return `its protocol feature 0x${rule.needs.toString(16)} is not negotiated`;
    if ((this.session.features & rule.needsFeature) !== rule.needsFeature)
      return `its feature 0x${rule.needsFeature.toString(16)} is not negotiated`;
    return null;
  }

  /**
   * A front end that waits for a reply which can't be given would wait for ever: then the
   * connection ends. Everything else is acknowledged as failed if that was asked for.
   */
  #refuse(message: Message, rule: MessageRule | null, text: string): Answer {
    this.counters.refused++;
    const name = rule?.name ?? `request ${message.request}`;
    this.#log.warn({ request: message.request }, `${name} is refused: ${text}`);
    const refusal = (reply: Uint8Array | null): Answer => ({ accepted: false, reply });
    const replies = rule !== null && this.#replies(rule);
    if (replies && rule.failure !== null)
      return refusal(encodeReply(message.request, rule.failure));
    if (replies) this.close(`${name} is refused: ${text}`);
    else if (this.#wantsAck(message)) return refusal(acknowledgement(message.request, 1));
    return refusal(null);
  }

  /** SET_LOG_BASE has a reply of its own only where its protocol feature is negotiated. */
  #replies(rule: MessageRule): boolean {
    return rule.replies && (rule.name !== "SET_LOG_BASE" || this.#negotiated(rule) === null);
  }

  #wantsAck(message: Message): boolean {
    return this.session.replyAck && (message.flags & HeaderFlag.needReply) !== 0;
  }
}

function acknowledgement(request: number, value: number): Uint8Array {
  const payload = new Uint8Array(8);
  payload[0] = value;
  return encodeReply(request, payload);
}
