// SPDX-License-Identifier: Apache-2.0
/** The control queue: sessions, contexts, queries, and every way in which a request can be wrong. */
import { describe, expect, it } from "vitest";
import { requestBytes, structBytes } from "../../../src/protocol/encode.js";
import {
  CapabilitiesResponse,
  Capability,
  Config,
  ContextCreateRequest,
  InitResponse,
  Request,
  VGPU,
} from "../../../src/protocol/generated/wire.js";
import { DATA_AT, Harness, ok } from "./harness.js";

const viewOf = (bytes: Uint8Array): DataView =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

describe("config space", () => {
  it("tells the limits, and zeros behind the structure", () => {
    const { device } = new Harness();
    const bytes = new Uint8Array(256).fill(1);
    device.readConfig(0, bytes);
    const config = Config.decode(viewOf(bytes), 0);
    expect(config).toMatchObject({ magic: VGPU.MAGIC, queue_count: 3, contexts_max: 64 });
    expect(config.capabilities).toBe(Capability.WGSL | Capability.F16);
    expect(bytes.subarray(64).every((each) => each === 0)).toBe(true);
    const part = new Uint8Array(4);
    device.readConfig(8, part);
    expect([...part]).toEqual([3, 0, 0, 0]);
    expect(device.writeConfig()).toBe(false);
  });
});

describe("sessions", () => {
  it("answers nothing but INIT before INIT", () => {
    const harness = new Harness();
    const capabilities = requestBytes(Request.GET_CAPABILITIES, 0);
    expect(harness.control(capabilities).status).toBe("NOT_INITIALISED");
    expect(harness.createContext(1).status).toBe("NOT_INITIALISED");
    expect(harness.submit(1, 0).status).toBe("NOT_INITIALISED");
    const init = InitResponse.decode(viewOf(ok(harness.init()).payload), 0);
    expect(init.epoch).not.toBe(0);
    expect(init.capabilities).toBe(Capability.WGSL | Capability.F16);
    expect(harness.control(capabilities).status).toBe("OK");
  });

  it("tells the GPU's properties and the limits", () => {
    const harness = new Harness({ limits: { memoryBytesMax: 1 << 20 } }).ready();
    const response = ok(harness.control(requestBytes(Request.GET_CAPABILITIES, 0)));
    const told = CapabilitiesResponse.decode(viewOf(response.payload), 0);
    expect(told).toMatchObject({
      memory_bytes: BigInt(1 << 20),
      segment_bytes_max: BigInt(1 << 20),
      contexts_max: 64,
      streams_max: 64,
      modules_max: 1024,
      functions_max: 4096,
      events_max: 65536,
      hostmems_max: 4096,
      queued_commands_max: 16384,
      grid_max: 2 ** 31 - 1,
      block_max_x: 256,
      block_threads_max: 256,
      adapter: "memory",
      vendor_id: 0x1234,
    });
  });

  it("keeps everything at the same session id, drops everything at a new one", () => {
    const harness = new Harness().ready(2);
    const pointer = harness.alloc(1, 1000);
    ok(harness.register(1, 3, [{ address: DATA_AT, bytes: 4096 }]));
    ok(harness.init(1n));
    expect(harness.device.contexts.size).toBe(2);
    ok(harness.submit(1, 0, (w) => w.fill(pointer, 1000, 7, 1)));
    ok(harness.init(2n));
    const status = harness.device.status();
    expect(status.contexts).toEqual([]);
    expect(status.host_memory).toEqual({ bytes: 0, ranges: 0 });
    // The batch in flight still uses the segment; then it is given back to the last byte.
    expect(status.memory.allocated_bytes).toBe(0);
    expect(status.memory.reserved_bytes).toBeGreaterThan(0);
    harness.gpu.finishAll();
    expect(harness.device.status().memory.reserved_bytes).toBe(0);
    expect(harness.gpu.liveBytes).toBe(0);
    expect(harness.slot(1, 0).fence).toBe(0);
    ok(harness.createContext(1));
  });

  it("begins anew after reset and after another connection", () => {
    const harness = new Harness().ready();
    harness.device.reset();
    expect(harness.createContext(1).status).toBe("NOT_INITIALISED");
    harness.ready();
    harness.alloc(0, 100);
    harness.device.ringsChanged(true);
    harness.device.detach();
    expect(harness.device.status()).toMatchObject({ attached: false, session: false });
    expect(harness.gpu.liveBytes).toBe(0);
    harness.attach();
    expect(harness.createContext(1).status).toBe("NOT_INITIALISED");
    harness.ready();
  });
});

describe("malformed requests", () => {
  const harness = new Harness().ready();

  it("answers a broken chain, a short and a long request", () => {
    expect(harness.send(0, new Uint8Array(16), 64, "a loop").status).toBe("MALFORMED");
    expect(harness.control(new Uint8Array(7)).status).toBe("MALFORMED");
    expect(harness.control(new Uint8Array(0)).status).toBe("MALFORMED");
    const long = harness.control(new Uint8Array(VGPU.CONTROL_REQUEST_BYTES_MAX + 100));
    expect(long).toMatchObject({
      status: "REQUEST_TOO_LARGE",
      value: BigInt(VGPU.CONTROL_REQUEST_BYTES_MAX + 100),
      limit: BigInt(VGPU.CONTROL_REQUEST_BYTES_MAX),
    });
  });

  it("answers unknown types, wrong queues, flags and reserved fields", () => {
    expect(harness.control(requestBytes(99, 0))).toMatchObject({
      status: "UNKNOWN_COMMAND",
      value: 99n,
    });
    expect(harness.control(requestBytes(Request.SUBMIT, 0)).status).toBe("UNKNOWN_COMMAND");
    const flagged = requestBytes(Request.MEMORY_INFO, 0);
    flagged[4] = 1;
    expect(harness.control(flagged).status).toBe("RESERVED_NONZERO");
    const reserved = requestBytes(Request.MEMORY_INFO, 0);
    reserved[12] = 1;
    expect(harness.control(reserved)).toMatchObject({ status: "RESERVED_NONZERO", subject: 12 });
  });

  it("gives a request without room for the header back untouched, and counts it", () => {
    const before = harness.device.status().requests_rejected;
    const bytes = requestBytes(Request.MEMORY_INFO, 0);
    expect(harness.send(0, bytes, 31).written).toBe(0);
    expect(harness.send(0, bytes, 0).written).toBe(0);
    expect(harness.device.status().requests_rejected).toBe(before + 2);
  });

  it("refuses a response that does not fit before anything is done", () => {
    const response = harness.send(0, requestBytes(Request.MEMORY_INFO, 0), 63);
    expect(response).toMatchObject({ status: "RESPONSE_TOO_SMALL", value: 63n, limit: 64n });
    expect(harness.send(0, requestBytes(Request.MEMORY_INFO, 0), 64).status).toBe("OK");
  });
});

describe("contexts", () => {
  it("checks id, existence and pages", () => {
    const harness = new Harness({ limits: { contextsMax: 4 } }).ready();
    expect(harness.createContext(4)).toMatchObject({
      status: "CONTEXT_LIMIT",
      value: 4n,
      limit: 4n,
    });
    expect(harness.createContext(3).status).toBe("OK");
    expect(harness.createContext(3)).toMatchObject({ status: "CONTEXT_EXISTS", subject: 3 });
    expect(harness.destroyContext(2)).toMatchObject({ status: "CONTEXT_UNKNOWN", subject: 2 });
    const create = (timeline: number, arm: number): string => {
      const payload = structBytes(ContextCreateRequest, {
        timeline_address: BigInt(timeline),
        arm_address: BigInt(arm),
        name: "x",
      });
      return harness.control(requestBytes(Request.CONTEXT_CREATE, 1, payload)).status;
    };
    expect(create(0x100010, 0x101000)).toBe("MISALIGNED");
    expect(create(0x40_0000, 0x101000)).toBe("GUEST_ADDRESS");
    expect(create(0x101000, 0x40_0000)).toBe("GUEST_ADDRESS");
    harness.memory.windowBytes = 2048;
    expect(create(0x100000, 0x101000)).toBe("GUEST_ADDRESS");
    harness.memory.windowBytes = 4096;
    expect(create(0x100000, 0x101000)).toBe("OK");
  });

  it("writes a fresh timeline page", () => {
    const harness = new Harness();
    ok(harness.init());
    const page = harness.timelineAt(5);
    harness.memory.bytes.fill(0xff, page, page + 4096);
    ok(harness.createContext(5));
    expect(harness.header(5)).toMatchObject({
      magic: VGPU.TIMELINE_MAGIC,
      epoch: harness.device.epoch,
      status: "OK",
    });
    expect(harness.slot(5, 63)).toEqual({ fence: 0, status: "OK", timeNs: 0 });
  });

  it("answers queries for contexts that do not exist", () => {
    const harness = new Harness().ready();
    for (const type of [Request.MEMORY_INFO, Request.ERROR_QUERY, Request.STATISTICS])
      expect(harness.control(requestBytes(type, 9)).status).toBe("CONTEXT_UNKNOWN");
    expect(harness.tryAlloc(9, 10).status).toBe("CONTEXT_UNKNOWN");
    expect(harness.error(0)).toMatchObject({ name: "OK", text: "" });
  });
});

describe("host memory", () => {
  it("checks handle, ranges and quotas", () => {
    const harness = new Harness({
      limits: { hostmemsMax: 8, hostmemBytesMax: 65536, hostmemEntriesMax: 4 },
    }).ready();
    const one = [{ address: DATA_AT, bytes: 4096 }];
    expect(harness.register(0, 8, one)).toMatchObject({ status: "HANDLE_LIMIT", limit: 8n });
    expect(harness.register(0, 7, one).status).toBe("OK");
    expect(harness.register(0, 7, one)).toMatchObject({ status: "HANDLE_EXISTS", subject: 7 });
    expect(harness.register(0, 6, [...one, { address: 0x3f_ffff, bytes: 2 }])).toMatchObject({
      status: "GUEST_ADDRESS",
      value: 0x3f_ffffn,
      subject: 1,
    });
    expect(harness.register(0, 6, [{ address: DATA_AT, bytes: 61441 }])).toMatchObject({
      status: "QUOTA",
      value: 65537n,
      limit: 65536n,
    });
    expect(harness.register(0, 6, [{ address: DATA_AT, bytes: 61440 }]).status).toBe("OK");
    expect(harness.unregister(0, 6).status).toBe("OK");
    const four = [0, 1, 2, 3].map((i) => ({ address: DATA_AT + i * 8192, bytes: 10 }));
    expect(harness.register(0, 6, four)).toMatchObject({ status: "QUOTA", value: 5n, limit: 4n });
    expect(harness.unregister(0, 6).status).toBe("HANDLE_UNKNOWN");
    expect(harness.unregister(0, 7).status).toBe("OK");
    expect(harness.device.status().host_memory).toEqual({ bytes: 0, ranges: 0 });
  });
});
