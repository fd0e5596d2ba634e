// SPDX-License-Identifier: Apache-2.0
/** The dirty log: every page of guest memory that the back end writes is marked, and no other. */
import { close, type Mapping, mapRegion, memfdCreate } from "../../io/native.js";
import { Commands } from "../driver/commands.js";
import type { Context, Device } from "../driver/device.js";
import { Feature, type FrontEnd, Protocol, QUEUES, USUAL_PROTOCOL } from "../driver/front-end.js";
import type { Buffer } from "../driver/memory.js";
import { Vhost, words } from "../driver/wire.js";
import { allBytes, check, equal } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";
import { refused } from "./session-messages.js";

const PAGE = 4096;
/** One bit for each page of the first 64 MiB. */
const LOG_BYTES = (64 << 20) / PAGE / 8;

const log = group("session/log", "SET_LOG_BASE, VHOST_F_LOG_ALL and the pages that are marked.", {
  source: "vhost-user",
  needs: ["log"],
});

interface Log {
  readonly fd: number;
  readonly bytes: Uint8Array;
  readonly mapping: Mapping;
}

function makeLog(bytes = LOG_BYTES): Log {
  const fd = memfdCreate("log", bytes);
  const mapping = mapRegion(fd, 0, bytes);
  return { fd, mapping, bytes: new Uint8Array(mapping.window(0, bytes)) };
}

function marked(of: Log, address: number): boolean {
  const page = Math.floor(address / PAGE);
  return ((of.bytes[page >> 3] ?? 0) & (1 << (page & 7))) !== 0;
}

function pagesMarked(of: Log, buffer: Buffer): number {
  let count = 0;
  for (let at = 0; at < buffer.bytes.length; at += PAGE)
    if (marked(of, buffer.address + at)) count++;
  return count;
}

async function device(t: TestContext): Promise<Device> {
  return t.device({ protocol: USUAL_PROTOCOL | Protocol.log, memoryBytes: 8 << 20 });
}

/** What a front end does when a migration begins: the log, the feature, the rings anew. */
async function begin(frontEnd: FrontEnd, of: Log, ringFlag: boolean): Promise<void> {
  const payload = words(BigInt(of.bytes.length), 0n);
  frontEnd.wire.send({ request: Vhost.SET_LOG_BASE, payload, fds: [of.fd] });
  equal((await frontEnd.wire.reply("SET_LOG_BASE")).request, Vhost.SET_LOG_BASE, "the reply");
  await frontEnd.set(Vhost.SET_FEATURES, words(frontEnd.features | Feature.logAll));
  for (const index of QUEUES) {
    const [table, driver, used] = frontEnd.ring(index).areas;
    const at = [table.userAddress, used.userAddress, driver.userAddress] as const;
    const fields = words(index, ringFlag ? 1 : 0, ...at, BigInt(used.address));
    await frontEnd.set(Vhost.SET_VRING_ADDR, fields);
  }
}

function end(of: Log): void {
  of.mapping.unmap();
  close(of.fd);
}

/**
 * The back end has handled a message since: what it wrote before is marked by now. It need not be when
 * the driver sees a result, since the log is for the front end.
 */
async function settled(frontEnd: FrontEnd): Promise<void> {
  await frontEnd.get64(Vhost.GET_FEATURES);
}

/** Copies to the host, with a copy from it besides; the registered buffers. */
async function work(
  context: Context,
  own: Log,
): Promise<{ readonly read: Buffer; readonly written: Buffer }> {
  const { memory } = context.device.frontEnd;
  const read = memory.allocate(8 * PAGE, PAGE);
  const written = memory.allocate(8 * PAGE, PAGE);
  const hostmem = await context.register(read, written);
  const pointer = await context.alloc(16 * PAGE);
  // Responses were written where the buffers are now.
  own.bytes.fill(0);
  await context.succeed(
    new Commands()
      .copyToDevice(pointer, hostmem, 0, 8 * PAGE)
      .copyFromDevice(pointer, hostmem, 8 * PAGE + 100, 4 * PAGE),
  );
  await settled(context.device.frontEnd);
  return { read, written };
}

log
  .test("copies")
  .desc("Pages that a copy writes are marked, those that it reads or leaves alone are not.")
  .fn(async (t) => {
    const on = await device(t);
    const own = makeLog();
    await begin(on.frontEnd, own, false);
    const { read, written } = await work(await on.createContext(), own);
    equal(pagesMarked(own, written), 5, "the marked pages of the copy's target");
    check(marked(own, written.address), "the first page of the target is marked");
    check(!marked(own, written.address + 5 * PAGE), "the page behind it is not");
    equal(pagesMarked(own, read), 0, "the marked pages of what is read");
    end(own);
  });

log
  .test("timeline-and-responses")
  .desc("Timeline pages and responses are marked, arm pages are not.")
  .fn(async (t) => {
    const on = await device(t);
    const own = makeLog();
    await begin(on.frontEnd, own, false);
    const context = await on.createContext();
    await settled(on.frontEnd);
    check(marked(own, context.timeline.address), "a new timeline page is marked");
    own.bytes.fill(0);
    await context.succeed(new Commands().nop());
    await settled(on.frontEnd);
    check(marked(own, context.timeline.address), "a timeline page with a new fence is marked");
    check(!marked(own, context.arm.address), "the arm page is not");
    const { memory } = on.frontEnd;
    const bytes = memory.place(new Uint8Array(16).fill(2, 0, 1), PAGE);
    const room = memory.allocate(PAGE, PAGE);
    own.bytes.fill(0);
    await on.frontEnd.complete(0, [
      { address: bytes.address, length: 16 },
      { address: room.address, length: PAGE, write: true },
    ]);
    await settled(on.frontEnd);
    check(marked(own, room.address), "the page of a response is marked");
    check(!marked(own, bytes.address), "that of the request is not");
    end(own);
  });

log
  .test("used-ring")
  .desc("The used ring is marked where SET_VRING_ADDR asks for it, and not otherwise.")
  .params([
    { name: "asked", flag: true },
    { name: "not-asked", flag: false },
  ])
  .fn(async (t, { flag }) => {
    // The ring of the control queue gets pages of its own.
    const frontEnd = t.connect({
      protocol: USUAL_PROTOCOL | Protocol.log,
      queueSize: 1024,
    });
    await frontEnd.start();
    const own = makeLog();
    await begin(frontEnd, own, flag);
    const bytes = frontEnd.memory.place(new Uint8Array(16).fill(2, 0, 1), PAGE);
    const room = frontEnd.memory.allocate(PAGE, PAGE);
    own.bytes.fill(0);
    await frontEnd.complete(0, [
      { address: bytes.address, length: 16 },
      { address: room.address, length: PAGE, write: true },
    ]);
    const [, , used] = frontEnd.ring(0).areas;
    await settled(frontEnd);
    check(marked(own, used.address) === flag, `the used ring is ${flag ? "" : "not "}marked`);
    end(own);
  });

log
  .test("off")
  .desc("Without VHOST_F_LOG_ALL nothing is marked, and with it taken back nothing more.")
  .fn(async (t) => {
    const on = await device(t);
    const own = makeLog();
    await begin(on.frontEnd, own, true);
    await on.frontEnd.set(Vhost.SET_FEATURES, words(on.frontEnd.features));
    await work(await on.createContext(), own);
    allBytes(own.bytes.slice(), 0, "the log");
    end(own);
  });

log
  .test("too-small")
  .desc("A log that does not cover guest memory is refused, or is never written behind its end.")
  .needs("reply-ack")
  .fn(async (t) => {
    const on = await device(t);
    const own = makeLog(PAGE);
    own.bytes.fill(0x55);
    const payload = words(8n, 0n);
    on.frontEnd.wire.send({ request: Vhost.SET_LOG_BASE, payload, fds: [own.fd] });
    const reply = await on.frontEnd.wire.replyOrClosed();
    if (reply !== null && !on.frontEnd.wire.closed) {
      await on.frontEnd.trySet(Vhost.SET_FEATURES, words(on.frontEnd.features | Feature.logAll));
      await (await on.createContext()).succeed(new Commands().nop());
    }
    allBytes(own.bytes.slice(8), 0x55, "the memory behind the log");
    end(own);
    await t.survives();
  });

log
  .test("bad")
  .desc("A log that is larger than its file or overflows is refused.")
  .needs("reply-ack")
  .params([
    { name: "larger", size: 1n << 20n, offset: 0n },
    { name: "offset", size: 4096n, offset: 1n << 40n },
    { name: "overflow", size: 4096n, offset: (1n << 64n) - 4096n },
  ])
  .fn(async (t, { size, offset }) => {
    const on = await device(t);
    const own = makeLog(PAGE);
    const payload = words(size, offset);
    const how = await refused(on.frontEnd, Vhost.SET_LOG_BASE, payload, [own.fd]);
    end(own);
    if (how === "closed") return t.survives();
    await on.capabilities();
  });
