// SPDX-License-Identifier: Apache-2.0
/** The memory table: SET_MEM_TABLE, regions that come and go, and what is no region. */
import { close, memfdCreate } from "../../io/native.js";
import { Device } from "../driver/device.js";
import { type FrontEnd, Protocol, QUEUES, USUAL_PROTOCOL } from "../driver/front-end.js";
import { concat, Vhost, words } from "../driver/wire.js";
import { check, equal } from "../framework/check.js";
import { group } from "../framework/registry.js";
import { inStep, negotiated, refused } from "./session-messages.js";

const source = "vhost-user";
const GIB = 0x4000_0000;

const table = group("session/memory/table", "SET_MEM_TABLE: up to eight regions.", { source });

/** Starts the rings of a front end whose memory is told already. */
async function startRings(frontEnd: FrontEnd): Promise<Device> {
  for (const index of QUEUES) {
    frontEnd.addQueue(index);
    await frontEnd.startQueue(index);
    await frontEnd.enable(index, true);
  }
  return new Device(frontEnd);
}

table
  .test("regions")
  .desc("Tables of one and of eight regions are accepted and used.")
  .needs("protocol-features")
  .params([
    { name: "1", count: 1 },
    { name: "8", count: 8 },
  ])
  .fn(async (t, { count }) => {
    const frontEnd = t.connect({ protocol: USUAL_PROTOCOL & ~Protocol.memorySlots });
    for (let index = 1; index < count; index++)
      frontEnd.memory.add({ address: GIB * index, bytes: 8192, fileOffset: 4096 * index });
    await frontEnd.negotiate();
    await frontEnd.setTable(frontEnd.memory.regions);
    const device = await startRings(frontEnd);
    await device.init();
    const context = await device.createContext();
    const last = frontEnd.memory.regions.at(-1);
    check(last !== undefined, "there is a region");
    if (count > 1) await context.register(last.allocate(8192));
  });

table
  .test("longer")
  .desc("A message that is longer than its regions need is accepted: a front end sends such.")
  .needs("protocol-features")
  .fn(async (t) => {
    const frontEnd = t.connect({ protocol: USUAL_PROTOCOL & ~Protocol.memorySlots });
    await frontEnd.negotiate();
    const { main } = frontEnd.memory;
    const payload = concat(words(1, 0), words(...main.fields), new Uint8Array(32));
    await frontEnd.set(Vhost.SET_MEM_TABLE, payload, [main.fd]);
    await (await startRings(frontEnd)).init();
  });

table
  .test("too-many")
  .desc("A table of nine regions is refused.")
  .needs("reply-ack")
  .fn(async (t) => {
    const frontEnd = await negotiated(t);
    const regions = Array.from({ length: 9 }, (_, index) =>
      words(BigInt(GIB * (index + 1)), 4096n, BigInt(GIB * (index + 1)), 0n),
    );
    const fd = memfdCreate("test", 4096);
    const payload = concat(words(9, 0), ...regions);
    const fds = Array.from({ length: 8 }, () => fd);
    const how = await refused(frontEnd, Vhost.SET_MEM_TABLE, payload, fds);
    close(fd);
    if (how === "closed") await t.survives();
  });

table
  .test("short")
  .desc("A table that is shorter than the regions that it says is refused.")
  .needs("reply-ack")
  .fn(async (t) => {
    const frontEnd = await negotiated(t);
    const { main } = frontEnd.memory;
    const payload = concat(words(2, 0), words(...main.fields));
    const how = await refused(frontEnd, Vhost.SET_MEM_TABLE, payload, [main.fd, main.fd]);
    if (how === "closed") await t.survives();
  });

table
  .test("replaced")
  .desc("A table that replaces another while rings run is used from then on.")
  .needs("protocol-features", "reply-ack")
  .fn(async (t) => {
    const frontEnd = t.connect({ protocol: USUAL_PROTOCOL & ~Protocol.memorySlots });
    await frontEnd.negotiate();
    await frontEnd.setTable(frontEnd.memory.regions);
    const device = await startRings(frontEnd);
    await device.init();
    const context = await device.createContext();
    const more = frontEnd.memory.add({ address: GIB, bytes: 8192 });
    const ranges = [{ address: more.address, bytes: 8192 }];
    equal((await context.registerRaw(5, ranges)).status, "GUEST_ADDRESS", "before");
    await frontEnd.setTable(frontEnd.memory.regions);
    equal((await context.registerRaw(5, ranges)).status, "OK", "with the new table");
    equal((await context.unregister(5)).status, "OK", "HOSTMEM_UNREGISTER");
    await frontEnd.setTable([frontEnd.memory.main]);
    equal((await context.registerRaw(5, ranges)).status, "GUEST_ADDRESS", "with the old one again");
  });

const slots = group("session/memory/slots", "ADD_MEM_REG and REM_MEM_REG.", {
  source,
  needs: ["mem-slots", "reply-ack"],
});

slots
  .test("count")
  .desc("GET_MAX_MEM_SLOTS tells at least eight, and as many (up to 64) can be added.")
  .fn(async (t) => {
    const frontEnd = await negotiated(t);
    const slotCount = await frontEnd.get64(Vhost.GET_MAX_MEM_SLOTS);
    check(slotCount >= 8n, "there are at least 8 memory slots");
    const count = Math.min(Number(slotCount), 64);
    for (let index = 1; index <= count; index++)
      await frontEnd.addRegion(frontEnd.memory.add({ address: GIB * index, bytes: 4096 }));
    await inStep(frontEnd.wire);
  });

slots
  .test("remove")
  .desc("A region is removed by addresses and size; the offset and a descriptor do not matter.")
  .params([
    { name: "plain", offset: 0n, fds: 0 },
    { name: "other-offset", offset: 4096n, fds: 0 },
    { name: "descriptor", offset: 0n, fds: 1 },
  ])
  .fn(async (t, { offset, fds }) => {
    const frontEnd = await negotiated(t);
    const region = frontEnd.memory.add({ address: GIB, bytes: 8192 });
    await frontEnd.addRegion(region);
    const [address, bytes, user] = region.fields;
    const payload = words(0n, address, bytes, user, offset);
    await frontEnd.set(Vhost.REM_MEM_REG, payload, fds === 1 ? [region.fd] : []);
    // It is gone: the same place can be used again.
    await frontEnd.addRegion(region);
  });

slots
  .test("unknown")
  .desc("A region that was not added can't be removed.")
  .params([
    { name: "address", change: [4096n, 0n, 0n] as const },
    { name: "size", change: [0n, 4096n, 0n] as const },
    { name: "user-address", change: [0n, 0n, 4096n] as const },
  ])
  .fn(async (t, { change }) => {
    const frontEnd = await negotiated(t);
    const region = frontEnd.memory.add({ address: GIB, bytes: 8192 });
    await frontEnd.addRegion(region);
    const [address, bytes, user] = region.fields;
    const payload = words(0n, address + change[0], bytes + change[1], user + change[2], 0n);
    const how = await refused(frontEnd, Vhost.REM_MEM_REG, payload);
    if (how === "closed") return t.survives();
    await frontEnd.removeRegion(region);
  });

const bad = group("session/memory/refused", "What is no region of memory.", {
  source,
  needs: ["mem-slots", "reply-ack"],
});

const TOP = (1n << 64n) - 4096n;

bad
  .test("region")
  .desc("A region that is empty, overflows, overlaps another or is not all in its file is refused.")
  .params([
    { name: "empty", fields: [0x4000_0000n, 0n, 0x7000_0000_0000n, 0n] as const },
    { name: "address-overflow", fields: [TOP, 8192n, 0x7000_0000_0000n, 0n] as const },
    { name: "user-overflow", fields: [0x4000_0000n, 8192n, TOP, 0n] as const },
    { name: "beyond-file", fields: [0x4000_0000n, 12288n, 0x7000_0000_0000n, 0n] as const },
    { name: "offset-beyond", fields: [0x4000_0000n, 4096n, 0x7000_0000_0000n, 8192n] as const },
    { name: "offset-overflow", fields: [0x4000_0000n, 8192n, 0x7000_0000_0000n, TOP] as const },
    { name: "overlap", fields: [0x10_1000n, 4096n, 0x7000_0000_0000n, 0n] as const },
  ])
  .fn(async (t, { fields }) => {
    const frontEnd = await negotiated(t);
    await frontEnd.shareMemory();
    const fd = memfdCreate("test", 8192);
    const how = await refused(frontEnd, Vhost.ADD_MEM_REG, words(0n, ...fields), [fd]);
    close(fd);
    if (how === "closed") return t.survives();
    await frontEnd.addRegion(frontEnd.memory.add({ address: GIB, bytes: 8192 }));
  });
