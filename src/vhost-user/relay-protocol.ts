// SPDX-License-Identifier: Apache-2.0
/**
 * What passes between a broker that holds the front ends' connections and the instance that serves
 * them (docs/decisions/0006). It is vhost-user's own framing: the front end's messages as they are,
 * and a few frames of ours, whose numbers no front end may use towards an instance of its own.
 *
 *   channel      broker → instance   CONNECT {resumed u32}, descriptors: connection, journal
 *   connection   broker → instance   RESUME, messages that made the state, RESUMED; then messages
 *                instance → broker   one DONE {accepted u32, reply} for each message; or CLOSE {why}
 */
import { encodeMessage, type Message } from "./framing.js";
import { HeaderFlag } from "./protocol.js";

export const RelayFrame = {
  CONNECT: 0x76670001,
  RESUME: 0x76670002,
  RESUMED: 0x76670003,
  DONE: 0x76670010,
  CLOSE: 0x76670011,
} as const;

const FIRST = 0x76670000;
const LAST = 0x7667ffff;
const WORD = 4;
const REASON_BYTES_MAX = 512;

/** Whether a number is one of ours: a front end that uses it is refused by the broker. */
export function isRelayFrame(request: number): boolean {
  return request >= FIRST && request <= LAST;
}

/** What a message led to: `reply` is a whole vhost-user message, to be sent as it is. */
export interface Done {
  readonly accepted: boolean;
  readonly reply: Uint8Array | null;
}

export function encodeFrame(request: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  return encodeMessage(request, HeaderFlag.version, payload);
}

export function encodeConnect(resumed: boolean): Uint8Array {
  return encodeFrame(RelayFrame.CONNECT, word(resumed ? 1 : 0));
}

/** The payload of CONNECT; null if it is none. */
export function decodeConnect(message: Message): { readonly resumed: boolean } | null {
  const { request, payload, fds } = message;
  if (request !== RelayFrame.CONNECT || payload.length !== WORD || fds.length !== 2) return null;
  return { resumed: payload[0] === 1 };
}

export function encodeDone({ accepted, reply }: Done): Uint8Array {
  const payload = new Uint8Array(WORD + (reply?.length ?? 0));
  payload[0] = accepted ? 1 : 0;
  if (reply !== null) payload.set(reply, WORD);
  return encodeFrame(RelayFrame.DONE, payload);
}

/** The payload of DONE, copied; null if it is none. */
export function decodeDone(payload: Uint8Array): Done | null {
  if (payload.length < WORD) return null;
  const reply = payload.slice(WORD);
  return { accepted: payload[0] === 1, reply: reply.length === 0 ? null : reply };
}

export function encodeClose(reason: string): Uint8Array {
  const text = new TextEncoder().encode(reason).subarray(0, REASON_BYTES_MAX);
  return encodeFrame(RelayFrame.CLOSE, text);
}

export function decodeClose(payload: Uint8Array): string {
  return new TextDecoder().decode(payload.subarray(0, REASON_BYTES_MAX));
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(WORD);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
