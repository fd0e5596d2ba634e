// SPDX-License-Identifier: Apache-2.0
/**
 * Which messages exist, and what each may look like, independent of any session: payload size,
 * number of descriptors, the protocol feature it needs, and whether it has a reply of its own.
 * {@link decodeRequest} turns a well-formed message into a typed request, or says what is wrong.
 * Values whose legality depends on the session's state are checked there.
 */
import {
  CONFIG_FLAGS_MAX,
  CONFIG_HEADER_BYTES,
  Feature,
  INFLIGHT_BYTES,
  ProtocolFeature as P,
  PAYLOAD_BYTES_MAX,
  FrontendRequest as R,
  TABLE_REGIONS_MAX,
  VRING_INDEX_MASK,
  VRING_NO_FD,
} from "./protocol.js";

/** One memory region as the front end describes it. Addresses and sizes are bytes. */
export interface RegionMessage {
  readonly guestAddress: bigint;
  readonly bytes: bigint;
  readonly userAddress: bigint;
  readonly mmapOffset: bigint;
}

export interface VringAddresses {
  readonly index: number;
  readonly flags: number;
  readonly descriptors: bigint;
  readonly used: bigint;
  readonly available: bigint;
  readonly log: bigint;
}

/** A decoded request. `fd` is null where the message says that there is none. */
export type Request =
  | { readonly kind: "get-features" }
  | { readonly kind: "set-features"; readonly value: bigint }
  | { readonly kind: "set-owner" }
  | { readonly kind: "reset-owner" }
  | { readonly kind: "set-mem-table"; readonly regions: readonly RegionMessage[] }
  | { readonly kind: "vring-num"; readonly index: number; readonly value: number }
  | { readonly kind: "vring-addr"; readonly addresses: VringAddresses }
  | { readonly kind: "vring-base"; readonly index: number; readonly value: number }
  | { readonly kind: "get-vring-base"; readonly index: number }
  | { readonly kind: "vring-kick"; readonly index: number; readonly withFd: boolean }
  | { readonly kind: "vring-call"; readonly index: number; readonly withFd: boolean }
  | { readonly kind: "vring-err"; readonly index: number; readonly withFd: boolean }
  | { readonly kind: "get-protocol-features" }
  | { readonly kind: "set-protocol-features"; readonly value: bigint }
  | { readonly kind: "get-queue-num" }
  | { readonly kind: "vring-enable"; readonly index: number; readonly value: number }
  | { readonly kind: "backend-req-fd" }
  | {
      readonly kind: "get-config";
      readonly offset: number;
      readonly bytes: number;
      readonly flags: number;
    }
  | {
      readonly kind: "set-config";
      readonly offset: number;
      readonly flags: number;
      readonly data: Uint8Array;
    }
  | { readonly kind: "reset-device" }
  | { readonly kind: "get-max-mem-slots" }
  | { readonly kind: "add-mem-reg"; readonly region: RegionMessage }
  | { readonly kind: "rem-mem-reg"; readonly region: RegionMessage }
  | { readonly kind: "set-log-base"; readonly bytes: bigint; readonly offset: bigint }
  | { readonly kind: "set-log-fd" }
  | { readonly kind: "get-inflight-fd"; readonly area: InflightArea }
  | { readonly kind: "set-inflight-fd"; readonly area: InflightArea };

/** A table of chains in flight, in a file: all rings one after another. */
export interface InflightArea {
  readonly bytes: bigint;
  readonly offset: bigint;
  readonly queues: number;
  readonly queueSize: number;
}

/** What is wrong with a message, as a sentence. */
export interface Refusal {
  readonly kind: "refused";
  readonly text: string;
}

type Decode = (view: DataView, payload: Uint8Array) => Request | Refusal;

/** The rules of one message. Byte and descriptor counts are inclusive bounds. */
export interface MessageRule {
  readonly name: string;
  readonly bytesMin: number;
  readonly bytesMax: number;
  readonly fdsMin: number;
  readonly fdsMax: number;
  /** It has a reply besides the plain acknowledgement. */
  readonly replies: boolean;
  /** What it replies when it is refused, or null where no reply says that. */
  readonly failure: Uint8Array | null;
  /** Protocol feature that must have been negotiated, 0n for none. */
  readonly needs: bigint;
  /** VIRTIO feature bit that must have been acknowledged, 0n for none. */
  readonly needsFeature: bigint;
  /** Null: the message exists in the protocol, but is not served here. */
  readonly decode: Decode | null;
}

interface RuleParts {
  bytes?: number | readonly [number, number];
  fds?: number | readonly [number, number];
  replies?: boolean;
  failure?: Uint8Array;
  needs?: bigint;
  needsFeature?: bigint;
}

function rule(name: string, parts: RuleParts, decode: Decode | null): MessageRule {
  const bytes = parts.bytes ?? 0;
  const fds = parts.fds ?? 0;
  const [bytesMin, bytesMax] = typeof bytes === "number" ? [bytes, bytes] : bytes;
  const [fdsMin, fdsMax] = typeof fds === "number" ? [fds, fds] : fds;
  return {
    name,
    bytesMin,
    bytesMax,
    fdsMin,
    fdsMax,
    replies: parts.replies ?? false,
    failure: parts.failure ?? null,
    needs: parts.needs ?? 0n,
    needsFeature: parts.needsFeature ?? 0n,
    decode,
  };
}

function refused(text: string): Refusal {
  return { kind: "refused", text };
}

const u64 = (view: DataView): bigint => view.getBigUint64(0, true);

function region(view: DataView, at: number): RegionMessage {
  return {
    guestAddress: view.getBigUint64(at, true),
    bytes: view.getBigUint64(at + 8, true),
    userAddress: view.getBigUint64(at + 16, true),
    mmapOffset: view.getBigUint64(at + 24, true),
  };
}

function memTable(view: DataView): Request | Refusal {
  const count = view.getUint32(0, true);
  if (count > TABLE_REGIONS_MAX)
    return refused(`the table has ${count} regions, the limit is ${TABLE_REGIONS_MAX}`);
  const needed = 8 + 32 * count;
  // One front end sends a fixed structure of 72 bytes for one region: longer is allowed.
  if (view.byteLength < needed)
    return refused(`a table of ${count} regions needs ${needed} bytes, ${view.byteLength} came`);
  const regions = Array.from({ length: count }, (_, i) => region(view, 8 + 32 * i));
  return { kind: "set-mem-table", regions };
}

function vringState<K extends "vring-num" | "vring-base" | "vring-enable">(kind: K): Decode {
  return (view) => ({ kind, index: view.getUint32(0, true), value: view.getUint32(4, true) });
}

function vringAddr(view: DataView): Request {
  return {
    kind: "vring-addr",
    addresses: {
      index: view.getUint32(0, true),
      flags: view.getUint32(4, true),
      descriptors: view.getBigUint64(8, true),
      used: view.getBigUint64(16, true),
      available: view.getBigUint64(24, true),
      log: view.getBigUint64(32, true),
    },
  };
}

function vringFd<K extends "vring-kick" | "vring-call" | "vring-err">(kind: K): Decode {
  return (view) => {
    const value = u64(view);
    if ((value & ~(VRING_INDEX_MASK | VRING_NO_FD)) !== 0n)
      return refused(`the payload 0x${value.toString(16)} has unknown bits`);
    const withFd = (value & VRING_NO_FD) === 0n;
    return { kind, index: Number(value & VRING_INDEX_MASK), withFd };
  };
}

function getConfig(view: DataView): Request | Refusal {
  const bytes = view.getUint32(4, true);
  const data = view.byteLength - CONFIG_HEADER_BYTES;
  // Front ends send room for the answer; a bare header is understood too.
  if (data !== 0 && data !== bytes)
    return refused(`the message holds ${data} bytes of config space, it says ${bytes}`);
  return {
    kind: "get-config",
    offset: view.getUint32(0, true),
    bytes,
    flags: view.getUint32(8, true),
  };
}

function setConfig(view: DataView, payload: Uint8Array): Request | Refusal {
  const bytes = view.getUint32(4, true);
  const flags = view.getUint32(8, true);
  const data = payload.slice(CONFIG_HEADER_BYTES);
  if (data.length !== bytes)
    return refused(`the message holds ${data.length} bytes of config space, it says ${bytes}`);
  if (flags > CONFIG_FLAGS_MAX) return refused(`config flags ${flags} are unknown`);
  return { kind: "set-config", offset: view.getUint32(0, true), flags, data };
}

function inflight<K extends "get-inflight-fd" | "set-inflight-fd">(kind: K): Decode {
  return (view) => ({
    kind,
    area: {
      bytes: view.getBigUint64(0, true),
      offset: view.getBigUint64(8, true),
      queues: view.getUint16(16, true),
      queueSize: view.getUint16(18, true),
    },
  });
}

/** An acknowledgement of failure. */
const NOT_ZERO = new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]);

const config = { bytes: [CONFIG_HEADER_BYTES, PAYLOAD_BYTES_MAX], needs: P.config } as const;
const vringFdParts = { bytes: 8, fds: [0, 1] } as const;
const slots = { bytes: 40, needs: P.configureMemSlots } as const;
/** The structure has 20 bytes, and 4 of padding where it is sent as it is in memory. */
const area = { bytes: [20, INFLIGHT_BYTES], needs: P.inflightShmfd } as const;
const unserved = { bytes: [0, PAYLOAD_BYTES_MAX], fds: [0, 8] } as const;
const unservedReply = { ...unserved, replies: true } as const;

/** Every message of the protocol that front ends of other than net, crypto or GPU devices send. */
export const MESSAGE_RULES: ReadonlyMap<number, MessageRule> = new Map([
  [R.GET_FEATURES, rule("GET_FEATURES", { replies: true }, () => ({ kind: "get-features" }))],
  [
    R.SET_FEATURES,
    rule("SET_FEATURES", { bytes: 8 }, (v) => ({ kind: "set-features", value: u64(v) })),
  ],
  [R.SET_OWNER, rule("SET_OWNER", {}, () => ({ kind: "set-owner" }))],
  [R.RESET_OWNER, rule("RESET_OWNER", {}, () => ({ kind: "reset-owner" }))],
  // The number of descriptors must be that of the regions: checked with the decoded count.
  [
    R.SET_MEM_TABLE,
    rule("SET_MEM_TABLE", { bytes: [8, PAYLOAD_BYTES_MAX], fds: [0, TABLE_REGIONS_MAX] }, memTable),
  ],
  // Front ends wait for the reply without having asked for one.
  [
    R.SET_LOG_BASE,
    rule(
      "SET_LOG_BASE",
      { bytes: 16, fds: 1, replies: true, failure: NOT_ZERO, needs: P.logShmfd },
      (v) => ({ kind: "set-log-base", bytes: u64(v), offset: v.getBigUint64(8, true) }),
    ),
  ],
  [
    R.SET_LOG_FD,
    rule("SET_LOG_FD", { bytes: [0, 8], fds: 1, needs: P.logShmfd }, () => ({
      kind: "set-log-fd",
    })),
  ],
  [R.SET_VRING_NUM, rule("SET_VRING_NUM", { bytes: 8 }, vringState("vring-num"))],
  [R.SET_VRING_ADDR, rule("SET_VRING_ADDR", { bytes: 40 }, vringAddr)],
  [R.SET_VRING_BASE, rule("SET_VRING_BASE", { bytes: 8 }, vringState("vring-base"))],
  [
    R.GET_VRING_BASE,
    rule("GET_VRING_BASE", { bytes: 8, replies: true }, (v) => ({
      kind: "get-vring-base",
      index: v.getUint32(0, true),
    })),
  ],
  [R.SET_VRING_KICK, rule("SET_VRING_KICK", vringFdParts, vringFd("vring-kick"))],
  [R.SET_VRING_CALL, rule("SET_VRING_CALL", vringFdParts, vringFd("vring-call"))],
  [R.SET_VRING_ERR, rule("SET_VRING_ERR", vringFdParts, vringFd("vring-err"))],
  [
    R.GET_PROTOCOL_FEATURES,
    rule("GET_PROTOCOL_FEATURES", { replies: true }, () => ({ kind: "get-protocol-features" })),
  ],
  [
    R.SET_PROTOCOL_FEATURES,
    rule("SET_PROTOCOL_FEATURES", { bytes: 8 }, (v) => ({
      kind: "set-protocol-features",
      value: u64(v),
    })),
  ],
  [
    R.GET_QUEUE_NUM,
    rule("GET_QUEUE_NUM", { replies: true, needs: P.multiQueue }, () => ({
      kind: "get-queue-num",
    })),
  ],
  [
    R.SET_VRING_ENABLE,
    rule(
      "SET_VRING_ENABLE",
      { bytes: 8, needsFeature: Feature.protocolFeatures },
      vringState("vring-enable"),
    ),
  ],
  [
    R.SET_BACKEND_REQ_FD,
    rule("SET_BACKEND_REQ_FD", { fds: 1, needs: P.backendRequests }, () => ({
      kind: "backend-req-fd",
    })),
  ],
  [R.IOTLB, rule("IOTLB", unservedReply, null)],
  // A failed GET_CONFIG is a reply without payload.
  [
    R.GET_CONFIG,
    rule("GET_CONFIG", { ...config, replies: true, failure: new Uint8Array(0) }, getConfig),
  ],
  [R.SET_CONFIG, rule("SET_CONFIG", config, setConfig)],
  // An area of no bytes says that there is none.
  [
    R.GET_INFLIGHT_FD,
    rule(
      "GET_INFLIGHT_FD",
      { ...area, replies: true, failure: new Uint8Array(INFLIGHT_BYTES) },
      inflight("get-inflight-fd"),
    ),
  ],
  [R.SET_INFLIGHT_FD, rule("SET_INFLIGHT_FD", { ...area, fds: 1 }, inflight("set-inflight-fd"))],
  [
    R.RESET_DEVICE,
    rule("RESET_DEVICE", { needs: P.resetDevice }, () => ({ kind: "reset-device" })),
  ],
  [R.VRING_KICK, rule("VRING_KICK", unserved, null)],
  [
    R.GET_MAX_MEM_SLOTS,
    rule("GET_MAX_MEM_SLOTS", { replies: true, needs: P.configureMemSlots }, () => ({
      kind: "get-max-mem-slots",
    })),
  ],
  [
    R.ADD_MEM_REG,
    rule("ADD_MEM_REG", { ...slots, fds: 1 }, (v) => ({
      kind: "add-mem-reg",
      region: region(v, 8),
    })),
  ],
  // Some front ends wrongly attach a descriptor here; the specification lets us close it.
  [
    R.REM_MEM_REG,
    rule("REM_MEM_REG", { ...slots, fds: [0, 1] }, (v) => ({
      kind: "rem-mem-reg",
      region: region(v, 8),
    })),
  ],
  [R.SET_STATUS, rule("SET_STATUS", unserved, null)],
  [R.GET_STATUS, rule("GET_STATUS", unservedReply, null)],
  [R.SET_DEVICE_STATE_FD, rule("SET_DEVICE_STATE_FD", unservedReply, null)],
  [R.CHECK_DEVICE_STATE, rule("CHECK_DEVICE_STATE", unservedReply, null)],
  [R.GET_SHMEM_CONFIG, rule("GET_SHMEM_CONFIG", unservedReply, null)],
]);

/**
 * Checks a message's size and number of descriptors and decodes it. The descriptors stay with the
 * caller, who closes them if this refuses.
 */
export function decodeRequest(
  rules: MessageRule,
  payload: Uint8Array,
  fdCount: number,
): Request | Refusal {
  if (rules.decode === null) return refused("the request is not offered");
  if (payload.length < rules.bytesMin || payload.length > rules.bytesMax)
    return refused(
      `the payload has ${payload.length} bytes, expected ${range(rules.bytesMin, rules.bytesMax)}`,
    );
  if (fdCount < rules.fdsMin || fdCount > rules.fdsMax)
    return refused(
      `${fdCount} descriptors came along, expected ${range(rules.fdsMin, rules.fdsMax)}`,
    );
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const request = rules.decode(view, payload);
  const exact = exactFds(request);
  if (exact !== null && fdCount !== exact)
    return refused(`${fdCount} descriptors came along, expected ${exact}`);
  return request;
}

/** Number of descriptors that the payload itself asks for, or null where the table says it all. */
function exactFds(request: Request | Refusal): number | null {
  switch (request.kind) {
    case "set-mem-table":
      return request.regions.length;
    case "vring-kick":
    case "vring-call":
    case "vring-err":
      return request.withFd ? 1 : 0;
    default:
      return null;
  }
}

function range(min: number, max: number): string {
  return min === max ? `${min}` : `${min} to ${max}`;
}
