// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { ControlsWordsAt, GVMCS, GvmcsInstance, plainPage } from "../../../src/gvmcs/index.js";
import { Arbiter } from "../../../src/scheduler/index.js";

/** vGPUs with instances that are loaded, on one GPU. */
class Gpu {
  readonly arbiter = new Arbiter({}, { ring: () => {}, kill: () => {} });
  readonly #controls = new Map<string, ReturnType<typeof plainPage>>();
  #nowNs = 0;

  get nowNs(): number {
    this.#nowNs += 1000;
    return this.#nowNs;
  }

  add(id: string): GvmcsInstance {
    this.arbiter.add(id, {}, this.nowNs);
    return this.start(id);
  }

  start(id: string): GvmcsInstance {
    const controls = plainPage(new Uint8Array(GVMCS.PAGE_BYTES));
    const pages = { controls, state: plainPage(new Uint8Array(GVMCS.PAGE_BYTES)) };
    this.arbiter.attach(id, pages, { pid: 1, adapter: "none", vendorId: 0 });
    this.#controls.set(id, controls);
    const instance = new GvmcsInstance(pages);
    instance.load();
    this.arbiter.bell(id, this.nowNs);
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
    gpu.arbiter.bell("a", gpu.nowNs);
    expect(gpu.others("a", "b", "c")).toEqual([0, 1, 1]);
    expect(a?.setContexts(2)).toBe(false);
    expect(c?.setContexts(1)).toBe(true);
    gpu.arbiter.bell("c", gpu.nowNs);
    expect(gpu.others("a", "b", "c")).toEqual([1, 2, 1]);
    expect(c?.setContexts(0)).toBe(true);
    gpu.arbiter.bell("c", gpu.nowNs);
    expect(gpu.others("a", "b", "c")).toEqual([0, 1, 1]);
    expect(b?.others).toBe(1);
  });

  it("when another one's process ends, begins anew, or the vGPU is removed", () => {
    const gpu = new Gpu();
    const [a, b] = ["a", "b"].map((id) => gpu.add(id));
    a?.setContexts(3);
    b?.setContexts(3);
    gpu.arbiter.bell("a", gpu.nowNs);
    gpu.arbiter.bell("b", gpu.nowNs);
    expect(gpu.others("a", "b")).toEqual([1, 1]);
    gpu.arbiter.gone("a", gpu.nowNs);
    expect(gpu.others("b")).toEqual([0]);
    gpu.start("a");
    expect(gpu.others("a", "b")).toEqual([1, 0]);
    gpu.arbiter.gone("b", gpu.nowNs);
    gpu.arbiter.remove("b", gpu.nowNs);
    expect(gpu.others("a")).toEqual([0]);
  });
});
