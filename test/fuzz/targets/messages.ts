// SPDX-License-Identifier: Apache-2.0
/**
 * The table of vhost-user messages, by itself: a request id, a number of descriptors and a payload.
 * Fast; the session target has the rest.
 */
import { decodeRequest, MESSAGE_RULES } from "../../../src/vhost-user/messages.js";
import { expectThat, type FuzzTarget, InputReader, kindOf } from "../target.js";

/** Request u8, descriptors u8, payload. */
function seeds(): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (const [id, rule] of MESSAGE_RULES) {
    for (const size of new Set([rule.bytesMin, Math.min(rule.bytesMax, 8 + 8 * 32)])) {
      const bytes = new Uint8Array(2 + size);
      bytes[0] = id;
      bytes[1] = rule.fdsMin;
      bytes[2] = 1;
      all.push(bytes);
    }
  }
  return all;
}

export const messageTarget: FuzzTarget = {
  name: "vhost-messages",
  parses: "single vhost-user messages",
  bytesMax: 4200,
  cpuLimitMs: 1000,
  seeds,
  run: (bytes) => {
    const reader = new InputReader(bytes);
    const rule = MESSAGE_RULES.get(reader.u8());
    const fds = reader.u8() % 10;
    if (rule === undefined) return "unknown";
    const request = decodeRequest(rule, reader.take(bytes.length), fds);
    if (request.kind === "refused") return kindOf(`${rule.name} ${request.text}`);
    expectThat(fds >= rule.fdsMin && fds <= rule.fdsMax, `${rule.name} takes ${fds} descriptors`);
    if (request.kind === "set-mem-table")
      expectThat(request.regions.length === fds, "a region has no descriptor");
    if (request.kind === "set-config" || request.kind === "get-config")
      expectThat(request.offset >= 0, `config space at ${request.offset}`);
    return request.kind;
  },
};
