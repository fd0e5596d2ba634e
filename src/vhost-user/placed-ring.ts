// SPDX-License-Identifier: Apache-2.0
/**
 * A ring in the place that the front end gave it: finds its three parts in guest memory, checks
 * where they lie, and makes the ring of the format that was negotiated. It moves when the front end
 * says so, or when the memory table changes.
 */
import type { GuestMemory } from "../io/guest-memory.js";
import { fence, RingWords } from "../io/native.js";
import { InflightError, PackedInflightRegion } from "../virtqueue/packed-inflight.js";
import {
  isPackedBase,
  PACKED_BASE_NEW,
  PackedRing,
  type PackedRingParts,
  packedUsedPosition,
} from "../virtqueue/packed-ring.js";
import type { RingOptions } from "../virtqueue/ring-base.js";
import {
  packedRingBytes,
  packedWords,
  ringWords,
  splitRingBytes,
} from "../virtqueue/ring-words.js";
import { SplitInflightRegion } from "../virtqueue/split-inflight.js";
import { SplitRing, type SplitRingParts } from "../virtqueue/split-ring.js";
import type { DeviceRing } from "../virtqueue/types.js";
import type { VringAddresses } from "./messages.js";
import { Feature } from "./protocol.js";
import { RingDirt } from "./ring-dirt.js";

/** Alignment of the three parts of either format (VIRTIO 1.3, 2.7 and 2.8.10), bytes. */
const ALIGN_SPLIT = { descriptors: 16n, available: 2n, used: 4n } as const;
const ALIGN_PACKED = { descriptors: 16n, available: 4n, used: 4n } as const;
const SPLIT_BASE_MAX = 0xffff;

export interface RingPlan {
  readonly index: number;
  readonly size: number;
  /** Acknowledged VIRTIO features: they decide on the format. */
  readonly features: bigint;
  readonly memory: GuestMemory;
}

/** What a ring needs besides its plan; see RingOptions. */
export interface RingHooks extends Pick<RingOptions, "signal" | "broken"> {
  /** Where it notes chains in flight, and goes on from; null for nowhere. */
  readonly inflight: Uint8Array | null;
}

type Resolved =
  | { readonly format: "split"; readonly parts: SplitRingParts }
  | { readonly format: "packed"; readonly parts: PackedRingParts };

type Started =
  | { readonly format: "split"; readonly ring: SplitRing }
  | { readonly format: "packed"; readonly ring: PackedRing };

export class PlacedRing {
  readonly #plan: RingPlan;
  readonly #started: Started;
  readonly #dirt: RingDirt;
  #parts: SplitRingParts | PackedRingParts;

  /**
   * Starts a ring at `from`: a base, null for a new ring, "used" to go on where a process that is
   * gone has left it. Or says why it can't be there.
   */
  static start(
    plan: RingPlan,
    addresses: VringAddresses,
    from: number | null | "used",
    hooks: RingHooks,
  ): PlacedRing | string {
    const resolved = resolve(plan, addresses);
    if (typeof resolved === "string") return resolved;
    const base = from === "used" ? usedBase(resolved) : from;
    if (from === "used" && base === null && hooks.inflight === null)
      return `packed ring ${plan.index} can't be gone on with: it does not tell where it stands`;
    const problem = startProblem(plan, base);
    if (problem !== null) return problem;
    try {
      const placed = new PlacedRing(plan, resolved, base, hooks);
      placed.#place(addresses);
      return placed;
    } catch (error) {
      if (!(error instanceof InflightError)) throw error;
      return `the chains in flight of ring ${plan.index} make no sense: ${error.message}`;
    }
  }

  private constructor(plan: RingPlan, resolved: Resolved, base: number | null, hooks: RingHooks) {
    this.#plan = plan;
    this.#parts = resolved.parts;
    const { index, size, features, memory } = plan;
    const { inflight: region, signal, broken } = hooks;
    this.#dirt = new RingDirt(memory);
    const options = {
      index,
      size,
      memory,
      observer: this.#dirt,
      signal,
      broken,
      indirect: (features & Feature.indirectDescriptors) !== 0n,
      eventIndex: (features & Feature.eventIndex) !== 0n,
      inOrder: (features & Feature.inOrder) !== 0n,
    };
    const words = region === null ? null : new RingWords(region);
    if (resolved.format === "split") {
      const { parts } = resolved;
      const used = parts.words.usedIndex();
      const inflight = region && words && new SplitInflightRegion(region, words, size, used);
      const ring = new SplitRing({ ...options, parts, base: base ?? 0, inflight });
      this.#started = { format: "split", ring };
    } else {
      const { parts } = resolved;
      const start = base ?? PACKED_BASE_NEW;
      const used = packedUsedPosition(start, size);
      const inflight =
        region && words && new PackedInflightRegion(region, words, size, used, parts.words);
      const ring = new PackedRing({ ...options, parts, base: start, inflight });
      this.#started = { format: "packed", ring };
    }
  }

  get ring(): DeviceRing {
    return this.#started.ring;
  }

  /** The part in which the driver's additions show, for native waiting. */
  get watched(): Uint8Array {
    return this.#started.format === "split" ? this.#parts.available : this.#parts.descriptors;
  }

  /** Finds the parts again; returns why they can't be there, or null. */
  move(addresses: VringAddresses): string | null {
    const resolved = resolve(this.#plan, addresses);
    if (typeof resolved === "string") return resolved;
    const started = this.#started;
    this.#parts = resolved.parts;
    if (started.format === "split" && resolved.format === "split")
      started.ring.rebind(resolved.parts);
    else if (started.format === "packed" && resolved.format === "packed")
      started.ring.rebind(resolved.parts);
    this.#place(addresses);
    return null;
  }

  /** Where writes into the ring itself are logged. */
  #place(addresses: VringAddresses): void {
    const { size, features } = this.#plan;
    if (this.#started.format === "packed")
      this.#dirt.place(addresses, packedRingBytes.eventArea, packedRingBytes.descriptors(size));
    else {
      const eventIndex = (features & Feature.eventIndex) !== 0n;
      this.#dirt.place(addresses, splitRingBytes.used(size, eventIndex), 0);
    }
  }
}

/** Why a ring can't lie there, or null. */
export function placeProblem(plan: RingPlan, addresses: VringAddresses): string | null {
  const resolved = resolve(plan, addresses);
  return typeof resolved === "string" ? resolved : null;
}

/** What can be said of addresses before size and memory are known. */
export function addressProblem(at: VringAddresses, features: bigint): string | null {
  if (at.flags > 1) return `ring ${at.index} has unknown address flags ${at.flags}`;
  const align = isPacked(features) ? ALIGN_PACKED : ALIGN_SPLIT;
  for (const part of ["descriptors", "available", "used"] as const) {
    if (at[part] % align[part] !== 0n)
      return (
        `ring ${at.index} has its ${part} at 0x${at[part].toString(16)}, ` +
        `not aligned to ${align[part]}`
      );
  }
  return null;
}

export function isPacked(features: bigint): boolean {
  return (features & Feature.ringPacked) !== 0n;
}

/** What can be said of a base before the size is known. */
export function baseProblem(index: number, base: number, features: bigint): string | null {
  if (isPacked(features) || base <= SPLIT_BASE_MAX) return null;
  return `ring ${index} has base ${base}, the limit is ${SPLIT_BASE_MAX}`;
}

/** Chains are given back in the order in which they were taken, so nothing else need be known. */
function usedBase(resolved: Resolved): number | null {
  return resolved.format === "split" ? resolved.parts.words.usedIndex() : null;
}

function startProblem(plan: RingPlan, base: number | null): string | null {
  const { index, size, features } = plan;
  if (base === null) return null;
  const problem = baseProblem(index, base, features);
  if (problem !== null || !isPacked(features) || isPackedBase(base, size)) return problem;
  return `ring ${index} has base 0x${base.toString(16)}, outside its ${size} descriptors`;
}

function resolve(plan: RingPlan, at: VringAddresses): Resolved | string {
  const problem = addressProblem(at, plan.features);
  if (problem !== null) return problem;
  return isPacked(plan.features) ? resolvePacked(plan, at) : resolveSplit(plan, at);
}

function resolveSplit(plan: RingPlan, at: VringAddresses): Resolved | string {
  const { size } = plan;
  const eventIndex = (plan.features & Feature.eventIndex) !== 0n;
  const table = part(plan, "descriptor table", at.descriptors, splitRingBytes.descriptors(size));
  if (typeof table === "string") return table;
  const availableBytes = splitRingBytes.available(size, eventIndex);
  const available = part(plan, "available ring", at.available, availableBytes);
  if (typeof available === "string") return available;
  const used = part(plan, "used ring", at.used, splitRingBytes.used(size, eventIndex));
  if (typeof used === "string") return used;
  const words = ringWords(new RingWords(available), new RingWords(used), size, fence);
  return { format: "split", parts: { descriptors: table, available, used, words } };
}

function resolvePacked(plan: RingPlan, at: VringAddresses): Resolved | string {
  const bytes = packedRingBytes.descriptors(plan.size);
  const descriptors = part(plan, "descriptor ring", at.descriptors, bytes);
  if (typeof descriptors === "string") return descriptors;
  const area = packedRingBytes.eventArea;
  const available = part(plan, "driver's event area", at.available, area);
  if (typeof available === "string") return available;
  const used = part(plan, "device's event area", at.used, area);
  if (typeof used === "string") return used;
  const words = packedWords(
    new RingWords(descriptors),
    new RingWords(available),
    new RingWords(used),
    fence,
  );
  return { format: "packed", parts: { descriptors, available, used, words } };
}

function part(plan: RingPlan, name: string, address: bigint, bytes: number): Uint8Array | string {
  const view = plan.memory.translateUser(address, bytes);
  return (
    view ??
    `the ${name} of ring ${plan.index}, ${bytes} bytes at user address ` +
      `0x${address.toString(16)}, is not inside one memory region`
  );
}
