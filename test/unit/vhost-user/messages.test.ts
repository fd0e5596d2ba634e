// SPDX-License-Identifier: Apache-2.0
// The message table: for each message a form that is accepted, and every bound broken alone.
import { describe, expect, it } from "vitest";
import {
  decodeRequest,
  MESSAGE_RULES,
  type MessageRule,
} from "../../../src/vhost-user/messages.js";
import { concat, u32s, u64, u64s } from "../../support/mock-frontend.js";

const none = new Uint8Array(0);
const region = u64s(0x1000, 0x2000, 0x3000, 0x4000);
const decodedRegion = {
  guestAddress: 0x1000n,
  bytes: 0x2000n,
  userAddress: 0x3000n,
  mmapOffset: 0x4000n,
};

const areaPayload = concat(u64s(0x1000, 0x2000), u32s(3 | (256 << 16), 0));
const area = { bytes: 0x1000n, offset: 0x2000n, queues: 3, queueSize: 256 };

interface Case {
  readonly id: number;
  readonly payload: Uint8Array;
  readonly fds: number;
  readonly decoded: object;
}

/** What each served message looks like, after the specification. */
const cases: readonly Case[] = [
  { id: 1, payload: none, fds: 0, decoded: { kind: "get-features" } },
  { id: 2, payload: u64(5n << 32n), fds: 0, decoded: { kind: "set-features", value: 5n << 32n } },
  { id: 3, payload: none, fds: 0, decoded: { kind: "set-owner" } },
  { id: 4, payload: none, fds: 0, decoded: { kind: "reset-owner" } },
  {
    id: 5,
    payload: concat(u32s(2, 0), region, region),
    fds: 2,
    decoded: { kind: "set-mem-table", regions: [decodedRegion, decodedRegion] },
  },
  {
    id: 6,
    payload: u64s(0x1000, 0x2000),
    fds: 1,
    decoded: { kind: "set-log-base", bytes: 0x1000n, offset: 0x2000n },
  },
  { id: 7, payload: none, fds: 1, decoded: { kind: "set-log-fd" } },
  { id: 8, payload: u32s(1, 64), fds: 0, decoded: { kind: "vring-num", index: 1, value: 64 } },
  {
    id: 9,
    payload: concat(u32s(1, 0), u64s(0x10, 0x20, 0x30, 0x40)),
    fds: 0,
    decoded: {
      kind: "vring-addr",
      addresses: { index: 1, flags: 0, descriptors: 16n, used: 32n, available: 48n, log: 64n },
    },
  },
  { id: 10, payload: u32s(1, 7), fds: 0, decoded: { kind: "vring-base", index: 1, value: 7 } },
  { id: 11, payload: u32s(2, 0), fds: 0, decoded: { kind: "get-vring-base", index: 2 } },
  { id: 12, payload: u64(2), fds: 1, decoded: { kind: "vring-kick", index: 2, withFd: true } },
  { id: 12, payload: u64(258), fds: 0, decoded: { kind: "vring-kick", index: 2, withFd: false } },
  { id: 13, payload: u64(2), fds: 1, decoded: { kind: "vring-call", index: 2, withFd: true } },
  { id: 13, payload: u64(258), fds: 0, decoded: { kind: "vring-call", index: 2, withFd: false } },
  { id: 14, payload: u64(2), fds: 1, decoded: { kind: "vring-err", index: 2, withFd: true } },
  { id: 14, payload: u64(258), fds: 0, decoded: { kind: "vring-err", index: 2, withFd: false } },
  { id: 15, payload: none, fds: 0, decoded: { kind: "get-protocol-features" } },
  { id: 16, payload: u64(8), fds: 0, decoded: { kind: "set-protocol-features", value: 8n } },
  { id: 17, payload: none, fds: 0, decoded: { kind: "get-queue-num" } },
  { id: 18, payload: u32s(1, 1), fds: 0, decoded: { kind: "vring-enable", index: 1, value: 1 } },
  { id: 21, payload: none, fds: 1, decoded: { kind: "backend-req-fd" } },
  {
    id: 24,
    payload: concat(u32s(4, 8, 0), u64(0)),
    fds: 0,
    decoded: { kind: "get-config", offset: 4, bytes: 8, flags: 0 },
  },
  {
    id: 25,
    payload: concat(u32s(4, 8, 1), u64(0)),
    fds: 0,
    decoded: { kind: "set-config", offset: 4, flags: 1, data: new Uint8Array(8) },
  },
  { id: 31, payload: areaPayload, fds: 0, decoded: { kind: "get-inflight-fd", area } },
  { id: 32, payload: areaPayload, fds: 1, decoded: { kind: "set-inflight-fd", area } },
  { id: 34, payload: none, fds: 0, decoded: { kind: "reset-device" } },
  { id: 36, payload: none, fds: 0, decoded: { kind: "get-max-mem-slots" } },
  {
    id: 37,
    payload: concat(u64(0), region),
    fds: 1,
    decoded: { kind: "add-mem-reg", region: decodedRegion },
  },
  {
    id: 38,
    payload: concat(u64(0), region),
    fds: 0,
    decoded: { kind: "rem-mem-reg", region: decodedRegion },
  },
];

function ruleOf(id: number): MessageRule {
  const rule = MESSAGE_RULES.get(id);
  if (rule === undefined) throw new Error(`message ${id} has no rule`);
  return rule;
}

const named = cases.map((test) => [ruleOf(test.id).name, test] as const);

describe("served messages", () => {
  it.each(named)("%s is decoded", (_, { id, payload, fds, decoded }) => {
    expect(decodeRequest(ruleOf(id), payload, fds)).toEqual(decoded);
  });

  it.each(named)("%s is refused one byte short or long", (_, { id, payload, fds }) => {
    // SET_MEM_TABLE may be longer, SET_LOG_FD may have a word, and the padding of an area may be
    // missing.
    const most = id === 7 ? u64(0) : payload;
    const least = id === 31 || id === 32 ? payload.slice(0, 20) : payload;
    const longer = id === 5 ? [] : [concat(most, new Uint8Array(1))];
    const shorter = least.length > 0 ? [least.slice(0, -1)] : [];
    for (const wrong of [...longer, ...shorter])
      expect(decodeRequest(ruleOf(id), wrong, fds)).toMatchObject({ kind: "refused" });
  });

  it.each(named)("%s is refused with a wrong number of descriptors", (_, { id, payload, fds }) => {
    const allowed = id === 38 ? [0, 1] : [fds];
    for (let count = 0; count <= 8; count++) {
      const kind = decodeRequest(ruleOf(id), payload, count).kind;
      expect(kind === "refused").toBe(!allowed.includes(count));
    }
  });

  it("is every message of the table but those that are not offered", () => {
    const served = [...MESSAGE_RULES].filter(([, rule]) => rule.decode !== null).map(([id]) => id);
    expect(new Set(served)).toEqual(new Set(cases.map(({ id }) => id)));
  });

  it.each([22, 35, 39, 40, 42, 43, 44])("%d is known but refused", (id) => {
    expect(decodeRequest(ruleOf(id), u64(0), 0)).toMatchObject({
      kind: "refused",
      text: expect.stringContaining("not offered"),
    });
  });

  it.each([0, 19, 20, 23, 26, 27, 28, 29, 30, 33, 41, 45, 0xffffffff])("%d is unknown", (id) => {
    expect(MESSAGE_RULES.has(id)).toBe(false);
  });
});

describe("single fields", () => {
  const decode = (id: number, payload: Uint8Array, fds = 0): object =>
    decodeRequest(ruleOf(id), payload, fds);

  it("SET_MEM_TABLE may be longer than its regions need, as 72 bytes for one", () => {
    const long = concat(u32s(1, 0), region, new Uint8Array(32));
    expect(long).toHaveLength(72);
    expect(decode(5, long, 1)).toMatchObject({ regions: [decodedRegion] });
  });

  it("SET_MEM_TABLE has at most 8 regions, and as many descriptors", () => {
    const table = (count: number): Uint8Array =>
      concat(u32s(count, 0), ...Array.from({ length: count }, () => region));
    expect(decode(5, table(8), 8)).toMatchObject({ kind: "set-mem-table" });
    expect(decode(5, table(9), 8)).toMatchObject({ text: expect.stringContaining("9 regions") });
    expect(decode(5, u32s(0xffffffff, 0), 0)).toMatchObject({ kind: "refused" });
    expect(decode(5, table(0), 0)).toMatchObject({ regions: [] });
  });

  it.each([12, 13, 14])("message %d refuses bits above 8", (id) => {
    expect(decode(id, u64(0x1ff), 0)).toMatchObject({ index: 255, withFd: false });
    expect(decode(id, u64(0x200), 1)).toMatchObject({ kind: "refused" });
    expect(decode(id, u64(1n << 63n), 1)).toMatchObject({ kind: "refused" });
  });

  it("GET_CONFIG may come without room for the data", () => {
    expect(decode(24, u32s(0, 256, 0))).toMatchObject({ bytes: 256 });
  });

  it("SET_CONFIG refuses flags above 1, and less data than it says", () => {
    expect(decode(25, concat(u32s(0, 8, 2), u64(0)))).toMatchObject({ kind: "refused" });
    expect(decode(25, u32s(0, 8, 0))).toMatchObject({ kind: "refused" });
    expect(decode(25, u32s(0, 0xffffffff, 0))).toMatchObject({ kind: "refused" });
  });
});
