// SPDX-License-Identifier: Apache-2.0
/** Reset, suspension and resumption, memory that comes and goes under load. */
import { VGPU } from "../../protocol/generated/wire.js";
import { Commands } from "../driver/commands.js";
import type { Context, Device } from "../driver/device.js";
import { QUEUES } from "../driver/front-end.js";
import { Vhost } from "../driver/wire.js";
import { allBytes, check, equal, pattern, sameBytes } from "../framework/check.js";
import { group } from "../framework/registry.js";
import { event, post } from "./timeline.js";

const GIB = 0x4000_0000;

async function stopAll(device: Device): Promise<number[]> {
  const bases: number[] = [];
  for (const index of QUEUES) bases.push(await device.frontEnd.stopQueue(index));
  return bases;
}

async function startAll(device: Device, bases: readonly number[]): Promise<void> {
  for (const [index, base] of bases.entries()) await device.frontEnd.startQueue(index, base);
}

/** All of guest memory, as it is now. */
function snapshot(device: Device): () => void {
  const before = device.frontEnd.memory.regions.map((region) => region.bytes.slice());
  return () => {
    for (const [index, region] of device.frontEnd.memory.regions.entries()) {
      const bytes = before[index];
      if (bytes === undefined) continue;
      if (Buffer.compare(bytes, region.bytes) === 0) continue;
      sameBytes(region.bytes.slice(), bytes, "guest memory while no queue runs");
    }
  };
}

// ---- Reset --------------------------------------------------------------------------------------

const reset = group("lifecycle/reset", "RESET_DEVICE and new sessions forget everything.", {
  needs: ["reset-device"],
});

reset
  .test("contexts")
  .desc("RESET_DEVICE destroys contexts and frees their memory; INIT begins anew.")
  .dev(102)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext(1);
    await context.alloc(1 << 20);
    await context.queue(0, new Commands().wait(1, 1));
    await device.frontEnd.set(Vhost.RESET_DEVICE);
    for (const index of QUEUES) await device.frontEnd.enable(index, true);
    await device.init();
    const again = await device.createContext(1);
    equal(again.done(0), 0n, "the fence of the new context");
    await again.succeed(new Commands().nop());
    const info = await again.ask(18);
    equal(info.getBigUint64(8, true), info.getBigUint64(0, true), "free_bytes");
  });

reset
  .test("writes-nothing")
  .desc("After RESET_DEVICE nothing of the old contexts is written, with copies under way.")
  .dev(30, 102)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext(1);
    const bytes = 1 << 20;
    const pointer = await context.alloc(bytes);
    const buffer = device.frontEnd.memory.allocate(bytes, 4096);
    const hostmem = await context.register(buffer);
    const commands = new Commands();
    for (let index = 0; index < 16; index++) commands.copyFromDevice(pointer, hostmem, 0, bytes);
    await context.queue(0, commands);
    await device.frontEnd.set(Vhost.RESET_DEVICE);
    const marked = pattern(bytes, 13);
    buffer.bytes.set(marked);
    context.timeline.bytes.fill(0x55);
    for (const index of QUEUES) await device.frontEnd.enable(index, true);
    await t.pause(30);
    sameBytes(buffer.bytes.slice(), marked, "the memory that was registered");
    allBytes(context.timeline.bytes.slice(), 0x55, "the timeline page");
  });

reset
  .test("twenty-times")
  .desc("Twenty sessions with work under way, one after the other, on one connection.")
  .dev(7)
  .fn(async (t) => {
    const device = await t.device();
    const free = device.frontEnd.memory.main.mark();
    for (let round = 0; round < 20; round++) {
      await device.init();
      const context = await device.createContext(round % 4);
      const pointer = await context.alloc(1 << 16);
      for (let stream = 0; stream < 4; stream++)
        await context.queue(stream, new Commands().fill(pointer, 1 << 16, stream));
      free();
    }
    await device.init();
    await (await device.createContext()).succeed(new Commands().nop());
  });

// ---- Suspension ---------------------------------------------------------------------------------

const suspend = group("lifecycle/suspend", "While no queue runs, guest memory stays as it is.");

suspend
  .test("quiet")
  .desc("What completes while all queues are stopped is shown when they run again, not before.")
  .dev(101)
  .params([
    { name: "copies", copies: true, fills: 16, size: 1 << 20 },
    { name: "flood", copies: false, fills: 3000, size: 4096 },
  ])
  .fn(async (t, { copies, fills, size }) => {
    const device = await t.device();
    const context = await device.createContext();
    const bytes = 1 << 20;
    const pointer = await context.alloc(bytes);
    const buffer = device.frontEnd.memory.allocate(bytes, 4096);
    const hostmem = await context.register(buffer);
    const fences: bigint[] = [];
    for (let stream = 0; stream < 4; stream++) {
      const commands = new Commands();
      for (let each = 0; each < fills; each++) commands.fill(pointer, size, 0x40 + stream);
      if (copies) commands.copyFromDevice(pointer, hostmem, 0, bytes);
      fences.push(await context.queue(stream, commands));
    }
    const bases = await stopAll(device);
    const unchanged = snapshot(device);
    await t.pause(50);
    unchanged();
    await startAll(device, bases);
    for (const [stream, fence] of fences.entries())
      equal(await context.wait(stream, fence), "OK", `the status of stream ${stream}`);
    if (!copies || !t.environment.results) return;
    const [first = 0] = buffer.bytes;
    check(first >= 0x40 && first < 0x44, "the copies have arrived");
  });

suspend
  .test("no-event")
  .desc("An event of an armed fence is sent when the queues run again, not before.")
  .dev(101, 93)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    await context.queue(1, new Commands().wait(1, 1));
    const posted = post(device);
    context.armFence(0, 1n);
    const fence = await context.queue(
      0,
      new Commands().fill(await context.alloc(1 << 20), 1 << 20, 1),
    );
    const bases = await stopAll(device);
    const { calls } = device.frontEnd.counts(VGPU.QUEUE_EVENT);
    const completed = context.done(0) >= fence;
    await t.pause(30);
    if (!completed)
      equal(device.frontEnd.counts(VGPU.QUEUE_EVENT).calls, calls, "calls while stopped");
    await startAll(device, bases);
    await event(device, posted);
    equal(context.done(0), fence, "the fence when the event comes");
  });

suspend
  .test("base-at-once")
  .desc("GET_VRING_BASE waits for no command: a stream that is held keeps no queue from stopping.")
  .dev(138)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    for (let stream = 0; stream < 8; stream++)
      await context.queue(stream, new Commands().wait(stream, 1).nop());
    const bases = await stopAll(device);
    await startAll(device, bases);
    for (let stream = 0; stream < 8; stream++)
      await context.queue(20, new Commands().record(stream, 1));
    for (let stream = 0; stream < 8; stream++)
      equal(await context.wait(stream, 1n), "OK", `the status of stream ${stream}`);
  });

suspend
  .test("under-load")
  .desc("Thirty pauses in the middle of work: each fence completes, and results are right.")
  .dev(63, 101)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const pointer = await context.alloc(4096);
    let fence = 0n;
    for (let round = 0; round < 30; round++) {
      for (let each = 0; each < 5; each++)
        fence = await context.queue(0, new Commands().fill(pointer, 4096, round));
      const bases = await stopAll(device);
      await startAll(device, bases);
    }
    equal(await context.wait(0, fence), "OK", "the status of the last");
    if (!t.environment.results) return;
    allBytes(await context.read(pointer, 4096), 29, "device memory");
  });

suspend
  .test("disabled")
  .desc("Queues that are disabled one and all are as good as stopped.")
  .dev(101)
  .needs("protocol-features")
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const pointer = await context.alloc(1 << 20);
    const fence = await context.queue(0, new Commands().fill(pointer, 1 << 20, 1));
    for (const index of QUEUES) await device.frontEnd.enable(index, false);
    const unchanged = snapshot(device);
    await t.pause(30);
    unchanged();
    for (const index of QUEUES) await device.frontEnd.enable(index, true);
    equal(await context.wait(0, fence), "OK", "the status");
  });

// ---- Memory that comes and goes -----------------------------------------------------------------

const hotplug = group("lifecycle/memory", "Memory is added and removed while the device works.", {
  needs: ["mem-slots"],
});

hotplug
  .test("added")
  .desc("Memory that is added under load can be registered and copied to at once.")
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const load = await context.alloc(1 << 20);
    for (let round = 1; round <= 10; round++) {
      const fence = await context.queue(0, new Commands().fill(load, 1 << 20, round));
      const region = device.frontEnd.memory.add({ address: GIB * round, bytes: 65536 });
      region.bytes.fill(0x99);
      await device.frontEnd.addRegion(region);
      const hostmem = await context.register(region.at(0, 65536));
      await context.succeed(new Commands().copyFromDevice(load, hostmem, 0, 65536), 1);
      equal(await context.wait(0, fence), "OK", "the status of the load");
      check(region.bytes[0] !== 0x99, "the copy has arrived in the new memory");
    }
  });

hotplug
  .test("removed")
  .desc("Memory that is removed is not written any more, and the device goes on.")
  .dev(27, 35)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const region = device.frontEnd.memory.add({ address: GIB, bytes: 65536 });
    await device.frontEnd.addRegion(region);
    const pointer = await context.alloc(65536);
    const hostmem = await context.register(region.at(0, 65536));
    await context.succeed(new Commands().copyFromDevice(pointer, hostmem, 0, 65536));
    await device.frontEnd.removeRegion(region);
    const marked = pattern(65536, 14);
    region.bytes.set(marked);
    await context.run(new Commands().copyFromDevice(pointer, hostmem, 0, 65536));
    sameBytes(region.bytes.slice(), marked, "the memory that was removed");
    const other = await device.createContext(2);
    await other.succeed(new Commands().nop());
    const range = { address: GIB, bytes: 4096 };
    equal((await other.registerRaw(9, [range])).status, "GUEST_ADDRESS", "registering it again");
  });

hotplug
  .test("removed-under-load")
  .desc("Memory that is removed while copies to it run is not written after the acknowledgement.")
  .dev(139)
  .needs("reply-ack")
  .fn(async (t) => {
    const device = await t.device();
    for (let round = 0; round < 10; round++) {
      const context = await device.createContext(round);
      const region = device.frontEnd.memory.add({ address: GIB * (round + 1), bytes: 1 << 18 });
      await device.frontEnd.addRegion(region);
      const pointer = await context.alloc(1 << 18);
      const hostmem = await context.register(region.at(0, 1 << 18));
      const commands = new Commands();
      for (let each = 0; each < 20; each++) commands.copyFromDevice(pointer, hostmem, 0, 1 << 18);
      const fence = await context.queue(0, commands);
      await device.frontEnd.removeRegion(region);
      const marked = pattern(1 << 18, round);
      region.bytes.set(marked);
      await context.wait(0, fence);
      sameBytes(region.bytes.slice(), marked, `the removed memory in round ${round}`);
    }
  });

hotplug
  .test("timeline-page")
  .desc("A context whose timeline page is removed harms nobody; back again, it is written anew.")
  .fn(async (t) => {
    const device = await t.device();
    const region = device.frontEnd.memory.add({ address: GIB, bytes: 8192 });
    await device.frontEnd.addRegion(region);
    const [timeline, arm] = [region.at(0, 4096), region.at(4096, 4096)];
    const response = await device.createContextAt(1, timeline.address, arm.address);
    equal(response.status, "OK", "CONTEXT_CREATE");
    await device.frontEnd.removeRegion(region);
    const other: Context = await device.createContext(2);
    await other.succeed(new Commands().nop());
    await device.frontEnd.addRegion(region);
    await other.succeed(new Commands().nop());
    equal((await device.call(4, 1)).status, "OK", "CONTEXT_DESTROY");
  });

hotplug
  .test("shrinks")
  .desc("A memory file that shrinks under the device costs the connection and nothing else.")
  .fn(async (t) => {
    const { ftruncate } = await import("../../io/native.js");
    const device = await t.device();
    const context = await device.createContext();
    const region = device.frontEnd.memory.add({ address: GIB, bytes: 1 << 16 });
    await device.frontEnd.addRegion(region);
    const pointer = await context.alloc(1 << 16);
    const hostmem = await context.register(region.at(0, 1 << 16));
    ftruncate(region.fd, 0);
    await context.submit(0, new Commands().copyFromDevice(pointer, hostmem, 0, 1 << 16));
    await t.pause(30);
    await t.survives();
  });
