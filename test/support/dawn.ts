// SPDX-License-Identifier: Apache-2.0
/** Opens the Dawn executor for tests, once per test process. */
import { performance } from "node:perf_hooks";
import { createDawnExecutor, type DawnExecutor } from "../../src/gpu/dawn/index.js";
import type { TickTimer } from "../../src/gpu/dawn/ticker.js";
import type { Batch, BatchOutcome, Segment } from "../../src/gpu/executor.js";

export const nowNs = (): number => Math.round(performance.now() * 1e6);

/** A millisecond timer: coarse, but the tests need no more. */
export class CoarseTimer implements TickTimer {
  #handle: NodeJS.Timeout | null = null;
  arm(delayNs: number, callback: () => void): void {
    this.disarm();
    this.#handle = setTimeout(callback, Math.max(1, delayNs / 1e6));
  }
  disarm(): void {
    if (this.#handle !== null) {
      clearTimeout(this.#handle);
      this.#handle = null;
    }
  }
}

let opened: Promise<DawnExecutor> | null = null;

export function testExecutor(): Promise<DawnExecutor> {
  opened ??= createDawnExecutor({ nowNs, timer: new CoarseTimer() });
  return opened;
}

export function submitted(batch: Batch): Promise<BatchOutcome> {
  return new Promise((resolve) => batch.submit(resolve));
}

export async function readBack(
  executor: DawnExecutor,
  segment: Segment,
  offset: number,
  bytes: number,
): Promise<Uint8Array> {
  const into = new Uint8Array(bytes);
  const batch = executor.begin("read back");
  batch.read(segment, offset, bytes, () => [into]);
  const outcome = await submitted(batch);
  if (!outcome.ok) {
    throw new Error(outcome.message);
  }
  return into;
}
