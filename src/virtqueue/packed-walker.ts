// SPDX-License-Identifier: Apache-2.0
/**
 * Follows a descriptor chain of a packed ring: the descriptors lie one after another in the ring,
 * the last one names the buffer, and an indirect table is a plain list.
 *
 * A descriptor is 16 bytes: address u64 at 0, length u32 at 8, id u16 at 12, flags u16 at 14.
 * Each field is read exactly once. A chain that breaks a rule is handed on with `fault` set, and is
 * followed to its end all the same: only there stands which buffer it is, and how long.
 */
import {
  type ChainMemory,
  ChainResolver,
  DESCRIPTOR_BYTES,
  DESCRIPTOR_INDIRECT,
  DESCRIPTOR_NEXT,
  DESCRIPTOR_WRITE,
  type RingChain,
} from "./chain-walker.js";

/** Gets each descriptor of a chain as it was read. */
export interface DescriptorRecorder {
  descriptor(low: number, high: number, length: number, id: number, flags: number): void;
}

export class PackedWalker extends ChainResolver {
  readonly #size: number;

  constructor(memory: ChainMemory, size: number, indirect: boolean) {
    super(memory, indirect);
    this.#size = size;
  }

  /** The ring moved: views of an indirect table may be of memory that is gone. */
  rebind(): void {
    this.inner = null;
  }

  /**
   * Fills `chain` from the descriptors that begin at `slot` of a table of `mask` + 1 entries.
   * Returns how many there are, or 0 if the chain does not end within `limit`.
   */
  walk(
    table: DataView,
    slot: number,
    mask: number,
    limit: number,
    chain: RingChain,
    recorder: DescriptorRecorder | null,
  ): number {
    chain.clear(0);
    let open = true;
    for (let count = 1; count <= limit; count++) {
      const at = ((slot + count - 1) & mask) * DESCRIPTOR_BYTES;
      const low = table.getUint32(at, true);
      const high = table.getUint32(at + 4, true);
      const length = table.getUint32(at + 8, true);
      const id = table.getUint16(at + 12, true);
      const flags = table.getUint16(at + 14, true);
      if (recorder !== null) recorder.descriptor(low, high, length, id, flags);
      const linked = (flags & DESCRIPTOR_NEXT) !== 0;
      if (!open) {
        // Only the end matters now.
      } else if ((flags & DESCRIPTOR_INDIRECT) === 0) {
        open = this.add(chain, (flags & DESCRIPTOR_WRITE) !== 0, low, high, length);
      } else {
        this.#indirectTable(chain, count > 1 || linked, low, high, length);
        open = false;
      }
      if (linked) continue;
      chain.head = id;
      chain.descriptors = count;
      return count;
    }
    return 0;
  }

  /** Adds the entries of an indirect table, all of them: there is no NEXT in it. */
  #indirectTable(
    chain: RingChain,
    linked: boolean,
    low: number,
    high: number,
    length: number,
  ): void {
    const problem = this.openIndirect(false, linked, low, high, length);
    const table = this.inner;
    if (problem !== null || table === null) {
      chain.fail(
        linked
          ? "an indirect descriptor is linked with others"
          : (problem ?? "an indirect table is missing"),
      );
      return;
    }
    const entries = length / DESCRIPTOR_BYTES;
    if (entries > this.#size) {
      chain.fail(`the chain is longer than the ring size ${this.#size}`);
      return;
    }
    const end = this.innerBase + length;
    for (let at = this.innerBase; at < end; at += DESCRIPTOR_BYTES) {
      const entryLow = table.getUint32(at, true);
      const entryHigh = table.getUint32(at + 4, true);
      const entryLength = table.getUint32(at + 8, true);
      const flags = table.getUint16(at + 14, true);
      if ((flags & DESCRIPTOR_INDIRECT) !== 0) {
        chain.fail("an indirect table holds an indirect descriptor");
        return;
      }
      const write = (flags & DESCRIPTOR_WRITE) !== 0;
      if (!this.add(chain, write, entryLow, entryHigh, entryLength)) return;
    }
  }
}
