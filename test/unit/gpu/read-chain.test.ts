// SPDX-License-Identifier: Apache-2.0
/** A long read in parts: two on the way at a time, and nothing after its end, however that comes. */
import { describe, expect, it } from "vitest";
import type { DawnCore, DawnSegment } from "../../../src/gpu/dawn/core.js";
import { CHAIN_PART_BYTES, ReadChain } from "../../../src/gpu/dawn/read-chain.js";

/** One of the globals that come with a GPU. */
globalThis.GPUMapMode ??= { READ: 1, WRITE: 2 } as typeof GPUMapMode;

class FakeStaging {
  destroyed = false;
  unmapped = false;
  arrive: () => void = () => {};
  fail: () => void = () => {};

  mapAsync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.arrive = resolve;
      this.fail = () => reject(new Error("it can't be mapped"));
    });
  }
  getMappedRange(offset: number, bytes: number): ArrayBuffer {
    return new Uint8Array(bytes).fill(offset + 7).buffer;
  }
  unmap(): void {
    this.unmapped = true;
  }
  destroy(): void {
    this.destroyed = true;
  }
}

function chainOf(parts: number) {
  const taken: FakeStaging[] = [];
  const given: FakeStaging[] = [];
  const core = {
    lost: null as string | null,
    closed: false,
    copiedBytes: 0,
    device: {
      createCommandEncoder: () => ({ copyBufferToBuffer: () => {}, finish: () => ({}) }),
    },
    queue: { submit: () => {} },
    ticker: { call: <T>(body: () => T): T => body(), activity: () => {} },
    staging: {
      take: () => {
        const staging = new FakeStaging();
        taken.push(staging);
        return staging;
      },
      give: (staging: FakeStaging) => given.push(staging),
    },
  };
  const bytes = parts * CHAIN_PART_BYTES;
  const target = new Uint8Array(bytes);
  let ends = 0;
  const chain = new ReadChain(
    core as unknown as DawnCore,
    [
      {
        segment: { buffer: {} } as DawnSegment,
        offset: 0,
        bytes,
        partOffset: 0,
        targets: () => [target],
      },
    ],
    () => ends++,
  );
  /** Which parts have been copied out. */
  const delivered = (): boolean[] =>
    Array.from({ length: parts }, (_, part) => target[part * CHAIN_PART_BYTES] === 7);
  return { core, taken, given, chain, delivered, ends: () => ends };
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe("read chain", () => {
  it("has two parts on the way until there are no more, and ends once", async () => {
    const { taken, given, chain, delivered, ends } = chainOf(4);
    chain.start();
    expect(taken.length).toBe(2);
    for (let part = 0; part < 4; part++) {
      expect(ends()).toBe(0);
      taken[part]?.arrive();
      await settled();
      expect(taken.length).toBe(Math.min(4, part + 3));
      expect(given.length).toBe(part + 1);
    }
    expect(delivered()).toEqual([true, true, true, true]);
    expect(ends()).toBe(1);
  });

  it("is as right with a single part", async () => {
    const { taken, chain, delivered, ends } = chainOf(1);
    chain.start();
    expect(taken.length).toBe(1);
    taken[0]?.arrive();
    await settled();
    expect(delivered()).toEqual([true]);
    expect(ends()).toBe(1);
  });

  it("delivers and submits nothing after a part has failed", async () => {
    const { taken, given, chain, delivered, ends } = chainOf(4);
    chain.start();
    taken[0]?.fail();
    await settled();
    expect(ends()).toBe(1);
    taken[1]?.arrive();
    await settled();
    expect(delivered()).toEqual([false, false, false, false]);
    expect(taken.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    expect(given).toEqual([]);
    expect(ends()).toBe(1);
  });

  it("ends once where both parts fail, or the GPU is lost", async () => {
    const both = chainOf(4);
    both.chain.start();
    for (const staging of both.taken) staging.fail();
    await settled();
    expect(both.ends()).toBe(1);
    const lost = chainOf(4);
    lost.chain.start();
    lost.core.lost = "gone";
    lost.taken[0]?.arrive();
    lost.taken[1]?.fail();
    await settled();
    expect(lost.ends()).toBe(1);
    expect(lost.taken.length).toBe(2);
  });
});
