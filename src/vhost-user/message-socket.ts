// SPDX-License-Identifier: Apache-2.0
/**
 * Whole messages over a stream socket, both ways: assembles what comes, keeps what the other side
 * does not take yet (nothing is read meanwhile, so that a peer that does not read can't make us
 * hoard), and tells once when the stream is over. What the messages mean is not known here.
 */
import { close, PollEvents, type Poller, recvmsg, sendmsg } from "../io/native.js";
import { FramingError, type Message, MessageAssembler } from "./framing.js";
import { FDS_MAX } from "./protocol.js";

/** Messages handled before other descriptors get their turn. */
const MESSAGES_PER_TURN = 64;

export interface MessageSocketOptions {
  /** A connected, non-blocking stream socket, owned from here on. */
  readonly fd: number;
  readonly poller: Poller;
  /** Takes a message with its descriptors; may close the socket. */
  readonly message: (message: Message) => void;
  /** The stream is over, or makes no sense; called once, not after {@link MessageSocket.close}. */
  readonly ended: (reason: string, broken: boolean) => void;
}

interface Unsent {
  readonly bytes: Uint8Array;
  readonly fds: readonly number[];
}

export class MessageSocket {
  readonly #options: MessageSocketOptions;
  readonly #fd: number;
  readonly #assembler = new MessageAssembler();
  #unsent: Unsent[] = [];
  #watched = 0;
  #paused = false;
  #open = true;

  constructor(options: MessageSocketOptions) {
    this.#options = options;
    this.#fd = options.fd;
    this.#watch();
  }

  get open(): boolean {
    return this.#open;
  }

  /** While paused, nothing is read; what is there stays in the socket. */
  set paused(paused: boolean) {
    this.#paused = paused;
    this.#watch();
  }

  /** Closes the descriptor and those of an unfinished message. Idempotent; tells nobody. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#options.poller.unwatch(this.#fd);
    for (const fd of this.#assembler.takeFds()) close(fd);
    for (const { fds } of this.#unsent) for (const fd of fds) close(fd);
    this.#unsent = [];
    close(this.#fd);
  }

  /** Sends now, or when there is room. The descriptors are owned from here on. */
  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    if (!this.#open) {
      for (const fd of fds) close(fd);
      return;
    }
    this.#unsent.push({ bytes, fds });
    this.#guard(() => this.#flush());
  }

  /** Handles at once what has come; for a peer whose process has ended. */
  drain(): void {
    this.#paused = false;
    while (this.#open && this.#readable() && this.#readTurn() === MESSAGES_PER_TURN);
  }

  #watch(): void {
    if (!this.#open) return;
    // Hang-ups are always reported; a paused socket waits for nothing else.
    const reading = this.#readable() ? PollEvents.readable : 0;
    const events = this.#unsent.length > 0 ? PollEvents.writable : reading;
    if (events === this.#watched) return;
    this.#watched = events;
    if (events === 0) this.#options.poller.unwatch(this.#fd);
    else this.#options.poller.watch(this.#fd, events, () => this.#ready());
  }

  #readable(): boolean {
    return !this.#paused && this.#unsent.length === 0;
  }

  #ready(): void {
    this.#guard(() => this.#flush());
    this.#readTurn();
  }

  /** Returns how many messages there were. */
  #readTurn(): number {
    let count = 0;
    this.#guard(() => {
      while (count < MESSAGES_PER_TURN && this.#open && this.#readable()) {
        const message = this.#read();
        if (message === "wait") return;
        if (message === null) continue;
        count++;
        this.#options.message(message);
      }
    });
    return count;
  }

  /** Whatever a peer does costs it at most its own stream. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error instanceof FramingError) this.#end(error.message, true);
      // The socket itself failed: a reset by the peer, mostly.
      else if (isSystemError(error)) this.#end(error.message, false);
      else throw error;
    }
  }

  #end(reason: string, broken: boolean): void {
    if (!this.#open) return;
    this.close();
    this.#options.ended(reason, broken);
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
      this.#end(assembler.idle ? "end of stream" : "end of stream inside a message", false);
      return "wait";
    }
    const message = assembler.received(bytes, fds);
    if (truncated) {
      for (const fd of message?.fds ?? []) close(fd);
      throw new FramingError(`a message has more than ${FDS_MAX} descriptors`);
    }
    return message;
  }

  #flush(): void {
    while (this.#open) {
      const next = this.#unsent[0];
      if (next === undefined) break;
      const sent = sendmsg(this.#fd, next.bytes, next.fds);
      if (sent < 0) break;
      for (const fd of next.fds) close(fd);
      this.#unsent.shift();
      if (sent === next.bytes.length) continue;
      this.#unsent.unshift({ bytes: next.bytes.subarray(sent), fds: [] });
      break;
    }
    this.#watch();
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "syscall" in error;
}
