// SPDX-License-Identifier: Apache-2.0
/**
 * Cuts the byte stream of a connection into messages. It asks for exactly the bytes that are
 * missing, never for more: the kernel ends a read at the end of the segment that carries
 * descriptors, but would merge segments before it, so a longer read could attach descriptors to
 * the wrong message. No I/O here, so that any fragmentation can be tested.
 */
import { HEADER_BYTES, HeaderFlag, PAYLOAD_BYTES_MAX } from "./protocol.js";

/** A whole message. `payload` is valid until the next message is assembled. */
export interface Message {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  /** Owned by whoever takes the message. */
  readonly fds: number[];
}

/** The stream can't be followed any further; the connection must be closed. */
export class FramingError extends Error {
  override readonly name = "FramingError";
}

export class MessageAssembler {
  readonly #bytes = new Uint8Array(HEADER_BYTES + PAYLOAD_BYTES_MAX);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #fds: number[] = [];
  #have = 0;
  #want = HEADER_BYTES;

  /** The buffer to read into, from {@link offset}, at most {@link missing} bytes. */
  get buffer(): Uint8Array {
    return this.#bytes;
  }

  get offset(): number {
    return this.#have;
  }

  get missing(): number {
    return this.#want - this.#have;
  }

  /** True between messages: an end of stream here is an orderly one. */
  get idle(): boolean {
    return this.#have === 0;
  }

  /**
   * Accounts for `bytes` that were read into the buffer and for the descriptors that came along.
   * Returns the message if it is complete. Throws FramingError; the descriptors then stay here
   * until {@link takeFds}.
   */
  received(bytes: number, fds: readonly number[]): Message | null {
    if (fds.length > 0) {
      this.#fds.push(...fds);
      if (this.#have !== 0)
        throw new FramingError(
          `${fds.length} descriptors came at byte ${this.#have} of a message, not with its first`,
        );
    }
    if (bytes < 0 || bytes > this.missing)
      throw new Error(`${bytes} bytes received, ${this.missing} were asked for`);
    this.#have += bytes;
    if (this.#have === HEADER_BYTES && this.#want === HEADER_BYTES) this.#header();
    if (this.#have < this.#want || this.#have < HEADER_BYTES) return null;
    const message: Message = {
      request: this.#view.getUint32(0, true),
      flags: this.#view.getUint32(4, true),
      payload: this.#bytes.subarray(HEADER_BYTES, this.#want),
      fds: this.takeFds(),
    };
    this.#have = 0;
    this.#want = HEADER_BYTES;
    return message;
  }

  /** Hands over the descriptors of an unfinished message, so that they can be closed. */
  takeFds(): number[] {
    return this.#fds.splice(0);
  }

  #header(): void {
    const request = this.#view.getUint32(0, true);
    const flags = this.#view.getUint32(4, true);
    const size = this.#view.getUint32(8, true);
    if ((flags & HeaderFlag.versionMask) !== HeaderFlag.version)
      throw new FramingError(
        `request ${request} has protocol version ${flags & HeaderFlag.versionMask}, not 1`,
      );
    if ((flags & HeaderFlag.reply) !== 0)
      throw new FramingError(`request ${request} is marked as a reply`);
    if ((flags & ~HeaderFlag.known) !== 0)
      throw new FramingError(
        `request ${request} has unknown flags 0x${(flags >>> 0).toString(16)}`,
      );
    if (size > PAYLOAD_BYTES_MAX)
      throw new FramingError(
        `request ${request} has ${size} bytes of payload, the limit is ${PAYLOAD_BYTES_MAX}`,
      );
    this.#want = HEADER_BYTES + size;
  }
}

/** Builds a reply: the request's id, flags exactly 0x5. */
export function encodeReply(request: number, payload: Uint8Array): Uint8Array {
  return encodeMessage(request, HeaderFlag.version | HeaderFlag.reply, payload);
}

export function encodeMessage(request: number, flags: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, request, true);
  view.setUint32(4, flags, true);
  view.setUint32(8, payload.length, true);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}
