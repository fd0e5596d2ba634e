// SPDX-License-Identifier: Apache-2.0
/**
 * The few words of a ring, split or packed, that two processors write and read at the same time. Everything
 * else in a ring is handed over by them: whoever sees a new index (acquire) sees what was written
 * before it (release). JavaScript promises no order for plain typed-array accesses, so the real
 * words come from the addon; the plain ones below are for one thread, hence for tests.
 */

/** Ordered access to the index and flag words of one split ring. All values are u16. */
export interface RingWords {
  /** avail.idx, load-acquire. */
  availIndex(): number;
  /** avail.flags; call after {@link fence}. */
  availFlags(): number;
  /** used_event, behind the available ring; call after {@link fence}. */
  usedEvent(): number;
  /** used.idx, load-acquire; only needed when a ring starts. */
  usedIndex(): number;
  /** used.idx, store-release. */
  setUsedIndex(index: number): void;
  setUsedFlags(flags: number): void;
  /** avail_event, behind the used ring. */
  setAvailEvent(index: number): void;
  /** Full barrier: stores before it are visible before loads after it are made. */
  fence(): void;
}

/** The 16-bit words of one part of a ring, as the addon's RingWords offers them. */
export interface Words16 {
  /** Load-acquire. */
  load16(byteOffset: number): number;
  /** Store-release. */
  store16(byteOffset: number, value: number): unknown;
}

/** Bytes of the three parts of a split ring (VIRTIO 1.3, 2.7), with event words if negotiated. */
export const splitRingBytes = {
  descriptors: (size: number): number => 16 * size,
  available: (size: number, eventIndex: boolean): number => 4 + 2 * size + (eventIndex ? 2 : 0),
  used: (size: number, eventIndex: boolean): number => 4 + 8 * size + (eventIndex ? 2 : 0),
};

/** The words of a ring of `size` entries over ordered accesses to its two index parts. */
export function ringWords(
  available: Words16,
  used: Words16,
  size: number,
  fence: () => void,
): RingWords {
  const usedEventAt = 4 + 2 * size;
  const availEventAt = 4 + 8 * size;
  return {
    availIndex: () => available.load16(2),
    availFlags: () => available.load16(0),
    usedEvent: () => available.load16(usedEventAt),
    usedIndex: () => used.load16(2),
    setUsedIndex: (index) => void used.store16(2, index),
    setUsedFlags: (flags) => void used.store16(0, flags),
    setAvailEvent: (index) => void used.store16(availEventAt, index),
    fence,
  };
}

/** Ordered access to the words of one packed ring (VIRTIO 1.3, 2.8). All values are u16. */
export interface PackedWords {
  /** Flags of the descriptor in this slot, load-acquire. */
  descriptorFlags(slot: number): number;
  /** The same, store-release. */
  setDescriptorFlags(slot: number, flags: number): void;
  /** What the driver asks for, in its event area; call after {@link fence}. */
  driverEvent(): number;
  driverEventFlags(): number;
  /** What the device asks for; the position before the flags. */
  setDeviceEvent(position: number): void;
  setDeviceEventFlags(flags: number): void;
  /** Full barrier. */
  fence(): void;
}

/** Bytes of the three parts of a packed ring: descriptors, driver's and device's event area. */
export const packedRingBytes = {
  descriptors: (size: number): number => 16 * size,
  eventArea: 4,
};

/** The words of a packed ring over ordered accesses to its three parts. */
export function packedWords(
  descriptors: Words16,
  driver: Words16,
  device: Words16,
  fence: () => void,
): PackedWords {
  return {
    descriptorFlags: (slot) => descriptors.load16(16 * slot + 14),
    setDescriptorFlags: (slot, flags) => void descriptors.store16(16 * slot + 14, flags),
    driverEvent: () => driver.load16(0),
    driverEventFlags: () => driver.load16(2),
    setDeviceEvent: (position) => void device.store16(0, position),
    setDeviceEventFlags: (flags) => void device.store16(2, flags),
    fence,
  };
}

/** Accesses without any order: right only where driver and device share a thread (tests). */
export function plainWords16(bytes: Uint8Array): Words16 {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    load16: (at) => view.getUint16(at, true),
    store16: (at, value) => view.setUint16(at, value, true),
  };
}
