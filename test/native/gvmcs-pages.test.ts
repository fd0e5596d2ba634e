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
import { createGvmcsPages, type GvmcsPage, openGvmcsPages } from "../../src/io/gvmcs-pages.js";
import { addSeals, close, dup, ftruncate, mapRegion, memfdCreate } from "../../src/io/native.js";
import { executionControls } from "../../src/scheduler/index.js";
import { defaultSettings } from "../../src/scheduler/settings.js";

const open: GvmcsPage[] = [];
afterEach(() => {
  for (const page of open.splice(0)) page.close();
});

function pages() {
  const broker = createGvmcsPages("a", GVMCS.PAGE_BYTES);
  const fds = { controls: dup(broker.controls.fd), state: dup(broker.state.fd) };
  const instance = openGvmcsPages(fds, GVMCS.PAGE_BYTES);
  open.push(broker.controls, broker.state, instance.controls, instance.state);
  return { broker, instance };
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
    const { instance } = pages();
    expect(() => mapRegion(instance.controls.fd, 0, GVMCS.PAGE_BYTES)).toThrow(/EPERM/);
    expect(() => mapRegion(instance.state.fd, 0, GVMCS.PAGE_BYTES).unmap()).not.toThrow();
  });

  it.each(["controls", "state"] as const)("keep the size and the seals of the %s", (name) => {
    const { instance } = pages();
    expect(() => ftruncate(instance[name].fd, 0)).toThrow(/EPERM/);
    expect(() => addSeals(instance[name].fd, 8)).toThrow(/EPERM/);
  });

  it("are refused when they are not sealed or of another size", () => {
    const fds = [0, GVMCS.PAGE_BYTES].map((bytes) => memfdCreate("x", bytes, { seals: 0 }));
    for (const fd of fds) {
      expect(() => openGvmcsPages({ controls: fd, state: fd }, GVMCS.PAGE_BYTES)).toThrow(/sealed/);
      close(fd);
    }
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
    const { broker, instance } = pages();
    const addon = new URL("../../build/Release/vgpu_native.node", import.meta.url).pathname;
    const workerData = {
      addon: process.env.VGPU_ADDON ?? addon,
      fd: instance.state.fd,
      offset: QueueState.offset,
      fence: true,
    };
    const worker = new Worker(writer, { eval: true, workerData });
    await new Promise((resolve) => worker.once("message", resolve));
    const records = new RecordPage(broker.state);
    let whole = 0;
    const seen = new Set<number>();
    for (let attempt = 0; attempt < 200_000; attempt++) {
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
    expect(whole).toBeGreaterThan(1000);
    expect(seen.size).toBe(3);
  });
});
