// SPDX-License-Identifier: Apache-2.0
/** The memory of a G-VMCS: sealed files, two mappings, and records that another thread rewrites. */
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import {
  GVMCS,
  GvmcsBroker,
  GvmcsInstance,
  QueueState,
  RecordPage,
} from "../../src/gvmcs/index.js";
import { addSeals, close, ftruncate, mapRegion, memfdCreate, Seals } from "../../src/io/native.js";
import { mapSharedPage } from "../../src/io/shared-page.js";
import { executionControls } from "../../src/scheduler/index.js";
import { defaultSettings } from "../../src/scheduler/settings.js";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** Both sides' mappings, sealed as the broker seals them. */
function pages() {
  const sizeSeals = Seals.seal | Seals.shrink | Seals.grow;
  const make = (name: "controls" | "state", seals: number) => {
    const fd = memfdCreate(name, GVMCS.PAGE_BYTES, { seals: 0 });
    const broker = mapSharedPage(fd, GVMCS.PAGE_BYTES, name === "state");
    addSeals(fd, seals);
    const instance = mapSharedPage(fd, GVMCS.PAGE_BYTES, name === "controls");
    cleanups.push(broker.unmap, instance.unmap, () => close(fd));
    return { fd, broker, instance };
  };
  const controls = make("controls", sizeSeals | Seals.futureWrite);
  const state = make("state", sizeSeals);
  return {
    fds: { controls: controls.fd, state: state.fd },
    broker: { controls: controls.broker, state: state.broker },
    instance: { controls: controls.instance, state: state.instance },
  };
}

describe("pages", () => {
  it("carry an entry from one mapping to the other", () => {
    const { broker, instance } = pages();
    const host = { owner_pid: 1, mode: 0, generation: 1, vendor_id: 0, adapter: "x", vgpu: "a" };
    const brokerSide = new GvmcsBroker(broker, {
      host,
      execution: executionControls(defaultSettings, 0),
    });
    const instanceSide = new GvmcsInstance(instance);
    instanceSide.load();
    expect(brokerSide.poll()).toEqual({ kind: "loaded" });
    brokerSide.enter({ deadlineNs: 2 ** 52 + 1 }, 7);
    expect(instanceSide.takeEntry()).toMatchObject({ sequence: 1, time_ns: 7 });
    expect(instanceSide.deadlineNs()).toBe(2 ** 52 + 1);
    instanceSide.exit({ reason: 2, gpuTimeNs: 1 }, 8);
    expect(brokerSide.poll().kind).toBe("exit");
  });

  it("let the instance map the controls for reading only", () => {
    const { fds } = pages();
    expect(() => mapRegion(fds.controls, 0, GVMCS.PAGE_BYTES)).toThrow(/EPERM/);
    expect(() => mapRegion(fds.state, 0, GVMCS.PAGE_BYTES).unmap()).not.toThrow();
  });

  it.each(["controls", "state"] as const)("keep the size and the seals of the %s", (name) => {
    const { fds } = pages();
    expect(() => ftruncate(fds[name], 0)).toThrow(/EPERM/);
    expect(() => addSeals(fds[name], Seals.write)).toThrow(/EPERM/);
  });
});

describe("records", () => {
  const writer = `
    const { workerData, parentPort } = require("node:worker_threads");
    const { Mapping, RingWords, fence } = require(workerData.addon);
    const window = new Mapping(workerData.fd, 0, 4096, false).window(0, 4096);
    const words = new RingWords(window);
    const view = new DataView(window);
    const base = workerData.offset;
    parentPort.postMessage("ready");
    for (let n = 1; words.load32(4092) === 0; n++) {
      words.store32(base, 2 * n - 1);
      if (workerData.fence) fence();
      for (let at = 8; at < 64; at += 4) view.setUint32(base + at, n % 3, true);
      if (workerData.fence) fence();
      words.store32(base, 2 * n);
    }`;

  it("are whole while another thread rewrites them", async () => {
    const { broker, instance, fds } = pages();
    const addon = new URL("../../build/Release/vgpu_native.node", import.meta.url).pathname;
    const workerData = {
      addon: process.env.VGPU_ADDON ?? addon,
      fd: fds.state,
      offset: QueueState.offset,
      fence: true,
    };
    const worker = new Worker(writer, { eval: true, workerData });
    await new Promise((resolve) => worker.once("message", resolve));
    const records = new RecordPage(broker.state);
    let whole = 0;
    const seen = new Set<number>();
    // The writer may not run for a while: the reader goes on until it has seen every value.
    const enough = (): boolean => whole > 20_000 && seen.size === 3;
    for (let attempt = 0; attempt < 20_000_000 && !enough(); attempt++) {
      if (attempt % 10_000 === 0) await new Promise((resolve) => setImmediate(resolve));
      const record = records.read(QueueState);
      if (record === null) continue;
      whole++;
      seen.add(record.count);
      for (const row of record.queues) {
        const values = [row.size, row.available, row.used, row.enabled];
        if (values.some((value) => value !== record.count)) {
          throw new Error(`a torn record was read: ${JSON.stringify(record)}`);
        }
      }
    }
    instance.state.words.store32(4092, 1);
    await new Promise((resolve) => worker.once("exit", resolve));
    expect(enough()).toBe(true);
  });
});
