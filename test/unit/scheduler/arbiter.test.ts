// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import {
  ControlsWordsAt,
  ExitReason,
  GVMCS,
  GvmcsInstance,
  plainPage,
} from "../../../src/gvmcs/index.js";
import { Arbiter, type ArbiterEvent } from "../../../src/scheduler/index.js";

const MS = 1e6;

/** vGPUs with instances that are loaded, on one GPU. */
class Gpu {
  readonly arbiter = new Arbiter(
    {},
    { ring: () => {}, kill: () => {}, observe: (event) => this.observe?.(event) },
  );
  observe: ((event: ArbiterEvent) => void) | null = null;
  readonly #controls = new Map<string, ReturnType<typeof plainPage>>();
  nowNs = 0;
  readonly clock = (): number => {
    this.nowNs += 1000;
    return this.nowNs;
  };

  add(id: string): GvmcsInstance {
    this.arbiter.add(id, {}, this.clock());
    return this.start(id);
  }

  start(id: string): GvmcsInstance {
    const controls = plainPage(new Uint8Array(GVMCS.PAGE_BYTES));
    const pages = { controls, state: plainPage(new Uint8Array(GVMCS.PAGE_BYTES)) };
    this.arbiter.attach(id, pages, { pid: 1, adapter: "none", vendorId: 0 });
    this.#controls.set(id, controls);
    const instance = new GvmcsInstance(pages);
    instance.load();
    this.arbiter.bell(id, this.clock);
    return instance;
  }

  /** What each vGPU is told of the others, in the order of their names. */
  others(...ids: string[]): (number | undefined)[] {
    return ids.map((id) => this.#controls.get(id)?.words.load32(ControlsWordsAt.others));
  }
}

describe("an arbiter tells each vGPU", () => {
  it("how many others have guests with contexts", () => {
    const gpu = new Gpu();
    const [a, b, c] = ["a", "b", "c"].map((id) => gpu.add(id));
    expect(gpu.others("a", "b", "c")).toEqual([0, 0, 0]);
    expect(a?.setContexts(1)).toBe(true);
    gpu.arbiter.bell("a", gpu.clock);
    expect(gpu.others("a", "b", "c")).toEqual([0, 1, 1]);
    expect(a?.setContexts(2)).toBe(false);
    expect(c?.setContexts(1)).toBe(true);
    gpu.arbiter.bell("c", gpu.clock);
    expect(gpu.others("a", "b", "c")).toEqual([1, 2, 1]);
    expect(c?.setContexts(0)).toBe(true);
    gpu.arbiter.bell("c", gpu.clock);
    expect(gpu.others("a", "b", "c")).toEqual([0, 1, 1]);
    expect(b?.others).toBe(1);
  });

  it("of one that hides its contexts, as soon as it wants the GPU", () => {
    const gpu = new Gpu();
    const [a, b] = ["a", "b"].map((id) => gpu.add(id));
    b?.setDemand(true);
    gpu.arbiter.bell("b", gpu.clock);
    expect(gpu.others("a", "b")).toEqual([1, 0]);
    expect(a?.others).toBe(1);
    expect(() => gpu.start("a")).toThrow("has a process already");
  });

  it("when another one's process ends, begins anew, or the vGPU is removed", () => {
    const gpu = new Gpu();
    const [a, b] = ["a", "b"].map((id) => gpu.add(id));
    a?.setContexts(3);
    b?.setContexts(3);
    gpu.arbiter.bell("a", gpu.clock);
    gpu.arbiter.bell("b", gpu.clock);
    expect(gpu.others("a", "b")).toEqual([1, 1]);
    gpu.arbiter.gone("a", gpu.clock());
    expect(gpu.others("b")).toEqual([0]);
    gpu.start("a");
    expect(gpu.others("a", "b")).toEqual([1, 0]);
    gpu.arbiter.gone("b", gpu.clock());
    gpu.arbiter.remove("b", gpu.clock());
    expect(gpu.others("a")).toEqual([0]);
  });
});

describe("an arbiter charges", () => {
  it("a tail that ends while its exit is judged until it was seen to have ended", () => {
    const gpu = new Gpu();
    const [a, b] = ["a", "b"].map((id) => gpu.add(id)) as [GvmcsInstance, GvmcsInstance];
    for (const [id, each] of Object.entries({ a, b })) {
      each.setDemand(true);
      gpu.arbiter.bell(id, gpu.clock);
    }
    expect(gpu.arbiter.holder).toBe("a");
    expect(a.takeEntry()).not.toBeNull();
    gpu.nowNs += 2 * MS;
    gpu.arbiter.advance(gpu.nowNs);
    a.exit({ reason: ExitReason.SLICE_USED, gpuTimeNs: MS, tailNs: 0.5 * MS }, gpu.nowNs);
    // The broker has no core for a while, in which the tail takes longer than it should, and ends.
    gpu.observe = ({ kind }) => {
      if (kind !== "exit" || !a.draining) return;
      gpu.nowNs += 20 * MS;
      a.drained(gpu.nowNs);
    };
    gpu.arbiter.bell("a", gpu.clock);
    expect(gpu.arbiter.tail).toBeNull();
    expect(b.takeEntry()).not.toBeNull();
    gpu.nowNs += 3 * MS;
    gpu.arbiter.advance(gpu.nowNs);
    b.exit({ reason: ExitReason.SLICE_USED, gpuTimeNs: 0 }, gpu.nowNs);
    gpu.arbiter.bell("b", gpu.clock);
    expect(a.takeEntry()).not.toBeNull();
    // The tail's 20 ms are claimed with the next exit.
    gpu.nowNs += MS;
    a.exit({ reason: ExitReason.SLICE_USED, gpuTimeNs: 20 * MS, tailNs: 0 }, gpu.nowNs);
    gpu.arbiter.bell("a", gpu.clock);
    expect(gpu.arbiter.lastAbort("a")).toBeNull();
    expect(gpu.arbiter.standings("a").account.presentNs).toBeGreaterThan(22 * MS);
  });
});
