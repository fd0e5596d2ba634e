// SPDX-License-Identifier: Apache-2.0
//
// The randomness seam: the system's generator, or a seeded one whose sequence a simulation can
// reproduce. Never used for secrets in its seeded form.

import { closeSync, openSync, readSync } from "node:fs";

export interface Random {
  /** Uniform in 0 … 2³² − 1. */
  u32(): number;
  /** Uniform in 0 … 2⁶⁴ − 1. */
  u64(): bigint;
  /** Uniform integer in 0 … limit − 1, for limit from 1 to 2³². */
  below(limit: number): number;
}

abstract class RandomBase implements Random {
  abstract u32(): number;

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  below(limit: number): number {
    if (!Number.isInteger(limit) || limit < 1 || limit > 2 ** 32) {
      throw new RangeError(`argument 'limit' is ${limit}, outside 1 to 2^32`);
    }
    // Values above the largest multiple of the limit would favour the small remainders.
    const fair = 2 ** 32 - (2 ** 32 % limit);
    for (;;) {
      const value = this.u32();
      if (value < fair) return value % limit;
    }
  }
}

/** Read from the kernel: at the start of a process, OpenSSL takes 20 ms to give the same. */
class SystemRandom extends RandomBase {
  u32(): number {
    const bytes = Buffer.alloc(4);
    const fd = openSync("/dev/urandom", "r");
    try {
      readSync(fd, bytes);
    } finally {
      closeSync(fd);
    }
    return bytes.readUInt32LE();
  }
}

export const systemRandom: Random = new SystemRandom();

/** A small counter-based generator: the state is a counter, each output a hash of it. */
export class SeededRandom extends RandomBase {
  #counter: number;

  constructor(seed: number) {
    super();
    this.#counter = seed >>> 0;
  }

  u32(): number {
    this.#counter = (this.#counter + 0x9e3779b9) >>> 0;
    let hash = this.#counter;
    hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
    hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97);
    return (hash ^ (hash >>> 15)) >>> 0;
  }
}
