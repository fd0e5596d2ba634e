// SPDX-License-Identifier: Apache-2.0
/**
 * Guest memory that changes whenever it is read: a byte that was looked at once has another value the
 * next time. What a parser makes of it is what it makes of quiet memory only if it reads once.
 */
const SCALARS = {
  getUint8: 1,
  getInt8: 1,
  getUint16: 2,
  getInt16: 2,
  getUint32: 4,
  getInt32: 4,
  getFloat32: 4,
  getFloat64: 8,
  getBigUint64: 8,
  getBigInt64: 8,
} as const;

export interface ChangeOptions {
  /** Bits that a first read leaves as they are, by the offset in the buffer; default: none. */
  readonly spare?: (offset: number) => number;
}

/** Runs `work` with a buffer that changes. Plain index reads change nothing, but see what others did. */
export function withChangingMemory<T>(
  buffer: ArrayBufferLike,
  work: () => T,
  options: ChangeOptions = {},
): T {
  const bytes = new Uint8Array(buffer);
  const read = new Set<number>();
  const change = (start: number, count: number): void => {
    for (let at = start; at < start + count; at++) {
      const spared = read.has(at) ? 0 : (options.spare?.(at) ?? 0);
      read.add(at);
      bytes[at] = (bytes[at] ?? 0) ^ (0xff & ~spared);
    }
  };
  const restore: (() => void)[] = [];
  for (const [name, width] of Object.entries(SCALARS)) {
    const get = Reflect.get(DataView.prototype, name) as (at: number, little?: boolean) => unknown;
    Reflect.set(DataView.prototype, name, function (this: DataView, at: number, little?: boolean) {
      const value = get.call(this, at, little);
      if (this.buffer === buffer) change(this.byteOffset + at, width);
      return value;
    });
    restore.push(() => Reflect.set(DataView.prototype, name, get));
  }
  const typed = Object.getPrototypeOf(Uint8Array.prototype) as object;
  for (const name of ["set", "slice"] as const) {
    const own = Reflect.get(typed, name) as (...args: unknown[]) => unknown;
    Reflect.set(typed, name, function (this: Uint8Array, ...args: unknown[]) {
      const result = own.apply(this, args);
      const from = name === "set" ? args[0] : this;
      if (from instanceof Uint8Array && from.buffer === buffer)
        change(from.byteOffset, from.byteLength);
      return result;
    });
    restore.push(() => Reflect.set(typed, name, own));
  }
  try {
    return work();
  } finally {
    for (const each of restore) each();
  }
}
