// SPDX-License-Identifier: Apache-2.0
/** Contexts and their pages; host memory that is registered for them. */
import { EventType, Request, requestShapes, VGPU } from "../../protocol/generated/wire.js";
import { Commands } from "../driver/commands.js";
import { type Context, type Device, slotAt } from "../driver/device.js";
import { allBytes, check, equal, pattern, sameBytes } from "../framework/check.js";
import { group } from "../framework/registry.js";

const PAGE = VGPU.TIMELINE_PAGE_BYTES;

/** Status of CONTEXT_CREATE at addresses. */
async function create(
  device: Device,
  id: number,
  timeline: number | bigint,
  arm: number | bigint,
): Promise<string> {
  return (await device.createContextAt(id, timeline, arm)).status;
}

// ---- Contexts -----------------------------------------------------------------------------------

const contexts = group("context/create", "Ids and pages of contexts.");

contexts
  .test("id-limit")
  .desc("Ids below contexts_max make contexts, contexts_max itself is refused.")
  .dev(23)
  .fn(async (t) => {
    const device = await t.device();
    const [a, b] = [device.frontEnd.memory.page(), device.frontEnd.memory.page()];
    const most = t.limits.contexts_max;
    equal(await create(device, most - 1, a.address, b.address), "OK", "the last id");
    equal(await create(device, most, a.address, b.address), "CONTEXT_LIMIT", "the id behind");
    equal(await create(device, 0xffff_ffff, a.address, b.address), "CONTEXT_LIMIT", "the largest");
  });

contexts
  .test("all")
  .desc("All contexts can exist at a time, and each one completes a fence.")
  .fn(async (t) => {
    const device = await t.device();
    const count = Math.min(t.limits.contexts_max, 64);
    const made: Context[] = [];
    for (let id = 0; id < count; id++) made.push(await device.createContext(id));
    for (const context of made) await context.succeed(new Commands().nop());
  });

contexts
  .test("exists")
  .desc("An id that is in use is refused; after CONTEXT_DESTROY it is free.")
  .dev(24)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext(3);
    const { timeline, arm } = context;
    const again = (): Promise<string> => create(device, 3, timeline.address, arm.address);
    equal(await again(), "CONTEXT_EXISTS", "the status while it exists");
    await context.succeed(new Commands().nop());
    await context.destroy();
    equal(await again(), "OK", "the status afterwards");
  });

contexts
  .test("misaligned")
  .desc("Pages that are not aligned to 4096 bytes are refused.")
  .dev(25)
  .params([1, 8, 64, 2048, 4095].map((by) => ({ name: `${by}`, by })))
  .fn(async (t, { by }) => {
    const device = await t.device();
    const [a, b] = [device.frontEnd.memory.page(), device.frontEnd.memory.page()];
    equal(await create(device, 1, a.address + by, b.address), "MISALIGNED", "the timeline page");
    equal(await create(device, 1, a.address, b.address + by), "MISALIGNED", "the arm page");
    equal(await create(device, 1, a.address, b.address), "OK", "the control");
  });

contexts
  .test("same-page")
  .desc("One page for both is refused.")
  .dev(26)
  .fn(async (t) => {
    const device = await t.device();
    const { address } = device.frontEnd.memory.page();
    equal(await create(device, 1, address, address), "MALFORMED", "the status");
  });

contexts
  .test("no-memory")
  .desc("Pages that are not guest memory are refused.")
  .dev(27)
  .params([
    { name: "zero", address: 0n },
    { name: "high", address: 1n << 40n },
    { name: "behind", address: -1n },
    { name: "last", address: (1n << 64n) - 4096n },
  ])
  .fn(async (t, { address }) => {
    const device = await t.device();
    const { main } = device.frontEnd.memory;
    const page = device.frontEnd.memory.page().address;
    const bad = address < 0n ? BigInt(main.address + main.length) : address;
    equal(await create(device, 1, bad, page), "GUEST_ADDRESS", "the timeline page");
    equal(await create(device, 1, page, bad), "GUEST_ADDRESS", "the arm page");
    const last = main.address + main.length - PAGE;
    equal(await create(device, 1, page, last), "OK", "the control: the last page there is");
  });

contexts
  .test("page-is-written")
  .desc("The timeline page has magic, epoch, status OK and zero slots when the answer comes.")
  .dev(28)
  .fn(async (t) => {
    const device = await t.device();
    const { epoch } = await device.capabilities();
    const context = await device.createContext();
    const head = context.head();
    equal(head.magic, VGPU.TIMELINE_MAGIC, "timeline_header.magic");
    equal(head.epoch, epoch, "timeline_header.epoch");
    equal(head.context_status, 0, "timeline_header.context_status");
    const slots = context.timeline.bytes.slice(slotAt(0), slotAt(t.limits.streams_max));
    allBytes(slots, 0, "the slots");
  });

contexts
  .test("arm-page-is-not-written")
  .desc("The arm page is the driver's: the device writes nothing there.")
  .dev(51)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    await context.succeed(new Commands().nop());
    allBytes(context.arm.bytes.slice(), 0, "the arm page");
  });

contexts
  .test("unknown")
  .desc("Each request of a context that does not exist is refused.")
  .dev(29)
  .params(
    [...requestShapes]
      .filter(([type, { scope, trailing }]) => {
        const creates = type === Request.CONTEXT_CREATE || type === Request.INIT;
        return (scope === "context" || !creates) && scope !== "any" && trailing === null;
      })
      .map(([type, shape]) => ({ name: shape.name, type, bytes: shape.requestBytes })),
  )
  .fn(async (t, { type, bytes }) => {
    const device = await t.device();
    await device.createContext(1);
    const payload = new Uint8Array(bytes);
    if (type === Request.MEMORY_ALLOC) payload[0] = 1;
    equal((await device.call(type, 2, payload)).status, "CONTEXT_UNKNOWN", "the status");
  });

contexts
  .test("unknown-submit")
  .desc("A SUBMIT or HOSTMEM_REGISTER for a context that does not exist is refused.")
  .dev(29)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext(1);
    await context.destroy();
    const { response } = await context.submit(0, new Commands().nop());
    equal(response.status, "CONTEXT_UNKNOWN", "the status of SUBMIT");
    const ranges = [{ address: context.arm.address, bytes: 16 }];
    equal((await context.registerRaw(0, ranges)).status, "CONTEXT_UNKNOWN", "HOSTMEM_REGISTER");
  });

const destroy = group("context/destroy", "What is left of a destroyed context: nothing.");

destroy
  .test("memory-untouched")
  .desc("Pages and registered memory are not written after the answer, with work under way.")
  .dev(30)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const pointer = await context.alloc(1 << 20);
    const buffer = device.frontEnd.memory.allocate(1 << 20, 4096);
    const hostmem = await context.register(buffer);
    for (let stream = 0; stream < 8; stream++)
      await context.queue(stream, new Commands().copyFromDevice(pointer, hostmem, 0, 1 << 20));
    await context.queue(9, new Commands().wait(1, 1).copyFromDevice(pointer, hostmem, 0, 1 << 20));
    await context.destroy();
    const marked = pattern(1 << 20, 7);
    buffer.bytes.set(marked);
    context.timeline.bytes.fill(0x77);
    const other = await device.createContext(2);
    for (let round = 0; round < 5; round++) await other.succeed(new Commands().nop());
    await t.pause();
    sameBytes(buffer.bytes.slice(), marked, "the registered memory");
    allBytes(context.timeline.bytes.slice(), 0x77, "the timeline page");
  });

destroy
  .test("memory-is-freed")
  .desc("Device memory of a destroyed context is free again.")
  .dev(31)
  .fn(async (t) => {
    const device = await t.device();
    const watcher = await device.createContext(1);
    const free = async (): Promise<bigint> =>
      (await watcher.ask(Request.MEMORY_INFO)).getBigUint64(8, true);
    const before = await free();
    for (let round = 0; round < 20; round++) {
      const context = await device.createContext(2);
      await context.alloc(1 << 20);
      await context.succeed(new Commands().fill(await context.alloc(1 << 20), 1 << 20, 1));
      check((await free()) < before, "allocated memory is not free");
      await context.destroy();
    }
    for (let tries = 0; (await free()) !== before && tries < 100; tries++) await t.pause(10);
    equal(await free(), before, "the free memory");
  });

destroy
  .test("while-waiting")
  .desc("A context is destroyed at once, though a stream waits for what never comes.")
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    await context.queue(0, new Commands().wait(1, 1).nop());
    await context.destroy();
    await (await device.createContext(context.id)).succeed(new Commands().nop());
  });

destroy
  .test("no-events")
  .desc("No event message names a context after it was destroyed.")
  .dev(30)
  .fn(async (t) => {
    const device = await t.device();
    const { frontEnd } = device;
    const context = await device.createContext();
    context.armFence(0, 1n);
    await context.queue(0, new Commands().nop());
    await context.wait(0, 1n);
    await context.destroy();
    const buffer = frontEnd.memory.allocate(32);
    const id = frontEnd
      .ring(VGPU.QUEUE_EVENT)
      .add([{ address: buffer.address, length: 32, write: true }]);
    frontEnd.publish(VGPU.QUEUE_EVENT);
    await device.capabilities();
    await t.pause(5);
    const came = frontEnd.collect(VGPU.QUEUE_EVENT).has(id);
    check(
      !came || buffer.view.getUint32(0, true) !== EventType.FENCE,
      "no FENCE message comes for a context that is gone",
    );
  });

// ---- Host memory --------------------------------------------------------------------------------

const hostmem = group("hostmem/register", "Registrations: their ranges, sums and limits.");

hostmem
  .test("zero")
  .desc("No entries, and an entry of no bytes, are refused.")
  .dev(32)
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    const { address } = context.arm;
    equal((await context.registerRaw(0, [])).status, "SIZE_ZERO", "without entries");
    const one = { address, bytes: 16 };
    const none = { address, bytes: 0 };
    equal((await context.registerRaw(0, [none])).status, "SIZE_ZERO", "an empty entry");
    equal((await context.registerRaw(0, [one, none])).status, "SIZE_ZERO", "a second empty entry");
    equal((await context.registerRaw(0, [one])).status, "OK", "the control");
  });

hostmem
  .test("entry-limit")
  .desc("As many entries as config space says are accepted, one more is refused.")
  .dev(33)
  .needs("config")
  .fn(async (t) => {
    const device = await t.device({ memoryBytes: 16 << 20 });
    const context = await device.createContext();
    const most = (await device.config()).hostmem_entries_max;
    const { address } = device.frontEnd.memory.page();
    const entries = (count: number) => Array.from({ length: count }, () => ({ address, bytes: 8 }));
    const above = await context.registerRaw(0, entries(most + 1));
    equal(above.status, "REQUEST_TOO_LARGE", "one entry too many");
    equal((await context.registerRaw(0, entries(most))).status, "OK", "as many as allowed");
  });

hostmem
  .test("sum")
  .desc("`bytes` has to be the sum of the entries.")
  .dev(34)
  .params([-1n, 1n].map((by) => ({ name: `${by}`, by })))
  .fn(async (t, { by }) => {
    const context = await (await t.device()).createContext();
    const { address } = context.arm;
    const ranges = [
      { address, bytes: 16 },
      { address, bytes: 48 },
    ];
    const wrong = await context.registerRaw(0, ranges, { bytes: 64n + by });
    equal(wrong.status, "MALFORMED", "the status with another sum");
    equal((await context.registerRaw(0, ranges)).status, "OK", "the control");
  });

hostmem
  .test("no-memory")
  .desc("An entry that is not guest memory as a whole is refused, one up to the end is not.")
  .dev(35)
  .params([
    { name: "outside", at: 4096, bytes: 16n },
    { name: "one-byte-out", at: -16, bytes: 17n },
    { name: "start-below", at: -Number.MAX_SAFE_INTEGER, bytes: 16n },
    { name: "wraps", at: -16, bytes: (1n << 64n) - 8n },
    { name: "wide", at: -4096, bytes: 1n << 23n },
  ])
  .fn(async (t, { at, bytes }) => {
    const context = await (await t.device()).createContext();
    const { main } = context.device.frontEnd.memory;
    const end = main.address + main.length;
    const address = at < -1e6 ? main.address - 8 : end + at;
    // Sizes of 2^53 and more are refused by another rule, which may come first.
    const { status } = await context.registerRaw(0, [{ address, bytes }]);
    check(
      status === "GUEST_ADDRESS" || (bytes >= 1n << 53n && status === "OUT_OF_RANGE"),
      `it is refused with GUEST_ADDRESS, not ${status}`,
    );
    const good = [{ address: end - 16, bytes: 16 }];
    equal((await context.registerRaw(0, good)).status, "OK", "the control");
  });

hostmem
  .test("quota")
  .desc("More than hostmem_bytes_max can't be registered; what is unregistered counts no more.")
  .dev(36)
  .fn(async (t) => {
    const device = await t.device({ memoryBytes: 64 << 20 });
    const context = await device.createContext();
    const { main } = device.frontEnd.memory;
    const most = t.limits.hostmem_bytes_max;
    const range = { address: main.address, bytes: main.length };
    const perHandle = 4096n * BigInt(main.length);
    check(most / perHandle < 1000n, "the quota can be reached with a thousand registrations");
    const whole = Array.from({ length: 4096 }, () => range);
    let registered = 0n;
    let handle = 0;
    for (; registered + perHandle <= most; registered += perHandle, handle++)
      equal((await context.registerRaw(handle, whole)).status, "OK", "below the quota");
    const rest = Number((most - registered) / BigInt(main.length));
    const last = Array.from({ length: rest }, () => range);
    if (rest > 0) equal((await context.registerRaw(handle++, last)).status, "OK", "up to it");
    equal((await context.registerRaw(handle, [range])).status, "QUOTA", "above it");
    await context.unregister(0);
    equal((await context.registerRaw(handle, [range])).status, "OK", "when some is free again");
  });

hostmem
  .test("handles")
  .desc("Handles: used ones, unknown ones and those above the limit.")
  .dev(129, 130, 131)
  .fn(async (t) => {
    const context = await (await t.device()).createContext();
    const ranges = [{ address: context.arm.address, bytes: 16 }];
    const most = t.limits.hostmems_max;
    equal((await context.registerRaw(most - 1, ranges)).status, "OK", "the last handle");
    equal((await context.registerRaw(most - 1, ranges)).status, "HANDLE_EXISTS", "it again");
    equal((await context.registerRaw(most, ranges)).status, "HANDLE_LIMIT", "the one behind");
    equal((await context.unregister(most - 1)).status, "OK", "HOSTMEM_UNREGISTER");
    equal((await context.unregister(most - 1)).status, "HANDLE_UNKNOWN", "it again");
  });

hostmem
  .test("not-touched")
  .desc("Registering and unregistering read and write nothing there.")
  .dev(37)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const buffer = device.frontEnd.memory.place(pattern(8192), 4096);
    const handle = await context.register(buffer);
    await context.succeed(new Commands().nop());
    await context.unregister(handle);
    sameBytes(buffer.bytes.slice(), pattern(8192), "the registered memory");
  });

const unregister = group("hostmem/unregister", "After the answer the memory is the driver's.");

unregister
  .test("queued-copy")
  .desc("A copy that is queued when its memory is unregistered writes nothing there.")
  .dev(38)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const pointer = await context.alloc(65536);
    const buffer = device.frontEnd.memory.allocate(65536, 4096);
    const handle = await context.register(buffer);
    const commands = new Commands().wait(1, 1).copyFromDevice(pointer, handle, 0, 65536);
    const fence = await context.queue(1, commands);
    equal((await context.unregister(handle)).status, "OK", "HOSTMEM_UNREGISTER");
    const marked = pattern(65536, 3);
    buffer.bytes.set(marked);
    await context.queue(0, new Commands().record(1, 1));
    await context.wait(1, fence);
    sameBytes(buffer.bytes.slice(), marked, "the memory that was unregistered");
  });

unregister
  .test("running-copy")
  .desc("Copies under way when their memory is unregistered write nothing after the answer.")
  .dev(38)
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const bytes = 1 << 20;
    const pointer = await context.alloc(bytes);
    const buffer = device.frontEnd.memory.allocate(bytes, 4096);
    for (let round = 0; round < 10; round++) {
      const handle = await context.register(buffer);
      const commands = new Commands();
      for (let each = 0; each < 8; each++) commands.copyFromDevice(pointer, handle, 0, bytes);
      const fence = await context.queue(0, commands);
      equal((await context.unregister(handle)).status, "OK", "HOSTMEM_UNREGISTER");
      const marked = pattern(bytes, round + 1);
      buffer.bytes.set(marked);
      const status = await context.wait(0, fence);
      sameBytes(buffer.bytes.slice(), marked, `the memory in round ${round}`);
      if (status !== "OK") return;
    }
  });
