// SPDX-License-Identifier: Apache-2.0
/**
 * The file in which rings note their chains in flight (GET_INFLIGHT_FD, SET_INFLIGHT_FD): we make
 * it, the front end keeps it and hands it to whoever serves it next. Nothing that comes back with it
 * is trusted: neither its numbers (an unchecked count of queues was CVE-2021-3839) nor its content.
 *
 *   one region for each ring, in order, each a multiple of 64 bytes; see virtqueue/*-inflight.ts
 */
import { type Mapping, mapRegion, memfdCreate, Seals, WINDOW_BYTES_MAX } from "../io/native.js";
import { packedInflightBytes } from "../virtqueue/packed-inflight.js";
import { splitInflightBytes } from "../virtqueue/split-inflight.js";
import type { InflightArea } from "./messages.js";
import { INFLIGHT_BYTES } from "./protocol.js";

const REGION_ALIGN = 64;

/** What a device allows. */
export interface InflightLimits {
  readonly queues: number;
  readonly queueSize: number;
}

/** Why an area can't be one of this device, or null. */
export function areaProblem(area: InflightArea, limits: InflightLimits): string | null {
  const { queues, queueSize } = area;
  if (queues < 1 || queues > limits.queues)
    return `an area for ${queues} rings, the device has ${limits.queues}`;
  if (queueSize < 1 || queueSize > limits.queueSize)
    return `an area for rings of ${queueSize}, the limit is ${limits.queueSize}`;
  return null;
}

/** A file for the area, and the payload that says so; the descriptor is the caller's. */
export function createArea(
  area: InflightArea,
  packed: boolean,
): { readonly fd: number; readonly payload: Uint8Array } {
  const bytes = regionBytes(area.queueSize, packed) * area.queues;
  const seals = Seals.seal | Seals.shrink | Seals.grow;
  const fd = memfdCreate("vgpu-inflight", bytes, { seals });
  const payload = new Uint8Array(INFLIGHT_BYTES);
  const view = new DataView(payload.buffer);
  view.setBigUint64(0, BigInt(bytes), true);
  view.setUint16(16, area.queues, true);
  view.setUint16(18, area.queueSize, true);
  return { fd, payload };
}

const WORD_BYTES = 8n;

export class MappedArea {
  readonly #area: InflightArea;
  readonly #mapping: Mapping;

  /** Maps what SET_INFLIGHT_FD gave; throws RangeError or a system error. */
  constructor(area: InflightArea, fd: number) {
    if (area.bytes === 0n || area.bytes > BigInt(WINDOW_BYTES_MAX))
      throw new RangeError(`the area has ${area.bytes} bytes, the limit is ${WINDOW_BYTES_MAX}`);
    // Its words are read and written as such.
    if (area.offset % WORD_BYTES !== 0n)
      throw new RangeError(`the area has offset ${area.offset}, not aligned to ${WORD_BYTES}`);
    this.#area = area;
    this.#mapping = mapRegion(fd, area.offset, area.bytes);
  }

  get poisoned(): boolean {
    return this.#mapping.poisoned;
  }

  /** The region of a ring, or null where the area has none, or too small a one. */
  region(index: number, size: number, packed: boolean): Uint8Array | null {
    const { queues, queueSize } = this.#area;
    if (index >= queues || size > queueSize) return null;
    const bytes = regionBytes(queueSize, packed);
    const at = bytes * index;
    if (at + bytes > this.#mapping.bytes) return null;
    return new Uint8Array(this.#mapping.window(at, bytes));
  }

  unmap(): void {
    this.#mapping.unmap();
  }
}

function regionBytes(size: number, packed: boolean): number {
  const bytes = packed ? packedInflightBytes(size) : splitInflightBytes(size);
  return Math.ceil(bytes / REGION_ALIGN) * REGION_ALIGN;
}
