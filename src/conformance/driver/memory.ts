// SPDX-License-Identifier: Apache-2.0
/**
 * The guest's memory: memory files that both sides map. Guest addresses, the front end's addresses
 * and offsets in the file all differ, so that a back end that mixes them up is found out.
 */
import { close, type Mapping, mapRegion, memfdCreate } from "../../io/native.js";

/** Memory of the guest that a test has for itself. */
export interface Buffer {
  readonly address: number;
  readonly userAddress: bigint;
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

export interface RegionOptions {
  readonly address: number;
  readonly bytes: number;
  /** Where the region begins in its file. */
  readonly fileOffset?: number;
}

const PAGE = 4096;
/** Distance of guest addresses from the front end's. */
const USER_BASE = 0x7a00_0000_0000n;

export class Region {
  readonly address: number;
  readonly length: number;
  readonly fileOffset: number;
  readonly userAddress: bigint;
  readonly fd: number;
  readonly bytes: Uint8Array;
  readonly #mapping: Mapping;
  #next = 0;

  constructor(options: RegionOptions) {
    this.address = options.address;
    this.length = options.bytes;
    this.fileOffset = options.fileOffset ?? 0;
    this.userAddress = USER_BASE + BigInt(options.address);
    this.fd = memfdCreate("guest", this.fileOffset + this.length);
    this.#mapping = mapRegion(this.fd, this.fileOffset, this.length);
    this.bytes = new Uint8Array(this.#mapping.window(0, this.length));
  }

  /** The region as vhost-user messages describe it. */
  get fields(): readonly [bigint, bigint, bigint, bigint] {
    return [BigInt(this.address), BigInt(this.length), this.userAddress, BigInt(this.fileOffset)];
  }

  /** The next free bytes; RangeError when there are none. */
  allocate(bytes: number, align = 16): Buffer {
    const at = Math.ceil(this.#next / align) * align;
    if (at + bytes > this.length) throw new RangeError(`a region has no ${bytes} bytes left`);
    this.#next = at + bytes;
    return this.at(at, bytes);
  }

  /** Bytes at an offset, whether allocated or not. */
  at(offset: number, bytes: number): Buffer {
    const part = this.bytes.subarray(offset, offset + bytes);
    return {
      address: this.address + offset,
      userAddress: this.userAddress + BigInt(offset),
      bytes: part,
      view: new DataView(part.buffer, part.byteOffset, part.length),
    };
  }

  /** Forgets allocations from a mark on, for loops. */
  mark(): () => void {
    const next = this.#next;
    return () => {
      this.#next = next;
    };
  }

  free(): void {
    this.#mapping.unmap();
    close(this.fd);
  }
}

export class GuestMemory {
  readonly regions: Region[] = [];

  add(options: RegionOptions): Region {
    const region = new Region(options);
    this.regions.push(region);
    return region;
  }

  /** The region that tests allocate from. */
  get main(): Region {
    const [first] = this.regions;
    if (first === undefined) throw new Error("the guest has no memory");
    return first;
  }

  allocate(bytes: number, align = 16): Buffer {
    return this.main.allocate(bytes, align);
  }

  page(): Buffer {
    return this.main.allocate(PAGE, PAGE);
  }

  /** A buffer that holds `data`. */
  place(data: Uint8Array, align = 16): Buffer {
    const buffer = this.allocate(data.length, align);
    buffer.bytes.set(data);
    return buffer;
  }

  free(): void {
    for (const region of this.regions.splice(0)) region.free();
  }
}
