// SPDX-License-Identifier: Apache-2.0
/**
 * The socket of one front end: reads messages, checks them against the message table, lets the
 * session act, and answers. Whatever a front end sends costs it at most its own connection.
 */
import { close, PollEvents, type Poller, recvmsg, sendmsg } from "../io/native.js";
import type { Logger } from "../telemetry/log.js";
import type { VirtioDevice } from "./device.js";
import { encodeReply, FramingError, type Message, MessageAssembler } from "./framing.js";
import { decodeRequest, MESSAGE_RULES, type MessageRule } from "./messages.js";
import { FDS_MAX, HeaderFlag } from "./protocol.js";
import { DEFAULT_POLLING, type PollingOptions } from "./ring-loop.js";
import { Session } from "./session.js";

/** Messages handled before other descriptors get their turn. */
const MESSAGES_PER_TURN = 64;

export interface ConnectionOptions {
  /** A connected, non-blocking stream socket, owned by the connection from here on. */
  readonly fd: number;
  readonly device: VirtioDevice;
  readonly poller: Poller;
  readonly log: Logger;
  readonly polling?: PollingOptions;
  /** Called once, after everything that the front end brought was given back. */
  readonly closed?: (reason: string) => void;
}

/** Counts of one connection, for reports and tests. */
export interface ConnectionCounters {
  messages: number;
  refused: number;
}

export class Connection {
  readonly session: Session;
  readonly counters: ConnectionCounters = { messages: 0, refused: 0 };
  readonly #fd: number;
  readonly #poller: Poller;
  readonly #log: Logger;
  readonly #onClosed: (reason: string) => void;
  readonly #assembler = new MessageAssembler();
  /** A reply that the socket did not take yet. While there is one, nothing is read. */
  #unsent: Uint8Array | null = null;
  #waiting = false;
  #open = true;

  constructor(options: ConnectionOptions) {
    this.#fd = options.fd;
    this.#poller = options.poller;
    this.#log = options.log;
    this.#onClosed = options.closed ?? (() => {});
    this.session = new Session({
      device: options.device,
      poller: options.poller,
      log: options.log,
      polling: options.polling ?? DEFAULT_POLLING,
      failed: (reason) => this.close(reason),
    });
    this.#watch();
  }

  get open(): boolean {
    return this.#open;
  }

  /** Ends the connection and gives everything back. Idempotent. */
  close(reason: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#poller.unwatch(this.#fd);
    for (const fd of this.#assembler.takeFds()) close(fd);
    this.session.dispose();
    close(this.#fd);
    this.#log.info({ messages: this.counters.messages }, `front end disconnected: ${reason}`);
    this.#onClosed(reason);
  }

  #watch(): void {
    const events = !this.#waiting ? PollEvents.readable : PollEvents.writable;
    this.#poller.watch(this.#fd, events, () => this.#ready());
  }

  #ready(): void {
    try {
      if (!this.#flush()) return;
      for (let count = 0; count < MESSAGES_PER_TURN && this.#open && this.#unsent === null; ) {
        const message = this.#read();
        if (message === "wait") return;
        if (message === null) continue;
        count++;
        this.#dispatch(message);
      }
    } catch (error) {
      if (error instanceof FramingError) {
        this.#log.warn(`the message stream is broken: ${error.message}`);
        this.close(error.message);
      } else if (isSystemError(error)) {
        // The socket itself failed: a reset by the peer, mostly.
        this.close(`${error.message}`);
      } else {
        throw error;
      }
    }
  }

  /** Reads what is missing of a message; "wait" when nothing more is there. */
  #read(): Message | null | "wait" {
    const assembler = this.#assembler;
    // One byte first: only descriptors that come with it belong to the message.
    const length = assembler.idle ? 1 : assembler.missing;
    const { bytes, fds, truncated } = recvmsg(
      this.#fd,
      assembler.buffer,
      assembler.offset,
      length,
      FDS_MAX,
    );
    if (bytes < 0) return "wait";
    if (bytes === 0) {
      for (const fd of fds) close(fd);
      this.close(assembler.idle ? "end of stream" : "end of stream inside a message");
      return "wait";
    }
    const message = assembler.received(bytes, fds);
    if (truncated) throw new FramingError(`a message has more than ${FDS_MAX} descriptors`);
    return message;
  }

  #dispatch(message: Message): void {
    this.counters.messages++;
    const rule = MESSAGE_RULES.get(message.request);
    if (rule === undefined) {
      for (const fd of message.fds) close(fd);
      this.#refuse(message, null, `request ${message.request} is unknown`);
      return;
    }
    this.#log.trace({ request: rule.name, bytes: message.payload.length }, "request");
    const problem = this.#negotiated(rule);
    const request =
      problem === null
        ? decodeRequest(rule, message.payload, message.fds.length)
        : ({ kind: "refused", text: problem } as const);
    if (request.kind === "refused") {
      for (const fd of message.fds) close(fd);
      this.#refuse(message, rule, request.text);
      return;
    }
    // Whether an acknowledgement is owed is decided by what was negotiated before the message.
    const acknowledge = this.#wantsAck(message);
    const outcome = this.session.handle(request, message.fds);
    if (outcome.kind === "refused") this.#refuse(message, rule, outcome.text);
    else if (outcome.kind === "reply") this.#send(encodeReply(message.request, outcome.payload));
    else if (acknowledge) this.#acknowledge(message.request, 0);
  }

  #negotiated(rule: MessageRule): string | null {
    if (rule.decode === null) return "the request is not offered";
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
  #refuse(message: Message, rule: MessageRule | null, text: string): void {
    this.counters.refused++;
    const name = rule?.name ?? `request ${message.request}`;
    this.#log.warn({ request: message.request }, `${name} is refused: ${text}`);
    if (rule?.name === "GET_CONFIG") this.#send(encodeReply(message.request, new Uint8Array(0)));
    else if (rule?.replies === true) this.close(`${name} is refused: ${text}`);
    else if (this.#wantsAck(message)) this.#acknowledge(message.request, 1);
  }

  #wantsAck(message: Message): boolean {
    return this.session.replyAck && (message.flags & HeaderFlag.needReply) !== 0;
  }

  #acknowledge(request: number, value: number): void {
    const payload = new Uint8Array(8);
    payload[0] = value;
    this.#send(encodeReply(request, payload));
  }

  #send(bytes: Uint8Array): void {
    if (!this.#open) return;
    this.#unsent = bytes;
    this.#flush();
  }

  /** Sends what is unsent; false while the socket is full. */
  #flush(): boolean {
    if (this.#unsent === null) return true;
    const bytes = this.#unsent;
    const sent = Math.max(0, sendmsg(this.#fd, bytes));
    const full = sent < bytes.length;
    this.#unsent = full ? bytes.subarray(sent) : null;
    if (full !== this.#waiting) {
      this.#waiting = full;
      this.#watch();
    }
    return !full;
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error;
}
