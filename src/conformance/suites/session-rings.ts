// SPDX-License-Identifier: Apache-2.0
/** Setting rings up over vhost-user: sizes, addresses, order of messages, start, stop, enable. */
import { close, drain, eventfd } from "../../io/native.js";
import { Request, VGPU } from "../../protocol/generated/wire.js";
import { Commands } from "../driver/commands.js";
import { Device, request } from "../driver/device.js";
import { Feature, type FrontEnd, QUEUES } from "../driver/front-end.js";
import { Vhost, words } from "../driver/wire.js";
import { allBytes, check, equal } from "../framework/check.js";
import type { TestContext } from "../framework/context.js";
import { group } from "../framework/registry.js";
import { inStep, negotiated, refused } from "./session-messages.js";

const source = "vhost-user";
const INDEX = [3, 255] as const;

/** Negotiated, with memory and laid-out rings that are not started. */
async function laidOut(test: TestContext): Promise<FrontEnd> {
  const frontEnd = await negotiated(test);
  await frontEnd.shareMemory();
  for (const index of QUEUES) frontEnd.addQueue(index);
  return frontEnd;
}

const setup = group("session/ring/setup", "What a ring is told before it starts.", {
  source,
  needs: ["reply-ack"],
});

setup
  .test("index")
  .desc("A ring that does not exist is refused in every message that names one.")
  .params(
    [
      { what: "num", request: Vhost.SET_VRING_NUM, make: (index: number) => words(index, 64) },
      { what: "base", request: Vhost.SET_VRING_BASE, make: (index: number) => words(index, 0) },
      {
        what: "addr",
        request: Vhost.SET_VRING_ADDR,
        make: (index: number) => words(index, 0, 0n, 0n, 0n, 0n),
      },
      { what: "enable", request: Vhost.SET_VRING_ENABLE, make: (index: number) => words(index, 1) },
    ].flatMap(({ what, request, make }) =>
      INDEX.map((index) => ({ name: `${what}-${index}`, request, payload: make(index) })),
    ),
  )
  .fn(async (t, { request, payload }) => {
    const frontEnd = await negotiated(t);
    const how = await refused(frontEnd, request, payload);
    if (how === "closed") return t.survives();
    await inStep(frontEnd.wire);
  });

setup
  .test("size")
  .desc("Sizes are powers of two from 1 to QUEUE_SIZE_MAX: others are refused.")
  .params(
    [0, 3, 1000, VGPU.QUEUE_SIZE_MAX * 2, 65536, 0xffff_ffff].map((size) => ({
      name: `${size}`,
      size,
    })),
  )
  .fn(async (t, { size }) => {
    const frontEnd = await laidOut(t);
    const how = await refused(frontEnd, Vhost.SET_VRING_NUM, words(0, size));
    if (how === "closed") return t.survives();
    await frontEnd.set(Vhost.SET_VRING_NUM, words(0, 64));
  });

setup
  .test("size-works")
  .desc("The control: rings of every size from 2 to the largest carry requests.")
  .params([2, 4, 64, VGPU.QUEUE_SIZE_MAX].map((size) => ({ name: `${size}`, size })))
  .fn(async (t, { size }) => {
    const device = await t.device({ queueSize: size });
    for (let round = 0; round < 5; round++) await device.capabilities();
  });

setup
  .test("alignment")
  .desc("Parts of a split ring that are not aligned to 16, 2 and 4 bytes are refused.")
  .params([
    { name: "descriptors", move: [8, 0, 0] as const },
    { name: "available", move: [0, 1, 0] as const },
    { name: "used", move: [0, 0, 2] as const },
  ])
  .fn(async (t, { move }) => {
    const frontEnd = await laidOut(t);
    await frontEnd.set(Vhost.SET_VRING_NUM, words(0, 64));
    const how = await refused(frontEnd, Vhost.SET_VRING_ADDR, frontEnd.addresses(0, move));
    if (how === "closed") return t.survives();
    await frontEnd.set(Vhost.SET_VRING_ADDR, frontEnd.addresses(0));
  });

setup
  .test("outside")
  .desc("A ring that lies not inside one memory region is refused before it runs.")
  .params([
    { name: "descriptors", part: 0 },
    { name: "available", part: 1 },
    { name: "used", part: 2 },
  ])
  .fn(async (t, { part }) => {
    const frontEnd = await laidOut(t);
    const buffer = frontEnd.ring(0).areas[part];
    check(buffer !== undefined, "the ring has three parts");
    // The part ends 16 bytes behind the region.
    const { main } = frontEnd.memory;
    const end = main.userAddress + BigInt(main.length + 16) - BigInt(buffer.bytes.length);
    const aligned = end - (end % 16n) + 16n;
    const move = [0, 0, 0].map((_, at) =>
      at === part ? Number(aligned - buffer.userAddress) : 0,
    ) as [number, number, number];
    await frontEnd.set(Vhost.SET_VRING_NUM, words(0, 64));
    await frontEnd.set(Vhost.SET_VRING_BASE, words(0, 0));
    const payload = frontEnd.addresses(0, move);
    if ((await frontEnd.trySet(Vhost.SET_VRING_ADDR, payload)) !== 0n) return;
    const { kickFd } = frontEnd.fds(0);
    const how = await refused(frontEnd, Vhost.SET_VRING_KICK, words(0n), [kickFd]);
    if (how === "closed") await t.survives();
  });

setup
  .test("base")
  .desc("A base above 65535 of a split ring is refused, 65535 is not.")
  .fn(async (t) => {
    const frontEnd = await laidOut(t);
    await frontEnd.set(Vhost.SET_VRING_BASE, words(0, 65535));
    const how = await refused(frontEnd, Vhost.SET_VRING_BASE, words(0, 65536));
    if (how === "closed") await t.survives();
  });

setup
  .test("incomplete")
  .desc("A ring without size or addresses does not start.")
  .params([{ name: "size" }, { name: "addresses" }])
  .fn(async (t, { name }) => {
    const frontEnd = await laidOut(t);
    if (name === "addresses") await frontEnd.set(Vhost.SET_VRING_NUM, words(0, 64));
    const { kickFd } = frontEnd.fds(0);
    const how = await refused(frontEnd, Vhost.SET_VRING_KICK, words(0n), [kickFd]);
    if (how === "closed") await t.survives();
  });

// ---- Order of the messages ----------------------------------------------------------------------

const order = group(
  "session/ring/order",
  "Front ends send the messages of a ring in different orders; KICK starts it.",
  { source },
);

type Step = "num" | "base" | "addr" | "err" | "call" | "kick" | "enable";
const ORDERS: readonly (readonly Step[])[] = [
  ["num", "base", "addr", "err", "call", "kick", "enable"],
  ["base", "num", "addr", "kick", "call", "err", "enable"],
  ["enable", "num", "addr", "base", "call", "err", "kick"],
  ["call", "err", "num", "addr", "base", "enable", "kick"],
  ["num", "addr", "base", "call", "kick", "enable", "err"],
];

async function step(frontEnd: FrontEnd, index: number, name: Step): Promise<void> {
  const { kickFd, callFd, errFd } = frontEnd.fds(index);
  const { ring, value } = { ring: frontEnd.ring(index), value: words(BigInt(index)) };
  switch (name) {
    case "num":
      return frontEnd.set(Vhost.SET_VRING_NUM, words(index, ring.size));
    case "base":
      return frontEnd.set(Vhost.SET_VRING_BASE, words(index, ring.base));
    case "addr":
      return frontEnd.set(Vhost.SET_VRING_ADDR, frontEnd.addresses(index));
    case "err":
      return frontEnd.set(Vhost.SET_VRING_ERR, value, [errFd]);
    case "call":
      return frontEnd.set(Vhost.SET_VRING_CALL, value, [callFd]);
    case "kick":
      return frontEnd.set(Vhost.SET_VRING_KICK, value, [kickFd]);
    case "enable":
      return frontEnd.enable(index, true);
  }
}

order
  .test("any")
  .desc("Rings that are set up in this order carry requests.")
  .needs("protocol-features")
  .params(ORDERS.map((steps) => ({ name: steps.join("-"), steps })))
  .fn(async (t, { steps }) => {
    const frontEnd = await laidOut(t);
    for (const index of QUEUES) for (const name of steps) await step(frontEnd, index, name);
    await new Device(frontEnd).init();
  });

order
  .test("interleaved")
  .desc("The messages of three rings may be mixed.")
  .needs("protocol-features")
  .fn(async (t) => {
    const frontEnd = await laidOut(t);
    const steps: readonly Step[] = ["num", "base", "addr", "err", "call", "kick", "enable"];
    for (const name of steps)
      for (const index of [...QUEUES].reverse()) await step(frontEnd, index, name);
    await new Device(frontEnd).init();
  });

// ---- Started and enabled ------------------------------------------------------------------------

const run = group(
  "session/ring/run",
  "A ring works while it is started (KICK to GET_VRING_BASE) and enabled, and not otherwise.",
  { source },
);

/** Puts a request on the control queue and does not wait. */
function begin(device: Device): { readonly id: number; readonly room: Uint8Array } {
  const { frontEnd } = device;
  const bytes = frontEnd.memory.place(request(Request.GET_CAPABILITIES, 0));
  const room = frontEnd.memory.allocate(512);
  room.bytes.fill(0xee);
  const id = frontEnd.ring(0).add([
    { address: bytes.address, length: bytes.bytes.length },
    { address: room.address, length: room.bytes.length, write: true },
  ]);
  frontEnd.publish(0, true);
  return { id, room: room.bytes };
}

run
  .test("disabled")
  .desc("A disabled ring rests, with what is put into it; enabling lets it go on.")
  .needs("protocol-features")
  .fn(async (t) => {
    const device = await t.device();
    await device.frontEnd.enable(0, false);
    const { id, room } = begin(device);
    await t.pause();
    check(!device.frontEnd.collect(0).has(id), "a disabled ring gives nothing back");
    allBytes(room, 0xee, "the response's memory");
    await device.frontEnd.enable(0, true);
    check((await device.frontEnd.returned(0, id)) > 32, "the response came after all");
  });

run
  .test("stopped")
  .desc("A stopped ring rests; started at its base it goes on without loss or repetition.")
  .fn(async (t) => {
    const device = await t.device();
    const { frontEnd } = device;
    await device.capabilities();
    const before = frontEnd.ring(0).base;
    const base = await frontEnd.stopQueue(0);
    equal(base, before, "the base of the stopped ring");
    const { id, room } = begin(device);
    await t.pause();
    allBytes(room, 0xee, "the response's memory");
    await frontEnd.startQueue(0, base);
    check((await frontEnd.returned(0, id)) > 32, "the response came after all");
    equal(await frontEnd.stopQueue(0), base + 1, "the base after one more request");
  });

run
  .test("not-enabled")
  .desc("A ring that was started and never enabled rests, if PROTOCOL_FEATURES was negotiated.")
  .needs("protocol-features")
  .fn(async (t) => {
    const frontEnd = await laidOut(t);
    for (const index of QUEUES) await frontEnd.startQueue(index);
    const { id } = begin(new Device(frontEnd));
    await t.pause();
    check(!frontEnd.collect(0).has(id), "a ring that is not enabled gives nothing back");
    await frontEnd.enable(0, true);
    check((await frontEnd.returned(0, id)) >= 32, "the response came after all");
  });

run
  .test("without-protocol-features")
  .desc("Without PROTOCOL_FEATURES rings are enabled from SET_FEATURES on.")
  .fn(async (t) => {
    const features = Feature.version1 | Feature.indirect | Feature.eventIndex;
    const device = await t.device({ features });
    await device.capabilities();
  });

run
  .test("enable-value")
  .desc("SET_VRING_ENABLE with another value than 0 and 1 is refused.")
  .needs("reply-ack")
  .fn(async (t) => {
    const device = await t.device();
    const how = await refused(device.frontEnd, Vhost.SET_VRING_ENABLE, words(0, 2));
    if (how === "closed") return t.survives();
    await device.capabilities();
  });

run
  .test("call-changes")
  .desc("A call descriptor that replaces another while the ring runs is the one that is signalled.")
  .fn(async (t) => {
    const device = await t.device();
    const other = eventfd();
    await device.frontEnd.set(Vhost.SET_VRING_CALL, words(0n), [other]);
    await t.pause(10);
    const { calls } = device.frontEnd.counts(0);
    device.frontEnd.ring(0).wantCall();
    const { id } = begin(device);
    while (drain(other) <= 0) await t.pause(1);
    check(device.frontEnd.collect(0).has(id), "the chain came back with the call");
    equal(device.frontEnd.counts(0).calls, calls, "the calls of the replaced descriptor");
    close(other);
  });

run
  .test("no-kick-descriptor")
  .desc("A ring that is started without a kick descriptor is polled, or the start is refused.")
  .needs("reply-ack")
  .fn(async (t) => {
    const device = await t.device();
    const { frontEnd } = device;
    await frontEnd.stopQueue(0);
    const payload = words(0x100n);
    if ((await frontEnd.trySet(Vhost.SET_VRING_KICK, payload)) !== 0n) return;
    await inStep(frontEnd.wire);
  });

run
  .test("restarts")
  .desc("Ten stops and starts of all rings in the middle of work lose no request and no fence.")
  .fn(async (t) => {
    const device = await t.device();
    const context = await device.createContext();
    const { frontEnd } = device;
    for (let round = 0; round < 10; round++) {
      const fence = await context.queue(0, new Commands().nop().nop());
      const bases: number[] = [];
      for (const index of QUEUES) bases.push(await frontEnd.stopQueue(index));
      for (const [index, base] of bases.entries()) await frontEnd.startQueue(index, base);
      equal(await context.wait(0, fence), "OK", `the status of round ${round}`);
      await device.capabilities();
    }
  });
