// SPDX-License-Identifier: Apache-2.0
/** GET_INFLIGHT_FD and SET_INFLIGHT_FD: what a back end needs to go on where another one died. */
import { close, type Mapping, mapRegion } from "../../io/native.js";
import { Request } from "../../protocol/generated/wire.js";
import { Device, request } from "../driver/device.js";
import { type FrontEnd, Protocol, QUEUES, USUAL_PROTOCOL } from "../driver/front-end.js";
import { Vhost, words } from "../driver/wire.js";
import { check, equal } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";
import { refused } from "./session-messages.js";

const SIZE = 64;
/** Head of a queue's part of the region, and one descriptor's entry (split ring). */
const HEAD_BYTES = 16;
const ENTRY_BYTES = 16;

const inflight = group("session/inflight", "The region in which requests under way are tracked.", {
  source: "vhost-user",
  needs: ["inflight"],
});

interface Region {
  readonly fd: number;
  readonly size: bigint;
  readonly offset: bigint;
  readonly mapping: Mapping;
  readonly view: DataView;
}

function shape(queues: number, size: number): Uint8Array {
  return words(0n, 0n, queues | (size << 16), 0);
}

async function connected(t: TestContext): Promise<FrontEnd> {
  const frontEnd = t.connect({
    protocol: USUAL_PROTOCOL | Protocol.inflight,
    queueSize: SIZE,
  });
  await frontEnd.negotiate();
  await frontEnd.shareMemory();
  return frontEnd;
}

async function region(frontEnd: FrontEnd): Promise<Region> {
  frontEnd.wire.send({ request: Vhost.GET_INFLIGHT_FD, payload: shape(3, SIZE) });
  const reply = await frontEnd.wire.reply("GET_INFLIGHT_FD");
  equal(reply.fds.length, 1, "the descriptors of the reply");
  check(reply.payload.length >= 20, "the reply has 20 bytes at least");
  const view = new DataView(reply.payload.buffer, reply.payload.byteOffset);
  const [size, offset] = [view.getBigUint64(0, true), view.getBigUint64(8, true)];
  const [fd = -1] = reply.fds;
  const least = BigInt(3 * (HEAD_BYTES + SIZE * ENTRY_BYTES));
  check(size >= least, `the region has ${least} bytes at least`);
  const mapping = mapRegion(fd, offset, size);
  const bytes = mapping.window(0, Number(size));
  return { fd, size, offset, mapping, view: new DataView(bytes) };
}

function message(of: Region, queues = 3, size = SIZE): Uint8Array {
  return words(of.size, of.offset, queues | (size << 16), 0);
}

async function startRings(frontEnd: FrontEnd): Promise<void> {
  for (const index of QUEUES) {
    await frontEnd.startQueue(index);
    await frontEnd.enable(index, true);
  }
}

function end(of: Region): void {
  of.mapping.unmap();
  close(of.fd);
}

inflight
  .test("works")
  .desc("With a region the rings work, and when all is back nothing is marked as under way.")
  .fn(async (t) => {
    const frontEnd = await connected(t);
    const own = await region(frontEnd);
    await frontEnd.set(Vhost.SET_INFLIGHT_FD, message(own), [own.fd]);
    for (const index of QUEUES) frontEnd.addQueue(index);
    await startRings(frontEnd);
    const device = new Device(frontEnd);
    await device.init();
    for (let round = 0; round < 10; round++) await device.capabilities();
    for (const index of QUEUES) await frontEnd.stopQueue(index);
    for (let at = 0; at < SIZE; at++)
      equal(own.view.getUint8(HEAD_BYTES + at * ENTRY_BYTES), 0, `the mark of descriptor ${at}`);
    end(own);
  });

inflight
  .test("resumes")
  .desc("A request that the region says is under way is executed by the back end that gets it.")
  .fn(async (t) => {
    const frontEnd = await connected(t);
    const own = await region(frontEnd);
    for (const index of QUEUES) frontEnd.addQueue(index);
    // As if a back end had taken the chain and died: it is behind the base, and marked.
    const bytes = frontEnd.memory.place(request(Request.CONTEXT_DESTROY, 5));
    const room = frontEnd.memory.allocate(64);
    room.bytes.fill(0xee);
    const id = frontEnd.ring(0).add([
      { address: bytes.address, length: bytes.bytes.length },
      { address: room.address, length: 64, write: true },
    ]);
    frontEnd.ring(0).publish();
    own.view.setUint16(8, 1, true);
    own.view.setUint16(10, SIZE, true);
    own.view.setUint8(HEAD_BYTES + id * ENTRY_BYTES, 1);
    own.view.setBigUint64(HEAD_BYTES + id * ENTRY_BYTES + 8, 1n, true);
    await frontEnd.set(Vhost.SET_INFLIGHT_FD, message(own), [own.fd]);
    await startRings(frontEnd);
    equal(await frontEnd.returned(0, id), 32, "the used length of the chain");
    await new Device(frontEnd).init();
    end(own);
  });

inflight
  .test("refused")
  .desc("Counts of queues and sizes that can't be are refused, also those that overflow.")
  .needs("reply-ack")
  .params([
    { name: "no-queues", queues: 0, size: SIZE },
    { name: "many-queues", queues: 65535, size: SIZE },
    { name: "no-size", queues: 3, size: 0 },
    { name: "huge-size", queues: 3, size: 65535 },
  ])
  .fn(async (t, { queues, size }) => {
    const frontEnd = await connected(t);
    const own = await region(frontEnd);
    const payload = message(own, queues, size);
    const how = await refused(frontEnd, Vhost.SET_INFLIGHT_FD, payload, [own.fd]);
    end(own);
    if (how === "closed") await t.survives();
  });

inflight
  .test("refused-region")
  .desc("A region that is not all in its file is refused.")
  .needs("reply-ack")
  .params([
    { name: "size", size: 1n << 40n, offset: 0n },
    { name: "offset", size: 65536n, offset: 1n << 40n },
    { name: "overflow", size: 65536n, offset: (1n << 64n) - 4096n },
    { name: "small", size: 64n, offset: 0n },
  ])
  .fn(async (t, { size, offset }) => {
    const frontEnd = await connected(t);
    const own = await region(frontEnd);
    const payload = words(size, offset, 3 | (SIZE << 16), 0);
    const how = await refused(frontEnd, Vhost.SET_INFLIGHT_FD, payload, [own.fd]);
    end(own);
    if (how === "closed") await t.survives();
  });
