// SPDX-License-Identifier: Apache-2.0
/** A guest without sockets, rings or the addon: one array as its memory, lists of chains as queues. */
import type { OrderedWords } from "../../src/instance/timeline.js";
import type { Chain, RingPosition, Virtqueue } from "../../src/virtqueue/types.js";

const MEMORY_BYTES = 4 * 1024 * 1024;

/** Guest memory: one array at address 0, with holes where the test wants them. */
export class FakeMemory {
  readonly bytes: Uint8Array;
  generation = 1;
  readonly regions: { readonly address: number; readonly bytes: number }[];
  /** Ranges that are not mapped: [start, end). */
  holes: [number, number][] = [];
  /** Views are cut at multiples of this, as at window borders. */
  windowBytes: number;
  log = null;

  /** `bytes`: its size, or the array itself. */
  constructor(bytes: number | Uint8Array = MEMORY_BYTES) {
    this.bytes = typeof bytes === "number" ? new Uint8Array(bytes) : bytes;
    this.regions = [{ address: 0, bytes: this.bytes.length }];
    this.windowBytes = this.bytes.length;
  }

  translate(address: number, bytes: number): Uint8Array[] | null {
    if (address < 0 || address + bytes > this.bytes.length) return null;
    if (this.holes.some(([start, end]) => address < end && address + bytes > start)) return null;
    const views: Uint8Array[] = [];
    for (let at = address; at < address + bytes; ) {
      const end = Math.min(
        address + bytes,
        (Math.floor(at / this.windowBytes) + 1) * this.windowBytes,
      );
      views.push(this.bytes.subarray(at, end));
      at = end;
    }
    return views;
  }
}

export interface FakeChain extends Chain {
  readonly room: Uint8Array;
}

export class FakeQueue implements Virtqueue {
  readonly available: FakeChain[] = [];
  readonly used: { readonly chain: FakeChain; readonly written: number }[] = [];
  flushes = 0;
  #head = 0;
  #taken = new Set<number>();

  constructor(readonly index: number) {}

  add(readable: readonly Uint8Array[], writableBytes: number, fault: string | null = null): void {
    const room = new Uint8Array(writableBytes).fill(0xee);
    this.available.push({
      head: this.#head++,
      readable,
      writable: writableBytes > 0 ? split(room) : [],
      readableBytes: readable.reduce((sum, each) => sum + each.length, 0),
      writableBytes,
      fault,
      room,
    });
  }

  pop(): Chain | null {
    const chain = this.available.shift() ?? null;
    if (chain !== null) this.#taken.add(chain.head);
    return chain;
  }

  push(chain: Chain, written: number): void {
    if (!this.#taken.delete(chain.head)) throw new Error("a chain is given back twice");
    if (written > chain.writableBytes) throw new Error("more is written than fits");
    this.used.push({ chain: chain as FakeChain, written });
  }

  flush(): void {
    this.flushes++;
  }

  get position(): RingPosition {
    return { size: 64, available: this.#head - this.available.length, used: this.used.length };
  }

  enableKick(): boolean {
    return this.available.length > 0;
  }

  /** Chains that were taken and not given back. */
  get outstanding(): number {
    return this.#taken.size;
  }
}

/** Two views, so that responses cross a border. */
function split(room: Uint8Array): Uint8Array[] {
  if (room.length < 2) return [room];
  const at = Math.floor(room.length / 3) + 1;
  return [room.subarray(0, at), room.subarray(at)];
}

const view = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Ordered accesses without order: one thread. Notes what was stored, for tests of the order. */
export class FakeWords implements OrderedWords {
  readonly stores: { readonly at: number; readonly value: number }[] = [];
  constructor(readonly memory: FakeMemory) {}

  storeU64(bytes: Uint8Array, offset: number, value: number): void {
    view(bytes).setBigUint64(offset, BigInt(value), true);
    this.stores.push({ at: bytes.byteOffset + offset, value });
  }
  loadU32(bytes: Uint8Array, offset: number): number {
    return view(bytes).getUint32(offset, true);
  }
  storeU32(bytes: Uint8Array, offset: number, value: number): void {
    view(bytes).setUint32(offset, value, true);
    this.stores.push({ at: bytes.byteOffset + offset, value });
  }
  loadU64(bytes: Uint8Array, offset: number): number {
    return Number(view(bytes).getBigUint64(offset, true));
  }
  fence(): void {
    this.stores.push({ at: -1, value: 0 });
  }
}
