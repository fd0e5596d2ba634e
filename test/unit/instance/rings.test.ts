// SPDX-License-Identifier: Apache-2.0
/**
 * The device behind a real vhost-user session, rings and the addon, on the null executor and on
 * Dawn: what the other tests of this folder replace is real here.
 */
import { afterEach, describe, expect, it } from "vitest";
import type { Executor } from "../../../src/gpu/executor.js";
import { createNullExecutor } from "../../../src/gpu/null/index.js";
import { createDevice, type VgpuDevice } from "../../../src/instance/index.js";
import { nowNs } from "../../../src/io/native.js";
import {
  CommandWriter,
  hostmemRegisterBytes,
  requestBytes,
  structBytes,
  submitBytes,
} from "../../../src/protocol/encode.js";
import {
  ContextCreateRequest,
  EventMessage,
  EventType,
  InitRequest,
  MemoryAllocRequest,
  MemoryAllocResponse,
  Request,
  ResponseHeader,
  Status,
  type TimelineSlot,
} from "../../../src/protocol/generated/wire.js";
import { type DevicePointer, pointerFromBigInt } from "../../../src/protocol/pointer.js";
import { testExecutor } from "../../support/dawn.js";
import { MockDriver } from "../../support/mock-driver.js";
import type { GuestBuffer } from "../../support/mock-memory.js";

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

/** A guest with one context. */
class Guest {
  readonly timeline: GuestBuffer;
  readonly arm: GuestBuffer;
  #fence = 0n;

  constructor(
    readonly driver: MockDriver,
    readonly device: VgpuDevice,
  ) {
    this.timeline = driver.memory.allocate(4096, 4096);
    this.arm = driver.memory.allocate(4096, 4096);
  }

  static async start(executor: Executor): Promise<Guest> {
    const device = await createDevice({ executor });
    const driver = MockDriver.inProcess(device);
    open.push(() => driver.close());
    await driver.start();
    driver.postEvents(8);
    const guest = new Guest(driver, device);
    const init = structBytes(InitRequest, { session: 77n, capabilities: 1n });
    await guest.control(requestBytes(Request.INIT, 0, init));
    const create = structBytes(ContextCreateRequest, {
      timeline_address: BigInt(guest.timeline.address),
      arm_address: BigInt(guest.arm.address),
      name: "rings",
    });
    await guest.control(requestBytes(Request.CONTEXT_CREATE, 3, create));
    return guest;
  }

  async control(request: Uint8Array): Promise<Uint8Array> {
    const response = await this.driver.control(request);
    const header = ResponseHeader.decode(new DataView(response.buffer), 0);
    expect(header.status).toBe(Status.OK);
    return response.subarray(ResponseHeader.bytes);
  }

  async alloc(bytes: number): Promise<DevicePointer> {
    const payload = structBytes(MemoryAllocRequest, { bytes: BigInt(bytes), flags: 0n });
    const result = await this.control(requestBytes(Request.MEMORY_ALLOC, 3, payload));
    const view = new DataView(result.buffer, result.byteOffset);
    return pointerFromBigInt(MemoryAllocResponse.decode(view, 0).pointer);
  }

  async register(hostmem: number, buffer: GuestBuffer): Promise<void> {
    await this.control(hostmemRegisterBytes(3, hostmem, [buffer]));
  }

  async run(build: (writer: CommandWriter) => void): Promise<TimelineSlot> {
    const writer = new CommandWriter();
    build(writer);
    this.#fence++;
    await this.driver.submit(submitBytes(3, 0, this.#fence, writer));
    return this.driver.waitFence({ timeline: this.timeline, arm: this.arm }, 0, this.#fence);
  }
}

describe("behind real rings", () => {
  it("completes fences with an interrupt on the null executor", async () => {
    const guest = await Guest.start(await createNullExecutor({ nowNs }));
    const pointer = await guest.alloc(1024);
    guest.driver.memory.dataView(guest.arm).setBigUint64(64, 1n, true);
    const slot = await guest.run((w) => w.fill(pointer, 1024, 1, 4));
    expect(slot.status).toBe(Status.OK);
    const event = await guest.driver.nextEvent();
    expect(EventMessage.decode(new DataView(event.buffer), 0)).toMatchObject({
      type: EventType.FENCE,
      context: 3,
    });
  });

  it("adds two vectors on the GPU", async () => {
    const guest = await Guest.start(await testExecutor());
    const count = 5000;
    const bytes = count * 4;
    const memory = guest.driver.memory;
    const a = memory.allocate(bytes);
    const b = memory.allocate(bytes, 4096);
    const c = memory.allocate(bytes);
    const floats = (buffer: GuestBuffer): Float32Array =>
      new Float32Array(memory.viewOf(buffer).buffer, 0, count);
    floats(a).forEach((_, i, all) => {
      all[i] = i;
    });
    floats(b).forEach((_, i, all) => {
      all[i] = 0.5 * i;
    });
    await guest.register(1, a);
    await guest.register(2, b);
    await guest.register(3, c);
    const [x, y, z] = [
      await guest.alloc(bytes),
      await guest.alloc(bytes),
      await guest.alloc(bytes),
    ];
    const source = `
      @group(0) @binding(0) var<storage, read> a: array<f32>;
      @group(0) @binding(1) var<storage, read> b: array<f32>;
      @group(0) @binding(2) var<storage, read_write> c: array<f32>;
      @group(0) @binding(3) var<uniform> n: u32;
      @compute @workgroup_size(64)
      fn add(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < n) { c[id.x] = a[id.x] + b[id.x]; }
      }`;
    const n = new Uint8Array(new Uint32Array([count]).buffer);
    const grid: [number, number, number] = [Math.ceil(count / 64), 1, 1];
    const slot = await guest.run((w) => {
      w.moduleLoad(0, source).functionCreate(0, 0, "add");
      w.copyToDevice(x, 1, 0, bytes).copyToDevice(y, 2, 0, bytes);
      w.launch({ function: 0, grid, arguments: [x, y, z, n] });
      w.copyFromDevice(z, 3, 0, bytes);
    });
    expect(slot.status).toBe(Status.OK);
    expect(floats(c).every((value, i) => value === 1.5 * i)).toBe(true);
    // In place: z = z + z through one shared binding.
    const again = await guest.run((w) => {
      w.launch({ function: 0, grid, arguments: [z, z, z, n] });
      w.copyFromDevice(z, 3, 0, bytes);
    });
    expect(again.status).toBe(Status.OK);
    expect(floats(c).every((value, i) => value === 3 * i)).toBe(true);
    const status = guest.device.status();
    expect(status.usage).toMatchObject({ launches: 2, copies: 4, bytes_to_device: 2 * bytes });
    expect(status.memory.allocated_bytes).toBe(3 * Math.ceil(bytes / 256) * 256);
  });

  it("gives everything back when the front end goes away", async () => {
    const guest = await Guest.start(await createNullExecutor({ nowNs }));
    await guest.alloc(1 << 20);
    expect(guest.device.status().memory.reserved_bytes).toBeGreaterThan(0);
    guest.driver.frontend.close();
    for (let turn = 0; guest.device.status().attached && turn < 1000; turn++)
      await new Promise((resolve) => setTimeout(resolve, 2));
    expect(guest.device.status()).toMatchObject({ attached: false, session: false, contexts: [] });
    expect(guest.device.status().memory.reserved_bytes).toBe(0);
  });
});
