// SPDX-License-Identifier: Apache-2.0
// While the rings are stopped nothing is written into guest memory, whatever the GPU is doing, and
// the stop waits for no kernel; and with a log of dirty pages, every write of the device is in it.
import { afterEach, describe, expect, it } from "vitest";
import type { Executor } from "../../../src/gpu/executor.js";
import { createDevice, type VgpuDevice } from "../../../src/instance/index.js";
import { close, mapRegion, memfdCreate } from "../../../src/io/native.js";
import { CommandWriter } from "../../../src/protocol/encode.js";
import { Status, VGPU } from "../../../src/protocol/generated/wire.js";
import { testExecutor } from "../../support/dawn.js";
import { MemoryExecutor } from "../../support/memory-executor.js";
import { F_LOG_ALL, MockDriver, VU } from "../../support/mock-driver.js";
import { u64, u64s } from "../../support/mock-frontend.js";
import { type GuestContext, MockGuest, ok } from "../../support/mock-guest.js";
import type { GuestBuffer } from "../../support/mock-memory.js";

const MEMORY = 32 << 20;
const open: (() => void)[] = [];
afterEach(() => {
  for (const end of open.splice(0)) end();
});

interface Machine {
  readonly guest: MockGuest;
  readonly driver: MockDriver;
  readonly device: VgpuDevice;
  readonly context: GuestContext;
  /** All of guest memory. */
  readonly memory: Uint8Array;
}

async function machine(executor: Executor, packed: boolean): Promise<Machine> {
  const device = await createDevice({ executor });
  const regions = [{ guestAddress: 0, bytes: MEMORY }];
  const driver = MockDriver.inProcess(device, { packed, regions });
  open.push(() => driver.close());
  const guest = new MockGuest(await driver.start());
  driver.postEvents(4);
  ok(await guest.init());
  const context = await guest.createContext(1);
  const [region] = driver.memory.regions;
  if (region === undefined) throw new Error("no region");
  const memory = new Uint8Array(region.mapping.window(0, MEMORY));
  return { guest, driver, device, context, memory };
}

/** Asks for an interrupt at a fence, as a driver does before it sleeps. */
function arm({ driver, context }: Machine, fence: bigint): void {
  const at = VGPU.TIMELINE_HEADER_BYTES;
  driver.memory.dataView(context.arm).setBigUint64(at, fence, true);
}

const stopAll = async ({ driver }: Machine): Promise<number[]> => {
  const bases: number[] = [];
  for (let index = 0; index < 3; index++) bases.push(await driver.stopQueue(index));
  return bases;
};

async function startAll({ driver }: Machine, bases: readonly number[]): Promise<void> {
  for (const [index, base] of bases.entries()) await driver.startQueue(index, base);
}

const dirtyPages = (log: Uint8Array): Set<number> => {
  const pages = new Set<number>();
  log.forEach((byte, at) => {
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) pages.add(8 * at + bit);
  });
  log.fill(0);
  return pages;
};

const pagesOf = ({ address, bytes }: GuestBuffer): number[] => {
  const first = Math.floor(address / 4096);
  return Array.from({ length: Math.ceil((address + bytes) / 4096) - first }, (_, i) => first + i);
};

/** A log that covers all memory, given and switched on. */
async function logging(driver: MockDriver): Promise<Uint8Array> {
  const bytes = MEMORY / 32768;
  const fd = memfdCreate("mock-log", bytes);
  const mapping = mapRegion(fd, 0, bytes);
  driver.frontend.send({ request: VU.SET_LOG_BASE, payload: u64s(bytes, 0), fds: [fd] });
  await driver.frontend.reply();
  close(fd);
  open.push(() => mapping.unmap());
  await driver.frontend.set(VU.SET_FEATURES, u64(driver.features | F_LOG_ALL));
  return new Uint8Array(mapping.window(0, bytes));
}

describe.each([
  { format: "split", packed: false },
  { format: "packed", packed: true },
])("stopped rings ($format)", ({ packed }) => {
  it("hold back what completes meanwhile, and deliver it after", async () => {
    const executor = new MemoryExecutor();
    const m = await machine(executor, packed);
    const target = m.driver.memory.allocate(100_000, 4096);
    await m.guest.registerMemory(1, 1, [target]);
    const pointer = await m.guest.alloc(1, target.bytes);
    arm(m, 1n);
    const commands = new CommandWriter();
    commands.fill(pointer, target.bytes, 0x5a, 1).copyFromDevice(pointer, 1, 0, target.bytes);
    await m.guest.submit(1, 0, commands);
    expect(executor.inFlight).toBe(1);
    const bases = await stopAll(m);
    const before = m.memory.slice();
    const calls = m.driver.counts(VGPU.QUEUE_EVENT).calls;
    executor.finishAll();
    await m.driver.frontend.barrier();
    expect(executor.inFlight).toBe(0);
    expect(Buffer.compare(m.memory, before)).toBe(0);
    expect(m.driver.counts(VGPU.QUEUE_EVENT).calls).toBe(calls);
    await startAll(m, bases);
    const slot = await m.driver.waitFence(m.context, 0, 1n);
    expect(slot.status).toBe(Status.OK);
    expect(m.driver.memory.read(target.address, target.bytes).every((b) => b === 0x5a)).toBe(true);
    await m.driver.nextEvent();
  });

  it("take no new work, and the timeline stands still for requests that wait", async () => {
    const executor = new MemoryExecutor();
    const m = await machine(executor, packed);
    const pointer = await m.guest.alloc(1, 4096);
    const bases = await stopAll(m);
    const commands = new CommandWriter();
    commands.fill(pointer, 4096, 1, 1);
    const submitted = m.guest.submit(1, 0, commands);
    await m.driver.frontend.barrier();
    expect(executor.inFlight).toBe(0);
    await startAll(m, bases);
    await submitted;
    executor.finishAll();
    expect((await m.driver.waitFence(m.context, 0, 1n)).status).toBe(Status.OK);
  });

  it("with a log: copies to the host, timeline, responses and events are in it", async () => {
    const executor = new MemoryExecutor();
    const m = await machine(executor, packed);
    const { driver, guest } = m;
    const target = driver.memory.allocate(3 * 4096, 4096);
    const beside = driver.memory.allocate(4096, 4096);
    // Two ranges, of which neither begins at a page.
    const ranges = [
      { address: target.address + 10, bytes: 5000 },
      { address: target.address + 9000, bytes: 100 },
    ];
    await guest.registerMemory(1, 1, ranges);
    const pointer = await guest.alloc(1, 8192);
    const log = await logging(driver);
    arm(m, 1n);
    const commands = new CommandWriter();
    commands.fill(pointer, 5100, 7, 1).copyFromDevice(pointer, 1, 0, 5100);
    await guest.submit(1, 0, commands);
    const submitPages = dirtyPages(log);
    // The response of the submit alone; nothing of what has not run yet.
    expect(submitPages.size).toBe(1);
    executor.finishAll();
    await driver.waitFence(m.context, 0, 1n);
    await driver.nextEvent();
    const pages = dirtyPages(log);
    const expected = [...pagesOf(target), ...pagesOf(m.context.timeline)];
    expect(expected.filter((page) => !pages.has(page))).toEqual([]);
    expect(pages.has(pagesOf(beside)[0] ?? 0)).toBe(false);
    // And the page of the event's buffer.
    expect(pages.size).toBe(expected.length + 1);
  });

  it("with a log: what is delivered after a stop is in it, and nothing is between", async () => {
    const executor = new MemoryExecutor();
    const m = await machine(executor, packed);
    const target = m.driver.memory.allocate(8192, 4096);
    await m.guest.registerMemory(1, 1, [target]);
    const pointer = await m.guest.alloc(1, 8192);
    const log = await logging(m.driver);
    const commands = new CommandWriter();
    commands.copyFromDevice(pointer, 1, 0, 8192);
    await m.guest.submit(1, 0, commands);
    const bases = await stopAll(m);
    dirtyPages(log);
    executor.finishAll();
    await m.driver.frontend.barrier();
    expect(dirtyPages(log)).toEqual(new Set());
    await startAll(m, bases);
    await m.driver.waitFence(m.context, 0, 1n);
    const pages = dirtyPages(log);
    for (const page of [...pagesOf(target), ...pagesOf(m.context.timeline)])
      expect(pages).toContain(page);
  });
});

describe("on a real GPU", () => {
  it("a stop waits neither for a long kernel nor for a copy behind it", async () => {
    const m = await machine(await testExecutor(), false);
    const bytes = 4 << 20;
    const target = m.driver.memory.allocate(bytes, 4096);
    await m.guest.registerMemory(1, 1, [target]);
    const pointer = await m.guest.alloc(1, bytes);
    // One workgroup, so that it runs as a whole; each step depends on the one before.
    const source = `
      @group(0) @binding(0) var<storage, read_write> data: array<u32>;
      @group(0) @binding(1) var<uniform> steps: u32;
      @compute @workgroup_size(64)
      fn spin(@builtin(local_invocation_id) id: vec3u) {
        var x = id.x;
        for (var i = 0u; i < steps; i++) { x = (x ^ (x << 5u)) * 1664525u + i; }
        data[id.x] = x | 1u;
      }`;
    const launch = async (steps: number, copy: boolean): Promise<bigint> => {
      const commands = new CommandWriter();
      const value = new Uint8Array(new Uint32Array([steps]).buffer);
      commands.launch({ function: 0, grid: [1, 1, 1], arguments: [pointer, value] });
      if (copy) commands.copyFromDevice(pointer, 1, 0, bytes);
      return m.guest.submit(1, 0, commands);
    };
    await m.guest.run(m.context, 0, (w) => w.moduleLoad(0, source).functionCreate(0, 0, "spin"));
    // How many steps are about a second, on whatever machine this is.
    let steps = 1 << 16;
    for (let ms = 0; ms < 100; steps = Math.min(2 ** 31, steps * 2)) {
      const begin = performance.now();
      await m.driver.waitFence(m.context, 0, await launch(steps, false));
      ms = performance.now() - begin;
      if (ms >= 100) steps = Math.round((steps * 1000) / ms / 2);
    }
    const fence = await launch(steps, true);
    const bases = await stopAll(m);
    // The replies came while the kernel was running: its end has not been seen.
    expect(m.device.status().queue.batches_in_flight).toBeGreaterThan(0);
    const before = m.memory.slice();
    await expect
      .poll(() => m.device.status().queue.batches_in_flight, { timeout: 20_000, interval: 20 })
      .toBe(0);
    expect(Buffer.compare(m.memory, before)).toBe(0);
    await startAll(m, bases);
    expect((await m.driver.waitFence(m.context, 0, fence)).status).toBe(Status.OK);
    const words = m.driver.memory.dataView(target);
    for (let i = 0; i < 64; i++) expect(words.getUint32(4 * i, true) & 1).toBe(1);
  }, 60_000);
});
