// SPDX-License-Identifier: Apache-2.0
/**
 * Numbers of the vhost-user protocol: request ids, header flags, feature bits, payload sizes.
 * A message is a 12-byte header {request u32, flags u32, size u32}, native endian (little-endian
 * here), then `size` bytes. Descriptors travel with the header's first byte.
 */

export const HEADER_BYTES = 12;
/** Largest payload that is read: well above every message that is served (config: 12 + 256). */
export const PAYLOAD_BYTES_MAX = 4096;
/** Descriptors of one message, as the protocol has it. */
export const FDS_MAX = 8;
/** Regions of one SET_MEM_TABLE. */
export const TABLE_REGIONS_MAX = 8;
/** Answer to GET_MAX_MEM_SLOTS: the number that front ends themselves cap at. */
export const MEM_SLOTS_MAX = 509;

export const HeaderFlag = {
  versionMask: 0x3,
  version: 0x1,
  reply: 0x4,
  needReply: 0x8,
  known: 0xf,
} as const;

export const FrontendRequest = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  RESET_OWNER: 4,
  SET_MEM_TABLE: 5,
  SET_LOG_BASE: 6,
  SET_LOG_FD: 7,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  SET_BACKEND_REQ_FD: 21,
  IOTLB: 22,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
  GET_INFLIGHT_FD: 31,
  SET_INFLIGHT_FD: 32,
  RESET_DEVICE: 34,
  VRING_KICK: 35,
  GET_MAX_MEM_SLOTS: 36,
  ADD_MEM_REG: 37,
  REM_MEM_REG: 38,
  SET_STATUS: 39,
  GET_STATUS: 40,
  SET_DEVICE_STATE_FD: 42,
  CHECK_DEVICE_STATE: 43,
  GET_SHMEM_CONFIG: 44,
} as const;

export const BackendRequest = { CONFIG_CHANGE: 2 } as const;

/** VIRTIO feature bits, as masks. */
export const Feature = {
  /** VHOST_F_LOG_ALL: what is written into guest memory is logged. */
  logAll: 1n << 26n,
  indirectDescriptors: 1n << 28n,
  eventIndex: 1n << 29n,
  protocolFeatures: 1n << 30n,
  version1: 1n << 32n,
  ringPacked: 1n << 34n,
  inOrder: 1n << 35n,
} as const;

/** vhost-user protocol feature bits, as masks. */
export const ProtocolFeature = {
  multiQueue: 1n << 0n,
  logShmfd: 1n << 1n,
  replyAck: 1n << 3n,
  backendRequests: 1n << 5n,
  config: 1n << 9n,
  backendSendFd: 1n << 10n,
  inflightShmfd: 1n << 12n,
  resetDevice: 1n << 13n,
  configureMemSlots: 1n << 15n,
} as const;

/** What the transport itself offers; a device adds its own bits. */
export const TRANSPORT_FEATURES =
  Feature.logAll |
  Feature.indirectDescriptors |
  Feature.eventIndex |
  Feature.protocolFeatures |
  Feature.version1 |
  Feature.ringPacked |
  Feature.inOrder;

export const PROTOCOL_FEATURES =
  ProtocolFeature.multiQueue |
  ProtocolFeature.logShmfd |
  ProtocolFeature.inflightShmfd |
  ProtocolFeature.replyAck |
  ProtocolFeature.backendRequests |
  ProtocolFeature.config |
  ProtocolFeature.backendSendFd |
  ProtocolFeature.resetDevice |
  ProtocolFeature.configureMemSlots;

/** Flag of SET_VRING_ADDR: writes into the used ring are logged, at the log address. */
export const VRING_FLAG_LOG = 1;

/** Index and "no descriptor" bit of a KICK, CALL or ERR payload. */
export const VRING_INDEX_MASK = 0xffn;
export const VRING_NO_FD = 0x100n;

/** Payload of GET_INFLIGHT_FD and SET_INFLIGHT_FD. */
export const INFLIGHT_BYTES = 24;

/** SET_CONFIG flags: 0 for the driver's writable fields, 1 for migration. */
export const CONFIG_FLAGS_MAX = 1;
export const CONFIG_HEADER_BYTES = 12;
