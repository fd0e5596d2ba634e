// SPDX-License-Identifier: Apache-2.0
/**
 * The mock driver's guest memory: regions over memfds, as a VMM has them, with a bump allocator.
 * Files are sparse, so that a region may be many gigabytes large.
 */
import {
  close,
  type Mapping,
  mapRegion,
  memfdCreate,
  WINDOW_BYTES_MAX,
} from "../../src/io/native.js";

/** Where guest memory starts in the front end's address space, unless a region says otherwise. */
const USER_BASE = 0x7f00_0000_0000n;

export interface MockRegionOptions {
  readonly guestAddress: number;
  readonly bytes: number;
  readonly userAddress?: bigint;
  /** Offset of the region in its file, bytes. */
  readonly mmapOffset?: number;
}

export interface MockRegion {
  readonly guestAddress: number;
  readonly bytes: number;
  readonly userAddress: bigint;
  readonly mmapOffset: number;
  /** The memfd, owned by the mock memory. */
  readonly fd: number;
  readonly mapping: Mapping;
}

/** A range of guest memory. */
export interface GuestBuffer {
  readonly address: number;
  readonly bytes: number;
}

export class MockMemory {
  readonly regions: MockRegion[] = [];
  readonly #leasable = new Map<number, GuestBuffer[]>();
  #next: { region: MockRegion; offset: number } | null = null;

  addRegion(options: MockRegionOptions): MockRegion {
    const mmapOffset = options.mmapOffset ?? 0;
    const fd = memfdCreate("mock-guest", mmapOffset + options.bytes);
    const region: MockRegion = {
      guestAddress: options.guestAddress,
      bytes: options.bytes,
      userAddress: options.userAddress ?? USER_BASE + BigInt(options.guestAddress),
      mmapOffset,
      fd,
      mapping: mapRegion(fd, mmapOffset, options.bytes),
    };
    this.regions.push(region);
    this.#next ??= { region, offset: 0 };
    return region;
  }

  /** Forgets a region: its file is closed here, whatever the device does with its mapping. */
  removeRegion(region: MockRegion): void {
    const at = this.regions.indexOf(region);
    if (at < 0) throw new Error("the mock memory has no such region");
    this.regions.splice(at, 1);
    if (this.#next?.region === region) this.#next = null;
    region.mapping.unmap();
    close(region.fd);
  }

  /** Later allocations come from this region, from `offset` on. */
  allocateFrom(region: MockRegion, offset = 0): void {
    this.#next = { region, offset };
  }

  /** Guest memory that nothing else uses, zeroed; it is never given back. */
  allocate(bytes: number, align = 64): GuestBuffer {
    if (this.#next === null) throw new Error("the mock memory has no region to allocate from");
    const { region } = this.#next;
    const base = region.guestAddress;
    const address = Math.ceil((base + this.#next.offset) / align) * align;
    const end = address - base + bytes;
    if (end > region.bytes) throw new Error(`the mock region has no ${bytes} bytes left`);
    this.#next.offset = end;
    return { address, bytes };
  }

  /** Allocates and fills. */
  place(data: Uint8Array, align = 64): GuestBuffer {
    const buffer = this.allocate(data.length, align);
    this.write(buffer.address, data);
    return buffer;
  }

  /** A buffer of at least `bytes` that is given back with `giveBack`. Its content is old. */
  lease(bytes: number): GuestBuffer {
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, 64)));
    const found = this.#leasable.get(size)?.pop();
    const { address } = found ?? this.allocate(size);
    return { address, bytes };
  }

  giveBack(buffer: GuestBuffer): void {
    const size = 2 ** Math.ceil(Math.log2(Math.max(buffer.bytes, 64)));
    const list = this.#leasable.get(size);
    if (list === undefined) this.#leasable.set(size, [buffer]);
    else list.push(buffer);
  }

  /** A view of a range inside one region. */
  view(address: number, bytes: number): Uint8Array {
    if (bytes === 0) return new Uint8Array(0);
    const region = this.regionAt(address);
    if (address + bytes > region.guestAddress + region.bytes)
      throw new Error("the range crosses the end of its region");
    if (bytes > WINDOW_BYTES_MAX) throw new Error("the range is larger than a window");
    return new Uint8Array(region.mapping.window(address - region.guestAddress, bytes));
  }

  viewOf(buffer: GuestBuffer): Uint8Array {
    return this.view(buffer.address, buffer.bytes);
  }

  dataView(buffer: GuestBuffer): DataView {
    const view = this.viewOf(buffer);
    return new DataView(view.buffer, view.byteOffset, view.byteLength);
  }

  read(address: number, bytes: number): Uint8Array {
    return this.view(address, bytes).slice();
  }

  write(address: number, data: Uint8Array): void {
    if (data.length > 0) this.view(address, data.length).set(data);
  }

  /** The front end's address of a guest address. */
  userAddress(address: number): bigint {
    const region = this.regionAt(address);
    return region.userAddress + BigInt(address - region.guestAddress);
  }

  regionAt(address: number): MockRegion {
    const region = this.regions.find(
      (r) => address >= r.guestAddress && address < r.guestAddress + r.bytes,
    );
    if (region === undefined) throw new Error(`guest address ${address} is in no mock region`);
    return region;
  }

  close(): void {
    for (const region of [...this.regions]) this.removeRegion(region);
  }
}
